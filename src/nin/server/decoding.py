"""Pictures of requests, decoded and resized aside from the event loop, within one budget for all of them (torch-free).

Several threads decode ordinary pictures; a large one waits for the thread that all large ones share. So the decoders
together hold no more than one largest picture and an eighth of one for each of the other threads, and whoever asks
with an ordinary picture does not wait for the large ones.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import numpy as np

from nin.data.images import Limits, decoded_pixels
from nin.data.preprocess import Preprocess

PART = 8  # ours: an ordinary picture has at most this part of the pixels that are allowed
Encoded = bytes | np.ndarray  # a file's bytes, or pixels (H, W, C)
Fitted = tuple[np.ndarray, tuple[str, ...]]  # a picture of the network's own size, and notes about it
T = TypeVar("T")


class Decoders:
    """The threads of a server that decode, draw and read JSON. limits: of every picture."""

    def __init__(self, threads: int, limits: Limits) -> None:
        self._limits = limits
        self._ordinary = ThreadPoolExecutor(threads, thread_name_prefix="nin-decode")
        self._large = ThreadPoolExecutor(1, thread_name_prefix="nin-decode-large")

    async def aside(self, work: Callable[..., T], *arguments: Any) -> T:
        """Let one of the threads for ordinary work do it."""
        return await asyncio.get_running_loop().run_in_executor(self._ordinary, partial(work, *arguments))

    async def fit(self, preprocess: Preprocess, pictures: Sequence[Encoded]) -> list[Fitted]:
        """Every picture decoded and of the network's own size; raises what `Preprocess.open_picture` does."""
        found = await self.aside(self._fit_ordinary, preprocess, pictures)
        fitted: list[Fitted] = []
        for picture, one in zip(pictures, found, strict=True):
            if one is None:
                work = partial(self._fit, preprocess, picture)
                one = await asyncio.get_running_loop().run_in_executor(self._large, work)
            fitted.append(one)
        return fitted

    def _fit(self, preprocess: Preprocess, picture: Encoded) -> Fitted:
        if isinstance(picture, bytes):
            return preprocess.open_picture(picture, limits=self._limits)
        return preprocess.fit_pixels(picture, "the picture")

    def _fit_ordinary(self, preprocess: Preprocess, pictures: Sequence[Encoded]) -> list[Fitted | None]:
        """The ordinary pictures; None in the place of each large one."""
        most = self._limits.max_pixels // PART
        near = max(preprocess.size)
        large = [isinstance(picture, bytes) and decoded_pixels(picture, near) > most for picture in pictures]
        return [None if big else self._fit(preprocess, one) for one, big in zip(pictures, large, strict=True)]
