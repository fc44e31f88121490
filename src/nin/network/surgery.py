"""Fully connected layers made convolutions and back: a network trained for pictures of one size, for every size.

A fully connected layer on a flattened map of C x h x w values is a convolution whose kernel is h x w and fits in one
place; on a larger map it fits in many, and answers at each. The layers after it are 1x1 convolutions. So a network that
was trained on small windows answers for every window of a larger picture, and what neighbouring windows share is
computed once. Source: LeCun et al. 1998, section VII; Sermanet et al. 2013 (OverFeat), section 3.5; Long et al. 2015,
section 3.1; for layers that are 1x1 from the start Lin et al. 2013, section 3.1.
Shape legend: N pictures, C channels, F features, K classes, (H, W) sides of a picture, (h, w) sides of a map.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.nn.utils.parametrize import is_parametrized

from nin.errors import UsageError
from nin.network import tracing
from nin.network.pointwise import ONE, Affine, affine_of, convolution_of, is_pointwise, linear_of, norm_of, padded
from nin.network.tracing import function_of
from nin.network.walk import Sides, by

BEFORE = (
    "before the flatten it takes convolutions, pooling, padding, batch and response normalisation, elementwise steps"
)
AFTER = "after the flatten it takes nn.Linear, BatchNorm1d, dropout, softmax over the classes and elementwise steps"


def convolutionize(model: nn.Module, input_size: tuple[int, int, int]) -> fx.GraphModule:
    """A copy of a network of convolutions, a flatten and fully connected layers that takes larger pictures too.

    For pictures of `input_size` (C, H, W), those the network was made for, it gives the same logits, as maps of one
    place (N, K, 1, 1); for larger ones maps (N, K, h, w). The answer at (i, j) is what the original says of the window
    of H x W pixels that begins at (i * stride, j * stride): `meta["window"]` and `meta["stride"]` of the copy hold
    (H, W) and the stride down and across (torch.save forgets them). If the original does not look at the last pixels
    of its window, because a pooling or a stride leaves some over, windows that hang over the picture by no more than
    these are answered too.

    **Without padding this is exact.** With padding it is not: the original sees zeros around its window where the copy
    sees the picture. The last maps agree but for a rim of places whose receptive fields reach over the window's edge,
    and a logit differs by what the rim contributes to it. Pooling in ceil mode does the same at the right and lower
    edge if its last window hangs over. Adaptive pooling means here what it does at `input_size`: nothing where the map
    has the wanted size already, else windows of one size and distance, computed at every place.

    The forward may be hand-written: torch.fx follows it, and `x.flatten(1)`, `torch.flatten(x, 1)`, `nn.Flatten()`,
    `x.view`, `x.reshape`, `x.squeeze` or a mean over both sides may end the convolutional part. What only training uses
    (auxiliary heads) and hooks are left out; dropout obeys `train()`. The original is not touched. Names in the state
    dict stay; weights of the first fully connected layer become (K, C, h, w), before (K, C * h * w), those of the
    others (K, F, 1, 1). BatchNorm1d straight after the flatten, which has values for every place, is folded into the
    next layer as it is in evaluation mode.

    Raises UsageError, in one line, for what cannot be done: a forward that torch.fx cannot follow, a flatten of the
    batch, steps that read more of a map than a neighbourhood (recurrent layers, attention, GroupNorm, squeeze and
    excitation), maps that are not (N, C, H, W).
    """
    surgeon = _Surgeon(tracing.trace(model), input_size)
    stride = surgeon.operate(_make_convolutional)
    surgeon.traced.meta.update(window=tuple(input_size[1:]), stride=stride)
    return surgeon.traced


def fully_connect(model: nn.Module, input_size: tuple[int, int, int]) -> fx.GraphModule:
    """The way back: a fully convolutional network as one with a flatten and fully connected layers, for one size.

    The first convolution whose kernel covers its whole map becomes flatten and nn.Linear, every 1x1 convolution after
    it nn.Linear: (N, C, H, W) of `input_size` (C, H, W) -> logits (N, K), the same as before. Names in the state dict
    stay, and after `convolutionize` shapes and numbers are those of the original again, which can load it (but for
    BatchNorm1d that was folded). The argument is not touched. Raises UsageError for what `convolutionize` would not
    take before the flatten either, and where no kernel covers its map.
    """
    surgeon = _Surgeon(tracing.trace(model), input_size)
    surgeon.operate(_make_fully_connected)
    for name in ("window", "stride"):
        surgeon.traced.meta.pop(name, None)
    return surgeon.traced


@dataclass(frozen=True)
class _Value:
    """What is known of a tensor on the way: the stride (pixels) of its places, and whether it was a map or is flat.

    Until a fully connected layer reads it, a flattened map has `side` (h, w), `step` places from each that is read to
    the next, and `affine`, a scale and a shift (C * h * w) to be folded into that layer.
    """

    stride: Sides = ONE
    flat: bool = False
    side: Sides = ONE
    step: Sides = ONE
    affine: Affine | None = None


class _Surgeon:
    """A traced network on the table: what is known of its values, and the edits, made once every step is understood."""

    def __init__(self, traced: fx.GraphModule, input_size: tuple[int, int, int]) -> None:
        self.traced = traced
        self.modules = {node: tracing.module_of(traced, node) for node in traced.graph.nodes}
        for node, module in self.modules.items():
            if module is not None and not tracing.is_understood(module, ""):
                raise self.refusal(node, f"{BEFORE}; {AFTER}")
        self.shapes = tracing.measure_steps(traced, input_size)
        self.values: dict[fx.Node, _Value] = {}
        self.edits: list[Callable[[], None]] = []
        self.replaced: dict[str, object] = {}  # by path: how, because a module may be called twice

    def operate(self, step: "Callable[[_Surgeon, fx.Node], _Value]") -> Sides:
        """Go through every step in turn, then make the edits; returns the stride of the answer. Raises UsageError."""
        graph = self.traced.graph
        name = type(self.traced).__name__
        for node in graph.nodes:
            if node.op == "placeholder":
                self.values[node] = _Value()
            elif node.op.startswith("call") and node in self.shapes:  # the others make sizes and other numbers
                if not node.all_input_nodes:
                    raise self.refusal(node, "it makes values of its own, which do not fit maps of every size")
                self.values[node] = step(self, node)
        answers = [self.values[node] for node in graph.output_node().all_input_nodes if node in self.values]
        if not any(answer.flat for answer in answers):
            what = (
                "a flatten or a mean over its maps" if step is _make_convolutional else "a kernel that covers its map"
            )
            raise UsageError(f"{name} has nothing to operate on; expected {what}")
        if any(answer.side != ONE or answer.affine is not None for answer in answers):
            raise UsageError(f"{name} ends in a flattened map; expected nn.Linear after the flatten")
        for edit in self.edits:
            edit()
        for node in reversed(graph.nodes):  # sizes for flattening; steps in place have no users and stay
            if not node.users and node.op in ("call_function", "call_method", "get_attr") and node not in self.shapes:
                graph.erase_node(node)
        self.traced.delete_all_unused_submodules()
        graph.lint()
        self.traced.recompile()
        return next(answer.stride for answer in answers if answer.flat)

    def refusal(self, node: fx.Node, why: str) -> UsageError:
        """The error about a step."""
        return UsageError(f"{tracing.called(self.traced, node)} stands in the way: {why}")

    def drop(self, node: fx.Node) -> None:
        """Take a step out; what it was given goes on."""

        def edit() -> None:
            node.replace_all_uses_with(node.all_input_nodes[0])
            self.traced.graph.erase_node(node)

        self.edits.append(edit)

    def put(self, node: fx.Node, function: Any, *arguments: Any, instead: bool) -> None:
        """Put a call of `function(input, *arguments)` in place of a step, or between the step and its input."""

        def edit() -> None:
            source = node.all_input_nodes[0]
            graph = self.traced.graph
            with graph.inserting_before(node):
                new = graph.call_function(function, (source, *arguments))
            if instead:
                node.replace_all_uses_with(new)
                graph.erase_node(node)
            else:
                node.replace_input_with(source, new)

        self.edits.append(edit)

    def replace(self, node: fx.Node, module: nn.Module, how: object = None) -> None:
        """Put another module in place of the one that a step calls."""
        target = str(node.target)
        if self.replaced.setdefault(target, how) != how:
            raise self.refusal(node, "it is called for maps of different sizes; give each place a layer of its own")
        self.edits.append(lambda: self.traced.set_submodule(target, module))

    def given(self, node: fx.Node) -> _Value:
        """What a step is given; of several maps it must be the same. Constants must fit maps of every size."""
        function = function_of(node)
        sources = node.all_input_nodes[:1] if function == "conv2d" else node.all_input_nodes
        known = [self.values[source] for source in sources if source in self.values]
        for source in sources:
            shape = self.shapes.get(source, ())
            sides = shape[-2:] if len(shape) in (3, 4) and not any(value.flat for value in known) else shape
            constant = known and source.op == "get_attr" and all(side == 1 for side in sides)
            if source not in self.values and not constant:
                name = tracing.called(self.traced, source)
                raise self.refusal(node, f"it depends on {name}, which does not fit maps of every size")
        shapes = {self.shapes[source] for source in sources if source in self.values}
        if function in ("cat", "concat"):  # over channels
            shapes = {shape[2:] for shape in shapes}
        if len({(value.flat, value.stride, value.side, value.step) for value in known}) > 1 or len(shapes) > 1:
            raise self.refusal(node, "it joins maps of different sizes or strides")
        return known[0]

    def over_channels(self, node: fx.Node, flat: bool) -> bool:
        """Whether a step is a softmax or a concatenation over channels; it is made to name them as maps do."""
        module = self.modules[node]
        function = function_of(node)
        wanted = (1, -1) if flat else (1, -3)
        if isinstance(module, nn.Softmax | nn.LogSoftmax):
            if module.dim in wanted:
                self.replace(node, type(module)(dim=1))
            return module.dim in wanted
        if function not in ("softmax", "log_softmax", "cat", "concat"):
            return False
        axis = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else 0)
        node.args = node.args[:1]
        node.kwargs = {**node.kwargs, "dim": 1}
        return axis in wanted


def _make_convolutional(surgeon: _Surgeon, node: fx.Node) -> _Value:
    """One step of `convolutionize`: what it makes, the edits that it needs noted. Raises UsageError."""
    module = surgeon.modules[node]
    function = function_of(node)
    if tracing.is_flatten(module, function):
        return _flatten(surgeon, node)
    flat = any(surgeon.values[source].flat for source in node.all_input_nodes if source in surgeon.values)
    if not flat and not tracing.is_understood(module, function):
        raise surgeon.refusal(node, BEFORE)
    value = surgeon.given(node)
    if value.flat:
        return _after_flatten(surgeon, node, value)
    if isinstance(module, nn.Linear):
        raise surgeon.refusal(
            node, "it reads maps that are not flattened; for channels at every place use a 1x1 convolution"
        )
    if tracing.is_adaptive(module, function):
        return _pool_adaptively(surgeon, node, value)
    if surgeon.over_channels(node, flat=False) or tracing.is_channelwise(module, function):
        return value
    if not tracing.is_local(module, function):
        raise surgeon.refusal(node, BEFORE)
    if value.step != ONE:
        raise surgeon.refusal(node, "it follows adaptive pooling that changes its maps; only the flatten may")
    down, across = tracing.stride_of(module, node)
    return replace(value, stride=(value.stride[0] * down, value.stride[1] * across))


def _flatten(surgeon: _Surgeon, node: fx.Node) -> _Value:
    source = node.all_input_nodes[0]
    if source not in surgeon.values:
        raise surgeon.refusal(node, BEFORE)
    value = surgeon.values[source]
    before = surgeon.shapes[source]
    after = surgeon.shapes[node]
    if value.flat and after == before:  # flattened twice
        surgeon.drop(node)
        return value
    if value.flat:
        raise surgeon.refusal(node, AFTER)
    channels, height, width = before[1:]
    if function_of(node) == "mean":
        axes = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else ())
        axes = axes if isinstance(axes, tuple | list) else () if axes is None else (axes,)
        if {axis % 4 for axis in axes} != {2, 3} or value.step != ONE:
            raise surgeon.refusal(node, "a mean must be over height and width")
        surgeon.put(node, F.avg_pool2d, (height, width), 1, instead=True)
        return replace(value, flat=len(after) == 2)
    if after != (before[0], channels * height * width):
        raise surgeon.refusal(
            node,
            f"it makes {by(after)} of {before[0]} pictures' maps of {by(before[1:])}; expected one vector a picture",
        )
    surgeon.drop(node)
    return replace(value, flat=True, side=(height, width))


def _after_flatten(surgeon: _Surgeon, node: fx.Node, value: _Value) -> _Value:
    module = surgeon.modules[node]
    function = function_of(node)
    if isinstance(module, nn.Linear):
        if is_parametrized(module):
            raise surgeon.refusal(node, "its weight is computed from others; remove the parametrization first")
        conv = convolution_of(module, value.side, value.step, value.affine)
        surgeon.replace(node, conv, (value.side, value.step, value.affine is not None))
        return _Value(value.stride, flat=True)
    if isinstance(module, nn.BatchNorm1d) and module.running_mean is not None:
        if value.side == ONE and value.affine is None:
            surgeon.replace(node, norm_of(module))
            return value
        scale, shift = affine_of(module)  # (C * h * w,) each
        if value.affine is not None:  # two normalisations in a row are one
            shift, scale = shift + scale * value.affine[1], scale * value.affine[0]
        surgeon.drop(node)
        return replace(value, affine=(scale, shift))
    if value.affine is not None and not isinstance(module, nn.Dropout):
        raise surgeon.refusal(node, "it follows BatchNorm1d of a flattened map; only nn.Linear can, which takes it in")
    per_channel = function == "maxout" or (isinstance(module, nn.PReLU) and module.num_parameters > 1)
    whole = value.side == ONE
    if tracing.is_elementwise(module, function) and (whole or not per_channel):
        return value
    if (whole or "cat" in function) and surgeon.over_channels(node, flat=True):
        return value
    raise surgeon.refusal(node, AFTER)


def _pool_adaptively(surgeon: _Surgeon, node: fx.Node, value: _Value) -> _Value:
    before = surgeon.shapes[node.all_input_nodes[0]][2:]
    after = surgeon.shapes[node][2:]
    (height, down), (width, across) = (_window(*sides) for sides in zip(before, after, strict=True))
    if not (height and width) or (value.step != ONE and before != after):
        raise surgeon.refusal(
            node,
            f"it pools maps of {by(before)} to {by(after)}, not through windows of one size and distance; "
            f"choose an input_size that gives it maps of {by(after)} or a multiple",
        )
    if (height, width) == ONE:
        surgeon.drop(node)
        return value
    largest = "max" in (function_of(node) or type(surgeon.modules[node]).__name__).lower()
    surgeon.put(node, F.max_pool2d if largest else F.avg_pool2d, (height, width), 1, instead=True)
    return replace(value, step=(down, across))


def _window(side: int, pooled: int) -> tuple[int, int]:
    """Size and distance of the windows through which torch pools `side` places to `pooled`; size 0 if they differ."""
    starts = [index * side // pooled for index in range(pooled)]
    sizes = {-(-(index + 1) * side // pooled) - start for index, start in enumerate(starts)}
    steps = {after - before for before, after in pairwise(starts)} or {1}
    return (sizes.pop(), steps.pop()) if len(sizes) == len(steps) == 1 and pooled <= side else (0, 1)


def _make_fully_connected(surgeon: _Surgeon, node: fx.Node) -> _Value:
    """One step of `fully_connect`: what it makes, the edits that it needs noted. Raises UsageError."""
    module = surgeon.modules[node]
    function = function_of(node)
    value = surgeon.values.get(node.all_input_nodes[0], _Value())
    if value.flat and (tracing.is_flatten(module, function) or tracing.is_adaptive(module, function)):
        surgeon.drop(node)
        return value
    value = surgeon.given(node)
    if isinstance(module, nn.Conv2d) and (value.flat or _covers(module, surgeon.shapes[node.all_input_nodes[0]][2:])):
        if value.flat and not is_pointwise(module):
            raise surgeon.refusal(
                node, "after the kernel that covers its map only 1x1 convolutions can be fully connected"
            )
        if module.dilation != ONE and not value.flat:
            surgeon.put(node, F.max_pool2d, 1, module.dilation, instead=False)  # every so many places
        if not value.flat:
            surgeon.put(node, torch.flatten, 1, instead=False)
        surgeon.replace(node, linear_of(module), value.flat)
        return replace(value, flat=True)
    if value.flat and isinstance(module, nn.BatchNorm2d | nn.Dropout2d):
        other = norm_of(module) if isinstance(module, nn.BatchNorm2d) else nn.Dropout(module.p)
        surgeon.replace(node, other.train(module.training))
        return value
    if surgeon.over_channels(node, flat=False) or tracing.is_elementwise(module, function):
        return value
    if value.flat or not tracing.is_local(module, function):
        raise surgeon.refusal(
            node, AFTER.replace("nn.Linear, BatchNorm1d", "1x1 convolutions") if value.flat else BEFORE
        )
    return value


def _covers(conv: nn.Conv2d, sides: tuple[int, ...]) -> bool:
    """Whether the kernel fits into a map of these sides in one place only."""
    reach = tuple(step * (side - 1) + 1 for side, step in zip(conv.kernel_size, conv.dilation, strict=True))
    return reach == sides and conv.groups == 1 and not padded(conv)
