"""The preprocessing of 2013 against slow second implementations, identities, and what must be refused."""

import numpy as np
import pytest

from nin.data import whiten
from nin.data.whiten import CIFAR, SVHN, Zca, fit_zca, global_contrast, local_contrast, read_zca
from nin.errors import DataError, ModelError, UsageError
from reference import slow_contrast, slow_local_contrast, slow_zca


def scenes(count: int, height: int, width: int, channels: int, seed: int = 0) -> np.ndarray:
    """(N, H, W, C) uint8 whose neighbours resemble each other, as in pictures: each pixel is a mean of four."""
    noise = np.random.default_rng(seed).integers(0, 256, (count, height + 1, width + 1, channels)).astype(float)
    return ((noise[:, 1:, 1:] + noise[:, :-1, 1:] + noise[:, 1:, :-1] + noise[:, :-1, :-1]) / 4).astype(np.uint8)


def first(batch: np.ndarray) -> np.ndarray:
    return batch.transpose(0, 3, 1, 2)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("how", [CIFAR, SVHN], ids=["cifar", "svhn"])
def test_contrast_value_by_value(how, channels):
    pixels = first(scenes(4, 6, 5, channels))
    pixels[3] = 77
    pixels[3, 0, 2, 2] = 78  # the least contrast that a picture can have
    found = global_contrast(pixels, how)
    assert found.dtype == np.float32
    for picture, normalised in zip(pixels, found, strict=True):
        slow = slow_contrast(picture, how.scale, how.sqrt_bias, how.use_std)
        np.testing.assert_allclose(normalised, slow, rtol=1e-5, atol=1e-6)


def test_every_picture_has_the_mean_zero_and_the_norm_55():
    found = global_contrast(first(scenes(20, 8, 9, 3))).reshape(20, -1).astype(np.float64)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 55, rtol=1e-6)
    np.testing.assert_allclose(found.mean(1), 0, atol=1e-6)


@pytest.mark.parametrize("how", [CIFAR, SVHN], ids=["cifar", "svhn"])
def test_a_picture_of_one_colour_is_exactly_zero_at_any_size(how):
    for side in (1, 7, 301):
        assert not global_contrast(np.full((1, 3, side, side), 201, np.uint8), how).any()
    assert not local_contrast(global_contrast(np.full((1, 3, 9, 9), 201, np.uint8), how)).any()
    assert global_contrast(np.empty((0, 3, 4, 4), np.uint8), how).shape == (0, 3, 4, 4)


@pytest.mark.parametrize("count", [30, 400], ids=["fewer pictures than values", "more pictures than values"])
def test_zca_by_singular_values(count):
    images = scenes(count, 5, 5, 3)
    found = fit_zca(iter([images[:7], images[7:]]))
    x = np.array([slow_contrast(picture, 55.0, 0.0, False).reshape(-1) for picture in first(images)])
    mean, matrix = slow_zca(x, 0.1)
    assert (found.pictures, found.mean.dtype, found.matrix.dtype) == (count, np.float32, np.float32)
    np.testing.assert_allclose(found.mean, mean, atol=1e-6)
    np.testing.assert_allclose(found.matrix, matrix, atol=1e-6)
    whitened = found.whiten(global_contrast(first(images)))
    np.testing.assert_allclose(whitened.reshape(count, -1), (x - mean) @ matrix, atol=1e-4)


def test_the_whitened_covariance_is_the_one_that_follows_from_the_definition():
    images = scenes(500, 4, 6, 3)
    x = global_contrast(first(images), dtype=np.float64).reshape(500, -1)
    variances, directions = np.linalg.eigh(np.cov(x.T, bias=True))
    whitened = fit_zca([images]).whiten(global_contrast(first(images))).reshape(500, -1).astype(np.float64)
    np.testing.assert_allclose(whitened.mean(0), 0, atol=1e-5)
    expected = (directions * (variances / (variances + 0.1))) @ directions.T
    np.testing.assert_allclose(np.cov(whitened.T, bias=True), expected, atol=1e-5)


def test_blocks_do_not_matter_and_the_same_blocks_give_the_same_bits():
    images = scenes(100, 5, 5, 3)
    whole, again, single = fit_zca([images]), fit_zca([images]), fit_zca(images[i : i + 1] for i in range(100))
    assert whole == again and hash(whole) == hash(again)
    assert whole.matrix.tobytes() == again.matrix.tobytes()
    np.testing.assert_allclose(single.matrix, whole.matrix, atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(11, 9), (3, 5), (1, 1)])
def test_local_contrast_place_by_place(height, width):
    x = np.random.default_rng(1).normal(size=(2, 3, height, width)).astype(np.float32)
    x[1, 2] = 1e-6  # under the threshold
    found = local_contrast(x)
    assert found.dtype == np.float32
    for picture, normalised in zip(x, found, strict=True):
        for channel, values in zip(picture, normalised, strict=True):
            slow = slow_local_contrast(channel, 7, 2.0, 1e-4)
            np.testing.assert_allclose(values, slow, rtol=1e-4, atol=1e-6)


def test_large_pictures_are_refused_with_what_it_would_take():
    with pytest.raises(UsageError) as caught:
        whiten.expect_whitenable((224, 224), 3, "pass a smaller --size or --normalise gcn")
    assert str(caught.value) == (
        "ZCA for pictures of 224 x 224 x 3 is a matrix of 150,528 x 150,528 numbers (90.6 GB); expected at most 8,192 "
        "(52 x 52 x 3); pass a smaller --size or --normalise gcn"
    )
    assert whiten.expect_whitenable((52, 52), 3) == 8112 and whiten.expect_whitenable((90, 90), 1) == 8100
    with pytest.raises(UsageError, match="128 x 128 x 3 is a matrix"):
        fit_zca([np.zeros((1, 128, 128, 3), np.uint8)])


def test_no_pictures_and_no_memory_are_one_line(monkeypatch):
    with pytest.raises(UsageError, match=r"^there are no pictures to fit ZCA on; at least one is needed$"):
        fit_zca([])

    def full(_: np.ndarray) -> None:
        raise MemoryError

    monkeypatch.setattr(np.linalg, "eigh", full)
    with pytest.raises(DataError, match=r"^memory ran out while ZCA was fitted; take smaller pictures$"):
        fit_zca([scenes(3, 4, 4, 1)])


MEAN, MATRIX = np.zeros(4, np.float32), np.eye(4, dtype=np.float32)


@pytest.mark.parametrize(
    ("mean", "matrix", "words"),
    [
        (MEAN, np.eye(5, dtype=np.float32), r"a mean of \(4,\) and a matrix of \(5, 5\); they must fit"),
        (MEAN[:, None], MATRIX, r"a mean of \(4, 1\)"),
        (MEAN.astype(np.float64), MATRIX, "is in float64 and float32; expected float32"),
        (MEAN, MATRIX * np.float32("nan"), "NaN or infinity"),
    ],
)
def test_arrays_that_are_no_zca(mean, matrix, words):
    with pytest.raises(UsageError, match=words):
        Zca(mean, matrix, 1)
    facts = {"pictures": 1, "sha256": "0" * 64}
    with pytest.raises(ModelError, match=words + ".*; copy the whole folder again"):
        read_zca(facts, {"zca.mean": mean, "zca.matrix": matrix})


def test_what_was_fitted_is_read_back_or_refused():
    zca = Zca(MEAN, MATRIX, 7)
    facts = {"pictures": 7, "sha256": zca.sha256}
    assert read_zca(facts, zca.tensors()) == zca
    other = Zca(MEAN, 2 * MATRIX, 7)
    assert other != zca and hash(other) != hash(zca)
    for wrong, tensors, words in (
        (None, zca.tensors(), "facts about ZCA are None"),
        ({"pictures": 7}, zca.tensors(), "expected pictures and sha256"),
        ({**facts, "pictures": "7"}, zca.tensors(), "expected pictures and sha256"),
        (facts, {}, r"the fitted ZCA is missing \(zca\.mean\); copy the whole folder again"),
        (facts, {"zca.mean": MEAN}, r"the fitted ZCA is missing \(zca\.matrix\)"),
        (facts, other.tensors(), "not the one that this model was trained with"),
    ):
        with pytest.raises(ModelError, match=words):
            read_zca(wrong, tensors)
