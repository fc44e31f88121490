"""Muon: momentum whose update of every weight matrix is made orthogonal, so that all its directions move alike.

Source: Jordan et al. 2024 (Muon; the cifar10-airbench speed runs). A layer has O outputs, I inputs, kernels k x k.
"""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

QUINTIC = (3.4445, -4.7750, 2.0315)  # Jordan et al. 2024: steepest at zero; singular values end between 0.7 and 1.2
STEPS = 3  # as in cifar10-airbench; five cost 20 % of a training step of 32 pictures here, three 12 %


def orthogonal(update: Tensor, dtype: torch.dtype = torch.float32, steps: int = STEPS) -> Tensor:
    """(O, M) -> (O, M) with the same singular vectors and all singular values about 1, by Newton-Schulz iteration."""
    a, b, c = QUINTIC
    tall = update.shape[0] > update.shape[1]
    x = (update.T if tall else update).to(dtype)
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    level: Tensor = (x.T if tall else x).to(update.dtype)
    return level


class Muon(torch.optim.Optimizer):
    """Muon for the groups with `orthogonal=True` (convolutions), SGD with Nesterov momentum for the others.

    In an orthogonal group the learning rate is the step's size relative to the weights:
    with `fixed_norm` (layers that a normalisation follows, whose scale means nothing) every weight tensor keeps the
    norm sqrt(O) and needs no weight decay; without it weights decay by lr * weight_decay a step.
    dtype: of the matrix products. Parameters of orthogonal groups are (O, I, k, k) or (O, I).
    """

    def __init__(self, groups: Iterable[dict[str, Any]], *, lr: float, momentum: float, dtype: torch.dtype) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": 0.0}
        super().__init__(groups, {**defaults, "orthogonal": False, "fixed_norm": False, "dtype": dtype})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As torch's, without its decorator, which imports all of torch.compile first and takes over a second."""
        inspect.unwrap(torch.optim.Optimizer.add_param_group)(self, param_group)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient; closures are not supported."""
        assert closure is None
        for group in self.param_groups:
            update = self._matrix if group["orthogonal"] else self._plain
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(parameter)
                update(parameter, parameter.grad, state["momentum_buffer"], group)

    @staticmethod
    def _matrix(weight: Tensor, gradient: Tensor, momentum: Tensor, group: dict[str, Any]) -> None:
        momentum.mul_(group["momentum"]).add_(gradient)
        direction = gradient.add(momentum, alpha=group["momentum"])
        last = direction.movedim(1, -1)  # (O, k, k, I): no copy where the layout is channels last
        flat = last.reshape(len(last), -1)
        step = orthogonal(flat, group["dtype"]).view(last.shape).movedim(-1, 1)
        rate = group["lr"]
        if group["fixed_norm"]:
            weight.mul_(len(weight) ** 0.5 / weight.norm())
        else:
            weight.mul_(1 - rate * group["weight_decay"])
        _subtract(weight, step, rate * max(1.0, flat.shape[0] / flat.shape[1]) ** 0.5)

    @staticmethod
    def _plain(weight: Tensor, gradient: Tensor, momentum: Tensor, group: dict[str, Any]) -> None:
        if group["weight_decay"]:
            gradient = gradient.add(weight, alpha=group["weight_decay"])
        momentum.mul_(group["momentum"]).add_(gradient)
        _subtract(weight, gradient.add(momentum, alpha=group["momentum"]), group["lr"])


def _subtract(weight: Tensor, step: Tensor, rate: float | Tensor) -> None:
    """weight -= rate * step; a rate on the device stays there."""
    if isinstance(rate, Tensor):
        weight.sub_(step * rate)
    else:
        weight.add_(step, alpha=-rate)
