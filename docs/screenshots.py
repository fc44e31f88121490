"""Take the pictures of the explorer that the documents show: python docs/screenshots.py [FILE ...] [--photos FOLDER]

All of them, or those named. Needs the package playwright and Chromium. The photos in them are those of the
clothing-dataset-small (CC0): the ones that come with nin-clothing, and for Teach, which is left out without them, those
of --photos, split into train and test, with class folders.
"""

import argparse
import io
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

import nin

DOCS = Path(__file__).parent
WAIT = 60_000  # milliseconds
SHOTS = (  # file, width and height of the window, colours, language, and the view
    ("explorer.png", (1440, 1040), "light", "en-GB", ""),
    (
        "explorer-layer.png",
        (1440, 1040),
        "dark",
        "en-GB",
        "#see/nin-clothing?e=2&layer=2.1&unit=3&at=12,12&cover=30,20,24",
    ),
    ("explorer-phone.png", (390, 1010), "dark", "ko-KR", ""),
    ("explorer-learn.png", (1440, 900), "light", "en-GB", "#learn/3"),
    ("explorer-board.png", (1440, 900), "light", "en-GB", "#learn/7"),
)
TEACH = "explorer-teach.png"
TAUGHT = ("hat", "pants", "shoes")
EACH = 20  # pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*")
    parser.add_argument("--photos", type=Path)
    given = parser.parse_args()
    names = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    program = next((name for name in names if name), None)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        asked = [shot for shot in SHOTS if not given.files or shot[0] in given.files]
        if asked:
            page = nin.publish("nin-clothing", Path(folder) / "page.html")
        for file, size, scheme, language, view in asked:
            save(taken(browser, page.as_uri() + view, size, scheme, language), file)
        if given.photos and (not given.files or TEACH in given.files):
            trunk = nin.publish("nin-cifar10", Path(folder) / "trunk.html")
            save(taught(browser, trunk.as_uri() + "#teach", given.photos), TEACH)
        browser.close()


def save(shot: bytes, file: str) -> None:
    Image.open(io.BytesIO(shot)).convert("RGB").quantize(256).save(DOCS / file, optimize=True)
    print(file)


def taught(browser: Browser, address: str, photos: Path) -> bytes:
    """Teach with EACH photos of TAUGHT, and one tried that it was not taught, as a PNG."""
    page = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme="light").new_page()
    page.set_default_timeout(WAIT)
    page.goto(address)
    page.wait_for_selector(".hold:not([disabled])")
    page.get_by_role("button", name="+ class").click()
    for number, name in enumerate(TAUGHT):
        card = page.locator("[data-group]").nth(number)
        card.locator("input.name").fill(name)
        card.locator("input[type=file]").set_input_files(sorted((photos / "train" / name).iterdir())[:EACH])
    page.wait_for_selector(".share[data-estimate]")
    page.locator(".try input[type=file]").set_input_files(sorted((photos / "test" / TAUGHT[0]).iterdir())[0])
    page.wait_for_selector(".try button[aria-pressed=true] .share")
    page.wait_for_timeout(1_500)  # milliseconds; until everything is drawn
    return page.screenshot()


def taken(browser: Browser, address: str, size: tuple[int, int], scheme: str, language: str) -> bytes:
    """The page at an address, once it has answered, as a PNG."""
    window = {"width": size[0], "height": size[1]}
    context = browser.new_context(viewport=window, color_scheme=scheme, locale=language, reduced_motion="reduce")
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("button[aria-pressed=true] .share, [data-live][data-exact]", timeout=WAIT)
    page.wait_for_timeout(1_500)  # milliseconds; until everything is drawn
    shot = page.screenshot()
    context.close()
    return shot


if __name__ == "__main__":
    main()
