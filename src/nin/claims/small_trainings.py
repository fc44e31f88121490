"""Trainings of small networks on placed digits, in seconds each: how claims about learning are measured.

N pictures, K = 10 classes. Accuracies are percentages on digits that no training picture shows.
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
from nin.training.evaluation import Z95
from nin.training.hardware import Hardware
from nin.training.loop import Trainer, predict_logits
from nin.training.recipes import Recipe
from nin.training.state import Pictures

CLASSES = 10
MEAN = 0.08  # of the placed digits, in units of 0..1
STD = 0.22  # of the placed digits, too
EPOCHS = 8
BATCH = 32
PLACES = 4  # of each test digit where two networks are compared; one alone leaves too much to chance
Build = Callable[[torch.Generator], nn.Module]


def chain(*widths: Sequence[int]) -> NINConfig:
    """mlpconv layers of these widths, the last with ten class maps; pooling halves the maps after the first two.

    A layer of one width is a plain convolution.
    """
    layers = [tuple(layer) for layer in widths]
    layers[-1] = (*layers[-1], CLASSES)
    pooled = min(2, len(layers) - 1)
    blocks = [BlockConfig(layer, 3, pool="max" if index < pooled else None) for index, layer in enumerate(layers)]
    return NINConfig("claims", tuple(blocks), CLASSES, 1, norm="batch")


STANDARD = chain((16, 16), (24, 24), (24, 24))


class FullyConnectedHead(nn.Module):
    """STANDARD with one linear layer on all its features instead of class maps and global average pooling."""

    def __init__(self, generator: torch.Generator, dropout: float = 0.0) -> None:
        super().__init__()
        self.trunk = NIN(STANDARD, generator=generator)
        self.num_classes = CLASSES
        maps = self.trunk.blocks[-1].pointwise[-1]  # type: ignore[index]
        maps.requires_grad_(False)  # the layer that makes class maps is not used
        with torch.no_grad():
            values = self.trunk.eval().forward_features(torch.zeros(1, 1, SIDE, SIDE)).numel()
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(values, CLASSES)
        self.generator = generator
        self.begin()

    def begin(self) -> "FullyConnectedHead":
        """Draw new weights for the head, and make it trainable."""
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
    """A trained network and its accuracy on training and test pictures, in percent."""

    model: nn.Module
    train: float
    test: float


@dataclass(frozen=True)
class Compared:
    """Two accuracies in percent, their difference in points, and its 95 % interval over test digits and seeds."""

    one: float
    other: float
    gain: float
    interval: tuple[float, float]


@dataclass
class Workbench:
    """Trains networks for the claims; keeps what several claims need: the machine, the seeds, and shared trainings."""

    hardware: Hardware
    seeds: int = 2
    first: int = 0  # of the seeds
    _kept: dict[str, Any] = field(default_factory=dict)

    def learn(self, build: Build, pictures: Placed | None = None, epochs: int = EPOCHS, seed: int = 0) -> Learned:
        """Train the network that `build` makes; the seed decides its initial weights and the order of the pictures."""
        train = pictures or placed("train")
        test = placed("test", seed=1)
        model = build(torch.Generator().manual_seed(seed))
        recipe = Recipe(epochs, batch_size=BATCH, optimizer="muon", lr=0.02, label_smoothing=0.0, seed=seed)
        unused = Pictures(test.images[:1], test.labels[:1])  # for validation, which decides nothing here
        data = Pictures(train.images, train.labels)
        for _ in Trainer(model, data, unused, preprocess_for(SIDE), recipe, self.hardware).epochs():
            pass
        return Learned(model, self.accuracy(model, train), self.accuracy(model, test))

    def means(self, build: Build, pictures: Placed | None = None, epochs: int = EPOCHS) -> tuple[float, float]:
        """Mean accuracy (train, test) over the seeds, in percent."""
        runs = [self.learn(build, pictures, epochs, seed) for seed in range(self.first, self.first + self.seeds)]
        return statistics.mean(run.train for run in runs), statistics.mean(run.test for run in runs)

    def compared(self, one: Build, other: Build, epochs: int = EPOCHS) -> "Compared":
        """Two networks trained with the same seeds and asked of the same test pictures, each digit at PLACES places."""
        apart = []
        shares = []
        for seed in range(self.first, self.first + self.seeds):
            models = [self.learn(build, None, epochs, seed).model for build in (one, other)]
            right = np.array([self._right(model) for model in models])  # (2, N): of each digit, a share of its places
            shares.append(100 * right.mean(1))
            apart.append(100 * (right[0] - right[1]))
        means = np.mean(shares, axis=0)
        digits = np.mean(apart, axis=0)  # (N,)
        variance = digits.var(ddof=1) / len(digits)
        if len(apart) > 1:  # another training is another answer, too
            variance += np.var([seed.mean() for seed in apart], ddof=1) / len(apart)
        half = Z95 * float(variance) ** 0.5
        gain = float(digits.mean())
        return Compared(float(means[0]), float(means[1]), gain, (gain - half, gain + half))

    def _right(self, model: nn.Module) -> np.ndarray:
        """(N,): of how many of its places each test digit is recognised, from 0 to 1."""
        found = []
        for place in range(1, PLACES + 1):
            test = placed("test", seed=place)
            logits = predict_logits(model, test.images, preprocess_for(SIDE), self.hardware)
            found.append(logits.argmax(1) == test.labels)
        share: np.ndarray = np.mean(found, axis=0)
        return share

    def mean(self, build: Build) -> float:
        """Mean test accuracy over the seeds, in percent."""
        return self.means(build)[1]

    def shared(self, name: str, measure: Callable[["Workbench"], Any]) -> Any:
        """The result of `measure`, computed once however many claims ask for it."""
        if name not in self._kept:
            self._kept[name] = measure(self)
        return self._kept[name]

    def standard(self) -> Learned:
        """The STANDARD network, trained once."""
        found: Learned = self.shared("standard", lambda bench: bench.learn(network(STANDARD)))
        return found

    def accuracy(self, model: nn.Module, pictures: Placed) -> float:
        """Accuracy in percent."""
        logits = predict_logits(model, pictures.images, preprocess_for(pictures.images.shape[1]), self.hardware)
        return 100 * float(np.mean(logits.argmax(1) == pictures.labels))


def network(config: NINConfig) -> Build:
    """How to build this NIN from a generator."""
    return lambda generator: NIN(config, generator=generator)


def preprocess_for(side: int) -> Preprocess:
    """The preprocessing of square pictures with this side."""
    return Preprocess((side, side), 1, "stretch", (MEAN,), (STD,))


def inputs(pictures: Placed) -> Tensor:
    """(N, 1, S, S) as the networks see them."""
    return torch.from_numpy(preprocess_for(pictures.images.shape[1]).normalise(pictures.images))


def cost(config: NINConfig) -> tuple[int, int]:
    """Parameters and multiply-accumulates for one picture of SIDE pixels."""
    found = anatomy(config, (1, SIDE, SIDE))
    return found.parameters, found.macs
