"""`nin teach` from pictures to a folder that every other command opens."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import nin
from nin.bundle.folder import open_bundle
from nin.errors import DataError, ModelError, UsageError
from small_models import cuts

COMMAND = [sys.executable, "-c", "import sys; sys.modules['torch'] = None; from nin.cli import main; sys.exit(main())"]
CLASSES = ("a flower", "temple", "숫자")


def pictures(folder: Path, count: int, seed: int) -> Path:
    """Cuts of one photograph, of another one, and handwritten digits."""
    digits = load_digits().images
    for label in CLASSES:
        (folder / label).mkdir(parents=True)
    for number, cut in enumerate(cuts(2 * count, seed=seed)):
        Image.fromarray(cut).save(folder / ("a flower" if number % 2 else "temple") / f"{number:02}.png")
    for number in range(count):
        pixels = (digits[seed * count + number] * 15).astype(np.uint8)
        Image.fromarray(pixels).resize((40, 56)).save(folder / "숫자" / f"{number:02}.jpg", quality=95)
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    return pictures(tmp_path_factory.mktemp("taught") / "photos", 20, 1)


@pytest.fixture(scope="module")
def taught(photos):
    return nin.teach(photos, out=photos.parent / "run")


@pytest.fixture(scope="module")
def unseen(photos) -> Path:
    return pictures(photos.parent / "unseen", 20, 2)


def words(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line of a machine without torch."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run([*COMMAND, *arguments], cwd=folder, env=environment, capture_output=True, text=True)


def test_the_folder_is_whole_and_says_what_it_is(taught, photos):
    summary = json.loads((taught.folder / "summary.json").read_text())
    assert summary == json.loads(json.dumps(taught.summary))
    assert {path.name for path in taught.folder.iterdir()} == {
        *("args.yaml", "confusion_matrix.csv", "confusion_matrix.svg", "data.json", "model"),
        *("pictures.safetensors", "report.html", "summary.json"),
    }
    assert taught.split == "left-out"
    assert taught.evaluation.n == 60
    assert taught.evaluation.accuracy > 0.9
    bundle = open_bundle(taught)
    last = bundle.weights()[f"{bundle.classifier}.weight"]
    assert summary["parameters_learnt"] == last.size + 3
    assert bundle.classes == CLASSES
    assert bundle.provenance["trunk"]["model"] == summary["trunk"]
    assert bundle.provenance["trunk"]["data"]  # what the trunk had seen
    card = (taught.model / "README.md").read_text()
    assert "60 pictures of the left-out split" in card
    assert "trunk.data" in card


def test_the_report_shows_mistakes_and_maps(taught):
    page = (taught.folder / "report.html").read_text()
    assert "60 left-out pictures are recognised correctly" in page
    assert "as they were" in page
    assert page.count("data:image") >= 6


def test_unseen_pictures_get_the_accuracy_that_it_promised(taught, unseen):
    measured = nin.evaluate(taught, unseen)
    assert measured.evaluation.n == 60
    assert measured.training_pictures == 0
    assert measured.evaluation.accuracy > 0.9


def test_its_own_pictures_are_known_as_such(taught, photos):
    assert nin.evaluate(taught, photos).training_pictures == 60


def test_the_same_pictures_teach_the_same(taught, photos, tmp_path):
    again = nin.teach(photos, out=tmp_path / "again")
    assert (again.model / "model.safetensors").read_bytes() == (taught.model / "model.safetensors").read_bytes()
    assert again.evaluation.confusion.tolist() == taught.evaluation.confusion.tolist()


def test_every_command_opens_it_without_torch(taught, unseen, tmp_path):
    one = str(next(iter(sorted((unseen / "temple").iterdir()))))
    said = words(tmp_path, "predict", str(taught.folder), one, "--json")
    assert said.returncode == 0, said.stderr
    assert max(json.loads(said.stdout)[0]["predictions"], key=lambda each: each["score"])["label"] == "temple"
    assert words(tmp_path, "explain", str(taught.folder), one).returncode == 0
    assert words(tmp_path, "evaluate", str(taught.folder), str(unseen)).returncode == 0
    assert words(tmp_path, "publish", str(taught.folder), "page.html").returncode == 0


def test_it_can_be_exported(taught, tmp_path):
    nin.export(taught, out=tmp_path / "taught.onnx")
    assert nin.open_engine(tmp_path / "taught.onnx").classes == CLASSES


def test_a_test_split_is_what_it_is_measured_on(photos, unseen, tmp_path):
    (tmp_path / "both").mkdir()
    (tmp_path / "both" / "train").symlink_to(photos, target_is_directory=True)
    (tmp_path / "both" / "test").symlink_to(unseen, target_is_directory=True)
    result = nin.teach(tmp_path / "both", out=tmp_path / "run", follow_links=True)
    assert result.split == "test"
    assert set(result.summary["splits"]) == {"test", "left-out"}
    again = nin.evaluate(result, tmp_path / "both", split="test", follow_links=True)
    assert again.evaluation.accuracy == result.evaluation.accuracy
    assert "left-out" not in (result.folder / "report.html").read_text()


def test_one_picture_of_each_class_is_enough_to_begin(tmp_path):
    result = nin.teach(pictures(tmp_path / "few", 1, 1), out=tmp_path / "run")
    assert result.evaluation is None
    assert result.split is None
    assert result.warnings == (
        'how good it is was not measured, and no answer is "unknown": a flower has 1 picture; '
        "give 5 or more of each class",
    )
    assert not (result.folder / "report.html").exists()
    assert "It has not been measured." in (result.model / "README.md").read_text()
    assert "unknown" not in {each.label for each in nin.predict(result, tmp_path / "few")}


def test_pictures_of_sixteen_bits_are_seen_as_they_are(tmp_path):
    """A camera of 12 bits: dark and bright, told apart although both are black in eight bits."""
    random = np.random.default_rng(0)
    for label, level in (("dark", 300), ("bright", 2400)):
        (tmp_path / "deep" / label).mkdir(parents=True)
        for number in range(8):
            pixels = random.normal(level, 120, (40, 40)).clip(0, 4095).astype(np.uint16)
            Image.fromarray(pixels).save(tmp_path / "deep" / label / f"{number}.png")
    result = nin.teach(tmp_path / "deep", out=tmp_path / "run")
    assert result.evaluation.accuracy == 1
    answers = nin.predict(result, tmp_path / "deep" / "dark")
    assert {answer.label for answer in answers} == {"dark"}


def test_it_replaces_only_what_it_left_itself(taught, photos, tmp_path):
    with pytest.raises(UsageError, match="is not empty; choose another --out, or replace it with --overwrite"):
        nin.teach(photos, out=taught.folder)
    before = (taught.model / "model.safetensors").read_bytes()
    nin.teach(photos, out=taught.folder, overwrite=True)
    assert (taught.model / "model.safetensors").read_bytes() == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="something else than a model that nin teach left"):
        nin.teach(photos, out=tmp_path / "mine", overwrite=True)


def test_mistakes_are_told_in_one_line(photos, tmp_path):
    (tmp_path / "one" / "cat").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "one" / "cat" / "a.png")
    with pytest.raises(DataError, match="has one class only"):
        nin.teach(tmp_path / "one")
    with pytest.raises(UsageError, match="nowhere"):
        nin.teach(tmp_path / "nowhere")
    with pytest.raises(ModelError, match="did you mean nin-cifar10"):
        nin.teach(photos, trunk="nin-cifar")
    with pytest.raises(UsageError, match="--cut is 9; nin-cifar10 has 5 mlpconv layers"):
        nin.teach(photos, trunk="nin-cifar10", cut=9, out=tmp_path / "run")
    with pytest.raises(UsageError, match="--size"):
        nin.teach(photos, size=4)
    assert not (tmp_path / "run").exists()


def test_a_broken_picture_is_named_or_left_out(photos, tmp_path):
    import shutil

    broken = Path(shutil.copytree(photos, tmp_path / "broken"))
    (broken / "temple" / "zz.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    (broken / "temple" / "notes.txt").write_text("not a picture")
    with pytest.raises(DataError, match=r"zz\.jpg"):
        nin.teach(broken, out=tmp_path / "run")
    result = nin.teach(broken, out=tmp_path / "run", skip_unreadable=True)
    assert result.evaluation.n == 60


def test_the_command_teaches(photos, tmp_path):
    said = words(tmp_path, "teach", str(photos))
    assert said.returncode == 0, said.stderr
    assert said.stdout.strip() == "runs/photos-taught/model"
    assert "left-out accuracy" in said.stderr
    assert "nin explain runs/photos-taught" in said.stderr
    again = words(tmp_path, "teach", str(photos))
    assert again.returncode == 2
    assert "is not empty" in again.stderr
    assert json.loads(words(tmp_path, "teach", str(photos), "--overwrite", "--json").stdout)["split"] == "left-out"
