"""A hundred files as people have them, through the real page and `nin predict`: the same class, the same numbers."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from explorer_page import visited
from PIL import Image

import nin

CLOSE = 1e-5
SIZES = ((1, 1), (1, 300), (300, 1), (2, 3), (32, 32), (31, 33), (96, 96), (500, 375), (1080, 1920))


def scene(height: int, width: int, seed: int) -> Image.Image:
    """Something like a photograph: smooth colours, edges and a little noise."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (5, 7, 3), np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    pixels = np.asarray(small).astype(int)
    y, x = np.mgrid[:height, :width]
    pixels[((y * 3 + x * 2) // max(4, min(height, width) // 5)) % 3 == 0] //= 2
    pixels += rng.integers(-8, 9, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


def alpha(image: Image.Image, seed: int) -> Image.Image:
    mask = scene(image.height, image.width, seed).convert("L")
    image = image.convert("RGBA")
    image.putalpha(mask)
    return image


def corpus() -> Iterator[tuple[str, bytes]]:
    """101 files by name; the name says what is odd about each."""
    for n, (height, width) in enumerate(
        [(1, 1), (1, 300), (300, 1), (2, 3), (32, 32), (31, 33), (96, 96), (500, 375), (1080, 1920)]
    ):
        yield f"{height}x{width}.png", encoded(scene(height, width, n), "PNG")
        yield f"{height}x{width}.jpg", encoded(scene(height, width, n), "JPEG", quality=90)
    yield (
        "deep.png",
        encoded(Image.fromarray(np.asarray(scene(80, 60, 22).convert("L")).astype(np.uint16) * 250), "PNG"),
    )
    yield "3000x4000.jpg", encoded(scene(3000, 4000, 20), "JPEG", quality=85)
    yield "4000x400.jpg", encoded(scene(4000, 400, 21), "JPEG", quality=85, progressive=True)
    for quality in (5, 30, 60, 75, 85, 95, 100):
        for sampling in (0, 1, 2):
            yield (
                f"q{quality}-s{sampling}.jpg",
                encoded(scene(83, 121, quality), "JPEG", quality=quality, subsampling=sampling),
            )
    for orientation in range(1, 9):
        yield f"turned{orientation}.jpg", encoded(scene(60, 90, orientation), "JPEG", exif=exif(orientation))
        yield f"turned{orientation}.png", encoded(scene(40, 70, orientation), "PNG", exif=exif(orientation))
    for n, size in enumerate([(64, 64), (127, 90), (700, 900)]):
        image = scene(*size, 30 + n)
        yield f"progressive{n}.jpg", encoded(image, "JPEG", progressive=True, quality=80)
        yield f"grey{n}.jpg", encoded(image.convert("L"), "JPEG")
        yield f"cmyk{n}.jpg", encoded(image.convert("CMYK"), "JPEG")
        yield f"optimised{n}.jpg", encoded(image, "JPEG", optimize=True)
        yield f"restart{n}.jpg", encoded(image, "JPEG", restart_marker_blocks=2)
        yield f"grey{n}.png", encoded(image.convert("L"), "PNG")
        yield f"grey-alpha{n}.png", encoded(alpha(image, n).convert("LA"), "PNG")
        yield f"alpha{n}.png", encoded(alpha(image, n), "PNG")
        yield f"palette{n}.png", encoded(image.quantize(64), "PNG")
        yield f"bits{n}.png", encoded(image.quantize(4), "PNG", bits=2)
        yield f"bilevel{n}.png", encoded(image.convert("1"), "PNG")
        yield f"clear-palette{n}.png", encoded(image.quantize(16), "PNG", transparency=3)
        yield f"lossless{n}.webp", encoded(image, "WEBP", lossless=True)
        yield f"alpha{n}.webp", encoded(alpha(image, n), "WEBP", lossless=True)
        yield f"plain{n}.gif", encoded(image.quantize(200), "GIF")
        yield f"plain{n}.bmp", encoded(image, "BMP")


def test_page_and_python_agree_on_a_hundred_files(tmp_path: Path) -> None:
    files = []
    for name, data in corpus():
        files.append(tmp_path / name)
        files[-1].write_bytes(data)
    assert len(files) >= 100
    page = nin.publish("nin-cifar10", tmp_path / "page.html")
    wanted = nin.predict("nin-cifar10", files)
    classes = nin.load("nin-cifar10").classes
    worst = {}
    with visited(page.as_uri()) as visit:
        for file, prediction in zip(files, wanted, strict=True):
            found = visit.give(file)
            assert found is not None, (file.name, visit.notice())
            expected = dict(prediction.scores)
            worst[file.name] = max(abs(found[number] - expected[label]) for number, label in enumerate(classes))
            assert classes[int(np.argmax(found))] == prediction.scores[0][0], file.name
        assert visit.console == []
    assert {name: value for name, value in worst.items() if value > CLOSE} == {}
