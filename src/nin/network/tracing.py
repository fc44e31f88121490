"""A network of any making as a graph of steps (torch.fx): followed, measured, and each step asked what it does to maps.

Shape legend: N pictures, C channels, (H, W) sides of a picture, (h, w) sides of a map.
"""

import copy
from typing import Any

import torch.nn.functional as F
from torch import Tensor, fx, nn

from nin.errors import UsageError
from nin.network.config import expect_whole
from nin.network.layers import Dropout
from nin.network.walk import Sides, Weightless, both, by, first_sentence, picture_like, refusing, skeleton

Shape = tuple[int, ...]

ELEMENTWISE_MODULES = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish),
    *(nn.Tanh, nn.Sigmoid, nn.LogSigmoid, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.Softplus, nn.Softsign),
    *(nn.Tanhshrink, nn.Softshrink, nn.Hardshrink, nn.Threshold, nn.Identity, nn.Dropout, nn.AlphaDropout, Dropout),
)
ELEMENTWISE_FUNCTIONS = (
    *("relu", "relu_", "relu6", "leaky_relu", "leaky_relu_", "elu", "elu_", "celu", "selu", "gelu", "silu", "mish"),
    *("tanh", "sigmoid", "logsigmoid", "hardtanh", "hardswish", "hardsigmoid", "softplus", "softsign", "tanhshrink"),
    *("softshrink", "hardshrink", "threshold", "dropout", "alpha_dropout", "maxout"),
    *("abs", "exp", "log", "sqrt", "square", "neg", "clamp", "clip", "clamp_min", "clamp_max", "maximum", "minimum"),
    *("add", "sub", "mul", "div", "truediv", "pow", "add_", "sub_", "mul_", "div_", "iadd", "isub", "imul", "itruediv"),
    *("contiguous", "clone", "detach", "float", "double", "half"),
)
CHANNEL_MODULES = (nn.BatchNorm2d, nn.LocalResponseNorm, nn.Dropout2d)  # each place for itself, all channels together
CHANNEL_FUNCTIONS = ("local_response_norm", "dropout2d")
POOLS = (nn.MaxPool2d, nn.AvgPool2d, nn.LPPool2d)
PADDINGS = (nn.ZeroPad2d, nn.ConstantPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d)
STRIDED_FUNCTIONS = {"conv2d": 3, "max_pool2d": 2, "avg_pool2d": 2}  # where their stride stands
DROPOUTS = {F.dropout: nn.Dropout, F.dropout2d: nn.Dropout2d, F.alpha_dropout: nn.AlphaDropout}


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, Dropout) or super().is_leaf_module(m, module_qualified_name)


class _Measuring(fx.Interpreter):
    """Runs a graph and keeps the shape of every tensor in it."""

    def __init__(self, module: nn.Module, graph: fx.Graph) -> None:
        super().__init__(module, graph=graph)
        self.shapes: dict[fx.Node, Shape] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, Tensor):
            self.shapes[n] = tuple(value.shape)
        return value


def trace(model: nn.Module) -> fx.GraphModule:
    """A copy of the network as a graph of what it does in evaluation mode, each module in the mode it was in.

    Functional dropout that evaluation switches off becomes a module, so that it still obeys `train()` and `eval()`.
    Raises UsageError where torch.fx cannot follow the forward, or where it takes something besides pictures.
    """
    name = type(model).__name__
    with refusing(f"{name} cannot be copied"):
        own = copy.deepcopy(model)
    modes = {module: module.training for module in own.modules()}
    try:
        graph = _Tracer().trace(own.eval())
    except Exception as error:  # noqa: BLE001  a forward may do anything with the stand-in that torch.fx gives it
        raise UsageError(
            f"torch.fx cannot follow the forward of {name} ({first_sentence(error)}); "
            "write it without loops, branches and conversions that depend on the picture"
        ) from None
    inputs = [node.name for node in graph.nodes if node.op == "placeholder"]
    if len(inputs) != 1:
        raise UsageError(f"the forward of {name} takes {', '.join(inputs)}; expected pictures only")
    traced = fx.GraphModule(own, graph, class_name=name)
    for module, training in modes.items():
        module.training = training
    traced.training = model.training
    _make_dropouts_modules(traced)
    return traced


def measure_steps(traced: fx.GraphModule, input_size: tuple[int, int, int]) -> dict[fx.Node, Shape]:
    """The shape of every tensor in the graph for two pictures of `input_size` (C, H, W).

    Raises UsageError where the network does not take such pictures.
    """
    if len(input_size) != 3:
        raise UsageError(f"input_size is {input_size!r}; expected (channels, height, width)")
    for axis, side in zip(("channels", "height", "width"), input_size, strict=True):
        expect_whole(axis, side, 1)
    bones = skeleton(traced)
    measuring = _Measuring(bones, traced.graph)
    measuring.extra_traceback = False
    with refusing(f"the network does not take pictures of {by(input_size)}"), Weightless():
        measuring.run(picture_like(bones, 2, *input_size))
    return measuring.shapes


def _make_dropouts_modules(traced: fx.GraphModule) -> None:
    for node in traced.graph.nodes:
        kind = DROPOUTS.get(node.target) if node.op == "call_function" else None
        if kind is None or node.kwargs["training"]:  # always on
            continue
        target = node.name
        while hasattr(traced, target):
            target += "_"
        traced.add_module(target, kind(node.kwargs["p"]).train(traced.training))
        node.op = "call_module"
        node.target = target
        node.kwargs = {}


def module_of(traced: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    """The module that a step calls; None for functions and methods."""
    return traced.get_submodule(str(node.target)) if node.op == "call_module" else None


def function_of(node: fx.Node) -> str:
    """The name of the function or method that a step calls; "" for modules."""
    if node.op == "call_method":
        return str(node.target)
    return getattr(node.target, "__name__", "") if node.op == "call_function" else ""


def called(traced: fx.GraphModule, node: fx.Node) -> str:
    """How a message names a step: 'classifier.rnn (LSTM)' or 'einsum'."""
    module = module_of(traced, node)
    return f"{node.target} ({type(module).__name__})" if module is not None else function_of(node) or node.name


def is_flatten(module: nn.Module | None, function: str) -> bool:
    """Whether a step makes (or may make) vectors of maps."""
    return isinstance(module, nn.Flatten) or function in ("flatten", "view", "reshape", "squeeze", "mean")


def is_adaptive(module: nn.Module | None, function: str) -> bool:
    """Whether a step pools maps to a size of its own."""
    adaptive = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
    return isinstance(module, adaptive) or function in ("adaptive_avg_pool2d", "adaptive_max_pool2d")


def is_understood(module: nn.Module | None, function: str) -> bool:
    """Whether a step can be taken somewhere: anything below, or what belongs to a fully connected part."""
    layers = (nn.Linear, nn.BatchNorm1d, nn.Softmax, nn.LogSoftmax)
    known = isinstance(module, layers) or function in ("softmax", "log_softmax", "cat", "concat")
    return known or is_flatten(module, function) or is_adaptive(module, function) or is_local(module, function)


def is_elementwise(module: nn.Module | None, function: str) -> bool:
    """Whether a step treats every value alike, wherever it stands (or, like PReLU and maxout, every channel)."""
    return isinstance(module, ELEMENTWISE_MODULES) or function in ELEMENTWISE_FUNCTIONS


def is_channelwise(module: nn.Module | None, function: str) -> bool:
    """Whether a step treats every place of a map alike and by itself, its channels together."""
    if isinstance(module, nn.BatchNorm2d):
        return module.running_mean is not None  # else it looks at the whole map, in evaluation too
    return isinstance(module, CHANNEL_MODULES) or function in CHANNEL_FUNCTIONS or is_elementwise(module, function)


def is_local(module: nn.Module | None, function: str) -> bool:
    """Whether a step does the same at every place of a map with what lies around it there."""
    local = isinstance(module, (nn.Conv2d, *POOLS, *PADDINGS)) or function in (*STRIDED_FUNCTIONS, "pad")
    return local or is_channelwise(module, function)


def stride_of(module: nn.Module | None, node: fx.Node) -> Sides:
    """Places of the map going in between neighbours of the map coming out, down and across."""
    function = function_of(node)
    if isinstance(module, (nn.Conv2d, *POOLS)):
        return both(module.stride if isinstance(module, nn.Conv2d) else module.stride or module.kernel_size)
    if function not in STRIDED_FUNCTIONS:
        return 1, 1
    place = STRIDED_FUNCTIONS[function]
    stride = node.kwargs.get("stride") or (node.args[place] if len(node.args) > place else None)
    kernel = node.kwargs.get("kernel_size") or (node.args[1] if len(node.args) > 1 else 1)
    return both(stride or (1 if function == "conv2d" else kernel))
