"""The only code that opens a file for writing: complete, on the disk and verified, or not there at all (torch-free).

One order for every file: new temporary file beside the target, locked -> write -> fsync -> close -> re-read and compare
SHA-256 -> rename -> fsync of the folder. A crash, a full disk or a pulled plug leaves the old file or the new one, and
perhaps a temporary one that nobody holds the lock of: `nin.orphans.sweep` removes it.
A digest shows damage; it is no proof of who wrote the file. POSIX only (flock, folder fsync).
"""

import ctypes
import errno
import fcntl
import hashlib
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from nin.errors import ArtifactError, escape_name
from nin.orphans import FOLDER, TRIES, claim, is_named, sweep, temporary_names

AnyPath = str | os.PathLike[str]
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL)  # of file systems without flock
ELSEWHERE = " or choose another folder"  # at the end of an error's text, for who can
_ADVICE = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), f"free some space{ELSEWHERE}"),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), f"check the permissions{ELSEWHERE}"),
    errno.ENOENT: "check the path; its folder must exist",
    errno.ENOTDIR: "choose a path whose parents are folders",
    errno.EISDIR: "it is a folder; choose another name",
    errno.EIO: "the disk or the connection to it failed; choose another one",
    errno.ELOOP: "it is a symbolic link; put a real file in its place",
}


@contextmanager
def _refusing(path: Path, verb: str, file: "NewFile | None" = None) -> Iterator[None]:
    """Turn an operating system's error into one ArtifactError line, after removing what there is of `file`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if file is not None:
            file.discard()  # first, so that the free bytes in the message are those without it
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                free = shutil.disk_usage(path.parent).free
                reason += f": {max(file.tell(), file.size):,} bytes needed, {free:,} free"
        advice = _ADVICE.get(error.errno or 0, "check the path and the disk")
        raise ArtifactError(f"{escape_name(path)} cannot be {verb} ({escape_name(reason)}); {advice}") from error


def _sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable; file systems that cannot fsync a folder answer EINVAL."""
    descriptor = os.open(folder, FOLDER)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)


class NewFile:
    """A file on its way to the disk: `write` any number of bytes-like pieces."""

    def __init__(self, path: Path, size: int | None) -> None:
        self.path = path
        self.size = size or 0
        self._count = 0
        self._hash = hashlib.sha256()
        self._descriptor = -1
        self._temporary = path
        with _refusing(path, "written", self):
            if path.is_dir() and not path.is_symlink():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            mode = stat.S_IMODE(path.stat().st_mode) if path.is_file() and not path.is_symlink() else None
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            for self._temporary in temporary_names(path):
                self._descriptor = os.open(self._temporary, flags, 0o666 if mode is None else mode)  # the umask applies
                if claim(self._descriptor, self._temporary):
                    break
                self._close()
            if mode is not None:
                os.fchmod(self._descriptor, mode)  # a file keeps the permissions it had

    def write(self, data: Any) -> int:
        """Append a bytes-like object; returns its length in bytes."""
        view = memoryview(data)
        rest = view = view.cast("B") if view.nbytes else memoryview(b"")
        self._count += len(view)
        with _refusing(self.path, "written", self):
            while rest:  # short writes and EINTR are ordinary
                with suppress(InterruptedError):
                    written = os.write(self._descriptor, rest)
                    if not written:
                        raise OSError(errno.EIO, "the disk took no bytes")
                    rest = rest[written:]
        self._hash.update(view)
        return len(view)

    def tell(self) -> int:
        """Bytes written so far."""
        return self._count

    def sha256(self) -> str:
        """SHA-256 of the bytes written so far, 64 hexadecimal digits."""
        return self._hash.hexdigest()

    def commit(self) -> None:
        """Bring the content to the disk, verify it and give it its name."""
        with _refusing(self.path, "written", self):
            os.fsync(self._descriptor)  # failing once means failing: a second fsync would report success for lost pages
            os.close(os.dup(self._descriptor))  # some file systems tell of a fault only then; the lock stays
            with self._temporary.open("rb") as file:
                if hashlib.file_digest(file, "sha256").digest() != self._hash.digest():
                    raise OSError(errno.EIO, "what was read back differs from what was written")
            self._temporary.replace(self.path)
            _sync_folder(self.path.parent)
            self._close()

    def discard(self) -> None:
        """Remove the temporary file; the target is as it was. After `commit` there is nothing to remove."""
        if self._temporary != self.path:
            with suppress(OSError):
                self._temporary.unlink()
        with suppress(OSError):
            self._close()

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


@contextmanager
def open_new(path: AnyPath, *, size: int | None = None) -> Iterator[NewFile]:
    """Stream into a new file that takes its name only when the block ends well; `size` (bytes) improves one message."""
    file = NewFile(Path(path), size)
    try:
        yield file
        file.commit()
    except BaseException:
        file.discard()
        raise


def write_bytes(path: AnyPath, data: bytes) -> None:
    """Write a whole file, or raise ArtifactError and leave what was there."""
    with open_new(path, size=len(data)) as file:
        file.write(data)


def write_text(path: AnyPath, text: str) -> None:
    r"""Write UTF-8 text with the line ends it has; a lone surrogate, which no UTF-8 can hold, becomes `\udcff`."""
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_json(path: AnyPath, value: object) -> None:
    """Write readable JSON (UTF-8, two spaces); NaN and infinity are refused."""
    write_bytes(path, json_bytes(value, path))


def json_bytes(value: object, name: object) -> bytes:
    """A value as `write_json` writes it; ArtifactError, about `name`, for what is not JSON."""
    try:
        text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    except ValueError as error:
        raise ArtifactError(f"{escape_name(name)} cannot be written as JSON ({error}); give finite numbers") from error
    return text.encode(errors="backslashreplace")  # a lone surrogate of an odd file name becomes its JSON escape


def read_bytes(path: AnyPath, *, limit: int | None = None, follow: bool = True) -> bytes:
    """A regular file's content, at most `limit` bytes; pipes, devices and (follow=False) symbolic links are refused."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    with _refusing(Path(path), "read"), open(path, "rb", opener=lambda name, _: os.open(name, flags)) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ArtifactError(f"{escape_name(path)} is not a regular file; put the real file in its place")
        data = file.read() if limit is None else file.read(min(limit, status.st_size) + 1)
    if limit is not None and len(data) > limit:
        raise ArtifactError(f"{escape_name(path)} is larger than the {limit:,} bytes expected; it is not one of ours")
    return data


def remove(path: AnyPath) -> None:
    """Remove a file for good; one that is not there is no error."""
    with _refusing(Path(path), "removed"):
        Path(path).unlink(missing_ok=True)
        _sync_folder(Path(path).parent)


def make_folder(path: AnyPath) -> Path:
    """Create a folder and its parents, durably; one that exists is no error."""
    path = Path(path)
    with _refusing(path, "made a folder"):
        for folder in reversed([folder for folder in (path, *path.parents) if not folder.exists()]):
            folder.mkdir(exist_ok=True)
            _sync_folder(folder.parent)
        if not stat.S_ISDIR(path.stat().st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "a file is in its place")
    return path


def scratch_folder() -> tempfile.TemporaryDirectory[str]:
    """A new folder for this user alone, with a path short enough for sockets in it; gone when its `with` ends."""
    place = tempfile.gettempdir() if len(tempfile.gettempdir()) < 24 else "/tmp"  # of 107 bytes that a socket may have
    return tempfile.TemporaryDirectory(prefix="nin-", dir=place, ignore_cleanup_errors=True)


@contextmanager
def replace_folder(path: AnyPath, *, may_hold: Collection[str] = ()) -> Iterator[Path]:
    """Yield a temporary sibling folder that takes the place of `path` at once when the block ends well.

    A folder already at `path` may hold only the names in `may_hold`: anything else is somebody's and is never deleted.
    """
    path = Path(path)
    make_folder(path.parent)
    sweep(path.parent)
    _refuse_strangers(path, may_hold)
    with _refusing(path, "written"):
        temporary, descriptor = _claimed_folder(path)
    try:
        yield temporary
        _refuse_strangers(path, may_hold)
        with _refusing(path, "written"):
            _sync_folder(temporary)
            _swap(temporary, path)
            _sync_folder(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # by now the old folder, or the new one that failed
        os.close(descriptor)


def _claimed_folder(path: Path) -> tuple[Path, int]:
    """A new temporary folder beside `path`, and the descriptor that holds its lock."""
    for temporary in temporary_names(path):
        temporary.mkdir()
        with suppress(FileNotFoundError):  # taken for an orphan at once
            descriptor = os.open(temporary, FOLDER)
            if claim(descriptor, temporary):
                return temporary, descriptor
            os.close(descriptor)
    raise FileNotFoundError(errno.ENOENT, "another process removes what is written there")


def _refuse_strangers(path: Path, may_hold: Collection[str]) -> None:
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise ArtifactError(f"{escape_name(path)} is not a folder; choose another path")
    with _refusing(path, "replaced"):
        strangers = sorted({entry.name for entry in path.iterdir()} - set(may_hold)) if path.exists() else []
    if strangers:
        found = f"holds {escape_name(strangers[0])}, which would be lost"
        raise ArtifactError(f"{escape_name(path)} {found}; choose an empty or new folder")


def _swap(new: Path, path: Path) -> None:
    """Give `new` the name `path`; a folder that was there is afterwards at `new`, to be removed."""
    if not path.exists():
        new.rename(path)
        return
    exchange = getattr(ctypes.CDLL(None), "renameat2", None)
    if exchange and exchange(-100, os.fsencode(new), -100, os.fsencode(path), 2) == 0:  # AT_FDCWD, RENAME_EXCHANGE
        return
    aside = path.parent / f"{new.name.removesuffix('.tmp')}.old-{path.name}"  # not every file system can exchange
    descriptor = os.open(path, FOLDER)
    try:
        claim(descriptor, path)
        path.rename(aside)
        try:
            new.rename(path)
        except OSError:
            aside.rename(path)
            raise
        aside.rename(new)
    finally:
        os.close(descriptor)


class RunLock:
    """One process at a time in a folder, or a `note` where it cannot be locked; a lock dies with its holder.

    The folder is made where there is none, and is gone again afterwards if nothing was put into it.
    """

    def __init__(self, folder: AnyPath, advice: str = "wait for its end or choose another one") -> None:
        self.folder = Path(folder)
        self.advice = advice
        self.note = ""
        self._file = self.folder / ".lock"
        self._descriptor = -1
        self._made: list[Path] = []

    def __enter__(self) -> Self:
        self._made = [place for place in (self.folder, *self.folder.parents) if not place.exists()]
        if not any(self._take() for _ in range(TRIES)):
            make_folder(self.folder)  # says why there can be none
            raise ArtifactError(f"{escape_name(self.folder)} cannot be locked (it comes and goes); {self.advice}")
        with suppress(OSError):  # the name is a courtesy: on a full disk the lock holds all the same
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"process {os.getpid()} on {os.uname().nodename}\n".encode(), 0)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            if is_named(self._descriptor, self._file):
                self._file.unlink()
            for place in self._made:
                place.rmdir()  # fails where anything was put into it
        os.close(self._descriptor)  # last: who has opened the file meanwhile finds it locked, or gone

    def _take(self) -> bool:
        """Lock the folder's file; False where whoever had the lock took the file or the folder away meanwhile."""
        try:
            make_folder(self.folder)
            with _refusing(self.folder, "locked"):
                self._descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        except ArtifactError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return False
            raise
        with _refusing(self.folder, "locked"):
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ArtifactError(self._in_use()) from error
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    os.close(self._descriptor)
                    raise
                shown = escape_name(self.folder)
                self.note = f"{shown} cannot be locked ({error.strerror}): let nothing else write there meanwhile"
            there = is_named(self._descriptor, self._file)  # else others lock another file
        if not there:
            os.close(self._descriptor)
        return there

    def _in_use(self) -> str:
        """Who holds the lock, and what to do."""
        time.sleep(0.1)  # a winner that has only just won writes its name meanwhile
        owner = escape_name(os.pread(self._descriptor, 200, 0).decode(errors="replace").strip() or "a process")
        os.close(self._descriptor)
        return f"{escape_name(self.folder)} is in use by {owner}; {self.advice}"
