"""What one accepted picture may cost: bytes of memory and processor time a pixel, whatever its shape and format.

Each is read and resized in a process of its own, whose peak memory Linux tells.
"""

import os
import struct
import sys
import time
import zlib

import numpy as np
import pytest
from picture_corpus import chunk, gray_tags, png, saved, tiff
from PIL import Image

from nin.data.images import MIDDLE, Limits, PictureError, decoded_pixels, read_picture
from nin.data.preprocess import Preprocess
from nin.errors import DataError

SIDE = 1_000
PIXELS = SIDE * SIDE
MOST_BYTES = 32  # a pixel, as nin.data.images says
COUNTED_LATE = 10_000_000  # bytes: every core counts its pages by itself and tells them in batches
MOST_NANOSECONDS = 1_200  # a pixel: thrice what it says, for a machine that is slow or busy
ALPHA = Preprocess((96, 96), 3, "stretch", (0.5,) * 3, (0.5,) * 3)
DEEP = Preprocess((96, 96), 3, "stretch", (0.5,) * 3, (0.5,) * 3, value_range=(512.0, 2048.0))
FRACTIONS = Preprocess((96, 96), 3, "stretch", (0.5,) * 3, (0.5,) * 3, value_range=(0.0, 1.0))
PADDED = Preprocess((96, 96), 3, "pad", (0.5,) * 3, (0.5,) * 3)


def flat(width: int, height: int, depth: int, colour: int, before: bytes = b"") -> bytes:
    """A PNG of zeros."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = b"\0" + bytes((width * channels * depth + 7) // 8)
    packed = zlib.compressobj(9)
    body = b"".join(packed.compress(row * 100) for _ in range(height // 100))
    body += packed.compress(row * (height % 100)) + packed.flush()
    return png(width, height, depth, colour, b"", before=before, packed=body)


def fractions() -> bytes:
    return tiff(gray_tags(SIDE, SIDE, 8 * PIXELS, 64, _339=3), np.full(PIXELS, 0.5).tobytes())


def palette() -> bytes:
    return flat(SIDE, SIDE, 8, 3, chunk(b"PLTE", bytes(768)) + chunk(b"tRNS", bytes(10)))


def transparent() -> Image.Image:
    return Image.new("RGBA", (SIDE, SIDE), (9, 200, 40, 3))


CASES = {
    "16-bit RGBA": (ALPHA, lambda: flat(SIDE, SIDE, 16, 6)),
    "16-bit RGB with a key": (ALPHA, lambda: flat(SIDE, SIDE, 16, 2, chunk(b"tRNS", bytes(6)))),
    "16-bit gray and alpha": (ALPHA, lambda: flat(SIDE, SIDE, 16, 4)),
    "16-bit RGBA by its own range": (DEEP, lambda: flat(SIDE, SIDE, 16, 6)),
    "8-bit RGBA": (ALPHA, lambda: flat(SIDE, SIDE, 8, 6)),
    "palette": (ALPHA, palette),
    "PPM of 10 bits": (ALPHA, lambda: b"P6 %d %d 1000\n" % (SIDE, SIDE) + bytes(6 * PIXELS)),
    "bitmap": (ALPHA, lambda: b"P4 %d %d\n" % (SIDE, SIDE) + bytes(PIXELS // 8)),
    "64-bit fractions": (FRACTIONS, fractions),
    "lossless WebP": (ALPHA, lambda: saved(transparent(), "WEBP", lossless=True)),
    "progressive JPEG": (ALPHA, lambda: saved(transparent().convert("RGB"), "JPEG", progressive=True)),
    "one row": (ALPHA, lambda: flat(PIXELS, 1, 8, 6)),
    "one column": (ALPHA, lambda: flat(1, 260_000, 8, 6)),
    "one column, padded": (PADDED, lambda: flat(1, 260_000, 8, 6)),
}


def cost(preprocess: Preprocess, data: bytes) -> tuple[int, int]:
    """(bytes, nanoseconds) that reading and resizing take at most and together."""
    end, begin = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            before = resident("VmRSS")
            with open("/proc/self/clear_refs", "w") as reset:
                reset.write("5")  # the peak begins anew
            began = time.process_time_ns()
            preprocess.open_picture(data)
            taken = time.process_time_ns() - began
            os.write(begin, struct.pack("qq", resident("VmHWM") - before, taken))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(begin)
    with open(end, "rb") as stream:
        return struct.unpack("qq", stream.read())


def resident(which: str) -> int:
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(which))


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory as Linux tells it")
@pytest.mark.parametrize("name", CASES)
def test_a_picture_costs_so_much_a_pixel_at_most(name):
    preprocess, make = CASES[name]
    data = make()
    preprocess.open_picture(saved(transparent().resize((9, 9)), "PNG") if preprocess is not DEEP else flat(9, 9, 16, 6))
    used, taken = cost(preprocess, data)
    middle = MIDDLE if "column" in name else 0  # between its two steps, resizing has this many pixels at most
    assert used <= MOST_BYTES * PIXELS + 4 * middle + COUNTED_LATE, f"{used / PIXELS:.1f} bytes a pixel"
    assert taken <= MOST_NANOSECONDS * PIXELS + 200 * middle, f"{taken / PIXELS:.0f} ns a pixel"


@pytest.mark.parametrize(("width", "height", "near"), [(1, 8_000_000, 96), (2, 8_000_000, 96), (1, 300_000, 224)])
def test_what_resizing_would_blow_up_is_refused_before_it_is_decoded(width, height, near):
    data = flat(width, height, 8, 0)
    began = time.process_time()
    with pytest.raises(PictureError, match=rf"\({width} x {height:,} pixels, too high for its width; cut it into sho"):
        read_picture(data, near=near)
    assert time.process_time() - began < 0.5
    how = Preprocess((near, near), 3, "stretch", (0.5,) * 3, (0.5,) * 3)
    with pytest.raises(DataError, match="too high for its width"):
        how.resize(np.broadcast_to(np.uint8(0), (height, width, 1)))
    assert read_picture(flat(height, width, 8, 0), near=near).pixels.shape == (width, height, 1)  # on its side


def test_gray_pictures_become_the_same_colours_as_before():
    gray = np.random.default_rng(0).integers(0, 256, (70, 41, 1)).astype(np.uint8)
    for fit in ("stretch", "pad", "crop"):
        how = Preprocess((24, 32), 3, fit, (0.2, 0.5, 0.7), (0.5,) * 3)
        assert np.array_equal(how.resize(gray), how.resize(np.repeat(gray, 3, axis=-1)))


def test_how_much_is_decoded_is_known_from_the_header():
    photo = Image.new("RGB", (1_600, 1_200))
    assert decoded_pixels(saved(photo, "PNG"), 96) == 1_600 * 1_200
    for near in (30, 75, 96, 200, 4_000):
        data = saved(photo, "JPEG")
        assert decoded_pixels(data, near) == read_picture(data, near=near).pixels[..., 0].size
    assert decoded_pixels(saved(photo, "JPEG", progressive=True), 75) == 1_600 * 1_200
    assert decoded_pixels(b"hello", 96) == 0
    assert Limits().max_pixels * MOST_BYTES < 2**30
