"""A class whose folder's name is no UTF-8, as of a disk of another time: every command takes it, and calls it alike."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nin
from nin.bundle.folder import read_bundle
from nin.sealed import open_sealed_json, seal_json

QUICK = {"epochs": 1, "width": 0.05, "size": 16, "batch_size": 8, "threads": 1, "device": "cpu", "precision": "float32"}
NAME = "caf\\xe9"  # as Latin-1 writes an accent


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data") / "photos"
    rng = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 6)):
        for label, shade in ((b"caf\xe9", 0), (b"dog", 150)):
            folder = root / split / os.fsdecode(label)
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(shade, shade + 100, (16, 16, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def run(photos, tmp_path_factory) -> Path:
    return nin.train(photos, out=tmp_path_factory.mktemp("runs") / "run", progress=False, **QUICK).folder


def test_every_command_takes_the_model(run, photos, tmp_path):
    assert read_bundle(run / "model").classes == (NAME, "dog")
    assert nin.evaluate(run, photos).evaluation.n == 12
    picture = photos / "val" / os.fsdecode(b"caf\xe9") / "0.png"
    (answer,) = nin.predict(run, [picture])
    assert {label for label, _ in answer.scores} == {NAME, "dog"}
    (explained,) = nin.explain(run, picture, out=tmp_path / "explained")
    assert explained.png.is_file()
    exported = nin.export(run, out=tmp_path / "run.onnx")
    assert NAME.encode() in exported.file.read_bytes()
    nin.publish(run, tmp_path / "page.html")
    for path in (run / "report.html", run / "data.json", run / "model" / "labels.txt", run / "confusion_matrix.csv"):
        assert "caf" in path.read_text(encoding="utf-8")


def test_what_is_taught_is_called_alike(photos, tmp_path):
    taught = nin.teach(photos, out=tmp_path / "taught")
    assert read_bundle(taught.model).classes == (NAME, "dog")


def test_a_model_that_an_earlier_version_wrote_is_read_alike(run, photos, tmp_path):
    """It kept the name as Python reads it, with half a surrogate pair, which neither ONNX nor Parquet can hold."""
    config = run / "model" / "config.json"
    members = open_sealed_json(config.read_bytes(), config)
    members["label_names"] = [os.fsdecode(b"caf\xe9"), "dog"]
    config.write_bytes(seal_json(members))
    assert json.loads(config.read_bytes())["label_names"][0] == "caf\udce9"
    assert read_bundle(run / "model").classes == (NAME, "dog")
    assert nin.evaluate(run, photos).evaluation.n == 12
    nin.export(run, out=tmp_path / "run.onnx")
