"""The main journey: from a folder of pictures to a trained, measured and explained network in a run folder."""

import hashlib
import json
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from nin.artifacts import ELSEWHERE
from nin.bundle.folder import Bundle
from nin.choices import option
from nin.data.augment import Augmentation
from nin.data.depth import range_note
from nin.data.formats.digits import open_digits
from nin.data.sources import open_source
from nin.data.splits import Source
from nin.data.stream import StreamedImages
from nin.errors import ArtifactError, Interrupted, ModelError, UsageError, escape_name
from nin.network.architecture import NIN
from nin.network.config import NINConfig
from nin.run import record
from nin.run.beginning import START
from nin.run.budget import within_budget
from nin.run.few_pictures import few_pictures_note
from nin.run.network_file import NetworkFile
from nin.run.options import SCRATCH, Listener, TrainOptions
from nin.run.plan import Plan, decode, make_plan, shared_pictures, whitened
from nin.run.restart import StartAgain, react, start_again
from nin.run.run import Run, RunResult, first_batch
from nin.run.run_folder import quote
from nin.run.saves import Saves
from nin.run.seen import digests
from nin.run.transfer import take_weights
from nin.run.unchanged import expect_unchanged
from nin.training import checkpoint, hardware
from nin.training.distributed import ALONE, Team
from nin.training.loop import Trainer
from nin.training.micro_batches import micro_batch_count
from nin.training.recipes import Recipe
from nin.training.state import Pictures, Progress


def start(
    folder: Path,
    source: Source,
    options: TrainOptions,
    listener: Listener,
    team: Team = ALONE,
    begin: Bundle | None = None,
    network: NetworkFile | NINConfig | None = None,
) -> RunResult:
    """Plan, decode and train from the first step, with the weights of `begin` and the network that is given, if any.

    `folder` is the caller's to hold: nobody else writes there. Nothing is written before everything is ready.
    """
    for note in source.notes:
        listener.note(note)
    chosen = {option(name): value for name, value in record.chosen_options(options).items()}
    if network is not None:  # every rank has read its file by itself
        chosen["--network"] = f"{options.network} ({_digest(network)})"
    team.check_same({"pictures": source.fingerprint, "torch": torch.__version__, **chosen})
    machine = hardware.choose(options.device, options.threads, options.precision, team)
    with hardware.applied(machine):
        return _begin(folder, source, options, machine, listener, team, begin, network)


def _digest(network: NetworkFile | NINConfig) -> str:
    """Eight letters that differ where networks do."""
    values = network.form if isinstance(network, NetworkFile) else network.to_dict()
    return hashlib.blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=4).hexdigest()


def _begin(
    folder: Path,
    source: Source,
    options: TrainOptions,
    machine: hardware.Hardware,
    listener: Listener,
    team: Team,
    begin: Bundle | None,
    network: NetworkFile | NINConfig | None,
) -> RunResult:
    """`start`, once it is known what computes."""
    plan = make_plan(source, options, begin, network)
    if isinstance(network, NetworkFile) and (note := network.note(len(source.classes))):
        listener.note(note)
    if plan.preprocess.value_range is not None:
        listener.note(range_note(plan.preprocess.value_range))
    if few := few_pictures_note(source, options, plan.preprocess.channels):
        listener.note(few)
    instead = ""
    if plan.begin is not None and begin is None:
        options = replace(options, from_=START)
        instead = f"; --from {SCRATCH} begins from scratch"
    run = _prepare(folder, source, options, plan, machine, listener, options.stream or None, team)
    run = within_budget(run, listener)
    if plan.begin is not None:
        listener.note(take_weights(run.trainer.model, plan.begin, source.classes, instead))
    if team.first:
        record.clear(folder)
        checkpoint.save(folder, run.trainer, record.checkpoint_about(run))  # from here on the run can be resumed
        record.begin(run, first_batch(run), listener)
    return _advance(run, listener)


def begun(folder: Path, source: Source, options: TrainOptions) -> bool:
    """Whether `folder` holds an intact checkpoint of a run with these pictures and options."""
    try:
        about = checkpoint.newest(folder)[0][2]
    except (ModelError, ArtifactError):
        return False
    decided = {"stream": about["options"].get("stream")}  # the run may have decided that itself
    if options.from_ is None:
        decided["from_"] = about["options"].get("from_")  # this as well
    begun_with = {**record.chosen_options(TrainOptions()), **about["options"]}  # an earlier version had fewer options
    return bool(
        about["fingerprint"] == source.fingerprint and begun_with == {**record.chosen_options(options), **decided}
    )


def go_on(folder: Path, listener: Listener, team: Team = ALONE, moved: Path | None = None) -> RunResult:
    """Continue from the newest intact checkpoint of `folder`, which rank 0 alone needs to have, and its caller holds.

    moved: where the pictures lie now, if not where they lay when the run began; the run records it.
    """
    (tensors, position, about), notes = checkpoint.load_together(folder, team)
    for note in notes:
        listener.note(note)
    options = TrainOptions(**{**about["options"], "out": folder})
    source = _reopen(folder, about, options, moved)
    before = {"ranks": 1, **about["numerics"]}
    machine = hardware.Hardware(**{f.name: before[f.name] for f in fields(hardware.Hardware)})
    recipe = _recipe(about["recipe"], machine, len(source.splits["train"]))
    plan = Plan(checkpoint.preprocess_of(tensors, about), NINConfig.from_dict(about["network"]), recipe)
    earlier = "statistics_batch" not in about["recipe"]
    if earlier:
        for note in _as_it_began(plan, machine):
            listener.note(note)
    if machine.ranks != team.world:
        threads = options.threads or hardware.default_threads(team)
        machine = hardware.choose(machine.device, threads, machine.precision, team)
    if changed := hardware.changes(before, hardware.numerics(machine)):
        listener.note(f"{', '.join(changed)} changed since the run began: it goes on, but not bit for bit the same")
    with hardware.applied(machine):
        run = _prepare(folder, source, options, plan, machine, listener, options.stream, team)
        expect_unchanged(run, about.get("pictures", {}), listener, moved)
        checkpoint.restore(run.trainer, tensors, position)
        return _go_on(run, listener, changed=moved is not None or earlier)


def _go_on(run: Run, listener: Listener, *, changed: bool) -> RunResult:
    """`go_on`, once the run stands where it stood. changed: whether its record must be written anew."""
    if run.trainer.team.first and changed:
        record.arguments(run)
        checkpoint.save(run.folder, run.trainer, record.checkpoint_about(run))
    if run.trainer.team.first and not (run.folder / record.FIRST_BATCH).is_file():  # killed right after the first save
        record.begin(run, first_batch(run), listener)
    else:
        listener.begin(record.about(run))
    if run.trainer.finished:
        more = record.train_on(run)
        more = f"; to train more, begin with its weights: {more}" if more else ""
        listener.note(f"this run is finished ({run.trainer.position.epoch} epochs): it is measured again{more}")
    return _advance(run, listener)


def _reopen(folder: Path, about: dict[str, Any], options: TrainOptions, moved: Path | None) -> Source:
    """The data set that a run began with, where it lay or to where it has moved; no path means the built-in digits."""
    path = about["path"]
    again = quote(folder)
    if path is None:
        if moved is not None:
            raise UsageError(f"the run in {folder} is of the built-in digits; leave out {escape_name(moved)}")
        return open_digits(options.seed)
    if moved is None and not Path(path).exists():
        raise UsageError(
            f"the pictures of the run are no longer at {escape_name(path)}; say where they are now: "
            f"nin train NEWPATH --resume {again}"
        )
    place = path if moved is None else str(moved)
    source = open_source(place, seed=options.seed, holdout=options.holdout, reading=options.reading)
    if source.fingerprint != about["fingerprint"]:
        raise ModelError(f"the pictures in {escape_name(place)} are not those the run began with; start a new run")
    return source


def _recipe(values: dict[str, Any], machine: hardware.Hardware, count: int) -> Recipe:
    """The recorded recipe of a run on `count` pictures that began on `machine`."""
    batch = min(values["batch_size"], count)
    missing = {} if "statistics_batch" in values else {"statistics_batch": _normalised_together(batch, machine)}
    steps = tuple(values.get("steps", ()))
    augmentation = Augmentation(**values["augmentation"])
    return Recipe(**{**values, **missing, "steps": steps, "augmentation": augmentation})


def _normalised_together(batch: int, machine: hardware.Hardware) -> int:
    """How many pictures of a batch were normalised together before recipes said it: the number of threads decided."""
    alone = machine.device == "cpu" and machine.ranks == 1
    return max(2, batch // micro_batch_count(batch, machine.threads, least=64) if alone else batch)


def _as_it_began(plan: Plan, machine: hardware.Hardware) -> list[str]:
    """What to say of a run that an earlier version began, whose recipe does not say what is normalised together."""
    together = f"batch normalisation goes on over {plan.recipe.statistics_batch} pictures, as it began"
    masks = "its dropout masks are drawn anew, so it is not bit for bit the same"
    said = [together] if plan.network.norm is not None else []
    said += [masks] if machine.device == "cpu" and any(block.dropout for block in plan.network.blocks) else []
    return [f"this run was begun by an earlier version: {'; '.join(said)}"] if said else []


def _prepare(
    folder: Path,
    source: Source,
    options: TrainOptions,
    plan: Plan,
    machine: hardware.Hardware,
    listener: Listener,
    stream: bool | None,
    team: Team,
) -> Run:
    """Decode all pictures, or all but those of train, and put the trainer together; the run's options say which."""
    streams = {name: stream if name == "train" else False for name in source.splits}
    decoded = {name: decode(source, name, plan, options, listener, streams[name]) for name in source.splits}
    data = {name: Pictures(d.images, d.labels) for name, d in decoded.items()}
    held_out = {name: pictures for name, pictures in data.items() if name != "train"}
    plan = whitened(plan, data["train"].images, options, listener, team)
    generator = torch.Generator().manual_seed(plan.recipe.seed)
    model = NIN(plan.network, generator=generator)
    trainer = Trainer(model, data["train"], held_out["validation"], plan.preprocess, plan.recipe, machine, team)
    streamed = isinstance(decoded["train"].images, StreamedImages)
    team.check_same({"--stream": streamed})
    shared = None
    parts = source.splits
    if not streamed:
        shared = {
            name: shared_pictures(parts["train"], decoded["train"], parts[name], decoded[name]) for name in held_out
        }
    known = {name: digests(pictures.images) for name, pictures in data.items() if name != "train" or not streamed}
    options = replace(options, stream=streamed)
    kept = {name: decoded[name].kept for name in held_out}
    return Run(folder, source, options, plan, trainer, held_out, kept, shared, known)


def _advance(run: Run, listener: Listener) -> RunResult:
    """Train to the end, beginning again after a dead start."""
    while True:
        try:
            return _train(run, listener)
        except StartAgain as again:
            run = start_again(run, again, listener)
        except ArtifactError as error:  # a full disk, mostly: the checkpoint before is whole
            found = str(error).removesuffix(ELSEWHERE)
            raise ArtifactError(f"{found}, then continue with: nin train --resume {quote(run.folder)}") from error


def _train(run: Run, listener: Listener) -> RunResult:
    """Train to the end, or to the user's wish to stop; save after every epoch, and within long ones."""
    trainer = run.trainer
    first = run.trainer.team.first
    replaced = 0  # unreadable streamed pictures noted so far
    about = record.checkpoint_about(run)
    on_finding = partial(react, run, listener=listener)
    saves = Saves(run.folder, trainer, about)

    def on_step(progress: Progress) -> None:
        listener.step(progress)
        if first and progress.step < progress.steps:  # after the last one the epoch is measured and saved
            saves.if_due()

    for epoch in trainer.epochs(on_step=on_step, should_stop=listener.should_stop, on_finding=on_finding):
        if first:
            saves.now()
            record.epoch(run)
        listener.epoch(epoch, run.plan.recipe.epochs)
        replaced = _note_replaced(run, replaced, listener)
    if not trainer.finished:
        trainer.team.close()  # no rank leaves while another still waits for the answer that all stop
        if first:
            saves.now()
        at = trainer.position
        where = f"epoch {at.epoch + 1} of {run.plan.recipe.epochs}"
        raise Interrupted(f"stopped in {where}; continue with: nin train --resume {quote(run.folder)}")
    trainer.model.load_state_dict(trainer.final_weights())
    if run.source.kind == "digits" and first:
        record.demo_pictures(run)
    return RunResult(**record.finish(run, listener))


def _note_replaced(run: Run, noted: int, listener: Listener) -> int:
    """Note how many unreadable streamed pictures were replaced, when more than `noted`; returns their number."""
    images = run.trainer.data.images
    unreadable = images.unreadable if isinstance(images, StreamedImages) else {}
    if len(unreadable) > noted:
        name, reason = unreadable[min(unreadable)]
        listener.note(
            f"{len(unreadable):,} unreadable pictures of train replaced by others of their class, for instance "
            f"{escape_name(name)} ({reason})"
        )
    return len(unreadable)
