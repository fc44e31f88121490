"""Network in Network as one module.

Shape legend: N pictures, C channels, F features, K classes, (H, W) sides going in, (h, w) sides coming out.
"""

import math
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from nin.errors import UsageError
from nin.network.author_networks import author_cifar10, author_cifar100, author_imagenet, author_mnist, author_svhn
from nin.network.config import BlockConfig, NINConfig
from nin.network.layers import Dropout, GlobalAveragePool2d, MLPConv
from nin.network.named import configure, list_models, nin, nin_large

__all__ = [
    "NIN",
    "BlockConfig",
    "NINConfig",
    "author_cifar10",
    "author_cifar100",
    "author_imagenet",
    "author_mnist",
    "author_svhn",
    "build_network",
    "list_models",
    "nin",
    "nin_large",
]

LAST_STD = 0.01  # ours: the last layer of init="kaiming"; logits start near 0, so the first loss is ln K


class NIN(nn.Module):
    """A stack of mlpconv layers whose last one makes one map per class, then global average pooling.

    (N, C, H, W) floats -> (N, K) logits, each logit the mean of its class's map; H and W may be anything from
    `config.min_side` up. Source: Lin et al. 2013, section 3.3 and figure 2. First weights come from `generator`
    (torch's default one where None). For torch.export mark sizes as Dim.DYNAMIC: torch cannot prove the ranges of a
    named Dim through pooling that rounds up. Raises UsageError, in one line, for inputs of another shape or type.
    """

    def __init__(self, config: NINConfig, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self.min_side = config.min_side
        with torch.random.fork_rng(devices=[]):  # building draws nothing that lasts
            self.blocks = nn.ModuleList(_mlpconv(config, index) for index in range(len(config.blocks)))
        self.pools = nn.ModuleList(_pool(block) for block in config.blocks[:-1])
        self.dropouts = nn.ModuleList(Dropout(block.dropout, config.dropout_kind) for block in config.blocks[:-1])
        self.gap = GlobalAveragePool2d()
        self.initialise(generator)

    @property
    def num_classes(self) -> int:
        """K, the number of classes."""
        return self.config.num_classes

    @property
    def num_features(self) -> int:
        """F, the number of maps that the last 1x1 layer reads."""
        return self.config.blocks[-1].channels[-2]

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> logits (N, K): mlpconv layers in a row, the last with a map for each class; the means."""
        maps = self.forward_maps(x)  # (N, K, h, w)
        logits: Tensor = self.gap(maps)
        return logits

    def forward_maps(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> class maps (N, K, h, w), whose means are the logits."""
        self._expect(x)
        if self.config.mirror and not self.training:
            return mean_of_views(self._maps(both_views(x)))
        return self._maps(x)

    def _maps(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, K, h, w)."""
        maps: Tensor = self.blocks[-1](self._before_last(x))
        return maps

    def _before_last(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> what the last mlpconv layer reads (N, C', H', W')."""
        for block, pool, dropout in zip(self.blocks, self.pools, self.dropouts, strict=False):
            x = dropout(pool(block(x)))  # (N, C', h, w)
        return x

    def forward_both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) -> class maps (N, K, h, w), and the mean of every map that the last 1x1 layer reads (N, F)."""
        self._expect(x)
        mirror = self.config.mirror and not self.training
        hidden = self._last.hidden(self._before_last(both_views(x) if mirror else x))  # (N or 2N, F, h, w)
        maps = self._last.output(hidden)
        if mirror:
            hidden, maps = mean_of_views(hidden), mean_of_views(maps)  # (N, F, h, w), (N, K, h, w)
        features: Tensor = self.gap(hidden)  # (N, F)
        return maps, features

    def forward_features(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> what the last 1x1 layer reads (N, F, h, w)."""
        self._expect(x)
        if self.config.mirror and not self.training:
            return mean_of_views(self._last.hidden(self._before_last(both_views(x))))
        return self._last.hidden(self._before_last(x))

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Features (N, F, h, w) -> logits (N, K), or with `pre_logits` the mean of every feature map (N, F)."""
        pooled: Tensor = self.gap(features if pre_logits else self._last.output(features))  # (N, F) or (N, K)
        return pooled

    @torch.no_grad()
    def initialise(self, generator: torch.Generator | None = None) -> None:
        """Draw all weights afresh as `config.init` says; the same CPU generator gives the same bits on any device."""
        for block, plan in zip(self.blocks, self.config.blocks, strict=True):
            for index, layer in enumerate(cast(MLPConv, block).convolutions):
                self._draw(layer, plan, index, generator)
            for norm in cast(MLPConv, block).norms:
                cast(nn.BatchNorm2d, norm).reset_parameters()

    @torch.no_grad()
    def reset_classifier(self, num_classes: int, generator: torch.Generator | None = None) -> None:
        """Give the network a fresh last layer for another number of classes; everything before it stays."""
        last = self.config.blocks[-1]
        block = replace(last, channels=(*last.channels[:-1], num_classes))
        self.config = replace(self.config, blocks=(*self.config.blocks[:-1], block), num_classes=num_classes)
        with torch.random.fork_rng(devices=[]):  # building draws nothing that lasts
            fresh = _mlpconv(self.config, len(self.blocks) - 1)
            old = self._last
        weight = old.convolutions[-1].weight
        fresh.to(device=weight.device, dtype=weight.dtype).train(self.training)
        old.pointwise[-1] = fresh.pointwise[-1]
        if len(fresh.norms) == len(block.channels):
            old.norms[-1] = fresh.norms[-1]
        self._draw(old.convolutions[-1], block, len(block.channels) - 1, generator)

    @property
    def _last(self) -> MLPConv:
        return cast(MLPConv, self.blocks[-1])

    def _expect(self, x: Tensor) -> None:
        channels = self.config.in_channels
        least = self.min_side
        wanted = f"expected (N, {channels}, H, W) with H and W of at least {least}"
        if x.ndim != 4:
            raise UsageError(f"the input has {x.ndim} dimensions; {wanted}")
        if x.shape[1] != channels or x.shape[2] < least or x.shape[3] < least:
            raise UsageError(f"the input has the shape {tuple(x.shape)}; {wanted}")
        if not x.is_floating_point():
            raise UsageError(f"the input holds {x.dtype}; expected normalised floating-point values")

    def _draw(self, layer: nn.Conv2d, plan: BlockConfig, index: int, generator: torch.Generator | None) -> None:
        """First weights of layer `index` of a block, drawn on the CPU in float32 wherever they go."""
        fan_in = layer.weight[0].numel()
        if self.config.init == "torch":  # what nn.Conv2d.reset_parameters amounts to
            bound = 1 / math.sqrt(fan_in)
            for tensor in layer.parameters():
                tensor.copy_(_empty_like(tensor).uniform_(-bound, bound, generator=generator))
            return
        if self.config.init == "normal" and plan.init_std is not None:
            std = plan.init_std[index]
        elif layer is self._last.convolutions[-1]:
            std = LAST_STD
        else:
            std = math.sqrt((1 if self.config.activation == "identity" else 2) / fan_in)
        layer.weight.copy_(_empty_like(layer.weight).normal_(0, std, generator=generator))
        if layer.bias is not None:
            layer.bias.zero_()


def both_views(x: Tensor) -> Tensor:
    """Pictures (N, C, H, W) -> the pictures and, after them, their mirror images (2N, C, H, W)."""
    return torch.cat([x, x.flip(3)])


def mean_of_views(maps: Tensor) -> Tensor:
    """Maps of both views (2N, C, h, w) -> one map a picture (N, C, h, w): those of mirror images are turned back."""
    straight, mirrored = maps.chunk(2)  # (N, C, h, w) each
    return (straight + mirrored.flip(3)) / 2


def build_network(name: str, num_classes: int | None = None, in_chans: int | None = None, **switches: Any) -> NIN:
    """Build a freshly initialised network by name: `build_network("nin", 5, width=0.5)`; arguments as `configure`."""
    return NIN(configure(name, num_classes, in_chans, **switches))


def _mlpconv(config: NINConfig, index: int) -> MLPConv:
    block = config.blocks[index]
    last = index == len(config.blocks) - 1
    return MLPConv(
        config.block_inputs[index],
        block.channels,
        block.kernel_size,
        stride=block.stride,
        padding=block.pad,
        activation=config.activation,
        norm=config.norm,
        last_activation=config.last_activation or not last,
        last_norm=config.last_norm or not last,
        groups=block.groups,
    )


def _pool(block: BlockConfig) -> nn.Module:
    if block.pool is None:
        return nn.Identity()
    kind = nn.MaxPool2d if block.pool == "max" else nn.AvgPool2d
    return kind(block.pool_size, block.pool_stride, block.pool_padding, ceil_mode=block.pool_ceil)


def _empty_like(tensor: Tensor) -> Tensor:
    return torch.empty(tensor.shape, dtype=torch.float32, device="cpu")
