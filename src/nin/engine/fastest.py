"""Which runtime is taken on this machine: the other one is tried once beside ONNX Runtime, and that is remembered.

A trial has a process of its own: a runtime that ends or holds up the process that imports it is only not taken, and no
process that forks later has the threads of one that lost. (torch-free)
"""

import json
import math
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nin.artifacts import read_bytes, scratch_folder
from nin.choices import Runtime
from nin.data.machine import cpu_features, cpu_name, usable_cores
from nin.data.remembered import recall, remember
from nin.engine.runtimes import REFERENCE, installed, runtime_version
from nin.errors import ArtifactError, escape_name
from nin.version import __version__

WORTH = 1.25  # times as fast as ONNX Runtime: what is less may be the moment's doing, and another day the other's
LIMIT = 60  # seconds of a trial; one on a quiet machine takes two
LARGEST = 10_000  # bytes of a trial's result
START = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from nin.engine.trial import write_trial
write_trial(*sys.argv[2:])
"""
PASSING = ("SIGKILL", "SIGTERM", "SIGHUP", "SIGINT")  # sent by others (memory, a person): the next may pass


@dataclass(frozen=True)
class Choice:
    """The runtime that is taken, and what was found of the other one: times as fast as ONNX Runtime, or its fault.

    other: None where there was nothing to choose.
    """

    runtime: Runtime
    other: Runtime | None = None
    times: float | None = None
    fault: str = ""

    def in_words(self) -> str:
        """For people: "openvino (1.8 times onnxruntime here, measured)"; "" where there was nothing to choose."""
        if self.other is None:
            return ""
        if self.times is None:
            return f"{self.runtime} ({self.other} {self.fault})"
        if self.runtime == self.other:
            return f"{self.runtime} ({self.times:.1f} times {REFERENCE} here, measured)"
        tie = f"; below {WORTH:g} {REFERENCE} stays" if self.times >= 1 else ""
        return f"{self.runtime} ({self.other} {self.times:.2f} times as fast here, measured{tie})"


def fastest(packed: bytes, digest: str, threads: int, batch: int) -> Choice:
    """The runtime for a model on this machine, as found now or before.

    packed: the model as `nin.engine.engine.pack_engine` packs it; digest: of its engine; threads: of a call; batch:
    pictures of a call. Another runtime is taken that gives ONNX Runtime's answers at least WORTH times as fast: so
    eight-bit answers, which differ in their rounding, do not change from day to day.
    """
    other = next((runtime for runtime in installed() if runtime != REFERENCE), None)
    if other is None:
        return Choice(REFERENCE)
    versions = [runtime_version(REFERENCE), runtime_version(other), __version__]
    machine = [cpu_name(), " ".join(sorted(cpu_features())), usable_cores()]
    key = [digest, threads, batch, other, versions, machine]
    found = _understood(recall("runtime", key))
    if found is None:
        found, lasting = _trial(packed, other, threads, batch)
        if lasting:
            remember("runtime", key, found)
    times = found.get("times")
    return Choice(other if times is not None and times >= WORTH else REFERENCE, other, times, found.get("fault", ""))


def _understood(found: Any) -> dict[str, Any] | None:
    """What a trial found, {"times": ...} or {"fault": ...}; None for anything else."""
    if not isinstance(found, dict) or len(found) != 1:
        return None
    times = found.get("times", 1.0)
    fault = found.get("fault", "")
    fits = isinstance(times, float) and math.isfinite(times) and times > 0 and isinstance(fault, str)
    return found if fits and set(found) <= {"times", "fault"} else None


def end_of(packed: bytes, runtime: Runtime, threads: int) -> str:
    """How a process ends that answers once with a packed model; "" where it goes on, and where none could be started.

    For a model that takes over in a process which must not end.
    """
    fault = _in_a_process(packed, runtime, threads, 1)[0].get("fault", "")
    ended = fault.startswith(("ends its process", "did not end")) and "exit code 1)" not in fault
    return str(fault) if ended else ""


def _trial(packed: bytes, other: Runtime, threads: int, batch: int) -> tuple[dict[str, Any], bool]:
    """How another runtime does beside ONNX Runtime, and whether another trial would find the same."""
    return _in_a_process(packed, other, threads, batch)


def _in_a_process(packed: bytes, other: Runtime, threads: int, batch: int) -> tuple[dict[str, Any], bool]:
    """What a process of its own finds (nin.engine.trial), and whether another one would find the same."""
    program = sys.executable or ""
    if not Path(program).name.lower().startswith(("python", "pypy")):  # a frozen or embedding one would start again
        return {"fault": "could not be tried, as no Python interpreter is known"}, False
    try:
        with scratch_folder() as folder:
            result = Path(folder) / "result.json"
            words = [json.dumps(sys.path), str(result), other, str(threads), str(batch), str(LIMIT)]
            done = subprocess.run(
                [program, "-c", START, *words],
                input=packed,
                timeout=LIMIT + 1,
                check=False,
                start_new_session=True,  # Ctrl-C is for the command: the trial is not to blame for it
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            with suppress(ArtifactError, ValueError):
                found = _understood(json.loads(read_bytes(result, limit=LARGEST)))
                if found is not None:
                    return found, True
    except subprocess.TimeoutExpired:
        return {"fault": f"did not end within {LIMIT} s here"}, True
    except (OSError, ValueError, ArtifactError) as error:  # no program to start, nowhere to write
        return {"fault": f"could not be tried ({escape_name(error)[:200]})"}, False
    return _end(done.returncode)


def _end(code: int) -> tuple[dict[str, Any], bool]:
    """The same of a process that ended without a result."""
    if code >= 0:  # 1: an exception of our own, as when the disk is full
        return {"fault": f"ends its process here (exit code {code})"}, code > 1
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    if name == "SIGALRM":
        return {"fault": f"did not end within {LIMIT} s here"}, True
    return {"fault": f"ends its process here ({name})"}, name not in PASSING
