"""What a network costs and sees, layer by layer, and what other heads would cost: no weights, nothing computed.

Any network, not only ours: see `nin.network.walk`. All figures are for one picture.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import nn

from nin.errors import UsageError
from nin.network.architecture import NIN, NINConfig
from nin.network.config import expect_whole
from nin.network.form import to_form
from nin.network.walk import Layer, walk


@dataclass(frozen=True)
class Head:
    """What turns the features into logits, and what it costs: its name, parameters and multiply-accumulates."""

    name: str
    parameters: int
    macs: int


@dataclass(frozen=True)
class Anatomy:
    """A network's rows and totals for one input size (channels, height, width).

    `macs` of a network that also looks at the mirrored picture are those of both; the rows are those of one.
    `activation_bytes` is the sum over the rows, what training keeps at least; `peak_bytes` the largest input and
    output of one row, what inference needs at least. `receptive_field` and `jump`, in pixels, are those of the last
    maps, the class maps of a NIN. `pointwise_parameters` and `pointwise_macs` are the shares of the 1x1 layers, 0..1,
    `fc_parameters` and `fc_macs` those of the fully connected ones. `training_parameters` are not in `parameters`:
    only training uses them (auxiliary heads). `fc_alternatives`, of a NIN, begins with the head as it is, then fully
    connected heads on the same features. `normalisation` says in words what happens to a picture before the first
    layer, where a trained model is looked at. `network`, of a NIN, is its configuration in the form of a network file.
    """

    name: str
    input_size: tuple[int, int, int]
    layers: tuple[Layer, ...]
    parameters: int
    training_parameters: int
    macs: int
    activation_bytes: int
    peak_bytes: int
    receptive_field: int
    jump: int
    pointwise_parameters: float
    pointwise_macs: float
    fc_parameters: float
    fc_macs: float
    fc_alternatives: tuple[Head, ...]
    normalisation: str = ""
    network: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries, lists, numbers and strings, ready for JSON."""
        values = asdict(self)
        values["input_size"] = list(self.input_size)
        values["layers"] = [{**layer, "output": list(layer["output"])} for layer in values["layers"]]
        values["fc_alternatives"] = list(values["fc_alternatives"])
        return values


def anatomy(model: nn.Module | NINConfig, input_size: tuple[int, int, int] | None = None) -> Anatomy:
    """Rows, totals and the cost of other heads, for pictures of `input_size` (channels, height, width).

    None means 32x32 with the network's channels, for a NIN only. Raises UsageError for a size the network cannot take,
    or a network that does what `walk` cannot count. Source of the formulas: Lin et al. 2013, section 3; the counts
    agree with the author's definition files.
    """
    if isinstance(model, NINConfig):
        model = NIN(model, generator=torch.Generator())
    size = _size(model, input_size)
    network = to_form(model.config) if isinstance(model, NIN) else None
    views = 1
    if isinstance(model, NIN) and model.config.mirror:
        views = 2
        model = NIN(replace(model.config, mirror=False), generator=torch.Generator())
    layers, peak, field, jump = walk(model, size)
    parameters, macs = (sum(getattr(row, what) for row in layers) for what in ("parameters", "macs"))
    shares = {
        (kind, what): sum(getattr(row, what) for row in layers if row.kind == kind) / max(total, 1)
        for kind in ("1x1", "fc")
        for what, total in (("parameters", parameters), ("macs", macs))
    }
    return Anatomy(
        name=model.config.name if isinstance(model, NIN) else type(model).__name__,
        input_size=size,
        layers=layers,
        parameters=parameters,
        training_parameters=sum(weight.numel() for weight in model.parameters()) - parameters,
        macs=views * macs,
        activation_bytes=sum(row.activation_bytes for row in layers),
        peak_bytes=peak,
        receptive_field=field,
        jump=jump,
        pointwise_parameters=shares["1x1", "parameters"],
        pointwise_macs=shares["1x1", "macs"],
        fc_parameters=shares["fc", "parameters"],
        fc_macs=shares["fc", "macs"],
        fc_alternatives=_heads(model.config, layers) if isinstance(model, NIN) else (),
        network=network,
    )


def _size(model: nn.Module, size: tuple[int, int, int] | None) -> tuple[int, int, int]:
    if size is None and isinstance(model, NIN):
        return model.config.in_channels, 32, 32
    if size is None or len(size) != 3:
        raise UsageError(f"input_size is {size!r}; expected (channels, height, width)")
    for axis, side in zip(("channels", "height", "width"), size, strict=True):
        expect_whole(axis, side, model.min_side if isinstance(model, NIN) and axis != "channels" else 1)
    if isinstance(model, NIN) and size[0] != model.config.in_channels:
        raise UsageError(f"input_size has {size[0]} channels; {model.config.name} takes {model.config.in_channels}")
    return size


def _heads(config: NINConfig, layers: tuple[Layer, ...]) -> tuple[Head, ...]:
    """The 1x1 layer with global average pooling, and what fully connected layers on its input would cost."""
    last = layers[-2]  # before global average pooling
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
