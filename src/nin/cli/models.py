"""The commands by which models come in and go out."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from nin import workflows
from nin.cli.exchange import to_json
from nin.cli.parameters import FOREIGN, Json, Model, Words
from nin.cli.screen import safe
from nin.errors import UsageError
from nin.workflows.options import ExportOptions, ImportOptions

DEFAULTS, IMPORT_DEFAULTS = ExportOptions(), ImportOptions()


def import_(
    *file: Annotated[Path, Parameter(help=FOREIGN)],
    options: Annotated[ImportOptions, Parameter(name="*")] = IMPORT_DEFAULTS,
    json: Json = False,
    screen: Words,
) -> int:
    """Bring in somebody else's network.

    Shows what its files say and what that is here, and makes a model folder of its weights. No code in a file is run.
    """
    if not file:
        raise UsageError(f"nin import needs FILE: {FOREIGN[0].lower()}{FOREIGN[1:-1]}")
    found = workflows.import_model(file, options)
    for warning in found.warnings:
        screen.warn(warning)
    for note in found.notes:
        screen.note(f"note: {safe(note)}")
    if json:
        screen.result(to_json(found))
    else:
        from nin.cli.tables import import_lines

        screen.result("\n".join(import_lines(found)))
    if options.out is None or found.model is not None:
        return 0
    screen.error(f"nothing was written to {options.out}: {found.missing}")
    return 1


def export(
    model: Model,
    /,
    *,
    options: Annotated[ExportOptions, Parameter(name="*")] = DEFAULTS,
    json: Json = False,
    screen: Words,
) -> None:
    """Write a model as one file that other programs run.

    Pictures of any size in; probabilities, logits and class maps out; labels inside. Proven equal to torch on real
    pictures before it is written, with the certificate beside it.
    """
    done = workflows.export(model, options)
    if json:
        screen.result(to_json(done))
        return
    from nin.cli.tables import export_lines

    for line in export_lines(done):
        screen.note(line)
    screen.result(safe(done.file))


def bench(
    *model: Annotated[str, Parameter(help="Model folders, exported .onnx files, or names of models in the package.")],
    data: Annotated[Path | None, Parameter(help="Labelled pictures to measure the accuracy on, too.")] = None,
    threads: Annotated[int | None, Parameter(help="Threads to compute with; by default one a core.")] = None,
    json: Json = False,
    screen: Words,
) -> None:
    """Measure how fast models answer on this machine.

    Milliseconds of single pictures, pictures a second by pictures at a time, sizes; with ONNX Runtime and, where they
    are installed, with OpenVINO and torch, in turn.
    """
    found = workflows.bench(model, data=data, threads=threads)
    for name, note in dict.fromkeys((one.model, note) for one in found for note in one.notes):
        screen.note(f"note: {safe(name)}: {safe(note)}")
    if json:
        screen.result(to_json(found))
        return
    from nin.cli.tables import bench_lines

    screen.result("\n".join(bench_lines(found)))
