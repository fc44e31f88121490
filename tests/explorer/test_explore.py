"""nin explore as a user types it: the real program, real requests, a browser of a few lines."""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import jsonschema_rs
import pytest
from nin_program import save_picture
from page_schema import SITE

from nin.bundle.shipped import shipped
from nin.data.images import read_picture
from nin.explorer.explore import CHAPTERS, has_browser

SCREENS = ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION")
NO_SCREEN = dict.fromkeys(SCREENS, "")


def exploring(program, *words, **variables):
    """The program and its address, until the end of a `with`."""
    return program.serving("explore", *words, **{**NO_SCREEN, **variables})


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=20) as reply:
        return reply.read()


def post(url: str) -> int:
    with urllib.request.urlopen(urllib.request.Request(url, b"", method="POST"), timeout=20) as reply:
        return reply.status


def test_it_shows_the_page_and_its_models_until_the_page_is_closed(program):
    with exploring(program, "model", "nin-mnist") as (process, url):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", url)
        assert b"<html" in get(url)
        site = json.loads(get(f"{url}page.json"))
        jsonschema_rs.validate(SITE, site)
        assert [entry["id"] for entry in site["models"]] == ["user", "nin-mnist"]
        for entry in site["models"]:
            for name in (*entry["files"], "check.json", *(example["file"] for example in entry["examples"])):
                assert get(f"{url}{entry['folder']}/{name}")
        own = (program.folder / "model" / "model.safetensors").read_bytes()
        assert get(f"{url}models/user/model.safetensors") == own
        again = json.loads(get(f"{url}page.json"))
        assert post(url.rstrip("/") + site["goodbye"]) == 204
        time.sleep(2.5)
        assert process.poll() is None  # another page is open
        assert post(url.rstrip("/") + again["goodbye"]) == 204
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out) == (0, b"")
    lines = err.decode().splitlines()
    assert re.fullmatch(r"user: [\d,]+ parameters", lines[0])
    assert re.fullmatch(r"nin-mnist: 891,082 parameters, \d+ pictures", lines[1])
    assert lines[2:] == ["closing the page, or Ctrl-C, ends it", "open this address in a browser"]


def test_without_a_name_the_models_of_the_package_are_shown(program):
    with exploring(program, "-q") as (process, url):
        found = [entry["id"] for entry in json.loads(get(f"{url}page.json"))["models"]]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert set(found) == set(shipped()) and found[0] == min(shipped(), key=lambda name: (name != "nin-clothing", name))
    assert (process.returncode, out, err) == (0, b"", b"")
    with pytest.raises(urllib.error.URLError):
        get(url)


def test_a_run_brings_pictures_that_it_held_out(program):
    run = program.folder / "runs" / "pets"
    shutil.copytree(program.folder / "model", run / "model")
    options = "options: {seed: 0, holdout: 0.3}"
    (run / "args.yaml").write_text(f"nin: 0.1.0\ndata: {program.folder}/photos\n{options}\n")
    with exploring(program, "runs/pets", "--no-open") as (_, url):
        (entry,) = json.loads(get(f"{url}page.json"))["models"]
        shown = [get(f"{url}{entry['folder']}/{example['file']}") for example in entry["examples"]]
    assert entry["id"] == "pets"
    originals = {
        read_picture(path).pixels.tobytes(): path.parent.name for path in program.folder.glob("photos/*/*.png")
    }
    assert sorted(example["label"] for example in entry["examples"]) == ["dog", "고양이"]
    for data, example in zip(shown, entry["examples"], strict=True):
        assert originals[read_picture(data).pixels.tobytes()] == example["label"]


def test_pictures_that_have_moved_are_said(program):
    run = program.folder / "run"
    shutil.copytree(program.folder / "model", run / "model")
    save_picture(program.folder / "some" / "0.png", 0)
    (run / "args.yaml").write_text(f"nin: 0.1.0\ndata: {program.folder}/some\n")
    with exploring(program, "run") as (process, url):
        assert json.loads(get(f"{url}page.json"))["models"][0]["examples"] == []
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert err.decode().startswith("note: run: the pictures of its run cannot be shown (")


def test_a_browser_is_opened_where_there_is_one(program, tmp_path):
    script = tmp_path / "browser"
    script.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    script.chmod(0o755)
    with exploring(program, "model", BROWSER=f"{script} %s") as (process, url):
        end = time.monotonic() + 20
        while not (tmp_path / "opened").exists() and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(0.1)
        assert (tmp_path / "opened").read_text().strip() == url
    (tmp_path / "opened").unlink()
    with exploring(program, "model", "--no-open", BROWSER=f"{script} %s") as (process, url):
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        process.wait(20)
    assert not (tmp_path / "opened").exists()


def test_it_opens_at_a_chapter_in_a_language(program):
    for words, end in (
        ("--lesson 3 --lang ko", "#learn/3?lang=ko"),
        ("--lesson 8", "#learn/8"),
        ("--teach", "#teach"),
        ("--teach --lang ko", "#teach?lang=ko"),
        ("--lang en", "#see/?lang=en"),
    ):
        with exploring(program, "model", *words.split()) as (_, url):
            address, mark, place = url.partition("#")
            assert mark + place == end and b"<html" in get(address)


def test_there_are_as_many_chapters_as_the_page_has():
    source = (Path(__file__).parents[2] / "web" / "src" / "lesson" / "chapters.ts").read_text(encoding="utf-8")
    assert re.findall(r"^ +number: (\d+),$", source, re.MULTILINE) == [str(n + 1) for n in range(CHAPTERS)]


def test_over_ssh_it_says_how_the_page_is_reached(program):
    with exploring(program, "model", SSH_CONNECTION="10.0.0.1 1 10.0.0.2 22", DISPLAY=":0") as (process, url):
        port = url.rstrip("/").rpartition(":")[2]
        hint = f"type there: ssh -L {port}:127.0.0.1:{port} THIS_MACHINE; then open the address"
        assert any(hint in line.decode() for line in process.stderr)  # until it comes


def test_where_a_browser_would_be_seen(monkeypatch):
    def seen(platform="linux", **variables):
        for name in SCREENS:
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "platform", platform)
        return has_browser()

    assert seen(DISPLAY=":0") and seen(WAYLAND_DISPLAY="wayland-0") and seen("darwin") and seen(BROWSER="w3m")
    assert not seen() and not seen(SSH_CONNECTION="x", DISPLAY=":0") and not seen("darwin", SSH_CONNECTION="x")


def test_a_port_may_be_chosen_and_a_taken_one_is_said(program):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = program("explore", "model", "--port", str(port))
        assert (done.code, done.out) == (1, "")
        assert (
            done.err
            == f"nin: port {port} is taken by another program; choose another one with --port, or leave it out\n"
        )
    with exploring(program, "model", "--port", str(port)) as (_, url):
        assert url == f"http://127.0.0.1:{port}/" and b"<html" in get(url)


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        ("explore nothere", 1, "nothere does not exist; expected the model folder "),
        ("explore photos", 1, "photos has no config.json; expected the model folder that nin train wrote"),
        ("explore model broken", 1, "broken/model.safetensors is damaged or was changed "),
        ("explore model --port 70000", 2, "--port is 70000; expected 0 to 65535"),
        ("explore model --port x", 2, '--port is "x"; expected a whole number'),
        ("explore model --lesson 9", 2, "--lesson is 9; expected 1 to 8"),
        ("explore model --lesson 3 --teach", 2, "--lesson and --teach open the page at two places; choose one of them"),
        ("explore model --lang fr", 2, '--lang is "fr"; expected en or ko'),
        ("explore model --open", 2, "nin explore has no option --open; did you mean --no-open?"),
        ("view model", 2, 'nin has no command "view"; did you mean nin explore?'),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_answered(words, code, line, program):
    broken = Path(shutil.copytree(program.folder / "model", program.folder / "broken")) / "model.safetensors"
    data = bytearray(broken.read_bytes())
    data[-1] ^= 1
    broken.write_bytes(data)
    before = program.left()
    done = program(*words.split())
    assert done.err.splitlines()[0].startswith(f"nin: {line}")
    assert (done.code, done.out, program.left(), len(done.err.splitlines())) == (code, "", before, code)


def test_it_leaves_nothing_anywhere_and_needs_no_torch(program):
    before = program.left()
    blocked = "import sys; sys.modules['torch'] = None; from nin.cli import main; sys.exit(main(sys.argv[1:]))"
    words = [sys.executable, "-W", "error", "-c", blocked, "explore", "model", "nin-fashion", "--no-open"]
    with subprocess.Popen(
        words, cwd=program.folder, env=program.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            url = process.stdout.readline().decode().strip()
            site = json.loads(get(f"{url}page.json"))
            assert post(url.rstrip("/") + site["goodbye"]) == 204
            assert process.wait(20) == 0
            assert b"Traceback" not in process.stderr.read()
        finally:
            process.kill()
    home = program.folder.parent / f"{program.folder.name}-home"
    assert (program.left(), list(home.rglob("*"))) == (before, [])
