"""The long journeys as Python calls them: with the command line's progress, and a Ctrl-C that loses nothing."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from nin.choices import chosen, shown
from nin.cli.progress import Lines, Stop, listener_for
from nin.cli.screen import Screen, other_rank, safe
from nin.errors import Interrupted, UsageError
from nin.run.options import BatchOptions, Listener, TrainOptions

if TYPE_CHECKING:
    from nin.bulk.job import Batched
    from nin.run.run import RunResult
    from nin.training.state import Epoch, Progress

Result = TypeVar("Result")
BEAT = 0.5  # seconds between two looks of a line that is written over


def train(
    path: str | Path,
    options: TrainOptions | None = None,
    listener: Listener | None = None,
    *,
    progress: bool | None = None,
    **choices: Any,
) -> "RunResult":
    """Train a Network in Network on the pictures at `path` and leave everything in a run folder.

    `choices` are fields of TrainOptions: `train("photos", epochs=20, width=0.5)`; `network` may be a NINConfig, too.
    progress: show it on standard error, or below the cell of a notebook; by default where no listener is given. Raises
    DataError, UsageError or ArtifactError in one line. Ctrl-C, or a notebook's stop, ends it after the step under way:
    KeyboardInterrupt, which says how to go on; Interrupted when the listener asks to stop.
    """
    from nin.run.train import train_run

    return _long(lambda heard: train_run(path, options, heard, **choices), listener, progress)


def resume(
    folder: str | Path,
    listener: Listener | None = None,
    *,
    data: str | Path | None = None,
    progress: bool | None = None,
) -> "RunResult":
    """Go on with an interrupted run, to the same weights bit for bit as if it had not been interrupted.

    data: where its pictures lie now, if they have moved. progress: as for `train`.
    """
    from nin.run.train import resume_run

    return _long(lambda heard: resume_run(folder, heard, data=data), listener, progress)


def batch(
    model: str | Path,
    source: str | Path,
    destination: str | Path,
    options: BatchOptions | None = None,
    listener: Listener | None = None,
    *,
    progress: bool | None = None,
    **choices: Any,
) -> "Batched":
    """Answer every picture of a folder, a Parquet file or a bucket's address, and write Parquet to `destination`.

    See nin.bulk.answer; progress: as for `train`.
    """
    places = model, source, destination
    from nin.bulk.answer import answer_pictures

    return _long(lambda heard: answer_pictures(*places, options, heard, **choices), listener, progress)


def _long(work: Callable[[Listener], Result], listener: Listener | None, progress: bool | None) -> Result:
    """Do it with all who want to hear of it."""
    if listener is not None and not isinstance(listener, Listener):
        raise UsageError(f"listener is {shown(listener)}; expected an object of a class derived from nin.Listener")
    shows = chosen("progress", listener is None if progress is None else progress, bool) and not other_rank()
    with _interruptible(silent=not shows) as stop, _display(stop) if shows else Lines(Screen(quiet=True), stop) as own:
        try:
            result = work(Both(own, listener) if listener is not None else own)
        except Interrupted as error:
            if not stop.number:
                raise
            here = ", or with nin.resume in Python" if "--resume" in str(error) else ""
            raise KeyboardInterrupt(f"{error}{here}") from None
        if shows:
            for warning in getattr(result, "warnings", ()):
                own.say(f"warning: {safe(warning)}")
    return result


@contextmanager
def _interruptible(*, silent: bool) -> Iterator[Stop]:
    """Ctrl-C asks to stop while it lasts, where it would have raised KeyboardInterrupt: in a main thread, unless the
    program has its own way with it. SIGTERM stays the program's."""
    ours = threading.current_thread() is threading.main_thread()
    ours = ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with Stop(silent=silent, signals=[signal.SIGINT] if ours else []) as stop:
        yield stop


def _display(stop: Stop) -> Lines:
    return Cell(Screen(), stop) if in_notebook() else listener_for(Screen(), stop)


def in_notebook() -> bool:
    """Whether what is written to standard output stands below the cell of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


class Cell(Lines):
    """Lines below the cell of a notebook, the last one written over as work goes on."""

    def __init__(self, screen: Screen, stop: Stop) -> None:
        super().__init__(screen, stop)
        self._open = 0  # letters of the line that may be written over

    def say(self, text: str) -> None:
        """One line that stays."""
        self.spoke = time.monotonic()
        self._write(text, "\n")
        self._open = 0

    def pulse(self, text: str) -> None:
        """One line in the place of the last one, if that is not too new."""
        if time.monotonic() - self.spoke >= BEAT:
            self.spoke = time.monotonic()
            self._write(text, "")
            self._open = len(text)

    def _write(self, text: str, end: str) -> None:
        sys.stdout.write(("\r" if self._open else "") + text.ljust(self._open) + end)
        sys.stdout.flush()


class Both(Listener):
    """What shows progress, and the caller's own listener: each hears everything, and either may ask to stop."""

    def __init__(self, *listeners: Listener) -> None:
        self.listeners = listeners

    def note(self, text: str) -> None:
        for each in self.listeners:
            each.note(text)

    def loading(self, done: int, total: int) -> None:
        for each in self.listeners:
            each.loading(done, total)

    def answered(self, done: int, total: int) -> None:
        for each in self.listeners:
            each.answered(done, total)

    def begin(self, about: dict[str, Any]) -> None:
        for each in self.listeners:
            each.begin(about)

    def step(self, progress: "Progress") -> None:
        for each in self.listeners:
            each.step(progress)

    def epoch(self, epoch: "Epoch", epochs: int) -> None:
        for each in self.listeners:
            each.epoch(epoch, epochs)

    def should_stop(self) -> bool:
        return any(each.should_stop() for each in self.listeners)
