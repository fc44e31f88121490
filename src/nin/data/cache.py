"""A split's pictures, decoded and resized once: in memory, or in a verified file outside the user's folder.

N pictures, (H, W) the preprocessing's size, C its channels.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs

from nin.artifacts import escape_name, make_folder, open_new, open_sealed_json, read_bytes, seal_json, write_bytes
from nin.data.images import PictureError
from nin.data.memory import available_memory
from nin.data.preprocess import Preprocess
from nin.data.splits import Split
from nin.errors import ArtifactError

BLOCK = 256  # pictures decoded before they are handed on: 3 MB at 64 x 64
MAX_THREADS = 4  # ours: Pillow lets go of the interpreter while decoding; more threads than cores only add memory

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Decoded:
    """images: (N, H, W, C) uint8, in memory or mapped from the cache; labels: (N,) int64; kept: (N,) int64, where each
    stands in the split; unreadable: (name, reason) of each picture that was left out."""

    images: np.ndarray
    labels: np.ndarray
    unreadable: tuple[tuple[str, str], ...]
    kept: np.ndarray


def decode_split(
    split: Split,
    preprocess: Preprocess,
    *,
    key: str,
    memory_limit: int | None = None,
    skip_unreadable: bool = False,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
) -> Decoded:
    """Decode a split in its own order; pixels that already fit are not copied.

    memory_limit: bytes; by default half of what is free. A split above it goes to a file in `cache_dir` (by default
    the user's cache folder), found again by `key` (the source's fingerprint) and the split's content, and verified
    before every use. progress(done, all) is called now and then.
    Raises PictureError naming the unreadable pictures after all have been tried, unless `skip_unreadable`.
    """
    shape = (len(split), *preprocess.size, preprocess.channels)
    if split.images is not None and split.images.shape == shape:
        return Decoded(split.images, split.labels, (), np.arange(len(split)))
    limit = available_memory() // 2 if memory_limit is None else memory_limit
    if int(np.prod(shape, dtype=np.int64)) > limit:
        folder = cache_dir or Path(platformdirs.user_cache_dir("nin"))
        images, kept, unreadable = _cached(split, preprocess, folder, key, skip_unreadable, progress)
    else:
        images, kept, unreadable = _in_memory(split, preprocess, progress)
    _judge(unreadable, len(split), skip_unreadable)
    return Decoded(images, split.labels[kept], tuple(unreadable), kept)


Bad = list[tuple[str, str]]


def _blocks(
    split: Split, preprocess: Preprocess, progress: Progress | None
) -> Iterator[tuple[np.ndarray, list[int], Bad]]:
    """Decode in blocks: (M, H, W, C) uint8 of the good pictures, their indices, and (name, reason) of the bad ones."""
    buffer = np.empty((BLOCK, *preprocess.size, preprocess.channels), np.uint8)

    def decode(slot: int, index: int) -> str | None:
        try:
            if split.paths is not None:
                buffer[slot] = preprocess.load(split.paths[index])
            elif split.images is not None:
                buffer[slot] = preprocess.resize(split.images[index])
        except PictureError as error:
            return error.reason
        return None

    with ThreadPoolExecutor(min(MAX_THREADS, max(2, os.cpu_count() or 1))) as pool:
        for start in range(0, len(split), BLOCK):
            indices = range(start, min(start + BLOCK, len(split)))
            reasons = list(pool.map(decode, range(len(indices)), indices))
            good = [slot for slot, reason in enumerate(reasons) if reason is None]
            bad = [(split.name(indices[slot]), reason) for slot, reason in enumerate(reasons) if reason is not None]
            yield buffer[good] if bad else buffer[: len(good)], [start + slot for slot in good], bad
            if progress is not None:
                progress(indices.stop, len(split))


def _in_memory(split: Split, preprocess: Preprocess, progress: Progress | None) -> tuple[np.ndarray, np.ndarray, Bad]:
    images = np.empty((len(split), *preprocess.size, preprocess.channels), np.uint8)
    kept: list[int] = []
    unreadable: Bad = []
    for block, indices, bad in _blocks(split, preprocess, progress):
        images[len(kept) : len(kept) + len(block)] = block
        kept += indices
        unreadable += bad
    return images[: len(kept)], np.array(kept, np.int64), unreadable


def _judge(unreadable: Bad, total: int, skip: bool) -> None:
    """Raise the one line about unreadable pictures, if it is due."""
    if not unreadable or (skip and len(unreadable) < total):
        return
    shown = ", ".join(f"{escape_name(name)} ({reason})" for name, reason in unreadable[:3])
    more = ", ..." if len(unreadable) > 3 else ""
    one = "picture" if total == 1 else "pictures"
    advice = "remove them or pass --skip-unreadable" if len(unreadable) < total else "give other pictures"
    text = f"{len(unreadable):,} of {total:,} {one} cannot be read: {shown}{more}; {advice}"
    raise PictureError(unreadable[0][0], unreadable[0][1], text)


def _cached(
    split: Split, preprocess: Preprocess, folder: Path, key: str, skip: bool, progress: Progress | None
) -> tuple[np.ndarray, np.ndarray, Bad]:
    """Images mapped from the cache file of this key and preprocessing; made first, or again when it is damaged."""
    recipe = json.dumps([1, key, _state(split), preprocess.to_dict()], sort_keys=True)  # 1: the format of this cache
    path = folder / f"{hashlib.sha256(recipe.encode()).hexdigest()[:32]}.pixels"
    note = path.with_suffix(".json")
    found = _open_cache(path, note)
    if found is None:
        make_folder(folder)
        kept: list[int] = []
        unreadable: Bad = []
        with open_new(path, size=int(np.prod([len(split), *preprocess.size, preprocess.channels]))) as file:
            for block, indices, bad in _blocks(split, preprocess, progress):
                file.write(np.ascontiguousarray(block).data)
                kept += indices
                unreadable += bad
            _judge(unreadable, len(split), skip)  # before the file gets its name: nothing is kept of a refused one
            digest = file.sha256()
        shape = [len(kept), *preprocess.size, preprocess.channels]
        names = [[os.fsencode(name).hex(), reason] for name, reason in unreadable]
        write_bytes(note, seal_json({"shape": shape, "pixels": digest, "kept": kept, "unreadable": names}))
        found = _open_cache(path, note)
    if found is None:
        raise ArtifactError(f"{escape_name(path)} changed while it was being made; check the disk")
    return found


def _state(split: Split) -> str:
    """A digest of which pictures these are; it changes when a file does, even at the same size."""
    digest = hashlib.sha256(str(len(split)).encode())
    if split.images is not None:
        digest.update(str(split.images.shape).encode())
        digest.update(np.ascontiguousarray(split.images).data)
    for path in split.paths or ():
        digest.update(os.fsencode(path) + b"\0")
        try:
            status = path.stat()
            digest.update(f"{status.st_size} {status.st_mtime_ns}\n".encode())
        except OSError:
            digest.update(b"missing\n")
    return digest.hexdigest()


def _open_cache(path: Path, note: Path) -> tuple[np.ndarray, np.ndarray, Bad] | None:
    """What the cache holds, every byte verified; None when it is not there, not complete or damaged."""
    try:
        facts = open_sealed_json(read_bytes(note), note)
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != facts["pixels"]:
                return None
        # Copy on write: torch takes a writable array without complaint, the file stays as it is.
        images = np.memmap(path, np.uint8, "c", shape=tuple(facts["shape"]))
        unreadable = [(os.fsdecode(bytes.fromhex(name)), str(reason)) for name, reason in facts["unreadable"]]
        return images, np.array(facts["kept"], np.int64), unreadable
    except (ArtifactError, OSError, KeyError, TypeError, ValueError):
        return None
