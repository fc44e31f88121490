"""Hostile and odd picture files, generated; each with the verdict it must get: (H, W, C), or the reason in words.

The PNG, BMP and GIF writers here are by hand, after the standards, so that they are independent of the decoder.
"""

import gzip
import io
import struct
import zlib

import numpy as np
from PIL import Image

Verdict = tuple[int, int, int] | str
NOT_OURS = ", not a picture this program reads (JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF, PNM)"


def chunk(name: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width, height, depth, colour, rows: bytes, *, before=b"", after=b"", interlace=0, packed=None) -> bytes:
    """A PNG by hand; `rows` are filter bytes and samples."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))
    data = zlib.compress(rows) if packed is None else packed
    return b"\x89PNG\r\n\x1a\n" + head + before + chunk(b"IDAT", data) + after + chunk(b"IEND")


def gray16(values: np.ndarray, **more) -> bytes:
    height, width = values.shape
    return png(width, height, 16, 0, b"".join(b"\0" + row.astype(">u2").tobytes() for row in values), **more)


def samples(array: np.ndarray) -> bytes:
    """Filter byte 0 before every row of an (H, W, C) uint8 or uint16 array."""
    kind = ">u2" if array.dtype == np.uint16 else "u1"
    return b"".join(b"\0" + row.astype(kind).tobytes() for row in array)


def tiny(number: int) -> bytes:
    """A 2 x 2 PNG, different for every number."""
    values = np.array([number % 256, number // 256 % 256, 7, 9], np.uint8).reshape(2, 2, 1)
    return png(2, 2, 8, 0, samples(values))


def idx(array: np.ndarray) -> bytes:
    """An IDX file of unsigned bytes, as MNIST's."""
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def exif(orientation: int, *, order: str = "<", kind: int = 3) -> bytes:
    """A TIFF block with the one tag 0x0112."""
    body = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    value = struct.pack(order + ("I" if kind == 4 else "H"), orientation).ljust(4, b"\0")
    return body + struct.pack(order + "HHHI", 1, 0x0112, kind, 1) + value + b"\0\0\0\0"


def saved(array, format: str, **options) -> bytes:
    """What Pillow writes."""
    stream = io.BytesIO()
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    image.save(stream, format, **options)
    return stream.getvalue()


def scene(height=31, width=33, channels=3) -> np.ndarray:
    """Smooth colours that JPEG keeps well, different in every corner."""
    rows, columns = np.mgrid[0:height, 0:width]
    planes = [rows * 255 // max(height - 1, 1), columns * 255 // max(width - 1, 1), (rows + columns) * 2 % 256]
    return np.stack(planes, -1).astype(np.uint8) if channels == 3 else planes[2].astype(np.uint8)


def jpeg_segment(data: bytes, code: int, body: bytes) -> bytes:
    """`data` with one more segment after its start."""
    return data[:2] + struct.pack(">BBH", 0xFF, code, len(body) + 2) + body + data[2:]


def bmp(width, height, bits, rows: bytes, *, compression=0, palette=b"", height_sign=1) -> bytes:
    start = 54 + len(palette)
    head = struct.pack("<2sIHHI", b"BM", start + len(rows), 0, 0, start)
    size = len(rows) if compression else 0
    info = struct.pack("<IiiHHIIiiII", 40, width, height * height_sign, 1, bits, compression, size, 0, 0, 0, 0)
    return head + info + palette + rows


def gif(width, height, place=(0, 0, 1, 1), *, extras=b"", picture=True, packed=b"\x02\x02D\x01\0") -> bytes:
    """A GIF of two colours, red first; `packed` is LZW data for one pixel of colour 0."""
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes((255, 0, 0, 0, 0, 255))
    frame = b"," + struct.pack("<HHHHB", *place, 0) + packed if picture else b""
    return screen + extras + frame + b";"


def webp_frame_header(width: int, height: int) -> bytes:
    """A VP8X file that promises a canvas and holds nothing."""
    body = b"\x02\0\0\0" + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunks = b"VP8X" + struct.pack("<I", 10) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def corpus() -> dict[str, tuple[bytes, Verdict]]:
    """name -> (bytes, verdict)."""
    return {**_jpegs(), **_pngs(), **_bombs(), **_others(), **_tiffs(), **_pnms(), **_boxes(), **_foreign()}


def tiff(tags: dict[int, object], body: bytes = b"", order: str = "<", following: int = 0) -> bytes:
    """A TIFF of one directory that begins at 8; a value is a number or a tuple; `...` is where `body` begins."""
    size = 8 + 2 + 12 * len(tags) + 4
    arrays, entries = b"", b""
    start = size + sum(4 * len(value) for value in tags.values() if isinstance(value, tuple) and len(value) > 1)
    for tag, value in sorted(tags.items()):
        numbers = [start if one is ... else one for one in (value if isinstance(value, tuple) else (value,))]
        inside = numbers[0] if len(numbers) == 1 else size + len(arrays)
        arrays += struct.pack(f"{order}{len(numbers)}I", *numbers) if len(numbers) > 1 else b""
        entries += struct.pack(order + "HHII", tag, 4, len(numbers), inside)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(tags))
    return head + entries + struct.pack(order + "I", following) + arrays + body


def gray_tags(width: int, height: int, count: int, bits: int = 8, **more: object) -> dict[int, object]:
    """Of a gray picture in one strip of `count` bytes."""
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: 1, 273: ..., 277: 1, 278: height, 279: count}
    return {**tags, **{int(name[1:]): value for name, value in more.items()}}


def _tiffs() -> dict[str, tuple[bytes, Verdict]]:
    rgb, shape = scene(), (31, 33, 3)
    plain, six = saved(rgb, "TIFF"), bytes(range(6))
    bomb = zlib.compress(bytes(5_000 * 5_001), 9)
    lzw = saved(rgb, "TIFF", compression="tiff_lzw")
    many = (300,) * 110_000
    pages = saved(rgb, "TIFF", save_all=True, append_images=[Image.fromarray(rgb)] * 2)
    deflated = gray_tags(5_000, 5_001, len(bomb), _259=8)
    huge = "60,000 x 60,000 pixels, more than the 25,000,000 allowed: save it smaller"
    compressed = "TIFF whose compression, JPEG, is not read; save it with LZW, Deflate or none"
    cases: dict[str, tuple[bytes, Verdict]] = {
        "plain.tif": (plain, shape),
        "lzw.tif": (lzw, shape),
        "deflate.tif": (saved(rgb, "TIFF", compression="tiff_adobe_deflate"), shape),
        "packbits.tif": (saved(rgb, "TIFF", compression="packbits"), shape),
        "by-hand.tif": (tiff(gray_tags(3, 2, 6), six), (2, 3, 1)),
        "big-endian.tif": (tiff(gray_tags(3, 2, 6), six, ">"), (2, 3, 1)),
        "no-counts.tif": (tiff({k: v for k, v in gray_tags(3, 2, 6).items() if k != 279}, six), (2, 3, 1)),
        "then-zip.tif": (tiff(gray_tags(3, 2, 6), six) + b"PK\x03\x04" + bytes(99), (2, 3, 1)),
        "pages.tif": (
            pages,
            "TIFF of 3 pages; save the page you mean as a file of its own, for instance with tiffsplit",
        ),
        "loop.tif": (tiff(gray_tags(3, 2, 6), six, following=8), "damaged TIFF (its directories run in a circle)"),
        "far-page.tif": (tiff(gray_tags(3, 2, 6), six, following=2**31), "truncated TIFF"),
        "big.tif": (
            b"II+\0\x08\0\0\0" + bytes(20),
            "a BigTIFF picture, not a picture this program reads; save it as plain TIFF",
        ),
        "magic-only.tif": (b"II*\0", "truncated TIFF"),
        "no-directory.tif": (b"II*\0\0\0\0\0", "truncated TIFF"),
        "far-directory.tif": (b"II*\0" + struct.pack("<I", 2**32 - 1), "truncated TIFF"),
        "entries.tif": (b"II*\0" + struct.pack("<IH", 8, 65_535) + bytes(12 * 65_535), "damaged TIFF"),
        "empty-directory.tif": (b"II*\0" + struct.pack("<IHI", 8, 0, 0), "TIFF of 0 x 0 pixels"),
        "no-size.tif": (tiff(gray_tags(0, 2, 6), six), "TIFF of 0 x 2 pixels"),
        "cut.tif": (tiff(gray_tags(3, 2, 6), six[:5]), "truncated TIFF"),
        "far-strip.tif": (tiff(gray_tags(3, 2, 6, _273=2**32 - 1), six), "truncated TIFF"),
        "short-strip.tif": (tiff(gray_tags(3, 2, 5), six), "truncated TIFF"),
        "huge.tif": (tiff(gray_tags(60_000, 60_000, 6), six), "truncated TIFF"),
        "huge-lzw.tif": (tiff(gray_tags(60_000, 60_000, 900_000, _259=5), bytes(900_000)), huge),
        "strips.tif": (
            tiff({**gray_tags(1, 110_000, 1), 273: many, 278: 1, 279: many}),
            "TIFF built of too many parts",
        ),
        "strip-count.tif": (tiff({**gray_tags(1, 10**9, 1), 278: 1}, six), "TIFF built of too many parts"),
        "bomb-within.tif": (tiff(gray_tags(10, 10, len(bomb), _259=8), bomb), (10, 10, 1)),
        "bad-deflate.tif": (tiff(gray_tags(3, 2, 6, _259=8), six), "damaged TIFF"),
        "bad-lzw.tif": (tiff(gray_tags(90, 90, 9, _259=5), b"\xff" * 9), "damaged TIFF"),
        "tile.tif": (
            tiff({**gray_tags(3, 2, 6), 322: 10**9, 323: 10**9, 324: ..., 325: 6}, six),
            "damaged TIFF (tiles far larger than the picture)",
        ),
        "no-tile.tif": (tiff({**gray_tags(3, 2, 6), 322: 0, 323: 16, 324: ..., 325: 6}, six), "damaged TIFF"),
        "jpeg.tif": (tiff(gray_tags(3, 2, 6, _259=7), six), compressed),
        "channels.tif": (
            tiff(gray_tags(1, 1, 6, _277=6, _258=(8,) * 6), six),
            "TIFF of 6 channels; save it in gray, RGB or RGBA",
        ),
        "two-channels.tif": (tiff(gray_tags(1, 1, 6, _277=2), six), "TIFF of 2 channels; save it in gray, RGB or RGBA"),
        "odd-depths.tif": (
            tiff(gray_tags(1, 1, 6, _277=3, _262=2, _258=(8, 8, 16)), six),
            "TIFF whose channels are not stored alike or in a way that is not read",
        ),
        "half-byte-float.tif": (
            tiff(gray_tags(3, 2, 6, _339=3), six),
            "TIFF of 8-bit values, which are not read; save it with 8 or 16 bits",
        ),
        "palette-cut.tif": (
            tiff(gray_tags(3, 2, 6, _262=3, _320=(1, 2, 3)), six),
            "damaged TIFF (a palette that is cut short)",
        ),
    }
    cap = "5,000 x 5,001 pixels, more than the 25,000,000 allowed: save it smaller, or set NIN_MAX_PIXELS=25005000"
    return {**cases, "bomb.tif": (tiff(deflated, bomb), cap)}


def _pnms() -> dict[str, tuple[bytes, Verdict]]:
    large = "5,000 x 5,001 pixels, more than the 25,000,000 allowed: save it smaller, or set NIN_MAX_PIXELS=25005000"
    return {
        "plain.ppm": (saved(scene(), "PPM"), (31, 33, 3)),
        "bits.pbm": (b"P4 9 2\n\xff\0\0\xff", (2, 9, 1)),
        "digits.pgm": (b"P2\n# a comment\n3 2 # another\n15\n0 15 7 # and here\n1 2 3\n", (2, 3, 1)),
        "digits.pbm": (b"P1\n3 2\n101010", (2, 3, 1)),
        "sixteen.pgm": (b"P5 2 1 65535\n\1\2\3\4", (1, 2, 1)),
        "cut.pgm": (b"P5 2 2 255\n123", "truncated PNM"),
        "cut-digits.pgm": (b"P2 2 2 255\n1 2 3 x 9999", "truncated PNM"),
        "lies.ppm": (b"P6 60000 60000 255\n123", "truncated PNM"),
        "large.pbm": (b"P4 5000 5001 " + bytes(625 * 5001), large),
        "no-size.pgm": (b"P5 0 2 255\n", "PNM of 0 x 2 pixels"),
        "top.pgm": (b"P5 1 1 70000\n123", "damaged PNM (a largest value of 70000)"),
        "over.pgm": (b"P5 1 1 9\n\x0a", "damaged PNM (a value over 9)"),
        "long.pgm": (b"P2 1 1 9\n" + b"9" * 9_999, "damaged PNM (a number of too many digits)"),
        "comments.pgm": (b"P5" + b"#\n" * 2_000_000 + b" 1 1 255\nx", "damaged PNM (its header)"),
        "header-only.pgm": (b"P5 ", "damaged PNM (its header)"),
        "negative.pgm": (b"P2 1 1 9\n-1 ", "truncated PNM"),
    }


def _boxes() -> dict[str, tuple[bytes, Verdict]]:
    avif = saved(scene(), "AVIF")
    place = avif.index(b"ispe") + 8
    sized = avif[:place] + struct.pack(">II", 60_000, 60_000) + avif[place + 8 :]
    boxes = b"\0\0\0\x10ftypavif\0\0\0\0"
    return {
        "plain.avif": (avif, (31, 33, 3)),
        "bomb.avif": (sized, "60,000 x 60,000 pixels, more than the 25,000,000 allowed: save it smaller"),
        "cut.avif": (avif[: len(avif) // 2], "truncated AVIF"),
        "magic-only.avif": (b"\0\0\0\x20ftypavif", "truncated AVIF"),
        "no-size.avif": (boxes, "damaged AVIF (no size)"),
        "loop.avif": (boxes + b"\0\0\0\x04free" + bytes(20), "truncated AVIF"),
        "boxes.avif": (boxes + b"\0\0\0\x08free" * 100_000, "AVIF built of too many parts"),
        "deep.avif": (boxes + (b"\0\0\0\0iprp" * 100_000), "damaged AVIF (no size)"),
    }


def _jpegs() -> dict[str, tuple[bytes, Verdict]]:
    rgb, gray = scene(), scene(channels=1)
    plain, shape = saved(rgb, "JPEG", quality=95), (31, 33, 3)
    progressive = saved(rgb, "JPEG", progressive=True)
    last = progressive[progressive.rindex(b"\xff\xda") : -2]
    frame = plain.index(b"\xff\xc0")
    twelve = plain[: frame + 4] + b"\x0c" + plain[frame + 5 :]
    nothing = plain[: frame + 5] + b"\0\0\0\0" + plain[frame + 9 :]
    scan = plain.index(b"\xff\xda")
    cases: dict[str, tuple[bytes, Verdict]] = {
        "plain.jpg": (plain, shape),
        "gray.jpg": (saved(gray, "JPEG"), (31, 33, 1)),
        "progressive.jpg": (progressive, shape),
        "cmyk.jpg": (saved(Image.fromarray(rgb).convert("CMYK"), "JPEG"), shape),
        "one-pixel.jpg": (saved(scene(1, 1), "JPEG"), (1, 1, 3)),
        "subsampled.jpg": (saved(rgb, "JPEG", subsampling=2), shape),
        "restarts.jpg": (saved(rgb, "JPEG", restart_marker_rows=1), shape),
        "comments.jpg": (jpeg_segment(plain, 0xFE, b"x" * 60_000), shape),
        "bad-exif.jpg": (jpeg_segment(plain, 0xE1, b"Exif\0\0II*\0\xff\xff\xff\x7f"), shape),
        "bad-icc.jpg": (jpeg_segment(plain, 0xE2, b"ICC_PROFILE\0\1\1nonsense"), shape),
        "bad-mpo.jpg": (jpeg_segment(plain, 0xE2, b"MPF\0II*\0\x08\0\0\0\xff\xff"), shape),
        "thumbnail.jpg": (jpeg_segment(plain, 0xE1, b"Exif\0\0II*\0" + plain), shape),
        "then-zip.jpg": (plain + b"PK\x03\x04" + bytes(100), shape),
        "two-in-one.jpg": (plain + saved(gray, "JPEG"), shape),
        "no-end.jpg": (plain[:-2], shape),
        "half-an-end.jpg": (plain[:-1], shape),
        "no-end-progressive.jpg": (progressive[:-2], shape),
        "no-end-then-zeros.jpg": (plain[:-2] + bytes(300), shape),
        "header-only.jpg": (plain[:scan], "truncated JPEG"),
        "magic-only.jpg": (plain[:3], "truncated JPEG"),
        "cut-then-another.jpg": (plain[: scan + 200] + plain, "truncated JPEG"),
        "no-frame.jpg": (b"\xff\xd8\xff\xd9", "JPEG without a picture"),
        "no-scan.jpg": (plain[:scan] + b"\xff\xd9", "JPEG without a picture"),
        "twelve-bit.jpg": (twelve, "12-bit JPEG; only 8-bit JPEG can be read"),
        "no-size.jpg": (nothing, "JPEG of 0 x 0 pixels"),
        "two-frames.jpg": (plain[:scan] + plain[frame:], "damaged JPEG"),
        "no-tables.jpg": (b"\xff\xd8" + plain[frame : frame + 19] + plain[scan:], "damaged JPEG"),
        "scans.jpg": (progressive[:-2] + last * 300 + b"\xff\xd9", "JPEG built of too many parts"),
        "segments.jpg": (plain[:2] + b"\xff\xfe\0\2" * 100_000 + plain[2:], "JPEG built of too many parts"),
    }
    for number in range(1, 20):
        end = 3 + (len(plain) - 3) * number // 20
        cases[f"cut-{number:02}.jpg"] = plain[:end], "truncated JPEG"
        end = 3 + (len(progressive) - 3) * number // 20
        cases[f"cut-progressive-{number:02}.jpg"] = progressive[:end], "truncated JPEG"
    return cases


def _pngs() -> dict[str, tuple[bytes, Verdict]]:
    rgb, shape = scene(), (31, 33, 3)
    plain = saved(rgb, "PNG")
    rows = samples(rgb)
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(50_000_000), 9))
    profile = chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(50_000_000), 9))
    international = chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(50_000_000), 9))
    palette = chunk(b"PLTE", bytes((255, 0, 0, 0, 255, 0, 0, 0, 255)))
    index = b"\0\0\1\2\0\2\1\0"
    words = chunk(b"tEXt", b"a\0b")
    frames = chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(b"fcTL", bytes(26))
    damaged = bytearray(plain)
    damaged[plain.index(b"IDAT") + 30] ^= 0x10
    return {
        "plain.png": (plain, shape),
        "named-wrongly.jpg.png": (saved(rgb, "JPEG"), shape),
        "one-bit.png": (png(9, 2, 1, 0, b"\0\xaa\x80\0\x55\0"), (2, 9, 1)),
        "two-bit.png": (png(4, 1, 2, 0, b"\0\x1b"), (1, 4, 1)),
        "four-bit.png": (png(4, 1, 4, 0, b"\0\x05\xaf"), (1, 4, 1)),
        "sixteen-bit.png": (gray16(np.arange(12).reshape(3, 4)), (3, 4, 1)),
        "sixteen-bit-rgb.png": (png(33, 31, 16, 2, samples(rgb.astype(np.uint16) * 257)), shape),
        "gray-alpha.png": (png(2, 1, 8, 4, b"\0\1\2\3\4"), (1, 2, 4)),
        "rgba.png": (png(1, 1, 8, 6, b"\0\1\2\3\4"), (1, 1, 4)),
        "palette.png": (png(3, 2, 8, 3, index, before=palette), (2, 3, 3)),
        "palette-alpha.png": (png(3, 2, 8, 3, index, before=palette + chunk(b"tRNS", b"\0\x80")), (2, 3, 4)),
        "palette-short.png": (png(3, 2, 8, 3, b"\0\0\1\2\0\2\1\7", before=palette), (2, 3, 3)),
        "interlaced.png": (png(1, 1, 8, 2, b"\0\1\2\3", interlace=1), (1, 1, 3)),
        "gamma.png": (png(33, 31, 8, 2, rows, before=chunk(b"gAMA", struct.pack(">I", 45455))), shape),
        "animated.png": (png(33, 31, 8, 2, rows, before=frames), shape),
        "row.png": (png(60_000, 1, 8, 0, bytes(60_001)), (1, 60_000, 1)),
        "column.png": (png(1, 60_000, 8, 0, bytes(120_000)), (60_000, 1, 1)),
        "text-bomb.png": (png(33, 31, 8, 2, rows, before=text * 20), shape),
        "profile-bomb.png": (png(33, 31, 8, 2, rows, before=profile), shape),
        "xmp-bomb.png": (png(33, 31, 8, 2, rows, before=international), shape),
        "many-chunks.png": (png(33, 31, 8, 2, rows, before=words * 200_000), "PNG of more than 20,000 chunks"),
        "then-zip.png": (plain + b"PK\x03\x04" + bytes(100), shape),
        "two-in-one.png": (plain + plain, shape),
        "no-end.png": (plain[:-12], "truncated PNG"),
        "cut.png": (plain[: len(plain) // 2], "truncated PNG"),
        "magic-only.png": (plain[:8], "truncated PNG"),
        "too-few-rows.png": (png(33, 31, 8, 2, rows[: len(rows) // 2]), "truncated PNG"),
        "bad-crc.png": (bytes(damaged), "damaged PNG"),
        "bad-deflate.png": (png(33, 31, 8, 2, rows, packed=b"\x78\x9c" + b"\xff" * 200), "damaged PNG"),
        "no-header.png": (plain[:8] + plain[33:], "damaged PNG (no header)"),
        "colour-7.png": (png(1, 1, 8, 7, b"\0\0"), "damaged PNG (unknown colour type)"),
        "depth-3.png": (png(1, 1, 3, 0, b"\0\0"), "damaged PNG"),
        "empty.png": (png(0, 0, 8, 0, b""), "PNG of 0 x 0 pixels"),
        "lies.png": (png(4000, 4000, 8, 2, b"\0" * 10), "truncated PNG"),
    }


def _bombs() -> dict[str, tuple[bytes, Verdict]]:
    wide = zlib.compress(bytes(13_000 * 1_626), 9)
    large = saved(scene(64, 64), "JPEG")
    frame = large.index(b"\xff\xc0")

    def sized(data: bytes, at: int, side: int) -> bytes:
        return data[: at + 5] + struct.pack(">HH", side, side) + data[at + 9 :]

    progressive = saved(scene(64, 64), "JPEG", progressive=True)

    def too_large(width: int, height: int, more: str = "") -> str:
        return f"{width:,} x {height:,} pixels, more than the 25,000,000 allowed: save it smaller{more}"

    return {
        "bomb-1-bit.png": (
            png(13_000, 13_000, 1, 0, b"", packed=wide),
            too_large(13000, 13000, ", or set NIN_MAX_PIXELS=169000000"),
        ),
        "bomb.png": (png(30_000, 30_000, 8, 2, b"\0" * 100), "truncated PNG"),
        "bomb.gif": (gif(1, 1, (0, 0, 65535, 65535)), too_large(65535, 65535)),
        "bomb-screen.gif": (gif(65535, 65535), too_large(65535, 65535)),
        "bomb.webp": (webp_frame_header(16383, 16383), too_large(16383, 16383, ", or set NIN_MAX_PIXELS=268402689")),
        "bomb.bmp": (bmp(60_000, 60_000, 24, b""), "truncated BMP"),
        "bomb-rle.bmp": (
            bmp(25_000_000, 1, 8, b"\0\2\0\xff" * 9, compression=1, palette=bytes(1024)),
            "run-length BMP of 25,000,000 x 1 pixels, more than can be read safely",
        ),
        "bomb.jpg": (sized(large, frame, 65500), "truncated JPEG"),
        "bomb-progressive.jpg": (sized(progressive, progressive.index(b"\xff\xc2"), 6000), "truncated JPEG"),
        "large-progressive.jpg": (
            sized(progressive[:-2] + bytes(80_000) + b"\xff\xd9", progressive.index(b"\xff\xc2"), 6000),
            too_large(6000, 6000, ", or set NIN_MAX_PIXELS=36000000"),
        ),
    }


def _others() -> dict[str, tuple[bytes, Verdict]]:
    rgb, shape = scene(), (31, 33, 3)
    webp, lossless = saved(rgb, "WEBP"), saved(rgb, "WEBP", lossless=True)
    alpha = np.dstack([rgb, scene(channels=1)])
    moving = saved(rgb, "WEBP", save_all=True, append_images=[Image.fromarray(255 - rgb)])
    animated = saved(rgb, "GIF", save_all=True, append_images=[Image.fromarray(255 - rgb)])
    palette = bytes((0, 0, 255, 0, 255, 0, 0, 0)) + bytes(1016)
    note = b"!\xfe\x01x\0"
    clear = b"!\xf9\x04\x01\0\0\0\0"
    return {
        "plain.webp": (webp, shape),
        "lossless.webp": (lossless, shape),
        "alpha.webp": (saved(alpha, "WEBP"), (31, 33, 4)),
        "moving.webp": (moving, shape),
        "then-more.webp": (webp + b"trailing", shape),
        "cut.webp": (webp[: len(webp) // 2], "truncated WebP"),
        "cut-1.webp": (webp[:-1], "truncated WebP"),
        "magic-only.webp": (webp[:12], "truncated WebP"),
        "unknown.webp": (webp[:12] + b"VP9 " + webp[16:], "damaged WebP"),
        "no-frame.webp": (webp_frame_header(30, 30), "damaged WebP"),
        "plain.bmp": (saved(rgb, "BMP"), shape),
        "top-down.bmp": (bmp(1, 2, 24, b"\1\2\3\0\4\5\6\0", height_sign=-1), (2, 1, 3)),
        "runs.bmp": (bmp(4, 1, 8, b"\4\1\0\1", compression=1, palette=palette), (1, 4, 3)),
        "one-bit.bmp": (bmp(2, 1, 1, b"\x40\0\0\0", palette=bytes((0, 0, 0, 0, 255, 255, 255, 0))), (1, 2, 1)),
        "cut.bmp": (saved(rgb, "BMP")[:-50], "truncated BMP"),
        "magic-only.bmp": (b"BM" + bytes(20), "a file of unknown kind" + NOT_OURS),
        "header-only.bmp": (saved(rgb, "BMP")[:50], "truncated BMP"),
        "cars.bmp": (b"BMW and other makes of cars", "a text file" + NOT_OURS),
        "plain.gif": (saved(rgb, "GIF"), shape),
        "animated.gif": (animated, shape),
        "red.gif": (gif(1, 1), (1, 1, 3)),
        "clear.gif": (gif(1, 1, extras=clear), (1, 1, 4)),
        "comments.gif": (gif(1, 1, extras=note * 100_000), (1, 1, 3)),
        "blocks.gif": (gif(1, 1, extras=b"!\xfe" + b"\1x" * 700_000 + b"\0"), "GIF built of too many parts"),
        "larger-frame.gif": (gif(1, 1, (5, 7, 1, 1)), (8, 6, 3)),
        "no-frames.gif": (gif(1, 1, picture=False), "GIF without a picture"),
        "no-size.gif": (gif(0, 0, (0, 0, 0, 0)), "GIF of 0 x 0 pixels"),
        "cut.gif": (saved(rgb, "GIF")[:-100], "truncated GIF"),
        "cut-table.gif": (saved(rgb, "GIF")[:100], "truncated GIF"),
        "magic-only.gif": (b"GIF89a", "truncated GIF"),
        "bad-block.gif": (gif(1, 1, extras=b"?"), "damaged GIF"),
        "too-little-data.gif": (gif(9, 9, (0, 0, 9, 9)), "truncated GIF"),
    }


def _foreign() -> dict[str, tuple[bytes, Verdict]]:
    rgb = scene()
    files = {
        "svg.png": (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
        "eps.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "an EPS or PostScript file"),
        "pdf.png": (b"%PDF-1.7\n", "a PDF"),
        "html.jpg": (b"<!DOCTYPE html><html><body>404</body></html>", "an HTML page"),
        "xml.png": (b"<?xml version='1.0'?><a/>", "an XML file"),
        "zip.png": (b"PK\x03\x04" + bytes(30), "a ZIP archive"),
        "elf.png": (b"\x7fELF\2\1\1", "a program"),
        "ico.png": (saved(rgb, "ICO"), "an icon (ICO)"),
        "jp2.png": (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 picture"),
        "film.jpg": (b"\0\0\0\x18ftypmp42", "an MP4 or QuickTime file"),
        "sound.webp": (b"RIFF\x24\0\0\0WAVEfmt ", "a RIFF file (sound or film)"),
        "gzip.png": (gzip.compress(b"x"), "a gzip archive"),
        "numpy.png": (b"\x93NUMPY\1\0", "a NumPy array"),
        "pickle.png": (b"\x80\x04\x95\x0c\0\0\0", "a Python pickle"),
        "text.png": (b"hello\n", "a text file"),
        "one-byte.png": (b"\x00", "a file of unknown kind"),
    }
    others = {name: (data, words + NOT_OURS) for name, (data, words) in files.items()}
    return {**others, "empty.jpg": (b"", "an empty file (0 bytes)")}
