"""Drawings for the page as SVG of our own: curves and the reliability diagram. Plain numbers in, one <svg> out.

Every element names its colour twice: as a class, which the page's style sheet colours for light and dark, and as the
light colour itself, which holds where there is no style sheet.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nin.report.bilingual import korean
from nin.report.markup import Markup, join, percent, tag
from nin.training.evaluation import Evaluation

LIGHT = {  # the style sheet holds the same names for both colour schemes
    "paper": "#ffffff",
    "ink": "#1b1f24",
    "muted": "#59616b",
    "line": "#dfe3e8",
    "accent": "#1f5fa8",
    "warm": "#b4480b",
    "deep": "#0b2c55",  # what accent goes over to where most of a row lies
    "burnt": "#5c2304",  # and warm
}
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans KR', 'Malgun Gothic', sans-serif"
FEW_POINTS = 6  # of a curve, up to which each is shown as a dot
FLAT = 1e-290  # a range of values no larger than this is drawn as none


@dataclass(frozen=True)
class Curve:
    """One curve: y over x, missing or non-finite values as gaps; colour is a key of LIGHT."""

    label: str
    x: Sequence[float]
    y: Sequence[float | None]
    colour: str
    dashed: bool = False

    def points(self) -> list[tuple[float, float]]:
        """The finite points, in order."""
        return [(x, y) for x, y in zip(self.x, self.y, strict=True) if y is not None and math.isfinite(y)]


def svg(width: float, height: float, label: str, *children: object, class_: str = "plot") -> Markup:
    """The outer element; `label` is what a screen reader says."""
    return tag(
        "svg", tag("title", label), *children, class_=class_, xmlns="http://www.w3.org/2000/svg", role="img",
        aria_label=label, viewBox=f"0 0 {width:g} {height:g}", width=width, height=height, font_family=FONT,
    )  # fmt: skip


def text(x: float, y: float, words: object, anchor: str = "start", colour: str = "muted", size: float = 11) -> Markup:
    """One line of text with its baseline at y."""
    return tag(
        "text", words, x=x, y=y, text_anchor=anchor, font_size=size, class_=f"f-{colour}", fill=LIGHT[colour]
    )  # fmt: skip


def said(x: float, y: float, words: str, anchor: str = "start", colour: str = "muted", size: float = 11) -> Markup:
    """One line of text in English and in korean.toml's Korean: a page's switch shows one, a drawing alone English."""
    return join(
        tag("text", words, x=x, y=y, text_anchor=anchor, font_size=size, class_=f"f-{colour} en", fill=LIGHT[colour]),
        tag(
            "text", korean().get(words, words), x=x, y=y, text_anchor=anchor, font_size=size, class_=f"f-{colour} ko",
            fill=LIGHT[colour], display="none", lang="ko",
        ),
    )  # fmt: skip


def stroke(x1: float, y1: float, x2: float, y2: float, colour: str = "line", dash: str | None = None) -> Markup:
    """One thin straight line."""
    return tag(
        "line", x1=x1, y1=y1, x2=x2, y2=y2, class_=f"s-{colour}", stroke=LIGHT[colour], stroke_dasharray=dash
    )  # fmt: skip


def box(x: float, y: float, width: float, height: float, colour: str, opacity: float = 1.0, hint: str = "") -> Markup:
    """One filled rectangle; `hint` is shown under the pointer."""
    return tag(
        "rect", tag("title", hint) if hint else "", x=x, y=y, width=width, height=height, class_=f"f-{colour}",
        fill=LIGHT[colour], fill_opacity=None if opacity == 1 else opacity,
    )  # fmt: skip


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) inside low..high, at most `most` + 1 of them."""
    if not high > low:
        return [low]
    step = _step(low, high, most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def _step(low: float, high: float, most: int) -> float:
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * m for m in (1, 2, 5, 10) if power * m >= rough * (1 - 1e-9))


def line_chart(
    label: str,
    lines: Sequence[Curve],
    *,
    share: bool = False,
    mark: tuple[float, float] | None = None,
    axis: str = "epoch",
    low: float = 0.0,
) -> Markup:
    """Curves, 320 x 200. share: the values are shares of 0..1, shown in percent. mark: a point to show.

    axis: what x is. low: a round number that the vertical axis begins at, or reaches up to where all values lie below.
    """
    left, right, top, bottom, width, height = 44.0, 312.0, 10.0, 168.0, 320.0, 200.0
    points = [point for line in lines for point in line.points()] or [(0.0, 0.0)]
    x_low, x_high = min(x for x, _ in points), max(x for x, _ in points)
    values = [y for _, y in points]
    if share:
        levels = ticks(max(0.0, math.floor(min(values) * 10 - 1e-9) / 10), 1.0, 4)
        y_low, y_high = min(*levels, *values), 1.0
    else:
        ends = min(low, *values), max(low, *values)
        if ends[1] - ends[0] <= max(FLAT, 1e-9 * max(map(abs, ends))):
            ends = ends[0], ends[0] + 1.0
        levels = ticks(*ends, 4)
        if levels[-1] < max(values):  # the axis ends with a number above the curve
            levels.append(levels[-1] + _step(*ends, 4))
        y_low, y_high = min(*levels, *values), levels[-1]

    def at(x: float, y: float) -> tuple[float, float]:
        across = (x - x_low) / (x_high - x_low) if x_high > x_low else 0.5
        return left + across * (right - left), bottom - (y - y_low) / (y_high - y_low) * (bottom - top)

    drawn: list[Markup] = []
    for value in levels:
        y = at(x_low, value)[1]
        drawn += [stroke(left, y, right, y), text(left - 6, y + 4, f"{value:.0%}" if share else f"{value:g}", "end")]
    for value in ticks(x_low, x_high, 5):
        if value == int(value):
            drawn.append(text(at(value, 0)[0], bottom + 16, f"{value:g}", "middle"))
    if axis:
        drawn.append(said(right, height - 2, axis, "end"))
    drawn += [_curve(line, [at(*point) for point in line.points()]) for line in lines]
    if mark:
        x, y = at(*mark)
        drawn.append(
            tag("circle", cx=x, cy=y, r=4, class_="f-accent s-paper", fill=LIGHT["accent"], stroke=LIGHT["paper"])
        )
    return svg(width, height, label, *drawn)


def results_svg(history: Sequence[Mapping[str, Any]]) -> Markup:
    """Loss, accuracy and learning rate over the epochs, side by side; a row an epoch, as nin.training.state.Epoch."""
    losses, accuracies, rates = run_curves(history)
    charts = (("Loss", losses, False), ("Accuracy", accuracies, True), ("Learning rate", rates, False))
    best = max(accuracies[1].points(), key=lambda point: point[1], default=None)
    told = f"; best validation accuracy {percent(best[1])} in epoch {best[0]:g}" if best else ""
    return side_by_side(f"Loss, accuracy and learning rate over the epochs{told}", charts, marks={"Accuracy": best})


def run_curves(history: Sequence[Mapping[str, Any]]) -> tuple[tuple[Curve, ...], ...]:
    """The curves of three charts over the epochs: losses and accuracies (training, validation), and learning rates."""
    epochs = [row["epoch"] for row in history]

    def curve(key: str, label: str, colour: str, dashed: bool = False) -> Curve:
        return Curve(label, epochs, [row.get(key) for row in history], colour, dashed)

    def pair(what: str) -> tuple[Curve, Curve]:
        return curve(f"train_{what}", "train", "warm", True), curve(f"val_{what}", "validation", "accent")

    return pair("loss"), pair("accuracy"), (curve("lr", "learning rate", "ink"),)


def side_by_side(
    label: str,
    charts: Sequence[tuple[str, Sequence[Curve], bool]],
    axis: str = "epoch",
    marks: Mapping[str, tuple[float, float] | None] | None = None,
) -> Markup:
    """Charts in a row, each with its title and, where it has several curves, their names; (title, curves, shares).
    axis: what x is in all of them. marks: by title, a point to show."""
    width, height = 320.0, 200.0  # of one chart
    head = 34.0  # for the titles
    gap = 16.0
    drawn: list[Markup] = [box(0, 0, len(charts) * (width + gap) + gap, height + head + gap, "paper")]
    for place, (title, lines, share) in enumerate(charts):
        left = gap + place * (width + gap)
        drawn.append(text(left + 8, 20, title, "start", "ink", 14))
        for number, line in enumerate(reversed(lines) if len(lines) > 1 else ()):
            drawn.append(text(left + width - 8 - 72 * number, 20, line.label, "end", line.colour, 12))
        chart = line_chart(title, lines, share=share, axis=axis, mark=(marks or {}).get(title))
        drawn.append(tag("g", chart, transform=f"translate({left:g} {head:g})"))
    return svg(len(charts) * (width + gap) + gap, height + head + gap, label, *drawn)


def dropout_svg(curves: Mapping[str, Sequence[Mapping[str, float]]]) -> Markup:
    """Figure 3: training (dashed) and test error in percent over the epochs, in one colour for each name.

    curves: name -> one mapping an epoch with epoch, train_error and test_error.
    """
    lines: list[Curve] = []
    names: list[Markup] = []
    for (name, rows), colour in zip(curves.items(), ("accent", "warm", "ink"), strict=False):
        epochs = [row["epoch"] for row in rows]
        for key, dashed in (("train_error", True), ("test_error", False)):
            lines.append(Curve(f"{name}, {key[:-6]}", epochs, [row[key] for row in rows], colour, dashed))
        names.append(text(16, 20 + 16 * len(names), name, "start", colour, 12))
    names.append(text(320, 20, "test error, %; dashed: training", "end"))
    head = 16.0 * len(names)
    label = "Training and test error over the epochs"
    chart = tag("g", line_chart(label, lines), transform=f"translate(8 {head:g})")
    return svg(336, 208 + head, label, box(0, 0, 336, 208 + head, "paper"), *names, chart)


def _curve(line: Curve, places: list[tuple[float, float]]) -> Markup:
    if len(places) == 1:
        (x, y), *_ = places
        return tag("circle", cx=x, cy=y, r=3, class_=f"f-{line.colour}", fill=LIGHT[line.colour])
    drawn = tag(
        "polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in places), fill="none", stroke=LIGHT[line.colour],
        class_=f"s-{line.colour}", stroke_width=1.8, stroke_linejoin="round",
        stroke_dasharray="5 3" if line.dashed else None,
    )  # fmt: skip
    dots = places if len(places) <= FEW_POINTS else []  # where few were measured, a line alone hides which
    return join(
        drawn,
        *(tag("circle", cx=x, cy=y, r=2.5, class_=f"f-{line.colour}", fill=LIGHT[line.colour]) for x, y in dots),
    )


def reliability_svg(evaluation: Evaluation) -> Markup:
    """Accuracy over stated confidence in 15 bins, the ideal as a diagonal, how many answers each bin holds below it."""
    left, top = 48.0, 10.0
    side = 260.0  # of the square diagram
    below = 44.0  # height of the bars that count the answers
    bottom = top + side
    most = max(b.count for b in evaluation.bins)
    drawn: list[Markup] = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = left + share * side
        y = bottom - share * side
        drawn += [stroke(left, y, left + side, y), text(left - 6, y + 4, f"{share:.0%}", "end")]
        drawn.append(text(x, bottom + below + 32, f"{share:.0%}", "middle"))
    drawn.append(stroke(left, bottom, left + side, top, "ink", "4 3"))
    for b in evaluation.bins:
        if not b.count:
            continue
        x = left + b.low * side + 1
        width = (b.high - b.low) * side - 2
        hint = f"{b.count:,} answers with {b.low:.0%} to {b.high:.0%} confidence: {percent(b.accuracy)} are right"
        stated = bottom - b.confidence * side
        right = bottom - b.accuracy * side
        drawn.append(box(x, right, width, b.accuracy * side, "accent", 0.75, hint))
        drawn.append(box(x, stated - 1.5, width, 3, "warm", 1.0, hint))
        tall = max(1.0, b.count / most * below)
        drawn.append(box(x, bottom + 14 + below - tall, width, tall, "muted", 0.6, hint))
    drawn.append(said(left + side / 2, bottom + below + 50, "stated confidence", "middle"))
    drawn.append(tag("g", said(0, 0, "accuracy", "middle"), transform=f"translate(11 {top + side / 2:g}) rotate(-90)"))
    drawn.append(
        tag("g", said(0, 0, "count", "middle"), transform=f"translate(11 {bottom + 14 + below / 2:g}) rotate(-90)")
    )
    label = f"Reliability diagram: expected calibration error {percent(evaluation.ece)} over {evaluation.n:,} answers"
    return svg(left + side + 16, bottom + below + 56, label, join(*drawn))
