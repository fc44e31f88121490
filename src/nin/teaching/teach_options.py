"""What `nin teach` lets a user choose (torch-free)."""

from dataclasses import dataclass
from pathlib import Path

from nin.choices import Range, check_fields
from nin.data.reading import Reading

TRUNK = "nin-cifar10"  # whose maps serve best: experiments/2026-11-30-teach
RANGES: dict[str, Range] = {"cut": (1, 100), "size": (8, 512)}


@dataclass(frozen=True, kw_only=True)
class TeachOptions:
    """What `nin teach` lets a user choose. None means: as usual for the trunk, printed and saved in args.yaml."""

    out: Path | None = None
    """Run folder; by default runs/<name of the pictures>-taught."""
    trunk: str = TRUNK
    """Whose mlpconv layers to use: a model folder, or a model of the package."""
    cut: int | None = None
    """After which mlpconv layer; by default one before the last."""
    size: int | None = None
    """Side of the square the network sees, in pixels; by default the trunk's."""
    skip_unreadable: bool = False
    """Leave out pictures that cannot be read instead of stopping."""
    divide: str | None = None
    """Folders, or values of a table's split column, that are splits: test=fold_4; none: all are classes."""
    follow_links: bool = False
    """Read links to pictures and folders elsewhere."""
    overwrite: bool = False
    """Replace what nin teach left in the same folder before."""

    def __post_init__(self) -> None:
        check_fields(self, RANGES)
        _ = self.reading  # refuses what --divide cannot mean

    @property
    def reading(self) -> Reading:
        """How the pictures are to be read; UsageError where `divide` says nothing that can be done."""
        return Reading(self.divide, self.follow_links, offered=True)
