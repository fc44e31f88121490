"""Foreign networks in neutral words (layers in a row, inputs, weights), and the networks that they become here.

The readers of definition files and of weights put a network into these words; this module makes a network of ours of
them, or says in one line why there is none. Shapes: O maps going out, I coming in, (k, k) places of a filter.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import torch
from torch import Tensor

from nin.errors import ModelError, UsageError, escape_name
from nin.network.author_networks import author_cifar10, author_cifar100, author_imagenet, author_mnist, author_svhn
from nin.network.config import BlockConfig, NINConfig

MOST_LAYERS = 200  # of a network
MOST_MAPS = 16_384  # of a layer
MOST_PLACES = 255  # on the side of a filter
MOST_PIXELS = 1024  # side of a picture that is looked for when a definition does not tell it
NORM_EPS = 1e-5  # of torch.nn.BatchNorm2d, which our networks are built of
WHITENED = "global contrast normalisation and ZCA whitening"
LOCAL = "local contrast normalisation"
PREPARED = {  # how the author prepared pictures; source: Lin et al. 2013, sections 4.2 to 4.4
    "nin-author-cifar10": WHITENED,
    "nin-author-cifar100": WHITENED,
    "nin-author-svhn": LOCAL,
}
FIRST = "blocks.0.spatial.weight"  # what reads the picture
THREE_BLOCKS: tuple[Callable[..., NINConfig], ...] = (author_cifar10, author_cifar100, author_svhn, author_mnist)
DROPOUT_WORDS = {
    "classic": "classic: training only masks, testing multiplies by 1 - p",
    "inverted": "inverted: training masks and divides by 1 - p, testing does nothing",
}


@dataclass(frozen=True)
class ForeignLayer:
    """One layer of a foreign network: "conv", "relu", "max" or "avg" pooling, or "dropout".

    `at` says where it stands, for messages ("net_def:12"). width: maps a convolution makes; reads: maps it says it
    reads, if it does; std: standard deviation of its first weights, None where they are drawn otherwise; whole: the
    pooling takes the whole map; drop: probability of dropping a value. Poolings round the size of their output up.
    """

    kind: str
    name: str
    at: str
    width: int = 0
    reads: int | None = None
    kernel: int = 1
    stride: int = 1
    padding: int = 0
    groups: int = 1
    std: float | None = None
    whole: bool = False
    drop: float = 0.0

    def __str__(self) -> str:
        return f"{self.at}: layer {escape_name(self.name)}"

    @property
    def pointwise(self) -> bool:
        """Whether it can be a 1x1 layer of an mlpconv layer that has begun."""
        return (self.kernel, self.stride, self.padding, self.groups) == (1, 1, 0, 1)


@dataclass(frozen=True)
class DefinitionLine:
    """One line of a translation: where it stands, what it says there, what it is here."""

    at: str
    theirs: str
    ours: str


@dataclass(frozen=True)
class ForeignInput:
    """What a foreign network expects: (x / 255 - mean) / std for RGB values x of 0 to 255; None where nothing tells.

    bgr: the weights read blue, green, red. mean_file: a mean picture that has to be subtracted. cropped: the side is
    that of a crop from the middle of larger pictures. odd: how pictures were prepared that (x / 255 - mean) / std
    cannot do, in words.
    """

    side: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    bgr: bool = False
    mean_file: str | None = None
    cropped: bool = False
    odd: str = ""


@dataclass(frozen=True)
class ForeignNet:
    """A foreign network understood: ours, the name it gives each convolution, and the translation line by line.

    training: how it was trained, in its files' own words. doubts: what is only supposed of it, and how a user can say
    otherwise; supposed: whether whose it is, is.
    """

    source: str
    config: NINConfig
    names: tuple[str, ...]
    lines: tuple[DefinitionLine, ...]
    input: ForeignInput
    training: str = ""
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    supposed: bool = False


@dataclass(frozen=True)
class ConvWeights:
    """The weights of a convolution (O, I, k, k), its bias (O) if any, and of the batch normalisation after it.

    norm: weight, bias, running mean and running variance, (O) each; eps: what it adds to the variance.
    """

    name: str
    weight: Tensor
    bias: Tensor | None = None
    norm: tuple[Tensor, Tensor, Tensor, Tensor] | None = None
    eps: float = NORM_EPS


@dataclass
class _Block:
    """A block as it is read: convolutions, how many of them have their ReLU, what follows."""

    convs: list[ForeignLayer] = field(default_factory=list)
    activated: int = 0
    pool: ForeignLayer | None = None
    drop: float = 0.0


def assemble(
    layers: Sequence[ForeignLayer], *, name: str, in_channels: int, side: int | None, dropout_kind: str
) -> tuple[NINConfig, int | None]:
    """A network of ours that computes the same as `layers`, and the side of its pictures in pixels.

    The last layer has to be an average over the whole map; where `side` is None it is the least side that makes it one
    (None if any does). Raises ModelError in one line that names the first layer for which there is no place.
    """
    if not layers:
        raise ModelError("the definition holds no layer that computes anything; expected convolutions and poolings")
    if len(layers) > MOST_LAYERS:
        raise ModelError(f"the definition holds {len(layers)} layers; expected at most {MOST_LAYERS}")
    blocks: list[_Block] = []
    for layer in layers:
        _add(layer, blocks, in_channels)
    gap = blocks[-1].pool
    if gap is None or gap.kind != "avg" or blocks[-1].drop:
        raise ModelError(f"{layers[-1]} is the last one; expected an average pooling over the whole map of each class")
    blocks[-1].pool = None
    whole = next((block.pool for block in blocks if block.pool and block.pool.whole), None)
    if whole is not None:
        raise ModelError(f"{whole} takes in the whole map before the last layer; expected that only at the end")
    _expect_activations(blocks)
    known = [conv.std for block in blocks for conv in block.convs]
    last = blocks[-1]
    try:
        config = NINConfig(
            name,
            tuple(_block(block, None not in known) for block in blocks),
            last.convs[-1].width,
            in_channels,
            last_activation=last.activated == len(last.convs),
            dropout_kind=dropout_kind,
            init="kaiming" if None in known else "normal",
        )
        return recognise(config), _side(config, gap, side)
    except UsageError as error:
        raise ModelError(f"{gap.at.partition(':')[0]} makes no network of this package ({error})") from error


def _add(layer: ForeignLayer, blocks: list[_Block], in_channels: int) -> None:
    """Put one more layer behind the others, where there is a place for it."""
    for what, value, least in (("size", layer.kernel, 1), ("stride", layer.stride, 1), ("padding", layer.padding, 0)):
        if not least <= value <= MOST_PLACES:
            raise ModelError(f"{layer} has the {what} {value}; expected {least} to {MOST_PLACES}")
    if layer.padding >= layer.kernel:
        raise ModelError(f"{layer} pads by {layer.padding}; expected less than its size, {layer.kernel}")
    if layer.kind == "conv":
        width = blocks[-1].convs[-1].width if blocks else in_channels
        if not 1 <= layer.width <= MOST_MAPS:
            raise ModelError(f"{layer} makes {layer.width} maps; expected 1 to {MOST_MAPS:,}")
        if layer.reads not in (None, width):
            raise ModelError(f"{layer} reads {layer.reads} maps and the layer before it makes {width}; make them equal")
        if not blocks or blocks[-1].pool or blocks[-1].drop or not layer.pointwise:
            blocks.append(_Block())
        blocks[-1].convs.append(layer)
    elif not blocks:
        raise ModelError(f"{layer} comes before the first convolution; expected a convolution")
    elif layer.kind == "relu":
        block = blocks[-1]
        if block.pool is not None and block.pool.kind == "avg" and block.activated < len(block.convs):
            raise ModelError(f"{layer} comes after average pooling; here it can only come before it")
        block.activated = len(block.convs) if block.activated >= len(block.convs) - 1 else block.activated
    elif layer.kind == "dropout":
        if blocks[-1].drop:
            raise ModelError(f"{layer} drops a second time; expected one dropout after a pooling")
        blocks[-1].drop = layer.drop
    else:
        if blocks[-1].pool or blocks[-1].drop:
            raise ModelError(f"{layer} pools after pooling or dropout; here a pooling comes right after convolutions")
        if layer.stride > layer.kernel and not layer.whole:
            raise ModelError(f"{layer} leaves out places between its windows; expected a stride of at most its size")
        blocks[-1].pool = layer


def _expect_activations(blocks: Sequence[_Block]) -> None:
    """Every convolution but the last has its ReLU: two in a row would be one linear layer."""
    for block in blocks:
        if block.activated < len(block.convs) - (block is blocks[-1]):
            raise ModelError(
                f"{block.convs[block.activated]} has no ReLU after it; expected one after every convolution"
            )


def _block(block: _Block, known: bool) -> BlockConfig:
    spatial = block.convs[0]
    pool = block.pool
    config = BlockConfig(
        tuple(conv.width for conv in block.convs),
        spatial.kernel,
        stride=spatial.stride,
        padding=None if spatial.padding == spatial.kernel // 2 else spatial.padding,
        groups=spatial.groups,
        dropout=block.drop,
        init_std=tuple(conv.std or 0.0 for conv in block.convs) if known else None,
    )
    if pool is None:
        return config
    return replace(config, pool=pool.kind, pool_size=pool.kernel, pool_stride=pool.stride, pool_padding=pool.padding)


def _side(config: NINConfig, gap: ForeignLayer, side: int | None) -> int | None:
    """The side of the pictures for which `gap` takes in the whole map; ModelError where there is none."""
    if gap.whole:
        return side
    if gap.padding:
        raise ModelError(f"{gap} pads the last maps; expected an average over the whole map and nothing else")
    if side is None:
        sides = range(config.min_side, MOST_PIXELS + 1)
        side = next((pixels for pixels in sides if config.output_side(pixels) == gap.kernel), None)
        if side is None:
            raise ModelError(f"{gap} averages {gap.kernel}x{gap.kernel} places; no picture gives maps of that size")
    elif config.output_side(side) != gap.kernel:
        found = config.output_side(side)
        raise ModelError(
            f"{gap} averages {gap.kernel}x{gap.kernel} places, and pictures of {side}x{side} give maps of "
            f"{found}x{found}; expected an average over the whole map"
        )
    return side


def recognise(config: NINConfig) -> NINConfig:
    """`config` under the name of the author's network where it is one, in any released variant; else unchanged."""
    for theirs in _authors(config):
        if replace(config, name=theirs.name) == replace(theirs, blocks=_as_drawn(theirs, config)):
            return replace(config, name=theirs.name)
    return config


def _authors(config: NINConfig) -> Iterator[NINConfig]:
    """The author's networks for as many classes and channels as `config` has, in all released variants."""
    sizes = config.num_classes, config.in_channels
    for kind in DROPOUT_WORDS:
        for author in sorted(THREE_BLOCKS, key=lambda author: author().num_classes != config.num_classes):
            for pool in ("max", "avg"):
                yield author(*sizes, pool2=pool, dropout_kind=kind, init=config.init)
        yield author_imagenet(*sizes, dropout_kind=kind, init=config.init)


def _as_drawn(theirs: NINConfig, config: NINConfig) -> tuple[BlockConfig, ...]:
    """The blocks of `theirs`, without their standard deviations where `config` is drawn otherwise."""
    return theirs.blocks if config.init == "normal" else tuple(replace(b, init_std=None) for b in theirs.blocks)


def convolution_paths(config: NINConfig) -> tuple[str, ...]:
    """Our name of every convolution in order: "blocks.0.spatial", "blocks.0.pointwise.0" and so on."""
    return tuple(
        f"blocks.{number}.spatial" if index == 0 else f"blocks.{number}.pointwise.{index - 1}"
        for number, block in enumerate(config.blocks)
        for index in range(len(block.channels))
    )


def network_lines(config: NINConfig, layers: Sequence[ForeignLayer]) -> tuple[DefinitionLine, ...]:
    """The translation of every layer that computes something."""
    paths = iter(convolution_paths(config))
    gap = max(number for number, layer in enumerate(layers) if layer.kind == "avg")
    lines = []
    block = 0
    for number, layer in enumerate(layers):
        if layer.kind == "conv":
            ours = next(paths)
            block = int(ours.split(".")[1])
        elif layer.kind == "relu":
            ours = config.activation
        elif layer.kind == "dropout":
            ours = f"dropouts.{block}, p {layer.drop:g}, {DROPOUT_WORDS[config.dropout_kind]}"
        elif number == gap:
            ours = "gap, global average pooling"
        else:
            ours = f"pools.{block}, {layer.kind}, its size rounded up"
        lines.append(DefinitionLine(layer.at, f"{escape_name(layer.name)}: {_words(layer)}", ours))
    return tuple(lines)


def _words(layer: ForeignLayer) -> str:
    if layer.kind in ("relu", "dropout"):
        return layer.kind
    size = "whole map" if layer.whole else f"{layer.kernel}x{layer.kernel}/{layer.stride}"
    pad = f" pad {layer.padding}" if layer.padding else ""
    groups = f" in {layer.groups} groups" if layer.groups > 1 else ""
    initial = "" if layer.std is None else f", first weights N(0, {layer.std:g})"
    return f"{layer.kind} {size}{pad}{groups}" + (f", {layer.width} maps{initial}" if layer.kind == "conv" else "")


def weights_for(config: NINConfig, given: Sequence[ConvWeights]) -> dict[str, Tensor]:
    """The state of a network of ours, float32, from the weights of every convolution in order.

    A bias before a batch normalisation becomes part of its running mean, another eps part of its running variance;
    a convolution without a bias gets one of zeros where ours has one. Raises ModelError for the first that does not
    fit in shape.
    """
    shapes = [
        (width, reads // block.groups, block.kernel_size, block.kernel_size) if index == 0 else (width, before, 1, 1)
        for reads, block in zip(config.block_inputs, config.blocks, strict=True)
        for index, (before, width) in enumerate(pairwise((reads, *block.channels)))
    ]
    state: dict[str, Tensor] = {}
    for path, shape, conv in zip(convolution_paths(config), shapes, given, strict=True):
        _expect_shape(f"{conv.name}: weights", conv.weight, shape)
        state[f"{path}.weight"] = conv.weight.float()
        bias = torch.zeros(shape[0]) if conv.bias is None else conv.bias.float()
        _expect_shape(f"{conv.name}: bias", bias, shape[:1])
        if conv.norm is None:
            state[f"{path}.bias"] = bias
            continue
        for what, tensor in zip(("weight", "bias", "mean", "variance"), conv.norm, strict=True):
            _expect_shape(f"{conv.name}: {what} of the normalisation", tensor, shape[:1])
        weight, shift, mean, variance = (tensor.float() for tensor in conv.norm)
        _, number, kind, *index = path.split(".")
        norm = f"blocks.{number}.norms.{0 if kind == 'spatial' else int(index[0]) + 1}"
        state[f"{norm}.weight"] = weight
        state[f"{norm}.bias"] = shift
        state[f"{norm}.running_mean"] = mean - bias
        state[f"{norm}.running_var"] = variance + (conv.eps - NORM_EPS)
        state[f"{norm}.num_batches_tracked"] = torch.tensor(0)
    return state


def _expect_shape(what: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape:
        raise ModelError(f"{escape_name(what)} are of shape {tuple(tensor.shape)}; the definition makes it {shape}")


def reverse_colours(config: NINConfig, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same network for pictures whose colours come in the opposite order (BGR for RGB)."""
    if config.blocks[0].groups > 1:
        raise ModelError(
            "the first convolution works in groups, so its colours cannot be reversed; prepare BGR pictures"
        )
    return {**state, FIRST: state[FIRST].flip(1)}


def scale_input(state: dict[str, Tensor], factor: float) -> dict[str, Tensor]:
    """The network that gives for x what the network of `state` gives for factor * x."""
    return {**state, FIRST: state[FIRST] * factor}
