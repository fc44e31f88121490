"""Results of the real program, against what the tiny model must give: always 0.75 for 고양이 and 0.25 for dog."""

import csv
import json
import math

import pytest
from nin_program import ODDS


def test_predict_says_one_line_a_picture(nin, model, photos):
    outcome = nin("predict", "model", "photos/dog/0.png", "photos/고양이", "--top", "2")
    lines = outcome.out.splitlines()
    assert (outcome.code, len(lines)) == (0, 11)
    assert outcome.err.split() == ["answer", "pictures", "share", "고양이", "11", "100.0%"]
    assert lines[0].startswith("photos/dog/0.png: 고양이 0.750, dog 0.250 (")
    assert [line.partition(":")[0] for line in lines[1:]] == [f"photos/고양이/{i}.png" for i in range(10)]


def test_predict_json_jsonl_and_csv_agree(nin, model, photos):
    (nin.folder / "=notes.png").write_text("no picture")
    inputs = ["photos/dog/0.png", "=notes.png", "photos/dog/1.png"]
    whole = nin("predict", "model", *inputs, "--json")
    lines = nin("predict", "model", *inputs, "--jsonl")
    table = nin("predict", "model", *inputs, "--csv", "--top", "1")
    reason = "a text file, not a picture this program reads (JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF, PNM)"
    for outcome in (whole, lines, table):
        assert (outcome.code, outcome.err) == (1, f"nin: =notes.png cannot be read: {reason}\n")
    objects = json.loads(whole.out)
    streamed = [json.loads(line) for line in lines.out.splitlines()]
    for found in (objects, streamed):
        assert found[1] == {"file": "=notes.png", "error": reason}
        for answer, name in ((found[0], inputs[0]), (found[2], inputs[2])):
            assert answer.pop("ms") > 0
            (first, second) = answer.pop("predictions")
            assert answer == {"file": name, "unknown": False}
            assert (first["label"], second["label"]) == ("고양이", "dog")
            assert (first["score"], second["score"]) == pytest.approx((0.75, 0.25), abs=1e-6)
    rows = list(csv.DictReader(table.out.splitlines()))
    assert [row["file"] for row in rows] == ["photos/dog/0.png", "'=notes.png", "photos/dog/1.png"]
    assert [(row["label"], row["score"], row["error"]) for row in rows] == [
        ("고양이", "0.750000", ""),
        ("", "", reason),
        ("고양이", "0.750000", ""),
    ]


def test_predict_takes_a_picture_from_standard_input(nin, model, photos):
    outcome = nin("predict", "model", "-", "--json", stdin=(photos / "dog" / "0.png").read_bytes())
    (answer,) = json.loads(outcome.out)
    assert (outcome.code, outcome.err, answer["file"]) == (0, "", "-")
    assert answer["predictions"][0]["label"] == "고양이"


def test_evaluate_prints_and_judges(nin, model, photos):
    table = nin("evaluate", "model", "photos", "-q")
    assert (table.code, table.err) == (0, "")
    assert table.out.splitlines()[0].startswith("accuracy on everything 0.500 (95 % interval ")
    found = nin("val", "model", "photos", "--json", "--fail-under", "0.9")
    values = json.loads(found.out)
    assert found.code == 3
    assert found.err.splitlines()[-1] == "nin: the accuracy 0.5000 is under --fail-under 0.9"
    assert (values["split"], values["model"], values["n"], values["accuracy"]) == ("train", "model", 20, 0.5)
    confusion = {row["label"]: row for row in values["per_class"]}
    assert confusion["고양이"]["recall"] == 1.0
    assert confusion["dog"]["recall"] == 0.0
    assert values["loss"] == pytest.approx(-(math.log(0.75) + math.log(0.25)) / 2, abs=1e-6)


def test_explain_makes_pictures_and_prints_where(nin, model, photos):
    outcome = nin("explain", "model", "photos/dog/0.png", "photos/dog/1.png", "--out", "maps", "--top", "1")
    made = outcome.out.splitlines()
    assert outcome.code == 0
    assert made == ["maps/0.png", "maps/1.png"]
    assert all((nin.folder / path).read_bytes().startswith(b"\x89PNG") for path in made)
    assert outcome.err.splitlines()[0] == f"photos/dog/0.png: 고양이 0.750 (logit {math.log(ODDS):.2f})"


@pytest.mark.parametrize(("name", "share"), [("alexnet", "96.2%"), ("vgg16", "89.4%"), ("googlenet", "14.6%")])
def test_summary_of_what_nin_is_compared_with(nin, name, share):
    outcome = nin("summary", name)
    assert outcome.code == 0 and outcome.out.startswith(f"{name} for pictures of 3x22")
    assert f"fully connected layers hold {share} of the parameters" in outcome.out


def test_summary_as_json_counts_what_the_table_shows(nin, model):
    found = json.loads(nin("summary", "model", "--json").out)
    assert found["input_size"] == [3, 16, 16]
    told = found["normalisation"]
    assert told == "values / 255, minus the mean (0.5, 0.5, 0.5), divided by the standard deviation (0.5, 0.5, 0.5)"
    lines = nin("summary", "model").out.splitlines()
    assert " ".join(lines[1 : lines.index("")]) == told and max(map(len, lines[: lines.index("")])) <= 80
    assert found["parameters"] == sum(layer["parameters"] for layer in found["layers"])
