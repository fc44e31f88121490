"""Protocol buffers on the wire: the fields of a message, read and written (imports nothing heavy).

Caffe's weights are read with it and ONNX files are read and written, so that neither needs a package of its own.
Source: the public description of the encoding, protobuf.dev/programming-guides/encoding.
"""

import struct
from collections.abc import Iterable, Iterator

from nin.errors import ModelError

VARINT = 0  # wire types
FIXED64 = 1
BYTES = 2
FIXED32 = 5
Field = tuple[int, int, int | memoryview]  # number, wire type, value
Value = int | float | str | bytes | bytearray


def fields(data: memoryview, what: str) -> Iterator[Field]:
    """The fields of one message: varints as whole numbers, the others as the bytes they are, nothing copied.

    Raises ModelError when a field does not end inside `data`, or is of a type nobody writes any more; `what` names the
    file, for messages.
    """
    place = 0
    end = len(data)
    while place < end:
        key, place = _varint(data, place, what)
        number = key >> 3
        kind = key & 7
        if not 1 <= number < 2**29 or kind not in (VARINT, FIXED64, BYTES, FIXED32):
            raise ModelError(f"{what} is damaged, or another kind of file (field {number} of type {kind} in it)")
        if kind == VARINT:
            value, place = _varint(data, place, what)
            yield number, kind, value
            continue
        length = 8 if kind == FIXED64 else 4
        if kind == BYTES:
            length, place = _varint(data, place, what)
        if length > end - place:
            raise ModelError(f"{what} is cut short ({length:,} bytes announced, {end - place:,} there); get it again")
        yield number, kind, data[place : place + length]
        place += length


def varints(data: memoryview, what: str) -> Iterator[int]:
    """The whole numbers of a packed field."""
    place = 0
    while place < len(data):
        value, place = _varint(data, place, what)
        yield value


def signed(value: int) -> int:
    """A varint as the signed 64-bit number that it stands for."""
    return value - 2**64 if value >= 2**63 else value


def message(*parts: tuple[int, Value | Iterable[Value]]) -> bytes:
    """A message of (number, value): whole numbers as varints, fractions as float32, text and bytes with their length.

    A list or tuple gives one field for each of its values.
    """
    out = bytearray()
    for number, value in parts:
        single = isinstance(value, int | float | str | bytes | bytearray)
        for each in [value] if single else value:  # type: ignore[union-attr]
            if isinstance(each, float):
                out += _number(number << 3 | FIXED32) + struct.pack("<f", each)
            elif isinstance(each, int):
                out += _number(number << 3 | VARINT) + _number(each % 2**64)
            else:
                data = each.encode() if isinstance(each, str) else each
                out += _number(number << 3 | BYTES) + _number(len(data)) + data  # type: ignore[arg-type, operator]
    return bytes(out)


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _varint(data: memoryview, place: int, what: str) -> tuple[int, int]:
    """A whole number of up to 64 bits, seven bits a byte, and the place after it."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            raise ModelError(f"{what} is cut short in the middle of a number; get it again")
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & (2**64 - 1), place
    raise ModelError(f"{what} is damaged, or another kind of file (a number of more than 64 bits in it)")
