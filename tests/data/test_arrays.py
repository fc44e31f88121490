"""NPZ, IDX and CIFAR files made here byte by byte, and what happens when a byte is wrong."""

import gzip
import hashlib
import io
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_corpus import idx

from nin.data import machine
from nin.data.depth import to_uint8
from nin.data.formats import arrays as reader
from nin.data.sources import open_source
from nin.errors import DataError

DIGITS = tuple("0123456789")


def random(*shape, seed=0, top=256):
    return np.random.default_rng(seed).integers(0, top, shape).astype(np.uint8)


def refusal(path, **options):
    with pytest.raises(DataError) as caught:
        open_source(path, split=False, **options)
    assert str(caught.value).isprintable()
    return str(caught.value)


# ---- IDX


@pytest.fixture
def digits(tmp_path):
    """(folder, arrays) of a small MNIST."""
    arrays = {
        "train-images-idx3-ubyte": random(30, 5, 4),
        "train-labels-idx1-ubyte": np.arange(30, dtype=np.uint8) % 10,
        "t10k-images-idx3-ubyte": random(10, 5, 4, seed=1),
        "t10k-labels-idx1-ubyte": np.arange(10, dtype=np.uint8),
    }
    for name, array in arrays.items():
        (tmp_path / name).write_bytes(idx(array))
    return tmp_path, arrays


def test_idx_files_are_read_as_they_are(digits):
    folder, arrays = digits
    source = open_source(folder, split=False)
    assert (source.kind, source.classes, set(source.splits)) == ("idx", DIGITS, {"train", "test"})
    for split, name in (("train", "train"), ("test", "t10k")):
        assert np.array_equal(source.splits[split].images[..., 0], arrays[f"{name}-images-idx3-ubyte"])
        assert source.splits[split].labels.tolist() == arrays[f"{name}-labels-idx1-ubyte"].tolist()
    assert set(open_source(folder).splits) == {"train", "validation", "test"}


def test_idx_files_under_their_other_names(digits, tmp_path):
    folder, _ = digits
    plain = open_source(folder, split=False).fingerprint
    other = tmp_path / "other"
    other.mkdir()
    for path in list(folder.glob("t*")):
        data = path.read_bytes()
        (other / (path.name.replace("-idx", ".idx").replace("t10k", "test") + ".gz")).write_bytes(gzip.compress(data))
    assert open_source(other, split=False).fingerprint == plain
    (other / "train-images-idx3-ubyte.gz").write_bytes(b"damaged, but the unpacked file is there too")
    (other / "train-images-idx3-ubyte").write_bytes((folder / "train-images-idx3-ubyte").read_bytes())
    (other / "train-images.idx3-ubyte.gz").unlink()
    assert open_source(other, split=False).fingerprint == plain


def test_labels_with_gaps_name_their_classes(digits):
    folder, arrays = digits
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(arrays["train-labels-idx1-ubyte"] * 2 + 1))
    for name in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        (folder / name).unlink()
    assert open_source(folder).classes == tuple(str(2 * n + 1) for n in range(10))


def test_a_file_of_names_names_the_classes(digits):
    folder, arrays = digits
    names = tuple(f"kind {letter}" for letter in "jihgfedcba")
    (folder / "labels.txt").write_text("\n".join(names) + "\n")
    source = open_source(folder, split=False)
    assert source.classes == names
    assert source.splits["train"].labels.tolist() == arrays["train-labels-idx1-ubyte"].tolist()
    for wrong in (names[:-1], (*names, "more"), (*names[:-1], names[0])):
        (folder / "labels.txt").write_text("\n".join(wrong))
        source = open_source(folder, split=False)
        assert source.classes == DIGITS
        assert "not exactly 10 different names" in source.notes[0]


def test_published_labels_have_their_published_names(digits, monkeypatch):
    folder, arrays = digits
    digest = hashlib.sha256(arrays["train-labels-idx1-ubyte"].tobytes()).hexdigest()
    monkeypatch.setitem(reader._KNOWN_LABELS, digest, reader._FASHION)
    assert open_source(folder, split=False).classes == reader._FASHION


def test_damaged_idx_files_are_refused(digits):
    folder, _ = digits
    path = folder / "train-images-idx3-ubyte"
    whole = path.read_bytes()
    for data, words in (
        (whole[:-1], "damaged: 599 bytes where 600 bytes belong"),
        (whole + b"x", "damaged: more where 600 bytes belong"),
        (whole[:10], "is not an IDX file of 3 dimensions"),
        (b"", "is not an IDX file"),
        (b"\0\0\x0d" + whole[3:], "is not an IDX file"),
        (idx(random(29, 5, 4)), "has 29 pictures, train-labels-idx1-ubyte 30 labels"),
        (whole[:4] + struct.pack(">III", 2**32 - 1, 2**32 - 1, 2**32 - 1) + whole[16:], "of memory"),
        (whole[:4] + struct.pack(">III", 0, 5, 4), "0 pictures"),
    ):
        path.write_bytes(data)
        assert words in refusal(folder)
    path.unlink()
    assert "train-labels-idx1-ubyte has no images file beside it" in refusal(folder)
    packed = gzip.compress(whole)
    for data in (packed[:-20], packed[:40] + bytes(20) + packed[60:], b"\x1f\x8b"):
        (folder / "train-images-idx3-ubyte.gz").write_bytes(data)
        assert "damaged" in refusal(folder)


def test_a_single_idx_file_names_the_folder(digits):
    folder, _ = digits
    assert "give the folder they are in" in refusal(folder / "train-images-idx3-ubyte")


def test_a_class_that_is_only_tested_is_named(digits):
    folder, _ = digits
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx(np.full(10, 77, np.uint8)))
    assert "class 77 in test but not in train" in refusal(folder)


# ---- CIFAR, binary version


def records(count: int, seed: int, ranges=(10,)) -> tuple[bytes, np.ndarray, np.ndarray]:
    """File content, (N, 32, 32, 3) pixels and labels, written record by record."""
    pixels = random(count, 32, 32, 3, seed=seed)
    labels = np.stack([np.arange(count) % n for n in ranges], 1).astype(np.uint8)
    data = b""
    for picture, label in zip(pixels, labels, strict=True):
        planes = [picture[row, column, channel] for channel in range(3) for row in range(32) for column in range(32)]
        data += label.tobytes() + bytes(planes)
    return data, pixels, labels[:, -1]


@pytest.fixture
def cifar(tmp_path):
    parts = [records(10, seed) for seed in range(6)]
    for number, (data, _, _) in enumerate(parts):
        (tmp_path / (f"data_batch_{number + 1}.bin" if number < 5 else "test_batch.bin")).write_bytes(data)
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    (tmp_path / "batches.meta.txt").write_text("\n".join(names) + "\n\n")
    return tmp_path, parts, names


def test_cifar_10(cifar):
    folder, parts, names = cifar
    source = open_source(folder, split=False)
    assert (source.kind, source.classes, source.notes) == ("cifar10", tuple(names), ())
    assert np.array_equal(source.splits["train"].images, np.concatenate([pixels for _, pixels, _ in parts[:5]]))
    assert np.array_equal(source.splits["test"].images, parts[5][1])
    assert source.splits["train"].labels.tolist() == list(range(10)) * 5


def test_cifar_100_takes_the_fine_labels(tmp_path):
    for name, count in (("train.bin", 100), ("test.bin", 3)):
        (tmp_path / name).write_bytes(records(count, 0, (20, 100))[0])
    source = open_source(tmp_path, split=False)
    assert source.kind == "cifar100" and len(source.classes) == 100
    assert source.splits["train"].labels.tolist() == list(range(100))
    assert "class names are not there" in source.notes[0]
    (tmp_path / "fine_label_names.txt").write_text("\n".join(f"thing {n}" for n in range(100)))
    assert open_source(tmp_path, split=False).classes[99] == "thing 99"


def test_damaged_cifar_files_are_refused(cifar):
    folder, _, _ = cifar
    path = folder / "data_batch_3.bin"
    whole = path.read_bytes()
    for data, words in (
        (whole[:-1], "has 30,729 bytes, which are no records of 3,073"),
        (b"", "has 0 bytes"),
        (whole[: 3073 * 4] + b"\x0a" + whole[3073 * 4 + 1 :], "record 4 has label 10, expected 0 to 9"),
    ):
        path.write_bytes(data)
        assert words in refusal(folder) and "data_batch_3.bin" in refusal(folder)
    path.unlink()
    source = open_source(folder, split=False)
    assert len(source.splits["train"]) == 40 and source.notes == ("files that are not there: data_batch_3.bin",)
    path.symlink_to("/dev/zero")
    assert len(open_source(folder, split=False).splits["train"]) == 40


def test_the_fingerprint_sees_every_flipped_byte(cifar):
    folder, _, _ = cifar
    path = folder / "test_batch.bin"
    whole, first = path.read_bytes(), open_source(folder, split=False).fingerprint
    for place in np.random.default_rng(0).integers(1, len(whole), 20):
        data = bytearray(whole)
        data[place] ^= 1 << place % 8
        path.write_bytes(data)
        try:
            assert open_source(folder, split=False).fingerprint != first
        except DataError:
            assert place % 3073 == 0
    path.write_bytes(whole)
    assert open_source(folder, split=False).fingerprint == first


def test_the_pickled_version_is_refused(tmp_path):
    for name in ("data_batch_1", "test_batch", "batches.meta"):
        (tmp_path / name).write_bytes(pickle.dumps({}))
    assert "pickles can run code; use the binary version" in refusal(tmp_path)


# ---- NPZ


def npz(path, **arrays):
    np.savez_compressed(path, **arrays)
    return path


@pytest.mark.parametrize(
    "names",
    [
        ("x_train", "y_train", "x_test", "y_test"),
        ("X_train", "Y_train", "X_test", "Y_test"),
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("images_training", "labels_training", "images_testing", "labels_testing"),
        ("data", "targets", "test.data", "test.targets"),
    ],
)
def test_npz_under_the_usual_names(tmp_path, names):
    pictures, labels = random(12, 6, 5, 3), np.arange(12) % 3
    arrays = dict(zip(names, (pictures[:9], labels[:9], pictures[9:], labels[9:]), strict=True))
    source = open_source(npz(tmp_path / "d.npz", **arrays), split=False)
    assert source.kind == "npz" and source.classes == ("0", "1", "2")
    assert np.array_equal(source.splits["train"].images, pictures[:9])
    assert np.array_equal(source.splits["test"].images, pictures[9:])
    assert source.splits["train"].labels.tolist() == labels[:9].tolist()


def test_npz_shapes_types_and_names(tmp_path):
    gray = random(6, 4, 5)
    for labels, classes in (
        (np.array([3, 1, 3, 1, 10, 10]), ("1", "3", "10")),
        (np.array([[0], [1], [0], [1], [2], [2]], np.uint8), ("0", "1", "2")),
        (np.array(["b", "a"] * 3), ("a", "b")),
        (np.array([b"b", b"a"] * 3), ("a", "b")),
    ):
        source = open_source(npz(tmp_path / "d.npz", images=gray, labels=labels), split=False)
        assert source.classes == classes
        assert source.splits["train"].images.shape == (6, 4, 5, 1)
        written = [str(v.decode() if isinstance(v, bytes) else v) for v in labels.reshape(-1).tolist()]
        assert [classes[label] for label in source.splits["train"].labels] == written
    named = npz(tmp_path / "d.npz", images=gray, labels=[2, 0, 1, 1, 0, 2], classes=["z", "y", "x"], extra=[1])
    source = open_source(named, split=False)
    assert source.classes == ("z", "y", "x") and source.splits["train"].labels.tolist() == [2, 0, 1, 1, 0, 2]
    assert source.notes == ("array extra is neither pictures nor labels and was ignored",)


def test_npz_values_are_scaled(tmp_path):
    labels = [0, 1]
    deep = np.array([0, 257, 65535, 32896], np.uint16).reshape(2, 1, 2)
    fractions = np.array([0, 1, 0.5, 0.1], np.float32).reshape(2, 1, 2)
    for images, expected in ((deep, [0, 1, 255, 128]), (fractions, [0, 255, 128, 26])):
        source = open_source(npz(tmp_path / "d.npz", images=images, labels=labels), split=False)
        assert to_uint8(source.splits["train"].images).reshape(-1).tolist() == expected
        assert "is black, " in source.notes[0]
    first = random(2, 3, 8, 9)
    source = open_source(npz(tmp_path / "d.npz", images=first, labels=labels), split=False)
    assert np.array_equal(source.splits["train"].images, np.moveaxis(first, 1, -1))


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"images": np.zeros((2, 3, 3))}, "train has images but no labels; add that array"),
        ({"weights": np.zeros(3)}, "found weights; expected arrays images, labels"),
        ({}, "found nothing; expected arrays images, labels"),
        ({"images": np.zeros((2, 3)), "labels": [0, 1]}, "images has shape (2, 3); expected (N, H, W)"),
        ({"images": np.zeros((2, 5, 5, 7)), "labels": [0, 1]}, "images has shape (2, 5, 5, 7)"),
        ({"images": np.zeros((2, 0, 3, 1)), "labels": [0, 1]}, "images has shape (2, 0, 3, 1)"),
        ({"images": np.zeros((2, 3, 3)), "labels": [0, 1, 2]}, "expected 2 whole numbers or names"),
        ({"images": np.zeros((2, 3, 3)), "labels": [0.0, 1.0]}, "labels is float64 (2,); expected 2 whole numbers"),
        ({"images": np.zeros((2, 3, 3)), "labels": np.eye(2)}, "labels is float64 (2, 2)"),
        (
            {"images": np.full((2, 3, 3), np.nan), "labels": [0, 1]},
            "d.npz: images: some pictures have values that are no finite numbers (NaN); replace these values",
        ),
        ({"images": np.zeros((2, 3, 3), complex), "labels": [0, 1]}, "pixels of type complex128 cannot be used"),
        ({"images": np.zeros((0, 3, 3)), "labels": np.zeros(0, int)}, "holds no pictures"),
        ({"images": np.zeros((2, 3, 3)), "x": np.zeros((2, 3, 3)), "y": [0, 1]}, "are both images of train; keep one"),
        ({"images": np.zeros((2, 3, 3)), "labels": [0, 2], "classes": ["a", "b"]}, "label 2 in train; expected 0 to 1"),
        ({"images": np.zeros((2, 3, 3)), "labels": [0, -1], "classes": ["a", "b"]}, "label -1 in train"),
        ({"images": np.zeros((2, 3, 3)), "labels": ["a", "c"], "classes": ["a", "b"]}, "label c is not one of the"),
        ({"images": np.zeros((2, 3, 3)), "labels": [0, 1], "classes": ["a", "a"]}, "two classes have the same name"),
        ({"images": np.array([{}, {}]), "labels": [0, 1]}, "images.npy holds Python objects, which could run code"),
    ],
)
def test_npz_mistakes(tmp_path, arrays, words):
    assert words in refusal(npz(tmp_path / "d.npz", **arrays))


class Bomb:
    def __reduce__(self):
        return os.system, ("touch canary",)


def test_npz_never_unpickles(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "d.npz", images=np.array([Bomb()], object), labels=[0])
    assert "holds Python objects" in refusal(tmp_path / "d.npz")
    (tmp_path / "e.npz").write_bytes(pickle.dumps(Bomb()))
    assert "cannot be read as NPZ" in refusal(tmp_path / "e.npz")
    with zipfile.ZipFile(tmp_path / "f.npz", "w") as archive:
        archive.writestr("images.npy", pickle.dumps(Bomb()))
    assert "cannot be read as NPZ" in refusal(tmp_path / "f.npz")
    assert not (tmp_path / "canary").exists()


def test_npz_bombs_and_lies(tmp_path, monkeypatch):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": (10**12, 9, 9)})
    with zipfile.ZipFile(tmp_path / "lie.npz", "w") as archive:
        archive.writestr("images.npy", stream.getvalue())
    assert "images.npy is cut short" in refusal(tmp_path / "lie.npz")
    monkeypatch.setattr(machine, "available_memory", lambda: 2_000_000)
    bomb = npz(tmp_path / "bomb.npz", images=np.zeros((10, 1000, 1000), np.uint8), labels=np.arange(10))
    assert bomb.stat().st_size < 20_000
    assert "needs 0.0 GB of memory" in refusal(bomb)
    with zipfile.ZipFile(tmp_path / "many.npz", "w") as archive:
        for number in range(100):
            archive.writestr(f"{number}.npy", b"")
    assert "100 arrays, at most 64 expected" in refusal(tmp_path / "many.npz")


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 255), st.booleans())
def test_every_flip_and_cut_of_an_npz_is_detected(tmp_path_factory, place, flip, cut):
    """numpy's zip members carry a CRC; only bytes that decide nothing (times, attributes) may change unseen."""
    path = tmp_path_factory.getbasetemp() / "flip.npz"
    pictures, labels = random(4, 3, 3), np.arange(4)
    whole = npz(path, images=pictures, labels=labels).read_bytes()
    place %= len(whole)
    path.write_bytes(whole[:place] if cut else whole[:place] + bytes([whole[place] ^ flip]) + whole[place + 1 :])
    try:
        source = open_source(path, split=False)
    except DataError as error:
        assert str(error).isprintable()
    else:
        assert np.array_equal(source.splits["train"].images[..., 0], pictures)
        assert source.splits["train"].labels.tolist() == labels.tolist()
