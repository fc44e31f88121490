"""What a network costs and sees, layer by layer, from its configuration alone: no weights, no forward pass.

Formulas: parameters k*k*C/groups*C' + C'; multiply-accumulates (MACs) k*k*C/groups*C'*h*w; a receptive field grows by
(k - 1) * jump and the jump is multiplied by the stride. All figures are for one picture.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

from nin.errors import UsageError
from nin.network.architecture import NIN, BlockConfig, NINConfig
from nin.network.config import expect_whole, pool_side

FLOAT32 = 4  # bytes


@dataclass(frozen=True)
class Layer:
    """One row: a convolution (its normalisation folded in), a pooling, or global average pooling.

    `name` is the module's path in the network; `kind` is "conv", "1x1", "max pool", "avg pool" or "gap".
    `output` is (channels, height, width); `parameters` includes the two trained values a channel of batch
    normalisation; `macs` are multiply-accumulates; `activation_bytes` is the output in float32; `receptive_field` and
    `jump` (distance between neighbours) are pixels of the picture. `kernel` is the longer side for "gap".
    """

    name: str
    kind: str
    kernel: int
    stride: int
    padding: int
    output: tuple[int, int, int]
    parameters: int
    macs: int
    activation_bytes: int
    receptive_field: int
    jump: int


@dataclass(frozen=True)
class Head:
    """What turns the features into logits, and what it costs: its name, parameters and multiply-accumulates."""

    name: str
    parameters: int
    macs: int


@dataclass(frozen=True)
class Anatomy:
    """A network's rows and totals for one input size (channels, height, width).

    `activation_bytes` is the sum over the rows, what training keeps at least; `peak_bytes` the largest input and
    output of one row, what inference needs at least. `receptive_field` and `jump` are those of the class maps, in
    pixels. `pointwise_parameters` and `pointwise_macs` are the shares of the 1x1 layers, 0..1. `fc_alternatives`
    begins with the head as it is, then fully connected heads on the same features. `normalisation` says in words what
    happens to a picture before the first layer, where a trained model is looked at.
    """

    name: str
    input_size: tuple[int, int, int]
    layers: tuple[Layer, ...]
    parameters: int
    macs: int
    activation_bytes: int
    peak_bytes: int
    receptive_field: int
    jump: int
    pointwise_parameters: float
    pointwise_macs: float
    fc_alternatives: tuple[Head, ...]
    normalisation: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries, lists, numbers and strings, ready for JSON."""
        values = asdict(self)
        values["input_size"] = list(self.input_size)
        values["layers"] = [{**layer, "output": list(layer["output"])} for layer in values["layers"]]
        values["fc_alternatives"] = list(values["fc_alternatives"])
        return values


def anatomy(model: NIN | NINConfig, input_size: tuple[int, int, int] | None = None) -> Anatomy:
    """Rows, totals and the cost of other heads, for pictures of `input_size` (channels, height, width).

    None means 32x32 with the network's channels. Raises UsageError for a size the network cannot take.
    Source of the formulas: Lin et al. 2013, section 3; the counts agree with the author's definition files.
    """
    config = model.config if isinstance(model, NIN) else model
    size = input_size or (config.in_channels, 32, 32)
    if len(size) != 3:
        raise UsageError(f"input_size is {size!r}; expected (channels, height, width)")
    for axis, side in zip(("height", "width"), size[1:], strict=True):
        expect_whole(axis, side, config.min_side)
    if size[0] != config.in_channels:
        raise UsageError(f"input_size has {size[0]} channels; {config.name} takes {config.in_channels}")
    layers = tuple(_rows(config, size))
    convolutions = [layer for layer in layers if layer.kind in ("conv", "1x1")]
    parameters, macs = sum(row.parameters for row in layers), sum(row.macs for row in layers)
    sizes = [FLOAT32 * size[0] * size[1] * size[2], *(row.activation_bytes for row in layers)]
    return Anatomy(
        name=config.name,
        input_size=size,
        layers=layers,
        parameters=parameters,
        macs=macs,
        activation_bytes=sum(sizes[1:]),
        peak_bytes=max(before + after for before, after in pairwise(sizes)),
        receptive_field=convolutions[-1].receptive_field,
        jump=convolutions[-1].jump,
        pointwise_parameters=sum(row.parameters for row in layers if row.kind == "1x1") / parameters,
        pointwise_macs=sum(row.macs for row in layers if row.kind == "1x1") / macs,
        fc_alternatives=_heads(config, convolutions[-1]),
    )


def _rows(config: NINConfig, size: tuple[int, int, int]) -> Iterator[Layer]:
    row = Layer("input", "input", 1, 1, 0, size, 0, 0, 0, receptive_field=1, jump=1)
    for number, block in enumerate(config.blocks):
        last = number == len(config.blocks) - 1
        for index, width in enumerate(block.channels):
            normed = config.norm is not None and (config.last_norm or not last or index < len(block.channels) - 1)
            row = _convolution(row, number, block, index, width, normed)
            yield row
        if block.pool is not None:
            row = _pooling(row, number, block)
            yield row
    channels, height, width = row.output
    kernel = max(height, width)
    yield replace(
        row,
        name="gap",
        kind="gap",
        kernel=kernel,
        output=(channels, 1, 1),
        parameters=0,
        macs=0,
        activation_bytes=FLOAT32 * channels,
        receptive_field=row.receptive_field + (kernel - 1) * row.jump,
    )


def _convolution(before: Layer, number: int, block: BlockConfig, index: int, width: int, normed: bool) -> Layer:
    channels, height, breadth = before.output
    kernel, stride, padding, groups = 1, 1, 0, 1
    if index == 0:
        kernel, stride, padding, groups = block.kernel_size, block.stride, block.pad, block.groups
        height, breadth = block.conv_side(height), block.conv_side(breadth)
    weights = kernel * kernel * channels // groups * width
    return Layer(
        name=f"blocks.{number}.spatial" if index == 0 else f"blocks.{number}.pointwise.{index - 1}",
        kind="conv" if index == 0 else "1x1",
        kernel=kernel,
        stride=stride,
        padding=padding,
        output=(width, height, breadth),
        parameters=weights + (2 * width if normed else width),
        macs=weights * height * breadth,
        activation_bytes=FLOAT32 * width * height * breadth,
        receptive_field=before.receptive_field + (kernel - 1) * before.jump,
        jump=before.jump * stride,
    )


def _pooling(before: Layer, number: int, block: BlockConfig) -> Layer:
    channels, *sides = before.output
    geometry = block.pool_size, block.pool_stride, block.pool_padding, block.pool_ceil
    height, width = (pool_side(side, *geometry) for side in sides)
    return Layer(
        name=f"pools.{number}",
        kind=f"{block.pool} pool",
        kernel=block.pool_size,
        stride=block.pool_stride,
        padding=block.pool_padding,
        output=(channels, height, width),
        parameters=0,
        macs=0,
        activation_bytes=FLOAT32 * channels * height * width,
        receptive_field=before.receptive_field + (block.pool_size - 1) * before.jump,
        jump=before.jump * block.pool_stride,
    )


def _heads(config: NINConfig, last: Layer) -> tuple[Head, ...]:
    """The 1x1 layer with global average pooling, and what fully connected layers on its input would cost."""
    classes, height, width = last.output
    features = config.blocks[-1].channels[-2] * height * width
    hidden = 1000  # ours: a hidden layer in the manner of the classic networks, smaller than their 4,096
    return (
        Head("1x1 + global average pooling", last.parameters, last.macs),
        Head(f"flatten {features} -> {classes}", features * classes + classes, features * classes),
        Head(
            f"flatten {features} -> {hidden} -> {classes}",
            features * hidden + hidden + hidden * classes + classes,
            features * hidden + hidden * classes,
        ),
    )
