"""Pictures of a run as files: picture sheets and class maps, and drawings as PNG. Every function returns bytes.

There is one drawing engine, nin.report.svg: the report has its drawings as they are, and where a file shall be a PNG
the same drawing is turned into one by resvg, so that no chart is drawn in two ways.
"""

import math
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from nin.errors import DataError, ModelError
from nin.extras import need
from nin.report import fonts
from nin.report.content import Example
from nin.report.heat import colours, encoded, is_mean, limit_of, overlay, sized
from nin.report.markup import percent
from nin.report.svg import LIGHT

INK = LIGHT["ink"]
MUTED = LIGHT["muted"]
FRAME = 4  # pixels, around a picture on a sheet
TILES = 64  # most pictures on one sheet


def png_of(drawing: str) -> bytes:
    """A drawing of ours (nin.report.svg) as PNG, twice as large; MissingExtra without resvg_py."""
    need("resvg_py")
    import resvg_py

    files = fonts.files()
    latin = fonts.family(files[0]) if files else None
    data: bytes = resvg_py.svg_to_bytes(
        svg_string=drawing, zoom=2.0, background="#ffffff", skip_system_fonts=bool(files),
        font_files=[str(path) for path in files], sans_serif_family=latin, font_family=latin,
    )  # fmt: skip
    return data


def grid_jpg(
    pixels: Sequence[NDArray[np.uint8]], captions: Sequence[str], framed: Collection[int] = frozenset()
) -> bytes:
    """Up to 64 pictures (H, W, 1|3|4) with a caption under each, as one sheet in JPEG; those of `framed` in a frame."""
    shown = list(zip(pixels, captions, strict=True))[:TILES]
    if not shown:
        raise DataError("there is no picture to put on the sheet; at least one is needed")
    across = min(8, math.ceil(math.sqrt(len(shown))))
    tile = 128
    gap = 12
    wrapped = [fonts.wrapped(caption, 13, tile, 2) for _, caption in shown]
    line = 6 + 17 * max(map(len, wrapped))
    down = math.ceil(len(shown) / across)
    sheet = Image.new("RGB", (gap + across * (tile + gap), gap + down * (tile + line + gap)), "white")
    pen = ImageDraw.Draw(sheet)
    for place, (picture, _) in enumerate(shown):
        x, y = gap + place % across * (tile + gap), gap + place // across * (tile + line + gap)
        image = Image.fromarray(sized(picture, tile))
        corner = x + (tile - image.width) // 2, y + (tile - image.height) // 2
        sheet.paste(image, corner)
        if place in framed:
            far = corner[0] + image.width + FRAME - 1, corner[1] + image.height + FRAME - 1
            pen.rectangle((corner[0] - FRAME, corner[1] - FRAME, *far), outline=LIGHT["warm"], width=FRAME)
        for n, words in enumerate(wrapped[place]):
            fonts.write(sheet, (x, y + tile + 3 + 17 * n), words, 13, INK, tile)
    return encoded(sheet, "JPEG", quality=90, subsampling=0)


def category_maps_png(pixels: Sequence[NDArray[np.uint8]], maps: NDArray[np.floating], classes: Sequence[str]) -> bytes:
    """Figure 4: one row a picture, the picture and all its class maps, only the largest tenth of its activations shown.

    pixels: N of (H, W, C) uint8; maps: (N, K, h, w); classes: K names, written above the columns.
    """
    side = 64
    gap = 4
    head = 18
    count = maps.shape[1]
    sheet = Image.new("RGB", ((count + 1) * (side + gap) + gap, len(pixels) * (side + gap) + gap + head), "white")
    for column, label in enumerate(("picture", *classes)):
        fonts.write(sheet, (gap + column * (side + gap), 2), label, 11, INK, side)
    for row, (picture, one) in enumerate(zip(pixels, maps, strict=True)):
        top = head + gap + row * (side + gap)
        sheet.paste(Image.fromarray(sized(picture, side)), (gap, top))
        least = np.quantile(one, 0.9)
        most = float(one.max())
        kept = np.where(one >= least, one, 0.0).clip(0)
        for column, values in enumerate(kept, 1):
            shade = 255 - (255 * values / most if most > 0 else 0 * values)
            tile = Image.fromarray(shade.astype(np.uint8)).resize((side, side), Image.Resampling.NEAREST)
            sheet.paste(tile, (gap + column * (side + gap), top))
    return encoded(sheet, "PNG", optimize=True)


def picture_png(pixels: NDArray[np.uint8]) -> bytes:
    """One picture (H, W, 1|3|4) uint8 as PNG, losslessly."""
    return encoded(Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels), "PNG")


def explain_png(example: Example, classes: Sequence[str], top: int = 3) -> bytes:
    """The picture and the maps of its `top` likeliest classes: over the picture and as the raw grid below it.

    Under each stand its class, probability and logit; all maps share one colour scale. ModelError without maps.
    """
    if example.maps is None:
        raise ModelError(f"there are no class maps for {example.name}; the network must end in global average pooling")
    best = np.argsort(-example.probabilities, kind="stable")[: max(1, top)]
    limit = limit_of(example.maps[best])
    side = 224
    gap = 20
    words = 50
    picture = Image.fromarray(sized(example.pixels, side))
    width, height = picture.size
    step = max(width, 150) + gap
    sheet = Image.new("RGB", (gap + (1 + len(best)) * step, gap + 2 * height + words + 2 * gap), "white")
    sheet.paste(picture, (gap, gap))
    fonts.write(sheet, (gap, gap + height + 6), example.name, 14, INK, step - gap)
    truth = "" if example.true is None else f"; truth: {classes[example.true]}"
    fonts.write(sheet, (gap, gap + height + 27), f"answer: {classes[best[0]]}{truth}", 13, MUTED, step - gap)
    _scale(sheet, (gap, gap + height + words + gap), step - gap, limit)
    for place, index in enumerate(best, start=1):
        x, y = gap + place * step, gap
        values = example.maps[index]
        logit = float(example.logits[index])
        chance = float(example.probabilities[index])
        proof = f"logit {logit:.3f} {'=' if is_mean(values, logit) else '≠'} mean of map"
        sheet.paste(Image.fromarray(overlay(example.pixels, values, limit, side)), (x, y))
        fonts.write(sheet, (x, y + height + 6), f"{percent(chance)}  {classes[index]}", 14, INK, step - gap)
        fonts.write(sheet, (x, y + height + 27), proof, 13, MUTED, step - gap)
        grid = Image.fromarray(colours(values, limit)).resize((width, height), Image.Resampling.NEAREST)
        sheet.paste(grid, (x, y + height + words + gap))
    return encoded(sheet, "PNG")


def _scale(sheet: Image.Image, place: tuple[int, int], width: int, limit: float) -> None:
    """The colour scale of the maps with its ends named."""
    x, y = place
    ramp = colours(np.linspace(-1, 1, width)[None], 1.0)
    sheet.paste(Image.fromarray(np.repeat(ramp, 12, axis=0)), (x, y))
    for share, words in ((0.0, f"{-limit:.3g}"), (0.5, "0"), (1.0, f"+{limit:.3g}")):
        wide = fonts.length(words, 12)
        fonts.write(sheet, (x + share * (width - wide), y + 17), words, 12, INK, width)
    for n, words in enumerate(("blue: against the class", "red: for the class")):
        fonts.write(sheet, (x, y + 42 + 20 * n), words, 13, MUTED, width)
