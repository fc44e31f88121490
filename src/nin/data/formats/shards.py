"""Shards: tar files of pictures and labels as webdataset writes them, indexed and read in place (torch-free).

A sample is a run of members with one key, which ends at the first dot of the file's name: `0001.jpg` (or another kind
of picture) and `0001.cls` (a whole number or a class name) or `0001.json` with "label" or "cls". Members of other kinds
are left alone. Numbers count from 0 in `classes.txt` or `labels.txt` beside the shards, where there is one.
Source: webdataset 1.0, tariterators.py (keys, groups, names that are skipped).
"""

import io
import json
import os
import re
import tarfile
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import numpy as np

from nin.artifacts import read_bytes
from nin.data.codecs.readers import SUFFIXES
from nin.data.formats.folders import IGNORED, not_a_file
from nin.data.formats.split_names import SPLIT_WORDS, split_names
from nin.data.images import LIMITS, is_picture_name
from nin.data.spelling import clean, join_names, same
from nin.data.splits import SPLITS, Source, Split, file_states, natural
from nin.errors import ArtifactError, DataError, escape_name

CLASS_FILES = ("classes.txt", "labels.txt")
MAX_HEADER = 2**16  # bytes of headers in front of one member; a long name and its attributes take some hundred
MAX_LABEL = 2**20
MAX_CLASSES = 2**24  # bytes of a list of classes
RECORD = 10_240  # zeros at the end of a tar file: two blocks of 512 at least, 20 as most programs write (POSIX, pax)

_SHARD = re.compile(r".+\.(tar|tgz|tar\.\w+)", re.IGNORECASE | re.DOTALL)
_MEMBER = re.compile(r"((?:.*/)?[^./]+)\.([^/]+)", re.DOTALL)
_META = re.compile(r"__[^/]*__($|/)")
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_TAR_ERRORS = (tarfile.TarError, ValueError, IndexError, KeyError, OverflowError)


class _Tar(io.FileIO):
    """A file of which tarfile reads headers: at most `left` bytes more, whatever sizes they claim."""

    left = MAX_HEADER

    def __init__(self, path: Path) -> None:
        super().__init__(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= self.left:
            raise tarfile.ReadError(f"a header of more than {MAX_HEADER:,} bytes")
        self.left -= size
        return super().read(size)


@dataclass(frozen=True, eq=False)
class Packed:
    """N encoded pictures inside tar files below `root`, 32 bytes of memory each.

    shards: each file and how many bytes it had when it was indexed; rows: (N, 4) int64, a picture's shard, where its
    header begins, where its bytes begin, and how many there are.
    """

    root: Path
    shards: tuple[tuple[Path, int], ...]
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: np.ndarray) -> "Packed":
        """The pictures `rows` (int64 indices) in that order."""
        return Packed(self.root, self.shards, self.rows[rows])

    def read(self, index: int) -> bytes:
        """The encoded bytes of picture `index`; of one that is larger than allowed only the first LIMITS.max_bytes + 1.

        Raises DataError when its shard has changed since it was indexed.
        """
        shard, _, start, length = self.rows[index].tolist()
        path, size = self.shards[shard]
        wanted = min(length, LIMITS.max_bytes + 1)
        try:
            with _Tar(path) as stream:
                now = os.fstat(stream.fileno()).st_size
                data = os.pread(stream.fileno(), wanted, start)
        except OSError as error:
            raise _refusal(path, error) from error
        if now != size or len(data) < wanted:
            found = f"{escape_name(path)} has {now:,} bytes now and had {size:,} when it was indexed"
            raise DataError(f"{found}; put the old file back, or start again")
        return data

    def name(self, index: int) -> str:
        """Picture `index` for messages: its shard below the folder and its name in there."""
        shard, header, start, _ = self.rows[index].tolist()
        path = self.shards[shard][0]
        name = f"byte {start:,}"
        with suppress(OSError, *_TAR_ERRORS), _Tar(path) as stream:
            stream.seek(header)
            if member := tarfile.TarFile(fileobj=stream, encoding="utf-8").next():
                name = member.name
        return f"{path.relative_to(self.root)}/{name}"

    def identity(self) -> Iterator[bytes]:
        """What a fingerprint is made of: the shards' names and sizes, and where the pictures lie in them."""
        for path, size in self.shards:
            yield os.fsencode(path.relative_to(self.root))
            yield size.to_bytes(8, "little")
        yield self.rows.astype("<i8").tobytes()

    def state(self) -> Iterator[bytes | memoryview]:
        """The places of the pictures in the shards, and the shards' sizes and times."""
        yield self.rows.data
        yield from file_states(path for path, _ in self.shards)


@dataclass
class Classes:
    """The number of every class: as listed in `file` (by what spellings of its name have in common, `names` as labels
    bear them), or else in the order in which they are met."""

    numbers: dict[str, int]
    file: str = ""
    names: tuple[str, ...] = ()

    def number(self, text: str) -> int:
        """The number of the class that a label means; raises DataError, its text going on from "0001.cls"."""
        value = int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else None
        if not self.file:
            return self.numbers.setdefault(text if value is None else str(value), len(self.numbers))
        if value is not None and not 0 <= value < len(self.numbers):
            raise DataError(f"has label {value}; {self.file} names 0 to {len(self.numbers) - 1}")
        if value is None and same(text) not in self.numbers:
            raise DataError(f"has label {escape_name(text)}, which {self.file} does not name; add it there")
        return self.numbers[same(text)] if value is None else value


@dataclass
class Reader:
    """Reads the headers of shards, and counts members that belong to no sample."""

    root: Path
    classes: Classes
    skipped: Counter[str] = field(default_factory=Counter)  # what -> how often
    stranger: str = ""

    def index(self, shards: Sequence[Path]) -> Split:
        """The samples of the shards; labels are numbers of `classes`, complete once all shards are read."""
        table = array("q")
        sizes = []
        for number, path in enumerate(shards):
            before = len(table)
            try:
                with _Tar(path) as stream:
                    sizes.append(os.fstat(stream.fileno()).st_size)
                    for sample in self._samples(stream, path):
                        table.extend((number, *self._entry(stream, path, *sample)))
            except OSError as error:
                raise _refusal(path, error) from error
            self.skipped["shard without samples"] += len(table) == before
        rows = np.asarray(table).reshape(-1, 5)
        pairs = tuple(zip(shards, sizes, strict=True))
        return Split(rows[:, 4].copy(), Packed(self.root, pairs, rows[:, :4].copy()))

    def _entry(
        self, stream: _Tar, path: Path, picture: tarfile.TarInfo, label: tarfile.TarInfo
    ) -> tuple[int, int, int, int]:
        """Where the picture's header and bytes begin, how many bytes there are, and the number of its class."""
        try:
            number = self.classes.number(_label(stream, label))
        except DataError as error:
            raise DataError(f"{_shown(path, label)} {error}") from None
        return picture.offset, picture.offset_data, picture.size, number

    def _samples(self, stream: _Tar, path: Path) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarInfo]]:
        """The picture and the label of each sample."""
        for key, group in groupby(self._named(stream, path), key=lambda item: item[0]):
            found: dict[str, tarfile.TarInfo] = {}
            for _, kind, member in group:
                kept = "picture" if f".{kind}" in SUFFIXES else kind if kind in ("cls", "json") else ""
                if kept in found:
                    both = f"{escape_name(found[kept].name)} and {escape_name(member.name)}"
                    raise DataError(f"{_shown(path)}: {both} are of one sample; keep one of them")
                if kept:
                    found[kept] = member
                else:
                    self.skipped["member that is no picture and no label"] += 1
                    self.stranger = self.stranger or member.name
            label = found.get("cls") or found.get("json")
            if not found:
                continue
            if label is None:
                wanted = f'{escape_name(key)}.cls or {escape_name(key)}.json with "label" beside it'
                raise DataError(f"{_shown(path, found['picture'])} has no label; expected {wanted}")
            if "picture" not in found:
                wanted = f"{escape_name(key)}.jpg, .png, .webp, .bmp or .gif beside it"
                raise DataError(f"{_shown(path, label)} has no picture; expected {wanted}")
            yield found["picture"], label

    def _named(self, stream: _Tar, path: Path) -> Iterator[tuple[str, str, tarfile.TarInfo]]:
        """(key, kind, member) of the files in a tar."""
        for member in _members(stream, path):
            if member.isdir() or _META.match(member.name):
                continue
            if not member.isreg() or member.issparse():
                self.skipped["member that is a link or no plain file"] += 1
            elif match := _MEMBER.fullmatch(member.name):
                yield match[1], match[2].lower(), member
            else:
                self.skipped["member that is no picture and no label"] += 1


def _shown(path: Path, member: tarfile.TarInfo | None = None) -> str:
    return escape_name(path if member is None else f"{path}/{member.name}")


def _refusal(path: Path, error: OSError) -> DataError:
    reason = (error.strerror or str(error)).lower()
    return DataError(f"{escape_name(path)} cannot be read ({reason}); put it back, or allow reading it")


def _members(stream: _Tar, path: Path) -> Iterator[tarfile.TarInfo]:
    """The members of a whole and plain tar file; raises DataError at the place where it is something else."""
    shown = escape_name(path)
    head = os.pread(stream.fileno(), 6, 0)
    for magic, name in _COMPRESSED.items():
        if head.startswith(magic):
            raise DataError(f"{shown} is compressed ({name}), so no picture in it can be found; give plain tar files")
    size = os.fstat(stream.fileno()).st_size
    try:
        tar = tarfile.TarFile(fileobj=stream, encoding="utf-8")
        while (member := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # tarfile would keep them all
            tar.pax_headers = {}
            if member.size < 0 or tar.offset > size:
                raise tarfile.ReadError("unexpected end of data")
            yield member
            stream.left = MAX_HEADER
        end = os.pread(stream.fileno(), RECORD, tar.offset)
        if len(end) < tarfile.BLOCKSIZE or any(end):  # tarfile takes a broken header for the end
            raise tarfile.ReadError(f"no end mark at byte {tar.offset:,}")
    except _TAR_ERRORS as error:
        raise DataError(f"{shown} is not a whole tar file ({escape_name(error)}); copy or write it again") from error


def _label(stream: _Tar, member: tarfile.TarInfo) -> str:
    """The label that a .cls or .json member holds, as text."""
    wanted = '{"label": 3} or {"label": "cat"}' if member.name.lower().endswith("json") else "a whole number or a name"
    if member.size > MAX_LABEL:
        raise DataError(f"has {member.size:,} bytes; expected {wanted}")
    data = os.pread(stream.fileno(), member.size, member.offset_data)
    value: object = None
    with suppress(ValueError, RecursionError):
        if member.name.lower().endswith("json"):
            content = json.loads(data)
            value = content.get("label", content.get("cls")) if isinstance(content, dict) else None
        else:
            value = data.decode()
    text = clean(str(value).strip()) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not text or not text.isprintable():
        raise DataError(f"holds {data[:30]!r}; expected {wanted}")
    return text


def open_shards(path: Path, *, follow: bool = False) -> Source | None:
    """The shards in a folder, by split (from their names, or from folders named train, val, test); None when there
    are none, or class folders beside them. Links out of the folder are read where `follow` says so.
    Raises DataError with one line for what cannot be used."""
    parts, notes = _find(path, follow)
    if not parts and notes:
        raise DataError(f"{escape_name(path)}: {notes[0]}; give the folder in which the tar files themselves lie")
    if not parts:
        return None
    notes.insert(0, "shards: " + ", ".join(f"{len(parts[name]):,} {name}" for name in SPLITS if name in parts))
    reader = Reader(path, _listed_classes(path))
    splits = {name: reader.index(parts[name]) for name in SPLITS if name in parts}
    splits = {name: split for name, split in splits.items() if len(split)}
    count = sum(map(len, parts.values()))
    if not splits:
        such = f" (found members such as {escape_name(reader.stranger)})" if reader.stranger else ""
        wanted = "expected KEY.jpg and KEY.cls side by side, KEY without a dot"
        raise DataError(f"{escape_name(path)}: no samples in {count:,} tar files{such}; {wanted}")
    names = reader.classes.names
    if not reader.classes.file:
        written = tuple(reader.classes.numbers)
        if all(re.fullmatch("-?[0-9]+", name) for name in written):
            notes.append("class names are not there; classes are called by their numbers")
        meant, joined = join_names({name: [written[n] for n in np.unique(s.labels)] for name, s in splits.items()})
        names = tuple(sorted(set(meant.values()), key=natural))
        places = np.array([names.index(meant[text]) if text in meant else -1 for text in written], np.int64)
        splits = {name: Split(places[split.labels], split.stored) for name, split in splits.items()}
        notes += joined
    notes += [f"ignored: {number:,} x {what}" for what, number in sorted(reader.skipped.items()) if number]
    return Source(path, "shards", names, splits, tuple(notes))


def _find(path: Path, follow: bool) -> tuple[dict[str, list[Path]], list[str]]:
    """Tar files by split, and notes; nothing where class folders are, beside which an archive may lie."""
    root = os.path.realpath(path)
    parts: dict[str, list[Path]] = {}
    notes: list[str] = []
    top = _entries(path)
    folders = [Path(entry.path) for entry in top if entry.is_dir(follow_symlinks=follow)]
    named = split_names(folder.name for folder in folders)
    for folder in (path, *folders):
        entries = top if folder == path else _entries(folder)
        if folder != path and any(entry.is_dir() or is_picture_name(entry.name) for entry in entries):
            return {}, []
        for entry in entries:
            split = _split_of(entry.name) if folder == path else named.get(folder.name)
            if split is None or entry.is_dir(follow_symlinks=False) or not _SHARD.fullmatch(entry.name):
                continue
            if reason := not_a_file(entry, root, follow=follow):
                notes.append(f"ignored: {escape_name(Path(entry.path).relative_to(path))} ({reason})")
            else:
                parts.setdefault(split, []).append(Path(entry.path))
    return parts, notes


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is visible in a folder, in natural order; nothing where it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            kept = [e for e in entries if not (e.name.startswith(".") or e.name.lower() in IGNORED)]
    except OSError:
        return []
    return sorted(kept, key=lambda entry: natural(entry.name))


def _split_of(name: str) -> str:
    """The split that a shard's name says, "train" when it says none: `imagenet-val-0000.tar` is validation."""
    words = re.split(r"[^a-z]+", name.lower())
    return next((SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS), "train")


def _listed_classes(path: Path) -> Classes:
    """The classes that a file beside the shards names, one a line; none when there is no such file."""
    file = next((path / name for name in CLASS_FILES if (path / name).is_file()), None)
    if file is None:
        return Classes({})
    try:
        lines = read_bytes(file, limit=MAX_CLASSES).decode("utf-8-sig").rstrip().split("\n")
    except (ArtifactError, ValueError) as error:
        reason = "not UTF-8 text" if isinstance(error, ValueError) else str(error)
        raise DataError(f"{escape_name(file)} cannot be used ({reason}); give one class name a line") from error
    numbers: dict[str, int] = {}
    names: list[str] = []
    for number, line in enumerate(lines, 1):
        name = clean(line.strip())
        if not name or not name.isprintable():
            raise DataError(f"{escape_name(file.name)} line {number} is no class name; give one a line, as plain text")
        if same(name) in numbers:
            at = f"{escape_name(file.name)} lines {numbers[same(name)] + 1} and {number}"
            raise DataError(f"{at} both name {escape_name(name)}; give every class a name of its own")
        numbers[same(name)] = len(numbers)
        names.append(name)
    return Classes(numbers, escape_name(file.name), tuple(names)) if numbers else Classes({})
