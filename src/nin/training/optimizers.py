"""The optimizer, the loss weights and the smoothed targets that a recipe asks for."""

from typing import Any

import numpy as np
import torch
from torch import nn

from nin.training.hardware import Hardware
from nin.training.muon import Muon
from nin.training.recipes import Recipe


def optimizer_for(model: nn.Module, recipe: Recipe, hardware: Hardware) -> torch.optim.Optimizer:
    """The recipe's optimizer; weight decay on weights (two dimensions and more) only.

    Muon takes every convolution but the last one, whose outputs are the answer; that and the vectors are SGD's.
    """
    weights = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    muon = recipe.optimizer == "muon"
    other = recipe.other_lr / recipe.lr
    normed = any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    scales = (1.0, other, other, other) if muon else (1.0, recipe.last_rate, recipe.bias_rate, recipe.last_bias_rate)
    groups: list[dict[str, Any]] = [
        {"params": weights[:-1], "scale": scales[0], "weight_decay": recipe.weight_decay},
        {"params": weights[-1:], "scale": scales[1], "weight_decay": recipe.weight_decay},
        {"params": others[:-1], "scale": scales[2], "weight_decay": 0.0},
        {"params": others[-1:], "scale": scales[3], "weight_decay": 0.0},
    ]
    if muon:
        groups[0] |= {"orthogonal": True, "fixed_norm": normed}
        dtype = torch.bfloat16 if hardware.precision == "bfloat16" else torch.float32
        return Muon(groups, lr=recipe.lr, momentum=recipe.momentum, dtype=dtype)
    fused = hardware.device in ("cpu", "cuda")
    nesterov = recipe.nesterov and recipe.momentum > 0
    return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=nesterov, fused=fused)


def class_weights(labels: np.ndarray, classes: int, balance: str) -> torch.Tensor:
    """(K,) loss weights: all 1, or inverse class frequency with mean 1 over the pictures."""
    if balance != "weights":
        return torch.ones(classes)
    counts = np.bincount(labels, minlength=classes)
    weights = np.where(counts > 0, len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1)), 0.0)
    return torch.from_numpy(weights.astype(np.float32))


def weighted_targets(targets: torch.Tensor, weights: torch.Tensor, smoothing: float) -> torch.Tensor:
    """(B, K) shares of classes, (K,) class weights -> (B, K): what the logarithms of the answers are multiplied with.

    A picture counts with the weight of its own class (a mixed one with those of its parts), and that weight goes with
    its smoothed part too: torch weighs the smoothed part by the classes it is spread over, so that a rare class would
    be asked for by the pictures of all others.
    """
    weighted = targets * weights
    return weighted * (1 - smoothing) + weighted.sum(1, keepdim=True) * (smoothing / targets.shape[1])
