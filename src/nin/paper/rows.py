"""The paper's tables and figures, run: every row over several seeds, over as many sittings as it takes."""

import json
import math
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nin.artifacts import RunLock, make_folder, read_bytes, write_bytes, write_json
from nin.data.preprocess import Preprocess
from nin.data.sources import open_source
from nin.data.splits import Arrays, Source
from nin.data.stream import Images
from nin.data.whiten import MATRIX, MEAN, Zca, fit_zca
from nin.errors import ArtifactError, DataError, Interrupted, ModelError, NotFinite, UsageError, escape_name
from nin.paper.figures import figure4
from nin.paper.tables import (
    DATA_SETS,
    PARTS,
    PROTOCOLS,
    ROWS,
    DataSet,
    Part,
    Protocol,
    Row,
    expectation,
    row_summary,
    verdict,
)
from nin.report.plots import png_of
from nin.report.svg import dropout_svg
from nin.run.options import Listener, ReproduceOptions
from nin.sealed import read_tensors, write_tensors
from nin.training import checkpoint, hardware
from nin.training.loop import Trainer
from nin.training.state import Pictures
from nin.version import __version__

STARTED = 0.01  # nats below ln K that the training loss must have come in FIRST epochs
FIRST, EARLY = 3, 400  # epochs and steps until which a start is not judged
SAVED = 30.0  # seconds between two checkpoints of a run, or an epoch where that takes longer
TRIES = 3  # seeds tried for each one wanted: the author's strict set-up does not always start


@dataclass(frozen=True)
class Prepared:
    """A data set ready for its rows."""

    about: DataSet
    source: Source
    train: Pictures
    test: Pictures
    preprocess: Preprocess
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Lab:
    """What all rows have in common: how much is run, whether with the author's own start, where, on what, for whom."""

    plan: Protocol
    strict: bool
    folder: Path
    machine: hardware.Hardware
    listener: Listener

    def trainer(self, row: Row, bench: Prepared, seed: int) -> Trainer:
        """The training of a row at its beginning."""
        model = row.build(torch.Generator().manual_seed(seed), self.strict)
        watched = Pictures(bench.test.images[: self.plan.watched], bench.test.labels[: self.plan.watched])
        recipe = self.plan.recipe(row, seed)
        return Trainer(model, bench.train, watched, bench.preprocess, recipe, self.machine)


def reproduce_parts(
    names: Sequence[str],
    data: Path,
    options: ReproduceOptions,
    listener: Listener,
) -> Iterator[dict[str, Any]]:
    """Run these tables and figures ("all" for all there are), and yield what each one found.

    data: the folder of a data set, or one that holds several. Of the options: results go to out/PROTOCOL/result.json
    (PROTOCOL-strict where strict: the author's own start, not repaired), trainings to runs beside it; with resume
    finished runs are taken as they are. Raises UsageError for unknown names and a folder in use, DataError for other
    data, Interrupted when the listener asks to stop.
    """
    parts, keys = _chosen(names, options.only)
    plan = PROTOCOLS[options.protocol]
    folder = options.out / (f"{plan.name}-strict" if options.strict else plan.name)
    if folder.exists() and any(each.name != ".lock" for each in folder.iterdir()) and not options.resume:
        raise UsageError(f"{folder} is not empty; go on with what is there by --resume, or choose another --out")
    sets = data_sets(data, {ROWS[key].data for key in keys})
    machine = hardware.choose()
    lab = Lab(plan, options.strict, folder, machine, listener)
    with RunLock(folder) as lock:
        if lock.note:
            listener.note(lock.note)
        listener.note(expectation(plan, [ROWS[key] for key in keys], options.seeds, machine.device))
        benches: dict[str, Prepared] = {}
        for part in parts:
            with hardware.applied(machine):
                for key in (key for key in part.rows if key in keys):
                    row = ROWS[key]
                    if row.data not in benches:
                        benches[row.data] = _bench(sets[row.data], row.data, plan, folder)
                        for note in benches[row.data].notes:
                            listener.note(note)
                    _row(row, benches[row.data], options.seeds, lab)
                found = _result(part, benches, lab)
            yield found


def _chosen(names: Sequence[str], only: Sequence[str]) -> tuple[list[Part], set[str]]:
    """The named parts that have rows to train, and the keys of these rows."""
    wrong = [name for name in names if name not in (*PARTS, "all")]
    if wrong or not names:
        found = f"there is no {wrong[0]!r}" if wrong else "no table or figure is named"
        raise UsageError(f"{found}; there are {', '.join(PARTS)} and all")
    parts = [PARTS[name] for name in (PARTS if "all" in names else dict.fromkeys(names))]
    keys = list(dict.fromkeys(key for part in parts for key in part.rows))
    if strange := [key for key in only if key not in keys]:
        raise UsageError(f"--only: {', '.join(names)} has no row {strange[0]!r}; expected one of {', '.join(keys)}")
    chosen = set(only) or set(keys)
    return [part for part in parts if chosen & set(part.rows)], chosen


def data_sets(path: Path, wanted: set[str]) -> dict[str, Source]:
    """The wanted data sets at `path` or in folders directly under it."""
    if not path.exists():
        raise DataError(f"{escape_name(path)} does not exist; give the folder of a data set with --data")
    places = [path, *sorted(child for child in path.iterdir() if child.is_dir())] if path.is_dir() else [path]
    found: dict[str, Source] = {}
    seen = []
    for place in places:
        try:
            source = open_source(place, split=False)
        except (DataError, UsageError):
            continue
        seen.append(f"{source.kind} ({len(source.classes)} classes)")
        for name in wanted - set(found):
            if _is(source, DATA_SETS[name]):
                found[name] = source
    missing = sorted(wanted - set(found))
    if missing:
        about = DATA_SETS[missing[0]]
        what = f"{about.title} ({about.classes} classes, {' x '.join(map(str, about.shape))}) in its official format"
        raise DataError(
            f"{escape_name(path)} holds {', '.join(seen) or 'no data set'}; expected {what}: "
            "give its folder with --data"
        )
    return found


def _is(source: Source, about: DataSet) -> bool:
    """Whether this is the data set, and not another one in the same format."""
    if source.kind != about.kind or len(source.classes) != about.classes or not {"train", "test"} <= set(source.splits):
        return False
    train = source.splits["train"]
    if not isinstance(train.stored, Arrays) or train.images.shape[1:] != about.shape:
        return False
    low, high = about.mean
    return bool(low <= train.images[:1000].mean() / 255 <= high)


def _bench(source: Source, name: str, plan: Protocol, folder: Path) -> Prepared:
    """Pictures and preprocessing; ZCA is fitted once, on all training pictures, and kept beside the runs."""
    about = DATA_SETS[name]
    parts = {split: source.splits[split] for split in ("train", "test")}
    pictures = {split: Pictures(np.asarray(part.images), part.labels) for split, part in parts.items()}
    first = slice(plan.pictures.get(name))
    train = Pictures(pictures["train"].images[first], pictures["train"].labels[first])
    notes = [
        f"{about.title}: {len(pictures[split]):,} of {whole:,} {split} pictures are there: not the whole data set"
        for split, whole in (("train", about.train), ("test", about.test))
        if len(pictures[split]) != whole
    ]
    share = train.images[:10_000] / 255.0
    mean, std = (tuple(round(float(v), 4) for v in getattr(share, what)((0, 1, 2))) for what in ("mean", "std"))
    zca = None
    if about.normalisation == "gcn-zca":
        zca = _zca(folder / f"zca-{about.kind}-{source.fingerprint[:16]}.safetensors", pictures["train"].images)
    preprocess = Preprocess(about.shape[:2], about.shape[2], "stretch", mean, std, about.normalisation, zca)
    return Prepared(about, source, train, pictures["test"], preprocess, tuple(notes))


def _zca(path: Path, images: Images) -> Zca:
    if path.is_file():
        tensors, _ = read_tensors(path)
        return Zca(tensors[MEAN], tensors[MATRIX], len(images))
    zca = fit_zca(images[start : start + 1000] for start in range(0, len(images), 1000))
    write_tensors(path, zca.tensors(), {})
    return zca


def _row(row: Row, bench: Prepared, seeds: int, lab: Lab) -> None:
    """Runs of one row until so many have started to learn, or too many have not."""
    started = 0
    for seed in range(TRIES * seeds):
        if started == seeds:
            return
        place = lab.folder / "runs" / f"{row.key}-{seed}"
        if not (place / "run.json").is_file():
            _run(row, bench, seed, place, lab)
        started += _read(place / "run.json")["started"]


def _run(row: Row, bench: Prepared, seed: int, place: Path, lab: Lab) -> None:
    """One training, from where it was; its test error after the last epoch goes to run.json."""
    trainer = lab.trainer(row, bench, seed)
    ended: str | None = None
    make_folder(place)
    try:
        (tensors, position, _), _ = checkpoint.newest(place)
        checkpoint.restore(trainer, tensors, position)
    except (ModelError, ArtifactError):
        trainer = lab.trainer(row, bench, seed)  # from the beginning
    about = {"row": row.key, "strict": lab.strict, "recipe": asdict(trainer.recipe)}
    saved = time.monotonic()
    try:
        for epoch in trainer.epochs(on_step=lab.listener.step, should_stop=lab.listener.should_stop):
            if trainer.finished or time.monotonic() > saved + SAVED:
                checkpoint.save(place, trainer, about)
                saved = time.monotonic()
            lab.listener.epoch(epoch, trainer.recipe.epochs)
            if not has_started(trainer):
                break
        started = has_started(trainer)
    except NotFinite as overflow:
        started = False
        ended = str(overflow)
    if started and not trainer.finished:
        checkpoint.save(place, trainer, about)
        raise Interrupted(f"stopped in {row.key}, seed {seed}; the same command goes on from there")
    history = trainer.position.history
    error = None
    if started:
        answers = trainer.logits(bench.test.images, fast=True).argmax(1)
        error = round(100 * float((answers != bench.test.labels).mean()), 3)
    write_json(place / "run.json", {
        **about, "seed": seed, "started": started, "ended": ended, "error": error,
        "train error": round(100 * (1 - history[-1].train_accuracy), 3) if history else None,
        "minutes": round(trainer.position.seconds / 60, 2),
        "machine": hardware.environment(lab.machine), "nin": __version__, "commit": _commit(),
        "date": time.strftime("%Y-%m-%d"), "data": bench.source.fingerprint, "pictures": len(bench.train),
        "preprocess": bench.preprocess.to_dict(),
        "curve": [
            {"epoch": e.epoch, "train_error": round(100 * (1 - e.train_accuracy), 3),
             "test_error": round(100 * (1 - e.val_accuracy), 3), "train_loss": round(e.train_loss, 4),
             "dead_classes": e.dead_classes}
            for e in history
        ],
    })  # fmt: skip


def has_started(trainer: Trainer) -> bool:
    """Whether the network has left chance with all its classes; too early to say counts as yes."""
    history = trainer.position.history
    if len(history) < FIRST or history[-1].step < EARLY:
        return True
    learns = min(epoch.train_loss for epoch in history) < math.log(trainer.state.classes) - STARTED
    return learns and not all(epoch.dead_classes for epoch in history)


def _result(part: Part, benches: dict[str, Prepared], lab: Lab) -> dict[str, Any]:
    """What the finished runs of a table or figure say; kept in result.json, drawings beside it."""
    folder = lab.folder
    runs = {key: _finished(folder, key) for key in part.rows}
    rows = [row_summary(ROWS[key], runs[key]) for key in part.rows]
    result: dict[str, Any] = {
        "part": part.name,
        "title": part.title,
        "protocol": asdict(lab.plan),
        "strict": lab.strict,
        "rows": rows,
        "others": [list(other) for other in part.others],
        "verdict": verdict(part, rows, lab.plan),
        "runs": runs,
    }
    if part.name == "figure3":
        first = {ROWS[key].title: found[0]["curve"] for key, found in runs.items() if found}
        write_bytes(folder / "figure3.png", png_of(dropout_svg(first)))
        result["picture"] = "figure3.png"
    if part.name == "figure4" and rows[0]["n"]:
        row = ROWS["cifar10"]
        bench = benches[row.data]
        drawing, scores = figure4(_trained(row, bench, lab), bench.test, bench.preprocess, bench.source.classes)
        write_bytes(folder / "figure4.png", drawing)
        result |= {"picture": "figure4.png", "scores": scores}
    path = folder / "result.json"
    whole = _read(path) if path.is_file() else {}
    write_json(path, {**whole, part.name: result})
    return result


def _finished(folder: Path, key: str) -> list[dict[str, Any]]:
    """The finished runs of a row, by seed."""
    places = (folder / "runs").glob(f"{key}-[0-9]*/run.json")
    return sorted(map(_read, places), key=lambda run: int(run["seed"]))


def _trained(row: Row, bench: Prepared, lab: Lab) -> torch.nn.Module:
    """The first network of a row that started, as its last checkpoint has it."""
    seed = next(run["seed"] for run in _finished(lab.folder, row.key) if run["started"])
    trainer = lab.trainer(row, bench, seed)
    (tensors, position, _), _ = checkpoint.newest(lab.folder / "runs" / f"{row.key}-{seed}")
    checkpoint.restore(trainer, tensors, position)
    trained: torch.nn.Module = trainer.model.eval()
    return trained


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(read_bytes(path))
    except ValueError as error:
        raise ModelError(f"{path} is not what was written there ({error}); delete it and run again") from error
    return found


def _commit() -> str | None:
    """The commit of the source tree that this package runs from; None where it is installed without one."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return done.stdout.strip() or None
