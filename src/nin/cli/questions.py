"""The commands that use a trained model: `nin predict`, `explain`, `evaluate` and `bench`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from nin.choices import AnyRuntime
from nin.cli.command import Command
from nin.cli.exchange import csv_cells, csv_header, json_object, to_json
from nin.cli.parameters import (
    ComputeDevice,
    Data,
    Divide,
    FollowLinks,
    Json,
    ModelOrExport,
    Output,
    Pictures,
    SkipUnreadable,
    Top,
    check_pictures,
)
from nin.cli.screen import safe
from nin.errors import BelowThreshold, UsageError
from nin.report.spreadsheet import csv_line
from nin.run.run_folder import quote


def _predict(
    model: ModelOrExport,
    /,
    *input: Pictures,
    json: Json = False,
    jsonl: Annotated[bool, Parameter(help="Print one JSON object a line, as they come.")] = False,
    csv: Annotated[bool, Parameter(help="Print CSV, as it comes.")] = False,
    top: Top = 3,
    device: ComputeDevice = "auto",
    screen: Output,
) -> int:
    """Classify pictures, with probabilities, or "unknown"."""
    from nin.cli.printed import FolderCount, prediction_line
    from nin.commands import predict

    formats = [name for name, wanted in (("--json", json), ("--jsonl", jsonl), ("--csv", csv)) if wanted]
    if len(formats) > 1:
        raise UsageError(f"{' and '.join(formats)} cannot go together; choose one")
    check_pictures("predict", "INPUT", input, top, screen)
    predictions = predict.predict(model, input, device=device, say=screen.detail)
    failed = 0
    objects = []
    counted = FolderCount()
    for number, prediction in enumerate(predictions):
        counted.add(prediction)
        if csv:
            if number == 0:
                screen.result(csv_line(csv_header(top)))
            screen.result(csv_line(csv_cells(prediction, top)))
        elif jsonl:
            screen.result(to_json(json_object(prediction, top), indent=None))
        elif json:
            objects.append(json_object(prediction, top))
        elif prediction.error is None:
            screen.result(prediction_line(prediction, top))
        for note in prediction.notes:
            screen.note(f"{safe(prediction.file)}: {note}")
        if prediction.error is not None:
            failed += 1
            name = "standard input" if prediction.file == "-" else prediction.file
            screen.error(f"{name} cannot be read: {prediction.error}")
    if json:
        screen.result(to_json(objects))
    elif not formats and any(Path(place).is_dir() for place in input):
        for line in ("", *counted.lines()):
            screen.note(line)
    return 1 if failed else 0


def _explain(
    model: ModelOrExport,
    /,
    *image: Pictures,
    out: Annotated[Path | None, Parameter(help="Folder for the pictures; by default explained.")] = None,
    top: Top = 3,
    json: Json = False,
    device: ComputeDevice = "auto",
    screen: Output,
) -> None:
    """Show where in a picture a network sees each class.

    Writes one PNG a picture with its class maps. They are exact: a class's logit is the mean of its map.
    """
    from nin.cli.printed import explanation_line
    from nin.commands.explain import explaining

    check_pictures("explain", "IMAGE", image, top, screen)
    objects = []
    for explanation in explaining(model, image, out, top, device, screen.detail):
        if json:
            names = ("label", "logit", "probability")
            classes = [dict(zip(names, values, strict=True)) for values in explanation.classes]
            objects.append({"file": explanation.file, "png": explanation.png, "classes": classes})
            objects[-1]["identity_error"] = explanation.identity_error
        else:
            screen.note(explanation_line(explanation))
            screen.result(safe(explanation.png))
    if json:
        screen.result(to_json(objects))
    elif not model.endswith(".onnx"):
        screen.note(f"every layer of it, in a browser: nin explore {safe(quote(model))}")


def _evaluate(
    model: ModelOrExport,
    path: Data,
    /,
    *,
    split: Annotated[
        str | None, Parameter(help="train, validation or test; by default the last, or what is not trained on.")
    ] = None,
    fail_under: Annotated[float | None, Parameter(help="Exit with 3 when the accuracy (0 to 1) is lower.")] = None,
    skip_unreadable: SkipUnreadable = False,
    divide: Divide = None,
    follow_links: FollowLinks = False,
    json: Json = False,
    device: ComputeDevice = "auto",
    screen: Output,
) -> None:
    """Measure a model on labelled pictures.

    Shows the accuracy with its interval, precision, recall and F1 of every class, and the commonest mistakes.
    """
    from nin.commands import evaluate

    if fail_under is not None and not 0 <= fail_under <= 1:
        meant = f"; did you mean {fail_under / 100:g}?" if 1 < fail_under <= 100 else ""
        raise UsageError(f"--fail-under is {fail_under:g}; expected an accuracy from 0 to 1{meant}")
    measured = evaluate.evaluate(
        model,
        path,
        split=split,
        skip_unreadable=skip_unreadable,
        divide=divide,
        follow_links=follow_links,
        device=device,
    )
    screen.detail(measured.computed_by)
    for note in measured.notes:
        screen.note(f"note: {safe(note)}")
    for warning in measured.warnings:
        screen.warn(warning)
    if json:
        screen.result(to_json({**measured.to_dict(), "model": model}))
    else:
        from nin.cli.printed import evaluation_lines

        screen.result("\n".join(evaluation_lines(measured)))
    if fail_under is not None and measured.evaluation.accuracy < fail_under:
        raise BelowThreshold(f"the accuracy {measured.evaluation.accuracy:.4f} is under --fail-under {fail_under:g}")


def _bench(
    *model: Annotated[str, Parameter(help="Model folders, exported .onnx files, or names of models in the package.")],
    data: Annotated[Path | None, Parameter(help="Labelled pictures; measures the accuracy on them, too.")] = None,
    threads: Annotated[int | None, Parameter(help="Threads to compute with; by default one a core.")] = None,
    runtime: Annotated[AnyRuntime, Parameter(help="What computes; auto measures all in turn, torch too.")] = "auto",
    json: Json = False,
    screen: Output,
) -> None:
    """Measure how fast models answer on this machine.

    Shows milliseconds for single pictures, pictures a second for batches, and sizes: with ONNX Runtime and, where they
    are installed, with OpenVINO and torch, in turn; and which of them nin serve takes.
    """
    from nin.commands import bench

    found = bench.bench(model, data=data, threads=threads, runtime=runtime)
    for name, note in dict.fromkeys((one.model, note) for one in found for note in one.notes):
        screen.note(f"note: {safe(name)}: {safe(note)}")
    if json:
        screen.result(to_json(found))
        return
    from nin.cli.printed import bench_lines

    screen.result("\n".join(bench_lines(found)))


EVALUATE = Command(
    "evaluate",
    _evaluate,
    "evaluate MODEL PATH [options]",
    ("evaluate runs/photos photos", "evaluate runs/photos photos --fail-under 0.9"),
    alias=("eval", "val"),
)
PREDICT = Command(
    "predict",
    _predict,
    "predict MODEL INPUT... [options]",
    ("predict runs/photos picture.jpg holiday 'scans/*.png'", "predict runs/photos - --json < picture.jpg"),
)
EXPLAIN = Command(
    "explain",
    _explain,
    "explain MODEL IMAGE... [options]",
    ("explain runs/photos picture.jpg", "explain runs/photos holiday --out maps --top 5"),
)
BENCH = Command(
    "bench",
    _bench,
    "bench MODEL... [options]",
    ("bench nin-cifar10", "bench runs/photos photos-int8.onnx --data photos"),
)
