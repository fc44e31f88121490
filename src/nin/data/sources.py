"""Open a data set of any kind that is understood, and say how it was understood (torch-free; nothing is written)."""

import os
import stat
from pathlib import Path

from nin.data.formats.arrays import NAMES, idx_files, open_cifar, open_idx, open_npz, regular_files
from nin.data.formats.folders import some
from nin.data.formats.label_tables import SUFFIXES as TABLE_SUFFIXES
from nin.data.formats.label_tables import open_table
from nin.data.formats.layout import open_folders
from nin.data.formats.metadata import open_metadata
from nin.data.formats.shards import open_shards
from nin.data.formats.svhn import open_svhn
from nin.data.images import is_picture_name
from nin.data.reading import AS_FOUND, Reading
from nin.data.splits import SPLITS, Files, Source, check_classes, hold_out
from nin.errors import DataError, UsageError, escape_name


def open_source(
    path: str | Path, *, seed: int = 0, holdout: float = 0.15, split: bool = True, reading: Reading = AS_FOUND
) -> Source:
    """Class folders, shards, a table (CSV, TSV, JSONL), an NPZ file, IDX, CIFAR's or SVHN's files as one Source.

    With `split`, a source without validation pictures gets some: a virtual, seeded, stratified part of train
    (`holdout` of it, at most 5,000 pictures); and one that cannot be trained on is refused.
    Without, the splits are exactly those found (a single folder of classes is "train").
    Raises UsageError when there is nothing at `path`, DataError when what is there cannot be used, or can be read in
    more than one way and `reading` does not say in which.
    """
    path = Path(path)
    source = _read(path, expect_there(path), reading)
    check_classes(source)
    return trainable(source, seed=seed, holdout=holdout) if split else source


def trainable(source: Source, *, seed: int = 0, holdout: float = 0.15) -> Source:
    """The source with a validation part, ready to be trained on; raises DataError where it cannot be."""
    expect_trainable(source)
    return source if "validation" in source.splits else hold_out(source, seed=seed, holdout=holdout)


def expect_trainable(source: Source) -> None:
    """Raise DataError unless there are training pictures, of two classes at least."""
    shown = escape_name(source.path)
    if "train" not in source.splits:
        found = " and ".join(name for name in SPLITS if name in source.splits)
        raise DataError(f"{shown} has {found} pictures but none to train on; add a train part")
    if len(source.classes) < 2:
        only = escape_name(source.classes[0])
        raise DataError(
            f"{shown} has one class only ({only}); expected at least two, one folder for each{_deeper(source)}"
        )


def _deeper(source: Source) -> str:
    """Where the classes may be instead, when they lie further down: the end of a sentence."""
    files = [split.stored for split in source.splits.values() if isinstance(split.stored, Files)]
    paths = [stored.relative(row) for stored in files for row in range(len(stored))]
    if source.kind != "folders" or not paths:
        return ""
    inner = Path(os.path.commonpath([path.parent for path in paths]))
    below = sorted({path.relative_to(inner).parts[0] for path in paths if path.parent != inner})
    return f"; if {some(below)} are the classes, give {escape_name(source.path / inner)}" if len(below) > 1 else ""


def expect_there(path: Path) -> int:
    """The mode of what lies at `path`; UsageError where there is nothing."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or "not a possible name").lower()
        shown = escape_name(path)
        raise UsageError(f"{shown} cannot be opened ({reason}); give a folder or a file of data") from error


def _read(path: Path, mode: int, reading: Reading) -> Source:
    """The source at `path` as it is, by the reader that understands it."""
    shown = escape_name(path)
    suffix = path.suffix.lower()
    if stat.S_ISDIR(mode):
        return _read_folder(path, reading)
    if not stat.S_ISREG(mode):
        raise UsageError(f"{shown} is a pipe, socket or device; give a folder or a file of data")
    if suffix in TABLE_SUFFIXES:
        return open_table(path, reading)
    if suffix == ".npz":
        return open_npz(path)
    if is_picture_name(path):
        raise DataError(f"{shown} is one picture; expected a folder with one folder of pictures per class")
    if idx_files({path.name: path}):
        raise DataError(f"{shown} is one of several IDX files; give the folder they are in")
    if suffix == ".tar":
        raise DataError(f"{shown} is one tar file; give the folder of shards it is in, or unpack it")
    if suffix in (".zip", ".gz", ".tgz", ".xz", ".bz2", ".7z", ".rar"):
        raise DataError(f"{shown} is an archive, which is not unpacked here; unpack it and give the folder")
    if suffix in (".xlsx", ".xls", ".ods", ".parquet"):
        raise DataError(f"{shown} is a table in a form that is not read here; save it as CSV (UTF-8) and give that")
    raise DataError(f"{shown} is not understood; expected class folders, CSV, TSV, JSONL, NPZ, IDX or CIFAR binary")


def _read_folder(path: Path, reading: Reading) -> Source:
    try:
        files = regular_files(path, follow=reading.follow_links)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"{escape_name(path)} cannot be listed ({reason}); give a folder that can be read") from error
    if found := idx_files(files):
        return open_idx(path, found, files.get(NAMES))
    return (
        open_cifar(path, files)
        or open_svhn(path, files)
        or open_shards(path, follow=reading.follow_links)
        or open_metadata(path, files, reading)
        or open_folders(path, reading)
    )
