"""fonts.py: Hangul is drawn as Hangul, with the system's fonts or without any."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageFont

from nin.report import fonts


@pytest.fixture(params=["system", "none installed"])
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The machine's own fonts, and a machine without any."""
    if request.param == "none installed":
        monkeypatch.setattr(fonts, "_folders", list)
    fonts.hangul_font.cache_clear()
    yield request.param
    fonts.hangul_font.cache_clear()


def ink(path: Path, text: str) -> bytes:
    """The pixels of a text, 40 px high."""
    image = Image.new("L", (160, 60))
    fonts.write(image, (4, 4), text, 40, "white", 150)
    assert image.getbbox() is not None
    return image.tobytes()


def test_hangul_is_drawn_not_boxed(machine: str) -> None:
    path = fonts.hangul_font()
    if path is None:
        pytest.skip("no font with Hangul on this machine")
    syllables = [ink(path, c) for c in "고양이각힣"]
    assert len(set(syllables)) == 5  # each looks different: none is the box
    assert ink(path, fonts.MISSING) not in syllables
    again = ImageFont.truetype(str(path), 30)  # judged by Pillow alone
    assert bytes(again.getmask("고")) != bytes(again.getmask("\uffff"))


def test_without_installed_fonts_the_bundled_one_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    if fonts._inside("koreanize_matplotlib", "fonts", "NanumGothic.ttf") is None:
        pytest.skip("koreanize_matplotlib is not installed")
    monkeypatch.setattr(fonts, "_folders", list)
    fonts.hangul_font.cache_clear()
    path = fonts.hangul_font()
    fonts.hangul_font.cache_clear()
    assert path is not None and path.name == "NanumGothic.ttf"


def test_words_use_one_font_that_has_them() -> None:
    words, path = fonts.drawable("cat ✓")
    assert words == "cat ✓" and (path is None or path.name == "DejaVuSans.ttf")
    words, path = fonts.drawable("고양이 cat 93%")
    if fonts.hangul_font():
        assert words == "고양이 cat 93%" and path == fonts.hangul_font()
    if path:
        assert fonts.drawable("\U0001f9ff\U00013000")[0] == fonts.MISSING * 2
    assert fonts.drawable("a\nb\u202e")[0] == "a\\nb\\u202e"


def test_text_is_cut_to_its_width() -> None:
    image = Image.new("L", (300, 40))
    fonts.write(image, (0, 0), "w" * 200, 20, "white", 120)
    left, _, right, _ = image.getbbox() or (0, 0, 0, 0)
    assert 80 < right - left <= 121


def test_words_wrap_at_spaces_and_none_is_lost() -> None:
    said = "longsleeve 35% ✗ very long truth"
    lines = fonts.wrapped(said, 13, 120, 2)
    assert len(lines) == 2 and " ".join(lines) == said
    assert fonts.wrapped("cat 93%", 13, 120, 2) == ["cat 93%"] and fonts.wrapped("", 13, 120, 2) == [""]
    assert all(fonts.length(line, 13) <= 120 for line in fonts.wrapped(said, 13, 120, 9))


def test_a_line_may_mix_fonts() -> None:
    """Many Hangul fonts lack the ballot x that marks a mistake, and the font that has it lacks Hangul."""
    if len(fonts.files()) < 2:
        pytest.skip("needs matplotlib's font and one with Hangul")
    pieces = fonts._runs("고양이 93% ✗ \U00013000")
    assert "".join(piece for piece, _ in pieces) == f"고양이 93% ✗ {fonts.MISSING}"
    assert all(path and all(fonts.has(path, c) for c in piece) for piece, path in pieces)
    assert fonts.length("고양이✗", 20) == pytest.approx(fonts.length("고양이", 20) + fonts.length("✗", 20), abs=3)


def test_no_plotting_package_is_imported_for_a_font_or_a_page() -> None:
    """koreanize_matplotlib changes matplotlib when imported; the page needs neither, and no torch."""
    code = (
        "import sys, nin.report.page, nin.report.plots, nin.report.fonts as f; f.drawable('고양이'); "
        "print([m for m in ('koreanize_matplotlib', 'matplotlib', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
