"""The report in a real browser: it renders, fits a phone, asks for nothing, and hostile names stay text."""

import html
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nin.report.page import report_html
from plausible import HOSTILE, report

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((path for path in map(shutil.which, NAMES) if path), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=f"none of {', '.join(NAMES)} is installed")
QUIET = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-logging=stderr",
)  # fmt: skip
DARK = ("--force-dark-mode", "--blink-settings=preferredColorScheme=0")
MEASURE = """<script>addEventListener("load", () => {
  const wide = [...document.querySelectorAll("main *")].filter((e) => !e.closest(".scroll svg, .plot") &&
    e.getBoundingClientRect().right > innerWidth + 0.5).map((e) => e.tagName + "." + e.className);
  const drawn = (text) => {
    const canvas = document.createElement("canvas"), pen = canvas.getContext("2d");
    pen.font = "40px " + getComputedStyle(document.body).fontFamily;
    pen.fillText(text, 10, 50);
    return canvas.toDataURL();
  };
  parent.document.getElementById("measured").textContent = JSON.stringify({
    width: innerWidth,
    scroll: document.documentElement.scrollWidth,
    wide: wide,
    fetched: performance.getEntriesByType("resource").map((e) => e.name).filter((n) => !n.startsWith("data:")),
    broken: [...document.images].filter((i) => !i.naturalWidth).length,
    images: document.images.length,
    korean: [...document.querySelectorAll("bdi[lang=ko]")].map((e) => e.getBoundingClientRect().width),
    syllables: new Set(["고", "양", "이", "\\uffff"].map(drawn)).size,
    owned: document.documentElement.dataset.owned || "no",
    headings: document.querySelectorAll("h2").length,
  });
});</script>"""


@dataclass(frozen=True)
class Visit:
    """What the browser printed: the page's elements after loading, and its log."""

    page: str
    log: str

    @property
    def console(self) -> list[str]:
        return re.findall(r"CONSOLE.*", self.log)


def browse(folder: Path, text: str, width: int, *options: str) -> Visit:
    """Open a page from its file, in a window of this width and a profile of its own."""
    assert CHROMIUM
    page = folder / "page.html"
    page.write_text(text, encoding="utf-8")
    command = [CHROMIUM, *QUIET, f"--user-data-dir={folder / 'profile'}", f"--window-size={width},3000", *options]
    done = subprocess.run([*command, page.as_uri()], capture_output=True, encoding="utf-8", timeout=120)
    assert done.returncode == 0, done.stderr
    return Visit(done.stdout, done.stderr)


def measure(folder: Path, text: str, width: int) -> tuple[dict[str, Any], list[str]]:
    """What the page measures of itself, and what it says to the console, in a frame of this width.

    A frame, because a window of Chromium is never narrower than 500 px. The page goes in without its policy, so that
    nothing but escaping protects it.
    """
    bare, count = re.subn(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    assert count == 1
    inside = html.escape(bare.replace("</body>", MEASURE + "</body>"))
    frame = f'<iframe srcdoc="{inside}" style="border:0;width:{width}px;height:3000px"></iframe>'
    visit = browse(folder, f'<!doctype html><body><pre id="measured"></pre>{frame}</body>', 1400, "--dump-dom")
    found = re.search(r'<pre id="measured">(.+?)</pre>', visit.page, re.DOTALL)
    assert found, visit.log
    return json.loads(html.unescape(found[1])), visit.console


@pytest.fixture(scope="module")
def page() -> str:
    """The most difficult report: hostile and Korean names."""
    return report_html(report(HOSTILE))


@pytest.mark.parametrize("width", [390, 1280])
def test_page_fits_asks_for_nothing_and_shows_everything(page: str, width: int, tmp_path: Path) -> None:
    seen, console = measure(tmp_path, page, width)
    assert seen["width"] == width == seen["scroll"] and seen["wide"] == []
    assert seen["fetched"] == [] and console == [] and seen["owned"] == "no"
    assert seen["broken"] == 0 and seen["images"] == 2 + 3 * 2 + 3 * 7 and seen["headings"] == 9
    assert seen["korean"] and min(seen["korean"]) > 20
    if shutil.which("fc-list") and subprocess.run(["fc-list", ":lang=ko"], capture_output=True).stdout:
        assert seen["syllables"] == 4  # three syllables and the box for a missing one all look different


def test_page_as_it_is_stays_silent_and_unchanged(page: str, tmp_path: Path) -> None:
    visit = browse(tmp_path, page, 1280, "--dump-dom")
    assert visit.console == []
    assert "data-owned" not in visit.page.split("<head>")[0]
    for tag in ("<section", "<svg", "<img", "<table", "<h2", "<script", "<bdi"):
        assert visit.page.count(tag) == page.count(tag)


@pytest.mark.parametrize(("width", "dark"), [(390, False), (1280, True)])
def test_page_is_drawn_light_and_dark(page: str, width: int, dark: bool, tmp_path: Path) -> None:
    shot = tmp_path / "shot.png"
    browse(tmp_path, page, width, f"--screenshot={shot}", *(DARK if dark else ()))
    pixels = np.asarray(Image.open(shot).convert("RGB")).astype(int)
    assert pixels.shape == (3000, width, 3)
    assert tuple(pixels[2, 2]) == ((20, 23, 27) if dark else (255, 255, 255))
    different = (abs(pixels - pixels[2, 2]).max(2) > 60).mean()
    assert 0.02 < different < 0.6
    rows = (abs(pixels - pixels[2, 2]).max(2) > 60).any(1)
    assert rows.mean() > 0.4 and rows[2500:].any()


def test_the_measuring_would_see_a_bad_page(page: str, tmp_path: Path) -> None:
    """The same measurements on a page that is wide, fetches, complains and runs a name."""
    bad = (
        '<p style="width:900px">wide</p><img src="http://127.0.0.1:9/x.png">'
        '<script>console.error("no"); document.documentElement.dataset.owned = 1</script>'
    )
    seen, console = measure(tmp_path, page.replace("</main>", bad + "</main>"), 390)
    assert seen["scroll"] > 390 and seen["wide"] and seen["broken"] == 1
    assert seen["fetched"] == ["http://127.0.0.1:9/x.png"] and console and seen["owned"] == "1"
