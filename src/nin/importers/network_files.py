"""The files of a foreign network, read: what each of them is, and whether they belong together (torch-free)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nin.artifacts import read_bytes
from nin.errors import ArtifactError, ModelError, UsageError, escape_name
from nin.importers.caffe import is_solver
from nin.importers.caffemodel import is_mean_picture
from nin.importers.cuda_convnet import is_definition, read_sections
from nin.importers.file_kinds import PICKLE, ZIP, expect_no_other
from nin.importers.prototxt import Message, parse_prototxt

LARGEST = 256 * 2**20  # bytes: the author's ImageNet weights are 30 MB
LARGEST_TEXT = 4 * 2**20  # bytes of a definition
CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a]")  # what no text holds and every file of Caffe's numbers does
UTF16 = (b"\xff\xfe", b"\xfe\xff")  # the beginning of texts that have a line of their own
KINDS = {
    "_def": "cuda-convnet definition",
    "_params": "cuda-convnet hyper-parameters",
    "net": "Caffe network definition",
    "solver": "Caffe solver",
    "caffemodel": "Caffe weights",
    "mean": "Caffe mean picture",
    "torch": "PyTorch weights",
    "safetensors": "safetensors weights",
}


@dataclass(frozen=True)
class File:
    """One file, read: its name for messages, where it lies, what it is, its bytes and, of text, its message."""

    name: str
    path: Path
    kind: str
    data: bytes
    text: str = ""
    message: Message | None = None


def read_network_file(path: Path) -> File:
    """Read a file and see what it is, by its content."""
    name = escape_name(path.name)
    try:
        data = read_bytes(path, limit=LARGEST)
    except ArtifactError as error:
        raise ModelError(str(error)) from error
    expect_no_other(data, name)
    if kind := _binary(data):
        return File(name, path, kind, data)
    text = _text(data, name)
    first = next((line.strip() for line in text.splitlines() if line.strip() and line.strip()[0] not in "#;"), "")
    if first.startswith("["):
        return File(name, path, "_def" if is_definition(read_sections(text, name)) else "_params", data, text)
    message = parse_prototxt(text, name)
    return File(name, path, "solver" if is_solver(message) else "net", data, text, message)


def _binary(data: bytes) -> str:
    """What a file of numbers is, by how it begins; "" for a text."""
    if data.startswith(ZIP) or PICKLE.match(data):
        return "torch"
    if len(data) > 10 and data[8:9] == b"{" and int.from_bytes(data[:8], "little") < len(data):
        return "safetensors"
    if data.startswith(UTF16) or not CONTROLS.search(data):
        return ""
    return "mean" if is_mean_picture(data) else "caffemodel"


def _text(data: bytes, name: str) -> str:
    """The text of a definition file, UTF-8."""
    if data.startswith(UTF16):
        raise ModelError(f"{name} is a text in UTF-16; save it as UTF-8")
    if len(data) > LARGEST_TEXT:
        raise ModelError(f"{name} is a text of {len(data):,} bytes; expected a definition of at most {LARGEST_TEXT:,}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = data[error.start]
        raise ModelError(f"{name}:{line}: byte {byte:#04x} is not UTF-8; save the file as UTF-8") from error


def belonging(files: Sequence[File]) -> dict[str, File]:
    """The files by what they are; UsageError unless they belong to one network."""
    by_kind: dict[str, File] = {}
    for file in files:
        if file.kind in by_kind:
            raise UsageError(
                f"{by_kind[file.kind].name} and {file.name} are both {KINDS[file.kind]}; give the files of one network"
            )
        by_kind[file.kind] = file
    kinds = set(by_kind)
    if not (kinds <= {"_def", "_params"} or kinds <= {"net", "solver", "caffemodel", "mean"} or len(kinds) == 1):
        first, second = list(by_kind.values())[:2]
        raise UsageError(
            f"{first.name} ({KINDS[first.kind]}) and {second.name} ({KINDS[second.kind]}) do not belong together; "
            "give the files of one network"
        )
    for kind, needed in (("_params", "_def"), ("solver", "net"), ("caffemodel", "net"), ("mean", "net")):
        if kind in kinds and needed not in kinds:
            raise UsageError(
                f"{by_kind[kind].name} ({KINDS[kind]}) does not tell the network; add its {KINDS[needed]} "
                f"({'net_def' if needed == '_def' else 'train_val.prototxt or deploy.prototxt'})"
            )
    return by_kind
