"""Build the documentation site: python docs/build_site.py [FOLDER]; without a folder into build/site.

The Markdown pages are the source, and are read where they lie as well. Here they are laid out as the site has them:
docs/ becomes its root, each experiment's README a page under measurements/. Links follow; a linked file that is no page
comes along. The lists under the headings of docs/index.md are the site's menu. Whatever Sphinx warns of ends the build.
"""

import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from sphinx.cmd.build import build_main

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
ELSEWHERE = {  # pages outside docs/, and where the site has them; the front pages of the code host are the site's own
    "README.md": "index.md",
    "README.ko.md": "ko/index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "web/README.md": "explorer-sources.md",
}
FRONT = ("README.md", "README.ko.md")
PICTURES = {".png", ".svg", ".jpg"}
CHILDREN = {
    "results.md": "measurements/*/index",
    "models.md": "models/*",
    "log.md": "log-archive",
}  # page -> the pages under it in the menu
LINK = re.compile(r"(?P<words>!?\[(?:[^\[\]]|!?\[[^\]]*\]\([^)]*\))*\])\((?P<target>[^)\s#]*)(?P<anchor>#[^)\s]*)?\)")
UNNAMED = {  # what furo and Sphinx write -> the same for people who use a screen reader or a keyboard
    '<aside class="sidebar-drawer">': '<aside class="sidebar-drawer" aria-label="{}">',
    '<aside class="toc-drawer">': '<aside class="toc-drawer" aria-label="{}">',
    'class="caption" role="heading">': 'class="caption" role="heading" aria-level="2">',
    '<div id="search-results">': '<h1>Search</h1><div id="search-results">',
    "<pre><span></span>": '<pre tabindex="0"><span></span>',  # what is wider than a phone can be scrolled by keys
    '<div class="table-wrapper ': '<div tabindex="0" class="table-wrapper ',
}
NAMES = {"en": ("All pages", "On this page"), "ko": ("모든 문서", "이 문서의 내용")}
FENCE = re.compile(r"^```.*?^```$", flags=re.M | re.S)


def place(path: Path) -> PurePosixPath:
    """Where the site has a file of the repository."""
    name = path.relative_to(ROOT).as_posix()
    if name in ELSEWHERE:
        return PurePosixPath(ELSEWHERE[name])
    if path.is_relative_to(DOCS):
        return PurePosixPath(path.relative_to(DOCS).as_posix())
    if path.parent.parent == ROOT / "experiments" and path.suffix == ".md":
        page = "index.md" if path.name == "README.md" else path.name
        return PurePosixPath("measurements", path.parent.name, page)
    return PurePosixPath("files", name)


def pages() -> list[Path]:
    """Every Markdown file that is a page of the site."""
    others = (ROOT / name for name in ELSEWHERE if name not in FRONT)
    return sorted([*DOCS.rglob("*.md"), *others, *ROOT.glob("experiments/*/*.md")])


def outside_code(text: str) -> Iterator[tuple[str, bool]]:
    """The parts of a page in order, each with whether it is prose: fenced blocks are not."""
    end = 0
    for fence in FENCE.finditer(text):
        yield text[end : fence.start()], True
        yield fence.group(), False
        end = fence.end()
    yield text[end:], True


def laid_out(page: Path, linked: set[Path]) -> str:
    """The text of a page with links as they are in the site; files that it links to are added to `linked`."""

    def follow(link: re.Match[str]) -> str:
        words, target, anchor = link["words"], link["target"], link["anchor"] or ""
        words = LINK.sub(follow, words[1:-1]).join("[]") if words.startswith("[!") else words
        if "://" in target or target.startswith("mailto:") or not target:
            return f"{words}({target}{anchor})"
        path = (page.parent / target).resolve()
        if path.is_dir():  # it has no page
            return words.strip("[]")
        if not path.is_file():
            raise SystemExit(f"{page.relative_to(ROOT)} links to {target}, which is not there")
        if path.suffix != ".md" or place(path).parts[0] == "files":
            linked.add(path)
        return f"{words}({relative(place(path), place(page).parent)}{anchor})"

    text = "".join(LINK.sub(follow, part) if prose else part for part, prose in outside_code(page.read_text("utf-8")))
    return text if text.startswith("# ") else f"# {page.stem.capitalize()}\n\n{text}"  # the menu needs a name


def relative(place: PurePosixPath, folder: PurePosixPath) -> str:
    """The address of a place of the site from a folder of it."""
    return "/".join([".."] * len(folder.parts) + list(place.parts)) if folder.parts else str(place)


def menu() -> list[tuple[str, list[str]]]:
    """The headings of the front page, each with the pages that are listed below it."""
    parts = re.split(r"^## (.+)$", (DOCS / "index.md").read_text("utf-8"), flags=re.M)[1:]
    found = []
    for heading, text in zip(parts[::2], parts[1::2], strict=True):
        targets = re.findall(r"^- \[[^\]]+\]\(([^)#]+)\)", text, flags=re.M)
        inside = [place((DOCS / target).resolve()).with_suffix("").as_posix() for target in targets]
        found += [(heading, inside)] if inside else []
    return found


def toctree(names: list[str], caption: str = "") -> str:
    """The directive that puts pages into the menu."""
    options = ":hidden:\n:glob:\n" + (f":caption: {caption}\n" if caption else "")
    return f"\n```{{toctree}}\n{options}\n" + "".join(f"/{name}\n" for name in names) + "```\n"


def below(where: PurePosixPath) -> str:
    """The part of the menu that hangs on a page."""
    if str(where) == "index.md":
        return "".join(toctree(names, heading) for heading, names in menu())
    if str(where) in CHILDREN:
        return toctree([CHILDREN[str(where)]])
    if where.parts[0] == "measurements" and where.name == "index.md":
        inside = [path for path in pages() if place(path).parent == where.parent and place(path) != where]
        return toctree([place(path).with_suffix("").as_posix() for path in inside]) if inside else ""
    return ""


def lay_out(folder: Path) -> None:
    """Write the pages as the site has them, with pictures and other files that they link to."""
    linked: set[Path] = set()
    for page in pages():
        target = folder / place(page)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(laid_out(page, linked) + below(place(page)), encoding="utf-8")
    for path in linked:
        target = folder / place(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def name_parts(page: Path) -> None:
    """Name the parts of a finished page for a screen reader, and let keys reach what scrolls."""
    text = page.read_text(encoding="utf-8")
    names = iter(NAMES["ko" if page.parent.name == "ko" else "en"])
    for without, with_name in UNNAMED.items():
        text = text.replace(without, with_name.format(next(names, "")))
    page.write_text(text, encoding="utf-8")


def build(out: Path) -> int:
    """The exit code of Sphinx; 0 when the site is in `out`."""
    with tempfile.TemporaryDirectory() as folder:
        source, kept = Path(folder) / "source", Path(folder) / "kept"
        lay_out(source)
        options = ["-b", "html", "-c", str(DOCS), "-d", str(kept), "-W", "--keep-going", "-q", "-E"]
        code = build_main([*options, str(source), str(out)])
    for page in out.rglob("*.html"):
        name_parts(page)
    return code


if __name__ == "__main__":
    sys.exit(build(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "site"))
