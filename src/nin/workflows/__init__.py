"""The user's journeys: the only glue between rooms and disk, used by the command line and the Python API alike.

Importing this package is cheap; each journey imports what it needs when it is called.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nin.errors import MissingExtra
from nin.workflows.options import Listener, TrainOptions

if TYPE_CHECKING:
    from nin.workflows.checkup import Finding, doctor
    from nin.workflows.training import RunResult, demo, resume, train
    from nin.workflows.using import (
        Classifier,
        Explanation,
        Measured,
        Prediction,
        check,
        evaluate,
        explain,
        load,
        predict,
        summary,
    )

__all__ = [
    "Classifier",
    "Explanation",
    "Finding",
    "Listener",
    "Measured",
    "Prediction",
    "RunResult",
    "TrainOptions",
    "check",
    "demo",
    "doctor",
    "evaluate",
    "explain",
    "load",
    "predict",
    "resume",
    "summary",
    "train",
]

_ELSEWHERE = {
    **dict.fromkeys(("Finding", "doctor"), "checkup"),
    **dict.fromkeys(("RunResult", "demo", "resume", "train"), "training"),
}
EXTRAS = {"torch": "train", "matplotlib": "train", "sklearn": "train"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{_ELSEWHERE.get(name, 'using')}"), name)
    except ModuleNotFoundError as error:
        root = (error.name or "").partition(".")[0]
        if root not in EXTRAS:
            raise
        raise MissingExtra(
            f'this needs {root}, which is not installed: pip install "network-in-network[{EXTRAS[root]}]" '
            "(without a GPU, torch's CPU build is enough: --extra-index-url https://download.pytorch.org/whl/cpu)"
        ) from None
