"""Files of PyTorch weights (`.pth`, `.safetensors`): tables of tensors, read so that no code of the file runs.

torch does not look at the checksums of its archives (one flipped bit in a hundred thousand loads wrong weights in
silence); here they are checked first. The format before PyTorch 1.6 has none. Settings that lie beside the weights as
objects of some class (argparse's, numpy's, one's own) are read as nothing at all: an empty object takes their place.
"""

import re
import zipfile
from collections import OrderedDict
from io import BytesIO
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from nin.errors import ModelError, escape_name
from nin.importers.file_kinds import SAVE, ZIP
from nin.importers.state_dicts import Tables, tables_of

MOST_MEMBERS = 20_000  # of one file
MOST_CLASSES = 50  # whose objects may lie beside the weights
FORBIDDEN = re.compile(r"GLOBAL ([\w.]+)")
FILLED = re.compile(r"Can only (SETITEM|append|extend)[^<]*<class '[\w.]*Nothing(\d{1,3})'>")
RUNS = re.compile(  # a file that names these wants more than to keep settings; names without a dot are Python's own
    r"(os|posix|nt|sys|subprocess|shutil|socket|importlib|runpy|pickle|code|ctypes|pty|webbrowser|operator|functools)\b"
    r"|torch\.(?!(nn|optim)\.)|(?!(list|dict|tuple|set|frozenset|int|float|str|bool|bytes|slice|range|object)$)\w+$"
)
MORE = "is more than a table of tensors ({}), and is not run; where its code is, save the state_dict alone: " + SAVE
PYTHON = ("builtins", "__builtin__")  # its own names in pickles, of today and of Python 2


class _Nothing:
    """In the place of an object whose class is not run: whatever it is made of is dropped."""

    def __new__(cls, *_: Any, **__: Any) -> Any:
        """An empty object: of this class, or an empty table or list in the place of one of its kind."""
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        """Drop what a file gives."""

    def __setstate__(self, _: Any) -> None:
        """Drop what a file gives."""


def _stand_in(number: int, kind: type) -> type:
    """A class for the objects of the file's class of that number; torch names it when it has to be another kind."""
    new = {} if kind is object else {"__new__": lambda *_, **__: kind()}
    return type(f"Nothing{number}", (_Nothing,), new)


def read_torch(data: bytes, what: str) -> Tables:
    """The tables of tensors in a weight file by their place in it, on the CPU. `what` is the file's name, for messages.

    Raises ModelError in one line for anything that holds no table of tensors, or is damaged.
    """
    if data.startswith(ZIP):
        _check_archive(data, what)
    root, classes = _load(data, what)
    try:
        return tables_of(root, what)
    except ModelError:
        if not classes:
            raise
        raise ModelError(f"{what} {MORE.format(escape_name(classes[0]))}") from None


def _load(data: bytes, what: str) -> tuple[Any, list[str]]:
    """What the file holds, with nothing in the place of objects, and the names of their classes."""
    kinds: dict[str, type] = {}
    while True:
        classes = list(kinds)
        allowed: list[Any] = [
            (_stand_in(number, kind), each)
            for number, (name, kind) in enumerate(kinds.items())
            for each in ([name] if "." in name else [f"{python}.{name}" for python in PYTHON])
        ]
        try:
            with torch.serialization.safe_globals(allowed):
                return torch.load(BytesIO(data), map_location="cpu", weights_only=True), classes
        except Exception as error:
            found = FORBIDDEN.search(str(error))
            filled = FILLED.search(str(error))
            if found and found[1] not in kinds and len(kinds) < MOST_CLASSES and not RUNS.match(found[1]):
                kinds[found[1]] = object
                continue
            if filled and kinds[classes[int(filled[2])]] is object:
                kinds[classes[int(filled[2])]] = OrderedDict if filled[1] == "SETITEM" else list
                continue
            if found or (kinds and "persistent_load" in str(error)):  # the older format keeps whole networks so
                name = found[1] if found else escape_name(classes[0])
                raise ModelError(f"{what} {MORE.format(name)}") from error
            reason = _first_line(error)  # a hostile file decides what torch raises
            raise ModelError(
                f"{what} is damaged, or no weights that torch.save wrote ({reason}); get it again"
            ) from error


def read_safetensors(data: bytes, what: str) -> Tables:
    """The one table of a .safetensors file, in any of torch's types; ModelError in one line where it is damaged."""
    try:
        return tables_of(safetensors.torch.load(data), what)
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"{what} is damaged ({_first_line(error)}); get it again") from error


def _check_archive(data: bytes, what: str) -> None:
    """Raise ModelError unless this is an archive as torch.save writes it, with every checksum right."""
    if data.count(b"PK\x01\x02") > MOST_MEMBERS:
        raise ModelError(
            f"{what} is a zip archive of more than {MOST_MEMBERS:,} members; expected the weights of a network"
        )
    try:
        archive = zipfile.ZipFile(BytesIO(data))
        members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED or member.file_size > len(data) for member in members):
            raise ModelError(f"{what} is a compressed archive; expected a file as torch.save writes it")
        if not any(member.filename.endswith("data.pkl") for member in members):
            raise ModelError(f"{what} is a zip archive, but none that torch.save wrote; give the weights alone")
        damaged = archive.testzip()
    except (zipfile.BadZipFile, RuntimeError, EOFError, OSError, ValueError, NotImplementedError) as error:
        raise ModelError(f"{what} is damaged ({_first_line(error)}); get it again") from error
    if damaged is not None:
        raise ModelError(f"{what} is damaged (wrong checksum of {escape_name(damaged)[:80]}); get it again")


def _first_line(error: Exception) -> str:
    said = str(error).rpartition("WeightsUnpickler error: ")[2].strip() or type(error).__name__
    return escape_name(said.splitlines()[0])[:120]
