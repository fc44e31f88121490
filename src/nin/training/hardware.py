"""Device, threads, precision, memory layout and allocator: chosen by measurement, printed and recorded."""

import ctypes
import os
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache, partial
from typing import Any

import torch

from nin.data.machine import cpu_name, usable_cores
from nin.data.remembered import recall, remember
from nin.errors import UsageError
from nin.training.distributed import ALONE, Team
from nin.version import __version__

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc, malloc.h
_PROCESS = os.getpid()
OMP_PAUSE_SOFT = 1  # omp.h
GLIBC_BYTES = 1 << 17  # what glibc begins with, for both: mallopt(3)
KEEP_BYTES = 1 << 30  # freed blocks up to 1 GiB stay with the process: no page faults for every large temporary
PROBE_SECONDS = 0.5  # one bfloat16 product takes 0.7 s on a CPU with AVX2 only: 20 of them kept every run waiting 14 s
# What chooses how sums are computed, and with it the last bits. Sources: oneDNN's guide ("CPU Dispatcher Control",
# "Primitive Attributes: floating-point math mode"), MKL's ("Conditional Numerical Reproducibility"), ATen's
# native/DispatchStub.cpp, OpenBLAS' README, cuBLAS' guide ("Results Reproducibility"), NumPy's ("CPU build options"),
# glibc's manual ("Hardware Capability Tunables")
CHOOSING = (
    *("ONEDNN_MAX_CPU_ISA", "ONEDNN_CPU_ISA_HINTS", "ONEDNN_DEFAULT_FPMATH_MODE"),
    *("MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "MKL_DYNAMIC", "ATEN_CPU_CAPABILITY", "OPENBLAS_CORETYPE"),
    *("CUBLAS_WORKSPACE_CONFIG", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "NVIDIA_TF32_OVERRIDE"),
    *("NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES", "GLIBC_TUNABLES"),
)
WORTH_BF16 = 1.3  # bfloat16 must beat float32 by this factor in a matrix product; some CPUs run it at half speed


@dataclass(frozen=True)
class Hardware:
    """What a run computes with. On a CPU two runs give the same bits when their `numerics` agree."""

    device: str  # "cpu", "cuda", "mps"
    threads: int
    precision: str  # "float32" or "bfloat16" (autocast; weights stay float32)
    ranks: int = 1  # processes that share every batch

    @property
    def autocast(self) -> torch.autocast:
        """The context in which forward passes run."""
        return torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bfloat16")

    def __str__(self) -> str:
        ranks = f"{self.ranks} ranks, each " if self.ranks > 1 else ""
        return f"{ranks}{self.device}, {self.threads} threads, {self.precision}, channels last"


def matrix_rates(*dtypes: torch.dtype, size: int = 768, repeats: int = 20) -> list[float]:
    """Best rate of a size^3 matrix product in each type on one core of this CPU, in multiply-adds a second.

    Processor time counts, not the clock's, so that it does not matter what else runs. The types take turns for about
    a tenth of a second; where a type is so slow that this takes more than PROBE_SECONDS, the rounds end there, after
    one at least.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # other threads' processor time is not seen
    pairs = [(torch.ones(size, size, dtype=dtype), torch.ones(size, size, dtype=dtype)) for dtype in dtypes]
    best = [float("inf")] * len(pairs)
    end = time.thread_time() + PROBE_SECONDS
    for _ in range(repeats):
        for place, (left, right) in enumerate(pairs):
            start = time.thread_time()
            torch.mm(left, right)
            best[place] = min(best[place], time.thread_time() - start)
        if time.thread_time() > end:
            break
    torch.set_num_threads(threads)
    return [size**3 / seconds for seconds in best]


def choose(device: str = "auto", threads: int | None = None, precision: str = "auto", team: Team = ALONE) -> Hardware:
    """Pick device, thread count and precision, rank 0's for all; UsageError when this machine lacks what is asked for.

    The ranks on one machine share its cores; OMP_NUM_THREADS does not count there, for torchrun sets it to 1.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError):
        raise UsageError(f"device {device!r} is not usable on this machine; use --device cpu") from None
    if team.world > 1 and device == "mps":
        raise UsageError("device 'mps' works in one process only; pass --device cpu or start without torchrun")
    if team.world > 1 and device == "cuda" and team.place.local_rank >= torch.cuda.device_count():
        raise UsageError(
            f"{team.place.local_world} ranks on this machine, but {torch.cuda.device_count()} GPUs; start one a GPU"
        )
    threads = 1 if _forked() else threads or default_threads(team)
    if precision == "auto":
        precision = "bfloat16" if _bfloat16_wins(device) else "float32"
    if precision not in ("float32", "bfloat16"):
        raise UsageError(f"precision {precision!r} is unknown; use auto, float32 or bfloat16")
    return Hardware(device, threads, team.broadcast_text(precision), team.world)


def default_threads(team: Team = ALONE) -> int:
    """The cores this process may run on, divided among the ranks of this machine; at least 1."""
    if team.world > 1:
        return max(1, usable_cores() // team.place.local_world)
    return min(torch.get_num_threads(), usable_cores())


def _bfloat16_wins(device: str) -> bool:
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return device == "cpu" and _cpu_precision() == "bfloat16"


def _cpu_precision() -> str:
    """The faster precision of this CPU: measured once for every processor and version, then remembered.

    What was remembered is in the user's cache folder; where that cannot be read or written, it is measured each time.
    """
    key = [cpu_name(), torch.backends.cpu.get_cpu_capability(), torch.__version__, __version__]
    remembered = recall("precision", key)
    if remembered in ("float32", "bfloat16"):
        return str(remembered)
    found = _measured_precision()
    remember("precision", key, found)
    return found


def _measured_precision() -> str:
    single, half = matrix_rates(torch.float32, torch.bfloat16)
    return "bfloat16" if half > WORTH_BF16 * single else "float32"


@contextmanager
def applied(hardware: Hardware) -> Iterator[None]:
    """Inside `with` the process trains as that hardware says; afterwards it is as it was before.

    Threads of torch; denormals flushed, which make a processor slow; a GPU's kernels chosen by timing; freed memory
    kept: glibc tells nobody its settings for that, and gets back those that it begins with.
    """
    flushed = _flushes_denormals()
    timed = torch.backends.cudnn.benchmark
    with threads_used(hardware.threads):
        try:
            torch.set_flush_denormal(True)
            torch.backends.cudnn.benchmark = True
            _end_workers()
            _keep_freed_memory(KEEP_BYTES)
            yield
        finally:
            torch.set_flush_denormal(flushed)
            torch.backends.cudnn.benchmark = timed
            _end_workers()
            _keep_freed_memory(GLIBC_BYTES)


@contextmanager
def threads_used(count: int) -> Iterator[None]:
    """Inside `with` torch computes with so many threads, in a forked process with one."""
    before = torch.get_num_threads()
    wanted = 1 if _forked() else count
    _prepare_for_forks()
    if wanted == before:
        yield
        return
    torch.set_num_threads(wanted)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _end_workers() -> None:
    """Let OpenMP's threads go: the next ones begin with this one's way of treating denormals (OpenMP 5.0, 3.2.44)."""
    with suppress(AttributeError, OSError):  # an OpenMP that cannot do that
        ctypes.CDLL(torch._C.__file__).omp_pause_resource_all(OMP_PAUSE_SOFT)


def _flushes_denormals() -> bool:
    return float(torch.tensor(1e-39) * 0.5) == 0


def _keep_freed_memory(size: int) -> None:
    """Tell glibc to keep freed blocks of up to so many bytes; other libraries have their own way."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, size)
        libc.mallopt(M_TRIM_THRESHOLD, size)


def _forked() -> bool:
    """Whether this process was forked from one with torch: OpenMP's threads did not come with it, and a computation
    that is divided among several waits for them for ever."""
    return os.getpid() != _PROCESS


@cache
def _prepare_for_forks() -> None:
    os.register_at_fork(after_in_child=partial(torch.set_num_threads, 1))


def environment(hardware: Hardware) -> dict[str, Any]:
    """Everything about machine and software that decides bits or speed, for env.json and the checkpoint."""
    return {
        **asdict(hardware),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": cpu_name(),
        "cores": usable_cores(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "memory_format": "channels_last",
        **({"gpu": torch.cuda.get_device_name()} if hardware.device == "cuda" else {}),
        **({"variables": found} if (found := variables()) else {}),
    }


def variables() -> dict[str, str]:
    """The environment variables of CHOOSING that are set, oneDNN's by their newer names."""
    set_ = {name: value for name, value in os.environ.items() if value}
    named = {name.replace("DNNL_", "ONEDNN_", 1) if name.startswith("DNNL_") else name: set_[name] for name in set_}
    return {name: value for name in CHOOSING if (value := set_.get(name) or named.get(name))}


def numerics(hardware: Hardware) -> dict[str, Any]:
    """The part of `environment` on which the bits of a training run depend, and what torch was told of its products."""
    keys = ("device", "threads", "precision", "ranks", "torch", "system", "cpu", "instructions", "memory_format")
    everything = environment(hardware)
    return {
        **{key: everything[key] for key in keys},
        "matmul_precision": _matmul_precision(),
        "variables": variables(),
    }


def _matmul_precision() -> str:
    """What torch was told of float32 products: "highest" unless a program chose otherwise."""
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:  # its backends were told different things
        return "by backend"


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Names of what differs between two `numerics`, environment variables by their own; of `before` what it has."""
    then = before.get("variables", now["variables"])
    chosen = [name for name in CHOOSING if then.get(name) != now["variables"].get(name)]
    return [name for name, value in before.items() if name != "variables" and now.get(name) != value] + chosen
