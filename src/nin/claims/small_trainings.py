"""Small honest trainings on placed digits: what a claim about learning is measured with, in seconds each.

N pictures, K = 10 classes. Every figure is a percentage of right answers on digits that no training picture shows.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nin.claims.placed_digits import SIDE, Placed, placed
from nin.data.preprocess import Preprocess
from nin.network.anatomy import anatomy
from nin.network.architecture import NIN
from nin.network.config import BlockConfig, NINConfig
from nin.training.hardware import Hardware
from nin.training.loop import Trainer, predict_logits
from nin.training.recipes import Recipe
from nin.training.state import Pictures

CLASSES = 10
MEAN, STD = 0.08, 0.22  # of the placed digits, in units of 0..1
EPOCHS, BATCH = 8, 32
Build = Callable[[torch.Generator], nn.Module]


def chain(*widths: Sequence[int]) -> NINConfig:
    """mlpconv layers of these widths, with ten class maps behind the last; pooling halves behind the first two.

    A layer of one width is a plain convolution.
    """
    layers = [tuple(layer) for layer in widths]
    layers[-1] = (*layers[-1], CLASSES)
    pooled = min(2, len(layers) - 1)
    blocks = [BlockConfig(layer, 3, pool="max" if index < pooled else None) for index, layer in enumerate(layers)]
    return NINConfig("claims", tuple(blocks), CLASSES, 1, norm="batch")


STANDARD = chain((16, 16), (24, 24), (24, 24))


class FullyConnectedHead(nn.Module):
    """STANDARD with one linear layer on all its features in place of class maps and global average pooling."""

    def __init__(self, generator: torch.Generator, dropout: float = 0.0) -> None:
        super().__init__()
        self.trunk, self.num_classes = NIN(STANDARD, generator=generator), CLASSES
        maps = self.trunk.blocks[-1].pointwise[-1]  # type: ignore[index]
        maps.requires_grad_(False)  # the layer that makes class maps is not used
        with torch.no_grad():
            values = self.trunk.eval().forward_features(torch.zeros(1, 1, SIDE, SIDE)).numel()
        self.dropout, self.output = nn.Dropout(dropout), nn.Linear(values, CLASSES)
        self.generator = generator
        self.begin()

    def begin(self) -> "FullyConnectedHead":
        """Draw the head's weights afresh, and let it learn."""
        self.output.requires_grad_()
        nn.init.normal_(self.output.weight, 0, 0.01, generator=self.generator)
        nn.init.zeros_(self.output.bias)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, S, S) -> (N, K)."""
        logits: Tensor = self.output(self.dropout(self.trunk.forward_features(x).flatten(1)))
        return logits


@dataclass(frozen=True)
class Learned:
    """A trained network and its percentages of right answers on training and test pictures."""

    model: nn.Module
    train: float
    test: float


@dataclass
class Workbench:
    """What the measurements share: the machine, the number of seeds, and findings that several of them use."""

    hardware: Hardware
    seeds: int = 2
    _kept: dict[str, Any] = field(default_factory=dict)

    def learn(self, build: Build, pictures: Placed | None = None, epochs: int = EPOCHS, seed: int = 0) -> Learned:
        """Train what `build` makes; the same seed gives the same first weights and order."""
        train, test = pictures or placed("train"), placed("test", seed=1)
        model = build(torch.Generator().manual_seed(seed))
        recipe = Recipe(epochs, batch_size=BATCH, optimizer="muon", lr=0.02, label_smoothing=0.0, seed=seed)
        unused = Pictures(test.images[:1], test.labels[:1])  # nothing is chosen by it
        data = Pictures(train.images, train.labels)
        for _ in Trainer(model, data, unused, preprocess_for(SIDE), recipe, self.hardware).epochs():
            pass
        return Learned(model, self.accuracy(model, train), self.accuracy(model, test))

    def means(self, build: Build, pictures: Placed | None = None, epochs: int = EPOCHS) -> tuple[float, float]:
        """Mean percentages (train, test) over the seeds."""
        runs = [self.learn(build, pictures, epochs, seed) for seed in range(self.seeds)]
        return statistics.mean(run.train for run in runs), statistics.mean(run.test for run in runs)

    def mean(self, build: Build) -> float:
        """Mean percentage of right test answers over the seeds."""
        return self.means(build)[1]

    def shared(self, name: str, measure: Callable[["Workbench"], Any]) -> Any:
        """What `measure` finds, measured once however many claims ask for it."""
        if name not in self._kept:
            self._kept[name] = measure(self)
        return self._kept[name]

    def standard(self) -> Learned:
        """The bench's own network of three mlpconv layers, trained once."""
        found: Learned = self.shared("standard", lambda bench: bench.learn(network(STANDARD)))
        return found

    def accuracy(self, model: nn.Module, pictures: Placed) -> float:
        """Percentage of right answers."""
        logits = predict_logits(model, pictures.images, preprocess_for(pictures.images.shape[1]), self.hardware)
        return 100 * float(np.mean(logits.argmax(1) == pictures.labels))


def network(config: NINConfig) -> Build:
    """How to build this NIN from a generator."""
    return lambda generator: NIN(config, generator=generator)


def preprocess_for(side: int) -> Preprocess:
    """The bench's normalisation for pictures of one side."""
    return Preprocess((side, side), 1, "stretch", (MEAN,), (STD,))


def inputs(pictures: Placed) -> Tensor:
    """(N, 1, S, S) as the networks see them."""
    return torch.from_numpy(preprocess_for(pictures.images.shape[1]).normalise(pictures.images))


def cost(config: NINConfig) -> tuple[int, int]:
    """Parameters and multiply-accumulates for one picture of the bench."""
    found = anatomy(config, (1, SIDE, SIDE))
    return found.parameters, found.macs
