"""What a picture file says about itself, read before any decoder sees it (no Pillow here, nothing allocated).

The format is decided by the first bytes, never by the name (formats.py). A reader walks the container once, refuses
what is cut short or built to exhaust a decoder, and hands on only the bytes of the first picture: no text chunks, no
metadata, no further frames, nothing after the end. Sources: ITU-T T.81 annex B, PNG third edition, GIF89a, the WebP
container specification, the Windows bitmap headers.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

FORMATS = {  # what is read -> the endings of its files, its media type
    "JPEG": ((".jpg", ".jpeg", ".jpe", ".jfif"), "image/jpeg"),
    "PNG": ((".png", ".apng"), "image/png"),
    "WebP": ((".webp",), "image/webp"),
    "BMP": ((".bmp", ".dib"), "image/bmp"),
    "GIF": ((".gif",), "image/gif"),
    "TIFF": ((".tif", ".tiff"), "image/tiff"),
    "AVIF": ((".avif",), "image/avif"),
    "PNM": ((".pbm", ".pgm", ".ppm", ".pnm"), "image/x-portable-anymap"),
}
HEIF = ((".heic", ".heif", ".hif"), "image/heic")  # read where the extra [heic] is installed
READABLE = ", ".join(FORMATS)
MAX_CHUNKS = 20_000  # ours: 64 MiB of PNG in pieces of 4 kB are 16,384 chunks
MAX_JPEG_SEGMENTS = 4_096  # ours: an ICC profile of 16 MB has 255 segments
MAX_JPEG_SCANS = 200  # ours: encoders write at most some 14 scans; a decoder visits the whole picture for each
MAX_GIF_BLOCKS = 600_000  # ours: 64 MiB in full blocks of 255 bytes are 263,173
MAX_RLE_PIXELS = 4_000_000  # ours: Pillow expands run-length bitmaps in Python, some 10 million runs a second at best
MAX_RLE_WIDTH = 16_384  # pixels; one delta code may skip 255 rows

_JPEG_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # not a stuffed zero, a fill byte or a restart marker
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_DENSITY = {0xC0: 256, 0xC1: 256, 0xC2: 512}  # pixels a byte at most: two Huffman codes, or one, per 64 pixels
_JPEG_DROPPED = {*range(0xE1, 0xEE), 0xEF, 0xFE}  # metadata and comments; JFIF and Adobe say how colours are stored
_PNG_KEPT = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS"}
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}  # bytes of the second header, one per age of Windows and OS/2


class RefusedFile(Exception):
    """This is no picture that can be read; the text is the reason in plain words."""


@dataclass(frozen=True)
class Header:
    """The first picture of a file. `data`: the bytes for the decoder; `depth`: bits a channel of a PNG; `buffered`: a
    JPEG whose decoder keeps the whole picture in memory whatever size is asked of it (progressive, or several scans);
    `orientation`: EXIF's, 1 (as stored) to 8; `ended`: False for a JPEG whose end marker is missing, here added;
    `decode`: gives the pixels (H, W, C) of a format that no decoder of Pillow reads whole; `data` is empty then."""

    format: str
    width: int
    height: int
    data: bytes
    depth: int = 8
    buffered: bool = False
    orientation: int = 1
    ended: bool = True
    decode: Callable[[], np.ndarray] | None = None


def foreign_format(data: bytes) -> str:
    """What a file that is none of ours seems to be, in words: "a PDF", "a text file", ..."""
    for magic, name in _FOREIGN.items():
        if data.startswith(magic):
            return name
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "an MP4 or QuickTime file")
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in start:
        return "an SVG drawing"
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "an HTML page"
    if start.startswith(b"<?xml"):
        return "an XML file"
    text = all(byte >= 32 or byte in b"\t\r\n\f" for byte in data[:1024])
    return "a text file" if text else "a file of unknown kind"


def _jpeg(data: bytes) -> Header:
    position = 2
    segments = 0
    scans = 0
    frame = None
    orientation = 1
    kind = 0
    several = False
    ended = True
    kept = [data[:2]]
    exact = dict[int, set[int]]()
    while match := _JPEG_MARKER.search(data, position):
        code = data[match.start() + 1]
        start = position
        position = match.end()
        segments += 1
        if code == 0xD9:
            break
        if code == 0xD8:
            raise RefusedFile("truncated JPEG")  # another picture begins before this one ends
        body = data[position : position + 10]
        if code == 0xDA:
            scans += 1
            several = several or (frame is not None and len(body) > 2 and body[2] < frame[3])
            _note_scan(exact, data[position : position + 14])
        elif code in _JPEG_FRAMES:
            if frame is not None or len(body) < 8:
                raise RefusedFile("damaged JPEG" if len(body) >= 8 else "truncated JPEG")
            frame = (body[2], _big(body[3:5]), _big(body[5:7]), body[7])
            kind = code
        if segments > MAX_JPEG_SEGMENTS or scans > MAX_JPEG_SCANS:
            raise RefusedFile("JPEG built of too many parts")
        position += 0 if code == 0x01 else max(_big(body[:2]), 2)
        if code == 0xE1 and body[2:8] == b"Exif\0\0" and not scans:
            orientation = exif_orientation(data[match.end() + 8 : position])
        if scans or code not in _JPEG_DROPPED:
            kept.append(data[start:position])
    else:
        ended = False
        if frame is None or position > len(data) or [len(known) for known in exact.values()] != [64] * frame[3]:
            raise RefusedFile("truncated JPEG")
    if frame is None or not scans:
        raise RefusedFile("JPEG without a picture")
    if frame[0] != 8:
        raise RefusedFile(f"{frame[0]}-bit JPEG; only 8-bit JPEG can be read")
    if frame[1] * frame[2] > _JPEG_DENSITY.get(kind, 2**32) * position:
        raise RefusedFile("truncated JPEG")
    kept.append(data[start:position] if ended else data[position:].rstrip(b"\xff") + b"\xff\xd9")
    buffered = several or kind in (0xC2, 0xC6, 0xCA, 0xCE)  # progressive
    return Header("JPEG", frame[2], frame[1], b"".join(kept), 8, buffered, orientation, ended)


def _note_scan(exact: dict[int, set[int]], body: bytes) -> None:
    """Note which coefficients (0 to 63) of which components a scan brings to their last bit; `body` from its length."""
    count = body[2] if len(body) > 2 else 0
    if len(body) >= 6 + 2 * count and not body[5 + 2 * count] & 15:
        for place in range(count):
            exact.setdefault(body[3 + 2 * place], set()).update(range(body[3 + 2 * count], body[4 + 2 * count] + 1))


def _png(data: bytes) -> Header:
    kept = [data[:8]]
    position = 8
    count = 0
    ended = False
    packed = 0
    orientation = 1
    while not ended:
        size = _big(data[position : position + 4])
        name = data[position + 4 : position + 8]
        end = position + 12 + size
        if end > len(data):
            raise RefusedFile("truncated PNG")
        if count == 0 and (name != b"IHDR" or size != 13):
            raise RefusedFile("damaged PNG (no header)")
        if name in _PNG_KEPT:
            kept.append(data[position:end])
            packed += size if name == b"IDAT" else 0
        elif name == b"eXIf":
            orientation = exif_orientation(data[position + 8 : end - 4])
        ended = name == b"IEND"
        position = end
        count += 1
        if count > MAX_CHUNKS:
            raise RefusedFile(f"PNG of more than {MAX_CHUNKS:,} chunks")
    width = _big(data[16:20])
    height = _big(data[20:24])
    depth = data[24]
    colour = data[25]
    if colour not in _PNG_CHANNELS:
        raise RefusedFile("damaged PNG (unknown colour type)")
    if height * ((width * depth * _PNG_CHANNELS[colour] + 7) // 8 + 1) > 1040 * packed:  # deflate reaches 1032:1
        raise RefusedFile("truncated PNG")
    return Header("PNG", width, height, b"".join(kept), depth=depth, orientation=orientation)


def _webp(data: bytes) -> Header:
    if data[8:12] != b"WEBP":
        raise RefusedFile(f"a RIFF file (sound or film), not a picture this program reads ({READABLE})")
    end = 8 + _little(data[4:8])
    kind = data[12:16]
    body = data[20:30]
    if len(data) < max(end, 30):
        raise RefusedFile("truncated WebP")
    if kind == b"VP8X":
        width, height = _little(body[4:7]) + 1, _little(body[7:10]) + 1
    elif kind == b"VP8L":
        bits = _little(body[1:5])
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = _little(body[6:8]) & 0x3FFF, _little(body[8:10]) & 0x3FFF
    else:
        raise RefusedFile("damaged WebP")
    return Header("WebP", width, height, data[:end], orientation=_webp_orientation(data, end))


def _webp_orientation(data: bytes, end: int) -> int:
    position = 12
    for _ in range(MAX_CHUNKS):
        name = data[position : position + 4]
        size = _little(data[position + 4 : position + 8])
        if name == b"EXIF" or position >= end:
            break
        position += 8 + size + size % 2
    return exif_orientation(data[position + 8 : min(position + 8 + size, end)]) if name == b"EXIF" else 1


def _bmp(data: bytes) -> Header:
    size = _little(data[14:18])
    if size not in _BMP_HEADERS:
        raise RefusedFile(f"{foreign_format(data)}, not a picture this program reads ({READABLE})")
    if len(data) < 14 + size:
        raise RefusedFile("truncated BMP")
    if size == 12:
        return Header("BMP", _little(data[18:20]), _little(data[20:22]), data)
    width, height = _little(data[18:22]), abs(int.from_bytes(data[22:26], "little", signed=True))
    compression = _little(data[30:34]) if size > 16 else 0
    if compression == 0 and (width * _little(data[28:30]) + 31) // 32 * 4 * height > len(data):
        raise RefusedFile("truncated BMP")
    if compression in (1, 2) and (width * height > MAX_RLE_PIXELS or width > MAX_RLE_WIDTH):
        raise RefusedFile(f"run-length BMP of {width:,} x {height:,} pixels, more than can be read safely")
    return Header("BMP", width, height, data)


def _gif(data: bytes) -> Header:
    """Keep the screen, the last graphic control and the first picture; drop comments and further frames."""
    position = 13 + _colours(data[10:11])
    screen = data[:position]
    control = b""
    blocks = 0
    end = len(data)
    while True:
        kind = data[position : position + 1]
        if kind == b"!":
            start = position
            position += 2
        elif kind == b",":
            place = data[position + 1 : position + 10]
            start = position
            position += 11 + _colours(place[8:9])
        elif kind == b";":
            raise RefusedFile("GIF without a picture")
        else:
            raise RefusedFile("truncated GIF" if not kind else "damaged GIF")
        while position < end and blocks <= MAX_GIF_BLOCKS and (length := data[position]):
            position += 1 + length
            blocks += 1
        if blocks > MAX_GIF_BLOCKS:
            raise RefusedFile("GIF built of too many parts")
        if position >= end:
            raise RefusedFile("truncated GIF")
        position += 1
        blocks += 1  # the empty block that ends them counts: there may be nothing else
        if kind == b",":
            break
        if data[start + 1] == 0xF9:
            control = data[start:position]
    width = max(_little(data[6:8]), _little(place[0:2]) + _little(place[4:6]))
    height = max(_little(data[8:10]), _little(place[2:4]) + _little(place[6:8]))
    return Header("GIF", width, height, screen + control + data[start:position] + b";")


def exif_orientation(exif: bytes) -> int:
    """The orientation, 1 to 8, in the first directory of an EXIF block; 1 where there is none or it makes no sense."""
    exif = exif.removeprefix(b"Exif\0\0")
    number = {b"II*\0": _little, b"MM\0*": _big}.get(exif[:4])
    if number is None:
        return 1
    start = number(exif[4:8])
    for entry in range(start + 2, start + 2 + 12 * number(exif[start : start + 2]), 12):
        if number(exif[entry : entry + 2]) == 0x0112:
            size = {1: 1, 3: 2, 4: 4}.get(number(exif[entry + 2 : entry + 4]), 0)
            value = number(exif[entry + 8 : entry + 8 + size])
            return value if 1 <= value <= 8 else 1
    return 1


def _colours(flags: bytes) -> int:
    """Bytes of the colour table that a GIF's flags announce."""
    return 3 << ((flags[0] & 7) + 1) if flags and flags[0] & 0x80 else 0


def _big(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")


READERS = (
    (b"\xff\xd8\xff", _jpeg),
    (b"\x89PNG\r\n\x1a\n", _png),
    (b"RIFF", _webp),
    (b"GIF87a", _gif),
    (b"GIF89a", _gif),
    (b"BM", _bmp),
)
_FOREIGN = {
    b"%PDF": "a PDF",
    b"%!PS": "an EPS or PostScript file",
    b"\xc5\xd0\xd3\xc6": "an EPS or PostScript file",
    b"II+\0": "a BigTIFF picture",
    b"MM\0+": "a BigTIFF picture",
    b"PK\x03\x04": "a ZIP archive",
    b"PK\x05\x06": "a ZIP archive",
    b"\x7fELF": "a program",
    b"MZ": "a program",
    b"\0\0\1\0": "an icon (ICO)",
    b"\0\0\2\0": "a cursor (CUR)",
    b"\0\0\0\x0cjP  ": "a JPEG 2000 picture",
    b"\xff\x4f\xff\x51": "a JPEG 2000 picture",
    b"\xff\x0a": "a JPEG XL picture",
    b"\0\0\0\x0cJXL ": "a JPEG XL picture",
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"8BPS": "a Photoshop file",
    b"\x93NUMPY": "a NumPy array",
    b"\x80\x04\x95": "a Python pickle",
}
_BRANDS = {
    b"heic": "a HEIC photo",
    b"heix": "a HEIC photo",
    b"mif1": "a HEIF photo",
    b"msf1": "a HEIF photo",
}
