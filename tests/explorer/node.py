"""Node and the page's packages for the tests here: the wheel's Node, `npm ci` once for each package-lock.json."""

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

WEB = Path(__file__).resolve().parents[2] / "web"
TIME = 300  # seconds for npm ci; it takes about 11
OFFLINE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "ENETUNREACH")  # npm's words for no registry at all


def environment() -> dict[str, str]:
    """The variables that a program of Node needs: the wheel's Node before any other."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1"}


def run(*command: str, time: int = TIME, **more: str) -> str:
    """What a program says in web/, with these variables more; the test fails with all of it where it fails."""
    made = subprocess.run(
        command, cwd=WEB, env={**environment(), **more}, capture_output=True, text=True, timeout=time, check=False
    )
    said = made.stdout + made.stderr
    assert made.returncode == 0, f"{' '.join(command)} failed:\n{said[-10_000:]}"
    return said


def install() -> None:
    """The packages of package-lock.json; the test is skipped where no registry can be reached to get them."""
    wanted = hashlib.sha256((WEB / "package-lock.json").read_bytes()).hexdigest()
    mark = WEB / "node_modules" / ".installed"
    with (WEB / "package-lock.json").open() as lock:  # of two processes one installs and the other waits
        fcntl.flock(lock, fcntl.LOCK_EX)
        if mark.exists() and mark.read_text() == wanted:
            return
        made = subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund"],
            cwd=WEB,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=TIME,
            check=False,
        )
        if made.returncode and any(word in made.stderr for word in OFFLINE):
            pytest.skip("no npm registry can be reached for the packages of web/package-lock.json")
        assert made.returncode == 0, made.stderr[-4_000:]
        mark.write_text(wanted)
