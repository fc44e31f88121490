"""Chapters 5 to 8 of the lesson in a real Chromium: everything in them is touched, every number held against Python."""

import base64
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from explorer_page import SECONDS, Visit, visited
from fixtures import network_of
from lesson_page import LOOKS, SHIFTS, exact, expect_chapter, lesson, shown
from PIL import Image
from teach_page import folder_of

import nin
from nin.bundle.folder import open_bundle
from nin.claims.measure import claims
from nin.explorer.pictures import OWN
from nin.network.anatomy import anatomy
from nin.network.author_networks import author_cifar10
from nin.network.config import NINConfig
from nin.network.relatives import RELATIVES
from nin.paper import tables
from nin.training.tensors import to_tensor

MODEL = "nin-fashion"
READY = {5: "flat", 6: "own", 7: "top", 8: "milliseconds"}  # what each has computed by itself once it stands
DRAWN = "(at) => document.querySelectorAll('.stage canvas, figure[data-class] canvas')[at].toDataURL().split(',')[1]"
BOARD = 0
VEIL = 2  # of the first class; under it lies the board again


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    return nin.publish(MODEL, tmp_path_factory.mktemp("published") / "clothes.html").as_uri()


@pytest.mark.parametrize(("language", "scheme", "size"), LOOKS, ids=str)
def test_a_chapter_fits_every_width_stands_still_and_axe_finds_nothing(page, language, scheme, size):
    options = {"size": size, "color_scheme": scheme, "bypass_csp": True, "before": SHIFTS, "reduced_motion": "reduce"}
    with lesson(page, 5, language, **options) as visit:
        for chapter, live in READY.items():
            expect_chapter(visit, chapter, live, size[0])
        assert visit.console == []


def weights_of(visit: Visit) -> list[int]:
    """The 32 weights as they stand under the flattened values, and whether the kernel has the same."""
    one, *others = (
        [int(each.get_attribute("aria-valuenow")) for each in grid.locator("[data-weight]").all()]
        for grid in visit.page.locator("[role=group]:has(> [data-weight])").all()
    )
    assert [weight for grid in others for weight in grid] == one
    return one


def maps_of(visit: Visit) -> np.ndarray:
    """(2, S, S): the numbers of both maps as they are seen."""
    texts = [image.locator("span").all_inner_texts() for image in visit.page.locator("main [role=img]").all()]
    side = round(len(texts[0]) ** 0.5)
    return np.array(texts, dtype=int).reshape(2, side, side)


def answers_of(visit: Visit) -> np.ndarray:
    cells = visit.page.locator("main .answers button").all_inner_texts()
    side = round(len(cells) ** 0.5)
    return np.array([text.replace("−", "-") for text in cells], dtype=int).reshape(side, side)


def expect_connected(visit: Visit) -> None:
    """What chapter 5 shows is what torch makes of the numbers that stand there."""
    maps = torch.from_numpy(maps_of(visit)).double()
    kernel = torch.tensor(weights_of(visit)).double().reshape(1, 2, 4, 4)
    expected = torch.nn.functional.conv2d(maps[None], kernel)[0, 0].numpy()
    assert answers_of(visit).tolist() == expected.astype(int).tolist()
    assert exact(visit, "answers") == expected.size and exact(visit, "wrong") == 0


@pytest.mark.parametrize("language", ["en", "ko"])
def test_chapter_5_a_weight_is_one_and_the_same_in_both(page, language):
    with lesson(page, 5, language) as visit:
        expect_connected(visit)
        before = weights_of(visit)
        flat, *kernels = visit.page.locator("[role=group]:has(> [data-weight])").all()
        flat.locator("[data-weight='4']").click()
        kernels[1].locator("[data-weight='22']").click()
        changed = weights_of(visit)
        assert [at for at in range(32) if changed[at] != before[at]] == [4, 22]
        expect_connected(visit)
        assert exact(visit, "flat") == answers_of(visit)[0, 0] == exact(visit, "window")
        heard = "(text) => document.querySelector('p[role=status].unseen').textContent.includes(text)"
        visit.page.wait_for_function(heard, arg=visit.page.locator(".live output").last.inner_text(), timeout=SECONDS)
        visit.page.get_by_role("button", name={"en": "Reset weights", "ko": "가중치 되돌리기"}[language]).click()
        assert weights_of(visit) == before
        assert visit.console == []


def test_chapter_5_by_keyboard_and_on_larger_maps(page):
    with lesson(page, 5) as visit:
        keyboard = visit.page.keyboard
        visit.page.locator("[data-weight='0']").first.focus()
        for key in ("ArrowRight", "PageDown", "ArrowUp"):
            keyboard.press(key)
        assert weights_of(visit)[9] == 2  # one on, one row of eight down: from 1
        expect_connected(visit)
        visit.page.get_by_role("slider", name="Pull the maps larger").focus()
        for side in (5, 6, 7, 8):
            keyboard.press("ArrowRight")
            assert shown(visit, "flat") == f"32 values expected, {2 * side * side} given"
            assert answers_of(visit).shape == (side - 3, side - 3)
            expect_connected(visit)
        visit.page.locator("main .answers button[aria-pressed=true]").focus()
        for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
            keyboard.press(key)
        assert exact(visit, "window") == answers_of(visit)[2, 1]
        assert "row 3, column 2" in visit.page.locator("main").inner_text()
        assert visit.console == []


def test_chapter_6_counts_as_nin_summary_and_nin_claims(page):
    found = {key: value for answer in claims([7, 10, 11]) for key, value in answer.finding.numbers.items()}
    head = anatomy(author_cifar10()).fc_alternatives
    with lesson(page, 6) as visit:
        assert exact(visit, "mean") == found["gap_parameters"] == head[0].parameters
        assert exact(visit, "flat") == found["fc_parameters"] == head[1].parameters
        assert exact(visit, "hidden") == found["two_parameters"] == head[2].parameters
        shares = {"vgg16": "vgg16", "alexnet": "alexnet", "lenet5": "lenet5", "nin-author-cifar10": "nin"}
        areas = {}
        for name in ("vgg16", "alexnet", "googlenet", "lenet5", "nin-author-cifar10"):
            square = visit.page.locator(f"[data-network='{name}']")
            made = author_cifar10() if name.startswith("nin") else RELATIVES[name].build()
            counted = anatomy(made, None if name.startswith("nin") else RELATIVES[name].input_size)
            assert f"{counted.parameters:,}" in square.inner_text()
            if name in shares:
                assert f"{found[shares[name]]:.0f}% fully connected" in square.inner_text()
            areas[name] = square.locator(".square").bounding_box()["width"] ** 2 / counted.parameters
        assert areas["vgg16"] == pytest.approx(areas["alexnet"], rel=0.02)
        assert areas["vgg16"] == pytest.approx(areas["googlenet"], rel=0.05)


@pytest.mark.parametrize("language", ["en", "ko"])
def test_chapter_6_another_head_changes_the_network(page, language):
    with lesson(page, 6, language) as visit:
        trunk = 966_986 - 1_930
        radios = visit.page.get_by_role("radio")
        assert exact(visit, "own") == trunk + exact(visit, "hidden")
        width = visit.page.locator("[data-network=own] .square").bounding_box()["width"]
        radios.nth(0).focus()
        visit.page.keyboard.press("ArrowDown")
        assert exact(visit, "own") == trunk + 122_890 and exact(visit, "share") == pytest.approx(
            122_890 / (trunk + 122_890)
        )
        assert visit.page.locator("[data-network=own] .square").bounding_box()["width"] < width
        radios.nth(2).check()
        assert (exact(visit, "own"), exact(visit, "share"), exact(visit, "times")) == (966_986, 0, 1)
        side, classes = (visit.page.get_by_role("slider").nth(number) for number in (0, 1))
        side.press("Home")
        classes.press("End")
        assert (exact(visit, "mean"), exact(visit, "flat")) == (193_000, 193_000)  # one place: the two are one
        assert exact(visit, "hidden") == 193_000 + 1001 * 1000
        assert visit.console == []


def test_chapter_6_quotes_the_paper_and_hides_nothing_of_our_runs(page):
    with lesson(page, 6) as visit:
        found = {}
        for line in visit.page.locator("tr[data-row]").all():
            found[line.get_attribute("data-row")] = [cell.strip() for cell in line.locator("td").all_inner_texts()]
        assert list(found) == ["cifar10-fc", "cifar10-fc-dropout", "cifar10"]
        assert {name: float(cells[0].rstrip("%")) for name, cells in found.items()} == {
            name: tables.ROWS[name].paper for name in found
        }
        readme = (Path(__file__).parents[2] / "experiments" / "2026-11-24-paper" / "README.md").read_text(
            encoding="utf-8"
        )
        for name, title in (("cifar10-fc", "mlpconv + fully connected"), ("cifar10", "NIN + dropout")):
            error, spread = re.search(rf"\| {re.escape(title)} \| [\d.]+ \| ([\d.]+) ± ([\d.]+) \|", readme).groups()
            assert found[name][2] == f"{error}% ± {spread}"
        assert [cells[1] for cells in found.values()] == ["not run", "not run", "10.59%"]
        assert "the order is the other way round" in visit.page.locator("main").inner_text()


def drawn(visit: Visit, canvas: int) -> np.ndarray:
    """(H, W, 4): what is drawn on one of the canvases."""
    data = base64.b64decode(visit.page.evaluate(DRAWN, canvas))
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))


def veiled(visit: Visit) -> float:
    """Share of the first class's map that colours its picture."""
    return float((drawn(visit, VEIL)[..., 3] > 0).mean())


def board_maps(visit: Visit) -> np.ndarray:
    """(K, h, w): the class maps of the board as it is drawn, by torch."""
    pixels = drawn(visit, BOARD)[..., :1]
    bundle = open_bundle(MODEL)
    with torch.no_grad():
        return network_of(bundle).forward_maps(to_tensor(pixels[None], bundle.preprocess, "cpu"))[0].numpy()


def settled(visit: Visit) -> None:
    """Once the answer to the last change has come."""
    visit.page.wait_for_timeout(700)


def expect_board(visit: Visit) -> None:
    """Every mean, the strongest places and the answer are those of torch."""
    settled(visit)
    maps = board_maps(visit)
    means = maps.mean((1, 2))
    for figure in visit.page.locator("figure[data-class]").all():
        index = int(figure.get_attribute("data-class"))
        mean = float(figure.locator("[data-live=mean]").get_attribute("data-exact"))
        assert mean == pytest.approx(means[index], abs=1e-4)
    assert exact(visit, "top") == pytest.approx(means.max(), abs=1e-4)
    for place in visit.page.locator("[data-live=strongest]").all():
        y, x = map(int, place.get_attribute("data-exact").split(","))
        own = maps[int(place.get_attribute("data-class"))]
        assert own[y, x] == pytest.approx(own.max(), abs=1e-4)
    features = network_of(open_bundle(MODEL)).num_features
    assert exact(visit, "given") == features * maps[0].size


@pytest.mark.parametrize("language", ["en", "ko"])
def test_chapter_7_pictures_are_pulled_over_the_board_and_their_classes_follow(page, language):
    with lesson(page, 7, language) as visit:
        exact(visit, "top")
        expect_board(visit)
        assert visit.page.locator("[data-live=strongest].good").count() >= 2  # each class finds its own
        tiles = visit.page.locator(".stage button")
        assert tiles.count() == 3
        place = visit.page.locator("[data-live=strongest]").first
        before, box = place.get_attribute("data-exact"), tiles.first.bounding_box()
        stage = visit.page.locator(".stage").bounding_box()
        visit.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        visit.page.mouse.down()
        visit.page.mouse.move(stage["x"] + stage["width"], stage["y"] + stage["height"], steps=8)
        visit.page.mouse.up()
        expect_board(visit)
        assert place.get_attribute("data-exact") != before
        assert "29" in tiles.first.get_attribute("aria-label") and "57" in tiles.first.get_attribute("aria-label")
        tiles.first.focus()
        visit.page.keyboard.press("ArrowLeft")
        visit.page.keyboard.press("Shift+ArrowUp")
        label = tiles.first.get_attribute("aria-label")
        assert "56" in label and "21" in label
        expect_board(visit)
        assert visit.console == []


def test_chapter_7_the_paper_own_pictures_and_the_top_tenth(page, tmp_path):
    own = tmp_path / "own.png"
    own.write_bytes((Path(OWN) / MODEL / "9.png").read_bytes())
    with lesson(page, 7) as visit:
        exact(visit, "top")
        settled(visit)
        black = exact(visit, "top")
        visit.page.get_by_role("button", name="white").click()
        expect_board(visit)
        assert exact(visit, "top") != black
        visit.page.set_input_files("input.file", str(own))
        visit.page.wait_for_function("() => document.querySelectorAll('.stage button').length === 4", timeout=SECONDS)
        expect_board(visit)
        whole = veiled(visit)
        visit.page.get_by_role("checkbox").check()
        settled(visit)
        assert veiled(visit) < 0.35 < whole  # a tenth of the places, each with its soft edge
        text = tmp_path / "text.png"
        text.write_text("no picture")
        visit.page.set_input_files("input.file", str(text))
        visit.page.wait_for_selector("aside.notice:not(.quiet)", timeout=SECONDS)
        assert visit.page.locator(".stage button").count() == 4
        visit.page.get_by_role("link", name="See", exact=True).click()
        visit.page.wait_for_selector(
            "button[aria-pressed=true] .share", timeout=SECONDS
        )  # See asks about its own again
        assert visit.console == []


def test_chapter_7_what_is_dropped_on_the_board_stays_there(page):
    data = base64.b64encode((Path(OWN) / MODEL / "9.png").read_bytes()).decode()
    with lesson(page, 7) as visit:
        exact(visit, "top")
        settled(visit)
        visit.page.evaluate(
            """(text) => {
              const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
              const given = new DataTransfer();
              given.items.add(new File([bytes], "own.png", { type: "image/png" }));
              const stage = document.querySelector(".stage");
              for (const type of ["dragover", "drop"])
                stage.dispatchEvent(new DragEvent(type, { dataTransfer: given, bubbles: true, cancelable: true }));
            }""",
            data,
        )
        visit.page.wait_for_function("() => document.querySelectorAll('.stage button').length === 4", timeout=SECONDS)
        expect_board(visit)
        assert "e=1" in visit.page.evaluate("location.hash")  # the picture of See is another one
        assert visit.page.locator(".dropping").count() == 0 and visit.console == []


def config_of(text: str, classes: int) -> NINConfig:
    """The network of the file that the page gives, for so many classes."""
    form = yaml.safe_load(text)
    last = form["blocks"][-1]["channels"]
    assert last[-1] == "classes"
    last[-1] = classes
    return NINConfig.from_dict({"name": "mine", "num_classes": classes, **form})


def choose(visit: Visit, block: int, **choices: object) -> None:
    for name, value in choices.items():
        visit.page.locator(f"[data-block='{block}'] [data-choice={name}]").select_option(str(value))


def expect_prices(visit: Visit, side: int, classes: int) -> NINConfig:
    """The prices that stand there are nin's own for the file that stands there."""
    config = config_of(visit.page.locator("[data-live=file]").inner_text(), classes)
    counted = anatomy(config, (3, side, side))
    strip = ".live"
    read = {
        live: float(visit.page.locator(f"{strip} [data-live={live}]").get_attribute("data-exact"))
        for live in ("parameters", "macs", "memory", "field")
    }
    assert read == {
        "parameters": counted.parameters,
        "macs": counted.macs,
        "memory": counted.activation_bytes,
        "field": counted.receptive_field,
    }
    for block in range(len(config.blocks)):
        own = [row for row in counted.layers if row.name.startswith((f"blocks.{block}.", f"pools.{block}"))]
        place = visit.page.locator(f"[data-block='{block}']")
        assert float(place.locator("[data-live=parameters]").get_attribute("data-exact")) == sum(
            row.parameters for row in own
        )
        assert float(place.locator("[data-live=side]").get_attribute("data-exact")) == own[-1].output[1]
        assert float(place.locator("[data-live=field]").get_attribute("data-exact")) == own[-1].receptive_field
    return config


@pytest.mark.parametrize("language", ["en", "ko"])
def test_chapter_8_every_price_is_that_of_nin_summary(page, language):
    with lesson(page, 8, language) as visit:
        first = expect_prices(visit, 32, 10)
        assert first.blocks == nin.create_model("nin", num_classes=10).config.blocks
        assert exact(visit, "milliseconds") > 0
        choose(visit, 0, kernel=7, maps=24, pointwise=0, stride=2, pool="avg")
        choose(visit, 3, kernel=1, pointwise=3)
        choose(visit, 4, kernel=5, maps=64, pointwise=1)
        visit.page.locator("[data-choice=size]").select_option("96")
        visit.page.locator("[data-choice=classes]").select_option("200")
        expect_prices(visit, 96, 200)
        visit.page.locator("[data-block='1'] .head button").press("Enter")
        visit.page.locator("main .deeds button").first.press("Enter")
        config = expect_prices(visit, 96, 200)
        assert len(config.blocks) == 5 and exact(visit, "milliseconds") > 0
        assert "--size 96" in visit.page.locator("[data-live=command]").inner_text()
        assert visit.console == []


def test_chapter_8_the_budget_is_the_authors_and_what_cannot_be_is_said(page):
    author = anatomy(author_cifar10())
    with lesson(page, 8) as visit:
        text = visit.page.locator(".live").inner_text()
        assert f"budget {author.parameters:,}" in text and f"budget {author.macs / 1e6:.0f}M" in text
        verdict = visit.page.locator(".verdict")
        assert verdict.inner_text().startswith("Within the budget")
        choose(visit, 4, maps=384)
        assert verdict.inner_text().startswith("Over the budget")
        for block in range(4):
            choose(visit, block, stride=4, pool="max")
        assert verdict.inner_text().startswith("Nothing is left of the maps after mlpconv")
        assert visit.page.get_by_role("button", name="Save my-network.yaml").is_disabled()
        assert shown(visit, "milliseconds") == "–"
        visit.page.get_by_role("button", name="Begin again").click()
        with visit.page.expect_download() as saving:
            visit.page.get_by_role("button", name="Save my-network.yaml").click()
        assert saving.value.suggested_filename == "my-network.yaml"
        saved = Path(saving.value.path()).read_text(encoding="utf-8")
        assert saved.strip() == visit.page.locator("[data-live=file]").inner_text().strip()
        visit.page.mouse.move(0, 0)
        visit.page.locator("[data-block='0'] [data-choice=kernel]").focus()
        assert "7 × 7" in visit.page.locator("figcaption").inner_text()  # what mlpconv 1 sees, pooling and all
        assert visit.console == []


def test_chapter_8_its_file_is_trained_by_its_command_and_opened_in_see(page, tmp_path):
    """A network designed there, downloaded, trained by the line that stands below it, and seen through."""
    folder_of(tmp_path / "photos", {"rings": 10, "bars": 10, "steps": 10})
    with lesson(page, 8) as visit:
        choose(visit, 0, kernel=5, maps=16, pointwise=1, pool="max")
        choose(visit, 1, maps=24, pointwise=0)
        visit.page.locator("[data-choice=size]").select_option("32")
        visit.page.locator("[data-choice=classes]").select_option("10")
        with visit.page.expect_download() as saving:
            visit.page.get_by_role("button", name="Save my-network.yaml").click()
        saving.value.save_as(tmp_path / saving.value.suggested_filename)
        config = config_of(visit.page.locator("[data-live=file]").inner_text(), 3)
        line = visit.page.locator("[data-live=command]").inner_text()
    words = line.split()
    assert words[0] == "nin"
    settings = os.environ | {"OMP_NUM_THREADS": "1", "NIN_TRAIN_EPOCHS": "2", "NIN_TRAIN_DEVICE": "cpu"}
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=tmp_path, env=settings, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    run = tmp_path / done.stdout.strip()
    assert NINConfig.from_dict(open_bundle(run).network).blocks == config.blocks
    seen = nin.publish(run, tmp_path / "mine.html", examples=tmp_path / "photos").as_uri()
    with visited(seen) as visit:
        layers = sum(len(block.channels) for block in config.blocks)
        assert visit.page.locator("main [data-layer]").count() == layers - 1  # the last one's maps are the answers
        said = " ".join(visit.names())
        assert all(name in said for name in ("bars", "rings", "steps"))
        assert visit.console == []
