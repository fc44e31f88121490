"""heat.py: what a colour says, and that enlarging invents nothing."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from nin.report.heat import colours, data_uri, enlarged, is_mean, limit_of, overlay, sized, tinted


def test_colours_are_those_of_the_scale_and_turn_at_zero() -> None:
    seen = colours(np.array([-2.0, -1.0, 0.0, 1.0, 2.0]), 1.0)
    assert [tuple(c) for c in seen.tolist()] == [
        (33, 102, 172), (33, 102, 172), (247, 247, 247), (178, 24, 43), (178, 24, 43),
    ]  # fmt: skip
    strong = colours(np.linspace(-5, 5, 101), 5.0).astype(int)
    assert (strong[:50, 2] > strong[:50, 0]).all() and (strong[51:, 0] > strong[51:, 2]).all()


def test_limit_is_symmetric_and_never_zero() -> None:
    assert limit_of(np.array([[-7.0, 3.0]])) == 7.0
    assert limit_of(np.zeros((2, 2))) == 1.0


def test_enlarging_stays_inside_the_map_and_keeps_a_flat_one_flat() -> None:
    values = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    big = enlarged(values, 50, 70)
    assert big.shape == (50, 70) and big.min() >= values.min() and big.max() <= values.max()
    np.testing.assert_allclose(enlarged(np.full((3, 3), 2.5), 30, 30), 2.5)
    peak = np.zeros((5, 5), np.float32)
    peak[1, 3] = 1  # row 1, column 3: upper right
    y, x = np.unravel_index(enlarged(peak, 100, 100).argmax(), (100, 100))
    assert 20 <= y < 40 and 60 <= x < 80


def test_overlay_is_grey_where_the_map_says_nothing_and_coloured_where_it_speaks() -> None:
    picture = np.full((40, 40, 3), (200, 100, 50), np.uint8)
    values = np.zeros((4, 4), np.float32)
    values[0, 0], values[3, 3] = 5, -5
    seen = overlay(picture, values, 5.0, 40).astype(int)
    middle, warm, cold = seen[20, 20], seen[2, 2], seen[-3, -3]
    assert np.ptp(middle) <= 2 and abs(middle[0] - round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)) <= 1
    assert warm[0] > warm[2] + 80 and cold[2] > cold[0] + 60


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pictures_of_any_channels_are_shown(channels: int) -> None:
    pixels = np.zeros((10, 20, channels), np.uint8)
    assert sized(pixels, 100).shape == (50, 100, 3) and sized(pixels, 10).shape == (5, 10, 3)
    if channels == 4:
        assert (sized(pixels, 100) == 255).all()  # all transparent: white


def test_small_and_exact_pictures_travel_without_loss() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    kind, held = data_uri(pixels).split(",")
    assert kind == "data:image/png;base64"
    assert (np.asarray(Image.open(io.BytesIO(base64.b64decode(held)))) == pixels).all()
    assert data_uri(np.zeros((99, 99, 3), np.uint8)).startswith("data:image/jpeg")


def test_a_logit_is_the_mean_of_its_map_or_it_is_not() -> None:
    values = np.random.default_rng(0).normal(5, 3, (8, 8)).astype(np.float32)
    assert is_mean(values, float(values.mean()))
    assert not is_mean(values, float(values.mean()) * 1.001)


def test_a_tinted_map_is_clear_at_zero_and_grows_opaque_to_both_sides() -> None:
    seen = tinted(np.array([[-2.0, -1.0, -0.1, 0.0, 0.1, 1.0, 2.0]]), 1.0)[0].astype(int)
    assert seen[:, 3].tolist() == seen[::-1, 3].tolist() and seen[3, 3] == 0 and seen[5, 3] == 255
    assert (seen[:3, 2] > seen[:3, 0]).all() and (seen[4:, 0] > seen[4:, 2]).all()
