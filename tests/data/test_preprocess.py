"""Resizing against a slow triangle filter, fits by hand, normalisation in double precision, and reading back."""

import json
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_corpus import saved, scene

from nin.bundle.shipped import SHIPPED
from nin.choices import Normalisation
from nin.data.preprocess import Preprocess
from nin.data.whiten import Zca, fit_zca
from nin.errors import ModelError, UsageError
from reference import slow_contrast, slow_local_contrast, slow_zca


def preprocess(size=(8, 8), channels=3, fit="stretch", mean=0.5, std=0.25):
    return Preprocess(size, channels, fit, (mean,) * channels, (std,) * channels)


def triangle(length: int, new: int) -> np.ndarray:
    """(new, length) weights of the antialiased bilinear filter, by its definition."""
    scale = length / new
    support = max(scale, 1.0)
    centres = (np.arange(new) + 0.5) * scale
    distance = np.abs(np.arange(length)[None] + 0.5 - centres[:, None]) / support
    weights = np.maximum(0.0, 1.0 - distance)
    return weights / weights.sum(axis=1, keepdims=True)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 20), st.integers(1, 20), st.sampled_from([1, 3]))
def test_stretch_is_the_triangle_filter(height, width, rows, columns, channels):
    pixels = np.random.default_rng(height * 41 + width).integers(0, 256, (height, width, channels)).astype(np.uint8)
    found = preprocess((rows, columns), channels).resize(pixels)
    exact = np.einsum("rh,hwc,vw->rvc", triangle(height, rows), pixels.astype(float), triangle(width, columns))
    assert found.shape == (rows, columns, channels)
    assert np.abs(found - exact).max() <= 1.01  # Pillow rounds twice: after the columns and after the rows


def test_pad_keeps_the_shape_and_fills_with_the_mean():
    pixels = np.full((40, 20, 3), 200, np.uint8)
    policy = Preprocess((16, 16), 3, "pad", (0.2, 0.4, 0.6), (0.25,) * 3)
    found = policy.resize(pixels)
    assert (found[:, 4:12] == 200).all()
    assert (found[:, :4] == [51, 102, 153]).all() and (found[:, 12:] == [51, 102, 153]).all()
    assert np.abs(policy.normalise(found[None])[..., 0]).max() < 1e-6
    assert (preprocess((16, 16), 1, "pad").resize(np.zeros((1, 500, 1), np.uint8)) == 0).sum() == 16


def test_crop_takes_the_centre():
    pixels = np.zeros((10, 30, 1), np.uint8)
    pixels[:, 10:20] = 255
    assert (preprocess((10, 10), 1, "crop").resize(pixels) == 255).all()
    wide = scene(24, 24)
    assert np.array_equal(preprocess((12, 24), 3, "crop").resize(wide), wide[6:18])


def test_a_picture_that_fits_is_not_touched():
    pixels = scene(8, 8)
    assert preprocess().resize(pixels) is pixels


def test_transparent_pixels_do_not_colour_their_neighbours():
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0, 0] = (10, 20, 30, 255)
    pixels[1, 1] = (255, 255, 255, 0)
    assert np.abs(preprocess((1, 1), 4).resize(pixels)[0, 0, :3] - [10.0, 20.0, 30.0]).max() <= 1  # of alpha 64


def test_load_reads_files_and_bytes_and_any_channels(tmp_path):
    data = saved(scene(100, 100), "JPEG", quality=95)
    (tmp_path / "a.jpg").write_bytes(data)
    for channels in (1, 3, 4):
        policy = preprocess((10, 10), channels)
        found = policy.load(data)
        assert found.shape == (10, 10, channels)
        assert np.array_equal(found, policy.load(tmp_path / "a.jpg"))


def test_shrunk_decoding_changes_little():
    """The JPEG decoder's own shrinking (1/2 here) against resizing the whole picture."""
    whole = scene(256, 256)
    data = saved(whole, "JPEG", quality=95)
    difference = np.abs(preprocess((64, 64)).load(data).astype(int) - preprocess((64, 64)).resize(whole))
    assert difference[2:-2, 2:-2].mean() < 1.5


def test_normalise_against_double_precision():
    batch = np.random.default_rng(1).integers(0, 256, (3, 4, 5, 3)).astype(np.uint8)
    policy = Preprocess((4, 5), 3, "stretch", (0.1, 0.5, 0.9), (0.2, 0.3, 0.4))
    found = policy.normalise(batch)
    assert found.dtype == np.float32 and found.shape == (3, 3, 4, 5) and found.flags.c_contiguous
    for channel in range(3):
        exact = (batch[..., channel] / 255 - policy.mean[channel]) / policy.std[channel]
        assert np.abs(found[:, channel] - exact).max() < 1e-5


def test_the_ways_of_2013_against_slow_ones():
    batch = np.random.default_rng(2).integers(0, 256, (12, 5, 6, 3)).astype(np.uint8)
    first = batch.transpose(0, 3, 1, 2)
    plain = preprocess((5, 6))
    gcn = np.array([slow_contrast(picture, 55.0, 0.0, False) for picture in first])
    mean, matrix = slow_zca(gcn.reshape(12, -1), 0.1)
    svhn = [slow_contrast(picture, 1.0, 10.0, True) for picture in first]
    lcn = np.array([[slow_local_contrast(channel, 7, 2.0, 1e-4) for channel in picture] for picture in svhn])
    whitening = replace(plain, normalisation="gcn-zca", zca=fit_zca([batch]))
    for policy, slow in (
        (replace(plain, normalisation="gcn"), gcn),
        (whitening, ((gcn.reshape(12, -1) - mean) @ matrix).reshape(gcn.shape)),
        (replace(plain, normalisation="lcn"), lcn),
    ):
        found = policy.normalise(batch)
        assert found.dtype == np.float32 and found.shape == (12, 3, 5, 6)
        np.testing.assert_allclose(found, slow, atol=1e-4)


def small_zca(count: int = 4 * 5 * 3) -> Zca:
    rng = np.random.default_rng(3)
    return Zca(rng.normal(size=count).astype(np.float32), rng.normal(size=(count, count)).astype(np.float32), 9)


@pytest.mark.parametrize("normalisation", get_args(Normalisation))
def test_what_was_written_is_read_back(normalisation):
    zca = small_zca() if normalisation == "gcn-zca" else None
    policy = Preprocess((4, 5), 3, "pad", (0.1, 0.2, 0.3), (0.3, 0.3, 0.3), normalisation, zca)
    read = Preprocess.from_dict(json.loads(json.dumps(policy.to_dict())), policy.tensors())
    assert read == policy and hash(read) == hash(policy)
    assert set(policy.tensors()) == ({"zca.mean", "zca.matrix"} if normalisation == "gcn-zca" else set())


def test_what_was_written_before_there_were_other_ways_is_read_and_written_the_same():
    for config in SHIPPED.glob("*/config.json"):
        stored = json.loads(config.read_text(encoding="utf-8"))["nin"]["preprocess"]
        assert set(stored) == {"size", "channels", "fit", "mean", "std"}
        policy = Preprocess.from_dict(stored)
        assert policy.normalisation == "standard" and policy.to_dict() == stored


def test_pictures_to_look_at():
    batch = np.random.default_rng(4).integers(0, 256, (3, 4, 5, 3)).astype(np.uint8)
    standard = preprocess((4, 5))
    assert np.array_equal(standard.show(standard.normalise(batch)), batch)
    gcn = replace(standard, normalisation="gcn")
    shown = gcn.show(gcn.normalise(batch)).astype(float)
    for picture, seen in zip(batch.astype(float), shown, strict=True):
        scaled = 127.5 + 127.5 * (picture - picture.mean()) / (3 * picture.std())
        np.testing.assert_allclose(seen, scaled.clip(0, 255), atol=0.51)
    assert (gcn.show(gcn.normalise(np.full((1, 4, 5, 3), 9, np.uint8))) == 128).all()  # half-way is rounded to even


def test_it_says_in_words_what_it_does():
    assert preprocess().in_words() == (
        "values / 255, minus the mean (0.5, 0.5, 0.5), divided by the standard deviation (0.25, 0.25, 0.25)"
    )
    whitening = replace(preprocess((4, 5)), normalisation="gcn-zca", zca=small_zca())
    assert whitening.in_words() == (
        "the picture's mean removed, scaled to a norm of 55 (GCN), then ZCA whitening fitted on 9 training pictures"
    )
    assert replace(preprocess(), normalisation="gcn").in_words().endswith("scaled to a norm of 55 (GCN)")
    assert replace(preprocess(), normalisation="lcn").in_words().endswith("each place's local contrast (LCN)")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"normalisation": "zca"}, "normalisation 'zca' must be one of standard, gcn, gcn-zca, lcn"),
        ({"normalisation": "gcn-zca"}, "gcn-zca has no fitted ZCA; gcn-zca alone goes with one"),
        ({"zca": small_zca()}, "standard has a fitted ZCA; gcn-zca alone goes with one"),
        ({"normalisation": "gcn-zca", "zca": small_zca(9)}, "a ZCA for 9 values; pictures are 8 x 8 x 3"),
    ],
)
def test_a_way_and_its_fitted_state_belong_together(change, words):
    with pytest.raises(UsageError, match=words):
        replace(preprocess(), **change)
    value = preprocess().to_dict() | change
    tensors = {}
    if zca := change.get("zca"):
        value["zca"], tensors = {"pictures": 9, "sha256": zca.sha256}, zca.tensors()
    with pytest.raises(ModelError, match=words):
        Preprocess.from_dict(value, tensors)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"size": [0, 8]}, "size"),
        ({"size": [8]}, "size"),
        ({"size": None}, "makes no sense"),
        ({"size": [8, float("inf")]}, "makes no sense"),
        ({"channels": 2}, "channels"),
        ({"channels": "3"}, "channels"),
        ({"fit": "zoom"}, "fit"),
        ({"fit": ["pad"]}, "fit"),
        ({"mean": [0.5]}, "mean"),
        ({"mean": ["a", "b", "c"]}, "makes no sense"),
        ({"std": [0.0, 0.1, 0.1]}, "std"),
        ({"std": [float("nan")] * 3}, "std"),
        ({"extra": 1}, "expected exactly"),
        ({"normalisation": ["gcn"]}, "normalisation"),
        ({"normalisation": None}, "normalisation"),
        ({"zca": None}, "facts about ZCA are None"),
    ],
)
def test_nonsense_is_refused_in_one_line(change, words):
    value = preprocess().to_dict() | change
    with pytest.raises(ModelError, match=words) as caught:
        Preprocess.from_dict(value)
    assert "\n" not in str(caught.value)


def test_a_wrong_call_is_a_usage_error():
    with pytest.raises(UsageError, match=r"fit 'zoom' must be one of stretch, pad, crop"):
        preprocess(fit="zoom")
    with pytest.raises(ModelError, match="has int"):
        Preprocess.from_dict(3)
