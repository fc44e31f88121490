"""PyTorch's weight files (`.pth`, `.pt`), both of its formats: tensors by name, with no code of the file run.

The newer format is a zip archive, the one before PyTorch 1.6 five pickles and the raw numbers behind them. Source:
what torch.save writes, and PyTorch's notes on serialization.
"""

import math
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from typing import Any, Protocol

import torch
from torch import Tensor

from nin.artifacts import escape_name
from nin.errors import ModelError
from nin.network.foreign_pickle import Machine, Storage, View

LARGEST_PICKLE, MOST_TENSORS, MOST_MEMBERS = 8 * 2**20, 10_000, 20_000  # bytes; of one file
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # the number with which files of PyTorch before 1.6 begin
ZIP = b"PK\x03\x04"  # how the newer format begins
ZIP_ERRORS = (zipfile.BadZipFile, RuntimeError, EOFError, OSError, ValueError, ArithmeticError, struct.error)
UNDER = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params")  # where others keep weights
BEFORE = ("module.", "_orig_mod.")  # what DataParallel and torch.compile put before every name


class Numbers(Protocol):
    """Finds the raw numbers of storages in a file."""

    def numbers(self, storage: Storage) -> bytes | memoryview:
        """The bytes of a storage; fewer than it should have where the file is cut short."""


def read_torch(data: bytes, what: str) -> dict[str, Tensor]:
    """The tensors of a weight file by name, on the CPU. `what` is the file's name, for messages.

    Raises ModelError in one line for anything that is not a table of tensors, or is damaged.
    """
    try:
        root, source = _archive(data, what) if data.startswith(ZIP) else _legacy(data, what)
        table = _table(root, what)
        storages = {view.storage.key: view.storage for view in table.values()}
        loaded = {key: _load(storage, source, what) for key, storage in storages.items()}
        return {name: _tensor(view, loaded[view.storage.key], f"{what}: {name}") for name, view in table.items()}
    except ZIP_ERRORS as error:
        raise ModelError(f"{what} is damaged ({escape_name(error)[:120]}); get it again") from error


def _load(storage: Storage, source: Numbers, what: str) -> Tensor:
    raw = source.numbers(storage)
    if len(raw) != storage.count * storage.dtype.itemsize:
        raise ModelError(
            f"{what} is cut short (storage {escape_name(storage.key)[:40]} has {len(raw):,} of "
            f"{storage.count * storage.dtype.itemsize:,} bytes); get it again"
        )
    return torch.frombuffer(bytearray(raw), dtype=storage.dtype) if raw else torch.empty(0, dtype=storage.dtype)


def _tensor(view: View, storage: Tensor, what: str) -> Tensor:
    """The tensor of a view; ModelError when it would reach outside its storage, or repeats numbers of it."""
    count = math.prod(view.shape)
    reach = view.offset + sum((side - 1) * stride for side, stride in zip(view.shape, view.strides, strict=True))
    if count and (reach >= storage.numel() or count > storage.numel()):
        raise ModelError(
            f"{escape_name(what)[:200]} has the shape {view.shape}, which its numbers do not fill; get it again"
        )
    return storage.as_strided(view.shape, view.strides, view.offset) if count else torch.empty(0, dtype=storage.dtype)


def _archive(data: bytes, what: str) -> tuple[Any, Numbers]:
    """PyTorch's zip format: the object and where its numbers are."""
    if data.count(b"PK\x01\x02") > MOST_MEMBERS:
        raise ModelError(
            f"{what} is a zip archive of more than {MOST_MEMBERS:,} members; expected the weights of a network"
        )
    archive = zipfile.ZipFile(BytesIO(data))
    members = {info.filename: info for info in archive.infolist()}
    pickles = [name for name in members if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(pickles) != 1 or len(members) != len(archive.infolist()):
        raise ModelError(f"{what} is a zip archive, but none that torch.save wrote; give the weights alone")
    found = _Archive(archive, members, pickles[0].removesuffix("data.pkl"), what)
    if found.read("byteorder", 16) not in (b"", b"little"):
        raise ModelError(f"{what} was written on a machine of the other byte order; save it on an ordinary one")
    return Machine(what).run(BytesIO(found.read("data.pkl", LARGEST_PICKLE))), found


@dataclass(frozen=True)
class _Archive:
    """Members of PyTorch's zip format: under one folder, never compressed, each with a CRC that is checked."""

    archive: zipfile.ZipFile
    members: Mapping[str, zipfile.ZipInfo]
    folder: str
    what: str

    def read(self, name: str, limit: int) -> bytes:
        """A member's bytes; none where there is no such member."""
        info = self.members.get(self.folder + name)
        if info is None:
            return b""
        if info.compress_type != zipfile.ZIP_STORED or info.file_size > limit:
            raise ModelError(
                f"{self.what}: {escape_name(name)[:40]} is compressed or larger than {limit:,} bytes; "
                "expected a file as torch.save writes it"
            )
        return self.archive.read(info)

    def numbers(self, storage: Storage) -> bytes:
        """The raw numbers of a storage."""
        return self.read(f"data/{storage.key}", storage.count * storage.dtype.itemsize)


def _legacy(data: bytes, what: str) -> tuple[Any, Numbers]:
    """PyTorch's format before 1.6: magic number, version, machine, the object, the storages' keys, their numbers."""
    source = BytesIO(data)
    if Machine(what).run(source) != LEGACY_MAGIC:
        raise ModelError(f"{what} is a pickle, but none that torch.save wrote; give the weights alone")
    _, about = Machine(what).run(source), Machine(what).run(source)
    if isinstance(about, dict) and about.get("little_endian") is False:
        raise ModelError(f"{what} was written on a machine of the other byte order; save it on an ordinary one")
    machine = Machine(what)
    root, keys = machine.run(source), Machine(what).run(source)
    if not isinstance(keys, list) or not all(isinstance(key, str) and key in machine.storages for key in keys):
        raise ModelError(f"{what} is damaged (its list of storages is not that of its tensors); get it again")
    return root, _Raw(memoryview(data)[source.tell() :], [machine.storages[key] for key in keys], what)


@dataclass(frozen=True)
class _Raw:
    """What follows the pickles of the old format: for every storage its count in eight bytes, then its numbers."""

    data: memoryview
    storages: list[Storage]
    what: str

    @cached_property
    def places(self) -> dict[Storage, tuple[int, int]]:
        """Where the numbers of every storage begin and end."""
        places, place = {}, 0
        for storage in self.storages:
            if int.from_bytes(self.data[place : place + 8], "little") != storage.count:
                raise ModelError(
                    f"{self.what} is damaged or cut short (a storage is not as long as it says); get it again"
                )
            places[storage] = place + 8, place + 8 + storage.count * storage.dtype.itemsize
            place = places[storage][1]
        return places

    def numbers(self, storage: Storage) -> memoryview:
        """The raw numbers of a storage."""
        if storage not in self.places:
            raise ModelError(f"{self.what} has no numbers for storage {escape_name(storage.key)[:40]}; get it again")
        start, end = self.places[storage]
        return self.data[start:end]


def _table(root: Any, what: str) -> dict[str, View]:
    """The tensors by name: the object itself, or what lies under one of the usual names in it."""
    tables = [root, *(root.get(name) for name in UNDER)] if isinstance(root, dict) else []
    for table in tables:
        found = (
            {name: view for name, view in table.items() if isinstance(view, View)} if isinstance(table, dict) else {}
        )
        if found:
            if len(found) > MOST_TENSORS or not all(isinstance(name, str) for name in found):
                raise ModelError(f"{what} holds {len(found):,} tensors, some without a name; expected one network")
            return _shortened(found)
    raise ModelError(f"{what} holds no tensors by name; expected a state_dict, alone or under {' or '.join(UNDER[:3])}")


def _shortened(table: dict[str, View]) -> dict[str, View]:
    """Names without what DataParallel and torch.compile put before all of them."""
    for before in (*BEFORE, *BEFORE):
        if all(name.startswith(before) for name in table):
            table = {name.removeprefix(before): view for name, view in table.items()}
    return table
