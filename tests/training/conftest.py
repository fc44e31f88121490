"""Tiny data sets and networks that train in a blink."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nin.data.augment import Augmentation
from nin.data.preprocess import Preprocess
from nin.network.architecture import NIN
from nin.network.architecture import nin as default_network
from nin.training.author_recipes import author_cifar10_recipe
from nin.training.hardware import Hardware
from nin.training.loop import Trainer
from nin.training.recipes import Recipe
from nin.training.state import Pictures

MACHINE = Hardware("cpu", 1, "float32")
PREPROCESS = Preprocess((12, 12), 1, "stretch", (0.3,), (0.3,))


def stripes(count: int, seed: int) -> Pictures:
    """Two classes a person tells apart at once: horizontal and vertical stripes under noise, (N, 12, 12, 1) uint8."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % 2
    wave = 90 * (np.arange(12) // 2 % 2)
    images = np.stack([np.broadcast_to(wave[:, None] if label else wave[None, :], (12, 12)) for label in labels])
    images = images + rng.integers(0, 100, images.shape)
    return Pictures(images.astype(np.uint8)[..., None], labels)


@pytest.fixture
def make_trainer():
    """make_trainer(**changes of the recipe) -> a Trainer on striped pictures."""
    before = torch.get_num_threads()

    def make(
        count: int = 40,
        augmentation: Augmentation | None = None,
        *,
        threads: int = 1,
        norm: str | None = "batch",
        dropout: float = 0.2,
        kind: type[NIN] = NIN,
        device: str = "cpu",
        mirror: bool = False,
        **changes,
    ) -> Trainer:
        torch.set_num_threads(threads)
        recipe = Recipe(
            epochs=3, batch_size=8, lr=0.05, augmentation=augmentation or Augmentation(shift=0.1, erase=0.2)
        )
        config = default_network(2, 1, width=0.1, norm=norm, dropout=dropout)
        model = kind(replace(config, mirror=mirror), generator=torch.Generator().manual_seed(0))
        machine = replace(MACHINE, threads=threads, device=device)
        return Trainer(model, stripes(count, 0), stripes(20, 1), PREPROCESS, replace(recipe, **changes), machine)

    yield make
    torch.set_num_threads(before)


@pytest.fixture
def author_trainer():
    """author_trainer(**changes of the author's recipe) -> a Trainer of a plain network on striped pictures."""
    before = torch.get_num_threads()

    def make(count: int = 40, *, threads: int = 1, dropout: float = 0.0, **changes) -> Trainer:
        torch.set_num_threads(threads)
        recipe = replace(author_cifar10_recipe(), epochs=1, batch_size=8, files=20, **changes)
        config = replace(default_network(2, 1, width=0.1, norm=None, dropout=dropout), dropout_kind="classic")
        model = NIN(config, generator=torch.Generator().manual_seed(0))
        return Trainer(model, stripes(count, 0), stripes(20, 1), PREPROCESS, recipe, replace(MACHINE, threads=threads))

    yield make
    torch.set_num_threads(before)
