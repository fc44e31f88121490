"""New classes learnt, and how well, asked of each picture in turn when it was left out (numpy).

Legend: N pictures, F features, K classes.
"""

from dataclasses import dataclass, field

import numpy as np

from nin.bundle.card import Calibration
from nin.bundle.likeness import Likeness, fit_likeness
from nin.teaching.regression import PENALTY, Floats, LinearHead, fit_head
from nin.training.evaluation import (
    LOST_UNLIKE,
    fit_temperature,
    fit_unknown_threshold,
    fit_unlike_threshold,
    softmax,
)

FOLDS = 5
LOST = 0.05  # share of the right answers that "unknown" may cost for their probability; ours (docs/log.md)


@dataclass(frozen=True, eq=False)
class Taught:
    """What was learnt. probabilities (N, K): of each picture by what the other folds taught, calibrated; None where a
    class has fewer than five pictures: then nothing is known of new pictures, and no answer is "unknown". fold_heads:
    what those of each fold were asked of."""

    head: LinearHead
    calibration: Calibration = field(default_factory=Calibration)
    likeness: Likeness | None = None
    probabilities: Floats | None = None
    fold_heads: tuple[LinearHead, ...] = ()


def teach_head(features: np.ndarray, labels: np.ndarray, classes: int, *, penalty: float = PENALTY) -> Taught:
    """The head for pictures of mean features (N, F) and labels (N,), with what was found by leaving fifths out.

    A picture of every class at least, two classes at least.
    """
    head = fit_head(features, labels, classes, penalty=penalty)
    if np.bincount(labels, minlength=classes).min() < FOLDS:
        return Taught(head)
    logits = np.empty((len(labels), classes))
    distances = np.full(len(labels), np.nan)
    fold = fold_of(labels, classes)
    heads = []
    for number in range(FOLDS):
        out = fold == number
        heads.append(fit_head(features[~out], labels[~out], classes, penalty=penalty))
        logits[out] = heads[number].logits(features[out])
        known = fit_likeness(features[~out], labels[~out], classes)
        if known is not None:
            distances[out] = known.distances(features[out])
    temperature = fit_temperature(logits, labels)
    probabilities = softmax(logits, temperature)
    below = fit_unknown_threshold(probabilities, labels, LOST)
    beyond = _beyond(distances, logits.argmax(1) == labels)
    likeness = None if beyond is None else fit_likeness(features, labels, classes)
    calibration = Calibration(temperature, below, None if likeness is None else beyond)
    return Taught(head, calibration, likeness, probabilities, tuple(heads))


def _beyond(distances: np.ndarray, right: np.ndarray) -> float | None:
    """The distance beyond which a picture is unlike those that were taught: it costs LOST_UNLIKE of the right answers
    to left-out pictures (`fit_unlike_threshold`), or one where they are few; None where one is more than LOST.

    A distance notices another light or camera sooner than a probability does: a limit for LOST of them cost 18 to 20 %
    of the right answers on photos of other people (experiments/2026-11-30-teach/unknown.json).
    """
    share = max(LOST_UNLIKE, 1 / (int(right.sum()) + 1))
    return fit_unlike_threshold(distances, right, share) if share <= LOST and np.isfinite(distances).all() else None


def fold_of(labels: np.ndarray, classes: int) -> np.ndarray:
    """(N,) labels -> (N,) 0..4: each class in five parts of pictures that follow each other.

    Those of one burst of a camera are nearly alike: a part that held every fifth would be asked about its twins.
    """
    fold = np.empty(len(labels), np.int64)
    for label in range(classes):
        rows = np.flatnonzero(labels == label)
        fold[rows] = np.arange(len(rows)) * FOLDS // max(len(rows), 1)
    return fold
