"""Every error that a user can cause or mend. One line each: what was found, what was expected, what to do.

NinError                 the run failed                                        exit code 1
├── DataError            pictures, labels, data sets
├── ModelError           model folders, checkpoints, weights
├── ArtifactError        a file could not be written, or is not what was written
├── NotFinite            numbers of a training became infinite or no number at all
├── UsageError           the command or the call is wrong                      exit code 2
│   └── MissingExtra     an optional part is not installed
├── BelowThreshold       the result is under --fail-under                      exit code 3
└── Interrupted          stopped by the user, state saved                      exit code 130
"""

import re
from typing import ClassVar

_OPTION = re.compile(r"(?<![\w-])--([a-z]+(?:-[a-z]+)*)")
_FOREIGN = ("master-port", "index-url")  # options of torchrun and of pip
_PYTHON = {"from": "from_", "input": "input_size", "resume": "nin.resume"}  # what does not bear the option's own name


def amount(count: int, one: str, many: str = "") -> str:
    """A number with its noun, for messages: "1 picture", "2,000 pictures"; `many` where the plural is not `one` + s."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def escape_name(text: object) -> str:
    r"""`text` on one line with nothing that moves a cursor: newline, ANSI, RTL and the like become `\x1b`, `\u202e`."""
    joiners = "\u200c\u200d"  # of Persian, Indic scripts and emoji: they stay
    return "".join(c if c.isprintable() or c in joiners else c.encode("unicode_escape").decode() for c in str(text))


class NinError(Exception):
    """Base of every error of this package; its text is one line for the person at the keyboard."""

    exit_code: ClassVar[int] = 1
    said: bool | None = None  # of many processes: True where another one shows it, False where this one does

    def __init__(self, text: object = "") -> None:
        super().__init__(text)
        self._note()

    def add_way(self, way: str) -> None:
        """Add what else can be done to the text, which ends in what to do."""
        self.args = (f"{self} or {way}",)
        self._note()

    def _note(self) -> None:
        """Under the text in a traceback: what the options in it are called in Python."""
        names = [name for name in dict.fromkeys(_OPTION.findall(str(self))) if name not in _FOREIGN]
        told = [f"--{name} is {_PYTHON.get(name, name.replace('-', '_'))}" for name in names]
        self.__notes__ = [f"In Python: {', '.join(told)}"] if told else []


class DataError(NinError):
    """A picture, a label file or a data set cannot be used as it is."""


class ModelError(NinError):
    """A model folder, a checkpoint or a weight file is damaged, foreign or does not fit."""


class ArtifactError(NinError):
    """A file could not be written completely, or its content is not what was once written."""


class NotFinite(NinError):
    """The loss, the gradient or a weight of a training is infinite or no number any more; no such state is saved."""


class UsageError(NinError):
    """An option, an argument or a path is wrong; nothing was started."""

    exit_code = 2


class MissingExtra(UsageError):
    """A command needs an optional part of the package that is not installed."""


class BelowThreshold(NinError):
    """The measured accuracy is under the demanded one."""

    exit_code = 3


class Interrupted(NinError):
    """The user stopped a run; what had been reached is saved."""

    exit_code = 130
