"""Frozen recipes: everything that decides a training run besides network, data and machine."""

import math
from dataclasses import dataclass, field, replace

from nin.data.augment import Augmentation
from nin.errors import UsageError

BALANCE = ("none", "weights", "sampler")
OPTIMIZERS = ("sgd", "muon")
LEAST = {"epochs": 1, "batch_size": 1, "statistics_batch": 2, "patience": 1, "files": 1}


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; the learning rate rises linearly to `lr` and falls linearly to zero.

    steps: instead of that the rate begins at `lr` and is divided by ten after these shares of the run.

    optimizer: "sgd" (Nesterov momentum) or "muon": steps with orthogonal updates for the convolutions, `lr` being their
    size relative to the weights, and SGD with at most `other_lr` for biases, normalisations and the last layer.
    nesterov: whether SGD's momentum looks ahead. bias_rate, last_rate, last_bias_rate: SGD's rates, multiples of `lr`,
    for biases and normalisations, for the last layer's weights and for its biases.
    warmup: share of the run in which the rate rises. weight_decay acts on weights, not on biases and norms; under Muon
    only on those that no normalisation follows.
    statistics_batch: pictures whose mean and variance batch normalisation takes together: a batch is divided into as
    many equal parts as have at least so many pictures (ghost batch normalisation, Hoffer et al. 2017). It decides what
    is learnt, however many threads, processes or GPUs compute it; networks without batch normalisation ignore it.
    files: None shuffles the pictures in every epoch and leaves the last, incomplete batch to another one. A number
    takes them as they stand, in files of so many pictures, each of which may end with a small batch.
    balance: "weights" (loss weighted by inverse class frequency) or "sampler" (classes drawn equally often).
    patience: stop after so many epochs without a lower validation loss and take the best epoch; None runs to the end
    and takes the last one. max_seconds: training ends then; where steps are late, the schedule follows the clock (not
    bit-reproducible).
    """

    epochs: int
    batch_size: int = 64
    statistics_batch: int = 64  # what two threads always had, in batches of 64, 128 and 256: docs/log.md
    optimizer: str = "sgd"
    lr: float = 0.1
    other_lr: float = 0.06
    momentum: float = 0.9
    weight_decay: float = 5e-4
    nesterov: bool = True
    bias_rate: float = 1.0
    last_rate: float = 1.0
    last_bias_rate: float = 1.0
    warmup: float = 0.15
    steps: tuple[float, ...] = ()
    files: int | None = None
    label_smoothing: float = 0.1
    augmentation: Augmentation = field(default_factory=Augmentation)
    balance: str = "none"
    patience: int | None = None
    max_seconds: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, lowest in LEAST.items():
            value = getattr(self, name)
            if value is not None and value < lowest:
                raise UsageError(f"{name}={value} is too small; the least is {lowest}")
        for name in ("lr", "other_lr", "bias_rate", "last_rate", "last_bias_rate", "max_seconds"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise UsageError(f"{name}={value} is not a positive number")
        for name, allowed in (("balance", BALANCE), ("optimizer", OPTIMIZERS)):
            if getattr(self, name) not in allowed:
                raise UsageError(f"{name}={getattr(self, name)!r} is unknown; use one of {', '.join(allowed)}")

    def rate(self, progress: float) -> float:
        """The learning rate at `progress` in [0, 1] of the run."""
        if self.steps:
            return self.lr * 0.1 ** sum(progress >= step for step in self.steps)
        if progress < self.warmup:
            return self.lr * progress / self.warmup
        return self.lr * max(0.0, 1 - progress) / (1 - self.warmup)


# Training pictures shown in a default run; all of these: ours, docs/log.md.
SMALL_SAMPLES = 300_000
COLOUR_SAMPLES = 700_000
GREY_SAMPLES = 275_000
FEWEST = 5  # epochs of a default run
MOST = 200
SMALL = 10_000  # pictures; a smaller set is seen so often that it must be augmented, and its steps are worth more
LONG = 20  # epochs from which a small set profits from moderate augmentation
MANY = 200_000  # pictures shown from which it profits from strong augmentation


def default_recipe(count: int, *, flip: bool, colour: bool, epochs: int | None = None) -> Recipe:
    """The recipe of `nin train` for `count` training pictures; small sets are augmented more the longer the run.

    flip: whether a mirrored picture is as good as the picture. colour: whether the pictures have colours to vary.
    epochs: as the user wishes, else decided by `count`. Source: ours, docs/log.md.
    """
    samples = SMALL_SAMPLES if count < SMALL else COLOUR_SAMPLES if colour else GREY_SAMPLES
    epochs = epochs or min(MOST, max(FEWEST, round(samples / count)))
    augmentation = Augmentation(flip=flip, shift=0.1)
    recipe = Recipe(epochs, augmentation=augmentation)
    if count >= SMALL:
        recipe = replace(recipe, optimizer="muon", batch_size=256, lr=0.03, warmup=0.1)
        return replace(recipe, lr=0.02, augmentation=replace(augmentation, erase=0.25)) if epochs >= LONG else recipe
    if epochs >= LONG:
        augmentation = replace(augmentation, zoom=0.25, aspect=0.15, rotate=10, colour=0.2 if colour else 0.0)
    recipe = replace(recipe, optimizer="muon", lr=0.02, augmentation=augmentation)
    if epochs >= LONG and colour and epochs * count >= MANY:
        strong = replace(augmentation, zoom=0.3, widen=0.1, aspect=0.2, colour=0.3, cutmix=0.5)
        recipe = replace(recipe, weight_decay=1e-3, augmentation=strong)
    return recipe
