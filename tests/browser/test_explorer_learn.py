"""The lesson in a real Chromium: its rail and addresses, and chapters 1 to 4 with their numbers held against Python."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from explorer_page import SECONDS, visited
from fixtures import layer_maps, network_of
from lesson_page import LOOKS, SHIFTS, exact, expect_chapter, lesson, shown

import nin
from nin.bundle.folder import open_bundle
from nin.claims.maps import effective_rank
from nin.claims.measure import claims
from nin.data.images import read_picture
from nin.explorer.pictures import OWN
from nin.training.tensors import to_tensor

MODEL = "nin-mnist"
TITLES = {
    "en": {1: "A filter is linear, an mlpconv is not", 3: "1×1 convolution: a layer at every pixel"},
    "ko": {1: "필터는 선형, mlpconv는 비선형", 3: "1×1 합성곱: 픽셀마다 있는 완전연결층"},
}
READY = {  # what a chapter of 1 to 4 has computed by itself once it stands
    1: "rest-filter",
    2: "here",
    3: "wrong",
    4: "kept",
}


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    return nin.publish(MODEL, tmp_path_factory.mktemp("published") / "digits.html").as_uri()


def measured(*numbers: int) -> dict[str, float]:
    """What `nin claims` finds here."""
    return {key: value for answer in claims(numbers) for key, value in answer.finding.numbers.items()}


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_rail_leads_through_the_chapters_and_remembers_which_were_tried(page, language):
    with lesson(page, 3, language) as visit:
        heading = visit.page.locator("main h2")
        assert heading.inner_text() == TITLES[language][3]
        assert visit.page.title() == f"{TITLES[language][3]} · nin"
        links = visit.page.locator("nav li a")
        assert links.count() == 8
        assert visit.page.locator("nav li a[aria-current=page]").inner_text().split("\n")[-1] == TITLES[language][3]
        assert visit.page.locator("nav li .done").count() == 0
        visit.page.get_by_role("checkbox").check()
        links.nth(0).focus()
        visit.page.keyboard.press("Enter")
        visit.hash("#learn/1")
        assert heading.inner_text() == TITLES[language][1]
        assert heading.evaluate("(one) => one === document.activeElement")
        done = visit.page.locator("nav li .done")
        assert done.count() == 1 and "3" in done.get_attribute("aria-label")
        visit.page.locator("a[rel=next]").click()
        visit.hash("#learn/2")
        visit.page.go_back()
        visit.hash("#learn/1")
        visit.page.reload()
        visit.page.locator("nav li .done").wait_for(timeout=SECONDS)  # remembered from visit to visit
        assert visit.page.locator("html").get_attribute("lang") == language
        assert visit.console == []


def test_see_and_learn_lead_to_each_other_and_nothing_is_lost(page):
    state = "#see/nin-mnist?e=2&layer=2.1&unit=3&at=2,2&cover=4,5,12&lang=en"
    with visited(page + state) as visit:
        assert visit.page.locator("header nav a").all_inner_texts() == ["See", "Learn", "Teach"]
        visit.page.get_by_role("link", name="Learn", exact=True).click()
        visit.hash("#learn/1")
        assert visit.page.locator("[data-chapter='1']").is_visible()
        visit.page.locator("nav li a").nth(1).click()
        assert exact(visit, "here") < 1e-4
        visit.page.get_by_role("link", name="See", exact=True).click()
        visit.page.locator(".large [role=slider]").first.wait_for(timeout=SECONDS)
        visit.page.wait_for_timeout(800)
        assert visit.page.evaluate("location.hash") == state
        visit.page.get_by_role("link", name="Learn", exact=True).click()
        visit.hash("#learn/2")  # where the reader was
        assert visit.console == []


def test_an_address_that_makes_no_sense_opens_the_first_chapter(page):
    for place in ("#learn", "#learn/99", "#learn/zz", "#learn/-1"):
        with visited(page + place, answered=False) as visit:
            visit.page.locator("[data-chapter='1']").wait_for(timeout=SECONDS)
            visit.hash("#learn/1")
            assert visit.console == []


@pytest.mark.parametrize(("language", "scheme", "size"), LOOKS, ids=str)
def test_a_chapter_fits_every_width_stands_still_and_axe_finds_nothing(page, language, scheme, size):
    options = {"size": size, "color_scheme": scheme, "bypass_csp": True, "before": SHIFTS, "reduced_motion": "reduce"}
    with lesson(page, 1, language, **options) as visit:
        for chapter, live in READY.items():
            expect_chapter(visit, chapter, live, size[0])
        assert visit.console == []


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_claims_of_a_chapter_are_those_of_the_program(page, language):
    from nin.claims.all_claims import all_claims, words

    sentences = {claim.number: claim.claim[language] for claim in all_claims()}
    with lesson(page, 1, language) as visit:
        found = {}
        for link in range(visit.page.locator("nav li").count()):
            visit.page.locator("nav li a").nth(link).click()
            visit.page.locator("details.claims summary").click()
            for item in visit.page.locator("details.claims li").all():
                found[int(item.get_attribute("value"))] = item.inner_text()
            command = visit.page.locator("details.claims summary code").inner_text()
            assert re.fullmatch(r"nin claims [\d ]+( --lang ko)?", command)
    assert sorted(found) == list(range(1, 27))
    struck = words()["page"]["struck"][language]
    assert found == {n: f"{text} {struck}" if n == 25 else text for n, text in sentences.items()}


def test_chapter_1_the_filter_stays_below_three_of_four_and_the_mlpconv_learns_it(page):
    with lesson(page, 1) as visit:
        before = exact(visit, "right-mlpconv")
        visit.page.get_by_role("button", name="Learn", exact=True).press("Enter")
        visit.page.wait_for_function("() => document.querySelector('progress').value === 300", timeout=SECONDS)
        visit.page.get_by_role("button", name="Learn again").wait_for(timeout=SECONDS)
        assert exact(visit, "right-filter") <= 0.76 and before < 0.76  # claim 1 asks the same of torch
        assert exact(visit, "right-mlpconv") > 0.985
        assert abs(exact(visit, "rest-filter")) < 1e-12 and shown(visit, "rest-filter") == "0.000"
        assert abs(exact(visit, "rest-mlpconv")) > 1
        tables = [
            [cell.replace("−", "-") for cell in table.locator("td:nth-of-type(1)").all_inner_texts()]
            for table in visit.page.locator("main table").all()
        ]
        for cells, live in zip(tables, ("rest-filter", "rest-mlpconv"), strict=True):
            none, first, second, both = map(float, cells)  # shown to two places
            assert both - first - second + none == pytest.approx(exact(visit, live), abs=0.025)
        answers = visit.page.locator("main table").nth(1).locator("td:nth-of-type(2)").all_inner_texts()
        assert [answer.split()[0] for answer in answers] == ["no", "yes", "yes", "no"]
        visit.page.get_by_role("button", name="second edge").press(" ")
        assert visit.page.get_by_role("img", name="A patch with both edges").count() == 1
        assert visit.console == []


def test_chapter_2_both_ways_say_the_same_wherever_the_window_is(page):
    with lesson(page, 2) as visit:
        assert exact(visit, "here") < 1e-4
        window = visit.page.get_by_role("slider", name="The place on the picture")
        before = visit.page.locator(".picture p").inner_text()
        window.press("ArrowRight")
        window.press("ArrowUp")
        assert visit.page.locator(".picture p").inner_text() != before
        box = window.bounding_box()
        visit.page.mouse.move(box["x"] + 3, box["y"] + 3)
        visit.page.mouse.down()
        visit.page.mouse.move(box["x"] + 1, box["y"] + 1, steps=3)
        visit.page.mouse.up()
        assert "row 1, column 1" in visit.page.locator(".picture p").inner_text()  # a window over the corner
        visit.page.wait_for_timeout(500)
        assert exact(visit, "here") < 1e-4
        grids = visit.page.locator(".ways [role=slider]")
        said = [grids.nth(number).get_attribute("aria-valuetext") for number in range(grids.count())]
        assert len(said) == 5 and said[1] == said[2] and said[3] == said[4]
        visit.page.get_by_role("button", name="Do all places both ways").click()
        assert exact(visit, "anywhere") < 1e-4
        assert exact(visit, "slid") > exact(visit, "convolved") > 0
        assert "784 places" in visit.page.locator("main").inner_text()
        assert visit.console == []


def test_chapter_3_is_claims_19_and_23(page):
    python = measured(19, 23)
    with lesson(page, 3) as visit:
        assert (exact(visit, "b1"), exact(visit, "b2")) == (python["b1"], python["b2"]) == (-1, 84)
        assert exact(visit, "wrong") == python["wrong"] == 0
        visit.page.locator("[data-cell='a0.8']").click()
        assert (exact(visit, "b1"), exact(visit, "b2")) == (2 * 8 - 9, 3 * 8 + 72)
        visit.page.get_by_role("slider", name="Pixel").press("ArrowLeft")
        assert (exact(visit, "b1"), exact(visit, "b2")) == (2 * 7 - 9, 3 * 7 + 72)
        weight = visit.page.get_by_role("spinbutton", name="Weight from A2 to B1")
        weight.press("ArrowDown")
        assert exact(visit, "b1") == 2 * 7 - 9 - 16
        weight.click()
        weight.click()
        assert exact(visit, "b1") == 2 * 7 - 9 + 16
        weight.click()  # after 3 comes -3
        assert weight.get_attribute("aria-valuenow") == "-3" and exact(visit, "b1") == 2 * 7 - 9 - 5 * 16
        visit.page.get_by_role("checkbox").check()
        assert exact(visit, "b1") == 0 and "ReLU" in visit.page.locator(".sums").inner_text()
        assert exact(visit, "wrong") == 0
        visit.page.get_by_role("button", name="Reset weights").click()
        n = visit.page.get_by_role("slider", name="1×1 filters n")
        assert exact(visit, "rank") == python["rank_of_8"] == 8
        n.press("End")
        assert exact(visit, "rank") == python["rank_of_128"] == 32
        assert exact(visit, "weights") == 32 * 128 + 128 and shown(visit, "shape") == "6×6×32 → 6×6×128"
        n.press("Home")
        assert (exact(visit, "rank"), exact(visit, "weights")) == (1, 33)
        assert visit.console == []


def test_chapter_4_counts_as_claim_5_and_knows_the_maps_of_the_picture(page):
    python = measured(5)
    maps = first_maps()
    centred = maps - maps.mean(1, keepdims=True)
    variances = np.linalg.eigvalsh(centred @ centred.T)[::-1]
    with lesson(page, 4) as visit:
        assert exact(visit, "spatial") == python["with_1x1"]
        assert shown(visit, "spatial").split(" → ")[0] == f"{python['without']:,}"
        assert exact(visit, "time") > 0
        visit.page.get_by_role("button", name="A branch of an Inception module").press("Enter")
        assert exact(visit, "macs") == python["reduced"]
        assert shown(visit, "macs") == f"{python['factor']:.1f} times as many"
        slider = visit.page.get_by_role("slider", name="Maps handed on, c3")
        slider.press("End")
        assert exact(visit, "macs") == 192 * 192 * 784 + python["direct"]
        own = visit.page.get_by_role("slider", name="Combinations n")
        for key, n in (("Home", 1), ("ArrowRight", 2)):
            own.press(key)
            assert exact(visit, "kept") == pytest.approx(variances[:n].sum() / variances.sum(), abs=1e-4)
        assert exact(visit, "effective") == pytest.approx(effective_rank(maps), rel=1e-3)
        visit.page.locator("details.claims summary").click()
        visit.page.locator("details.claims s").filter(has_text=re.compile("^By the Hebbian principle")).wait_for()
        assert visit.console == []


def first_maps() -> np.ndarray:
    """(C, places): what the first filters make of the first example, in torch."""
    bundle = open_bundle(MODEL)
    pixels = read_picture(Path(OWN) / MODEL / "0.png").pixels
    x = to_tensor(bundle.preprocess.resize(pixels)[None], bundle.preprocess, "cpu")
    with torch.no_grad():
        (maps, *_) = layer_maps(network_of(bundle), x)
    return maps.reshape(len(maps), -1).astype(np.float64)
