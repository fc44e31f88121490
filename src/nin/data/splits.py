"""What a data set is once it has been understood: classes, splits, labels; and the part held out for validation.

N pictures, K classes; a label is an index into `Source.classes`.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol, Self

import numpy as np

from nin.data.spelling import join_names, match_names
from nin.errors import DataError, UsageError, escape_name

SPLITS = ("train", "validation", "test")
MAX_HOLDOUT = 5_000  # ours: 5,000 pictures know an accuracy to about 1 point (95 %); more are better trained on


class Stored(Protocol):
    """N pictures where they are stored: Files, Arrays, or Packed in shards (nin.data.formats.shards)."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """Picture `index` for messages."""

    def read(self, index: int) -> Path | bytes | np.ndarray:
        """Picture `index`: a file or its bytes, as `read_picture` takes them, or pixels (H, W, C) as stored."""

    def take(self, rows: np.ndarray) -> Self:
        """The pictures `rows` (int64 indices) in that order."""

    def identity(self) -> Iterator[bytes]:
        """What a fingerprint is made of: the same wherever the data set lies."""

    def state(self) -> Iterator[bytes | memoryview]:
        """What changes when the pictures may have changed, here and now."""


@dataclass(frozen=True, eq=False)
class Files:
    """N picture files, all below `root` where there is one."""

    paths: tuple[Path, ...]
    root: Path | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, index: int) -> str:
        """Path of picture `index` below the data set's folder."""
        return str(self.relative(index))

    def read(self, index: int) -> Path:
        """The file of picture `index`."""
        return self.paths[index]

    def relative(self, index: int) -> Path:
        """Path of picture `index` below the data set's folder."""
        path = self.paths[index]
        return path.relative_to(self.root) if self.root is not None else path

    def take(self, rows: np.ndarray) -> "Files":
        """The files `rows` (int64 indices) in that order."""
        return Files(tuple(self.paths[row] for row in rows), self.root)

    def identity(self) -> Iterator[bytes]:
        """Names and sizes."""
        for index, path in enumerate(self.paths):
            yield os.fsencode(self.relative(index))
            yield _size(path).to_bytes(8, "little", signed=True)

    def state(self) -> Iterator[bytes | memoryview]:
        """Paths, sizes and times."""
        yield from file_states(self.paths)


@dataclass(frozen=True, eq=False)
class Arrays:
    """N pictures as pixels: (N, H, W, C), of the type that is stored."""

    images: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    def name(self, index: int) -> str:
        """The number of a picture."""
        return f"picture {index}"

    def read(self, index: int) -> np.ndarray:
        """Picture `index`, (H, W, C)."""
        return np.asarray(self.images[index])

    def take(self, rows: np.ndarray) -> "Arrays":
        """The pictures `rows` (int64 indices) in that order, copied."""
        return Arrays(self.images[rows])

    def identity(self) -> Iterator[bytes]:
        """Shape, type where it is not uint8, and a digest of the pixels."""
        kind = "" if self.images.dtype == np.uint8 else f"{self.images.dtype.str} "
        yield f"{kind}{self.images.shape}".encode()
        yield hashlib.sha256(np.ascontiguousarray(self.images).data).digest()

    def state(self) -> Iterator[bytes | memoryview]:
        """Type, shape and the pixels themselves."""
        yield f"{self.images.dtype.str} {self.images.shape}".encode()
        yield np.ascontiguousarray(self.images).data


@dataclass(frozen=True, eq=False)
class Split:
    """N pictures, where they are stored, with labels (N,) int64: indices into the source's classes."""

    labels: np.ndarray
    stored: Stored

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def images(self) -> np.ndarray:
        """The pixels of a split of arrays, (N, H, W, C) as they are stored; no other split has them at hand."""
        assert isinstance(self.stored, Arrays)
        return self.stored.images

    def name(self, index: int) -> str:
        """Picture `index` for messages: its path below the data set's folder, or its number."""
        return self.stored.name(index)

    def read(self, index: int) -> Path | bytes | np.ndarray:
        """Picture `index`: a file or its bytes, as `read_picture` takes them, or pixels (H, W, C) as stored."""
        return self.stored.read(index)

    def take(self, rows: np.ndarray) -> "Split":
        """The pictures `rows` (int64 indices) in that order."""
        return Split(self.labels[rows], self.stored.take(rows))


@dataclass(frozen=True, eq=False)
class Source:
    """A data set. kind: "folders", "shards", "table", "npz", "idx", "cifar10", "cifar100"; splits: those that exist of
    "train", "validation", "test"; notes: one line each on how the data were understood and what was left out."""

    path: Path
    kind: str
    classes: tuple[str, ...]
    splits: dict[str, Split]
    notes: tuple[str, ...] = ()

    def short_name(self, split: str, row: int) -> str:
        """What to call a picture of a split: its file's name, or its number."""
        part = self.splits[split]
        return f"{split} {row}" if isinstance(part.stored, Arrays) else Path(part.name(row)).name

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hexadecimal) over kind, classes and each split's members: relative names, labels and file sizes, or
        labels and pixels, or labels, shards and places in them. The same wherever the folder lies."""
        digest = hashlib.sha256()

        def add(*parts: bytes) -> None:
            for part in parts:
                digest.update(len(part).to_bytes(8, "little") + part)

        add(self.kind.encode(), *(name.encode(errors="surrogateescape") for name in self.classes))
        for name in SPLITS:
            if (split := self.splits.get(name)) is None:
                continue
            add(name.encode(), split.labels.astype("<i8").tobytes(), *split.stored.identity())
        return digest.hexdigest()


def _size(path: Path) -> int:
    """Bytes of a file; -1 when it has vanished."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def file_states(paths: Iterable[Path]) -> Iterator[bytes]:
    """Paths, sizes and times of files, as bytes to be digested."""
    for path in paths:
        yield os.fsencode(path) + b"\0"
        try:
            status = path.stat()
            yield f"{status.st_size} {status.st_mtime_ns}\n".encode()
        except OSError:
            yield b"missing\n"


def natural(name: str) -> tuple[object, ...]:
    """Sort key under which 2 comes before 10; ties are broken by the name itself, so the order is total."""
    parts = re.split(r"([0-9]+)", name.casefold())
    digits = [part.lstrip("0") for part in parts]
    return tuple(
        (0, len(digits[i]), digits[i]) if i % 2 else (1, 0, part) for i, part in enumerate(parts) if part
    ), name


def build_source(
    path: Path,
    kind: str,
    members: Mapping[str, Sequence[tuple[Path, str]]],
    notes: Iterable[str],
    *,
    root: Path,
) -> Source:
    """A source of files from (path, class name as written) pairs per split; spellings of one name are one class."""
    written = {split: [label for _, label in members[split]] for split in SPLITS if members.get(split)}
    meant, joined = join_names(written)
    names = sorted(set(meant.values()), key=natural)
    numbers = {name: number for number, name in enumerate(names)}
    splits = {}
    for split, texts in written.items():
        labels = np.array([numbers[meant[text]] for text in texts], np.int64)
        splits[split] = Split(labels, Files(tuple(file for file, _ in members[split]), root))
    return Source(path, kind, tuple(names), splits, (*notes, *joined))


def check_classes(source: Source) -> None:
    """Refuse a class that can be tested but never learned."""
    if "train" not in source.splits:
        return
    learned = set(source.splits["train"].labels.tolist())
    for name in ("validation", "test"):
        strangers = sorted(set(source.splits[name].labels.tolist()) - learned) if name in source.splits else []
        if strangers:
            found = ", ".join(escape_name(source.classes[number]) for number in strangers[:5])
            some = "class" if len(strangers) == 1 else "classes"
            raise DataError(
                f"{escape_name(source.path)}: {some} {found} in {name} but not in train; "
                f"add training pictures or take it out of {name}"
            )


def expect_every_class(source: Source, name: str, kept: np.ndarray) -> None:
    """Raise DataError where a class has pictures in split `name`, and none among the rows `kept` (int64) of it."""
    split = source.splits[name]
    lost = sorted(set(split.labels.tolist()) - set(split.labels[kept].tolist()))
    if lost:
        found = ", ".join(escape_name(source.classes[number]) for number in lost[:5])
        some = "class" if len(lost) == 1 else f"{len(lost):,} classes"
        raise DataError(
            f"{escape_name(source.path)}: no picture of {some} {found} in {name} can be read; "
            "put readable ones there or take the class out"
        )


def known_classes(source: Source, known: Sequence[str]) -> tuple[dict[str, int], list[str]]:
    """Which of a model's classes `known` each class of a source is, by number, and notes of spellings that differ;
    raises DataError for a class that the model does not know."""
    numbers, notes = match_names(source.classes, known)
    if strangers := [label for label in source.classes if label not in numbers]:
        shown = ", ".join(escape_name(label) for label in known[:5]) + (" ..." if len(known) > 5 else "")
        found = f"{escape_name(source.path)} has the class {escape_name(strangers[0])!r}, which the model does not know"
        raise DataError(f"{found} (it knows {shown}); name the folders as the model's labels.txt does")
    return numbers, notes


def hold_out(source: Source, *, seed: int, holdout: float) -> Source:
    """The source with a seeded, stratified part of its train split as validation; nothing is copied on disk."""
    if not 0 < holdout < 1:
        raise UsageError(f"holdout {holdout:g} must lie between 0 and 1, for instance 0.15")
    train = source.splits["train"]
    chosen = choose_holdout(train.labels, seed=seed, holdout=holdout)
    if not chosen.any():
        raise DataError(f"{escape_name(source.path)}: every class has one picture only; give at least two of each")
    parts = {"train": train.take(np.flatnonzero(~chosen)), "validation": train.take(np.flatnonzero(chosen))}
    parts = {**source.splits, **parts}
    splits = {name: parts[name] for name in SPLITS if name in parts}
    note = f"{int(chosen.sum()):,} of {len(train):,} training pictures held out for validation, by class (seed {seed})"
    return replace(source, splits=splits, notes=(*source.notes, note))


def choose_holdout(labels: np.ndarray, *, seed: int, holdout: float) -> np.ndarray:
    """(N,) bool: which pictures to hold out. `holdout` of all, at most MAX_HOLDOUT, by largest remainder over the
    classes, but at least one and never all of a class that has two or more."""
    present, counts = np.unique(labels, return_counts=True)
    share = min(holdout, MAX_HOLDOUT / len(labels))
    quotas = counts * share
    takes = np.floor(quotas).astype(np.int64)
    for number in np.argsort(takes - quotas, kind="stable")[: round(quotas.sum()) - int(takes.sum())]:
        takes[number] += 1
    takes = np.clip(takes, np.minimum(1, counts - 1), counts - 1)
    chosen = np.zeros(len(labels), bool)
    for label, take in zip(present, takes, strict=True):
        rows = np.flatnonzero(labels == label)
        generator = np.random.Generator(np.random.Philox(key=np.array([seed % 2**64, label], np.uint64)))
        chosen[generator.permutation(rows)[:take]] = True
    return chosen
