"""Is everything here that nin needs? One line per finding, with what to do."""

import importlib.util
import os
import platform
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from platformdirs import user_cache_dir

from nin.data.machine import cpu_features, usable_cores
from nin.extras import install
from nin.run.options import ServeOptions
from nin.version import __version__

LEAST_FREE = 2 * 2**30  # bytes on the disk of the present folder
GAINS = {
    "amx_int8": ("AMX", 3.3)
}  # instructions with which OpenVINO is faster in eight bits, and how much (docs/log.md)
SAMPLE = "nin-cifar10"


@dataclass(frozen=True)
class Finding:
    """One thing that was checked: its name, what was found, whether it will do, and what to do if not."""

    name: str
    value: str
    ok: bool
    advice: str = ""


def doctor() -> tuple[Finding, ...]:
    """Check interpreter, packages, processor, disk and cache; changes nothing, connects to nothing."""
    return (
        Finding("nin", __version__, True),
        Finding("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}", True),
        *(_package(name, why) for name, why in PACKAGES.items()),
        *_torch(),
        *_runtimes(),
        _disk(),
        _writable("present folder", Path.cwd()),
        _writable("cache folder", Path(user_cache_dir("nin"))),
    )


PACKAGES = {
    "numpy": "",
    "pillow": "",
    "onnxruntime": "predicting",
    "torch": "training, nin.load and exporting",
    "resvg-py": "the drawings of a run as PNG",
    "scikit-learn": "the digits of nin demo",
}


def _package(name: str, why: str) -> Finding:
    try:
        return Finding(name, version(name), True)
    except PackageNotFoundError:
        return Finding(name, "not installed", False, f"needed for {why}: {install('torch')}")


def _torch() -> tuple[Finding, ...]:
    if importlib.util.find_spec("torch") is None:
        return ()
    from nin.training import hardware

    machine = hardware.choose()
    facts = hardware.environment(machine)
    cores = usable_cores()
    asked = os.environ.get("OMP_NUM_THREADS")
    few = Finding("threads", str(machine.threads), True)
    if machine.device == "cpu" and machine.threads < cores:
        reason = f"OMP_NUM_THREADS={asked} limits them; unset it" if asked else "nin train --threads N uses more"
        few = Finding("threads", f"{machine.threads} of {cores} cores", False, reason)
    return (
        Finding("processor", f"{facts['cpu']}, {cores} cores, {facts['instructions']}", True),
        Finding("device", machine.device, True),
        Finding("precision", f"{machine.precision} (measured to be the faster one)", True),
        few,
    )


def _runtimes() -> tuple[Finding, ...]:
    """What computes a model of the package in `nin serve`; where OpenVINO is not installed, whether it would pay."""
    if any(importlib.util.find_spec(name) is None for name in ("numpy", "PIL", "onnxruntime")):
        return ()
    from nin.engine import runtimes

    if len(runtimes.installed()) > 1:
        return tuple(_measured_runtime(precision) for precision in ("float32", "int8"))
    for name, times in (gain for feature, gain in GAINS.items() if feature in cpu_features()):
        advice = (
            f"this processor has {name}, with which it was {times:g} times as fast for eight-bit files, measured twice"
        )
        return (Finding("openvino", "not installed", False, f"{advice}: {install('openvino')}"),)
    return ()


def _measured_runtime(precision: str) -> Finding:
    from nin.bundle.folder import open_bundle
    from nin.engine.engine import facts_of_bundle, fastest_engine
    from nin.engine.exporter import ranges_of
    from nin.engine.graph import core
    from nin.engine.quantise import quantised
    from nin.engine.trial import PROBES, probes

    bundle = open_bundle(SAMPLE)
    graph = core(bundle)
    if precision == "int8":
        ranges = ranges_of(graph, probes(bundle.preprocess, PROBES))
        graph = quantised(graph, ranges.extremes, means=ranges.means)
    choice = fastest_engine(facts_of_bundle(bundle, precision), graph, None, ServeOptions.max_batch).choice
    name = f"runtime, {precision}"
    if choice.fault:
        return Finding(name, choice.runtime, False, f"{choice.other} {choice.fault}; install another version of it")
    return Finding(name, choice.in_words(), True)


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free
    return Finding(
        "free disk", f"{free / 2**30:.1f} GiB", free >= LEAST_FREE, "free some space: a run needs about 0.1 GiB"
    )


def _writable(name: str, path: Path) -> Finding:
    place = next(folder for folder in (path, *path.parents) if folder.exists())
    return Finding(name, str(path), os.access(place, os.W_OK), "choose a folder you may write to")
