"""What "unknown" of a taught model costs, and what it finds, by how far a picture may be from those that were taught.

    python experiments/2026-11-30-teach/unknown.py RUNS

RUNS: the folder of run.py, whose features of nin-cifar10, cut after mlpconv layer 4, are used. Every draw takes classes
and pictures as run.py does and asks the taught network about three kinds of pictures: those of the same classes and the
same split that were not drawn, those of the test split, and those of the other set. Three limits of distance, each
found on the left-out pictures: beyond it is one in twenty of the right answers, one in a hundred or at least one, none
asked (probability alone). And how near the nearest training picture is to another one, and to one of the test split.
Writes unknown.json beside this file.
"""

import argparse
import json
import statistics
from itertools import product
from pathlib import Path

import numpy as np

from nin.bundle.likeness import fit_likeness
from nin.data.machine import cpu_name, usable_cores
from nin.teaching.estimate import FOLDS, fold_of, teach_head
from nin.training.evaluation import fit_unlike_threshold, softmax

HERE = Path(__file__).resolve().parent
SETS = ("clothing", "tiny")
CLASSES = (3, 10)
COUNTS = (10, 30)
DRAWS = 4


def left_out_distances(features: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """(N,): of each picture to what the other folds taught, as `teach_head` finds them."""
    distances = np.empty(len(labels))
    fold = fold_of(labels, classes)
    for number in range(FOLDS):
        out = fold == number
        known = fit_likeness(features[~out], labels[~out], classes)
        assert known is not None
        distances[out] = known.distances(features[out])
    return distances


def draw(known: dict[str, np.ndarray], far: np.ndarray, classes: int, count: int, seed: int) -> dict[str, float]:
    """One draw: the right answers that become "unknown" and the strangers that do, in percent, by rule."""
    random = np.random.default_rng(seed)
    chosen = random.choice(known["train_y"].max() + 1, classes, replace=False)
    rows = np.concatenate(
        [random.choice(np.flatnonzero(known["train_y"] == label), count, replace=False) for label in chosen]
    )
    features = known["train_x"][rows]
    labels = np.repeat(np.arange(classes), count)
    taught = teach_head(features, labels, classes)
    likeness = fit_likeness(features, labels, classes)
    assert taught.probabilities is not None
    assert likeness is not None
    distances = left_out_distances(features, labels, classes)
    right = taught.probabilities.argmax(1) == labels
    first = max(0.01, 1 / (right.sum() + 1))
    limits = {
        "one in twenty": fit_unlike_threshold(distances, right, 0.05),
        "one in a hundred": fit_unlike_threshold(distances, right, first) if first <= 0.05 else None,
        "no distance": None,
    }
    rest = np.setdiff1d(np.arange(len(known["train_y"])), rows)
    truth = {int(label): k for k, label in enumerate(chosen)}
    asked = {
        "same split": (known["train_x"][rest], known["train_y"][rest]),
        "test": (known["test_x"], known["test_y"]),
        "other set": (far, np.full(len(far), -1)),
    }
    found: dict[str, float] = {}
    for (where, (x, y)), (rule, limit) in product(asked.items(), limits.items()):
        logits = taught.head.logits(x)
        unknown = softmax(logits, taught.calibration.temperature).max(1) < taught.calibration.unknown_below
        if limit is not None:
            unknown |= likeness.distances(x) > limit
        own = np.array([truth.get(int(label), -1) for label in y])
        hit = logits.argmax(1) == own
        if where == "other set":
            found[f"{where}, unknown, {rule}"] = 100 * float(unknown.mean())
        else:
            found[f"{where}, right ones lost, {rule}"] = 100 * float(unknown[hit].mean())
            if (own < 0).any():
                found[f"{where}, other classes unknown, {rule}"] = 100 * float(unknown[own < 0].mean())
    return found


def nearest(known: dict[str, np.ndarray]) -> dict[str, list[float]]:
    """Percentiles 1, 5 and 50 of the distance to the nearest training picture, in standard deviations of features."""
    mean = known["train_x"].mean(0)
    scale = known["train_x"].std(0) + 1e-6
    base = (known["train_x"] - mean) / scale
    found = {}
    for name, asked in (("train", base), ("test", (known["test_x"] - mean) / scale)):
        squares = (asked**2).sum(1)[:, None] + (base**2).sum(1) - 2 * asked @ base.T
        if name == "train":
            np.fill_diagonal(squares, np.inf)
        distances = np.sqrt(np.maximum(squares.min(1), 0))
        found[name] = [round(float(value), 2) for value in np.percentile(distances, (1, 5, 50))]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    runs = parser.parse_args().runs
    known = {which: dict(np.load(runs / f"{which}-nin-cifar10-4-32.npz")) for which in SETS}
    rows = []
    for which, classes, count in product(SETS, CLASSES, COUNTS):
        (other,) = set(SETS) - {which}
        far = known[other]["test_x"]
        found = [draw(known[which], far, classes, count, seed) for seed in range(DRAWS)]
        means = {key: round(statistics.mean(each[key] for each in found), 1) for key in found[0]}
        rows.append({"set": which, "classes": classes, "pictures": count, **means})
        print(json.dumps(rows[-1], indent=1), flush=True)
    about = {"machine": f"{cpu_name()}, {usable_cores()} cores", "draws": DRAWS}
    result = {**about, "nearest": {which: nearest(known[which]) for which in SETS}, "rows": rows}
    (HERE / "unknown.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
