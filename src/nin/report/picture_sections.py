"""The report's pictures: the first one beside the result, mistakes, labels that may be wrong, and class maps."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nin.data.images import to_channels
from nin.report.bilingual import say
from nin.report.content import Example, Report
from nin.report.heat import AGAINST, FOR, data_uri, is_mean, limit_of, overlay, sized, tinted
from nin.report.markup import Markup, join, name, percent, shorten, tag
from nin.report.parts import note, section, typed

TOP = 3  # class maps shown for each example picture
CARD = 160  # pixels of the longer side of a mistake's map: 48 of them are on the page


def first_picture(report: Report) -> Markup:
    """One picture that was answered rightly, where there is one, and the map of its answer: the page begins with it."""
    mapped = [example for example in report.examples if example.maps is not None]
    right = [example for example in mapped if example.true in (None, example.answer)]
    if not mapped:
        return Markup()
    shown = max(right or mapped, key=lambda example: float(example.probabilities.max()))
    assert shown.maps is not None
    label = report.classes[shown.answer]
    values = shown.maps[shown.answer]
    seen = overlay(shown.pixels, values, limit_of(values))
    sure = percent(float(shown.probabilities[shown.answer]))
    words = say("Left, a picture; right, where the network sees {label} ({sure}).", label=name(label, 40), sure=sure)
    pair = tag("div", _picture(shown), _image(seen, f"class map of {label} over {shown.name}"), class_="pair")
    return tag("figure", pair, tag("figcaption", words), class_="first")


def suspects(report: Report) -> Markup:
    """Pictures whose label the network contradicts, sure of itself and in every view; nothing where nobody looked."""
    if report.suspects is None:
        return Markup()
    explained = say(
        "Held-out pictures that the network answers otherwise, with confidence, and in the same way when they are "
        "moved a little. It has not seen them in training. Look at them: a label may be wrong, or the picture is "
        "just hard. Another {seed} holds out, and so checks, other pictures.",
        seed=typed("--seed"),
    )
    if not report.suspects:
        words = note(say("None of the held-out pictures contradicts its label in this way."))
        return section("Possible label errors", words)
    cards = [_suspect(example, report.classes) for example in report.suspects]
    return section("Possible label errors", note(explained), tag("div", *cards, class_="suspects"))


def _suspect(example: Example, classes: Sequence[str]) -> Markup:
    assert example.true is not None
    sure = percent(float(example.probabilities[example.answer]))
    return tag(
        "figure", _picture(example),
        tag(
            "figcaption", tag("span", tag("b", say("labelled")), " ", name(classes[example.true], 40)),
            tag("span", tag("b", say("looks like")), " ", name(classes[example.answer], 40), " ", sure),
            tag("span", name(example.path or example.name, 400), class_="file"),
        ),
    )  # fmt: skip


def mistakes(report: Report) -> Markup:
    """The most confident wrong answers as cards that open; a list of classes chooses among them."""
    if not report.mistakes:
        return Markup()
    cards = [_mistake(example, report.classes) for example in report.mistakes]
    explained = say(
        "The wrong answers given with the most confidence, and where in the picture the network saw its answer. "
        "Open one for its path and its likeliest classes."
    )
    legend = _scale_legend() if any(example.maps is not None for example in report.mistakes) else ""
    content = note(explained), _class_filter(report), legend, tag("div", *cards, class_="cards")
    return section("Most confident mistakes", *content, class_="mistakes")


def filter_style(report: Report) -> str:
    """The rules that hide the cards of other classes than the chosen one."""
    return "".join(
        f'.mistakes:has(option[value="{index}"]:checked) .card:not(.c{index}){{display:none}}\n'
        for index in _classes_of(report.mistakes)
    )


def _classes_of(examples: Sequence[Example]) -> list[int]:
    named = {index for example in examples for index in (example.true, example.answer) if index is not None}
    return sorted(named)


def _class_filter(report: Report) -> Markup:
    choices = [tag("option", "–", value="all", selected=True)]
    for index in _classes_of(report.mistakes):
        count = sum(index in (example.true, example.answer) for example in report.mistakes)
        choices.append(tag("option", f"{shorten(report.classes[index], 40)} ({count})", value=index))
    chosen = tag("select", *choices, autocomplete="off")
    return tag("label", say("Only mistakes with the class"), " ", chosen, class_="filter")


def _mistake(example: Example, classes: Sequence[str]) -> Markup:
    answer = example.answer
    pictures = [_picture(example)]
    if example.maps is not None:
        values = example.maps[answer]
        seen = overlay(example.pixels, values, limit_of(values), CARD)
        pictures.append(_image(seen, f"class map of {classes[answer]} over {example.name}"))
    truth = name(classes[example.true], 40) if example.true is not None else say("not known")
    told = tag(
        "span", tag("span", tag("b", say("true")), " ", truth),
        tag("span", tag("b", say("predicted")), " ", name(classes[answer], 40), " ",
            percent(float(example.probabilities[answer]))),
        class_="caption",
    )  # fmt: skip
    best = np.argsort(-example.probabilities, kind="stable")[:TOP]
    ranked = [
        tag("li", name(classes[index], 40), " ", tag("span", percent(float(example.probabilities[index]))))
        for index in best
    ]
    file = tag("p", name(example.path or example.name, 400), class_="file")
    kinds = " ".join(f"c{index}" for index in dict.fromkeys((example.true, answer)) if index is not None)
    summary = tag("summary", tag("span", *pictures, class_="pair"), told)
    return tag("details", summary, tag("ol", *ranked), file, class_=f"card {kinds}")


def maps(report: Report) -> Markup:
    """Pictures with the maps of their likeliest classes, whose means are the logits."""
    examples = [example for example in report.examples if example.maps is not None]
    if not examples:
        return Markup()
    explained = say(
        "In a Network in Network the logit of a class is the mean of that class's map: exactly, by construction, not "
        "an approximation made afterwards. So a map shows where each part of an answer comes from: smooth over the "
        "picture (enlarged for display only), and beside it as the network computed it."
    )
    blocks = [_seen(example, report.classes) for example in examples]
    more = say("Pictures to drag over such maps: {command}.", command=typed("nin explore --lesson 7"))
    return section("Class maps", note(explained, " ", more), _scale_legend(), *blocks)


def _seen(example: Example, classes: Sequence[str]) -> Markup:
    """One picture with the maps of its likeliest classes, all on one colour scale."""
    assert example.maps is not None
    best = np.argsort(-example.probabilities, kind="stable")[:TOP]
    limit = limit_of(example.maps[best])
    verdict: object = ""
    if example.true is not None:
        right = example.true == best[0]
        told = say("right") if right else say("wrong: it is {label}", label=name(classes[example.true], 30))
        verdict = tag("span", told, class_="right" if right else "wrong")
    picture = tag(
        "figure", _picture(example), tag("figcaption", tag("span", name(example.name, 17), class_="file"), verdict,
        tag("span", say("scale ±{limit}", limit=f"{limit:.3g}"), class_="file")), class_="whole",
    )  # fmt: skip
    shown = [_map(example, int(c), classes[c], limit) for c in best]
    return tag("div", picture, *shown, class_="seen")


def _map(example: Example, index: int, label: str, limit: float) -> Markup:
    assert example.maps is not None
    values = example.maps[index]
    logit = float(example.logits[index])
    mean = float(np.mean(values, dtype=np.float64))
    sign = "=" if is_mean(values, logit) else "≠"
    smooth = _image(overlay(example.pixels, values, limit), f"class map of {label} over {example.name}")
    grid = f"the same map as a grid of {values.shape[0]} by {values.shape[1]}"
    raw = _image(tinted(values, limit), grid, exact=True)
    proof = say("mean of map {mean} {sign} logit {logit}", mean=f"{mean:.3f}", sign=sign, logit=f"{logit:.3f}")
    return tag(
        "figure", tag("div", smooth, raw, class_="pair"),
        tag(
            "figcaption", tag("span", tag("b", name(label, 40)), " ", percent(float(example.probabilities[index]))),
            tag("span", proof, class_="file"),
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
    ramp = tag("i", style=f"background:linear-gradient(90deg,{AGAINST},transparent,{FOR})")
    against = tag("span", say("against the class"))
    return tag("p", join(against, ramp, tag("span", say("for the class"))), class_="legend ramp")
