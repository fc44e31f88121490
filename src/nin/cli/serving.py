"""The command that answers over HTTP."""

import logging
from typing import Annotated

from cyclopts import Parameter

from nin import workflows
from nin.cli.parameters import MODEL, Words
from nin.cli.screen import Screen, safe
from nin.errors import UsageError
from nin.workflows.options import ServeOptions

USAGE = "nin serve MODEL... [options]"
EXAMPLES = "Examples\n  nin serve runs/photos\n  nin serve cats=runs/cats nin-cifar10 --port 8080 --access-log"
DEFAULTS = ServeOptions()


class Log(logging.Handler):
    """Log records as lines on the screen, each with its time."""

    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self.screen = screen
        self.setFormatter(logging.Formatter("%(asctime)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Say it; what is only informative not under -q. A traceback is shown with --debug only."""
        if record.exc_info and not self.screen.debug:
            error = record.exc_info[1]
            record.msg, record.args = f"{record.getMessage()} ({type(error).__name__}: {error})", ()
            record.exc_info = record.exc_text = None
        line = safe(self.format(record)) if record.exc_info is None else self.format(record)
        if record.levelno < logging.WARNING:
            self.screen.note(line)
        else:
            self.screen.say(line)


def serve(
    *model: Annotated[str, Parameter(help=f"{MODEL[:-1]}; or NAME=MODEL. The first one is the default.")],
    options: Annotated[ServeOptions, Parameter(name="*")] = DEFAULTS,
    screen: Words,
) -> None:
    """Answer over HTTP: what is in a picture, and where.

    On this machine alone unless --public is given. SIGTERM or Ctrl-C ends it after the last answer; the exit code is
    then 0. The address goes to standard output, its /docs show how to ask.
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
        screen.note(f"{url}/docs shows how to ask; Ctrl-C ends it")
        if options.public:
            screen.warn("other machines are let in, nobody is asked for a password, and nothing is encrypted")
        screen.result(url)

    workflows.serve(model, options, begun)
