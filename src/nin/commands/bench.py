"""`nin bench`: how fast a model answers on this machine, in every form that it has (torch-free, torch where it is)."""

import importlib.util
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from nin.bundle.folder import WEIGHTS, open_bundle
from nin.bundle.shipped import find_model
from nin.choices import chosen
from nin.commands.classifier import Classifier, Runner
from nin.commands.evaluate import Measured, measure_on, pictures_seen_by
from nin.engine.engine import THREADS, open_engine
from nin.errors import UsageError

BATCHES = (1, 8, 32, 128)
ROUNDS = 5  # every form in turn, so that a busy moment does not fall on one alone
ROUND_SECONDS = 0.2
LATENCIES = 200  # single pictures, whose percentiles are given


@dataclass(frozen=True)
class Bench:
    """How fast one form of a model answers here: what computed, bytes of its weights or file, milliseconds of single
    pictures by percentile, pictures a second by pictures at a time, and its accuracy on n pictures if measured, with
    what is to be known of these."""

    model: str
    computed_by: str
    bytes: int
    milliseconds: dict[str, float]
    images_per_second: dict[int, float]
    accuracy: float | None
    n: int
    notes: tuple[str, ...] = ()


def bench(models: Sequence[str], *, data: str | Path | None = None, threads: int | None = None) -> list[Bench]:
    """Latency and throughput of model folders and exported files; with `data` their accuracy on it, too.

    Each is measured with ONNX Runtime and, where they are installed, with OpenVINO and (a folder) with torch; all forms
    in turn. threads: for all of them; by default as many as there are cores.
    """
    models = chosen("model", models, tuple[str, ...])
    threads = chosen("threads", threads, int | None, THREADS)
    data = chosen("data", data, Path | None)
    if not models:
        raise UsageError("no model is named; give model folders, exported .onnx files or names of the package")
    with_torch, with_openvino = (importlib.util.find_spec(name) is not None for name in ("torch", "openvino"))
    forms: list[tuple[str, Runner]] = []
    for model in models:
        forms.append((model, open_engine(model, threads=threads)))
        if with_openvino:
            forms.append((model, open_engine(model, threads=threads, runtime="openvino")))
        if with_torch and Path(model).suffix != ".onnx":
            from nin.commands.torch_runner import TorchRunner

            forms.append((model, TorchRunner(open_bundle(model), "cpu", threads or forms[0][1].threads)))
    measured = [_measured(model, runner, data) for model, runner in forms] if data else []
    rates = _rates([runner for _, runner in forms])
    latencies = [_latencies(runner) for _, runner in forms]
    found = []
    for number, (model, runner) in enumerate(forms):
        evaluation = measured[number].evaluation if measured else None
        percentiles = {f"p{share}": float(np.percentile(latencies[number], share)) for share in (50, 95, 99)}
        accuracy, n = (None, 0) if evaluation is None else (evaluation.accuracy, evaluation.n)
        notes = (*measured[number].warnings, *measured[number].notes) if measured else ()
        found.append(Bench(model, runner.in_words(), _bytes(model), percentiles, rates[number], accuracy, n, notes))
    return found


def _measured(model: str, runner: Runner, data: str | Path) -> Measured:
    return measure_on(partial(Classifier, runner), data, seen=pictures_seen_by(model))


def _rates(runners: Sequence[Runner]) -> list[dict[int, float]]:
    """Pictures a second of each, by pictures at a time: the median of the rounds."""
    rounds: list[dict[int, list[float]]] = [{batch: [] for batch in BATCHES} for _ in runners]
    for batch in BATCHES:
        for _ in range(ROUNDS):
            for number, runner in enumerate(runners):
                rounds[number][batch].append(_rate(runner, batch))
    return [{batch: float(np.median(values)) for batch, values in one.items()} for one in rounds]


def _rate(runner: Runner, batch: int) -> float:
    images = _pictures(runner, batch)
    done = 0
    spent = 0.0
    started = time.perf_counter()
    while spent < ROUND_SECONDS:
        runner.run(images)
        done += batch
        spent = time.perf_counter() - started
    return done / spent


def _latencies(runner: Runner) -> list[float]:
    """Milliseconds of single pictures, after a few that are not counted."""
    image = _pictures(runner, 1)
    found = []
    for _ in range(LATENCIES + LATENCIES // 10):
        started = time.perf_counter()
        runner.run(image)
        found.append(1000 * (time.perf_counter() - started))
    return found[LATENCIES // 10 :]


def _pictures(runner: Runner, count: int) -> np.ndarray:
    shape = (count, *runner.preprocess.size, runner.preprocess.channels)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def _bytes(model: str) -> int:
    path = Path(model)
    return (path if path.suffix == ".onnx" else find_model(model) / WEIGHTS).stat().st_size
