"""The confusion matrix as SVG, as CSV and as the list of what is mixed up most. Rows true, columns predicted."""

import math
from collections.abc import Sequence

import numpy as np

from nin.report.markup import Markup, columns, percent, shorten, tag
from nin.report.spreadsheet import csv_line
from nin.report.svg import LIGHT, box, said, stroke, svg, text
from nin.training.evaluation import Evaluation

COMPACT_ABOVE = 25  # classes; above it cells are small and counts stay in their hints
LABELS_UP_TO = 100  # classes; above it a label would be smaller than a hair
HALF = 0.5  # share of a row from which a cell has its full colour and goes on to a deeper one, with words in paper
LIGHTEST = 0.5  # opacity just below that share: ink stays readable on it in both colour schemes
DEEP = {"accent": "deep", "warm": "burnt"}


def confusion_svg(evaluation: Evaluation, classes: Sequence[str], *, shares_only: bool = False) -> str:
    """The matrix, shaded by each cell's share of its row: counts and shares as text (up to 25 classes) and as hints.

    Right answers are blue, mistakes orange. shares_only: normalised, without the counts. Cells without an answer are
    left out above 25 classes.
    """
    k = len(classes)
    compact = k > COMPACT_ABOVE
    cell = max(4.0, min(15.0, 840 / k)) if compact else 60.0 if k <= 4 else 48.0 if k <= 12 else 38.0
    size = min(9.5, 0.95 * cell) if compact else 12.0
    labels = [shorten(label, 18) for label in classes] if k <= LABELS_UP_TO else []
    margin = 34 + max((columns(label) for label in labels), default=0) * size * 0.6
    side = k * cell
    drawn: list[Markup] = [box(0, 0, margin + side + 8, margin + side + 8, "paper")]
    for i, label in enumerate(labels):
        middle = margin + (i + 0.5) * cell
        drawn.append(_label(margin - 6, middle + size * 0.35, label, classes[i], "end", size))
        turned = f"translate({middle + size * 0.35:.2f} {margin - 6:.2f}) rotate(-90)"
        drawn.append(tag("g", _label(0, 0, label, classes[i], "start", size), transform=turned))
    for i, row in enumerate(evaluation.confusion):
        total = max(1, int(row.sum()))
        for j, count in enumerate(row.tolist()):
            if not count and compact:
                continue
            hint = f"true {classes[i]}, predicted {classes[j]}: {count:,} ({percent(count / total)} of the row)"
            place = margin + j * cell, margin + i * cell
            drawn += _filled(place, cell, count / total, "accent" if i == j else "warm", compact, hint)
            if not compact:
                drawn += _numbers(place, cell, count, total, shares_only)
    drawn += [
        stroke(margin, margin - 1, margin + side, margin - 1),
        stroke(margin - 1, margin, margin - 1, margin + side),
    ]
    drawn.append(said(margin, 14, "predicted", "start", "ink", 13))
    drawn.append(tag("g", said(0, 0, "true", "end", "ink", 13), transform=f"translate(14 {margin:.2f}) rotate(-90)"))
    label = (
        f"Confusion matrix of {k} classes, rows true, columns predicted; {percent(evaluation.accuracy)} on the diagonal"
    )
    return svg(margin + side + 8, margin + side + 8, label, *drawn, class_="matrix")


def _filled(
    place: tuple[float, float], cell: float, share: float, colour: str, compact: bool, hint: str
) -> list[Markup]:
    """A cell in its colour, and above half of its row a deeper one over it."""
    gap = 0.5 if compact else 1.0
    x, y, side = place[0] + gap, place[1] + gap, cell - 2 * gap
    full, deep = shade(share)
    cells = [box(x, y, side, side, colour, full, hint)]
    return [*cells, box(x, y, side, side, DEEP[colour], deep, hint)] if deep else cells


def _numbers(place: tuple[float, float], cell: float, count: int, total: int, shares_only: bool) -> list[Markup]:
    """A cell's count and, where there is any, its share of the row below; or its share alone."""
    x, y = place[0] + cell / 2, place[1] + cell / 2
    share = f"{count / total:.0%}" if count * 200 >= total else "<1%"
    ink = "paper" if count / total >= HALF else "ink" if count else "muted"
    size = 12.0 if count < 10_000 else 9.0
    if not count:
        return [text(x, y + 4, "·" if shares_only else 0, "middle", ink, size)]
    if shares_only:
        return [text(x, y + size * 0.36, share, "middle", ink, 12.0)]
    return [text(x, y, f"{count}", "middle", ink, size), text(x, y + size, share, "middle", ink, 9.0)]


def _label(x: float, y: float, short: str, full: str, anchor: str, size: float) -> Markup:
    return tag(
        "text", short, tag("title", full), x=x, y=y, text_anchor=anchor, font_size=size, class_="f-ink",
        fill=LIGHT["ink"], style="unicode-bidi:isolate",
    )  # fmt: skip


def shade(share: float) -> tuple[float, float]:
    """Opacity of a cell's colour with this share of its row, and of the deeper colour over it.

    Bent upward below a half, so that a few percent are seen; above it the deeper colour grows with the share.
    """
    if share < HALF:
        return round(LIGHTEST * math.sqrt(share / HALF), 3), 0.0
    return 1.0, round((share - HALF) / (1 - HALF), 3)


def confusion_csv(evaluation: Evaluation, classes: Sequence[str]) -> str:
    """Counts as CSV: the first row names the predicted, the first column the true classes.

    A name that a spreadsheet would run as a formula gets an apostrophe before it.
    """
    head = ["true \\ predicted", *classes]
    rows = ([label, *row] for label, row in zip(classes, evaluation.confusion.tolist(), strict=True))
    return "".join(f"{csv_line(cells)}\n" for cells in (head, *rows))


def most_confused(evaluation: Evaluation, most: int) -> list[tuple[int, int, int]]:
    """(true, predicted, count) of the most frequent mistakes, largest first, at most `most`."""
    wrong = evaluation.confusion - np.diag(evaluation.confusion.diagonal())
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [(int(i), int(j)) for i, j in zip(*np.unravel_index(order, wrong.shape), strict=True)]
    return [(i, j, int(wrong[i, j])) for i, j in pairs if wrong[i, j]]
