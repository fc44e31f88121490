"""The command line asks OpenMP's waiting threads to sleep, before torch is loaded; nobody else's choice is touched."""

import os
import subprocess
import sys

import pytest

SHOW = (
    "import os, sys; from nin.cli import main; main(['--version']);"
    "print([os.environ.get(name) for name in ('OMP_WAIT_POLICY', 'GOMP_SPINCOUNT')])"
)


@pytest.mark.parametrize(
    ("chosen", "before", "expected"),
    [
        ({}, "", ["PASSIVE", "1000"]),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "", ["ACTIVE", None]),
        ({"GOMP_SPINCOUNT": "5"}, "", [None, "5"]),
        ({}, "import sys; sys.modules['torch'] = None; ", [None, None]),  # too late: nothing would read it
        ({}, "import nin, nin.cli.app; main = print; ", None),
    ],
)
def test_threads_wait_asleep_unless_the_user_has_decided(chosen, before, expected):
    free = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    show = SHOW if expected else SHOW.replace("main(['--version']);", "")  # imported only: the process stays as it was
    done = subprocess.run(
        [sys.executable, "-c", before + show], env={**free, **chosen}, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == str(expected or [None, None])
