"""The report of a run: one page that reads without a network, a script or this package, on a phone and on paper."""

from collections.abc import Sequence
from typing import Any

from nin.report import measured, picture_sections
from nin.report.bilingual import say
from nin.report.content import Effort, Report
from nin.report.markup import Markup, join, name, percent, tag
from nin.report.parts import note, section, typed, whole_page
from nin.report.svg import Curve, line_chart, run_curves


def report_html(report: Report) -> str:
    """The report's page."""
    return whole_page(
        report.title,
        _result(report),
        _warnings(report.warnings),
        _curves(report.history),
        measured.class_scores(report.evaluation),
        measured.confusion(report),
        measured.calibration(report.evaluation),
        picture_sections.suspects(report),
        picture_sections.mistakes(report),
        picture_sections.maps(report),
        _next(report.commands),
        _facts(report),
        style=picture_sections.filter_style(report),
    )


def _result(report: Report) -> Markup:
    e = report.evaluation
    low, high = (percent(edge) for edge in e.interval)
    sentence = say(
        f"{{share}} of {{count}} {report.split} pictures are recognised correctly, out of {{classes}} classes "
        "(95% interval {interval}).",
        share=tag("strong", percent(e.accuracy)),
        count=f"{e.n:,}",
        classes=len(report.classes),
        interval=tag("span", say("{low} to {high}", low=low, high=high), class_="keep"),
    )
    numbers = [("balanced accuracy", percent(e.balanced_accuracy)), ("loss", f"{e.loss:.3f}")]
    if e.top5 is not None:
        numbers.append(("right among the first 5", percent(e.top5)))
    numbers.append(("calibration error", percent(e.ece)))
    told = tag(
        "div",
        tag("p", "Network in Network", class_="brow"),
        tag("h1", name(report.title, 80)),
        tag("p", sentence, class_="lead"),
        _effort(report.effort),
        note(*_expectations(report)),
        tag("dl", *(tag("div", tag("dt", say(what)), tag("dd", value)) for what, value in numbers), class_="numbers"),
    )
    return tag("header", told, picture_sections.first_picture(report))


def _effort(effort: Effort | None) -> Markup:
    """Why the result is what it is, where fewer epochs were trained than the recipe has."""
    if effort is None or effort.epochs >= effort.usual:
        return Markup()
    counts = {"epochs": f"{effort.epochs:,}", "usual": f"{effort.usual:,}"}
    if effort.max_time:
        words = say(
            "Trained for {epochs} of {usual} epochs: as many as {option} allowed. More time usually gives a "
            "better result.",
            option=typed(f"--max-time {effort.max_time}"),
            **counts,
        )
    else:
        words = say(
            "Trained for {epochs} of the {usual} epochs that are usual for so many pictures. More usually give a "
            "better result.",
            **counts,
        )
    return tag("p", words, class_="effort")


def _expectations(report: Report) -> list[Markup]:
    words = [say("Guessing would give {share}.", share=percent(1 / len(report.classes)))]
    if report.split == "validation":
        words.append(
            say("These pictures also set the calibration and chose the epoch; expect slightly less on new ones.")
            if report.chose_epoch
            else say("These pictures also set the calibration; expect slightly less on new ones.")
        )
    return [join(sentence, " ") for sentence in words]


def _warnings(lines: Sequence[str]) -> Markup:
    if not lines:
        return Markup()
    body = tag("ul", *(tag("li", line[:1].upper() + line[1:].rstrip(".") + ".") for line in lines))
    head = tag("h2", say("Read this first"), id="warnings")
    return tag("aside", head, body, aria_labelledby="warnings", class_="warnings")


def _next(commands: Sequence[str]) -> Markup:
    return section("What to type next", _typed(commands)) if commands else Markup()


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
    share = percent(best[1]) if best else ""
    peak = f"best validation accuracy {share} at epoch {best[0]:g}" if best else ""
    over = f"over {len(history)} epochs"
    charts = (
        ("Loss", line_chart(f"Loss {over}: {ends_of(*losses)}", losses)),
        ("Accuracy", line_chart(f"Accuracy {over}: {ends_of(*hits)}; {peak}", hits, share=True, mark=best)),
        ("Learning rate", line_chart(f"Learning rate {over}: {ends_of(*rates)}", rates)),
    )
    named = tag("span", say("validation"), class_="key accent"), tag("span", say("train"), class_="key warm")
    figures = (tag("figure", tag("figcaption", say(title)), chart) for title, chart in charts)
    told: object = ""
    if best:
        told = note(
            say(
                "The dot marks the best validation accuracy, {share} at epoch {epoch}. Training pictures are "
                "augmented, so training curves can look worse than those of validation.",
                share=share,
                epoch=f"{best[0]:g}",
            )
        )
    drawn = tag("div", *figures, class_="charts")
    return section("Training curves", tag("p", *named, class_="legend"), drawn, told)


def _facts(report: Report) -> Markup:
    sections = [
        tag(
            "div",
            tag("h3", say(title)),
            tag("dl", *(tag("div", tag("dt", what), tag("dd", value)) for what, value in rows)),
        )
        for title, rows in (report.facts or {}).items()
        if rows
    ]
    going = join(tag("h3", say("Train on")), _typed([report.resume])) if report.resume else ""
    if not sections and not going:
        return Markup()
    return section("Facts", tag("div", *sections, class_="facts"), going)
