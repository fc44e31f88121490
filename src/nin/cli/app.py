"""The commands: their words, their options, and what each asks `nin.workflows` and prints."""

import os
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, CycloptsError, Parameter

from nin import __version__, workflows
from nin.choices import option
from nin.cli import help as pages
from nin.cli.batching import add_batch
from nin.cli.exchange import csv_cells, csv_header, json_object, to_json
from nin.cli.lab import claims, reproduce, summary
from nin.cli.mistakes import STDIN, command_of, mistake, settings, unknown_variables, variable
from nin.cli.models import bench, export, import_
from nin.cli.parameters import (
    DATA,
    AtWork,
    Data,
    Divide,
    FollowLinks,
    Json,
    Pictures,
    Processor,
    Skip,
    Top,
    Words,
    check_pictures,
)
from nin.cli.screen import Screen, other_rank, safe
from nin.cli.serving import EXAMPLES, USAGE, serve
from nin.cli.sharing import add_sharing
from nin.errors import ArtifactError, BelowThreshold, UsageError
from nin.lab.spreadsheet import csv_line
from nin.workflows.options import Listener, TrainOptions

if TYPE_CHECKING:
    from nin.workflows import RunResult

Shell = Literal["zsh", "bash", "fish", "powershell"]
HELP_FLAGS = ("-h", "--help", "--help-all")
DEFAULTS = TrainOptions()

app = App(
    name="nin",
    help="Network in Network: train a small image classifier on your own pictures and see what it looks at.",
    help_epilogue=(
        "Examples\n  nin demo\n  nin data check photos\n  nin train photos\n"
        "  nin predict runs/photos picture.jpg\n\n"
        "Exit codes\n  0 done, 1 failed, 2 wrong usage, 3 under --fail-under, 130 stopped by Ctrl-C"
    ),
    help_format="plaintext",
    default_parameter=Parameter(negative=()),
    config=settings,
    suppress_keyboard_interrupt=False,
)
data = App(name="data", help="Look at a data set.")
app.command(data)


def run(words: Sequence[str], screen: Screen) -> int:
    """Parse and run one command line; returns the exit code. Raises NinError for whatever the user can mend."""
    end = words.index("--") if "--" in words else len(words)
    if not words or any(word in HELP_FLAGS for word in words[:end]):
        _help([word for word in words[:end] if word not in HELP_FLAGS], screen, "--help-all" in words)
        return 0
    if "--version" in words[:end]:
        screen.result(f"nin {__version__}")
        return 0
    tokens = [STDIN if word == "-" else word for word in words]
    try:
        command, bound, ignored = app.parse_args(tokens, print_error=False, exit_on_error=False)
    except CycloptsError as error:
        raise mistake(error, app) from error
    for name in unknown_variables(app, tokens):
        screen.warn(f"{name} is set, but {command_name(words)} has no such option")
    if "screen" in ignored:
        bound.arguments["screen"] = screen
    code = command(*bound.args, **bound.kwargs)
    return code if isinstance(code, int) else 0


def command_name(words: Sequence[str]) -> str:
    """The command that a command line names: 'nin data check'; 'nin' when it names none."""
    return command_of(app.parse_commands([word for word in words if word not in HELP_FLAGS])[0])


def _help(words: list[str], screen: Screen, everything: bool) -> None:
    chain, apps, rest = app.parse_commands(words)
    if apps[-1].default_command is None and rest and not rest[0].startswith("-"):
        try:
            app.parse_args([*chain, rest[0]], print_error=False, exit_on_error=False)
        except CycloptsError as error:
            raise mistake(error, app) from error
    screen.result(pages.page(app, chain, everything=everything).rstrip())


@app.command(
    usage="nin train PATH [options]\nnin train [PATH] --resume RUN",
    help_epilogue="Examples\n  nin train photos\n  nin train photos --max-time 10m --out runs/first",
)
def train(
    path: Annotated[Path | None, Parameter(help=DATA)] = None,
    /,
    *,
    options: Annotated[TrainOptions, Parameter(name="*")] = DEFAULTS,
    resume: Annotated[Path | None, Parameter(help="Go on with this run; PATH: where its pictures are now.")] = None,
    json: Annotated[bool, Parameter(help="Print the summary of the run as JSON.")] = False,
    screen: Words,
) -> None:
    """Train a network on your pictures, measure it and write a report.

    Unset options are chosen from your data, printed and saved.
    """
    if resume is None:
        if path is None:
            raise UsageError(f"nin train needs PATH: {DATA[0].lower()}{DATA[1:-1]}; or --resume RUN")
        _show_run(screen, json, lambda listener: workflows.train(path, options, listener))
        return
    changed = [f.name for f in fields(options) if getattr(options, f.name) != getattr(DEFAULTS, f.name)]
    changed = [word for name in changed if not os.environ.get(variable(("train",), word := option(name)))]
    if changed:
        more = f", or begin with its weights: nin train PATH --from {safe(resume)} --out NEW"
        wrong = f"--resume {safe(resume)} goes on as the run began; leave out {', '.join(changed)}"
        raise UsageError(wrong + more * (resume / "model").is_dir())
    _show_run(screen, json, lambda listener: workflows.resume(resume, listener, data=path))


@app.command(
    alias=("eval", "val"),
    usage="nin evaluate MODEL PATH [options]",
    help_epilogue="Examples\n  nin evaluate runs/photos photos\n  nin evaluate runs/photos photos --fail-under 0.9",
)
def evaluate(
    model: AtWork,
    path: Data,
    /,
    *,
    split: Annotated[
        str | None, Parameter(help="train, validation or test; by default the last, or what is not trained on.")
    ] = None,
    fail_under: Annotated[float | None, Parameter(help="Exit with 3 when the accuracy (0 to 1) is lower.")] = None,
    skip_unreadable: Skip = False,
    divide: Divide = None,
    follow_links: FollowLinks = False,
    json: Json = False,
    device: Processor = "auto",
    screen: Words,
) -> None:
    """Measure a model on labelled pictures.

    Accuracy with its interval, precision, recall and F1 of every class, the commonest mistakes.
    """
    if fail_under is not None and not 0 <= fail_under <= 1:
        meant = f"; did you mean {fail_under / 100:g}?" if 1 < fail_under <= 100 else ""
        raise UsageError(f"--fail-under is {fail_under:g}; expected an accuracy from 0 to 1{meant}")
    measured = workflows.evaluate(
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
        from nin.cli.tables import evaluation_lines

        screen.result("\n".join(evaluation_lines(measured)))
    if fail_under is not None and measured.evaluation.accuracy < fail_under:
        raise BelowThreshold(f"the accuracy {measured.evaluation.accuracy:.4f} is under --fail-under {fail_under:g}")


@app.command(
    usage="nin predict MODEL INPUT... [options]",
    help_epilogue=(
        "Examples\n  nin predict runs/photos picture.jpg holiday 'scans/*.png'\n"
        "  nin predict runs/photos - --json < picture.jpg"
    ),
)
def predict(
    model: AtWork,
    /,
    *input: Pictures,
    json: Json = False,
    jsonl: Annotated[bool, Parameter(help="Print one JSON object a line, as they come.")] = False,
    csv: Annotated[bool, Parameter(help="Print CSV, as it comes.")] = False,
    top: Top = 3,
    device: Processor = "auto",
    screen: Words,
) -> int:
    """Say what is in pictures, with probabilities, or "unknown"."""
    formats = [name for name, wanted in (("--json", json), ("--jsonl", jsonl), ("--csv", csv)) if wanted]
    if len(formats) > 1:
        raise UsageError(f"{' and '.join(formats)} cannot go together; choose one")
    check_pictures("predict", "INPUT", input, top, screen)
    predictions = workflows.predict(model, input, device=device, say=screen.detail)
    failed, objects = 0, []
    for number, prediction in enumerate(predictions):
        if csv:
            if number == 0:
                screen.result(csv_line(csv_header(top)))
            screen.result(csv_line(csv_cells(prediction, top)))
        elif jsonl:
            screen.result(to_json(json_object(prediction, top), indent=None))
        elif json:
            objects.append(json_object(prediction, top))
        elif prediction.error is None:
            from nin.cli.tables import prediction_line

            screen.result(prediction_line(prediction, top))
        for note in prediction.notes:
            screen.note(f"{safe(prediction.file)}: {note}")
        if prediction.error is not None:
            failed += 1
            name = "standard input" if prediction.file == "-" else prediction.file
            screen.error(f"{name} cannot be read: {prediction.error}")
    if json:
        screen.result(to_json(objects))
    return 1 if failed else 0


@app.command(
    usage="nin explain MODEL IMAGE... [options]",
    help_epilogue=(
        "Examples\n  nin explain runs/photos picture.jpg\n  nin explain runs/photos holiday --out maps --top 5"
    ),
)
def explain(
    model: AtWork,
    /,
    *image: Pictures,
    out: Annotated[Path | None, Parameter(help="Where the pictures go; by default explained.")] = None,
    top: Top = 3,
    json: Json = False,
    device: Processor = "auto",
    screen: Words,
) -> None:
    """Show where in a picture a network sees each class.

    Writes one PNG a picture with its class maps. They are exact: a class's logit is the mean of its map.
    """
    from nin.cli.tables import explanation_line

    check_pictures("explain", "IMAGE", image, top, screen)
    objects = []
    for explanation in workflows.explaining(model, image, out=out, top=top, device=device, say=screen.detail):
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


app.command(
    usage="nin summary [NAME | MODEL] [options]",
    help_epilogue="Examples\n  nin summary\n  nin summary googlenet\n  nin summary runs/photos --input 3x128x128",
)(summary)


app.command(
    name="import",
    usage="nin import FILE... [options]",
    help_epilogue=(
        "Examples\n  nin import cifar-10_def cifar-10_params\n  nin import nin_cifar10.pth --out model --labels cifar10"
    ),
)(import_)
app.command(
    usage="nin export MODEL [options]",
    help_epilogue="Examples\n  nin export runs/photos\n  nin export runs/photos --format onnx-int8 --out small.onnx",
)(export)
app.command(
    usage="nin bench MODEL... [options]",
    help_epilogue="Examples\n  nin bench nin-cifar10\n  nin bench runs/photos photos-int8.onnx --data photos",
)(bench)


@data.command(
    usage="nin data check PATH [options]",
    help_epilogue="Examples\n  nin data check photos\n  nin data check labels.csv --json",
)
def check(
    path: Data, /, *, divide: Divide = None, follow_links: FollowLinks = False, json: Json = False, screen: Words
) -> int:
    """Look through a data set before training.

    Counts, sizes, unreadable pictures, duplicates, imbalance. Exits with 1 when training would refuse it.
    """
    found = workflows.check(path, divide=divide, follow_links=follow_links)
    if json:
        screen.result(to_json(found.to_dict()))
    else:
        from nin.cli.tables import check_lines

        screen.result("\n".join(check_lines(found)))
    return 1 if found.refused or found.unreadable else 0


@app.command(usage="nin doctor [options]", help_epilogue="Examples\n  nin doctor\n  nin doctor --json")
def doctor(*, json: Json = False, screen: Words) -> None:
    """See whether this machine has what nin needs.

    Interpreter, packages, processor, disk and cache, and what to do about what is missing. Nothing is changed.
    """
    findings = workflows.doctor()
    if json:
        screen.result(to_json(findings))
    else:
        from nin.cli.tables import findings_lines

        screen.result("\n".join(findings_lines(findings)))


@app.command(usage="nin demo [options]", help_epilogue="Examples\n  nin demo\n  nin demo --out runs/digits")
def demo(
    *,
    out: Annotated[Path | None, Parameter(help="Run folder; by default runs/demo.")] = None,
    overwrite: Annotated[bool, Parameter(help="Replace an earlier run in the same folder.")] = False,
    json: Annotated[bool, Parameter(help="Print the summary of the run as JSON.")] = False,
    screen: Words,
) -> None:
    """Go the whole way on 1,797 handwritten digits, no data needed.

    Trains, measures, explains and reports on real pictures in two or three minutes.
    """
    options = TrainOptions(out=out, overwrite=overwrite)
    _show_run(screen, json, lambda listener: workflows.demo(options, listener))


app.command(
    usage="nin claims [NUMBER ...] [options]",
    help_epilogue="Examples\n  nin claims\n  nin claims 18 21 --lang ko\n  nin claims --html claims.html --lang both",
)(claims)
app.command(
    usage="nin reproduce NAME... --data DIR [options]",
    help_epilogue="Examples\n  nin reproduce table4 --data mnist\n  nin reproduce table5 --data cifar --resume",
)(reproduce)
add_batch(app)
add_sharing(app)

app.command(usage=USAGE, help_epilogue=EXAMPLES)(serve)


@app.command(name="--install-completion", usage="nin --install-completion [--shell SHELL]", show=False)
def install_completion(
    *,
    shell: Annotated[Shell | None, Parameter(help="Which shell; by default the one this runs in.")] = None,
    screen: Words,
) -> None:
    """Let the shell complete commands and options with TAB.

    Writes a script and, where one is needed, a line in the shell's start file.
    """
    from cyclopts.completion.detect import ShellDetectionError

    try:
        path = app.install_completion(shell=shell)
    except ShellDetectionError as error:
        raise UsageError("which shell this is cannot be told; add --shell bash, zsh or fish") from error
    except OSError as error:
        raise ArtifactError(f"{error.filename} cannot be written ({error.strerror}); check your home folder") from error
    screen.note("start a new shell to complete commands with TAB")
    screen.result(safe(path))


def _show_run(screen: Screen, json: bool, work: "Callable[[Listener], RunResult]") -> None:
    """Run with progress and signals looked after; then say how it ended, and print the model folder or the summary."""
    from nin.cli.progress import Stop, listener_for
    from nin.cli.tables import run_lines

    silent = other_rank()
    screen = replace(screen, quiet=screen.quiet or silent)
    with Stop(silent=silent) as stop, listener_for(screen, stop) as listener:
        result = work(listener)
    if silent:
        return
    for warning in result.warnings:
        screen.warn(warning)
    if json:
        screen.result(to_json(result.summary))
        return
    for line in run_lines(result):
        screen.note(line)
    screen.result(safe(result.model))
