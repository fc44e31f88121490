"""Small files of every kind of PNG and JPEG, with the SHA-256 of the pixels that nin.data.images makes of them.

`python web/tests/pictures/make_pictures.py` writes pictures.json beside it: what the page's own decoders are held
against. Each is RGBA of 8 bits, turned as EXIF says; `near`: side of the network that a JPEG is decoded for.
"""

import base64
import hashlib
import io
import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from nin.data.depth import to_uint8
from nin.data.images import read_picture

PLACE = Path(__file__).with_name("pictures.json")
PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def packed(row: np.ndarray, depth: int) -> bytes:
    """Values of a row as they are stored."""
    if depth == 16:
        return row.astype(">u2").tobytes()
    if depth == 8:
        return row.astype(np.uint8).tobytes()
    bits = ((row[:, None] >> np.arange(depth - 1, -1, -1)) & 1).astype(np.uint8)
    return np.packbits(bits.reshape(-1)).tobytes()


def filtered(kind: int, row: bytes, above: bytes, step: int) -> bytes:
    out = bytearray([kind])
    for at, value in enumerate(row):
        left = row[at - step] if at >= step else 0
        up = above[at]
        corner = above[at - step] if at >= step else 0
        guess = left + up - corner
        near = min((abs(guess - left), 0, left), (abs(guess - up), 1, up), (abs(guess - corner), 2, corner))[2]
        out.append((value - (0, left, up, (left + up) // 2, near)[kind]) & 255)
    return bytes(out)


def png(
    values: np.ndarray, colour: int, depth: int, *, interlaced: bool = False, key: bytes = b"", exif: int = 0
) -> bytes:
    """A PNG of stored values (H, W, C); every row has another filter. `key`: the body of tRNS."""
    height, width = values.shape[:2]
    step = max(1, depth * CHANNELS[colour] // 8)
    rows = b""
    for top, left, down, across in PASSES if interlaced else ((0, 0, 1, 1),):
        part = values[top::down, left::across]
        if not part.size:
            continue
        above = bytes(len(packed(part[0].reshape(-1), depth)))
        for number, row in enumerate(part):
            stored = packed(row.reshape(-1), depth)
            rows += filtered((number + 4) % 5, stored, above, step)
            above = stored
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    file = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    if colour == 3:
        palette = np.random.default_rng(7).integers(0, 256, (2**depth, 3), dtype=np.uint8)
        file += chunk(b"PLTE", palette.tobytes())
    file += chunk(b"tRNS", key) if key else b""
    file += chunk(b"eXIf", b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, exif, 0, 0)) if exif else b""
    data = zlib.compress(rows)
    half = len(data) // 2
    return file + chunk(b"IDAT", data[:half]) + chunk(b"IDAT", data[half:]) + chunk(b"IEND", b"")


def pngs() -> Iterator[tuple[str, bytes]]:
    draw = np.random.default_rng(1)
    for colour, depths in ((0, (1, 2, 4, 8, 16)), (2, (8, 16)), (3, (1, 2, 4, 8)), (4, (8, 16)), (6, (8, 16))):
        for depth in depths:
            for interlaced in (False, True):
                values = draw.integers(0, 2**depth, (11, 13, CHANNELS[colour]))
                name = f"png colour {colour} depth {depth}{' interlaced' if interlaced else ''}"
                yield name, png(values, colour, depth, interlaced=interlaced)
                if colour < 3:
                    key = b"".join(struct.pack(">H", int(value)) for value in values[3, 4])
                    yield f"{name} key", png(values, colour, depth, interlaced=interlaced, key=key)
                if colour == 3:
                    yield f"{name} alpha", png(values, colour, depth, interlaced=interlaced, key=bytes((0, 128)))
    deep = np.repeat(draw.integers(0, 2**16, (4, 5, 1)), 3, axis=2)
    yield "png grey as 16-bit colour", png(deep, 2, 16)
    yield "png of one pixel", png(np.full((1, 1, 4), 9), 6, 8, interlaced=True)
    for orientation in range(2, 9):
        yield f"png turned {orientation}", png(draw.integers(0, 256, (2, 3, 3)), 2, 8, exif=orientation)


def scene(height: int, width: int, mode: str) -> Image.Image:
    """Smooth colours with edges and some noise: all coefficients are used."""
    draw = np.random.default_rng(height * 1000 + width)
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x / 7 + k) * np.cos(y / (5 + k)) * 90 + 128 + 40 * (x > y + 3 * k) for k in range(4)]
    values = np.stack(waves[: len(Image.new(mode, (1, 1)).getbands())], axis=-1) + draw.normal(0, 6, (height, width, 1))
    return Image.fromarray(
        values.clip(0, 255).astype(np.uint8).squeeze(-1) if mode == "L" else values.clip(0, 255).astype(np.uint8), mode
    )


def jpeg(image: Image.Image, **options: object) -> bytes:
    held = io.BytesIO()
    image.save(held, "JPEG", **options)
    return held.getvalue()


def jpegs() -> Iterator[tuple[str, bytes, tuple[int, ...]]]:
    for subsampling in (0, 1, 2):
        for progressive in (False, True):
            kind = f"subsampling {subsampling}{' progressive' if progressive else ''}"
            file = jpeg(scene(67, 73, "RGB"), quality=80, subsampling=subsampling, progressive=progressive)
            yield f"jpeg {kind}", file, (3, 8, 16, 64)  # decoded at 1/8, 1/4, 1/2 and as it is
    for size in ((1, 1), (2, 3), (8, 8), (9, 17), (16, 5), (33, 2)):
        yield f"jpeg {size[0]} x {size[1]}", jpeg(scene(*size, "RGB"), quality=95), (64,)
    yield "jpeg grey", jpeg(scene(41, 38, "L"), quality=70), (4, 9, 64)
    yield "jpeg ink", jpeg(scene(41, 38, "CMYK"), quality=85), (4, 9, 64)
    yield "jpeg rgb", jpeg(scene(41, 38, "RGB"), quality=85, keep_rgb=True), (4, 9, 64)
    restarts = jpeg(scene(50, 60, "RGB"), quality=60, restart_marker_blocks=3)
    yield "jpeg restarts", restarts, (64,)
    yield "jpeg without its end", restarts[:-2], (64,)
    yield "jpeg progressive grey", jpeg(scene(50, 60, "L"), quality=60, progressive=True), (64,)
    yield "jpeg coarse", jpeg(scene(50, 60, "RGB"), quality=3), (8,)
    yield "jpeg fine", jpeg(scene(24, 30, "RGB"), quality=100), (64,)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield f"jpeg turned {orientation}", jpeg(scene(9, 20, "RGB"), exif=exif, quality=75), (64,)


def rgba(file: bytes, near: int) -> np.ndarray:
    """(H, W, 4) uint8 of a file, as the page hands it to its engine."""
    pixels = to_uint8(read_picture(file, near=near).pixels)
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    if pixels.shape[2] == 3:
        pixels = np.concatenate([pixels, np.full((*pixels.shape[:2], 1), 255, np.uint8)], axis=2)
    return pixels


def version(file: bytes, near: int) -> dict[str, object]:
    pixels = rgba(file, near)
    return {"near": near, "size": list(pixels.shape[:2]), "sha256": hashlib.sha256(pixels.tobytes()).hexdigest()}


def pictures() -> Iterator[dict[str, object]]:
    for name, file, sides in (*((name, file, (32,)) for name, file in pngs()), *jpegs()):
        versions = [version(file, near) for near in sides]
        yield {"name": name, "file": base64.b64encode(file).decode(), "versions": versions}


if __name__ == "__main__":
    lines = ",\n".join(json.dumps(picture) for picture in pictures())
    PLACE.write_text(f"[\n{lines}\n]\n")
