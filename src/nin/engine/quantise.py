"""Eight-bit whole numbers instead of floats: static, per channel, calibrated on pictures (torch-free).

Weights become int8 with one scale a channel, chosen so that no processor's arithmetic overflows (`_steps`); what flows
between layers uint8 with one scale a tensor, fixed beforehand from what calibration pictures gave. QuantizeLinear and
DequantizeLinear stand around every convolution, which ONNX Runtime fuses into whole-number ones. Never dynamic: scales
that follow each picture are slow and ruin convolutional networks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from nin.engine.graph import FEATURES, Builder
from nin.engine.onnx_file import Graph, Node, Port

LEVELS = 255
INT32 = -(2**31), 2**31 - 1
KEPT = 100_000  # values of a tensor from which its range is chosen
CANDIDATES = np.linspace(0.3, 1.0, 36)  # shares of the largest value at which a range may end
Run = Callable[[Graph, tuple[str, ...]], Mapping[str, np.ndarray]]  # a graph and tensors of it -> their values
Ranges = Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Ranged:
    """The ranges of every tensor between layers, from calibration pictures.

    extremes: smallest and largest value, or 0. fitted: the range of least squared error. means: (C,), one a channel.
    """

    extremes: dict[str, tuple[float, float]]
    fitted: dict[str, tuple[float, float]]
    means: dict[str, np.ndarray]


def convolutions(graph: Graph) -> list[Node]:
    """The network's own convolutions in order; those that blur (LCN) are not among them."""
    return [node for node in graph.nodes if node.op == "Conv" and node.name.startswith("blocks.")]


def calibrate(values: Mapping[str, np.ndarray]) -> Ranged:
    """Ranges from the values (n, C, h, w) of each tensor that a convolution reads."""
    extremes = {}
    fitted = {}
    for name, array in values.items():
        flat = array.reshape(-1)
        low, high = min(0.0, float(flat.min())), max(0.0, float(flat.max()))
        extremes[name] = low, high
        values_kept = flat[:: -(-flat.size // KEPT)]
        errors = [_error(values_kept, low * share, high * share) for share in CANDIDATES]
        share = float(CANDIDATES[int(np.argmin(errors))])
        fitted[name] = low * share, high * share
    return Ranged(extremes, fitted, {name: array.mean((0, 2, 3), dtype=np.float64) for name, array in values.items()})


def tapped(graph: Graph) -> tuple[Graph, tuple[str, ...]]:
    """The graph with all that its convolutions read among its outputs, and those names."""
    names = tuple(dict.fromkeys(node.inputs[0] for node in convolutions(graph)))
    ports = tuple(Port(name, "float32", ("any", "channels", "rows", "columns")) for name in names)
    return replace(graph, outputs=(*graph.outputs, *ports)), names


def quantised(
    graph: Graph, ranges: Ranges, in_float: frozenset[str] = frozenset(), means: Mapping[str, np.ndarray] | None = None
) -> Graph:
    """The graph with convolutions in eight bits, except those `in_float` and the last one, which makes the maps.

    What the last one reads is rounded, too, where the convolution before it is in eight bits: so that one ends in them.
    means: of the channels of what convolutions read; with them, what rounding weights does on average is taken back.
    """
    *before, last = convolutions(graph)
    chosen = {node.name for node in before} - in_float
    rounding = bool(before) and before[-1].name in chosen
    build = Builder([], dict(graph.constants))
    read = {node.inputs[0] for node in graph.nodes if node.name in chosen}
    for node in graph.nodes:
        if node.op == "MaxPool" and node.outputs[0] in read:
            node = replace(node, inputs=(_rounded(build, node.inputs[0], ranges[node.outputs[0]]),))
        if node.name in chosen:
            mean = None if means is None else means[node.inputs[0]]
            node = _in_eight_bits(build, node, ranges[node.inputs[0]], mean)
        if rounding and node.name in (last.name, FEATURES):  # a reader of the floats undoes what eight bits win
            node = replace(node, inputs=(_rounded(build, node.inputs[0], ranges[last.inputs[0]]), *node.inputs[1:]))
        build.nodes.append(node)
    used = {name for node in build.nodes for name in node.inputs}
    constants = {name: array for name, array in build.constants.items() if name in used}
    return replace(graph, nodes=tuple(build.nodes), constants=constants)


def _in_eight_bits(build: Builder, node: Node, interval: tuple[float, float], mean: np.ndarray | None) -> Node:
    """A convolution of rounded numbers, with weights and bias that are whole numbers times their scales."""
    source, weight, bias = node.inputs
    scale, _ = _scale(interval)
    x = _rounded(build, source, interval)
    values = build.constants[weight].astype(np.float64)
    scales = np.maximum(np.abs(values).max((1, 2, 3)), 1e-12) / _steps(values)
    whole = np.rint(values / scales[:, None, None, None])
    zeros = np.zeros(len(scales), np.int8)
    both = scales * scale
    true = build.constants[bias] - (0 if mean is None else _drift(whole * scales[:, None, None, None] - values, mean))
    names = [
        build.constant(f"{weight}/int8", whole, "int8"),
        build.constant(f"{weight}/scale", scales),
        build.constant(f"{weight}/zero", zeros, "int8"),
        build.constant(f"{bias}/int32", np.rint(true / both).clip(*INT32), "int32"),
        build.constant(f"{bias}/scale", both),
        build.constant(f"{bias}/zero", zeros, "int32"),
    ]
    w = build.add(f"{weight}/float", "DequantizeLinear", *names[:3], axis=0)
    b = build.add(f"{bias}/float", "DequantizeLinear", *names[3:], axis=0)
    return replace(node, inputs=(x, w, b))


def _drift(off: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """How far weights (O, I, h, w) that are `off` move the O sums on average; mean: of each of I * groups inputs."""
    groups = len(mean) // off.shape[1]
    inputs = np.repeat(mean.reshape(groups, -1), len(off) // groups, axis=0)
    drift: np.ndarray = (off.sum((2, 3)) * inputs).sum(1)
    return drift


def _steps(values: np.ndarray) -> np.ndarray:
    """The whole number that each channel's largest weight becomes: at most 127, and never less than 63.

    x86 processors without VNNI (AVX2, the first AVX-512) add two products of a uint8 and an int8 in 16 bits and
    saturate. 255 times two weights of one sign stays below 2^15 where these add to 128 at most, whichever two meet.
    With 127 for every channel `nin-cifar10` lost 3.4 points of accuracy on such a machine (docs/log.md).
    """
    flat = values.reshape(len(values), -1)
    pairs = [np.sort(side.clip(0), axis=1)[:, -2:].sum(1) for side in (flat, -flat)]
    steps: np.ndarray = 127 * np.maximum(np.abs(flat).max(1), 1e-12) / np.maximum(np.maximum(*pairs), 1e-12)
    return steps


def _rounded(build: Builder, x: str, interval: tuple[float, float]) -> str:
    """x as the nearest of 256 numbers in the interval; made once a tensor."""
    name = f"{x}/rounded"
    if any(name in node.outputs for node in build.nodes):
        return name
    scale, zero = _scale(interval)
    how = build.constant(f"{x}/scale", scale), build.constant(f"{x}/zero", zero, "uint8")
    return build.add(name, "DequantizeLinear", build.add(f"{x}/uint8", "QuantizeLinear", x, *how), *how)


def _scale(interval: tuple[float, float]) -> tuple[float, int]:
    """Step and zero point of 256 numbers over an interval around zero, zero being one of them."""
    low, high = min(0.0, interval[0]), max(0.0, interval[1])
    scale = max(high - low, 1e-12) / LEVELS
    return scale, int(np.clip(round(-low / scale), 0, LEVELS))


def _error(values: np.ndarray, low: float, high: float) -> float:
    """Mean squared error of rounding values to 256 numbers from low to high."""
    scale, zero = _scale((low, high))
    rounded = (np.rint(values / scale) + zero).clip(0, LEVELS) - zero
    return float(np.square(rounded * scale - values).mean())
