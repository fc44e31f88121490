"""Open a data set of any kind that is understood, and say how it was understood (torch-free; nothing is written)."""

import stat
from collections.abc import Callable
from pathlib import Path

from nin.artifacts import escape_name
from nin.data.folders import open_folders
from nin.data.images import is_picture_name
from nin.data.splits import SPLITS, Source, Split, check_classes, hold_out
from nin.errors import DataError, UsageError

__all__ = ["Source", "Split", "open_source"]


def open_source(path: str | Path, *, seed: int = 0, holdout: float = 0.15, split: bool = True) -> Source:
    """Class folders, a table (CSV, TSV, JSONL), an NPZ file, IDX files or CIFAR's binary files as one Source.

    With `split`, a source without validation pictures gets some: a virtual, seeded, stratified part of train
    (`holdout` of it, at most 5,000 pictures); and one that cannot be trained on is refused.
    Without, the splits are exactly those found (a single folder of classes is "train").
    Raises UsageError when there is nothing at `path`, DataError when what is there cannot be used.
    """
    path = Path(path)
    source = _reader(path)(path)
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


def _reader(path: Path) -> Callable[[Path], Source]:
    """Which reader understands `path`."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or "not a possible name").lower()
        raise UsageError(f"{escape_name(path)} cannot be opened ({reason}); give a folder or a file of data") from error
    if stat.S_ISDIR(mode):
        return open_folders
    if stat.S_ISREG(mode) and is_picture_name(path):
        raise DataError(f"{escape_name(path)} is one picture; expected a folder with one folder of pictures per class")
    raise DataError(f"{escape_name(path)} is not understood; expected a folder of classes, CSV, TSV, JSONL, NPZ or IDX")
