"""What this process may use of the machine, limits of containers counted, and which processor it is (torch-free).

Both generations of Linux's control groups are read: the process's own group and every one above it.
"""

import math
import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import platformdirs

from nin.errors import DataError

_GROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")
_PROCESSOR = Path("/proc/cpuinfo")


def usable_cores() -> int:
    """Cores this process may use, at least 1: those it may run on, or as many as the quota of its container pays for.

    A part of a core counts as one: with a quota of 1.5 one thread would leave a third of it unused.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for group in _groups("cpu"):
        with suppress(OSError, ValueError, ZeroDivisionError):
            quota, period = _quota(group)
            if quota > 0:
                cores = min(cores, math.ceil(quota / period))
    return max(1, cores)


def cpu_name() -> str:
    """The processor's model name, as the system gives it."""
    return _of_processor("model name") or platform.processor() or platform.machine()


def cpu_features() -> frozenset[str]:
    """The instructions that the processor has, by Linux's names: "avx2", "avx512_vnni", "amx_int8"; none elsewhere."""
    return frozenset((_of_processor("flags") or _of_processor("Features")).split())  # x86 or ARM


def _of_processor(name: str) -> str:
    """What Linux says of its first processor under a name; "" where it says nothing."""
    lines = []
    with suppress(OSError):
        lines = _PROCESSOR.read_text(errors="replace").splitlines()
    found = (line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == name)
    return next(found, "")


def cache_folder() -> Path | None:
    """Where this user's programs keep what they can make again, for nin; None where the user has no home folder."""
    folder = Path(platformdirs.user_cache_dir("nin"))
    return folder if folder.is_absolute() else None  # "~" would become a folder here


def available_memory() -> int:
    """Bytes that can still be used without swapping, as far as the system tells."""
    free = 2 * 2**30
    with suppress(OSError, ValueError):
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    with suppress(OSError, ValueError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    for group in _groups("memory"):
        with suppress(OSError, ValueError):
            limit, used = _memory(group)
            free = min(free, max(0, limit - used))
    return free


def demand(size: int, what: str, advice: str = "use less data") -> None:
    """Raise DataError when `size` bytes are more than half of what is free; `advice` says what to do then."""
    free = available_memory()
    if size > free // 2:
        raise DataError(f"{what} needs {size / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free; {advice}")


def _groups(controller: str) -> Iterator[Path]:
    """The folders of the control groups whose limits hold for this process; none where there are no such groups."""
    lines = []
    with suppress(OSError):
        lines = os.fsdecode(_MEMBERSHIP.read_bytes()).splitlines()
    for line in lines:
        controllers, _, own = line.partition(":")[2].partition(":")
        if controller in controllers.split(","):
            root = _GROUPS / controller  # the first generation: a tree for every controller
        elif not controllers:
            root = _GROUPS
        else:
            continue
        parts = [part for part in own.split("/") if part not in ("", "..")]  # ..: begins above what a container sees
        yield from (root.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1))


def _quota(group: Path) -> tuple[float, float]:
    """Microseconds of computing in each period; ValueError or a negative quota where there is no limit."""
    with suppress(FileNotFoundError):
        quota, period = (group / "cpu.max").read_text().split()
        return float(quota), float(period)  # "max" is no number
    return float((group / "cpu.cfs_quota_us").read_text()), float((group / "cpu.cfs_period_us").read_text())


def _memory(group: Path) -> tuple[int, int]:
    """Limit and use in bytes; files that the system keeps in memory until it is wanted are no use."""
    with suppress(FileNotFoundError):
        return int((group / "memory.max").read_text()), _held(group, "memory.current", "")
    return int((group / "memory.limit_in_bytes").read_text()), _held(group, "memory.usage_in_bytes", "total_")


def _held(group: Path, used: str, prefix: str) -> int:
    numbers = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    kept = sum(int(numbers.get(f"{prefix}{which}_file", 0)) for which in ("active", "inactive"))
    return int((group / used).read_text()) - kept
