"""What a finished run knows of its training pictures: own pictures are answered, planted foreign ones are unknown."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

import nin
from nin.bundle.folder import read_bundle

QUICK = {
    "epochs": 4,
    "width": 0.1,
    "size": 16,
    "threads": 1,
    "precision": "float32",
    "device": "cpu",
    "progress": False,
}


def stripes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (N, 16, 16, 1) uint8 of two classes: stripes across and stripes down, of any shade, with noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    wave = 60 * np.sin(np.arange(16) * 1.2 + rng.uniform(0, 6, (count, 1)))
    down = np.repeat(wave[:, :, None], 16, 2)
    pixels = np.where(labels[:, None, None] == 1, down, down.transpose(0, 2, 1)) + rng.normal(128, 10, (count, 16, 16))
    return pixels.clip(0, 255).astype(np.uint8)[..., None], labels


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("stripes")
    parts = {"train": stripes(200, 0), "val": stripes(240, 1), "test": stripes(100, 2)}
    for name, (images, labels) in parts.items():
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            folder = root / "data" / name / ("across", "down")[label]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[..., 0]).save(folder / f"{number}.png")
    return nin.train(root / "data", out=root / "run", **QUICK)


def foreign() -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    noise = [rng.integers(0, 256, (16, 16), np.uint8) for _ in range(30)]
    return [*noise, *(np.full((16, 16), shade, np.uint8) for shade in range(0, 256, 30))]


def test_own_pictures_are_answered_and_foreign_ones_are_unknown_on_both_paths(run):
    bundle = read_bundle(run.model)
    assert bundle.likeness is not None and bundle.calibration.unknown_beyond == run.summary["unknown_beyond"]
    own = [image[..., 0] for image in stripes(200, 9)[0]]
    for model in (run.folder, nin.load(run.folder)):
        answered = [answer.unknown for answer in nin.predict(model, own)]
        strange = list(nin.predict(model, foreign()))
        assert np.mean(answered) < 0.1
        assert np.mean([answer.unknown for answer in strange]) > 0.9
        assert any(answer.unlike and answer.score > 0.9 for answer in strange) or all(a.unlike for a in strange)


def test_the_end_of_a_resumed_run_is_the_same_again(run, tmp_path):
    shutil.copytree(run.folder, tmp_path / "again")
    (tmp_path / "again" / "summary.json").unlink()
    again = nin.resume(tmp_path / "again", progress=False)
    for name in ("likeness.safetensors", "model.safetensors"):
        assert (again.model / name).read_bytes() == (run.model / name).read_bytes()
    assert json.loads((again.folder / "summary.json").read_text())["unknown_beyond"] == run.summary["unknown_beyond"]


def test_with_too_few_pictures_to_hold_out_there_is_no_distance(run, tmp_path):
    data = run.folder.parent / "data"
    few = tmp_path / "few"
    for name, count in (("train", 20), ("val", 40)):
        for label in ("across", "down"):
            (few / name / label).mkdir(parents=True)
            for path in sorted((data / name / label).iterdir())[:count]:
                shutil.copy(path, few / name / label)
    plain = nin.train(few, out=tmp_path / "run", **{**QUICK, "epochs": 1})
    assert "unknown_beyond" not in plain.summary and not (plain.model / "likeness.safetensors").exists()
    assert not any(answer.unlike for answer in nin.predict(plain.folder, foreign()))
