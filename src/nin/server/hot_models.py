"""Models by name, each as its folder now has it: a changed folder is opened aside, verified, and takes over at once.

A folder that is damaged, half copied or gone changes nothing but one line in the log: the model in memory goes on.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nin.bundle.shipped import find_model
from nin.engine.engine import Engine
from nin.errors import NinError, escape_name
from nin.server.metrics import Metrics
from nin.server.microbatch import Batcher
from nin.server.oip import describe

LOG = logging.getLogger("nin.serve")
POLL = 1.0  # seconds between looks at a folder

Opener = Callable[[str | Path], Engine]
Seen = tuple[tuple[str, int, int, int], ...]


class Served:
    """One model under its name. `current` answers; a request keeps the one it began with."""

    def __init__(self, name: str, place: str | Path, engine: Engine, seen: Seen, open_model: Opener) -> None:
        self.name = name
        self.place = place
        self.engine = engine
        self.metadata = describe(name, engine)
        self._seen = seen
        self._open = open_model
        self.current: Batcher
        self._old: set[asyncio.Task[None]] = set()
        self._said = ""  # why the folder could not be used, so that it is said once

    def start(self, most: int, metrics: Metrics) -> None:
        """Begin to answer; needs a running loop."""
        self._most = most
        self._metrics = metrics
        self.current = Batcher(self.engine, most=most, observe=metrics.batch)

    async def watch(self) -> None:
        """Follow the folder, for ever. It is read once it has stopped changing."""
        last = self._seen
        while True:
            await asyncio.sleep(POLL)
            now = await asyncio.to_thread(fingerprint, self.place)
            if now == last != self._seen:  # twice the same, and not what answers now: the copy is complete
                self._seen = now
                await self._reload()
            last = now

    async def _reload(self) -> None:
        name = escape_name(self.name)
        try:
            engine, metadata = await asyncio.to_thread(self._open_aside)
        except Exception as error:  # noqa: BLE001  a server does not end because of a folder
            self._metrics.reload(self.name, "failed")
            reason = str(error) if isinstance(error, NinError) else repr(error)
            if reason != self._said:
                LOG.warning("%s: what is there now cannot be used; the model in memory goes on (%s)", name, reason)
            self._said = reason
            return
        self._said = ""
        if engine.digest == self.engine.digest:
            return
        old = self.current
        self.engine = engine
        self.metadata = metadata
        self.current = Batcher(engine, most=self._most, observe=self._metrics.batch)
        self._metrics.reload(self.name, "done")
        LOG.info("%s: the model was replaced; sha256 %s answers now", name, engine.digest[:12])
        closing = asyncio.get_running_loop().create_task(old.close())
        self._old.add(closing)
        closing.add_done_callback(self._old.discard)

    def _open_aside(self) -> tuple[Engine, dict[str, Any]]:
        """What is there now, after it has answered once."""
        engine = self._open(self.place)
        return engine, describe(self.name, engine)


def fingerprint(place: str | Path) -> Seen:
    """Names, times, sizes and inodes of a model's files: something differs when one was written; () when it is gone."""
    try:
        path = Path(place)
        path = path if path.suffix == ".onnx" and path.is_file() else find_model(place)
        entries = [path] if path.is_file() else sorted(path.iterdir())
        found = [(entry.name, entry.stat()) for entry in entries]
    except (OSError, NinError):
        return ()
    return tuple((name, status.st_mtime_ns, status.st_size, status.st_ino) for name, status in found)
