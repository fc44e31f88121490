"""Softmax regression with an L2 penalty: the one minimum of a convex function, found by L-BFGS (numpy).

Legend: N pictures, F features, K classes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PENALTY = 0.1  # times half the squared weights of standardised features; 0.03 to 0.3 are alike (docs/log.md)
SMALLEST = 1e-3  # of the features' root mean square: a standard deviation below it is taken for this; ours
PRECISION = 1e-7  # largest slope at the end: weights are then exact to 1e-4 and better
MOST_STEPS = 2000
MEMORY = 10  # pairs that L-BFGS keeps (Nocedal and Wright 2006, algorithm 7.4)
ENOUGH = 1e-4  # of the slope, that a step must win (Armijo; Nocedal and Wright 2006, section 3.1)
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LinearHead:
    """A 1x1 layer: logits (N, K) are features (N, F) times weight (K, F) transposed, plus bias (K,)."""

    weight: Floats
    bias: Floats

    def logits(self, features: np.ndarray) -> Floats:
        """(N, F) -> (N, K)."""
        return np.asarray(features, np.float64) @ self.weight.T + self.bias

    def maps(self, maps: np.ndarray) -> np.ndarray:
        """Maps (F, h, w) of one picture -> its class maps (K, h, w) float32, whose means are the logits."""
        found = np.tensordot(self.weight, np.asarray(maps, np.float64), 1) + self.bias[:, None, None]
        return np.asarray(found, np.float32)


def fit_head(features: np.ndarray, labels: np.ndarray, classes: int, *, penalty: float = PENALTY) -> LinearHead:
    """The head that minimises the mean loss, every class weighing alike, plus penalty/2 times its squared weights.

    features (N, F), labels (N,) in 0..classes-1, a picture of every class at least. The penalty is on the weights of
    standardised features; what is returned is for the features as they are. The same minimum as scikit-learn's
    LogisticRegression(C=1 / (penalty * N), class_weight="balanced") on the same standardised features.
    """
    x = np.asarray(features, np.float64)
    mean, scale = standards(x)
    z = (x - mean) / scale
    counts = np.bincount(labels, minlength=classes)
    shares = 1 / (classes * counts[labels])  # (N,): every class weighs alike, all together 1
    target = np.eye(classes)[labels]  # (N, K)
    width = z.shape[1]

    def loss(flat: Floats) -> tuple[float, Floats]:
        weight = flat[: classes * width].reshape(classes, width)
        logits = z @ weight.T + flat[classes * width :]  # (N, K)
        logits -= logits.max(1, keepdims=True)
        powers = np.exp(logits)
        sums = powers.sum(1, keepdims=True)
        mean_loss = shares @ (np.log(sums[:, 0]) - (logits * target).sum(1))
        slope = (powers / sums - target) * shares[:, None]  # (N, K)
        total = mean_loss + penalty / 2 * np.square(weight).sum()
        return float(total), np.concatenate([(slope.T @ z + penalty * weight).ravel(), slope.sum(0)])

    flat = minimum(loss, np.zeros(classes * (width + 1)))
    weight = flat[: classes * width].reshape(classes, width) / scale
    return LinearHead(weight, flat[classes * width :] - weight @ mean)


def standards(features: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation (F,) of features (N, F); of those that hardly move, a small one of their own."""
    mean = features.mean(0)
    least = SMALLEST * float(np.sqrt(np.square(features).mean()))
    return mean, np.maximum(features.std(0), least or 1.0)


def minimum(function: Callable[[Floats], tuple[float, Floats]], start: Floats) -> Floats:
    """Where a smooth strictly convex function, which gives its value and its gradient, is least: L-BFGS."""
    x = start
    value, slope = function(x)
    moves: list[tuple[Floats, Floats, float]] = []  # (step, change of the gradient, 1 / their product)
    for _ in range(MOST_STEPS):
        if np.abs(slope).max() <= PRECISION:
            break
        way = -_times_inverse_curvature(slope, moves)
        size = 1.0 if moves else min(1.0, 1 / float(np.abs(slope).sum()))
        gain = float(slope @ way)
        while True:
            there = x + size * way
            new, new_slope = function(there)
            if new <= value + ENOUGH * size * gain or size < 1e-12:
                break
            size /= 2
        step = there - x
        change = new_slope - slope
        bend = float(step @ change)
        if bend <= 0:  # rounding is all that is left to win
            break
        moves = [*moves[1 - MEMORY :], (step, change, 1 / bend)]
        x, value, slope = there, new, new_slope
    return x


def _times_inverse_curvature(slope: Floats, moves: list[tuple[Floats, Floats, float]]) -> Floats:
    """The gradient times L-BFGS's picture of the inverse Hessian."""
    q = slope.copy()
    shares = []
    for step, change, rho in reversed(moves):
        share = rho * float(step @ q)
        shares.append(share)
        q -= share * change
    if moves:
        step, change, rho = moves[-1]
        q /= rho * float(change @ change)
    for (step, change, rho), share in zip(moves, reversed(shares), strict=True):
        q += (share - rho * float(change @ q)) * step
    return q
