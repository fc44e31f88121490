"""HTML and SVG from plain functions: whatever is not already Markup is escaped, so no name can become code."""

import html
import re
import unicodedata

from nin.errors import escape_name

_VOID = {"meta", "img", "br", "input"}
_HANGUL = re.compile("[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]")


class Markup(str):
    """Text that is markup already and is not escaped again."""

    __slots__ = ()


def shown_text(text: object) -> Markup:
    """Any text as inert markup on one line: quotes and angles escaped, control characters and RTL marks visible."""
    return Markup(html.escape(escape_name(text)))


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """One element. Keywords are attributes (`class_`, `stroke_width`); floats get two decimals, None and False drop."""
    words = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID:
        return Markup(f"<{name}{words}>")
    return Markup(f"<{name}{words}>{join(*children)}</{name}>")


def join(*children: object) -> Markup:
    """Children one after the other; what is not Markup is escaped."""
    return Markup("".join(child if isinstance(child, Markup) else shown_text(child) for child in children))


def name(text: str, most: int = 60) -> Markup:
    """A class or file name: shortened, kept from turning its neighbours' writing direction, Hangul marked as Korean."""
    short = shorten(text, most)
    return tag("bdi", short, title=text if short != text else None, lang="ko" if _HANGUL.search(text) else None)


def shorten(text: str, most: int) -> str:
    """`text` in at most `most` columns (Hangul and its kin take two), the lost middle shown as an ellipsis."""
    text = escape_name(text)
    if columns(text) <= most:
        return text
    head = ""
    tail = ""
    while True:
        longer = len(head) <= 2 * len(tail)
        grown = (head + text[len(head)], tail) if longer else (head, text[-len(tail) - 1] + tail)
        if columns(grown[0] + grown[1]) > most - 1:  # a wide letter may not fit where a narrow one would
            return f"{head}…{tail}"
        head, tail = grown


def columns(text: str) -> int:
    """Width in columns of a terminal: wide characters take two, combining ones none."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def percent(share: float) -> str:
    """0.934 as 93.4%; never 100% (or 0%) for what is not exactly all (or nothing)."""
    text = f"{share:.1%}"
    if share < 1 and text == "100.0%":
        return ">99.9%"
    return "<0.1%" if share > 0 and text == "0.0%" else text


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return "" if value is True else shown_text(value)
