"""Beginning with another model's weights: the network that makes for new pictures, and the tensors that fit it."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from nin.bundle.folder import Bundle
from nin.bundle.shipped import SHIPPED
from nin.choices import Normalisation
from nin.data.preprocess import Preprocess
from nin.data.spelling import match_names
from nin.errors import UsageError, escape_name
from nin.network.config import NINConfig
from nin.network.named import stem_kernel
from nin.run.options import TrainOptions


def channels_for(begin: Bundle, options: TrainOptions) -> int:
    """The channels that `begin` reads; UsageError for options that would make another network of it."""
    has = begin.preprocess.channels
    if options.channels not in (None, has):
        raise UsageError(f"--channels is {options.channels} and {options.from_} reads {has}; leave out --channels")
    for name, default in (("width", 1.0), ("network", "nin")):
        if getattr(options, name) != default:
            raise UsageError(f"--{name} and --from cannot go together: {options.from_} has its own network")
    return has


def normalisation_for(begin: Bundle, options: TrainOptions) -> Normalisation:
    """How `begin` normalises its pictures, to which its weights are used; UsageError when asked for another way."""
    has = begin.preprocess.normalisation
    if options.normalise not in (None, has):
        raise UsageError(
            f"--normalise is {options.normalise} and {options.from_} was trained with {has}; leave out --normalise"
        )
    return has


def size_for(begin: Bundle, options: TrainOptions, otherwise: tuple[int, int]) -> tuple[int, int]:
    """The size (H, W) of the pictures: `otherwise`, or the one for which `begin` was whitened; UsageError if asked for
    another one."""
    if begin.preprocess.zca is None:
        return otherwise
    height, width = size = begin.preprocess.size
    if options.size is not None and (options.size, options.size) != size:
        raise UsageError(
            f"--size is {options.size} and {options.from_} whitens pictures of {height} x {width}; leave out --size"
        )
    return size


def preprocess_of_beginning(begin: Bundle, preprocess: Preprocess) -> Preprocess:
    """`preprocess`, with the whitening of `begin` where it has one."""
    if (zca := begin.preprocess.zca) is None:
        return preprocess
    return replace(preprocess, normalisation="gcn-zca", zca=zca)


def network_for(begin: Bundle, classes: int, stem_stride: int) -> NINConfig:
    """The network of `begin` for another number of classes; its first convolution strides wider for larger pictures."""
    had = NINConfig.from_dict(begin.network)
    blocks = list(had.blocks)
    if stem_stride > blocks[0].stride:
        blocks[0] = replace(blocks[0], kernel_size=stem_kernel(stem_stride), stride=stem_stride, padding=None)
    blocks[-1] = replace(blocks[-1], channels=(*blocks[-1].channels[:-1], classes))
    return replace(had, blocks=tuple(blocks), num_classes=classes)


@torch.no_grad()
def take_weights(model: nn.Module, begin: Bundle, classes: Sequence[str], instead: str = "") -> str:
    """Copy into `model` every tensor of `begin` that fits; returns one line on what was taken and what to do `instead`.

    The last layer is taken only when the classes are the same, in the same order; what does not fit stays as drawn.
    """
    last = begin.classifier
    same = list(match_names(classes, begin.classes)[0].values()) == list(range(len(begin.classes)))
    fresh = []
    stored = begin.weights()
    for name, tensor in model.state_dict().items():
        array = stored.get(name)
        if array is None or array.shape != tuple(tensor.shape) or (name.startswith(f"{last}.") and not same):
            fresh.append(name.rpartition(".")[0])
        else:
            tensor.copy_(torch.from_numpy(array))
    begins = f"; begins afresh: {', '.join(dict.fromkeys(fresh))}" if fresh else ""
    name = begin.folder.name if begin.folder.parent == SHIPPED else escape_name(begin.folder)
    return f"begins with the weights of {name}{begins}{instead}"
