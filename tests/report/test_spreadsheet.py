"""No cell of any CSV is a formula, and numbers stay numbers: one table for every writer."""

import csv
import io

import pytest

from nin.report.confusion import confusion_csv
from nin.report.spreadsheet import csv_line, guarded
from plausible import answers

TEXTS = "-1|+1|-0.5|+.5|-5.|1e-3|-1e-3|+2E+10|0|42|−1|cat|'| =1|a=b|é|a\r=1|a\nb|a,b|\"=1|"
FORMULAS = (  # OWASP's starts ("CSV Injection")
    "=1+1|=|==|=cmd()|+SUM(1)|+|@x|@SUM(A1)|-cmd()|-|--1|+-1|-1-2|+1+1|-2+3|-A1|-1 |-1\n|-1:1|-1e|-inf|+82-10-1234|"
    "-1/0.png|-0x10|-1,5|\t=1|\r=1|\n=1|\t|＝1+1|＋SUM(1)|－1|－cmd|＠x|-１|=cmd' /C calc'!A0"
)


@pytest.mark.parametrize(
    ("text", "cell"),
    [*((text, text) for text in TEXTS.split("|")), *((text, f"'{text}") for text in FORMULAS.split("|"))],
)
def test_every_csv_keeps_numbers_and_disarms_formulas(text: str, cell: str) -> None:
    assert guarded(text) == cell
    (read,) = csv.reader(io.StringIO(csv_line([text, 1, "end"]), newline=""))
    assert read == [cell, "1", "end"]
    _, _, evaluation = answers((text, "other"), 20)
    head, first, _ = csv.reader(io.StringIO(confusion_csv(evaluation, (text, "other")), newline=""))
    assert head == ["true \\ predicted", cell, "other"]
    assert first[0] == cell
