"""Whatever a program calls pictures, as what the one door and the preprocessing take: one or many, held or named.

Paths, folders, globs and - (standard input); bytes and open files; Pillow's images; arrays and tensors; lists and
generators of these. Legend: H, W height and width in pixels; C channels: 1 gray, 3 RGB, 4 RGBA. (torch-free)
"""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from glob import glob
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nin.choices import expanded, shown
from nin.data.codecs.headers import READABLE, RefusedFile
from nin.data.depth import FULL, holds
from nin.data.images import LIMITS, TURNS, PictureError, is_picture_name, to_array
from nin.errors import UsageError, escape_name

TAKEN = (
    "a path, bytes, an open file, a Pillow image, an array (H, W) or (H, W, C), a tensor (C, H, W), "
    "or a list or generator of these"
)
NOTHING = "no picture given; name files, folders, a glob, or - for standard input"
CHANNELS = (1, 3, 4)
ORIENTATION = 0x0112  # EXIF 2.32

Source = Path | bytes | np.ndarray | Image.Image  # one picture, as nin.data.preprocess loads it
Named = tuple[str, Source]
Unnamed = tuple[str | None, Source]
PLAIN = {"La": "LA", "RGBa": "RGBA"}  # modes that Pillow turns into colours over others only


def named_pictures(given: Any) -> Iterator[Named]:
    """Every picture of `given` with the name to show for it; what has no name is "picture 1" and so on.

    Of a list all are looked at now (and open files read), of a generator one after the other as they are wanted.
    UsageError for what is no picture, and for none at all.
    """
    if not _is_many(given):
        found: Iterable[Unnamed] = _each(given)
    elif isinstance(given, list | tuple | set | frozenset | np.ndarray):
        found = [picture for one in given for picture in _each(one)]
    else:
        found = (picture for one in given for picture in _each(one))
    named = ((name or f"picture {number}", source) for number, (name, source) in enumerate(found, start=1))
    first = next(named, None)
    if first is None:
        raise UsageError(NOTHING)
    return chain((first,), named)


def one_picture(given: Any) -> Named:
    """The picture that `given` is, with its name; UsageError for several."""
    first, *others = named_pictures(given)
    if others:
        raise UsageError(f"{len(others) + 1} pictures are given; expected one")
    return first


def _is_many(given: Any) -> bool:
    """Whether it holds pictures and is none itself."""
    if isinstance(given, str | bytes | bytearray | memoryview | os.PathLike | Image.Image | Mapping):
        return False
    if hasattr(given, "read"):
        return False
    if _is_array(given):
        return getattr(given, "ndim", 0) == 1
    return isinstance(given, Iterable)


def _is_array(given: Any) -> bool:
    return hasattr(given, "__array__") or hasattr(given, "__array_interface__")


def _each(one: Any) -> list[Unnamed]:
    """What one word or value stands for: one picture, the pictures of a folder or glob, or of a batch (N, H, W, C)."""
    if isinstance(one, str) or (isinstance(one, os.PathLike) and isinstance(os.fspath(one), str)):
        return _of_word(os.fspath(one))
    if isinstance(one, bytes | bytearray | memoryview):
        return [(None, bytes(one))]
    if isinstance(one, Image.Image):
        return [(str(getattr(one, "filename", "") or "") or None, one)]
    if hasattr(one, "read"):
        return [_of_file(one)]
    if _is_array(one):
        return [(None, pixels) for pixels in _of_array(one)]
    raise UsageError(f"{shown(one)} is no picture; expected {TAKEN}")


def _of_file(file: Any) -> tuple[str | None, bytes]:
    """An open file from its beginning, as Pillow reads it: one that has just been written stands at its end."""
    name = getattr(file, "name", None)
    name = name if isinstance(name, str) and name and not name.startswith("<") else None
    try:
        if callable(getattr(file, "seekable", None)) and file.seekable():
            file.seek(0)
        data = file.read(LIMITS.max_bytes + 1)
    except (OSError, ValueError) as error:  # closed, or open for writing only
        raise UsageError(f"{escape_name(name or 'the file')} cannot be read ({error}); open it with mode rb") from error
    if not isinstance(data, bytes | bytearray):
        raise UsageError(f"{escape_name(name or 'the file')} is open as text; open it with mode rb")
    return name, bytes(data)


def _of_word(text: str) -> list[Unnamed]:
    """A file, a folder (searched through), a glob, or '-' for standard input, in a stable order."""
    if text == "-":
        if sys.stdin is None:
            raise UsageError("standard input is closed; give it a picture, for instance with < picture.jpg")
        return [("-", sys.stdin.buffer.read())]
    return [(str(path), path) for path in _expand(text)]


def _expand(text: str) -> list[Path]:
    if not text.strip():
        raise UsageError(f"{NOTHING}; an empty name stands for none")
    path = expanded(text)
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.is_file() and is_picture_name(p) and not _hidden(p, path))
        if not found:
            raise UsageError(f"{escape_name(text)} holds no pictures ({READABLE})")
        return found
    if path.exists():
        return [path]
    matched = [Path(name) for name in sorted(glob(str(path), recursive=True)) if Path(name).is_file()]  # noqa: PTH207
    if matched:
        return matched
    if "://" in text:
        raise UsageError(f"{shown(text)} is an address, and nothing is fetched; give the path or bytes of a picture")
    raise UsageError(
        f"{escape_name(text)} does not exist; name files, folders, a glob in quotes, or - for standard input"
    )


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _of_array(given: Any) -> list[np.ndarray]:
    """The (H, W, C) pixels of an array (H, W), (H, W, C) or (N, H, W, C); of a tensor (C, H, W) too, and many of it."""
    tensor = hasattr(given, "detach")  # torch's, without importing torch
    if tensor:
        given = given.detach().cpu()
        given = given.float() if str(given.dtype) == "torch.bfloat16" else given  # numpy has no such numbers
    pixels = np.asarray(given)
    shape = f"{'a tensor' if tensor else 'an array'} of shape {pixels.shape}"
    if pixels.dtype.kind not in "buif":
        raise UsageError(f"an array of {pixels.dtype} is no picture; expected {TAKEN}")
    if not pixels.size:
        raise UsageError(f"{shape} has no pixels; expected {TAKEN}")
    if pixels.ndim == 2:
        return [pixels[..., None]]
    if pixels.ndim not in (3, 4):
        raise UsageError(f"{shape} is no picture; expected (H, W), (H, W, C) or, of many, (N, H, W, C)")
    first = pixels.shape[-3] in CHANNELS
    last = pixels.shape[-1] in CHANNELS
    if tensor and first and last:
        raise UsageError(f"{shape} can be read in two ways; give tensor.permute(1, 2, 0).numpy(), an array (H, W, C)")
    if tensor and first:
        pixels = np.moveaxis(pixels, -3, -1)
        last = True
    if not last:
        turned = "; of (C, H, W) give array.transpose(1, 2, 0)" if first and pixels.ndim == 3 else ""
        raise UsageError(f"{shape} is no picture; expected (H, W) or (H, W, C), C being 1, 3 or 4{turned}")
    return [pixels] if pixels.ndim == 3 else list(pixels)


def held_pixels(source: np.ndarray | Image.Image, name: str) -> np.ndarray:
    """(H, W, C) pixels, of whatever type they are held in, of an array or of one of Pillow's images; PictureError.

    Of an image what a file of it would give: turned as EXIF says, transparency kept, deep gray as deep as it is.
    """
    if isinstance(source, np.ndarray):
        return _native(source)
    try:
        source.load()
        turn = TURNS.get(source.getexif().get(ORIENTATION, 1), TURNS[1])
        image = source.convert(PLAIN[source.mode]) if source.mode in PLAIN else source
        if image.mode in ("I", "F") or image.mode.startswith("I;"):
            values = np.asarray(image)
            return _native(turn(values[..., None]))
        return np.ascontiguousarray(turn(to_array(image, 8)))
    except (RefusedFile, OSError, ValueError, SyntaxError) as error:
        what = f"a Pillow image of mode {source.mode} that cannot be read"
        raise PictureError(name, f"{what} ({escape_name(error)})") from error


def _native(pixels: np.ndarray) -> np.ndarray:
    """In the byte order of this machine, one row after the other."""
    return np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder("="), copy=False))


def on_full_scale(pixels: np.ndarray, name: str) -> np.ndarray:
    """Held pixels where no range was learned: truth values, fractions of 0 to 1, whole numbers of 0 to 255 as uint8.

    uint8 is as it is, and uint16 that uses more than the lowest 8 of its bits; fractions may lie half a grey level
    beyond black and white. UsageError for other values: what they mean is asked, not guessed.
    """
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8) * np.uint8(255)
    fractions = pixels.dtype.kind == "f"
    low = pixels.min()
    high = pixels.max()
    if pixels.dtype == np.uint16:
        if 0 < high <= 255:
            what = f"has uint16 values of {low} to {high}, which are black on the scale 0 to 65,535"
            raise UsageError(f"{escape_name(name)} {what}; give them as uint8, or multiply them by 257")
        return pixels
    scale = FULL[0] if fractions else FULL[2]
    if not holds(scale, float(low), float(high), fractions=fractions):  # NaN too
        expected = "fractions from 0 to 1, or 0 to 255 as uint8" if fractions else "0 to 255, or uint16"
        raise UsageError(f"{escape_name(name)} has {pixels.dtype} values from {low:g} to {high:g}; expected {expected}")
    return np.rint(pixels.astype(np.float64).clip(*scale) * (255 / scale[1])).astype(np.uint8)
