"""The Open Inference Protocol, version 2, over HTTP: what a model takes and gives, requests read, replies written.

Source: kserve/open-inference-protocol, open_inference_rest.yaml and inference_rest.md. N pictures, K classes.
"""

import base64
import binascii
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from nin.data.depth import is_full
from nin.data.images import Limits, PictureError, read_picture
from nin.data.preprocess import Preprocess
from nin.deploy.engine import Answers, Engine
from nin.deploy.messages import Refused

OUTPUTS = ("probabilities", "logits", "class_maps")
PICTURES = 64  # of one request
NUMBERS = 1_000_000  # of one reply


@dataclass(frozen=True, eq=False)
class Infer:
    """A request understood. images: (N, H, W, C) uint8 of the network's own size."""

    images: np.ndarray
    outputs: tuple[str, ...]
    id: str | None


def version_of(engine: Engine) -> str:
    """A model's version: the beginning of the digest of its weights."""
    return engine.digest[:12]


def describe(name: str, engine: Engine) -> dict[str, Any]:
    """The model's metadata. Pictures may have any size; -1 stands for what varies."""
    height, width = (int(side) for side in _map_size(engine))
    classes, channels = len(engine.classes), engine.preprocess.channels
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
        ],
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
    black = np.zeros((1, *engine.preprocess.size, engine.preprocess.channels), np.uint8)
    return tuple(engine.run(black).maps.shape[2:])


def read_infer(body: bytes, preprocess: Preprocess, limits: Limits) -> Infer:
    """Parse, check, decode and resize; Refused (400) for what the protocol or the model does not have."""
    document = _parse(body)
    inputs, wanted, name = document.get("inputs"), document.get("outputs"), document.get("id")
    if name is not None and not isinstance(name, str):
        _no("id is not a string")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        _no("inputs is not a list of one tensor: pictures (UINT8) or files (BYTES)")
    if not all(isinstance(part.get("parameters", {}), dict) for part in (document, inputs[0])):
        _no("parameters is not an object")
    outputs = OUTPUTS if wanted is None else _outputs(wanted)
    return Infer(_images(inputs[0], preprocess, limits), outputs, name)


def _parse(body: bytes) -> dict[str, Any]:
    def not_finite(word: str) -> NoReturn:
        raise ValueError(word)

    try:
        document = json.loads(body, parse_constant=not_finite)
    except (ValueError, RecursionError):
        _no("the body is not JSON")
    if not isinstance(document, dict):
        _no("the body is not a JSON object")
    return document


def _outputs(wanted: object) -> tuple[str, ...]:
    if not isinstance(wanted, list) or not all(
        isinstance(one, dict) and isinstance(one.get("name"), str) for one in wanted
    ):
        _no("outputs is not a list of objects with a name")
    if not all(isinstance(one.get("parameters", {}), dict) for one in wanted):
        _no("parameters is not an object")
    names = tuple(dict.fromkeys(one["name"] for one in wanted))
    if not set(names) <= set(OUTPUTS):
        _no(f"an output is none of {', '.join(OUTPUTS)}")
    return names or OUTPUTS


def _images(tensor: Mapping[str, Any], preprocess: Preprocess, limits: Limits) -> np.ndarray:
    kind, shape, data = (tensor.get("name"), tensor.get("datatype")), tensor.get("shape"), tensor.get("data")
    if not isinstance(shape, list) or not all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in shape):
        _no("shape is not a list of whole numbers above 0")
    if not isinstance(data, list):
        _no("data is not a list")
    if shape and shape[0] > PICTURES:
        _no(f"there are more than {PICTURES} pictures")
    wanted = pixel_type(preprocess)
    if kind == ("files", "BYTES"):
        pictures = _decoded(shape, data, tensor.get("parameters", {}), preprocess, limits)
    elif kind == ("pictures", wanted):
        pictures = list(_pixels(shape, data, limits, wanted))
    else:
        _no(f"the input is neither pictures ({wanted}) nor files (BYTES)")
    try:
        return np.stack([preprocess.fit_pixels(pixels, "the picture")[0] for pixels in pictures])
    except PictureError as error:
        _no(f"a picture cannot be used: {error.reason}")


def _decoded(
    shape: Sequence[int], data: Sequence[Any], parameters: Mapping[str, Any], preprocess: Preprocess, limits: Limits
) -> list[np.ndarray]:
    if list(shape) != [len(data)] or not all(isinstance(item, str) for item in data):
        _no("data of files is not a list of as many strings as shape says")
    if parameters.get("content_type", "base64") != "base64":
        _no("the content_type of files is not base64")
    try:
        files = [base64.b64decode(item, validate=True) for item in data]
    except (binascii.Error, ValueError):
        _no("data of files is not base64")
    try:
        return [read_picture(file, near=max(preprocess.size), limits=limits).pixels for file in files]
    except PictureError as error:
        _no(f"a picture in files cannot be read: {error.reason}")


def _pixels(shape: Sequence[int], data: Sequence[Any], limits: Limits, kind: str) -> np.ndarray:
    if len(shape) != 4 or shape[3] not in (1, 3, 4):
        _no("the shape of pictures is not [N, height, width, 1, 3 or 4]")
    if math.prod(shape) > limits.max_pixels or max(shape) > 65_535:
        _no("the pictures are too large")
    try:
        values = np.array(data)
    except (ValueError, OverflowError):
        _no("data of pictures is not even")
    dtype, high = {"UINT8": (np.uint8, 255), "UINT16": (np.uint16, 65_535), "FP32": (np.float32, 3e38)}[kind]
    numbers = "iuf" if kind == "FP32" else "iu"
    if values.dtype.kind not in numbers or values.size != math.prod(shape) or values.ndim not in (1, 4):
        _no(f"data of pictures is not as many {'numbers' if kind == 'FP32' else 'whole numbers'} as shape says")
    if values.ndim == 4 and values.shape != tuple(shape):
        _no("data of pictures has another shape than it says")
    if values.min() < (-high if kind == "FP32" else 0) or values.max() > high:
        _no(f"data of pictures is not from 0 to {high}")
    return values.astype(dtype).reshape(shape)


def reply(name: str, engine: Engine, asked: Infer, answers: Answers) -> dict[str, Any]:
    """The inference response; Refused (400) when it would be larger than a reply may be."""
    arrays = {"probabilities": answers.probabilities, "logits": answers.logits, "class_maps": answers.maps}
    if sum(arrays[output].size for output in asked.outputs) > NUMBERS:
        _no(f"the reply would have more than {NUMBERS:,} numbers; ask for fewer pictures or outputs")
    outputs = [
        {
            "name": output,
            "datatype": "FP32",
            "shape": list(arrays[output].shape),
            "data": arrays[output].ravel().tolist(),
        }
        for output in asked.outputs
    ]
    head = {"model_name": name, "model_version": version_of(engine)}
    return {**head, **({} if asked.id is None else {"id": asked.id}), "outputs": outputs}


def _no(why: str) -> NoReturn:
    raise Refused(400, why)
