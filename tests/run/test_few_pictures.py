"""What is said where `nin teach` would do: its figures are those that were measured, and it is not said elsewhere."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nin.data.sources import open_source
from nin.run.few_pictures import GAVE, few_pictures_note
from nin.run.options import TrainOptions

MEASURED = Path(__file__).resolve().parents[2] / "experiments" / "2026-11-30-teach" / "result.json"


def source(root: Path, *counts: int):
    """Class folders with so many pictures each."""
    for label, count in enumerate(counts):
        (root / f"class {label}").mkdir(parents=True)
        for number in range(count):
            shade = np.full((8, 8, 3), 20 * label + number, np.uint8)
            Image.fromarray(shade).save(root / f"class {label}" / f"{number}.png")
    return open_source(root, split=False)


def test_its_figures_are_those_that_were_measured():
    rows = json.loads(MEASURED.read_text(encoding="utf-8"))["rows"]
    usual = [row for row in rows if (row["set"], row["trunk"], row["cut"]) == ("clothing", "nin-cifar10", 4)]
    assert len(usual) == sum(map(len, GAVE.values()))
    for row in usual:
        assert GAVE[row["classes"]][row["pictures"]] == round(row["accuracy"])


@pytest.mark.parametrize(
    ("counts", "each", "figure"),
    [
        ((9, 11), "10", "71 % right on photos of 3 kinds of clothing, taught with 10 of each"),
        ((30, 30, 30), "30", "79 % right on photos of 3 kinds of clothing, taught with 30 of each"),
        ((6,) * 8, "6", "31 % right on photos of 10 kinds of clothing, taught with 5 of each"),
    ],
)
def test_few_pictures_are_told_of_nin_teach(tmp_path, counts, each, figure):
    root = tmp_path / "my photos"
    said = few_pictures_note(source(root, *counts), TrainOptions(), 3)
    assert said == f"few pictures ({each} a class): nin teach '{root}' takes seconds; it gave {figure}"


@pytest.mark.parametrize(
    ("choices", "channels"),
    [({"from_": "nin-photos"}, 3), ({"divide": "none"}, 3), ({"skip_unreadable": True}, 3), ({}, 4)],
)
def test_it_is_not_said_where_that_command_might_refuse(tmp_path, choices, channels):
    found = source(tmp_path / "photos", 3, 3)
    assert few_pictures_note(found, TrainOptions(), 3)
    assert few_pictures_note(found, TrainOptions(**choices), channels) is None


def test_it_is_not_said_of_more_pictures(tmp_path):
    assert few_pictures_note(source(tmp_path / "photos", 31, 31), TrainOptions(), 3) is None
