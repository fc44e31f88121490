"""Keeps a checkpoint, a model folder and an ONNX file of this version, which later versions must load and answer alike.

    python tests/kept/keep.py     # writes tests/kept/VERSION; run once, before a release

The run stops in its second epoch, where the checkpoint is kept, and is resumed to its end. What is kept is small: a
narrow network for two classes of pictures that `pictures` draws.
"""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import nin
from nin.errors import Interrupted
from nin.sealed import read_tensors, write_tensors
from nin.training.slots import SLOTS

KEPT = Path(__file__).resolve().parent
SIZES = {"epochs": 3, "width": 0.05, "size": 16, "batch_size": 8, "patience": 2, "seed": 5}
MACHINE = {"threads": 1, "device": "cpu", "precision": "float32"}
STOP = 5  # steps of the run, of three in an epoch


class Stopping(nin.Listener):
    """Stops the run after STOP steps."""

    left = STOP

    def step(self, _progress: object) -> None:
        self.left -= 1

    def should_stop(self) -> bool:
        return self.left <= 0


def pictures(folder: Path) -> Path:
    """The data set of all that is kept: BMP files, whose bytes no library decides."""
    rng = np.random.default_rng(14)
    for split, count in (("train", 12), ("val", 4)):
        for label, shade in (("dark", 0), ("밝음", 110)):
            (folder / split / label).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(shade, shade + 140, (18, 20, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / split / label / f"{number}.bmp")
    return folder


def unseen() -> np.ndarray:
    """(6, 18, 20, 3) uint8: what the answers are kept of."""
    return np.random.default_rng(15).integers(0, 256, (6, 18, 20, 3)).astype(np.uint8)


def keep(place: Path) -> None:
    """Write what is kept of this version to the new folder `place`."""
    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        data = pictures(Path("photos"))
        try:
            nin.train(data, out="run", listener=Stopping(), **SIZES, **MACHINE)
        except Interrupted:
            newest = max((Path("run") / name for name in SLOTS), key=_saves)
        tensors, metadata = read_tensors(newest)
        about = {**json.loads(metadata["about"]), "path": "photos"}  # where it lay is nobody's business
        place.mkdir()
        write_tensors(place / "checkpoint.safetensors", tensors, {**metadata, "about": json.dumps(about)})
        run = nin.resume("run", progress=False)
        shutil.copytree(Path(run.folder) / "model", place / "model")
        nin.export(place / "model", out=place / "model.onnx")
        answers = nin.open_engine(place / "model", threads=1).run(list(unseen()))
        kept = {
            name: np.round(getattr(answers, name).astype(np.float64), 6).tolist()
            for name in ("probabilities", "logits")
        }
        (place / "answers.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def _saves(path: Path) -> int:
    return json.loads(read_tensors(path)[1]["position"])["saves"] if path.is_file() else -1


if __name__ == "__main__":
    sys.exit(keep(KEPT / nin.__version__))
