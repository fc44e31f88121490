"""Data sets of arrays: NPZ files, IDX files (MNIST and its kin), CIFAR's binary version. No pickle is ever read.

N pictures of H x W pixels and C channels. Sources: MNIST's "IDX file format" (LeCun), CIFAR-10/100 "binary version"
(Krizhevsky), numpy.lib.format.
"""

import gzip
import hashlib
import os
import re
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

from nin.data.depth import settle
from nin.data.formats.folders import not_a_file
from nin.data.formats.split_names import SPLIT_WORDS
from nin.data.machine import demand
from nin.data.spelling import clean, join_names, match_names, same
from nin.data.splits import SPLITS, Arrays, Source, Split, natural
from nin.errors import DataError, amount, escape_name

_IMAGE_KEYS = {"images", "image", "x", "data"}
_LABEL_KEYS = {"labels", "label", "y", "targets", "target"}
_CLASS_KEYS = {"classes", "class_names", "label_names"}
_IDX = re.compile(r"(train|t10k|test)[-._](images|labels)[-._]idx[13][-._]ubyte(\.gz)?")
_CIFAR10_FILES = {**{f"data_batch_{n}.bin": "train" for n in range(1, 6)}, "test_batch.bin": "test"}
_CIFAR100_FILES = {"train.bin": "train", "test.bin": "test"}
NAMES = "labels.txt"  # beside IDX files: the classes' names, one a line, in the order of their numbers
_FASHION = ("T-shirt or top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
_KNOWN_LABELS = {  # SHA-256 of a file's labels -> the names that its publication gives them (Xiao et al. 2017)
    "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7": _FASHION,
    "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9": _FASHION,
}
_READ_ERRORS = (OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError)

MAX_ARRAYS = 64  # in one NPZ file; a data set needs seven

Parts = dict[str, tuple[np.ndarray, np.ndarray]]  # split -> (N, H, W, C) pixels, (N,) label values


def regular_files(folder: Path, *, follow: bool = False) -> dict[str, Path]:
    """Regular files directly in `folder`, by name; links only where they stay inside it, unless they are followed."""
    root = os.path.realpath(folder)
    with os.scandir(folder) as entries:
        return {entry.name: Path(entry.path) for entry in entries if not not_a_file(entry, root, follow=follow)}


def build_arrays(path: Path, kind: str, parts: Parts, notes: Iterable[str], names: Sequence[str] = ()) -> Source:
    """A source of arrays. Integer values are numbers of `names` when there are any; else each distinct value, as text,
    is a class."""
    written = {split: [str(value) for value in np.unique(values)] for split, (_, values) in parts.items()}
    texts = sorted({text for found in written.values() for text in found}, key=natural)
    if names:
        classes = tuple(map(clean, names))
        if len(set(map(same, classes))) < len(classes):
            raise DataError(f"{escape_name(path)}: two classes have the same name; give each its own")
        numbers, joined = match_names(texts, classes)
    else:
        meant, joined = join_names(written)
        classes = tuple(sorted(set(meant.values()), key=natural))
        numbers = {text: classes.index(meant[text]) for text in texts}
    splits = {}
    for split in SPLITS:
        if split in parts and len(parts[split][0]):
            images, values = parts[split]
            known, places = np.unique(values, return_inverse=True)
            if names and values.dtype.kind in "iu":
                if known[0] < 0 or known[-1] >= len(names):
                    outside = known[0] if known[0] < 0 else known[-1]
                    raise DataError(f"{escape_name(path)}: label {outside} in {split}; expected 0 to {len(names) - 1}")
                labels = values.astype(np.int64)
            else:
                unknown = [str(value) for value in known if str(value) not in numbers]
                if unknown:
                    raise DataError(f"{escape_name(path)}: label {escape_name(unknown[0])} is not one of the classes")
                labels = np.array([numbers[str(value)] for value in known], np.int64)[places.reshape(-1)]
            splits[split] = Split(labels, Arrays(images))
    if not splits:
        raise DataError(f"{escape_name(path)} holds no pictures; expected at least one")
    return Source(path, kind, classes, splits, (*notes, *joined))


def open_npz(path: Path) -> Source:
    """Arrays named images and labels, or x_train, y_train, x_test, ...; optionally classes (their names)."""
    shown = escape_name(path)
    notes: list[str] = []
    parts: dict[str, dict[str, str]] = {}
    names: list[str] = []
    try:
        with zipfile.ZipFile(path) as archive:
            if len(archive.infolist()) > MAX_ARRAYS:
                raise ValueError(f"{len(archive.infolist()):,} arrays, at most {MAX_ARRAYS} expected")
            sizes = {info.filename.removesuffix(".npy"): _npy_bytes(archive, info) for info in archive.infolist()}
        demand(2 * sum(sizes.values()), shown)
        with np.load(path, allow_pickle=False) as arrays:
            for key in arrays.files:
                what, split = _npz_key(key)
                if what == "classes":
                    names = [str(name) for name in arrays[key].reshape(-1)]
                elif not what:
                    notes.append(f"array {escape_name(key)} is neither pictures nor labels and was ignored")
                elif what in parts.setdefault(split, {}):
                    raise DataError(f"{shown}: {parts[split][what]} and {key} are both {what} of {split}; keep one")
                else:
                    parts[split][what] = key
            order = sorted(parts, key=lambda split: SPLITS.index(split))
            pairs = {split: _npz_pair(shown, arrays, split, parts[split], notes) for split in order}
    except _READ_ERRORS as error:
        raise DataError(f"{shown} cannot be read as NPZ ({escape_name(error)}); save it with numpy.savez") from error
    if not pairs:
        raise DataError(
            f"{shown}: found {', '.join(sizes) or 'nothing'}; expected arrays images, labels or x_train, ..."
        )
    try:
        settled, said = settle({escape_name(parts[split]["images"]): images for split, (images, _) in pairs.items()})
    except DataError as error:
        raise DataError(f"{shown}: {error}") from None
    pairs = {split: (settled[escape_name(parts[split]["images"])], labels) for split, (_, labels) in pairs.items()}
    return build_arrays(path, "npz", pairs, [*notes, *said], names)


def _npy_bytes(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> int:
    """Bytes of one array, from its header; refuses Python objects and headers that promise more than there is."""
    with archive.open(info) as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
        size = dtype.itemsize * int(np.prod(shape, dtype=object))
        if dtype.hasobject:
            raise ValueError(f"{info.filename} holds Python objects, which could run code")
        if size + stream.tell() != info.file_size:
            raise ValueError(f"{info.filename} is cut short")
    return size


def _npz_key(key: str) -> tuple[str, str]:
    """("images" | "labels" | "classes" | "", split) of an array's name."""
    if key.lower() in _CLASS_KEYS:
        return "classes", ""
    words = re.split(r"[-_.]", key.lower())
    splits = [SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS]
    rest = [word for word in words if word not in SPLIT_WORDS]
    if len(splits) > 1 or len(rest) != 1:
        return "", ""
    what = "images" if rest[0] in _IMAGE_KEYS else "labels" if rest[0] in _LABEL_KEYS else ""
    return what, splits[0] if splits else "train"


def _npz_pair(
    shown: str, arrays: Any, split: str, keys: dict[str, str], notes: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    if len(keys) < 2:
        missing = "labels" if "images" in keys else "images"
        raise DataError(f"{shown}: {split} has {', '.join(keys.values())} but no {missing}; add that array")
    images = arrays[keys["images"]]
    values = arrays[keys["labels"]]
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim == 4 and images.shape[1] in (1, 3) and images.shape[2] == images.shape[3] in (3, 4):
        raise DataError(
            f"{shown}: {keys['images']} has shape {images.shape}, channels first or last; put them last: (N, H, W, C)"
        )
    if images.ndim == 4 and images.shape[3] not in (1, 3, 4) and images.shape[1] in (1, 3, 4):
        images = images.transpose(0, 2, 3, 1)
        notes.append(f"{keys['images']}: channels came first and were moved last")
    if images.ndim != 4 or images.shape[3] not in (1, 3, 4) or 0 in images.shape[1:3]:
        raise DataError(f"{shown}: {keys['images']} has shape {images.shape}; expected (N, H, W) or (N, H, W, 1|3|4)")
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.shape != images.shape[:1] or values.dtype.kind not in "iuUS":
        found = f"{values.dtype} {values.shape}"
        raise DataError(f"{shown}: {keys['labels']} is {found}; expected {len(images)} whole numbers or names")
    values = np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values
    return np.ascontiguousarray(images), values


def idx_files(files: dict[str, Path]) -> dict[str, dict[str, Path]]:
    """IDX files by split ("train", "test") and kind ("images", "labels"); an unpacked one wins over its .gz."""
    found: dict[str, dict[str, Path]] = {}
    for name in sorted(files, reverse=True):
        if match := _IDX.fullmatch(name.lower()):
            found.setdefault("train" if match[1] == "train" else "test", {})[match[2]] = files[name]
    return found


def open_idx(path: Path, found: dict[str, dict[str, Path]], names: Path | None = None) -> Source:
    """MNIST-like IDX files: gray pictures and labels 0 to 255.

    Their names are those in the file `names`, or Fashion-MNIST's for its labels; else each number is its own name.
    """
    parts: Parts = {}
    for split, pair in found.items():
        if set(pair) != {"images", "labels"}:
            only = escape_name(next(iter(pair.values())).name)
            missing = "labels" if "images" in pair else "images"
            raise DataError(f"{escape_name(path)}: {only} has no {missing} file beside it; add it")
        images = _read_idx(pair["images"], 3)
        labels = _read_idx(pair["labels"], 1)
        if len(images) != len(labels):
            counts = (
                f"{amount(len(images), 'picture')}, {escape_name(pair['labels'].name)} {amount(len(labels), 'label')}"
            )
            raise DataError(f"{escape_name(pair['images'])} has {counts}; download both again")
        parts[split] = images[..., None], labels
    count = max(int(labels.max(initial=0)) for _, labels in parts.values()) + 1
    called = tuple(_class_names(names, count))
    notes = [f"{NAMES} has not exactly {count} different names; the classes are called by their numbers"]
    if names is None:
        called = _KNOWN_LABELS.get(hashlib.sha256(next(iter(parts.values()))[1].tobytes()).hexdigest(), ())
    return build_arrays(path, "idx", parts, notes if names and not called else (), called)


def _read_idx(path: Path, dimensions: int) -> np.ndarray:
    """One IDX file of unsigned bytes, complete to the byte."""
    shown = escape_name(path)
    try:
        with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as stream:
            head = stream.read(4 + 4 * dimensions)
            if head[:4] != bytes((0, 0, 8, dimensions)) or len(head) < 4 + 4 * dimensions:
                raise DataError(f"{shown} is not an IDX file of {dimensions} dimensions of bytes; download it again")
            shape = tuple(int.from_bytes(head[n : n + 4], "big") for n in range(4, len(head), 4))
            return _read_exactly(stream, shape, path)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{shown} is damaged ({escape_name(error)}); download it again") from error


def _read_exactly(stream: BufferedReader | gzip.GzipFile, shape: tuple[int, ...], path: Path) -> np.ndarray:
    """(shape) uint8: the rest of the stream, which must have exactly so many bytes."""
    size = int(np.prod(shape, dtype=object))
    demand(2 * size, escape_name(path))
    array = np.empty(size, np.uint8)
    view = array.data
    count = 0
    while read := stream.readinto(view[count:]):
        count += read
    if count != size or stream.read(1):
        found = f"{count:,} bytes" if count < size else "more"
        raise DataError(f"{escape_name(path)} is damaged: {found} where {size:,} bytes belong; download it again")
    return array.reshape(shape)


def open_cifar(path: Path, files: dict[str, Path]) -> Source | None:
    """CIFAR-10 or CIFAR-100, binary version; None when the folder holds neither, DataError for the pickled version."""
    ten = {name: files[name] for name in _CIFAR10_FILES if name in files}
    hundred = {name: files[name] for name in _CIFAR100_FILES if name in files}
    if ten:
        return _open_cifar(path, "cifar10", ten, _CIFAR10_FILES, (10,), files.get("batches.meta.txt"))
    if hundred:
        return _open_cifar(path, "cifar100", hundred, _CIFAR100_FILES, (20, 100), files.get("fine_label_names.txt"))
    if {"data_batch_1", "batches.meta"} <= set(files) or {"train", "test", "meta"} <= set(files):
        advice = "use the binary version (cifar-10-binary.tar.gz, cifar-100-binary.tar.gz)"
        raise DataError(f"{escape_name(path)} is CIFAR's Python version, whose pickles can run code; {advice}")
    return None


def _open_cifar(
    path: Path, kind: str, found: dict[str, Path], wanted: dict[str, str], ranges: tuple[int, ...], names: Path | None
) -> Source:
    """`ranges`: how many values each label byte of a record may have; the last one is the class."""
    missing = [name for name in wanted if name not in found]
    notes = [f"files that are not there: {', '.join(missing)}"] if missing else []
    parts: dict[str, list[np.ndarray]] = {}
    for name, split in wanted.items():
        if name in found:
            parts.setdefault(split, []).append(_read_cifar(found[name], ranges))
    arrays: Parts = {}
    for split, records in parts.items():
        images = np.empty((sum(map(len, records)), 32, 32, 3), np.uint8)
        start = 0
        for block in records:  # a record: label bytes, then 1,024 bytes each of red, green and blue, row by row
            planes = block[:, len(ranges) :].reshape(-1, 3, 32, 32)
            images[start : start + len(block)] = planes.transpose(0, 2, 3, 1)
            start += len(block)
        arrays[split] = images, np.concatenate([block[:, len(ranges) - 1] for block in records])
    classes = _class_names(names, ranges[-1])
    if not classes:
        classes = [str(number) for number in range(ranges[-1])]
        notes.append("class names are not there; classes are called by their numbers")
    return build_arrays(path, kind, arrays, notes, classes)


def _read_cifar(path: Path, ranges: tuple[int, ...]) -> np.ndarray:
    """(N, label bytes + 3072) uint8 records, their number and labels checked."""
    record = len(ranges) + 3072
    shown = escape_name(path)
    try:
        size = path.stat().st_size
        if size % record or not size:
            raise DataError(f"{shown} has {size:,} bytes, which are no records of {record:,}; download it again")
        with path.open("rb") as stream:
            records = _read_exactly(stream, (size // record, record), path)
    except OSError as error:
        raise DataError(f"{shown} cannot be read ({(error.strerror or str(error)).lower()})") from error
    for column, count in enumerate(ranges):
        wrong = np.flatnonzero(records[:, column] >= count)
        if wrong.size:
            label = records[wrong[0], column]
            row = wrong[0]
            raise DataError(f"{shown}: record {row:,} has label {label}, expected 0 to {count - 1}; download it again")
    return records


def _class_names(path: Path | None, count: int) -> list[str]:
    """The names in a text file of one per line; none when it does not hold exactly `count` different ones."""
    if path is None:
        return []
    with path.open("rb") as stream:
        lines = [line.strip() for line in stream.read(100_000).decode(errors="replace").splitlines()]
    names = [line for line in lines if line]
    return names if len(set(names)) == len(names) == count else []
