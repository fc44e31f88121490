"""When a run is saved: after every epoch, and within epochs so often that a kill loses little, and no more often."""

import time
from pathlib import Path
from typing import Any

from nin.training import checkpoint
from nin.training.loop import Trainer

EVERY = 120.0  # seconds between two saves at least; ours: what a kill may lose
SHARE = 0.005  # of the time that saving may take, at most


class Saves:
    """Writes the checkpoints of a run, by the clock where that is asked for; `about` travels with each."""

    def __init__(self, folder: Path, trainer: Trainer, about: dict[str, Any]) -> None:
        self.folder = folder
        self.trainer = trainer
        self.about = about
        self._due = time.monotonic() + EVERY

    def now(self) -> None:
        """Save now; the next one is due later the longer this one takes."""
        start = time.monotonic()
        checkpoint.save(self.folder, self.trainer, self.about)
        end = time.monotonic()
        self._due = end + max(EVERY, (end - start) / SHARE)

    def if_due(self) -> None:
        """Save if the last one was long ago."""
        if time.monotonic() >= self._due:
            self.now()
