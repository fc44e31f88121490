"""The recipes in containers/, as far as they can be checked without a container engine."""

import fnmatch
import json
import re
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RECIPES = sorted((ROOT / "containers").glob("*.Dockerfile"))


def steps(recipe: Path) -> list[tuple[str, str]]:
    """(instruction, arguments) of a recipe, continued lines joined, comments left out."""
    lines = [line for line in recipe.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in joined.splitlines() if line.strip()]


def arguments(recipe: Path, instruction: str) -> list[str]:
    return [text for name, text in steps(recipe) if name == instruction]


def copied(recipe: Path) -> list[str]:
    """What a recipe takes from the folder it is built in."""
    taken = [text.split()[:-1] for text in arguments(recipe, "COPY") if not text.startswith("--from=")]
    return [name for names in taken for name in names]


def let_through(name: str) -> bool:
    """What .dockerignore makes of a path: the last line that matches it decides."""
    verdict = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        if line and not line.startswith("#") and (fnmatch.fnmatch(name, pattern) or name.startswith(f"{pattern}/")):
            verdict = line.startswith("!")
    return verdict


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_images_are_pinned_nobody_is_root_and_nothing_is_fetched_by_address(recipe):
    found = steps(recipe)
    assert found[0] == ("ARG", "DIGEST")  # no default: whoever builds says which
    assert arguments(recipe, "FROM") and all("@${DIGEST}" in text for text in arguments(recipe, "FROM"))
    assert "latest" not in recipe.read_text()
    user, group = arguments(recipe, "USER")[-1].split(":")
    assert int(user) > 0 and int(group) > 0
    last = max(index for index, (name, _) in enumerate(found) if name == "USER")
    assert not {name for name, _ in found[last:]} & {"RUN", "COPY", "ADD"}
    assert not arguments(recipe, "ADD")
    assert not re.search(r"curl|wget|apt-get|\| *sh|TOKEN|PASSWORD|torchvision", recipe.read_text())
    installs = [part for text in arguments(recipe, "RUN") for part in text.split("&&") if " install " in part]
    assert len(installs) >= 2 and all("-c constraints.txt" in part for part in installs)
    assert "NOT BUILT HERE" in recipe.read_text()


def test_the_runtime_has_no_torch_and_the_trainer_takes_it_from_one_index():
    runtime, trainer = (next(r for r in RECIPES if r.stem == name) for name in ("runtime", "trainer"))
    assert "torch " not in " ".join(arguments(runtime, "RUN")) and "[train]" not in " ".join(arguments(runtime, "RUN"))
    assert "TORCH_INDEX=https://download.pytorch.org/whl/cpu" in arguments(trainer, "ARG")
    assert arguments(runtime, "EXPOSE") == ["8000"]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_what_is_copied_is_there_and_enough_to_build_the_wheel(recipe, tmp_path):
    names = copied(recipe)
    assert names and all((ROOT / name).exists() and let_through(name) for name in names)
    for name in names:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "wheel")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "wheel").glob("*.whl"))) == 1


def test_nothing_else_is_sent_to_the_engine():
    for name in ("runs", ".git", "experiments", "photos", ".env", "tests", "src/nin/__pycache__"):
        assert not let_through(name), name
    assert let_through("src/nin/errors.py")


def test_the_program_knows_the_words_of_the_server():
    from nin.cli.app import app

    (start,), (models,) = (arguments(RECIPES[0], name) for name in ("ENTRYPOINT", "CMD"))
    words = [*json.loads(start), *json.loads(models)]
    assert words.pop(0) == "nin"
    command, bound, _ = app.parse_args(words, print_error=False, exit_on_error=False)
    assert command.__name__ == "_serve"
    assert bound.arguments["options"].host == "0.0.0.0" and bound.arguments["options"].port == 8000


def test_the_trainer_starts_with_help():
    (start,), (words,) = (arguments(RECIPES[1], name) for name in ("ENTRYPOINT", "CMD"))
    assert (json.loads(start), json.loads(words)) == (["nin"], ["--help"])


@pytest.mark.parametrize(("path", "status", "healthy"), [("/healthz", 200, True), ("/healthz", 503, False)])
def test_the_health_check_tells_a_healthy_server_from_others(path, status, healthy):
    asked = []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    (check,) = arguments(RECIPES[0], "HEALTHCHECK")
    python, *words = json.loads(check.partition("CMD ")[2])
    with HTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        words = [word.replace("127.0.0.1:8000", f"127.0.0.1:{server.server_port}") for word in words]
        done = subprocess.run([sys.executable, *words], capture_output=True, timeout=30)
        server.shutdown()
    assert python == "python" and asked == [path]
    assert (done.returncode == 0) == healthy
