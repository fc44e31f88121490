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
from nin.choices import AnyRuntime, chosen
from nin.commands.classifier import Classifier, Runner
from nin.commands.evaluate import Measured, measure_on, pictures_seen_by
from nin.engine.engine import THREADS, open_engine
from nin.engine.runtimes import installed
from nin.errors import UsageError
from nin.run.options import ServeOptions

BATCHES = (1, 8, 32, 128)
ROUNDS = 5  # every form in turn, so that a busy moment does not fall on one alone
ROUND_SECONDS = 0.2
LATENCIES = 200  # single pictures, whose percentiles are given


@dataclass(frozen=True)
class Bench:
    """How fast one form of a model answers here: what computed, bytes of its weights or file, milliseconds of single
    pictures by percentile, pictures a second by pictures at a time, and its accuracy on n pictures if measured, with
    what is to be known of these. runtime: "onnxruntime", "openvino" or "torch"; auto: whether `--runtime auto` of
    `nin serve` takes it."""

    model: str
    computed_by: str
    bytes: int
    milliseconds: dict[str, float]
    images_per_second: dict[int, float]
    accuracy: float | None
    n: int
    runtime: str
    auto: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Form:
    """A model with what computes it, and why `--runtime auto` takes it or another."""

    model: str
    runner: Runner
    runtime: str
    auto: bool = False
    why: str = ""


def bench(
    models: Sequence[str],
    *,
    data: str | Path | None = None,
    threads: int | None = None,
    runtime: AnyRuntime = "auto",
) -> list[Bench]:
    """Latency and throughput of model folders and exported files; with `data` their accuracy on it, too.

    Each is measured with one runtime, or with all: ONNX Runtime and, where they are installed, OpenVINO and (a folder)
    torch; all forms in turn. threads: for all of them; by default as many as there are cores.
    """
    models = chosen("model", models, tuple[str, ...])
    threads = chosen("threads", threads, int | None, THREADS)
    data = chosen("data", data, Path | None)
    runtime = chosen("runtime", runtime, AnyRuntime)
    if not models:
        raise UsageError("no model is named; give model folders, exported .onnx files or names of the package")
    forms = [form for model in models for form in _forms(model, threads, runtime)]
    measured = [_measured(form, data) for form in forms] if data else []
    rates = _rates([form.runner for form in forms])
    latencies = [_latencies(form.runner) for form in forms]
    found = []
    for number, form in enumerate(forms):
        evaluation = measured[number].evaluation if measured else None
        percentiles = {f"p{share}": float(np.percentile(latencies[number], share)) for share in (50, 95, 99)}
        accuracy, n = (None, 0) if evaluation is None else (evaluation.accuracy, evaluation.n)
        notes = (*measured[number].warnings, *measured[number].notes) if measured else ()
        size = _bytes(form.model)
        words = form.runner.in_words()
        notes += (f"runtime {form.why}",) if form.why else ()
        common = form.model, words, size, percentiles, rates[number], accuracy, n
        found.append(Bench(*common, form.runtime, form.auto, notes))
    return found


def _forms(model: str, threads: int | None, runtime: AnyRuntime) -> list[_Form]:
    """A model opened with every runtime that is to be measured, ONNX Runtime first."""
    if runtime != "auto":
        return [_Form(model, open_engine(model, threads=threads, runtime=runtime), runtime)]
    choice = open_engine(model, threads=threads, runtime="auto", batch=ServeOptions.max_batch).choice
    found = []
    for each in installed():
        if each == choice.other and choice.fault:
            continue  # it may end this process
        taken = each == choice.runtime
        engine = open_engine(model, threads=threads, runtime=each)
        found.append(_Form(model, engine, each, taken, choice.in_words() if taken else ""))
    if importlib.util.find_spec("torch") is not None and Path(model).suffix != ".onnx":
        from nin.commands.torch_runner import TorchRunner

        runner = TorchRunner(open_bundle(model), "cpu", threads or found[0].runner.threads)
        found.append(_Form(model, runner, "torch"))
    return found


def _measured(form: _Form, data: str | Path) -> Measured:
    return measure_on(partial(Classifier, form.runner), data, seen=pictures_seen_by(form.model))


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
