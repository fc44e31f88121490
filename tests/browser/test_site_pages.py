"""The documentation site in a real Chromium, served as a reader would: every page on a desktop and a phone.

Every page takes a second or two, so this runs with NIN_HEAVY=1 only; that each link leads somewhere and nothing is
fetched from another host is asked of the files in tests/test_docs_site.py.
"""

import functools
import os
import subprocess
import sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from explorer_page import visited

pytestmark = pytest.mark.skipif(os.environ.get("NIN_HEAVY") != "1", reason="set NIN_HEAVY=1 to open every page")
ROOT = Path(__file__).resolve().parents[2]
WIDE = "() => document.documentElement.scrollWidth - innerWidth"


class Quiet(SimpleHTTPRequestHandler):
    """python -m http.server without its log."""

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site's folder and its address."""
    folder = tmp_path_factory.mktemp("site")
    subprocess.run([sys.executable, ROOT / "docs" / "build_site.py", folder], check=True, timeout=900)
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.parametrize(("size", "scheme"), [((1280, 900), "light"), ((390, 844), "dark")], ids=["desktop", "phone"])
def test_every_page_is_quiet_asks_nobody_fits_and_pleases_axe(site, size, scheme):
    folder, address = site
    faults = []
    with visited(address, size=size, answered=False, color_scheme=scheme) as visit:
        for path in sorted(folder.rglob("*.html")):
            name = path.relative_to(folder).as_posix()
            visit.console.clear()
            visit.requests.clear()
            visit.page.goto(address + name)
            faults += [f"{name} says {line}" for line in visit.console]
            faults += [f"{name} asks {url}" for url in visit.requests if not url.startswith((address, "data:"))]
            wide = visit.page.evaluate(WIDE)
            faults += [f"{name} is {wide} pixels too wide"] if wide > 0 else []
            faults += [f"{name}: {rule} at {places[0]}" for rule, places in visit.audit()]
    assert faults == []


def test_the_search_finds_a_page_in_both_languages(site):
    _, address = site
    for words, page in (("mlpconv", "mlpconv.html"), ("합성곱", "ko/mlpconv.html")):
        with visited(f"{address}search.html?q={words}", answered=False) as visit:
            visit.page.wait_for_selector(f"#search-results a[href*='{page}']", timeout=60_000)
            assert all(url.startswith(address) for url in visit.requests)
