"""PyTorch's weight files (`.pth`, `.pt`): tensors by name, read with weights_only, so that no code of the file runs.

torch does not look at the checksums of its archives (one flipped bit in a hundred thousand loads wrong weights in
silence); here they are checked first. The format before PyTorch 1.6 has none.
"""

import re
import zipfile
from io import BytesIO
from typing import Any

import torch
from torch import Tensor

from nin.artifacts import escape_name
from nin.errors import ModelError

MOST_TENSORS, MOST_MEMBERS = 10_000, 20_000  # of one file
ZIP = b"PK\x03\x04"  # how the newer format begins
UNDER = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params")  # where others keep weights
BEFORE = ("module.", "_orig_mod.")  # what DataParallel and torch.compile put before every name
FORBIDDEN = re.compile(r"GLOBAL ([\w.]+)")


def read_torch(data: bytes, what: str) -> dict[str, Tensor]:
    """The tensors of a weight file by name, on the CPU. `what` is the file's name, for messages.

    Raises ModelError in one line for anything that is not a table of tensors, or is damaged.
    """
    if data.startswith(ZIP):
        _check_archive(data, what)
    try:
        root = torch.load(BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:
        if found := FORBIDDEN.search(str(error)):
            raise ModelError(
                f"{what} is more than a table of tensors ({found[1]}), and is not run; save the state_dict alone"
            ) from error
        reason = _first_line(error)  # a hostile file decides what torch raises
        raise ModelError(f"{what} is damaged, or no weights that torch.save wrote ({reason}); get it again") from error
    table = _table(root, what)
    for name, tensor in table.items():
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise ModelError(
                f"{what}: {escape_name(name)[:80]} has the shape {tuple(tensor.shape)}, which its numbers do not fill; "
                "get it again"
            )
    return table


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
    return escape_name((str(error) or type(error).__name__).splitlines()[0])[:120]


def _table(root: Any, what: str) -> dict[str, Tensor]:
    """The tensors by name: the object itself, or what lies under one of the usual names in it."""
    for table in [root, *(root.get(name) for name in UNDER)] if isinstance(root, dict) else []:
        items = table.items() if isinstance(table, dict) else ()
        found = {name: value.detach() for name, value in items if isinstance(value, Tensor)}
        if found:
            if len(found) > MOST_TENSORS or not all(isinstance(name, str) for name in found):
                raise ModelError(f"{what} holds {len(found):,} tensors, some without a name; expected one network")
            return _shortened(found)
    raise ModelError(f"{what} holds no tensors by name; expected a state_dict, alone or under {' or '.join(UNDER[:3])}")


def _shortened(table: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names without what DataParallel and torch.compile put before all of them."""
    for before in (*BEFORE, *BEFORE):
        if all(name.startswith(before) for name in table):
            table = {name.removeprefix(before): value for name, value in table.items()}
    return table
