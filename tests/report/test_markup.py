"""markup.py: whatever a class is called, the markup around it stays what it is."""

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nin.report.markup import Markup, columns, join, name, percent, shorten, shown_text, tag


@given(st.text())
def test_any_text_comes_back_as_text(text: str) -> None:
    parsed = ET.fromstring(tag("p", text, title=text, class_="a"))
    assert len(parsed) == 0 and parsed.get("class") == "a"
    if text.isprintable():
        assert (parsed.text or "") == text == parsed.get("title")
    assert "<" not in shown_text(text) and '"' not in shown_text(text)


def test_markup_is_not_escaped_again() -> None:
    assert tag("b", "<", tag("i", "&")) == "<b>&lt;<i>&amp;</i></b>"
    assert tag("p", tag("i", 1) + tag("i", 2)) == "<p>&lt;i&gt;1&lt;/i&gt;&lt;i&gt;2&lt;/i&gt;</p>"  # plain str again
    assert isinstance(join("a", tag("br")), Markup)
    assert (
        tag("img", width=3, height=2.5, hidden=True, alt=None, src="")
        == '<img width="3" height="2.5" hidden="" src="">'
    )


def test_names_are_marked_and_cut() -> None:
    assert name("고양이") == '<bdi lang="ko">고양이</bdi>'
    assert name("cat") == "<bdi>cat</bdi>"
    long = name("x" * 200, 20)
    assert f'title="{"x" * 200}"' in long and "x" * 30 + "<" not in long


@given(st.text(alphabet="ab고양이漢", max_size=60), st.integers(3, 40))
def test_shortened_text_keeps_its_ends_and_fits(text: str, most: int) -> None:
    short = shorten(text, most)
    assert columns(short) <= most + 1  # a wide character may stand across the last column
    if columns(text) <= most:
        assert short == text
    else:
        head, tail = short.split("…")
        assert text.startswith(head) and text.endswith(tail)


def test_percent_never_rounds_to_all_or_nothing() -> None:
    assert [percent(x) for x in (0.0, 0.934, 1.0)] == ["0.0%", "93.4%", "100.0%"]
    assert percent(0.99999) == ">99.9%" and percent(1e-6) == "<0.1%"


@pytest.mark.parametrize("text", ["고양이" * 10, "a고" * 15, "abcdefgh" * 5])
def test_a_shortened_name_is_never_wider_than_asked_for(text: str) -> None:
    for most in range(4, 30):
        short = shorten(text, most)
        assert most - 2 <= columns(short) <= most and "…" in short
        head, tail = short.split("…")
        assert text.startswith(head) and text.endswith(tail)
