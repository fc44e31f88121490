"""The page of `nin explore` as its reader feels it: the first view, a change until it is painted, the camera.

    python benchmarks/web_page.py [--model nin-cifar10] [--views 7] [--changes 60] [--seconds 6]
                                  [--json FILE]

Network: nin-cifar10 with both views, or another, in a real Chromium, from a real `nin explore`. First view: a browser
that has seen nothing yet, from the request to the frame with the first answer. Change: the square over the picture
grows or shrinks, until the frame with all maps is drawn, and the time of the page's main thread for it. Camera: answers
a second from Chromium's own camera of 60 pictures a second. Budgets are the design's, for two cores with nothing else
to do; each time is given with its least, its median and its largest.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

CAMERA = ("--use-fake-device-for-media-stream=fps=60", "--use-fake-ui-for-media-stream")
WAIT = 60_000  # milliseconds
ANSWERED = "button[aria-pressed=true] .share"
WATCH = """(() => {
  const Plain = window.Worker;
  window.answers = 0;
  window.answered = () => {};
  window.Worker = class extends Plain {
    constructor(...given) {
      super(...given);
      this.addEventListener("message", ({ data }) => {
        if (!data.result?.probabilities) return;
        window.answers += 1;
        window.answered();
      });
    }
  };
  const seen = new MutationObserver(() => {
    if (!document.querySelector("button[aria-pressed=true] .share")) return;
    seen.disconnect();
    requestAnimationFrame(() => setTimeout(() => { window.first = performance.now(); }));
  });
  seen.observe(document, { childList: true, subtree: true });
})()"""
CHANGE = """async (changes) => {
  const slider = document.querySelectorAll("input[type=range]")[1];
  const times = [];
  for (let change = 0; change < changes; change++) {
    const begin = performance.now();
    const answered = new Promise((done) => { window.answered = done; });
    slider.value = 4 + change % 8;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    await answered;
    await new Promise((next) => requestAnimationFrame(() => setTimeout(next)));
    times.push(performance.now() - begin);
  }
  return times;
}"""


def opened(browser: Browser, address: str) -> Page:
    """A page that has answered once, in a context that has seen nothing yet."""
    page = browser.new_context(permissions=["camera"]).new_page()
    page.set_default_timeout(WAIT)
    page.add_init_script(WATCH)
    page.goto(address)
    page.wait_for_selector(ANSWERED)
    page.wait_for_timeout(300)  # milliseconds; until that frame is drawn, whose time WATCH keeps
    return page


def changes(page: Page, count: int) -> tuple[list[float], float]:
    """Milliseconds of each change until it is painted, and of the main thread for one on the average."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")

    def busy() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return 1_000 * next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")

    page.evaluate(CHANGE, 5)
    before = busy()
    times: list[float] = page.evaluate(CHANGE, count)
    return times, (busy() - before) / count


def camera_rate(page: Page, seconds: float) -> float:
    """Answers a second from the camera."""
    page.get_by_role("button", name="Camera").click()
    page.wait_for_timeout(1_500)  # milliseconds; until it runs evenly
    before = page.evaluate("window.answers")
    page.wait_for_timeout(1_000 * seconds)
    answers: int = page.evaluate("window.answers") - before
    return answers / seconds


def spread(times: list[float]) -> str:
    return f"{min(times):.0f} / {statistics.median(times):.0f} / {max(times):.0f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nin-cifar10")
    parser.add_argument("--views", type=int, default=7)
    parser.add_argument("--changes", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    command = [sys.executable, "-m", "nin", "explore", given.model, "--no-open"]
    with sync_playwright() as driver, subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().strip()
            browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", *CAMERA])
            version = browser.version
            last = opened(browser, address)  # stays open: the server ends with its last page
            first = []
            for _ in range(given.views):
                page = opened(browser, address)
                first.append(page.evaluate("window.first"))
                page.context.close()
            painted, thread = changes(last, given.changes)
            rate = camera_rate(last, given.seconds)
            browser.close()
        finally:
            server.terminate()
    print(f"Chromium {version}, {given.model}; least / median / largest")
    print(f"first view from {address}: {spread(first)}, n = {len(first)} (budget 1,000)")
    print(f"change to painted: {spread(painted)}, n = {len(painted)} (budget 100)")
    print(f"main thread: {thread:.1f} ms a change (budget 25)")
    print(f"camera with class maps: {rate:.1f} answers a second (budget 25)")
    if given.json:
        found = {"first": first, "painted": painted, "main_thread": thread, "camera": rate, "chromium": version}
        given.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
