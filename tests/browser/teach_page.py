"""Teach in a real Chromium: opened, given pictures as readers give them, and its files taken."""

import io
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from explorer_page import SECONDS, Visit, visited
from PIL import Image

KINDS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {  # pictures that a glance tells apart
    "rings": lambda y, x: np.hypot(y, x) / 4,
    "bars": lambda y, x: x / 5,
    "steps": lambda y, x: y / 5,
}
SIDE = 56  # pixels
READY = ".hold:not([disabled])"


def picture(kind: str, number: int) -> Image.Image:
    """One of a kind, moved, stretched and noisy as its number has it."""
    random = np.random.default_rng([sorted(KINDS).index(kind), number])
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2 + random.uniform(-9, 9, (2, 1, 1))
    wave = np.cos(2 * np.pi * KINDS[kind](y, x) * random.uniform(0.8, 1.2))
    pixels = 128 + 90 * wave + random.normal(0, 12, (SIDE, SIDE))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def folder_of(place: Path, counts: dict[str, int]) -> Path:
    """A folder with a folder of pictures for each kind."""
    for kind, count in counts.items():
        (place / kind).mkdir(parents=True)
        for number in range(count):
            picture(kind, number).save(place / kind / f"{number + 1}.png")
    return place


def teaching(page: str, language: str = "en", **more: Any) -> AbstractContextManager[Visit]:
    return visited(f"{page}#teach?lang={language}", answered=False, **more)


def ready(visit: Visit) -> None:
    """Wait until the trunk is there."""
    visit.page.locator(READY).first.wait_for(timeout=SECONDS)


def drop(visit: Visit, target: str, *paths: Path) -> None:
    """Let go of files or folders over something, as the system hands them to the browser."""
    box = visit.page.locator(target).first.bounding_box()
    session = visit.page.context.new_cdp_session(visit.page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        place = {"x": box["x"] + box["width"] - 8, "y": box["y"] + box["height"] - 8}
        session.send("Input.dispatchDragEvent", {"type": kind, **place, "data": data})


def give(visit: Visit, number: int, files: list[Path]) -> None:
    """Choose files for the class of this number, from 0."""
    visit.page.locator("[data-group] input[type=file]").nth(number).set_input_files([str(file) for file in files])


def counts(visit: Visit) -> list[int]:
    """How many pictures each class has, as the page says it."""
    said = visit.page.locator("[data-group] .count").all_inner_texts()
    return [int("".join(letter for letter in text if letter.isdigit())) for text in said]


def wait_counts(visit: Visit, *wanted: int) -> None:
    visit.page.wait_for_function(
        "(wanted) => JSON.stringify([...document.querySelectorAll('[data-group] .count')]"
        ".map((one) => +one.textContent.replace(/\\D/g, ''))) === JSON.stringify(wanted)",
        arg=list(wanted),
        timeout=SECONDS,
    )


def learnt(visit: Visit, right: str) -> float:
    """The share that is right, once it is of so many pictures: "(15 of 15)"."""
    visit.page.locator(".learnt .words", has_text=right).wait_for(timeout=SECONDS)
    return float(visit.page.locator("[data-estimate]").get_attribute("data-estimate"))


def table(visit: Visit) -> list[list[int]]:
    """The table of mistakes."""
    rows = visit.page.locator(".learnt tbody tr").all()
    return [[int(cell or 0) for cell in row.locator("td").all_inner_texts()] for row in rows]


def shares(visit: Visit) -> dict[str, float]:
    """The answer's classes with their probabilities, as they are shown."""
    rows = visit.page.locator(".try li button").all()
    found = {row.locator(".name bdi").inner_text(): row.locator(".share").inner_text() for row in rows}
    return {name: float(share.rstrip("%")) / 100 for name, share in found.items()}


def tried(visit: Visit, file: Path) -> dict[str, float]:
    """Open a picture to try, and read its answer."""
    before = visit.page.evaluate("() => window.answers.length")
    visit.page.locator(".try input[type=file]").set_input_files(str(file))
    visit.page.wait_for_function("(n) => window.answers.length > n", arg=before, timeout=SECONDS)
    visit.page.locator(".try .share").first.wait_for(timeout=SECONDS)
    visit.page.wait_for_timeout(100)
    return shares(visit)


def saved(visit: Visit, name: str) -> bytes:
    """The file that a button hands over."""
    with visit.page.expect_download(timeout=SECONDS) as download:
        visit.page.get_by_role("button", name=name, exact=True).click()
    return Path(download.value.path()).read_bytes()


def unpacked(data: bytes, place: Path) -> list[str]:
    """Unpacks a zip; the names in it."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        archive.extractall(place)
        return archive.namelist()
