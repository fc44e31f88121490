"""Teach in a real Chromium: classes by folder, camera, file and pen; what is learnt, tried, saved and opened again."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from explorer_page import ANSWERED, SECONDS, visited
from lesson_page import LOOKS, SHIFTS
from PIL import Image
from teach_page import (
    KINDS,
    counts,
    drop,
    folder_of,
    give,
    learnt,
    picture,
    ready,
    saved,
    shares,
    table,
    teaching,
    tried,
    unpacked,
    wait_counts,
)

import nin
from nin.bundle.folder import read_bundle
from nin.bundle.shipped import SHIPPED
from nin.data.images import read_picture

MODEL = "nin-mnist"
SAVE = {
    "en": {"model": "Save model", "page": "One-file page", "pictures": "Pictures", "inside": "Look inside"},
    "ko": {"model": "모델 저장", "page": "한 파일 페이지", "pictures": "사진 저장", "inside": "들여다보기"},
}


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    return nin.publish(MODEL, tmp_path_factory.mktemp("published") / "digits.html").as_uri()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Eight pictures of each kind."""
    return folder_of(tmp_path_factory.mktemp("kinds") / "things", dict.fromkeys(KINDS, 8))


@pytest.fixture(scope="module")
def new(tmp_path_factory) -> Path:
    """A picture that nobody was taught, of rings."""
    file = tmp_path_factory.mktemp("new") / "new.png"
    picture("rings", 99).save(file)
    return file


@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_folder_is_taught_tried_saved_and_opened_again(page, folder, new, language, tmp_path):
    words = "of 24)" if language == "en" else "24장 가운데"
    with teaching(page, language, accept_downloads=True) as visit:
        ready(visit)
        drop(visit, ".classes", folder)
        right = learnt(visit, words)
        names = visit.page.locator("[data-group] input.name")
        assert [names.nth(at).input_value() for at in range(names.count())] == sorted(KINDS)
        assert counts(visit) == [8, 8, 8]
        mistakes = np.array(table(visit))
        assert mistakes.sum(1).tolist() == [8, 8, 8]
        assert mistakes.trace() / 24 == right > 0.8
        answer = tried(visit, new)
        assert max(answer, key=answer.get) == "rings"
        _, mean, logit = visit.page.locator(".try section:has(> details) p strong").all_inner_texts()
        assert mean == logit  # each by its own way
        files = {what: saved(visit, SAVE[language][what]) for what in ("model", "page", "pictures")}
        kept = unpacked(files["pictures"], tmp_path)
        assert kept == [f"pictures/train/{kind}/{n + 1:03}.png" for kind in sorted(KINDS) for n in range(8)]
        assert visit.console == []
        assert {address.split(":")[0] for address in visit.requests} <= {"file", "blob", "data"}
    model = tmp_path / unpacked(files["model"], tmp_path)[0].split("/")[0]
    assert model.name == "bars-rings-steps"
    python = dict(next(iter(nin.predict(model, new))).scores)
    assert python == pytest.approx(answer, abs=0.006)  # as the page shows them
    expect_page(files["page"], new, python, tmp_path)


def expect_page(html: bytes, new: Path, python: dict[str, float], tmp_path: Path) -> None:
    """A saved page opens from a disk by itself, and answers as Python does."""
    file = tmp_path / "taught.html"
    file.write_bytes(html)
    with visited(file.as_uri(), answered=False) as visit:
        visit.page.get_by_role("button", name="Draw", exact=True).wait_for(timeout=SECONDS)
        visit.page.wait_for_function("() => !document.querySelector('.sources button[disabled]')", timeout=SECONDS)
        probabilities = visit.give(new)
        assert probabilities == pytest.approx([python[each] for each in sorted(KINDS)], abs=1e-5)
        visit.page.locator("header .menu button").first.click()
        assert "no answers of Python" in visit.page.locator("header .panel").inner_text()
        assert visit.console == []
        assert [address for address in visit.requests if address.startswith("http")] == []


def test_kept_pictures_are_what_the_network_saw(page, folder, tmp_path):
    with teaching(page, accept_downloads=True) as visit:
        ready(visit)
        drop(visit, ".classes", folder)
        learnt(visit, "of 24)")
        unpacked(saved(visit, "Pictures"), tmp_path)
    bundle = read_bundle(SHIPPED / MODEL)
    for kind in KINDS:
        before = read_picture(folder / kind / "3.png").pixels
        after = np.asarray(Image.open(tmp_path / "pictures" / "train" / kind / "003.png").convert("L"))[..., None]
        assert np.array_equal(bundle.preprocess.resize(before), after)


def test_look_inside_opens_it_in_see_and_teach_keeps_everything(page, folder, new):
    with teaching(page) as visit:
        ready(visit)
        drop(visit, ".classes", folder)
        learnt(visit, "of 24)")
        answer = tried(visit, new)
        visit.page.get_by_role("button", name="Look inside").click()
        visit.page.wait_for_selector(ANSWERED, timeout=SECONDS)
        visit.hash("#see/bars-rings-steps")
        best = max(answer, key=answer.get)
        assert visit.page.locator(".answers .answer strong").inner_text() in (best, "unknown")
        assert visit.page.locator(".answers li .name bdi").first.inner_text() == best
        visit.page.locator("nav.places a", has_text="Teach").click()
        ready(visit)
        assert counts(visit) == [8, 8, 8] and shares(visit) == answer
        asked = []
        visit.page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
        visit.page.reload()
        ready(visit)
        assert asked == ["beforeunload"] and counts(visit) == [0, 0]
        visit.page.reload()
        ready(visit)
        assert len(asked) == 1 and visit.console == []


def test_the_camera_fills_a_class_while_it_is_held_by_pointer_or_key(page):
    with teaching(page, camera="allowed") as visit:
        ready(visit)
        first, second = (visit.page.locator(".hold").nth(at) for at in (0, 1))
        first.hover()
        visit.page.mouse.down()
        visit.page.wait_for_function(AT_LEAST, arg=[0, 5], timeout=SECONDS)
        assert first.get_attribute("aria-pressed") == "true"
        visit.page.mouse.up()
        visit.page.wait_for_timeout(400)
        held = counts(visit)
        visit.page.wait_for_timeout(1000)
        assert counts(visit) == held and held[1] == 0  # let go of, but the camera goes on to be tried
        second.focus()
        visit.page.keyboard.down(" ")
        visit.page.wait_for_function(AT_LEAST, arg=[1, 5], timeout=SECONDS)
        visit.page.keyboard.up(" ")
        visit.page.locator("[data-estimate]").wait_for(timeout=SECONDS)
        visit.page.locator(".try .share").first.wait_for(timeout=SECONDS)
        visit.page.wait_for_timeout(400)
        taken = counts(visit)
        second.press("Enter")  # pressed and let go of at once: one picture
        wait_counts(visit, taken[0], taken[1] + 1)
        camera = visit.page.locator(".try .sources button").first
        assert camera.get_attribute("aria-pressed") == "true"
        visit.page.keyboard.press("Escape")
        assert camera.get_attribute("aria-pressed") == "false"
        visit.page.locator("nav.places a", has_text="Learn").click()
        visit.page.locator("nav.places a", has_text="Teach").click()
        assert counts(visit) == [taken[0], taken[1] + 1] and visit.console == []


AT_LEAST = """([at, most]) =>
  +document.querySelectorAll("[data-group] .count")[at].textContent.replace(/\\D/g, "") >= most"""

# The stream is kept where the test can end it, as a pulled cable does.
CABLE = """(() => {
  const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wanted) => (window.stream = await ask(wanted));
})()"""


def test_a_camera_that_is_lost_or_refused_is_said_and_the_page_goes_on(page, folder):
    with teaching(page, camera="allowed", before=CABLE) as visit:
        ready(visit)
        visit.page.locator(".hold").first.hover()
        visit.page.mouse.down()
        visit.page.wait_for_function(AT_LEAST, arg=[0, 2], timeout=SECONDS)
        visit.page.evaluate("() => window.stream.getTracks()[0].dispatchEvent(new Event('ended'))")
        visit.page.wait_for_selector("aside.notice button", timeout=SECONDS)
        assert "camera" in (visit.notice() or "")
        visit.page.mouse.up()
        before = counts(visit)
        assert before[0] >= 2
        give(visit, 1, sorted((folder / "bars").iterdir()))
        wait_counts(visit, before[0], 8)
    with teaching(page, camera="refused") as visit:
        ready(visit)
        visit.page.locator(".hold").first.click()
        visit.page.wait_for_selector("aside.notice button", timeout=SECONDS)
        assert "not allowed" in (visit.notice() or "")
        give(visit, 0, sorted((folder / "bars").iterdir()))
        wait_counts(visit, 8, 0)


def test_drawings_become_pictures_of_a_class(page):
    with teaching(page) as visit:
        ready(visit)
        for number, strokes in ((0, 2), (1, 1)):
            visit.page.locator("[data-group]").nth(number).get_by_role("button", name="Draw").click()
            for at in range(strokes):
                stroke(visit, down=number == 0, shift=at)
                visit.page.get_by_role("button", name=f"Add to class {number + 1}").click()
                wait_counts(visit, *([at + 1, 0] if number == 0 else [2, at + 1]))
        visit.page.locator(".learnt .words", has_text="A few more").wait_for(timeout=SECONDS)
        stroke(visit, down=True, shift=2)
        visit.page.wait_for_function(
            "() => document.querySelector('.try li .name bdi')?.textContent === 'class 1'", timeout=SECONDS
        )
        assert visit.page.locator(".learnt").get_by_role("button", name="Save model").is_disabled()
        assert "needs a name" in visit.page.locator(".learnt .trouble").inner_text()
        assert visit.console == []


def stroke(visit, *, down: bool, shift: int) -> None:
    box = visit.page.locator(".stage.drawing").bounding_box()
    places = [(0.45 + 0.05 * shift, share) for share in (0.2, 0.8)]
    start, end = (place if down else place[::-1] for place in places)
    visit.page.mouse.move(box["x"] + start[0] * box["width"], box["y"] + start[1] * box["height"])
    visit.page.mouse.down()
    visit.page.mouse.move(box["x"] + end[0] * box["width"], box["y"] + end[1] * box["height"], steps=6)
    visit.page.mouse.up()
    visit.page.wait_for_timeout(300)


def test_names_and_empty_classes_are_asked_for_in_one_line(page, folder):
    with teaching(page) as visit:
        ready(visit)
        names = visit.page.locator("[data-group] input.name")
        trouble = visit.page.locator(".learnt .trouble")
        save = visit.page.locator(".learnt").get_by_role("button", name="Save model")
        for number, kind in enumerate(("bars", "steps")):
            drop(visit, f"[data-group]:nth-of-type({number + 1})", *sorted((folder / kind).iterdir()))
            wait_counts(visit, *([8, 0] if number == 0 else [8, 8]))
        learnt(visit, "of 16)")
        assert "class 1 needs a name" in trouble.inner_text() and save.is_disabled()
        names.nth(0).fill("Bars ")
        names.nth(1).fill("bars")
        assert "Two classes are called bars" in trouble.inner_text() and save.is_disabled()
        names.nth(1).fill("steps <b>\u202e")
        assert trouble.inner_text() == "" and save.is_enabled()
        assert "\u202e" not in visit.page.locator("main").inner_text()
        visit.page.get_by_role("button", name="+ class").click()
        assert visit.page.evaluate("() => document.activeElement.placeholder") == "class 3"
        visit.page.keyboard.type("nothing")
        assert save.is_enabled()
        assert "nothing has no pictures" in visit.page.locator(".learnt").inner_text()
        assert counts(visit) == [8, 8, 0]


def test_what_cannot_be_taken_is_one_line_and_the_rest_is_taken(page, folder, new, tmp_path):
    many = folder_of(tmp_path / "many", {"bars": 1})
    data = (many / "bars" / "1.png").read_bytes()
    for number in range(2, 1001):
        (many / "bars" / f"{number}.png").write_bytes(data)
    (tmp_path / "notes.txt").write_text("hello")
    kinds = tmp_path / "kinds"
    for number in range(12):
        (kinds / f"kind {number + 1}").mkdir(parents=True)
        (kinds / f"kind {number + 1}" / "1.png").write_bytes(data)
    with teaching(page) as visit:
        ready(visit)
        give(visit, 0, [*sorted((folder / "rings").iterdir()), tmp_path / "notes.txt"])
        visit.page.wait_for_selector("aside.notice button", timeout=SECONDS)
        assert re.match(r"1 of 9 files left out\. notes\.txt: This is no picture", visit.notice() or "")
        wait_counts(visit, 8, 0)
        visit.page.locator("aside.notice button").click()
        drop(visit, ".try", tmp_path / "notes.txt", new)
        visit.page.wait_for_selector("aside.notice button", timeout=SECONDS)
        assert "on a class" in (visit.notice() or "")
        visit.page.locator("aside.notice button").click()
        drop(visit, "[data-group]:nth-of-type(2)", many)
        visit.page.wait_for_selector("aside.notice button", timeout=SECONDS)
        assert "200 of 1,000 pictures taken" in (visit.notice() or "")
        wait_counts(visit, 8, 200, times=4)  # on a machine that does much else
        learnt(visit, "of 208")
        drop(visit, ".classes", kinds)
        visit.page.locator("aside.notice", has_text="at most 10 classes: 4 more").wait_for(timeout=SECONDS)
        wait_counts(visit, 8, 200, *[1] * 8)
        assert visit.page.get_by_role("button", name="+ class").is_disabled()
        assert visit.console == []


def test_pictures_and_classes_are_removed_by_pointer_and_keyboard(page, folder):
    with teaching(page) as visit:
        ready(visit)
        drop(visit, ".classes", folder)
        learnt(visit, "of 24)")
        thumbs = visit.page.locator("[data-group]").first.locator(".thumbs button")
        thumbs.nth(2).click()
        wait_counts(visit, 7, 8, 8)
        thumbs.first.focus()
        visit.page.keyboard.press("End")
        assert visit.page.evaluate("() => document.activeElement.ariaLabel") == "Remove picture 7 of bars"
        visit.page.keyboard.press("ArrowLeft")
        visit.page.keyboard.press("Enter")
        wait_counts(visit, 6, 8, 8)
        assert visit.page.evaluate("() => document.activeElement.ariaLabel") == "Remove picture 6 of bars"
        visit.page.keyboard.press("Delete")
        wait_counts(visit, 5, 8, 8)
        visit.page.keyboard.press("Delete")
        visit.page.locator(".learnt .words", has_text="A few more").wait_for(timeout=SECONDS)
        remove = visit.page.locator("[data-group]").nth(1).locator(".remove")
        remove.click()
        assert counts(visit) == [4, 8, 8] and remove.inner_text() == "Remove 8 too?"
        remove.click()
        wait_counts(visit, 4, 8)
        visit.page.wait_for_function(
            "() => /: one 1×1 layer, \\d+ → 2$/m.test(document.querySelector('.learnt').innerText)", timeout=SECONDS
        )


def test_another_trunk_looks_at_the_same_pictures(page, folder, tmp_path):
    own = SHIPPED / "nin-cifar10"
    with teaching(page) as visit:
        ready(visit)
        drop(visit, ".classes", folder)
        learnt(visit, "of 24)")
        weights = re.compile(r"([\d,]+) weights: one 1×1 layer, (\d+) → 3")
        facts = visit.page.locator(".facts")
        first = weights.search(facts.inner_text()).groups()
        menu = visit.page.locator("header .menu button").first
        assert re.search(r"trunk\s+nin-mnist, mlpconv 1 to 4", menu.inner_text())
        menu.click()
        visit.page.get_by_role("group", name="Up to mlpconv layer").get_by_role("button").last.click()
        visit.page.wait_for_function("(old) => !document.querySelector('.facts').innerText.includes(old)", arg=first[0])
        learnt(visit, "of 24")
        assert int(first[0].replace(",", "")) == 3 * (int(first[1]) + 1)
        visit.page.keyboard.press("Escape")
        drop(visit, "[data-group]", own)  # a model folder becomes the trunk, wherever it lands
        visit.page.locator("aside.notice", has_text="kept at 28 × 28 pixels").wait_for(timeout=SECONDS)
        learnt(visit, "of 24")
        assert "nin-cifar10" in menu.inner_text() and counts(visit) == [8, 8, 8]
        assert visit.console == []


@pytest.mark.parametrize(("language", "scheme", "size"), LOOKS, ids=str)
def test_it_fits_every_width_stands_still_and_axe_finds_nothing(page, folder, new, language, scheme, size):
    options = {"size": size, "color_scheme": scheme, "bypass_csp": True, "before": SHIFTS, "reduced_motion": "reduce"}
    with teaching(page, language, **options) as visit:
        ready(visit)
        visit.page.evaluate("window.shifted = 0")
        for number, kind in enumerate(("bars", "rings")):
            give(visit, number, sorted((folder / kind).iterdir()))
        visit.page.locator("[data-estimate]").wait_for(timeout=SECONDS)
        tried(visit, new)
        visit.page.wait_for_timeout(500)
        assert visit.page.evaluate("window.shifted") < 0.01
        assert visit.page.evaluate("document.documentElement.scrollWidth") == size[0]
        assert visit.narrow() == []
        assert visit.audit() == []
        visit.page.locator("header .menu button").first.click()
        assert visit.audit() == []
        assert visit.page.evaluate("document.documentElement.scrollWidth") == size[0]
        assert visit.console == []


def test_what_is_heard_is_the_training_and_another_answer(page, folder, new):
    said = """() => {
      window.said = [];
      const live = document.querySelector("[role=status]");
      new MutationObserver(() => window.said.push(live.textContent)).observe(live, {
        childList: true, characterData: true, subtree: true });
    }"""
    with teaching(page) as visit:
        ready(visit)
        visit.page.wait_for_timeout(1200)
        visit.page.evaluate(said)
        drop(visit, "[data-group]", folder)  # on a class, too, folders are classes
        learnt(visit, "of 24)")
        visit.page.wait_for_function("() => window.said.some((text) => text.startsWith('Trained in'))", timeout=SECONDS)
        assert any("% right when left out" in text for text in visit.page.evaluate("window.said"))
        tried(visit, new)
        visit.page.wait_for_function("() => /rings/.test(window.said.at(-1))", timeout=SECONDS)


def test_the_saved_model_says_what_it_is(page, folder, tmp_path):
    with teaching(page, "ko", accept_downloads=True) as visit:
        ready(visit)
        drop(visit, ".classes", folder)
        learnt(visit, "24장 가운데")
        unpacked(saved(visit, SAVE["ko"]["model"]), tmp_path)
    config = json.loads((tmp_path / "bars-rings-steps" / "config.json").read_text(encoding="utf-8"))
    assert config["label_names"] == sorted(KINDS)
    assert config["nin"]["provenance"]["trunk"]["model"] == MODEL
    assert config["nin"]["provenance"]["pictures of each class"] == [8, 8, 8]
    assert "bars, rings, steps" in (tmp_path / "bars-rings-steps" / "README.md").read_text(encoding="utf-8")
