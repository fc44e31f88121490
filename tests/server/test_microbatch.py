"""Batches: what waits together is computed together, a lone picture waits for nobody, who has gone is left out."""

import asyncio
import time

import numpy as np
import pytest

from live_server import StandIn, expected
from nin.errors import ModelError
from nin.server.microbatch import Batcher


def picture(seed: int, count: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), np.uint8)


def run(work, **options):
    """`work` with a batcher over a stand-in; its result, and the engine."""
    engine = StandIn(**options)

    async def inside():
        batcher = Batcher(engine, most=8, observe=lambda _: None)
        try:
            return await work(batcher)
        finally:
            await batcher.close()

    return asyncio.run(inside()), engine


def test_each_gets_its_own_answer_and_batches_are_full_while_the_engine_is_busy():
    async def work(batcher):
        return await asyncio.gather(*(batcher.run(picture(seed)) for seed in range(40)))

    answers, engine = run(work, slow=0.01)
    for seed, answer in enumerate(answers):
        assert np.allclose(answer.probabilities[0], expected(picture(seed)[0])[2], atol=1e-6)
        assert answer.maps.shape == (1, 3, 2, 2)
    assert sum(engine.batches) == 40 and max(engine.batches) == 8 and len(engine.batches) <= 7


def test_requests_of_several_pictures_are_never_cut_but_fill_batches():
    async def work(batcher):
        return await asyncio.gather(*(batcher.run(picture(count, count)) for count in (3, 5, 20, 8, 1)))

    answers, engine = run(work)
    assert [len(answer.logits) for answer in answers] == [3, 5, 20, 8, 1]
    assert engine.batches == [8, 20, 8, 1]


def test_a_lone_picture_does_not_wait_and_an_idle_engine_waits_for_what_is_coming():
    async def alone(batcher):
        start = time.perf_counter()
        for seed in range(50):
            await batcher.run(picture(seed))
        return (time.perf_counter() - start) / 50

    async def coming(batcher):
        async def late():
            with batcher.expecting():
                await asyncio.sleep(0.0005)
            return await batcher.run(picture(2))

        other = asyncio.create_task(late())
        await asyncio.sleep(0)
        await batcher.run(picture(1))
        await other

    _, engine = run(alone)
    assert engine.batches == [1] * 50
    _, engine = run(coming)
    assert engine.batches in ([2], [1, 1])  # [1, 1] on a machine too busy to be back within 2 ms


def test_a_failure_reaches_the_one_who_caused_it():
    bad = np.full((1, 8, 8, 3), 9, np.uint8)

    async def work(batcher):
        return await asyncio.gather(
            batcher.run(picture(1)), batcher.run(bad), batcher.run(picture(2)), return_exceptions=True
        )

    (first, second, third), _ = run(work, broken=9)
    assert isinstance(second, ModelError)
    assert np.allclose(first.probabilities[0], expected(picture(1)[0])[2], atol=1e-6)
    assert np.allclose(third.probabilities[0], expected(picture(2)[0])[2], atol=1e-6)


def test_who_has_gone_is_left_out():
    async def work(batcher):
        batcher.engine.gate.clear()
        first = asyncio.create_task(batcher.run(picture(0)))
        await asyncio.sleep(0.05)
        gone, stays = (asyncio.create_task(batcher.run(picture(seed))) for seed in (1, 2))
        await asyncio.sleep(0.05)
        gone.cancel()
        batcher.engine.gate.set()
        await asyncio.gather(first, stays)
        with pytest.raises(asyncio.CancelledError):
            await gone

    _, engine = run(work)
    assert engine.batches == [1, 1]


def test_closing_answers_what_waits():
    async def work(batcher):
        jobs = [asyncio.create_task(batcher.run(picture(seed))) for seed in range(20)]
        await asyncio.sleep(0)
        await batcher.close()
        return [job.done() for job in jobs]

    done, _ = run(work, slow=0.005)
    assert all(done)
