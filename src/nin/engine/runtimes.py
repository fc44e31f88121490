"""What computes a graph: ONNX Runtime, always there, or OpenVINO (extra [openvino]), faster in eight bits.

Legend: N pictures (H, W, C) uint8 of the network's own size.
"""

import ctypes
import importlib.metadata
import importlib.util
import os
import sys
import threading
import weakref
from pathlib import Path
from typing import Any, Protocol, get_args

import numpy as np

from nin.choices import Runtime, chosen
from nin.errors import ModelError, escape_name
from nin.extras import need


def _import_onnxruntime() -> Any:
    """The package, asked to tell nobody: since 1.32 importing it gives this machine a number and keeps a list of events
    under the user's home, to be sent to Microsoft. The switch is a variable that it reads then; it stays as it was."""
    before = os.environ.get(SWITCH)
    os.environ[SWITCH] = before or "1"
    try:
        return importlib.import_module("onnxruntime")
    finally:
        if before is None:
            del os.environ[SWITCH]
        else:
            os.environ[SWITCH] = before


SWITCH = "ORT_DISABLE_TELEMETRY"
onnxruntime = _import_onnxruntime()
RUNTIMES: tuple[Runtime, ...] = get_args(Runtime)
REFERENCE: Runtime = "onnxruntime"  # always there; what another one gives is compared with
Shape = list[int | str]


class Session(Protocol):
    """A graph that can be asked by any number of threads at once.

    words: what computes, for people. inputs, outputs: shapes by name; a side of any length is a word.
    """

    words: str
    inputs: dict[str, Shape]
    outputs: dict[str, Shape]

    def run(self, names: tuple[str, ...], images: np.ndarray) -> list[np.ndarray]:
        """These outputs for (N, H, W, C) uint8, contiguous."""


def installed() -> tuple[Runtime, ...]:
    """The runtimes that can be asked for here; none is imported."""
    return tuple(runtime for runtime in RUNTIMES if _place(runtime) is not None)


def runtime_version(runtime: Runtime) -> str:
    """The version of a runtime, which is not imported; of one that tells none, when it was installed."""
    try:
        return importlib.metadata.version(runtime)
    except importlib.metadata.PackageNotFoundError:
        place = _place(runtime)
        return "" if place is None else str(place.stat().st_mtime_ns)


def _place(runtime: Runtime) -> Path | None:
    """Where a runtime is installed; None where it is not, as when a folder beside the program only bears its name."""
    spec = importlib.util.find_spec(runtime)
    return None if spec is None or spec.origin is None else Path(spec.origin)


def open_session(runtime: Runtime, data: bytes, threads: int, name: str) -> Session:
    """A session over the bytes of a file, for as many threads as will ask at once; `name` is for messages.

    Raises UsageError for an unknown runtime, MissingExtra for one that is not installed, ModelError for a file that it
    refuses.
    """
    return (
        OnnxRuntime(data, name)
        if chosen("runtime", runtime, Runtime) == "onnxruntime"
        else OpenVino(data, threads, name)
    )


class OnnxRuntime:
    """ONNX Runtime; every call computes in the thread that makes it."""

    words = f"ONNX Runtime {onnxruntime.__version__}"

    def __init__(self, data: bytes, name: str) -> None:
        self._session = session(data, 1, name)
        self.inputs: dict[str, Shape] = {port.name: list(port.shape) for port in self._session.get_inputs()}
        self.outputs: dict[str, Shape] = {port.name: list(port.shape) for port in self._session.get_outputs()}

    def run(self, names: tuple[str, ...], images: np.ndarray) -> list[np.ndarray]:
        found: list[np.ndarray] = self._session.run(names, {next(iter(self.inputs)): images})
        return found


class OpenVino:
    """OpenVINO on the processor, float32 where the graph has no eight bits; a stream for each thread that asks."""

    def __init__(self, data: bytes, threads: int, name: str) -> None:
        openvino = _openvino()
        self.words = f"OpenVINO {openvino.__version__.partition('-')[0]}"
        how = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": str(threads)}
        try:
            core = openvino.Core()
            self._model = core.compile_model(core.read_model(data), "CPU", how | {"INFERENCE_NUM_THREADS": threads})
            self.inputs = {str(port.any_name): _shape(port) for port in self._model.inputs}
            self.outputs = {name: _shape(port) for port in self._model.outputs for name in port.names}
            self._own = threading.local()
            shape = [side if isinstance(side, int) else 1 for side in next(iter(self.inputs.values()))]
            self.run((), np.zeros(shape, np.uint8))  # alone: the first call hangs where two threads make it at once
        except Exception as error:
            raise _refused(name, error) from error
        _keep_in_forks(self)

    def run(self, names: tuple[str, ...], images: np.ndarray) -> list[np.ndarray]:
        if not hasattr(self._own, "request"):
            self._own.request = self._model.create_infer_request()
        self._own.request.infer([images], share_inputs=True)
        return [np.array(self._own.request.get_tensor(name).data) for name in names]


def _keep_in_forks(session: OpenVino) -> None:
    """Never destroy the session in a process that is forked from this one: its threads are not there, and OpenVINO
    would wait for them for ever, at the latest when that process ends."""
    known = weakref.ref(session)

    def keep() -> None:
        if (alive := known()) is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(alive))

    os.register_at_fork(after_in_child=keep)


def _openvino() -> Any:
    """The package, without its openvino_telemetry: its converters, not used here, report to Google Analytics."""
    if "openvino" not in sys.modules:
        need("openvino")
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # importing it is an ImportError
    return importlib.import_module("openvino")


def _shape(port: Any) -> Shape:
    return [side.get_length() if side.is_static else "any" for side in port.partial_shape]


def session(data: bytes, threads: int, name: str) -> Any:
    """ONNX Runtime over the bytes of a file; ModelError where it refuses them. `name` is for the message."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is an exception
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise _refused(name, error) from error


def _refused(name: str, error: Exception) -> ModelError:
    """The error about a file that a runtime does not take."""
    return ModelError(f"{escape_name(name)} is no network that can be run ({reason_of(error)}); get it again")


def reason_of(error: BaseException) -> str:
    """The first line of what a runtime says, short enough for a message of one line."""
    return escape_name(str(error).splitlines()[0] if str(error) else type(error).__name__)[:200]
