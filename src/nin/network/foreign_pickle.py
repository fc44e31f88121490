"""Pickles of tables of tensors, read without unpickling: a machine of our own, in which no code of a file can run.

A pickle is a program for a small machine. This one knows the few instructions that a table of tensors needs and the few
names it may mention (tensors, storages, ordered tables); any other instruction or name ends the reading. It makes no
tensor, only descriptions of them. Source: the public description of pickle's instructions in Python's pickletools.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from io import BytesIO
from typing import Any, NoReturn

import torch

from nin.artifacts import escape_name
from nin.errors import ModelError

MOST_STEPS, MOST_SIDES = 200_000, 8  # instructions of one pickle, a state dict has some thousands; sides of a tensor
LONGEST_LINE = 1_000  # bytes of a name

PLAIN = {  # instructions without an argument
    b".": "STOP", b"(": "MARK", b"N": "NONE", b"\x88": "TRUE", b"\x89": "FALSE", b"]": "LIST0", b"}": "DICT0",
    b")": "TUPLE0", b"l": "LIST", b"d": "DICT", b"t": "TUPLE", b"\x85": "TUPLE1", b"\x86": "TUPLE2", b"\x87": "TUPLE3",
    b"a": "APPEND", b"e": "APPENDS", b"s": "SETITEM", b"u": "SETITEMS", b"\x94": "MEMOIZE", b"R": "REDUCE",
    b"b": "BUILD", b"Q": "BINPERSID", b"\x93": "STACK_GLOBAL",
}  # fmt: skip
NUMBERS = {  # with a number as their argument
    b"\x80": ("PROTO", "<B"), b"\x95": ("FRAME", "<Q"), b"K": ("PUSH", "<B"), b"M": ("PUSH", "<H"),
    b"J": ("PUSH", "<i"), b"G": ("PUSH", ">d"), b"q": ("PUT", "<B"), b"r": ("PUT", "<I"), b"h": ("GET", "<B"),
    b"j": ("GET", "<I"),
}  # fmt: skip
SIZED = {  # with a length and so many bytes: text in UTF-8, text of Python 2, whole numbers
    b"X": ("<I", "utf-8"), b"\x8c": ("<B", "utf-8"), b"\x8d": ("<Q", "utf-8"), b"T": ("<I", "latin-1"),
    b"U": ("<B", "latin-1"), b"\x8a": ("<B", ""),
}  # fmt: skip
CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "TRUE": lambda: True,
    "FALSE": lambda: False,
    "LIST0": list,
    "DICT0": dict,
    "TUPLE0": tuple,
}


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


def _instruction(source: BytesIO) -> tuple[str, Any]:
    """The next instruction and its argument; the place of `source` is then behind it."""
    code = _take(source, 1)
    if code in PLAIN:
        return PLAIN[code], None
    if code in NUMBERS:
        name, form = NUMBERS[code]
        return name, struct.unpack(form, _take(source, struct.calcsize(form)))[0]
    if code in SIZED:
        form, encoding = SIZED[code]
        data = _take(source, struct.unpack(form, _take(source, struct.calcsize(form)))[0])
        return "PUSH", data.decode(encoding) if encoding else int.from_bytes(data, "little", signed=True)
    if code == b"c":
        return "GLOBAL", (_line(source), _line(source))
    return f"0x{code.hex()}", None


def _take(source: BytesIO, count: int) -> bytes:
    data = source.read(min(count, source.getbuffer().nbytes))
    if len(data) < count:
        raise ValueError(f"it ends {count - len(data):,} bytes too early")
    return data


def _line(source: BytesIO) -> str:
    line = source.readline(LONGEST_LINE)
    if not line.endswith(b"\n"):
        raise ValueError("a name without an end")
    return line[:-1].decode()


@dataclass
class Machine:
    """Reads one pickle: a stack of values, the places of marks on it, and values that are to be used again."""

    what: str
    stack: list[Any] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)
    storages: dict[str, Storage] = field(default_factory=dict)

    def run(self, source: BytesIO) -> Any:
        """The value of the pickle that begins at the place of `source`; the place is then behind it.

        Raises ModelError for anything that is not of tables, lists, numbers, texts and tensors.
        """
        try:
            for _ in range(MOST_STEPS):
                name, argument = _instruction(source)
                if name == "STOP":
                    return self.stack.pop()
                self._step(name, argument)
        except (ValueError, IndexError, KeyError, TypeError, struct.error) as error:
            raise ModelError(f"{self.what} is damaged ({escape_name(error)[:120]}); get it again") from error
        return self._refuse(f"more than {MOST_STEPS:,} instructions")

    def _refuse(self, found: str) -> NoReturn:
        raise ModelError(
            f"{self.what} is more than a table of tensors (it has {found}), and is not run; save the state_dict alone"
        )

    def _step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in ("PROTO", "FRAME"):
            return
        if name in CONSTANTS:
            stack.append(CONSTANTS[name]())
        elif name == "PUSH":
            stack.append(argument)
        elif name in ("PUT", "MEMOIZE"):
            self.memo[len(self.memo) if name == "MEMOIZE" else argument] = stack[-1]
        elif name == "GET":
            stack.append(self.memo[argument])
        elif name == "MARK":
            self.marks.append(len(stack))
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
            words = argument if name == "GLOBAL" else [stack.pop(), stack.pop()][::-1]
            found = NAMES.get((self._expect(words[0], str), self._expect(words[1], str)))
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

    @staticmethod
    def _expect(value: Any, kind: type) -> Any:
        if not isinstance(value, kind):
            raise ValueError(f"{type(value).__name__} where {kind.__name__} belongs")
        return value
