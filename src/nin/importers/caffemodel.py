"""Caffe's binary weights (`.caffemodel`) and mean pictures (`.binaryproto`).

The reader knows the few fields that carry names and numbers and passes over the rest; it copies only numbers, and
every length is compared with the bytes that are there before anything is made of it. Fields (Caffe's public
caffe.proto): a net holds layers (100, or 2 in older files, where 1 in a layer holds one of the first format); a layer
its name (1, 4, 1) and blobs (7, 6, 50); a blob its numbers (5, or 8 in double precision) and its shape (7, or four
numbers 1 to 4).
"""

import math
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from nin.engine.protobuf import BYTES, VARINT, fields, varints
from nin.errors import ModelError, escape_name
from nin.importers.neutral import ConvWeights

NAME_AND_BLOBS = {"new": (1, 7), "old": (4, 6), "first": (1, 50)}  # fields of a layer in Caffe's three formats
MOST_LAYERS, MOST_BLOBS, MOST_SIDES, LONGEST_NAME = 2_000, 16, 8, 1_000


@dataclass(frozen=True)
class CaffeLayer:
    """A layer that holds numbers: its name and its blobs."""

    name: str
    blobs: tuple[Tensor, ...]


def is_mean_picture(data: bytes) -> bool:
    """Whether the bytes are one blob rather than a net: its first field is a number, not a name or a layer."""
    try:
        number, kind, _ = next(fields(memoryview(data), ""))
    except (ModelError, StopIteration):
        return False
    return (number, kind) in {(1, VARINT), (5, BYTES), (7, BYTES)}


def read_mean(data: bytes, what: str) -> Tensor:
    """The mean of every channel of a mean picture (1, C, H, W), in its own order and its own units (C)."""
    blob = _blob(memoryview(data), what)
    if blob.ndim not in (3, 4) or not blob.numel() or (blob.ndim == 4 and len(blob) != 1):
        raise ModelError(f"{what} holds numbers of shape {tuple(blob.shape)}; expected one mean picture (1, C, H, W)")
    return blob.reshape(blob.shape[-3], -1).mean(1)


def read_caffemodel(data: bytes, what: str) -> dict[str, CaffeLayer]:
    """Every layer that holds numbers, by its name. Raises ModelError for a damaged, foreign or ambiguous file."""
    layers: dict[str, CaffeLayer] = {}
    for number, kind, value in fields(memoryview(data), what):
        if number not in (100, 2) or kind != BYTES or not isinstance(value, memoryview):
            continue
        layer = _layer(value, "old" if number == 2 else "new", what)
        if not layer.blobs:
            continue
        if layer.name in layers:
            raise ModelError(f"{what} holds the layer {escape_name(layer.name)} twice; which one counts cannot be told")
        if len(layers) >= MOST_LAYERS:
            raise ModelError(f"{what} holds more than {MOST_LAYERS:,} layers; expected the weights of one network")
        layers[layer.name] = layer
    if not layers:
        raise ModelError(f"{what} holds no layer with weights; expected a .caffemodel of Caffe's binary format")
    return layers


def _layer(data: memoryview, form: str, what: str) -> CaffeLayer:
    name = ""
    blobs = []
    named, numbers = NAME_AND_BLOBS[form]
    for number, kind, value in fields(data, what):
        if kind != BYTES or not isinstance(value, memoryview):
            continue
        if form == "old" and number == 1:  # a layer of Caffe's first format inside one of its second
            return _layer(value, "first", what)
        if number == named:
            name = _text(value, what)
        elif number == numbers:
            blobs.append(_blob(value, what))
    if len(blobs) > MOST_BLOBS:
        raise ModelError(f"{what}: layer {escape_name(name)} holds {len(blobs)} blobs; expected at most {MOST_BLOBS}")
    return CaffeLayer(name, tuple(blobs))


def _text(data: memoryview, what: str) -> str:
    try:
        if len(data) <= LONGEST_NAME:
            return bytes(data).decode()
    except UnicodeDecodeError:
        pass
    raise ModelError(f"{what} has a layer whose name is not UTF-8 of at most {LONGEST_NAME:,} bytes; it is damaged")


def _blob(data: memoryview, what: str) -> Tensor:
    """A blob's numbers in its shape, float32; ModelError when shape and numbers do not belong together."""
    legacy: dict[int, int] = {}
    shape: list[int] | None = None
    singles = bytearray()
    doubles = bytearray()
    for number, kind, value in fields(data, what):
        if number in (1, 2, 3, 4) and isinstance(value, int):
            legacy[number] = value
        elif number == 7 and isinstance(value, memoryview) and kind == BYTES:
            shape = _shape(value, what)
        elif number in (5, 8) and isinstance(value, memoryview):
            (singles if number == 5 else doubles).extend(value)
    found = _numbers(doubles, torch.float64, what) if doubles else _numbers(singles, torch.float32, what)
    sides = [legacy.get(number, 0) for number in (1, 2, 3, 4)] if shape is None else shape
    if math.prod(sides) != found.numel():
        shown = "x".join(map(str, sides))[:60] or "one number"
        raise ModelError(f"{what} holds {found.numel():,} numbers for a shape of {shown}; it is damaged")
    return found.float().reshape(sides) if found.numel() else found


def _shape(data: memoryview, what: str) -> list[int]:
    sides: list[int] = []
    for number, kind, value in fields(data, what):
        if number == 1 and isinstance(value, int):
            sides.append(value)
        elif number == 1 and kind == BYTES and isinstance(value, memoryview):
            sides += islice(varints(value, what), MOST_SIDES + 1)
    if len(sides) > MOST_SIDES:
        raise ModelError(f"{what} holds numbers of more than {MOST_SIDES} dimensions; expected weights of convolutions")
    return sides


def _numbers(data: bytearray, dtype: torch.dtype, what: str) -> Tensor:
    if len(data) % dtype.itemsize:
        raise ModelError(f"{what} holds {len(data):,} bytes of numbers of {dtype.itemsize} bytes each; it is damaged")
    return torch.frombuffer(data, dtype=dtype) if data else torch.empty(0)


def read_convolutions(layers: dict[str, CaffeLayer], names: tuple[str, ...], what: str) -> list[ConvWeights]:
    """The weights of the convolutions `names`, in that order. Raises ModelError for one that is not there."""
    found = []
    for name in names:
        layer = layers.get(name)
        if layer is None:
            known = ", ".join(map(escape_name, list(layers)[:12]))
            raise ModelError(f"{what} has no weights for layer {escape_name(name)}; it has those of {known}"[:300])
        weight, *bias = layer.blobs
        if len(bias) > 1:
            raise ModelError(
                f"{what}: layer {escape_name(name)} holds {len(layer.blobs)} blobs; expected weights and bias"
            )
        found.append(ConvWeights(f"{what}: {name}", weight, bias[0].reshape(-1) if bias else None))
    return found
