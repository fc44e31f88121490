"""Take the pictures of the explorer that the documents show: python docs/screenshots.py

Needs the package playwright and Chromium. The photos in them are those of the clothing-dataset-small (CC0) that come
with nin-clothing.
"""

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


def main() -> None:
    names = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    program = next((name for name in names if name), None)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        page = nin.publish("nin-clothing", Path(folder) / "page.html")
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for file, size, scheme, language, view in SHOTS:
            shot = taken(browser, page.as_uri() + view, size, scheme, language)
            Image.open(io.BytesIO(shot)).convert("RGB").quantize(256).save(DOCS / file, optimize=True)
            print(file)
        browser.close()


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
