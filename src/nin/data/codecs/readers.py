"""Which picture format a file is, by its first bytes, and the header that its reader gives; the one table of readers.

AVIF and HEIC share a container of boxes (ISO 14496-12, 23008-12), walked here for the sizes that it declares.
"""

from collections.abc import Iterator
from importlib.util import find_spec

from nin.data.codecs import pnm, tiff
from nin.data.codecs.headers import FORMATS, HEIF, READABLE, READERS, Header, RefusedFile, foreign_format
from nin.extras import install

SUFFIXES = frozenset(suffix for suffixes, _ in (*FORMATS.values(), HEIF) for suffix in suffixes)
MAX_BOXES = 4_096  # of one file; a photo of a phone, in tiles, has some 200
AVIF_BRANDS = (b"avif", b"avis")
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
HEIF_ADVICE = f"{install('pillow_heif')} or convert it, for instance: heif-convert photo.heic photo.jpg"
_CONTAINERS = {b"meta": 4, b"iprp": 0, b"ipco": 0}  # bytes before the boxes inside
_TABLE = (
    *READERS,
    *((magic, tiff.walk_tiff) for magic in tiff.ORDERS),
    *((b"P%d" % number + space, pnm.walk_pnm) for number in range(1, 7) for space in (b" ", b"\n", b"\r", b"\t", b"#")),
)


def inspect(data: bytes) -> Header:
    """The header of the picture in `data`; raises RefusedFile."""
    header = _read(data)
    if header.width <= 0 or header.height <= 0:
        raise RefusedFile(f"{header.format} of {header.width} x {header.height} pixels")
    return header


def _read(data: bytes) -> Header:
    if not data:
        raise RefusedFile("an empty file (0 bytes)")
    for magic, read in _TABLE:
        if data.startswith(magic):
            return read(data)
    if data[4:8] == b"ftyp":
        end = min(max(int.from_bytes(data[:4], "big"), 12), 512)
        brands = [data[8:12], *(data[at : at + 4] for at in range(16, end, 4))]
        if any(brand in AVIF_BRANDS for brand in brands):
            return _of_boxes("AVIF", data)
        if any(brand in HEIF_BRANDS for brand in brands):
            if find_spec("pillow_heif") is None:
                raise RefusedFile(f"a HEIC photo, which needs another part: {HEIF_ADVICE}")
            return _of_boxes("HEIC", data)
    if data.startswith((b"II+\0", b"MM\0+")):
        raise RefusedFile("a BigTIFF picture, not a picture this program reads; save it as plain TIFF")
    raise RefusedFile(f"{foreign_format(data)}, not a picture this program reads ({READABLE})")


def _of_boxes(format: str, data: bytes) -> Header:
    """The largest size that is declared of any picture in the file; RefusedFile where there is none or a box is cut."""
    sizes = list(_sizes(format, data, 0, len(data), [0]))
    if not sizes:
        raise RefusedFile(f"damaged {format} (no size)")
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    return Header(format, width, height, data)


def _sizes(format: str, data: bytes, at: int, end: int, count: list[int], depth: int = 3) -> Iterator[tuple[int, int]]:
    """(width, height) of every picture that the boxes declare; `count`: boxes seen so far, `depth`: levels below."""
    while at + 8 <= end:
        size = int.from_bytes(data[at : at + 4], "big")
        name = data[at + 4 : at + 8]
        start = at + 8
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
            start = at + 16
        stop = at + size if size else end
        count[0] += 1
        if count[0] > MAX_BOXES:
            raise RefusedFile(f"{format} built of too many parts")
        if stop > end or stop < start:
            raise RefusedFile(f"truncated {format}")
        if name in _CONTAINERS and depth:
            yield from _sizes(format, data, start + _CONTAINERS[name], stop, count, depth - 1)
        elif name == b"ispe":
            yield (
                int.from_bytes(data[start + 4 : start + 8], "big"),
                int.from_bytes(data[start + 8 : start + 12], "big"),
            )
        at = stop
