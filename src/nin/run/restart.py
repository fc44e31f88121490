"""What a run does about a dead start: notes it, repairs it and begins again, or ends in one line."""

from dataclasses import replace

import torch

from nin.bundle.folder import open_bundle
from nin.errors import DataError, NinError
from nin.network.architecture import NIN
from nin.run import record
from nin.run.beginning import begins_with
from nin.run.options import Listener
from nin.run.plan import make_recipe
from nin.run.run import Run
from nin.run.transfer import take_weights
from nin.training import checkpoint
from nin.training.guard import Cause, Diagnosis, Repair, repair
from nin.training.loop import Trainer

MOST_NOTES = 6  # findings after which a run ends rather than begin again: no start has needed more than three
ADVICE = {
    Cause.ONE_CLASS: "give it pictures of at least two classes",
    Cause.ALIKE: "check the pictures with nin data check",
    Cause.FROZEN: "let weights be trained",
    Cause.LAST_RELU: "begin without --from",
    Cause.WEIGHTS_SMALL: "choose another --network, and begin without --from",
    Cause.WEIGHTS_LARGE: "choose another --network, and begin without --from",
    Cause.RATE_HIGH: "choose a smaller --lr",
    Cause.RATE_LOW: "choose a larger --lr",
    Cause.LABELS: "see that every label belongs to its picture",
}


class StartAgain(Exception):
    """A dead start that can be repaired; `line` tells the user."""

    def __init__(self, repaired: Repair, line: str) -> None:
        super().__init__(line)
        self.repaired = repaired
        self.line = line


def react(run: Run, found: Diagnosis, listener: Listener) -> None:
    """Note what may still turn out well; raise StartAgain for what can be repaired, else DataError or NinError."""
    at = run.trainer.position
    options = run.options
    recipe = run.plan.recipe
    strict = options.strict or options.recipe != "default"  # repaired, it would not be the author's any more
    if not found.sure or (found.cause is Cause.LABELS and not strict):
        if not any(found.why in note for note in at.notes):  # later checks find the same
            _note(run, f"{found}; {ADVICE[found.cause]}" if found.sure else str(found), listener)
        return
    usual = make_recipe(
        len(run.trainer.data), run.plan.preprocess.channels, replace(options, lr=None, epochs=recipe.epochs)
    ).lr
    repaired = repair(found.cause, run.plan.network, recipe, usual_rate=usual, fresh=begins_with(options) is None)
    if repaired is None or len(at.notes) >= MOST_NOTES:
        data = found.cause in (Cause.ONE_CLASS, Cause.ALIKE, Cause.LABELS)
        raise (DataError if data else NinError)(f"{found}; {ADVICE[found.cause]}")
    if strict:
        cause = "--strict" if options.strict else f"--recipe {options.recipe}"
        raise NinError(f"{found}; start again {repaired.how}, or leave out {cause}")
    raise StartAgain(repaired, f"{found}; starting again from step 0 {repaired.how}")


def start_again(run: Run, again: StartAgain, listener: Listener) -> Run:
    """The run at step 0 with what repairs it, recorded in its folder; a resumed run goes on from there."""
    before = run.trainer
    plan = replace(run.plan, network=again.repaired.network, recipe=again.repaired.recipe)
    trainer = Trainer(
        NIN(plan.network, generator=torch.Generator().manual_seed(plan.recipe.seed)),
        *(before.data, before.validation, plan.preprocess, plan.recipe, before.hardware, before.team),
    )
    if (name := begins_with(run.options)) is not None:
        take_weights(trainer.model, open_bundle(name), run.source.classes)
    at = trainer.position
    at.saves = before.position.saves
    at.seconds = before.position.seconds
    at.notes = before.position.notes
    run = replace(run, plan=plan, trainer=trainer)
    _note(run, again.line, listener)
    if trainer.team.first:
        checkpoint.save(run.folder, trainer, record.checkpoint_about(run))
        record.epoch(run)
    return run


def _note(run: Run, line: str, listener: Listener) -> None:
    run.trainer.position.notes.append(line)
    listener.note(line)
    if run.trainer.team.first:
        record.arguments(run)
