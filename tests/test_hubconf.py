"""hubconf.py as torch.hub uses it: a fresh interpreter that has no nin installed, a copy of the sources, no network."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nin.bundle.shipped import shipped
from nin.network.architecture import list_models

ROOT = Path(__file__).resolve().parents[1]

CODE = """
import sys
from pathlib import Path
sys.path = [entry for entry in sys.path if not entry.endswith("/src")]
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
sys.modules.update(dict.fromkeys(("cyclopts", "rich", "platformdirs", "sklearn", "scipy", "matplotlib"), None))
import torch
where = dict(repo_or_dir=sys.argv[1], source="local")
look = torch.hub.load(model="preprocess", name="nin-cifar10", **where)
model = torch.hub.load(model="nin_cifar10", **where)
import nin
assert nin.__file__.startswith(sys.argv[1]), nin.__file__
assert not model.training
with torch.inference_mode():
    logits = model(look(sys.argv[2]))
    maps = model.forward_maps(look(Path(sys.argv[2]).read_bytes()))
assert torch.allclose(maps.mean((2, 3)), logits, atol=1e-5)
fresh = torch.hub.load(model="nin_cifar10", pretrained=False, **where)
assert fresh.training and fresh.state_dict().keys() == model.state_dict().keys()
small = torch.hub.load(model="nin", num_classes=3, in_chans=1, width=0.25, **where)
assert small(torch.zeros(2, 1, 32, 32)).shape == (2, 3)
print(" ".join(f"{value:.6f}" for value in logits[0].tolist()))
"""


@pytest.fixture
def repository(tmp_path) -> Path:
    """What torch.hub unpacks: hubconf.py and the sources."""
    there = tmp_path / "network-in-network"
    shutil.copytree(ROOT / "src", there / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "hubconf.py", there)
    return there


def test_the_entries_give_what_the_package_gives(repository, tmp_path):
    from nin import load

    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CODE, str(repository), str(tmp_path / "picture.png")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    package = load("nin-cifar10", device="cpu")
    expected = package.logits(package.preprocess.load(tmp_path / "picture.png")[None])[0]
    assert np.allclose([float(word) for word in done.stdout.split()], expected, atol=1e-4)


def test_every_network_and_every_shipped_model_is_an_entry(repository):
    code = (
        "import sys, torch.hub; sys.path.insert(0, sys.argv[1]);"
        "h = torch.hub._import_module('hubconf', sys.argv[1] + '/hubconf.py');"
        "print(*(n for n in dir(h) if callable(getattr(h, n)) and not n.startswith('_')))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(repository)], capture_output=True, text=True, timeout=120)
    names = {name.replace("-", "_") for name in (*list_models(), *shipped())}
    assert set(done.stdout.split()) == {*names, "preprocess"}
