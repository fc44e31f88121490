"""The report's sections on what was measured: class by class, the confusion matrix, calibration."""

from collections.abc import Sequence

from nin.report.bilingual import say
from nin.report.confusion import COMPACT_ABOVE, confusion_svg, most_confused, shade
from nin.report.content import Report
from nin.report.markup import Markup, name, percent, tag
from nin.report.parts import note, section
from nin.report.svg import reliability_svg
from nin.training.evaluation import ClassScore, Evaluation


def class_scores(evaluation: Evaluation) -> Markup:
    """Precision, recall and F1 of every class, weakest first."""
    ranked = sorted(evaluation.per_class, key=lambda score: (score.f1, -score.support))
    shown = ranked if len(ranked) <= COMPACT_ABOVE else ranked[: COMPACT_ABOVE // 2]
    rest = ranked[len(shown) :]
    others = say("The other {count} classes", count=len(rest)) if rest else ""
    more = tag("details", tag("summary", others), _scores(rest)) if rest else ""
    explained = say(
        "Weakest first. Precision: how often the answer is right when this class is given. Recall: how many of its "
        "pictures are found. F1 is their harmonic mean."
    )
    return section("Class by class", note(explained), _scores(shown), more)


def _scores(scores: Sequence[ClassScore]) -> Markup:
    rows = [
        tag(
            "tr", tag("th", name(s.label), scope="row"), tag("td", f"{s.support:,}"), *(
                tag("td", percent(share) if s.support else "–") for share in (s.precision, s.recall)
            ), tag("td", tag("span", percent(s.f1) if s.support else "–"), _bar(s.f1), class_="bars"),
        )
        for s in scores
    ]  # fmt: skip
    titles = (
        *(tag("th", say(title), scope="col") for title in ("class", "pictures", "precision", "recall")),
        tag("th", tag("span", "F1"), scope="col", class_="bars"),
    )
    columns = tag("thead", tag("tr", *titles))
    return tag("table", columns, tag("tbody", *rows), class_="scores")


def _bar(share: float) -> Markup:
    return tag("span", tag("span", style=f"width:{share:.1%}"), class_="bar", aria_hidden="true")


def confusion(report: Report) -> Markup:
    """The confusion matrix and the mistakes that are made most often."""
    e = report.evaluation
    classes = report.classes
    pairs = most_confused(e, 20 if len(classes) > COMPACT_ABOVE else 5)
    items = [
        tag(
            "li",
            say("{true} taken for {answer}", true=name(classes[i]), answer=name(classes[j])),
            " ",
            tag("span", say("{count} of {all}", count=f"{count:,}", all=f"{e.per_class[i].support:,}")),
        )
        for i, j, count in pairs
    ]
    often = tag(
        "div",
        tag("h3", say("Most frequent mistakes")),
        tag("ol", *items, class_="pairs") if items else note(say("Nothing.")),
    )
    matrix = tag(
        "div", Markup(confusion_svg(e, classes)), class_="scroll", tabindex="0", role="region",
        aria_label="Confusion matrix",
    )  # fmt: skip
    explained = say("Each row is one true class, each column one answer: blue is right, orange is wrong.")
    wide = "beside" if len(classes) <= 12 else None
    drawn = tag("div", matrix, _shades())
    return section("Confusion matrix", note(explained), tag("div", drawn, often, class_=wide))


def _shades() -> Markup:
    scale = []
    for share in (0.02, 0.1, 0.5, 0.75, 1.0):
        full, deep = shade(share)
        layers = [("u", full), ("b", deep)] if deep else [("u", full)]
        inner = (tag(name, style=f"opacity:{amount:g}") for name, amount in layers)
        scale.append(tag("span", tag("i", *inner), f"{share:.0%}"))
    return tag("p", tag("span", say("Share of the row:")), *scale, class_="legend shades")


def calibration(evaluation: Evaluation) -> Markup:
    """How far stated confidence can be trusted."""
    sure = sum(b.confidence * b.count for b in evaluation.bins) / evaluation.n
    gap = sure - evaluation.accuracy
    points = f"{abs(gap) * 100:.1f}"
    if abs(gap) < 0.01:
        lean = say("Neither overconfident nor underconfident by as much as a point.")
    elif gap > 0:
        lean = say("Overconfident by {points} points.", points=points)
    else:
        lean = say("Underconfident by {points} points.", points=points)
    explained = say(
        "On average the stated confidence is {error} points away from the share of answers that are right: that is "
        "the expected calibration error (ECE), 0 would be perfect.",
        error=f"{evaluation.ece * 100:.1f}",
    )
    legend = tag(
        "p",
        tag("span", say("answers that are right"), class_="swatch accent"),
        tag("span", say("confidence stated"), class_="key warm plain"),
        tag("span", say("perfect"), class_="key ink"),
        tag("span", say("number of answers"), class_="swatch muted"), class_="legend",
    )  # fmt: skip
    drawing = tag("div", reliability_svg(evaluation), class_="square")
    words = tag("div", note(explained, " ", lean), legend)
    return section("Calibration", tag("div", drawing, words, class_="beside"))
