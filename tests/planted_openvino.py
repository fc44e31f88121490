"""A package that takes OpenVINO's place: ONNX Runtime under its names, with the speed or the fault that a test wants.

It is found by the processes that a test starts, too: it lies in front of everything on the path.
"""

import importlib
import sys
from pathlib import Path

import pytest

PACKAGE = """
import os
import signal
import sys
import time

import onnxruntime

KIND = {kind!r}
__version__ = "9.0-planted"
if KIND == "cannot be imported":
    raise ImportError("libtbb.so.12: cannot open shared object file")
if KIND == "exits":
    sys.exit("no licence")
if KIND == "leaves":
    os._exit(7)
if KIND == "hangs":
    time.sleep(1000)
if KIND in ("SIGSEGV", "SIGKILL"):
    os.kill(os.getpid(), getattr(signal, KIND))




class Side:
    def __init__(self, side):
        self.is_static = isinstance(side, int)
        self.side = side

    def get_length(self):
        return self.side


class Port:
    def __init__(self, port):
        self.any_name = port.name
        self.names = {{port.name}}
        self.partial_shape = [Side(side) for side in port.shape]


class Tensor:
    def __init__(self, data):
        self.data = data


class Model:
    def __init__(self, data):
        if KIND == "refuses":
            raise RuntimeError("no plugin takes this\\nat all")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        self.inputs = [Port(port) for port in self.session.get_inputs()]
        self.outputs = [Port(port) for port in self.session.get_outputs()]
        self.known = {{}}

    def create_infer_request(self):
        return Request(self)


class Request:
    def __init__(self, model):
        self.model = model

    def infer(self, tensors, share_inputs):
        session = self.model.session
        names = [port.any_name for port in self.model.outputs]
        key = tensors[0].tobytes()
        if KIND != "fast" or key not in self.model.known:
            for _ in range(2 if KIND == "slow" else 1):
                found = session.run(names, {{session.get_inputs()[0].name: tensors[0]}})
            self.model.known[key] = dict(zip(names, found, strict=True))
        self.found = self.model.known[key]
        if KIND == "other answers":
            self.found["probabilities"] = self.found["probabilities"] + 3e-5
        if KIND == "other distances" and "distance" in self.found:
            self.found["distance"] = self.found["distance"] * 1.01
        if KIND == "not finite":
            self.found["logits"] = self.found["logits"] * float("nan")

    def get_tensor(self, name):
        return Tensor(self.found[name])


class Core:
    def read_model(self, data):
        return data

    def compile_model(self, data, device, how):
        return Model(data)
"""


def write_planted(folder: Path, kind: str, version: str = "9.0") -> Path:
    """Put a package of a kind into a folder, for the path of a process: fast, slow, alike, or a fault."""
    package = folder / "openvino"
    about = folder / f"openvino-{version}.dist-info"
    for place in (package, about):
        place.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text(PACKAGE.format(kind=kind))
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: openvino\nVersion: {version}\n")
    return folder


def plant(folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str, version: str = "9.0") -> None:
    """The same for this process and those that it starts."""
    monkeypatch.syspath_prepend(str(write_planted(folder, kind, version)))
    monkeypatch.setitem(sys.modules, "openvino", None)  # afterwards it is what it was, or not there
    del sys.modules["openvino"]
    importlib.invalidate_caches()
