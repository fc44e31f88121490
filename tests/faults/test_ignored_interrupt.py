"""The tests pass in the background of a script, too, where the shell has processes ignore Ctrl-C."""

import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
CTRL_C = "import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(5)"
STARTS = f"import subprocess, sys; print(subprocess.run([sys.executable, '-c', {CTRL_C!r}]).returncode)"


def test_a_program_that_a_test_starts_hears_ctrl_c():
    """As the test run does, in its place: what all tests share is read first."""
    ignoring = partial(signal.signal, signal.SIGINT, signal.SIG_IGN)
    code = {}
    for name, first in (("with", "import conftest; "), ("without", "")):
        words = [sys.executable, "-c", first + STARTS]
        done = subprocess.run(words, cwd=TESTS, preexec_fn=ignoring, capture_output=True, text=True)
        code[name] = int(done.stdout)
    assert code == {"with": -signal.SIGINT, "without": 0}
