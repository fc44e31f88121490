"""A chapter of the lesson in a real Chromium: opened, and its numbers read as they were computed."""

import os
from contextlib import AbstractContextManager
from typing import Any

from explorer_page import SECONDS, Visit, visited

SIZES = ((1440, 900), (768, 1024), (390, 844), (320, 640))
WAYS = (("en", "light"), ("ko", "dark"))
# The widest and the narrowest, each in one language; all of both with NIN_HEAVY=1.
LOOKS = [
    (*way, size)
    for number, size in enumerate(SIZES)
    for at, way in enumerate(WAYS)
    if os.environ.get("NIN_HEAVY") == "1" or (number, at) in ((0, 0), (3, 1))
]
SHIFTS = """
window.shifted = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifted += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""


def lesson(page: str, chapter: int, language: str = "en", **more: Any) -> AbstractContextManager[Visit]:
    return visited(f"{page}#learn/{chapter}?lang={language}", answered=False, **more)


def exact(visit: Visit, live: str) -> float:
    """A number of the chapter as it was computed, once it is there."""
    place = visit.page.locator(f"[data-live={live}][data-exact]").first
    place.wait_for(timeout=SECONDS)
    return float(place.get_attribute("data-exact"))


def shown(visit: Visit, live: str) -> str:
    """The same as people read it, with a hyphen for the minus sign."""
    text: str = visit.page.locator(f"[data-live={live}]").first.inner_text()
    return text.replace("−", "-")


def expect_chapter(visit: Visit, chapter: int, live: str, width: int) -> None:
    """Go to a chapter by its address; what it computes (`live`) comes without a jump, axe and fingers are content."""
    visit.page.evaluate("(n) => { location.hash = `#learn/${n}`; }", chapter)
    visit.page.locator(f"[data-chapter='{chapter}']").wait_for(timeout=SECONDS)
    visit.page.evaluate("window.shifted = 0")
    exact(visit, live)
    visit.page.wait_for_timeout(400)
    assert visit.page.evaluate("document.documentElement.scrollWidth") == width, chapter
    assert visit.page.evaluate("window.shifted") < 0.01, chapter
    assert visit.narrow() == [], chapter
    assert visit.audit() == [], chapter
    visit.page.locator("details.claims summary").click()
    assert visit.audit() == [], chapter
