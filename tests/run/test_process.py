"""A library call leaves the caller's process as it was: threads, flags, environment, randomness, signals, warnings."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

SCRIPT = """
import logging, os, random, signal, sys, warnings
import numpy, torch
import nin

WIDE = torch.full((1 << 21,), 1e-39)  # denormal, and so many that all threads take part

def state():
    return {
        "threads": torch.get_num_threads(),
        "between": torch.get_num_interop_threads(),
        "denormal": float(torch.tensor([1e-39]) * 0.5),
        "denormals of all threads": int((WIDE * 0.5 == 0).sum()),
        "cudnn": (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic, torch.backends.cudnn.allow_tf32),
        "precision": torch.get_float32_matmul_precision(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "type": torch.get_default_dtype(),
        "gradients": torch.is_grad_enabled(),
        "random": (random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist()),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "signals": [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)],
        "warnings": list(warnings.filters),
        "logging": (logging.root.level, list(logging.root.handlers)),
        "hooks": (sys.excepthook, sys.displayhook, sys.stdout, sys.stderr),
        "numpy": numpy.geterr(),
    }

QUICK = dict(epochs=1, width=0.05, size=16, batch_size=8, precision="float32", device="cpu", progress=False)
CALLS = {
    "open_engine": lambda: nin.open_engine("nin-mnist"),
    "predict": lambda: list(nin.predict("nin-mnist", "photos/a/0.png")),
    "check": lambda: nin.check("photos"),
    "load": lambda: nin.load("nin-mnist"),
    "load and predict": lambda: list(nin.load("nin-mnist").predict("photos/a/0.png")),
    "create_model": lambda: nin.create_model("nin", 3, width=0.1),
    "summary": lambda: nin.summary("nin"),
    "train": lambda: nin.train("photos", out="run", **QUICK),
    "train with more threads": lambda: nin.train("photos", out="run3", threads=3, **QUICK),
    "resume": lambda: nin.resume("run", progress=False),
    "evaluate": lambda: nin.evaluate("run", "photos"),
    "explain": lambda: nin.explain("run", "photos/a/0.png"),
    "export": lambda: nin.export("run", out="run.onnx"),
    "publish": lambda: nin.publish("run", "page.html"),
}
"""
TAIL = """
torch.set_num_threads(2)
(WIDE * 1).sum()  # this program's own threads are at work before
torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)  # torch's own import of more of itself, and what that sets
for name, call in CALLS.items():
    before = state()
    call()
    after = state()
    changed = {key: (before[key], after[key]) for key in before if before[key] != after[key] and key != "random"}
    if name != "create_model" and str(before["random"]) != str(after["random"]):  # its weights are torch's to draw
        changed["random"] = name
    assert not changed, f"{name}: {changed}"
print("as it was")
"""


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    for label in "ab":
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(12):
            pixels = rng.integers(0, 200, (16, 16, 3)) + 50 * (label == "a")
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "photos" / label / f"{number}.png")
    return tmp_path


def test_a_library_call_leaves_the_process_as_it_was(photos):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "NIN_", "ORT_"))}
    words = [sys.executable, "-c", SCRIPT + TAIL]
    done = subprocess.run(words, cwd=photos, env=environment, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "as it was\n"), done.stderr
