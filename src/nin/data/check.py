"""Every picture of a data set inspected before training: what is there, unreadable or duplicated (torch-free)."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from nin.data.cache import noted_in_words
from nin.data.depth import find_range, in_words, is_full, kind_of, range_note, sample
from nin.data.images import PictureError, read_picture, to_channels
from nin.data.machine import usable_cores
from nin.data.reading import AS_FOUND, Reading
from nin.data.sources import open_source, trainable
from nin.data.splits import SPLITS, Arrays, Source, Split, expect_every_class
from nin.errors import DataError, amount, escape_name

NEAR = 128  # pixels; large JPEGs are decoded to a short side of 256 or more, which is enough to inspect them
FEW = 20  # ours: with fewer pictures of a class than this, training is a gamble
IMBALANCED = 3.0  # ours: largest class / smallest class from which it is worth saying
GRAY = {"L", "1", "I;16"}  # modes of one channel, beside those that begin with "L;"
BLOCK = 512  # pictures inspected between two calls of progress

Place = tuple[str, str, str]  # split, name, class


class PictureFacts(NamedTuple):
    """What is kept of one picture. `digest`: over the pixels as they are stored; `shrunk`: not decoded at full size;
    `kind`: "8-bit", ... pixels; `notes`: one line each."""

    size: tuple[int, int]
    format: str
    mode: str
    rotated: bool
    blank: bool
    digest: bytes
    shrunk: bool
    kind: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Range:
    """Smallest, middle and largest of a quantity."""

    min: float
    median: float
    max: float


@dataclass(frozen=True)
class Check:
    """A data set as it is. counts: per split, pictures per class in the order of `classes` (unreadable ones too);
    refused: why no network can be trained on it, whatever is skipped (one line; "" when one can);
    duplicates: groups of pictures with the same pixels, each as (split, name, class); imbalance: largest class /
    smallest class of train; aspect: width / height; width, height: pixels, as a viewer shows the pictures."""

    path: str
    kind: str
    classes: tuple[str, ...]
    counts: dict[str, tuple[int, ...]]
    width: Range | None
    height: Range | None
    aspect: Range | None
    formats: dict[str, int]
    modes: dict[str, int]
    rotated: int
    blank: int
    unreadable: tuple[tuple[str, str], ...]
    duplicates: tuple[tuple[Place, ...], ...]
    imbalance: float
    refused: str
    notes: tuple[str, ...]
    suggestions: tuple[str, ...]

    @property
    def total(self) -> int:
        """Pictures in all splits together."""
        return sum(sum(counts) for counts in self.counts.values())

    @property
    def shared(self) -> tuple[tuple[Place, ...], ...]:
        """The groups of duplicates that reach over more than one split: they make a score better than it is."""
        return tuple(group for group in self.duplicates if len({split for split, _, _ in group}) > 1)

    @property
    def contradictions(self) -> tuple[tuple[Place, ...], ...]:
        """The groups of duplicates that have more than one class."""
        return tuple(group for group in self.duplicates if len({name for _, _, name in group}) > 1)

    @property
    def rows(self) -> list[tuple[str, str]]:
        """(what, value) for a table on a screen; names are safe to print."""
        rows = [("kind", self.kind), ("classes", f"{len(self.classes):,}"), ("pictures", f"{self.total:,}")]
        rows += [(split, f"{sum(counts):,}") for split, counts in self.counts.items()]
        for name, values, digits in (("width", self.width, 0), ("height", self.height, 0), ("aspect", self.aspect, 2)):
            if values is not None:
                low, middle, high = (f"{value:,.{digits}f}" for value in (values.min, values.median, values.max))
                rows.append((name, low if low == high else f"{low} to {high}, median {middle}"))
        for name, numbers in (("formats", self.formats), ("modes", self.modes)):
            rows.append((name, ", ".join(f"{value} {count:,}" for value, count in numbers.items()) or "none"))
        rows += [("turned by EXIF", f"{self.rotated:,}"), ("of one colour", f"{self.blank:,}")]
        rows += [("unreadable", f"{len(self.unreadable):,}"), ("imbalance", f"{self.imbalance:.1f} : 1")]
        extra = sum(len(group) - 1 for group in self.duplicates)
        across = f", {amount(len(self.shared), 'picture')} in two splits" if self.shared else ""
        return [*rows, ("duplicates", f"{extra:,}{across}")]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able: every field, `total`, `shared` and `contradictions` (the latter two as counts)."""
        extra = {"total": self.total, "shared": len(self.shared), "contradictions": len(self.contradictions)}
        return {**_plain(asdict(self)), **extra}


def _plain(value: Any) -> Any:
    """Tuples as lists, text without what JSON in UTF-8 cannot hold."""
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value


def check_source(
    path: str | Path, *, progress: Callable[[int, int], None] | None = None, reading: Reading = AS_FOUND
) -> Check:
    """Inspect the data set at `path` picture by picture; raises what `open_source` raises when it is none.

    Splits are those that exist: nothing is held out. Large JPEGs are decoded at a fraction of their size; pictures
    that are equal then are compared at full size, so that a duplicate has exactly the same pixels.
    """
    source = open_source(path, split=False, reading=reading)
    splits = {name: source.splits[name] for name in SPLITS if name in source.splits}
    places = [(name, row) for name, split in splits.items() for row in range(len(split))]
    found: list[PictureFacts | str] = []
    with ThreadPoolExecutor(min(4, max(2, usable_cores()))) as pool:
        for split in splits.values():
            for start in range(0, len(split), BLOCK):
                rows = range(start, min(start + BLOCK, len(split)))
                if isinstance(split.stored, Arrays):
                    found += _inspect_array(split.stored, rows)
                else:
                    found += pool.map(_inspect_file, [split] * len(rows), rows)
                if progress is not None:
                    progress(len(found), len(places))
    return _judge(source, splits, places, found)


def stored_pixels(split: Split, row: int) -> bytes:
    """A digest of one picture's pixels as they are stored, whole and as deep as they are; PictureError."""
    if isinstance(split.stored, Arrays):
        return next(_inspect_array(split.stored, range(row, row + 1))).digest
    facts = _inspect_file(split, row, near=None)
    if isinstance(facts, str):
        raise PictureError(split.name(row), facts)
    return facts.digest


def _inspect_file(split: Split, row: int, near: int | None = NEAR) -> PictureFacts | str:
    """The facts of one picture of a split of files or shards, or why it cannot be read."""
    try:
        encoded = split.read(row)
        assert not isinstance(encoded, np.ndarray)
        picture = read_picture(encoded, near=near)
    except PictureError as error:
        return error.reason
    pixels = picture.pixels
    shown = np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels  # gray stored as colour is the same
    if pixels.dtype == np.uint8:
        shown = to_channels(pixels, 3)
    stored = "" if pixels.dtype == np.uint8 else pixels.dtype.str
    digest = hashlib.blake2b(f"{stored}{shown.shape}".encode() + shown.tobytes(), digest_size=16).digest()
    shrunk = pixels.shape[0] * pixels.shape[1] < picture.size[0] * picture.size[1]
    blank = bool((pixels == pixels[:1, :1]).all())
    kind = kind_of(pixels)
    notes = picture.notes
    return PictureFacts(picture.size, picture.format, picture.mode, picture.rotated, blank, digest, shrunk, kind, notes)


def _inspect_array(stored: Arrays, rows: range) -> Iterator[PictureFacts]:
    images = stored.images[rows.start : rows.stop]
    size = (images.shape[2], images.shape[1])
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[images.shape[3]]
    kind = kind_of(images)
    mode += "" if images.dtype == np.uint8 else f";{kind}"
    blanks = (images == images[:, :1, :1]).all(axis=(1, 2, 3)).tolist()
    for image, blank in zip(images, blanks, strict=True):
        digest = hashlib.blake2b(image.tobytes(), digest_size=16).digest()
        yield PictureFacts(size, "array", mode, False, blank, digest, False, kind)


def _judge(
    source: Source, splits: dict[str, Split], places: list[tuple[str, int]], found: list[PictureFacts | str]
) -> Check:
    good = [facts for facts in found if not isinstance(facts, str)]
    counts = {
        name: tuple(np.bincount(split.labels, minlength=len(source.classes)).tolist()) for name, split in splits.items()
    }
    unreadable = tuple(
        (splits[name].name(row), facts)
        for (name, row), facts in zip(places, found, strict=True)
        if isinstance(facts, str)
    )
    learned = [count for count in counts.get("train", next(iter(counts.values()))) if count]
    widths = [facts.size[0] for facts in good]
    heights = [facts.size[1] for facts in good]
    result = Check(
        path=str(source.path),
        kind=source.kind,
        classes=source.classes,
        counts=counts,
        width=_range(widths),
        height=_range(heights),
        aspect=_range([width / height for width, height in zip(widths, heights, strict=True)]),
        formats=dict(Counter(facts.format for facts in good).most_common()),
        modes=dict(Counter(facts.mode for facts in good).most_common()),
        rotated=sum(facts.rotated for facts in good),
        blank=sum(facts.blank for facts in good),
        unreadable=unreadable,
        duplicates=tuple(_duplicates(source, splits, places, found)),
        imbalance=max(learned) / min(learned),
        refused=_refusal(source, places, found),
        notes=(*source.notes, *_noted(splits, places, found)),
        suggestions=(),
    )
    notes, unfit = _on_one_scale(splits, good)
    result = replace(result, notes=(*result.notes, *notes), refused=result.refused or "".join(unfit))
    return replace(result, suggestions=tuple(dict.fromkeys((*_suggestions(result), *unfit))))


def _noted(splits: dict[str, Split], places: list[tuple[str, int]], found: list[PictureFacts | str]) -> list[str]:
    """Notes about single pictures, one line for all that have the same note."""
    noted = [
        (splits[name].name(row), note)
        for (name, row), facts in zip(places, found, strict=True)
        if not isinstance(facts, str)
        for note in facts.notes
    ]
    return noted_in_words(noted)


def _on_one_scale(splits: dict[str, Split], good: list[PictureFacts]) -> tuple[list[str], list[str]]:
    """What becomes of the values of deep pictures, and what to do where they have no one scale."""
    counts = Counter(facts.kind for facts in good)
    if not set(counts) - {"8-bit"}:
        return [], []
    try:
        value_range = find_range(sample(splits.get("train", next(iter(splits.values())))))
    except DataError as error:
        return [], [str(error)]
    if value_range is not None and not is_full(value_range):
        few = f"8-bit pixels in {counts['8-bit']:,} of {amount(counts.total(), 'picture')}"
        deep = f"values of {in_words(value_range)} in training pictures"
        unfit = [f"{few}, {deep}; save all with the same depth and scale"]
        return [range_note(value_range)], unfit if counts["8-bit"] else []
    mixed = ", ".join(f"{amount(count, 'picture')} with {kind} pixels" for kind, count in counts.most_common())
    if value_range is None:
        return [f"{mixed}: black and white are the ends of their scale"], []
    return [f"{mixed}, of {in_words(value_range)}: these become black and white"], []


def _refusal(source: Source, places: list[tuple[str, int]], found: list[PictureFacts | str]) -> str:
    """The line with which training would refuse the data set, by the same checks; "" where it would not."""
    try:
        trainable(source)
        good = [
            row
            for (name, row), facts in zip(places, found, strict=True)
            if name == "train" and isinstance(facts, PictureFacts)
        ]
        expect_every_class(source, "train", np.array(good, np.int64))
    except DataError as error:
        return str(error)
    return ""


def _range(values: list[Any]) -> Range | None:
    return Range(min(values), median(values), max(values)) if values else None


def _duplicates(
    source: Source, splits: dict[str, Split], places: list[tuple[str, int]], found: list[PictureFacts | str]
) -> Iterator[tuple[Place, ...]]:
    """Groups of pictures with equal pixels, in the order of their first members."""
    groups: dict[bytes, list[int]] = {}
    for number, facts in enumerate(found):
        if not isinstance(facts, str):
            groups.setdefault(facts.digest, []).append(number)
    for group in [numbers for numbers in groups.values() if len(numbers) > 1]:
        exact: dict[object, list[int]] = {}
        for number in group:
            facts = found[number]
            name, row = places[number]
            if isinstance(facts, PictureFacts) and facts.shrunk:  # equal when small: compare at full size
                facts = _inspect_file(splits[name], row, near=None)
            exact.setdefault(facts.digest if isinstance(facts, PictureFacts) else number, []).append(number)
        for numbers in exact.values():
            if len(numbers) > 1:
                spots = [places[number] for number in numbers]
                yield tuple((n, splits[n].name(row), source.classes[splits[n].labels[row]]) for n, row in spots)


def _suggestions(check: Check) -> Iterable[str]:
    """What can be done about it, one line each, the worst first."""
    if check.refused:
        yield check.refused
    if check.unreadable:
        name, reason = check.unreadable[0]
        example = f"{escape_name(name)}: {reason}"
        count = amount(len(check.unreadable), "picture")
        them = "it" if len(check.unreadable) == 1 else "them"
        leave = f"leave {them} out: nin train PATH --skip-unreadable"
        yield f"{count} cannot be read ({example}); remove {them}, or {leave}"
    if check.contradictions:
        (_, first, one), (_, second, other) = _differing(check.contradictions[0], 2)
        pair = f"{escape_name(first)} is {escape_name(one)}, {escape_name(second)} is {escape_name(other)}"
        count = amount(len(check.contradictions), "picture is", "pictures are")
        yield f"{count} in two classes: {pair}; keep one of them"
    if check.shared:
        (one, first, _), (other, second, _) = _differing(check.shared[0], 0)
        pair = f"{escape_name(first)} in {one}, {escape_name(second)} in {other}"
        count = amount(len(check.shared), "picture is", "pictures are")
        yield f"{count} in two splits, which makes the score too good: {pair}; keep one of them"
    train = check.counts.get("train")
    if train:
        few = [name for name, count in zip(check.classes, train, strict=True) if 0 < count < FEW]
        if few:
            yield f"collect more pictures of {_some(few)}: fewer than {FEW} to learn from"
        if check.imbalance >= IMBALANCED:
            small = min((count, name) for count, name in zip(train, check.classes, strict=True) if count)
            yield f"collect more pictures of {escape_name(small[1])} ({small[0]:,}), or judge by balanced accuracy"
    if check.aspect is not None and check.aspect.max > 1.5 * check.aspect.min:
        yield "shapes differ: nin train PATH --fit pad keeps proportions (default: stretch)"
    if check.modes and all(mode in GRAY or mode.startswith("L;") for mode in check.modes):
        yield "all pictures are gray: one channel is enough"


def _differing(group: tuple[Place, ...], column: int) -> tuple[Place, Place]:
    """Two members of a group that differ in a column."""
    return group[0], next(place for place in group if place[column] != group[0][column])


def _some(names: list[str]) -> str:
    return ", ".join(map(escape_name, names[:5])) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")
