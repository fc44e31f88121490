"""The paper's two ideas as layers, one step from `nn.Module`: mlpconv and global average pooling.

Shape legend: N pictures, C channels, K classes, (H, W) sides going in, (h, w) sides coming out.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nin.errors import UsageError
from nin.network.config import ACTIVATIONS, DROPOUT_KINDS

ACTIVATION_CLASSES: dict[str, type[nn.Module]] = {name: getattr(nn, kind) for name, kind in ACTIVATIONS.items()}


class MLPConv(nn.Module):
    """A small multilayer perceptron slid over the picture instead of a linear filter: (N, C, H, W) -> (N, C', h, w).

    It is a k x k convolution (`spatial`) followed by any number of 1x1 convolutions (`pointwise`): the perceptron's
    first layer sees the patch, the others see only what the layer before found at the same place.
    Source: Lin et al. 2013, section 3.1; the 1x1 layers are called "cccp" in the author's definition files.

    `channels` holds the width of each layer, the spatial one first; `groups` divides the spatial layer only.
    `padding=None` means k // 2. With `norm="batch"` every layer is convolution, normalisation, activation, and layers
    so normalised carry no bias unless `bias=True`; `last_norm` and `last_activation` take them off the last layer.
    Raises UsageError for widths, names or sizes that no layer can have.
    """

    def __init__(
        self,
        in_channels: int,
        channels: Sequence[int],
        kernel_size: int,
        *,
        stride: int = 1,
        padding: int | None = None,
        activation: str = "relu",
        norm: str | None = None,
        bias: bool | None = None,
        last_activation: bool = True,
        last_norm: bool = True,
        groups: int = 1,
    ) -> None:
        super().__init__()
        widths = tuple(channels)
        if not widths:
            raise UsageError("channels is empty; an mlpconv layer needs at least the width of its spatial convolution")
        if norm not in (None, "batch"):
            raise UsageError(f"norm is {norm!r}; expected None or 'batch'")
        if activation not in ACTIVATIONS:
            raise UsageError(f"activation is {activation!r}; expected one of {', '.join(ACTIVATIONS)}")
        if groups < 1 or in_channels % groups or widths[0] % groups:
            raise UsageError(f"groups is {groups}; it must divide both {in_channels} and {widths[0]} channels")
        normed = 0 if norm is None else len(widths) - (not last_norm)
        biased = [index >= normed if bias is None else bias for index in range(len(widths))]
        padding = kernel_size // 2 if padding is None else padding
        self.spatial = nn.Conv2d(
            in_channels, widths[0], kernel_size, stride=stride, padding=padding, groups=groups, bias=biased[0]
        )
        self.pointwise = nn.ModuleList(
            nn.Conv2d(before, after, 1, bias=with_bias)
            for before, after, with_bias in zip(widths[:-1], widths[1:], biased[1:], strict=True)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths[:normed])
        self.activation = ACTIVATION_CLASSES[activation]()
        self.last_activation = last_activation

    @property
    def convolutions(self) -> list[nn.Conv2d]:
        """Every convolution in order, the spatial one first."""
        return [layer for layer in (self.spatial, *self.pointwise) if isinstance(layer, nn.Conv2d)]

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', h, w): the convolution over the picture, then the 1x1 layers at every place."""
        for index in range(1 + len(self.pointwise)):
            x = self._layer(index, x)
        return x

    def hidden(self, x: Tensor) -> Tensor:
        """Everything before the last layer: (N, C, H, W) -> (N, F, h, w); x itself where there is no 1x1 layer."""
        for index in range(len(self.pointwise)):
            x = self._layer(index, x)
        return x

    def output(self, features: Tensor) -> Tensor:
        """The last layer alone: (N, F, h, w) -> (N, C', h, w)."""
        return self._layer(len(self.pointwise), features)

    def _layer(self, index: int, x: Tensor) -> Tensor:
        """Convolution, normalisation, activation: layer 0 is the spatial one."""
        x = self.spatial(x) if index == 0 else self.pointwise[index - 1](x)  # (N, C', h, w)
        if index < len(self.norms):
            x = self.norms[index](x)
        if index == len(self.pointwise) and not self.last_activation:
            return x
        activated: Tensor = self.activation(x)
        return activated


class GlobalAveragePool2d(nn.Module):
    """The mean of every map: (N, C, H, W) -> (N, C), whatever H and W are.

    With one map per class this is the whole classifier, and it has nothing to overfit with.
    Source: Lin et al. 2013, section 3.2.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C)."""
        return x.mean(dim=(2, 3))


def kept_mask(x: Tensor, keep: float, seeds: Sequence[int] | None = None) -> Tensor:
    """A mask of x's shape and layout, true with probability `keep` (on a CPU in steps of 2^-16), drawn independently.

    seeds: (N,) below 2^63, on a CPU; each picture's part of the mask is a function of its own, whatever else is in x.
    Without them torch's default generator draws. On a CPU one 64-bit random number serves four values: torch draws one
    for every value, which made masks the costliest part of a training step after the convolutions (ours: docs/log.md).
    """
    dense = x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last)
    if seeds is not None:
        x = x if dense else x.contiguous()
        values = x[0].numel()
        words = torch.empty((len(x), -(-values // 4)), dtype=torch.int64)  # four 16-bit numbers each
        generator = torch.Generator()
        for row, seed in zip(words, seeds, strict=True):
            row.random_(-(2**63), None, generator=generator.manual_seed(seed))
        return _below(words, keep).as_strided(x.shape, (words.shape[1] * 4, *x.stride()[1:]))
    if x.device.type != "cpu" or not dense:
        return torch.empty_like(x, dtype=torch.float32).bernoulli_(keep).bool()
    words = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=x.device)
    words.random_(-(2**63), None)
    return _below(words, keep)[: x.numel()].as_strided(x.shape, x.stride())


def _below(words: Tensor, keep: float) -> Tensor:
    """(..., W) random int64 -> (..., 4 W): each of their 16-bit numbers is true with probability `keep`."""
    return words.view(torch.int16) < round(keep * 2**16) - 2**15


class Dropout(nn.Module):
    """Dropout of single values with probability p, in either of its two conventions; any shape, same shape out.

    "inverted" (PyTorch, Caffe): training divides what is kept by 1 - p, evaluation does nothing.
    "classic" (the author's cuda-convnet plug-in, PluginsSrc/include/extralayers.cuh): training only masks, evaluation
    multiplies by 1 - p. Both have the same expectation, but the same initial weights see activations and gradients
    1 / (1 - p) times larger after the inverted kind. Masks are torch's default generator's, or, where `seeds` is set,
    functions of the pictures' own seeds (`kept_mask`). Raises UsageError unless 0 <= p < 1 and the kind is known.
    """

    seeds: Sequence[int] | None = None

    def __init__(self, p: float, kind: str = "inverted") -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise UsageError(f"dropout is {p}; expected a probability of at least 0 and below 1")
        if kind not in DROPOUT_KINDS:
            raise UsageError(f"dropout_kind is {kind!r}; expected one of {', '.join(DROPOUT_KINDS)}")
        self.p = p
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        """Any shape -> the same shape."""
        if self.p == 0:
            return x
        inverted = self.kind == "inverted"
        if not self.training:
            return x if inverted else x * (1 - self.p)
        if inverted and x.device.type != "cpu":
            return F.dropout(x, self.p)
        dropped = x * kept_mask(x, 1 - self.p, self.seeds)
        return dropped.mul_(1 / (1 - self.p)) if inverted else dropped

    def extra_repr(self) -> str:
        return f"p={self.p}, kind={self.kind!r}"
