"""A run as it goes: a bar on a terminal, plain lines elsewhere, and what Ctrl-C and SIGTERM mean meanwhile."""

import math
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from nin.cli.screen import Screen, interactive, safe
from nin.errors import Interrupted
from nin.run.options import Listener

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

    from nin.training.state import Epoch, Progress

Kind = type[BaseException] | None
BARS = "▁▂▃▄▅▆▇█"
FEWEST_BARS, MOST_BARS = 3, 40  # epochs that a row of bars shows
HEARTBEAT = 60.0  # seconds of silence after which a log gets a line within an epoch
ASKED = b"stopping after this step; Ctrl-C again to stop at once\n"


class Terminated(Interrupted):
    """SIGTERM stopped a run; what had been reached is saved."""

    exit_code = 143


class StoppedAtOnce(KeyboardInterrupt):
    """The second signal; `exit_code` says which one it was."""

    def __init__(self, number: int) -> None:
        super().__init__("stopped at once")
        self.exit_code = 128 + number


class Stop(AbstractContextManager["Stop"]):
    """Ctrl-C and SIGTERM while it lasts: the first asks to stop after the step under way, the second stops at once."""

    def __init__(self, *, silent: bool = False, signals: Sequence[int] = (signal.SIGINT, signal.SIGTERM)) -> None:
        self.signals = signals
        self.number = 0  # of the signal that asked
        self.silent = silent
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in self.signals:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup and shell jobs ignore Ctrl-C on purpose
                self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self.number == signal.SIGTERM and isinstance(error, Interrupted):
            terminated = Terminated(str(error))
            terminated.said = error.said
            raise terminated from error

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        if self.number:
            raise StoppedAtOnce(number)
        self.number = number
        if self.silent:
            return
        erase = b"\r\x1b[K" if interactive() else b""
        with suppress(OSError):
            os.write(2, erase + ASKED)  # not sys.stderr: a signal may come in the middle of its write


class Lines(Listener, AbstractContextManager["Lines"]):
    """One line an epoch, for logs and pipes; a heartbeat in long epochs."""

    def __init__(self, screen: Screen, stop: Stop) -> None:
        self.screen, self.stop = screen, stop
        self.left = math.inf  # seconds of the whole run
        self.first: tuple[float, int] | None = None  # when a batch was first heard of, and how far it was then
        self.spoke = time.monotonic()
        self.epochs: list[Epoch] = []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The whole run at a glance, where it ended well."""
        if kind is None:
            for line in glance(self.epochs):
                self.say(line)

    def note(self, text: str) -> None:
        self.say(f"note: {safe(text)}")

    def loading(self, done: int, total: int) -> None:
        if self.stop.number:
            raise Interrupted("stopped while pictures were read; nothing was changed")
        self.pulse(f"{done:,} of {total:,} pictures read")

    def answered(self, done: int, total: int) -> None:
        self.first = self.first or (time.monotonic(), done)
        rate = (done - self.first[1]) / max(time.monotonic() - self.first[0], 1e-9)
        self.left = (total - done) / rate if rate else math.inf
        self.pulse(f"{done:,} of {total:,} pictures answered  {rate:,.0f} img/s  ETA {duration(self.left)}")

    def begin(self, about: dict[str, Any]) -> None:
        for label, text in _facts(about):
            self.say(f"{label:<9}{safe(text)}")
        if self.screen.verbose:
            self.say(f"recipe   {safe(', '.join(f'{key} {value}' for key, value in about.get('recipe', {}).items()))}")

    def step(self, progress: "Progress") -> None:
        self.left = progress.seconds_left
        self.pulse(
            f"epoch {progress.epoch}/{progress.epochs}  step {progress.step}/{progress.steps}  "
            f"loss {progress.loss:.3f}  {progress.images_per_second:,.0f} img/s  ETA {duration(self.left)}"
        )

    def epoch(self, epoch: "Epoch", epochs: int) -> None:
        self.epochs.append(epoch)
        self.say(epoch_line(epoch, epochs, self.left, self.screen.verbose))

    def should_stop(self) -> bool:
        return bool(self.stop.number)

    def say(self, text: str) -> None:
        """One line, now."""
        self.spoke = time.monotonic()
        self.screen.note(text)

    def pulse(self, text: str) -> None:
        """One line if there was none for a while."""
        if time.monotonic() - self.spoke >= HEARTBEAT:
            self.say(text)


class Bar(Lines):
    """A moving bar below the epochs' lines, for people at a terminal."""

    def __init__(self, screen: Screen, stop: Stop) -> None:
        super().__init__(screen, stop)
        self._bar: RichProgress | None = None
        self._task: Any = None
        self._at = ("", 0)  # what the bar counts
        self._since = time.monotonic()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hide()
        super().__exit__(kind, error, trace)

    def loading(self, done: int, total: int) -> None:
        super().loading(done, total)
        self._move("reading pictures", done, total, "")
        if done == total:
            self._hide()

    def answered(self, done: int, total: int) -> None:
        super().answered(done, total)
        self._move("answering pictures", done, total, f"ETA {duration(self.left)}")
        assert self._bar is not None
        self._bar.update(self._task, words=f"ETA {duration(self.left)}")
        if done == total:
            self._hide()

    def step(self, progress: "Progress") -> None:
        super().step(progress)
        self._move(f"epoch {progress.epoch}/{progress.epochs}", progress.step, progress.steps, "")
        epoch_left = (time.monotonic() - self._since) / max(progress.step, 1) * (progress.steps - progress.step)
        assert self._bar is not None
        self._bar.update(
            self._task,
            words=f"loss {progress.loss:.3f}  {progress.images_per_second:,.0f} img/s  "
            f"ETA {duration(epoch_left)}, run {duration(self.left)}",
        )

    def say(self, text: str) -> None:
        self.spoke = time.monotonic()
        if self._bar is None:
            self.screen.note(text)
        else:
            self._bar.console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)

    def pulse(self, text: str) -> None:
        """The bar moves; no line is needed."""

    def _move(self, title: str, done: int, total: int, words: str) -> None:
        if self._bar is None:
            self._bar = _bar()
            self._task = self._bar.add_task(title, total=total, words=words)
            self._bar.start()
        if self._at != (title, total):
            self._at, self._since = (title, total), time.monotonic()
            self._bar.reset(self._task, total=total, description=title, words=words)
        self._bar.update(self._task, completed=done)

    def _hide(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _bar() -> "RichProgress":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=14),
        MofNCompleteColumn(),
        TextColumn("{task.fields[words]}"),
    )
    console = Console(file=sys.stderr, force_terminal=True)
    return Progress(*columns, console=console, transient=True, refresh_per_second=4, redirect_stdout=False)


def listener_for(screen: Screen, stop: Stop) -> Lines:
    """A bar where one can be shown and is wanted, else lines."""
    return Bar(screen, stop) if interactive() and not screen.quiet else Lines(screen, stop)


def duration(seconds: float) -> str:
    """0:07, 12:30, 1:02:03; "?" when it is not known."""
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def epoch_line(epoch: "Epoch", epochs: int, left: float, verbose: bool = False) -> str:
    """The line of a finished epoch; losses are cross-entropies, accuracies shares of 1."""
    more = f"  val loss {epoch.val_loss:.3f}  lr {epoch.lr:.4g}" if verbose else ""
    return (
        f"epoch {epoch.epoch:>{len(str(epochs))}}/{epochs}  loss {epoch.train_loss:.3f}  "
        f"accuracy {epoch.train_accuracy:.3f}  val {epoch.val_accuracy:.3f}{more}  "
        f"{epoch.images_per_second:,.0f} img/s  ETA {duration(left)}"
    )


def glance(epochs: Sequence["Epoch"]) -> Iterator[str]:
    """Loss and validation accuracy over the epochs as two rows of bars with their ends; nothing of fewer than three."""
    if len(epochs) < FEWEST_BARS:
        return
    losses = [epoch.train_loss for epoch in epochs]
    right = [epoch.val_accuracy for epoch in epochs]
    best = max(range(len(right)), key=right.__getitem__)
    yield f"loss       {sparkline(losses)}  {losses[0]:.3f} to {losses[-1]:.3f}"
    yield f"validation {sparkline(right)}  best {right[best]:.3f} in epoch {epochs[best].epoch}"


def sparkline(values: Sequence[float]) -> str:
    """Values as bars of eight heights, from the least to the largest, at most MOST_BARS of them evenly chosen."""
    count = min(len(values), MOST_BARS)
    chosen = [values[round(place * (len(values) - 1) / max(1, count - 1))] for place in range(count)]
    finite = [value for value in chosen if math.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((value - low) * scale)] if math.isfinite(value) else " " for value in chosen)


def _allowed(about: dict[str, Any]) -> str:
    """Of how many epochs, where a budget of time allows fewer."""
    budget = about.get("budget")
    if not budget or budget["epochs"] >= budget["of_epochs"]:
        return ""
    return f" of {budget['of_epochs']:,}, as many as --max-time {budget['max_time']} allows"


def _facts(about: dict[str, Any]) -> list[tuple[str, str]]:
    """The start of a run in a few lines; what a run does not tell is left out."""
    pictures = about.get("pictures") or {}
    counts = ", ".join(f"{count:,} {name}" for name, count in pictures.items())
    recipe = about.get("recipe") or {}
    size = " x ".join(str(n) for n in (about.get("channels"), *about.get("size", ())) if n)
    way = (about.get("preprocess") or {}).get("normalisation")
    rows = [
        ("data", f"{about.get('data') or 'demo'}: {counts}, {about.get('classes', '?')} classes"),
        ("network", f"{about.get('parameters', 0):,} parameters, input {size}{f', {way}' if way else ''}"),
        ("training", f"{recipe.get('epochs', '?')} epochs{_allowed(about)}, batches of {about.get('batch', '?')}"),
        ("machine", str(about.get("machine", ""))),
        ("folder", str(about.get("folder", ""))),
    ]
    return [(label, text) for label, text in rows if text]
