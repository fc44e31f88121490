"""What the report of a run shows: plain content, before any of it is markup."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nin.training.evaluation import Evaluation


@dataclass(frozen=True, eq=False)
class Example:
    """One picture and what the network makes of it.

    pixels: (H, W, 1|3|4) uint8 as the network sees it. true: its class, None when not known. probabilities and
    logits: (K,). maps: (K, h, w), whose means are the logits; None when the network gives no maps. path: where the
    picture lies, where it is a file.
    """

    pixels: NDArray[np.uint8]
    name: str
    true: int | None
    probabilities: NDArray[np.floating]
    logits: NDArray[np.floating]
    maps: NDArray[np.floating] | None = None
    path: str | None = None

    @property
    def answer(self) -> int:
        """The likeliest class."""
        return int(self.probabilities.argmax())


@dataclass(frozen=True)
class Effort:
    """How long was trained: epochs done, epochs that the recipe has by default, and the budget of time, if any."""

    epochs: int
    usual: int
    max_time: str | None = None


@dataclass(frozen=True, eq=False)
class Report:
    """Everything the page shows.

    history: one dict per epoch with epoch, train_loss, train_accuracy, val_loss, val_accuracy, lr (others are not
    drawn). split: where the evaluation was made, "validation" or "test". facts: sections of (what, value). commands:
    what to type next. resume: the command that goes on training. chose_epoch: the pictures measured decided which
    epoch was kept. suspects: pictures whose label may be wrong, None where nobody looked. effort: where it was short.
    """

    title: str
    classes: Sequence[str]
    history: Sequence[dict[str, Any]]
    evaluation: Evaluation
    split: str
    warnings: Sequence[str] = ()
    mistakes: Sequence[Example] = ()
    examples: Sequence[Example] = ()
    facts: dict[str, list[tuple[str, str]]] | None = None
    chose_epoch: bool = False
    commands: Sequence[str] = ()
    resume: str | None = None
    suspects: Sequence[Example] | None = None
    effort: Effort | None = None
