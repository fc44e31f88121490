"""Parameters that several commands share, and their checks."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from nin.bundle.shipped import shipped
from nin.choices import chosen
from nin.cli.screen import Screen
from nin.errors import UsageError
from nin.run.options import TOP, Device

DATA = "A folder of class folders or tar shards, a CSV or JSONL table, NPZ, IDX, CIFAR or SVHN files."
DIVIDE = "Folders, or values of a table's split column, that are splits: test=fold_4; none: all are classes."
FOLLOW_LINKS = "Read links to pictures and folders elsewhere."
FOREIGN = "The files of one network: definitions (cuda-convnet, Caffe) or weights (Caffe, PyTorch, safetensors)."
MODEL = f"A model folder, the run folder that holds it, or a model of the package: {', '.join(shipped())}."
NETWORK = "A network's name, ours or another (googlenet, vgg16), a network file, or a model; by default nin."

Model = Annotated[str, Parameter(help=MODEL)]
ModelOrExport = Annotated[str, Parameter(help=MODEL.replace("or a model", "an exported .onnx file, or a model"))]
Data = Annotated[Path, Parameter(help=DATA)]
Pictures = Annotated[str, Parameter(help="Pictures, folders, globs in quotes, or - for one picture on standard input.")]
Top = Annotated[int, Parameter(help="How many classes to show for a picture, likeliest first.")]
Json = Annotated[bool, Parameter(help="Print JSON.")]
ComputeDevice = Annotated[Device, Parameter(help="Where to compute.")]
SkipUnreadable = Annotated[bool, Parameter(help="Leave out pictures that cannot be read instead of stopping.")]
Divide = Annotated[str | None, Parameter(help=DIVIDE)]
FollowLinks = Annotated[bool, Parameter(help=FOLLOW_LINKS)]
Output = Annotated[Screen, Parameter(parse=False)]  # where the command prints; not an option


def check_pictures(command: str, what: str, inputs: Sequence[str], top: int, screen: Screen) -> None:
    """Raise UsageError where no picture is named or --top is out of range; note it when one is read from a keyboard."""
    if not inputs:
        raise UsageError(f"nin {command} needs {what}: pictures, folders, globs in quotes, or - for standard input")
    chosen("top", top, int, TOP)
    if "-" in inputs and sys.stdin is not None and sys.stdin.isatty():
        screen.note("reading one picture from the keyboard; give its file's name instead, or end with Ctrl-D")


def picture_size(text: str | None) -> tuple[int, int, int] | None:
    """--input such as 3x64x64 as (channels, height, width); None where it is not given."""
    if text is None:
        return None
    sizes = text.lower().split("x")
    if len(sizes) != 3 or not all(size.isdecimal() for size in sizes):
        raise UsageError(f'--input is "{text}"; expected channels x height x width, such as 3x64x64')
    channels, height, width = (int(size) for size in sizes)
    return channels, height, width
