"""The built page that is committed is what its sources make, byte for byte, and its types hold."""

import os

import node
import pytest

from nin.explorer import built_page

COMMITTED = built_page.PAGE


def test_the_committed_page_is_what_its_sources_make(tmp_path):
    node.install()
    node.run("vite", "build", "--outDir", str(tmp_path), "--emptyOutDir")
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
    same = (tmp_path / "index.html").read_bytes() == COMMITTED.read_bytes()
    assert same, "src/nin/explorer/page.html is not what web/ makes; run: make web"


@pytest.mark.skipif(os.environ.get("NIN_HEAVY") != "1", reason="half a minute, and make web asks too; set NIN_HEAVY=1")
def test_the_pages_types_hold():
    node.install()
    said = node.run("svelte-check", "--tsconfig", "./tsconfig.json", "--fail-on-warnings")
    assert "0 errors and 0 warnings" in said
