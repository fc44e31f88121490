"""What was taught from what, before it is written."""

from dataclasses import dataclass
from pathlib import Path

from nin.data.cache import Decoded
from nin.data.splits import Source
from nin.teaching.estimate import Taught
from nin.teaching.teach_options import TeachOptions
from nin.teaching.trunk import Trunk

LEFT_OUT = "left-out"  # the training pictures, each asked of what was taught without its fifth


@dataclass(frozen=True, eq=False)
class Lesson:
    """What was taught from what. seconds: all of it until now; fitted: the part of them that was no preparation."""

    folder: Path
    source: Source
    options: TeachOptions
    trunk: Trunk
    decoded: dict[str, Decoded]
    taught: Taught
    seconds: float
    fitted: float

    @property
    def split(self) -> str | None:
        """What the result is measured on."""
        own = next((name for name in ("test", "validation") if name in self.decoded), None)
        return own or (LEFT_OUT if self.taught.probabilities is not None else None)

    def pictures(self, split: str) -> Decoded:
        """The pictures of a split."""
        return self.decoded["train" if split == LEFT_OUT else split]

    def name(self, split: str, row: int) -> str:
        """What to call a picture: its file's name, or its number."""
        part = "train" if split == LEFT_OUT else split
        return self.source.short_name(part, int(self.decoded[part].kept[row]))
