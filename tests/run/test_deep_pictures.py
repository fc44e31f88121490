"""Pictures of a 12-bit camera from training to use: one range, in the run, the model, the ONNX file and over OIP."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nin
from nin.bundle.folder import read_bundle
from nin.data.images import LIMITS
from nin.engine.engine import open_engine
from nin.errors import DataError
from nin.run.options import Listener, TrainOptions
from nin.server.messages import Refused, Request
from nin.server.oip import pixel_type, read_infer

QUICK = {"epochs": 4, "width": 0.1, "size": 16, "batch_size": 8, "threads": 1, "device": "cpu", "precision": "float32"}


def frame(kind: int, seed: int) -> np.ndarray:
    """(24, 24) uint16, counts from 1,000 to 1,400: stripes down or across."""
    rng = np.random.default_rng([kind, seed])
    counts = rng.integers(1_000, 1_100, (24, 24))
    (counts if kind else counts.T)[:, :: rng.integers(3, 5)] += 300
    return counts.astype(np.uint16)


class Heard(Listener):
    def __init__(self):
        self.notes: list[str] = []

    def note(self, text):
        self.notes.append(text)


@pytest.fixture(scope="module")
def deep(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data") / "deep"
    for split, count in (("train", 20), ("test", 8)):
        for kind, label in enumerate(("across", "down")):
            (root / split / label).mkdir(parents=True)
            for number in range(count):
                image = Image.fromarray(frame(kind, number + 1000 * (split == "test")))
                image.save(root / split / label / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def run(deep, tmp_path_factory):
    heard = Heard()
    result = nin.train(deep, TrainOptions(out=tmp_path_factory.mktemp("runs") / "deep", **QUICK), heard)
    return result, heard


def test_the_range_is_said_kept_and_no_file_is_called_another_one(run):
    result, heard = run
    low, high = read_bundle(result.folder / "model").preprocess.value_range
    assert 1_000 <= low < 1_010 and 1_390 < high <= 1_400
    said = f"pixel values of {low:,.0f} to {high:,.0f} become 0 to 255, in every picture, now and in use; others"
    assert [note for note in heard.notes if note.startswith(said)]
    assert json.loads((result.folder / "data.json").read_text(encoding="utf-8"))["shared_pictures"] == {
        "validation": 0,
        "test": 0,
    }


def asking(document):
    return Request(body=bytearray(json.dumps(document).encode()))


def test_every_way_to_an_answer_takes_the_same_pixels(run, deep, tmp_path):
    result, _ = run
    files = [str(path) for path in sorted((deep / "test").glob("*/*.png"))]
    first = list(nin.predict(result.folder, files))
    exported = nin.export(result.folder, out=tmp_path / "deep.onnx", data=deep)
    second = list(nin.predict(exported.file, files))
    engine = open_engine(result.folder)
    pictures = np.stack([np.asarray(Image.open(file)) for file in files])[..., None]
    assert pixel_type(engine.preprocess) == "UINT16"
    tensor = {
        "name": "pictures",
        "datatype": "UINT16",
        "shape": list(pictures.shape),
        "data": pictures.ravel().tolist(),
    }
    asked = read_infer(asking({"inputs": [tensor]}), engine.preprocess, LIMITS)
    fitted = [engine.preprocess.fit_pixels(picture, "x")[0] for picture in asked.pictures]
    third = engine.run(np.stack(fitted)).probabilities
    for one, two, row in zip(first, second, third, strict=True):
        assert dict(one.scores) == pytest.approx(dict(two.scores), abs=1e-5)
        assert dict(one.scores) == pytest.approx(dict(zip(engine.classes, row.tolist(), strict=True)), abs=1e-5)
    measured = nin.evaluate(result.folder, deep)
    right = sum(answer.label == Path(answer.file).parent.name for answer in first)
    assert measured.evaluation.accuracy == right / len(files) >= 0.75
    with pytest.raises(Refused) as caught:
        read_infer(asking({"inputs": [{**tensor, "datatype": "UINT8"}]}), engine.preprocess, LIMITS)
    assert b"pictures for this model are UINT16; convert them" in caught.value.response.body


def test_shallow_pictures_are_no_question_to_a_deep_model(run, deep, tmp_path):
    result, _ = run
    shallow = tmp_path / "shallow.png"
    Image.fromarray(frame(0, 1).astype(np.uint8)).save(shallow)
    (answer,) = nin.predict(result.folder, [str(shallow)])
    assert answer.label is None and answer.error.startswith(
        "8-bit pixels, where the network learned from values of 1,00"
    )
    with pytest.raises(
        DataError, match=r"8-bit pixels, where the network learned from values of .*; give another picture$"
    ):
        list(nin.explain(result.folder, [str(shallow)], out=tmp_path / "maps"))


def test_npz_counts_of_other_types_learn_the_same(deep, tmp_path):
    pictures = np.stack([frame(kind, number) for kind in (0, 1) for number in range(20)])
    found = []
    for kind in (np.uint16, np.int32, np.float32):
        np.savez(tmp_path / "d.npz", x_train=pictures.astype(kind), y_train=np.repeat(["across", "down"], 20))
        heard = Heard()
        options = TrainOptions(out=tmp_path / str(kind.__name__), **{**QUICK, "epochs": 1})
        result = nin.train(tmp_path / "d.npz", options, heard)
        found.append(read_bundle(result.folder / "model").preprocess)
        assert [note for note in heard.notes if note.startswith("pixel values of 1,0")]
    assert found[0] == found[1] == found[2]


def test_mixed_depths_are_refused_before_anything_is_made(deep, tmp_path):
    for label in ("a", "b"):
        (tmp_path / "mixed" / label).mkdir(parents=True)
        for number in range(4):
            image = frame(0, number) if number else frame(0, number).astype(np.uint8)
            Image.fromarray(image).save(tmp_path / "mixed" / label / f"{number}.png")
    with pytest.raises(
        DataError, match=r"mixed: \d of \d sampled pictures have 8-bit pixels, the others 16-bit ones of"
    ):
        nin.train(tmp_path / "mixed", TrainOptions(out=tmp_path / "run", **QUICK))
    assert not (tmp_path / "run").exists()


def test_pictures_alike_only_when_small_are_not_the_same(tmp_path):
    """Files of 64 x 64 whose 16 x 16 are the same: noise that cancels out in every 4 x 4 cell."""
    for label in ("a", "b"):
        for split, count in (("train", 6), ("test", 2)):
            (tmp_path / "d" / split / label).mkdir(parents=True)
            for number in range(count):
                pixels = np.full((64, 64), 90 if label == "a" else 160, np.uint8)
                pixels[number * 4, 1 + 8 * (split == "test")] += 1
                Image.fromarray(pixels).save(tmp_path / "d" / split / label / f"{number}.png")
    result = nin.train(tmp_path / "d", TrainOptions(out=tmp_path / "run", **{**QUICK, "epochs": 1}))
    assert json.loads((result.folder / "data.json").read_text(encoding="utf-8"))["shared_pictures"] == {
        "validation": 0,
        "test": 0,
    }
