"""report.py and svg.py: one page, well-formed, self-contained, that says what was measured."""

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from importlib import resources
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nin.report.content import Effort, Example, Report
from nin.report.page import report_html
from nin.report.svg import LIGHT, Curve, line_chart, reliability_svg, ticks
from nin.training.evaluation import evaluate_probabilities
from plausible import ANIMALS, HOSTILE, answers, report

FORTY = tuple(f"class {i}" for i in range(40))
KINDS = {"animals": ANIMALS, "hostile": HOSTILE, "two": ("cat", "dog"), "forty": FORTY}
VOID = {"meta", "img", "br", "input"}


class Page(HTMLParser):
    """The page's elements, text by element, and whether every tag that opens also closes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.hidden: list[bool] = []  # of each open element, whether it or one around it is Korean
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        assert len(attrs) == len(dict(attrs))
        if tag not in VOID:
            classes = str(dict(attrs).get("class")).split()
            # what is said in English counts as said by the element around it
            self.open.append(self.open[-1] if tag == "span" and "en" in classes else tag)
            self.hidden.append("ko" in classes or bool(self.hidden and self.hidden[-1]))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag or tag == "span"
        self.hidden.pop()

    def handle_data(self, data: str) -> None:
        if not (self.hidden and self.hidden[-1]):
            self.words.append((self.open[-1] if self.open else "", data))

    def text(self, *inside: str) -> str:
        return "".join(data for tag, data in self.words if not inside or tag in inside)


@pytest.fixture(scope="module", params=KINDS)
def page(request: pytest.FixtureRequest) -> Page:
    return Page(report_html(report(KINDS[request.param])))


def test_page_is_sound_and_named(page: Page) -> None:
    tags = [tag for tag, _ in page.elements]
    assert tags[0] == "html" and page.elements[0][1]["lang"] == "en"
    assert tags.count("main") == tags.count("h1") == 1
    levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and all(b - a <= 1 for a, b in pairwise(levels))
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {a["aria-labelledby"] for _, a in page.elements if "aria-labelledby" in a} <= set(ids)
    assert all(a.get("alt") for tag, a in page.elements if tag == "img")
    assert all(a.get("scope") in ("row", "col") for tag, a in page.elements if tag == "th")
    assert all(a.get("aria-label") for tag, a in page.elements if tag == "svg")


def test_page_fetches_and_runs_nothing(page: Page) -> None:
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "iframe", "object", "embed", "form", "base", "a", "video", "audio", "use"}
    for tag, attrs in page.elements:
        assert not [key for key in attrs if key.startswith("on")]
        assert "href" not in attrs and str(attrs.get("src", "data:image/")).startswith("data:image/")
        assert "url(" not in str(attrs.get("style", "")), tag
    style = page.text("style")
    assert "url(" not in style and "@import" not in style and "http" not in style
    (policy,) = [a["content"] for tag, a in page.elements if tag == "meta" and "http-equiv" in a]
    assert policy and policy.startswith("default-src 'none'") and "script" not in policy


def test_addresses_appear_only_as_the_name_of_svg() -> None:
    for classes in KINDS.values():
        held = re.findall(r"https?://[^\"' <]*", report_html(report(classes)))
        assert set(held) == {"http://www.w3.org/2000/svg"}


def test_page_tells_in_order() -> None:
    made = report()
    page = Page(report_html(made))
    order = [data for tag, data in page.words if tag in ("h1", "h2")]
    assert [title for title in order if title != "nin: runs/animals"] == [
        "Read this first", "Training curves", "Class by class", "Confusion matrix", "Calibration",
        "Most confident mistakes", "Class maps", "What to type next", "Facts",
    ]  # fmt: skip
    e, text = made.evaluation, page.text()
    sentence = f"{e.accuracy:.1%} of 240 validation pictures are recognised correctly, out of 5 classes (95% interval "
    assert f"{sentence}{e.interval[0]:.1%} to {e.interval[1]:.1%})." in text
    assert "3 of the 240 pictures measured are also training pictures" in text
    for words in (
        "nin predict runs/animals/model 'photos/a b.jpg'",
        "nin train --resume runs/animals",
        "966,986",
        "2.13.0+cpu",
    ):
        assert words in text
    assert f"{e.ece * 100:.1f} points away" in text


def test_classes_stand_weakest_first_with_their_numbers() -> None:
    made = report(FORTY, 400)
    page = Page(report_html(made))
    named = [
        data for tag, data in page.words if tag == "bdi" and data.startswith("class")
    ]  # the first: below the picture
    ranked = sorted(made.evaluation.per_class, key=lambda score: (score.f1, -score.support))
    assert named[1:41] == [score.label for score in ranked]
    f1 = [float(v) for v in re.findall(r"width:([\d.]+)%", report_html(made))]
    assert len(f1) == 40 and f1 == sorted(f1)
    assert "The other 28 classes" in page.text()
    assert len([1 for tag, _ in page.elements if tag == "li"]) >= 20  # the 20 most frequent mix-ups


def test_hostile_names_are_text(page: Page) -> None:
    text = page.text()
    assert "\u202e" not in text and "\x1b" not in text and "\x00" not in text
    html = report_html(report(HOSTILE))
    assert "<script" not in html and "onerror=&quot;" in html and "&lt;script&gt;" in html


def test_every_drawing_is_xml() -> None:
    for classes in KINDS.values():
        drawings = re.findall(r"<svg.*?</svg>", report_html(report(classes)), flags=re.DOTALL)
        assert len(drawings) == 5
        for drawing in drawings:
            ET.fromstring(drawing)


def test_means_and_logits_stand_under_each_map() -> None:
    made = report()
    text = Page(report_html(made)).text()
    for shown in made.examples:
        assert shown.maps is not None
        for index in np.argsort(-shown.probabilities)[:3]:
            mean = float(shown.maps[index].astype(np.float64).mean())
            assert f"mean of map {mean:.3f} = logit {float(shown.logits[index]):.3f}" in text
    off = replace(made.examples[0], logits=made.examples[0].logits + 1)
    assert "≠ logit" in Page(report_html(replace(made, examples=(off,)))).text()


def test_a_bare_report_is_a_page_too() -> None:
    _, _, evaluation = answers(ANIMALS)
    bare = Page(report_html(Report("", ANIMALS, [], evaluation, "test")))
    titles = [data for tag, data in bare.words if tag == "h2"]
    assert titles == ["Class by class", "Confusion matrix", "Calibration"]
    seen = report().mistakes[0]
    unmapped = Example(seen.pixels[..., :1], "a.png", None, seen.probabilities, seen.logits)
    page = Page(report_html(Report("", ANIMALS, [], evaluation, "test", mistakes=(unmapped,), examples=(unmapped,))))
    assert "not known" in page.text() and "Class maps" not in page.text()


def test_page_without_a_mistake_says_so() -> None:
    labels = np.arange(5).repeat(30)
    right = evaluate_probabilities(np.eye(5)[labels], labels, ANIMALS)
    perfect = replace(report(), mistakes=(), warnings=(), evaluation=right)
    text = Page(report_html(perfect)).text()
    assert "100.0% of 150 validation pictures" in text and "Nothing." in text and "Read this first" not in text


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 2.3, [0, 0.5, 1, 1.5, 2]),
        (1, 30, [10, 20, 30]),
        (0.2, 1, [0.2, 0.4, 0.6, 0.8, 1]),
        (3, 3, [3]),
    ],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


def test_curve_passes_through_its_points() -> None:
    """The polyline's coordinates are an affine image of the values."""
    y = [2.0, 1.0, 0.5, 0.25]
    root = ET.fromstring(line_chart("loss", [Curve("train", [1, 2, 3, 4], y, "warm")]))
    points = root.find("{http://www.w3.org/2000/svg}polyline")
    assert points is not None
    drawn = np.array([[float(c) for c in pair.split(",")] for pair in points.get("points", "").split()])
    slope, offset = np.polyfit(y, drawn[:, 1], 1)
    assert slope < 0 and np.abs(slope * np.array(y) + offset - drawn[:, 1]).max() < 0.1
    assert np.ptp(np.diff(drawn[:, 0])) < 0.2


@pytest.mark.parametrize("top", [0.003, 0.095, 1.0, 2.31, 47.0])
def test_axis_ends_with_a_number_above_the_curve(top: float) -> None:
    root = ET.fromstring(line_chart("x", [Curve("a", [1, 2], [top, 0.0], "ink")]))
    marks = [
        float(t.text or "nan")
        for t in root.iter("{http://www.w3.org/2000/svg}text")
        if t.get("text-anchor") == "end" and t.text not in ("epoch", "에폭")
    ]
    assert marks[0] == 0 and marks[-2] < top <= marks[-1] and 3 <= len(marks) <= 6


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=6), st.sampled_from([0.0, 10.0, 90.0]))
@example([-9.3, -3.2, -0.9], 0.0)
def test_an_axis_bears_any_values(y: list[float], low: float) -> None:
    root = ET.fromstring(line_chart("x", [Curve("a", list(range(len(y))), y, "ink")], low=low))
    drawn = [float(line.get("y1", "nan")) for line in root.iter("{http://www.w3.org/2000/svg}line")]
    assert drawn and all(-1e-6 <= place <= 200 for place in drawn)


def test_curves_bear_gaps_single_points_and_nothing() -> None:
    for y in ([], [None], [math.nan], [1.0], [0.0, math.inf, 2.0], [5.0, 5.0]):
        ET.fromstring(line_chart("x", [Curve("a", list(range(len(y))), y, "accent")], share=False))
        ET.fromstring(
            line_chart("x", [Curve("a", list(range(len(y))), [v and min(v, 1.0) for v in y], "ink")], share=True)
        )
    ET.fromstring(line_chart("x", []))


def test_reliability_bars_stand_for_the_bins() -> None:
    _, _, evaluation = answers(ANIMALS)
    root = ET.fromstring(reliability_svg(evaluation))
    rects = [r for r in root.iter("{http://www.w3.org/2000/svg}rect") if r.get("class") == "f-accent"]
    filled = [b for b in evaluation.bins if b.count]
    assert [float(r.get("height", 0)) for r in rects] == pytest.approx([b.accuracy * 260 for b in filled], abs=0.01)


def schemes() -> list[dict[str, str]]:
    """The colours of the style sheet: light, then dark."""
    style = resources.files("nin.report").joinpath("page.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)[:2]
    return [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block)) for block in blocks]


def test_drawings_on_their_own_have_the_light_colours() -> None:
    light, dark = schemes()
    assert {key: light[key] for key in LIGHT} == LIGHT and light.keys() == dark.keys()


@pytest.mark.parametrize("scheme", [0, 1])
@pytest.mark.parametrize("behind", ["paper", "soft", "alert"])
def test_words_have_the_contrast_that_wcag_asks_for(scheme: int, behind: str) -> None:
    def luminance(colour: str) -> float:
        c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        return float(np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])

    colours = schemes()[scheme]
    for words in ("ink", "muted", "accent", "warm", "good") if behind == "paper" else ("ink",):
        low, high = sorted(luminance(colours[key]) for key in (words, behind))
        assert (high + 0.05) / (low + 0.05) >= 4.5, words


@pytest.mark.parametrize(
    ("sure", "right", "words"),
    [
        (0.9, 5, "Overconfident by 40.0 points."),
        (0.6, 10, "Underconfident by 40.0 points."),
        (0.705, 7, "Neither overconfident nor underconfident by as much as a point."),
    ],
)
def test_the_direction_of_the_confidence_is_named(sure: float, right: int, words: str) -> None:
    """Ten pictures, all answered "cat" with the same confidence, of which so many are cats."""
    p, labels = np.tile([sure, 1 - sure], (10, 1)), (np.arange(10) >= right).astype(int)
    measured = evaluate_probabilities(p, labels, ("cat", "dog"))
    text = Page(report_html(replace(report(("cat", "dog")), evaluation=measured))).text()
    assert words in text
    assert f"{abs(sure - right / 10) * 100:.1f} points away" in text


def test_the_page_is_whole_in_either_language() -> None:
    """What is hidden in one language has its twin beside it, and the Korean twin holds the same numbers."""
    made = replace(report(), suspects=report().mistakes, effort=Effort(3, 200, "2m"))
    html = report_html(made)
    assert html.count('class="en"') == html.count('class="ko"') > 60
    pairs = re.findall(r'<span class="en">(.*?)</span><span class="ko" lang="ko">(.*?)</span>', html)
    plain = [(unescape(one), other) for one, other in pairs if "<" not in one + other]
    assert len(plain) > 40
    for one, other in plain:
        assert sorted(re.findall(r"\d[\d.,]*\d|\d", one)) == sorted(re.findall(r"\d[\d.,]*\d|\d", other)), (one, other)
        assert re.search("[가-힣]", other) or one == other.replace("~", " to "), other


def test_what_may_be_mislabelled_is_named_with_its_path_and_why_the_training_was_short() -> None:
    seen = replace(report().mistakes[0], path="/home/you/photos/cat/0412.jpg")
    page = Page(report_html(replace(report(), suspects=(seen,), effort=Effort(3, 200, "2m"))))
    assert "/home/you/photos/cat/0412.jpg" in page.text()
    assert "Trained for 3 of 200 epochs: as many as --max-time 2m allowed." in page.text()
    whole = Page(report_html(replace(report(), suspects=(), effort=Effort(200, 200)))).text()
    assert "Trained for" not in whole and "None of the held-out pictures contradicts its label" in whole


def test_every_mistake_is_found_by_its_true_and_by_its_predicted_class() -> None:
    made = report(FORTY, 400)
    html = report_html(made)
    for seen in made.mistakes:
        for index in (seen.true, seen.answer):
            assert f'option[value="{index}"]:checked) .card:not(.c{index})' in html
            assert re.search(rf'<option value="{index}">class {index} \(\d+\)', html)
            assert re.search(rf'class="card [^"]*\bc{index}\b', html)
