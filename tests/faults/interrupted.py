"""Runs of `nin train` interrupted at random moments and resumed: the same bytes at the end, and nothing left behind.

    python tests/faults/interrupted.py                      # 200 cases, at most 55 minutes; it goes on where it stopped
    python tests/faults/interrupted.py --seed 7 --cases 20    # others
    python tests/faults/interrupted.py --seed 7 --case 13     # one of them again

A case draws a run (seed, patience, sampler, Muon or SGD, mixing, streaming, batches) and one to five signals of SIGINT,
SIGTERM and SIGKILL. Each comes at a moment that is counted, not timed: after so many optimizer steps, or steps and
operations on files, of which Python's audit hooks tell. So a case is the same on a machine of any speed. Afterwards the
run is resumed, or begun again where it left no checkpoint, and in the end compared with the same run left alone: model,
state, history. Each attempt has a process of its own, forked from one that has imported torch.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", NO_COLOR="1")

import numpy as np
import torch
from PIL import Image

import nin.cli
import nin.report.page
import nin.run.course
import nin.run.train
from nin.data.augment import Augmentation
from nin.run import plan
from nin.training import checkpoint
from nin.training.loop import Trainer

ROOT = Path(__file__).resolve().parents[2]
FOUND = ROOT / "build" / "interrupted.json"
WORK = ROOT / "build" / "interrupted"
SETUPS = 10  # different runs, so that each is left alone once for many cases
FILE_EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}
TIMES = ("time", "images_per_second")  # what two runs alike differ in
PLAIN = ("--size=16", "--width=0.05", "--threads=1", "--device=cpu", "--precision=float32")
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
ENDS = {0, 130, 143, -signal.SIGKILL, -signal.SIGINT, -signal.SIGTERM}  # of an attempt; what else comes is a fault


def make_pictures(folder: Path) -> None:
    """Two classes, dark and bright, the first with half as many pictures; BMP, whose bytes no library decides."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 24), ("val", 8)):
        for label, shade, part in (("dark", 0, 2), ("bright", 120, 1)):
            (folder / split / label).mkdir(parents=True)
            for number in range(count // part):
                pixels = rng.integers(shade, shade + 130, (16, 18, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / split / label / f"{number}.bmp")


def drawn_setup(number: int) -> tuple[list[str], dict[str, Any]]:
    """The options of a run, and what of its recipe the command line does not offer."""
    draw = random.Random(f"setup {number}")
    options = [f"--seed={draw.randrange(100)}", f"--epochs={draw.randint(3, 5)}"]
    options += [f"--batch-size={draw.choice((4, 6, 8))}", f"--balance={draw.choice(('none', 'weights', 'sampler'))}"]
    options += [f"--patience={draw.randint(1, 3)}"] if draw.random() < 0.5 else []
    options += ["--stream"] if draw.random() < 0.4 else []
    mixed = Augmentation(flip=True, shift=0.1, cutmix=draw.choice((0.0, 0.5)), erase=draw.choice((0.0, 0.25)))
    optimizer = draw.choice(("muon", "sgd"))
    return options, {"augmentation": mixed, "optimizer": optimizer, "lr": {"muon": 0.02, "sgd": 0.05}[optimizer]}


@dataclass(frozen=True)
class Moment:
    """When a signal comes: at this optimizer step of an attempt, or at this step or operation on a file."""

    number: int
    of_steps: bool
    signal: signal.Signals


class Moments:
    """Counts steps and operations on files in this process; at the moment that is asked for, the signal comes."""

    def __init__(self, asked: Moment | None, told: int) -> None:
        self.steps = 0
        self.all = 0
        self.asked = asked
        self.told = told
        step = Trainer.step

        def counted(trainer: Trainer, batch: np.ndarray) -> tuple[float, int]:
            done = step(trainer, batch)
            self.steps += 1
            self.come(step=True)
            return done

        Trainer.step = counted
        sys.addaudithook(self.hook)

    def hook(self, event: str, _arguments: object) -> None:
        """An operation on a file."""
        if event in FILE_EVENTS:
            self.come(step=False)

    def come(self, *, step: bool) -> None:
        """A moment has come."""
        self.all += 1
        asked = self.asked
        if asked and (asked.number == self.steps and step if asked.of_steps else asked.number == self.all):
            os.kill(os.getpid(), asked.signal)

    def tell(self) -> None:
        """How many there were: steps, and all."""
        os.pwrite(self.told, f"{self.steps} {self.all}".encode(), 0)


def attempt(words: list[str], recipe: dict[str, Any], log: Path, asked: Moment | None = None) -> tuple[int, list[int]]:
    """One `nin` in a process of its own, in WORK; its end, and where it came to one the steps and moments it had."""
    told = os.open(log.with_suffix(".moments"), os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    child = os.fork()
    if child == 0:
        code = 99
        try:
            descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            os.chdir(WORK)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            make = plan.make_recipe
            plan.make_recipe = lambda *given: replace(make(*given), **recipe)
            moments = Moments(asked, told)
            code = nin.cli.main(words)
            moments.tell()
            sys.stdout.flush()
        except KeyboardInterrupt:  # so early that the program does not listen yet
            code = 130
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    found = os.pread(told, 40, 0)
    os.close(told)
    log.with_suffix(".moments").unlink()
    return code, [int(count) for count in found.split()]


def state_of(folder: Path) -> dict[str, str]:
    """Digests of all that must be alike: the model, the newest checkpoint's tensors, the history, metrics.jsonl."""
    (tensors, position, _), _ = checkpoint.newest(folder)
    whole = hashlib.sha256()
    for name in sorted(tensors):
        whole.update(f"{name} {tensors[name].dtype} {tensors[name].shape}".encode() + tensors[name].tobytes())
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    timeless = [{name: value for name, value in row.items() if name not in TIMES} for row in rows]
    history = [replace(epoch, **dict.fromkeys(TIMES, 0.0)) for epoch in position.history]
    return {
        "model": hashlib.sha256((folder / "model" / "model.safetensors").read_bytes()).hexdigest(),
        "state": whole.hexdigest(),
        "history": repr((history, position.best_epoch, position.best_loss, position.stopped)),
        "metrics": json.dumps(timeless),
    }


def left_behind(folder: Path) -> list[str]:
    """What nobody may find after a run has ended well: half-written files, and a lock."""
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.name.startswith((".nin-", ".lock"))]


def case(seed: int, number: int, alone: dict[int, tuple[dict[str, str], list[int]]]) -> str:
    """Run a case; "" where it ended as the same run left alone, and else what differs."""
    draw = random.Random(f"{seed} {number}")
    setup = draw.randrange(SETUPS)
    options, recipe = drawn_setup(setup)
    begin = ["train", "photos", *PLAIN, *options]
    if setup not in alone:
        folder = WORK / f"alone-{setup}"
        shutil.rmtree(folder, ignore_errors=True)
        log = WORK / f"alone-{setup}.log"
        code, counts = attempt([*begin, f"--out={folder.name}"], recipe, log)
        if code:
            return f"the run left alone ended with {code}: {log.read_text()[-500:]}"
        alone[setup] = state_of(folder), counts
    expected, (steps, every) = alone[setup]
    name = f"case-{seed}-{number}"
    folder = WORK / name
    log = WORK / f"{name}.log"
    shutil.rmtree(folder, ignore_errors=True)
    log.unlink(missing_ok=True)
    words = [*begin, f"--out={name}"]
    for _ in range(draw.randint(1, 5)):
        of_steps = draw.random() < 0.5
        asked = Moment(draw.randint(1, steps if of_steps else every), of_steps, draw.choice(SIGNALS))
        code, _ = attempt(words, recipe, log, asked)
        if code not in ENDS:
            return f"an attempt ended with {code}: {log.read_text()[-500:]}"
        saved = folder.is_dir() and any(folder.glob("checkpoint-*"))
        words = ["train", "--resume", name] if saved else [*begin, f"--out={name}", "--overwrite"]
    code, _ = attempt(words, recipe, log)
    if code:
        return f"the last attempt ended with {code}: {log.read_text()[-500:]}"
    found = state_of(folder)
    faults = [f"another {part}" for part in expected if found[part] != expected[part]]
    faults += [f"{place} was left behind" for place in left_behind(folder)]
    if not faults:
        shutil.rmtree(folder)
        log.unlink()
    return ", ".join(faults)


def package_digest() -> str:
    """A digest of the package's modules: what was found of others says nothing of these."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "src" / "nin").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def main() -> int:
    """Run the cases that were not run yet; 0 where all were as they must be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--case", type=int)
    parser.add_argument("--minutes", type=float, default=55)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    WORK.mkdir(parents=True, exist_ok=True)
    if not (WORK / "photos").is_dir():
        make_pictures(WORK / "photos")
    found: dict[str, str] = json.loads(FOUND.read_text()) if FOUND.is_file() else {}
    if found.get("package") != (package := package_digest()):
        found = {"package": package}
    end = time.monotonic() + 60 * asked.minutes
    alone: dict[int, tuple[dict[str, str], list[int]]] = {}
    numbers = range(asked.cases) if asked.case is None else [asked.case]
    for number in numbers:
        key = f"{asked.seed} {number}"
        if (asked.case is None and found.get(key) == "") or time.monotonic() > end:
            continue
        found[key] = case(asked.seed, number, alone)
        fresh = FOUND.with_suffix(".new")
        fresh.write_text(json.dumps(found, indent=1) + "\n")
        fresh.replace(FOUND)
        again = f"; again: python tests/faults/interrupted.py --seed {asked.seed} --case {number}"
        print(f"seed {asked.seed} case {number}: {found[key] + again if found[key] else 'the same bytes'}", flush=True)
    done = [found[f"{asked.seed} {number}"] for number in numbers if f"{asked.seed} {number}" in found]
    same = done.count("")
    print(
        f"seed {asked.seed}: {same} of {len(done)} interrupted runs ended with the same bytes, {len(numbers)} asked for"
    )
    return int(same < len(numbers))


if __name__ == "__main__":
    raise SystemExit(main())
