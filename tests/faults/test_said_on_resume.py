"""What a run says when it cannot be what it was, or cannot go on now: other arithmetic, a full disk."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nin
from listening import Told
from nin.artifacts import NewFile
from nin.errors import ArtifactError, Interrupted
from nin.run import record

QUICK = {"epochs": 3, "width": 0.05, "size": 16, "batch_size": 8, "threads": 1, "device": "cpu", "precision": "float32"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data") / "photos"
    rng = np.random.default_rng(0)
    for label, shade in (("dark", 0), ("bright", 150)):
        (root / label).mkdir(parents=True)
        for number in range(10):
            pixels = rng.integers(shade, shade + 100, (16, 16, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(root / label / f"{number}.png")
    return root


def test_a_run_that_goes_on_with_other_arithmetic_says_so(photos, tmp_path, monkeypatch):
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.delenv("MKL_CBWR", raising=False)
    with pytest.raises(Interrupted):
        nin.train(photos, out=tmp_path / "run", listener=Told(1), **QUICK)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    told = Told()
    nin.resume(tmp_path / "run", told)
    assert [note for note in told.notes if "changed" in note] == [
        "ONEDNN_MAX_CPU_ISA, MKL_CBWR changed since the run began: it goes on, but not bit for bit the same"
    ]


@pytest.mark.parametrize("full", ["checkpoint-", "results.csv", "report.html"])
def test_a_disk_that_fills_during_a_run_names_the_way_to_go_on(full, photos, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    begin, make, write = record.begin, NewFile.__init__, os.write
    writing = [""]

    def named(self, path, size):
        writing[0] = path.name
        make(self, path, size)

    def no_room(descriptor, data):
        if full in writing[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data)

    def fills(*arguments):
        """From the first step on there is no room for one kind of file."""
        begin(*arguments)
        patch.setattr(os, "write", no_room)

    with monkeypatch.context() as patch:
        patch.setattr(NewFile, "__init__", named)
        patch.setattr(record, "begin", fills)
        with pytest.raises(ArtifactError) as stopped:
            nin.train(photos, out=folder, progress=False, **QUICK)
    text = str(stopped.value)
    assert text.startswith(f"{folder}/{full}") and "No space left on device" in text
    assert text.endswith(f"); free some space, then continue with: nin train --resume {folder}")
    assert nin.resume(folder, progress=False).summary["epochs"] == 3
