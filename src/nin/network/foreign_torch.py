"""PyTorch's weight files (`.pth`, `.pt`), both of its formats, read without unpickling: no code in a file can run.

A pickle is a program for a small machine. This module has its own machine, which knows the few instructions that a
table of tensors needs and the few names it may mention (tensors, storages, ordered tables); any other instruction or
name ends the reading. Source: the public description of pickle's instructions (Python's pickletools) and of PyTorch's
two formats: a zip archive, or before 1.6 five pickles and the raw numbers.
"""

import math
import pickletools
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from io import BytesIO
from typing import Any, NoReturn, Protocol

import torch
from torch import Tensor

from nin.artifacts import escape_name
from nin.errors import ModelError

MOST_STEPS, LARGEST_PICKLE = 200_000, 8 * 2**20  # instructions and bytes of one pickle; a state dict has some thousands
MOST_TENSORS, MOST_MEMBERS, MOST_SIDES = 10_000, 20_000, 8
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # the number with which files of PyTorch before 1.6 begin
ZIP, PICKLE = b"PK\x03\x04", b"\x80\x02"  # how the two formats begin
UNDER = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params")  # where others keep weights
BEFORE = ("module.", "_orig_mod.")  # what DataParallel and torch.compile put before every name


class Known(Enum):
    """The names that a pickle may mention, besides those of storages."""

    TABLE = ("collections", "OrderedDict")
    TENSOR = ("torch._utils", "_rebuild_tensor_v2")
    OLD_TENSOR = ("torch._utils", "_rebuild_tensor")
    PARAMETER = ("torch._utils", "_rebuild_parameter")
    SIZE = ("torch", "Size")


NAMES: dict[tuple[str, str], Known | torch.dtype] = {
    **{name.value: name for name in Known},
    ("torch", "FloatStorage"): torch.float32,
    ("torch", "DoubleStorage"): torch.float64,
    ("torch", "HalfStorage"): torch.float16,
    ("torch", "BFloat16Storage"): torch.bfloat16,
    ("torch", "LongStorage"): torch.int64,
    ("torch", "IntStorage"): torch.int32,
    ("torch", "ShortStorage"): torch.int16,
    ("torch", "CharStorage"): torch.int8,
    ("torch", "ByteStorage"): torch.uint8,
    ("torch", "BoolStorage"): torch.bool,
}


@dataclass(frozen=True)
class Storage:
    """Where the numbers of a tensor lie: the key of the storage, its type, how many numbers it has."""

    key: str
    dtype: torch.dtype
    count: int


@dataclass(frozen=True)
class View:
    """A tensor as the file describes it: numbers of a storage from `offset` on, in a shape, with strides."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


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
    except (zipfile.BadZipFile, RuntimeError, EOFError, OSError, ValueError, struct.error) as error:  # zipfile's own
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
    return _Machine(what).run(BytesIO(found.read("data.pkl", LARGEST_PICKLE))), found


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
    if _Machine(what).run(source) != LEGACY_MAGIC:
        raise ModelError(f"{what} is a pickle, but none that torch.save wrote; give the weights alone")
    _, about = _Machine(what).run(source), _Machine(what).run(source)
    if isinstance(about, dict) and about.get("little_endian") is False:
        raise ModelError(f"{what} was written on a machine of the other byte order; save it on an ordinary one")
    machine = _Machine(what)
    root, keys = machine.run(source), _Machine(what).run(source)
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


@dataclass
class _Machine:
    """Reads one pickle: a stack of values, the places of marks on it, and values that are to be used again."""

    what: str
    stack: list[Any] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)
    storages: dict[str, Storage] = field(default_factory=dict)

    def run(self, source: BytesIO) -> Any:
        """The value of the pickle that begins at the place of `source`; the place is then behind it."""
        try:
            for step, (code, argument, _) in enumerate(pickletools.genops(source)):
                if step >= MOST_STEPS:
                    self._refuse(f"more than {MOST_STEPS:,} instructions")
                if code.name == "STOP":
                    return self.stack.pop()
                self._step(code.name, argument)
        except (ValueError, OverflowError, IndexError, KeyError, TypeError) as error:
            raise ModelError(f"{self.what} is damaged ({escape_name(error)[:120]}); get it again") from error
        return self._refuse("no end")

    def _refuse(self, found: str) -> NoReturn:
        raise ModelError(
            f"{self.what} is more than a table of tensors (it has {found}), and is not run; save the state_dict alone"
        )

    def _step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in ("PROTO", "FRAME"):
            return
        if name in ("NONE", "NEWTRUE", "NEWFALSE"):
            stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[name])
        elif name in PUSHES:
            stack.append(argument)
        elif name in ("BINPUT", "LONG_BINPUT", "PUT", "MEMOIZE"):
            self.memo[len(self.memo) if name == "MEMOIZE" else argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self.memo[argument])
        elif name == "MARK":
            self.marks.append(len(stack))
        elif name.startswith("EMPTY_"):
            stack.append({"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}.get(name, self._set)())
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            if len(stack) < count:
                raise ValueError("a value too few")
            stack[-count:] = [tuple(stack[-count:])]
        elif name in ("TUPLE", "LIST", "DICT"):
            values = self._marked()
            stack.append(tuple(values) if name == "TUPLE" else values if name == "LIST" else self._fill({}, values))
        elif name in ("APPEND", "APPENDS"):
            values = [stack.pop()] if name == "APPEND" else self._marked()
            self._expect(stack[-1], list).extend(values)
        elif name in ("SETITEM", "SETITEMS"):
            values = [stack.pop(), stack.pop()][::-1] if name == "SETITEM" else self._marked()
            self._fill(self._expect(stack[-1], dict), values)
        else:
            self._build(name, argument)

    def _build(self, name: str, argument: Any) -> None:
        """The instructions that make objects, as far as tensors need them."""
        stack = self.stack
        if name in ("GLOBAL", "STACK_GLOBAL"):
            words = argument.split(" ", 1) if name == "GLOBAL" else [stack.pop(), stack.pop()][::-1]
            found = NAMES.get((str(words[0]), str(words[1])))
            if found is None:
                self._refuse(f"the Python object {escape_name(f'{words[0]}.{words[1]}')[:80]}")
            stack.append(found)
        elif name == "REDUCE":
            arguments, called = self._expect(stack.pop(), tuple), stack.pop()
            stack.append(self._call(called, arguments))
        elif name == "BUILD":  # the attributes of a table, such as its version: of no use here
            stack.pop()
            self._expect(stack[-1], dict)
        elif name == "BINPERSID":
            stack.append(self._storage(stack.pop()))
        else:
            self._refuse(f"the instruction {name}")

    def _call(self, called: Any, arguments: tuple[Any, ...]) -> Any:
        if called is Known.TABLE:
            pairs = self._expect(arguments[0], list) if arguments else []
            return self._fill({}, [value for pair in pairs for value in pair])
        if called in (Known.TENSOR, Known.OLD_TENSOR):
            storage, offset, shape, strides = arguments[:4]
            return self._view(storage, offset, shape, strides)
        if called is Known.PARAMETER:
            return self._expect(arguments[0], View)
        if called is Known.SIZE:
            return tuple(self._expect(arguments[0], tuple))
        return self._refuse("a call of something that is no tensor")

    def _view(self, storage: Any, offset: Any, shape: Any, strides: Any) -> View:
        sizes = (offset, *self._expect(shape, tuple), *self._expect(strides, tuple))
        if not all(type(size) is int and 0 <= size < 2**48 for size in sizes):
            raise ValueError("a tensor of impossible size")
        if len(shape) != len(strides) or len(shape) > MOST_SIDES:
            raise ValueError("a tensor whose shape and strides do not fit each other")
        return View(self._expect(storage, Storage), offset, shape, strides)

    def _storage(self, words: Any) -> Storage:
        """The storage that a persistent identifier describes: ("storage", type, key, device, count, ...)."""
        kind, dtype, key, _, count, *more = self._expect(words, tuple)
        if kind != "storage" or not isinstance(dtype, torch.dtype) or not isinstance(key, str) or any(more):
            raise ValueError("a storage of an unknown kind")
        if type(count) is not int or not 0 <= count < 2**48:
            raise ValueError("a storage of impossible size")
        storage = Storage(key, dtype, count)
        if self.storages.setdefault(key, storage) != storage:
            raise ValueError("a storage that is described twice, differently")
        return storage

    def _fill(self, table: dict[Any, Any], values: list[Any]) -> dict[Any, Any]:
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not isinstance(key, str | int | float | None):
                raise ValueError("a table with a key that is no name")
            if key in table:
                raise ValueError(f"{str(key)[:80]!r} is there twice")
            table[key] = value
        return table

    def _marked(self) -> list[Any]:
        """Everything above the last mark."""
        place = self.marks.pop()
        values = self.stack[place:]
        del self.stack[place:]
        return values

    def _set(self) -> NoReturn:
        self._refuse("a set")

    @staticmethod
    def _expect(value: Any, kind: type) -> Any:
        if not isinstance(value, kind):
            raise ValueError(f"{type(value).__name__} where {kind.__name__} belongs")
        return value


PUSHES = {"BININT", "BININT1", "BININT2", "INT", "LONG1", "BINFLOAT", "FLOAT"}  # instructions that push their argument
PUSHES |= {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE", "BINSTRING", "SHORT_BINSTRING", "STRING"}


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
