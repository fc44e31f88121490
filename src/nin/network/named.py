"""Every network by name, as a configuration: ours are made here, the author's are his (torch-free)."""

import difflib
import inspect
from collections.abc import Callable, Iterable
from typing import Any

from nin.errors import UsageError
from nin.network.author_networks import author_cifar10, author_cifar100, author_imagenet, author_mnist, author_svhn
from nin.network.config import BlockConfig, NINConfig, expect_whole, is_number

# Widths of the five mlpconv layers, and those after which maps are halved by max pooling 3x3; ours: docs/log.md.
SHAPES = {
    "nin": (((48, 48), (96, 96), (160, 160), (176, 176), (176, 176)), (0, 1)),
    "nin-large": (((64, 64), (128, 128), (128, 128), (192, 192), (192, 192)), (0, 2)),
}


def nin(
    num_classes: int = 10,
    in_channels: int = 3,
    width: float = 1.0,
    stem_stride: int = 1,
    *,
    dropout: float = 0.0,
    norm: str | None = "batch",
    activation: str = "relu",
) -> NINConfig:
    """The default network: five batch-normalised mlpconv layers and global average pooling; no ReLU on the logits.

    At most 966,986 parameters, the author's CIFAR-10 budget, at width 1 for ten classes and three channels. `width`
    scales every layer (to multiples of 8), `stem_stride` is the first convolution's stride: 1 for pictures of up
    to 48 pixels, 2 up to 96, 3 up to 144. Source: ours.
    """
    return _ours("nin", num_classes, in_channels, width, stem_stride, dropout, norm, activation)


def nin_large(
    num_classes: int = 10,
    in_channels: int = 3,
    width: float = 1.0,
    stem_stride: int = 1,
    *,
    dropout: float = 0.0,
    norm: str | None = "batch",
    activation: str = "relu",
) -> NINConfig:
    """The default network with larger maps: the same budget of parameters, 1.7 times the multiply-adds.

    It keeps the larger maps for one mlpconv layer more. Arguments as for `nin`. Source: ours.
    """
    return _ours("nin-large", num_classes, in_channels, width, stem_stride, dropout, norm, activation)


def _ours(
    name: str,
    num_classes: int,
    in_channels: int,
    width: float,
    stem_stride: int,
    dropout: float,
    norm: str | None,
    activation: str,
) -> NINConfig:
    if not is_number(width) or width <= 0:
        raise UsageError(f"width is {width!r}; expected a positive number, 1.0 for the network as designed")
    expect_whole("stem_stride", stem_stride, 1)
    shape, pooled = SHAPES[name]
    blocks = []
    for index, widths in enumerate(shape):
        channels = tuple(max(8, int(layer * width / 8 + 0.5) * 8) for layer in widths)
        stem = index == 0
        last = index == len(shape) - 1
        blocks.append(
            BlockConfig(
                channels=(*channels, num_classes) if last else channels,
                kernel_size=stem_kernel(stem_stride) if stem else 3,
                stride=stem_stride if stem else 1,
                pool="max" if index in pooled else None,
                dropout=dropout if index in pooled else 0.0,
            )
        )
    return NINConfig(name, tuple(blocks), num_classes, in_channels, norm=norm, activation=activation)


def stem_kernel(stride: int) -> int:
    """Side of the default network's first kernel for that stride: neighbouring kernels overlap."""
    return 2 * stride + 3


OURS = tuple(SHAPES)  # the networks that have a width and a first convolution to choose
MODELS: dict[str, Callable[..., NINConfig]] = {
    "nin": nin,
    "nin-large": nin_large,
    "nin-author-cifar10": author_cifar10,
    "nin-author-cifar100": author_cifar100,
    "nin-author-svhn": author_svhn,
    "nin-author-mnist": author_mnist,
    "nin-author-imagenet": author_imagenet,
}


def list_models() -> list[str]:
    """The names that `create_model` takes, the default first."""
    return list(MODELS)


def configure(name: str, num_classes: int | None = None, in_chans: int | None = None, **switches: Any) -> NINConfig:
    """The configuration of a network by name: `configure("nin", 5, width=0.5)`.

    `num_classes` and `in_chans` default to what the named network was made for; `switches` are the other arguments
    of its function in `MODELS`. Raises UsageError for an unknown name or switch.
    """
    if name not in MODELS:
        raise unknown_network(name, MODELS)
    known = list(inspect.signature(MODELS[name]).parameters)
    for switch in switches:
        if switch not in known[2:]:
            raise UsageError(f"{name} has no switch {switch!r}; it has {', '.join(known[2:])}")
    given = {"num_classes": num_classes, "in_channels": in_chans}
    sizes = {key: value for key, value in given.items() if value is not None}
    return MODELS[name](**sizes, **switches)


def unknown_network(name: str, known: Iterable[str]) -> UsageError:
    """The error about an unknown name; it names the known one that was perhaps meant."""
    names = list(known)
    near = difflib.get_close_matches(str(name), names, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return UsageError(f"there is no network named {name!r}{hint} (known: {', '.join(names)})")
