"""Street View House Numbers, cropped digits: the three MATLAB files as they are published (torch-free).

Source: Netzer et al. 2011, "format 2": X (32, 32, 3, N) uint8, y (N, 1) with 10 for the digit 0.
"""

from pathlib import Path

import numpy as np

from nin.data.formats.arrays import Parts, build_arrays
from nin.data.machine import demand
from nin.data.splits import Source
from nin.errors import DataError, escape_name
from nin.extras import need

FILES = {"train_32x32.mat": "train", "extra_32x32.mat": "train", "test_32x32.mat": "test"}
CLASSES = tuple(str(digit) for digit in range(10))


def open_svhn(path: Path, files: dict[str, Path]) -> Source | None:
    """The folder's house numbers, train and extra together as "train", in that order; None when it holds none."""
    found = {name: files[name] for name in FILES if name in files}
    if not found:
        return None
    missing = [name for name in FILES if name not in found]
    notes = [f"files that are not there: {', '.join(missing)}"] if missing else []
    blocks: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for name, file in found.items():
        blocks.setdefault(FILES[name], []).append(_read(file))
    parts: Parts = {
        split: (np.concatenate([images for images, _ in pairs]), np.concatenate([labels for _, labels in pairs]))
        for split, pairs in blocks.items()
    }
    return build_arrays(path, "svhn", parts, notes, CLASSES)


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(N, 32, 32, 3) uint8 and (N,) int64, 0 to 9."""
    shown = escape_name(path)
    need("scipy", what=f"{shown} is a MATLAB file: reading it")
    from scipy.io import loadmat

    demand(3 * path.stat().st_size, shown)
    try:
        arrays = loadmat(path, variable_names=("X", "y"))
    except Exception as error:
        raise DataError(f"{shown} cannot be read as a MATLAB file ({escape_name(error)}); download it again") from error
    images = arrays.get("X")
    labels = arrays.get("y")
    if images is None or labels is None:
        names = ", ".join(name for name in arrays if not name.startswith("__")) or "nothing"
        raise DataError(f"{shown} holds {escape_name(names)}; expected X and y of the cropped digits (format 2)")
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[:3] != (32, 32, 3):
        raise DataError(f"{shown}: X is {images.dtype} {images.shape}; expected uint8 (32, 32, 3, N)")
    if labels.dtype.kind not in "iu" or labels.size != images.shape[3]:
        raise DataError(f"{shown}: y is {labels.dtype} {labels.shape}; expected {images.shape[3]} whole numbers")
    digits = labels.reshape(-1).astype(np.int64)
    wrong = np.flatnonzero((digits < 1) | (digits > 10))
    if wrong.size:
        raise DataError(
            f"{shown}: label {digits[wrong[0]]} of picture {wrong[0]:,}; expected 1 to 10 (10 is the digit 0)"
        )
    return np.ascontiguousarray(images.transpose(3, 0, 1, 2)), digits % 10
