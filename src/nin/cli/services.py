"""The commands that put a model into service: `nin serve` over HTTP, `nin batch` for very many pictures."""

import logging
from typing import Annotated

from cyclopts import Parameter

from nin.cli.command import Command
from nin.cli.exchange import to_json
from nin.cli.parameters import MODEL, Json, Model, Output
from nin.cli.screen import Screen, safe
from nin.errors import UsageError
from nin.run.options import BatchOptions, ServeOptions

SOURCE = "A folder of pictures, Parquet files, or a bucket: s3://name/prefix."
DESTINATION = "A new folder or bucket prefix for the Parquet files, or one where the same work was begun."
BATCH_DEFAULTS = BatchOptions()
SERVE_DEFAULTS = ServeOptions()


def _batch(
    model: Model,
    source: Annotated[str, Parameter(help=SOURCE)],
    destination: Annotated[str, Parameter(help=DESTINATION)],
    /,
    *,
    options: Annotated[BatchOptions, Parameter(name="*")] = BATCH_DEFAULTS,
    json: Json = False,
    screen: Output,
) -> None:
    """Classify millions of pictures into Parquet files.

    Works on all cores or on a Ray cluster. Each picture has a row with path, label and score, or with an error where it
    could not be read. After a stop or a crash the same command goes on. Needs the extra [ray].
    """
    from nin.bulk.answer import answer_pictures
    from nin.cli.progress import Stop, listener_for

    with Stop() as stop, listener_for(screen, stop) as listener:
        done = answer_pictures(model, source, destination, options, listener)
    if json:
        screen.result(to_json(done))
        return
    if done.errors:
        screen.warn(f"{done.errors:,} of {done.pictures:,} pictures could not be read; the column error says why")
    before = f", {done.skipped:,} of them from before" if done.skipped else ""
    speed = f"{done.seconds:,.1f} s, {done.images_per_second:,.0f} img/s" if done.processes else "nothing was left"
    screen.note(f"{done.pictures:,} pictures in {done.blocks:,} parts{before}; {speed}")
    screen.result(safe(done.destination))


class Log(logging.Handler):
    """Log records as lines on the screen, each with its time."""

    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self.screen = screen
        self.setFormatter(logging.Formatter("%(asctime)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; -q leaves out informative ones, and only --debug shows tracebacks."""
        if record.exc_info and not self.screen.debug:
            error = record.exc_info[1]
            record.msg = f"{record.getMessage()} ({type(error).__name__}: {error})"
            record.args = ()
            record.exc_info = record.exc_text = None
        line = safe(self.format(record)) if record.exc_info is None else self.format(record)
        if record.levelno < logging.WARNING:
            self.screen.note(line)
        else:
            self.screen.say(line)


def _serve(
    *model: Annotated[str, Parameter(help=f"{MODEL[:-1]}; or NAME=MODEL. The first one is the default.")],
    options: Annotated[ServeOptions, Parameter(name="*")] = SERVE_DEFAULTS,
    screen: Output,
) -> None:
    """Serve models over HTTP: what is in a picture, and where.

    Only this machine is answered unless --public is given. SIGTERM or Ctrl-C ends the server after the requests under
    way; the exit code is then 0. The address goes to standard output; its page /docs explains the interface.
    """
    if not model:
        raise UsageError(f"nin serve needs MODEL: {MODEL[0].lower()}{MODEL[1:-1]}")
    handler = Log(screen)
    access = logging.INFO if options.access_log else logging.WARNING
    for name, level in (("nin.serve", logging.INFO), ("nin.access", access), ("asyncio", logging.WARNING)):
        log = logging.getLogger(name)
        log.setLevel(level)
        log.addHandler(handler)
        log.propagate = False

    def begun(url: str, models: list[str]) -> None:
        for line in models:
            screen.note(safe(line))
        screen.note(f"{url}/docs explains the interface; Ctrl-C ends the server")
        if options.public:
            screen.warn("reachable by other machines, without a password and without encryption")
        screen.result(url)

    from nin.server.serve import serve as answer

    answer(model, options, begun)


BATCH = Command(
    "batch",
    _batch,
    "batch MODEL SOURCE DESTINATION [options]",
    (
        "batch runs/photos pictures answers",
        "batch runs/photos s3://bucket/in s3://bucket/out --address auto",
    ),
)
SERVE = Command(
    "serve",
    _serve,
    "serve MODEL... [options]",
    ("serve runs/photos", "serve cats=runs/cats nin-cifar10 --port 8080 --access-log"),
)
