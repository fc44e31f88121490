"""Open a data set of any kind that is understood, and say how it was understood (torch-free; nothing is written)."""

import stat
from pathlib import Path

from nin.artifacts import escape_name
from nin.data.arrays import NAMES, idx_files, open_cifar, open_idx, open_npz, regular_files
from nin.data.folders import open_folders
from nin.data.images import is_picture_name
from nin.data.shards import open_shards
from nin.data.splits import SPLITS, Source, Split, check_classes, hold_out
from nin.data.svhn import open_svhn
from nin.data.tables import SUFFIXES as TABLE_SUFFIXES
from nin.data.tables import open_table
from nin.errors import DataError, UsageError

__all__ = ["Source", "Split", "open_source"]


def open_source(path: str | Path, *, seed: int = 0, holdout: float = 0.15, split: bool = True) -> Source:
    """Class folders, shards, a table (CSV, TSV, JSONL), an NPZ file, IDX, CIFAR's or SVHN's files as one Source.

    With `split`, a source without validation pictures gets some: a virtual, seeded, stratified part of train
    (`holdout` of it, at most 5,000 pictures); and one that cannot be trained on is refused.
    Without, the splits are exactly those found (a single folder of classes is "train").
    Raises UsageError when there is nothing at `path`, DataError when what is there cannot be used.
    """
    path = Path(path)
    source = _read(path)
    check_classes(source)
    if not split:
        return source
    if "train" not in source.splits:
        found = " and ".join(name for name in SPLITS if name in source.splits)
        raise DataError(f"{escape_name(path)} has {found} pictures but none to train on; add a train part")
    if len(source.classes) < 2:
        only = escape_name(source.classes[0])
        raise DataError(f"{escape_name(path)} has one class only ({only}); expected at least two, one folder for each")
    if "validation" not in source.splits:
        source = hold_out(source, seed=seed, holdout=holdout)
    return source


def _read(path: Path) -> Source:
    """The source at `path` as it is, by the reader that understands it."""
    shown = escape_name(path)
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or "not a possible name").lower()
        raise UsageError(f"{shown} cannot be opened ({reason}); give a folder or a file of data") from error
    suffix = path.suffix.lower()
    if stat.S_ISDIR(mode):
        return _read_folder(path)
    if not stat.S_ISREG(mode):
        raise UsageError(f"{shown} is a pipe, socket or device; give a folder or a file of data")
    if suffix in TABLE_SUFFIXES:
        return open_table(path)
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
    raise DataError(f"{shown} is not understood; expected class folders, CSV, TSV, JSONL, NPZ, IDX or CIFAR binary")


def _read_folder(path: Path) -> Source:
    try:
        files = regular_files(path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"{escape_name(path)} cannot be listed ({reason}); give a folder that can be read") from error
    if found := idx_files(files):
        return open_idx(path, found, files.get(NAMES))
    return open_cifar(path, files) or open_svhn(path, files) or open_shards(path) or open_folders(path)
