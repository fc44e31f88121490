"""The main journey: from a folder of pictures to a trained, measured and explained network in a run folder."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nin.artifacts import RunLock, make_folder
from nin.data.augment import Augmentation, augment
from nin.data.digits import open_digits
from nin.data.preprocess import Preprocess
from nin.data.randomness import order
from nin.data.sources import Source, open_source
from nin.errors import Interrupted, ModelError
from nin.network.architecture import NIN
from nin.network.config import NINConfig
from nin.training import checkpoint, hardware
from nin.training.loop import Pictures, Trainer, to_input
from nin.training.recipes import Recipe
from nin.workflows import record
from nin.workflows.answers import RunResult
from nin.workflows.options import Listener, TrainOptions
from nin.workflows.plan import Plan, decode, make_plan, shared_pictures


@dataclass(frozen=True)
class Run:
    """A run under way: what it is fed with and what it has been told."""

    folder: Path
    source: Source
    options: TrainOptions
    plan: Plan
    trainer: Trainer
    held_out: dict[str, Pictures]  # "validation" and, where the data has one, "test"
    names: dict[str, tuple[str, ...]]  # of the held-out pictures, for people
    shared: int


def start(folder: Path, source: Source, options: TrainOptions, listener: Listener) -> RunResult:
    """Plan, decode and train from the first step; `folder` is made when everything is ready."""
    for note in source.notes:
        listener.note(note)
    machine = hardware.choose(options.device, options.threads, options.precision)
    hardware.apply(machine)
    plan = make_plan(source, options)
    run = _prepare(folder, source, options, plan, machine, listener)
    with RunLock(make_folder(folder)):
        record.clear(folder)
        record.begin(run, first_batch(run), listener)
        return _advance(run, listener)


def go_on(folder: Path, listener: Listener) -> RunResult:
    """Continue from the newest intact checkpoint of `folder`."""
    (tensors, position, about), notes = checkpoint.load(folder)
    for note in notes:
        listener.note(note)
    options = TrainOptions(**{**about["options"], "out": folder})
    plan = Plan(
        Preprocess.from_dict(about["preprocess"]), NINConfig.from_dict(about["network"]), _recipe(about["recipe"])
    )
    source = _reopen(about["path"], options)
    if source.fingerprint != about["fingerprint"]:
        raise ModelError(f"the pictures in {about['path']} are not those the run began with; start a new run")
    machine = hardware.Hardware(**{f.name: about["numerics"][f.name] for f in fields(hardware.Hardware)})
    hardware.apply(machine)
    now = hardware.numerics(machine)
    changed = [key for key, value in about["numerics"].items() if now.get(key) != value]
    if changed:
        listener.note(f"{', '.join(changed)} changed since the run began: it goes on, but not bit for bit the same")
    run = _prepare(folder, source, options, plan, machine, listener)
    checkpoint.restore(run.trainer, tensors, position)
    with RunLock(run.folder):
        listener.begin(record.about(run))
        return _advance(run, listener)


def _reopen(path: str | None, options: TrainOptions) -> Source:
    """The data set a run began with; None means the built-in digits."""
    if path is None:
        return open_digits(options.seed)
    return open_source(path, seed=options.seed, holdout=options.holdout)


def _recipe(values: dict[str, Any]) -> Recipe:
    return Recipe(**{**values, "augmentation": Augmentation(**values["augmentation"])})


def _prepare(
    folder: Path, source: Source, options: TrainOptions, plan: Plan, machine: hardware.Hardware, listener: Listener
) -> Run:
    """Decode all pictures and put the trainer together."""
    decoded = {name: decode(source, name, plan, options, listener) for name in source.splits}
    data = {name: Pictures(d.images, d.labels) for name, d in decoded.items()}
    held_out = {name: pictures for name, pictures in data.items() if name != "train"}
    generator = torch.Generator().manual_seed(plan.recipe.seed)
    model = NIN(plan.network, generator=generator)
    trainer = Trainer(model, data["train"], held_out["validation"], plan.preprocess, plan.recipe, machine)
    shared = sum(shared_pictures(data["train"].images, pictures.images) for pictures in held_out.values())
    names = {name: _names(source, name, decoded[name].kept) for name in held_out}
    return Run(folder, source, options, plan, trainer, held_out, names, shared)


def _names(source: Source, split: str, kept: np.ndarray) -> tuple[str, ...]:
    """What to call the pictures of a split: their files' names, or their numbers."""
    paths = source.splits[split].paths
    return tuple(paths[i].name if paths else f"{split} {i}" for i in kept)


def _advance(run: Run, listener: Listener) -> RunResult:
    """Train to the end, or to the user's wish to stop; save after every epoch."""
    trainer = run.trainer
    about = record.checkpoint_about(run)
    for epoch in trainer.epochs(on_step=listener.step, should_stop=listener.should_stop):
        checkpoint.save(run.folder, trainer, about)
        record.epoch(run)
        listener.epoch(epoch, run.plan.recipe.epochs)
    if not trainer.finished:
        checkpoint.save(run.folder, trainer, about)
        at = trainer.position
        where = f"epoch {at.epoch + 1} of {run.plan.recipe.epochs}"
        raise Interrupted(f"stopped in {where}; continue with: nin train --resume {record.quote(run.folder)}")
    trainer.model.load_state_dict(trainer.final_weights())
    if run.source.kind == "digits":
        record.demo_pictures(run)
    return RunResult(**record.finish(run, listener))


def first_batch(run: Run, count: int = 64) -> Pictures:
    """The first training pictures as the network sees them, augmented: at most `count`, (N, H, W, C) uint8."""
    recipe, pre, data = run.plan.recipe, run.plan.preprocess, run.trainer.data
    chosen = order(recipe.seed, 0, len(data))[:count]
    x = augment(to_input(data.images[chosen], pre, "cpu"), chosen, recipe.augmentation, seed=recipe.seed, epoch=0)
    mean, std = np.array(pre.mean, np.float32), np.array(pre.std, np.float32)
    pixels = ((x.permute(0, 2, 3, 1).numpy() * std + mean).clip(0, 1) * 255).round().astype(np.uint8)
    return Pictures(pixels, data.labels[chosen])
