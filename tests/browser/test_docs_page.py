"""The server's page in a real browser: it shows every address, asks a picture's class, and names stay text."""

import base64
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from io import BytesIO
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from PIL import Image
from test_report import CHROMIUM, DARK, QUIET, Visit, subprocess

from live_server import Live, StandIn
from nin.server.handlers import docs_page
from nin.server.routes import ROUTES
from plausible import HOSTILE

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no browser is installed")
PAGE = resources.files("nin.server").joinpath("docs.html").read_text(encoding="utf-8")
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


ELSEWHERE = """<!doctype html><p id="said"></p><script>
const picture = Uint8Array.from(atob("PICTURE"), (letter) => letter.charCodeAt(0));
fetch("http://127.0.0.1:PORT/predict", { method: "POST", headers: { "Content-Type": "image/png" }, body: picture })
  .then(async (reply) => { document.getElementById("said").textContent = reply.status + " " + await reply.text(); })
  .catch((error) => { document.getElementById("said").textContent = error; });
</script>"""


class Elsewhere(BaseHTTPRequestHandler):
    """A server of another origin with one page."""

    page = b""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(self.page)

    def log_message(self, *_):
        pass


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
    for route in ROUTES:
        assert route.operation.summary in visit.page
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


@pytest.fixture
def prefixed(live):
    """The server under /a/b/: a proxy that takes the prefix off, and answers nothing else."""

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self):
            path = self.path.removeprefix("/a/b")
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))) or None
            reply = live.ask(self.command, path, body) if path != self.path else None
            self.send_response(reply.status if reply else 404)
            for name in ("Content-Type", "Content-Security-Policy", "Location", "Content-Length"):
                if reply and name in reply.headers:
                    self.send_header(name, reply.headers[name])
            self.end_headers()
            self.wfile.write(reply.body if reply else b"")

        do_POST = do_GET

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        Thread(target=proxy.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{proxy.server_port}/a/b/"
        proxy.shutdown()


@pytest.mark.parametrize("page", ["", "docs", "docs/"])
def test_the_page_works_behind_a_prefix(live, prefixed, page, tmp_path):
    live.server._docs = docs_page(PAGE.replace("</body>", ASK.replace("WHAT", "blob") + "</body>"))
    visit = browse(prefixed + page, tmp_path, 900, "--dump-dom")
    assert [line for line in visit.console if "favicon" not in line] == []
    assert len(re.findall(r"<meter", visit.page)) == 3 and f"curl {prefixed}models" in visit.page


@pytest.mark.parametrize("origins", [(), ("*",)])
def test_a_page_of_another_origin_reads_answers_only_where_it_is_let(origins, tmp_path):
    """A real browser asks beforehand and obeys: the reason for --cors, and for its being off."""
    with Live(origins=origins) as live, ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as other:
        Thread(target=other.serve_forever, daemon=True).start()
        held = BytesIO()
        Image.new("RGB", (8, 8), "red").save(held, "PNG")
        page = ELSEWHERE.replace("PICTURE", base64.b64encode(held.getvalue()).decode())
        Elsewhere.page = page.replace("PORT", str(live.port)).encode()
        visit = browse(f"http://127.0.0.1:{other.server_port}/", tmp_path, 500, "--dump-dom")
        other.shutdown()
    assert ('<p id="said">200 [{"label"' in visit.page) == bool(origins), visit.page
    assert ('<p id="said">TypeError' in visit.page) != bool(origins)


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
