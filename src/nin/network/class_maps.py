"""Where the evidence lies: exact class maps, each place's part of a logit, and occlusion as a check from outside.

A logit of this network is the mean of its class's map (Lin et al. 2013, section 3.2), so nothing is approximated: no
gradients, no weighting. Shape legend: N pictures, K classes, (H, W) sides of the picture, (h, w) sides of the maps.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from nin.errors import ModelError, UsageError
from nin.network.architecture import NIN
from nin.network.config import expect_whole

TOLERANCE = 1e-6  # relative to max(1, mean |map|), in float32 and float64


@dataclass(frozen=True)
class ClassMaps:
    """Logits (N, K) and the maps (N, K, h, w) whose means they are."""

    logits: Tensor
    maps: Tensor


@torch.no_grad()
def class_maps(model: NIN, x: Tensor) -> ClassMaps:
    """Logits and class maps of the pictures x (N, C, H, W), the identity between them checked.

    Raises UsageError while the model is in training mode and ModelError when the logits are not the means of the maps
    (values that are not finite). Source: Lin et al. 2013, section 3.2 and figure 4.
    """
    if model.training:
        raise UsageError("the network is in training mode; call eval() on it before asking for class maps")
    maps = model.forward_maps(x)
    logits: Tensor = model.gap(maps)
    if maps.dtype in (torch.float32, torch.float64):
        exact = maps.double()
        error = (exact.mean(dim=(2, 3)) - logits).abs() / exact.abs().mean(dim=(2, 3)).clamp(min=1)  # (N, K)
        if not bool((error <= TOLERANCE).all()):
            off = float(error.max())
            raise ModelError(
                f"the logits are not the means of their maps (off by {off:.1e}); expected finite weights and pictures"
            )
    return ClassMaps(logits, maps)


def contributions(model: NIN, x: Tensor, class_index: int | Tensor) -> Tensor:
    """Each place's part of one class's logit: (N, C, H, W) -> (N, h, w), which sums to the logit.

    `class_index` is one class for all pictures or a tensor of one class a picture (N,). Raises UsageError outside the
    classes. Source: Lin et al. 2013, section 3.2.
    """
    maps = class_maps(model, x).maps  # (N, K, h, w)
    chosen = _chosen(model, len(x), class_index).to(maps.device)
    one = maps[torch.arange(len(x), device=maps.device), chosen]  # (N, h, w)
    return one / (one.shape[1] * one.shape[2])


@torch.no_grad()
def occlusion(
    model: NIN, x: Tensor, patch: int, stride: int, class_index: int | Tensor, *, fill: float = 0.0
) -> Tensor:
    """How much one class's logit falls when a square of the picture is hidden: (N, C, H, W) -> (N, rows, columns).

    Squares of `patch` pixels, clipped at the picture's edge, start at every `stride` pixels from the top left corner;
    hidden pixels get the value `fill` (0 is the mean colour of normalised pictures). It uses only outputs, so it
    checks the maps independently. Raises UsageError for sizes under 1, unknown classes and training mode.
    Source: Zeiler and Fergus 2014, section 4.2.
    """
    if model.training:
        raise UsageError("the network is in training mode; call eval() on it before occluding")
    expect_whole("patch", patch, 1)
    expect_whole("stride", stride, 1)
    chosen = _chosen(model, len(x), class_index).to(x.device)[:, None]
    whole = model(x).gather(1, chosen)  # (N, 1)
    tops, lefts = range(0, x.shape[2], stride), range(0, x.shape[3], stride)
    drops = []
    for top in tops:
        for left in lefts:
            hidden = x.clone()
            hidden[:, :, top : top + patch, left : left + patch] = fill
            drops.append(whole - model(hidden).gather(1, chosen))  # (N, 1)
    return torch.cat(drops, dim=1).view(len(x), len(tops), len(lefts))


def pointing(maps: Tensor, class_index: Tensor, boxes: Tensor) -> Tensor:
    """Whether the strongest place of a class's map lies in that class's box: (N,) booleans, the pointing game.

    maps (N, K, h, w); class_index (N,); boxes (N, 4): top, left, bottom, right as shares of the picture's height and
    width, 0 to 1. A place stands for its middle. Source: Zhang et al. 2016 (excitation backprop), section 4.1.
    """
    one = maps[torch.arange(len(maps)), class_index]  # (N, h, w)
    rows, columns = one.shape[1:]
    best = one.flatten(1).argmax(1)  # (N,)
    down, across = (best // columns + 0.5) / rows, (best % columns + 0.5) / columns
    top, left, bottom, right = boxes.T  # (N,) each
    inside: Tensor = (down >= top) & (down < bottom) & (across >= left) & (across < right)
    return inside


def _chosen(model: NIN, pictures: int, class_index: int | Tensor) -> Tensor:
    """One class a picture (N,) from one class for all or a tensor of them."""
    chosen = torch.as_tensor(class_index, dtype=torch.int64)
    if chosen.ndim > 1 or (chosen.ndim == 1 and len(chosen) != pictures):
        raise UsageError(
            f"class_index has the shape {tuple(chosen.shape)}; expected one class, or one for each of {pictures}"
        )
    if bool(((chosen < 0) | (chosen >= model.num_classes)).any()):
        raise UsageError(f"class_index is {chosen.tolist()}; expected 0 to {model.num_classes - 1}")
    return chosen.expand(pictures)
