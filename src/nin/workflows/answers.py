"""What the journeys give back: plain frozen records (torch-free)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nin.training.evaluate import Evaluation


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


@dataclass(frozen=True)
class Prediction:
    """The answer for one picture; `scores` holds every class, likeliest first. `error` is set when there is none."""

    file: str
    label: str | None
    score: float | None
    unknown: bool
    scores: tuple[tuple[str, float], ...]
    ms: float
    error: str | None = None


@dataclass(frozen=True)
class Explanation:
    """A picture of the class maps of one picture: where it lies, and (label, logit, probability) of the top classes."""

    file: str
    png: Path
    classes: tuple[tuple[str, float, float], ...]
    identity_error: float


@dataclass(frozen=True)
class Measured:
    """An evaluation and the split it was made on."""

    evaluation: Evaluation
    split: str
    notes: tuple[str, ...]
