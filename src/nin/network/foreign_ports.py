"""Networks in Network that others trained with PyTorch, recognised by the names and shapes of their weights.

Names and shapes say widths, filters and classes; they do not say how a network pools, what it drops and what pictures
it was shown. That is known of each layout below, from its public source. Shapes: O maps going out, I coming in.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from nin.artifacts import escape_name
from nin.errors import ModelError, UsageError
from nin.network.config import BlockConfig, NINConfig
from nin.network.foreign import (
    NORM_EPS,
    WHITENED,
    ConvWeights,
    ForeignInput,
    ForeignNet,
    Line,
    convolution_paths,
    recognise,
)

CIFAR_MEAN, CIFAR_STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)  # both sources below write them so
NORM = ("weight", "bias", "running_mean", "running_var")
POOLS = ("max", "avg")  # after every block but the last, 3x3 with stride 2, in all layouts
Names = tuple[tuple[str, str], ...]  # of each convolution, and of the normalisation after it or ""


@dataclass(frozen=True)
class Layout:
    """A network as somebody lays it out: (convolution, normalisation) names block by block, and what names do not say.

    Names are those below one common name that every user chooses (`classifier.0` is `0` here). Its poolings are POOLS,
    padded by `pad` or (pad 0) rounded up.
    """

    name: str
    source: str
    blocks: tuple[Names, ...]
    pad: int = 1
    dropout: float = 0.5
    eps: float = NORM_EPS
    input: ForeignInput = ForeignInput(32)  # noqa: RUF009  frozen


def _row(*names: str) -> Names:
    return tuple((name, "") for name in names)


def _pairs(*numbers: int) -> Names:
    """A convolution and, right after it in the same row of modules, its normalisation."""
    return tuple((f"{number}", f"{number + 1}") for number in numbers)


def _units(*numbers: int) -> Names:
    return tuple((f"{number}.conv", f"{number}.bn") for number in numbers)


LAYOUTS = (
    Layout(
        "pytorch-nin-cifar10",
        "jiecaoyu/pytorch-nin-cifar10: one row of modules, no normalisation",
        (_row("0", "2", "4"), _row("8", "10", "12"), _row("16", "18", "20")),
        input=ForeignInput(32, odd=WHITENED),
    ),
    Layout(
        "pytorchcv",
        "osmr/imgclsmob (pytorchcv): nin_cifar10, nin_cifar100, nin_svhn",
        (
            _row(*(f"features.stage1.unit{unit}.conv" for unit in (1, 2, 3))),
            _row(*(f"features.stage2.unit{unit}.conv" for unit in (1, 2, 3))),
            _row("features.stage3.unit1.conv", "features.stage3.unit2.conv", "output.final_conv.conv"),
        ),
        input=ForeignInput(32, CIFAR_MEAN, CIFAR_STD),
    ),
    Layout(
        "micronet",
        "666DZY666/micronet: nin, not quantised, batch normalisation after every convolution",
        (_pairs(0) + _units(2, 3), _units(5, 6, 7), _units(9, 10) + _pairs(11)),
        dropout=0.0,
        input=ForeignInput(32, CIFAR_MEAN, CIFAR_STD),
    ),
    Layout(
        "cifar.torch",
        "szagoruyko/cifar.torch (nin.lua) as one row of PyTorch modules: convolution, normalisation, ReLU",
        (_pairs(0, 3, 6), _pairs(11, 14, 17), _pairs(22, 25, 28)),
        pad=0,
        eps=1e-3,
        input=ForeignInput(32, odd="YUV colours, normalised picture by picture and channel by channel"),
    ),
)


def read_port(
    tensors: Mapping[str, Tensor], what: str, layout: str | None = None
) -> tuple[ForeignNet, tuple[ConvWeights, ...]]:
    """The network of a table of tensors, and the weights of its convolutions in order.

    `layout` names one of LAYOUTS, or None tries them all. Raises ModelError with the closest layout and the first thing
    in which the weights differ from it; UsageError for a layout that is not known.
    """
    tried = LAYOUTS if layout is None else [each for each in LAYOUTS if each.name == layout]
    if not tried:
        known = [each.name for each in LAYOUTS]
        meant = difflib.get_close_matches(str(layout), known, n=1)
        hint = f"did you mean {meant[0]}? " if meant else ""
        raise UsageError(f"there is no layout {escape_name(layout)!r}; {hint}known are {', '.join(known)}")
    fits = [_Fit(each, before, tensors) for each in tried for before in _prefixes(tensors)]
    best = max(fits, key=lambda fit: (fit.mismatch is None, fit.found))
    if best.mismatch is not None:
        raise ModelError(f"{what} fits no layout known here; closest is {best.layout.name}, but {best.mismatch}")
    return best.network(), best.weights(what)


def _prefixes(tensors: Mapping[str, Tensor]) -> list[str]:
    """What may stand before all names of a layout: nothing, or the name of the module that holds the row."""
    return ["", *dict.fromkeys(f"{name.partition('.')[0]}." for name in list(tensors)[:200] if "." in name)]


class _Fit:
    """A layout held against a table of tensors: how many names are there, and the first thing that does not fit."""

    def __init__(self, layout: Layout, before: str, tensors: Mapping[str, Tensor]) -> None:
        self.layout, self.tensors = layout, tensors
        self.blocks = [[(before + name, norm and before + norm) for name, norm in block] for block in layout.blocks]
        self.convolutions = tuple(name for block in self.blocks for name, _ in block)
        self.wanted = [name for block in self.blocks for pair in block for name in self._names(pair)]
        self.found = sum(name in tensors for name in self.wanted)
        self.mismatch = self._mismatch()

    def _names(self, pair: tuple[str, str]) -> list[str]:
        convolution, norm = pair
        return [f"{convolution}.{what}" for what in ("weight", "bias")] + [f"{norm}.{what}" for what in NORM if norm]

    def _mismatch(self) -> str | None:
        missing = next((name for name in self.wanted if name not in self.tensors), None)
        if missing is not None:
            return f"{escape_name(missing)} is missing"
        known = set(self.wanted)
        extra = next((n for n in self.tensors if n not in known and not n.endswith(".num_batches_tracked")), None)
        if extra is not None:
            return f"{escape_name(extra)[:80]} is one tensor too many"
        width = None
        for block in self.blocks:
            for index, pair in enumerate(block):
                weight, *others = [(name, tuple(self.tensors[name].shape)) for name in self._names(pair)]
                misfit = _misshapen(weight, others, width, first=index == 0)
                if misfit:
                    return misfit
                width = weight[1][0]
        return None

    def network(self) -> ForeignNet:
        """Ours, with widths and filters as the shapes say and poolings as the layout does."""
        layout = self.layout
        normed = bool(layout.blocks[0][0][1])
        blocks = []
        for number, names in enumerate(self.blocks):
            shapes = [tuple(self.tensors[f"{name}.weight"].shape) for name, _ in names]
            block = BlockConfig(tuple(shape[0] for shape in shapes), shapes[0][2])
            if number < len(POOLS):
                pool, pad = POOLS[number], layout.pad
                block = replace(block, pool=pool, pool_padding=pad, pool_ceil=pad == 0, dropout=layout.dropout)
            blocks.append(block)
        inputs = self.tensors[f"{self.convolutions[0]}.weight"].shape[1]
        classes = blocks[-1].channels[-1]
        norm = "batch" if normed else None
        config = NINConfig(
            layout.name, tuple(blocks), classes, inputs, norm=norm, last_activation=True, last_norm=normed
        )
        return ForeignNet(layout.source, recognise(config), self.convolutions, self._lines(config), layout.input)

    def weights(self, what: str) -> tuple[ConvWeights, ...]:
        """The weights of every convolution and of the normalisation after it."""
        found = []
        for block in self.blocks:
            for pair in block:
                weight, bias, *norm = (self.tensors[name] for name in self._names(pair))
                four = (norm[0], norm[1], norm[2], norm[3]) if norm else None
                found.append(ConvWeights(f"{what}: {pair[0]}", weight, bias, four, self.layout.eps))
        return tuple(found)

    def _lines(self, config: NINConfig) -> tuple[Line, ...]:
        """Their names beside ours, and what the layout says of the rest."""
        paths = iter(convolution_paths(config))
        lines = []
        for number, block in enumerate(self.blocks):
            for theirs, norm in block:
                shape = "x".join(str(side) for side in self.tensors[f"{theirs}.weight"].shape)
                after = f", {norm}" if norm else ""
                lines.append(Line("weights", f"{theirs}: {shape}{after}", next(paths)))
            if number < len(POOLS):
                rounds = f"padded by {self.layout.pad}" if self.layout.pad else "rounded up"
                pool = f"{POOLS[number]} 3x3/2 {rounds}"
                lines.append(Line("layout", pool, f"pools.{number}"))
                if self.layout.dropout:
                    lines.append(Line("layout", f"dropout {self.layout.dropout:g}", f"dropouts.{number}, inverted"))
        if config.norm:
            lines.append(Line("layout", "bias before a normalisation", "part of its running mean"))
        lines.append(Line("layout", "ReLU after every layer, the last too", "relu, last_activation"))
        return (*lines, Line("layout", "average over the whole map", "gap, global average pooling"))


def _misshapen(
    weight: tuple[str, tuple[int, ...]], others: list[tuple[str, tuple[int, ...]]], reads: int | None, *, first: bool
) -> str | None:
    """What is wrong with the shapes of one convolution and its companions, or None."""
    name, shape = weight
    if len(shape) != 4 or shape[2] != shape[3] or not (first or shape[2] == 1) or not all(shape):
        expected = "(O, I, k, k)" if first else "(O, I, 1, 1)"
        return f"{escape_name(name)} is of shape {shape}, expected {expected}"
    if reads is not None and shape[1] != reads:
        return f"{escape_name(name)} reads {shape[1]} maps, expected {reads}"
    for other, found in others:
        if found != shape[:1]:
            return f"{escape_name(other)} is of shape {found}, expected {shape[:1]}"
    return None
