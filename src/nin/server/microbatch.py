"""Pictures that wait together are answered together: one engine, one thread, batches as large as the queue has them.

While the engine computes, the next batch gathers. An idle engine waits only for pictures that are known to be coming,
and not longer than PATIENCE; a lone picture is never kept waiting. N pictures (H, W, C) uint8.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial

import numpy as np

from nin.engine.engine import Answers, Engine

PATIENCE = 0.002  # seconds that an idle engine waits for pictures being decoded

_Item = tuple[np.ndarray, "asyncio.Future[Answers]"]


class Batcher:
    """Asks an engine for many at once. `most`: pictures of one batch; `observe` hears the size of every batch."""

    def __init__(self, engine: Engine, *, most: int, observe: Callable[[int], None]) -> None:
        self.engine = engine
        self.most = most
        self._observe = observe
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="nin-engine")
        self._waiting: deque[_Item] = deque()
        self._coming = 0  # requests whose pictures are being decoded
        self._news = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task = asyncio.get_running_loop().create_task(self._work())

    @contextmanager
    def expecting(self) -> Iterator[None]:
        """While pictures for this engine are being decoded."""
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1
            self._news.set()

    async def run(self, images: np.ndarray) -> Answers:
        """The answers for (N, H, W, C) uint8 of the engine's own size; raises what the engine raises."""
        future: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
        self._waiting.append((images, future))
        self._idle.clear()
        self._news.set()
        return await future

    async def close(self) -> None:
        """Answer what waits, then end."""
        while self._coming:
            await asyncio.sleep(0.01)
        await self._idle.wait()
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._thread.shutdown()

    async def _work(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            await self._gather()
            while batch := self._take():
                await self._compute(batch)
            self._idle.set()

    async def _gather(self) -> None:
        """Wait a little for pictures that are coming, until there is a whole batch."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while self._waiting and self._coming and sum(len(images) for images, _ in self._waiting) < self.most:
                    await self._news.wait()
                    self._news.clear()

    def _take(self) -> list[_Item]:
        """The next batch: at most `most` pictures, or one request that alone has more; the rest stays in the queue."""
        batch: list[_Item] = []
        count = 0
        while self._waiting and (not batch or count + len(self._waiting[0][0]) <= self.most):
            images, future = self._waiting.popleft()
            if not future.done():  # else whoever asked has gone
                batch.append((images, future))
                count += len(images)
        return batch

    async def _compute(self, batch: list[_Item]) -> None:
        images = batch[0][0] if len(batch) == 1 else np.concatenate([images for images, _ in batch])  # (N, H, W, C)
        self._observe(len(images))
        call = partial(self.engine.run, images)
        try:
            answers = await asyncio.get_running_loop().run_in_executor(self._thread, call)
        except Exception as error:  # noqa: BLE001  whatever it is, whoever asked hears it
            if len(batch) > 1:  # one of them may be to blame: the others are answered
                for item in batch:
                    await self._compute([item])
            elif not batch[0][1].done():
                batch[0][1].set_exception(error)
            return
        start = 0
        for images, future in batch:
            part = slice(start, start := start + len(images))
            if not future.done():
                future.set_result(answers.part(part))
