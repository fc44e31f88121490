"""All claims on one page, in English, in Korean, or in both with a switch: a summary, then each with its numbers."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, get_args

from nin.claims.all_claims import words
from nin.claims.claim import VERDICTS, Answer, Language, Sentence, Verdict
from nin.report.bilingual import in_both
from nin.report.markup import Markup, join, tag
from nin.report.parts import whole_page
from nin.report.svg import Curve, line_chart

MARKS: dict[Verdict, str] = {"holds": "right", "does not hold here": "wrong"}  # the others have no colour


def page_html(answers: Sequence[Answer], languages: Sequence[Language], about: dict[str, Any]) -> str:
    """The whole page as HTML: nothing fetched, no script.

    about: machine (the name of its processor), cores, seeds, train and test (numbers of pictures).
    """
    page = words()["page"]
    about = {**about, "claims": len(answers), "seconds": sum(answer.seconds for answer in answers)}
    titles = {language: _filled(page["title"][language], language, about) for language in languages}
    notes = {language: _filled(page["note"][language], language, about) for language in languages}
    header = tag(
        "header",
        tag(
            "div",
            tag("p", "Network in Network", class_="brow"),
            tag("h1", _told(titles), class_="lead"),
            _summary(answers, languages, page),
            tag("p", _told(notes), class_="note"),
        ),
    )
    sections = (_claim(answer, languages, page) for answer in answers)
    first = languages[0]
    return whole_page(titles[first], header, *sections, lang=first, switch=len(languages) > 1)


def _told(content: dict[Language, Any]) -> Markup:
    """What is said in the languages of the page: where there are both, its switch shows one."""
    if len(content) > 1:
        return in_both(content["en"], content["ko"])
    ((language, only),) = content.items()
    return tag("span", only, lang=language)


def _filled(text: str, language: Language, about: dict[str, Any]) -> str:
    return Sentence(language).vformat(text, (), about)


def _summary(answers: Sequence[Answer], languages: Sequence[Language], page: dict[str, Any]) -> Markup:
    """How many claims got which verdict, and which."""
    counts = Counter(answer.finding.verdict for answer in answers)
    rows = []
    for verdict in get_args(Verdict):
        if not counts[verdict]:
            continue
        found = [answer.claim.number for answer in answers if answer.finding.verdict == verdict]
        links = (tag("a", str(number), href=f"#claim-{number}") for number in found)
        named = tag("th", _told({language: VERDICTS[language][verdict] for language in languages}), scope="row")
        cells = tag("td", str(counts[verdict])), tag("td", *(join(link, " ") for link in links))
        rows.append(tag("tr", named, *cells))
    titles = ({language: page["summary"][language][place] for language in languages} for place in range(3))
    head = tag("thead", tag("tr", *(tag("th", _told(title), scope="col") for title in titles)))
    return tag("table", head, tag("tbody", *rows), class_="verdicts")


def _claim(answer: Answer, languages: Sequence[Language], page: dict[str, Any]) -> Markup:
    claim = answer.claim
    found = answer.finding
    anchor = f"claim-{claim.number}"
    sentences = {
        language: tag("s", claim.claim[language]) if claim.struck else claim.claim[language] for language in languages
    }
    verdicts = {}
    for language in languages:
        told = VERDICTS[language][found.verdict]
        verdicts[language] = told[0].upper() + told[1:] + (f" ({page['struck'][language]})" if claim.struck else "")
    measured = {language: answer.measured(language) for language in languages}
    return tag(
        "section",
        tag("h2", f"{claim.number}. ", _told(sentences), id=anchor),
        tag("p", tag("strong", _told(verdicts), class_=MARKS.get(found.verdict)), ". ", _told(measured)),
        _sweep(answer, languages, page["axes"]),
        aria_labelledby=anchor,
    )


def _sweep(answer: Answer, languages: Sequence[Language], axes: dict[str, dict[str, str]]) -> Markup:
    found = answer.finding
    if not found.curve:
        return join()
    names = {language: [axes[language].get(axis, axis) for axis in found.axes] for language in languages}
    across, up = names[languages[0]]
    points = sorted(found.curve)
    values = [y for _, y in points]
    line = Curve(up, [x for x, _ in points], values, "accent")
    told = ", ".join(f"{x:g}: {y:.1f}" for x, y in points)
    low = max(0.0, 10 * (min(values) // 10))
    chart = line_chart(f"{up} ({across}): {told}", [line], axis="", low=low)
    caption = {language: join(up, tag("small", f" / {across}")) for language, (across, up) in names.items()}
    return tag("div", tag("figure", tag("figcaption", _told(caption)), chart), class_="charts")
