"""The page of `nin publish` in a real Chromium: it asks for nothing, and all of it goes by address and keyboard."""

import shutil
from pathlib import Path

import pytest
from explorer_page import SECONDS, visited

import nin


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    """The address of one file with the network that is asked most."""
    target = tmp_path_factory.mktemp("published") / "page.html"
    return nin.publish("nin-cifar10", target).as_uri()


def test_one_file_asks_for_nothing_and_could_not(page):
    with visited(page) as visit:
        refused = visit.page.evaluate("() => fetch('http://127.0.0.1:9/').then(() => 'sent', (error) => error.name)")
        assert refused == "TypeError"
        assert any("violates the following Content Security Policy" in line for line in visit.console)
        assert {address.split(":")[0] for address in visit.requests} <= {"file", "blob", "data"}


def test_an_address_opens_the_view_that_it_was_copied_from(page):
    state = "#see/nin-cifar10?e=1&class=dog&minus=cat&layer=4.1&unit=8&at=3,4&cover=4,5,12&size=48&lang=ko"
    with visited(page + state) as visit:
        visit.hash("lang=ko")
        visit.page.wait_for_timeout(800)
        assert visit.page.evaluate("() => location.hash") == state
        assert visit.page.evaluate("() => document.documentElement.lang") == "ko"
        chosen = visit.page.locator(".answers li button[aria-pressed=true]")
        assert "개" in chosen.inner_text()
        assert "− 고양이" in " ".join(visit.names())
    hostile = "#see/../../etc?e=99&class=zz&layer=99.9&unit=9999&at=9999,9999,9999&cover=999,999,999&size=99999&lang=xx"
    with visited(page + hostile) as visit:
        visit.hash("#see/nin-cifar10?e=1&lang=en")
        assert visit.console == [] and visit.notice() is None


def test_everything_goes_by_keyboard(page):
    with visited(page) as visit:
        keyboard = visit.page.keyboard
        sizes, covers = (visit.page.locator("input[type=range]").nth(number) for number in (0, 1))
        covers.focus()
        keyboard.press("ArrowRight")
        visit.hash("cover=")
        visit.page.locator("button.cover").focus()
        before = visit.page.locator("button.cover").get_attribute("aria-label")
        keyboard.press("ArrowRight")
        visit.page.wait_for_function(
            "(old) => document.querySelector('button.cover').getAttribute('aria-label') !== old", arg=before
        )
        sizes.focus()
        keyboard.press("ArrowRight")
        visit.hash("size=36")
        visit.page.locator(".answers li button").first.focus()
        second = visit.names()[1].split()[1]
        keyboard.press("ArrowDown")
        visit.hash(f"class={second}")
        keyboard.press("Enter")
        visit.page.wait_for_function("() => !location.hash.includes('class=')")
        visit.page.get_by_role("button", name="nin-cifar10").focus()
        keyboard.press("Enter")
        assert visit.page.get_by_role("group", name="Model").is_visible()
        keyboard.press("Escape")
        assert not visit.page.get_by_role("group", name="Model").is_visible()
        assert visit.console == []


def test_what_the_page_says_of_itself_is_true(page):
    with visited(page) as visit:
        visit.page.get_by_role("button", name="nin-cifar10").click()
        panel = visit.page.get_by_role("group", name="Model")
        panel.get_by_text("agrees with Python to").wait_for(timeout=SECONDS)
        said = panel.inner_text()
        assert "894,282" in said and "94.5% (94.0 to 94.9) on 10,000 pictures" in said and "Apache-2.0" in said
        mean, logit = visit.page.locator("section:has(details) strong").all_inner_texts()[1:3]
        assert mean == logit
        visit.page.get_by_text("The values as a table").click()
        values = [float(text.replace("−", "-")) for text in visit.page.locator("details td").all_inner_texts()]
        assert len(values) == 64 and abs(float(mean) - sum(values) / 64) < 0.005  # shown to two places


def test_camera(page):
    with visited(page, camera="allowed", permissions=["camera"]) as visit:
        visit.page.get_by_role("button", name="Camera").click()
        visit.page.wait_for_function("() => window.answers.length > 12", timeout=SECONDS)
        assert visit.page.get_by_role("button", name="Camera").get_attribute("aria-pressed") == "true"
        visit.page.evaluate("() => document.activeElement.blur()")
        visit.page.keyboard.press(" ")
        visit.page.wait_for_timeout(500)
        held = visit.page.evaluate("() => window.answers.length")
        visit.page.wait_for_timeout(500)
        assert visit.page.evaluate("() => window.answers.length") == held
        assert visit.notice() is None and visit.console == []
    with visited(page) as visit:
        visit.page.get_by_role("button", name="Camera").click()
        visit.page.wait_for_selector("aside.notice button", timeout=SECONDS)
        assert visit.notice() == "The browser finds no camera here."


def test_axe_finds_nothing(page):
    views = ("#see/nin-cifar10?cover=4,4,8", "#see/nin-cifar10?layer=2.1&unit=3&at=2,2")
    for view, size, scheme in ((views[0], (1440, 1000), "light"), (views[1], (390, 844), "dark")):
        with visited(page + view, size=size, color_scheme=scheme, bypass_csp=True) as visit:
            visit.page.wait_for_timeout(500)
            for opened in (None, "header .menu button", "details summary"):
                if opened:
                    visit.page.locator(opened).first.click()
                assert visit.audit() == [], (view, opened)


def test_models_and_published_pages_are_opened_and_damaged_ones_are_not(page, tmp_path):
    mnist = tmp_path / "mnist"
    shutil.copytree(Path(nin.__file__).parent / "weights" / "nin-mnist", mnist)
    other = nin.publish("nin-fashion", tmp_path / "other.html")
    with visited(page) as visit:
        folders = visit.page.locator("input[webkitdirectory]")
        menu = visit.page.locator("header .menu button").first
        menu.click()
        folders.set_input_files(str(mnist))
        visit.hash("#see/mnist")
        visit.page.set_input_files("input[type=file][accept]", str(other))
        visit.hash("#see/nin-fashion")
        visit.page.go_back()
        visit.hash("#see/mnist")
        for damage, word in ((_cut, "model.safetensors"), (_remove, "model.safetensors"), (_strange, "config.json")):
            broken = tmp_path / damage.__name__
            shutil.copytree(mnist, broken)
            damage(broken)
            visit.page.evaluate("() => document.querySelector('aside.notice button')?.click()")
            menu.click()
            folders.set_input_files(str(broken))
            visit.page.wait_for_selector("aside.notice button", timeout=SECONDS)
            assert word in (visit.notice() or ""), damage
            visit.hash("#see/mnist")
        assert visit.page.locator(".answers li button").count() == 10 and visit.console == []


def _cut(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])


def _remove(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def _strange(folder: Path) -> None:
    (folder / "config.json").write_text("{")
