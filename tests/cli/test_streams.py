"""Readers that leave, full disks, names that move cursors, terminals without Hangul, a machine without torch."""

import json
import subprocess

import pytest


def test_a_reader_that_has_seen_enough_is_no_error(nin, model, photos):
    command = nin.command("predict", "model", *["photos"] * 50)
    program = subprocess.Popen(
        command, cwd=nin.folder, env=nin.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert program.stdout.readline().startswith(b"photos/")
    program.stdout.close()
    with program.stderr:
        assert program.stderr.read() == b""
    assert program.wait() == 0


def test_a_full_disk_behind_standard_output_is_one_line(nin):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            nin.command("--version"), cwd=nin.folder, env=nin.environment(), stdout=full, stderr=subprocess.PIPE
        )
    line = b"nin: the result cannot be written to standard output (No space left on device)\n"
    assert (done.returncode, done.stderr) == (1, line)


def test_names_cannot_move_the_cursor(nin, model, photos):
    evil = photos / "dog" / "\x1b[2Jevil\n.png"
    (photos / "dog" / "0.png").rename(evil)
    outcome = nin("predict", "model", str(evil.relative_to(nin.folder)))
    assert outcome.code == 0
    assert outcome.out.startswith(r"photos/dog/\x1b[2Jevil\n.png: 고양이 0.750")


def test_a_terminal_without_hangul_gets_escapes_not_a_crash(nin, model, photos):
    outcome = nin("predict", "model", "photos/dog/0.png", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert outcome.code == 0
    assert outcome.out.startswith(r"photos/dog/0.png: \uace0\uc591\uc774 0.750")
    found = nin("predict", "model", "photos/dog/0.png", "--json", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert json.loads(found.out)[0]["predictions"][0]["label"] == "고양이"


WITHOUT_TORCH = """
import sys
from importlib.machinery import PathFinder

class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] == "torch" else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Finder
"""


@pytest.fixture
def without_torch(tmp_path):
    """The setting of a machine on which torch is not installed."""
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "sitecustomize.py").write_text(WITHOUT_TORCH)
    return {"PYTHONPATH": str(blocked)}


@pytest.mark.parametrize("words", ["train photos", "export model", "demo"])
def test_a_missing_torch_is_one_line_with_what_to_type(words, nin, model, photos, without_torch):
    before = nin.left()
    outcome = nin(*words.split(), **without_torch)
    (line,) = outcome.err.splitlines()
    assert line.startswith("nin: ")
    assert ' needs torch, which is not installed: pip install "network-in-network[train]"' in line
    assert "CPU build" in line
    assert (outcome.code, outcome.out) == (2, "")
    assert nin.left() == before


@pytest.mark.parametrize(
    "words",
    [
        "data check photos",
        "doctor",
        "train -h",
        *(f"{word} model photos" for word in ("predict", "explain", "evaluate")),
    ],
)
def test_what_needs_no_torch_does_without(words, nin, photos, without_torch):
    outcome = nin(*words.split(), **without_torch)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out
