"""The real program under load, R31 to R37 in short; benchmarks/serve_load.py has them in full.

Figures of speed are left to the benchmark: a test machine is shared. What must hold on every machine is held here.
"""

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
import serve_load as load

HEAVY = os.environ.get("NIN_HEAVY") == "1"
MODEL = "nin-cifar10"


@pytest.fixture(scope="module")
def offline():
    """Pictures, and what the engine says of them."""
    jpegs = load.pictures(12)
    return jpegs, load.bare(MODEL, 1, 0.1, jpegs)[1]


@pytest.fixture
def served(offline):
    running = load.start(MODEL, *offline, "--threads", "1", "--queue", "32")
    yield running
    if running.process.poll() is None:
        assert load.stop(running) == 0


@pytest.mark.parametrize("clients", [1, 16, 96])
def test_every_answer_is_right_and_nothing_else_than_200_and_503_comes(clients, served):
    found = asyncio.run(load.closed(served, clients, 1.5))
    assert (found["wrong"], found["lost"]) == (0, 0)
    assert set(found["statuses"]) <= {"200", "503"} and found["statuses"]["200"] > 0
    assert clients > 32 or "503" not in found["statuses"]


def test_another_runtime_answers_the_same(offline):
    running = load.start(MODEL, *offline, "--runtime", "openvino")
    found = asyncio.run(load.closed(running, 4, 0.5))
    assert load.stop(running) == 0
    assert (set(found["statuses"]), found["wrong"], found["lost"]) == ({"200"}, 0, 0)


def test_beyond_its_capacity_it_goes_on_answering_and_refuses_the_rest(served):
    before = asyncio.run(load.closed(served, 16, 1.5))["per_second"]
    found = asyncio.run(load.open_loop(served, 6 * before, 3.0))
    assert (found["wrong"], found["lost"]) == (0, 0)
    assert set(found["statuses"]) == {"200", "503"}
    assert found["per_second"] > before / 3  # 0.9 on a quiet machine: the benchmark


def test_a_crowd_of_silent_connections_keeps_nobody_out(served):
    """R33 in short: its deadlines in full are test_wire's, with a clock of tenths of seconds."""
    before = served.held()["files"]

    async def crowd():
        writers = [(await asyncio.open_connection("127.0.0.1", served.port))[1] for _ in range(200)]
        for number, writer in enumerate(writers):
            writer.write((b"", b"POST /predict HTTP/1.1\r\n", served.requests[0][:-5])[number % 3])
        found = await load.closed(served, 4, 1.5)
        for writer in writers:
            writer.transport.abort()
        return found

    found = asyncio.run(crowd())
    assert (set(found["statuses"]), found["wrong"], found["lost"]) == ({"200"}, 0, 0)
    deadline = time.monotonic() + 5
    while served.held()["files"] > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert served.held()["files"] == before


def test_bodies_over_the_limit_cost_no_memory(served):
    found = asyncio.run(load.large(served, 4))
    assert found["statuses"] == {413: 4}
    assert found["memory_growth_mb"] < 20


@pytest.mark.parametrize("after", [0.05, 0.4] if not HEAVY else [number / 50 for number in range(100)])
def test_sigterm_under_load_loses_no_request(after, served):
    found = asyncio.run(load.stopped(served, 12, after))
    assert (found["lost"], found["wrong"], found["code"]) == (0, 0, 0)
    assert found["answered"] > 0 and found["seconds"] < 10


def test_memory_files_and_threads_come_back(served):
    requests, aborted = (200_000, 10_000) if HEAVY else (480, 150)
    growth = asyncio.run(load.soak(served, requests, aborted))["growth"]
    assert growth["files"] <= 0 and growth["threads"] <= 0
    assert growth["memory_mb"] <= 10


def test_a_leak_would_be_seen(served):
    """The measure of the test above bites: a connection that is kept shows in its count of files."""
    before = served.held()["files"]

    async def keep():
        _, writer = await asyncio.open_connection("127.0.0.1", served.port)
        await asyncio.sleep(0.3)
        found = served.held()["files"]
        writer.transport.abort()
        return found

    assert asyncio.run(keep()) == before + 1
