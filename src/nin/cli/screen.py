"""Where words go: results to standard output; notes, warnings and errors to standard error."""

import os
import shutil
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TextIO

from nin.errors import ArtifactError

STYLES = {"bold": "1", "red": "1;31", "yellow": "33", "dim": "2"}
SWITCHES = {
    "-q": "quiet",
    "--quiet": "quiet",
    "-v": "verbose",
    "--verbose": "verbose",
    "--debug": "debug",
}


def safe(text: object) -> str:
    """`text` on one line with nothing that moves a cursor; names from files and labels pass through here."""
    words = str(text)
    if words.isprintable():
        return words
    from nin.errors import escape_name

    return escape_name(words)


def other_rank(variable: str = "RANK") -> bool:
    """Whether torchrun has started this process beside the one that speaks for all (LOCAL_RANK: on this machine)."""
    return os.environ.get(variable, "").lstrip("0").isdecimal()


def interactive() -> bool:
    """May standard error show a moving bar? Not in a pipe, a CI log or a dumb terminal."""
    automatic = os.environ.get("CI", "").lower() not in ("", "0", "false")
    return sys.stderr.isatty() and not automatic and os.environ.get("TERM", "") not in ("dumb", "unknown")


def screen_width() -> int:
    """Columns of the terminal that results go to, or of the variable COLUMNS; 80 where neither is known."""
    return max(40, shutil.get_terminal_size((80, 24)).columns)


def coloured(stream: TextIO) -> bool:
    """NO_COLOR wins over FORCE_COLOR, and that over what the stream is."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return stream.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")


def paint(text: str, style: str, stream: TextIO) -> str:
    """`text` in bold, red, yellow or dim, where the stream shows colours."""
    return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if coloured(stream) else text


@dataclass(frozen=True)
class Screen:
    """What a command may say and where; made from the switches that stand anywhere in the command line."""

    quiet: bool = False
    verbose: bool = False
    debug: bool = False

    def result(self, text: str) -> None:
        """One piece of result on standard output, at once. BrokenPipeError when nobody reads any more."""
        if sys.stdout is None:
            raise ArtifactError("standard output is closed; the result cannot be shown")
        try:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise ArtifactError(f"the result cannot be written to standard output ({error.strerror})") from error

    def say(self, text: str) -> None:
        """One line on standard error. A closed terminal must not end a run: what cannot be said is dropped."""
        if sys.stderr is not None:
            with suppress(OSError, ValueError):
                sys.stderr.write(text + "\n")
                sys.stderr.flush()

    def note(self, text: str) -> None:
        """What a user may like to know."""
        if not self.quiet:
            self.say(text)

    def detail(self, text: str) -> None:
        """What only those like to know who ask for more."""
        if self.verbose:
            self.say(text)

    def warn(self, text: str) -> None:
        """What a user must not overlook, -q or not."""
        self.say(f"{paint('warning:', 'yellow', sys.stderr)} {safe(text)}")

    def error(self, text: object, hint: str = "") -> None:
        """What went wrong in one line, with a second line of what to type for usage errors."""
        if self.debug and sys.exc_info()[1] is not None:
            self.say(traceback.format_exc().rstrip())
        self.say(f"{paint('nin:', 'red', sys.stderr)} {safe(text)}")
        if hint:
            self.say(f"try: {hint}")


def screen_for(words: Sequence[str]) -> tuple[Screen, list[str]]:
    """The screen that the words of a command line ask for, and the words without -q, -v and --debug."""
    end = words.index("--") if "--" in words else len(words)
    asked = {SWITCHES[word]: True for word in words[:end] if word in SWITCHES}
    return Screen(**asked), [word for word in words[:end] if word not in SWITCHES] + list(words[end:])
