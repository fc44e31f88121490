"""How good the answers are, and how far the numbers can be trusted. numpy only, so a server can measure too.

Shapes: N pictures, K classes. Probabilities and logits are (N, K); labels (N,) are whole numbers in 0..K-1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nin.bundle.card import TEMPERATURES
from nin.errors import DataError, escape_name

BINS = 15  # Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4
Z95 = 1.959963984540054  # two-sided 95 % point of the normal distribution
LOST = 0.02  # share of the correct answers that "unknown" may cost for their probability; ours
LOST_UNLIKE = 0.01  # the same for their distance; ours (experiments/2026-11-30-unknown)
HOTTEST = 20.0  # the highest temperature that is tried, times the likeliest class's mean lead; ours
COLDEST = 0.01  # the lowest; ours
DOMINANT = 0.8  # share of the answers above which one class takes nearly all; ours
LONGER = "train longer or with a smaller learning rate"
FEW_PICTURES = 100  # under this the 95 % interval is wider than about 20 points; ours
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class ClassScore:
    """One class: support counts its true pictures; precision, recall and f1 are in 0..1 (0 where undefined)."""

    label: str
    support: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Bin:
    """Answers whose confidence lies in (low, high]: their mean confidence, their accuracy, their count."""

    low: float
    high: float
    confidence: float
    accuracy: float
    count: int


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What was measured on n pictures; every share is in 0..1.

    interval: 95 % Wilson interval of the accuracy. loss: mean negative log likelihood in nats. ece: expected
    calibration error over 15 equal bins. confusion: (K, K) counts, rows = true, columns = predicted.
    top5: share of pictures whose true class is among the five likeliest; None unless 5 < K/2.
    """

    n: int
    accuracy: float
    interval: tuple[float, float]
    balanced_accuracy: float
    loss: float
    ece: float
    per_class: tuple[ClassScore, ...]
    bins: tuple[Bin, ...]
    confusion: Ints
    top5: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The numbers as JSON values (the reliability bins stay out: they belong to the report)."""
        numbers: dict[str, Any] = {
            "n": self.n,
            "accuracy": self.accuracy,
            "interval": list(self.interval),
            "balanced_accuracy": self.balanced_accuracy,
            "loss": self.loss,
            "ece": self.ece,
        }
        if self.top5 is not None:
            numbers["top5"] = self.top5
        numbers["per_class"] = [dict(vars(score)) for score in self.per_class]
        numbers["confusion"] = self.confusion.tolist()
        return numbers


def evaluate_probabilities(probabilities: ArrayLike, labels: ArrayLike, classes: Sequence[str]) -> Evaluation:
    """Measure predicted probabilities (N, K), rows summing to 1, against labels (N,). Ties go to the first class.

    DataError: no pictures, wrong shapes, numbers that are not finite, rows that are no probabilities, foreign labels.
    """
    p, y = _checked(probabilities, labels, "probabilities")
    n, k = p.shape
    if len(classes) != k:
        raise DataError(f"{k} probabilities per picture for {len(classes)} class names; give one name per column")
    worst = float(max(np.abs(p.sum(axis=1) - 1).max(), -p.min()))
    if worst > 1e-3:
        raise DataError(
            f"a row of probabilities is off by {worst:.3g}; rows must be >= 0 and sum to 1 (softmax makes logits so)"
        )
    predicted = p.argmax(axis=1)  # (N,)
    confusion = np.bincount(y * k + predicted, minlength=k * k).reshape(k, k).astype(np.int64)  # (true, predicted)
    confusion.setflags(write=False)
    hits = predicted == y
    scores = _class_scores(confusion, classes)
    bins = _reliability(p.max(axis=1), hits)
    likelihood = np.clip(p[np.arange(n), y], np.finfo(np.float64).eps, 1.0)  # (N,), of the true classes
    return Evaluation(
        n=n,
        accuracy=float(hits.mean()),
        interval=wilson_interval(int(hits.sum()), n),
        balanced_accuracy=float(np.mean([score.recall for score in scores if score.support])),
        loss=float(-np.log(likelihood).mean()),
        ece=sum(b.count / n * abs(b.accuracy - b.confidence) for b in bins),
        per_class=scores,
        bins=bins,
        confusion=confusion,
        top5=_top5(p, y) if k / 2 > 5 else None,
    )


def softmax(logits: ArrayLike, temperature: float = 1.0) -> Floats:
    """Probabilities (N, K) or (K,) of logits divided by the temperature (> 0), without overflow."""
    z = np.asarray(logits, dtype=np.float64)
    if not (np.isfinite(temperature) and temperature > 0):
        raise DataError(f"the temperature is {temperature}; it must be a finite number above 0")
    if not np.isfinite(z).all():
        raise DataError(
            f"{int((~np.isfinite(z)).sum())} of {z.size} logits are not finite numbers; the network is damaged"
        )
    z = z / temperature
    e: Floats = np.exp(z - z.max(axis=-1, keepdims=True))
    e /= e.sum(axis=-1, keepdims=True)
    return e


def wilson_interval(hits: int, n: int, z: float = Z95) -> tuple[float, float]:
    """Interval for a share of which `hits` of `n` were seen (Wilson 1927); good for small n and near 0 or 1."""
    if n < 1 or not 0 <= hits <= n:
        raise DataError(f"{hits} of {n} is no share; an interval needs at least one picture")
    share = hits / n
    shrink = z * z / n  # Wilson's z^2 / n: it draws the interval towards 1/2
    centre = (share + shrink / 2) / (1 + shrink)
    half = z / (1 + shrink) * float(np.sqrt(share * (1 - share) / n + shrink / (4 * n)))
    return (0.0 if hits == 0 else centre - half, 1.0 if hits == n else centre + half)


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> float:
    """The temperature that minimises the negative log likelihood of logits (N, K); Guo et al. 2017, section 4.2.

    One average picture is added to the N, half of it answered right and half taken for its second likeliest class
    (Jeffreys' prior of a share; Krichevsky and Trofimov 1981). Without it pictures that are all answered right would
    ask for certainty, T -> 0, which no finite number of them warrants; with it the error rate expected of n right
    answers is about 1 / (2n + 2). The loss is convex in 1/T, so its slope, mean(E[z]) - mean(z_target), has one sign
    change, found by bisection in log(1/T), from COLDEST to HOTTEST times the mean lead of the likeliest class.
    1.0 when nothing is won: the result never has a higher loss on these pictures than T = 1.
    """
    z, y = _checked(logits, labels, "logits")
    z = z - z.max(axis=1, keepdims=True)
    true = z[np.arange(len(y)), y]  # (N,)
    scale = -float(z.mean())
    if scale == 0:
        return 1.0
    second = float(np.sort(z, axis=1)[:, -2].mean())  # of the second likeliest classes
    target = (true.sum() + second / 2) / (len(y) + 1)
    z = z / scale
    true = true / scale
    target = target / scale

    def slope(log_beta: float) -> float:
        p = softmax(z, float(np.exp(-log_beta)))
        return float((p * z).sum(axis=1).mean() - target)

    low, high = -np.log(HOTTEST), -np.log(COLDEST)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    temperature = float(np.clip(scale * np.exp(-(low + high) / 2), *TEMPERATURES))
    return temperature if _loss(z, true, temperature / scale) < _loss(z, true, 1 / scale) else 1.0


def fit_unknown_threshold(probabilities: ArrayLike, labels: ArrayLike, lost: float = LOST) -> float:
    """The confidence under which to answer "unknown", so that at most `lost` of the correct answers are given up.

    Rule: with c correct answers of these (validation) pictures, the threshold is their j-th smallest confidence,
    j = floor(lost * (c + 1)), rounded down to 6 decimals; an answer is unknown when its confidence is below it.
    That loses at most j - 1 of them here, and in expectation at most `lost` of the correct answers on new pictures
    of the same kind (order statistics; the argument of split conformal prediction). 0.0, never unknown, when c is
    too small to promise that (j < 1; fewer than 49 correct answers at 2 %).
    """
    p, y = _checked(probabilities, labels, "probabilities")
    confidence = np.sort(p.max(axis=1)[p.argmax(axis=1) == y])
    j = _rank(len(confidence), lost)
    return float(np.floor(confidence[j - 1] * 1e6) / 1e6) if j >= 1 else 0.0


def fit_unlike_threshold(distances: ArrayLike, right: ArrayLike, lost: float = LOST_UNLIKE) -> float | None:
    """The distance (nin.bundle.likeness) beyond which to answer "unknown": the rule of `fit_unknown_threshold`.

    distances (N,) of (validation) pictures, right (N,): whether the answer is correct. The threshold is the j-th
    largest distance of the correct ones, rounded up to 4 decimals; None, never unknown, where there are too few of them
    to promise anything (fewer than 99 at 1 %).
    """
    ordered = np.sort(np.asarray(distances, np.float64)[np.asarray(right, bool)])
    j = _rank(len(ordered), lost)
    return float(np.ceil(ordered[-j] * 1e4) / 1e4) if j >= 1 and np.isfinite(ordered[-j]) else None


def _rank(correct: int, lost: float) -> int:
    """Which of the sorted correct answers is the threshold, from 1; 0 where there are too few for any."""
    return int(np.floor(lost * (correct + 1) + 1e-9))


def result_warnings(evaluation: Evaluation, *, shared_pictures: int = 0, advice: str = LONGER) -> tuple[str, ...]:
    """What a reader must know of the result: one line for each problem, worst first; none when all is well.

    shared_pictures: how many of the measured pictures are also training pictures (same decoded pixels). advice: what
    to do where too little was learnt.
    """
    lines = (
        _shared(shared_pictures, evaluation.n),
        _at_chance(evaluation),
        _one_dominates(evaluation, advice),
        _never_predicted(evaluation),
        _absent(evaluation),
        _few(evaluation),
    )
    return tuple(line for line in lines if line)


def _shared(shared: int, n: int) -> str:
    if not shared:
        return ""
    return (
        f"{shared:,} of the {n:,} pictures measured are also training pictures: the result looks better than it is; "
        "remove the duplicates and train again"
    )


def _at_chance(evaluation: Evaluation) -> str:
    """A result that guessing, or always giving the commonest answer, explains as well."""
    low, high = evaluation.interval
    k = len(evaluation.per_class)
    common = max(evaluation.per_class, key=lambda score: score.support)
    share = common.support / evaluation.n
    if low > share or evaluation.accuracy == 1 or share == 1:  # of one class alone nobody can tell
        return ""
    seen = f"accuracy {evaluation.accuracy:.1%} (95 % interval {low:.1%} to {high:.1%})"
    always = f"always answering {escape_name(common.label)}"
    if beyond_chance(evaluation.confusion) > Z95:
        more = "less" if evaluation.accuracy < share else "hardly more"
        return (
            f"{seen} is {more} than {always} gives ({share:.1%}); the balanced accuracy, "
            f"{evaluation.balanced_accuracy:.1%} (guessing gives {1 / k:.1%}), is the fairer number"
        )
    if low > 1 / k:
        return (
            f"no better than {always}: {seen}, and {share:.1%} of the pictures are of that class; look at the balanced "
            "accuracy, or train with balanced classes"
        )
    if evaluation.accuracy > max(1 / k, share) and evaluation.n < FEW_PICTURES:
        return f"the result cannot be told from guessing, which gives {1 / k:.1%}: {seen}; measure on more pictures"
    return f"the result is at chance: {seen}, guessing gives {1 / k:.1%}; nothing useful was learnt yet"


def beyond_chance(confusion: Ints) -> float:
    """Standard deviations by which the right answers exceed those of the same answers dealt out at random.

    confusion: (K, K) counts. Mean and variance of sum d[i, p(i)] over permutations p (Hoeffding 1951), d being 1 where
    the truth of picture i is the answer for another; 0 where all answers, or all truths, are one class.
    """
    true = confusion.sum(1)
    given = confusion.sum(0)
    n = int(confusion.sum())
    mean = float((true * given).sum()) / n
    # (K true, K given): the centred cost matrix, whose squares are the variance
    centred = np.eye(len(confusion)) - given[:, None] / n - true[None] / n + mean / n
    variance = float((true[:, None] * given[None] * centred**2).sum()) / max(n - 1, 1)
    return (float(confusion.trace()) - mean) / variance**0.5 if variance > 1e-12 else 0.0


def _one_dominates(evaluation: Evaluation, advice: str) -> str:
    given = evaluation.confusion.sum(axis=0) / evaluation.n
    commonest = int(given.argmax())
    score = evaluation.per_class[commonest]
    if given[commonest] <= DOMINANT or score.support / evaluation.n > DOMINANT:
        return ""
    return (
        f"{given[commonest]:.0%} of the answers are {escape_name(score.label)}, which is the truth for only "
        f"{score.support / evaluation.n:.0%}; {advice}"
    )


def _never_predicted(evaluation: Evaluation) -> str:
    given = evaluation.confusion.sum(axis=0)
    names = [s.label for s, count in zip(evaluation.per_class, given, strict=True) if s.support and not count]
    return f"never given as an answer, though it should have been: {_listed(names)}" if names else ""


def _absent(evaluation: Evaluation) -> str:
    names = [score.label for score in evaluation.per_class if not score.support]
    return f"not measured, because no picture of it was held out: {_listed(names)}" if names else ""


def _few(evaluation: Evaluation) -> str:
    if evaluation.n >= FEW_PICTURES:
        return ""
    low, high = evaluation.interval
    return (
        f"only {evaluation.n} {'picture was' if evaluation.n == 1 else 'pictures were'} held out: "
        f"the true accuracy may well be anywhere from {low:.0%} to {high:.0%}; more pictures narrow this"
    )


def _listed(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(escape_name(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _checked(scores: ArrayLike, labels: ArrayLike, what: str) -> tuple[Floats, Ints]:
    """Scores (N, K) float64 and labels (N,) int64, or a DataError that names what is wrong with them."""
    s = np.asarray(scores, dtype=np.float64)
    y = np.asarray(labels)
    if s.ndim != 2 or s.shape[1] < 2:
        raise DataError(f"{what} have the shape {s.shape}; expected (pictures, classes) with at least 2 classes")
    if not len(s):
        raise DataError(f"there are no {what} to measure; at least one picture is needed")
    if y.shape != s.shape[:1]:
        raise DataError(f"labels have the shape {y.shape} beside {what} {s.shape}; expected one label per picture")
    bad = ~np.isfinite(s).all(axis=1)
    if bad.any():
        raise DataError(
            f"{what} of {int(bad.sum())} of {len(s)} pictures are not finite numbers (first: {int(bad.argmax())}); "
            "the network is damaged or training went astray"
        )
    if not np.issubdtype(y.dtype, np.integer):
        raise DataError(f"labels have the type {y.dtype}; expected whole numbers in 0..{s.shape[1] - 1}")
    foreign = (y < 0) | (y >= s.shape[1])
    if foreign.any():
        raise DataError(f"label {int(y[foreign][0])} does not exist; expected 0..{s.shape[1] - 1}")
    return s, y.astype(np.int64)


def _class_scores(confusion: Ints, classes: Sequence[str]) -> tuple[ClassScore, ...]:
    right = confusion.diagonal()
    true = confusion.sum(axis=1)
    given = confusion.sum(axis=0)
    precision = right / np.maximum(given, 1)
    recall = right / np.maximum(true, 1)
    f1 = 2 * right / np.maximum(true + given, 1)  # equals the harmonic mean of the two
    rows = zip(classes, true, precision, recall, f1, strict=True)
    return tuple(ClassScore(name, int(t), float(p), float(r), float(f)) for name, t, p, r, f in rows)


def _reliability(confidence: Floats, hits: NDArray[np.bool_]) -> tuple[Bin, ...]:
    """BINS equal bins over (0, 1]; an empty bin has confidence and accuracy 0 and weighs nothing."""
    place = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    count = np.bincount(place, minlength=BINS)
    sure = np.bincount(place, weights=confidence, minlength=BINS) / np.maximum(count, 1)
    right = np.bincount(place, weights=hits, minlength=BINS) / np.maximum(count, 1)
    return tuple(Bin(i / BINS, (i + 1) / BINS, float(sure[i]), float(right[i]), int(count[i])) for i in range(BINS))


def _top5(p: Floats, y: Ints) -> float:
    """Share of rows in which fewer than five classes stand before the true one (ties: the lower index first)."""
    true = p[np.arange(len(y)), y][:, None]
    before = (p > true).sum(axis=1) + ((p == true) & (np.arange(p.shape[1]) < y[:, None])).sum(axis=1)
    return float((before < 5).mean())


def _loss(z: Floats, true: Floats, temperature: float) -> float:
    """Mean negative log likelihood of logits z (N, K), shifted so that each row's largest is 0."""
    return float((np.log(np.exp(z / temperature).sum(axis=1)) - true / temperature).mean())
