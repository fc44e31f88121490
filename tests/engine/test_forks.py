"""Processes forked after the first answer (gunicorn --preload, multiprocessing) answer as well, and come to an end.

Each case runs in a process of its own, whose child is killed where it waits for threads that did not come along.
"""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import faulthandler, os, sys
import numpy as np
import nin

kind = sys.argv[1]
pixels = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
if kind == "torch":
    import torch

    model = nin.load("nin-cifar10", "cpu")
    torch.set_num_threads(2)  # as many as two cores have, wherever this runs
else:
    model = nin.open_engine("nin-cifar10", threads=2, runtime=kind)
ask = lambda: np.array([answer.score for answer in nin.predict(model, pixels)])
before = ask()
for _ in range(2):
    child = os.fork()
    if not child:
        faulthandler.dump_traceback_later(120, exit=True)
        if os.environ.get("ASK") == "yes":
            assert np.allclose(ask(), before, atol=1e-5)
            grandchild = os.fork()
            if not grandchild:
                os._exit(0 if np.allclose(ask(), before, atol=1e-5) else 3)
            assert os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]) == 0
        sys.exit(0)  # as a worker of gunicorn ends: what it inherited is taken down
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert np.array_equal(ask(), before)
"""


@pytest.mark.parametrize("asks", ["yes", "no"])
@pytest.mark.parametrize("kind", ["onnxruntime", "openvino", "torch"])
def test_a_forked_process_answers_as_well_and_ends(kind, asks):
    pytest.importorskip(kind)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, kind], env={**os.environ, "ASK": asks}, capture_output=True, text=True,
        timeout=400,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
