"""The confusion matrix as SVG, as CSV and as the list of what is mixed up most. Rows true, columns predicted."""

import math
from collections.abc import Sequence

import numpy as np

from nin.report.markup import Markup, columns, percent, shorten, tag
from nin.report.spreadsheet import csv_line
from nin.report.svg import LIGHT, box, stroke, svg, text
from nin.training.evaluation import Evaluation

COMPACT_ABOVE = 25  # classes; above it cells are small and counts stay in their hints
LABELS_UP_TO = 100  # classes; above it a label would be smaller than a hair
DARKEST = 0.55  # opacity of a full row: ink stays readable on it in both colour schemes


def confusion_svg(evaluation: Evaluation, classes: Sequence[str]) -> str:
    """The matrix, shaded by each cell's share of its row, counts as text (up to 25 classes) and as hints.

    Right answers are blue, mistakes orange. Cells without an answer are left out above 25 classes.
    """
    k = len(classes)
    counts = evaluation.confusion
    compact = k > COMPACT_ABOVE
    cell = max(4.0, min(15.0, 840 / k)) if compact else 60.0 if k <= 4 else 44.0 if k <= 12 else 36.0
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
    for i, row in enumerate(counts):
        total = max(1, int(row.sum()))
        for j, count in enumerate(row.tolist()):
            if not count and compact:
                continue
            hint = f"true {classes[i]}, predicted {classes[j]}: {count:,} ({percent(count / total)} of the row)"
            x = margin + j * cell
            y = margin + i * cell
            colour = "accent" if i == j else "warm"
            gap = 0.5 if compact else 1.0
            drawn.append(box(x + gap, y + gap, cell - 2 * gap, cell - 2 * gap, colour, shade(count / total), hint))
            if not compact:
                small = 12.0 if count < 10_000 else 9.0
                ink = "ink" if count else "muted"
                drawn.append(text(x + cell / 2, y + cell / 2 + small * 0.36, count, "middle", ink, small))
    drawn += [
        stroke(margin, margin - 1, margin + side, margin - 1),
        stroke(margin - 1, margin, margin - 1, margin + side),
    ]
    drawn.append(text(margin, 14, "predicted", "start", "ink", 13))
    drawn.append(tag("g", text(0, 0, "true", "end", "ink", 13), transform=f"translate(14 {margin:.2f}) rotate(-90)"))
    label = (
        f"Confusion matrix of {k} classes, rows true, columns predicted; {percent(evaluation.accuracy)} on the diagonal"
    )
    return svg(margin + side + 8, margin + side + 8, label, *drawn, class_="matrix")


def _label(x: float, y: float, short: str, full: str, anchor: str, size: float) -> Markup:
    return tag(
        "text", short, tag("title", full), x=x, y=y, text_anchor=anchor, font_size=size, class_="f-ink",
        fill=LIGHT["ink"], style="unicode-bidi:isolate",
    )  # fmt: skip


def shade(share: float) -> float:
    """Opacity of a cell with this share of its row; bent upward so that a few percent are seen."""
    return round(DARKEST * math.sqrt(share), 3)


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
