"""The real program in a user's folder, tiny pictures, and a model whose every answer can be worked out by hand."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hints import commands, unusable
from PIL import Image

ODDS = 3.0  # the tiny model gives 고양이 this many times the probability of dog: 0.75 and 0.25, whatever it sees
QUICK = ("--width", "0.05", "--device", "cpu", "--precision", "float32", "--threads", "1")
LINE = re.compile(
    r"epoch +(\d+)/(\d+)  loss \d\.\d{3}  accuracy [01]\.\d{3}  val [01]\.\d{3}  [\d,]+ img/s  ETA [\d:]+"
)
ASKED = "stopping after this step; Ctrl-C again to stop at once"


@dataclass(frozen=True)
class Outcome:
    """What a run of the program left: its exit code and both streams."""

    code: int
    out: str
    err: str


class Program:
    """`python -m nin` in `folder`, which stands for a user's own folder. What it advises must be possible."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *words: str, stdin: bytes | None = None, **variables: str) -> Outcome:
        done = subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=self.environment(**variables),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            timeout=300,
        )
        outcome = Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())
        self.judge(words, outcome)
        return outcome

    @staticmethod
    def judge(words: tuple[str, ...], outcome: Outcome) -> None:
        """Every option that the program has named, on whatever stream, is one of the command that was run."""
        chosen = [name for name in commands() if " ".join(words).startswith(name)]
        if "Usage:" not in outcome.out:  # a help page lists the options of all commands
            assert unusable(chosen[0] if chosen else "", outcome.out + outcome.err, " ".join(words)) == []

    @contextmanager
    def serving(self, *words: str, **variables: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
        """A command that says its address first, and the address; it is stopped when the test has not done so."""
        process = self.start(*words, **variables)
        assert process.stdout is not None
        url = process.stdout.readline().decode().strip()
        try:
            yield process, url
        finally:
            if process.poll() is None:
                process.terminate()
            process.communicate(timeout=20)

    def start(self, *words: str, **variables: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command(*words),
            cwd=self.folder,
            env=self.environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    @staticmethod
    def command(*words: str) -> list[str]:
        return [sys.executable, "-m", "nin", *words]

    def environment(self, **variables: str) -> dict[str, str]:
        """What the program sees: nothing of the tester's own settings, a home that is not the tester's."""
        foreign = ("NIN_", "NO_COLOR", "FORCE_COLOR", "CI", "COLUMNS", "PYTHONWARNINGS", "XDG_")
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
        home = self.folder.parent / f"{self.folder.name}-home"
        home.mkdir(exist_ok=True)
        fixed = {"HOME": str(home), "TERM": "xterm", "COLUMNS": "80", "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}
        fixed["XDG_CACHE_HOME"] = str(home.parent.parent / "nin-cache")  # what one test measured, the next remembers
        return {**inherited, **fixed, **variables}

    def left(self) -> list[str]:
        """Every file and folder that is there now, hidden ones too."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*"))


def save_picture(path: Path, seed: int, size: tuple[int, int] = (16, 16)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def write_model(folder: Path) -> None:
    """A network of zero weights whose last biases are (log ODDS, 0): logits and class maps are these constants."""
    from nin.bundle.card import Calibration
    from nin.bundle.folder import write_bundle
    from nin.data.preprocess import Preprocess
    from nin.network.architecture import NIN, nin

    config = nin(2, 3, 0.05)
    weights = {name: np.zeros_like(value.numpy()) for name, value in NIN(config).state_dict().items()}
    weights["blocks.4.pointwise.1.bias"] = np.array([np.log(ODDS), 0.0], np.float32)
    write_bundle(
        folder,
        network=config.to_dict(),
        weights=weights,
        classes=("고양이", "dog"),
        preprocess=Preprocess((16, 16), 3, "stretch", (0.5,) * 3, (0.5,) * 3),
        calibration=Calibration(),
        metrics={},
        provenance={"license": "Apache-2.0"},
    )
