"""Sentences in English and Korean side by side: the page's style shows one of them, so that no script is needed."""

import tomllib
from functools import cache
from importlib import resources
from string import Formatter

from nin.report.markup import Markup, join, shown_text, tag


@cache
def korean() -> dict[str, str]:
    """The Korean of every English sentence, phrase and word that `say` is asked for: korean.toml."""
    text = resources.files("nin.report").joinpath("korean.toml").read_text(encoding="utf-8")
    return {english: translated for table in tomllib.loads(text).values() for english, translated in table.items()}


def say(english: str, **values: object) -> Markup:
    """A sentence in both languages; `values` fill its {fields}, Markup as it is and all else escaped.

    It stays English where korean.toml lacks it: a run that is over must not end without its report.
    """
    return in_both(_filled(english, values), _filled(korean().get(english, english), values))


def in_both(english: object, translated: object) -> Markup:
    """The same content in both languages, of which the page shows one."""
    return join(tag("span", english, class_="en"), tag("span", translated, class_="ko", lang="ko"))


def language_switch() -> Markup:
    """The choice between the two languages. page.css looks at which is checked."""
    choices = [
        join(
            tag("input", type="radio", name_="language", id=language, checked=language == "en", autocomplete="off"),
            tag("label", word, for_=language, lang=language),
        )
        for language, word in (("en", "English"), ("ko", "한국어"))
    ]
    return tag("fieldset", tag("legend", "Language, 언어", class_="unseen"), *choices, class_="languages")


def _filled(template: str, values: dict[str, object]) -> Markup:
    parts: list[Markup] = []
    for literal, field, _, _ in Formatter().parse(template):
        parts.append(shown_text(literal))
        if field:
            value = values[field]
            parts.append(value if isinstance(value, Markup) else shown_text(value))
    return Markup("".join(parts))
