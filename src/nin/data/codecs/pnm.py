"""PBM, PGM and PPM, plain and raw: header walked, values put on the scale that their maxval declares (torch-free).

Source: the pages pbm(5), pgm(5) and ppm(5) of Netpbm. Of a file with several pictures the first is read.
"""

import re

import numpy as np

from nin.data.codecs.headers import Header, RefusedFile

_SPACE = rb"(?:[ \t\r\n\v\f]|#[^\r\n]*[\r\n])"
_WORD = re.compile(_SPACE + rb"{1,1000}?([0-9]{1,9})(?=[ \t\r\n\v\f#])")
_PLAIN = re.compile(rb"[0-9 \t\r\n\v\f]*")
_LONG = re.compile(rb"[0-9]{10}")
_KINDS = {b"P1": (1, True), b"P2": (1, True), b"P3": (3, True), b"P4": (1, False), b"P5": (1, False), b"P6": (3, False)}


def walk_pnm(data: bytes) -> Header:
    """The header of a PNM; its `decode` gives the pixels. RefusedFile for what is damaged."""
    kind = data[:2]
    at = 2
    numbers = list[int]()
    while len(numbers) < (2 if kind in (b"P1", b"P4") else 3):
        match = _WORD.match(data, at)
        if match is None:
            raise RefusedFile("damaged PNM (its header)")
        numbers.append(int(match[1]))
        at = match.end()
    width, height, top = (*numbers, 1)[:3]
    if not 1 <= top <= 65_535:
        raise RefusedFile(f"damaged PNM (a largest value of {top})")
    channels, plain = _KINDS[kind]
    size = 2 if top > 255 else 1
    row = (width + 7) // 8 if kind == b"P4" else width * channels * size
    if len(data) - at - 1 < (width * height * channels - 1 if plain else row * height):
        raise RefusedFile("truncated PNM")
    depth = 16 if top > 255 else 8

    def decode() -> np.ndarray:
        if plain:
            values = _plain(data[at:], width * height * channels, bits=kind == b"P1")
        elif kind == b"P4":
            packed = np.frombuffer(data, np.uint8, row * height, at + 1).reshape(height, row)
            values = np.unpackbits(packed, axis=1)[:, :width]
        else:
            values = np.frombuffer(data, f">u{size}", width * height * channels, at + 1)
        return _scaled(1 - values if kind in (b"P1", b"P4") else values, top).reshape(height, width, channels)

    return Header("PNM", width, height, b"", depth, decode=decode)


def _plain(text: bytes, count: int, *, bits: bool) -> np.ndarray:
    """(count,) numbers written in digits; of a bitmap every digit is one."""
    text = re.sub(rb"#[^\r\n]*", b"", text)
    if bits:
        digits = np.frombuffer(text, np.uint8)
        values: np.ndarray = digits[(digits == 48) | (digits == 49)][:count] - 48
    else:
        found = _PLAIN.match(text)
        digits_only = found[0] if found else b""
        if _LONG.search(digits_only):
            raise RefusedFile("damaged PNM (a number of too many digits)")
        words = digits_only.decode("ascii").strip()  # numpy makes a number of nothing
        values = np.fromstring(words, np.int64, sep=" ")[:count] if words else np.empty(0, np.int64)
    if values.size < count:
        raise RefusedFile("truncated PNM")
    return values


def _scaled(values: np.ndarray, top: int) -> np.ndarray:
    """Values of 0 to `top` as uint8, or as uint16 where top is more than 255, on its full scale."""
    if values.size and int(values.max()) > top:
        raise RefusedFile(f"damaged PNM (a value over {top})")
    full, dtype = (255, np.uint8) if top <= 255 else (65_535, np.uint16)
    if top == full:
        return values.astype(dtype)
    scale = (np.arange(top + 1) * (2 * full) + top) // (2 * top)
    scaled: np.ndarray = scale.astype(dtype)[values]
    return scaled
