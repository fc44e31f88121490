"""Hot reload: a new model takes over between two answers; whatever else happens to the folder changes nothing."""

import json
import logging
import threading
import time
from dataclasses import replace

import pytest

from live_server import QUICK, Live, StandIn
from nin.errors import ModelError
from nin.server import hot_models
from nin.server.hot_models import fingerprint


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A model folder of our own making: config.json names the engine, and "bad" makes it one that cannot be read."""
    monkeypatch.setattr(hot_models, "POLL", 0.05)
    write(tmp_path, "aa")
    return tmp_path


def write(folder, digest: str, classes: str = "abc") -> None:
    fresh = folder / "config.new"
    fresh.write_text(json.dumps({"digest": digest, "classes": classes}))
    fresh.replace(folder / "config.json")


def opener(place) -> StandIn:
    try:
        found = json.loads((place / "config.json").read_text())
    except (OSError, ValueError):
        raise ModelError("the folder is damaged; copy the whole folder again") from None
    return StandIn(digest=found["digest"] * 32, classes=tuple(found["classes"]))


def until(condition, seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


def engines_at_work() -> set[threading.Thread]:
    """The threads of all engines that are open."""
    return {thread for thread in threading.enumerate() if thread.name.startswith("nin-engine")}


def test_a_new_model_answers_without_a_failed_request(folder, pictures, caplog):
    _, png = pictures[0]
    before = engines_at_work()
    stop, seen, failed = threading.Event(), set(), []

    def client():
        while not stop.is_set():
            reply = live.ask("POST", "/predict", png)
            if reply.status == 200:
                seen.add(frozenset(entry["label"] for entry in reply.json))
            else:
                failed.append(reply)

    with Live(opener(folder), opener=opener, places={"colours": folder}, limits=replace(QUICK, work=10)) as live:
        clients = [threading.Thread(target=client) for _ in range(4)]
        for thread in clients:
            thread.start()
        for digest, classes in (("bb", "xyz"), ("cc", "uvw")):
            write(folder, digest, classes)
            until(lambda classes=classes: frozenset(classes) in seen)
        assert live.ask("GET", "/models").json[0]["sha256"] == "cc" * 32
        stop.set()
        for thread in clients:
            thread.join()
        assert 'nin_reloads_total{model="colours",result="done"} 2' in live.ask("GET", "/metrics").body.decode()
        until(lambda: len(engines_at_work() - before) == 1)  # those that were replaced are closed
    assert not failed


def test_a_damaged_or_missing_folder_keeps_the_old_model_and_is_said_once(folder, pictures, caplog):
    _, png = pictures[0]
    caplog.set_level(logging.INFO, "nin.serve")
    with Live(opener(folder), opener=opener, places={"colours": folder}) as live:
        before = live.ask("POST", "/predict", png).json
        (folder / "config.json").write_text("{")
        until(lambda: any("copy the whole folder again" in line for line in caplog.messages))
        time.sleep(0.2)
        assert live.ask("POST", "/predict", png).json == before
        assert len(caplog.messages) == 1
        (folder / "config.json").unlink()
        failed = 'nin_reloads_total{model="colours",result="failed"} 2'
        until(lambda: failed in live.ask("GET", "/metrics").body.decode())
        assert len(caplog.messages) == 1  # the reason is the same
        assert live.ask("POST", "/predict", png).json == before
        write(folder, "dd", "pqr")
        until(lambda: live.ask("GET", "/models").json[0]["classes"] == ["p", "q", "r"])
    assert "the model in memory goes on" in caplog.messages[0] and "was replaced" in caplog.messages[-1]


def test_a_folder_that_was_only_touched_is_the_same_model(folder, caplog):
    with Live(opener(folder), opener=opener, places={"colours": folder}) as live:
        batcher = live.server.models["colours"].current
        write(folder, "aa")
        time.sleep(0.3)
        assert live.server.models["colours"].current is batcher
    assert caplog.messages == []


def test_every_write_shows_in_the_fingerprint(folder):
    first = fingerprint(folder)
    write(folder, "aa")
    second = fingerprint(folder)
    (folder / "model.safetensors").write_bytes(b"x")
    third = fingerprint(folder)
    assert len({first, second, third}) == 3
    assert fingerprint(folder / "nothing") == ()
