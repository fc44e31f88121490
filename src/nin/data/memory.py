"""How much memory is left, so that a data set is refused or cached instead of filling the machine."""

import os
from contextlib import suppress
from pathlib import Path

from nin.errors import DataError

_CGROUPS = (  # (limit, in use) of a container: cgroup v2, v1
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def available_memory() -> int:
    """Bytes that can still be used without swapping, as far as the system tells; a container's limit counts."""
    free = 2 * 2**30
    with suppress(OSError, ValueError):
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    with suppress(OSError, ValueError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    for limit, used in _CGROUPS:
        with suppress(OSError, ValueError):  # "max" is no number
            free = min(free, max(0, int(Path(limit).read_text()) - int(Path(used).read_text())))
    return free


def demand(size: int, what: str, advice: str = "use less data") -> None:
    """Raise DataError when `size` bytes are more than half of what is free; `advice` says what to do then."""
    free = available_memory()
    if size > free // 2:
        raise DataError(f"{what} needs {size / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free; {advice}")
