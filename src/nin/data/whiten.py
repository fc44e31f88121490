"""The preprocessing of 2013: global contrast normalisation, ZCA whitening, local contrast normalisation (torch-free).

N pictures, C channels, H x W pixels, D = C * H * W values a picture, channels first; pixels are 0..255 as pylearn2 has
them. Maxout and Network in Network used pylearn2's; what follows is from its code as stored publicly, re-read for this:
- CIFAR (make_cifar10_gcn_whitened.py): the mean of all D values removed, L2 norm 55, then ZCA with 0.1 added to the
  covariance, fitted on the training pictures alone, no component dropped.
- SVHN (svhn_preprocessing.py): GlobalContrastNormalization with its defaults of 2013 (standard deviation, 10 added to
  the variance, scale 1; from October 2013 on they are L2 norm, 0 and 1), then LeCunLCN: a 7 x 7 Gaussian window of
  sigma 2 (Jarrett et al. 2009 have 9 x 9 and 1.591), zeros beyond the border, threshold 1e-4, each channel by itself.
  Later versions of LeCunLCN return after the first channel, a slip; ours does all, as the code of 2013 did.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from nin.errors import DataError, ModelError, UsageError

MIN_DIVISOR = 1e-8  # pylearn2: a picture with a smaller divisor is not divided
FILTER_BIAS = 0.1  # pylearn2's ZCA
WINDOW = 7  # pixels; pylearn2's LeCunLCN
SIGMA = 2.0  # pixels; pylearn2's gaussian_filter
THRESHOLD = 1e-4  # pylearn2's LeCunLCN
MOST_VALUES = 8_192  # a picture to whiten; ours: a matrix of 268 MB, fitted in 2.8 GB; 52 x 52 in colour
SMALLER = "take smaller pictures"
MEAN = "zca.mean"  # names of the fitted arrays in model folders and checkpoints
MATRIX = "zca.matrix"


@dataclass(frozen=True)
class Contrast:
    """Global contrast normalisation: (x - mean) * scale / sqrt(bias + norm^2), or variance (D - 1) for norm^2."""

    scale: float
    sqrt_bias: float
    use_std: bool


CIFAR = Contrast(55.0, 0.0, use_std=False)  # pylearn2: make_cifar10_gcn_whitened.py
SVHN = Contrast(1.0, 10.0, use_std=True)  # pylearn2: svhn_preprocessing.py and the class's defaults of 2013


@dataclass(frozen=True)
class Zca:
    """Whitening fitted on training pictures: flat x (N, D) -> (x - mean) @ matrix. Equal when `sha256` is.

    mean: (D,) float32; matrix: (D, D) float32; pictures: how many it was fitted on; sha256: over both arrays.
    """

    mean: np.ndarray = field(repr=False, compare=False)
    matrix: np.ndarray = field(repr=False, compare=False)
    pictures: int
    sha256: str = field(init=False)

    def __post_init__(self) -> None:
        count = self.mean.size
        if self.mean.shape != (count,) or self.matrix.shape != (count, count):
            raise UsageError(f"ZCA has a mean of {self.mean.shape} and a matrix of {self.matrix.shape}; they must fit")
        if self.mean.dtype != np.float32 or self.matrix.dtype != np.float32:
            raise UsageError(f"ZCA is in {self.mean.dtype} and {self.matrix.dtype}; expected float32")
        if not (np.isfinite(self.mean).all() and np.isfinite(self.matrix).all()):
            raise UsageError("ZCA holds NaN or infinity; expected finite numbers")
        digest = hashlib.sha256(np.ascontiguousarray(self.mean).data)
        digest.update(np.ascontiguousarray(self.matrix).data)
        object.__setattr__(self, "sha256", digest.hexdigest())

    def whiten(self, x: np.ndarray) -> np.ndarray:
        """(N, C, H, W) float32, contrast normalised -> the same, whitened: one matrix product."""
        flat: np.ndarray = (x.reshape(len(x), len(self.mean)) - self.mean) @ self.matrix
        return flat.reshape(x.shape)

    def tensors(self) -> dict[str, np.ndarray]:
        """The arrays by name; `read_zca` takes them back."""
        return {MEAN: self.mean, MATRIX: self.matrix}


def read_zca(facts: object, tensors: Mapping[str, np.ndarray]) -> Zca:
    """What was written as `tensors` and as the facts {"pictures", "sha256"}; ModelError unless they belong together."""
    if not isinstance(facts, Mapping) or set(facts) != {"pictures", "sha256"} or not isinstance(facts["pictures"], int):
        raise ModelError(f"the facts about ZCA are {str(facts)[:80]}; expected pictures and sha256; restore the file")
    missing = [name for name in (MEAN, MATRIX) if name not in tensors]
    if missing:
        raise ModelError(f"the fitted ZCA is missing ({missing[0]}); copy the whole folder again")
    try:
        zca = Zca(tensors[MEAN], tensors[MATRIX], facts["pictures"])
    except UsageError as error:
        raise ModelError(f"{error}; copy the whole folder again") from error
    if zca.sha256 != facts["sha256"]:
        raise ModelError("the fitted ZCA is not the one that this model was trained with; copy the whole folder again")
    return zca


def global_contrast(pixels: np.ndarray, how: Contrast = CIFAR, dtype: type[np.floating] = np.float32) -> np.ndarray:
    """(N, C, H, W) uint8 -> the same in `dtype`, each picture contrast normalised over all its values.

    The mean is removed in whole numbers, so that a picture of one colour becomes exactly zero. Source: pylearn2
    (see the module).
    """
    whole = pixels.astype(np.int64)
    count = whole[0].size if len(whole) else 1
    x: np.ndarray = (count * whole - whole.sum((1, 2, 3), keepdims=True)).astype(dtype)
    x /= dtype(count)
    squares = np.square(x).sum((1, 2, 3), keepdims=True)
    if how.use_std:
        squares /= dtype(max(count - 1, 1))
    divisor = np.sqrt(squares + dtype(how.sqrt_bias)) / dtype(how.scale)
    x /= np.where(divisor < MIN_DIVISOR, dtype(1), divisor)
    return x


def local_contrast(x: np.ndarray) -> np.ndarray:
    """Local contrast normalisation, (N, C, H, W) float32 -> the same shape, each channel by itself.

    Each place less its window's Gaussian mean, divided by the window's root mean square, which is that of x before the
    mean is taken off, and at least its mean over the channel and THRESHOLD. Source: pylearn2's LeCunLCN (see the
    module).
    """
    divisor = np.sqrt(_blur(np.square(x)))  # (N, C, H, W)
    divisor = np.maximum(divisor, np.maximum(divisor.mean((2, 3), keepdims=True), x.dtype.type(THRESHOLD)))
    local: np.ndarray = (x - _blur(x)) / divisor
    return local


def window() -> list[float]:
    """The WINDOW weights of one side of the Gaussian window, whose outer product is the window; they sum to 1."""
    weights = np.exp(-(np.arange(-(WINDOW // 2), WINDOW // 2 + 1) ** 2) / (2 * SIGMA**2))
    return [float(weight) for weight in weights / weights.sum()]


def _blur(x: np.ndarray) -> np.ndarray:
    """(N, C, H, W) -> the same: Gaussian mean of each place's window, zeros beyond the border."""
    for axis in (2, 3):
        side = x.shape[axis]
        half = WINDOW // 2
        padded = np.pad(x, [(half, half) if a == axis else (0, 0) for a in range(4)])
        x = np.zeros_like(x)
        for start, weight in enumerate(window()):
            x += x.dtype.type(weight) * np.take(padded, range(start, start + side), axis)
    return x


def expect_whitenable(size: tuple[int, int], channels: int, advice: str = SMALLER) -> int:
    """D of pictures of this size (H, W); UsageError, which ends in `advice`, when a matrix of D x D is too large."""
    count = channels * size[0] * size[1]
    if count > MOST_VALUES:
        side = int((MOST_VALUES / channels) ** 0.5)
        raise UsageError(
            f"ZCA for pictures of {size[0]} x {size[1]} x {channels} is a matrix of {count:,} x {count:,} numbers "
            f"({4e-9 * count**2:,.1f} GB); expected at most {MOST_VALUES:,} ({side} x {side} x {channels}); "
            f"{advice}"
        )
    return count


def fit_memory(count: int) -> int:
    """Bytes that `fit_zca` takes at its peak for D = `count`: five float64 matrices (LAPACK's divide and conquer)."""
    return 40 * count * count + 100 * 2**20


def fit_zca(blocks: Iterable[np.ndarray], advice: str = SMALLER) -> Zca:
    """ZCA of training pictures, in blocks (n, H, W, C) uint8, after `global_contrast`; computed in float64.

    matrix = V diag(l^-1/2) V', where V diag(l) V' is the covariance X'X/N + 0.1 I of the pictures less their mean.
    Every eigenvalue is 0.1 or more, so that any number of pictures will do. The covariance is added up block by
    block: memory does not grow with N. UsageError for too large or no pictures, DataError when memory runs out;
    `advice` says what to do about pictures that are too large.
    """
    pictures = 0
    squares = np.empty(0)
    total = np.empty(0)
    try:
        for block in blocks:
            if not pictures:
                count = expect_whitenable(block.shape[1:3], block.shape[3], advice)
                squares = np.zeros((count, count))
                total = np.zeros(count)
            x = global_contrast(block.transpose(0, 3, 1, 2), dtype=np.float64).reshape(len(block), -1)
            squares += x.T @ x
            total += x.sum(0)
            pictures += len(x)
        if not pictures:
            raise UsageError("there are no pictures to fit ZCA on; at least one is needed")
        mean = total / pictures
        squares /= pictures
        for row, value in zip(squares, mean, strict=True):  # row by row: an outer product would be one matrix more
            row -= value * mean
        squares.flat[:: len(mean) + 1] += FILTER_BIAS
        eigenvalues, vectors = np.linalg.eigh(squares)
        del squares
        matrix = ((vectors / np.sqrt(eigenvalues)) @ vectors.T).astype(np.float32)
    except MemoryError:
        raise DataError(f"memory ran out while ZCA was fitted; {advice}") from None
    return Zca(mean.astype(np.float32), matrix, pictures)
