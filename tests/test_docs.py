"""Documents are executed: generated parts are compared, and every snippet a reader may type is run."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foreign_files import SOLVER, caffe_net, caffemodel, cuda_convnet_def, cuda_convnet_params, rows

ROOT = Path(__file__).resolve().parents[1]
KOREAN = [ROOT / "README.ko.md", *sorted((ROOT / "docs" / "ko").glob("*.md"))]  # with the code of the English pages
PAGES = [ROOT / "README.md", *(page for page in sorted((ROOT / "docs").rglob("*.md")) if page not in KOREAN)]
QUICK = {
    "NIN_TRAIN_EPOCHS": "1",
    "NIN_TRAIN_SIZE": "16",
    "NIN_TRAIN_WIDTH": "0.1",
    "NIN_TRAIN_DEVICE": "cpu",
    "NIN_BATCH_WORKERS": "1",
}


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page in one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), flags=re.M | re.S)


@pytest.fixture
def desk(tmp_path):
    """A folder as the documents assume it: photos/ with cat and dog, the same in shards/, files of other programs."""
    rng = np.random.default_rng(0)
    for label, shade in (("cat", 60), ("dog", 160)):
        for i in range(8):
            pixels = rng.integers(shade, shade + 60, (40, 32, 3)).astype(np.uint8)
            folder = tmp_path / "photos" / label
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / f"{i}.jpg")
    for fold in range(5):
        shutil.copytree(tmp_path / "photos", tmp_path / "folds" / f"fold_{fold}")
    (tmp_path / "shards").mkdir()
    with tarfile.open(tmp_path / "shards" / "train-000000.tar", "w") as shard:
        for picture in sorted(tmp_path.glob("photos/*/*.jpg")):
            member = tarfile.TarInfo(f"{picture.parent.name}_{picture.stem}.cls")
            member.size = len(picture.parent.name)
            shard.add(picture, f"{picture.parent.name}_{picture.stem}.jpg")
            shard.addfile(member, BytesIO(picture.parent.name.encode()))
    (tmp_path / "net_def").write_text(cuda_convnet_def("cifar10"))
    (tmp_path / "net_params").write_text(cuda_convnet_params())
    (tmp_path / "train_val.prototxt").write_text(caffe_net("tiny", data="transform_param { mean_value: 128 }"))
    (tmp_path / "solver.prototxt").write_text(SOLVER)
    shapes = {name: ((width, reads, kernel, kernel), (width,)) for name, kernel, reads, width, _ in rows("tiny")}
    weights = {name: [([0.01] * int(np.prod(shape)), shape) for shape in pair] for name, pair in shapes.items()}
    (tmp_path / "nin.caffemodel").write_bytes(caffemodel(weights))
    return tmp_path


def run(jobs: list[list[str]], desk: Path) -> None:
    """Run what follows `python` on each of these command lines, in order, at the desk; all must end well."""
    described = []
    for words in jobs:
        own_width = "--from" in words or "--network" in words
        quick = {name: value for name, value in QUICK.items() if not (own_width and name == "NIN_TRAIN_WIDTH")}
        described.append({"words": words, "variables": quick})
    (desk / "jobs.json").write_text(json.dumps(described), encoding="utf-8")
    command = [sys.executable, ROOT / "tests" / "one_after_another.py", "jobs.json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=desk, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


def test_generated_parts_are_up_to_date():
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate.py", "--check"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


LONG = ("batch.md", "export.md", "large-data.md", "uneven-classes.md", "claims.md")  # a minute each: with NIN_HEAVY=1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_and_snippet_of_a_page_runs(page, desk):
    if page.name in LONG and os.environ.get("NIN_HEAVY") != "1":
        pytest.skip("a minute; set NIN_HEAVY=1")
    commands = [line for block in blocks(page, "sh") for line in block.splitlines() if line.startswith("nin ")]
    snippets = blocks(page, "python")
    jobs = [["-m", "nin", *shlex.split(line, comments=True)[1:]] for line in commands]
    for number, snippet in enumerate(snippets):
        (desk / f"snippet{number}.py").write_text(snippet, encoding="utf-8")
        jobs.append([f"snippet{number}.py"])
    if jobs:
        run(jobs, desk)
    if page.name in ("README.md", "tutorial.md", "import.md", "network-file.md"):
        assert commands and snippets


def test_links_inside_the_repository_lead_somewhere():
    for page in [*PAGES, *KOREAN]:
        prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", prose):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"
