"""A split's pictures, decoded and resized once: in memory, or in a verified file outside the user's folder.

Where neither has room, or when asked for, they are streamed (stream.py).

N pictures, (H, W) the preprocessing's size, C its channels.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import platformdirs

from nin.artifacts import make_folder, open_new, read_bytes, write_bytes
from nin.data.images import PictureError
from nin.data.machine import available_memory, usable_cores
from nin.data.preprocess import Preprocess
from nin.data.splits import Arrays, Split
from nin.data.stream import Images, StreamedImages, load_picture
from nin.errors import ArtifactError, amount, escape_name
from nin.orphans import sweep
from nin.sealed import open_sealed_json, seal_json

BLOCK = 256  # pictures decoded before they are handed on: 3 MB at 64 x 64
MAX_THREADS = 4  # ours: Pillow lets go of the interpreter while decoding; more threads than cores only add memory

Progress = Callable[[int, int], None]
Named = list[tuple[str, str]]  # (name of a picture, note or reason)


@dataclass(frozen=True, eq=False)
class Decoded:
    """A split's pictures, ready to be read. images: (N, H, W, C) uint8, in memory, mapped from the cache or streamed;
    labels: (N,) int64; kept: (N,) int64, the row of each in the split; unreadable: (name, reason) of each picture that
    was left out; noted: (name, note) of others."""

    images: Images
    labels: np.ndarray
    unreadable: tuple[tuple[str, str], ...]
    kept: np.ndarray
    noted: tuple[tuple[str, str], ...] = ()


def decode_split(
    split: Split,
    preprocess: Preprocess,
    *,
    key: str,
    memory_limit: int | None = None,
    stream: bool | None = None,
    skip_unreadable: bool = False,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
) -> Decoded:
    """Decode a split in its own order; pixels that already fit are not copied.

    memory_limit: bytes; by default half of what is free. A split above it goes to a file in `cache_dir` (by default
    the user's cache folder), found again by `key` (the source's fingerprint) and the split's content, and verified
    before every use. progress(done, all) is called now and then.
    stream: decode when pictures are read instead; by default only where the file would take more than half of what is
    free on its disk. Unreadable pictures are then found when they are read, and replaced, not left out, by
    `skip_unreadable`: see StreamedImages.
    Raises PictureError naming the unreadable pictures after all have been tried, unless `skip_unreadable`.
    """
    shape = (len(split), *preprocess.size, preprocess.channels)
    if (
        isinstance(split.stored, Arrays)
        and split.stored.images.shape == shape
        and split.stored.images.dtype == np.uint8
    ):
        return Decoded(split.stored.images, split.labels, (), np.arange(len(split)))
    limit = available_memory() // 2 if memory_limit is None else memory_limit
    size = int(np.prod(shape, dtype=np.int64))
    folder = cache_dir or Path(platformdirs.user_cache_dir("nin"))
    sweep(folder)  # a killed run's half a data set
    path = _cache_file(split, preprocess, folder, key) if size > limit and not stream else None
    if stream or (path and stream is None and not path.exists() and size > _free(folder) // 2):
        streamed = StreamedImages(split, preprocess, skip_unreadable=skip_unreadable)
        return Decoded(streamed, split.labels, (), np.arange(len(split)))
    images, outcome = (
        _cached(split, preprocess, path, skip_unreadable, progress) if path else _in_memory(split, preprocess, progress)
    )
    _expect_readable(outcome.unreadable, len(split), skip_unreadable)
    kept = np.array(outcome.kept, np.int64)
    return Decoded(images, split.labels[kept], tuple(outcome.unreadable), kept, tuple(outcome.noted))


def left_out_in_words(decoded: Decoded, name: str) -> list[str]:
    """What is to be known of a decoded split, a line each: pictures that were left out, and notes on others."""
    lines = []
    if decoded.unreadable:
        first, reason = decoded.unreadable[0]
        lines.append(f"{len(decoded.unreadable)} unreadable pictures left out of {name}, the first: {first} ({reason})")
    return [*lines, *(f"{name}: {line}" for line in noted_in_words(decoded.noted))]


def noted_in_words(noted: Iterable[tuple[str, str]]) -> list[str]:
    """Notes (name, note) as lines, one for all pictures whose notes differ only in numbers."""
    alike: dict[str, Named] = {}
    for name, note in noted:
        alike.setdefault(re.sub(r"[0-9.,]+", "", note), []).append((name, note))
    return [
        f"{amount(len(named), 'picture')}, the first: {escape_name(named[0][0])} ({named[0][1]})"
        for named in alike.values()
    ]


def _free(folder: Path) -> int:
    """Bytes free on the disk where a folder is or will be."""
    return shutil.disk_usage(next(place for place in (folder, *folder.parents) if place.exists())).free


@dataclass
class _Outcome:
    """What became of a split's pictures: rows of the readable, (name, reason) of the others, (name, note) of some."""

    kept: list[int] = field(default_factory=list)
    unreadable: Named = field(default_factory=list)
    noted: Named = field(default_factory=list)


def _blocks(split: Split, preprocess: Preprocess, outcome: _Outcome, progress: Progress | None) -> Iterator[np.ndarray]:
    """Decode in blocks: (M, H, W, C) uint8 of the readable pictures; `outcome` gets an entry for each."""
    buffer = np.empty((BLOCK, *preprocess.size, preprocess.channels), np.uint8)

    def decode(slot: int, index: int) -> str | tuple[str, ...]:
        try:
            buffer[slot], notes = load_picture(split, index, preprocess)
        except PictureError as error:
            return error.reason
        return notes

    with ThreadPoolExecutor(min(MAX_THREADS, max(2, usable_cores()))) as pool:
        for start in range(0, len(split), BLOCK):
            indices = range(start, min(start + BLOCK, len(split)))
            found = list(pool.map(decode, range(len(indices)), indices))
            good = [slot for slot, notes in enumerate(found) if not isinstance(notes, str)]
            outcome.kept += [start + slot for slot in good]
            for index, notes in zip(indices, found, strict=True):
                if isinstance(notes, str):
                    outcome.unreadable.append((split.name(index), notes))
                else:
                    outcome.noted += [(split.name(index), note) for note in notes]
            yield buffer[good] if len(good) < len(found) else buffer[: len(good)]
            if progress is not None:
                progress(indices.stop, len(split))


def _in_memory(split: Split, preprocess: Preprocess, progress: Progress | None) -> tuple[np.ndarray, _Outcome]:
    images = np.empty((len(split), *preprocess.size, preprocess.channels), np.uint8)
    outcome = _Outcome()
    filled = 0
    for block in _blocks(split, preprocess, outcome, progress):
        images[filled : filled + len(block)] = block
        filled += len(block)
    return images[:filled], outcome


def _expect_readable(unreadable: Named, total: int, skip: bool) -> None:
    """Raise the one line about unreadable pictures, if it is due."""
    if not unreadable or (skip and len(unreadable) < total):
        return
    shown = ", ".join(f"{escape_name(name)} ({reason})" for name, reason in unreadable[:3])
    more = ", ..." if len(unreadable) > 3 else ""
    some = len(unreadable) < total
    advice = "remove them" if some else "give other pictures"
    text = f"{len(unreadable):,} of {amount(total, 'picture')} cannot be read: {shown}{more}; {advice}"
    raise PictureError(unreadable[0][0], unreadable[0][1], text, dispensable=some)


def _cache_file(split: Split, preprocess: Preprocess, folder: Path, key: str) -> Path:
    """The cache file of this key, preprocessing and content, which need not exist."""
    policy = {name: value for name, value in preprocess.to_dict().items() if name not in ("normalisation", "zca")}
    recipe = json.dumps([2, key, _state(split), policy], sort_keys=True)  # 2: the format of this cache
    return folder / f"{hashlib.sha256(recipe.encode()).hexdigest()[:32]}.pixels"


def _cached(
    split: Split, preprocess: Preprocess, path: Path, skip: bool, progress: Progress | None
) -> tuple[np.ndarray, _Outcome]:
    """Images mapped from the cache file at `path`; made first, or again when it is damaged."""
    note = path.with_suffix(".json")
    found = _open_cache(path, note)
    if found is None:
        make_folder(path.parent)
        outcome = _Outcome()
        with open_new(path, size=int(np.prod([len(split), *preprocess.size, preprocess.channels]))) as file:
            for block in _blocks(split, preprocess, outcome, progress):
                file.write(np.ascontiguousarray(block).data)
            _expect_readable(outcome.unreadable, len(split), skip)  # before the file gets its name
            digest = file.sha256()
        shape = [len(outcome.kept), *preprocess.size, preprocess.channels]
        lists = {"kept": outcome.kept, "unreadable": _coded(outcome.unreadable), "noted": _coded(outcome.noted)}
        write_bytes(note, seal_json({"shape": shape, "pixels": digest, **lists}))
        found = _open_cache(path, note)
    if found is None:
        raise ArtifactError(f"{escape_name(path)} changed while it was being made; check the disk")
    return found


def _coded(named: Named) -> list[list[str]]:
    """Names of any bytes as JSON can hold them."""
    return [[os.fsencode(name).hex(), words] for name, words in named]


def _names(coded: list[list[str]]) -> Named:
    return [(os.fsdecode(bytes.fromhex(name)), str(words)) for name, words in coded]


def _state(split: Split) -> str:
    """A digest of which pictures these are; it changes when a file does, even at the same size."""
    digest = hashlib.sha256(str(len(split)).encode())
    for part in split.stored.state():
        digest.update(part)
    return digest.hexdigest()


def _open_cache(path: Path, note: Path) -> tuple[np.ndarray, _Outcome] | None:
    """What the cache holds, every byte verified; None when it is not there, not complete or damaged."""
    try:
        facts = open_sealed_json(read_bytes(note), note)
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != facts["pixels"]:
                return None
        # Copy on write: torch takes a writable array without complaint, the file stays as it is.
        images = np.memmap(path, np.uint8, "c", shape=tuple(facts["shape"]))
        return images, _Outcome(list(facts["kept"]), _names(facts["unreadable"]), _names(facts["noted"]))
    except (ArtifactError, OSError, KeyError, TypeError, ValueError):
        return None
