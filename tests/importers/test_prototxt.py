"""Protocol buffers' text format: what it spells out, where it stands, and what is none."""

import os
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foreign_files import SOLVER, caffe_net, one_line
from nin.errors import ModelError
from nin.importers.prototxt import DEEPEST, Message, parse_prototxt

EXAMPLES = 20_000 if os.environ.get("NIN_HEAVY") == "1" else 200


def plain(message: Message):
    """Nested lists of (name, value), independent of how a message keeps them."""
    return [
        (name, plain(value) if isinstance(value, Message) else value.text)
        for name, values in message.fields.items()
        for value in values
    ]


def test_every_way_of_writing_a_field():
    text = """
    # a comment
    a: 1; b: -2.5e-3, c { d: "x" 'y'  # two pieces, one text
    } e < f: WORD > g: [1, 2,
    3] h: { } i: true j: "tab\\tquote\\"" k: .5f l: 0x1F m: - inf
    """
    assert plain(parse_prototxt(text, "f")) == [
        ("a", "1"),
        ("b", "-2.5e-3"),
        ("c", [("d", "xy")]),
        ("e", [("f", "WORD")]),
        ("g", "1"),
        ("g", "2"),
        ("g", "3"),
        ("h", []),
        ("i", "true"),
        ("j", 'tab\tquote"'),
        ("k", ".5f"),
        ("l", "0x1F"),
        ("m", "-inf"),
    ]


def test_values_in_their_kinds():
    message = parse_prototxt("a: 1 a: 2 b: .5f c: 'x' d: true e: 0x1F", "f")
    assert message.wholes("a") == [1, 2]
    assert (message.number("b", 0), message.number("none", 7)) == (0.5, 7)
    assert (message.text("c"), message.flag("d", False), message.whole("e", 0)) == ("x", True, 31)
    assert (message.whole("none", 3), message.text("none", "y"), message.flag("none", True)) == (3, "y", True)
    assert message.message("none").at == "f:1"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a", "f:1: found the end of the file; expected : or { after a"),
        ("a: 1\nb", "f:2: found the end of the file; expected : or { after b"),
        ("a {\nb: 1\n", "f:3: found the end of the file; expected a field's name or }"),
        ("a {\nb: 1\n>", "f:3: found >; expected a field's name or }"),
        ("}", "f:1: found }; expected a field's name"),
        ("a:", "f:1: found the end of the file; expected a value"),
        ("a: ]", "f:1: found ]; expected a value"),
        ("a: [1 2]", "f:1: found 2; expected , or ]"),
        ("a: -'x'", "f:1: found x; expected a number"),
        ('a: "x', "f:1: found \"; expected Caffe's text format"),
        ("\n\n\x1b[31m", "f:3: found \\x1b; expected Caffe's text format"),
        ("[type.example/x] { }", "f:1: found [; expected a field's name"),
        ("a {" * 40, f"f:1: messages nested more than {DEEPEST} deep"),
        ("a {\n" * 33, f"f:32: messages nested more than {DEEPEST} deep"),
        ("a:1 " * 100_001, "f:1: more than 100,000 fields; this is no definition file"),
    ],
)
def test_what_is_no_text_format_is_said_in_one_line(text, reason):
    with pytest.raises(ModelError) as caught:
        parse_prototxt(text, "f")
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("read", "reason"),
    [
        (lambda m: m.whole("a", 0), "f:2: a comes twice; give it once"),
        (lambda m: m.wholes("b"), "f:3: b is 1.5; expected a whole number of at most nine digits"),
        (lambda m: m.wholes("c"), "f:4: c is -1; expected a whole number of at most nine digits"),
        (lambda m: m.wholes("d"), "f:5: d is 99999999999999999999; expected a whole number of at most nine digits"),
        (lambda m: m.number("e", 0), "f:6: e is nan; expected a finite number"),
        (lambda m: m.number("f", 0), "f:7: f is 1e999; expected a finite number"),
        (lambda m: m.number("g", 0), "f:8: g is text; expected a number"),
        (lambda m: m.number("h", 0), "f:9: h is { ... }; expected a number"),
        (lambda m: m.message("b"), "f:3: b is a single value; expected { ... }"),
        (lambda m: m.flag("b", True), "f:3: b is 1.5; expected true or false"),
        (lambda m: m.message("i"), "f:10: i comes twice; give it once"),
        (lambda m: m.expect_only("it", "a b c d e f g h"), "f:10: i of it has no counterpart here"),
    ],
)
def test_a_value_of_another_kind_is_said_in_one_line(read, reason):
    text = 'a: 1\na: 2\nb: 1.5\nc: -1\nd: 99999999999999999999\ne: nan\nf: 1e999\ng: "text"\nh { }\ni { } i { }'
    with pytest.raises(ModelError) as caught:
        read(parse_prototxt(text, "f"))
    assert str(caught.value) == reason


def test_depth_and_length_cost_no_recursion_and_no_squares():
    assert len(parse_prototxt("a: " + "'x' " * 50_000, "f").text("a")) == 50_000
    assert len(parse_prototxt("a: [" + "1," * 50_000 + "1]", "f").wholes("a")) == 50_001


WORDS = [
    "{",
    "}",
    "<",
    ">",
    ":",
    "[",
    "]",
    ",",
    ";",
    '"',
    "'",
    "\\",
    "\n",
    "#",
    "a",
    "layer",
    "1",
    "-",
    "1e5",
    "0x",
    "\0",
]


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.sampled_from(WORDS) | st.text(string.printable, max_size=4), max_size=40).map("".join))
def test_any_text_is_read_or_refused_in_one_line(text):
    refused_in_one_line(text)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.data())
def test_a_damaged_file_is_read_or_refused_in_one_line(data):
    text = data.draw(st.sampled_from([SOLVER, caffe_net("tiny")[:3000]]))
    start = data.draw(st.integers(0, len(text)))
    more = data.draw(st.sampled_from(WORDS) | st.text(max_size=8))
    refused_in_one_line(text[:start] + more + text[start + data.draw(st.integers(0, 40)) :])


def refused_in_one_line(text):
    try:
        parse_prototxt(text, "f")
    except ModelError as error:
        assert one_line(str(error))
