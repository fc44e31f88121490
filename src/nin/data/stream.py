"""Pictures decoded when they are read, for data larger than memory and disk; the next batches are prefetched.

N pictures of H x W pixels and C channels. The same rows give the same bytes in whatever order they are read; twice the
largest batch is in memory, however many pictures there are. Torch-free.
"""

import operator
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from nin.data.images import PictureError
from nin.data.machine import usable_cores
from nin.data.preprocess import Preprocess
from nin.data.splits import Split
from nin.errors import escape_name

CHUNK = 16  # pictures a thread decodes at a time: handing over costs about one small picture
AHEAD = 128  # pictures prefetched until the size of a batch is known
MAX_THREADS = 16  # Pillow lets go of the interpreter while decoding; the rest of a picture's way does not


def load_picture(split: Split, index: int, preprocess: Preprocess) -> tuple[np.ndarray, tuple[str, ...]]:
    """(H, W, C) uint8 of one picture of a split of any kind, and notes about it; raises PictureError."""
    stored = split.read(index)
    if isinstance(stored, np.ndarray):
        return preprocess.fit_pixels(stored, split.name(index), strict=False)
    return preprocess.open_picture(stored, strict=False)


class StreamedImages:
    """Reads like an array (N, H, W, C) uint8, by a number, a slice or an array of row numbers; one reader at a time.

    An unreadable picture is a PictureError when it is met; with `skip_unreadable` the next readable one of its class
    (in the split's order, after the last comes the first) stands in for it, always the same, and `unreadable` has its
    row, name and reason.
    """

    def __init__(self, split: Split, preprocess: Preprocess, *, skip_unreadable: bool = False) -> None:
        self.split = split
        self.preprocess = preprocess
        self.skip_unreadable = skip_unreadable
        self.shape = (len(split), *preprocess.size, preprocess.channels)
        self.unreadable: dict[int, tuple[str, str]] = {}
        self._deputies: dict[int, int] = {}
        self._pool = ThreadPoolExecutor(min(MAX_THREADS, max(2, usable_cores())), "nin-decode")
        self._window = AHEAD
        self.prefetch(np.empty(0, np.int64))

    def __len__(self) -> int:
        return self.shape[0]

    def prefetch(self, rows: np.ndarray) -> None:
        """Decode `rows` ahead, (n,) int64: the order in which they will be read from now on, in batches of any size."""
        for future in getattr(self, "_flying", ()):
            future.cancel()
        self._order = np.asarray(rows, np.int64)
        self._read = 0
        self._asked = 0
        self._flying: deque[Future[np.ndarray]] = deque()
        self._ready = np.empty((0, *self.shape[1:]), np.uint8)  # decoded, not yet read
        self._ask()

    def __getitem__(self, key: int | slice | np.ndarray) -> np.ndarray:
        if isinstance(key, slice):
            rows = np.arange(*key.indices(len(self)))
        elif isinstance(key, np.ndarray) and key.ndim:
            rows = key
        else:
            picture: np.ndarray = self[np.array([operator.index(key)])][0]
            return picture
        if rows.dtype.kind not in "iu":
            raise IndexError(f"rows of type {rows.dtype}; expected whole numbers")
        if len(rows) and not (-len(self) <= rows.min() and rows.max() < len(self)):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(self)} pictures")
        rows = rows % len(self) if len(rows) else rows
        if len(rows) and np.array_equal(rows, self._order[self._read : self._read + len(rows)]):
            return self._next(len(rows))
        parts = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
        return np.concatenate([np.empty((0, *self.shape[1:]), np.uint8), *self._pool.map(self._decode, parts)])

    def __iter__(self) -> Iterator[np.ndarray]:
        for start in range(0, len(self), AHEAD):
            yield from self[start : start + AHEAD]

    def _ask(self) -> None:
        """Hand out work until the window is full."""
        while self._asked < min(len(self._order), self._read + self._window):
            rows = self._order[self._asked : self._asked + CHUNK]
            self._flying.append(self._pool.submit(self._decode, rows))
            self._asked += len(rows)

    def _next(self, count: int) -> np.ndarray:
        """The next `count` pictures of the prefetched order; (count, H, W, C) uint8."""
        self._window = max(self._window, 2 * count)
        self._ask()
        batch = np.empty((count, *self.shape[1:]), np.uint8)
        filled = 0
        try:
            while filled < count:
                if not len(self._ready):
                    self._ready = self._flying.popleft().result()
                part = self._ready[: count - filled]
                batch[filled : filled + len(part)] = part
                self._ready = self._ready[len(part) :]
                filled += len(part)
        except BaseException:
            self.prefetch(np.empty(0, np.int64))  # what has been taken out is lost: whoever reads on must prefetch anew
            raise
        self._read += count
        self._ask()
        return batch

    def _decode(self, rows: np.ndarray) -> np.ndarray:
        images = np.empty((len(rows), *self.shape[1:]), np.uint8)
        for image, row in zip(images, rows.tolist(), strict=True):
            image[:] = self._picture(row)
        return images

    def _picture(self, row: int) -> np.ndarray:
        try:
            return load_picture(self.split, self._deputies.get(row, row), self.preprocess)[0]
        except PictureError as error:
            name = self.split.name(row)
            if not self.skip_unreadable:
                raise PictureError(name, error.reason) from None
            self.unreadable[row] = name, error.reason
        peers = np.flatnonzero(self.split.labels == self.split.labels[row])
        for peer in np.roll(peers, -np.searchsorted(peers, row, "right"))[:-1].tolist():
            try:
                image, _ = load_picture(self.split, peer, self.preprocess)
            except PictureError:
                continue
            self._deputies[row] = peer
            return image
        found = f"{escape_name(name)} cannot be read ({self.unreadable[row][1]}), nor any other picture of its class"
        raise PictureError(name, self.unreadable[row][1], f"{found}; take the class out", dispensable=False)


Images = np.ndarray | StreamedImages


def prefetch(images: Images, rows: np.ndarray) -> None:
    """Prefetch the pictures `rows`, (n,) int64, in the order in which they will be read; an array is ready as it is."""
    if isinstance(images, StreamedImages):
        images.prefetch(rows)
