"""Pictures to a network's input tensors, on its device: the twin of `Preprocess.normalise`, the same numbers to 1e-5.

N pictures, C channels, H x W pixels. Source of the mathematics: nin.data.whiten.
"""

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nin.data.preprocess import Preprocess
from nin.data.whiten import CIFAR, MIN_DIVISOR, SVHN, THRESHOLD, WINDOW, Contrast, window


def to_tensor(images: np.ndarray, preprocess: Preprocess, device: str) -> Tensor:
    """(N, H, W, C) uint8 -> (N, C, H, W) float32 on the device, normalised there; equals `preprocess.normalise`.

    In float32 throughout, also where the network computes in bfloat16.
    """
    return normalised(torch.from_numpy(np.require(images, requirements=["C", "W"])).to(device), preprocess)


def normalised(images: Tensor, preprocess: Preprocess) -> Tensor:
    """(N, H, W, C) uint8 on any device -> (N, C, H, W) float32 there, as `to_tensor`."""
    return _normaliser(preprocess, images.device)(images)


class Normaliser:
    """`normalised` for one preprocessing on one device, whose numbers it keeps there."""

    def __init__(self, preprocess: Preprocess, device: torch.device) -> None:
        self.kind = preprocess.normalisation
        self._device = device.type
        kept = (preprocess.mean, preprocess.std)
        self._mean, self._std = (torch.tensor(values, device=device).view(1, -1, 1, 1) for values in kept)
        self._zca: list[Tensor] = []
        if preprocess.zca is not None:
            arrays = (preprocess.zca.mean, preprocess.zca.matrix)
            self._zca = [torch.from_numpy(np.require(a, requirements=["C", "W"])).to(device) for a in arrays]

    def __call__(self, images: Tensor) -> Tensor:
        """(N, H, W, C) uint8 -> (N, C, H, W) float32."""
        x = images.permute(0, 3, 1, 2)
        with torch.autocast(self._device, enabled=False):
            if self.kind == "lcn":
                return _local_contrast(_global_contrast(x, SVHN))
            if self.kind == "standard":
                return (x.float() / 255 - self._mean) / self._std
            contrasted = _global_contrast(x, CIFAR)
            if not self._zca:
                return contrasted
            mean, matrix = self._zca
            return ((contrasted.flatten(1) - mean) @ matrix).view(x.shape)


_normaliser = lru_cache(maxsize=1)(Normaliser)  # copying a ZCA matrix for every batch would cost more than using it


def _global_contrast(pixels: Tensor, how: Contrast) -> Tensor:
    """(N, C, H, W) uint8 -> the same in float32: the twin of `global_contrast`."""
    whole = pixels.long()
    count = whole.shape[1] * whole.shape[2] * whole.shape[3]
    x = (count * whole - whole.sum((1, 2, 3), keepdim=True)).float() / count
    squares = x.square().sum((1, 2, 3), keepdim=True)
    if how.use_std:
        squares = squares / max(count - 1, 1)
    divisor = (squares + how.sqrt_bias).sqrt() / how.scale
    return x / divisor.where(divisor >= MIN_DIVISOR, torch.ones_like(divisor))


def _local_contrast(x: Tensor) -> Tensor:
    """(N, C, H, W) -> the same: the twin of `local_contrast`."""
    divisor = _blur(x.square()).sqrt()
    divisor = divisor.maximum(divisor.mean((2, 3), keepdim=True).clamp(min=THRESHOLD))
    return (x - _blur(x)) / divisor


def _blur(x: Tensor) -> Tensor:
    """(N, C, H, W) -> the same: each place's Gaussian mean; not by convolution, whose precision devices choose."""
    half = WINDOW // 2
    for axis, pad in ((2, (0, 0, half, half)), (3, (half, half, 0, 0))):
        padded = F.pad(x, pad)
        side = x.shape[axis]
        x = torch.zeros_like(x)
        for start, weight in enumerate(window()):
            x.add_(padded.narrow(axis, start, side), alpha=weight)
    return x
