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
from nin.version import __version__

if TYPE_CHECKING:
    from nin.bundle.hub import pull, push
    from nin.bundle.shipped import shipped
    from nin.cli.calls import batch, resume, train
    from nin.commands.check_data import check
    from nin.commands.classifier import load
    from nin.commands.evaluate import evaluate
    from nin.commands.explain import explain
    from nin.commands.export import export
    from nin.commands.predict import predict
    from nin.commands.summary import summary
    from nin.commands.torch_runner import create_model
    from nin.engine.engine import Engine, open_engine
    from nin.explorer.publish import publish
    from nin.importers.import_model import import_model
    from nin.network.architecture import NIN
    from nin.network.config import BlockConfig, NINConfig
    from nin.network.layers import GlobalAveragePool2d, MLPConv
    from nin.network.named import list_models
    from nin.network.surgery import convolutionize, fully_connect
    from nin.run.options import Listener, TrainOptions
    from nin.teaching.teach import teach
    from nin.teaching.teach_options import TeachOptions

__all__ = [
    "NIN",
    "BlockConfig",
    "Engine",
    "GlobalAveragePool2d",
    "Listener",
    "MLPConv",
    "NINConfig",
    "NinError",
    "TeachOptions",
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
    "publish",
    "pull",
    "push",
    "resume",
    "shipped",
    "summary",
    "teach",
    "train",
]

_ELSEWHERE = {
    **dict.fromkeys(("pull", "push"), "nin.bundle.hub"),
    "shipped": "nin.bundle.shipped",
    **dict.fromkeys(("batch", "resume", "train"), "nin.cli.calls"),
    "check": "nin.commands.check_data",
    "load": "nin.commands.classifier",
    "evaluate": "nin.commands.evaluate",
    "explain": "nin.commands.explain",
    "export": "nin.commands.export",
    "predict": "nin.commands.predict",
    "summary": "nin.commands.summary",
    "create_model": "nin.commands.torch_runner",
    **dict.fromkeys(("Engine", "open_engine"), "nin.engine.engine"),
    "publish": "nin.explorer.publish",
    "import_model": "nin.importers.import_model",
    "NIN": "nin.network.architecture",
    **dict.fromkeys(("BlockConfig", "NINConfig"), "nin.network.config"),
    **dict.fromkeys(("GlobalAveragePool2d", "MLPConv"), "nin.network.layers"),
    "list_models": "nin.network.named",
    **dict.fromkeys(("convolutionize", "fully_connect"), "nin.network.surgery"),
    **dict.fromkeys(("Listener", "TrainOptions"), "nin.run.options"),
    "TeachOptions": "nin.teaching.teach_options",
    "teach": "nin.teaching.teach",
}  # name -> its module, imported when the name is first asked for


def __getattr__(name: str) -> Any:
    if name not in _ELSEWHERE:
        raise AttributeError(f"module 'nin' has no attribute {name!r}")
    value = getattr(import_module(_ELSEWHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
