"""From a model folder to one ONNX graph: pictures in; probabilities, logits and class maps out (torch-free).

A model that knows its training pictures (nin.bundle.likeness) also gives each picture's distance from them.

Nothing is traced: a network of ours is a chain of mlpconv layers, and each becomes a few operators with readable names.
Batch normalisation and the factor of classic dropout are folded into the weights beside them. What is made is compared
with torch before it is called done (nin.engine.exporter).
Legend: N pictures, K classes, F features, C channels, (H, W) sides of what the network sees, (h, w) of its class maps.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from nin.bundle.card import Calibration
from nin.bundle.folder import Bundle
from nin.bundle.likeness import Likeness
from nin.data.preprocess import Preprocess
from nin.data.whiten import CIFAR, MIN_DIVISOR, SVHN, THRESHOLD, WINDOW, Contrast, window
from nin.engine.onnx_file import Attribute, Graph, Node, Port
from nin.network.config import BlockConfig, NINConfig, pool_side

NORM_EPSILON = 1e-5  # of torch's BatchNorm2d
RESIZED = "resized"  # the tensor between resizing and the rest, (N, H, W, C) uint8
PICTURES = "pictures"
OUTPUTS = ("probabilities", "logits", "class_maps")
DISTANCE = "distance"  # one output more, (N,)
FEATURES = "features/means"  # what makes the mean features
Weights = Mapping[str, np.ndarray]


@dataclass
class Builder:
    """Operators and constants so far; every method returns the name of what it made."""

    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)

    def constant(self, name: str, value: object, dtype: str = "float32") -> str:
        """A constant array by name; the same name must always stand for the same array."""
        self.constants.setdefault(name, np.asarray(value, dtype))
        return name

    def add(self, name: str, op: str, *inputs: str, **attributes: Attribute) -> str:
        """One operator with one output, which has the operator's name."""
        self.nodes.append(Node(op, inputs, (name,), name, attributes))
        return name

    def split(self, name: str, x: str, parts: tuple[str, ...], axis: int, sizes: tuple[int, ...] | None = None) -> None:
        """x in parts along an axis, of these sizes or all alike."""
        inputs = (x,) if sizes is None else (x, self.constant(f"{name}.sizes", sizes, "int64"))
        alike: dict[str, Attribute] = {"num_outputs": len(parts)} if sizes is None else {}
        self.nodes.append(Node("Split", inputs, parts, name, {"axis": axis, **alike}))


def core(bundle: Bundle) -> Graph:
    """The graph for pictures (N, H, W, C) uint8 that have the network's own size already; any N of at least 1."""
    build = Builder()
    config = NINConfig.from_dict(bundle.network)
    size = bundle.preprocess.size
    x = _normalised(build, bundle.preprocess)  # (N, C, H, W)
    if config.mirror:
        x = build.add("mirror/views", "Concat", x, _flip(build, "mirror/picture", x), axis=0)  # (2N, C, H, W)
    x, features, sides = layers(build, x, config, bundle.weights(), size)  # (N or 2N, K, h, w), (N or 2N, F, h, w)
    if config.mirror:
        x = _mean_of_views(build, x)  # (N, K, h, w)
    build.nodes[-1] = replace(build.nodes[-1], outputs=("class_maps",))
    _answers(build, bundle.calibration.temperature)
    if bundle.likeness is not None:
        _distance(build, features, bundle.likeness, mirror=config.mirror)
    classes = len(bundle.classes)
    inputs = (Port(RESIZED, "uint8", ("batch", *size, bundle.preprocess.channels)),)
    shapes: dict[str, tuple[int | str, ...]] = dict.fromkeys(OUTPUTS, ("batch", classes))
    shapes |= {"class_maps": ("batch", classes, *sides), DISTANCE: ("batch",)}
    outputs = tuple(Port(name, "float32", shapes[name]) for name in outputs_of(bundle.calibration))
    return Graph(config.name, tuple(build.nodes), build.constants, inputs, outputs, {})


def outputs_of(calibration: Calibration) -> tuple[str, ...]:
    """The names of what a graph gives, in the order of `Answers`."""
    return OUTPUTS if calibration.unknown_beyond is None else (*OUTPUTS, DISTANCE)


def _distance(build: Builder, features: str, likeness: Likeness, *, mirror: bool) -> None:
    """What the last 1x1 layer reads (N, F, h, w), or (2N, F, h, w) with mirror images, to distances (N,): the twin of
    `Likeness.distances`."""
    x = build.add(FEATURES, "ReduceMean", features, "sides", keepdims=0)  # (N or 2N, F)
    if mirror:
        build.split("features/split", x, ("features/straight", "features/turned"), axis=0)
        x = build.add("features/sum", "Add", "features/straight", "features/turned")
        x = build.add("features/mean", "Mul", x, build.constant("half", 0.5))  # (N, F)
    x = build.add("likeness/centred", "Sub", x, build.constant("likeness.centre", likeness.centre))
    at = build.add("likeness/at", "MatMul", x, build.constant("likeness.factor", likeness.factor))  # (N, F)
    places = build.constant("likeness.places", likeness.places)  # (K, F)
    # |at - place|^2 = |at|^2 - 2 (at . place - |place|^2 / 2): the nearest place has the largest bracket.
    x = build.add("likeness/products", "MatMul", at, build.constant("likeness.turned", likeness.places.T))
    x = build.add("likeness/nearness", "Sub", x, build.constant("likeness.halves", likeness.halves))  # (N, K)
    x = build.add("likeness/nearest", "ArgMax", x, axis=1, keepdims=0)  # (N,)
    x = build.add("likeness/off", "Sub", at, build.add("likeness/place", "Gather", places, x, axis=0))  # (N, F)
    build.constant("likeness.axis", (1,), "int64")
    x = build.add("likeness/squares", "Mul", x, x)
    x = build.add("likeness/square", "ReduceSum", x, "likeness.axis", keepdims=0)  # (N,)
    build.add(DISTANCE, "Sqrt", x)


def _answers(build: Builder, temperature: float) -> None:
    """Class maps to logits, their means, and logits to probabilities."""
    build.constant("sides", (2, 3), "int64")
    build.add("logits", "ReduceMean", "class_maps", "sides", keepdims=0)  # (N, K, h, w) -> (N, K)
    build.add("calibrated", "Div", "logits", build.constant("temperature", temperature))
    build.add("probabilities", "Softmax", "calibrated", axis=-1)


def layers(
    build: Builder, x: str, config: NINConfig, weights: Weights, sides: tuple[int, int]
) -> tuple[str, str, tuple[int, int]]:
    """All mlpconv layers, poolings and factors of dropout; x (N, C, H, W) float32 -> maps (N, K, h, w), what the last
    1x1 layer reads (N, F, h, w), and (h, w)."""
    features = x
    factor = 1.0  # of classic dropout, which in evaluation scales the next layer's input: folded into its weights
    for index, block in enumerate(config.blocks):
        last = index == len(config.blocks) - 1
        for layer in range(len(block.channels)):
            place = f"blocks.{index}.{f'pointwise.{layer - 1}' if layer else 'spatial'}"
            final = last and layer == len(block.channels) - 1
            norm = f"blocks.{index}.norms.{layer}" if config.norm and (config.last_norm or not final) else None
            weight, bias = _folded(weights, place, norm, factor)
            geometry = _geometry(block) if layer == 0 else {"kernel_shape": (1, 1)}
            names = build.constant(f"{place}.weight", weight), build.constant(f"{place}.bias", bias)
            features = x
            x = build.add(place, "Conv", x, *names, **geometry)  # (N, C', h, w)
            if config.last_activation or not final:
                x = _activation(build, f"{place}.{config.activation}", x, config.activation)
            factor = 1.0
        sides = block.conv_side(sides[0]), block.conv_side(sides[1])
        if block.pool is not None:
            x, sides = _pooled(build, f"pools.{index}", x, block, sides)
        if config.dropout_kind == "classic":
            factor = 1 - block.dropout
    return x, features, sides


def _folded(weights: Weights, place: str, norm: str | None, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights and bias of a convolution of `factor` times its input, with the normalisation that follows it."""
    weight = weights[f"{place}.weight"].astype(np.float64) * factor  # (C', C, k, k)
    bias = weights.get(f"{place}.bias", np.zeros(len(weight))).astype(np.float64)
    if norm is not None:
        gain, shift, mean, variance = (
            weights[f"{norm}.{part}"].astype(np.float64) for part in ("weight", "bias", "running_mean", "running_var")
        )
        gain = gain / np.sqrt(variance + NORM_EPSILON)  # (C',)
        weight, bias = weight * gain[:, None, None, None], (bias - mean) * gain + shift
    return weight.astype(np.float32), bias.astype(np.float32)


def _geometry(block: BlockConfig) -> dict[str, Attribute]:
    kernel = (block.kernel_size,) * 2
    stride = (block.stride,) * 2
    return {"kernel_shape": kernel, "strides": stride, "pads": (block.pad,) * 4, "group": block.groups}


def _activation(build: Builder, name: str, x: str, kind: str) -> str:
    if kind == "silu":
        return build.add(name, "Mul", x, build.add(f"{name}/sigmoid", "Sigmoid", x))
    return x if kind == "identity" else build.add(name, {"relu": "Relu", "gelu": "Gelu"}[kind], x)


def _pooled(
    build: Builder, name: str, x: str, block: BlockConfig, sides: tuple[int, int]
) -> tuple[str, tuple[int, int]]:
    """Pooling; where it rounds up, the last window hangs over the edge by as much padding as it needs."""
    out = tuple(
        pool_side(side, block.pool_size, block.pool_stride, block.pool_padding, block.pool_ceil) for side in sides
    )
    ends = [
        max(block.pool_padding, (n - 1) * block.pool_stride + block.pool_size - side - block.pool_padding)
        for n, side in zip(out, sides, strict=True)
    ]
    geometry: dict[str, Attribute] = {"kernel_shape": (block.pool_size,) * 2, "strides": (block.pool_stride,) * 2}
    begin = block.pool_padding
    if block.pool == "max":
        return build.add(name, "MaxPool", x, pads=(begin, begin, *ends), **geometry), (out[0], out[1])
    if begin:  # torch counts its padding as zeros and what hangs over not at all
        pads = build.constant(f"{name}.pads", (0, 0, begin, begin, 0, 0, begin, begin), "int64")
        x = build.add(f"{name}.padded", "Pad", x, pads)
        ends = [end - begin for end in ends]
    return build.add(name, "AveragePool", x, pads=(0, 0, *ends), **geometry), (out[0], out[1])


def _flip(build: Builder, name: str, x: str) -> str:
    """(N, C, H, W) with left and right exchanged."""
    ends = [build.constant(f"flip.{part}", value, "int64") for part, value in _FLIP.items()]
    return build.add(name, "Slice", x, *ends)


_FLIP = {"starts": (-1,), "ends": (-(2**31),), "axes": (3,), "steps": (-1,)}


def _mean_of_views(build: Builder, maps: str) -> str:
    """(2N, K, h, w), pictures and then their mirror images -> (N, K, h, w): the mean with the latter turned back."""
    build.split("mirror/split", maps, ("mirror/straight", "mirror/turned"), axis=0)
    back = _flip(build, "mirror/back", "mirror/turned")
    total = build.add("mirror/sum", "Add", "mirror/straight", back)
    return build.add("mirror/mean", "Mul", total, build.constant("half", 0.5))


def _normalised(build: Builder, preprocess: Preprocess) -> str:
    """RESIZED (N, H, W, C) uint8 -> (N, C, H, W) float32: the twin of `Preprocess.normalise`."""
    x = build.add("normalise/channels_first", "Transpose", RESIZED, perm=(0, 3, 1, 2))
    if preprocess.normalisation == "lcn":
        x = _global_contrast(build, x, preprocess, SVHN)
        return _local_contrast(build, x, preprocess.channels, preprocess.size)
    if preprocess.normalisation != "standard":
        x = _global_contrast(build, x, preprocess, CIFAR)
        if preprocess.zca is None:
            return x
        build.constant("flat", (0, -1), "int64")
        shape = (-1, preprocess.channels, *preprocess.size)
        x = build.add("zca/flat", "Reshape", x, "flat")  # (N, C * H * W)
        x = build.add("zca/centred", "Sub", x, build.constant("zca.mean", preprocess.zca.mean))
        x = build.add("zca/whitened", "MatMul", x, build.constant("zca.matrix", preprocess.zca.matrix))
        return build.add("zca/picture", "Reshape", x, build.constant("picture_shape", shape, "int64"))
    mean, std = (np.reshape(values, (1, -1, 1, 1)) for values in (preprocess.mean, preprocess.std))
    x = build.add("normalise/float", "Cast", x, to=1)
    x = build.add("normalise/unit", "Div", x, build.constant("white", 255.0))
    x = build.add("normalise/centred", "Sub", x, build.constant("mean", mean))
    return build.add("normalise/scaled", "Div", x, build.constant("std", std))


def _global_contrast(build: Builder, x: str, preprocess: Preprocess, how: Contrast) -> str:
    """(N, C, H, W) uint8 -> float32: the twin of `nin.data.whiten.global_contrast`."""
    count = preprocess.channels * preprocess.size[0] * preprocess.size[1]
    build.constant("all", (1, 2, 3), "int64")
    whole = build.add("gcn/whole", "Cast", x, to=7)
    total = build.add("gcn/total", "ReduceSum", whole, "all", keepdims=1)  # (N, 1, 1, 1)
    # The mean is taken off in whole numbers, so that a picture of one colour becomes exactly zero.
    scaled = build.add("gcn/scaled", "Mul", whole, build.constant("gcn.count", count, "int64"))
    x = build.add("gcn/float", "Cast", build.add("gcn/less_mean", "Sub", scaled, total), to=1)
    x = build.add("gcn/centred", "Div", x, build.constant("gcn.values", count))
    squares = build.add("gcn/squares", "ReduceSum", build.add("gcn/square", "Mul", x, x), "all", keepdims=1)
    if how.use_std:
        squares = build.add("gcn/variance", "Div", squares, build.constant("gcn.degrees", max(count - 1, 1)))
    biased = build.add("gcn/biased", "Add", squares, build.constant("gcn.bias", how.sqrt_bias))
    root = build.add("gcn/root", "Sqrt", biased)
    divisor = build.add("gcn/divisor", "Div", root, build.constant("gcn.scale", how.scale))
    small = build.add("gcn/small", "Less", divisor, build.constant("gcn.least", MIN_DIVISOR))
    divisor = build.add("gcn/safe", "Where", small, build.constant("one", 1.0), divisor)
    return build.add("gcn/contrasted", "Div", x, divisor)


def _local_contrast(build: Builder, x: str, channels: int, size: tuple[int, int]) -> str:
    """(N, C, H, W) float32 -> the same: the twin of `nin.data.whiten.local_contrast`."""
    mean = _blurred(build, "lcn/mean", x, channels, size)
    power = _blurred(build, "lcn/power", build.add("lcn/square", "Mul", x, x), channels, size)
    divisor = build.add("lcn/root", "Sqrt", power)  # (N, C, H, W)
    build.constant("sides", (2, 3), "int64")
    usual = build.add("lcn/usual", "ReduceMean", divisor, "sides", keepdims=1)  # (N, C, 1, 1)
    divisor = build.add("lcn/divisor", "Max", divisor, usual, build.constant("lcn.threshold", THRESHOLD))
    return build.add("lcn/contrasted", "Div", build.add("lcn/centred", "Sub", x, mean), divisor)


def _blurred(build: Builder, name: str, x: str, channels: int, size: tuple[int, int]) -> str:
    """(N, C, H, W) -> the same: each place's Gaussian mean, down and then across; every channel is a picture here."""
    half = WINDOW // 2
    planes = build.constant("lcn.planes", (-1, 1, *size), "int64")
    y = build.add(f"{name}/planes", "Reshape", x, planes)  # (N * C, 1, H, W)
    for way, kernel, pads in (("down", (WINDOW, 1), (half, 0, half, 0)), ("across", (1, WINDOW), (0, half, 0, half))):
        weight = build.constant(f"lcn.{way}", np.reshape(window(), (1, 1, *kernel)))
        y = build.add(f"{name}/{way}", "Conv", y, weight, kernel_shape=kernel, pads=pads)
    return build.add(name, "Reshape", y, build.constant("picture_shape", (-1, channels, *size), "int64"))
