"""Batch normalisation in ghost batches: mean and variance of so many pictures, whatever machine computes a step.

A batch of B pictures is divided into G ghost batches; C channels, (N, C, H, W) the pictures that a process holds. How
many pictures are normalised together changes what is learnt, so the recipe says it (`Recipe.statistics_batch`) and not
the number of threads, processes or devices. Source: Hoffer et al. 2017 (ghost batch normalisation).
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from nin.training.distributed import Team
from nin.training.micro_batches import divided


def ghost_batches(count: int, least: int) -> tuple[int, ...]:
    """The pictures of every ghost batch: as many equal ones (to one picture) as `count` has room for, each of at least
    `least` pictures; a single one where there are fewer. 256 in 64: four of 64. 250 in 64: 83, 83, 84. 40 in 64: 40.
    """
    return divided(count, max(1, count // least))


def is_normalised(model: nn.Module) -> bool:
    """Whether the model has batch normalisations."""
    return any(isinstance(module, _BatchNorm) for module in model.modules())


def in_ghost_batches(model: nn.Module, count: int, least: int) -> nn.Module:
    """A model that computes what `model` does, with its very weights and statistics, but trains in ghost batches.

    The model itself where nothing is normalised, or where batches of at most `count` pictures are one ghost batch.
    """
    if not is_normalised(model) or len(ghost_batches(count, least)) == 1:
        return model
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}  # deepcopy's memo: not copied
    ghosted = copy.deepcopy(model, shared).train()
    _replace(ghosted, lambda plain: GhostBatchNorm(plain, least))
    return ghosted


def share_batch_norms(model: nn.Module, team: Team, least: int) -> None:
    """Let every batch normalisation in `model` take its statistics over all ranks; the weights stay the same."""
    if team.world > 1:
        _replace(model, lambda plain: SharedBatchNorm(plain, team, least))


def _replace(model: nn.Module, twin: Any) -> None:
    for name, child in model.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(model, name, twin(child))
        else:
            _replace(child, twin)


class _Twin(nn.BatchNorm2d):
    """A batch normalisation that takes over weights and statistics of a plain one."""

    def __init__(self, plain: nn.BatchNorm2d, least: int) -> None:
        super().__init__(plain.num_features, plain.eps, plain.momentum)
        self.weight = plain.weight
        self.bias = plain.bias
        self.running_mean = plain.running_mean
        self.running_var = plain.running_var
        self.num_batches_tracked = plain.num_batches_tracked
        self.least = least


class GhostBatchNorm(_Twin):
    """Batch normalisation of each ghost batch by itself, all in one process.

    The running statistics move once a step, towards the mean of the ghost batches' own.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        sizes = ghost_batches(len(x), self.least)
        if not self.training or len(sizes) == 1:
            return super().forward(x)
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        means = self.running_mean.repeat(len(sizes), 1)  # (G, C)
        variances = self.running_var.repeat(len(sizes), 1)
        normed = [
            F.batch_norm(ghost, mean, variance, self.weight, self.bias, True, self.momentum, self.eps)
            for ghost, mean, variance in zip(torch.split(x, list(sizes)), means, variances, strict=True)
        ]
        self.running_mean.copy_(means.mean(0))
        self.running_var.copy_(variances.mean(0))
        return torch.cat(normed)


class SharedBatchNorm(_Twin):
    """Batch normalisation over the shards of all ranks: what one process does on the whole batch, value and gradient.

    Ours and not torch's SyncBatchNorm, which refuses tensors on CPUs: one sum over ranks in each direction, of
    G (2C + 1) and of 2GC numbers. Source: Ioffe and Szegedy 2015.
    """

    def __init__(self, plain: nn.BatchNorm2d, team: Team, least: int) -> None:
        super().__init__(plain, least)
        self.team = team
        self.count: int | None = None  # pictures in the batch of which a step computes this rank's shard

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W); outside a step all ranks' pictures are one ghost batch."""
        if not self.training:
            return super().forward(x)
        normed: Tensor = _Normalise.apply(x, self.weight, self.bias, self)  # type: ignore[no-untyped-call]
        return normed

    def rows(self, held: int) -> tuple[int, ...]:
        """How many of the `held` pictures of this rank belong to each ghost batch; 0 for those of other ranks only."""
        if self.count is None:
            return (held,)
        shard = self.team.shard(self.count)
        rows = []
        start = 0
        for size in ghost_batches(self.count, self.least):
            rows.append(max(0, min(start + size, shard.stop) - max(start, shard.start)))
            start += size
        return tuple(rows)


@contextmanager
def batch_of(count: int, model: nn.Module) -> Iterator[None]:
    """Inside `with` the shared normalisations of `model` know that the ranks compute a batch of `count` pictures."""
    shared = [module for module in model.modules() if isinstance(module, SharedBatchNorm)]
    try:
        for module in shared:
            module.count = count
        yield
    finally:
        for module in shared:
            module.count = None


class _Normalise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, norm: SharedBatchNorm) -> Tensor:
        rows = norm.rows(len(x))
        total = torch.zeros(len(rows), x.shape[1], dtype=torch.float64, device=x.device)  # (G, C)
        squares = torch.zeros_like(total)
        count = torch.zeros(len(rows), 1, dtype=torch.float64, device=x.device)
        for place, part in enumerate(torch.split(x, list(rows))):
            if len(part):
                # in float64 the mean of squares minus the squared mean loses nothing
                variance, mean = (each.double() for each in torch.var_mean(part.float(), (0, 2, 3), correction=0))
                count[place] = part.numel() / part.shape[1]
                total[place] = mean * count[place]
                squares[place] = (variance + mean**2) * count[place]
        norm.team.all_reduce(total, squares, count)
        mean = total / count  # (G, C), of all shards
        variance = (squares / count - mean**2).clamp(min=0)
        assert norm.running_mean is not None and norm.running_var is not None and norm.num_batches_tracked is not None
        assert norm.momentum is not None
        norm.num_batches_tracked.add_(1)
        norm.running_mean.lerp_(mean.mean(0).float(), norm.momentum)
        norm.running_var.lerp_((variance * (count / (count - 1))).mean(0).float(), norm.momentum)
        mean = mean.float()
        variance = variance.float()
        ctx.save_for_backward(x, weight, mean, variance, count)
        ctx.norm = norm
        ctx.rows = list(rows)
        parts = zip(torch.split(x, list(rows)), mean, variance, strict=True)
        return torch.cat([F.batch_norm(part, m, v, weight, bias, eps=norm.eps) for part, m, v in parts if len(part)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, mean, variance, count = ctx.saved_tensors
        eps = ctx.norm.eps
        dxs = []
        dweight = torch.zeros_like(mean)  # (G, C): sums over this rank's pictures, then over all
        dbias = torch.zeros_like(mean)
        for place, (gradient, part) in enumerate(
            zip(torch.split(gradients[0], ctx.rows), torch.split(x, ctx.rows), strict=True)
        ):
            if len(part):
                constants = (mean[place], variance[place], None, None, False, eps, [True, True, True])
                dx, dweight[place], dbias[place] = torch.ops.aten.native_batch_norm_backward(
                    gradient, part, weight, *constants
                )
                dxs.append(dx)
        all_weight = dweight.clone()
        all_bias = dbias.clone()
        ctx.norm.team.all_reduce(all_weight, all_bias)
        inverse_std = (variance + eps).rsqrt()
        # torch's backward took mean and variance for constants; these two terms are their gradients
        slope = weight * inverse_std**2 * (all_weight / count).float()  # (G, C)
        level = weight * inverse_std * (all_bias / count).float() - slope * mean
        rows = torch.tensor(ctx.rows, device=x.device)
        level, slope = (each.repeat_interleave(rows, 0)[..., None, None].to(x.dtype) for each in (level, slope))
        dx = torch.cat(dxs) - level
        return dx.addcmul_(x, slope, value=-1), dweight.sum(0), dbias.sum(0), None
