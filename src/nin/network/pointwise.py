"""One layer written as another that does the same: fully connected as convolution and back; weights are copied.

Shape legend: N pictures, C channels, F features, K classes, (h, w) sides of a map.
"""

from typing import Any

import torch
from torch import Tensor, nn

from nin.errors import UsageError

ONE = (1, 1)
Affine = tuple[Tensor, Tensor]


def linear_to_pointwise(linear: nn.Linear) -> nn.Conv2d:
    """The 1x1 convolution that does at every place of a map what `linear` does to one vector of channels.

    (N, F) -> (N, K) becomes (N, F, h, w) -> (N, K, h, w). Source: Lin et al. 2013, section 3.1.
    """
    return convolution_of(linear)


def pointwise_to_linear(conv: nn.Conv2d) -> nn.Linear:
    """The inverse of `linear_to_pointwise`. Raises UsageError unless `conv` is a plain 1x1 convolution."""
    if not is_pointwise(conv):
        raise UsageError(f"{conv} is no 1x1 convolution; expected kernel 1x1, stride 1, no padding and one group")
    return linear_of(conv)


def is_pointwise(conv: nn.Conv2d) -> bool:
    """Whether a convolution reads single places only, all channels together, and leaves no place out."""
    return (conv.kernel_size, conv.stride, conv.groups) == (ONE, ONE, 1) and not padded(conv)


def padded(conv: nn.Conv2d) -> bool:
    """Whether a convolution puts anything around its map."""
    if isinstance(conv.padding, str):
        return conv.padding == "same" and conv.kernel_size != ONE
    return any(conv.padding)


@torch.no_grad()
def convolution_of(
    linear: nn.Linear, side: tuple[int, int] = ONE, step: tuple[int, int] = ONE, affine: Affine | None = None
) -> nn.Conv2d:
    """The convolution over maps (N, C, ...) that does what `linear` does to flattened ones (N, C * h * w).

    `side` is (h, w); `step` the distance of the places that were flattened; `affine` a scale and a shift (C * h * w)
    of the flattened values before the layer.
    """
    channels = linear.in_features // (side[0] * side[1])
    weight: Tensor = linear.weight
    bias: Tensor | None = linear.bias
    if affine is not None:
        # W (scale * x + shift) + b = (W * scale) x + (W shift + b)
        shifted = weight @ affine[1]  # (K,)
        weight, bias = weight * affine[0], shifted if bias is None else bias + shifted
    conv = nn.Conv2d(channels, linear.out_features, side, dilation=step, bias=bias is not None, device="meta")
    conv.weight = _copied(weight.reshape(linear.out_features, channels, *side), linear.weight)
    conv.bias = None if bias is None else _copied(bias, linear.weight if linear.bias is None else linear.bias)
    return conv.train(linear.training)


def linear_of(conv: nn.Conv2d) -> nn.Linear:
    """The fully connected layer on flattened maps of the size of the kernel; the inverse of `convolution_of`."""
    linear = nn.Linear(conv.weight[0].numel(), conv.out_channels, bias=conv.bias is not None, device="meta")
    linear.weight = _copied(conv.weight.detach().flatten(1), conv.weight)
    if conv.bias is not None:
        linear.bias = _copied(conv.bias.detach(), conv.bias)
    return linear.train(conv.training)


def norm_of(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> nn.BatchNorm1d | nn.BatchNorm2d:
    """Batch normalisation of vectors as one of maps, and back; the same names and numbers."""
    kind = nn.BatchNorm2d if isinstance(norm, nn.BatchNorm1d) else nn.BatchNorm1d
    other = kind(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    state: dict[str, Any] = {name: tensor.clone() for name, tensor in norm.state_dict().items()}
    other.load_state_dict(state, assign=True)
    for mine, given in zip(other.parameters(), norm.parameters(), strict=True):
        mine.requires_grad_(given.requires_grad)
    return other.train(norm.training)


def affine_of(norm: nn.BatchNorm1d) -> Affine:
    """Scale and shift (F) that batch normalisation amounts to in evaluation mode."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = (norm.running_var + norm.eps).rsqrt()
    if norm.affine:
        scale = scale * norm.weight.detach()
    shift = -norm.running_mean * scale
    return scale, shift + norm.bias.detach() if norm.affine else shift


def _copied(value: Tensor, like: Tensor) -> nn.Parameter:
    return nn.Parameter(value.detach().clone(), requires_grad=like.requires_grad)
