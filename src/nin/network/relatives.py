"""What NIN is compared with: the networks before it, maxout, and NIN's own features under fully connected layers.

Each is a function that returns a module with logits (N, K); layers bear the names that the papers give them, and
`RELATIVES` holds them all with the pictures they were published for. `generator` gives the first weights (torch's
default one where None): normal with variance 2 / fan in (He et al. 2015), biases zero, whatever the papers drew.
Building draws nothing else from any generator.
Shape legend: N pictures, C channels, K classes, (H, W) sides going in, (h, w) sides coming out.
"""

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import handle_torch_function, has_torch_function

from nin.errors import UsageError
from nin.network.architecture import NIN
from nin.network.author_networks import STD, author_cifar10
from nin.network.config import expect_whole
from nin.network.googlenet import GoogLeNet
from nin.network.layers import Dropout, GlobalAveragePool2d

HEADS = ("fc", "fc-dropout", "gap")
Network = TypeVar("Network", bound=nn.Module)


def maxout(x: Tensor, pieces: int) -> Tensor:
    """The largest of every `pieces` neighbouring channels: (N, C * pieces, ...) -> (N, C, ...).

    Source: Goodfellow et al. 2013, section 2; Lin et al. 2013, equation 3.
    """
    if has_torch_function((x,)):
        answer: Tensor = handle_torch_function(maxout, (x,), x, pieces)
        return answer
    return x.reshape(x.shape[0], -1, pieces, *x.shape[2:]).amax(2)


class MaxoutConv2d(nn.Module):
    """A convolution whose every unit is the largest of `pieces` linear filters: (N, C, H, W) -> (N, C', h, w).

    It can shape any convex function of the patch; mlpconv can shape any. Raises UsageError for less than one piece.
    Source: Goodfellow et al. 2013; Lin et al. 2013, equation 3.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        pieces: int = 2,
        stride: int = 1,
        padding: int = 0,
    ) -> None:
        super().__init__()
        expect_whole("pieces", pieces, 1)
        self.conv = nn.Conv2d(in_channels, out_channels * pieces, kernel_size, stride, padding)
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', h, w)."""
        return maxout(self.conv(x), self.pieces)


class MaxoutLinear(nn.Module):
    """A fully connected layer whose every unit is the largest of `pieces` linear ones: (N, F) -> (N, F').

    Raises UsageError for less than one piece. Source: Goodfellow et al. 2013.
    """

    def __init__(self, in_features: int, out_features: int, *, pieces: int = 2) -> None:
        super().__init__()
        expect_whole("pieces", pieces, 1)
        self.fc = nn.Linear(in_features, out_features * pieces)
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        """(N, F) -> (N, F')."""
        return maxout(self.fc(x), self.pieces)


def local2d(x: Tensor, weight: Tensor, bias: Tensor, kernel_size: int, padding: int = 0) -> Tensor:
    """A convolution with filters of its own at every place: (N, C, H, W) -> (N, C', h, w).

    `weight` is (h * w, C', C * kernel_size * kernel_size), `bias` (h * w, C').
    """
    if has_torch_function((x, weight, bias)):
        answer: Tensor = handle_torch_function(local2d, (x, weight, bias), x, weight, bias, kernel_size, padding)
        return answer
    patches = F.unfold(x, kernel_size, padding=padding)  # (N, C * k * k, h * w)
    maps = torch.einsum("pof,nfp->nop", weight, patches) + bias.T  # (N, C', h * w)
    return maps.reshape(*maps.shape[:2], *(side + 2 * padding - kernel_size + 1 for side in x.shape[2:]))


class LocallyConnected2d(nn.Module):
    """A layer like a convolution whose filters differ from place to place, for maps of `side` x `side` places only.

    (N, C, side, side) -> (N, C', h, w). Source: Krizhevsky's cuda-convnet, where the paper's comparison network has it.
    """

    def __init__(self, in_channels: int, out_channels: int, side: int, kernel_size: int, padding: int = 0) -> None:
        super().__init__()
        places = (side + 2 * padding - kernel_size + 1) ** 2
        patch = in_channels * kernel_size**2
        self.weight = nn.Parameter(torch.zeros(places, out_channels, patch))
        self.bias = nn.Parameter(torch.zeros(places, out_channels))
        self.kernel_size = kernel_size
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, side, side) -> (N, C', h, w)."""
        return local2d(x, self.weight, self.bias, self.kernel_size, self.padding)


def conv_fc(num_classes: int = 10, *, head: str = "fc-dropout", generator: torch.Generator | None = None) -> nn.Module:
    """The ancestor: three linear convolutional layers, a locally connected one and a classifier, for 32x32 pictures.

    `head` is "fc", "fc-dropout" or "gap". The locally connected layer has one map a class, so that the three differ
    in nothing else: the comparison of Lin et al. 2013, section 4.6 (17.56, 15.99, 16.46 %, quoted second hand). Raises
    UsageError for other heads. Source: Hinton et al. 2012, the CIFAR-10 networks of the appendix (64 filters of 5x5,
    pooling 3x3/2 max, then average twice, response normalisation over 9 maps; from memory, the paper was not at hand).
    """
    if head not in HEADS:
        raise UsageError(f"head is {head!r}; expected one of {', '.join(HEADS)}")
    with torch.random.fork_rng(devices=[]):
        layers: dict[str, nn.Module] = {}
        for number, channels in enumerate((3, 64, 64), 1):
            layers[f"conv{number}"] = nn.Conv2d(channels, 64, 5, padding=2)
            layers[f"relu{number}"] = nn.ReLU()
            layers[f"pool{number}"] = (nn.MaxPool2d if number == 1 else nn.AvgPool2d)(3, 2, ceil_mode=True)
            if number < 3:
                layers[f"norm{number}"] = nn.LocalResponseNorm(9, alpha=1e-3, beta=0.75)
        layers |= {"local4": LocallyConnected2d(64, num_classes, 4, 3, padding=1), "relu4": nn.ReLU()}
        if head == "gap":
            return _drawn(_chain(**layers, gap=GlobalAveragePool2d()), generator)
        if head == "fc-dropout":
            layers["drop4"] = nn.Dropout(0.5)
        layers |= {"flatten": nn.Flatten(), "fc5": nn.Linear(num_classes * 4 * 4, num_classes)}
    return _drawn(_chain(**layers), generator)


class NINWithFC(nn.Module):
    """NIN's mlpconv layers under fully connected ones instead of global average pooling: (N, 3, 32, 32) -> (N, K).

    Weights of the trunk have the names they have in `NIN`. hidden: widths between the flattened maps and the logits.
    """

    def __init__(self, trunk: NIN, num_classes: int, hidden: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.blocks = trunk.blocks
        self.pools = trunk.pools
        self.dropouts = trunk.dropouts
        kind = trunk.config.dropout_kind
        layers = OrderedDict[str, nn.Module]()
        features = trunk.config.blocks[-1].channels[-1] * trunk.config.output_side(32) ** 2
        for number, width in enumerate(hidden, 1):
            layers |= {f"fc{number}": nn.Linear(features, width), f"relu{number}": nn.ReLU()}
            features = width
            if dropout:
                layers[f"drop{number}"] = Dropout(dropout, kind)
        if dropout and not hidden:
            layers["drop"] = Dropout(dropout, kind)
        self.head = _chain(**layers, output=nn.Linear(features, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, 32, 32) -> logits (N, K)."""
        for block, pool, dropout in zip(self.blocks, self.pools, self.dropouts, strict=False):
            x = dropout(pool(block(x)))
        logits: Tensor = self.head(self.blocks[-1](x).flatten(1))  # (N, C, 8, 8) -> (N, 64 C) -> (N, K)
        return logits


def nin_fc_maps(
    num_classes: int = 10,
    *,
    dropout: float = 0.0,
    last_relu: bool = True,
    init: str = "normal",
    generator: torch.Generator | None = None,
) -> NINWithFC:
    """The author's CIFAR-10 network with one fully connected layer on its class maps instead of their means.

    "While the other parts of the model remain the same": the layer reads the ten maps of 8x8 that global average
    pooling would read, 6,410 parameters; it begins as N(0, 0.05) like the rest; `dropout` (the author's classic kind)
    stands before it. last_relu and init as in `author_cifar10`. Source: Lin et al. 2013, section 4.6 and table 5.
    """
    with torch.random.fork_rng(devices=[]):
        whole = NIN(author_cifar10(num_classes, last_relu=last_relu, init=init), generator=generator)
        network = NINWithFC(whole, num_classes, (), dropout)
    output = network.head.output
    with torch.no_grad():
        output.weight.normal_(0, STD[0][0], generator=generator)  # type: ignore[operator,union-attr]
        output.bias.zero_()  # type: ignore[operator,union-attr]
    return network


def nin_fc(
    num_classes: int = 10,
    *,
    hidden: tuple[int, ...] = (),
    dropout: float = 0.0,
    generator: torch.Generator | None = None,
) -> NINWithFC:
    """The author's CIFAR-10 network with fully connected layers on its 192x8x8 features instead of class maps.

    `hidden` are the widths between features and logits: none makes a head of 122,890 parameters, (1000,) one of
    12,299,010, where class maps and global average pooling need 1,930. `dropout` is that of the head; the mlpconv
    layers keep theirs. Compare `nin_fc_maps`, which is what the paper measured.
    """
    whole = author_cifar10()
    last = replace(whole.blocks[-1], channels=whole.blocks[-1].channels[:-1], init_std=None)
    blocks = (*whole.blocks[:-1], last)
    config = replace(whole, blocks=blocks, num_classes=last.channels[-1], init="kaiming", last_activation=True)
    with torch.random.fork_rng(devices=[]):
        network = NINWithFC(NIN(config, generator=torch.Generator()), num_classes, hidden, dropout)
    return _drawn(network, generator)


def conv_maxout(num_classes: int = 10, *, generator: torch.Generator | None = None) -> nn.Module:
    """The convolutional maxout network for 32x32 colour pictures that the paper's tables 1 to 3 compare with.

    Three maxout convolutions of two pieces, a maxout layer of 500 units of five, dropout 0.2 on the picture and 0.5
    before every later layer. Pools round up, as its convolution library does. Differs in one thing: what dropout leaves
    of the picture is scaled up, there it is not. Source: pylearn2, scripts/papers/maxout/cifar10_no_aug_valid.yaml.
    """
    with torch.random.fork_rng(devices=[]):
        network = _chain(
            drop0=nn.Dropout(0.2), h0=MaxoutConv2d(3, 96, 8, padding=4), pool0=_pool(4, 2),
            drop1=nn.Dropout(0.5), h1=MaxoutConv2d(96, 192, 8, padding=3), pool1=_pool(4, 2),
            drop2=nn.Dropout(0.5), h2=MaxoutConv2d(192, 192, 5, padding=3), pool2=_pool(2, 2),
            drop3=nn.Dropout(0.5), flatten=nn.Flatten(), h3=MaxoutLinear(192 * 5 * 5, 500, pieces=5),
            drop4=nn.Dropout(0.5), y=nn.Linear(500, num_classes),
        )  # fmt: skip
    return _drawn(network, generator)


def lenet5(num_classes: int = 10, *, generator: torch.Generator | None = None) -> nn.Module:
    """LeNet-5 for 32x32 grey pictures as it is usually counted: 61,706 parameters, 59,134 of them fully connected.

    The original has 60,000: its C3 sees only some of the maps before, its pooling has weights and its output layer is
    made of radial basis functions. Its authors call C5 a convolution, because a larger picture would give a larger map:
    `convolutionize` makes it one. Source: LeCun et al. 1998, section II.B.
    """
    with torch.random.fork_rng(devices=[]):
        network = _chain(
            c1=nn.Conv2d(1, 6, 5), tanh1=nn.Tanh(), s2=nn.AvgPool2d(2),
            c3=nn.Conv2d(6, 16, 5), tanh3=nn.Tanh(), s4=nn.AvgPool2d(2), flatten=nn.Flatten(),
            c5=nn.Linear(16 * 5 * 5, 120), tanh5=nn.Tanh(), f6=nn.Linear(120, 84), tanh6=nn.Tanh(),
            output=nn.Linear(84, num_classes),
        )  # fmt: skip
    return _drawn(network, generator)


def alexnet(num_classes: int = 1000, *, generator: torch.Generator | None = None) -> nn.Module:
    """AlexNet for 227x227 colour pictures, its two halves as grouped convolutions: 60,965,224 parameters.

    Source: Krizhevsky et al. 2012, as Caffe's bvlc_alexnet counts it.
    """
    with torch.random.fork_rng(devices=[]):
        network = _chain(
            conv1=nn.Conv2d(3, 96, 11, 4), relu1=nn.ReLU(), norm1=_norm(), pool1=_pool(3, 2),
            conv2=nn.Conv2d(96, 256, 5, padding=2, groups=2), relu2=nn.ReLU(), norm2=_norm(), pool2=_pool(3, 2),
            conv3=nn.Conv2d(256, 384, 3, padding=1), relu3=nn.ReLU(),
            conv4=nn.Conv2d(384, 384, 3, padding=1, groups=2), relu4=nn.ReLU(),
            conv5=nn.Conv2d(384, 256, 3, padding=1, groups=2), relu5=nn.ReLU(), pool5=_pool(3, 2),
            **_classifier(256 * 6 * 6, num_classes),
        )  # fmt: skip
    return _drawn(network, generator)


def vgg11(num_classes: int = 1000, *, generator: torch.Generator | None = None) -> nn.Module:
    """VGG-11 for 224x224 colour pictures: 132,863,336 parameters. Source: Simonyan and Zisserman 2014, table 1, A."""
    return _vgg(((64,), (128,), (256,) * 2, (512,) * 2, (512,) * 2), num_classes, generator)


def vgg16(num_classes: int = 1000, *, generator: torch.Generator | None = None) -> nn.Module:
    """VGG-16 for 224x224 colour pictures: 138,357,544 parameters. Source: Simonyan and Zisserman 2014, table 1, D."""
    return _vgg(((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3), num_classes, generator)


def googlenet(
    num_classes: int = 1000, *, auxiliary: bool = True, generator: torch.Generator | None = None
) -> GoogLeNet:
    """GoogLeNet for 224x224 colour pictures, see `GoogLeNet`. Source: Szegedy et al. 2014."""
    with torch.random.fork_rng(devices=[]):
        network = GoogLeNet(num_classes, auxiliary=auxiliary)
    return _drawn(network, generator)


@dataclass(frozen=True)
class Relative:
    """How to build a network at its published size, and the pictures (channels, height, width) it was made for."""

    build: Callable[[], nn.Module]
    input_size: tuple[int, int, int]

    def bare(self) -> nn.Module:
        """The network without numbers (torch's meta device): built in no time, enough to count."""
        with torch.device("meta"):
            return self.build()


RELATIVES = {
    "conv-fc": Relative(conv_fc, (3, 32, 32)),
    "conv-gap": Relative(lambda: conv_fc(head="gap"), (3, 32, 32)),
    "conv-maxout": Relative(conv_maxout, (3, 32, 32)),
    "nin-fc": Relative(nin_fc, (3, 32, 32)),
    "nin-fc-maps": Relative(nin_fc_maps, (3, 32, 32)),
    "nin-fc-1000": Relative(lambda: nin_fc(hidden=(1000,)), (3, 32, 32)),
    "lenet5": Relative(lenet5, (1, 32, 32)),
    "alexnet": Relative(alexnet, (3, 227, 227)),
    "vgg11": Relative(vgg11, (3, 224, 224)),
    "vgg16": Relative(vgg16, (3, 224, 224)),
    "googlenet": Relative(googlenet, (3, 224, 224)),
}


def _chain(**layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(layers))


def _pool(size: int, stride: int) -> nn.MaxPool2d:
    return nn.MaxPool2d(size, stride, ceil_mode=True)


def _norm() -> nn.LocalResponseNorm:
    return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75)  # Caffe's bvlc_alexnet


def _classifier(features: int, num_classes: int) -> dict[str, nn.Module]:
    """The three fully connected layers of AlexNet, which VGG took over."""
    return {
        "flatten": nn.Flatten(),
        "fc6": nn.Linear(features, 4096), "relu6": nn.ReLU(), "drop6": nn.Dropout(0.5),
        "fc7": nn.Linear(4096, 4096), "relu7": nn.ReLU(), "drop7": nn.Dropout(0.5),
        "fc8": nn.Linear(4096, num_classes),
    }  # fmt: skip


def _vgg(stages: tuple[tuple[int, ...], ...], num_classes: int, generator: torch.Generator | None) -> nn.Module:
    layers: dict[str, nn.Module] = {}
    channels = 3
    with torch.random.fork_rng(devices=[]):
        for stage, widths in enumerate(stages, 1):
            for number, width in enumerate(widths, 1):
                layers[f"conv{stage}_{number}"] = nn.Conv2d(channels, width, 3, padding=1)
                layers[f"relu{stage}_{number}"] = nn.ReLU()
                channels = width
            layers[f"pool{stage}"] = nn.MaxPool2d(2)
        network = _chain(**layers, **_classifier(channels * 7 * 7, num_classes))
    return _drawn(network, generator)


@torch.no_grad()
def _drawn(network: Network, generator: torch.Generator | None) -> Network:
    """The network with first weights from `generator`; one on the meta device has none to draw."""
    for name, tensor in network.named_parameters():
        if name.endswith("bias"):
            tensor.zero_()
        elif not tensor.is_meta:
            fan_in = tensor.shape[-1] if tensor.ndim == 3 else tensor[0].numel()  # three dimensions: locally connected
            tensor.normal_(0, math.sqrt(2 / fan_in), generator=generator)
    return network
