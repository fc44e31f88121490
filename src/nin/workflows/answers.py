"""What the journeys give back: plain frozen records (torch-free)."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nin.training.evaluate import Evaluation


@dataclass(frozen=True)
class RunResult:
    """A finished run: where it lies, how good it is, what to know and what to type next."""

    folder: Path
    model: Path
    evaluation: "Evaluation"
    split: str
    warnings: tuple[str, ...]
    commands: tuple[str, ...]
    summary: dict[str, Any]

    def __fspath__(self) -> str:
        """The run folder, so that whatever takes a model's path takes the run itself."""
        return str(self.folder)


@dataclass(frozen=True)
class Prediction:
    """The answer for one picture; `scores` holds every class, likeliest first. `error` is set when there is none;
    `notes`: what is to be known of the picture, one line each. `unlike`: it is unlike the training pictures, and so
    unknown whatever its score."""

    file: str
    label: str | None
    score: float | None
    unknown: bool
    scores: tuple[tuple[str, float], ...]
    ms: float
    error: str | None = None
    notes: tuple[str, ...] = ()
    unlike: bool = False


@dataclass(frozen=True)
class Explanation:
    """A picture of the class maps of one picture: where it lies, and (label, logit, probability) of the top classes."""

    file: str
    png: Path
    classes: tuple[tuple[str, float, float], ...]
    identity_error: float


@dataclass(frozen=True)
class Measured:
    """An evaluation, the split it was made on, what is to be known of it, and what computed.

    split: train, validation or test, or unseen for pictures of which some were held out and some are new.
    training_pictures: how many of those measured the model was trained on; None where that cannot be told.
    """

    evaluation: "Evaluation"
    split: str
    notes: tuple[str, ...]
    computed_by: str
    warnings: tuple[str, ...] = ()
    training_pictures: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """The numbers as JSON values, with the split and the number of training pictures."""
        return {**self.evaluation.to_dict(), "split": self.split, "training_pictures": self.training_pictures}


@dataclass(frozen=True)
class Imported:
    """A foreign network understood, and the model folder made of it where there were weights.

    lines: (where it stands, what it says there, what it is here); recipe: how it was trained, if the files tell;
    pictures: what the network expects, in words; files: (name, SHA-256); missing: why there is no model folder.
    """

    source: str
    network: dict[str, Any]
    parameters: int
    lines: tuple[tuple[str, str, str], ...]
    recipe: dict[str, Any] | None
    pictures: str
    files: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    missing: str | None = None
    model: Path | None = None


@dataclass(frozen=True)
class Export:
    """A file that was exported and proven: where it and its certificate lie, and what the certificate says."""

    file: Path
    certificate: Path
    format: str
    bytes: int
    parity: dict[str, Any]


@dataclass(frozen=True)
class Bench:
    """How fast one form of a model answers here: what computed, bytes of its weights or file, milliseconds of single
    pictures by percentile, pictures a second by pictures at a time, and its accuracy on n pictures if measured, with
    what is to be known of these."""

    model: str
    computed_by: str
    bytes: int
    milliseconds: dict[str, float]
    images_per_second: dict[int, float]
    accuracy: float | None
    n: int
    notes: tuple[str, ...] = ()
