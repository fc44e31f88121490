"""How many epochs a time budget allows: a few steps of the run are timed, on a network that is thrown away."""

import copy
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from nin.data.randomness import order
from nin.network.architecture import NIN
from nin.report.content import Effort
from nin.run.options import Listener, seconds
from nin.run.plan import make_recipe
from nin.run.run import Run
from nin.training.loop import EVALUATION_BATCH, Trainer
from nin.training.recipes import Recipe

STEPS = 12  # most steps that are timed
FEWEST = 3  # least; the first is not counted: it allocates what later ones use
SHARE = 0.05  # of the budget: no further step is timed then
PLANNED = 0.9  # of the budget is planned for, so that a slower machine is not over it before the schedule ends; ours


def full_recipe(run: Run) -> Recipe:
    """The recipe that the run would have without a budget of time."""
    return make_recipe(len(run.trainer.data), run.plan.preprocess.channels, run.options)


def within_budget(run: Run, listener: Listener) -> Run:
    """The run with as many epochs as --max-time allows, and with the recipe for so many; as it is where it fits."""
    if run.options.max_time is None:
        return run
    budget = seconds(run.options.max_time)
    before = run.trainer
    recipe = run.plan.recipe
    spent = 0.0
    for _ in range(2):  # for fewer epochs pictures are augmented less, which may take less time
        start = time.perf_counter()
        epoch = _epoch_seconds(_new(run, recipe, copy.deepcopy(before.model)), SHARE * budget)
        spent += before.team.broadcast_seconds(time.perf_counter() - start)
        epochs = min(run.plan.recipe.epochs, max(1, int((PLANNED * budget - spent) / epoch)))
        options = replace(run.options, epochs=epochs)
        planned = make_recipe(len(before.data), run.plan.preprocess.channels, options)
        if planned.augmentation == recipe.augmentation:
            break
        recipe = planned
    if epochs < run.plan.recipe.epochs:
        fits = "allows" if epoch <= PLANNED * budget - spent else "does not allow even"
        listener.note(
            f"--max-time {run.options.max_time} {fits} {epochs} of {run.plan.recipe.epochs:,} epochs "
            f"(about {epoch:,.1f} seconds each, measured); the schedule is planned for that"
        )
        generator = torch.Generator().manual_seed(planned.seed)
        trainer = _new(run, planned, NIN(run.plan.network, generator=generator))
        run = replace(run, plan=replace(run.plan, recipe=planned), trainer=trainer)
    run.trainer.position.seconds = spent
    return run


def _new(run: Run, recipe: Recipe, model: NIN) -> Trainer:
    before = run.trainer
    pictures = before.data, before.validation
    return Trainer(model, *pictures, run.plan.preprocess, recipe, before.hardware, before.team)


def _epoch_seconds(trainer: Trainer, most: float) -> float:
    """Seconds of one epoch with its validation, by rank 0's clock: a few steps are timed, for `most` seconds or so."""
    rows = order(trainer.recipe.seed, 0, len(trainer.data))
    size = trainer.state.batch_size
    times: list[float] = []
    trainer.model.train()
    with torch.random.fork_rng([torch.cuda.current_device()] if trainer.hardware.device == "cuda" else []):
        for step in range(STEPS):
            if step >= FEWEST and sum(times) > most:
                break
            start = time.perf_counter()
            trainer.step(np.take(rows, range(step * size, (step + 1) * size), mode="wrap"))
            times.append(trainer.team.broadcast_seconds(time.perf_counter() - start))
    start = time.perf_counter()
    some = trainer.validation.images[:EVALUATION_BATCH]
    trainer.logits(some, fast=True)
    validation = trainer.team.broadcast_seconds(time.perf_counter() - start) * len(trainer.validation) / len(some)
    return trainer.state.steps * float(np.median(times[1:])) + validation


def budget_words(run: Run) -> dict[str, Any]:
    """What args.yaml and the summary say of a budget of time."""
    if run.options.max_time is None:
        return {}
    allowed = run.plan.recipe.epochs
    epochs = full_recipe(run).epochs
    return {"budget": {"max_time": run.options.max_time, "epochs": allowed, "of_epochs": epochs}}


def effort(run: Run) -> Effort:
    """How long was trained, beside what is usual for so many pictures, for the report; what --patience ended was not
    short."""
    usual = make_recipe(len(run.trainer.data), run.plan.preprocess.channels, replace(run.options, epochs=None)).epochs
    wished = full_recipe(run).epochs
    if run.plan.recipe.epochs < wished:
        return Effort(run.trainer.position.epoch, usual, run.options.max_time)
    return Effort(wished, usual)


def advice(run: Run) -> dict[str, str]:
    """What to do where too little was learnt, if a budget of time was what ended the training."""
    done = run.trainer.position.epoch
    epochs = full_recipe(run).epochs
    if run.options.max_time is None or done >= epochs:
        return {}
    return {"advice": f"--max-time {run.options.max_time} allowed {done} of {epochs:,} epochs; give it more time"}
