"""The user's journeys: the only glue between rooms and disk, used by the command line and the Python API alike.

Importing this package is cheap; each journey imports what it needs when it is called.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nin.workflows.options import BatchOptions, ExportOptions, ImportOptions, Listener, ServeOptions, TrainOptions

if TYPE_CHECKING:
    from nin.workflows.answers import Bench, Explanation, Export, Imported, Measured, Prediction, RunResult
    from nin.workflows.batching import Batched, batch
    from nin.workflows.benching import bench
    from nin.workflows.checkup import Finding, doctor
    from nin.workflows.claiming import claims, claims_page, reproduce
    from nin.workflows.counting import summary
    from nin.workflows.journeys import (
        check,
        demo,
        evaluate,
        explain,
        explaining,
        export,
        import_model,
        load,
        predict,
        resume,
        train,
    )
    from nin.workflows.serving import serve
    from nin.workflows.sharing import Shared, pull, push
    from nin.workflows.using import Classifier

__all__ = [
    "BatchOptions",
    "Batched",
    "Bench",
    "Classifier",
    "Explanation",
    "Export",
    "ExportOptions",
    "Finding",
    "ImportOptions",
    "Imported",
    "Listener",
    "Measured",
    "Prediction",
    "RunResult",
    "ServeOptions",
    "Shared",
    "TrainOptions",
    "batch",
    "bench",
    "check",
    "claims",
    "claims_page",
    "demo",
    "doctor",
    "evaluate",
    "explain",
    "explaining",
    "export",
    "import_model",
    "load",
    "predict",
    "pull",
    "push",
    "reproduce",
    "resume",
    "serve",
    "summary",
    "train",
]

_ELSEWHERE = {
    **dict.fromkeys(("Bench", "Explanation", "Export", "Imported", "Measured", "Prediction", "RunResult"), "answers"),
    **dict.fromkeys(("Finding", "doctor"), "checkup"),
    **dict.fromkeys(("claims", "claims_page", "reproduce"), "claiming"),
    **dict.fromkeys(("Shared", "pull", "push"), "sharing"),
    **dict.fromkeys(("Batched", "batch"), "batching"),
    "Classifier": "using",
    "bench": "benching",
    "summary": "counting",
    "serve": "serving",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ELSEWHERE.get(name, 'journeys')}"), name)
