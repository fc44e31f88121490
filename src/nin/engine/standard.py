"""A graph that others' readers take: one picture of a fixed size as float32, standard operators of an early version.

Legend: K classes, C channels, (H, W) sides of what the network sees. A picture is (1, C, H, W), values from 0 to 255,
resized by whoever asks; normalisation, network and softmax are inside. Nothing has a side that may vary. (torch-free)
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nin.bundle.folder import Bundle
from nin.bundle.likeness import Likeness
from nin.data.preprocess import Preprocess
from nin.data.whiten import CIFAR, MIN_DIVISOR, SVHN, THRESHOLD, WINDOW, Contrast, window
from nin.engine.graph import DISTANCE, OUTPUTS, PICTURES, RESIZED, Builder, layers, outputs_of
from nin.engine.onnx_file import Graph, Node, Port
from nin.errors import ModelError
from nin.network.config import NINConfig

OPSET = 13  # of 2020: OpenCV, tract, ONNX Runtime Web and the converters to TFLite and Core ML all read it
EVERYWHERE = (1, 2, 3)  # axes of one picture


def standard(bundle: Bundle) -> Graph:
    """The graph for one picture (1, C, H, W) float32 of the size that the bundle's preprocessing names."""
    build = Builder()
    config = NINConfig.from_dict(bundle.network)
    size = bundle.preprocess.size
    x = _normalised(build, bundle.preprocess)  # (1, C, H, W)
    before = len(build.nodes)
    maps, hidden, sides = layers(build, x, config, bundle.weights(), size)  # (1, K, h, w), (1, F, h, w)
    features = [hidden]
    if config.mirror:
        maps = _mean_of_views(build, x, maps, build.nodes[before:], size[1], sides[1])
        features.append(f"mirror/{hidden}")
    build.nodes[-1] = replace(build.nodes[-1], outputs=("class_maps",))
    build.add("logits", "Flatten", build.add("gap", "GlobalAveragePool", "class_maps"), axis=1)
    temperature = build.constant("temperature", [bundle.calibration.temperature])
    build.add("probabilities", "Softmax", build.add("calibrated", "Div", "logits", temperature), axis=1)
    if bundle.likeness is not None:
        _distance(build, features, bundle.likeness)
    nodes = tuple(plain for node in build.nodes for plain in _early(build, node))
    classes = len(bundle.classes)
    shapes: dict[str, tuple[int | str, ...]] = dict.fromkeys(OUTPUTS, (1, classes))
    shapes |= {"class_maps": (1, classes, *sides), DISTANCE: (1,)}
    outputs = tuple(Port(name, "float32", shapes[name]) for name in outputs_of(bundle.calibration))
    port = Port(PICTURES, "float32", (1, bundle.preprocess.channels, *size))
    return Graph(config.name, nodes, build.constants, (port,), outputs, {}, OPSET)


def _distance(build: Builder, features: Sequence[str], likeness: Likeness) -> None:
    """What the last 1x1 layer reads of every view to the distance: the twin of `Likeness.distances`, of all classes."""
    views = [
        build.add(f"features/{number}", "Flatten", build.add(f"features/gap/{number}", "GlobalAveragePool", x), axis=1)
        for number, x in enumerate(features)
    ]  # (1, F) each
    x = views[0]
    if len(views) > 1:
        x = build.add("features/mean", "Mul", build.add("features/sum", "Add", *views), build.constant("half", [0.5]))
    x = build.add("likeness/centred", "Sub", x, build.constant("likeness.centre", likeness.centre))
    x = build.add("likeness/at", "MatMul", x, build.constant("likeness.factor", likeness.factor))
    x = build.add(
        "likeness/row", "Reshape", x, build.constant("likeness.shape", (-1, 1, len(likeness.scales)), "int64")
    )
    x = build.add("likeness/off", "Sub", x, build.constant("likeness.places", likeness.places[None]))  # (1, K, F)
    axes = build.constant("likeness.axis", (2,), "int64")
    x = build.add("likeness/square", "ReduceSum", build.add("likeness/squares", "Mul", x, x), axes, keepdims=0)
    build.add(DISTANCE, "ReduceMin", build.add("likeness/distances", "Sqrt", x), axes=(1,), keepdims=0)


def from_uint8(graph: Graph) -> Graph:
    """The same graph for any number of pictures (N, H, W, C) uint8, as our own engine asks it."""
    (port,) = graph.inputs
    if port.name != PICTURES or len(port.shape) != 4:
        raise ModelError(f"{graph.name[:80]} has another input than nin export gives it; export it again")
    _, channels, *size = port.shape
    first = Node("Transpose", (RESIZED,), ("channels_first",), "channels_first", {"perm": (0, 3, 1, 2)})
    second = Node("Cast", ("channels_first",), (PICTURES,), "float", {"to": 1})
    outputs = tuple(replace(each, shape=("batch", *each.shape[1:])) for each in graph.outputs)
    inputs = (Port(RESIZED, "uint8", ("batch", *size, channels)),)
    return replace(graph, nodes=(first, second, *graph.nodes), inputs=inputs, outputs=outputs, metadata={})


def _early(build: Builder, node: Node) -> tuple[Node, ...]:
    """An operator by those that OPSET has: GELU is x / 2 * (1 + erf(x / sqrt 2))."""
    if node.op != "Gelu":
        return (node,)
    (x,) = node.inputs
    name = node.name
    root, half, one = (build.constant(f"gelu.{word}", [value]) for word, value in _GELU.items())
    steps = (
        ("scaled", "Mul", x, root),
        ("erf", "Erf", f"{name}/scaled"),
        ("more", "Add", f"{name}/erf", one),
        ("half", "Mul", x, half),
    )
    made = [Node(op, tuple(inputs), (f"{name}/{step}",), f"{name}/{step}") for step, op, *inputs in steps]
    return (*made, Node("Mul", (f"{name}/half", f"{name}/more"), node.outputs, name))


_GELU = {"root": 1 / math.sqrt(2), "half": 0.5, "one": 1.0}


def _mean_of_views(build: Builder, x: str, maps: str, nodes: Sequence[Node], width: int, columns: int) -> str:
    """The mean of the maps of a picture and, turned back, of those of its mirror image, which has the layers again."""
    other = {x: _flip(build, "mirror/picture", x, width)}
    for node in nodes:
        other |= {name: f"mirror/{name}" for name in node.outputs}
        inputs = tuple(other.get(name, name) for name in node.inputs)
        made = tuple(other[name] for name in node.outputs)
        build.nodes.append(replace(node, inputs=inputs, outputs=made, name=f"mirror/{node.name}"))
    back = _flip(build, "mirror/back", other[maps], columns)
    total = build.add("mirror/sum", "Add", maps, back)
    return build.add("mirror/mean", "Mul", total, build.constant("half", [0.5]))


def _flip(build: Builder, name: str, x: str, width: int) -> str:
    """(1, C, h, w) with left and right exchanged: times ones on the other diagonal, which all readers do."""
    return build.add(name, "MatMul", x, build.constant(f"flip.{width}", np.eye(width)[::-1]))


def _normalised(build: Builder, preprocess: Preprocess) -> str:
    """PICTURES (1, C, H, W) float32, 0 to 255 -> the same shape: the twin of `Preprocess.normalise`."""
    if preprocess.normalisation == "lcn":
        x = _global_contrast(build, preprocess, SVHN)
        return _local_contrast(build, x, preprocess.channels)
    if preprocess.normalisation != "standard":
        x = _global_contrast(build, preprocess, CIFAR)
        if preprocess.zca is None:
            return x
        x = build.add("zca/flat", "Flatten", x, axis=1)
        x = build.add("zca/centred", "Sub", x, build.constant("zca.mean", preprocess.zca.mean))
        x = build.add("zca/whitened", "MatMul", x, build.constant("zca.matrix", preprocess.zca.matrix))
        shape = build.constant("picture_shape", (-1, preprocess.channels, *preprocess.size), "int64")
        return build.add("zca/picture", "Reshape", x, shape)
    mean, std = (np.reshape(values, (1, -1, 1, 1)) for values in (preprocess.mean, preprocess.std))
    x = build.add("normalise/unit", "Div", PICTURES, build.constant("white", [255.0]))
    x = build.add("normalise/centred", "Sub", x, build.constant("mean", mean))
    return build.add("normalise/scaled", "Div", x, build.constant("std", std))


def _global_contrast(build: Builder, preprocess: Preprocess, how: Contrast) -> str:
    """The twin of `nin.data.whiten.global_contrast`, with sums in float32."""
    count = preprocess.channels * math.prod(preprocess.size)
    axes = build.constant("all", EVERYWHERE, "int64")
    values = build.constant("gcn.values", [count])
    total = build.add("gcn/total", "ReduceSum", PICTURES, axes, keepdims=1)
    less = build.add("gcn/less_mean", "Sub", build.add("gcn/scaled", "Mul", PICTURES, values), total)  # whole numbers
    x = build.add("gcn/centred", "Div", less, values)
    squares = build.add("gcn/squares", "ReduceSum", build.add("gcn/square", "Mul", x, x), axes, keepdims=1)
    if how.use_std:
        squares = build.add("gcn/variance", "Div", squares, build.constant("gcn.degrees", [max(count - 1, 1)]))
    biased = build.add("gcn/biased", "Add", squares, build.constant("gcn.bias", [how.sqrt_bias]))
    root = build.add("gcn/root", "Sqrt", biased)
    divisor = build.add("gcn/divisor", "Div", root, build.constant("gcn.scale", [how.scale]))
    least = build.constant("gcn.least", [MIN_DIVISOR])
    safe = build.add("gcn/safe", "Max", divisor, least)  # a picture of one colour is 0 whatever it is divided by
    return build.add("gcn/contrasted", "Div", x, safe)


def _local_contrast(build: Builder, x: str, channels: int) -> str:
    """The twin of `nin.data.whiten.local_contrast`: every channel is blurred by itself."""
    mean = _blurred(build, "lcn/mean", x, channels)
    power = _blurred(build, "lcn/power", build.add("lcn/square", "Mul", x, x), channels)
    divisor = build.add("lcn/root", "Sqrt", power)
    usual = build.add("lcn/usual", "GlobalAveragePool", divisor)
    least = build.add("lcn/least", "Max", usual, build.constant("lcn.threshold", [THRESHOLD]))
    divisor = build.add("lcn/divisor", "Max", divisor, least)
    return build.add("lcn/contrasted", "Div", build.add("lcn/centred", "Sub", x, mean), divisor)


def _blurred(build: Builder, name: str, x: str, channels: int) -> str:
    """(1, C, H, W) -> the same: each place's Gaussian mean, down and then across."""
    half = WINDOW // 2
    for way, kernel, pads in (("down", (WINDOW, 1), (half, 0, half, 0)), ("across", (1, WINDOW), (0, half, 0, half))):
        weight = np.repeat(np.reshape(window(), (1, 1, *kernel)), channels, axis=0)
        names = x, build.constant(f"lcn.{way}", weight)
        x = build.add(f"{name}/{way}", "Conv", *names, kernel_shape=kernel, pads=pads, group=channels)
    return x
