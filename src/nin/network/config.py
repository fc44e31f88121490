"""What decides a network: frozen, validated configurations, and the sizes of maps that follow from them (torch-free).

Sides are counted in places of a map (pixels for the picture itself); height and width follow the same formulas.
"""

import difflib
import sys
from collections.abc import Iterable, Mapping
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
LARGEST = 2**31 - 1  # of any whole number here: what torch's kernels count with
MIN_SIDE = 8  # pixels; below this two poolings leave a single place and nothing to average


class SettingError(UsageError):
    """A setting that no network can have; `keys` lead to it: ("blocks", 2, "groups") are those of the third block."""

    def __init__(self, text: object = "", *keys: str | int) -> None:
        super().__init__(text)
        self.keys = keys


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
    """One mlpconv layer and what follows it: pooling, then dropout. Raises SettingError for values no layer can have.

    Source: the fields are those of the author's definition files.
    """

    channels: tuple[int, ...]
    """Widths of the layers: the spatial convolution's, then those of the 1x1 layers."""
    kernel_size: int
    """Side of the spatial convolution's filters, in places."""
    stride: int = 1
    """Places from one position of the filters to the next."""
    padding: int | None = None
    """Zeros added on each side; by default half of kernel_size, rounded down."""
    groups: int = 1
    """Parts that the spatial convolution is divided into; each reads its own part of the maps."""
    pool: str | None = None
    """What follows the layers: max or avg pooling; by default none."""
    pool_size: int = 3
    """Side of the pooling windows, in places."""
    pool_stride: int = 2
    """Places from one window to the next."""
    pool_padding: int = 0
    """Places added on each side before pooling."""
    pool_ceil: bool = True
    """Whether the last window may hang over the edge."""
    dropout: float = 0.0
    """Probability of dropping a value after the block."""
    init_std: tuple[float, ...] | None = None
    """Standard deviation of each layer's first weights, for init normal."""

    def __post_init__(self) -> None:
        _as_tuples(self, "channels", "init_std")
        if not isinstance(self.channels, tuple) or not self.channels:
            raise SettingError(
                f"channels is {_shown(self.channels)}; expected a list of widths such as [192, 160, 96]", "channels"
            )
        for index, width in enumerate(self.channels):
            expect_whole("channels", width, 1, index)
        for name in ("kernel_size", "stride", "groups", "pool_size", "pool_stride"):
            expect_whole(name, getattr(self, name), 1)
        expect_whole("padding", self.pad, 0)
        expect_whole("pool_padding", self.pool_padding, 0)
        _expect_bool("pool_ceil", self.pool_ceil)
        _expect_one_of("pool", self.pool, (None, "max", "avg"))
        if 2 * self.pool_padding > self.pool_size:
            raise SettingError(
                f"pool_padding is {self.pool_padding}; expected at most half of pool_size {self.pool_size}",
                "pool_padding",
            )
        if not is_number(self.dropout) or not 0 <= self.dropout < 1:
            wanted = "expected a probability of at least 0 and below 1"
            raise SettingError(f"dropout is {_shown(self.dropout)}; {wanted}", "dropout")
        if self.init_std is not None:
            stds = self.init_std if isinstance(self.init_std, tuple) else ()
            if len(stds) != len(self.channels) or not all(is_number(std) and std > 0 for std in stds):
                wanted = f"expected {len(self.channels)} positive numbers, one a layer"
                raise SettingError(f"init_std is {_shown(self.init_std)}; {wanted}", "init_std")

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
        """The inverse of `NINConfig.to_dict` for one block; unknown or missing keys raise SettingError."""
        return cls(**_arguments(cls, "a block of the network", values))


@dataclass(frozen=True)
class NINConfig:
    """Everything that decides a network: mlpconv blocks, then global average pooling.

    With `mirror`, outside training, the features are the mean of those of the picture and, turned back, of its mirror
    image; maps and logits are means with them. Raises SettingError when the parts do not fit each other.
    """

    name: str
    """What the network is called."""
    blocks: tuple[BlockConfig, ...]
    """The mlpconv blocks in order; the last makes one map for each class."""
    num_classes: int
    """How many classes it tells apart."""
    in_channels: int = 3
    """Channels of the pictures: 1 (grey), 3 (RGB) or 4 (RGBA)."""
    norm: str | None = None
    """batch for batch normalisation after each layer; by default none."""
    activation: str = "relu"
    """What follows each layer: relu, gelu, silu or identity."""
    last_activation: bool = False
    """Whether the activation follows the last 1x1 layer, too, as the author has it."""
    last_norm: bool = False
    """Whether the normalisation follows the last 1x1 layer, too."""
    dropout_kind: str = "inverted"
    """inverted (PyTorch, Caffe) or classic (the author's cuda-convnet)."""
    init: str = "kaiming"
    """First weights: kaiming (the last layer's small), normal (each block's init_std) or torch (as nn.Conv2d)."""
    mirror: bool = False
    """Answer with the mean of a picture and its mirror image: more accurate, twice the work in use."""

    def __post_init__(self) -> None:
        _as_tuples(self, "blocks")
        if not isinstance(self.name, str) or not self.name:
            raise SettingError(f"name is {_shown(self.name)}; expected the network's name", "name")
        expect_whole("num_classes", self.num_classes, 1)
        expect_whole("in_channels", self.in_channels, 1)
        _expect_one_of("norm", self.norm, (None, "batch"))
        _expect_one_of("activation", self.activation, tuple(ACTIVATIONS))
        _expect_one_of("dropout_kind", self.dropout_kind, DROPOUT_KINDS)
        _expect_one_of("init", self.init, INITS)
        for name in ("last_activation", "last_norm", "mirror"):
            _expect_bool(name, getattr(self, name))
        if self.mirror and (self.last_activation or self.last_norm):
            text = "mirror needs a last 1x1 layer without activation and normalisation; take those off"
            raise SettingError(text, "mirror")
        if not isinstance(self.blocks, tuple) or not self.blocks:
            raise SettingError("blocks is empty; a network needs at least one mlpconv layer", "blocks")
        self._expect_last(self.blocks[-1])
        for index, (width, block) in enumerate(zip(self.block_inputs, self.blocks, strict=True)):
            if width % block.groups or block.channels[0] % block.groups:
                text = f"groups of block {index + 1} is {block.groups}; it must divide {width} and {block.channels[0]}"
                raise SettingError(text, "blocks", index, "groups")
            if self.init == "normal" and block.init_std is None:
                text = f"init is 'normal' but block {index + 1} has no init_std; give it one or use 'kaiming'"
                raise SettingError(text, "blocks", index, "init_std")

    def _expect_last(self, last: BlockConfig) -> None:
        """Raise SettingError unless the last block makes one map for each class and leaves it as it is."""
        at = len(self.blocks) - 1
        wrong = {"channels": len(last.channels) < 2, "pool": last.pool is not None, "dropout": last.dropout != 0}
        for name in (name for name, found in wrong.items() if found):
            text = "the last block feeds global average pooling: it ends in a 1x1 layer, no pool, no dropout"
            text += "; give it one more width before the last" if name == "channels" else f"; leave {name} out"
            raise SettingError(text, "blocks", at, name)
        if last.channels[-1] != self.num_classes:
            text = f"the last layer makes {last.channels[-1]} maps for {self.num_classes} classes; make them equal"
            raise SettingError(text, "blocks", at, "channels", len(last.channels) - 1)

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
        raise SettingError(
            f"the strides of {self.name} leave nothing of any picture under 4096 pixels; lower them",
            *("blocks", self.blocks_left(4096)),
        )

    def output_side(self, side: int) -> int:
        """Side of the last maps for a picture of that side; under 1 where something does not fit."""
        for block in self.blocks:
            side = block.output_side(side)
            if side < 1:
                return 0
        return side

    def blocks_left(self, side: int) -> int:
        """Blocks whose maps still have a place for a picture of that side; the next one leaves nothing of it."""
        for index, block in enumerate(self.blocks):
            side = block.output_side(side)
            if side < 1:
                return index
        return len(self.blocks)

    @property
    def block_weights(self) -> tuple[int, ...]:
        """Weights of each block's convolutions, without biases and normalisations; by arithmetic alone."""
        found = []
        for width, block in zip(self.block_inputs, self.blocks, strict=True):
            first = block.kernel_size**2 * (width // block.groups) * block.channels[0]
            found.append(first + sum(a * b for a, b in zip(block.channels[:-1], block.channels[1:], strict=True)))
        return tuple(found)

    def map_bytes(self, side: int) -> int:
        """Bytes of all maps of one picture in float32, before poolings; by arithmetic alone, whatever the sizes are."""
        total = 0
        for block in self.blocks:
            total += 4 * sum(block.channels) * max(0, block.conv_side(side)) ** 2
            side = block.output_side(side)
        return total

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries, lists, numbers and strings, ready for JSON."""
        return {**_plain(self), "blocks": [_plain(block) for block in self.blocks]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; unknown, missing or impossible values raise SettingError."""
        arguments = _arguments(cls, "the network", values)
        if not isinstance(arguments["blocks"], tuple):
            raise SettingError(f"blocks is {_shown(arguments['blocks'])}; expected a list of blocks", "blocks")
        blocks = []
        for index, block in enumerate(arguments["blocks"]):
            try:
                blocks.append(BlockConfig.from_dict(block))
            except SettingError as error:
                raise SettingError(error, "blocks", index, *error.keys) from None
        return cls(**{**arguments, "blocks": tuple(blocks)})


def expect_whole(name: str, value: object, least: int, *where: int) -> None:
    """Raise SettingError unless the value is a whole number of at least `least`; where: which of several it is."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise SettingError(f"{name} is {_shown(value)}; expected a whole number of at least {least}", name, *where)
    if value > LARGEST:
        raise SettingError(f"{name} is {_shown(value)}; expected a whole number of at most {LARGEST}", name, *where)


def is_number(value: object) -> bool:
    """Whether the value is a real number that a float holds (truth values, NaN and infinity are not)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _expect_bool(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise SettingError(f"{name} is {_shown(value)}; expected true or false", name)


def _expect_one_of(name: str, value: object, allowed: tuple[str | None, ...]) -> None:
    if value not in allowed:
        names = " or ".join(repr(each) for each in allowed if each is not None)
        more = ", or leave it out" if None in allowed else ""
        raise SettingError(f"{name} is {_shown(value)}; expected {names}{more}", name)


def _shown(value: object) -> str:
    """A wrong value on one line, a tuple as the list that files have in its place."""
    return short(list(value) if isinstance(value, tuple) else value)


def _as_tuples(config: Any, *names: str) -> None:
    """Make lists of a frozen configuration tuples."""
    for name in names:
        if isinstance(value := getattr(config, name), list):
            object.__setattr__(config, name, tuple(value))


def expect_known(what: str, values: Iterable[str], known: Iterable[str]) -> None:
    """Raise SettingError for the first of `values` that is not among the known settings."""
    names = list(known)
    for key in values:
        if key not in names:
            near = difflib.get_close_matches(str(key), names, n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            text = f"{what} has the unknown setting {short(key)}; expected only {', '.join(names)}{meant}"
            raise SettingError(text, key)


def _arguments(cls: type[Any], what: str, values: object) -> dict[str, Any]:
    """Keyword arguments of a configuration class from a plain dictionary, its lists made tuples."""
    if not isinstance(values, Mapping):
        raise SettingError(f"{what} is {_shown(values)}; expected a table of settings")
    known: dict[str, Field[Any]] = {field.name: field for field in fields(cls)}
    expect_known(what, values, known)
    for name, field in known.items():
        if name not in values and field.default is MISSING:
            raise SettingError(f"{what} lacks the setting {name!r}; expected {', '.join(known)}")
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}


def _plain(config: Any) -> dict[str, Any]:
    values = {field.name: getattr(config, field.name) for field in fields(config)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
