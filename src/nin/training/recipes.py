"""Frozen recipes: everything that decides a training run besides network, data and machine."""

import math
from dataclasses import dataclass, field, replace

from nin.data.augment import Augmentation
from nin.errors import UsageError

BALANCE = ("none", "weights", "sampler")


@dataclass(frozen=True)
class Recipe:
    """SGD with Nesterov momentum; the learning rate rises linearly to `lr` and falls linearly to zero.

    warmup: share of the run in which the learning rate rises. weight_decay acts on weights, not on biases and norms.
    balance: "weights" (loss weighted by inverse class frequency) or "sampler" (classes drawn equally often).
    patience: stop after so many epochs without a lower validation loss and take the best epoch; None runs to the end
    and takes the last one. max_seconds: the schedule shrinks so that training ends in time (not bit-reproducible).
    """

    epochs: int
    batch_size: int = 64
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup: float = 0.15
    label_smoothing: float = 0.1
    augmentation: Augmentation = field(default_factory=Augmentation)
    balance: str = "none"
    patience: int | None = None
    max_seconds: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, lowest in (("epochs", 1), ("batch_size", 1), ("patience", 1)):
            value = getattr(self, name)
            if value is not None and value < lowest:
                raise UsageError(f"{name}={value} is too small; the least is {lowest}")
        for name in ("lr", "max_seconds"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise UsageError(f"{name}={value} is not a positive number")
        if self.balance not in BALANCE:
            raise UsageError(f"balance={self.balance!r} is unknown; use one of {', '.join(BALANCE)}")

    def rate(self, progress: float) -> float:
        """The learning rate at `progress` in [0, 1] of the run."""
        if progress < self.warmup:
            return self.lr * progress / self.warmup
        return self.lr * max(0.0, 1 - progress) / (1 - self.warmup)


COLOUR_SAMPLES, GREY_SAMPLES = 400_000, 275_000  # training pictures shown in a default run on a large data set; ours
FEWEST, MOST = 5, 80  # bounds of the default number of epochs; ours
SMALL = 10_000  # pictures; below this steps are what is short, so batches are small; ours
LONG = 20  # epochs; from here on a run is long enough to profit from strong augmentation; ours


def default_recipe(count: int, *, flip: bool, colour: bool) -> Recipe:
    """The recipe of `nin train` for `count` training pictures. Source: ours, experiments/2026-11-23-default-recipe.

    flip: whether a mirrored picture is as good as the picture. colour: whether the pictures have colours to vary.
    """
    epochs = min(MOST, max(FEWEST, round((COLOUR_SAMPLES if colour else GREY_SAMPLES) / count)))
    vary = Augmentation(flip=flip, shift=0.1)
    if epochs >= LONG:
        vary = replace(vary, zoom=0.25, aspect=0.15, rotate=10, colour=0.2 if colour else 0.0)
    if count < SMALL:
        return Recipe(epochs, batch_size=32, lr=0.06, augmentation=vary)
    return Recipe(epochs, batch_size=64, lr=0.1, augmentation=vary)


def smoke(epochs: int = 1) -> Recipe:
    """The smallest recipe that trains at all, for trying things out."""
    return replace(default_recipe(1_000, flip=False, colour=False), epochs=epochs, batch_size=32)
