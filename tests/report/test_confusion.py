"""confusion.py: the same counts in every form, whatever the classes are called."""

import csv
import io
import re
import xml.etree.ElementTree as ET
from importlib import resources

import numpy as np
import pytest

from nin.report.confusion import DEEP, HALF, confusion_csv, confusion_svg, most_confused, shade
from plausible import ANIMALS, HOSTILE, answers

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("classes", [ANIMALS, HOSTILE, ("a", "b"), tuple(f"c{i}" for i in range(40))])
def test_csv_reads_back_as_the_matrix(classes: tuple[str, ...]) -> None:
    _, _, evaluation = answers(classes)
    head, *rows = csv.reader(io.StringIO(confusion_csv(evaluation, classes), newline=""))
    assert len(head) == len(rows) + 1 == len(classes) + 1
    assert (np.array([[int(cell) for cell in row[1:]] for row in rows]) == evaluation.confusion).all()
    assert head[1:] == [row[0] for row in rows]
    assert [label.removeprefix("'") for label in head[1:]] == list(classes)


@pytest.mark.parametrize("classes", [ANIMALS, HOSTILE, ("a", "b"), tuple(f"c{i}" for i in range(25))])
def test_svg_shows_every_count_in_its_place(classes: tuple[str, ...]) -> None:
    _, _, evaluation = answers(classes)
    root = ET.fromstring(confusion_svg(evaluation, classes))
    texts = {float(t.get("x", 0)): [] for t in root.iter(f"{SVG}text")}
    for t in root.findall(f"{SVG}text"):
        if t.text and t.text.isdigit():
            texts[float(t.get("x", 0))].append((float(t.get("y", 0)), int(t.text)))
    across = [column for _, column in sorted(texts.items()) if len(column) == len(classes)]
    found = np.array([[count for _, count in sorted(column)] for column in across]).T
    assert (found == evaluation.confusion).all()


def test_large_svg_keeps_counts_as_hints_and_stays_small() -> None:
    classes = tuple(f"class {i}" for i in range(100))
    _, _, evaluation = answers(classes, 1500)
    drawn = confusion_svg(evaluation, classes)
    hints = [t.text or "" for t in ET.fromstring(drawn).iter(f"{SVG}title")]
    for i, j in zip(*np.nonzero(evaluation.confusion), strict=True):
        assert any(
            h.startswith(f"true class {i}, predicted class {j}: {evaluation.confusion[i, j]:,} (") for h in hints
        )
    assert len(drawn) < 400_000


def test_hostile_names_make_no_elements() -> None:
    _, _, evaluation = answers(HOSTILE)
    root = ET.fromstring(confusion_svg(evaluation, HOSTILE))
    assert {element.tag for element in root.iter()} == {
        f"{SVG}{t}" for t in ("svg", "title", "g", "text", "rect", "line")
    }


@pytest.mark.parametrize("scheme", [0, 1])
@pytest.mark.parametrize("hue", ["accent", "warm"])
def test_shade_grows_and_keeps_words_readable(scheme: int, hue: str) -> None:
    """WCAG contrast of ink below a half and of paper above it; and shades above a half can be told apart."""
    style = resources.files("nin.report").joinpath("page.css").read_text(encoding="utf-8")
    block = re.findall(r":root \{(.*?)\}", style, re.DOTALL)[scheme]
    colours = {
        key: np.array([int(value[i : i + 2], 16) for i in (0, 2, 4)], dtype=float)
        for key, value in re.findall(r"--([a-z-]+): #([0-9a-f]{6})", block)
    }

    def luminance(colour: np.ndarray) -> float:
        c = colour / 255
        return float(np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])

    def contrast(one: np.ndarray, other: np.ndarray) -> float:
        low, high = sorted((luminance(one), luminance(other)))
        return (high + 0.05) / (low + 0.05)

    seen = []
    for share in np.linspace(0, 1, 101):
        full, deep = shade(share)
        cell = colours["paper"] * (1 - full) + colours[hue] * full
        seen.append(cell * (1 - deep) + colours[DEEP[hue]] * deep)
        assert contrast(seen[-1], colours["paper" if share >= HALF else "ink"]) >= 4.5, share
    strength = [contrast(cell, colours["paper"]) for cell in seen]
    assert strength == sorted(strength) and strength[0] == 1
    assert contrast(seen[100], seen[75]) > 1.25 and contrast(seen[75], seen[50]) > 1.25


def test_shares_stand_below_counts_or_alone() -> None:
    _, _, evaluation = answers(ANIMALS)
    count = int(evaluation.confusion[0, 0])
    share = f"{count / evaluation.confusion[0].sum():.0%}"
    for alone in (False, True):
        root = ET.fromstring(confusion_svg(evaluation, ANIMALS, shares_only=alone))
        words = [t.text or "" for t in root.findall(f"{SVG}text")]
        assert share in words and (str(count) in words) != alone


def test_most_confused_by_sorting_every_pair() -> None:
    _, _, evaluation = answers(ANIMALS)
    k = len(ANIMALS)
    pairs = [(i, j, int(evaluation.confusion[i, j])) for i in range(k) for j in range(k) if i != j]
    pairs = sorted((p for p in pairs if p[2]), key=lambda p: -p[2])
    assert most_confused(evaluation, 7) == pairs[:7]
    assert most_confused(evaluation, 10_000) == pairs
