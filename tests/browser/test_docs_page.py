"""The server's page in a real browser: it shows every address, asks a picture's class, and names stay text."""

import re
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from live_server import Live, StandIn
from PIL import Image
from test_report import CHROMIUM, DARK, QUIET, Visit, subprocess

from nin.deploy.openapi import WORDS
from nin.deploy.routes import ROUTES
from nin.deploy.server import docs_page
from plausible import HOSTILE

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no browser is installed")
PAGE = resources.files("nin.deploy").joinpath("docs.html").read_text(encoding="utf-8")
ASK = """<script>addEventListener("load", async () => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 8;
  canvas.getContext("2d").fillRect(0, 0, 8, 4);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  const carried = new DataTransfer();
  carried.items.add(new File([WHAT], "picture.png", { type: "image/png" }));
  while (!document.querySelector("option")) await new Promise((done) => setTimeout(done, 20));
  document.getElementById("file").files = carried.files;
  document.getElementById("try").requestSubmit();
});</script>"""


def browse(url: str, folder: Path, width: int, *options: str) -> Visit:
    """Open the page of a running server, give it time to ask, and take what it has become."""
    command = [CHROMIUM, *QUIET, f"--user-data-dir={folder / 'profile'}", f"--window-size={width},2400"]
    command += ["--virtual-time-budget=8000", *options, url]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120)
    assert done.returncode == 0, done.stderr
    return Visit(done.stdout, done.stderr)


@pytest.fixture
def live():
    with Live(StandIn("cats <b>& dogs", classes=HOSTILE[:3], unknown_below=1.0)) as running:
        yield running


def test_the_page_shows_every_address(live, tmp_path):
    visit = browse(f"http://127.0.0.1:{live.port}/docs", tmp_path, 900, "--dump-dom")
    assert visit.console == []
    assert re.findall(r"<code>(/[^<]*)</code>", visit.page) == list(dict.fromkeys(route.path for route in ROUTES))
    for summary, _ in WORDS.values():
        assert summary in visit.page
    assert "cats &lt;b&gt;&amp; dogs (3 classes)" in visit.page


def test_a_picture_is_asked_about_and_hostile_labels_stay_text(live, tmp_path):
    live.server._docs = docs_page(PAGE.replace("</body>", ASK.replace("WHAT", "blob") + "</body>"))
    visit = browse(f"http://127.0.0.1:{live.port}/docs", tmp_path, 900, "--dump-dom")
    assert visit.console == []
    assert len(re.findall(r"<meter", visit.page)) == 3 and '<img src="blob:http://127.0.0.1' in visit.page
    assert "Unknown: the best score" in visit.page
    assert "&lt;script&gt;document.documentElement" in visit.page
    assert "\\u{202e}evil gnp.exe" in visit.page and "\u202e" not in visit.page
    assert "data-owned" not in visit.page.split("<head>")[0]


def test_a_refusal_is_shown_with_its_reason(live, tmp_path):
    live.server._docs = docs_page(PAGE.replace("</body>", ASK.replace("WHAT", '"hello"') + "</body>"))
    visit = browse(f"http://127.0.0.1:{live.port}/docs", tmp_path, 900, "--dump-dom")
    assert 'role="alert">the picture cannot be read: ' in visit.page


@pytest.mark.parametrize(("width", "dark"), [(500, False), (1200, True)])
def test_the_page_is_drawn_light_and_dark(live, tmp_path, width, dark):
    live.server._docs = docs_page(PAGE.replace("</body>", ASK.replace("WHAT", "blob") + "</body>"))
    shot = tmp_path / "shot.png"
    browse(f"http://127.0.0.1:{live.port}/docs", tmp_path, width, f"--screenshot={shot}", *(DARK if dark else ()))
    pixels = np.asarray(Image.open(shot).convert("RGB")).astype(int)
    assert tuple(pixels[2, 2]) == ((20, 25, 31) if dark else (255, 255, 255))
    assert 0.02 < (abs(pixels - pixels[2, 2]).max(2) > 60).mean() < 0.6
