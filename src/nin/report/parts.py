"""What every page of the package is put together from: the page itself, its sections and notes."""

from importlib import resources

from nin.report.bilingual import language_switch, say
from nin.report.markup import Markup, tag

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def whole_page(title: str, *parts: object, lang: str = "en", switch: bool = True, style: str = "") -> str:
    """A whole page as HTML: style, drawings and pictures inside, nothing fetched, no script.

    lang: of the page. switch: whether it has both languages and the choice between them. style: further rules.
    """
    sheet = resources.files("nin.report").joinpath("page.css").read_text(encoding="utf-8")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name_="color-scheme", content="light dark"),
        tag("meta", name_="generator", content="nin"),
        tag("title", title),
        tag("style", Markup(sheet + style)),
    )
    body = tag("body", tag("main", language_switch() if switch else "", *parts))
    return f"<!doctype html>\n{tag('html', head, body, lang=lang)}\n"


def section(title: str, *content: object, class_: str | None = None) -> Markup:
    """A section with its title, a phrase that korean.toml has."""
    anchor = title.lower().replace(" ", "-").strip("?")
    return tag("section", tag("h2", say(title), id=anchor), *content, aria_labelledby=anchor, class_=class_)


def note(*words: object) -> Markup:
    """A paragraph that explains."""
    return tag("p", *words, class_="note")


def typed(words: str) -> Markup:
    """An option as it is typed, on one line."""
    return tag("code", words, class_="keep")
