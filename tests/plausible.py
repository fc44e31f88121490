"""Results that could come from a real run, made from a seed: answers, history, pictures with class maps, a report."""

import math

import numpy as np

from nin.report.content import Example, Report
from nin.training.evaluation import Evaluation, evaluate_probabilities, result_warnings, softmax

ANIMALS = ("cat", "dog", "owl", "고양이", "사슴")
HOSTILE = (
    "<script>document.documentElement.dataset.owned='1'</script>",
    "=cmd|' /C calc'!A0",
    "\u202eevil gnp.exe",
    "x" * 200,
    "고양이",
    '"><img src=x onerror="document.documentElement.dataset.owned=1">',
    "a\nb\x1b[31m\x00\uffff",
    "</style></title><h1>",
    "$\\frac{1}{0}$ & #x41; 😀",
    "@SUM(1+1)",
)


def answers(classes: tuple[str, ...], n: int = 240, seed: int = 1) -> tuple[np.ndarray, np.ndarray, Evaluation]:
    """Logits (n, K), labels (n,) and what they measure as: about two thirds right."""
    rng = np.random.default_rng(seed)
    k = len(classes)
    labels = np.resize(np.arange(k), n)
    logits = rng.normal(size=(n, k)) * 1.2
    logits[np.arange(n), labels] += 1.2 + 0.5 * math.log(k)
    return logits, labels, evaluate_probabilities(softmax(logits), labels, classes)


def history(epochs: int = 12) -> list[dict[str, float]]:
    """Curves that fall and rise."""
    rows = []
    for epoch in range(1, epochs + 1):
        done = 1 - math.exp(-epoch / 4)
        rows.append(
            {
                "epoch": epoch,
                "time": 3.0 * epoch,
                "train_loss": 2.3 - 2.1 * done,
                "train_accuracy": 0.1 + 0.85 * done,
                "val_loss": 2.3 - 1.8 * done,
                "val_accuracy": 0.1 + 0.7 * done,
                "lr": 0.1 * (1 - epoch / epochs),
                "images_per_second": 900.0,
            }
        )
    return rows


def example(logits: np.ndarray, true: int | None, seed: int, side: int = 32, channels: int = 3) -> Example:
    """A picture of a disc, and for every class a map whose mean is its logit."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    centre = rng.random(2) * 0.5 + 0.25
    disc = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < 0.06
    pixels = np.where(disc[..., None], rng.integers(0, 256, channels), rng.integers(0, 256, channels))
    maps = rng.normal(size=(len(logits), 8, 8))
    maps += 20 * np.exp(-((np.mgrid[:8, :8] / 8 - centre[:, None, None]) ** 2).sum(0) / 0.05)
    maps += (logits - maps.mean((1, 2)))[:, None, None]
    maps = maps.astype(np.float32)
    return Example(
        pixels.astype(np.uint8), f"photos/test/{seed:04d}.jpg", true, softmax(logits), maps.mean((1, 2)), maps
    )


def report(classes: tuple[str, ...] = ANIMALS, n: int = 240, side: int = 32) -> Report:
    """A whole report."""
    logits, labels, evaluation = answers(classes, n)
    wrong = np.flatnonzero(logits.argmax(1) != labels)[:3]
    return Report(
        title="nin: runs/animals",
        classes=classes,
        history=history(),
        evaluation=evaluation,
        split="validation",
        warnings=result_warnings(evaluation, shared_pictures=3),
        mistakes=tuple(example(logits[i], int(labels[i]), int(i), side) for i in wrong),
        examples=tuple(example(logits[i], int(labels[i]), int(i), side) for i in range(3)),
        facts={
            "Data": [("source", "/home/you/photos"), ("classes", str(len(classes)))],
            "Network": [("parameters", "966,986")],
            "Training": [("epochs", "12 of 12"), ("seed", "0")],
            "Machine": [("torch", "2.13.0+cpu")],
        },
        commands=("nin predict runs/animals/model 'photos/a b.jpg'", "nin evaluate runs/animals/model photos"),
        resume="nin train --resume runs/animals",
    )
