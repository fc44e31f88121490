"""What makes a chain of mlpconv layers under 966,986 parameters strong: one change at a time, the same minutes.

    python experiments/2026-11-24-cifar10-search/search.py CIFAR_FOLDER --minutes 20 --variants wide wide-rate-0.12

Every variant trains for the same minutes (the schedule follows the clock) on all but the last 5,000 training pictures
and is judged by those; the test pictures are never looked at. Any data set of small pictures will do. With
`--together 2` two variants run side by side, one thread each, which wastes less than one run with two threads. One JSON
line a variant is added to results.jsonl.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from nin.data.augment import Augmentation
from nin.data.machine import usable_cores
from nin.data.preprocess import Preprocess
from nin.data.sources import open_source
from nin.network.architecture import NIN, nin, nin_large
from nin.network.config import NINConfig
from nin.training import hardware
from nin.training.loop import Trainer
from nin.training.recipes import Recipe
from nin.training.state import Pictures
from nin.training.tensors import to_tensor

HERE = Path(__file__).resolve().parent
HELD_OUT = 5_000  # the last of the training pictures


DEFAULT, WIDE = nin(), nin_large()


@dataclass(frozen=True)
class Variant:
    network: NINConfig
    recipe: Recipe
    prepare: tuple[Callable[[NIN, torch.Tensor], None], ...] = ()
    small: float = 0.0  # share of the run, from its beginning, in which pictures have three quarters of their side


@torch.no_grad()
def dirac(model: NIN, x: torch.Tensor) -> None:
    """Let every convolution after the first begin as the identity on as many maps as it can."""
    for block in model.blocks:
        for layer in block.convolutions:
            if layer.in_channels > 3 and layer.out_channels > 10:
                nn.init.dirac_(layer.weight[: layer.in_channels])


@torch.no_grad()
def whiten(model: NIN, x: torch.Tensor) -> None:
    """Let the first convolution begin, and stay, as the whitening of the pictures' patches, with both signs."""
    weight = model.blocks[0].spatial.weight
    channels, size = weight.shape[1], weight.shape[-1]
    patches = nn.functional.unfold(x[:5000, :, ::2, ::2], size).movedim(1, 2).reshape(-1, channels * size * size)
    values, vectors = torch.linalg.eigh(patches.T.double() @ patches.double() / len(patches))
    filters = (vectors / (values + 5e-4).sqrt()).T.float().flip(0).view(-1, channels, size, size)
    both = torch.cat([filters, -filters])[: len(weight)]
    weight[: len(both)] = both
    weight[len(both) :] *= both.norm() / weight[len(both) :].norm() * ((len(weight) - len(both)) / len(both)) ** 0.5
    weight.requires_grad_(False)


def shrink(model: NIN, inputs: tuple[torch.Tensor], share: float, done: float) -> tuple[torch.Tensor] | None:
    """What a hook gives a network in the first `share` of its training instead of the whole pictures."""
    if not model.training or done >= share:
        return None
    sides = [round(0.75 * side) for side in inputs[0].shape[2:]]
    return (nn.functional.interpolate(inputs[0], sides, mode="bilinear", antialias=True),)


BASE = Recipe(  # one thread normalised whole batches when the variants were measured: none is larger than 512
    1000, batch_size=256, statistics_batch=512, optimizer="muon", lr=0.06, other_lr=0.06, warmup=0.1,
    augmentation=Augmentation(flip=True, shift=0.1),
)  # fmt: skip


def variants() -> dict[str, Variant]:
    """Every variant that was tried, by name."""
    wide = Variant(WIDE, BASE)

    def recipe(**changes: object) -> Variant:
        return replace(wide, recipe=replace(BASE, **changes))

    return {
        "default": Variant(DEFAULT, BASE),
        "default-sgd": Variant(DEFAULT, replace(BASE, optimizer="sgd", lr=0.2, batch_size=128)),
        "wide": wide,
        "wide-rate-0.12": recipe(lr=0.12),
        "wide-rate-0.03": recipe(lr=0.03),
        "wide-rate-0.015": recipe(lr=0.015),
        "wide-batch-128": recipe(batch_size=128, lr=0.04),
        "wide-batch-512": recipe(batch_size=512, lr=0.085),
        "wide-small-0.5": replace(wide, small=0.5),
        "wide-no-flips": recipe(augmentation=Augmentation(shift=0.1)),
        "wide-dirac": replace(wide, prepare=(dirac,)),
        "wide-whiten": replace(wide, prepare=(whiten,)),
        "wide-both": replace(wide, prepare=(dirac, whiten)),
        "wide-gelu": replace(wide, network=replace(WIDE, activation="gelu")),
        "wide-silu": replace(wide, network=replace(WIDE, activation="silu")),
        "wide-smooth-0.2": recipe(label_smoothing=0.2),
        "wide-erase": recipe(augmentation=Augmentation(flip=True, shift=0.1, erase=0.375)),
        "wide-momentum-0.6": recipe(momentum=0.6),
        "wide-other-0.02": recipe(other_lr=0.02),
    }


def load(folder: Path) -> tuple[Pictures, Pictures]:
    split = open_source(folder, split=False).splits["train"]
    pictures = Pictures(np.asarray(split.images), split.labels)
    return (Pictures(pictures.images[:-HELD_OUT], pictures.labels[:-HELD_OUT]),
            Pictures(pictures.images[-HELD_OUT:], pictures.labels[-HELD_OUT:]))  # fmt: skip


def run(name: str, folder: Path, minutes: float, threads: int, seed: int) -> dict:
    """Train one variant and say how it went."""
    variant = variants()[name]
    machine = hardware.choose(threads=threads)
    settings = ExitStack()
    settings.enter_context(hardware.applied(machine))  # until this function ends
    train, held_out = load(folder)
    mean, std = (getattr(train.images[:10_000] / 255.0, what)((0, 1, 2)) for what in ("mean", "std"))
    preprocess = Preprocess(train.images.shape[1:3], len(mean), "stretch", tuple(mean.tolist()), tuple(std.tolist()))
    network = replace(variant.network, in_channels=len(mean))
    model = NIN(network, generator=torch.Generator().manual_seed(seed))
    for prepare in variant.prepare:
        prepare(model, to_tensor(train.images[:10_000], preprocess, "cpu"))
    recipe = replace(variant.recipe, max_seconds=60 * minutes, seed=seed)
    if variant.small:  # before the trainer makes its copies; it is looked up when the hook is called
        model.register_forward_pre_hook(lambda model, x: shrink(model, x, variant.small, trainer.progress()))
    trainer = Trainer(model, train, held_out, preprocess, recipe, machine)
    curve = []
    for epoch in trainer.epochs():
        curve.append(round(100 * epoch.val_accuracy, 2))
        print(name, epoch.epoch, f"{epoch.time / 60:.1f} min", curve[-1], f"{epoch.val_loss:.4f}",
              f"{epoch.images_per_second:.0f} images/s", flush=True)  # fmt: skip
    mirrored = trainer.logits(np.ascontiguousarray(held_out.images[:, :, ::-1]))
    both = (trainer.logits(held_out.images) + mirrored).argmax(1) == held_out.labels
    return {
        "data": folder.name, "variant": name, "seed": seed, "minutes": minutes, "threads": threads,
        "epochs": len(curve), "steps": epoch.step, "validation": curve[-1], "loss": round(epoch.val_loss, 4),
        "train_loss": round(epoch.train_loss, 4), "with mirrored": round(100 * float(both.mean()), 2), "curve": curve,
        "parameters": sum(p.numel() for p in model.parameters()), "cpu": hardware.cpu_name(),
        "precision": machine.precision, "date": time.strftime("%Y-%m-%d"),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--variants", nargs="+", choices=variants(), default=["wide"])
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--together", type=int, default=1, help="variants side by side; the cores are divided")
    arguments = parser.parse_args()
    queue = list(arguments.variants)
    if len(queue) == 1:
        threads = usable_cores() // arguments.together
        found = run(queue[0], arguments.folder, arguments.minutes, threads, arguments.seed)
        with (HERE / "results.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(found) + "\n")
        return
    while queue:
        group = [queue.pop(0) for _ in range(min(arguments.together, len(queue)))]
        words = [str(arguments.folder), "--minutes", str(arguments.minutes), "--seed", str(arguments.seed)]
        words += ["--together", str(arguments.together)]
        running = [subprocess.Popen([sys.executable, __file__, *words, "--variants", name]) for name in group]
        if any(process.wait() for process in running):
            raise SystemExit("a variant failed")


if __name__ == "__main__":
    main()
