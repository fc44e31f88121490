"""What decides a network: frozen, validated configurations, and the sizes of maps that follow from them (torch-free).

Sides are counted in places of a map (pixels for the picture itself); height and width follow the same formulas.
"""

import sys
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields
from functools import cached_property
from reprlib import repr as short
from typing import Any, Self

from nin.errors import UsageError

ACTIVATIONS = {  # name -> class of torch.nn
    "relu": "ReLU",  # the paper's choice, Lin et al. 2013, equation 2
    "gelu": "GELU",
    "silu": "SiLU",
    "identity": "Identity",  # shows what the non-linearity is worth: the whole layer collapses to one linear filter
}
DROPOUT_KINDS = ("inverted", "classic")
INITS = ("kaiming", "normal", "torch")
MIN_SIDE = 8  # pixels; below this two poolings leave a single place and nothing to average


def conv_side(side: int, kernel_size: int, stride: int, padding: int) -> int:
    """Side of the map after a convolution, in places; under 1 where the kernel does not fit."""
    return (side + 2 * padding - kernel_size) // stride + 1


def pool_side(side: int, size: int, stride: int, padding: int, ceil: bool) -> int:
    """Side of the map after pooling, in places; with `ceil` the last window may hang over the edge.

    Source: the author's definition files (outputsX=0 rounds up) and Caffe; a window must start inside the map.
    """
    span = side + 2 * padding - size
    if not ceil:
        return span // stride + 1
    out = -(-span // stride) + 1
    return out - 1 if (out - 1) * stride >= side + padding else out


@dataclass(frozen=True)
class BlockConfig:
    """One mlpconv layer and what follows it: pooling, then dropout. Raises UsageError for values no layer can have.

    `channels` are the widths (spatial, 1x1, 1x1, ...); `padding=None` means k // 2; `pool` is None, "max" or "avg";
    `dropout` is the probability of dropping a value; `init_std` the standard deviation of each layer's first weights.
    Source: the fields are those of the author's definition files.
    """

    channels: tuple[int, ...]
    kernel_size: int
    stride: int = 1
    padding: int | None = None
    groups: int = 1
    pool: str | None = None
    pool_size: int = 3
    pool_stride: int = 2
    pool_padding: int = 0
    pool_ceil: bool = True
    dropout: float = 0.0
    init_std: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.channels, tuple) or not self.channels:
            raise UsageError(f"channels is {short(self.channels)}; expected a tuple of widths such as (192, 160, 96)")
        for width in self.channels:
            expect_whole("channels", width, 1)
        for name in ("kernel_size", "stride", "groups", "pool_size", "pool_stride"):
            expect_whole(name, getattr(self, name), 1)
        expect_whole("padding", self.pad, 0)
        expect_whole("pool_padding", self.pool_padding, 0)
        _expect_bool("pool_ceil", self.pool_ceil)
        _expect_one_of("pool", self.pool, (None, "max", "avg"))
        if 2 * self.pool_padding > self.pool_size:
            raise UsageError(
                f"pool_padding is {self.pool_padding}; expected at most half of pool_size {self.pool_size}"
            )
        if not is_number(self.dropout) or not 0 <= self.dropout < 1:
            raise UsageError(f"dropout is {short(self.dropout)}; expected a probability of at least 0 and below 1")
        if self.init_std is not None:
            stds = self.init_std if isinstance(self.init_std, tuple) else ()
            if len(stds) != len(self.channels) or not all(is_number(std) and std > 0 for std in stds):
                raise UsageError(
                    f"init_std is {short(self.init_std)}; expected {len(self.channels)} positive numbers, one a layer"
                )

    @property
    def pad(self) -> int:
        """Zeros added on each side before the spatial convolution."""
        return self.kernel_size // 2 if self.padding is None else self.padding

    def conv_side(self, side: int) -> int:
        """Side of the map after the convolutions, before pooling."""
        return conv_side(side, self.kernel_size, self.stride, self.pad)

    def output_side(self, side: int) -> int:
        """Side of the map after the block; under 1 where something does not fit."""
        side = self.conv_side(side)
        if self.pool is None or side < 1:
            return side
        return pool_side(side, self.pool_size, self.pool_stride, self.pool_padding, self.pool_ceil)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `NINConfig.to_dict` for one block; unknown or missing keys raise UsageError."""
        return cls(**_arguments(cls, "a block of the network", values))


@dataclass(frozen=True)
class NINConfig:
    """Everything that decides a network: mlpconv blocks, then global average pooling.

    `last_activation` keeps the activation after the last 1x1 layer (the author does), `last_norm` its normalisation.
    `dropout_kind` is "inverted" or "classic" (see `Dropout`). `init` is "kaiming" (normal, fan in, last layer small),
    "normal" (each block's own `init_std`, biases 0, as the author) or "torch" (what `nn.Conv2d` does by itself).
    `mirror`: outside training the features are the mean of those of the picture and, turned back, of its mirror image:
    more accurate where left and right do not matter, at twice the work; maps and logits are means with them.
    Raises UsageError when the parts do not fit each other.
    """

    name: str
    blocks: tuple[BlockConfig, ...]
    num_classes: int
    in_channels: int = 3
    norm: str | None = None
    activation: str = "relu"
    last_activation: bool = False
    last_norm: bool = False
    dropout_kind: str = "inverted"
    init: str = "kaiming"
    mirror: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise UsageError(f"name is {short(self.name)}; expected the network's name")
        expect_whole("num_classes", self.num_classes, 1)
        expect_whole("in_channels", self.in_channels, 1)
        _expect_one_of("norm", self.norm, (None, "batch"))
        _expect_one_of("activation", self.activation, tuple(ACTIVATIONS))
        _expect_one_of("dropout_kind", self.dropout_kind, DROPOUT_KINDS)
        _expect_one_of("init", self.init, INITS)
        for name in ("last_activation", "last_norm", "mirror"):
            _expect_bool(name, getattr(self, name))
        if self.mirror and (self.last_activation or self.last_norm):
            raise UsageError("mirror needs a last 1x1 layer without activation and normalisation; take those off")
        if not isinstance(self.blocks, tuple) or not self.blocks:
            raise UsageError("blocks is empty; a network needs at least one mlpconv layer")
        last = self.blocks[-1]
        if len(last.channels) < 2 or last.pool is not None or last.dropout:
            raise UsageError("the last block feeds global average pooling: it ends in a 1x1 layer, no pool, no dropout")
        if last.channels[-1] != self.num_classes:
            raise UsageError(
                f"the last layer makes {last.channels[-1]} maps for {self.num_classes} classes; make them equal"
            )
        for number, (width, block) in enumerate(zip(self.block_inputs, self.blocks, strict=True), start=1):
            if width % block.groups or block.channels[0] % block.groups:
                raise UsageError(
                    f"groups of block {number} is {block.groups}; it must divide {width} and {block.channels[0]}"
                )
            if self.init == "normal" and block.init_std is None:
                raise UsageError(f"init is 'normal' but block {number} has no init_std; give it one or use 'kaiming'")

    @property
    def block_inputs(self) -> tuple[int, ...]:
        """Channels going into each block."""
        return (self.in_channels, *(block.channels[-1] for block in self.blocks[:-1]))

    @cached_property
    def min_side(self) -> int:
        """Shortest side of a picture the network can take, in pixels: MIN_SIDE, or more where its strides need more."""
        for side in range(MIN_SIDE, 4096):
            if self.output_side(side) >= 1:
                return side
        raise UsageError(f"the strides of {self.name} leave nothing of any picture under 4096 pixels; lower them")

    def output_side(self, side: int) -> int:
        """Side of the last maps for a picture of that side; under 1 where something does not fit."""
        for block in self.blocks:
            side = block.output_side(side)
            if side < 1:
                return 0
        return side

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries, lists, numbers and strings, ready for JSON."""
        return {**_plain(self), "blocks": [_plain(block) for block in self.blocks]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; unknown, missing or impossible values raise UsageError."""
        arguments = _arguments(cls, "the network", values)
        if not isinstance(arguments["blocks"], tuple):
            raise UsageError(f"blocks is {short(arguments['blocks'])}; expected a list of blocks")
        return cls(**{**arguments, "blocks": tuple(BlockConfig.from_dict(block) for block in arguments["blocks"])})


def expect_whole(name: str, value: object, least: int) -> None:
    """Raise UsageError unless the value is a whole number of at least `least`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UsageError(f"{name} is {short(value)}; expected a whole number of at least {least}")


def is_number(value: object) -> bool:
    """Whether the value is a real number that a float holds (truth values, NaN and infinity are not)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _expect_bool(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise UsageError(f"{name} is {short(value)}; expected true or false")


def _expect_one_of(name: str, value: object, allowed: tuple[str | None, ...]) -> None:
    if value not in allowed:
        raise UsageError(f"{name} is {short(value)}; expected {' or '.join(repr(each) for each in allowed)}")


def _arguments(cls: type[Any], what: str, values: object) -> dict[str, Any]:
    """Keyword arguments of a configuration class from a plain dictionary, its lists made tuples."""
    if not isinstance(values, Mapping):
        raise UsageError(f"{what} is {short(values)}; expected a table of settings")
    known: dict[str, Field[Any]] = {field.name: field for field in fields(cls)}
    for key in values:
        if key not in known:
            raise UsageError(f"{what} has the unknown setting {short(key)}; expected only {', '.join(known)}")
    for name, field in known.items():
        if name not in values and field.default is MISSING:
            raise UsageError(f"{what} lacks the setting {name!r}; expected {', '.join(known)}")
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}


def _plain(config: Any) -> dict[str, Any]:
    values = {field.name: getattr(config, field.name) for field in fields(config)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
