"""One forward pass watched without its numbers: every layer as it is called, what it costs, and what its outputs see.

The pass goes through a copy of the network without numbers, in evaluation mode: layers with weights hand on zeros of
the right shape, so hardly anything is computed and nothing of the network changes. (A pass on torch's meta device
computes less, but loads torch's compiler, which takes as long as loading torch.) Layers are seen where modules and
hand-written forwards meet, in calls of torch's functions.
Formulas, k the side of a kernel: parameters k*k*C/groups*C' + C'; multiply-accumulates (MACs) k*k*C/groups*C'*h*w; a
receptive field grows by (k - 1) * jump and the jump is multiplied by the stride.
"""

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nin.errors import UsageError
from nin.network.config import conv_side

Sides = tuple[int, int]  # down and across
FLOAT32 = 4  # bytes
MULTIPLY = ("conv", "1x1", "local", "fc")  # the kinds that do multiply-accumulates
ARGUMENTS = {  # of the functions that make a row, in the order in which torch takes them
    "conv2d": ("input", "weight", "bias", "stride", "padding", "dilation", "groups"),
    "linear": ("input", "weight", "bias"),
    "local2d": ("input", "weight", "bias", "kernel_size", "padding"),
    "max_pool2d": ("input", "kernel_size", "stride", "padding", "dilation"),
    "avg_pool2d": ("input", "kernel_size", "stride", "padding"),
    "adaptive_max_pool2d": ("input", "output_size"),
    "adaptive_avg_pool2d": ("input", "output_size"),
    "mean": ("input", "dim"),
}
BESIDE = ("add", "sub", "mul", "prelu")  # functions that may take weights of several dimensions and cost no MACs


@dataclass(frozen=True)
class Layer:
    """One row: something with weights (the normalisation straight after it folded in), a pooling, or normalisation.

    `name` is the module's path in the network; `kind` is "conv", "1x1", "local" (a convolution whose weights are not
    shared between places), "fc", "max pool", "avg pool", "gap" (a mean over the whole map), "lrn" (local response
    normalisation), "norm", or the name of another function that has weights. `output` is (channels, height, width);
    `parameters` includes the two trained values a channel of batch normalisation, and counts shared weights once;
    `macs` are multiply-accumulates; `activation_bytes` is the output in float32; `receptive_field` and `jump` (distance
    between neighbours) are pixels of the picture, where branches meet those of the branch that sees most. `kernel`,
    `stride` and `padding` are those of the longer side.
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


class Walk(NamedTuple):
    """The rows, what inference needs at least (bytes), and field and jump (pixels) of the last map before the head."""

    layers: tuple[Layer, ...]
    peak_bytes: int
    receptive_field: int
    jump: int


class _Seen(NamedTuple):
    """A tensor of the pass, what one of its values sees (pixels down and across), and the row that made it, if any."""

    tensor: Tensor
    field: Sides
    jump: Sides
    row: int | None = None


def skeleton(model: nn.Module) -> nn.Module:
    """A copy of the network in evaluation mode that has no numbers: weights on the meta device, buffers zeros.

    Raises UsageError for what cannot be copied (layers not yet initialised, weights that hooks compute).
    """
    with refusing(f"{type(model).__name__} cannot be copied"):
        memo: dict[int, Any] = {id(each): torch.zeros(each.shape, dtype=each.dtype) for each in model.buffers()}
        for weight in model.parameters():
            memo[id(weight)] = nn.Parameter(weight.detach().to("meta"), requires_grad=weight.requires_grad)
        return copy.deepcopy(model, memo).eval()


def picture_like(model: nn.Module, *shape: int) -> Tensor:
    """Zeros of that shape in the floating-point type of the network's first weights."""
    types = [weight.dtype for weight in model.parameters() if weight.is_floating_point()]
    return torch.zeros(shape, dtype=types[0] if types else None)


class Weightless(TorchFunctionMode):
    """Inside `with`, what a `skeleton` calls with weights answers zeros of the right shape; nothing is computed."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, given, arguments = _call(func, args, kwargs or {})
        return _answer(func, name, given, arguments, args, kwargs or {})


def _call(func: Any, args: Any, kwargs: Any) -> tuple[str, dict[str, Any], list[Tensor]]:
    """A function's name, its arguments by name where it is one of ARGUMENTS, and the tensors among them."""
    name = getattr(func, "__name__", "")
    given = dict(zip(ARGUMENTS.get(name, ()), args, strict=False)) | kwargs
    return name, given, list(_tensors((*args, *kwargs.values())))


def _answer(func: Any, name: str, given: dict[str, Any], arguments: list[Tensor], args: Any, kwargs: Any) -> Any:
    pictures = [tensor for tensor in arguments if not tensor.is_meta]
    if not pictures or len(pictures) == len(arguments):
        return func(*args, **kwargs)
    x = pictures[0]
    if name not in ("conv2d", "linear", "local2d"):
        return func(*(_real(each) for each in args), **{key: _real(each) for key, each in kwargs.items()})
    weight = given["weight"]
    if name == "local2d":
        sides = [conv_side(side, given["kernel_size"], 1, given.get("padding", 0)) for side in x.shape[2:]]
        _expect(name, "places", sides[0] * sides[1], weight.shape[0])
        return x.new_zeros(x.shape[0], weight.shape[1], *sides)
    if name == "linear":
        _expect(name, "features", x.shape[-1], weight.shape[1])
        return x.new_zeros(*x.shape[:-1], weight.shape[0])
    _expect(name, "channels", x.shape[-3], weight.shape[1] * given.get("groups", 1))
    sides = []
    padding = given.get("padding") or 0
    for side, kernel, stride, dilation, pad in zip(
        *(x.shape[-2:], weight.shape[2:], both(given.get("stride") or 1), both(given.get("dilation") or 1)),
        (0, 0) if isinstance(padding, str) else both(padding),
        strict=True,
    ):
        reach = (kernel - 1) * dilation
        sides.append(conv_side(side + (reach if padding == "same" else 2 * pad), reach + 1, stride, 0))
    if min(sides) < 1:
        raise ValueError(f"a kernel of {by(weight.shape[2:])} does not fit into a map of {by(x.shape[-2:])}")
    return x.new_zeros(*x.shape[:-3], weight.shape[0], *sides)


def _expect(name: str, what: str, found: int, expected: int) -> None:
    if found != expected:
        raise ValueError(f"{name} gets {found} {what}; its weights are for {expected}")


@torch.no_grad()
def walk(model: nn.Module, size: tuple[int, int, int]) -> Walk:
    """Every layer that the network goes through in evaluation mode for one picture of `size` (C, H, W), in order.

    Raises UsageError where the network does not take such pictures, or does something whose cost or reach is not known
    here: a product with weights that is no layer of nn, a change of a map's sides that is no pooling.
    """
    bones = skeleton(model)
    watch = _Watch(bones, picture := picture_like(bones, 1, *size))
    with refusing(f"the network does not take pictures of {by(size)}"), watch:
        bones(picture)
    last = watch.last_map or watch.newest
    return Walk(tuple(watch.layers), watch.peak, max(last.field), max(last.jump))


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Errors of torch inside `with` become one line: UsageError, "what: the first sentence of the error"."""
    try:
        yield
    except (RuntimeError, ValueError, IndexError, TypeError, AssertionError) as error:
        raise UsageError(f"{what}: {first_sentence(error)}") from None


def first_sentence(error: Exception) -> str:
    """The first sentence of an error's text, without its full stop."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].split(". ")[0].rstrip(".:")


class _Watch(TorchFunctionMode):
    """Intercepts every call of a function of torch inside `with`; hooks tell which module makes it."""

    def __init__(self, model: nn.Module, picture: Tensor) -> None:
        super().__init__()
        self.layers: list[Layer] = []
        self.peak = 0
        self.last_map: _Seen | None = None
        self.newest = _Seen(picture, field=(1, 1), jump=(1, 1))
        self.seen = {id(picture): self.newest}
        # by id: a weight, and those it is computed from
        self.made_of: dict[int, tuple[Tensor, list[Tensor]]] = {id(w): (w, [w]) for w in model.parameters()}
        self.uncounted = set(self.made_of)
        self.path: list[tuple[str, bool]] = []  # modules being called, outermost first, and whether each is a leaf
        for name, module in model.named_modules():
            self._follow(name, module)

    def _follow(self, name: str, module: nn.Module) -> None:
        place = name, next(module.children(), None) is None and bool(name)
        module.register_forward_pre_hook(lambda *_: self.path.append(place))
        module.register_forward_hook(lambda *_: self.path.pop() and None)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, given, arguments = _call(func, args, kwargs or {})
        out = _answer(func, name, given, arguments, args, kwargs or {})
        sources = [self.seen[id(each)] for each in arguments if id(each) in self.seen]
        weights = [weight for each in arguments if id(each) in self.made_of for weight in self.made_of[id(each)][1]]
        for tensor in _tensors((out,)):
            if sources:
                self._note(name, given, sources, weights, tensor)
            elif weights:
                self.made_of[id(tensor)] = tensor, weights
        return out

    def _note(self, name: str, given: dict[str, Any], sources: list[_Seen], weights: list[Tensor], out: Tensor) -> None:
        source = sources[0]
        field = _widest(each.field for each in sources)
        jump = _widest(each.jump for each in sources)
        before = tuple(source.tensor.shape)
        if name == "batch_norm" and source.row is not None and self.layers[source.row].kind in MULTIPLY:
            row = self.layers[source.row]
            self.layers[source.row] = replace(row, parameters=row.parameters + self._count(weights))
            self._see(_Seen(out, field, jump))
            return
        shape = _shape(name, given, before, tuple(out.shape))
        if len(before) == 4 and (out.ndim < 4 or shape.kind == "gap"):
            if self.last_map is None:
                self.last_map = source._replace(field=field, jump=jump)
            shape = shape._replace(reach=(before[2] - 1, before[3] - 1))  # what comes after sees all of the map
        if not shape.kind and weights:
            if not name.endswith("norm") and name not in BESIDE and any(weight.ndim > 1 for weight in weights):
                raise UsageError(f"{name} uses weights in a way that is not known here; use nn.Conv2d or nn.Linear")
            shape = shape._replace(kind="norm" if name.endswith("norm") else name)
        field = field[0] + shape.reach[0] * jump[0], field[1] + shape.reach[1] * jump[1]
        jump = jump[0] * shape.stride[0], jump[1] * shape.stride[1]
        self._see(_Seen(out, field, jump, len(self.layers) if shape.kind else None))
        if shape.kind:
            geometry = max(shape.kernel), max(shape.stride), max(shape.padding)
            macs = _macs(shape.kind, given.get("weight"), out)
            costs = self._count(weights), macs, FLOAT32 * out.numel()
            self.layers.append(
                Layer(self._name(name), shape.kind, *geometry, _output(out), *costs, max(field), max(jump))
            )
            self.peak = max(self.peak, FLOAT32 * (source.tensor.numel() + out.numel()))

    def _see(self, seen: _Seen) -> None:
        self.seen[id(seen.tensor)] = self.newest = seen

    def _count(self, weights: Iterable[Tensor]) -> int:
        """Values in these weights, those that earlier rows have counted left out."""
        fresh = {id(weight): weight.numel() for weight in weights if id(weight) in self.uncounted}
        self.uncounted -= set(fresh)
        return sum(fresh.values())

    def _name(self, function: str) -> str:
        """'features.conv1'; 'features.max_pool2d' for a call in the forward of a module that has parts."""
        name, alone = self.path[-1] if self.path else ("", False)
        return name if alone else f"{name}.{function}".lstrip(".")


class _Shape(NamedTuple):
    """What a call is to its map: its kind ("" for none), and kernel, stride, padding and reach, down and across."""

    kind: str = ""
    kernel: Sides = (1, 1)
    stride: Sides = (1, 1)
    padding: Sides = (0, 0)
    reach: Sides = (0, 0)  # (kernel - 1) * dilation, places of the map


def _shape(name: str, given: dict[str, Any], before: tuple[int, ...], after: tuple[int, ...]) -> _Shape:
    if name in ("conv2d", "max_pool2d", "avg_pool2d"):
        kernel = both(tuple(given["weight"].shape[2:]) if name == "conv2d" else given["kernel_size"])
        stride = both(given.get("stride") or (1 if name == "conv2d" else kernel))
        dilation = both(given.get("dilation") or 1)
        padding = given.get("padding") or 0
        reach = (kernel[0] - 1) * dilation[0], (kernel[1] - 1) * dilation[1]
        if isinstance(padding, str):
            padding = tuple((side + 1) // 2 if padding == "same" else 0 for side in reach)
        kind = ("1x1" if kernel == (1, 1) else "conv") if name == "conv2d" else f"{name[:3]} pool"
        return _Shape(kind, kernel, stride, both(padding), reach)
    if name == "local2d":
        kernel = both(given["kernel_size"])
        return _Shape("local", kernel, (1, 1), both(given.get("padding", 0)), (kernel[0] - 1, kernel[1] - 1))
    adaptive = name.startswith("adaptive_") and name in ARGUMENTS
    mean = name == "mean" and len(before) == 4 and {axis % 4 for axis in _several(given.get("dim"))} == {2, 3}
    if mean or (adaptive and after[2:] == (1, 1)):
        return _Shape("gap", (before[2], before[3]), reach=(before[2] - 1, before[3] - 1))
    if adaptive:
        kernel = -(-before[2] // after[2]), -(-before[3] // after[3])
        stride = max(before[2] // after[2], 1), max(before[3] // after[3], 1)
        return _Shape(f"{name[9:12]} pool", kernel, stride, reach=(kernel[0] - 1, kernel[1] - 1))
    if len(before) == len(after) == 4 and before[2:] != after[2:] and name != "pad":
        raise UsageError(
            f"{name} makes maps of {by(after[2:])} of maps of {by(before[2:])} in a way that is not known here"
        )
    return _Shape({"linear": "fc", "local_response_norm": "lrn"}.get(name, ""))


def _macs(kind: str, weight: Tensor | None, out: Tensor) -> int:
    if kind not in MULTIPLY or weight is None:
        return 0
    return weight.numel() * (1 if kind == "local" else out.numel() // weight.shape[0])


def _output(out: Tensor) -> tuple[int, int, int]:
    if out.ndim == 4:
        return out.shape[1], out.shape[2], out.shape[3]
    return out.shape[-1], out.numel() // out.shape[-1], 1


def _real(value: Any) -> Any:
    """A value with zeros in place of tensors that have no numbers."""
    if isinstance(value, list | tuple):
        return type(value)(map(_real, value)) if type(value) in (list, tuple) else value
    return torch.zeros(value.shape, dtype=value.dtype) if isinstance(value, Tensor) and value.is_meta else value


def _tensors(values: Iterable[Any]) -> Iterable[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _several(value: Any) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, list | tuple) else () if value is None else (value,)


def _widest(sides: Iterable[Sides]) -> Sides:
    down, across = zip(*sides, strict=True)
    return max(down), max(across)


def both(value: Any) -> Sides:
    """(value, value) for a single number; a pair stays."""
    return (value[0], value[-1]) if isinstance(value, tuple | list) else (value, value)


def by(sizes: Iterable[int]) -> str:
    """'3x32x32'."""
    return "x".join(str(size) for size in sizes)
