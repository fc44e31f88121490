"""What killed processes left half-written is gone after the next start, wherever they were killed, whosever it was."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nin
from listening import Told
from nin.data import cache
from nin.data.preprocess import Preprocess
from nin.data.sources import open_source
from nin.errors import Interrupted

QUICK = {"epochs": 2, "width": 0.05, "size": 16, "batch_size": 8, "threads": 1, "device": "cpu", "precision": "float32"}
ORPHANS = (".nin-0123456789abcdef.tmp", ".nin-fedcba9876543210.tmp")  # a file and a folder
DECODE = """
import sys, time
from pathlib import Path
from nin.data import cache
from nin.data.preprocess import Preprocess
from nin.data.sources import open_source
source = open_source(sys.argv[1])
print("begun", flush=True)
cache.decode_split(
    source.splits["train"], Preprocess((16, 16), 3, "stretch", (0.5,) * 3, (0.5,) * 3), key="k", memory_limit=0,
    cache_dir=Path(sys.argv[2]), progress=lambda *_: time.sleep(60),
)
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data") / "photos"
    rng = np.random.default_rng(0)
    for label, shade in (("dark", 0), ("bright", 150)):
        (root / label).mkdir(parents=True)
        for number in range(8):
            pixels = rng.integers(shade, shade + 100, (16, 16, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(root / label / f"{number}.png")
    return root


def plant(folder: Path) -> None:
    """What a killed process leaves in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    file, inner = (folder / name for name in ORPHANS)
    file.write_bytes(b"half")
    inner.mkdir()
    (inner / "config.json").write_bytes(b"half")


def left(*folders: Path) -> list[str]:
    return [str(path) for folder in folders for path in folder.rglob(".nin-*")]


def test_every_start_of_a_run_sweeps_its_folder_and_the_cache(photos, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    run, places = tmp_path / "run", (tmp_path / "run", tmp_path / "cache" / "nin")
    for place in places:
        plant(place)
    with pytest.raises(Interrupted):
        nin.train(photos, out=run, listener=Told(1), **QUICK)  # the folder holds orphans only: it is empty
    assert left(*places) == []
    for place in places:
        plant(place)
    nin.resume(run, progress=False)
    assert left(*places) == []


def test_what_lies_beside_a_model_is_swept_by_whatever_is_written_there(photos, tmp_path, monkeypatch):
    journeys = {
        "taught": lambda place: nin.teach(photos, out=place / "taught"),
        "exported": lambda place: nin.export("nin-mnist", out=place / "nin-mnist.onnx"),
        "published": lambda place: nin.publish("nin-mnist", place / "page.html"),
        "explained": lambda place: nin.explain("nin-mnist", photos / "dark" / "0.png", out=place),
        "published in a folder": lambda place: nin.publish("nin-mnist", place / "page"),
    }
    for name, journey in journeys.items():
        plant(tmp_path / name)
        journey(tmp_path / name)
        if name == "taught":  # its own folder is swept under its lock; its neighbours are its parent's
            plant(tmp_path / name / "taught")
            nin.teach(photos, out=tmp_path / name / "taught", overwrite=True)
            assert left(tmp_path / name / "taught") == []
            continue
        assert left(tmp_path / name) == [], name


def test_the_cache_of_a_killed_process_goes_and_that_of_a_living_one_stays(photos, tmp_path):
    source = open_source(photos)
    preprocess = Preprocess((16, 16), 3, "stretch", (0.5,) * 3, (0.5,) * 3)
    process = subprocess.Popen(
        [sys.executable, "-c", DECODE, str(photos), str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout.readline() == "begun\n"
        while not left(tmp_path):
            time.sleep(0.01)
            assert process.poll() is None
        found = left(tmp_path)
        cache.decode_split(source.splits["validation"], preprocess, key="k", cache_dir=tmp_path)
        assert left(tmp_path) == found
        process.send_signal(signal.SIGKILL)
    assert left(tmp_path) == found
    cache.decode_split(source.splits["validation"], preprocess, key="k", cache_dir=tmp_path)
    assert left(tmp_path) == []
