"""Pixel values of any type as the 0..255 that a network is fed with, by one rule for a whole data set (torch-free).

Cameras store 10, 12 or 14 bits in files of 16, often above an offset; scaled as 16 bits nearly nothing is left of them.
So the range that the training pictures use is found once (`find_range`), kept in the model's preprocessing, and every
picture goes through `to_uint8` with it. Ranges that are the full scale of their kind need no such thing: 8-bit values,
16-bit values that use more than 14 bits, fractions of 0..1.

Legend: H, W height and width in pixels; C channels: 1 gray, 3 RGB, 4 RGBA, whose alpha is no value of the scene.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from PIL import Image

from nin.data.images import PictureError, by_bands, read_picture
from nin.data.splits import Split
from nin.errors import DataError, amount

Range = tuple[float, float]

LARGE = 4_000_000  # pixels; of a larger picture a sample keeps a smaller version: 256 of this size are 3 GB
SAMPLE = 256  # pictures of a split that size, channels, mean, standard deviation and range are chosen from
FULL = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (0.0, 65535.0))  # what black and white mean where values fill a scale
TAIL = 0.005  # ours: share of the values at either end that may be hot, dead or saturated pixels
STUCK = 0.05  # ours: so many values at the very ends of the type are such pixels, more are the scene
NARROW = 0.25  # of a full scale: 14 bits of 16; what uses less is given its own range
QUANTILE_VALUES = 4_096  # of one picture; quantiles are taken of these
SHALLOW = 4_096  # 16-bit values that stay under it, 12 bits, are at most 16 grey levels of 255
CLIPPED = 0.95  # ours: share of a picture's values outside of the range from which nothing is left to see
LEVELS = 64  # different values from which a picture is more than black, or a mask
HAIR = 1 / 512  # of a scale, half a grey level: fractions that rounding or resampling left so far beyond it are its end


def is_full(value_range: Range | None) -> bool:
    """Whether black and white are the ends of a scale, so that a picture of any other full scale fits as well."""
    return value_range is None or tuple(value_range) in FULL


def in_words(value_range: Range) -> str:
    """A range for people: "168 to 560"."""
    low, high = (
        f"{value:,.0f}" if value == round(value) and abs(value) < 1e9 else f"{value:,.4g}" for value in value_range
    )
    return f"{low} to {high}"


def range_note(value_range: Range) -> str:
    """What a data set's own range means, for people."""
    return (
        f"pixel values of {in_words(value_range)} become 0 to 255, in every picture, now and in use; others are clipped"
    )


def kind_of(pixels: np.ndarray) -> str:
    """What is stored, for people: "8-bit", "16-bit", "32-bit" or "floating-point" pixels."""
    return "floating-point" if pixels.dtype.kind == "f" else f"{8 * pixels.dtype.itemsize}-bit"


def scene(pixels: np.ndarray) -> np.ndarray:
    """The values without the transparency; (..., C) -> (..., 1 or 3)."""
    return pixels[..., :3] if pixels.shape[-1] == 4 else pixels


def find_range(pictures: Sequence[np.ndarray]) -> Range | None:
    """The values that become 0 and 255, from a sample of the training pictures (H, W, C); None: the type's full scale.

    The core is what lies between the quantiles 0.5 % and 99.5 %, without values at the very ends of the type where they
    are under 5 % (hot, dead and saturated pixels) and without the commonest value where it is over half (an empty
    background). A core of more than a quarter of the full scale that holds all values (0..255, 0..65535; of fractions
    0..1 or -1..1, too) keeps that scale. Else the range is the core and half of it again on either side, no wider than
    the values found: single hot pixels cost at most half of the grey levels, rare bright things keep theirs.
    Raises DataError where pictures of different kinds have no common scale.
    """
    deep = [picture for picture in pictures if picture.dtype != np.uint8]
    if not deep:
        return None
    kinds = sorted({kind_of(picture) for picture in deep})
    if len(kinds) > 1:
        raise DataError(f"some pictures have {kinds[0]} pixels, others {kinds[1]}; save all in the same way")
    low, high = (float(f([f(scene(picture)) for picture in deep])) for f in (np.min, np.max))
    if not np.isfinite(low + high):
        raise DataError("some pictures have values that are no finite numbers (NaN); replace these values")
    full = _full_scale(low, high, fractions=deep[0].dtype.kind == "f")
    core = _core(np.concatenate([_some(picture) for picture in deep]), deep[0].dtype)
    if full is not None and (core[1] - core[0] > NARROW * (full[1] - full[0]) or low == high):
        return None if deep[0].dtype == np.uint16 and full == FULL[-1] else full
    if len(deep) < len(pictures):
        some = f"{len(pictures) - len(deep):,} of {len(pictures):,} sampled pictures have 8-bit pixels"
        raise DataError(
            f"{some}, the others {kinds[0]} ones of {in_words((low, high))}; save all with the same depth and scale"
        )
    half = (core[1] - core[0]) / 2
    found = max(low, core[0] - half), min(high, core[1] + half)
    if deep[0].dtype.kind != "f":
        found = float(np.floor(found[0])), float(np.ceil(found[1]))
    return found if found[0] < found[1] else (found[0], found[0] + 1)


def _full_scale(low: float, high: float, *, fractions: bool) -> Range | None:
    """The smallest full scale that holds all values, fractions to half a grey level."""
    for full in FULL if fractions else FULL[2:]:
        if holds(full, low, high, fractions=fractions):
            return full
    return None


def holds(full: Range, low: float, high: float, *, fractions: bool) -> bool:
    """Whether values from `low` to `high` are on a full scale; fractions may lie half a grey level beyond it."""
    hair = HAIR * (full[1] - full[0]) if fractions else 0.0
    return full[0] - hair <= low and high <= full[1] + hair


def _some(picture: np.ndarray) -> np.ndarray:
    """(n,) float64: all values of a small picture, QUANTILE_VALUES of a large one, always the same."""
    values = scene(picture).reshape(-1)
    if values.size > QUANTILE_VALUES:
        generator = np.random.Generator(np.random.Philox(key=np.array([values.size, 0], np.uint64)))
        values = values[generator.integers(0, values.size, QUANTILE_VALUES)]
    return values.astype(np.float64)


def _core(values: np.ndarray, dtype: np.dtype) -> Range:
    """The interval that holds most of the values; (low, low) where they are all the same."""
    ends = np.iinfo(dtype) if dtype.kind in "iu" else None
    scene_only = values
    for end in () if ends is None else (ends.min, ends.max):
        at = scene_only == end
        if 0 < at.mean() <= STUCK:
            scene_only = scene_only[~at]
    known, counts = np.unique(scene_only, return_counts=True)
    rest = scene_only[scene_only != known[counts.argmax()]] if counts.max() > scene_only.size / 2 else scene_only
    for part in (rest, scene_only, values):
        if part.size:
            low, high = np.quantile(part, (TAIL, 1 - TAIL))
            if low < high:
                return float(low), float(high)
    return float(values.min()), float(values.max())


def settle(parts: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Arrays of pictures (N, H, W, C), the one learned from first, and how they were understood, one line each.

    They become uint8 or uint16 where they fill a full scale. DataError, by name, for what has no one scale. Nothing
    is lost here: values that 8 bits cannot hold are kept in 16, and those of no full scale in their own type. What lies
    less than half a grey level beyond a full scale is put on its end, and that is said.
    """
    for name, array in parts.items():
        if array.dtype.kind not in "buif":
            raise DataError(
                f"{name}: pixels of type {array.dtype} cannot be used; give uint8, uint16 or fractions in 0 to 1"
            )
    found, notes = _truth_as_black_and_white(parts)
    deep = {name: array for name, array in found.items() if array.dtype != np.uint8 and array.size}
    if not deep:
        return found, notes
    first, learned = next(iter(deep.items()))
    kinds = {array.dtype.kind == "f" for array in deep.values()}
    if len(kinds) > 1:
        raise DataError(f"{' and '.join(deep)}: whole numbers and fractions cannot be told apart; save all alike")
    rows = np.unique(np.linspace(0, len(learned) - 1, min(SAMPLE, len(learned))).astype(int))
    try:
        value_range = find_range([learned[row] for row in rows])
    except DataError as error:
        raise DataError(f"{first}: {error}") from None
    full = FULL[-1] if value_range is None else value_range
    if not is_full(full) and len(deep) < len(found):
        other = next(name for name in found if name not in deep)
        raise DataError(f"{other} has 8-bit pixels, {first} values of {in_words(full)}; save both alike")
    for name, array in deep.items():
        low, high = float(array.min()), float(array.max())
        if not np.isfinite(low + high):
            raise DataError(f"{name}: values that are no finite numbers (NaN); replace them")
        if is_full(full):
            _expect_on(full, name, first, array)
            found[name] = _on_full_scale(array, full)
            notes.append(_full_note(name, array, full))
        elif array.dtype.kind != "f" and low >= 0 and high <= FULL[-1][1]:
            found[name] = array.astype(np.uint16)
    return found, notes


def _truth_as_black_and_white(parts: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], list[str]]:
    """The parts with truth values as 0 and 255, and a line where bytes were read as such: nothing in them is over 1."""
    found = {name: a.astype(np.uint8) * np.uint8(255) if a.dtype == np.bool_ else a for name, a in parts.items()}
    stored = {name: a for name, a in parts.items() if a.dtype == np.uint8 and a.size}
    if not stored or max(int(a.max()) for a in stored.values()) != 1:
        return found, []
    found |= {name: a * np.uint8(255) for name, a in stored.items()}
    return found, [f"{name}: uint8 values of 0 and 1: 0 is black, 1 is white" for name in stored]


def _expect_on(full: Range, name: str, first: str, array: np.ndarray) -> None:
    """Raise DataError unless an array is on the full scale of the array `first`, neither beyond it nor on a smaller
    one, on which all of it would be black."""
    low, high = float(array.min()), float(array.max())
    fractions = array.dtype.kind == "f"
    where = f"{name}: values of {in_words((low, high))}"
    if not holds(full, low, high, fractions=fractions):
        if name == first:
            advice = "correct the values that lie outside"
            raise DataError(f"{where}, where nearly all are on the scale {in_words(full)}; {advice}")
        raise DataError(f"{where}, where those of {first} are on the scale {in_words(full)}; save both alike")
    own = _full_scale(low, high, fractions=fractions)
    if name != first and own != full and own in FULL[: FULL.index(full)] and not low == high == full[0]:
        raise DataError(f"{where}, where those of {first} are on the scale {in_words(full)}; save both alike")


def _full_note(name: str, array: np.ndarray, full: Range) -> str:
    """How an array on a full scale was understood."""
    beyond = int(np.count_nonzero(array < full[0]) + np.count_nonzero(array > full[1]))
    found = in_words((max(float(array.min()), full[0]), min(float(array.max()), full[1])))
    note = f"{name}: {array.dtype} values of {found}: {full[0]:,.0f} is black, {full[1]:,.0f} is white"
    if not beyond:
        return note
    return f"{note}; {amount(beyond, 'value')} a hair beyond became {'that' if beyond == 1 else 'these'}"


def _on_full_scale(array: np.ndarray, full: Range) -> np.ndarray:
    """Values of a full scale as uint8 where it holds them (to the rounding of float32), else as uint16."""
    if array.dtype.kind != "f" and full in FULL[2:]:
        return array.astype(np.uint8 if full[1] <= 255 else np.uint16)
    out = np.empty(array.shape, np.uint16)
    exact = True
    for place, picture in zip(out, array, strict=True):  # one by one: no copy of all in float64
        scaled = (picture.astype(np.float64).clip(*full) - full[0]) * (65535 / (full[1] - full[0]))
        place[:] = np.rint(scaled)
        exact = exact and bool((np.abs(scaled - np.rint(scaled / 257) * 257) < 1).all())
    return (out // 257).astype(np.uint8) if exact else out


def _by_type(dtype: np.dtype, value_range: Range | None) -> bool:
    """Whether black and white are the ends of the pixels' own type."""
    if dtype == np.uint8:
        return is_full(value_range)
    return dtype == np.uint16 and value_range in (None, *FULL[:2], FULL[3])


def to_uint8(pixels: np.ndarray, value_range: Range | None = None) -> np.ndarray:
    """(..., C) of any type as uint8 by a data set's range, what lies outside clipped; 8-bit pixels are as they are.

    None: 16-bit gray v / 257 rounded, 16-bit colour the high byte, as Pillow does. Raises DataError, without
    an advice, for pixels that mean nothing on this scale: 8-bit ones where the range is a deep one's own,
    floating-point or 32-bit ones where there is no range, values that are no numbers.
    """
    if _by_type(pixels.dtype, value_range):
        if pixels.dtype == np.uint8:
            return pixels
        gray = all(bool((scene(band) == band[:, :1]).all()) for _, band in by_bands(pixels))
        if gray:
            return _changed(pixels, lambda band: (band.astype(np.uint32) + 128) // 257)
        return _changed(pixels, lambda band: band >> 8)
    if value_range is None:
        raise DataError(f"{kind_of(pixels)} pixels, where the network learned from 8-bit or 16-bit ones")
    if pixels.dtype == np.uint8:
        raise DataError(f"8-bit pixels, where the network learned from values of {in_words(value_range)}")
    if not all(bool(np.isfinite(band).all()) for _, band in by_bands(pixels)):
        raise DataError("values that are no finite numbers (NaN)")
    low, high = value_range
    opaque = FULL[-1][1]
    if pixels.shape[-1] == 4 and pixels.dtype != np.uint16:
        most = pixels[..., 3].max(initial=0)
        opaque = next((full[1] for full in FULL if full[1] >= most), opaque)

    def scaled(band: np.ndarray) -> np.ndarray:
        values: np.ndarray = band.astype(np.float64 if band.dtype.itemsize > 2 else np.float32)
        found: np.ndarray = (values - low) * (255 / (high - low))
        if band.shape[-1] == 4:
            found[:, 3] = values[:, 3] * (255 / opaque)
        found = np.rint(found).clip(0, 255)
        return found

    return _changed(pixels, scaled)


def _changed(pixels: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """(..., C) uint8: what `change` makes of every pixel, band after band."""
    out = np.empty((pixels.size // pixels.shape[-1], pixels.shape[-1]), np.uint8)
    for at, band in by_bands(pixels):
        out[at] = change(band)
    return out.reshape(pixels.shape)


def misfit(pixels: np.ndarray, value_range: Range | None) -> str:
    """Why a picture cannot be answered on this scale, in words: nearly all of it would be black or white; else empty.

    Its commonest value is left out: it may be an empty background.
    """
    if value_range is None or pixels.dtype == np.uint8 or _by_type(pixels.dtype, value_range):
        return ""
    values = _some(pixels)
    known, counts = np.unique(values, return_counts=True)
    values = values[values != known[counts.argmax()]]
    if not values.size or ((values < value_range[0]) | (values > value_range[1])).mean() <= CLIPPED:
        return ""
    found = in_words((float(known[0]), float(known[-1])))
    return f"values of {found}, nearly all outside of {in_words(value_range)}, from which the network learned"


def shallow(pixels: np.ndarray, value_range: Range | None) -> str:
    """What is lost of 16-bit pixels with 12 bits or less on the full scale, in words; empty where little is."""
    if pixels.dtype != np.uint16 or not _by_type(pixels.dtype, value_range):
        return ""
    values = _some(pixels)
    low, high = _core(values, pixels.dtype)
    if high - low >= SHALLOW or np.unique(values).size < LEVELS:
        return ""
    return (
        f"16-bit values of {in_words((low, high))} become {int((high - low) // 257) + 1} of 256 grey levels: "
        "the network learned on the full scale, of which this picture uses little"
    )


def _smaller(pixels: np.ndarray, near: int) -> np.ndarray:
    """A large picture made smaller for a sample, its short side at least 2 * near: 256 scans would fill the memory.

    An 8-bit pixel is the mean of those it stands for, as in a JPEG decoded smaller; a deeper one is a single value.
    """
    step = min(pixels.shape[:2]) // (2 * near)
    if pixels.shape[0] * pixels.shape[1] <= LARGE or step < 2:
        return pixels
    if pixels.dtype != np.uint8:
        return pixels[::step, ::step].copy()
    reduced = np.asarray(Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).reduce(step))
    return reduced[..., None] if reduced.ndim == 2 else reduced


def sample(split: Split, count: int = SAMPLE, near: int = 192) -> list[np.ndarray]:
    """Up to `count` readable pictures of a split, (H, W, C) as stored, evenly spaced; DataError where there is none."""
    chosen = np.unique(np.linspace(0, len(split) - 1, min(count, len(split))).astype(int))
    pictures = []
    for i in chosen:
        stored = split.read(i)
        if isinstance(stored, np.ndarray):
            pictures.append(stored)
            continue
        try:
            pictures.append(_smaller(read_picture(stored, near=near).pixels, near))
        except PictureError:
            continue  # all unreadable pictures are reported together when the split is decoded
    if not pictures:
        raise DataError(
            f"none of {len(chosen)} sampled training pictures can be read; run nin data check on the folder"
        )
    return pictures
