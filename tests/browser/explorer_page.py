"""A published page in a real Chromium: opened, watched, asked for what its engine answered."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import node
import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((path for path in map(shutil.which, NAMES) if path), None)
FAKE = "--use-fake-device-for-media-stream"
CAMERAS = {  # what the browser has, and what its user says to the question
    "none": (),
    "allowed": (FAKE, "--use-fake-ui-for-media-stream"),
    "refused": (FAKE, "--use-fake-ui-for-media-stream=deny"),
}
AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
ANSWERED = "button[aria-pressed=true] .share"
SECONDS = 60_000  # milliseconds: a page on a machine that does much else

# Keeps what the worker answered, at full precision; the page shows two places.
LISTEN = """(() => {
  const Plain = window.Worker;
  window.answers = [];
  window.Worker = class extends Plain {
    constructor(...given) {
      super(...given);
      this.addEventListener("message", ({ data }) => {
        if (data.result && data.result.probabilities) window.answers.push([...data.result.probabilities]);
      });
    }
  };
})()"""


@dataclass
class Visit:
    """A page that is open, what it said to the console, and every address that it asked for."""

    page: Any
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def names(self) -> list[str]:
        """The answers, best first: class, mean, probability as a screen reader says them."""
        found: list[str] = self.page.locator(".answers li button").all_inner_texts()
        return [" ".join(text.split()) for text in found]

    def notice(self) -> str | None:
        """The one line that the page tells its reader, if there is one."""
        said = "() => document.querySelector('aside.notice:not(.quiet) p')?.textContent ?? null"
        found: str | None = self.page.evaluate(said)
        return found

    def hash(self, part: str) -> None:
        """Wait until the address says this."""
        self.page.wait_for_function("(part) => location.hash.includes(part)", arg=part, timeout=SECONDS)

    def audit(self) -> list[Any]:
        """What axe finds wrong for people who use a screen reader or a keyboard."""
        node.install()
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found: list[Any] = self.page.evaluate(
            "() => axe.run(document, {resultTypes: ['violations']}).then(({violations}) =>"
            " violations.map(({id, nodes}) => [id, nodes.map(({target}) => target.join(' '))]))"
        )
        return found

    def narrow(self) -> list[str]:
        """What can be pressed and is too small for a finger; places on the picture are as large as they are."""
        found: list[str] = self.page.evaluate(
            """() => [...document.querySelectorAll(":is(main, header, nav) :is(button, a), .claims summary")]
              .filter((one) => !one.closest(".stage") && one.getClientRects().length)
              .map((one) => [one.textContent.trim(), one.getBoundingClientRect()])
              .filter(([, box]) => box.height < 38 || box.width < 38).map(([name]) => name)"""
        )
        return found

    def give(self, file: Path) -> list[float] | None:
        """Open a file in the page: the probabilities, or None where the page refuses it in words."""
        before = self.page.evaluate("() => window.answers.length")
        self.page.evaluate("() => document.querySelector('aside.notice button')?.click()")
        self.page.set_input_files("input[type=file][accept]", str(file))
        done = "(n) => window.answers.length > n || document.querySelector('aside.notice button')"
        self.page.wait_for_function(done, arg=before, timeout=SECONDS)
        found: list[float] | None = self.page.evaluate("(n) => window.answers[n] ?? null", before)
        return found


@contextmanager
def visited(
    address: str,
    *,
    size: tuple[int, int] = (1440, 1000),
    camera: str = "none",
    answered: bool = True,
    before: str = "",
    **context: Any,
) -> Iterator[Visit]:
    """The page at an address in a browser of its own.

    before: script that runs before the page's own; context: what new_context of playwright takes.
    """
    if CHROMIUM is None:
        pytest.skip(f"none of {', '.join(NAMES)} is installed")
    with sync_api.sync_playwright() as playwright:
        flags = ["--no-sandbox", *CAMERAS[camera]]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        options = {"viewport": {"width": size[0], "height": size[1]}, "locale": "en-GB", **context}
        page = browser.new_context(**options).new_page()
        visit = Visit(page)
        page.on("console", lambda message: visit.console.append(message.text))
        page.on("pageerror", lambda error: visit.console.append(str(error)))
        page.on("request", lambda request: visit.requests.append(request.url))
        page.add_init_script(f"{LISTEN};{before}")
        page.goto(address)
        if answered:
            page.wait_for_selector(ANSWERED, timeout=SECONDS)
        yield visit
        browser.close()
