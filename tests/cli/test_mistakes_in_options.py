"""What options out of range answer: the whole output of the real program, and nothing left behind."""

import re

import pytest

TRAIN = "try: nin train --help"
OUT_OF_RANGE = (
    "--epochs -1",
    "--size 4",
    "--channels 2",
    "--max-time soon",
    "--width 0",
    "--lr 0",
    "--batch-size 0",
    "--statistics-batch 1",
    "--holdout 2",
    "--patience 0",
    "--label-smoothing 3",
    "--threads 0",
    "--weight-decay -1",
)


@pytest.mark.parametrize("words", OUT_OF_RANGE)
def test_an_option_out_of_range_is_named_and_nothing_is_begun(words, nin, photos):
    before = nin.left()
    option, value = words.split()
    outcome = nin("train", "photos", option, value)
    first, second = outcome.err.splitlines()  # no word of the data: it was not looked at
    assert re.fullmatch(rf"nin: {option} is '?{value}(\.0)?'?; expected .+", first)
    assert second == TRAIN
    assert (outcome.code, outcome.out) == (2, "")
    assert nin.left() == before


def test_a_run_folder_that_is_taken(nin, photos):
    (nin.folder / "full").mkdir()
    (nin.folder / "full" / "mine.txt").write_text("mine")
    before = nin.left()
    outcome = nin("train", "photos", "--out", "full")
    assert outcome.err == f"nin: full is not empty; choose another --out, or replace it with --overwrite\n{TRAIN}\n"
    assert (outcome.code, outcome.out) == (2, "")
    assert nin.left() == before


def test_a_run_folder_that_cannot_be_made(nin, photos):
    (nin.folder / "notes.txt").write_text("a file")
    before = nin.left()
    outcome = nin("train", "photos", "--out", "notes.txt/run", "-q")
    line = "nin: notes.txt/run cannot be a run folder: notes.txt is a file; choose another --out"
    assert outcome.err == f"{line}\n{TRAIN}\n"
    assert (outcome.code, outcome.out) == (2, "")
    assert nin.left() == before


@pytest.mark.parametrize(
    ("folder", "reason", "code"),
    [
        ("nothere", "nothere is not a run folder; expected the folder of an interrupted nin train", 2),
        ("photos", "photos holds no checkpoint; expected the folder of an interrupted `nin train`", 1),
    ],
)
def test_a_folder_that_is_no_run(folder, reason, code, nin, photos):
    outcome = nin("train", "--resume", folder)
    assert outcome.err.splitlines() == [f"nin: {reason}", *([TRAIN] if code == 2 else [])]
    assert (outcome.code, outcome.out) == (code, "")
