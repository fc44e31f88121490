"""Python's answers for generated pictures: what the page compares its own with before it is believed (torch-free).

The pictures are made of whole numbers alone, so they are the same on every machine, and none is of anybody.
"""

import base64
from typing import Any

import numpy as np

from nin.bundle.folder import Bundle
from nin.engine.engine import Engine, facts_of_bundle
from nin.engine.graph import core

FORMAT = 1
MOST_SIDE = 96  # pixels of a generated picture: they lie in the page as they are
MOST_LARGE = 144  # of the one that is larger than what most networks see


def python_answers(bundle: Bundle) -> dict[str, Any]:
    """check.json, format 1: pictures as a file would give them, with logits, probabilities and distance from Python."""
    pictures = generated_pictures(bundle.preprocess.size, bundle.preprocess.channels)
    engine = Engine(facts_of_bundle(bundle), core(bundle), threads=1)
    answers = engine.run(np.stack([bundle.preprocess.resize(picture) for picture in pictures]))
    return {
        "format": FORMAT,
        "pictures": [
            {
                "height": picture.shape[0],
                "width": picture.shape[1],
                "channels": picture.shape[2],
                "pixels": base64.b64encode(picture.tobytes()).decode(),
                "logits": _rounded(answers.logits[row], 6),
                "probabilities": _rounded(answers.probabilities[row], 8),
                "distance": None if answers.distances is None else round(float(answers.distances[row]), 6),
            }
            for row, picture in enumerate(pictures)
        ],
    }


def generated_pictures(size: tuple[int, int], channels: int) -> list[np.ndarray]:
    """Three pictures (H0, W0, C0) uint8 for a network of that size (H, W) and so many channels.

    One is of the network's own size, one is wider, larger and coloured, one is taller, smaller and partly transparent:
    together they go every way that a picture takes to the network.
    """
    height, width = (min(side, MOST_SIDE) for side in size)
    large = min(height + height // 2, MOST_LARGE), min(2 * width, MOST_LARGE)
    small = max(height // 2, 5), max(width // 3, 3)
    return [
        np.stack([_rings(height, width, 3 + channel) for channel in range(channels)], axis=-1),
        np.stack([_rings(*large, 5), _stripes(*large, 7), _stripes(*large, 11)], axis=-1),
        np.stack([_stripes(*small, 9), _rings(*small, 2), _rings(*small, 4), _stripes(*small, 23)], axis=-1),
    ]


def _rings(height: int, width: int, number: int) -> np.ndarray:
    """(H, W) uint8: rings about a place that `number` decides."""
    y, x = np.mgrid[:height, :width]
    row = height * number // 11 % height
    column = width * number // 7 % width
    squares = (y - row) ** 2 + (x - column) ** 2
    return np.asarray(squares * 64 * number // (height * width) % 256, np.uint8)


def _stripes(height: int, width: int, number: int) -> np.ndarray:
    """(H, W) uint8: slanted bands, each from dark to light."""
    y, x = np.mgrid[:height, :width]
    return np.asarray((y * number + x * (number // 2 + 1)) % 256, np.uint8)


def _rounded(values: np.ndarray, places: int) -> list[float]:
    """As plain numbers, finer than the page's own arithmetic and no longer than that."""
    return [round(float(value), places) for value in values]
