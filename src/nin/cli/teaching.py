"""The command that teaches a trained network new classes: `nin teach`."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from nin.cli.command import Command
from nin.cli.parameters import Data, Json, Output
from nin.cli.screen import safe
from nin.teaching.teach_options import TeachOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nin.teaching.taught_folder import TeachResult

DEFAULTS = TeachOptions()


def _teach(
    path: Data,
    /,
    *,
    options: Annotated[TeachOptions, Parameter(name="*")] = DEFAULTS,
    json: Json = False,
    screen: Output,
) -> None:
    """Teach a trained network your classes in seconds.

    A few pictures of each are enough. Its mlpconv layers stay as they are; one new 1x1 layer on their maps is learnt,
    so that every class has its exact map. The accuracy is that of the pictures themselves, a fifth at a time, each
    asked of what the other fifths taught, or that of the test split where there is one. Needs no torch.
    """
    from nin.cli.printed import tell
    from nin.cli.progress import Stop, listener_for
    from nin.teaching.teach import teach

    with listener_for(screen, Stop()) as listener:  # nothing to save: Ctrl-C ends it at once
        result = teach(path, options, listener)
    tell(result, _lines(result), screen, json)


def _lines(result: "TeachResult") -> "Iterator[str]":
    """The end of teaching: accuracy, the weakest classes, the folder, and commands to go on with."""
    from nin.cli.printed import accuracy_line, unknown_line, worst_classes

    summary = result.summary
    times = f"{summary['seconds_fitting']:.2f} of {summary['seconds']:.1f} seconds"
    yield f"{summary['parameters_learnt']:,} weights learnt in {times}"
    if result.evaluation is not None and result.split is not None:
        yield accuracy_line(result.evaluation, result.split)
        yield f"weakest classes (recall): {worst_classes(result.evaluation)}"
    if told := unknown_line(summary):
        yield told
    report = "; open report.html there first" if result.evaluation is not None else ""
    yield f"everything is in {safe(result.folder)}{report}"
    yield "next:"
    yield from (f"  {safe(command)}" for command in result.commands)
    yield "the model:"


TEACH = Command(
    "teach",
    _teach,
    "teach PATH [options]",
    ("teach photos", "teach photos --trunk nin-cifar10 --out runs/quick"),
)
