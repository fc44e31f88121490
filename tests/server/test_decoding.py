"""One budget for all that is decoded at a time: large pictures one after the other, small ones beside them."""

import asyncio
import threading
import zlib

import numpy as np
import pytest
from picture_corpus import png, tiny

from nin.data.images import Limits
from nin.data.preprocess import Preprocess
from nin.server.decoding import PART, Decoders

HOW = Preprocess((8, 8), 3, "stretch", (0.5,) * 3, (0.5,) * 3)
LIMITS = Limits(max_pixels=80_000)
LARGE = png(200, 100, 8, 0, b"", packed=zlib.compress(bytes(201 * 100)))  # a quarter of what is allowed


class Watched:
    """A preprocessing that counts how many large pictures are decoded at a time, and waits for `gate` with each."""

    size = HOW.size
    fit_pixels = HOW.fit_pixels

    def __init__(self):
        self.gate = threading.Event()
        self.now = self.most = self.done = 0
        self.lock = threading.Lock()

    def open_picture(self, picture, limits):
        if picture == LARGE:
            with self.lock:
                self.now += 1
                self.most = max(self.most, self.now)
            assert self.gate.wait(10)
            with self.lock:
                self.now -= 1
                self.done += 1
        return HOW.open_picture(picture, limits=limits)


@pytest.mark.parametrize("threads", [1, 4])
def test_large_pictures_take_turns_and_keep_nobody_waiting(threads):
    watched = Watched()
    decoders = Decoders(threads, LIMITS)

    async def asked():
        large = [asyncio.ensure_future(decoders.fit(watched, [LARGE])) for _ in range(5)]
        large.append(asyncio.ensure_future(decoders.fit(watched, [LARGE, tiny(1), LARGE])))  # of one request
        await asyncio.sleep(0.05)
        small = await asyncio.wait_for(decoders.fit(watched, [tiny(2), np.zeros((3, 3, 3), np.uint8)]), 5)
        assert watched.done == 0
        watched.gate.set()
        return small, [await one for one in large]

    small, large = asyncio.run(asked())
    assert [pixels.shape for pixels, _ in small] == [(8, 8, 3)] * 2
    assert np.array_equal(small[0][0], HOW.load(tiny(2)))
    assert [len(one) for one in large] == [1] * 5 + [3]
    assert np.array_equal(large[-1][1][0], HOW.load(tiny(1)))
    assert (watched.done, watched.most) == (7, 1)


def test_a_picture_is_large_from_a_part_of_what_is_allowed():
    side = int((LIMITS.max_pixels // PART) ** 0.5)
    decoders = Decoders(1, LIMITS)
    for extra, large in ((0, False), (1, True)):
        data = png(side, side + extra, 8, 0, b"", packed=zlib.compress(bytes((side + 1) * (side + extra))))
        assert (decoders._fit_ordinary(HOW, [data]) == [None]) is large
