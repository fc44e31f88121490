"""`nin serve`, the real program: what it says, what it refuses in one line, how it stops, what curl gets.

The tiny model lies in user/model and so is named as a run would be: user.
"""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from nin_program import Program, save_picture
from PIL import Image

from nin.bundle.shipped import shipped
from planted_openvino import write_planted

NAMES = ", ".join(shipped())


def serving(nin: Program, *words: str):
    """The program and its address, until the end of a `with`."""
    return nin.serving("serve", *words, "--port", "0")


def ask(url: str, body: bytes | None = None, kind: str = "image/png") -> tuple[int, bytes]:
    try:
        request = urllib.request.Request(url, body, {"Content-Type": kind} if body is not None else {})
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.fixture
def picture(photos) -> bytes:
    return (photos / "dog" / "0.png").read_bytes()


def test_it_answers_until_it_is_asked_to_stop(nin, model, picture):
    with serving(nin, "model", "--access-log", "--runtime", "onnxruntime") as (process, url):
        assert url.startswith("http://127.0.0.1:")
        status, body = ask(f"{url}/predict", picture)
        assert status == 200
        found = json.loads(body)
        assert [entry["label"] for entry in found] == ["고양이", "dog"]  # ODDS of nin_program.py: 3 to 1
        assert np.allclose([entry["score"] for entry in found], [0.75, 0.25], atol=1e-6)
        status, sheet = ask(f"{url}/explain", picture)
        assert status == 200 and Image.open(BytesIO(sheet)).format == "PNG"
        assert ask(f"{url}/predict", b"hello")[0] == 422
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, b"")
    lines = err.decode().splitlines()
    assert lines[0].startswith("user: 2 classes, ONNX Runtime ")
    assert lines[1] == f"{url}/docs explains the interface; Ctrl-C ends the server"
    assert "POST /predict 200" in lines[2] and "POST /predict 422" in lines[4]
    assert "stopping" in lines[5] and len(lines) == 6


def test_ctrl_c_is_as_good_and_quiet_is_quiet(nin, model):
    with serving(nin, "model", "-q") as (process, url):
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, b"", b"")
    with pytest.raises(OSError):
        ask(url)


def test_a_second_signal_ends_it_at_once(nin, model):
    with serving(nin, "model") as (process, url), socket.socket() as unfinished:
        unfinished.connect(("127.0.0.1", int(url.rpartition(":")[2])))
        unfinished.sendall(b"POST /predict HTTP/1.1\r\n")
        time.sleep(0.2)
        process.terminate()
        time.sleep(1.0)
        assert process.poll() is None  # it waits for the request that has begun
        process.terminate()
        assert process.wait(5) == -signal.SIGTERM


def test_models_have_names(nin, model, picture):
    with serving(nin, "cats=model", "nin-cifar10") as (_, url):
        models = json.loads(ask(f"{url}/models")[1])
        assert [entry["name"] for entry in models] == ["cats", "nin-cifar10"]
        assert json.loads(ask(f"{url}/models/cats/predict", picture)[1])[0]["label"] == "고양이"
        assert (
            json.loads(ask(f"{url}/predict?model=nin-cifar10&top=10", picture)[1])[0]["label"] in models[1]["classes"]
        )


def test_an_address_for_others_is_said_aloud(nin, model):
    with serving(nin, "model", "--host", "0.0.0.0", "--public") as (process, url):
        assert url.startswith("http://0.0.0.0:")
        process.terminate()
        _, err = process.communicate(timeout=20)
    said = "warning: reachable by other machines, without a password and without encryption"
    assert said in err.decode().splitlines()


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (
            "",
            2,
            "nin serve needs MODEL: a model folder, the run folder that holds it, or a model of the package: " + NAMES,
        ),
        (
            "nothere",
            1,
            "nothere does not exist; expected the model folder that nin train wrote (runs/.../model), "
            f"or the name of a model in the package: {NAMES}",
        ),
        ("model model", 2, "two models are named user; name one of them: NAME=model"),
        ("a/b=model", 2, '"a/b=model" is no NAME=MODEL; a name is printable and has no slash'),
        ("port=80", 2, 'options are not written "port=80"; did you mean --port 80?'),
        ("model --port 70000", 2, "--port is 70000; expected 0 to 65535"),
        ("model --queue 0", 2, "--queue is 0; expected 1 to 100000"),
        ("model --max-body 1.5", 2, '--max-body is "1.5"; expected a whole number'),
        (
            "model --host 0.0.0.0",
            2,
            "--host 0.0.0.0 makes the server reachable by others without a password; add --public to confirm",
        ),
        (
            "model --host no.such.host.invalid --public",
            2,
            '--host is "no.such.host.invalid"; expected an address of this machine, such as 127.0.0.1',
        ),
    ],
)
def test_a_mistake_is_one_line(words, code, reason, nin, model):
    before = nin.left()
    outcome = nin("serve", *words.split())
    hint = ["try: nin serve --help"] if code == 2 else []
    assert outcome.err.splitlines() == [f"nin: {reason}", *hint]
    assert (outcome.code, outcome.out, nin.left()) == (code, "", before)


def test_a_port_that_is_taken_is_said(nin, model):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = nin("serve", "model", "--port", str(port), "-q")
    reason = f"nin: port {port} is taken by another program; choose another one with --port\n"
    assert (outcome.code, outcome.out, outcome.err) == (1, "", reason)


def test_a_damaged_model_is_not_served(nin, model):
    path = model / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    outcome = nin("serve", "model", "--port", "0")
    assert (outcome.code, outcome.out) == (1, "")
    assert (
        outcome.err.startswith("nin: model/model.safetensors is damaged or was changed")
        and outcome.err.count("\n") == 1
    )


DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "serve.md").read_text(encoding="utf-8")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_what_the_documentation_types_works(nin):
    """Every curl of docs/serve.md as it stands there, after the snippet that writes the request; -f fails on 400 up."""
    save_picture(nin.folder / "photos" / "cat" / "0.jpg", 1)
    (snippet,) = re.findall(r"^```py\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
    subprocess.run([nin.command()[0], "-c", snippet], cwd=nin.folder, check=True)
    lines = [line for block in re.findall(r"^```bash\n(.*?)^```", DOCUMENT, re.M | re.S) for line in block.splitlines()]
    with serving(nin, "nin-cifar10") as (_, url):
        for line in lines:
            words = shlex.split(line.replace("http://127.0.0.1:8000", url))
            done = subprocess.run([*words, "-sSf"], cwd=nin.folder, capture_output=True, text=True)
            assert done.returncode == 0, (line, done.stderr)
            assert "-o maps.png" in line or done.stdout.startswith(("[{", "{", "# HELP"))
    assert len(lines) == 8
    with Image.open(nin.folder / "maps.png") as maps:
        assert maps.format == "PNG"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curls_own_type_is_read_as_the_picture_it_is(nin, model, picture):
    with serving(nin, "model") as (_, url):
        (nin.folder / "picture.png").write_bytes(picture)
        words = ["curl", "-s", "--data-binary", "@picture.png", f"{url}/predict"]
        done = subprocess.run(words, cwd=nin.folder, capture_output=True, text=True)
    assert done.stdout.startswith('[{"label": "')


def test_a_replaced_model_answers_and_a_damaged_one_does_not(nin, model, picture):
    with serving(nin, "model") as (_, url):
        before = ask(f"{url}/models")[1]
        weights = model / "model.safetensors"
        good = weights.read_bytes()
        weights.write_bytes(good[:-1] + bytes((good[-1] ^ 1,)))
        end = time.monotonic() + 15
        while b'result="failed"' not in ask(f"{url}/metrics")[1] and time.monotonic() < end:
            assert ask(f"{url}/predict", picture)[0] == 200
            time.sleep(0.1)
        assert b'nin_reloads_total{model="user",result="failed"} 1' in ask(f"{url}/metrics")[1]
        assert ask(f"{url}/models")[1] == before and ask(f"{url}/predict", picture)[0] == 200


def test_it_leaves_nothing_at_home_or_anywhere(nin, model, picture):
    """Not even what ONNX Runtime would like to count about its users."""
    before, home = nin.left(), nin.folder.parent / "user-home"
    with nin.serving("serve", "model", "--port", "0", "--runtime", "onnxruntime", XDG_CACHE_HOME="") as (_, url):
        assert ask(f"{url}/predict", picture)[0] == 200
    assert (nin.left(), list(home.rglob("*"))) == (before, [])


def test_the_faster_runtime_is_measured_said_and_remembered(nin, model, picture):
    """With a package in OpenVINO's place that is fast; and with one that ends the process that imports it."""
    path = os.pathsep.join([str(nin.folder.parent / "planted"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    seen = {"PYTHONPATH": path.rstrip(os.pathsep), "XDG_CACHE_HOME": ""}
    cache = nin.folder.parent / "user-home" / ".cache" / "nin"
    taken = r"openvino \([\d.]+ times onnxruntime here, measured\)"
    for kind, version, platform, runtime in (
        ("fast", "9.0", "nin_openvino", taken),
        ("cannot be imported", "9.0", "nin_onnxruntime", r"onnxruntime \(openvino could not be opened \(libtbb.*\)\)"),
        ("SIGSEGV", "9.1", "nin_onnxruntime", r"onnxruntime \(openvino ends its process here \(SIGSEGV\)\)"),
    ):
        shutil.rmtree(nin.folder.parent / "planted", ignore_errors=True)
        write_planted(nin.folder.parent / "planted", kind, version)
        with nin.serving("serve", "model", "--port", "0", **seen) as (process, url):
            assert json.loads(ask(f"{url}/v2/models/user")[1])["platform"] == platform
            assert ask(f"{url}/predict", picture)[0] == 200
            process.terminate()
            _, err = process.communicate(timeout=20)
        lines = err.decode().splitlines()
        assert re.fullmatch(f"user: runtime {runtime}", lines[1]), lines
    assert sorted({entry.name.partition("-")[0] for entry in cache.iterdir()}) == ["runtime"]
    assert len(list(cache.iterdir())) == 2


def test_what_serves_imports_no_torch(nin):
    code = "import sys; sys.modules['torch'] = None; import nin.server.serve; print('matplotlib' in sys.modules)"
    command = [nin.command()[0], "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=nin.environment())
    assert (done.returncode, done.stdout, done.stderr) == (0, "False\n", "")
