"""Parameters that several commands share: their types and the words that help pages say about them."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from nin.bundle.shipped import shipped
from nin.cli.screen import Screen
from nin.workflows.options import Device

DATA = "A folder of class folders or tar shards, a CSV or JSONL table, NPZ, IDX, CIFAR or SVHN files."
MODEL = f"A model folder, the run folder that holds it, or a model of the package: {', '.join(shipped())}."
NETWORK = "A network's name, of ours or what it is compared with (googlenet, vgg16), or a model; by default nin."

Model = Annotated[str, Parameter(help=MODEL)]
Data = Annotated[Path, Parameter(help=DATA)]
Pictures = Annotated[str, Parameter(help="Pictures, folders, globs in quotes, or - for one picture on standard input.")]
Top = Annotated[int, Parameter(help="How many classes to show for a picture, likeliest first.")]
Json = Annotated[bool, Parameter(help="Print JSON.")]
Processor = Annotated[Device, Parameter(help="Where to compute.")]
Skip = Annotated[bool, Parameter(help="Leave out pictures that cannot be read instead of stopping.")]
Words = Annotated[Screen, Parameter(parse=False)]
