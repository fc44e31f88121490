"""The documentation site: it builds without a warning, all of it is there, and Korean says what English says."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
BILINGUAL = {  # English page -> the Korean one
    ROOT / "README.md": ROOT / "README.ko.md",
    **{DOCS / name: DOCS / "ko" / name for name in ("index.md", "mlpconv.md", "tutorial.md")},
}
TASKS = (  # what the front page leads to at once: train, explain, send, serve, know, reproduce
    *("tutorial.html#train", "tutorial.html#ask-why", "tutorial.html#send-it-to-a-friend"),
    *("tutorial.html#serve-it", "mlpconv.html", "paper.html"),
)
FETCHED = {"img": "src", "script": "src", "link": "href", "source": "src", "iframe": "src", "video": "src"}


@dataclass
class Page(HTMLParser):
    """What a page of the site links to, fetches and can be linked to."""

    file: Path
    links: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    language: str | None = None

    def __post_init__(self):
        super().__init__()
        self.feed(self.file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.anchors |= {given["id"]} if given.get("id") else set()
        self.language = given.get("lang") if tag == "html" else self.language
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif given.get(FETCHED.get(tag, "")):
            self.fetched.append(given[FETCHED[tag]])


def faults(site: Path) -> list[str]:
    """Links that lead nowhere, anchors that are not there, and whatever a page would fetch from another host."""
    pages = {path: Page(path) for path in site.rglob("*.html")}
    found = []
    for path, page in pages.items():
        for address in [*page.links, *page.fetched]:
            where, anchor = urldefrag(address)
            if urlsplit(address).scheme or address.startswith("//"):
                found += [f"{path.name} fetches {address}"] if address in page.fetched else []
                continue
            target = (path.parent / unquote(urlsplit(where).path)).resolve() if where else path
            if not target.is_file():
                found.append(f"{path.name}: {address} is not there")
            elif anchor and target in pages and unquote(anchor) not in pages[target].anchors:
                found.append(f"{path.name}: {address} has no such anchor")
    sheets = [sheet for sheet in site.rglob("*.css") if re.search(r"url\(['\"]?(https?:)?//", sheet.read_text("utf-8"))]
    return found + [f"{sheet.name} fetches from another host" for sheet in sheets]


def test_the_site_builds_and_every_link_of_it_leads_somewhere(tmp_path):
    command = [sys.executable, ROOT / "docs" / "build_site.py", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert (done.returncode, done.stderr) == (0, "")
    assert faults(tmp_path) == []
    front = Page(tmp_path / "index.html")
    assert {link for link in TASKS if link not in front.links} == set()
    assert Page(tmp_path / "ko" / "tutorial.html").language == "ko" and front.language == "en"
    named = (tmp_path / "ko" / "index.html").read_text(encoding="utf-8")
    assert 'aria-label="모든 문서"' in named and 'role="heading">' not in named
    index = re.search(r"\{.*\}", (tmp_path / "searchindex.js").read_text(encoding="utf-8"), flags=re.S)
    assert index and {"mlpconv", "합성곱"} <= set(json.loads(index.group())["terms"])


def test_what_leads_nowhere_is_found(tmp_path):
    (tmp_path / "a.html").write_text(
        '<a href="b.html#there">1</a><a href="b.html#gone">2</a><a href="c.html">3</a><a href="https://d.org">4</a>'
        '<img src="https://e.org/f.png"><script src="//g.org/h.js"></script>'
    )
    (tmp_path / "b.html").write_text('<h1 id="there">b</h1>')
    (tmp_path / "i.css").write_text("@font-face { src: url(https://j.org/k.woff2) }")
    assert faults(tmp_path) == [
        "a.html: b.html#gone has no such anchor",
        "a.html: c.html is not there",
        "a.html fetches https://e.org/f.png",
        "a.html fetches //g.org/h.js",
        "i.css fetches from another host",
    ]


def without_generated(page: Path) -> str:
    """A page without its generated parts."""
    return re.sub(r"<!-- (\w+): begin -->.*?<!-- \1: end -->", "", page.read_text(encoding="utf-8"), flags=re.S)


def said(page: Path) -> tuple[list[str], list[str], set[str], set[Path]]:
    """What two languages share: levels of headings, code, numbers in the prose above ten, and where links lead."""
    text = without_generated(page)
    code = re.findall(r"^```.*?^```$", text, flags=re.M | re.S)
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    targets = re.findall(r"\]\(([^)#\s]+)", prose)
    inside = {(page.parent / target).resolve() for target in targets if "://" not in target}
    words = re.sub(r"\]\([^)]*\)", "]", prose)
    numbers = {number for number in re.findall(r"\d[\d,.]*\d", words) if number != "10"}
    spans = set(re.findall(r"`[^`\n]+`", words))
    return re.findall(r"^#+(?= )", prose, flags=re.M), code, numbers | spans, inside


@pytest.mark.parametrize("english", BILINGUAL, ids=lambda page: page.name)
def test_korean_says_what_english_says(english):
    korean = BILINGUAL[english]
    in_english = {korean: page for page, korean in BILINGUAL.items()}
    ours, theirs = said(english), said(korean)
    assert ours[1] == theirs[1], "the code differs"
    assert korean in ours[3] and english in theirs[3], "each page links to the other"
    if english.name == "index.md":  # it lists what is there in Korean, and leads to the rest
        return
    assert ours[0] == theirs[0], "the headings differ"
    assert ours[2] == theirs[2], "numbers or code words differ"
    links = [{in_english.get(path, path) for path in each[3]} for each in (ours, theirs)]
    assert links[0] == links[1], "the links differ"
