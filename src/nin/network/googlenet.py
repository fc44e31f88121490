"""GoogLeNet as published: nine Inception modules, global average pooling, and two heads that only training uses.

What came of Network in Network's two ideas: 1x1 layers that reduce the maps before every larger kernel, and pooling in
place of fully connected layers. Source of everything: Szegedy et al. 2014, "Going deeper with convolutions", table 1,
figure 3 and section 5; the parameters of local response normalisation are those of Caffe's bvlc_googlenet.
Shape legend: N pictures, C channels, K classes, (H, W) sides going in, (h, w) sides coming out.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nin.network.layers import GlobalAveragePool2d

AUXILIARY_WEIGHT = 0.3  # Szegedy et al. 2014, section 5
AUXILIARY_MAPS = 128 * 4 * 4  # for 224x224 pictures: average pooling 5x5/3 leaves 4x4 of 14x14


@dataclass(frozen=True)
class InceptionConfig:
    """Widths of one Inception module, a row of the paper's table 1: how many maps each of its convolutions makes."""

    conv1x1: int
    reduce3x3: int
    conv3x3: int
    reduce5x5: int
    conv5x5: int
    pool_proj: int

    @property
    def out_channels(self) -> int:
        """Maps that the module hands on: those of its four branches."""
        return self.conv1x1 + self.conv3x3 + self.conv5x5 + self.pool_proj


INCEPTION = {
    "3a": InceptionConfig(64, 96, 128, 16, 32, 32),
    "3b": InceptionConfig(128, 128, 192, 32, 96, 64),
    "4a": InceptionConfig(192, 96, 208, 16, 48, 64),
    "4b": InceptionConfig(160, 112, 224, 24, 64, 64),
    "4c": InceptionConfig(128, 128, 256, 24, 64, 64),
    "4d": InceptionConfig(112, 144, 288, 32, 64, 64),
    "4e": InceptionConfig(256, 160, 320, 32, 128, 128),
    "5a": InceptionConfig(256, 160, 320, 32, 128, 128),
    "5b": InceptionConfig(384, 192, 384, 48, 128, 128),
}


class Inception(nn.Module):
    """Four branches side by side: 1x1; 1x1 then 3x3; 1x1 then 5x5; max pooling then 1x1: (N, C, H, W) -> (N, C', H, W).

    ReLU follows every convolution. Source: Szegedy et al. 2014, figure 2b.
    """

    def __init__(self, in_channels: int, config: InceptionConfig) -> None:
        super().__init__()
        self.conv1x1 = nn.Conv2d(in_channels, config.conv1x1, 1)
        self.reduce3x3 = nn.Conv2d(in_channels, config.reduce3x3, 1)
        self.conv3x3 = nn.Conv2d(config.reduce3x3, config.conv3x3, 3, padding=1)
        self.reduce5x5 = nn.Conv2d(in_channels, config.reduce5x5, 1)
        self.conv5x5 = nn.Conv2d(config.reduce5x5, config.conv5x5, 5, padding=2)
        self.pool = nn.MaxPool2d(3, stride=1, padding=1)
        self.pool_proj = nn.Conv2d(in_channels, config.pool_proj, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H, W)."""
        branches = (
            self.conv1x1(x),
            self.conv3x3(F.relu(self.reduce3x3(x))),
            self.conv5x5(F.relu(self.reduce5x5(x))),
            self.pool_proj(self.pool(x)),
        )
        return F.relu(torch.cat(branches, dim=1))  # (N, C', H, W): channels side by side


class AuxiliaryHead(nn.Module):
    """A classifier on an inner map, so that gradients reach the early layers: (N, C, 14, 14) -> (N, K).

    Average pooling 5x5/3, a 1x1 layer of 128 maps, a fully connected layer of 1,024, dropout 0.7, logits.
    Source: Szegedy et al. 2014, section 5.
    """

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(5, stride=3)
        self.conv = nn.Conv2d(in_channels, 128, 1)
        self.fc1 = nn.Linear(AUXILIARY_MAPS, 1024)
        self.dropout = nn.Dropout(0.7)
        self.fc2 = nn.Linear(1024, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, 14, 14) -> (N, K)."""
        x = F.relu(self.conv(self.pool(x))).flatten(1)  # (N, 2048)
        logits: Tensor = self.fc2(self.dropout(F.relu(self.fc1(x))))
        return logits


class GoogLeNetLogits(NamedTuple):
    """What GoogLeNet answers in training mode: the logits (N, K) of the network and of its auxiliary heads."""

    main: Tensor
    auxiliary_4a: Tensor
    auxiliary_4d: Tensor


class GoogLeNet(nn.Module):
    """The network: (N, 3, H, W) -> logits (N, K) in evaluation mode, GoogLeNetLogits in training mode.

    Evaluation takes any size from about 32 pixels up; the auxiliary heads fit 224x224 pictures only (`auxiliary=False`
    leaves them out, and training then answers logits too). 6,998,552 parameters, 6,379,728 more in the auxiliary heads.
    """

    def __init__(self, num_classes: int = 1000, *, auxiliary: bool = True) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3)
        self.pool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.norm1 = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75)
        self.reduce2 = nn.Conv2d(64, 64, 1)
        self.conv2 = nn.Conv2d(64, 192, 3, padding=1)
        self.norm2 = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75)
        self.pool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        channels = 192
        for name, config in INCEPTION.items():
            self.add_module(f"inception_{name}", Inception(channels, config))
            channels = config.out_channels
        self.pool3 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.pool4 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.gap = GlobalAveragePool2d()
        self.dropout = nn.Dropout(0.4)
        self.fc = nn.Linear(channels, num_classes)
        self.auxiliary = auxiliary
        if auxiliary:
            self.auxiliary_4a = AuxiliaryHead(INCEPTION["4a"].out_channels, num_classes)
            self.auxiliary_4d = AuxiliaryHead(INCEPTION["4d"].out_channels, num_classes)

    def forward(self, x: Tensor) -> Tensor | GoogLeNetLogits:
        """(N, 3, H, W) -> logits (N, K); with those of the auxiliary heads in training mode."""
        x = self.norm1(self.pool1(F.relu(self.conv1(x))))  # (N, 64, h, w)
        x = self.pool2(self.norm2(F.relu(self.conv2(F.relu(self.reduce2(x))))))  # (N, 192, h, w)
        seen = {}
        for name in INCEPTION:
            x = seen[name] = self.get_submodule(f"inception_{name}")(x)  # (N, C', h, w)
            if name in ("3b", "4e"):
                x = (self.pool3 if name == "3b" else self.pool4)(x)
        logits: Tensor = self.fc(self.dropout(self.gap(x)))
        if not (self.training and self.auxiliary):
            return logits
        return GoogLeNetLogits(logits, self.auxiliary_4a(seen["4a"]), self.auxiliary_4d(seen["4d"]))


def googlenet_loss(logits: Tensor | GoogLeNetLogits, labels: Tensor) -> Tensor:
    """Cross entropy of the logits with labels (N,), the auxiliary heads' added with weight 0.3; a scalar.

    Source: Szegedy et al. 2014, section 5.
    """
    if isinstance(logits, Tensor):
        return F.cross_entropy(logits, labels)
    main, *auxiliary = (F.cross_entropy(each, labels) for each in logits)
    return main + AUXILIARY_WEIGHT * sum(auxiliary, torch.zeros_like(main))
