"""plots.py: pictures that open, have the right size and show what they are told to."""

import io
import math
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from nin.errors import DataError, ModelError
from nin.lab import fonts
from nin.lab.plots import confusion_png, explain_png, grid_jpg, results_png
from nin.lab.report import Example
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
    pytest.importorskip("matplotlib")
    rows: list[dict[str, float | None]] = [dict(row) for row in history(epochs)]
    for row in rows[:2]:
        row["val_loss"], row["val_accuracy"] = None, math.nan
    pixels = opened(results_png(rows), "PNG")
    assert pixels.shape[1] > 2.5 * pixels.shape[0]
    blue = (pixels[..., 2] - pixels[..., 0] > 80).sum()
    assert epochs < 12 or blue > 300  # the validation curve is there


@pytest.mark.parametrize("classes", [("a", "b"), HOSTILE, tuple(f"name of {i}" for i in range(40))])
def test_matrix_has_a_cell_for_every_pair(classes: tuple[str, ...]) -> None:
    """The diagonal is a run of blue squares as long as there are classes, read from the pixels."""
    pytest.importorskip("matplotlib")
    _, _, evaluation = answers(classes, 10 * len(classes))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no missing glyph, no mathtext
        pixels = opened(confusion_png(evaluation, classes), "PNG")
    blue = pixels[..., 2] - pixels[..., 0] > 20
    rows, columns = np.flatnonzero(blue.sum(1) > 4), np.flatnonzero(blue.sum(0) > 4)
    side = (rows[-1] - rows[0] + 1) / len(classes)
    assert side == pytest.approx((columns[-1] - columns[0] + 1) / len(classes), rel=0.03) and side > 14
    for i in range(len(classes)):
        if evaluation.confusion[i, i]:
            assert blue[int(rows[0] + (i + 0.15) * side), int(columns[0] + (i + 0.15) * side)]


def test_matrix_draws_hangul_without_installed_fonts(no_system_fonts: None) -> None:
    """Two names that differ in one syllable give different pictures; so do a syllable and the box for a missing one."""
    pytest.importorskip("matplotlib")
    if fonts.hangul_font() is None:
        pytest.skip("koreanize_matplotlib is not installed")
    _, _, evaluation = answers(("a", "b"), 40)
    cat, meat, box = (opened(confusion_png(evaluation, (n, "b")), "PNG") for n in ("고양이", "고양삼", "고양□"))
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
