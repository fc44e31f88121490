"""How a user wants a data set to be read where it can be read in more than one way."""

from dataclasses import dataclass
from functools import cached_property

from nin.choices import chosen
from nin.data.formats.split_names import SPLIT_WORDS
from nin.errors import UsageError


@dataclass(frozen=True)
class Reading:
    """divide: which parts the data have. "none": they are one, whatever their folders or columns are called;
    "test=fold_4,validation=fold_3": these folders, or values of the split column, are those splits, the rest is train
    (or, with "train=..." among them, left out). follow_links: links are read wherever they lead.
    offered: the command at work has the options --divide and --follow-links, so that messages may name them.

    UsageError where `divide` is neither.
    """

    divide: str | None = None
    follow_links: bool = False
    offered: bool = False

    def __post_init__(self) -> None:
        if self.divide is not None and not self.whole:
            _ = self.parts

    @property
    def whole(self) -> bool:
        """Whether nothing is divided."""
        return self.divide is not None and self.divide.strip().lower() == "none"

    @cached_property
    def parts(self) -> dict[str, str]:
        """Name of a folder or value of a column -> split, as the user says; nothing where he says nothing."""
        if self.divide is None or self.whole:
            return {}
        parts = {}
        for pair in self.divide.split(","):
            split, equals, name = pair.partition("=")
            if not equals or split.strip().lower() not in SPLIT_WORDS or not name.strip():
                raise UsageError(f"--divide is {self.divide!r}; expected none, or parts such as test=fold_4")
            parts[name.strip()] = SPLIT_WORDS[split.strip().lower()]
        return parts

    def hint(self, with_option: str, without: str) -> str:
        """What to do, for the command at work: `with_option`, or `without` where it has no such option."""
        return f"{with_option}, or {without}" if self.offered else without


AS_FOUND = Reading()


def reading_of(divide: str | None, follow_links: bool) -> Reading:
    """How a command with the options --divide and --follow-links wants the data to be read; UsageError otherwise."""
    divide = chosen("divide", divide, str | None)
    follow_links = chosen("follow_links", follow_links, bool)
    return Reading(divide, follow_links, offered=True)
