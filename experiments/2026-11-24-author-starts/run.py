"""How often does the author's own set-up start? Dead class maps, seed by seed, as published, in Caffe, and mended.

    python experiments/2026-11-24-author-starts/run.py DATA [--only CASE ...] [--seeds 5]

DATA holds CIFAR-10 and MNIST. Every start is judged as `nin reproduce` judges it: after at least 400 steps of 128
pictures (the first 10,000 of the training pictures) it must have left the loss of guessing, and in one epoch at least
no class may have had the answer 0 for all of the first 1,000 test pictures. A start none of whose classes answered
anything for two epochs has no gradient any more, and is stopped. What the watch of `nin train` says is kept, too.
Finished starts are kept in result.json and not repeated.
"""

import argparse
import json
import re
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from nin.data.preprocess import Preprocess
from nin.data.whiten import fit_zca
from nin.errors import NotFinite
from nin.network.architecture import NIN
from nin.network.author_networks import author_cifar10, author_mnist
from nin.network.config import NINConfig
from nin.paper.rows import EARLY, data_sets, has_started
from nin.paper.tables import MENDED
from nin.training import author_recipes, hardware
from nin.training.loop import Trainer
from nin.training.recipes import Recipe
from nin.training.state import Pictures

HERE = Path(__file__).parent
PICTURES, WATCHED = 10_000, 1_000


@dataclass(frozen=True)
class Case:
    """A network, its recipe and what its pictures go through ("gcn-zca", "spread", "pixels": 0 to 255, or "unit")."""

    data: str
    network: NINConfig
    recipe: Callable[..., Recipe]
    inputs: str


CASES = {
    "cifar10": Case("cifar10", author_cifar10(), author_recipes.author_cifar10_recipe, "gcn-zca"),
    "cifar10-caffe": Case(
        "cifar10", author_cifar10(pool2="avg", dropout_kind="inverted"), author_recipes.caffe_cifar10, "gcn-zca"
    ),
    "cifar10-mended": Case("cifar10", author_cifar10(**MENDED), author_recipes.author_cifar10_recipe, "gcn-zca"),
    "mnist": Case("mnist", author_mnist(), author_recipes.author_mnist_recipe, "spread"),
    "mnist-unit": Case("mnist", author_mnist(), author_recipes.author_mnist_recipe, "unit"),
    "mnist-pixels": Case("mnist", author_mnist(), author_recipes.author_mnist_recipe, "pixels"),
    "mnist-mended": Case("mnist", author_mnist(**MENDED), author_recipes.author_mnist_recipe, "spread"),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    machine = hardware.choose()
    settings = ExitStack()
    settings.enter_context(hardware.applied(machine))  # until this function ends
    path = HERE / "result.json"
    found = json.loads(path.read_text()) if path.is_file() else {"starts": {}}
    sources = data_sets(arguments.data, {CASES[name].data for name in arguments.only})
    prepared = {}
    for name in arguments.only:
        case = CASES[name]
        if (case.data, case.inputs) not in prepared:
            prepared[case.data, case.inputs] = preprocess(sources[case.data].splits["train"].images, case.inputs)
        for seed in range(arguments.seeds):
            starts = found["starts"].setdefault(name, {})
            if str(seed) not in starts:
                starts[str(seed)] = start(case, sources[case.data], prepared[case.data, case.inputs], seed, machine)
                path.write_text(json.dumps(found, indent=1) + "\n")
                print(name, seed, starts[str(seed)], flush=True)
    for name, starts in found["starts"].items():
        print(f"{name}: {sum(one['starts'] for one in starts.values())} of {len(starts)} start")


def preprocess(images: np.ndarray, inputs: str) -> Preprocess:
    """What pictures like these (N, H, W, C) go through."""
    channels = images.shape[3]
    share = images[:PICTURES] / 255.0
    mean, std = (tuple(getattr(share, what)((0, 1, 2)).tolist()) for what in ("mean", "std"))
    plain = Preprocess(images.shape[1:3], channels, "stretch", mean, std)
    if inputs == "gcn-zca":
        zca = fit_zca(images[first : first + 1000] for first in range(0, len(images), 1000))
        return replace(plain, normalisation="gcn-zca", zca=zca)
    if inputs == "pixels":
        return replace(plain, std=(1 / 255,) * channels)
    return replace(plain, mean=(0.0,) * channels, std=(1.0,) * channels) if inputs == "unit" else plain


def start(case: Case, source, prepared: Preprocess, seed: int, machine: hardware.Hardware) -> dict:
    """The first steps of one training, as long as its author would have trained."""
    parts = source.splits["train"], source.splits["test"]
    train, test = (Pictures(p.images[:n], p.labels[:n]) for p, n in zip(parts, (PICTURES, WATCHED), strict=True))
    model = NIN(case.network, generator=torch.Generator().manual_seed(seed))
    trainer = Trainer(model, train, test, prepared, replace(case.recipe(), seed=seed), machine)
    began, ended, said = time.perf_counter(), None, []
    try:
        for epoch in trainer.epochs(on_finding=lambda found: said.append(str(found))):
            if epoch.step >= EARLY or _silent(trainer):
                break
    except NotFinite as error:
        ended = str(error)
    history = trainer.position.history
    return {
        "starts": ended is None and not _silent(trainer) and has_started(trainer),
        "ended": ended,
        "steps": history[-1].step if history else trainer.position.step,
        "loss": [round(epoch.train_loss, 4) for epoch in history],
        "accuracy": [round(100 * epoch.val_accuracy, 2) for epoch in history],
        "dead classes": [epoch.dead_classes for epoch in history],
        "said": list(dict.fromkeys(re.sub(r" by \S+ only", " hardly", line) for line in said)),
        "seconds": round(time.perf_counter() - began),
        "on": hardware.environment(machine).get("gpu", hardware.cpu_name()),
    }


def _silent(trainer: Trainer) -> bool:
    lately = trainer.position.history[-2:]
    return len(lately) == 2 and all(epoch.dead_classes == trainer.state.classes for epoch in lately)


if __name__ == "__main__":
    main()
