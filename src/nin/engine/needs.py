"""What a graph takes: every tensor and every product counted for one picture, before any runtime sees the graph.

A file can hold operators that are all known and yet fill the memory or never end, and a runtime computes some of them
as soon as it opens the file. So the graph is followed here by its shapes alone, which in a graph of ours all follow
from the picture's. Legend: a shape is the sides of a tensor; the side that may vary, the batch, is 1. (torch-free)
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from nin.engine.onnx_file import Graph, Node
from nin.errors import ModelError, escape_name
from nin.network.demands import MOST_MACS

MOST_VALUES = 2**30  # of all tensors together: a network of the most bytes for its maps has as many
LARGEST = 2**28  # values of one tensor
Shape = tuple[int, ...]
Shapes = list[Shape]


@dataclass(frozen=True)
class Needs:
    """What one picture takes. largest: values of the largest tensor; values: of all; macs: multiply-adds."""

    largest: int
    values: int
    macs: int


def needs_of(graph: Graph, what: str) -> Needs:
    """Follow a graph operator by operator; `what` names it in messages.

    Raises ModelError for shapes that do not fit, for operators whose shapes nothing but computing tells, and for more
    memory or work than a network may take.
    """
    known: dict[str, Shape] = {name: array.shape for name, array in graph.constants.items()}
    known |= {port.name: tuple(n if isinstance(n, int) else 1 for n in port.shape) for port in graph.inputs}
    largest = values = macs = 0
    for node in graph.nodes:
        try:
            shapes = [known[name] for name in node.inputs if name]
            made, work = _made(node, shapes, graph.constants)
            known.update(zip(node.outputs, made, strict=True))
        except (KeyError, IndexError, TypeError, ValueError, ZeroDivisionError, OverflowError) as error:
            fault = f"the operator {escape_name(node.name)[:60]!r} ({node.op}) does not fit what it reads"
            raise _refused(what, fault) from error
        sizes = [math.prod(shape) for shape in made]
        if any(side < 1 for shape in made for side in shape):
            raise _refused(what, f"the operator {escape_name(node.name)[:60]!r} ({node.op}) leaves nothing")
        largest = max(largest, *sizes)
        values += sum(sizes)
        macs += work
        counts = ((largest, LARGEST, "values in one tensor"), (values, MOST_VALUES, "values"))
        for count, most, of in (*counts, (macs, MOST_MACS, "multiply-adds")):
            if count > most:
                raise _refused(what, f"one picture takes more than {most:,} {of}")
    return Needs(largest, values, macs)


def _refused(what: str, why: str) -> ModelError:
    return ModelError(f"{what} is no network that can be run ({why}); export the model again")


def _made(node: Node, shapes: Shapes, constants: Mapping[str, np.ndarray]) -> tuple[Shapes, int]:
    """The shapes of what an operator makes, and its multiply-adds."""
    if not set(node.attributes) <= _ATTRIBUTES:
        raise ValueError("an attribute that nin never writes")
    if node.op in _ALIKE:
        return [np.broadcast_shapes(*shapes)], 0
    if node.op in _PRODUCTS:
        made = _PRODUCTS[node.op](node, shapes)
        if node.op == "MatMul":
            return [made], math.prod(made) * shapes[0][-1]
        summed = shapes[1][1:] if node.op == "Conv" else _of(node, "kernel_shape")
        return [made], math.prod(made) * math.prod(summed)
    if node.op == "Split":
        return _split(node, shapes[0], constants), 0
    return [_SHAPED[node.op](node, shapes, constants)], 0


def _conv(node: Node, shapes: Shapes) -> Shape:
    x, weight = shapes[:2]
    if weight[2:] != _of(node, "kernel_shape") or weight[1] * _number(node, "group", 1) != x[1]:
        raise ValueError("weights of another shape")
    if weight[0] % _number(node, "group", 1) or any(shape != weight[:1] for shape in shapes[2:]):
        raise ValueError("weights of another shape")
    return (x[0], weight[0], *_windows(node, x[2:]))


def _pool(node: Node, shapes: Shapes) -> Shape:
    (x,) = shapes
    return (*x[:2], *_windows(node, x[2:]))


def _windows(node: Node, sides: Shape) -> Shape:
    """Places of a window on each side; under 1 where it does not fit."""
    kernel = _of(node, "kernel_shape")
    strides = _of(node, "strides", (1,) * len(sides))
    pads = _of(node, "pads", (0,) * 2 * len(sides))
    if not len(kernel) == len(strides) == len(sides) == len(pads) // 2 or min(*kernel, *strides) < 1 or min(pads) < 0:
        raise ValueError("a window of another kind")
    begins, ends = pads[: len(sides)], pads[len(sides) :]
    span = (side + begin + end - size for side, begin, end, size in zip(sides, begins, ends, kernel, strict=True))
    return tuple(room // stride + 1 for room, stride in zip(span, strides, strict=True))


def _matmul(_node: Node, shapes: Shapes) -> Shape:
    left, right = shapes
    if len(left) < 2 or len(right) < 2 or left[-1] != right[-2]:
        raise ValueError("matrices of other sides")
    return (*np.broadcast_shapes(left[:-2], right[:-2]), left[-2], right[-1])


def _split(node: Node, shape: Shape, constants: Mapping[str, np.ndarray]) -> Shapes:
    axis = _number(node, "axis") % len(shape)
    count = len(node.outputs)
    sizes = _constant(node, 1, constants) if len(node.inputs) > 1 else (-(-shape[axis] // count),) * count
    if sum(sizes) != shape[axis]:
        raise ValueError("parts of another size")
    return [(*shape[:axis], size, *shape[axis + 1 :]) for size in sizes]


def _reduced(node: Node, shapes: Shapes, constants: Mapping[str, np.ndarray]) -> Shape:
    axes = _constant(node, 1, constants) if len(node.inputs) > 1 else _of(node, "axes")
    return _without(shapes[0], axes, _number(node, "keepdims", 1))


def _argmax(node: Node, shapes: Shapes, _constants: Mapping[str, np.ndarray]) -> Shape:
    return _without(shapes[0], (_number(node, "axis"),), _number(node, "keepdims", 1))


def _without(shape: Shape, axes: Shape, keep: int) -> Shape:
    gone = {range(len(shape))[axis] for axis in axes}
    return tuple(1 if place in gone else side for place, side in enumerate(shape) if keep or place not in gone)


def _reshaped(node: Node, shapes: Shapes, constants: Mapping[str, np.ndarray]) -> Shape:
    (shape, _) = shapes
    wanted = [shape[place] if side == 0 else side for place, side in enumerate(_constant(node, 1, constants))]
    if wanted.count(-1) == 1:
        wanted[wanted.index(-1)] = math.prod(shape) // -math.prod(wanted)
    if math.prod(wanted) != math.prod(shape) or min(wanted, default=1) < 1:
        raise ValueError("another number of values")
    return tuple(wanted)


def _sliced(node: Node, shapes: Shapes, constants: Mapping[str, np.ndarray]) -> Shape:
    sides = list(shapes[0])
    starts, ends, axes, steps = (_constant(node, place, constants) for place in range(1, 5))
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        sides[axis] = len(range(shapes[0][axis])[slice(start, end, step)])
    return tuple(sides)


def _padded(node: Node, shapes: Shapes, constants: Mapping[str, np.ndarray]) -> Shape:
    pads = _constant(node, 1, constants)
    sides = shapes[0]
    if len(pads) != 2 * len(sides) or min(pads) < 0:
        raise ValueError("another number of pads")
    return tuple(a + b + c for a, b, c in zip(sides, pads[: len(sides)], pads[len(sides) :], strict=True))


def _joined(node: Node, shapes: Shapes, _constants: Mapping[str, np.ndarray]) -> Shape:
    axis = _number(node, "axis") % len(shapes[0])
    if len({(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}) != 1:
        raise ValueError("other sides")
    return (*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])


def _gathered(node: Node, shapes: Shapes, _constants: Mapping[str, np.ndarray]) -> Shape:
    source, places = shapes
    axis = _number(node, "axis", 0) % len(source)
    return (*source[:axis], *places, *source[axis + 1 :])


def _flat(node: Node, shapes: Shapes, _constants: Mapping[str, np.ndarray]) -> Shape:
    axis = _number(node, "axis", 1)
    return math.prod(shapes[0][:axis]), math.prod(shapes[0][axis:])


def _turned(node: Node, shapes: Shapes, _constants: Mapping[str, np.ndarray]) -> Shape:
    order = _of(node, "perm")
    if sorted(order) != list(range(len(shapes[0]))):
        raise ValueError("another number of sides")
    return tuple(shapes[0][place] for place in order)


def _as_the_first(_node: Node, shapes: Shapes, _constants: Mapping[str, np.ndarray]) -> Shape:
    return shapes[0]


def _means(_node: Node, shapes: Shapes, _constants: Mapping[str, np.ndarray]) -> Shape:
    return (*shapes[0][:2], *(1 for _ in shapes[0][2:]))


def _of(node: Node, name: str, default: Shape | None = None) -> Shape:
    """An attribute of several whole numbers; KeyError without one."""
    value = node.attributes[name] if default is None else node.attributes.get(name, default)
    if not isinstance(value, tuple):
        raise TypeError(name)
    return value


def _number(node: Node, name: str, default: int | None = None) -> int:
    """An attribute of one whole number; KeyError without one."""
    value = node.attributes[name] if default is None else node.attributes.get(name, default)
    if not isinstance(value, int):
        raise TypeError(name)
    return value


def _constant(node: Node, place: int, constants: Mapping[str, np.ndarray]) -> Shape:
    """An input that is in the file; KeyError for one that is computed."""
    return tuple(int(value) for value in constants[node.inputs[place]].reshape(-1))


_ALIKE = frozenset(
    re.findall(r"\w+", "Abs Add Cast Div Equal Erf Gelu Less Max Min Mul Relu Round Sigmoid Sqrt Sub Where")
)
_ATTRIBUTES = frozenset(
    re.findall(r"\w+", "axes axis group keepdims kernel_shape num_outputs pads perm strides to")
)  # others would give other shapes than are counted here
_PRODUCTS: dict[str, Callable[[Node, Shapes], Shape]] = {
    "Conv": _conv,
    "MaxPool": _pool,
    "AveragePool": _pool,
    "MatMul": _matmul,
}
_SHAPED: dict[str, Callable[[Node, Shapes, Mapping[str, np.ndarray]], Shape]] = {
    "ArgMax": _argmax,
    "Concat": _joined,
    "DequantizeLinear": _as_the_first,
    "Flatten": _flat,
    "Gather": _gathered,
    "GlobalAveragePool": _means,
    "Pad": _padded,
    "QuantizeLinear": _as_the_first,
    "ReduceMean": _reduced,
    "ReduceMin": _reduced,
    "ReduceSum": _reduced,
    "Reshape": _reshaped,
    "Slice": _sliced,
    "Softmax": _as_the_first,
    "Transpose": _turned,
}
