"""One run in one folder: who holds it is told at once, and no run is replaced unasked or unknowingly."""

import hashlib
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nin
from listening import Told
from nin.artifacts import RunLock
from nin.errors import ArtifactError, DataError, Interrupted, UsageError

QUICK = {
    "epochs": 1, "width": 0.05, "size": 16, "batch_size": 8, "threads": 1, "device": "cpu", "precision": "float32",
}  # fmt: skip
HOLD = """
import sys
from nin.artifacts import RunLock
with RunLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.readline()
"""


def pictures(root: Path, seed: int) -> Path:
    """Two classes, dark and bright, eight pictures each."""
    rng = np.random.default_rng(seed)
    for label, shade in (("dark", 0), ("bright", 150)):
        (root / label).mkdir(parents=True)
        for number in range(8):
            pixels = rng.integers(shade, shade + 100, (16, 16, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(root / label / f"{number}.png")
    return root


@pytest.fixture
def photos(tmp_path) -> Path:
    return pictures(tmp_path / "one" / "photos", 1)


@pytest.fixture
def others(tmp_path) -> Path:
    return pictures(tmp_path / "two" / "photos", 2)


def content(folder: Path) -> dict[str, str]:
    """Every file of a folder with the digest of its bytes."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@contextmanager
def holder(folder: Path):
    """Another process that works in the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.communicate("\n", timeout=20)


def test_who_comes_second_hears_of_the_first_before_a_picture_is_read(photos, tmp_path):
    folder = tmp_path / "run"
    journeys = {
        "train": lambda told: nin.train(photos, out=folder, listener=told, **QUICK),
        "teach": lambda told: nin.teach(photos, out=folder, listener=told),
        "resume": lambda told: nin.resume(folder, listener=told),
    }
    with holder(folder) as process:
        for name, journey in journeys.items():
            told = Told()
            start = time.process_time()  # of this process: other work on the machine does not count
            with pytest.raises(ArtifactError) as refused:
                journey(told)
            assert time.process_time() - start < 1
            ways = "wait for its end" if name == "resume" else "wait for its end or choose another --out"
            assert str(refused.value) == f"{folder} is in use by process {process.pid} on {os.uname().nodename}; {ways}"
            assert told.loaded == told.notes == []
    assert not folder.exists()


class Meanwhile(Told):
    """While the pictures of a run are read, somebody else begins one in the same folder."""

    def __init__(self, other) -> None:
        super().__init__()
        self.other = other
        self.refused = ""

    def loading(self, done: int, total: int) -> None:
        super().loading(done, total)
        if not self.refused:
            with pytest.raises(ArtifactError) as refused:
                self.other()
            self.refused = str(refused.value)


def test_a_run_that_reads_its_pictures_already_has_its_folder(photos, others, tmp_path, monkeypatch):
    """Two data sets of one name: both runs would lie in runs/photos."""
    monkeypatch.chdir(tmp_path)
    late = Meanwhile(lambda: nin.train(others, overwrite=True, progress=False, **QUICK))
    run = nin.train(photos, listener=late, **QUICK)
    assert late.refused.startswith("runs/photos is in use by process ")
    assert run.folder == Path("runs/photos") and (run.folder / "summary.json").is_file()
    assert nin.evaluate(run.folder, photos).evaluation.n > 0


def test_what_came_into_the_folder_after_the_first_look_is_seen_by_the_second(photos, tmp_path, monkeypatch):
    folder = tmp_path / "run"

    class Late(RunLock):
        """Somebody else had the folder between look and lock."""

        def __enter__(self):
            found = super().__enter__()
            (self.folder / "thesis.txt").write_text("mine")
            return found

    monkeypatch.setattr("nin.run.run_folder.RunLock", Late)
    told = Told()
    with pytest.raises(UsageError, match=r"run is not empty; choose another --out"):
        nin.train(photos, out=folder, listener=told, **QUICK)
    with pytest.raises(UsageError, match=r"run holds something else than a model that nin teach left"):
        nin.teach(photos, out=folder, listener=told)
    assert told.loaded == [] and content(folder).keys() == {"thesis.txt"}


def test_a_run_on_other_pictures_of_the_same_name_is_never_replaced_unknowingly(photos, others, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = nin.train(photos, progress=False, **QUICK).folder
    before = content(folder)
    ways = r"choose another --out, or replace it with --out runs/photos --overwrite$"
    for choices in ({}, {"overwrite": True}):
        with pytest.raises(UsageError, match=f"(?m)^runs/photos holds a finished run on {photos}; .*; or {ways}"):
            nin.train(others, progress=False, **choices, **QUICK)
    assert content(folder) == before
    with pytest.raises(Interrupted):
        nin.train(photos, overwrite=True, listener=Told(1), **{**QUICK, "epochs": 3})  # its own pictures
    with pytest.raises(UsageError, match=f"(?m)^runs/photos holds an unfinished run on {photos}; {ways}"):
        nin.train(others, overwrite=True, progress=False, **QUICK)
    nin.train(others, out="runs/photos", overwrite=True, progress=False, **QUICK)
    assert str(others) in (folder / "args.yaml").read_text()


def test_what_was_taught_on_other_pictures_is_not_replaced_unknowingly_either(photos, others, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = nin.teach(photos).folder
    before = content(folder)
    line = (
        f"(?m)^runs/photos-taught holds what was taught on {photos}; choose another --out, "
        "or replace it with --out runs/photos-taught --overwrite$"
    )
    for choices in ({}, {"overwrite": True}):
        with pytest.raises(UsageError, match=line):
            nin.teach(others, **choices)
    assert content(folder) == before
    assert nin.teach(photos, overwrite=True).folder == folder


def test_a_run_is_not_resumed_while_somebody_works_in_its_folder(tmp_path):
    with RunLock(tmp_path / "run"), pytest.raises(ArtifactError, match=r"run is in use by process \d+ on .*; wait for"):
        nin.resume(tmp_path / "run", progress=False)


def test_a_run_that_cannot_begin_leaves_no_folder(photos, tmp_path):
    (photos / "dark" / "0.png").write_bytes(b"no picture")
    for journey in (nin.train, nin.teach):
        with pytest.raises(DataError):
            journey(photos, out=tmp_path / "new" / "runs" / "mine")
        assert not (tmp_path / "new").exists()
    with pytest.raises(UsageError, match="cannot be opened"):  # said first, whatever lies where the run would
        nin.train(tmp_path / "nothing", out=photos)
    assert not (photos / ".lock").exists()
