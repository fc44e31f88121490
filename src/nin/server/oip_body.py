"""The body of an inference request: JSON, alone or with binary tensors behind it, compressed or not.

A picture's numbers in JSON are up to six times its bytes. They are read in pieces, without an object for each number,
so that a body may be that long and yet costs no more memory than what it holds. What is behind the JSON is the
extension that Triton and KServe call binary tensor data: Inference-Header-Content-Length says how long the JSON is.
"""

import json
import math
import re
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from nin.server.messages import Refused, Request, size_in_words

TIMES = 6  # characters of JSON for one byte at most: "[255, 255, 255], " has 17 for three
SHORT = 1_000  # characters of a list that the JSON reader may have
LISTS = 10_000  # lists that are looked at; whatever follows is left to the JSON reader
PIECE = 2**18  # characters read at a time, so that other threads are heard in between
ENCODINGS = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # zlib's wbits
LENGTH = "inference-header-content-length"
_OTHER = re.compile(rb'(?:[^"\[NI]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+', re.DOTALL)  # whole strings, and what is no list
_RUN = re.compile(rb"[\[\]0-9,\s]*+")
_SPACE = bytes.maketrans(b"[]", b"  ")
_ZERO = bytes.maketrans(b"123456789", b"0" * 9)


@dataclass(frozen=True, eq=False)
class Numbers:
    """A list of whole numbers as it came. values: (N,), as few bytes each as they need; outline: it with 0 for each."""

    values: np.ndarray
    outline: bytes

    def has_shape(self, shape: Sequence[int]) -> bool:
        """Whether the list is flat and as long as a tensor of that shape, or nested in that shape."""
        nested = b"0"
        for count in reversed(shape):
            nested = b"[" + b",".join([nested] * count) + b"]"
        return self.outline in (nested, b"[" + b",".join([b"0"] * math.prod(shape)) + b"]")


def most_of(request: Request, most: int) -> int:
    """Bytes that the body of an inference request may have whose tensors have at most `most` bytes."""
    length = request.headers.get(LENGTH, "")
    return min(int(length), most) + most if re.fullmatch(r"[0-9]{1,9}", length) else TIMES * most


def expect_encoding(request: Request) -> None:
    """Refused (415) for a compression that is not known."""
    if _encoding(request) not in ("identity", *ENCODINGS):
        raise Refused(415, "a body compressed like this is not read; send it as it is, or with gzip or deflate")


def read_body(request: Request, most: int) -> tuple[dict[str, Any], bytes | bytearray]:
    """The JSON object, in which long lists are Numbers, and the bytes behind it; Refused when there is none.

    most: bytes that the tensors may have.
    """
    body = _unpacked(request, TIMES * most)
    length = request.headers.get(LENGTH)
    if length is None:
        return _parse(body, most), b""
    if not re.fullmatch(r"[0-9]{1,9}", length) or not 0 < int(length) <= len(body):
        _no("Inference-Header-Content-Length is not the length of the JSON at the beginning of the body")
    return _parse(body[: int(length)], most), body[int(length) :]


def _encoding(request: Request) -> str:
    return request.headers.get("content-encoding", "identity").strip().lower()


def _unpacked(request: Request, most: int) -> bytes | bytearray:
    if (encoding := _encoding(request)) == "identity":
        return request.body
    reader = zlib.decompressobj(ENCODINGS[encoding])
    try:
        plain = reader.decompress(request.body, most + 1)
    except zlib.error:
        _no("the compressed body is damaged")
    if len(plain) > most:
        raise Refused(413, f"the body is larger than {size_in_words(most)} when it is unpacked")
    if not reader.eof or reader.unused_data:
        _no("the compressed body is cut short, or something follows it")
    return plain


def _parse(body: bytes | bytearray, most: int) -> dict[str, Any]:
    """The object, read with Infinity, which JSON does not have, in the place of every long list of numbers."""
    lists = _long_lists(body)
    if len(body) - sum(end - start for start, end in lists) > most * 4 // 3 + 2**16:
        raise Refused(413, f"the body has more than {most:,} bytes besides lists of whole numbers")
    edges = [0, *(edge for span in lists for edge in span), len(body)]
    text = b"Infinity".join(bytes(body[a:b]) for a, b in zip(edges[::2], edges[1::2], strict=True))
    spans = iter(lists)

    def in_place(word: str) -> Numbers:
        span = next(spans, None)
        if span is None or word != "Infinity":
            raise ValueError(word)
        return read_numbers(body, *span, most)

    try:
        document = json.loads(text, parse_constant=in_place)
    except (ValueError, RecursionError):
        _no("the body is not JSON")
    if not isinstance(document, dict):
        _no("the body is not a JSON object")
    return document


def _long_lists(body: bytes | bytearray) -> list[tuple[int, int]]:
    """Where long lists of numbers begin and end; of lists inside lists the outermost that has nothing else in it."""
    found = []
    position = 0
    for _ in range(LISTS):
        passed = _OTHER.match(body, position)
        start = passed.end() if passed else position
        if start == len(body):
            break
        if body[start] != ord("["):  # NaN, Infinity, or a string without an end
            _no("the body is not JSON")
        position = end = _end_of_run(body, start)
        while body[end - 1] in b", \t\r\n":
            end -= 1
        if end - start > SHORT and body.count(b"[", start, end) == body.count(b"]", start, end):
            found.append((start, end))
    return found


def _end_of_run(body: bytes | bytearray, start: int) -> int:
    """Where brackets, commas, digits and white space end."""
    end = start
    while (match := _RUN.match(body, end, end + PIECE)) and match.end() > end:
        end = match.end()
    return end


def read_numbers(text: bytes | bytearray, start: int, end: int, most: int) -> Numbers:
    """A list of whole numbers in JSON; ValueError when it is none, Refused when it has more than `most` numbers."""
    values = []
    outline = []
    count = 0
    for piece in _pieces(text, start, end):
        found = json.loads(b"[" + piece.removeprefix(b",").translate(_SPACE) + b"]")
        outline.append(piece.translate(_ZERO, b" \t\r\n").replace(b"000", b"0").replace(b"00", b"0"))
        high = max(found, default=0)
        values.append(np.array(found, np.uint8 if high <= 255 else np.uint16 if high <= 65_535 else None))
        count += len(found)
        if count > most:
            raise Refused(413, f"a tensor has more than {most:,} numbers")
    return Numbers(np.concatenate(values), b"".join(outline))


def _pieces(text: bytes | bytearray, start: int, end: int) -> Iterator[bytes]:
    """The characters from start to end, in pieces that all but the first begin with a comma and end before one."""
    while start < end:
        cut = text.find(b",", start + PIECE, end)
        piece = bytes(text[start : cut if cut > 0 else end])
        if piece.rstrip()[-1:] == b",":
            raise ValueError("a number is missing")
        yield piece
        start += len(piece)


def strings_in(data: bytes | bytearray) -> list[bytes]:
    """The elements of a binary BYTES tensor, each behind its length in four bytes, little-endian."""
    found = []
    position = 0
    while position < len(data):
        if position + 4 > len(data):
            _no("the binary data of files ends within a length")
        (size,) = struct.unpack_from("<I", data, position)
        position += 4 + size
        if position > len(data):
            _no("the binary data of files ends within a file")
        found.append(bytes(data[position - size : position]))
    return found


def strings_out(strings: Sequence[str]) -> bytes:
    """Strings as a binary BYTES tensor."""
    coded = [text.encode("utf-8", "backslashreplace") for text in strings]
    return b"".join(struct.pack("<I", len(text)) + text for text in coded)


def binary_part(tensor: Mapping[str, Any], rest: bytes | bytearray) -> bytes | bytearray | None:
    """The binary data of the one tensor of a request; None when its data is in the JSON."""
    parameters = tensor.get("parameters", {})
    size = parameters.get("binary_data_size")
    if "shared_memory_region" in parameters:
        _no("shared memory is not offered; send the data in the request")
    if size is None:
        if rest:
            _no("bytes follow the JSON, but no input has a binary_data_size")
        return None
    if not isinstance(size, int) or isinstance(size, bool) or size != len(rest):
        _no("binary_data_size is not the number of bytes behind the JSON (Inference-Header-Content-Length)")
    if "data" in tensor:
        _no("an input has data and a binary_data_size; it may have one of them")
    return rest


def _no(why: str) -> NoReturn:
    raise Refused(400, why)
