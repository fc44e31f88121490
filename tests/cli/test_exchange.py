"""Strict JSON and safe CSV, read back by Python's own readers."""

import csv
import io
import json
import math
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nin.cli.exchange import csv_cells, csv_header, json_object, to_json
from nin.report.spreadsheet import csv_line


@dataclass(frozen=True)
class Point:
    name: str
    place: Path


def test_json_holds_no_nan_and_knows_our_types():
    value = {
        "nan": math.nan,
        "deep": [(math.inf, -math.inf), {"x": np.float32("nan")}],
        "int": np.int64(3),
        "array": np.array([[1.5, math.nan]]),
        "point": Point("고양이", Path("a/b")),
        "flag": True,
        "none": None,
    }
    assert json.loads(to_json(value), parse_constant=lambda name: 1 / 0) == {
        "nan": None,
        "deep": [[None, None], {"x": None}],
        "int": 3,
        "array": [[1.5, None]],
        "point": {"name": "고양이", "place": "a/b"},
        "flag": True,
        "none": None,
    }
    assert "\n" not in to_json(value, indent=None)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
        max_leaves=8,
    )
)
def test_json_round_trip(value):
    assert json.loads(to_json(value)) == value


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1), min_size=1))
def test_csv_round_trip_and_no_cell_is_a_formula(cells):
    (read,) = csv.reader(io.StringIO(csv_line(cells), newline=""))
    assert not any(cell.startswith(("=", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")) for cell in read)
    assert not any(math.isnan(float(cell)) for cell in read if cell.startswith(("+", "-")))
    assert [
        cell[1:] if cell.startswith("'") and not text.startswith("'") else cell
        for cell, text in zip(read, cells, strict=True)
    ] == cells


def test_csv_numbers_keep_their_sign_and_none_is_empty():
    assert csv_line([None, -1, 2.5, "-1", "a,b"]) == ',-1,2.5,-1,"a,b"'


def prediction(**changes):
    scores = (("=cat", 0.75), ("dog", 0.25))
    fields = {"file": "@a.png", "label": "=cat", "score": 0.75, "unknown": False, "scores": scores, "ms": 1.23456}
    return SimpleNamespace(**{**fields, "error": None, "notes": (), "unlike": False, **changes})


def test_a_prediction_as_json_and_csv():
    assert json_object(prediction(), 1) == {
        "file": "@a.png",
        "predictions": [{"label": "=cat", "score": 0.75}],
        "unknown": False,
        "ms": 1.235,
    }
    assert csv_line(csv_header(2)) == "file,unknown,label,score,label2,score2,ms,error"
    assert csv_line(csv_cells(prediction(), 2)) == "'@a.png,false,'=cat,0.750000,dog,0.250000,1.235,"


def test_a_failed_prediction_as_json_and_csv():
    failed = prediction(label=None, score=None, scores=(), error="truncated PNG")
    assert json_object(failed, 1) == {"file": "@a.png", "error": "truncated PNG"}
    assert csv_line(csv_cells(failed, 2)) == "'@a.png,,,,,,1.235,truncated PNG"


def test_rows_have_the_header_s_width_even_with_fewer_classes_than_asked():
    assert len(csv_cells(prediction(), 5)) == len(csv_header(5))
