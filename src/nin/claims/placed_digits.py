"""Real handwritten digits at random places of a larger, empty picture: known boxes, and nothing to download.

N pictures of side S pixels; a digit is 8 x 8. No digit of the test pictures is in a training picture.
"""

from dataclasses import dataclass

import numpy as np

from nin.data.formats.digits import open_digits
from nin.data.randomness import integers

DIGIT = 8  # pixels
SIDE = 16  # pixels: the picture has four times the digit's area


@dataclass(frozen=True)
class Placed:
    """Pictures (N, S, S, 1) uint8, labels (N,) and the digits' top left corners (N, 2) as (row, column)."""

    images: np.ndarray
    labels: np.ndarray
    corners: np.ndarray


def placed(
    split: str, count: int | None = None, *, side: int = SIDE, seed: int = 0, reach: int | None = None
) -> Placed:
    """`count` pictures (None: all) of a split of the digits, each digit at a random place of its own.

    reach: how many pixels from the middle the digits go at most; None lets them go everywhere.
    """
    digits = open_digits().splits[split]
    images = digits.images[:count]
    labels = digits.labels[:count]
    free = side - DIGIT
    reach = free if reach is None else reach
    low = max(0, free // 2 - reach)
    high = min(free, free // 2 + reach)
    draws = np.stack([integers(seed, 0, np.arange(len(labels)), f"{split} {axis}") for axis in ("row", "column")], 1)
    corners = low + (draws % np.uint64(high - low + 1)).astype(np.int64)
    whole = np.zeros((len(labels), side, side, 1), np.uint8)
    for picture, digit, (top, left) in zip(whole, images, corners, strict=True):
        picture[top : top + DIGIT, left : left + DIGIT] = digit
    return Placed(whole, labels, corners)
