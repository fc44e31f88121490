"""Fonts for pictures: classes named in Hangul are readable in a PNG too, also where no such font is installed.

Order: a font of the system that has Hangul, else the one inside the installed package koreanize_matplotlib. That
package is found, never imported: importing it changes matplotlib for the whole process.
"""

import importlib.util
import os
import sys
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from nin.errors import escape_name

Font = ImageFont.FreeTypeFont
_KNOWN = (  # file names of regular faces with Hangul, the commonest first
    "NotoSansCJK-Regular.ttc", "NotoSansKR-Regular.otf", "NotoSansKR-Regular.ttf", "NotoSansKR-VF.ttf",
    "NotoSansCJKkr-Regular.otf", "NanumGothic.ttf", "NanumBarunGothic.ttf", "AppleSDGothicNeo.ttc",
    "AppleGothic.ttf", "malgun.ttf", "gulim.ttc", "UnDotum.ttf", "DroidSansFallbackFull.ttf",
)  # fmt: skip
_NOWHERE = "\uffff"  # in no font: draws the box of a missing character
MISSING = "□"


def _folders() -> list[Path]:
    """Where the system keeps fonts: Windows, macOS, Linux."""
    home = Path.home()
    if sys.platform == "win32":
        local = Path(os.environ.get("LOCALAPPDATA", home))
        return [Path(os.environ.get("WINDIR", "C:/Windows")) / "Fonts", local / "Microsoft" / "Windows" / "Fonts"]
    if sys.platform == "darwin":
        return [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library" / "Fonts"]
    return [
        Path("/usr/share/fonts"),
        Path("/usr/local/share/fonts"),
        home / ".local" / "share" / "fonts",
        home / ".fonts",
    ]


@cache
def _inside(package: str, *parts: str) -> Path | None:
    """A file of an installed package, which is not imported."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        return None
    path = Path(found.submodule_search_locations[0], *parts)
    return path if path.is_file() else None


@cache
def hangul_font() -> Path | None:
    """The file of a font that really draws Hangul, or None where there is none."""
    held: dict[str, Path] = {}
    for folder in _folders():
        held |= {path.name: path for path in folder.rglob("*") if path.name in _KNOWN}
    candidates = [held[name] for name in _KNOWN if name in held]
    bundled = _inside("koreanize_matplotlib", "fonts", "NanumGothic.ttf")
    return next((path for path in (*candidates, bundled) if path and all(has(path, c) for c in "가힣")), None)


@cache
def _probe(path: Path) -> Font | None:
    try:
        return ImageFont.truetype(str(path), 20, layout_engine=ImageFont.Layout.BASIC)
    except OSError:  # not a font after all
        return None


@cache
def has(path: Path, character: str) -> bool:
    """Whether the font draws this character as something else than its box for missing ones."""
    font = _probe(path)
    if font is None:
        return False
    drawn = font.getmask(character)
    box = font.getmask(_NOWHERE)
    return character.isspace() or (drawn.size, bytes(drawn)) != (box.size, bytes(box))


def files() -> list[Path]:
    """The fonts to draw with, the one for Latin letters first."""
    latin = _inside("matplotlib", "mpl-data", "fonts", "ttf", "DejaVuSans.ttf")
    return [path for path in (latin, hangul_font()) if path]


def family(path: Path) -> str:
    """The family name that a font file states."""
    font = _probe(path)
    return "" if font is None else str(font.getname()[0])


def drawable(text: str) -> tuple[str, Path | None]:
    """The text on one line, and the file of the font that draws most of it; what it lacks is shown as a box.

    None stands for Pillow's own font, where neither matplotlib nor a font with Hangul is installed.
    """
    text = escape_name(text)
    known = files()
    if not known:
        return text, None
    best = max(known, key=lambda path: sum(has(path, c) for c in text))  # the first wins when equal
    return "".join(c if has(best, c) else MISSING for c in text), best


def _runs(text: str) -> list[tuple[str, Path | None]]:
    """The text in pieces of one font each: the font of most of it, others where that one lacks a character."""
    _, best = drawable(text)
    known = [best, *files()] if best else []
    pieces: list[tuple[str, Path | None]] = []
    for c in escape_name(text):
        path = next((path for path in known if path and has(path, c)), None)
        c = c if path or not best else MISSING
        path = path or best
        if pieces and pieces[-1][1] == path:
            pieces[-1] = (pieces[-1][0] + c, path)
        else:
            pieces.append((c, path))
    return pieces


@cache
def _sized(path: Path | None, size: float) -> Font | ImageFont.ImageFont:
    if path is None:
        return ImageFont.load_default(size)
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


def length(text: str, size: float) -> float:
    """Width of one line in pixels."""
    return sum(_sized(path, size).getlength(piece) for piece, path in _runs(text))


def wrapped(text: str, size: float, width: float, most: int) -> list[str]:
    """The text broken at spaces into at most `most` lines of `width` pixels; what is left stands on the last."""
    lines = [""]
    for word in escape_name(text).split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and len(lines) < most and length(longer, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def write(image: Image.Image, place: tuple[float, float], text: str, size: float, colour: str, width: float) -> None:
    """Draw one line of text, its left at x and its baseline at y + size, cut with an ellipsis at `width` pixels."""
    if length(text, size) > width:
        text = escape_name(text)
        while text and length(text + "…", size) > width:
            text = text[:-1]
        text += "…"
    x, y = place
    for piece, path in _runs(text):
        font = _sized(path, size)
        ImageDraw.Draw(image).text((x, y + size), piece, fill=colour, font=font, anchor="ls")
        x += font.getlength(piece)
