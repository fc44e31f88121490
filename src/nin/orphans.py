"""Half-written files and folders: who writes one holds a lock on it; what nobody holds is an orphan (torch-free)."""

import fcntl
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TRIES = 100  # to lock what others let go and take away meanwhile
STALE = 86_400.0  # seconds without a change after which a half-written file is an orphan where nothing can be locked
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC  # how a folder is opened
_OURS = re.compile(r"\.nin-[0-9a-f]{16}\.(?:tmp|old-(.+))", re.DOTALL)


def temporary_names(path: Path) -> Iterator[Path]:
    """New names beside `path`, as `sweep` knows them."""
    for _ in range(TRIES):
        yield path.parent / f".nin-{secrets.token_hex(8)}.tmp"


def is_named(descriptor: int, path: Path) -> bool:
    """Whether the file or folder that is open is the one that others find at `path`."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def claim(descriptor: int, path: Path) -> bool:
    """Lock what this process is about to write; False where somebody's `sweep` has just taken it for an orphan."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # no locks here: `sweep` goes by age
    return is_named(descriptor, path)


def sweep(folder: str | Path) -> tuple[str, ...]:
    """Remove what killed processes, whosever they were, left half-written in `folder`; returns the names.

    Only names of our own pattern are touched, and nothing that a process is writing now: it holds a lock on that. A
    courtesy: what cannot be looked at or removed stays.
    """
    swept = []
    with suppress(OSError):
        for entry in sorted(Path(folder).iterdir()):
            ours = _OURS.fullmatch(entry.name)
            if ours and _swept(entry, ours[1]):
                swept.append(entry.name)
    return tuple(swept)


def _swept(entry: Path, aside: str | None) -> bool:
    """Remove an orphan, or give it back the name `aside` that it had; False where it is none, or stays."""
    with suppress(OSError), _abandoned(entry) as alone:
        if not alone:
            return False
        if aside and not entry.with_name(aside).exists():  # killed between two renames of a swap
            entry.rename(entry.with_name(aside))
        elif entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
        return True
    return False


@contextmanager
def _abandoned(path: Path) -> Iterator[bool]:
    """Whether nobody writes this file or folder any more. Inside `with` its lock is held: see `claim`."""
    kinds = (FOLDER,) if path.is_dir() else (os.O_RDWR, os.O_RDONLY)  # NFS locks only what may be written
    descriptor = -1
    for kind in kinds:
        try:
            descriptor = os.open(path, kind | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            break
        except PermissionError:
            if kind == kinds[-1]:
                raise
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = is_named(descriptor, path)
        except BlockingIOError:
            alone = False
        except OSError:
            alone = time.time() - path.lstat().st_mtime > STALE
        yield alone
    finally:
        os.close(descriptor)
