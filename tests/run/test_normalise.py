"""Runs with the preprocessing of 2013: fitted once, kept in model and checkpoints, used wherever the model is."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from sklearn.datasets import load_sample_images

import nin
from listening import Told
from nin.bundle.folder import read_bundle
from nin.data import machine
from nin.errors import DataError, Interrupted, UsageError
from nin.run import plan
from nin.run.options import TrainOptions
from nin.sealed import read_tensors

QUICK = {"epochs": 3, "width": 0.1, "size": 8, "batch_size": 8, "threads": 1, "device": "cpu", "precision": "float32"}


def paint(folder: Path, label: str, count: int, seed: int) -> None:
    """Pictures of one class, dark on the left or at the top, under noise."""
    rng = np.random.default_rng(seed)
    (folder / label).mkdir(parents=True)
    for i in range(count):
        pixels = rng.integers(0, 60, (24, 30, 3))
        pixels[(slice(None), slice(15, None)) if label == "left" else (slice(12, None),)] += 150
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / label / f"{i}.png")


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data") / "photos"
    for split, count in (("train", 24), ("val", 8), ("test", 10)):
        for label in ("left", "top"):
            paint(root / split, label, count, len(split) + len(label))
    return root


def train(photos: Path, out: Path, told: Told | None = None, **choices):
    return nin.train(photos, TrainOptions(out=out, **{**QUICK, **choices}), told)


@pytest.fixture(scope="module")
def finished(photos, tmp_path_factory):
    told = Told()
    return train(photos, tmp_path_factory.mktemp("runs") / "whitened", told, normalise="gcn-zca"), told


def weights(folder: Path) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in read_tensors(folder / "model" / "model.safetensors")[0].items()}


def zca_of(folder: Path):
    return read_bundle(folder / "model").preprocess.zca


def test_a_run_that_whitens_says_and_records_it(finished, photos):
    run, told = finished
    assert [note for note in told.notes if "ZCA" in note] == [
        "fitting ZCA on 48 of 48 training pictures: takes 0.1 GB of memory for the moment, 0 MB in the model"
    ]
    assert [note.split(";")[0] for note in told.notes if "nin teach" in note] == [
        f"few pictures (24 a class): nin teach {photos} takes seconds"
    ]
    assert told.loaded[-1] == (48, 48)
    arguments = yaml.safe_load((run.folder / "args.yaml").read_text(encoding="utf-8"))
    data = json.loads((run.folder / "data.json").read_text(encoding="utf-8"))
    zca = zca_of(run.folder)
    assert arguments["options"]["normalise"] == "gcn-zca"
    assert arguments["preprocess"] == data["preprocess"]
    assert data["preprocess"]["normalisation"] == "gcn-zca"
    assert data["preprocess"]["zca"] == {"pictures": 48, "sha256": zca.sha256}
    words = "then ZCA whitening fitted on 48 training pictures"
    for text in ("report.html", "model/README.md"):
        assert words in (run.folder / text).read_text(encoding="utf-8")
    assert words in nin.summary(str(run.folder)).normalisation
    assert nin.summary("nin").normalisation == ""


def test_the_model_rebuilt_by_hand_gives_the_same_answers_for_a_real_picture_of_another_size(finished, tmp_path):
    run, _ = finished
    picture = Path(load_sample_images().filenames[0])  # a JPEG of 427 x 640 pixels
    fitted, _ = read_tensors(run.model / "preprocess.safetensors")
    model = nin.load(run.folder)
    small = model.preprocess.load(picture)
    flat = small.transpose(2, 0, 1).reshape(-1).astype(np.float64)
    flat = 55 * (flat - flat.mean()) / np.sqrt(((flat - flat.mean()) ** 2).sum())
    x = ((flat - fitted["zca.mean"]) @ fitted["zca.matrix"]).reshape(1, 3, 8, 8)
    with torch.no_grad():
        expected = model.model(torch.from_numpy(x.astype(np.float32))).numpy()
    assert np.abs(model.logits(small[None]) - expected).max() < 1e-4
    (answer,) = nin.predict(run.folder, [str(picture)])
    odds = np.exp(expected[0] / model.calibration.temperature)
    np.testing.assert_allclose(dict(answer.scores)["left"], odds[0] / odds.sum(), atol=1e-4)
    (seen,) = nin.explain(run.folder, [str(picture)], out=tmp_path / "maps")
    logits = {label: logit for label, logit, _ in seen.classes}
    np.testing.assert_allclose(logits["left"], expected[0, 0], atol=1e-4)


@pytest.fixture(scope="module")
def ways(photos, tmp_path_factory, finished):
    """A run of every way but the usual one."""
    root = tmp_path_factory.mktemp("ways")
    return {
        "gcn-zca": finished[0],
        "gcn": train(photos, root / "gcn", normalise="gcn", fit="crop", epochs=8),
        "lcn": train(photos, root / "lcn", normalise="lcn"),
        "grey": train(photos, root / "grey", normalise="gcn-zca", channels=1, fit="pad"),
    }


def test_every_way_is_measured_again_the_same(photos, ways):
    for name, run in ways.items():
        again = nin.evaluate(run.folder, photos)
        assert again.evaluation.loss == pytest.approx(run.evaluation.loss, abs=1e-5)
        answers = list(nin.predict(run.folder, [str(photos / "test")]))
        right = sum(answer.label == Path(answer.file).parent.name for answer in answers)
        assert right / 20 == run.evaluation.accuracy
        assert read_bundle(run.model).preprocess.normalisation == {"grey": "gcn-zca"}.get(name, name)


def test_contrast_normalised_pictures_are_learnt(ways):
    assert ways["gcn"].evaluation.accuracy >= 0.9


def test_an_interrupted_run_goes_on_with_what_it_fitted(photos, tmp_path, finished, monkeypatch):
    with pytest.raises(Interrupted):
        train(photos, tmp_path / "cut", Told(4), normalise="gcn-zca")
    monkeypatch.setattr(plan, "fit_zca", None)  # a second fit would fail
    told = Told()
    nin.resume(tmp_path / "cut", told)
    assert not [note for note in told.notes if "ZCA" in note]
    assert zca_of(tmp_path / "cut") == zca_of(finished[0].folder)
    assert weights(tmp_path / "cut") == weights(finished[0].folder)


def test_streamed_pictures_whiten_as_those_in_memory_and_many_are_sampled(photos, tmp_path, finished, monkeypatch):
    run = train(photos, tmp_path / "streamed", normalise="gcn-zca", stream=True)
    assert zca_of(run.folder) == zca_of(finished[0].folder)
    assert weights(run.folder) == weights(finished[0].folder)
    monkeypatch.setattr(plan, "WHITENED", 10)
    told = Told()
    sampled = train(photos, tmp_path / "sampled", told, normalise="gcn-zca", stream=True, epochs=1)
    assert [note.partition(":")[0] for note in told.notes if "ZCA" in note] == [
        "fitting ZCA on 10 of 48 training pictures"
    ]
    assert zca_of(sampled.folder).pictures == 10


def test_too_large_pictures_and_too_little_memory_are_one_line_and_leave_nothing(photos, tmp_path, monkeypatch):
    with pytest.raises(UsageError) as caught:
        train(photos, tmp_path / "run", normalise="gcn-zca", size=96)
    assert str(caught.value) == (
        "ZCA for pictures of 96 x 96 x 3 is a matrix of 27,648 x 27,648 numbers (3.1 GB); expected at most 8,192 "
        "(52 x 52 x 3); pass a smaller --size or --normalise gcn"
    )
    monkeypatch.setattr(machine, "available_memory", lambda: 100_000_000)
    with pytest.raises(DataError) as short:
        train(photos, tmp_path / "run", normalise="gcn-zca")
    assert str(short.value) == (
        "fitting ZCA needs 0.1 GB of memory, 0.1 GB are free; pass a smaller --size or --normalise gcn"
    )
    assert not (tmp_path / "run").exists()


class Impatient(Told):
    def loading(self, done: int, total: int) -> None:
        super().loading(done, total)
        if len(self.loaded) == 4:  # train, val and test have been read; now they are whitened
            raise Interrupted("stopped while pictures were read; nothing was changed")


def test_fitting_can_be_stopped_and_leaves_nothing(photos, tmp_path):
    told = Impatient()
    with pytest.raises(Interrupted):
        train(photos, tmp_path / "run", told, normalise="gcn-zca")
    assert "ZCA" in told.notes[-1] and not (tmp_path / "run").exists()


def test_a_model_that_whitens_passes_its_whitening_on(photos, tmp_path, finished, monkeypatch):
    monkeypatch.setattr(plan, "fit_zca", None)
    begun = {"from_": str(finished[0].folder), "width": 1.0, "epochs": 1, "size": None}
    run = train(photos, tmp_path / "run", **begun, normalise="gcn-zca")
    found, had = read_bundle(run.model).preprocess, read_bundle(finished[0].model).preprocess
    assert found.zca == had.zca and found.size == had.size == (8, 8)
    for more, text in (
        ({"normalise": "gcn"}, "--normalise is gcn and {} was trained with gcn-zca; leave out --normalise"),
        ({"size": 16}, "--size is 16 and {} whitens pictures of 8 x 8; leave out --size"),
    ):
        with pytest.raises(UsageError) as caught:
            train(photos, tmp_path / "refused", **{**begun, **more})
        assert str(caught.value) == text.format(finished[0].folder)
    assert not (tmp_path / "refused").exists()


def test_a_model_of_another_way_passes_that_on_at_any_size(photos, tmp_path, ways):
    begun = {"from_": str(ways["lcn"].folder), "width": 1.0, "epochs": 1, "size": 16}
    run = train(photos, tmp_path / "run", **begun)
    assert read_bundle(run.model).preprocess.normalisation == "lcn"
    assert read_bundle(run.model).preprocess.size == (16, 16)
    with pytest.raises(UsageError, match=r"--normalise is gcn-zca and .* was trained with lcn"):
        train(photos, tmp_path / "refused", **begun, normalise="gcn-zca")


def test_a_new_run_in_the_folder_leaves_nothing_of_the_whitening_before(photos, tmp_path, finished):
    folder = Path(shutil.copytree(finished[0].folder, tmp_path / "run"))
    with pytest.raises(Interrupted):
        train(photos, folder, Told(1), overwrite=True)
    assert not list((folder / "model").glob("*"))
