"""The report of a run: one page that reads without a network, a script or this package, on a phone and on paper."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nin.data.images import to_channels
from nin.report.confusion import COMPACT_ABOVE, confusion_svg, most_confused, shade
from nin.report.heat import STOPS, colours, data_uri, is_mean, limit_of, overlay, sized
from nin.report.markup import Markup, join, name, percent, tag
from nin.report.svg import Curve, line_chart, reliability_svg, run_curves
from nin.training.evaluation import ClassScore, Evaluation

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
TOP = 3  # class maps shown for each example picture


@dataclass(frozen=True, eq=False)
class Example:
    """One picture and what the network makes of it.

    pixels: (H, W, 1|3|4) uint8 as the network sees it. true: its class, None when not known. probabilities and
    logits: (K,). maps: (K, h, w), whose means are the logits; None when the network gives no maps.
    """

    pixels: NDArray[np.uint8]
    name: str
    true: int | None
    probabilities: NDArray[np.floating]
    logits: NDArray[np.floating]
    maps: NDArray[np.floating] | None = None


@dataclass(frozen=True, eq=False)
class Report:
    """Everything the page shows.

    history: one dict per epoch with epoch, train_loss, train_accuracy, val_loss, val_accuracy, lr (others are not
    drawn). split: where the evaluation was made, "validation" or "test". facts: sections of (what, value). commands:
    what to type next. resume: the command that goes on training. chose_epoch: the pictures measured decided which
    epoch was kept.
    """

    title: str
    classes: Sequence[str]
    history: Sequence[dict[str, Any]]
    evaluation: Evaluation
    split: str
    warnings: Sequence[str] = ()
    mistakes: Sequence[Example] = ()
    examples: Sequence[Example] = ()
    facts: dict[str, list[tuple[str, str]]] | None = None
    chose_epoch: bool = False
    commands: Sequence[str] = ()
    resume: str | None = None


def report_html(report: Report) -> str:
    """The report's page."""
    return whole_page(
        report.title,
        _result(report),
        _warnings(report.warnings),
        _next(report.commands),
        _curves(report.history),
        _classes(report.evaluation),
        _confusion(report),
        _calibration(report.evaluation),
        _mistakes(report),
        _maps(report),
        _facts(report),
    )


def whole_page(title: str, *parts: object, lang: str = "en") -> str:
    """A whole page as HTML: style, drawings and pictures inside, nothing fetched, no script. lang: of the page."""
    style = resources.files("nin.report").joinpath("page.css").read_text(encoding="utf-8")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name_="color-scheme", content="light dark"),
        tag("meta", name_="generator", content="nin"),
        tag("title", title),
        tag("style", Markup(style)),
    )
    return f"<!doctype html>\n{tag('html', head, tag('body', tag('main', *parts)), lang=lang)}\n"


def _section(title: str, *content: object) -> Markup:
    anchor = title.lower().replace(" ", "-").strip("?")
    return tag("section", tag("h2", title, id=anchor), *content, aria_labelledby=anchor)


def _note(*words: object) -> Markup:
    return tag("p", *words, class_="note")


def _result(report: Report) -> Markup:
    e = report.evaluation
    low, high = (percent(edge) for edge in e.interval)
    sentence = (
        tag("strong", percent(e.accuracy)),
        f" of {e.n:,} {report.split} pictures are recognised correctly, out of {len(report.classes)} classes ",
        "(95% interval ", tag("span", f"{low} to {high})", class_="keep"), ".",
    )  # fmt: skip
    numbers = [
        ("balanced accuracy", percent(e.balanced_accuracy)),
        ("loss", f"{e.loss:.3f}"),
        ("calibration error", percent(e.ece)),
    ]
    if e.top5 is not None:
        numbers.insert(1, ("right among the first 5", percent(e.top5)))
    words = f"Guessing would give {percent(1 / len(report.classes))}."
    if report.split == "validation":
        epoch = " and chose the epoch that was kept" if report.chose_epoch else ""
        words += f" These pictures also set the calibration{epoch}; expect slightly less on new ones."
    return tag(
        "header",
        tag("p", "Network in Network", class_="brow"),
        tag("h1", name(report.title, 80)),
        tag("p", *sentence, class_="lead"),
        _note(words),
        tag("dl", *(tag("div", tag("dt", what), tag("dd", value)) for what, value in numbers), class_="numbers"),
    )


def _warnings(lines: Sequence[str]) -> Markup:
    if not lines:
        return Markup()
    body = tag("ul", *(tag("li", line[:1].upper() + line[1:].rstrip(".") + ".") for line in lines))
    return tag(
        "aside", tag("h2", "Read this first", id="warnings"), body, aria_labelledby="warnings", class_="warnings"
    )


def _next(commands: Sequence[str]) -> Markup:
    return _section("What to type next", _typed(commands)) if commands else Markup()


def _typed(commands: Sequence[str]) -> Markup:
    return tag("div", *(tag("pre", tag("code", command)) for command in commands), class_="commands")


def _curves(history: Sequence[dict[str, Any]]) -> Markup:
    if not history:
        return Markup()

    def ends_of(*lines: Curve) -> str:
        ends = [f"{o.label} from {p[0][1]:.3g} to {p[-1][1]:.3g}" for o in lines if (p := o.points())]
        return "; ".join(ends) or "no values"

    losses, hits, rates = run_curves(history)
    best = max(hits[1].points(), key=lambda point: point[1], default=None)
    peak = f"best validation accuracy {percent(best[1])} at epoch {best[0]:g}" if best else ""
    charts = (
        ("Loss", line_chart(f"Loss over {len(history)} epochs: {ends_of(*losses)}", losses)),
        (
            "Accuracy",
            line_chart(f"Accuracy over {len(history)} epochs: {ends_of(*hits)}; {peak}", hits, share=True, mark=best),
        ),
        ("Learning rate", line_chart(f"Learning rate over {len(history)} epochs: {ends_of(*rates)}", rates)),
    )
    legend = tag(
        "p", tag("span", "validation", class_="key accent"), tag("span", "train", class_="key warm"), class_="legend"
    )
    figures = (tag("figure", tag("figcaption", title), chart) for title, chart in charts)
    return _section(
        "Training curves",
        legend,
        tag("div", *figures, class_="charts"),
        _note(
            f"The dot marks the {peak}. Training pictures are augmented, so training curves can look worse than those "
            "of validation."
        )
        if best
        else "",
    )


def _classes(evaluation: Evaluation) -> Markup:
    ranked = sorted(evaluation.per_class, key=lambda score: (score.f1, -score.support))
    shown = ranked if len(ranked) <= COMPACT_ABOVE else ranked[: COMPACT_ABOVE // 2]
    rest = ranked[len(shown) :]
    more = tag("details", tag("summary", f"The other {len(rest)} classes"), _scores(rest)) if rest else ""
    explained = (
        "Weakest first. Precision: how often the answer is right when this class is given. Recall: how many of its "
        "pictures are found. F1 is their harmonic mean."
    )
    return _section("Class by class", _note(explained), _scores(shown), more)


def _scores(scores: Sequence[ClassScore]) -> Markup:
    head = ("class", "pictures", "precision", "recall")
    rows = [
        tag(
            "tr", tag("th", name(s.label), scope="row"), tag("td", f"{s.support:,}"), *(
                tag("td", percent(share) if s.support else "–") for share in (s.precision, s.recall)
            ), tag("td", tag("span", percent(s.f1) if s.support else "–"), _bar(s.f1), class_="bars"),
        )
        for s in scores
    ]  # fmt: skip
    titles = (
        *(tag("th", title, scope="col") for title in head),
        tag("th", tag("span", "F1"), scope="col", class_="bars"),
    )
    columns = tag("thead", tag("tr", *titles))
    return tag("table", columns, tag("tbody", *rows), class_="scores")


def _bar(share: float) -> Markup:
    return tag("span", tag("span", style=f"width:{share:.1%}"), class_="bar", aria_hidden="true")


def _confusion(report: Report) -> Markup:
    e = report.evaluation
    classes = report.classes
    pairs = most_confused(e, 20 if len(classes) > COMPACT_ABOVE else 5)
    items = [
        tag(
            "li",
            name(classes[i]),
            " taken for ",
            name(classes[j]),
            tag("span", f" {count:,} of {e.per_class[i].support:,}"),
        )
        for i, j, count in pairs
    ]
    often = tag(
        "div", tag("h3", "Most frequent mistakes"), tag("ol", *items, class_="pairs") if items else _note("Nothing.")
    )
    scale = [
        tag("span", tag("i", style=f"opacity:{shade(share):g}"), f"{share:.0%}") for share in (0.02, 0.1, 0.5, 1.0)
    ]
    legend = tag("p", "Share of the row: ", *scale, class_="legend shades")
    matrix = tag(
        "div", Markup(confusion_svg(e, classes)), class_="scroll", tabindex="0", role="region",
        aria_label="Confusion matrix",
    )  # fmt: skip
    explained = "Each row is one true class, each column one answer: blue is right, orange is wrong."
    wide = "beside" if len(classes) <= 12 else None
    return _section("Confusion matrix", _note(explained), tag("div", tag("div", matrix, legend), often, class_=wide))


def _calibration(evaluation: Evaluation) -> Markup:
    sure = sum(b.confidence * b.count for b in evaluation.bins) / evaluation.n
    gap = sure - evaluation.accuracy
    lean = "Neither overconfident nor underconfident by as much as a point"
    if abs(gap) >= 0.01:
        lean = f"{'Overconfident' if gap > 0 else 'Underconfident'} by {abs(gap) * 100:.1f} points"
    explained = (
        f"On average the stated confidence is {evaluation.ece * 100:.1f} points away from the share of answers that "
        f"are right: that is the expected calibration error (ECE), 0 would be perfect. {lean}."
    )
    legend = tag(
        "p",
        tag("span", "answers that are right", class_="swatch accent"),
        tag("span", "confidence stated", class_="key warm plain"), tag("span", "perfect", class_="key ink"),
        tag("span", "number of answers", class_="swatch muted"), class_="legend",
    )  # fmt: skip
    drawing = tag("div", reliability_svg(evaluation), class_="square")
    words = tag("div", _note(explained), legend)
    return _section("Calibration", tag("div", drawing, words, class_="beside"))


def _mistakes(report: Report) -> Markup:
    if not report.mistakes:
        return Markup()
    cards = [_mistake(example, report.classes) for example in report.mistakes]
    explained = "The wrong answers given with the most confidence, and where in the picture the network saw its answer."
    legend = _scale_legend() if any(example.maps is not None for example in report.mistakes) else ""
    return _section("Most confident mistakes", _note(explained), legend, tag("div", *cards, class_="cards"))


def _mistake(example: Example, classes: Sequence[str]) -> Markup:
    answer = int(example.probabilities.argmax())
    pictures = [_picture(example)]
    if example.maps is not None:
        values = example.maps[answer]
        seen = overlay(example.pixels, values, limit_of(values))
        pictures.append(_image(seen, f"class map of {classes[answer]} over {example.name}"))
    truth = name(classes[example.true], 40) if example.true is not None else "not known"
    sure = percent(float(example.probabilities[answer]))
    return tag(
        "figure", tag("div", *pictures, class_="pair"),
        tag(
            "figcaption", tag("span", tag("b", "true "), truth),
            tag("span", tag("b", "predicted "), name(classes[answer], 40), " ", sure),
            tag("span", name(example.name, 30), class_="file"),
        ),
    )  # fmt: skip


def _maps(report: Report) -> Markup:
    examples = [example for example in report.examples if example.maps is not None]
    if not examples:
        return Markup()
    explained = (
        "In a Network in Network the logit of a class is the mean of that class's map: exactly, by construction, not "
        "an approximation made afterwards. So a map shows where each part of an answer comes from: smooth over the "
        "picture (enlarged for display only), and beside it as the network computed it."
    )
    blocks = [_seen(example, report.classes) for example in examples]
    more = (" Pictures to drag over such maps: ", tag("code", "nin explore --lesson 7"), ".")
    return _section("Class maps", _note(explained, *more), _scale_legend(), *blocks)


def _seen(example: Example, classes: Sequence[str]) -> Markup:
    """One picture with the maps of its likeliest classes, all on one colour scale."""
    assert example.maps is not None
    best = np.argsort(-example.probabilities, kind="stable")[:TOP]
    limit = limit_of(example.maps[best])
    verdict: object = ""
    if example.true is not None:
        right = example.true == best[0]
        verdict = tag(
            "span",
            "right" if right else join("wrong: it is ", name(classes[example.true], 30)),
            class_="right" if right else "wrong",
        )
    picture = tag(
        "figure", _picture(example), tag("figcaption", tag("span", name(example.name, 17), class_="file"), verdict,
        tag("span", f"scale ±{limit:.3g}", class_="file")), class_="whole",
    )  # fmt: skip
    maps = [_map(example, int(c), classes[c], limit) for c in best]
    return tag("div", picture, *maps, class_="seen")


def _map(example: Example, index: int, label: str, limit: float) -> Markup:
    assert example.maps is not None
    values = example.maps[index]
    logit = float(example.logits[index])
    mean = float(np.mean(values, dtype=np.float64))
    sign = "=" if is_mean(values, logit) else "≠"
    smooth = _image(overlay(example.pixels, values, limit), f"class map of {label} over {example.name}")
    raw = _image(
        colours(values, limit), f"the same map as a grid of {values.shape[0]} by {values.shape[1]}", exact=True
    )
    return tag(
        "figure", tag("div", smooth, raw, class_="pair"),
        tag(
            "figcaption", tag("span", tag("b", name(label, 40)), " ", percent(float(example.probabilities[index]))),
            tag("span", f"mean of map {mean:.3f} {sign} logit {logit:.3f}", class_="file"),
        ),
    )  # fmt: skip


def _picture(example: Example) -> Markup:
    small = max(example.pixels.shape[:2]) <= 64
    return _image(to_channels(example.pixels, 3) if small else sized(example.pixels), example.name, exact=small)


def _image(pixels: NDArray[np.uint8], alt: str, *, exact: bool = False) -> Markup:
    return tag(
        "img", src=data_uri(pixels, exact=exact), alt=alt, width=pixels.shape[1], height=pixels.shape[0],
        class_="blocks" if exact else None,
    )  # fmt: skip


def _scale_legend() -> Markup:
    ramp = tag("i", style=f"background:linear-gradient(90deg,{','.join(STOPS)})")
    return tag("p", tag("span", "against the class"), ramp, tag("span", "for the class"), class_="legend ramp")


def _facts(report: Report) -> Markup:
    sections = [
        tag(
            "div", tag("h3", title), tag("dl", *(tag("div", tag("dt", what), tag("dd", value)) for what, value in rows))
        )
        for title, rows in (report.facts or {}).items()
        if rows
    ]
    going = join(tag("h3", "Train on"), _typed([report.resume])) if report.resume else ""
    if not sections and not going:
        return Markup()
    return _section("Facts", tag("div", *sections, class_="facts"), going)
