"""All claims on one page, in one language or both: the sentence, the verdict, the numbers, the sweep as a drawing."""

from collections.abc import Sequence
from typing import Any

from nin.claims.all_claims import words
from nin.claims.claim import VERDICTS, Answer, Language, Sentence, Verdict
from nin.report.markup import Markup, join, tag
from nin.report.parts import whole_page
from nin.report.svg import Curve, line_chart

MARKS: dict[Verdict, str] = {"holds": "right", "holds in part": "", "does not hold here": "wrong", "open": ""}


def page_html(answers: Sequence[Answer], languages: Sequence[Language], about: dict[str, Any]) -> str:
    """The whole page as HTML: nothing fetched, no script.

    about: machine (the name of its processor), cores, seeds, train and test (numbers of pictures).
    """
    first = languages[0]
    page = words()["page"]
    about = {**about, "claims": len(answers), "seconds": sum(answer.seconds for answer in answers)}
    titles = {language: _filled(page["title"][language], language, about) for language in languages}
    notes = {language: _filled(page["note"][language], language, about) for language in languages}
    header = tag(
        "header",
        tag("p", "Network in Network", class_="brow"),
        *(tag("p", titles[language], class_="lead", lang=language) for language in languages),
        *(tag("p", notes[language], class_="note", lang=language) for language in languages),
    )
    sections = (_claim(answer, languages, page) for answer in answers)
    return whole_page(titles[first], header, *sections, lang=first)


def _filled(text: str, language: Language, about: dict[str, Any]) -> str:
    return Sentence(language).vformat(text, (), about)


def _claim(answer: Answer, languages: Sequence[Language], page: dict[str, Any]) -> Markup:
    claim = answer.claim
    found = answer.finding
    anchor = f"claim-{claim.number}"
    content = []
    for language in languages:
        sentence = tag("s", claim.claim[language]) if claim.struck else claim.claim[language]
        told = VERDICTS[language][found.verdict]
        verdict = told[0].upper() + told[1:] + (f" ({page['struck'][language]})" if claim.struck else "")
        content += [
            tag("h2", f"{claim.number}. ", sentence, lang=language, id=anchor if language == languages[0] else None),
            tag("p", tag("strong", verdict, class_=MARKS[found.verdict] or None), ". ", answer.measured(language),
                lang=language),
        ]  # fmt: skip
    return tag("section", *content, _sweep(answer, page["axes"][languages[0]]), aria_labelledby=anchor)


def _sweep(answer: Answer, names: dict[str, str]) -> Markup:
    found = answer.finding
    if not found.curve:
        return join()
    across, up = (names.get(axis, axis) for axis in found.axes)
    points = sorted(found.curve)
    values = [y for _, y in points]
    line = Curve(up, [x for x, _ in points], values, "accent")
    told = ", ".join(f"{x:g}: {y:.1f}" for x, y in points)
    low = max(0.0, 10 * (min(values) // 10))
    chart = line_chart(f"{up} ({across}): {told}", [line], axis=across, low=low)
    return tag("div", tag("figure", tag("figcaption", up), chart), class_="charts")
