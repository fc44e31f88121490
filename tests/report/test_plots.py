"""plots.py: pictures that open, have the right size and show what they are told to."""

import io
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image, ImageColor

from nin.errors import DataError, ModelError
from nin.report import fonts
from nin.report.confusion import confusion_svg
from nin.report.content import Example
from nin.report.plots import explain_png, grid_jpg, png_of
from nin.report.svg import LIGHT, dropout_svg, results_svg
from plausible import ANIMALS, HOSTILE, answers, example, history


def opened(data: bytes, kind: str) -> np.ndarray:
    image = Image.open(io.BytesIO(data))
    assert image.format == kind
    return np.asarray(image.convert("RGB")).astype(int)


@pytest.fixture
def no_system_fonts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(fonts, "_folders", list)
    fonts.hangul_font.cache_clear()
    yield
    fonts.hangul_font.cache_clear()


@pytest.mark.parametrize("epochs", [0, 1, 12])
def test_curves_open_for_any_length_and_with_gaps(epochs: int) -> None:
    rows: list[dict[str, float | None]] = [dict(row) for row in history(epochs)]
    for row in rows[:2]:
        row["val_loss"], row["val_accuracy"] = None, math.nan
    pixels = opened(png_of(results_svg(rows)), "PNG")
    assert pixels.shape[1] > 2.5 * pixels.shape[0] and pixels.shape[1] > 1600
    blue = (pixels[..., 2] - pixels[..., 0] > 80).sum()
    assert epochs < 12 or blue > 300  # the validation curve is there


@pytest.mark.parametrize("classes", [("a", "b"), HOSTILE, tuple(f"name of {i}" for i in range(40))])
def test_a_png_is_its_drawing_twice_as_large(classes: tuple[str, ...]) -> None:
    """Every cell of the drawing has its colour in the PNG, read from the pixels beside the count."""
    _, _, evaluation = answers(classes, 10 * len(classes))
    drawing = confusion_svg(evaluation, classes)
    pixels = opened(png_of(drawing), "PNG")
    root = ET.fromstring(drawing)
    assert pixels.shape[:2] == pytest.approx([2 * float(root.get(side)) for side in ("height", "width")], abs=1)
    cells = [rect for rect in root.iter("{http://www.w3.org/2000/svg}rect") if rect.get("class") != "f-paper"]
    assert len(cells) >= len(classes)
    painted: dict[tuple[int, int], np.ndarray] = {}
    for rect in cells:  # a deeper colour lies over some cells
        opacity = float(rect.get("fill-opacity", 1))
        colour = np.array(ImageColor.getrgb(rect.get("fill")))
        y, x = (round(2 * float(rect.get(side)) + 3) for side in ("y", "x"))
        below = painted.get((y, x), np.full(3, 255.0))
        painted[y, x] = below + opacity * (colour - below)
    for place, colour in painted.items():
        assert abs(pixels[place] - colour).max() < 3


def test_figure_three_has_a_pair_of_lines_for_each_name() -> None:
    rows = [{"epoch": n, "train_error": 90 / n, "test_error": 95 / n} for n in range(1, 9)]
    pixels = opened(png_of(dropout_svg({"with": rows, "without": rows[:5]})), "PNG")
    for name in ("accent", "warm"):
        assert (abs(pixels - np.array(ImageColor.getrgb(LIGHT[name]))).max(2) < 30).sum() > 300


def test_matrix_draws_hangul_without_installed_fonts(no_system_fonts: None) -> None:
    """Two names that differ in one syllable give different pictures; so do a syllable and the box for a missing one."""
    if fonts.hangul_font() is None:
        pytest.skip("koreanize_matplotlib is not installed")
    _, _, evaluation = answers(("a", "b"), 40)
    cat, meat, box = (opened(png_of(confusion_svg(evaluation, (n, "b"))), "PNG") for n in ("고양이", "고양삼", "고양□"))
    assert cat.shape == meat.shape and (cat != meat).any()
    assert cat.shape != box.shape or (cat != box).any()


def test_sheet_holds_up_to_64_pictures_with_words_below() -> None:
    white = np.full((16, 16, 3), 255, np.uint8)
    black = np.zeros((16, 16, 1), np.uint8)
    sheet = opened(grid_jpg([black] * 4, [""] * 4), "JPEG")
    assert abs((sheet.mean(2) < 20).sum() - 4 * 128 * 128) < 4 * 128 * 8
    plain, said = (opened(grid_jpg([white], [words]), "JPEG") for words in ("", "고양이 93%"))
    changed = np.flatnonzero((abs(plain - said) > 60).any((1, 2)))
    assert len(changed) > 5 and changed.min() > 128
    assert (
        opened(grid_jpg([black] * 100, ["x"] * 100), "JPEG").shape
        == opened(grid_jpg([black] * 64, ["x"] * 64), "JPEG").shape
    )
    wide = opened(grid_jpg([np.zeros((10, 40, 3), np.uint8)], [""]), "JPEG")
    assert abs((wide.mean(2) < 20).sum() - 128 * 32) < 128 * 4
    with pytest.raises(DataError, match="no picture"):
        grid_jpg([], [])


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_explanation_shows_picture_maps_and_grids(channels: int) -> None:
    logits = np.array([3.0, 1.0, 0.5, -2.0, -3.0])
    seen = example(logits, 3, 7, channels=channels)
    three, one = (opened(explain_png(seen, ANIMALS, top), "PNG") for top in (3, 1))
    assert three.shape[0] == one.shape[0] and (three.shape[1] - 20) / (one.shape[1] - 20) == 2
    assert (three[:, : one.shape[1] - 20][:100] == one[:100, :-20]).all()  # the likeliest class comes first
    assert opened(explain_png(seen, ANIMALS, 99), "PNG").shape[1] == 20 + 6 * 244


def test_explanation_has_the_grid_itself_below() -> None:
    """The strongest cell of the raw grid is pure dark red, over a square of picture side / 8."""
    seen = example(np.array([3.0, 1.0, 0.5, -2.0, -3.0]), None, 7)
    pixels = opened(explain_png(seen, ANIMALS, 1), "PNG")
    below = pixels[20 + 224 + 60 :, 264:]
    assert (below == (178, 24, 43)).all(2).sum() == pytest.approx((224 / 8) ** 2, rel=0.05)


def test_explanation_without_maps_says_why() -> None:
    seen = example(np.zeros(5), None, 1)
    with pytest.raises(ModelError, match="no class maps"):
        explain_png(Example(seen.pixels, seen.name, None, seen.probabilities, seen.logits), ANIMALS)


def test_wrong_answers_are_framed_and_right_ones_are_not() -> None:
    white = np.full((32, 32, 3), 255, np.uint8)
    plain = opened(grid_jpg([white] * 4, list("abcd")), "JPEG")
    framed = opened(grid_jpg([white] * 4, list("abcd"), {1}), "JPEG")
    changed = np.argwhere(abs(framed - plain).max(2) > 60)
    assert framed.shape == plain.shape and len(changed) > 4 * 4 * 120
    (top, left), (bottom, right) = changed.min(0), changed.max(0)
    assert left > plain.shape[1] // 2 - 20 and bottom < plain.shape[0] // 2 + 10  # the second of two by two
    assert top < 12 and right - left > 130


def test_the_best_epoch_is_marked() -> None:
    rows = [dict(row) for row in history(12)]
    rows[6]["val_accuracy"] = 0.99
    drawn = results_svg(rows)
    assert "best validation accuracy 99.0% in epoch 7" in drawn
    assert len(re.findall('<circle[^>]*r="4"', drawn)) == 1
