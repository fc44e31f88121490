"""What the page draws and hands out: every view at every width, its saved sheet, drawing, the warning of the check."""

import base64
import io
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from explorer_page import SECONDS, Visit, visited
from PIL import Image

import nin
from nin.explorer.pictures import OWN

SUMS = """() => [...document.querySelectorAll("main canvas")].map((canvas) => {
  if (!canvas.width || !canvas.height) return 0;
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let sum = 0;
  for (const byte of data) sum = (sum * 31 + byte) % 1000003;
  return sum;
})"""


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    return nin.publish("nin-mnist", tmp_path_factory.mktemp("published") / "digits.html")


@pytest.fixture(scope="module")
def page(published: Path) -> str:
    return published.as_uri()


@pytest.mark.parametrize(("language", "scheme"), [("en-GB", "light"), ("ko-KR", "dark")])
def test_every_view_fits_every_width_and_axe_finds_nothing(page: str, language: str, scheme: str) -> None:
    for width, height in ((1440, 900), (768, 1024), (390, 844), (320, 640)):
        options = {"size": (width, height), "locale": language, "color_scheme": scheme, "bypass_csp": True}
        with visited(page, **options) as visit:
            assert visit.page.locator("html").get_attribute("lang") == language[:2]
            expect_sound(visit, width)
            assert visit.narrow() == []
            visit.page.locator("[data-layer]").nth(3).click()  # a layer at full width, one map large
            visit.page.locator(".large [role=slider]").first.wait_for(timeout=SECONDS)
            expect_sound(visit, width)
            visit.page.locator("header .menu button").first.click()  # what model is open
            expect_sound(visit, width)
            assert visit.console == []


def expect_sound(visit: Visit, width: int) -> None:
    assert visit.page.evaluate("document.documentElement.scrollWidth") == width
    assert visit.audit() == []


def test_a_square_over_the_picture_moves_every_map(page: str) -> None:
    with visited(page) as visit:
        before = visit.page.evaluate(SUMS)
        answers = visit.page.evaluate("() => window.answers.length")
        visit.page.locator("input[type=range]").nth(1).press("End")
        visit.page.wait_for_function("(n) => window.answers.length > n", arg=answers, timeout=SECONDS)
        visit.page.wait_for_timeout(500)
        after = visit.page.evaluate(SUMS)
        assert len(after) == len(before)
        changed = [index for index, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
        river = visit.page.evaluate(
            "() => [...document.querySelectorAll('main canvas')].map((c) => !!c.closest('article'))"
        )
        mosaics = [index for index, inside in enumerate(river) if inside and before[index]]
        assert len(mosaics) >= 10 and set(mosaics) <= set(changed)


def test_the_page_is_korean_throughout(page: str) -> None:
    with visited(page, locale="ko-KR") as visit:
        text = visit.page.locator("main").inner_text()
        assert "클래스 맵" in text and "로짓" in text
        credit = json.loads((OWN / "nin-mnist" / "credits.json").read_text(encoding="utf-8"))["credit"]
        latin = set(re.findall(r"[A-Za-z]{3,}", text.replace(credit, "")))
        assert latin <= {"mlpconv", "ReLU", "MAC"}
        visit.page.get_by_role("button", name="EN", exact=True).click()
        assert "class maps" in visit.page.locator("main").inner_text()


def test_tab_goes_in_reading_order_and_every_stop_has_a_name(page: str) -> None:
    with visited(page) as visit:
        names = []
        for _ in range(70):
            visit.page.keyboard.press("Tab")
            names.append(visit.page.evaluate(FOCUSED))
        assert all(names)
        stops = ("Camera", "Open mlpconv 1", "class ")  # picture, river, answers
        reached = [next(at for at, name in enumerate(names) if name.startswith(stop)) for stop in stops]
        assert reached == sorted(reached)
        card = visit.page.locator("[data-layer]").first
        card.press("Enter")
        visit.page.locator(".large").wait_for(timeout=SECONDS)
        visit.page.keyboard.press("Escape")
        card.wait_for(timeout=SECONDS)
        assert visit.page.evaluate("() => document.activeElement.dataset.layer") == "0"


FOCUSED = """() => {
  const focused = document.activeElement;
  const name = focused.getAttribute("aria-label") || focused.labels?.[0]?.innerText || focused.innerText;
  return name.replace(/\\s+/g, " ");
}"""


def test_the_view_is_saved_as_png_and_svg(page: str) -> None:
    with visited(page) as visit:
        saved = {kind: save(visit, kind) for kind in ("PNG", "SVG")}
    image = Image.open(io.BytesIO(saved["PNG"]))
    assert image.format == "PNG" and min(image.size) > 400
    assert len(np.unique(np.asarray(image.convert("L")))) > 50
    svg = ElementTree.fromstring(saved["SVG"])
    text = " ".join(svg.itertext())
    assert "mlpconv 1" in text and "logit" in text
    assert not [element for element in svg.iter() if element.tag.endswith("script")]


def save(visit: Visit, kind: str) -> bytes:
    visit.page.get_by_role("button", name="Save picture", exact=True).click()
    with visit.page.expect_download(timeout=SECONDS) as download:
        visit.page.get_by_role("button", name=f"As {kind}").click()
    return Path(download.value.path()).read_bytes()


def test_a_drawn_stroke_is_answered(page: str) -> None:
    with visited(page) as visit:
        visit.page.get_by_role("button", name="Draw", exact=True).click()
        box = visit.page.locator(".stage.drawing").bounding_box()
        assert box
        middle = box["x"] + box["width"] / 2
        visit.page.mouse.move(middle, box["y"] + box["height"] * 0.2)
        visit.page.mouse.down()
        visit.page.mouse.move(middle, box["y"] + box["height"] * 0.8, steps=8)
        visit.page.mouse.up()
        best = "() => { const last = window.answers.at(-1); return last.indexOf(Math.max(...last)) === 1; }"
        visit.page.wait_for_function(best, timeout=SECONDS)  # an upright stroke is a one


def test_an_answer_of_python_that_differs_is_a_warning(published: Path, tmp_path: Path) -> None:
    html = published.read_text(encoding="utf-8")
    before, held, after = re.split(r'(?<=data-path="models/nin-mnist/check\.json">)([^<]*)', html)
    check = json.loads(base64.b64decode(held))
    check["pictures"][0]["probabilities"][0] += 0.001
    page = tmp_path / "changed.html"
    page.write_text(before + base64.b64encode(json.dumps(check).encode()).decode() + after, encoding="utf-8")
    with visited(page.as_uri()) as visit:
        visit.page.locator("header .menu button").first.click()
        visit.page.get_by_text("do not rely on them").first.wait_for(timeout=SECONDS)
