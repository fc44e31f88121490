"""The commands that train: `nin train` and `nin demo`."""

import os
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from nin.choices import option
from nin.cli.command import Command
from nin.cli.mistakes import variable
from nin.cli.parameters import DATA, Output
from nin.cli.screen import Screen, other_rank, safe
from nin.errors import UsageError
from nin.run.options import Listener, TrainOptions

if TYPE_CHECKING:
    from nin.run.run import RunResult

DEFAULTS = TrainOptions()


def _train(
    path: Annotated[Path | None, Parameter(help=DATA)] = None,
    /,
    *,
    options: Annotated[TrainOptions, Parameter(name="*")] = DEFAULTS,
    resume: Annotated[Path | None, Parameter(help="Resume this run; PATH only if its pictures moved.")] = None,
    json: Annotated[bool, Parameter(help="Print the summary of the run as JSON.")] = False,
    screen: Output,
) -> None:
    """Train a network on your pictures, measure it and write a report.

    Unset options are chosen from your data, printed and saved.
    """
    from nin.run import train

    if resume is None:
        if path is None:
            raise UsageError(f"nin train needs PATH: {DATA[0].lower()}{DATA[1:-1]}; or --resume RUN")
        _show_run(screen, json, lambda listener: train.train_run(path, options, listener))
        return
    changed = [f.name for f in fields(options) if getattr(options, f.name) != getattr(DEFAULTS, f.name)]
    changed = [word for name in changed if not os.environ.get(variable(("train",), word := option(name)))]
    if changed:
        more = f", or begin with its weights: nin train PATH --from {safe(resume)} --out NEW"
        wrong = f"--resume {safe(resume)} goes on as the run began; leave out {', '.join(changed)}"
        raise UsageError(wrong + more * (resume / "model").is_dir())
    _show_run(screen, json, lambda listener: train.resume_run(resume, listener, data=path))


def _demo(
    *,
    out: Annotated[Path | None, Parameter(help="Run folder; by default runs/demo.")] = None,
    overwrite: Annotated[bool, Parameter(help="Replace an earlier run in the same folder.")] = False,
    json: Annotated[bool, Parameter(help="Print the summary of the run as JSON.")] = False,
    screen: Output,
) -> None:
    """Train on 1,797 handwritten digits that come with scikit-learn.

    Trains, measures, explains and reports, in two or three minutes. No data needed.
    """
    from nin.commands.demo import demo

    options = TrainOptions(out=out, overwrite=overwrite)
    _show_run(screen, json, lambda listener: demo(options, listener))


def _show_run(screen: Screen, json: bool, work: "Callable[[Listener], RunResult]") -> None:
    """Do the work with progress and Ctrl-C handled; then tell the result, and print the model folder or the summary."""
    from nin.cli.printed import run_lines, tell
    from nin.cli.progress import Stop, listener_for

    silent = other_rank()
    screen = replace(screen, quiet=screen.quiet or silent)
    with Stop(silent=silent) as stop, listener_for(screen, stop) as listener:
        result = work(listener)
    if silent:
        return
    tell(result, run_lines(result), screen, json)


TRAIN = Command(
    "train",
    _train,
    "train PATH [options]\nnin train [PATH] --resume RUN",
    ("train photos", "train photos --max-time 10m --out runs/first"),
)
DEMO = Command("demo", _demo, "demo [options]", ("demo", "demo --out runs/digits"))
