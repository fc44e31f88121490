"""A run is resumed on the pictures it began with, or says that it is not: also where names and sizes are the same."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nin
from listening import Told
from nin.errors import Interrupted, ModelError
from nin.run import unchanged

QUICK = {"epochs": 2, "width": 0.05, "size": 16, "batch_size": 8, "threads": 1, "device": "cpu", "precision": "float32"}


@pytest.fixture
def begun(tmp_path) -> tuple[Path, Path]:
    """Pictures, BMP files of one size, and an interrupted run on them."""
    return begin(tmp_path)


def begin(root: Path, **choices) -> tuple[Path, Path]:
    photos, rng = root / "photos", np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 4)):
        for label, shade in (("dark", 0), ("bright", 150)):
            (photos / split / label).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(shade, shade + 100, (16, 16, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(photos / split / label / f"{number}.bmp")
    with pytest.raises(Interrupted):
        nin.train(photos, out=root / "run", listener=Told(1), **QUICK, **choices)
    return photos, root / "run"


@pytest.mark.parametrize(("split", "named"), [("train", "train"), ("val", "validation")])
def test_one_changed_pixel_is_noticed_before_the_run_goes_on(split, named, begun):
    photos, folder = begun
    path = photos / split / "dark" / "3.bmp"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    before = {each: each.read_bytes() for each in folder.iterdir()}
    told = Told()
    with pytest.raises(ModelError) as refused:
        nin.resume(folder, told)
    assert str(refused.value) == (
        f"pictures of {named} in {photos} are not those the run began with, though their files' names and sizes are; "
        "put those back, or start a new run"
    )
    assert told.steps == [] and {each: each.read_bytes() for each in folder.iterdir()} == before
    path.write_bytes(whole)  # another time, the same picture
    told = Told()
    assert nin.resume(folder, told).summary["epochs"] == 2
    assert not [note for note in told.notes if "pictures" in note]


def test_pixels_that_another_decoder_makes_are_said(begun, monkeypatch):
    photos, folder = begun
    path = photos / "train" / "dark" / "3.bmp"
    path.write_bytes(path.read_bytes()[:-1] + b"\x63")
    now = f"Pillow {unchanged.version('pillow')}"
    monkeypatch.setattr(unchanged, "version", lambda _: "99.0")
    told = Told()
    assert nin.resume(folder, told).summary["epochs"] == 2
    assert [note for note in told.notes if "Pillow" in note] == [
        f"pictures of train have other pixels than when the run began: {now} read them then, Pillow 99.0 does now; it "
        "goes on, but not bit for bit the same"
    ]


def test_streamed_files_that_were_written_anew_are_said(tmp_path):
    photos, folder = begin(tmp_path, stream=True)
    path = photos / "train" / "dark" / "3.bmp"
    os.utime(path, (1, 1))
    told = Told()
    nin.resume(folder, told)
    assert [note for note in told.notes if "written anew" in note] == [
        f"files of train in {photos} were written anew since the run began; if they are other pictures, start a new run"
    ]


def test_the_held_out_pictures_stay_those_of_the_run_s_own_seed(tmp_path):
    rng = np.random.default_rng(0)
    for label, shade in (("dark", 0), ("bright", 150)):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(20):
            pixels = rng.integers(shade, shade + 100, (16, 16, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{number}.bmp")
    with pytest.raises(Interrupted):
        nin.train(tmp_path / "photos", out=tmp_path / "run", listener=Told(1), **QUICK, seed=3, holdout=0.25)
    told = Told(1)
    with pytest.raises(Interrupted):
        nin.resume(tmp_path / "run", told)
    assert told.steps == [2]
