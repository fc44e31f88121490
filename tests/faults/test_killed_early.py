"""A run killed in its first epoch goes on from where it was saved, to the same bits, and saving costs little."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nin
from nin.errors import UsageError
from nin.run import saves
from nin.run.train import train_run
from nin.sealed import read_tensors
from nin.training import checkpoint

QUICK = {"epochs": 2, "width": 0.05, "size": 16, "batch_size": 4, "threads": 1, "device": "cpu", "precision": "float32"}
KILLED = """
import os, signal, sys
import nin
from nin.run import saves

class Killer(nin.Listener):
    left = int(sys.argv[3])

    def begin(self, about):
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)

    def step(self, progress):
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)

saves.EVERY, saves.SHARE = float(sys.argv[4]), 1e9
choices = dict(epochs=2, width=0.05, size=16, batch_size=4, threads=1, device="cpu", precision="float32")
nin.train(sys.argv[1], out=sys.argv[2], listener=Killer(), **choices)
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data") / "photos"
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 4)):
        for label, shade in (("dark", 0), ("bright", 150)):
            (root / split / label).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(shade, shade + 100, (16, 16, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(root / split / label / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def whole(photos, tmp_path_factory) -> Path:
    return nin.train(photos, out=tmp_path_factory.mktemp("runs") / "whole", progress=False, **QUICK).folder


def weights(folder: Path) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in read_tensors(folder / "model" / "model.safetensors")[0].items()}


@pytest.mark.parametrize(
    ("killed_after", "every", "saved"),
    [(0, 120, 0), (3, 120, 0), (4, 0, 3)],
    ids=["before the first step", "before a save was due", "when saves are due at every step"],
)
def test_a_run_killed_in_its_first_epoch_goes_on_to_the_same_bits(killed_after, every, saved, photos, whole, tmp_path):
    folder = tmp_path / "run"
    words = [sys.executable, "-c", KILLED, *map(str, (photos, folder, killed_after, every))]
    done = subprocess.run(words, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    (_, position, _), _ = checkpoint.newest(folder)
    assert (position.epoch, position.step) == (0, saved)
    with pytest.raises(UsageError, match=rf"run is not empty; go on with it: nin train --resume {folder}; or choose"):
        train_run(photos, out=folder, **QUICK)
    nin.resume(folder, progress=False)
    assert weights(folder) == weights(whole)
    assert {path.name for path in folder.iterdir()} == {path.name for path in whole.iterdir()}


def test_no_advice_leads_to_a_run_that_cannot_be_resumed(photos, tmp_path):
    """As earlier versions left it, killed in the first epoch."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "args.yaml").write_text(f"nin: 0.1.0\ndata: {photos}\n")
    line = r"(?m)run holds an unfinished run; choose another --out, or replace it with --overwrite$"
    with pytest.raises(UsageError, match=line):
        train_run(photos, out=folder, **QUICK)


@pytest.mark.parametrize("cost", [0.01, 0.5, 3.0, 20.0])
def test_saving_takes_under_one_percent_and_loses_little(cost, monkeypatch):
    """Ten hours of steps of a second each, on a clock of our own."""
    clock = [0.0]
    saved = []

    def save(*_):
        clock[0] += cost
        saved.append(clock[0])

    monkeypatch.setattr(saves.checkpoint, "save", save)
    monkeypatch.setattr(saves.time, "monotonic", lambda: clock[0])
    writer = saves.Saves(Path("run"), None, {})
    while clock[0] < 36_000:
        clock[0] += 1
        writer.if_due()
    assert cost * len(saved) < 0.01 * clock[0]
    gaps = np.diff([0.0, *saved])
    assert gaps.max() <= max(300, 250 * cost)  # every few minutes, where a save takes a second
