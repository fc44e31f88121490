"""Files let go of over the real page: bad ones are one line in the reader's language, models open, names are text."""

import base64
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from explorer_page import SECONDS, Visit, visited
from PIL import Image

import nin
from nin.bundle.folder import read_bundle, write_bundle
from nin.bundle.shipped import SHIPPED

DROP = """([files]) => {
  const data = new DataTransfer();
  for (const [name, held] of files)
    data.items.add(new File([Uint8Array.from(atob(held), (letter) => letter.charCodeAt(0))], name));
  for (const event of ["dragover", "drop"])
    document.body.dispatchEvent(new DragEvent(event, { dataTransfer: data, bubbles: true, cancelable: true }));
}"""


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    return nin.publish("nin-mnist", tmp_path_factory.mktemp("published") / "digits.html").as_uri()


def drop(visit: Visit, files: dict[str, bytes]) -> int:
    """Let go of files over the page; the number of answers before."""
    visit.page.evaluate("() => document.querySelector('aside.notice button')?.click()")
    before: int = visit.page.evaluate("() => window.answers.length")
    visit.page.evaluate(DROP, [[[name, base64.b64encode(data).decode()] for name, data in files.items()]])
    return before


def refused(visit: Visit, files: dict[str, bytes]) -> str:
    """What the page says of files that it does not take."""
    drop(visit, files)
    visit.page.wait_for_selector("aside.notice button", timeout=SECONDS)
    return visit.notice() or ""


def answered(visit: Visit, files: dict[str, bytes]) -> None:
    """Let go of a picture or of a model, and wait for an answer that nothing is said against."""
    before = drop(visit, files)
    visit.page.wait_for_function("(n) => window.answers.length > n", arg=before, timeout=SECONDS)
    assert visit.notice() is None


def model(change: Callable[[dict[str, bytes]], None]) -> dict[str, bytes]:
    """The files of another model than the page's, changed."""
    files = {path.name: path.read_bytes() for path in (SHIPPED / "nin-fashion").iterdir()}
    change(files)
    return files


def cut(files: dict[str, bytes]) -> None:
    files["model.safetensors"] = files["model.safetensors"][:5000]


def flip(files: dict[str, bytes]) -> None:
    data = bytearray(files["model.safetensors"])
    data[100_000] ^= 1
    files["model.safetensors"] = bytes(data)


def leave_out(files: dict[str, bytes]) -> None:
    del files["model.safetensors"]


def edit(files: dict[str, bytes]) -> None:
    files["config.json"] = files["config.json"].replace(b'"relu"', b'"tanh"')


def picture(kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(1).integers(0, 256, (60, 80, 3), np.uint8)
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


BAD = {  # what it is -> its files, and what the line says in either language
    "a text": ({"notes.txt": b"hello\n"}, "no picture", "사진이 아닙니다"),
    "a text called a picture": ({"cat.jpg": b"hello\n" * 100}, "no picture", "사진이 아닙니다"),
    "an empty file": ({"cat.jpg": b""}, "empty", "빈 파일"),
    "a JPEG cut short": ({"cat.jpg": picture("JPEG")[:700]}, "damaged", "손상"),
    "a PNG cut short": ({"cat.png": picture()[:3000]}, "damaged", "손상"),
    "a foreign network": ({"net.onnx": b"\x08\x07" * 50}, "another format", "다른 형식"),
    "a checkpoint": ({"net.pt": b"PK\x03\x04" * 50}, "another format", "다른 형식"),
    "weights cut short": (model(cut), "model.safetensors", "model.safetensors"),
    "a flipped bit": (model(flip), "model.safetensors", "model.safetensors"),
    "weights left out": (model(leave_out), "model.safetensors", "model.safetensors"),
    "an edited config": (model(edit), "config.json", "config.json"),
    "a page of somebody else": ({"page.html": b"<p>hello</p>"}, "nin publish", "nin publish"),
}


@pytest.mark.parametrize("language", ["en-GB", "ko-KR"])
def test_each_bad_file_is_one_line_and_the_page_goes_on(page: str, language: str) -> None:
    with visited(page, locale=language) as visit:
        for what, (files, english, korean) in BAD.items():
            said = refused(visit, files)
            assert (english if language == "en-GB" else korean) in said and "\n" not in said, (what, said)
            answered(visit, {"good.png": picture()})
        assert visit.console == []


def test_models_and_published_pages_open_by_a_drop(page: str, tmp_path: Path) -> None:
    other = nin.publish("nin-cifar10", tmp_path / "other.html").read_bytes()
    with visited(page) as visit:
        answered(visit, {"good.png": picture()})
        for files, name in ((model(lambda _: None), "model"), ({"other.html": other}, "nin-cifar10")):
            answered(visit, files)
            visit.hash(f"#see/{name}")
        assert visit.console == []


def test_hostile_names_are_text(tmp_path: Path) -> None:
    bundle = read_bundle(SHIPPED / "nin-mnist")
    names = [f"<img src=x onerror=document.title='owned'>{n}" for n in range(5)]
    names += ["\u202egnp.1", "\u202egnp.2", "</script><script>1</script>", "a\tb", "고양이 😀"]
    folder = tmp_path / "hostile"
    parts = {"network": bundle.network, "weights": bundle.weights(), "preprocess": bundle.preprocess}
    parts |= {"calibration": bundle.calibration, "likeness": bundle.likeness, "provenance": bundle.provenance}
    write_bundle(folder, classes=names, metrics={}, log="", **parts)
    pictures = tmp_path / "pictures" / "<b>bold<"
    pictures.mkdir(parents=True)
    (pictures / "<i>.png").write_bytes(picture())
    page = nin.publish(folder, tmp_path / "page.html", examples=pictures.parent)
    with visited(page.as_uri()) as visit:
        assert visit.page.locator("[src=x], [onerror]").count() == 0
        assert "owned" not in visit.page.title() and visit.console == []
        text = visit.page.locator("main").inner_text()
        assert "<img src=x" in text and "\u202e" not in text


def test_a_refused_camera_is_said(page: str) -> None:
    with visited(page, camera="refused") as visit:
        visit.page.get_by_role("button", name="Camera").click()
        visit.page.wait_for_selector("aside.notice button", timeout=SECONDS)
        assert "not allowed" in (visit.notice() or "")
        answered(visit, {"good.png": picture()})


# The engine is asked for in a script that the page makes: it gets one line more.
OLD_BROWSER = """(() => {
  const Plain = window.Blob;
  window.Blob = class extends Plain {
    constructor(parts, options) {
      super(options?.type?.includes("javascript") ? ["WebAssembly.validate = () => false;", ...parts] : parts, options);
    }
  };
})()"""


def test_a_browser_without_simd_is_told(page: str) -> None:
    with visited(page, answered=False, before=OLD_BROWSER) as visit:
        visit.page.locator("aside.notice", has_text="WebAssembly SIMD").wait_for(timeout=SECONDS)
