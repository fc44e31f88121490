"""nin publish: one file read back byte for byte, folders, what is refused, and what is never lost."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema_rs
import pytest
from nin_program import save_picture
from page_schema import SITE
from published import Held

import nin
from nin.bundle.folder import REPLACEABLE
from nin.errors import NinError, UsageError
from nin.explorer import built_page
from nin.explorer.publish import MOST_IN_ONE, publish_page
from nin.network.architecture import nin as network
from plausible import HOSTILE
from small_models import make_bundle, preprocess

NO_REQUESTS = (
    "default-src 'none'; script-src 'unsafe-inline' 'wasm-unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; media-src blob:; worker-src blob:; base-uri 'none'; form-action 'none'"
)

ELSEWHERE = """
import sys
from pathlib import Path
import nin
from nin.explorer import built_page
built_page.PAGE = Path(sys.argv[1])
nin.publish(*sys.argv[2:])
"""  # in a process of its own


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_one_file_holds_the_model_byte_for_byte(page, here, small):
    assert nin.publish(small, "page.html", language="ko") == Path("page.html")
    written = Path("page.html").read_bytes()
    held = Held(written)
    site = json.loads(held.files["page.json"])
    jsonschema_rs.validate(SITE, site)
    assert (site["language"], site["goodbye"], len(site["models"])) == ("ko", None, 1)
    assert set(held.files) == {"page.json"} | {
        f"models/small/{name}" for name in ("config.json", "model.safetensors", "check.json")
    }
    for name in site["models"][0]["files"]:
        assert held.files[f"models/small/{name}"] == (small / name).read_bytes()
    assert held.policies == [NO_REQUESTS] and held.first_in_head == "meta Content-Security-Policy"
    assert held.scripts == ['const inner = "</body>";']  # what was built is as it was, and the files come behind it
    without = re.sub(rb'<script type="application/octet-stream".*?</script>\n|<meta http-equiv.*?>', b"", written)
    assert without.decode().replace("<head>\n\n", "<head>\n") == page


def test_the_same_model_gives_the_same_bytes(page, here, small):
    for name in ("one.html", "two.html", "one", "two"):
        nin.publish(small, name)
    assert Path("one.html").read_bytes() == Path("two.html").read_bytes()
    assert tree(Path("one")) == tree(Path("two"))
    words = [sys.executable, "-c", ELSEWHERE, str(built_page.PAGE), str(small), "three.html"]
    subprocess.run(words, check=True, timeout=120)
    assert Path("three.html").read_bytes() == Path("one.html").read_bytes()


def test_a_folder_holds_the_same_files_and_may_ask_its_own_server(page, here, small):
    nin.publish(small, "page.html")
    place = nin.publish(small, "site")
    files = tree(place)
    index = Held(files.pop("index.html"))
    assert files == Held(Path("page.html").read_bytes()).files
    assert index.files == {} and index.policies == [f"{NO_REQUESTS}; connect-src 'self'"]


def test_nothing_that_names_hold_gets_out_of_its_place(page, here, small):
    for number, name in enumerate(HOSTILE):
        folder = here / "pictures" / name.replace("/", "_").replace("\0", "_")
        save_picture(folder / "</script><script>alert(1)</script>.png".replace("/", "_"), number)
    shutil.copytree(small, here / '"><script>alert(1)<_script>')
    done = publish_page('"><script>alert(1)<_script>', "page.html", examples="pictures")
    held = Held(Path("page.html").read_bytes())
    assert len(held.scripts) == 1 and len(held.files) == 4 + len(HOSTILE)
    site = json.loads(held.files["page.json"])
    jsonschema_rs.validate(SITE, site)
    assert {example["label"] for example in site["models"][0]["examples"]} == {
        folder.name for folder in (here / "pictures").iterdir()
    }
    assert done.pictures == len(HOSTILE) and b"alert" not in re.sub(
        rb'data-path="[^"]*">[A-Za-z0-9+/=]*<', b"", Path("page.html").read_bytes()
    )


def test_a_published_page_has_no_picture_that_was_not_asked_for(page, here, small):
    run = here / "runs" / "pets"
    shutil.copytree(small, run / "model")
    save_picture(here / "photos" / "dog" / "0.png", 0)
    (run / "args.yaml").write_text(f"nin: 0.1.0\ndata: {here}/photos\n")
    assert publish_page(run, "page.html").pictures == 0
    assert publish_page(run, "page.html", examples="photos", overwrite=True).pictures == 1


@pytest.mark.parametrize(
    ("before", "target", "options", "line"),
    [
        ("page.html", "page.html", {}, "page.html exists; choose another name, or replace it with --overwrite"),
        ("page.html/x", "page.html", {}, "page.html is a folder; choose the name of a file, "),
        ("page", "page", {}, "page is a file; a page in one file has a name that ends in .html"),
        ("site/notes.txt", "site", {}, "site is not empty; choose another folder, or replace it with --overwrite"),
        ("site/notes.txt", "site", {"overwrite": True}, "site holds what is no page of nin; choose another folder"),
        (None, "page.html", {"examples": "nothere"}, "--examples nothere is no folder; expected one of pictures"),
        ("empty/notes.txt", "page.html", {"examples": "empty"}, "empty holds no pictures"),
        (None, "page.html", {"language": "de"}, '--language is "de"; expected en or ko'),
        (None, "nowhere/page.html", {}, "nowhere/page.html cannot be written"),
    ],
)
def test_what_cannot_be_written_is_one_line_and_changes_nothing(before, target, options, line, page, here, small):
    if before:
        Path(before).parent.mkdir(exist_ok=True, parents=True)
        Path(before).write_text("mine")
    files = tree(here)
    with pytest.raises(NinError) as error:
        nin.publish(small, target, **options)
    assert str(error.value).startswith(line) and "\n" not in str(error.value)
    assert tree(here) == files


def test_a_broken_picture_is_named(page, here, small):
    save_picture(here / "some" / "dog" / "0.png", 0)
    (here / "some" / "dog" / "1.png").write_bytes(b"no picture")
    with pytest.raises(NinError, match=r"^some/dog/1.png is a text file, .*; remove it$"):
        nin.publish(small, "page.html", examples="some")
    assert not Path("page.html").exists()


def test_a_page_is_replaced_when_that_is_asked_and_nothing_else_is(page, here, small, tmp_path):
    nin.publish(small, "page.html")
    nin.publish("nin-mnist", "page.html", overwrite=True)
    assert "models/nin-mnist/config.json" in Held(Path("page.html").read_bytes()).files
    nin.publish(small, "site")
    nin.publish("nin-mnist", "site", overwrite=True)
    assert {path.split("/")[1] for path in tree(Path("site")) if path.startswith("models/")} == {"nin-mnist"}
    for stranger in ("notes.txt", "models/mine.txt", "models/nin-mnist/examples/mine.png"):
        added = Path("site") / stranger
        added.parent.mkdir(exist_ok=True)
        added.write_text("mine")
        with pytest.raises(UsageError, match=f"^site holds {stranger}, which would be lost; choose another folder$"):
            nin.publish(small, "site", overwrite=True)
        assert added.read_text() == "mine"
        added.unlink()
    outside = tmp_path / "outside"
    outside.mkdir()
    (Path("site") / "models" / "link").symlink_to(outside)
    with pytest.raises(UsageError, match=r"^site holds models/link, which would be lost"):
        nin.publish(small, "site", overwrite=True)


def test_a_large_model_needs_a_folder(page, here, tmp_path):
    large = tmp_path / "whitening"
    make_bundle(large, network(2, width=0.05), preprocess((28, 28), 3, "gcn-zca"))
    assert (large / "preprocess.safetensors").stat().st_size > MOST_IN_ONE
    size = sum((large / name).stat().st_size for name in ("config.json", "model.safetensors", "preprocess.safetensors"))
    with pytest.raises(UsageError) as error:
        nin.publish(large, "large.html")
    expected = f"the model has {size / 1e6:.0f} MB, and one file is for at most 8 MB; name a folder: large"
    assert str(error.value) == expected and not list(here.iterdir())
    nin.publish(large, "large")
    written = tree(Path("large"))
    assert written["models/whitening/preprocess.safetensors"] == (large / "preprocess.safetensors").read_bytes()


def test_the_files_of_a_page_are_files_that_a_model_folder_may_have():
    from nin.explorer.site import SHOWN

    assert set(SHOWN) <= set(REPLACEABLE)


def test_a_page_that_was_not_built_is_said(here, small, tmp_path, monkeypatch):
    monkeypatch.setattr(built_page, "PAGE", tmp_path / "page.html")
    with pytest.raises(
        NinError, match=r"page.html is missing; build the page with make web, or install the package again$"
    ):
        nin.publish(small, "page.html")
    for text, reason in (("<head>", "has no end of its body"), ("<body></body>", "has no head")):
        (tmp_path / "page.html").write_text(text)
        with pytest.raises(NinError, match=f"{reason}; build it again with make web$"):
            nin.publish(small, "page.html")
    assert not list(here.iterdir())


def test_the_program_writes_a_page_and_says_where(program):
    done = program("publish", "model", "page.html", "--examples", "photos")
    assert (done.code, done.out) == (0, "page.html\n")
    size = (program.folder / "page.html").stat().st_size
    assert done.err == f"user: {size / 1e6:.1f} MB with 6 pictures to try\n"
    held = Held((program.folder / "page.html").read_bytes())
    assert held.files["models/user/model.safetensors"] == (program.folder / "model" / "model.safetensors").read_bytes()
    found = json.loads(program("publish", "model", "site", "--language", "ko", "--json").out)
    assert {**found, "bytes": 0} == {"place": "site", "model": "user", "bytes": 0, "pictures": 0, "notes": []}
    assert found["bytes"] == sum(map(len, tree(program.folder / "site").values()))


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        ("publish", 2, "nin publish needs MODEL: a model folder, "),
        ("publish model", 2, "nin publish needs TARGET: a new file such as page.html, or a new folder for a web space"),
        ("publish nothere page.html", 1, "nothere does not exist; expected the model folder "),
        ("publish model page.html --language de", 2, '--language is "de"; expected en or ko'),
        ("publish model photos", 2, "photos is not empty; choose another folder, or replace it with --overwrite"),
        ("publish model photos --overwrite", 2, "photos holds what is no page of nin; choose another folder"),
        ("publish model photos/dog/0.png --overwrite", 2, "photos/dog/0.png is a file; a page in one file has a name "),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(words, code, line, program):
    before = program.left()
    done = program(*words.split())
    assert done.err.splitlines()[0].startswith(f"nin: {line}")
    assert (done.code, done.out, program.left(), len(done.err.splitlines())) == (code, "", before, code)


def test_what_publishes_imports_no_torch(page, here, small):
    words = [sys.executable, "-W", "error", "-c", f"import sys; sys.modules['torch'] = None\n{ELSEWHERE}"]
    subprocess.run([*words, str(built_page.PAGE), str(small), "page.html"], check=True, timeout=120)
    assert Held(Path("page.html").read_bytes()).files
