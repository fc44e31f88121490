"""TIFF, the format of microscopes and scanners: directories walked and capped, strips and tiles decoded (torch-free).

Read are pictures of one page, gray, RGB, palette and CMYK, of 1 to 64 bits a channel, whole numbers and fractions,
stored plainly or with LZW, Deflate or PackBits. Source: TIFF 6.0 (Adobe 1992), its supplement on SampleFormat, and the
technical notes on predictors.

Legend: H, W height and width in pixels; S samples a pixel.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from nin.data.codecs.headers import Header, RefusedFile

MAX_ENTRIES = 4_096  # of a directory; writers use some 20
MAX_PAGES = 4_096  # directories followed
MAX_PARTS = 100_000  # strips or tiles; a strip for every row of a tall picture
MAX_SAMPLES = 8  # a pixel
ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
SIZES = {1: ("B", 1), 3: ("H", 2), 4: ("I", 4)}  # of the types of numbers that matter here
NONE = 1  # values of the tag Compression
LZW = 5
DEFLATE = 8
OLD_DEFLATE = 32946
PACKBITS = 32773
SPLIT = "save the page you mean as a file of its own, for instance with tiffsplit"
_COMPRESSIONS = {
    2: "CCITT fax",
    3: "CCITT fax",
    4: "CCITT fax",
    6: "JPEG",
    7: "JPEG",
    34712: "JPEG 2000",
    34887: "LERC",
    34925: "LZMA",
    50000: "Zstandard",
    50001: "WebP",
}
_FORMATS = {1: "u", 2: "i", 3: "f", 4: "u"}  # 4: undefined, written by some for plain numbers
_REDUCED = 1  # bit of NewSubfileType: a smaller version of another picture
_MASK = 4  # bit of NewSubfileType: a mask for another picture

Tags = dict[int, tuple[int, ...]]


@dataclass(frozen=True)
class TiffLayout:
    """How the pixels of the first page are stored. `rows`, `columns`: of one strip or tile; `planar`: 2 where each
    sample has strips of its own."""

    order: str
    width: int
    height: int
    bits: int
    kind: str
    samples: int
    compression: int
    photometric: int
    predictor: int
    planar: int
    rows: int
    columns: int
    parts: tuple[tuple[int, int], ...]
    extra: tuple[int, ...]
    palette: tuple[int, ...]
    reversed_bits: bool

    @property
    def held(self) -> int:
        """Samples of one pixel that stand side by side in a strip."""
        return self.samples if self.planar == 1 else 1

    @property
    def row_bytes(self) -> int:
        """Bytes of one row of a strip or tile."""
        return (self.columns * self.held * self.bits + 7) // 8


def walk_tiff(data: bytes) -> Header:
    """The header of a TIFF; its `decode` gives the pixels. RefusedFile for what is damaged, hostile or not read."""
    order = ORDERS[data[:4]]
    pages = list(_directories(data, order))
    if not pages:
        raise RefusedFile("truncated TIFF")
    full = [tags for tags in pages[1:] if not _one(tags, 254, 0) & (_REDUCED | _MASK)]
    if full:
        raise RefusedFile(f"TIFF of {len(full) + 1:,} pages; {SPLIT}")
    layout = _layout(data, order, pages[0])
    orientation = _one(pages[0], 274, 1)
    orientation = orientation if 1 <= orientation <= 8 else 1
    decode: Callable[[], np.ndarray] = lambda: pixels(data, layout)  # noqa: E731
    return Header("TIFF", layout.width, layout.height, b"", layout.bits, False, orientation, True, decode)


def _directories(data: bytes, order: str) -> Iterator[Tags]:
    """The tags of every directory; those that matter, numbers only."""
    seen: set[int] = set()
    at = struct.unpack(order + "I", data[4:8])[0] if len(data) >= 8 else 0
    while at:
        if at in seen or len(seen) >= MAX_PAGES:
            raise RefusedFile(
                "damaged TIFF (its directories run in a circle)" if at in seen else "TIFF of too many pages"
            )
        seen.add(at)
        if at + 2 > len(data):
            raise RefusedFile("truncated TIFF")
        count = struct.unpack_from(order + "H", data, at)[0]
        end = at + 2 + 12 * count
        if count > MAX_ENTRIES or end > len(data):
            raise RefusedFile("damaged TIFF" if count > MAX_ENTRIES else "truncated TIFF")
        yield dict(_entries(data, order, at + 2, count))
        at = struct.unpack_from(order + "I", data, end)[0] if end + 4 <= len(data) else 0


def _entries(data: bytes, order: str, at: int, count: int) -> Iterator[tuple[int, tuple[int, ...]]]:
    for entry in range(at, at + 12 * count, 12):
        tag, kind, number = struct.unpack_from(order + "HHI", data, entry)
        if kind not in SIZES or not number:
            continue
        letter, size = SIZES[kind]
        if number > max(MAX_PARTS, 3 * 65_536):
            raise RefusedFile("TIFF built of too many parts")
        place = entry + 8 if number * size <= 4 else struct.unpack_from(order + "I", data, entry + 8)[0]
        if place + number * size > len(data):
            raise RefusedFile("truncated TIFF")
        yield tag, struct.unpack_from(f"{order}{number}{letter}", data, place)


def _one(tags: Tags, tag: int, otherwise: int) -> int:
    return tags.get(tag, (otherwise,))[0]


def _layout(data: bytes, order: str, tags: Tags) -> TiffLayout:
    """The layout that the tags of a page describe; RefusedFile unless every strip or tile is there and can be read."""
    width = _one(tags, 256, 0)
    height = _one(tags, 257, 0)
    samples = _one(tags, 277, 1)
    bits = set(tags.get(258, (1,)))
    formats = set(tags.get(339, (1,)))
    compression = _one(tags, 259, 1)
    photometric = _one(tags, 262, 1)
    planar = _one(tags, 284, 1)
    if not width or not height:
        raise RefusedFile(f"TIFF of {width} x {height} pixels")
    if compression not in (NONE, LZW, DEFLATE, OLD_DEFLATE, PACKBITS):
        named = _COMPRESSIONS.get(compression, f"unknown ({compression})")
        raise RefusedFile(f"TIFF whose compression, {named}, is not read; save it with LZW, Deflate or none")
    if len(bits) > 1 or len(formats) > 1 or not 1 <= min(bits) <= 64 or min(formats) not in _FORMATS:
        raise RefusedFile("TIFF whose channels are not stored alike or in a way that is not read")
    depth = bits.pop()
    kind = _FORMATS[formats.pop()]
    whole = depth in (8, 16, 32, 64)
    if (kind != "u" and not whole) or (kind == "f" and depth == 8) or (not whole and depth > 16):
        raise RefusedFile(f"TIFF of {depth}-bit values, which are not read; save it with 8 or 16 bits")
    if _one(tags, 266, 1) != 1 and compression != NONE:
        raise RefusedFile("TIFF whose bits are stored backwards and compressed; save it anew")
    if planar not in (1, 2) or not 1 <= samples <= MAX_SAMPLES or photometric not in (0, 1, 2, 3, 5):
        raise RefusedFile(f"TIFF of {samples} channels in a way that is not read; save it in gray or RGB")
    colours = {2: 3, 5: 4}.get(photometric, 1)
    if samples < colours or (photometric == 5 and depth != 8) or (photometric == 3 and depth > 8):
        raise RefusedFile("damaged TIFF" if samples < colours else "TIFF of deep inks or palettes; save it in RGB")
    more = samples - colours
    meant = tags.get(338, (0,))[0] or colours > 1  # more channels of one colour without a meaning are data
    if more > 1 or (more == 1 and not meant):
        raise RefusedFile(f"TIFF of {samples} channels; save it in gray, RGB or RGBA")
    tiled = 322 in tags
    rows, columns = (_one(tags, 323, 0), _one(tags, 322, 0)) if tiled else (min(_one(tags, 278, height), height), width)
    if not rows or not columns:
        raise RefusedFile("damaged TIFF")
    offsets, counts = (tags.get(tag, ()) for tag in ((324, 325) if tiled else (273, 279)))
    expected = -(-height // rows) * -(-width // columns) * (samples if planar == 2 else 1)
    if not counts and len(offsets) == 1 and compression == NONE:  # some old writers leave them out
        counts = (len(data) - offsets[0],)
    if expected > MAX_PARTS:
        raise RefusedFile("TIFF built of too many parts")
    if len(offsets) < expected or len(counts) < expected:
        raise RefusedFile("truncated TIFF")
    parts = tuple(zip(offsets[:expected], counts[:expected], strict=True))
    layout = TiffLayout(
        *(order, width, height, depth, kind, samples, compression, photometric, _one(tags, 317, 1), planar),
        *(rows, columns, parts, tags.get(338, ())[: samples - colours], tags.get(320, ()), _one(tags, 266, 1) == 2),
    )
    _expect_there(data, layout)
    return layout


def _expect_there(data: bytes, layout: TiffLayout) -> None:
    """Refuse parts that lie outside of the file, and such as cannot hold what they must."""
    most = {NONE: 1, PACKBITS: 64, DEFLATE: 1040, OLD_DEFLATE: 1040, LZW: 4096}[layout.compression]  # bytes of one
    if layout.columns > 4 * layout.width + 4096 or layout.rows > 4 * layout.height + 4096:
        raise RefusedFile("damaged TIFF (tiles far larger than the picture)")
    per_plane = len(layout.parts) // (layout.samples if layout.planar == 2 else 1)
    for number, (offset, count) in enumerate(layout.parts):
        if offset + count > len(data):
            raise RefusedFile("truncated TIFF")
        if _part_rows(layout, number % per_plane) * layout.row_bytes > most * count:
            raise RefusedFile("truncated TIFF")


def _part_rows(layout: TiffLayout, number: int) -> int:
    """Rows stored of strip `number` of its plane; a tile is always whole."""
    if layout.columns != layout.width or (number + 1) * layout.rows <= layout.height:
        return layout.rows
    return layout.height - number * layout.rows


def pixels(data: bytes, layout: TiffLayout) -> np.ndarray:
    """(H, W, C) of the stored type: uint8 for 1 to 8 bits, uint16 for 9 to 16, else as they are."""
    planes = layout.samples if layout.planar == 2 else 1
    per_plane = len(layout.parts) // planes
    across = -(-layout.width // layout.columns)
    whole = []
    for plane in range(planes):
        parts = layout.parts[plane * per_plane : (plane + 1) * per_plane]
        down = per_plane // across
        stored = _unpacked(data, layout, parts)  # (rows of all parts, row bytes)
        values = _values(layout, stored)  # (rows, columns, held)
        if across > 1 or layout.columns != layout.width:
            tiles = values.reshape(down, across, layout.rows, layout.columns, layout.held)
            values = tiles.transpose(0, 2, 1, 3, 4).reshape(down * layout.rows, across * layout.columns, layout.held)
        whole.append(values[: layout.height, : layout.width])
    return _as_picture(layout, whole[0] if planes == 1 else np.concatenate(whole, axis=-1))


def _unpacked(data: bytes, layout: TiffLayout, parts: tuple[tuple[int, int], ...]) -> np.ndarray:
    """(rows of all parts, row bytes) uint8: what the parts hold once they are decompressed."""
    if layout.compression in (LZW, PACKBITS):
        return _by_libtiff(data, layout, parts)
    out = bytearray()
    for number, (offset, count) in enumerate(parts):
        size = _part_rows(layout, number) * layout.row_bytes
        packed = data[offset : offset + count]
        part = packed[:size] if layout.compression == NONE else zlib.decompressobj().decompress(packed, size)
        if len(part) < size:
            raise RefusedFile("truncated TIFF")
        out += part
    return np.frombuffer(out, np.uint8).reshape(-1, layout.row_bytes)


def _by_libtiff(data: bytes, layout: TiffLayout, parts: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Decompress with the decoder that Pillow has, as a gray picture of bytes in strips: it sees nothing else."""
    height = sum(_part_rows(layout, number) for number in range(len(parts)))
    body = b"".join(data[offset : offset + count] for offset, count in parts)
    start = 8
    offsets = []
    for _, count in parts:
        offsets.append(start)
        start += count
    arrays = [offsets, [count for _, count in parts]]
    places = [start, start + 4 * len(parts)]
    entries: list[tuple[int, int]] = [
        (256, layout.row_bytes),
        (257, height),
        (258, 8),
        (259, layout.compression),
        (262, 1),
    ]
    entries += [(273, 0), (277, 1), (278, layout.rows), (279, 0)]
    directory = b""
    for tag, value in entries:
        array = {273: 0, 279: 1}.get(tag)
        number = 1 if array is None else len(parts)
        inside = value if array is None else arrays[array][0] if number == 1 else places[array]
        directory += struct.pack("<HHII", tag, 4, number, inside)
    tables = b"".join(struct.pack(f"<{len(array)}I", *array) for array in arrays)
    at = start + len(tables)
    whole = b"II*\0" + struct.pack("<I", at) + body + tables + struct.pack("<H", len(entries)) + directory + bytes(4)
    from PIL.TiffImagePlugin import TiffImageFile  # some 20 ms, for compressed TIFF alone

    image = TiffImageFile(BytesIO(whole))
    image.load()
    return np.asarray(image).reshape(height, layout.row_bytes)


def _values(layout: TiffLayout, stored: np.ndarray) -> np.ndarray:
    """(rows, row bytes) uint8 -> (rows, columns, held) of the stored type, predictors undone."""
    rows = len(stored)
    count = layout.columns * layout.held
    if layout.reversed_bits:
        stored = np.packbits(np.unpackbits(stored, axis=1), axis=1, bitorder="little")
    if layout.bits not in (8, 16, 32, 64):
        bits = np.unpackbits(stored, axis=1)[:, : count * layout.bits].reshape(rows, count, layout.bits)
        dtype = np.uint8 if layout.bits < 8 else np.uint16
        unpacked = np.zeros((rows, count), dtype)
        for place in range(layout.bits):
            unpacked = unpacked << 1 | bits[..., place].astype(dtype)
        return unpacked.reshape(rows, layout.columns, layout.held)
    size = layout.bits // 8
    if layout.predictor == 3 and layout.kind == "f":  # differences of bytes, the high bytes of all values first
        wide = stored.reshape(rows, size * layout.columns, layout.held)
        summed = np.cumsum(wide, axis=1, dtype=np.uint8).reshape(rows, size, count)
        values: np.ndarray = np.ascontiguousarray(summed.transpose(0, 2, 1)).view(f">f{size}")
    else:
        values = np.ascontiguousarray(stored).view(f"{layout.order}{layout.kind}{size}")
    values = values.reshape(rows, layout.columns, layout.held)
    if layout.predictor == 2 and layout.kind != "f":
        values = np.cumsum(values, axis=1, dtype=values.dtype.newbyteorder("="))
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _as_picture(layout: TiffLayout, values: np.ndarray) -> np.ndarray:
    """(H, W, S) -> (H, W, 1, 3 or 4): palettes and inks to RGB, white as the highest value, few bits scaled to 8."""
    top = 2**layout.bits - 1
    if layout.photometric == 3:
        palette = np.array(layout.palette[: 3 * (top + 1)], np.uint16)
        if palette.size != 3 * (top + 1):
            raise RefusedFile("damaged TIFF (a palette that is cut short)")
        bytewise = palette if palette.max() < 256 else palette >> 8  # some writers stop at 255
        looked_up: np.ndarray = bytewise.reshape(3, -1).T.astype(np.uint8)[values[..., 0]]
        return looked_up
    if layout.bits < 8:
        scaled = np.arange(top + 1) * 255 // top
        values = scaled.astype(np.uint8)[values]
        top = 255
    if layout.photometric == 5:
        return np.asarray(Image.fromarray(np.ascontiguousarray(values[..., :4]), "CMYK").convert("RGB"))
    if layout.photometric == 0:
        if layout.kind != "u":
            raise RefusedFile("TIFF whose white is zero, of numbers with a sign; save it with black as zero")
        values = np.concatenate([np.invert(values[..., :1]) & values.dtype.type(top), values[..., 1:]], axis=-1)
    colours = 3 if layout.photometric == 2 else 1
    alpha = layout.extra[:1] in ((1,), (2,)) or (layout.samples == colours + 1 and not layout.extra and colours == 3)
    colour = np.repeat(values[..., :1], 3, axis=-1) if colours == 1 and alpha else values[..., :colours]
    if not alpha:
        return colour
    opacity = values[..., colours : colours + 1]
    if layout.extra[:1] == (1,) and layout.kind == "u":  # multiplied with the opacity
        divided = colour.astype(np.float64) * top / np.maximum(opacity, 1)
        colour = np.rint(divided).clip(0, top).astype(values.dtype)
    return np.concatenate([colour, opacity], axis=-1)
