"""A run under way, and what a finished one gives back."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nin.data.augment import augment
from nin.data.randomness import order
from nin.data.splits import Arrays, Files, Source
from nin.run.options import TrainOptions
from nin.run.plan import Plan
from nin.training.batch_norm import ghost_batches
from nin.training.evaluation import Evaluation
from nin.training.loop import Trainer
from nin.training.state import Pictures
from nin.training.tensors import to_tensor


@dataclass(frozen=True)
class Run:
    """A run under way: its pictures, its options, its plan and its trainer."""

    folder: Path
    source: Source
    options: TrainOptions
    plan: Plan
    trainer: Trainer
    held_out: dict[str, Pictures]  # "validation" and, where the data has one, "test"
    kept: dict[str, np.ndarray]  # (N,) int64: where each held-out picture stands in its split
    shared: dict[str, int] | None  # by split, held-out pictures that are training pictures too; None: not searched for
    digests: dict[str, np.ndarray]  # of the pictures of each split, but those of a streamed train

    def name(self, split: str, index: int) -> str:
        """What to call a held-out picture: its file's name, or its number."""
        return self.source.short_name(split, int(self.kept[split][index]))

    def path(self, split: str, index: int) -> str | None:
        """Where a held-out picture lies: its file, or its place in a shard; None where it is a row of an array."""
        part = self.source.splits[split]
        row = int(self.kept[split][index])
        if isinstance(part.stored, Files):
            return str(part.stored.paths[row].absolute())
        return None if isinstance(part.stored, Arrays) else part.name(row)


@dataclass(frozen=True)
class RunResult:
    """A finished run: where it lies, how good it is, what to know and what to type next."""

    folder: Path
    model: Path
    evaluation: Evaluation
    split: str
    warnings: tuple[str, ...]
    commands: tuple[str, ...]
    summary: dict[str, Any]

    def __fspath__(self) -> str:
        """The run folder, so that whatever takes a model's path takes the run itself."""
        return str(self.folder)


def batch_in_words(plan: Plan) -> str:
    """How many pictures a step has and, where these are not normalised together, how many are."""
    recipe = plan.recipe
    sizes = ghost_batches(recipe.batch_size, recipe.statistics_batch)
    if plan.network.norm is None or len(sizes) == 1:
        return str(recipe.batch_size)
    return f"{recipe.batch_size}, normalised in parts of {' or '.join(map(str, sorted(set(sizes))))}"


def first_batch(run: Run, count: int = 64) -> Pictures:
    """The first training pictures as the network sees them, augmented; (N, H, W, C) uint8 for people, N <= `count`."""
    recipe = run.plan.recipe
    pre = run.plan.preprocess
    data = run.trainer.data
    chosen = order(recipe.seed, 0, len(data))[:count]
    # (N, C, H, W), augmented as in the first epoch
    x = augment(to_tensor(data.images[chosen], pre, "cpu"), chosen, recipe.augmentation, seed=recipe.seed, epoch=0)
    return Pictures(pre.show(x.numpy()), data.labels[chosen])
