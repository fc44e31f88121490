"""page.json against its schema, whatever models are called; what a page says of a model against other counts of it."""

import hashlib
import json
import shutil

import jsonschema_rs
import pytest
from page_schema import CHECK, SITE

import nin
from nin.bundle.shipped import find_model, shipped
from nin.data.preprocess import Preprocess
from nin.errors import ModelError
from nin.explorer.pictures import PagePicture
from nin.explorer.site import korean_classes, open_model, page_json, page_model, page_name
from plausible import HOSTILE
from small_models import make_bundle

DOTS = (PagePicture(b"\x89PNG one", "<b>dog</b>", "A. Person & co"), PagePicture(b"\xff\xd8 two"))


def names(text: str) -> list[str]:
    return [entry["id"] for entry in json.loads(text)["models"]]


def test_the_page_of_the_package_s_models_is_what_the_schema_says():
    models = []
    for name in shipped():
        models.append(page_model(open_model(name), DOTS, [model.entry["id"] for model in models]))
    site = json.loads(page_json(models, "ko", "/goodbye/x"))
    jsonschema_rs.validate(SITE, site)
    assert [entry["id"] for entry in site["models"]] == list(shipped())
    assert (site["nin"], site["language"], site["goodbye"]) == (nin.__version__, "ko", "/goodbye/x")
    for entry, model in zip(site["models"], models, strict=True):
        folder = find_model(entry["id"])
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        assert entry["sha256"] == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        assert entry["bytes"] == sum((folder / file).stat().st_size for file in entry["files"])
        metrics = config["nin"]["metrics"]
        assert entry["summary"] == {
            "parameters": config["nin"]["provenance"]["parameters"],  # counted by torch when it was trained
            "accuracy": metrics["accuracy"],
            "interval": metrics["interval"],
        }
        assert len(entry["labels"]["ko"]) == config["num_classes"]
        for file in entry["files"]:
            assert model.files[f"{entry['folder']}/{file}"] == (folder / file).read_bytes()
        jsonschema_rs.validate(CHECK, json.loads(model.files[f"{entry['folder']}/check.json"]))
        assert model.files[f"{entry['folder']}/examples/0.png"] == DOTS[0].data
        assert set(model.files) == {
            f"{entry['folder']}/{file}"
            for file in (*entry["files"], "check.json", *(example["file"] for example in entry["examples"]))
        }


def test_models_whatever_they_are_called(tmp_path, small):
    models = []
    for number, name in enumerate(
        (*HOSTILE, "고양이", "Small", "small", "a/b", "con trol", "한글 모델", "é", "e\u0301")
    ):
        folder = tmp_path / str(number) / name.replace("/", "_").replace("\0", "_")
        shutil.copytree(small, folder)
        models.append(page_model(open_model(folder), DOTS, [model.entry["id"] for model in models]))
    site = json.loads(page_json(models))
    jsonschema_rs.validate(SITE, site)
    found = [entry["id"] for entry in site["models"]]
    folders = [entry["folder"] for entry in site["models"]]
    for each in (found, folders):
        assert len({one.casefold() for one in each}) == len(models)
    assert "고양이" in found and "고양이-2" in found and "small-2" in found  # Small and small are one on some disks


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("nin-cifar10", "nin-cifar10"),
        ("내 모델 (2)", "내-모델-2"),
        ("../../etc", "etc"),
        ("a\u202eb", "a-b"),
        ("हिन्दी", "हिन्दी"),
        ("x" * 300, "x" * 60),
        ("...", "model"),
        ("", "model"),
        ("\ud800", "model"),
        ("100 %#?&", "100"),
    ],
)
def test_a_name_becomes_one_that_an_address_holds(name, shown):
    assert page_name(name) == shown
    assert page_name(name, [shown.upper()]) == f"{shown}-2"


def test_korean_classes_are_those_of_the_same_classes_in_their_order():
    classes = open_model("nin-cifar10").bundle.classes
    korean = korean_classes(classes)
    assert korean[classes.index("cat")] == "고양이" and len(set(korean)) == len(classes)
    assert korean_classes(classes[::-1]) == korean[::-1]
    assert korean_classes(classes[:9]) is None and korean_classes(("cat", "dog")) is None


@pytest.mark.parametrize("metrics", [{"accuracy": "high"}, {"accuracy": 2}, {"interval": [0.9, 0.1], "accuracy": 0.5}])
def test_what_a_folder_says_of_its_accuracy_is_believed_only_where_it_can_be(metrics, small, monkeypatch):
    opened = open_model(small)
    monkeypatch.setitem(vars(opened.bundle), "metrics", metrics)
    site = json.loads(page_json([page_model(opened, ())]))
    jsonschema_rs.validate(SITE, site)
    assert site["models"][0]["summary"]["interval"] is None


def test_a_model_of_deep_pictures_is_refused(tmp_path):
    from nin.network.architecture import nin as network

    deep = Preprocess((16, 16), 1, "stretch", (0.5,), (0.25,), value_range=(0, 4095))
    make_bundle(
        tmp_path / "deep", network(2, in_channels=1, width=0.05), Preprocess((16, 16), 1, "stretch", (0.5,), (0.25,))
    )
    opened = open_model(tmp_path / "deep")
    assert opened.bundle.preprocess.channels == 1
    make_bundle(tmp_path / "deeper", network(2, in_channels=1, width=0.05), deep)
    with pytest.raises(
        ModelError, match="was trained on pixel values of 0 to 4,095, and a browser gives 0 to 255; use nin predict"
    ):
        open_model(tmp_path / "deeper")


def damage(folder, what):
    path = folder / what
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "broken",
    [
        lambda folder: damage(folder, "model.safetensors"),
        lambda folder: damage(folder, "config.json"),
        lambda folder: (folder / "labels.txt").unlink(),
        lambda folder: (folder / "config.json").write_text("{}"),
        lambda folder: shutil.rmtree(folder),
    ],
)
def test_what_is_no_whole_model_gets_the_words_of_every_other_command(broken, small, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(small, folder)
    broken(folder)
    with pytest.raises(ModelError) as elsewhere:
        nin.open_engine(folder)
    with pytest.raises(ModelError) as here:
        open_model(folder)
    assert str(here.value) == str(elsewhere.value) and "\n" not in str(here.value)
