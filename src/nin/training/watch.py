"""The watch over the first steps of a run: when the network is checked, on which pictures, and what came before.

It is checked before the first step and, until the loss falls, every WINDOW steps up to LAST. What a check needs to
remember stands in the run's position, so that an interrupted run finds the same; a check draws no random number.
N pictures, H x W pixels, C channels, K classes.
"""

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from functools import cached_property
from itertools import pairwise

import numpy as np
from torch import Tensor

from nin.data.randomness import order
from nin.data.stream import Images
from nin.training.guard import FADE, LEAST_PULL, WINDOW, Cause, Diagnosis, EarlierProbe, History, Probe, diagnose, probe
from nin.training.state import State

LAST = 200  # steps; a run that has not started by then is checked no more
PROBED = 16  # pictures of a check: nine checks cost less than 1 % of 200 steps of 128; ours
ASKED = 10  # classes, the commonest, on whose pictures `related` judges the labels
MOST = 150  # pictures of each of them
FEWEST = 100  # pictures without which nothing is judged
GRID = 8  # places a side of the simple features
EPOCHS = 3  # all of them with dead classes: such a start is dead; ours, experiments/2026-11-24-author-starts
SURE = 3.0  # standard deviations above guessing that count as better than guessing
OnDiagnosis = Callable[[Diagnosis], None]


class Watch:
    """Checks a run in its first steps and hands what it finds to `on_finding`, on all ranks alike; None: no watch."""

    def __init__(self, state: State, on_finding: OnDiagnosis | None) -> None:
        self.state = state
        self.on_finding = on_finding
        self._pictures: tuple[Tensor, Tensor] | None = None

    def before_first_step(self) -> None:
        """Check a run that has not begun yet."""
        if self.on_finding is not None and not self._done and not self.state.position.looks:
            self._check()

    def after_step(self, loss: float) -> None:
        """Remember the loss of the step just done, and check when it is time; the position still stands before it."""
        losses = self.state.position.losses
        step = self._done + 1
        if self.on_finding is None or step > LAST or len(losses) != step - 1:
            return  # a checkpoint of an older program may have begun without a watch
        losses.append(loss)
        if math.isfinite(loss) and step % WINDOW and not self._is_last(step):
            return
        history = self._history()
        if not history.falling or history.unseen:
            self._check()

    def after_epoch(self) -> None:
        """Check whether a class has been dead in every epoch: what ReLU shut may open again, but not for ever."""
        at = self.state.position
        classes = self.state.classes
        if self.on_finding is None or self._done < LAST or len(at.history) < EPOCHS:
            return
        if all(epoch.dead_classes for epoch in at.history):
            dead = at.history[-1].dead_classes
            found = f"the logits of {dead} of {classes} classes are 0 for every validation picture"
            self.on_finding(Diagnosis(Cause.LAST_RELU, self._done, found, "the ReLU after their maps has died"))

    @property
    def _done(self) -> int:
        at = self.state.position
        return at.epoch * self.state.steps + at.step

    def _is_last(self, step: int) -> bool:
        """Whether no check comes after the one at this step."""
        return step in (LAST, self.state.steps * self.state.recipe.epochs)

    def _check(self) -> None:
        state = self.state
        at = self.state.position
        if self._pictures is None:
            x, labels = state.pictures(order(state.recipe.seed, 0, len(state.data))[:PROBED])
            if bool((x == x[:1]).all()):  # perhaps by chance: take more of them
                x, labels = state.pictures(np.linspace(0, len(state.data) - 1, MOST).astype(int))
            self._pictures = x, labels
        facts = probe(state.model, *self._pictures)
        found = diagnose(facts, self._history(facts))
        dead = max((layer.dead for layer in facts.layers[:-1]), default=0.0)
        at.looks.append(list(EarlierProbe(len(at.losses), facts.logit_std, dead)))
        text = state.team.broadcast_text(json.dumps(None if found is None else asdict(found)))  # rank 0 decides for all
        if (diagnosis := json.loads(text)) is not None:
            assert self.on_finding is not None
            self.on_finding(Diagnosis(**{**diagnosis, "cause": Cause(diagnosis["cause"])}))

    def _history(self, facts: Probe | None = None) -> History:
        state = self.state
        at = self.state.position
        recipe = self.state.recipe
        step = len(at.losses)
        total = state.steps * recipe.epochs
        counts = np.bincount(state.data.labels, minlength=state.classes)
        rates = [recipe.rate(s / total) / recipe.lr for s in range(step)]
        return History(
            losses=tuple(at.losses),
            probes=tuple(EarlierProbe(int(s), std, dead) for s, std, dead in at.looks),
            chance=chance(counts, state.class_weights.cpu().numpy(), recipe.label_smoothing, recipe.balance),
            classes=int(np.count_nonzero(counts)),
            rate=recipe.lr,
            travel=sum(rates),
            fade=FADE[recipe.optimizer],
            reach=math.inf if facts is None else self._reach(facts, total),
            unseen=self._unseen(),
            last=self._is_last(step),
            related=lambda: self._related,
        )

    def _reach(self, facts: Probe, total: int) -> float:
        """Share of its norm that the most pulled layer can move in the whole run: rate by rate, pulled as now."""
        recipe = self.state.recipe
        model = self.state.model
        names = {id(p): name for name, p in model.named_parameters() if p.requires_grad}
        pulls = {f"{layer.name}.weight": max(layer.pull, LEAST_PULL) for layer in facts.layers}
        whole = total * float(np.mean([recipe.rate(share) for share in np.linspace(0, 1, 201)]))
        reaches = [0.0]
        for group in self.state.optimizer.param_groups:
            for parameter in group["params"]:
                pull = pulls.get(names.get(id(parameter), ""), 0.0)
                step = float(pull > 0) if group.get("orthogonal") else pull / max(1 - recipe.momentum, 1e-3)
                reaches.append(whole * group.get("scale", 1.0) * step)
        return max(reaches)

    @cached_property
    def _related(self) -> bool | None:
        return related(self.state.data.images, self.state.data.labels)

    def _unseen(self) -> bool:
        at = self.state.position
        labels = self.state.validation.labels
        if not at.history:
            return False
        return max(row.val_accuracy for row in at.history) <= beyond_guessing(labels)


def beyond_guessing(labels: np.ndarray) -> float:
    """The accuracy (0 to 1) on pictures with these labels (N,) above which answers are more than guesses."""
    share = np.bincount(labels).max() / len(labels)
    return float(share + SURE * math.sqrt(share * (1 - share) / len(labels)))


def chance(counts: np.ndarray, weights: np.ndarray, smoothing: float, balance: str) -> float:
    """The lowest mean training loss (nats) of one answer for all pictures; (K,) pictures and loss weights of classes.

    With targets of mean m, weights * frequencies smoothed, it is -sum m ln(m / sum m): the entropy where weights are 1.
    """
    share = (counts > 0) / np.count_nonzero(counts) if balance == "sampler" else counts / counts.sum()
    mean = weights * share
    mean = (1 - smoothing) * mean + smoothing * mean.sum() / len(counts)
    mean = mean[mean > 0]
    return float(-(mean * np.log(mean / mean.sum())).sum())


def related(images: Images, labels: np.ndarray) -> bool | None:
    """Whether simple features of pictures (N, H, W, C) tell their labels (N,) at all; None: too few pictures to say.

    Ridge regression from means and standard deviations of GRID x GRID places, fitted on every second picture of the
    commonest classes and judged on the others: right answers SURE standard deviations above guessing.
    """
    counts = np.bincount(labels)
    asked = np.argsort(-counts, kind="stable")[:ASKED]
    chosen = [np.flatnonzero(labels == label) for label in asked[counts[asked] > 1]]
    chosen = [rows[np.unique(np.linspace(0, len(rows) - 1, min(MOST, len(rows))).astype(int))] for rows in chosen]
    fit = np.concatenate([labels[:0], *(rows[::2] for rows in chosen)]).astype(int)
    judge = np.concatenate([labels[:0], *(rows[1::2] for rows in chosen)]).astype(int)
    if len(judge) < FEWEST or len(chosen) < 2:
        return None
    known, asked_for = _features(images[fit]), _features(images[judge])
    mean, std = known.mean(0), known.std(0) + 1e-6
    known, asked_for = (known - mean) / std, (asked_for - mean) / std
    targets = (labels[fit][:, None] == asked[None]).astype(float)
    gram = known @ known.T / known.shape[1]  # (fitted, fitted)
    solved = np.linalg.solve(gram + np.eye(len(fit)), targets - targets.mean(0))
    guesses = asked[(asked_for @ known.T / known.shape[1] @ solved + targets.mean(0)).argmax(1)]
    return bool((guesses == labels[judge]).mean() > beyond_guessing(labels[judge]))


def _features(images: np.ndarray) -> np.ndarray:
    """(N, H, W, C) uint8 -> (N, F) float64: mean and standard deviation of GRID x GRID blocks of every channel."""
    rows, columns = (np.linspace(0, side, GRID + 1).astype(int) for side in images.shape[1:3])
    found = []
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            block = images[:, top:bottom, left:right].astype(np.float64)
            found += [block.mean((1, 2)), block.std((1, 2))]
    return np.concatenate(found, axis=1)
