"""What a run leaves in its folder, from the first step to the report."""

import csv
import io
import json
from dataclasses import asdict, astuple, fields
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from nin.artifacts import make_folder, remove, write_bytes, write_json, write_text
from nin.bundle.card import Calibration, unknown_in_words
from nin.bundle.folder import write_bundle
from nin.bundle.likeness import Likeness
from nin.data.splits import Files
from nin.network.anatomy import anatomy
from nin.report.confusion import confusion_csv, confusion_svg
from nin.report.content import Report
from nin.report.page import report_html
from nin.report.plots import TILES, grid_jpg, picture_png, png_of
from nin.report.svg import results_svg
from nin.run.beginning import begins_with
from nin.run.budget import advice, budget_words, effort
from nin.run.calibration import calibrated, with_likeness
from nin.run.options import Listener, TrainOptions
from nin.run.recorded import DEMO_PICTURES
from nin.run.run import Run, batch_in_words
from nin.run.run_folder import further, quote
from nin.run.seen import SEEN, write_seen
from nin.run.shown import shown_pictures
from nin.run.unchanged import picture_state
from nin.training import hardware
from nin.training.evaluation import Evaluation, result_warnings
from nin.training.slots import SLOTS
from nin.training.state import Epoch, Pictures
from nin.version import __version__

COLUMNS = tuple(field.name for field in fields(Epoch))
FIRST_BATCH = "train_batch0.jpg"


def about(run: Run) -> dict[str, Any]:
    """The run in words: for the screen and for args.yaml."""
    plan = run.plan
    options = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(run.options).items()}
    return {
        "nin": __version__,
        "data": None if run.source.kind == "digits" else str(run.source.path.absolute()),
        "folder": str(run.folder),
        "pictures": {"train": len(run.trainer.data), **{name: len(p) for name, p in run.held_out.items()}},
        "classes": len(run.source.classes),
        "size": list(plan.preprocess.size),
        "channels": plan.preprocess.channels,
        "parameters": sum(p.numel() for p in run.trainer.model.parameters()),
        "machine": str(run.trainer.hardware),
        "batch": batch_in_words(plan),
        "options": options,
        "recipe": asdict(plan.recipe),
        **budget_words(run),
        "preprocess": plan.preprocess.to_dict(),
        "network": plan.network.to_dict(),
        **({"notes": list(run.trainer.position.notes)} if run.trainer.position.notes else {}),
    }


def chosen_options(options: TrainOptions) -> dict[str, Any]:
    """The options that decide what is trained, in words."""
    words = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(options).items()}
    return {name: value for name, value in words.items() if name not in ("out", "overwrite")}


def checkpoint_about(run: Run) -> dict[str, Any]:
    """What a checkpoint must know to go on: data, options, plan, machine."""
    words = about(run)
    return {
        "path": words["data"],
        "fingerprint": run.source.fingerprint,
        "numerics": hardware.numerics(run.trainer.hardware),
        "options": chosen_options(run.options),
        "pictures": picture_state(run),
        **{name: words[name] for name in ("recipe", "preprocess", "network")},
    }


LEFT = (
    *("args.yaml", "env.json", "data.json", "results.csv", "metrics.jsonl", "summary.json", "report.html", SEEN),
    *("results.png", "confusion_matrix.png", "confusion_matrix.svg", "confusion_matrix.csv"),
    "confusion_matrix_normalised.png",
    *(FIRST_BATCH, "val_batch0_pred.jpg", *SLOTS),
    *(f"model/{name}" for name in ("config.json", "model.safetensors", "labels.txt", "README.md", "training.csv")),
    *("model/preprocess.safetensors", "model/likeness.safetensors"),
)


def clear(folder: Path) -> None:
    """Remove what an earlier run left, so that no file of it can be taken for one of the new run."""
    for name in LEFT:
        if (folder / name).exists():
            remove(folder / name)


def begin(run: Run, first_batch: Pictures, listener: Listener) -> None:
    """Write what is known before the first step: arguments, machine, data, the first batch as the network sees it."""
    folder = run.folder
    source = run.source
    listener.begin(about(run))
    words = arguments(run)
    write_json(folder / "env.json", hardware.environment(run.trainer.hardware))
    data = {
        "path": words["data"],
        "kind": source.kind,
        "classes": list(source.classes),
        "fingerprint": source.fingerprint,
        "notes": list(source.notes),
        "preprocess": words["preprocess"],
        "shared_pictures": run.shared,
        "counts": {
            name: np.bincount(p.labels, minlength=len(source.classes)).tolist()
            for name, p in {"train": run.trainer.data, **run.held_out}.items()
        },
    }
    write_json(folder / "data.json", data)
    names = [source.classes[label] for label in first_batch.labels]
    write_bytes(folder / FIRST_BATCH, grid_jpg(list(first_batch.images), names))  # last: where it is, all is


def arguments(run: Run) -> dict[str, Any]:
    """Write args.yaml, the run in words; returns them."""
    words = about(run)
    write_text(run.folder / "args.yaml", yaml.safe_dump(words, sort_keys=False, allow_unicode=True))
    return words


def epoch(run: Run) -> None:
    """Write the history so far: results.csv and metrics.jsonl."""
    history = run.trainer.position.history
    write_text(run.folder / "results.csv", _history_csv(history))
    write_text(run.folder / "metrics.jsonl", "".join(json.dumps(asdict(row)) + "\n" for row in history))


def _history_csv(history: list[Epoch]) -> str:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    short = [[value if isinstance(value, int) else float(f"{value:.6g}") for value in astuple(row)] for row in history]
    writer.writerows(short)
    return table.getvalue()


def finish(run: Run, listener: Listener) -> dict[str, Any]:
    """Measure, calibrate, and write model, summary, pictures and report; returns the fields of a RunResult."""
    listener.note("measuring, calibrating and writing the report")
    calibration, probabilities, evaluations = calibrated(run)
    run.trainer.team.close()
    likeness = None
    if run.trainer.team.first:
        calibration, likeness = with_likeness(run, calibration, probabilities["validation"])
    split = "test" if "test" in evaluations else "validation"
    evaluation = evaluations[split]
    warnings = _warnings(run, evaluations, split)
    folder = run.folder
    classes = run.source.classes
    summary = _summary(run, evaluations, split, calibration, warnings)
    commands = next_commands(run)
    result = {
        "folder": folder,
        "model": folder / "model",
        "evaluation": evaluation,
        "split": split,
        "warnings": warnings,
        "commands": commands,
        "summary": summary,
    }
    if not run.trainer.team.first:
        return result
    write_seen(folder, run.digests, run.source.fingerprint)
    _write_model(run, calibration, likeness, summary)
    history = [asdict(row) for row in run.trainer.position.history]
    write_bytes(folder / "results.png", png_of(results_svg(history)))
    matrix = confusion_svg(evaluation, classes)
    write_text(folder / "confusion_matrix.svg", matrix)
    write_bytes(folder / "confusion_matrix.png", png_of(matrix))
    normalised = confusion_svg(evaluation, classes, shares_only=True)
    write_bytes(folder / "confusion_matrix_normalised.png", png_of(normalised))
    write_text(folder / "confusion_matrix.csv", confusion_csv(evaluation, classes))
    _write_predictions(run, probabilities["validation"])
    mistakes, examples, suspects = shown_pictures(run, split, probabilities[split])
    report = Report(
        title=f"nin: {run.folder.name}",
        classes=classes,
        history=history,
        evaluation=evaluation,
        split=split,
        warnings=warnings,
        mistakes=mistakes,
        examples=examples,
        facts=_facts(run, summary, calibration),
        commands=commands,
        resume=train_on(run),
        chose_epoch=run.options.patience is not None,
        suspects=suspects,
        effort=effort(run),
    )
    write_text(folder / "report.html", report_html(report))
    write_json(folder / "summary.json", summary)  # last: where it is, the run is whole
    return result


def _warnings(run: Run, evaluations: dict[str, Evaluation], split: str) -> tuple[str, ...]:
    """Warnings about the result, and about the validation pictures where the result is of others."""
    shared = run.shared or {}
    warnings = result_warnings(evaluations[split], shared_pictures=shared.get(split, 0), **advice(run))
    twice = shared.get("validation", 0)
    if split == "validation" or not twice:
        return warnings
    return (
        *warnings,
        f"{twice:,} of the {evaluations['validation'].n:,} validation pictures are also training pictures: confidences "
        "are set by these and look better than they are; remove the duplicates and train again",
    )


def _summary(
    run: Run, evaluations: dict[str, Evaluation], split: str, calibration: Calibration, warnings: tuple[str, ...]
) -> dict[str, Any]:
    trainer = run.trainer
    pre = run.plan.preprocess
    facts = anatomy(run.plan.network, (pre.channels, *pre.size))
    return {
        "split": split,
        **evaluations[split].to_dict(),
        "splits": {name: evaluation.to_dict() for name, evaluation in evaluations.items()},
        "epochs": trainer.position.epoch,
        **budget_words(run),
        "seconds": round(trainer.position.seconds, 2),
        "parameters": facts.parameters,
        "macs": facts.macs,
        **calibration.to_dict(),
        "classes": list(run.source.classes),
        "warnings": list(warnings),
        **({"notes": list(trainer.position.notes)} if trainer.position.notes else {}),
        "seed": run.plan.recipe.seed,
        "nin": __version__,
    }


def _write_model(run: Run, calibration: Calibration, likeness: Likeness | None, summary: dict[str, Any]) -> None:
    weights = {k: v.detach().cpu().contiguous().numpy() for k, v in run.trainer.model.state_dict().items()}
    metrics = {k: summary[k] for k in ("split", "n", "accuracy", "interval", "balanced_accuracy", "loss", "ece")}
    begun = begins_with(run.options)
    provenance = {
        "data": run.source.path.name,
        **({"begun with": "/".join(Path(begun).parts[-2:])} if begun else {}),  # no home folder
        "pictures": len(run.trainer.data),
        "fingerprint": run.source.fingerprint,
        "holdout": run.options.holdout,
        "parameters": summary["parameters"],
        "epochs": summary["epochs"],
        "seconds": summary["seconds"],
        "recipe": asdict(run.plan.recipe),
        "machine": hardware.environment(run.trainer.hardware),
        "nin": __version__,
    }
    write_bundle(
        run.folder / "model",
        network=run.plan.network.to_dict(),
        weights=weights,
        classes=run.source.classes,
        preprocess=run.plan.preprocess,
        calibration=calibration,
        metrics=metrics,
        provenance=provenance,
        log=_history_csv(run.trainer.position.history),
        likeness=likeness,
    )


def _write_predictions(run: Run, probabilities: np.ndarray) -> None:
    pictures = run.held_out["validation"]
    classes = run.source.classes
    chosen = np.unique(np.linspace(0, len(pictures) - 1, min(TILES, len(pictures))).astype(int))
    captions = []
    wrong = set()
    for place, i in enumerate(chosen):
        guess = int(probabilities[i].argmax())
        right = "✓" if guess == pictures.labels[i] else f"✗ {classes[pictures.labels[i]]}"
        captions.append(f"{classes[guess]} {probabilities[i, guess]:.0%} {right}")
        if guess != pictures.labels[i]:
            wrong.add(place)
    write_bytes(run.folder / "val_batch0_pred.jpg", grid_jpg([pictures.images[i] for i in chosen], captions, wrong))


def _facts(run: Run, summary: dict[str, Any], calibration: Calibration) -> dict[str, list[tuple[str, str]]]:
    """The report's facts on data, network, training and machine."""
    words = about(run)
    recipe = run.plan.recipe
    environment = hardware.environment(run.trainer.hardware)
    height, width = run.plan.preprocess.size
    counts = ", ".join(f"{count:,} {name}" for name, count in words["pictures"].items())
    augmentation = ", ".join(f"{k} {v:g}" for k, v in asdict(recipe.augmentation).items() if v) or "none"
    return {
        "Data": [
            ("source", words["data"] or "scikit-learn's handwritten digits"),
            ("pictures", counts),
            ("classes", str(words["classes"])),
            ("fingerprint", run.source.fingerprint[:16]),
            *[("note", note) for note in run.source.notes],
        ],
        "Network": [
            (
                "architecture",
                f"{run.plan.network.name}, {len(run.plan.network.blocks)} mlpconv layers, global average pooling",
            ),
            ("input", f"{run.plan.preprocess.channels} x {height} x {width}, {run.plan.preprocess.fit}"),
            ("normalisation", run.plan.preprocess.in_words()),
            ("parameters", f"{summary['parameters']:,}"),
            ("multiply-adds a picture", f"{summary['macs']:,}"),
        ],
        "Training": [
            ("epochs", f"{summary['epochs']} of {recipe.epochs}"),
            ("time", f"{summary['seconds'] / 60:.1f} minutes"),
            (
                "optimizer",
                f"{recipe.optimizer}, learning rate {recipe.lr:g}, momentum {recipe.momentum:g}",
            ),
            ("batch", words["batch"]),
            ("augmentation", augmentation),
            ("seed", str(recipe.seed)),
            *([("unknown", rule)] if (rule := unknown_in_words(calibration)) else []),
            *[("note", note) for note in run.trainer.position.notes],
        ],
        "Machine": [(key, str(value)) for key, value in environment.items()],
    }


def next_commands(run: Run) -> tuple[str, ...]:
    """What to type next, with this run's own paths."""
    if run.source.kind == "digits":
        pictures = quote(run.folder / DEMO_PICTURES)
        return (
            f"nin predict {quote(run.folder)} {pictures}",
            f"nin explain {quote(run.folder)} {pictures}",
            f"nin explore {quote(run.folder)}",
            "nin data check YOUR_PICTURES",
            "nin train YOUR_PICTURES",
        )
    stored = run.source.splits["validation"].stored
    kept = run.kept["validation"]
    example = quote(stored.paths[kept[0]]) if isinstance(stored, Files) else "PICTURE"
    return (
        f"nin predict {quote(run.folder)} {example}",
        f"nin explain {quote(run.folder)} {example}",
        f"nin explore {quote(run.folder)}",
        f"nin evaluate {quote(run.folder)} {quote(run.source.path)}",
    )


def train_on(run: Run) -> str | None:
    """What to type to train a finished run's network further; None for the built-in digits."""
    if run.source.kind == "digits":
        return None
    return further(run.source.path, run.folder)


def demo_pictures(run: Run) -> None:
    """Write one held-out digit of every class as a picture file, for the next commands."""
    pictures = run.held_out["test"]
    folder = make_folder(run.folder / DEMO_PICTURES)
    for label, name in enumerate(run.source.classes):
        first = np.flatnonzero(pictures.labels == label)[0]
        write_bytes(folder / f"{name}.png", picture_png(pictures.images[first]))
