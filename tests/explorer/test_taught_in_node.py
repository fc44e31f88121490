"""What the page teaches, in Node: the same as Python and scikit-learn, and its model folders are models of nin.

With NIN_HEAVY=1 every planted fault, too, must make the comparison fail.
"""

import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import node
import numpy as np
import pytest
import teaching_fixtures
import yaml
from safetensors.numpy import load_file

import nin
from nin.bundle.folder import Bundle, read_bundle
from nin.data.sources import open_source
from nin.network.config import NINConfig
from nin.training.evaluation import evaluate_probabilities
from plausible import HOSTILE


@pytest.fixture(scope="module")
def teaching(tmp_path_factory) -> Path:
    """The folder of the fixtures after vitest has compared them and has written what it taught."""
    node.install()
    target = tmp_path_factory.mktemp("web")
    teaching_fixtures.write(target / "teaching")
    some = [] if os.environ.get("NIN_HEAVY") == "1" else ["--exclude", "tests/teach/mutants.test.ts"]
    said = node.run("vitest", "run", "tests/teach", *some, NIN_FIXTURES=str(target))
    assert "passed" in said
    assert "skipped" not in said
    return target / "teaching"


@pytest.fixture(scope="module")
def index(teaching) -> dict:
    return json.loads((teaching / "index.json").read_text())


def unpacked(teaching: Path, name: str, folder: Path) -> Path:
    """The folder that a zip of the page holds, which other programs find sound, too."""
    path = teaching / "taught" / f"{name}.zip"
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        archive.extractall(folder)
        count = len(archive.namelist())
    assert sum(each.is_file() for each in folder.rglob("*")) == count
    if shutil.which("unzip"):
        said = subprocess.run(["unzip", "-t", path], capture_output=True, text=True, check=False)
        assert said.returncode == 0, said.stdout + said.stderr
    return folder / name


def pictures_of(teaching: Path, name: str) -> list[np.ndarray]:
    held = load_file(teaching / f"{name}.safetensors")
    return [held[f"picture.{number}"] for number in range(len(held["labels"]))]


@pytest.mark.parametrize("name", ["mirrored", "classic", "normalised", "one layer", "grey", "whitened", "nin-clothing"])
def test_a_taught_model_answers_in_python_as_in_the_page(teaching, index, tmp_path, name):
    folder = unpacked(teaching, name, tmp_path)
    bundle = read_bundle(folder)
    said = json.loads((teaching / "taught" / f"{name}.json").read_text())
    answers = list(nin.predict(folder, iter(pictures_of(teaching, name)), device="cpu"))
    assert len(answers) == len(said) == sum(index["models"][name]["counts"])
    unknown = 0
    for answer, page in zip(answers, said, strict=True):
        probabilities = dict(answer.scores)
        for label, probability in zip(bundle.classes, page["probabilities"], strict=True):
            assert probabilities[label] == pytest.approx(probability, abs=1e-5)
        assert answer.unknown == (page["unknown"] is not None)
        assert answer.unlike == (page["unknown"] == "foreign")
        unknown += answer.unknown
    assert unknown < len(said)
    expect_told(bundle, index["models"][name])


def expect_told(bundle: Bundle, told: dict) -> None:
    """config.json and README.md say what was taught on what, how well, and the network is what they say."""
    counts = told["counts"]
    config = NINConfig.from_dict(bundle.network)
    assert config.to_dict() == bundle.network
    assert config.num_classes == len(counts)
    assert bundle.classes == ("red", "초록, \u202e'x'", 'blue/.. "y"')[: len(counts)]
    about = bundle.provenance
    assert (about["pictures"], about["pictures of each class"]) == (sum(counts), counts)
    assert set(about["trunk"]) >= {"model", "mlpconv layers", "weights", "data", "license"}
    assert about["license"] == about["trunk"]["license"]
    card = (bundle.folder / "README.md").read_text("utf-8")
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["license"] == about["license"].lower()
    assert "\u202e" not in card
    if "confusion" not in told:  # a class has four pictures
        assert bundle.metrics == {}
        assert "측정하지 않았습니다" in card
        return
    expect_measured(bundle, np.array(told["confusion"]))
    assert f"정확도 {100 * bundle.metrics['accuracy']:.1f}%" in card


def expect_measured(bundle: Bundle, confusion: np.ndarray) -> None:
    """The metrics are those that an evaluation of these answers gives."""
    true, given = (np.repeat(each.ravel(), confusion.ravel()) for each in np.indices(confusion.shape))
    known = evaluate_probabilities(np.eye(len(confusion))[given], true, bundle.classes).to_dict()
    assert bundle.metrics["split"] == "left-out"
    for name in ("n", "accuracy", "interval", "balanced_accuracy"):
        assert bundle.metrics[name] == pytest.approx(known[name], rel=1e-9), name
    for row, expected in zip(bundle.metrics["per_class"], known["per_class"], strict=True):
        assert row == {name: pytest.approx(value) for name, value in expected.items()}


def test_every_command_takes_a_taught_model(teaching, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = unpacked(teaching, "mirrored", tmp_path)
    pictures = pictures_of(teaching, "mirrored")[:2]
    (seen, _) = nin.explain(folder, iter(pictures), out="explained", device="cpu")
    assert seen.png.is_file()
    assert nin.publish(folder, "page.html").is_file()
    exported = nin.export(folder)
    (answer, *_) = nin.predict(exported.file, iter(pictures))
    (expected, *_) = nin.predict(folder, iter(pictures))
    assert dict(answer.scores) == pytest.approx(dict(expected.scores), abs=1e-4)


def test_pictures_in_folders_of_hostile_names_are_as_many_classes(teaching, tmp_path):
    folder = unpacked(teaching, "pictures", tmp_path)
    source = open_source(folder, split=False)
    assert len(source.classes) == len(HOSTILE)
    assert "고양이" in source.classes


def test_classes_called_train_and_test_are_classes(teaching, tmp_path):
    unpacked(teaching, "parts", tmp_path)
    source = open_source(tmp_path / "pictures", split=False)
    assert list(source.splits) == ["train"]
    assert sorted(source.classes) == ["test", "train"]
