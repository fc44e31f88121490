"""Training steps on a quiet machine and beside busy processes: OpenMP as it is, and as `nin` asks it to be.

    python benchmarks/busy.py [--rounds 2] [--seconds 4] [--threads N] [--neighbours 0 1 2] [--json FILE]

before: OpenMP's waiting threads spin, its default, which a library call leaves alone. after: they go to sleep, as the
command line asks for before it loads torch (nin.cli). Measured is whole steps of two trainings whose batches are too
small to be divided, so that threads share every layer: "train", the default network at width 0.3, 32 x 32 pixels and
batch 32, in images a second, and "claims", the network that `nin claims` trains, in steps a second. Every measurement
runs in a process of its own, before and after in turn. A neighbour is a process that never rests. Told at the end: how
many times longer `after` takes beside neighbours than alone, and whether the weights after the same steps are the same
bits. Takes about 3 minutes on a machine with nothing else to do.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

SETTINGS = ("before", "after")
WORK = {"train": ("images/s", 32), "claims": ("steps/s", 1)}  # unit, and how many of it a step is
CHOICE = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


def measure(setting: str, seconds: float, threads: int | None) -> dict:
    """Rates of both trainings in this process, and a digest of the weights after two steps of the first."""
    if setting == "after":
        from nin.cli import main

        main(["--version"])
    import numpy as np
    import torch

    from nin.claims.placed_digits import placed
    from nin.claims.small_trainings import BATCH, STANDARD, preprocess_for
    from nin.data.preprocess import Preprocess
    from nin.network.architecture import NIN
    from nin.network.named import configure
    from nin.training import hardware
    from nin.training.loop import Trainer
    from nin.training.recipes import Recipe, default_recipe
    from nin.training.state import Pictures

    machine = hardware.choose("cpu", threads, "float32")
    settings = ExitStack()
    settings.enter_context(hardware.applied(machine))  # until this function ends
    pixels = np.random.default_rng(0).integers(0, 256, (512, 32, 32, 3), dtype=np.uint8)
    photos = Pictures(pixels, np.arange(512) % 10)
    digits = placed("train")
    shown = Pictures(digits.images, digits.labels)
    even = Preprocess((32, 32), 3, "stretch", (0.5,) * 3, (0.25,) * 3)
    recipe = default_recipe(512, flip=True, colour=True, epochs=5)
    muon = Recipe(8, batch_size=BATCH, optimizer="muon", lr=0.02, label_smoothing=0.0)

    def network(config) -> NIN:
        return NIN(config, generator=torch.Generator().manual_seed(0))

    trainers = {
        "train": Trainer(network(configure("nin", 10, 3, width=0.3)), photos, photos, even, _small(recipe), machine),
        "claims": Trainer(network(STANDARD), shown, shown, preprocess_for(digits.images.shape[1]), muon, machine),
    }
    found: dict = {"threads": machine.threads}
    for name, trainer in trainers.items():
        batches = trainer.state.batches(0)
        trainer.model.train()
        for batch in batches[:2]:
            trainer.step(batch)
        if name == "train":
            weights = b"".join(p.detach().numpy().tobytes() for p in trainer.model.parameters())
            found["weights"] = hashlib.sha256(weights).hexdigest()
        start, steps = time.perf_counter(), 0
        while (elapsed := time.perf_counter() - start) < seconds:
            trainer.step(batches[steps % len(batches)])
            steps += 1
        found[name] = steps * WORK[name][1] / elapsed
    return found


def _small(recipe):
    from dataclasses import replace

    return replace(recipe, batch_size=WORK["train"][1])


def begin(setting: str, arguments: argparse.Namespace) -> dict:
    """What `measure` finds in a process of its own."""
    free = {name: value for name, value in os.environ.items() if name not in CHOICE}
    words = ["--setting", setting, "--seconds", str(arguments.seconds)]
    words += ["--threads", str(arguments.threads)] if arguments.threads else []
    done = subprocess.run([sys.executable, __file__, *words], env=free, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def beside(neighbours: int, arguments: argparse.Namespace) -> list[dict]:
    """The rounds of both settings beside so many busy processes."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(neighbours)]
    try:
        return [
            {"neighbours": neighbours, "setting": setting, **begin(setting, arguments)}
            for _ in range(arguments.rounds)
            for setting in SETTINGS
        ]
    finally:
        for process in busy:
            process.kill()
            process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--threads", type=int)
    parser.add_argument(
        "--neighbours", type=int, nargs="+", default=[0, 1, 2], help="0 first, which the rest is told by"
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--setting", choices=SETTINGS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.setting:
        print(json.dumps(measure(arguments.setting, arguments.seconds, arguments.threads)))
        return
    rows = [row for neighbours in arguments.neighbours for row in beside(neighbours, arguments)]

    def rates(work: str, neighbours: int, setting: str) -> list[float]:
        return [row[work] for row in rows if (row["neighbours"], row["setting"]) == (neighbours, setting)]

    print(f"{rows[0]['threads']} threads; median (least to most) of {arguments.rounds} rounds")
    for work, (unit, _) in WORK.items():
        for neighbours in arguments.neighbours:
            cells = [rates(work, neighbours, setting) for setting in SETTINGS]
            told = "   ".join(
                f"{setting} {statistics.median(cell):7.1f} ({min(cell):.1f} to {max(cell):.1f})"
                for setting, cell in zip(SETTINGS, cells, strict=True)
            )
            print(f"{work:6} {unit:8} {neighbours} busy neighbours   {told}")
        alone, *others = (statistics.median(rates(work, n, "after")) for n in arguments.neighbours)
        for neighbours, other in zip(arguments.neighbours[1:], others, strict=True):
            print(f"{work:6} after: {alone / other:.1f} times as long beside {neighbours} as alone")
    print("weights identical" if len({row["weights"] for row in rows}) == 1 else "WEIGHTS DIFFER")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
