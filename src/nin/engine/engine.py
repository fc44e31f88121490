"""A trained network at work without torch: a runtime over the graph of a model folder, or over an exported file.

Shapes: N pictures (H, W, C) uint8 of the network's own size, K classes, (h, w) sides of the class maps.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nin.artifacts import read_bytes
from nin.bundle.card import Calibration
from nin.bundle.folder import Bundle, open_bundle
from nin.choices import AnyRuntime, Runtime, chosen, path_of
from nin.data.given import named_pictures
from nin.data.machine import usable_cores
from nin.data.preprocess import Preprocess
from nin.engine.fastest import Choice, fastest
from nin.engine.graph import OUTPUTS, PICTURES, RESIZED, core, outputs_of
from nin.engine.needs import needs_of
from nin.engine.onnx_file import OPSET, Graph, from_bytes, to_bytes
from nin.engine.runtimes import REFERENCE, open_session, reason_of
from nin.errors import ArtifactError, ModelError, UsageError, escape_name
from nin.version import __version__

FACTS = "nin"  # the metadata entry that says what a file is
FORMAT = 1  # raised when an older program could misread what a newer one writes
CHUNK = (
    16  # pictures that a thread computes at a time, or fewer of a large network: they stay in the caches (docs/log.md)
)
HELD = 2**27  # values of the largest tensor that a thread's pictures may have together: 512 MB in float32
LARGEST = 2**30  # bytes of a file
THREADS = (1, 1024)  # as the command line takes them
BATCH = (1, 1_000_000)  # pictures of a call


@dataclass(frozen=True, eq=False)
class Answers:
    """A network's answers for N pictures.

    probabilities (N, K): calibrated. logits (N, K): the means of maps (N, K, h, w). distances (N,): from the training
    pictures, where the model knows them (nin.bundle.likeness). All float32.
    """

    probabilities: np.ndarray
    logits: np.ndarray
    maps: np.ndarray
    distances: np.ndarray | None = None

    def part(self, rows: slice) -> "Answers":
        """The answers for some of the pictures."""
        distances = None if self.distances is None else self.distances[rows]
        return Answers(self.probabilities[rows], self.logits[rows], self.maps[rows], distances)

    def distance(self, row: int) -> float | None:
        """The distance of one picture, where there is one."""
        return None if self.distances is None else float(self.distances[row])


def expect_finite(answers: Answers, name: str) -> Answers:
    """The answers; ModelError when a logit, a probability or a distance is not finite."""
    checked = (answers.logits, answers.probabilities, *(() if answers.distances is None else (answers.distances,)))
    if not all(np.isfinite(array).all() for array in checked):
        raise ModelError(f"{escape_name(name)} gives numbers that are not finite; train it again or get it again")
    return answers


@dataclass(frozen=True)
class ModelFacts:
    """Everything about a model but its graph and weights. precision: "float32" or "int8"."""

    name: str
    classes: tuple[str, ...]
    preprocess: Preprocess
    calibration: Calibration
    precision: str = "float32"

    def to_json(self) -> str:
        """For a file's metadata; `facts_of` reads it back."""
        parts = {"classes": list(self.classes), "preprocess": self.preprocess.to_dict()}
        parts |= {"calibration": self.calibration.to_dict(), "name": self.name, "precision": self.precision}
        return json.dumps({"format": FORMAT, **parts}, ensure_ascii=False)


def facts_of(graph: Graph, what: str) -> ModelFacts:
    """The facts in the metadata of a file; ModelError when they are missing or make no sense."""
    try:
        found: Mapping[str, Any] = json.loads(graph.metadata[FACTS])
        if found["format"] != FORMAT:
            raise ModelError(
                f"{what} has the format {str(found['format'])[:20]}; upgrade: pip install -U network-in-network"
            )
        preprocess = Preprocess.from_dict(found["preprocess"], graph.constants)
        classes = tuple(str(label) for label in found["classes"])
        calibration = Calibration(**found["calibration"])
        return ModelFacts(str(found["name"]), classes, preprocess, calibration, str(found["precision"]))
    except ModelError:
        raise
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise ModelError(
            f"{what} does not say what it is ({escape_name(error)[:200]}); export the model again"
        ) from error


class Engine:
    """A network ready to answer; any number of threads may ask it at once.

    Pictures are divided among threads, each of which computes its own from beginning to end: threads that share every
    layer wait for each other, and were 1.1 (float32) to 1.4 times (int8) slower on two cores (docs/log.md).

    name, classes, preprocess, calibration, precision: as `ModelFacts`. digest: SHA-256 of exactly what runs. threads:
    that one call uses. runtime: what computes. choice: why, where `open_engine` was to choose it.
    """

    def __init__(
        self, facts: ModelFacts, graph: Graph, threads: int | None = None, runtime: Runtime = "onnxruntime"
    ) -> None:
        self.name = facts.name
        self.classes = facts.classes
        self.preprocess = facts.preprocess
        self.calibration = facts.calibration
        self.precision = facts.precision
        self.threads = threads or usable_cores()
        self.runtime = runtime
        self.choice = Choice(runtime)
        self._made_of = facts, graph
        needs = needs_of(graph, escape_name(facts.name))
        self._chunk = max(1, min(CHUNK, HELD // max(1, needs.largest)))
        data = to_bytes(graph, __version__)
        self.digest = hashlib.sha256(data).hexdigest()
        self._session = open_session(runtime, data, self.threads, facts.name)
        self._pool = ThreadPoolExecutor(self.threads, "nin-engine") if self.threads > 1 else None
        self._process = os.getpid()
        self._expect_ports(facts, graph)

    def __reduce__(self) -> tuple[Any, ...]:
        """For copying, pickling and other processes: the engine is made again from its parts."""
        return type(self), (*self._made_of, self.threads, self.runtime)

    def _begin_again(self) -> None:
        """Make everything again in a process forked from the one that made this: its threads do not exist here."""
        self.__init__(*self._made_of, self.threads, self.runtime)  # type: ignore[misc]

    def run(self, images: Any) -> Answers:
        """Answers for (N, H, W, C) uint8; UsageError for another shape, ModelError when a number is not finite.

        Pictures of any size, in another form that nin.data.given knows, are preprocessed first.
        """
        if not (isinstance(images, np.ndarray) and images.ndim == 4):
            images = np.stack([self.preprocess.load(source, name=name) for name, source in named_pictures(images)])
        expected = (*self.preprocess.size, self.preprocess.channels)
        if images.dtype != np.uint8 or images.shape[1:] != expected or not len(images):
            raise UsageError(
                f"pictures are {images.dtype} {images.shape}; expected uint8 (N, {', '.join(map(str, expected))})"
            )
        if self._process != os.getpid():
            self._begin_again()
        size = min(self._chunk, -(-len(images) // self.threads))
        chunks = [images[start : start + size] for start in range(0, len(images), size)]
        parts = list((map if self._pool is None or len(chunks) == 1 else self._pool.map)(self._run, chunks))
        answers = Answers(*(part[0] if len(part) == 1 else np.concatenate(part) for part in zip(*parts, strict=True)))
        return expect_finite(answers, self.name)

    def _run(self, images: np.ndarray) -> list[np.ndarray]:
        return self._session.run(outputs_of(self.calibration), np.ascontiguousarray(images))

    def in_words(self) -> str:
        """What computes, for people: "ONNX Runtime 1.32.0, float32, 2 threads"."""
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return f"{self._session.words}, {self.precision}, {threads}"

    def _expect_ports(self, facts: ModelFacts, graph: Graph) -> None:
        classes = len(facts.classes)
        shapes = self._session.outputs
        taken = self._session.inputs
        named = {port.name for port in graph.outputs}  # OpenVINO also tells the names that it made one with these
        fits = named == set(outputs_of(facts.calibration)) and all(shapes[name][1] == classes for name in OUTPUTS)
        size = [*self.preprocess.size, self.preprocess.channels]
        if not fits or set(taken) != {RESIZED} or taken[RESIZED][1:] != size:
            raise ModelError(
                f"{escape_name(facts.name)} has another input or other outputs than it says; export it again"
            )


def open_engine(
    model: str | Path, *, threads: int | None = None, runtime: AnyRuntime = REFERENCE, batch: int = CHUNK
) -> Engine:
    """The engine of a model folder, the run folder around it, a model of the package, or an exported .onnx file.

    threads: that one call uses; by default as many as there are usable cores. runtime: "openvino" (extra [openvino]) is
    faster for eight-bit files on some processors and slower to start; "auto" takes it where it is faster here in calls
    of `batch` pictures, which is measured once and remembered (nin.engine.fastest); the engine's `choice` says why.
    Raises ModelError in one line, MissingExtra without that extra.
    """
    threads = chosen("threads", threads, int | None, THREADS)
    runtime = chosen("runtime", runtime, AnyRuntime)
    batch = chosen("batch", batch, int, BATCH)
    facts, graph = _facts_and_graph(model)
    return fastest_engine(facts, graph, threads, batch) if runtime == "auto" else Engine(facts, graph, threads, runtime)


def fastest_engine(facts: ModelFacts, graph: Graph, threads: int | None, batch: int) -> Engine:
    """The engine of a graph with the runtime that is the fastest here for `batch` pictures; see `open_engine`."""
    digest = hashlib.sha256(to_bytes(graph, __version__)).hexdigest()
    choice = fastest(_packed(facts, graph), digest, threads or usable_cores(), batch)
    try:
        engine = Engine(facts, graph, threads, choice.runtime)
    except Exception as error:
        if choice.runtime == REFERENCE:
            raise
        choice = replace(choice, runtime=REFERENCE, times=None, fault=f"could not be opened ({reason_of(error)})")
        engine = Engine(facts, graph, threads)
    engine.choice = choice
    return engine


def pack_engine(model: str | Path) -> bytes:
    """A model as `open_engine` takes it, as bytes that other machines make the same engine of."""
    return _packed(*_facts_and_graph(model))


def _packed(facts: ModelFacts, graph: Graph) -> bytes:
    return to_bytes(replace(graph, metadata={FACTS: facts.to_json()}), __version__)


def engine_from_bytes(data: bytes, *, threads: int | None = None, runtime: Runtime = "onnxruntime") -> Engine:
    """The engine that `pack_engine` packed, of the same digest; raises ModelError in one line for other bytes."""
    facts, graph = _read(data, "the model")
    return Engine(facts, replace(graph, metadata={}), threads, runtime)


def _facts_and_graph(model: str | Path) -> tuple[ModelFacts, Graph]:
    path = path_of("model", model)
    if path.suffix == ".onnx" and path.is_file():
        facts, graph = read_exported(path)
        if graph.opset == OPSET:
            graph = without_resizing(graph)
        else:
            from nin.engine.standard import from_uint8

            graph = from_uint8(graph)
        needs_of(graph, escape_name(path))  # here the file can be named: the name inside is whatever its maker chose
        return facts, graph
    bundle = open_bundle(model)
    return facts_of_bundle(bundle), core(bundle)


def read_exported(path: Path) -> tuple[ModelFacts, Graph]:
    """An .onnx file that nin export wrote, verified; ModelError for any other."""
    try:
        data = read_bytes(path, limit=LARGEST, follow=False)
    except ArtifactError as error:
        raise ModelError(str(error)) from error
    return _read(data, escape_name(path))


def _read(data: bytes, what: str) -> tuple[ModelFacts, Graph]:
    try:
        graph = from_bytes(data, what)
    except ArtifactError as error:
        raise ModelError(str(error)) from error
    return facts_of(graph, what), graph


def facts_of_bundle(bundle: Bundle, precision: str = "float32") -> ModelFacts:
    """The facts of a model folder, which is named by the folder, or by the run folder around it."""
    folder = bundle.folder.resolve()
    name = folder.parent.name if folder.name == "model" else folder.name
    return ModelFacts(name or "model", bundle.classes, bundle.preprocess, bundle.calibration, precision)


def without_resizing(graph: Graph) -> Graph:
    """An exported graph that takes pictures of the network's own size: resizing is left out."""
    nodes = tuple(node for node in graph.nodes if not node.name.startswith("resize/") and RESIZED not in node.outputs)
    if len(nodes) == len(graph.nodes) or [port.name for port in graph.inputs] != [PICTURES]:
        raise ModelError(f"{escape_name(graph.name)} has no resizing of its own; export the model again")
    used = {name for node in nodes for name in node.inputs}
    facts = facts_of(graph, graph.name)
    port = replace(graph.inputs[0], name=RESIZED, shape=("batch", *facts.preprocess.size, facts.preprocess.channels))
    constants = {name: array for name, array in graph.constants.items() if name in used}
    return Graph(graph.name, nodes, constants, (port,), graph.outputs, {})
