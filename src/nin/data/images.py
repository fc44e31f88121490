"""The only door for pictures: a file's bytes in, (H, W, C) pixels out, or one line saying why not (torch-free).

Order: byte cap, format by its first bytes, container walked and size capped (codecs/), the one decoder of that
format, then our own conversion: values as deep as they are stored (depth.py makes 8 bits of them, by one rule for a
whole data set), EXIF orientation applied, transparency kept.
ICC profiles and gamma chunks are not applied. Of a phone's multi-picture JPEG (MPO) the first picture is read.
Reading a picture and resizing it takes at most 32 bytes of memory and some 400 ns for every pixel that `Limits` allow,
whatever its shape and format (tests/faults/test_picture_cost.py measures it).

Legend: H, W height and width in pixels; C channels: 1 gray, 3 RGB, 4 RGBA.
"""

import errno
import hashlib
import os
import re
import stat
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile

from nin.data.codecs.headers import Header, RefusedFile, exif_orientation
from nin.data.codecs.readers import SUFFIXES, inspect
from nin.errors import DataError, UsageError, escape_name

FILLERS = tuple(bytes([byte] * 4_096) for byte in (0x00, 0x55, 0xAA, 0xC3, 0xF8))  # codes for more than the blocks of a
# JPEG's unit that lie outside of the picture, at most 15 of 64 codes of 26 bits
NO_END = "a JPEG without its end marker, whose pixels are all there"
ADVICE = "remove it"

# One class per format instead of Image.open: that would also try MPO, and warn about the large JPEGs we shrink.
# Each is imported when a picture of its format comes: a prediction begins sooner.
_DECODERS = {
    "JPEG": ("PIL.JpegImagePlugin", "JpegImageFile"),
    "PNG": ("PIL.PngImagePlugin", "PngImageFile"),
    "WebP": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "BMP": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "GIF": ("PIL.GifImagePlugin", "GifImageFile"),
    "AVIF": ("PIL.AvifImagePlugin", "AvifImageFile"),
}
_DECODER_ERRORS = (
    *(OSError, EOFError, SyntaxError, ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError),
    *(AssertionError, NotImplementedError, RuntimeError, struct.error, zlib.error, Image.DecompressionBombError),
    Image.DecompressionBombWarning,
)


@dataclass(frozen=True)
class Limits:
    """Sizes above which a picture is refused before it is decoded."""

    max_bytes: int = 64 * 2**20
    max_pixels: int = 25_000_000  # as decoded
    max_jpeg_pixels: int = 200_000_000  # in the header, where the decoder may shrink to at most max_pixels
    setting: str = ""  # what a user sets to allow more pixels, if there is such a thing


LIMITS = Limits()
MAX_PIXELS = "NIN_MAX_PIXELS"  # the environment variable for scans larger than LIMITS
MOST_PIXELS = 1_000_000_000
MIDDLE = 25_000_000  # pixels between the two steps of resizing, as high as the picture and as wide as the network's
BAND = 2**16  # pixels converted at a time: what is needed on the way does not grow with the picture


def limits_here() -> Limits:
    """LIMITS, with as many pixels as the environment variable NIN_MAX_PIXELS allows; UsageError where it is no number.

    Every thread that decodes needs up to 32 bytes a pixel for it.
    """
    text = os.environ.get(MAX_PIXELS)
    if text is None:
        return replace(LIMITS, setting=MAX_PIXELS)
    number = text.strip().replace("_", "").replace(",", "")
    if not (number.isascii() and number.isdigit() and 1 <= int(number) <= MOST_PIXELS):
        raise UsageError(
            f"{MAX_PIXELS} is {escape_name(text)!r}; expected a number of pixels from 1 to {MOST_PIXELS:,}"
        )
    return replace(LIMITS, max_pixels=int(number), setting=MAX_PIXELS)


class PictureError(DataError):
    """A picture cannot be read; `reason` says why in words; `dispensable`: others remain without it."""

    def __init__(self, name: str, reason: str, text: str | None = None, *, dispensable: bool = True) -> None:
        found = f"is {reason}" if reason.startswith(("a ", "an ")) else f"is not a readable picture ({reason})"
        super().__init__(text or f"{escape_name(name)} {found}; {ADVICE}")
        self.name = name
        self.reason = reason
        self.dispensable = dispensable


@contextmanager
def skippable() -> Iterator[None]:
    """Of an unreadable picture say that it can be left out; for commands that have this choice."""
    try:
        yield
    except PictureError as error:
        if error.dispensable:
            error.add_way("pass --skip-unreadable")
        raise


@dataclass(frozen=True, eq=False)
class Picture:
    """One decoded picture. `pixels`: (H, W, C) uint8, or uint16 where the file has 16 bits a channel; `mode`: the
    decoder's own name for the file's pixels; `size`: (width, height) of the whole picture as a viewer shows it, however
    small it was decoded; `rotated`: an EXIF orientation other than the plain one was applied; `notes`: one line
    each."""

    pixels: np.ndarray
    format: str
    mode: str
    size: tuple[int, int]
    rotated: bool
    notes: tuple[str, ...] = ()


def is_picture_name(path: str | os.PathLike[str]) -> bool:
    """Whether a folder scan takes a file of this name for a picture; the content then decides what it is."""
    return Path(path).suffix.lower() in SUFFIXES


def read_picture(
    source: Path | bytes, *, near: int | None = None, name: str | None = None, limits: Limits | None = None
) -> Picture:
    """Decode one picture file, or the bytes of one; raises PictureError.

    With `near` (pixels) a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, its short side never under 2 * near.
    `name` stands for the picture in messages; `limits` are those of `limits_here` where none are given.
    """
    limits = limits or limits_here()
    name = name or ("the picture" if isinstance(source, bytes) else str(source))
    try:
        data = source if isinstance(source, bytes) else _read_file(source, limits)
        if len(data) > limits.max_bytes:
            raise RefusedFile(f"more than the {limits.max_bytes:,} bytes allowed")
        header = inspect(data)
        height, width = (header.width, header.height) if header.orientation >= 5 else (header.height, header.width)
        if near is not None and (reason := too_tall(height, width, near, near)):
            raise RefusedFile(reason)
        header, mode, values = _decoded(header, near, limits)
        pixels = TURNS[header.orientation](values)
    except RefusedFile as error:
        raise PictureError(name, str(error)) from None
    except MemoryError as error:
        raise PictureError(name, "not enough memory to decode it") from error
    width, height = (header.height, header.width) if header.orientation >= 5 else (header.width, header.height)
    rotated = header.orientation != 1
    notes = () if header.ended else (NO_END,)
    return Picture(np.ascontiguousarray(pixels), header.format, mode, (width, height), rotated, notes)


def too_tall(height: int, width: int, target: int, near: int) -> str:
    """Why a picture is not resized to `target` pixels of width, in words; empty where it is. near: the longer side of
    what is wanted. Resizing goes across and then down: a very high and narrow picture would grow to many times its
    size."""
    if height * target <= max(MIDDLE, 2 * height * width, 8 * near * near):
        return ""
    return f"{width:,} x {height:,} pixels, too high for its width; cut it into shorter pieces"


def decoded_pixels(data: bytes, near: int) -> int:
    """Pixels that decoding keeps in memory, from the header alone; 0 for what is no picture."""
    try:
        header = inspect(data)
    except RefusedFile:
        return 0
    shrinks = header.format == "JPEG" and not header.buffered and header.ended
    scale = min(header.width, header.height) // (2 * near) if shrinks else 1
    return header.width * header.height // max(s * s for s in (1, 2, 4, 8) if s <= max(scale, 1))


def by_bands(pixels: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """The pixels (..., C), one after the other, in bands of BAND: where they are in (N, C), and they themselves."""
    flat = pixels.reshape(-1, pixels.shape[-1])
    return ((slice(at, at + BAND), flat[at : at + BAND]) for at in range(0, len(flat), BAND))


def _read_file(path: Path, limits: Limits) -> bytes:
    """A regular file of at most max_bytes; nothing else is opened, so no pipe or device can block."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise RefusedFile("a folder" if stat.S_ISDIR(status.st_mode) else "a pipe, socket or device, not a file")
        if status.st_size > limits.max_bytes:
            raise RefusedFile(f"{status.st_size:,} bytes, more than the {limits.max_bytes:,} allowed")
        with open(path, "rb", opener=lambda file, flags: os.open(file, flags | os.O_NONBLOCK)) as stream:
            return stream.read(status.st_size + 1)  # read(n) takes n bytes of memory at once
    except OSError as error:
        words = {errno.ENOENT: "no such file", errno.EACCES: "permission denied", errno.ELOOP: "a link to itself"}
        raise RefusedFile(words.get(error.errno or 0, (error.strerror or str(error)).lower())) from error
    except ValueError as error:  # a NUL in the name
        raise RefusedFile("no such file") from error


def _decoded(header: Header, near: int | None, limits: Limits) -> tuple[Header, str, np.ndarray]:
    """The header as the decoder completes it, the mode, and the pixels (H, W, C) as deep as they are stored."""
    if header.decode is not None:
        values = _by_hand(header.decode, header, limits)
        mode = {1: "L", 3: "RGB", 4: "RGBA"}[values.shape[2]]
        return header, mode if values.dtype == np.uint8 else f"{mode};{values.dtype}", values
    if header.format == "HEIC":
        values = _by_hand(lambda: _heif(header), header, limits)
        header = replace(header, width=values.shape[1], height=values.shape[0])  # cut and turned as the file says
        return header, {3: "RGB", 4: "RGBA"}[values.shape[2]], values
    if not header.ended:
        _expect_whole(header, limits)
    image = _load(header, near, limits)
    if header.format == "AVIF":  # its rotations and reflections are given as EXIF gives them
        header = replace(header, orientation=exif_orientation(image.info.get("exif") or b""))
    if header.format != "PNG" or header.depth != 16 or header.data[25] not in (2, 4, 6):
        return header, image.mode, to_array(image, header.depth)
    return header, f"{image.mode};16", _deep_colour(image, header, limits)


def _by_hand(decode: Callable[[], np.ndarray], header: Header, limits: Limits) -> np.ndarray:
    """What `decode` gives, once the size is allowed."""
    size = header.width, header.height
    if size[0] * size[1] > limits.max_pixels:
        raise _too_large(size, limits.max_pixels, limits)
    try:
        values = decode()
    except _DECODER_ERRORS as error:
        raise RefusedFile(f"damaged {header.format}") from error
    return values


def _heif(header: Header) -> np.ndarray:
    """(H, W, 3 or 4) uint8 of a phone's photo; turned already, where it says so."""
    import pillow_heif

    image = pillow_heif.open_heif(BytesIO(header.data), convert_hdr_to_8bit=True).to_pillow()
    return np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB"))


def _deep_colour(image: ImageFile, header: Header, limits: Limits) -> np.ndarray:
    """(H, W, 3 or 4) uint16 of a PNG, of which Pillow drops the low bytes; `image`: what it gives."""
    if header.data[25] == 4:  # gray and alpha, 16 bits each: four bytes, as RGBA has
        image = _load(replace(header, data=_as_bytes(header.data)), None, limits)
        gray, alpha = np.moveaxis(np.asarray(image).view(">u2"), -1, 0).astype(np.uint16)
        return np.stack([gray, gray, gray, alpha], axis=-1)
    low = np.asarray(_load(header, None, limits, low=True))  # (H, W, 3 or 4)
    high = np.asarray(image)
    key = image.info.get("transparency")
    channels = high.shape[2]
    values = np.empty((high.shape[0] * high.shape[1], channels + isinstance(key, tuple)), np.uint16)
    for (at, above), (_, below) in zip(by_bands(high), by_bands(low), strict=True):
        values[at, :channels] = above.astype(np.uint16) << 8 | below
        if isinstance(key, tuple):
            clear = (values[at, :channels] == key).all(-1)
            values[at, channels] = np.where(clear, np.uint16(0), np.uint16(65535))
    return values.reshape(*high.shape[:2], -1)


def _expect_whole(header: Header, limits: Limits) -> None:
    """Refuse a JPEG without an end marker unless all its pixels are there: what follows then changes none of them."""
    data = header.data[:-2]
    seen = set()
    last = data[data.rindex(b"\xff\xda") :]
    restart = bytes(
        (0xFF, 0xD0 + len(re.findall(rb"\xff[\xd0-\xd7]", last)) % 8)
    )  # between two of them nothing is read
    for filler in [start + filler for start in (b"", restart) for filler in FILLERS]:
        image = _load(replace(header, data=data + filler + b"\xff\xd9"), None, limits)
        seen.add(hashlib.sha256(image.tobytes()).digest())
        if len(seen) > 1:
            raise RefusedFile("truncated JPEG")


def _as_bytes(data: bytes) -> bytes:
    """A PNG of 16-bit gray and alpha as one of 8-bit RGBA, which has the same bytes."""
    header = data[12:24] + bytes((8, 6)) + data[26:29]
    return data[:12] + header + zlib.crc32(header).to_bytes(4, "big") + data[33:]


def _decoder(format: str) -> type[ImageFile]:
    """The class of Pillow that reads a format."""
    module, name = _DECODERS[format]
    decoder: type[ImageFile] = getattr(import_module(module), name)
    return decoder


def _load(header: Header, near: int | None, limits: Limits, *, low: bool = False) -> ImageFile:
    """The loaded image; a JPEG as small as `near` permits; of 16-bit colour the high bytes, or the low ones."""
    size = header.width, header.height
    pixels = header.width * header.height
    shrinks = header.format == "JPEG" and near is not None and not header.buffered
    cap = max(limits.max_jpeg_pixels, limits.max_pixels) if shrinks else limits.max_pixels
    if pixels > cap:
        raise _too_large(size, cap, limits)
    try:
        image = _decoder(header.format)(BytesIO(header.data))
        if (image.size != size and header.format != "AVIF") or image.width * image.height > cap:
            raise RefusedFile(f"damaged {header.format} (two different sizes)")
        if header.format == "JPEG" and near is not None:
            image.draft(None, (2 * near, 2 * near))
        if image.width * image.height > limits.max_pixels:
            raise _too_large(size, limits.max_pixels, limits)
        if low:  # read as little-endian, the byte that Pillow takes is the other one
            image.tile = [tile._replace(args=str(tile.args).replace(";16B", ";16L")) for tile in image.tile]
        image.load()
    except _DECODER_ERRORS as error:
        cut = "truncated" in str(error).lower() or isinstance(error, EOFError)
        raise RefusedFile(f"{'truncated' if cut else 'damaged'} {header.format}") from error
    return image


def _too_large(size: tuple[int, int], cap: int, limits: Limits) -> RefusedFile:
    needed = size[0] * size[1]
    more = f", or set {limits.setting}={needed}" if limits.setting and needed <= MOST_PIXELS else ""
    return RefusedFile(f"{size[0]:,} x {size[1]:,} pixels, more than the {cap:,} allowed: save it smaller{more}")


def to_array(image: Image.Image, depth: int) -> np.ndarray:
    """(H, W, C) uint8, or uint16 for 16-bit gray, of a loaded image. `depth`: bits a channel in the file."""
    try:
        key = image.info.get("transparency")
        if image.mode.startswith("I"):  # 16-bit gray
            gray = np.asarray(image).astype(np.uint16)
            if not isinstance(key, int):
                return gray[..., None]
            opaque = np.where(gray == key, np.uint16(0), np.uint16(65535))
            return np.stack([gray, gray, gray, opaque], axis=-1)
        if isinstance(key, int) and image.mode == "L" and depth < 8:
            image.info["transparency"] = (
                key * 255 // (2**depth - 1)
            )  # the key is in the file's units, the pixels are not
        if image.has_transparency_data:
            return np.asarray(image.convert("RGBA"))
        if image.mode in ("1", "L"):
            return np.asarray(image.convert("L"))[..., None]
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    except _DECODER_ERRORS as error:
        raise RefusedFile(f"damaged {getattr(image, 'format', None) or 'image'}") from error


TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {  # EXIF 2.32, tag 0x0112; arrays are (H, W, C)
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a[::-1].transpose(1, 0, 2),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: a[:, ::-1].transpose(1, 0, 2),
}


def to_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """(H, W, C) uint8 with C = `channels`: transparency over white for 1 and 3, ITU-R BT.601 luma for 1."""
    found = pixels.shape[-1]
    if found == channels:
        return pixels
    if channels == 4:
        opaque = np.full((*pixels.shape[:2], 1), 255, np.uint8)
        return np.concatenate([to_channels(pixels, 3), opaque], axis=-1)
    if found == 4:
        over_white = np.empty((pixels.shape[0] * pixels.shape[1], 3), np.uint8)
        for at, band in by_bands(pixels):
            alpha = band[:, 3:].astype(np.uint16)
            over_white[at] = (band[:, :3] * alpha + 255 * (255 - alpha) + 127) // 255
        return to_channels(over_white.reshape(*pixels.shape[:2], 3), channels)
    if found == 1:
        return np.repeat(pixels, 3, axis=-1)
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).convert("L"))[..., None]
