"""`nin import`, the real program: the whole output for the author's files, a model that other commands take."""

import json

import pytest

from foreign_files import caffe_net, caffemodel, cuda_convnet_def, cuda_convnet_params, rows
from nin.cli.printed import import_lines
from nin.importers.translate import Imported


@pytest.fixture
def files(nin):
    (nin.folder / "net_def").write_text(cuda_convnet_def("cifar10"))
    (nin.folder / "net_params").write_text(cuda_convnet_params())
    (nin.folder / "tiny.prototxt").write_text(caffe_net("tiny", data="transform_param { mean_value: 128 }"))
    weights = {
        name: [([0.01] * (width * reads * kernel**2), (width, reads, kernel, kernel)), ([0.1] * width, (width,))]
        for name, kernel, reads, width, _ in rows("tiny")
    }
    (nin.folder / "tiny.caffemodel").write_bytes(caffemodel(weights))
    return nin


def test_the_author_s_files_are_translated_line_by_line(files):
    before = files.left()
    outcome = files("import", "net_def", "net_params")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[0] == "cuda-convnet definition: nin-author-cifar10, 966,986 parameters, 10 classes"
    assert max(map(len, lines)) <= 80
    told = " ".join(outcome.out.split())
    assert "net_def:40 pool1: max 3x3/2 -> pools.0, max, its size rounded up" in told
    assert "trained with: epsW 1, epsB 2, momW 0.9, momB 0.9, wc 1e-05 (conv1)" in told
    assert lines[-2:] == [
        "no model: these files hold no weights; train it here: nin train PATH --network",
        "    nin-author-cifar10",
    ]
    assert outcome.err.splitlines() == [
        "note: the files hold no schedule: rates were lowered by hand when the training error stood still",
    ]
    assert files.left() == before
    quiet = files("import", "net_def", "net_params", "-q", "--json")
    assert quiet.err == ""
    found = json.loads(quiet.out)
    assert found["network"]["name"] == "nin-author-cifar10"
    assert found["recipe"].startswith("epsW 1, ")
    assert len(found["lines"]) == 23


def test_a_definition_alone_gives_no_folder(files):
    before = files.left()
    outcome = files("import", "net_def", "--out", "model")
    assert outcome.code == 1
    assert outcome.out.startswith("cuda-convnet definition: nin-author-cifar10")
    assert outcome.err == (
        "nin: nothing was written to model: these files hold no weights; train it here: nin train PATH --network "
        "nin-author-cifar10\n"
    )
    assert files.left() == before


def test_an_imported_model_is_one_like_any_other(files, photos):
    (files.folder / "labels.txt").write_text("고양이\ndog\n나무\n")
    outcome = files("import", "tiny.prototxt", "tiny.caffemodel", "--out", "model", "--labels", "labels.txt")
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[-1] == "model: model"
    assert outcome.err == ""
    assert files("evaluate", "model", "photos", "--json").code == 0
    predicted = json.loads(files("predict", "model", "photos/dog/0.png", "--json").out)
    assert {each["label"] for each in predicted[0]["predictions"]} == {"고양이", "dog", "나무"}
    assert "1,174 parameters" in files("summary", "model").out


def test_names_in_files_cannot_move_the_cursor(files):
    evil = "x\x1b[2J\u202e"
    (files.folder / "net_def").write_text(cuda_convnet_def("cifar10").replace("cccp1", evil))
    (files.folder / f"{evil}.caffemodel").write_bytes(b"\x0a\x05\x00")
    for words in (("net_def",), ("tiny.prototxt", f"{evil}.caffemodel")):
        outcome = files("import", *words)
        assert "\x1b" not in outcome.out + outcome.err
        assert "\u202e" not in outcome.out + outcome.err
        assert "x1b[2J" in outcome.out + outcome.err


def test_no_word_is_lost_in_the_table():
    lines = (("f:1", "word " * 30, "ours " * 30),)
    found = Imported("s", {"name": "n", "num_classes": 2}, 1, lines, None, "p", (), (), (), missing="m")
    text = "\n".join(import_lines(found))
    assert text.count("word") == text.count("ours") == 30
