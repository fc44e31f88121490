"""What `nin teach` leaves in its folder: the model, how good it is, and the report (torch-free).

Legend: N pictures, K classes, (h, w) sides of the class maps.
"""

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from nin.artifacts import remove, write_json, write_text
from nin.bundle.card import unknown_in_words
from nin.bundle.folder import write_bundle
from nin.data.machine import cpu_name, usable_cores
from nin.data.splits import Files
from nin.engine.engine import Engine, open_engine
from nin.errors import amount, escape_name
from nin.report.confusion import confusion_csv, confusion_svg
from nin.report.content import Example, Report
from nin.report.page import report_html
from nin.run.run_folder import quote
from nin.run.seen import SEEN, digests, write_seen
from nin.teaching.estimate import FOLDS, fold_of
from nin.teaching.lesson import LEFT_OUT, Lesson
from nin.training.evaluation import Evaluation, evaluate_probabilities, result_warnings
from nin.version import __version__

REPORTED = ("report.html", "confusion_matrix.svg", "confusion_matrix.csv")
LEFT = {"model", "args.yaml", "data.json", "summary.json", SEEN, *REPORTED}  # all that a folder of ours holds
AT_ONCE = 64  # pictures: their maps stay in memory
LEFT_OUT_MEANS = "the pictures themselves, a fifth at a time, each asked of what the other fifths had taught"
MISTAKES = 12  # wrong answers shown in the report
EXAMPLES = 10  # pictures whose class maps are shown, one a class
MORE = "give more pictures of each class, or train the whole network: nin train"


@dataclass(frozen=True)
class TeachResult:
    """A taught model: where it lies, how good it is, what to know and what to type next.

    evaluation: on the `split` test or validation of the pictures, else "left-out": each picture asked of what was
    taught without its fifth. None where there is no such split and a class has fewer than five pictures.
    """

    folder: Path
    model: Path
    evaluation: Evaluation | None
    split: str | None
    warnings: tuple[str, ...]
    commands: tuple[str, ...]
    summary: dict[str, Any]

    def __fspath__(self) -> str:
        """The run folder, so that whatever takes a model's path takes the run itself."""
        return str(self.folder)


def write_taught(lesson: Lesson) -> TeachResult:
    """Write everything, summary.json last: where it is, the folder is whole. The model is measured as it lies there."""
    folder, split = lesson.folder, lesson.split
    for name in LEFT - {"model"}:
        if (folder / name).exists():
            remove(folder / name)
    _write_model(lesson, {})
    engine = open_engine(folder / "model")
    probabilities = {name: _probabilities(engine, lesson, name) for name in lesson.decoded if name != "train"}
    if lesson.taught.probabilities is not None:
        probabilities[LEFT_OUT] = lesson.taught.probabilities
    evaluations = {
        name: evaluate_probabilities(values, lesson.pictures(name).labels, lesson.source.classes)
        for name, values in probabilities.items()
    }
    evaluation = None if split is None else evaluations[split]
    warnings = _warnings(lesson, evaluation)
    summary = _summary(lesson, split, evaluations, warnings)
    _write_model(lesson, summary)
    write_text(folder / "args.yaml", yaml.safe_dump(_arguments(lesson), sort_keys=False, allow_unicode=True))
    write_json(folder / "data.json", _data(lesson))
    write_seen(folder, {name: digests(part.images) for name, part in lesson.decoded.items()}, lesson.source.fingerprint)
    result = TeachResult(folder, folder / "model", evaluation, split, warnings, _commands(lesson), summary)
    if split is not None:
        _write_report(lesson, engine, result, probabilities[split])
    write_json(folder / "summary.json", summary)
    return result


def _probabilities(engine: Engine, lesson: Lesson, split: str) -> np.ndarray:
    """What the model answers for a split, (N, K)."""
    images = lesson.pictures(split).images
    parts = [engine.run(images[at : at + AT_ONCE]).probabilities for at in range(0, len(images), AT_ONCE)]
    return np.concatenate(parts)


def _warnings(lesson: Lesson, evaluation: Evaluation | None) -> tuple[str, ...]:
    """What one must know of the result, one line each."""
    if evaluation is not None:
        return result_warnings(evaluation, advice=MORE)
    counts = np.bincount(lesson.decoded["train"].labels)
    fewest = int(counts.argmin())
    few = f"{escape_name(lesson.source.classes[fewest])} has {amount(int(counts[fewest]), 'picture')}"
    return (f'how good it is was not measured, and no answer is "unknown": {few}; give {FOLDS} or more of each class',)


def _summary(
    lesson: Lesson, split: str | None, evaluations: Mapping[str, Evaluation], warnings: tuple[str, ...]
) -> dict[str, Any]:
    measured: dict[str, Any] = {} if split is None else {"split": split, **evaluations[split].to_dict()}
    learnt = lesson.taught.head.weight.size + lesson.taught.head.bias.size
    weights = lesson.trunk.weights(lesson.taught.head)
    still = ("running_mean", "running_var", "num_batches_tracked")
    return {
        **measured,
        "splits": {name: each.to_dict() for name, each in evaluations.items()},
        "trunk": lesson.trunk.name,
        "cut": lesson.trunk.cut,
        "seconds": round(lesson.seconds, 2),
        "seconds_fitting": round(lesson.fitted, 3),
        "parameters": sum(array.size for name, array in weights.items() if not name.endswith(still)),
        "parameters_learnt": learnt,
        **lesson.taught.calibration.to_dict(),
        "classes": list(lesson.source.classes),
        "warnings": list(warnings),
        "nin": __version__,
    }


def _write_model(lesson: Lesson, summary: Mapping[str, Any]) -> None:
    """The model folder; the card says what the trunk had seen."""
    trunk, bundle = lesson.trunk, lesson.trunk.bundle
    about: dict[str, Any] = {n: bundle.provenance[n] for n in ("data", "note", "license") if n in bundle.provenance}
    provenance = {
        "license": bundle.provenance.get("license", "unknown"),
        "data": lesson.source.path.name,
        "pictures": len(lesson.decoded["train"].labels),
        "fingerprint": lesson.source.fingerprint,
        "taught": "one 1x1 layer on the maps of a trained network, by softmax regression",
        "trunk": {
            "model": trunk.name,
            "mlpconv layers": trunk.cut,
            "weights": bundle.digests["model.safetensors"],
            **about,
        },
        "nin": __version__,
    }
    keys = ("split", "n", "accuracy", "interval", "balanced_accuracy", "loss", "ece", "per_class")
    write_bundle(
        lesson.folder / "model",
        network=trunk.network(len(lesson.source.classes)).to_dict(),
        weights=trunk.weights(lesson.taught.head),
        classes=lesson.source.classes,
        preprocess=trunk.preprocess,
        calibration=lesson.taught.calibration,
        metrics={key: summary[key] for key in keys if key in summary},
        provenance=provenance,
        likeness=lesson.taught.likeness,
    )


def _arguments(lesson: Lesson) -> dict[str, Any]:
    """args.yaml: what was given, and what was chosen."""
    options = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(lesson.options).items()}
    return {
        "nin": __version__,
        "data": str(lesson.source.path.absolute()),
        "folder": str(lesson.folder),
        "pictures": {name: len(part.labels) for name, part in lesson.decoded.items()},
        "trunk": {"model": lesson.trunk.name, "cut": lesson.trunk.cut},
        "options": options,
        "preprocess": lesson.trunk.preprocess.to_dict(),
        "network": lesson.trunk.network(len(lesson.source.classes)).to_dict(),
    }


def _data(lesson: Lesson) -> dict[str, Any]:
    source = lesson.source
    count = len(source.classes)
    return {
        "path": str(source.path.absolute()),
        "kind": source.kind,
        "classes": list(source.classes),
        "fingerprint": source.fingerprint,
        "notes": list(source.notes),
        "counts": {name: np.bincount(part.labels, minlength=count).tolist() for name, part in lesson.decoded.items()},
    }


def _write_report(lesson: Lesson, engine: Engine, result: TeachResult, probabilities: np.ndarray) -> None:
    """report.html and the confusion matrix."""
    evaluation, split, classes = result.evaluation, result.split, lesson.source.classes
    assert evaluation is not None
    assert split is not None
    write_text(lesson.folder / "confusion_matrix.svg", confusion_svg(evaluation, classes))
    write_text(lesson.folder / "confusion_matrix.csv", confusion_csv(evaluation, classes))
    labels = lesson.pictures(split).labels
    sure = probabilities.max(1)
    wrong = np.flatnonzero(probabilities.argmax(1) != labels)
    mistakes = wrong[np.argsort(-sure[wrong], kind="stable")][:MISTAKES]
    firsts = [np.flatnonzero(labels == label)[:1] for label in np.unique(labels)[:EXAMPLES]]
    report = Report(
        title=f"nin: {lesson.folder.name}",
        classes=classes,
        history=(),
        evaluation=evaluation,
        split=split,
        warnings=result.warnings,
        mistakes=_examples(lesson, engine, mistakes, probabilities),
        examples=_examples(lesson, engine, np.concatenate(firsts), probabilities),
        facts=_facts(lesson, result.summary),
        commands=result.commands,
    )
    write_text(lesson.folder / "report.html", report_html(report))


def _examples(lesson: Lesson, engine: Engine, rows: np.ndarray, probabilities: np.ndarray) -> tuple[Example, ...]:
    """Pictures of what was measured, with the maps that answered: of left-out ones those of their fold's own head."""
    split = lesson.split
    assert split is not None
    if not len(rows):
        return ()
    part = lesson.pictures(split)
    images = np.stack([np.asarray(part.images[row]) for row in rows])
    if split == LEFT_OUT:
        heads = lesson.taught.fold_heads
        folds = fold_of(part.labels, len(lesson.source.classes))[rows]
        features = lesson.trunk.maps(images)  # (N, F, h, w)
        maps = np.stack([heads[fold].maps(each) for fold, each in zip(folds, features, strict=True)])
    else:
        maps = engine.run(images).maps
    return tuple(
        Example(
            pixels=image,
            name=lesson.name(split, int(row)),
            true=int(part.labels[row]),
            probabilities=probabilities[row],
            logits=of_picture.mean((1, 2)),
            maps=of_picture,
        )
        for row, image, of_picture in zip(rows, images, maps, strict=True)
    )


def _facts(lesson: Lesson, summary: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """The report's facts on data, network, teaching and machine."""
    trunk = lesson.trunk
    height, width = trunk.preprocess.size
    counts = ", ".join(f"{len(part.labels):,} {name}" for name, part in lesson.decoded.items())
    rule = unknown_in_words(lesson.taught.calibration)
    return {
        "Data": [
            ("source", str(lesson.source.path.absolute())),
            ("pictures", counts),
            ("classes", str(len(lesson.source.classes))),
            *([("left-out", LEFT_OUT_MEANS)] if lesson.split == LEFT_OUT else []),
            *[("note", note) for note in lesson.source.notes],
        ],
        "Network": [
            ("trunk", f"mlpconv layers 1 to {trunk.cut} of {trunk.name}, as they were"),
            ("learnt", f"one 1x1 layer, {summary['parameters_learnt']:,} weights, before global average pooling"),
            ("input", f"{trunk.preprocess.channels} x {height} x {width}, {trunk.preprocess.fit}"),
            ("parameters", f"{summary['parameters']:,}"),
        ],
        "Teaching": [
            ("time", f"{summary['seconds']:.1f} seconds, {summary['seconds_fitting']:.2f} of them to learn"),
            *([("unknown", rule)] if rule else []),
        ],
        "Machine": [
            ("cpu", cpu_name()),
            ("cores", str(usable_cores())),
            ("system", f"{platform.system()} {platform.machine()}"),
            ("python", platform.python_version()),
        ],
    }


def _commands(lesson: Lesson) -> tuple[str, ...]:
    """What to type next, with this folder's own paths."""
    stored = lesson.source.splits["train"].stored
    example = quote(stored.paths[0]) if isinstance(stored, Files) else "PICTURE"
    folder = quote(lesson.folder)
    return (
        f"nin predict {folder} {example}",
        f"nin explain {folder} {example}",
        f"nin explore {folder}",
        f"nin train {quote(lesson.source.path)}",
    )
