"""What batch normalisation sees together, from the option to the record; and runs whose record does not say it.

The judge of a resumed run is one that was never interrupted.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import nin
from listening import Told
from nin.bundle.folder import read_bundle
from nin.errors import Interrupted, UsageError
from nin.run.options import TrainOptions
from nin.sealed import read_tensors, write_tensors
from nin.training.checkpoint import SLOTS

QUICK = {"epochs": 2, "width": 0.05, "batch_size": 128, "device": "cpu", "precision": "float32", "flip": "off"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Two classes of grey pictures of 8 x 8, dark and bright: 80 each to train on, 4 to validate."""
    root = tmp_path_factory.mktemp("data") / "photos"
    rng = np.random.default_rng(0)
    for split, count in (("train", 80), ("val", 4)):
        for label, shade in (("dark", 0), ("bright", 100)):
            (root / split / label).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(shade, shade + 150, (8, 8)).astype(np.uint8)
                Image.fromarray(pixels).save(root / split / label / f"{i}.png")
    return root


def weights(folder: Path) -> dict[str, bytes]:
    tensors, _ = read_tensors(folder / "model" / "model.safetensors")
    return {name: array.tobytes() for name, array in tensors.items()}


def test_it_is_recorded_wherever_the_recipe_is(photos, tmp_path):
    run = nin.train(photos, TrainOptions(out=tmp_path / "run", threads=1, statistics_batch=50, **QUICK))
    arguments = yaml.safe_load((run.folder / "args.yaml").read_text(encoding="utf-8"))
    assert arguments["recipe"]["statistics_batch"] == 50 == arguments["options"]["statistics_batch"]
    assert read_bundle(run.model).provenance["recipe"]["statistics_batch"] == 50
    assert arguments["batch"] == "128, normalised in parts of 64"
    assert "128, normalised in parts of 64" in (run.folder / "report.html").read_text(encoding="utf-8")


def test_the_default_is_64_and_one_part_is_not_worth_a_word(photos, tmp_path):
    options = TrainOptions(out=tmp_path / "run", threads=1, **{**QUICK, "batch_size": 16, "epochs": 1})
    run = nin.train(photos, options)
    arguments = yaml.safe_load((run.folder / "args.yaml").read_text(encoding="utf-8"))
    assert (arguments["recipe"]["statistics_batch"], arguments["batch"]) == (64, "16")


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            {"statistics_batch": 200},
            "--statistics-batch is 200, but a step has 128 pictures; give at most as many, or a larger --batch-size",
        ),
        (
            {"statistics_batch": 32, "network": "nin-author-mnist", "width": 1.0},
            "--statistics-batch is for networks with batch normalisation; nin-author-mnist has none",
        ),
        ({"statistics_batch": 1}, "--statistics-batch is 1; expected 2 to 1000000"),
    ],
)
def test_what_would_have_no_effect_is_refused(photos, tmp_path, options, line):
    with pytest.raises(UsageError) as refused:
        nin.train(photos, TrainOptions(out=tmp_path / "run", threads=1, **{**QUICK, **options}))
    assert str(refused.value).startswith(line)
    assert not (tmp_path / "run").exists()


def of_an_earlier_version(folder: Path) -> None:
    """Take out of the checkpoints of a run what earlier versions did not record."""
    for path in (folder / name for name in SLOTS):
        if path.exists():
            tensors, metadata = read_tensors(path)
            about = json.loads(metadata["about"])
            del about["recipe"]["statistics_batch"], about["options"]["statistics_batch"]
            write_tensors(path, tensors, {**metadata, "about": json.dumps(about)})


@pytest.mark.parametrize(("threads", "together"), [(1, 128), (2, 64), (3, 128)])
def test_a_run_of_an_earlier_version_goes_on_as_it_began(photos, tmp_path, threads, together):
    """Threads decided then: batches of 128 were normalised in parts of 64 on two, and whole on one and on three."""
    how = {**QUICK, "threads": threads, "statistics_batch": together}
    whole = nin.train(photos, TrainOptions(out=tmp_path / "whole", **how))
    with pytest.raises(Interrupted):
        nin.train(photos, TrainOptions(out=tmp_path / "cut", **how), Told(1))
    of_an_earlier_version(tmp_path / "cut")
    told = Told()
    again = nin.resume(tmp_path / "cut", told)
    assert weights(again.folder) == weights(whole.folder)
    line = (
        f"this run was begun by an earlier version: batch normalisation goes on over {together} pictures, as it began"
    )
    assert line in told.notes
    arguments = yaml.safe_load((again.folder / "args.yaml").read_text(encoding="utf-8"))
    assert arguments["recipe"]["statistics_batch"] == together


def test_an_earlier_run_without_normalisation_says_that_its_masks_are_new(photos, tmp_path):
    how = {**QUICK, "network": "nin-author-mnist", "width": 1.0, "size": 28, "batch_size": 16, "threads": 1}
    with pytest.raises(Interrupted):
        nin.train(photos, TrainOptions(out=tmp_path / "cut", **how), Told(1))
    of_an_earlier_version(tmp_path / "cut")
    told = Told()
    nin.resume(tmp_path / "cut", told)
    line = "begun by an earlier version: its dropout masks are drawn anew, so it is not bit for bit the same"
    assert any(note == f"this run was {line}" for note in told.notes)
