"""Real clients with their defaults, those that are installed; benchmarks/http_clients.py installs and asks them all."""

import importlib.util
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from live_server import CLASSES, Live, StandIn, expected

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
import http_clients as clients

MODULES = {
    "tritonclient": "tritonclient",
    "openapi_python_client": "openapi_python_client",
    "standard_library": "urllib",
}
COMMANDS = [(name, step) for name, (_, _, commands) in clients.PROGRAMS.items() for step in commands]


@pytest.fixture
def asked(tmp_path, pictures):
    """An address, a picture's file, and its likeliest class by hand calculation."""
    pixels, png = pictures[1]
    picture = tmp_path / "picture.png"
    picture.write_bytes(png)
    with Live(StandIn()) as live:
        yield f"http://127.0.0.1:{live.port}", picture, CLASSES[int(np.argmax(expected(pixels)[2]))]


@pytest.mark.parametrize("name", MODULES)
def test_a_client_in_python_gets_right_answers_and_clear_refusals(name, asked):
    if importlib.util.find_spec(MODULES[name]) is None:
        pytest.skip(f"{name} is not installed")
    url, picture, label = asked
    rows = clients.run_script(sys.executable, name, url, "colours", picture, label)
    assert rows and [row for row in rows if not row["ok"]] == []


@pytest.mark.parametrize(("name", "step"), COMMANDS)
def test_a_program_gets_the_right_answer(name, step, asked):
    program, _, commands = clients.PROGRAMS[name]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    url, picture, label = asked
    ok, detail = clients.run_program(commands[step], url, picture, label)
    assert ok, detail


def test_the_document_is_valid_openapi(asked):
    validator = pytest.importorskip("openapi_spec_validator")
    from nin.server.openapi import openapi

    validator.validate(openapi(("colours",), 10 * 2**20))


def test_a_wrong_answer_would_be_seen(asked):
    """The measure bites: another class than the right one is no success, neither in a script nor of a program."""
    url, picture, label = asked
    wrong = next(name for name in CLASSES if name != label)
    rows = clients.run_script(sys.executable, "standard_library", url, "colours", picture, wrong)
    assert rows and not any(row["ok"] for row in rows)
    if shutil.which("curl"):
        command = clients.PROGRAMS["curl"][2]["--data-binary, its own type"]
        assert not clients.run_program(command, url, picture, wrong)[0]
