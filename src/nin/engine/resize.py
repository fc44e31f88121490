"""Pillow's antialiased bilinear resizing as ONNX operators, bit for bit: pictures of any size to the network's own.

ONNX's own Resize differs from Pillow by one grey level in some pixels, and that moves a probability by more than
rounding may. Here each direction is a product with a matrix of the same 22-bit weights that Pillow computes (its
Resample.c, re-read for this), split into bytes so that whole numbers are multiplied exactly and quickly.
Legend: N pictures, C channels, (H0, W0) sides going in, (H, W) coming out.
"""

from typing import NamedTuple

import numpy as np

from nin.data.preprocess import Preprocess
from nin.engine.graph import PICTURES, RESIZED, Builder

BITS = 22  # of Pillow's weights: 32 - 8 - 2
DOUBLE = 11  # values of TensorProto.DataType
WHOLE = 7
BYTE = 2
FLOAT = 1


def resizing(preprocess: Preprocess) -> Builder:
    """PICTURES (N, H0, W0, C) uint8 -> RESIZED (N, H, W, C) uint8, as `Preprocess.resize` does with each picture."""
    build = Builder()
    x = build.add("resize/channels_first", "Transpose", PICTURES, perm=(0, 3, 1, 2))
    shape = build.add("resize/shape", "Shape", PICTURES)
    sides = [
        build.add(f"resize/{name}", "Gather", shape, build.constant(f"resize.axis{axis}", axis, "int64"), axis=0)
        for axis, name in ((1, "height"), (2, "width"))
    ]
    boxes = _boxes(build, preprocess, sides)
    alpha = preprocess.channels == 4
    same = _same(build, sides, preprocess.size) if alpha else ""
    x = _premultiplied(build, x, same) if alpha else x
    across = _weights(build, "across", sides[1], preprocess.size[1], boxes[1])
    x = _product(build, "across", x, across, last=True)
    down = _weights(build, "down", sides[0], preprocess.size[0], boxes[0])
    x = _product(build, "down", x, down, last=False)
    x = _unpremultiplied(build, x, same) if alpha else x
    if preprocess.fit == "pad":
        x = _padded(build, x, preprocess, boxes)
    build.add(RESIZED, "Transpose", x, perm=(0, 2, 3, 1))
    return build


class Box(NamedTuple):
    """Where one direction of the output comes from: `length` pixels from `start` (doubles) become `inner` places, the
    first of which is number `offset` (whole numbers); all by name."""

    start: str
    length: str
    inner: str
    offset: str


def _boxes(build: Builder, preprocess: Preprocess, sides: list[str]) -> list[Box]:
    names = ("height", "width")
    zero = _double(build, 0.0)
    nothing = _whole(build, 0)
    doubles = [
        build.add(f"resize/{name}_double", "Cast", side, to=DOUBLE) for name, side in zip(names, sides, strict=True)
    ]
    targets = [_whole(build, side) for side in preprocess.size]
    if preprocess.fit == "stretch":
        return [Box(zero, length, inner, nothing) for length, inner in zip(doubles, targets, strict=True)]
    wanted = [_double(build, float(side)) for side in preprocess.size]
    ratios = [
        build.add(f"resize/{name}_ratio", "Div", target, length)
        for name, target, length in zip(names, wanted, doubles, strict=True)
    ]
    scale = build.add("resize/scale", "Max" if preprocess.fit == "crop" else "Min", *ratios)
    made = zip(names, doubles, wanted, targets, strict=True)
    if preprocess.fit == "crop":
        return [_cropped(build, name, length, target, inner, scale) for name, length, target, inner in made]
    return [_inner(build, name, length, inner, scale) for name, length, _, inner in made]


def _cropped(build: Builder, name: str, length: str, target: str, inner: str, scale: str) -> Box:
    """The middle that fills the picture; Pillow takes its box in single precision."""
    kept = build.add(f"resize/{name}_kept", "Div", target, scale)
    left = build.add(f"resize/{name}_left", "Sub", length, kept)
    left = build.add(f"resize/{name}_half", "Div", left, _double(build, 2.0))
    start = build.add(f"resize/{name}_start", "Max", left, _double(build, 0.0))
    end = build.add(f"resize/{name}_reach", "Add", start, kept)
    ends = start, build.add(f"resize/{name}_end", "Min", end, length)
    single = [
        build.add(f"resize/{name}_{part}_single", "Cast", end, to=FLOAT) for part, end in zip("ab", ends, strict=True)
    ]
    span = build.add(f"resize/{name}_span", "Sub", single[1], single[0])
    double = [
        build.add(f"resize/{name}_{part}", "Cast", value, to=DOUBLE)
        for part, value in (("from", single[0]), ("over", span))
    ]
    return Box(double[0], double[1], inner, _whole(build, 0))


def _inner(build: Builder, name: str, length: str, target: str, scale: str) -> Box:
    """The whole picture, centred: max(1, round(length * scale)) places, rounding halves to even as Python does."""
    exact = build.add(f"resize/{name}_exact", "Mul", length, scale)
    whole = build.add(f"resize/{name}_whole", "Cast", build.add(f"resize/{name}_round", "Round", exact), to=WHOLE)
    inner = build.add(f"resize/{name}_inner", "Max", whole, _whole(build, 1))
    room = build.add(f"resize/{name}_room", "Sub", target, inner)
    offset = build.add(f"resize/{name}_offset", "Div", room, _whole(build, 2))
    return Box(_double(build, 0.0), length, inner, offset)


def _weights(build: Builder, way: str, side: str, places: int, box: Box) -> str:
    """Pillow's whole-number weights (places, side) of one direction, int64; rows outside `inner` mean nothing."""
    name = f"resize/{way}"
    inner = build.add(f"{name}/inner", "Cast", box.inner, to=DOUBLE)
    scale = build.add(f"{name}/scale", "Div", box.length, inner)
    support = build.add(f"{name}/support", "Max", scale, _double(build, 1.0))
    place = build.constant(f"resize.places{places}", np.arange(places)[:, None] + 0.5, "float64")
    offset = build.add(f"{name}/offset", "Cast", box.offset, to=DOUBLE)
    steps = build.add(f"{name}/steps", "Mul", build.add(f"{name}/place", "Sub", place, offset), scale)
    centre = build.add(f"{name}/centre", "Add", box.start, steps)  # (places, 1)
    half = _double(build, 0.5)
    first, last = (
        build.add(f"{name}/{part}", "Floor", build.add(f"{name}/{part}_half", "Add", value, half))
        for part, value in (
            ("first", build.add(f"{name}/begin", "Sub", centre, support)),
            ("last", build.add(f"{name}/end", "Add", centre, support)),
        )
    )
    pixels = build.add(f"{name}/range", "Range", _whole(build, 0), side, _whole(build, 1))
    pixel = build.add(f"{name}/pixels", "Cast", pixels, to=DOUBLE)  # (side,)
    away = build.add(f"{name}/away", "Add", build.add(f"{name}/less", "Sub", pixel, centre), half)
    inverse = build.add(f"{name}/inverse", "Div", _double(build, 1.0), support)
    share = build.add(f"{name}/share", "Abs", build.add(f"{name}/shares", "Mul", away, inverse))
    slope = build.add(f"{name}/slope", "Sub", _double(build, 1.0), share)
    slope = build.add(f"{name}/triangle", "Max", slope, _double(build, 0.0))
    inside = build.add(
        f"{name}/inside",
        "And",
        build.add(f"{name}/after", "GreaterOrEqual", pixel, first),
        build.add(f"{name}/before", "Less", pixel, last),
    )
    weight = build.add(f"{name}/kept", "Where", inside, slope, _double(build, 0.0))
    total = build.add(f"{name}/total", "ReduceSum", weight, build.constant("resize.rows", (1,), "int64"), keepdims=1)
    total = build.add(f"{name}/divisor", "Max", total, _double(build, 1e-300))  # a row that means nothing
    weight = build.add(
        f"{name}/weight", "Mul", build.add(f"{name}/normed", "Div", weight, total), _double(build, 2.0**BITS)
    )
    return build.add(
        f"{name}/whole",
        "Cast",
        build.add(f"{name}/rounded", "Floor", build.add(f"{name}/up", "Add", weight, half)),
        to=WHOLE,
    )


def _product(build: Builder, way: str, x: str, weights: str, *, last: bool) -> str:
    """x (N, C, H, W) uint8 with its last or last but one direction resized: sum, rounding and clipping as Pillow's."""
    name = f"resize/{way}"
    base = _whole(build, 256)
    above = build.add(f"{name}/above", "Div", weights, base)
    digits = [build.add(f"{name}/digit0", "Mod", weights, base), build.add(f"{name}/digit1", "Mod", above, base)]
    digits.append(build.add(f"{name}/digit2", "Div", above, base))
    matrix = build.add(f"{name}/digits", "Concat", *digits, axis=0)  # (3 places, side)
    matrix = build.add(f"{name}/bytes", "Cast", matrix, to=BYTE)
    if last:
        matrix = build.add(f"{name}/turned", "Transpose", matrix, perm=(1, 0))
    sums = build.add(f"{name}/sums", "MatMulInteger", *((x, matrix) if last else (matrix, x)))
    parts = tuple(f"{name}/sum{digit}" for digit in range(3))
    build.split(f"{name}/parts", sums, parts, axis=-1 if last else -2)
    total = build.add(f"{name}/sum", "Cast", parts[0], to=WHOLE)
    for digit in (1, 2):
        part = build.add(f"{name}/sum{digit}_whole", "Cast", parts[digit], to=WHOLE)
        part = build.add(f"{name}/sum{digit}_scaled", "Mul", part, _whole(build, 256**digit))
        total = build.add(f"{name}/sum_to{digit}", "Add", total, part)
    total = build.add(f"{name}/half", "Add", total, _whole(build, 2 ** (BITS - 1)))
    value = build.add(f"{name}/value", "Div", total, _whole(build, 2**BITS))
    value = build.add(f"{name}/clipped", "Min", value, _whole(build, 255))
    return build.add(f"{name}/resized", "Cast", value, to=BYTE)


def _padded(build: Builder, x: str, preprocess: Preprocess, boxes: list[Box]) -> str:
    """The mean colour wherever the picture does not reach."""
    colour = np.rint(np.array(preprocess.mean) * 255).reshape(1, -1, 1, 1)
    inside = []
    for box, way, places, shape in zip(boxes, ("down", "across"), preprocess.size, ((-1, 1), (1, -1)), strict=True):
        place = build.constant(f"resize.row_of_{way}", np.arange(places).reshape(shape), "int64")
        end = build.add(f"resize/{way}/edge", "Add", box.offset, box.inner)
        from_ = build.add(f"resize/{way}/from", "GreaterOrEqual", place, box.offset)
        inside.append(
            build.add(f"resize/{way}/inner_rows", "And", from_, build.add(f"resize/{way}/to", "Less", place, end))
        )
    both = build.add("resize/inner", "And", *inside)
    return build.add("resize/padded", "Where", both, x, build.constant("resize.colour", colour, "uint8"))


def _premultiplied(build: Builder, x: str, same: str) -> str:
    """RGBA with colours times alpha, unless its size is the `same` already.

    Rounded as Pillow's MULDIV255 does: (a + (a >> 8)) >> 8 with a = colour * alpha + 128.
    """
    colours, alpha = _colours(build, "straight", x)
    product = build.add("resize/alpha/product", "Mul", colours, alpha)
    product = build.add("resize/alpha/biased", "Add", product, _whole(build, 128))
    high = build.add("resize/alpha/high", "Div", product, _whole(build, 256))
    product = build.add("resize/alpha/sum", "Add", product, high)
    product = build.add("resize/alpha/times", "Div", product, _whole(build, 256))
    colours = build.add("resize/alpha/weighed", "Where", same, colours, product)
    whole = build.add("resize/alpha/joined", "Concat", colours, alpha, axis=1)
    return build.add("resize/alpha/premultiplied", "Cast", whole, to=BYTE)


def _unpremultiplied(build: Builder, x: str, same: str) -> str:
    """The colours again: 255 * c / alpha, cut off, at most 255; as they are where alpha is 0 or 255."""
    colours, alpha = _colours(build, "premultiplied", x)
    safe = build.add("resize/alpha/safe", "Max", alpha, _whole(build, 1))
    scaled = build.add("resize/alpha/scaled", "Mul", colours, _whole(build, 255))
    divided = build.add("resize/alpha/divided", "Div", scaled, safe)
    divided = build.add("resize/alpha/least", "Min", divided, _whole(build, 255))
    none = build.add("resize/alpha/none", "Or", build.add("resize/alpha/zero", "Equal", alpha, _whole(build, 0)), same)
    colours = build.add("resize/alpha/colours", "Where", none, colours, divided)
    whole = build.add("resize/alpha/whole", "Concat", colours, alpha, axis=1)
    return build.add("resize/alpha/straight", "Cast", whole, to=BYTE)


def _same(build: Builder, sides: list[str], size: tuple[int, int]) -> str:
    """Whether a picture has the network's size: Pillow leaves it alone then, its colours too."""
    equal = [
        build.add(f"resize/alpha/same_{name}", "Equal", side, _whole(build, target))
        for name, side, target in zip(("height", "width"), sides, size, strict=True)
    ]
    return build.add("resize/alpha/same", "And", *equal)


def _colours(build: Builder, name: str, x: str) -> tuple[str, str]:
    """RGBA (N, 4, H, W) uint8 -> colours (N, 3, H, W) and alpha (N, 1, H, W), int64."""
    whole = build.add(f"resize/alpha/{name}_whole", "Cast", x, to=WHOLE)
    parts = (f"resize/alpha/{name}_colours", f"resize/alpha/{name}_alpha")
    build.split(f"resize/alpha/{name}_split", whole, parts, axis=1, sizes=(3, 1))
    return parts


def _double(build: Builder, value: float) -> str:
    return build.constant(f"resize.{value!r}", value, "float64")


def _whole(build: Builder, value: int) -> str:
    return build.constant(f"resize.{value}", value, "int64")
