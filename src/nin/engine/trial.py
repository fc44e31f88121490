"""A runtime tried beside ONNX Runtime: does it give the same answers here, and how fast are both? (torch-free)

N pictures (H, W, C) uint8 of the network's own size. nin.engine.fastest starts `write_trial` in a process of its own,
which whatever is tried may end.
"""

import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from nin.artifacts import write_json
from nin.choices import Runtime
from nin.data.machine import usable_cores
from nin.data.preprocess import Preprocess
from nin.engine.engine import CHUNK, Engine, engine_from_bytes
from nin.engine.exporter import CLOSE, CLOSE_DISTANCE, apart, distances_apart
from nin.engine.runtimes import REFERENCE, reason_of

PROBES = 16  # pictures whose answers are compared
CLOSE_EIGHT_BITS = 0.02  # ours: the models of the package differed by 0.0025 at most, in 64 pictures each (docs/log.md)
SECONDS = 0.5  # of computing, for both runtimes together
ROUNDS = 3  # at least


def tried(packed: bytes, candidate: Runtime, threads: int, batch: int) -> dict[str, Any]:
    """{"times": how many times as fast as ONNX Runtime} of a model that `pack_engine` packed, or {"fault": why not}.

    ONNX Runtime itself is only asked once.
    batch: pictures of one call; of more than every thread computes at once, only so many are asked.
    """
    reference = engine_from_bytes(packed, threads=threads)
    if candidate == REFERENCE:
        reference.run(probes(reference.preprocess, 1))
        return {"times": 1.0}
    try:
        engine = engine_from_bytes(packed, threads=threads, runtime=candidate)
        fault = fault_of(engine, reference)
        if fault:
            return {"fault": fault}
        busy = min(threads, usable_cores())
        images = probes(reference.preprocess, min(batch, busy * CHUNK))
        ours, its = _least((reference, engine), images, SECONDS * busy)
        return {"times": ours / its}
    except (Exception, SystemExit) as error:  # noqa: BLE001  whatever a runtime raises: it is not taken
        return {"fault": f"fails here ({reason_of(error)})"}


def fault_of(engine: Engine, reference: Engine) -> str:
    """How an engine's answers are others than those of ONNX Runtime for the same model; "" where they are the same.

    In float32 they are the same where an exported file would pass its proof; in eight bits, where runtimes round sums
    differently, within CLOSE_EIGHT_BITS, of a probability or as share of a distance.
    """
    images = probes(reference.preprocess, PROBES)
    expected = reference.run(images)
    found = engine.run(images)
    most = (CLOSE, CLOSE_DISTANCE) if reference.precision == "float32" else (CLOSE_EIGHT_BITS, CLOSE_EIGHT_BITS)
    off = (
        apart(found.probabilities, expected.probabilities),
        distances_apart(found, expected).get("distance_difference", 0.0),
    )
    for what, difference, allowed in zip(("probabilities", "distances"), off, most, strict=True):
        if not difference <= allowed:
            return f"gives other {what} here, off by {difference:.1e}, allowed {allowed:g}"
    return ""


def _least(engines: tuple[Engine, ...], images: np.ndarray, seconds: float) -> list[float]:
    """The least processor time of each for one call, the engines in turn until `seconds` are spent in all.

    Processor time, of all threads: a neighbour that takes the cores away makes the clock's time many times longer, of
    one engine or of the other, and hardly changes this (docs/log.md). In a process of its own nothing else is counted.
    """
    best = [float("inf")] * len(engines)
    end = time.process_time() + seconds
    rounds = 0
    while rounds < ROUNDS or time.process_time() < end:
        for place, engine in enumerate(engines):
            start = time.process_time()
            engine.run(images)
            best[place] = min(best[place], time.process_time() - start)
        rounds += 1
    return best


def probes(preprocess: Preprocess, count: int) -> np.ndarray:
    """Pictures (count, H, W, C) uint8, always the same: patches of colour that run into each other, and a grain."""
    height, width = preprocess.size
    random = np.random.default_rng(0)
    patches = random.uniform(0, 255, (count, 5, 5, preprocess.channels))  # (count, 5, 5, C)
    found = _stretched(_stretched(patches, height, 1), width, 2)  # (count, H, W, C)
    return (found + random.normal(0, 12, found.shape)).clip(0, 255).astype(np.uint8)


def _stretched(images: np.ndarray, side: int, axis: int) -> np.ndarray:
    """One axis made `side` long, linearly."""
    at = np.linspace(0, images.shape[axis] - 1, side)
    low = np.minimum(at.astype(int), images.shape[axis] - 2)
    share = np.expand_dims(at - low, [other for other in range(images.ndim) if other != axis])
    mixed: np.ndarray = np.take(images, low, axis) * (1 - share) + np.take(images, low + 1, axis) * share
    return mixed


def write_trial(result: str, candidate: Runtime, threads: str, batch: str, seconds: str) -> None:
    """The whole process: a packed model from standard input, what `tried` gives to a file; it ends in any case."""
    if hasattr(signal, "alarm"):  # not on Windows, where whoever waits ends it
        signal.alarm(int(seconds))  # what hangs ends, also when nobody waits any more
    packed = sys.stdin.buffer.read()
    write_json(Path(result), tried(packed, candidate, int(threads), int(batch)))
