"""House numbers in their published format, written by scipy, and damaged ones."""

import numpy as np
import pytest
from scipy.io import savemat

from nin.data.sources import open_source
from nin.errors import DataError


def write(path, count, seed, **changes):
    """A file of `count` cropped digits; returns pictures (N, 32, 32, 3) and labels 1 to 10."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(count) % 10 + 1
    arrays = {"X": images.transpose(1, 2, 3, 0), "y": labels[:, None].astype(np.uint8), **changes}
    savemat(path, {name: value for name, value in arrays.items() if value is not None})
    return images, labels


def test_train_and_extra_come_together_and_ten_is_the_digit_zero(tmp_path):
    train, first = write(tmp_path / "train_32x32.mat", 20, 0)
    extra, more = write(tmp_path / "extra_32x32.mat", 30, 1)
    test, last = write(tmp_path / "test_32x32.mat", 10, 2)
    source = open_source(tmp_path, split=False)
    assert (source.kind, source.classes, source.notes) == ("svhn", tuple("0123456789"), ())
    np.testing.assert_array_equal(source.splits["train"].images, np.concatenate([train, extra]))
    np.testing.assert_array_equal(source.splits["train"].labels, np.concatenate([first, more]) % 10)
    np.testing.assert_array_equal(source.splits["test"].images, test)
    np.testing.assert_array_equal(source.splits["test"].labels, last % 10)


def test_what_is_missing_is_told(tmp_path):
    write(tmp_path / "train_32x32.mat", 20, 0)
    assert open_source(tmp_path, split=False).notes == ("files that are not there: extra_32x32.mat, test_32x32.mat",)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"X": np.zeros((32, 32, 3, 20))}, "X is float64 (32, 32, 3, 20); expected uint8 (32, 32, 3, N)"),
        ({"X": np.zeros((32, 32, 3, 7), np.uint8)}, "y is uint8 (20, 1); expected 7 whole numbers"),
        ({"y": np.full((20, 1), 11)}, "label 11 of picture 0; expected 1 to 10 (10 is the digit 0)"),
        ({"X": None, "Z": np.zeros(3)}, "holds y; expected X and y of the cropped digits (format 2)"),
    ],
)
def test_other_contents_are_refused_in_one_line(tmp_path, changes, line):
    write(tmp_path / "train_32x32.mat", 20, 0, **changes)
    with pytest.raises(DataError) as caught:
        open_source(tmp_path)
    assert line in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "train_32x32.mat"))


@pytest.mark.parametrize("cut", [0, 3, 127, 200, 5000])
def test_a_file_cut_short_is_refused_in_one_line(tmp_path, cut):
    path = tmp_path / "train_32x32.mat"
    write(path, 20, 0)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"cannot be read as a MATLAB file .*; download it again|holds ") as caught:
        open_source(tmp_path)
    assert "\n" not in str(caught.value)
