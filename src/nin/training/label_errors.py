"""Held-out pictures whose label may be wrong: the network contradicts it, sure and in every view (torch-free).

Shapes: N pictures of (H, W, C), K classes, V views, M candidates.
"""

import numpy as np
from numpy.typing import NDArray

from nin.data.stream import Images

SHIFT = 16  # a view is moved by one part in so many of its side: the network's answer should not hang on a pixel; ours
FEWEST_RIGHT = 0.7  # a network that is right less often contradicts too many right labels; ours


def candidates(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Rows (M,) of (N, K) whose answer is not the label and is as sure as usual for its class; surest first.

    "As usual" is the mean probability that pictures labelled so have for their label. None where the network is too
    often wrong, or has no picture of the class to know what is usual. Source: Northcutt, Jiang and Chuang, "Confident
    Learning" (2021), section 3.1.
    """
    answers = probabilities.argmax(1)
    if not len(labels) or (answers == labels).mean() < FEWEST_RIGHT:
        return np.zeros(0, np.int64)
    usual = np.full(probabilities.shape[1], np.inf)
    for label in np.unique(labels):
        usual[label] = probabilities[labels == label, label].mean()
    sure = probabilities[np.arange(len(labels)), answers]
    rows = np.flatnonzero((answers != labels) & (sure >= usual[answers]))
    return rows[np.argsort(-sure[rows], kind="stable")]


def views(images: Images, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """(V, M, H, W, C): these pictures moved a little to the left, right, up and down; their edges are repeated."""
    pictures = np.asarray(images[rows])  # (M, H, W, C)
    height, width = pictures.shape[1:3]
    down, across = max(1, height // SHIFT), max(1, width // SHIFT)
    wide = np.pad(pictures, ((0, 0), (down, down), (across, across), (0, 0)), mode="edge")
    corners = ((down, 0), (down, 2 * across), (0, across), (2 * down, across))
    return np.stack([wide[:, y : y + height, x : x + width] for y, x in corners])


def consistent(answers: NDArray[np.integer], seen: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which of M candidates have the same answer (M,) in every view; seen: (V, M, K) logits or probabilities."""
    same: NDArray[np.bool_] = (seen.argmax(2) == answers).all(0)
    return same
