"""Networks in Network that others trained with PyTorch, recognised by the names and shapes of their weights.

Shapes: O maps going out, I coming in.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from nin.errors import ModelError, UsageError, escape_name
from nin.importers.neutral import ConvWeights, DefinitionLine, ForeignNet, convolution_paths, recognise
from nin.importers.state_dicts import AVERAGED
from nin.importers.torch_layouts import EDGES, LAYOUTS, NOTHING, POOL, Said, TorchLayout, supposed
from nin.network.config import BlockConfig, NINConfig

NORM = ("weight", "bias", "running_mean", "running_var")
MOST_NAMES = 400  # of a table that are searched for a common prefix
DEEPEST = 6  # parts of such a prefix
COUNTED = re.compile(r"(^|\.)(num_batches_tracked|n_averaged)$")  # numbers of steps
BESIDE = re.compile(  # tensors that training keeps beside a network and that answering does not need
    r"(^|[._])(loss\w*|criterion|metrics?|(train|val|valid|test)_\w+|acc|accuracy|best\w*|epoch|step|global_step"
    r"|num_updates|decay|optim\w*|ema\w*|teacher\w*)([._]|$)"
)
SHOWN = 5  # names in a note


def read_port(
    tables: Mapping[str, Mapping[str, Tensor]], what: str, said: Said = NOTHING
) -> tuple[ForeignNet, tuple[ConvWeights, ...]]:
    """The network in tables of tensors (by their place in a file), and the weights of its convolutions in order.

    Raises ModelError with the closest layout and the first thing in which the weights differ from it; UsageError for a
    layout or a key that is not there.
    """
    tried: Sequence[TorchLayout] = (
        LAYOUTS if said.layout is None else [each for each in LAYOUTS if each.name == said.layout]
    )
    if not tried:
        known = [each.name for each in LAYOUTS]
        meant = difflib.get_close_matches(str(said.layout), known, n=1)
        hint = f"did you mean {meant[0]}? " if meant else ""
        raise UsageError(f"there is no layout {escape_name(said.layout)!r}; {hint}known are {', '.join(known)}")
    fits = [fit for place, table in _candidates(tables) for fit in _fits(place, table, tried)]
    whole = [fit for fit in fits if fit.mismatch is None and said.key in (None, fit.place)]
    if not whole:
        there = dict.fromkeys(fit.place for fit in fits if fit.mismatch is None and fit.place)
        if said.key is not None:
            keys = f"--key can be {', '.join(map(escape_name, there))[:200]}" if there else "leave out --key"
            raise UsageError(f"{what} holds no network known here under {escape_name(said.key)[:80]!r}; {keys}")
        near = max(fits, key=lambda fit: fit.found)
        raise ModelError(f"{what} fits no layout known here; closest is {near.layout.name}, but {near.mismatch}")
    best = whole[0]
    best.layout = said.applied(best.layout)
    doubts = (supposed(best.layout, said), _several(best, whole[1:], what))
    notes = (f"left out of {what}, as no part of the network: {best.left_out()}",) if best.beside else ()
    guessed = not best.layout.own and said.layout is None
    net = replace(best.network(), doubts=tuple(filter(None, doubts)), notes=notes, supposed=guessed)
    return net, best.weights(what)


def _several(best: "_Fit", rest: Sequence["_Fit"], what: str) -> str | None:
    """What to know of a file that holds several such networks; None where it holds one, or one several times."""
    others = dict.fromkeys(
        escape_name(fit.place)[:80] for fit in rest if fit.place != best.place and not fit.same(best)
    )
    if not others:
        return None
    taken = f"under {escape_name(best.place)[:80]}" if best.place else "in the file itself"
    return (
        f"{what} holds several such networks; taken are the weights {taken}, others (--key) lie under "
        f"{', '.join(list(others)[:SHOWN])}"
    )


def _candidates(tables: Mapping[str, Mapping[str, Tensor]]) -> Iterable[tuple[str, Mapping[str, Tensor]]]:
    """The tables that hold filters; the first one where none does."""
    found = [(place, table) for place, table in tables.items() if any(tensor.ndim == 4 for tensor in table.values())]
    return found or list(tables.items())[:1]


def _fits(place: str, table: Mapping[str, Tensor], tried: Sequence[TorchLayout]) -> Iterator["_Fit"]:
    """Every layout below every name that may stand before all of its names: nothing, or modules that hold the row."""
    before = dict.fromkeys([""])
    for name in list(table)[:MOST_NAMES]:
        parts = name.split(".")[:DEEPEST]
        before.update(dict.fromkeys(".".join(parts[:count]) + "." for count in range(1, len(parts))))
    ordered = sorted(before, key=lambda each: bool(AVERAGED.search(each)))
    fits = [_Fit(layout, place, each, table) for layout in tried for each in ordered]
    copies = [fit.before for fit in fits if fit.mismatch is None]
    for fit in fits:
        fit.look_beside(copies)
    yield from fits


class _Fit:
    """A layout held against a table of tensors: how many names are there, and the first thing that does not fit.

    before: what stands before all names; beside: names of the table that are no part of the network.
    """

    def __init__(self, layout: TorchLayout, place: str, before: str, tensors: Mapping[str, Tensor]) -> None:
        self.layout = layout
        self.before = before
        self.tensors = tensors
        self.place = ".".join(filter(None, (place, before.rstrip("."))))
        self.blocks = [[(before + name, norm and before + norm) for name, norm in block] for block in layout.blocks]
        self.convolutions = tuple(name for block in self.blocks for name, _ in block)
        self.wanted = [name for block in self.blocks for pair in block for name in self._names(pair)]
        self.found = sum(name in tensors for name in self.wanted)
        self.mismatch = self._mismatch()
        self.beside: list[str] = []

    def _names(self, pair: tuple[str, str]) -> list[str]:
        """The weight of a convolution and what belongs to it; before a normalisation it needs no bias."""
        convolution, norm = pair
        bias = [] if norm and f"{convolution}.bias" not in self.tensors else [f"{convolution}.bias"]
        return [f"{convolution}.weight", *bias, *(f"{norm}.{what}" for what in NORM if norm)]

    def _mismatch(self) -> str | None:
        missing = next((name for name in self.wanted if name not in self.tensors), None)
        if missing is not None:
            return f"{escape_name(missing)} is missing"
        width = None
        for block in self.blocks:
            for index, pair in enumerate(block):
                weight, *others = [(name, tuple(self.tensors[name].shape)) for name in self._names(pair)]
                misfit = _misshapen(weight, others, width, first=index == 0)
                if misfit:
                    return misfit
                width = weight[1][0]
        name = f"{self.convolutions[0]}.weight"
        sides = self.layout.kernel
        side = self.tensors[name].shape[2]
        if sides not in (None, side):
            return f"{escape_name(name)} has filters of {side}x{side}, expected {sides}x{sides}"
        return None

    def look_beside(self, copies: Sequence[str]) -> None:
        """See what else the table holds: a layer more is another network; `copies` stand before whole ones."""
        if self.mismatch is not None:
            return
        known = set(self.wanted)
        for name, tensor in self.tensors.items():
            if name in known or COUNTED.search(name):
                continue
            if any(other != self.before and name.startswith(other) for other in copies if other):
                continue
            if tensor.ndim and not BESIDE.search(name):
                self.mismatch = f"{escape_name(name)[:80]} is one tensor too many"
                return
            self.beside.append(name)

    def left_out(self) -> str:
        """The names of `beside`, the first of them where there are many."""
        more = f" and {len(self.beside) - SHOWN:,} more" if len(self.beside) > SHOWN else ""
        return ", ".join(escape_name(name)[:80] for name in self.beside[:SHOWN]) + more

    def same(self, other: "_Fit") -> bool:
        """Whether the other's weights are these, number by number."""
        pairs = zip(self.wanted, other.wanted, strict=False)
        return self.layout.blocks == other.layout.blocks and all(
            torch.equal(self.tensors[one], other.tensors[two]) for one, two in pairs
        )

    def network(self) -> ForeignNet:
        """Ours, with widths and filters as the shapes say and the rest as the layout does."""
        layout = self.layout
        normed = bool(layout.blocks[0][0][1])
        blocks = []
        for number, names in enumerate(self.blocks):
            shapes = [tuple(self.tensors[f"{name}.weight"].shape) for name, _ in names]
            block = BlockConfig(tuple(shape[0] for shape in shapes), shapes[0][2])
            if number == 0:
                block = replace(block, stride=layout.stride, padding=layout.padding)
            if number < len(layout.pools):
                block = replace(block, dropout=layout.dropouts[number], **_pooling(layout, number))
            blocks.append(block)
        inputs = self.tensors[f"{self.convolutions[0]}.weight"].shape[1]
        config = NINConfig(
            layout.name,
            tuple(blocks),
            blocks[-1].channels[-1],
            inputs,
            norm="batch" if normed else None,
            last_activation=layout.last_relu,
            last_norm=normed,
        )
        told = replace(layout.input, mean=_each(layout.input.mean, inputs), std=_each(layout.input.std, inputs))
        return ForeignNet(layout.source, recognise(config), self.convolutions, self._lines(config), told)

    def weights(self, what: str) -> tuple[ConvWeights, ...]:
        """The weights of every convolution and of the normalisation after it."""
        found = []
        for block in self.blocks:
            for pair in block:
                weight, *norm = (self.tensors[name] for name in self._names(pair))
                bias = norm.pop(0) if len(norm) % 2 else None
                four = (norm[0], norm[1], norm[2], norm[3]) if norm else None
                found.append(ConvWeights(f"{what}: {pair[0]}", weight, bias, four, self.layout.eps))
        return tuple(found)

    def _lines(self, config: NINConfig) -> tuple[DefinitionLine, ...]:
        """Their names beside ours, and what the layout says of the rest."""
        paths = iter(convolution_paths(config))
        lines = []
        for number, block in enumerate(self.blocks):
            for theirs, norm in block:
                shape = "x".join(str(side) for side in self.tensors[f"{theirs}.weight"].shape)
                after = f", {norm}" if norm else ""
                lines.append(DefinitionLine("weights", f"{theirs}: {shape}{after}", next(paths)))
            if number < len(self.layout.pools):
                pool = _pooling(self.layout, number)
                size = f"{pool['pool_size']}x{pool['pool_size']}/{pool['pool_stride']}"
                lines.append(
                    DefinitionLine("layout", f"{pool['pool']} {size} {EDGES[self.layout.edge]}", f"pools.{number}")
                )
                if drop := self.layout.dropouts[number]:
                    lines.append(DefinitionLine("layout", f"dropout {drop:g}", f"dropouts.{number}, inverted"))
        if config.norm:
            lines.append(DefinitionLine("layout", "bias before a normalisation", "part of its running mean"))
        relu = ("the last too", "relu, last_activation") if config.last_activation else ("but not the last", "relu")
        lines.append(DefinitionLine("layout", f"ReLU after every layer, {relu[0]}", relu[1]))
        return (*lines, DefinitionLine("layout", "average over the whole map", "gap, global average pooling"))


def _pooling(layout: TorchLayout, number: int) -> dict[str, Any]:
    """Settings of a pooling: 3x3 or 2x2 with stride 2; 2x2 ones have no use for padding."""
    kind, size = POOL.fullmatch(layout.pools[number]).groups()  # type: ignore[union-attr]  # looked at before
    pad = int(layout.edge == "padding" and size != "2")
    return {
        "pool": kind,
        "pool_size": int(size or 3),
        "pool_stride": 2,
        "pool_padding": pad,
        "pool_ceil": layout.edge == "ceil",
    }


def _each(values: tuple[float, ...] | None, channels: int) -> tuple[float, ...] | None:
    """One number for each channel, where one alone counts for all; None where they are of other channels."""
    values = values * channels if values is not None and len(values) == 1 else values
    return values if values is not None and len(values) == channels else None


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
