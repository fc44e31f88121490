"""Network in Network (Lin, Chen, Yan 2013): the small image classifier you can see through.

    import nin

    run = nin.train("photos")                       # a folder of class folders -> runs/photos
    model = nin.load("runs/photos")
    for answer in nin.predict("runs/photos", ["cat.jpg"]):
        print(answer.label, answer.score)

Importing this package is silent and quick; torch is imported by the first name that needs it.
"""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

try:
    import fcntl  # noqa: F401  what every file that is written needs; Windows has none
except ImportError:
    _line = "nin runs on Linux and macOS; on Windows use it inside WSL: https://learn.microsoft.com/windows/wsl"
    _program = os.path.splitext(os.path.basename(sys.argv[0]))[0] in ("nin", "-m")  # noqa: PTH119, PTH122
    raise (SystemExit(f"nin: {_line}") if _program else ImportError(_line)) from None

from nin.errors import NinError

__version__ = "0.1.0"

if TYPE_CHECKING:
    from nin.bundle.shipped import shipped
    from nin.cli.calls import batch, resume, train
    from nin.deploy.engine import Engine, open_engine
    from nin.network.architecture import NIN, list_models
    from nin.network.config import BlockConfig, NINConfig
    from nin.network.layers import GlobalAveragePool2d, MLPConv
    from nin.network.surgery import convolutionize, fully_connect
    from nin.workflows import (
        Listener,
        TrainOptions,
        check,
        evaluate,
        explain,
        export,
        import_model,
        load,
        predict,
        pull,
        push,
        summary,
    )
    from nin.workflows.loaded import create_model

__all__ = [
    "NIN",
    "BlockConfig",
    "Engine",
    "GlobalAveragePool2d",
    "Listener",
    "MLPConv",
    "NINConfig",
    "NinError",
    "TrainOptions",
    "__version__",
    "batch",
    "check",
    "convolutionize",
    "create_model",
    "evaluate",
    "explain",
    "export",
    "fully_connect",
    "import_model",
    "list_models",
    "load",
    "open_engine",
    "predict",
    "pull",
    "push",
    "resume",
    "shipped",
    "summary",
    "train",
]

_ELSEWHERE = {
    "shipped": "nin.bundle.shipped",
    **dict.fromkeys(("Engine", "open_engine"), "nin.deploy.engine"),
    **dict.fromkeys(("batch", "resume", "train"), "nin.cli.calls"),
    "create_model": "nin.workflows.loaded",
    **dict.fromkeys(("NIN", "list_models"), "nin.network.architecture"),
    **dict.fromkeys(("BlockConfig", "NINConfig"), "nin.network.config"),
    **dict.fromkeys(("GlobalAveragePool2d", "MLPConv"), "nin.network.layers"),
    **dict.fromkeys(("convolutionize", "fully_connect"), "nin.network.surgery"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'nin' has no attribute {name!r}")
    value = getattr(import_module(_ELSEWHERE.get(name, "nin.workflows")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
