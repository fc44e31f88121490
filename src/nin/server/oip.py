"""The Open Inference Protocol, version 2, over HTTP: what a model takes and gives, requests read, replies written.

Source: kserve/open-inference-protocol, open_inference_rest.yaml and inference_rest.md. N pictures, K classes.
"""

import base64
import binascii
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from nin.data.depth import is_full
from nin.data.images import Limits, PictureError
from nin.data.preprocess import Preprocess
from nin.engine.engine import Answers, Engine
from nin.engine.graph import DISTANCE, OUTPUTS, outputs_of
from nin.server.messages import Refused, Request, Response, json_body
from nin.server.oip_body import Numbers, binary_part, read_body, strings_in, strings_out

PICTURES = 64  # of one request
NUMBERS = 1_000_000  # of one reply
EXTENSIONS = ("binary_tensor_data", "classification")  # by the names that Triton gives them
_DATA_URL = re.compile(rb"\A\s*data:[^,;]{0,100}(?:;[^,;]{0,100}){0,4};base64,", re.IGNORECASE)
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{4,}={0,2}\Z")


@dataclass(frozen=True)
class Output:
    """An output asked for. binary: behind the JSON; classes: as so many classes in words, 0 for all as numbers."""

    name: str
    binary: bool
    classes: int


@dataclass(frozen=True, eq=False)
class Infer:
    """A request understood. pictures: a file's bytes each, or pixels (H0, W0, C), every one of its own size."""

    pictures: tuple[bytes | np.ndarray, ...]
    outputs: tuple[Output, ...]
    id: str | None


def version_of(engine: Engine) -> str:
    """A model's version: the beginning of the digest of its weights."""
    return engine.digest[:12]


def describe(name: str, engine: Engine) -> dict[str, Any]:
    """The model's metadata. Pictures may have any size; -1 stands for what varies."""
    height, width = (int(side) for side in _map_size(engine))
    classes = len(engine.classes)
    channels = engine.preprocess.channels
    return {
        "name": name,
        "versions": [version_of(engine)],
        "platform": f"nin_{engine.runtime}",
        "inputs": [
            {
                "name": "pictures",
                "datatype": pixel_type(engine.preprocess),
                "shape": [-1, -1, -1, channels],
            },
            {"name": "files", "datatype": "BYTES", "shape": [-1]},
        ],
        "outputs": [
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, classes]},
            {"name": "logits", "datatype": "FP32", "shape": [-1, classes]},
            {"name": "class_maps", "datatype": "FP32", "shape": [-1, classes, height, width]},
            {"name": DISTANCE, "datatype": "FP32", "shape": [-1]},
        ][: len(outputs_of(engine.calibration))],
    }


def pixel_type(preprocess: Preprocess) -> str:
    """The datatype of the pixels that a model takes: deep ones where it learned from the values of deep pictures."""
    if is_full(preprocess.value_range):
        return "UINT8"
    assert preprocess.value_range is not None
    low, high = preprocess.value_range
    return "UINT16" if low >= 0 and high <= 65_535 and low == int(low) and high == int(high) else "FP32"


def _map_size(engine: Engine) -> tuple[int, ...]:
    """(h, w) of the class maps, found by asking once for a black picture."""
    black = np.zeros((1, *engine.preprocess.size, engine.preprocess.channels), np.uint8)  # (1, H, W, C)
    return tuple(engine.run(black).maps.shape[2:])  # of (1, K, h, w)


def read_infer(request: Request, preprocess: Preprocess, limits: Limits, names: tuple[str, ...] = OUTPUTS) -> Infer:
    """Parse and check; Refused (400) for what the protocol or the model does not have.

    names: the outputs that the model has.
    """
    document, rest = read_body(request, limits.max_bytes)
    inputs = document.get("inputs")
    name = document.get("id")
    if name is not None and not isinstance(name, str):
        _no("id is not a string")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        _no("inputs is not a list of one tensor: pictures (UINT8) or files (BYTES)")
    if not all(isinstance(part.get("parameters", {}), dict) for part in (document, inputs[0])):
        _no("parameters is not an object")
    binary = document.get("parameters", {}).get("binary_data_output", False)
    outputs = _outputs(document.get("outputs"), binary, names)
    return Infer(tuple(_pictures(inputs[0], binary_part(inputs[0], rest), preprocess, limits)), outputs, name)


def _outputs(wanted: object, binary: object, names: tuple[str, ...]) -> tuple[Output, ...]:
    if wanted is None or wanted == []:
        wanted = [{"name": name} for name in names]
    if not isinstance(wanted, list) or not all(
        isinstance(one, dict) and isinstance(one.get("name"), str) for one in wanted
    ):
        _no("outputs is not a list of objects with a name")
    if not all(isinstance(one.get("parameters", {}), dict) for one in wanted):
        _no("parameters is not an object")
    for one in wanted:
        if one["name"] not in names:
            _no(f"an output is none of {', '.join(names)}")
    return tuple({one["name"]: _output(one["name"], one.get("parameters", {}), binary) for one in wanted}.values())


def _output(name: str, parameters: Mapping[str, Any], binary: object) -> Output:
    if "shared_memory_region" in parameters:
        _no("shared memory is not offered; take the outputs from the reply")
    binary = parameters.get("binary_data", binary)
    classes = parameters.get("classification", 0)
    if not isinstance(binary, bool):
        _no("binary_data and binary_data_output are true or false")
    if not isinstance(classes, int) or isinstance(classes, bool) or classes < 0:
        _no("classification is not a whole number of classes")
    if classes and name in ("class_maps", DISTANCE):
        _no(f"{name} {'has' if name == DISTANCE else 'have'} no classification; ask it of probabilities or logits")
    return Output(name, binary, classes)


@contextmanager
def refusing_pictures(asked: Infer) -> Iterator[None]:
    """Refused (400) in the place of a PictureError about one of the pictures."""
    try:
        yield
    except PictureError as error:
        of_files = isinstance(asked.pictures[0], bytes)
        _no(f"a picture {'in files cannot be read' if of_files else 'cannot be used'}: {error.reason}")


def _pictures(
    tensor: Mapping[str, Any], binary: bytes | bytearray | None, preprocess: Preprocess, limits: Limits
) -> Sequence[bytes | np.ndarray]:
    kind = (tensor.get("name"), tensor.get("datatype"))
    shape = tensor.get("shape")
    data = tensor.get("data")
    if not isinstance(shape, list) or not all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in shape):
        _no("shape is not a list of whole numbers above 0")
    if binary is None and not isinstance(data, list | Numbers):
        _no("data is not a list")
    if shape and shape[0] > PICTURES:
        _no(f"there are more than {PICTURES} pictures")
    wanted = pixel_type(preprocess)
    if kind == ("files", "BYTES"):
        items = data if binary is None else strings_in(binary)
        return _files(shape, items, tensor.get("parameters", {}))
    if kind == ("pictures", wanted):
        return list(_pixels(shape, data if binary is None else binary, limits, wanted))
    if kind[0] == "pictures":
        _no(f"pictures for this model are {wanted}; convert them, other datatypes are not read")
    raise Refused(400, f"the input is neither pictures ({wanted}) nor files (BYTES)")


def _files(shape: Sequence[int], data: object, parameters: Mapping[str, Any]) -> list[bytes]:
    if isinstance(data, list) and list(shape) == [len(data), 1]:  # as MLServer's codecs write N strings
        data = [row[0] if isinstance(row, list) and len(row) == 1 else row for row in data]
        shape = shape[:1]
    if not isinstance(data, list) or list(shape) != [len(data)] or not all(isinstance(x, str | bytes) for x in data):
        _no("data of files is not a list of as many strings as shape says")
    if parameters.get("content_type", "base64") not in ("base64", "str"):
        _no("the content_type of files is not base64")
    try:
        return [_file(item) for item in data]
    except (binascii.Error, ValueError):
        _no("data of files is not base64")


def _file(item: str | bytes) -> bytes:
    """An encoded picture: in JSON in base64, alone or as a data URL; in a binary tensor as it is, or in base64 too."""
    text = item.encode("ascii") if isinstance(item, str) else item
    coded = b"".join(_DATA_URL.sub(b"", text, count=1).split())
    if isinstance(item, bytes) and not _BASE64.match(coded):
        return item
    try:
        return base64.b64decode(coded, validate=True)
    except binascii.Error:
        if isinstance(item, bytes):
            return item
        raise


def _pixels(shape: Sequence[int], data: Any, limits: Limits, kind: str) -> np.ndarray:
    """The pixels of a list, or of binary data."""
    dtype, high = {"UINT8": ("<u1", 255), "UINT16": ("<u2", 65_535), "FP32": ("<f4", 3e38)}[kind]
    if len(shape) != 4 or shape[3] not in (1, 3, 4):
        _no("the shape of pictures is not [N, height, width, 1, 3 or 4]")
    most = min(limits.max_pixels, limits.max_bytes // np.dtype(dtype).itemsize)
    if math.prod(shape) > most or max(shape) > 65_535:
        _no(f"the pictures are too large; together they may have {most:,} numbers")
    if isinstance(data, bytes | bytearray):
        if len(data) != math.prod(shape) * np.dtype(dtype).itemsize:
            _no("the binary data of pictures is not as many bytes as shape says")
        values = np.frombuffer(data, dtype)
    else:
        values = _listed(shape, data, "iuf" if kind == "FP32" else "iu")
    if not (values.min() >= (-high if kind == "FP32" else 0) and values.max() <= high):  # NaN too
        _no(f"data of pictures is not from 0 to {high}" if kind != "FP32" else "data of pictures is not finite")
    return values.astype(np.dtype(dtype).newbyteorder("=")).reshape(shape)  # (N, height, width, C)


def _listed(shape: Sequence[int], data: Any, kinds: str) -> np.ndarray:
    """The numbers of a list in JSON, nested or flat."""
    try:
        values = data.values if isinstance(data, Numbers) else np.array(data)
    except (ValueError, OverflowError):
        _no("data of pictures is not even")
    if values.dtype.kind not in kinds or values.size != math.prod(shape) or values.ndim not in (1, 4):
        _no(f"data of pictures is not as many {'numbers' if 'f' in kinds else 'whole numbers'} as shape says")
    if not (data.has_shape(shape) if isinstance(data, Numbers) else values.shape in (tuple(shape), (values.size,))):
        _no("data of pictures has another shape than it says")
    return np.asarray(values)


def reply(name: str, engine: Engine, asked: Infer, answers: Answers) -> Response:
    """The inference response; Refused (400) when it would be larger than a reply may be."""
    arrays = {"probabilities": answers.probabilities, "logits": answers.logits, "class_maps": answers.maps}
    arrays |= {} if answers.distances is None else {DISTANCE: answers.distances}
    if sum(arrays[output.name].size for output in asked.outputs) > NUMBERS:
        _no(f"the reply would have more than {NUMBERS:,} numbers; ask for fewer pictures or outputs")
    outputs = []
    tail = []
    for output in asked.outputs:
        described, data, binary = _said(arrays[output.name], output.classes, engine.classes)
        if output.binary:
            tail.append(binary)
            outputs.append({"name": output.name, **described, "parameters": {"binary_data_size": len(binary)}})
        else:
            outputs.append({"name": output.name, **described, "data": data})
    head = {"model_name": name, "model_version": version_of(engine)}
    response = json_body(200, {**head, **({} if asked.id is None else {"id": asked.id}), "outputs": outputs})
    if not tail:
        return response
    length = (("Inference-Header-Content-Length", str(len(response.body))),)
    return Response(200, b"".join((response.body, *tail)), "application/octet-stream", length)


def _said(array: np.ndarray, count: int, classes: Sequence[str]) -> tuple[dict[str, Any], list[Any], bytes]:
    """What describes an output (N, ...), its data as a list, and as bytes; `count` classes in words as Triton does."""
    if not count:
        described = {"datatype": "FP32", "shape": list(array.shape)}
        return described, array.ravel().tolist(), array.astype("<f4").tobytes()
    best = np.argsort(-array, axis=1, kind="stable")[:, :count]  # (N, K) -> (N, count)
    words = [f"{row[i]:f}:{i}:{classes[i]}" for row, order in zip(array, best, strict=True) for i in order]
    return {"datatype": "BYTES", "shape": list(best.shape)}, words, strings_out(words)


def _no(why: str) -> NoReturn:
    raise Refused(400, why)
