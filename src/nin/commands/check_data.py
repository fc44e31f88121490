"""`nin data check`: a data set checked before training (torch-free)."""

from pathlib import Path
from typing import TYPE_CHECKING

from nin.choices import path_of
from nin.data.reading import reading_of

if TYPE_CHECKING:
    from nin.data.check import Check


def check(path: str | Path, *, divide: str | None = None, follow_links: bool = False) -> "Check":
    """Check a data set before training, read as `train` reads it with these choices: see nin.data.check."""
    from nin.data.check import check_source

    return check_source(path_of("path", path), reading=reading_of(divide, follow_links))
