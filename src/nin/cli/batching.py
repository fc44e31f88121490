"""The command that answers very many pictures."""

from typing import Annotated

from cyclopts import App, Parameter

from nin import workflows
from nin.cli.exchange import to_json
from nin.cli.parameters import Json, Model, Words
from nin.cli.screen import safe
from nin.workflows.options import BatchOptions

SOURCE = "A folder of pictures, Parquet files, or a bucket: s3://name/prefix."
DESTINATION = "A new folder or bucket prefix for the Parquet files, or one in which the same work goes on."
DEFAULTS = BatchOptions()


def add_batch(app: App) -> None:
    """Give the program its command batch."""
    app.command(
        usage="nin batch MODEL SOURCE DESTINATION [options]",
        help_epilogue=(
            "Examples\n  nin batch runs/photos pictures answers\n"
            "  nin batch runs/photos s3://bucket/in s3://bucket/out --address auto"
        ),
    )(batch)


def batch(
    model: Model,
    source: Annotated[str, Parameter(help=SOURCE)],
    destination: Annotated[str, Parameter(help=DESTINATION)],
    /,
    *,
    options: Annotated[BatchOptions, Parameter(name="*")] = DEFAULTS,
    json: Json = False,
    screen: Words,
) -> None:
    """Answer millions of pictures into Parquet.

    On all cores or a Ray cluster. A row a picture: path, label, score, and error where it could not be read. Stopped or
    killed, the same command goes on where it was. Needs the extra [ray].
    """
    from nin.cli.progress import Stop, listener_for

    with Stop() as stop, listener_for(screen, stop) as listener:
        done = workflows.batch(model, source, destination, options, listener)
    if json:
        screen.result(to_json(done))
        return
    if done.errors:
        screen.warn(f"{done.errors:,} of {done.pictures:,} pictures could not be read; the column error says why")
    before = f", {done.skipped:,} of them from before" if done.skipped else ""
    speed = f"{done.seconds:,.1f} s, {done.images_per_second:,.0f} img/s" if done.processes else "nothing was left"
    screen.note(f"{done.pictures:,} pictures in {done.blocks:,} parts{before}; {speed}")
    screen.result(safe(done.destination))
