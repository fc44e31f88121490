"""Dead starts: 20 broken and 20 healthy set-ups judged by the watch, 40 starts of the default, the author's strict one.

    python experiments/2026-11-24-dead-starts/run.py CIFAR_FOLDER [--only PART ...] [--side 16] [--strict-seeds 3]

Every set-up trains for 200 steps under nin.training.watch, or until a diagnosis that is sure. A broken one counts as
right when the first sure diagnosis names its cause, a healthy one when there is none. The watch's numbers were chosen
with seed 0; seed 1 was looked at only afterwards. Data: scikit-learn's digits at
8 x 8, and the first pictures of CIFAR-10, averaged to 16 x 16 so that all fits in minutes of one slow core. Finished
set-ups are kept in result.json; delete it to begin afresh.
"""

import argparse
import json
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from nin.data.augment import Augmentation
from nin.data.formats.digits import open_digits
from nin.data.preprocess import Preprocess
from nin.data.sources import open_source
from nin.network.architecture import NIN, author_cifar10, author_mnist, nin, nin_large
from nin.network.config import NINConfig
from nin.training import hardware
from nin.training.guard import Cause, Diagnosis, probe
from nin.training.loop import Trainer
from nin.training.recipes import Recipe, default_recipe
from nin.training.state import Pictures, Progress
from nin.training.watch import LAST, PROBED

HERE = Path(__file__).resolve().parent
RESULT = HERE / "result.json"
MACHINE = hardware.Hardware("cpu", 1, "float32")
SGD = Recipe(40, batch_size=32, lr=0.1, weight_decay=1e-4, warmup=0.0, label_smoothing=0.0)  # as ports have it
MUON = Recipe(40, optimizer="muon", lr=0.02)
STRONG = Augmentation(flip=True, shift=0.1, zoom=0.3, aspect=0.2, rotate=10, colour=0.3, cutmix=0.5)
Data = tuple[Pictures, Pictures]


@dataclass(frozen=True)
class SetUp:
    """What is trained with what; `cause` is what is wrong with it, None when nothing is."""

    name: str
    cause: Cause | None
    data: str
    network: NINConfig
    recipe: Recipe
    change: Callable[[nn.Module], object] = lambda _: None


class Stop(Exception):
    """Enough has been seen."""


class Strict(Trainer):
    """The author's rates: biases twice the weights', the last layer a tenth; plain momentum."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        weights = [p for p in self.model.parameters() if p.ndim > 1]
        biases = [p for p in self.model.parameters() if p.ndim <= 1]
        parts = ((weights[:-1], 1.0), (weights[-1:], 0.1), (biases[:-1], 2.0), (biases[-1:], 0.2))
        groups = [{"params": p, "share": share, "weight_decay": 1e-4 * (p[0].ndim > 1)} for p, share in parts]
        self.optimizer = torch.optim.SGD(groups, lr=self.recipe.lr, momentum=self.recipe.momentum)
        self.optimizer.register_step_pre_hook(_share_out)


def _share_out(optimizer: torch.optim.Optimizer, *_: object) -> None:
    for group in optimizer.param_groups:
        group["lr"] *= group["share"]


def stds(network: NINConfig, std: float) -> NINConfig:
    blocks = tuple(replace(block, init_std=(std,) * len(block.channels)) for block in network.blocks)
    return replace(network, init="normal", blocks=blocks)


@torch.no_grad()
def drown(model: nn.Module) -> None:
    """A last layer whose biases keep its ReLU shut."""
    model.blocks[-1].convolutions[-1].bias.fill_(-1)


def broken() -> list[SetUp]:
    plain, plain3 = nin(10, 1, width=0.5, norm=None), nin_large(10, 3, width=0.25, norm=None)
    ours, ours3 = nin(10, 1, width=0.5), nin(10, 3, width=0.25)
    small, high, relu, labels = Cause.WEIGHTS_SMALL, Cause.RATE_HIGH, Cause.LAST_RELU, Cause.LABELS
    slow = replace(SGD, lr=0.05)
    return [
        SetUp("plain nin, torch's init", small, "digits", replace(plain, init="torch"), slow),
        SetUp("plain nin-large, torch's init", small, "cifar", replace(plain3, init="torch"), slow),
        SetUp(
            "author's MNIST, torch's init, no last ReLU",
            small,
            "digits",
            author_mnist(init="torch", last_relu=False),
            SGD,
        ),
        SetUp("author's CIFAR-10, torch's init", small, "cifar", author_cifar10(init="torch"), SGD),
        SetUp("author's MNIST, N(0, 0.01)", small, "digits", stds(author_mnist(), 0.01), SGD),
        SetUp(
            "author's CIFAR-10, N(0, 0.01), no last ReLU",
            small,
            "cifar",
            stds(author_cifar10(last_relu=False), 0.01),
            SGD,
        ),
        SetUp("author's MNIST, N(0, 1)", Cause.WEIGHTS_LARGE, "digits", stds(author_mnist(), 1.0), SGD),
        SetUp("author's CIFAR-10, last rate not lowered", relu, "cifar", author_cifar10(), SGD),
        SetUp("author's MNIST, rate 0.01", relu, "digits", author_mnist(), replace(SGD, lr=0.01)),
        SetUp(
            "plain nin, last ReLU shut by its biases", relu, "digits", replace(plain, last_activation=True), SGD, drown
        ),
        SetUp("nin, rate times 100", high, "digits", ours, replace(slow, lr=10.0)),
        SetUp("nin, colour, rate times 100", high, "cifar", ours3, replace(slow, lr=10.0)),
        SetUp("plain nin, rate 5", high, "digits", plain, replace(SGD, lr=5.0)),
        SetUp("plain nin, rate 0.5", high, "digits", plain, replace(SGD, lr=0.5)),
        SetUp("plain nin, rate 1e-9", Cause.RATE_LOW, "digits", plain, replace(SGD, lr=1e-9)),
        SetUp("nin, all weights frozen", Cause.FROZEN, "digits", ours, MUON, lambda model: model.requires_grad_(False)),
        SetUp("one class only", Cause.ONE_CLASS, "digits, one class", ours, MUON),
        SetUp("black pictures", Cause.ALIKE, "digits, black", ours, MUON),
        SetUp("shuffled labels, nin", labels, "digits, shuffled", ours, MUON),
        SetUp("shuffled labels, plain nin", labels, "digits, shuffled", plain, replace(SGD, lr=0.01)),
    ]


def healthy() -> list[SetUp]:
    plain, plain3 = nin(10, 1, width=0.5, norm=None), nin(10, 3, width=0.25, norm=None)
    ours, ours3 = nin(10, 1, width=0.5), nin(10, 3, width=0.5)
    warm = Recipe(40)
    kaiming = author_mnist(init="kaiming", last_relu=False)
    return [
        SetUp("nin", None, "digits", ours, MUON),
        SetUp("nin, SGD", None, "digits", ours, warm),
        SetUp("nin, SGD, rate times 10", None, "digits", ours, replace(warm, lr=1.0)),
        SetUp("nin, SGD, rate / 20", None, "digits", ours, replace(warm, lr=0.005)),
        SetUp("nin, Muon, rate times 10", None, "digits", ours, replace(MUON, lr=0.2)),
        SetUp("nin, Muon, 1,000 epochs: a long warm-up", None, "digits", ours, replace(MUON, epochs=1000)),
        SetUp("nin, width 0.25", None, "digits", nin(10, 1, width=0.25), MUON),
        SetUp("nin, dropout 0.5", None, "digits", nin(10, 1, width=0.5, dropout=0.5), MUON),
        SetUp("nin, rare classes, loss weights", None, "digits, uneven", ours, replace(MUON, balance="weights")),
        SetUp(
            "nin, 40 pictures of two classes, 3 epochs",
            None,
            "digits, few",
            nin(2, 1, width=0.5),
            replace(MUON, epochs=3, batch_size=8),
        ),
        SetUp("nin, colour", None, "cifar", ours3, MUON),
        SetUp("nin, colour, strongly varied", None, "cifar", ours3, replace(MUON, augmentation=STRONG)),
        SetUp("nin-large, colour", None, "cifar", nin_large(10, 3, width=0.25), MUON),
        SetUp("plain nin", None, "digits", plain, replace(SGD, lr=0.01)),
        SetUp("plain nin, Muon", None, "digits", plain, MUON),
        SetUp("plain nin, torch's init, Muon: flat for 50 steps", None, "digits", replace(plain, init="torch"), MUON),
        SetUp("plain nin, colour", None, "cifar", plain3, replace(SGD, lr=0.01)),
        SetUp("author's MNIST, kaiming, no last ReLU", None, "digits", kaiming, replace(SGD, lr=0.02)),
        SetUp("author's MNIST, Muon: dead for 50 steps, rises", None, "digits", author_mnist(), MUON),
        SetUp("author's MNIST, Muon, seed 2: the same later", None, "digits", author_mnist(), replace(MUON, seed=2)),
    ]


def load(folder: Path, side: int) -> dict[str, Data]:
    """Every data set that a set-up names: (training, validation)."""
    digits = open_digits(0).splits
    cifar = open_source(folder).splits["train"]

    def shrunk(rows: slice) -> Pictures:
        step = 32 // side
        images = cifar.images[rows].reshape(-1, side, step, side, step, 3).mean((2, 4)).round().astype(np.uint8)
        return Pictures(images, cifar.labels[rows])

    train, held = (Pictures(digits[name].images, digits[name].labels) for name in ("train", "validation"))
    rng = np.random.default_rng(0)
    kept = (train.labels > 4) | (rng.random(len(train)) < 0.2)
    few, tested = (np.flatnonzero(pictures.labels < 2) for pictures in (train, held))
    data = {
        "digits": (train, held),
        "digits, one class": tuple(Pictures(p.images, np.full_like(p.labels, 3)) for p in (train, held)),
        "digits, black": tuple(Pictures(np.zeros_like(p.images), p.labels) for p in (train, held)),
        "digits, shuffled": tuple(Pictures(p.images, rng.permutation(p.labels)) for p in (train, held)),
        "digits, uneven": (Pictures(train.images[kept], train.labels[kept]), held),
        "digits, few": (
            Pictures(train.images[few[:40]], train.labels[few[:40]]),
            Pictures(held.images[tested], held.labels[tested]),
        ),
        "cifar": (shrunk(slice(0, 3000)), shrunk(slice(3000, 3300))),
        "cifar, more": (shrunk(slice(0, 6000)), shrunk(slice(6000, 6300))),
    }
    return data  # type: ignore[return-value]


def trainer_for(setup: SetUp, data: dict[str, Data], kind: type[Trainer] = Trainer) -> Trainer:
    train, held = data[setup.data]
    values = train.images / 255
    mean, std = (tuple(float(v) for v in found((0, 1, 2))) for found in (values.mean, values.std))
    preprocess = Preprocess(
        train.images.shape[1:3], train.images.shape[3], "stretch", mean, tuple(max(v, 0.01) for v in std)
    )
    model = NIN(setup.network, generator=torch.Generator().manual_seed(setup.recipe.seed))
    setup.change(model)
    return kind(model, train, held, preprocess, setup.recipe, MACHINE)


def watched(trainer: Trainer, steps: int, *, end: bool = True) -> tuple[list[Diagnosis], list[float]]:
    """Train for so many steps; what the watch said and every loss. `end`: stop at what is sure."""
    said: list[Diagnosis] = []
    losses: list[float] = []

    def found(diagnosis: Diagnosis) -> None:
        said.append(diagnosis)
        if end and diagnosis.sure:
            raise Stop

    def step(progress: Progress) -> None:
        losses.append(progress.loss)
        if len(losses) >= steps:
            raise Stop

    with suppress(Stop):
        list(trainer.epochs(on_step=step, on_finding=found))
    return said, losses


def judge(setup: SetUp, seed: int, data: dict[str, Data]) -> dict:
    """One set-up under the watch, its own seed counted on by `seed`."""
    setup = replace(setup, recipe=replace(setup.recipe, seed=setup.recipe.seed + seed))
    begun = time.process_time()
    said, losses = watched(trainer_for(setup, data), LAST)
    sure = [diagnosis for diagnosis in said if diagnosis.sure]
    named = sure[0].cause if sure else None
    return {
        "right": named == setup.cause,
        "wrong with it": setup.cause,
        "named": named,
        "step": sure[0].step if sure else None,
        "said": [str(diagnosis) for diagnosis in said],
        "steps": len(losses),
        "loss": round(float(np.mean(losses[-25:])), 4) if losses else None,
        "cpu_seconds": round(time.process_time() - begun, 1),
    }


def rising_start(seed: int, data: dict[str, Data]) -> dict:
    """The author's MNIST network under Muon lies dead for a while. For good? After an alarm 400 steps tell."""
    trainer = trainer_for(SetUp("", None, "digits", author_mnist(), replace(MUON, seed=seed)), data)
    said, losses = watched(trainer, LAST)
    sure = [str(diagnosis) for diagnosis in said if diagnosis.sure]
    if sure:
        trainer = trainer_for(SetUp("", None, "digits", author_mnist(), replace(MUON, seed=seed)), data)
        losses = watched(trainer, 2 * LAST, end=False)[1]
    learns = float(np.mean(losses[-25:])) < 2.2
    return {"right": learns != bool(sure), "learns": learns, "said": sure, "steps": len(losses)}


def default_start(seed: int, data: dict[str, Data]) -> dict:
    """The default network and recipe on the digits, cut to three epochs: does it learn, and is nothing said?"""
    count = len(data["digits"][0])
    recipe = replace(default_recipe(count, flip=False, colour=False, epochs=3), seed=seed)
    trainer = trainer_for(SetUp("", None, "digits", nin(10, 1), recipe), data)
    said, _ = watched(trainer, 10**6, end=False)
    accuracy = trainer.position.history[-1].val_accuracy
    return {"right": accuracy >= 0.5 and not said, "accuracy": round(accuracy, 4), "said": [str(d) for d in said]}


def strict_start(seed: int, data: dict[str, Data], steps: int) -> dict:
    """The author's CIFAR-10 network and rates; inputs of mean 0 and spread 1 instead of GCN and ZCA."""
    recipe = replace(SGD, epochs=260, batch_size=64, seed=seed)
    said, losses = watched(trainer_for(SetUp("", None, "cifar, more", author_cifar10(), recipe), data, Strict), steps)
    sure = [str(diagnosis) for diagnosis in said if diagnosis.sure]
    loss = float(np.mean(losses[-25:]))
    return {"learns": loss < 2.29, "loss": round(loss, 4), "steps": len(losses), "said": sure}


def cost() -> dict:
    """Processor seconds of a look and of a training step: the author's CIFAR-10 network, 128 pictures of 32 x 32."""
    rng = np.random.default_rng(0)
    pictures = Pictures(rng.integers(0, 256, (256, 32, 32, 3)).astype(np.uint8), np.arange(256) % 10)
    setup = SetUp("", None, "noise", author_cifar10(), replace(SGD, batch_size=128))
    trainer = trainer_for(setup, {"noise": (pictures, pictures)})
    x, labels = trainer.state.pictures(np.arange(PROBED))
    trainer.model.train()
    clocks: dict[str, list[float]] = {"step": [], "look": []}
    work = {"step": lambda: trainer.step(np.arange(128)), "look": lambda: probe(trainer.model, x, labels)}
    for name in ("step", "look") * 3:
        begun = time.process_time()
        work[name]()
        clocks[name].append(time.process_time() - begun)
    step, look = (sorted(times)[1] for times in clocks.values())
    return {
        "step_seconds": round(step, 3),
        "look_seconds": round(look, 3),
        "share_of_200_steps_healthy": round(look / (LAST * step), 5),
        "share_of_200_steps_at_most": round(9 * look / (LAST * step), 5),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cifar", type=Path)
    parser.add_argument("--only", nargs="+", default=["cost", "broken", "healthy", "rising", "default", "strict"])
    parser.add_argument("--side", type=int, default=16, choices=(8, 16, 32))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--default-seeds", type=int, default=40)
    parser.add_argument("--strict-seeds", type=int, default=3)
    parser.add_argument("--strict-steps", type=int, default=225)
    arguments = parser.parse_args()
    settings = ExitStack()
    settings.enter_context(hardware.applied(MACHINE))  # until this function ends
    data = load(arguments.cifar, arguments.side)
    result = json.loads(RESULT.read_text()) if RESULT.exists() else {}

    def judged(setups: list[SetUp]) -> dict[str, Callable[[], dict]]:
        pairs = [(setup, seed) for seed in arguments.seeds for setup in setups]
        return {f"{setup.name} (seed {seed})": partial(judge, setup, seed, data) for setup, seed in pairs}

    strict, defaults = range(arguments.strict_seeds), range(arguments.default_seeds)
    work: dict[str, dict[str, Callable[[], dict]]] = {
        "cost": {"author's CIFAR-10": cost},
        "broken": judged(broken()),
        "healthy": judged(healthy()),
        "rising": {f"seed {s}": partial(rising_start, s, data) for s in range(4, 10)},
        "default": {f"seed {s}": partial(default_start, s, data) for s in defaults},
        "strict": {f"seed {s}": partial(strict_start, s, data, arguments.strict_steps) for s in strict},
    }
    for part in arguments.only:
        done = result.setdefault(part, {})
        for name, run in work[part].items():
            if name not in done:
                done[name] = run()
                RESULT.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
            print(part, "|", name, "|", json.dumps(done[name], ensure_ascii=False), flush=True)
    for part in result.keys() - {"cost"}:
        key = "learns" if part == "strict" else "right"
        rows = result.get(part, {}).values()
        print(f"{part}: {sum(row[key] for row in rows)} of {len(rows)}", flush=True)


if __name__ == "__main__":
    main()
