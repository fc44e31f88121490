"""Where the pictures of a batch lie and its answers go: a folder of this machine, or a bucket (torch-free).

A folder is written by nin.artifacts. A bucket, whatever pyarrow.fs knows by an address such as s3://bucket/prefix, is
written here and nowhere else, whole objects only: one appears when it is complete, or not at all.
"""

import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote

from nin.artifacts import RunLock, read_bytes, remove, write_bytes
from nin.data.formats.folders import IGNORED, MAX_DEPTH
from nin.data.images import LIMITS, PictureError
from nin.data.splits import natural
from nin.errors import ArtifactError, DataError, NinError, UsageError, escape_name
from nin.orphans import sweep

ATOMIC = {"s3", "gcs", "abfs"}  # pyarrow's names of the file systems in which an object appears as a whole
FORBIDDEN = ("ACCESS_DENIED", "AccessDenied", "Forbidden", "403")  # in an error: trying again will not help
TRIES = 3  # of reading a picture from a bucket
PAUSE = 1.0  # seconds between two of them, doubled every time


class Entry(NamedTuple):
    """A file below a place: its name from there with `/`, bytes (-1: not known) and time of change in nanoseconds."""

    name: str
    size: int
    changed: int


class Place(Protocol):
    """A place to list, read and write. address: what `place_of` takes; text: the same without a password."""

    address: str
    text: str

    def walk(self) -> Iterator[Entry]:
        """Every file at any depth in a stable order, hidden and system files left out. DataError if there is none."""

    def entry(self, name: str) -> Entry | None:
        """The file of that name; None where there is none."""

    def picture(self, name: str) -> Path | bytes:
        """What `Preprocess.load` takes for the picture of that name; PictureError where it cannot be had."""

    def parquet(self, name: str) -> Any:
        """What `pyarrow.parquet.ParquetFile` opens."""

    def names(self) -> frozenset[str]:
        """What lies directly in the place, hidden files too; empty when the place is not there."""

    def read(self, name: str) -> bytes:
        """A file of ours. ArtifactError where it cannot be read."""

    def write(self, name: str, data: bytes) -> None:
        """Write a whole file, or raise ArtifactError and leave what was there."""

    def remove(self, name: str) -> None:
        """Remove a file."""

    def claimed(self) -> AbstractContextManager[object]:
        """Make the place; a folder is locked for this process until the end of the context."""

    def tidy(self) -> None:
        """Remove half-written files of killed processes. Nobody may be writing meanwhile."""


def place_of(address: str) -> Place:
    """The folder or bucket of that name. UsageError when its kind is not known, DataError when it does not answer."""
    if "://" not in address:
        return Folder(Path(address).expanduser())
    filesystem, base = _filesystem(address)
    return Bucket(filesystem, base, address)


def without_password(address: str) -> str:
    """s3://key:secret@bucket as s3://***@bucket."""
    return re.sub(r"://[^/@]*@", "://***@", address)


class Folder:
    """A folder of this machine, or one that every machine of a cluster sees by the same name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = str(path)
        self.address = str(path.absolute())  # workers may have been started in another folder
        self._real = os.path.realpath(path)

    def walk(self) -> Iterator[Entry]:
        """Every file, links to pictures included; links to folders are not followed."""
        if not self.path.is_dir():
            found = "is not a folder" if self.path.exists() else "does not exist"
            raise DataError(f"{escape_name(self.path)} {found}; name a folder of pictures, a Parquet file or a bucket")
        yield from self._walk(self.path, "", 0)

    def _walk(self, folder: Path, above: str, depth: int) -> Iterator[Entry]:
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: natural(entry.name))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise DataError(f"{escape_name(folder)} cannot be listed ({reason}); allow reading it") from error
        for entry in found:
            if entry.name.startswith(".") or entry.name.lower() in IGNORED:
                continue
            if entry.is_dir(follow_symlinks=False):
                if depth < MAX_DEPTH:
                    yield from self._walk(Path(entry.path), f"{above}{entry.name}/", depth + 1)
            elif not entry.is_dir():
                size = -1
                changed = 0
                with suppress(OSError):  # a link that leads nowhere has no size
                    status = entry.stat()
                    size = status.st_size
                    changed = status.st_mtime_ns
                yield Entry(above + entry.name, size, changed)

    def entry(self, name: str) -> Entry | None:
        try:
            status = (self.path / name).stat()
        except OSError:
            return None
        return Entry(name, status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None

    def picture(self, name: str) -> Path | bytes:
        path = self.path / name
        if path.is_symlink() and os.path.commonpath([os.path.realpath(path), self._real]) != self._real:
            raise PictureError(name, "a link that leads out of the folder")
        return path

    def parquet(self, name: str) -> Any:
        return os.fspath(self.path / name)

    def names(self) -> frozenset[str]:
        try:
            return frozenset(path.name for path in self.path.iterdir())
        except FileNotFoundError:
            return frozenset()
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ArtifactError(f"{escape_name(self.path)} cannot be used ({reason}); choose another folder") from error

    def read(self, name: str) -> bytes:
        return read_bytes(self.path / name, follow=False)

    def write(self, name: str, data: bytes) -> None:
        write_bytes(self.path / name, data)

    def remove(self, name: str) -> None:
        remove(self.path / name)

    def claimed(self) -> AbstractContextManager[object]:
        return RunLock(self.path)

    def tidy(self) -> None:
        sweep(self.path)


class Bucket:
    """A prefix of a file system of pyarrow. It has no lock: others may write to it at the same time."""

    def __init__(self, filesystem: Any, base: str, address: str) -> None:
        self.filesystem = filesystem
        self.base = base.rstrip("/")
        self.address = address
        self.text = without_password(address)

    def walk(self) -> Iterator[Entry]:
        """Every object, in the order of the names' code points, as buckets list them."""
        from pyarrow.fs import FileSelector, FileType

        with self._answering(DataError, "listed"):
            found = self.filesystem.get_file_info(FileSelector(self.base, recursive=True))
        entries = [
            Entry(info.path[len(self.base) :].lstrip("/"), info.size or 0, info.mtime_ns or 0)
            for info in found
            if info.type == FileType.File
        ]
        for entry in sorted(entries):
            parts = PurePosixPath(entry.name).parts
            if not any(part.startswith(".") or part.lower() in IGNORED for part in parts):
                yield entry

    def entry(self, name: str) -> Entry | None:
        with self._answering(DataError, "read"):
            info = self.filesystem.get_file_info(f"{self.base}/{name}")
        return Entry(name, info.size or 0, info.mtime_ns or 0) if info.is_file else None

    def picture(self, name: str) -> Path | bytes:
        for left in reversed(range(TRIES)):
            try:
                with self.filesystem.open_input_file(f"{self.base}/{name}") as file:
                    if file.size() > LIMITS.max_bytes:
                        raise PictureError(name, f"{file.size():,} bytes, more than the {LIMITS.max_bytes:,} allowed")
                    return bytes(file.read())
            except OSError as error:
                if isinstance(error, PermissionError) or any(word in str(error) for word in FORBIDDEN):
                    raise PictureError(name, "permission denied") from error
                if isinstance(error, FileNotFoundError) or (left == 0 and self.entry(name) is None):
                    raise PictureError(name, "no such file") from error
                if left == 0:  # a bucket that is away would make every picture an unreadable one
                    raise DataError(_refusal(f"{self.text}/{name}", "read", error)) from error
            time.sleep(PAUSE * 2 ** (TRIES - 1 - left))
        raise AssertionError("the last try has returned or raised")

    def parquet(self, name: str) -> Any:
        with self._answering(DataError, "read"):
            return self.filesystem.open_input_file(f"{self.base}/{name}")

    def names(self) -> frozenset[str]:
        from pyarrow.fs import FileSelector

        with self._answering(ArtifactError, "listed"):
            found = self.filesystem.get_file_info(FileSelector(self.base, allow_not_found=True))
        return frozenset(info.base_name for info in found)

    def read(self, name: str) -> bytes:
        with self._answering(ArtifactError, "read"), self.filesystem.open_input_file(f"{self.base}/{name}") as file:
            return bytes(file.read())

    def write(self, name: str, data: bytes) -> None:
        target = f"{self.base}/{name}"
        whole = self.filesystem.type_name in ATOMIC
        written = target if whole else f"{self.base}/.nin-{secrets.token_hex(8)}.tmp"
        with self._answering(ArtifactError, "written"):
            try:
                with self.filesystem.open_output_stream(written) as stream:
                    stream.write(data)
                if not whole:
                    self.filesystem.move(written, target)
            except BaseException:
                with suppress(OSError):
                    self.filesystem.delete_file(written)  # a stream that is closed early leaves what it had
                raise

    def remove(self, name: str) -> None:
        with self._answering(ArtifactError, "removed"), suppress(FileNotFoundError):
            self.filesystem.delete_file(f"{self.base}/{name}")

    def claimed(self) -> AbstractContextManager[object]:
        if self.filesystem.type_name not in ATOMIC:  # there a prefix needs no making
            with self._answering(ArtifactError, "made"):
                self.filesystem.create_dir(self.base)
        return nullcontext()

    def tidy(self) -> None:
        for name in self.names():
            if name.startswith(".nin-") and name.endswith(".tmp"):
                self.remove(name)

    @contextmanager
    def _answering(self, kind: type[NinError], verb: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise kind(_refusal(self.text, verb, error)) from error


def _refusal(text: str, verb: str, error: Exception) -> str:
    reason = without_password(str(error).strip().split("\n")[0][:200])
    return f"{escape_name(text)} cannot be {verb} ({escape_name(reason)}); check the address and your rights there"


def _filesystem(address: str) -> tuple[Any, str]:
    """The file system of an address and the path in it."""
    from pyarrow.fs import FileSystem

    try:
        filesystem, path = FileSystem.from_uri(address)
    except ValueError as error:
        reason = str(error).split("\n")[0][:120]
        shown = escape_name(without_password(address))
        raise UsageError(f"{shown} is no address that can be used ({escape_name(without_password(reason))})") from error
    except OSError as error:
        raise DataError(_refusal(without_password(address), "reached", error)) from error
    return filesystem, str(path)


class Anywhere:
    """Pictures as a table names them: a path from the table's folder, the source or the root, or an address."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._buckets: dict[str, Bucket] = {}

    def picture(self, name: str) -> Path | bytes:
        """Like `Place.picture`. The text before a NUL is the table's folder, where a path is looked for first."""
        folder, _, name = name.rpartition("\0")
        if not name:
            raise PictureError(name, "no path in this row")
        kind, found, rest = name.partition("://")
        if not found:
            return self._from_table(folder, name)
        if kind == "file":
            return Path(unquote(rest.partition("/")[1] + rest.partition("/")[2]))
        root, _, path = rest.partition("/")
        if (start := f"{kind}://{root}") not in self._buckets:
            try:
                filesystem, _ = _filesystem(f"{start}/")
            except UsageError:
                raise PictureError(name, f"an address that is not read here ({escape_name(kind)[:20]}://)") from None
            self._buckets[start] = Bucket(filesystem, root, start)
        try:
            return self._buckets[start].picture(path)
        except (NinError, OSError):
            raise
        except Exception as error:  # what a file system of another package raises where nothing answers (hf://)
            raise DataError(_refusal(without_password(name), "read", error)) from error

    def _from_table(self, folder: str, name: str) -> Path | bytes:
        """A path from the table's folder, the source or the root; `\\` is `/` where nothing has that name."""
        place = self.place
        names = [name, name.replace("\\", "/")] if "\\" in name else [name]
        tried = [PurePosixPath(above) / each for each in names for above in dict.fromkeys((folder, ""))]
        if isinstance(place, Folder):
            paths = [place.path / each for each in tried]  # wherever a table says
            return next((path for path in paths if _is_file(path)), paths[0])
        if len(tried) > 1:
            tried = [each for each in tried if place.entry(str(each)) is not None] or tried
        return place.picture(str(tried[0]))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # names that are too long, or no names
        return False
