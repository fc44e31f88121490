"""Training steps a second on a GPU: recorded (what `nin train` does), launched one by one, and compiled by torch.

    python benchmarks/train_gpu.py [--seconds 3] [--only NAME ...] [--contestants NAME ...] [--json]

Random pictures, whole steps with everything that belongs to them: pictures, whitening, forward, backward, checks for
overflow, optimizer. Contestants take turns on the same GPU; images a second are medians of rounds. `bare` and
`compiled-bare` replay the recorded half up to the gradients and nothing else: what the GPU itself needs for it.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from nin.data.preprocess import Preprocess
from nin.data.whiten import Zca
from nin.network.architecture import NIN
from nin.network.architecture import nin as default_network
from nin.paper.tables import ROWS
from nin.training import gpu, hardware, replay
from nin.training.loop import Trainer
from nin.training.recipes import default_recipe
from nin.training.state import Pictures

ROUNDS, NEVER = 3, 10**9
CONTESTANTS = ["launched", "recorded", "compiled", "bare", "compiled-bare"]
SIZE = 10_000  # pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each contestant, in all its rounds")
    parser.add_argument("--only", nargs="+", default=["cifar10", "cifar10-augmented", "mnist", "default"])
    parser.add_argument("--contestants", nargs="+", choices=CONTESTANTS, default=CONTESTANTS)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    machine = hardware.choose("cuda")
    settings = ExitStack()
    settings.enter_context(hardware.applied(machine))  # until this function ends
    found = {}
    for name in arguments.only:
        steps = {who: contestant(name, who, machine) for who in arguments.contestants}
        rates: dict[str, list[float]] = {who: [] for who in steps}
        for _ in range(ROUNDS):
            for who, (step, batch) in steps.items():
                rates[who].append(batch * rate(step, arguments.seconds / ROUNDS))
        found[name] = rates
        for who, all_rates in rates.items():
            low, middle, high = min(all_rates), statistics.median(all_rates), max(all_rates)
            if not arguments.json:
                print(f"{name:20} {who:10} {middle:9,.0f} images/s ({low:,.0f} to {high:,.0f})", flush=True)
    if arguments.json:
        print(json.dumps({"machine": hardware.environment(machine), "images a second": found}))


def contestant(name: str, who: str, machine: hardware.Hardware) -> tuple[Callable[[], object], int]:
    """A training step of this kind, warmed up, and its number of pictures."""
    gpu.COMPILED = 1 if who.startswith("compiled") else NEVER
    replay.LAUNCHED = NEVER if who == "launched" else 3
    made = trainer(name, machine)
    batch = np.arange(made.batch_size)
    made.model.train()
    for _ in range(5):
        made.step(batch)
    if who.endswith("bare"):
        (recording,) = made.stepper.learn.recordings.values()
        return recording.again, len(batch)
    return partial(made.step, batch), len(batch)


def trainer(name: str, machine: hardware.Hardware) -> Trainer:
    rng = np.random.default_rng(0)
    if name == "default":
        model = NIN(default_network(10, 3), generator=torch.Generator().manual_seed(0))
        recipe = default_recipe(50_000, flip=True, colour=True)
    else:
        row = ROWS[name]
        model, recipe = row.build(torch.Generator().manual_seed(0), False), row.recipe(epochs=1)
    side, channels = (28, 1) if name == "mnist" else (32, 3)
    preprocess = Preprocess((side, side), channels, "stretch", (0.5,) * channels, (0.25,) * channels)
    if name.startswith("cifar10"):
        size = 3 * side * side
        zca = Zca(np.zeros(size, np.float32), np.eye(size, dtype=np.float32), SIZE)
        preprocess = replace(preprocess, normalisation="gcn-zca", zca=zca)
    labels = rng.integers(0, 10, SIZE)
    pictures = Pictures(rng.integers(0, 256, (SIZE, side, side, channels)).astype(np.uint8), labels)
    return Trainer(model, pictures, pictures, preprocess, replace(recipe, lr=1e-4), machine)


def rate(step: Callable[[], object], seconds: float) -> float:
    """Steps a second."""
    step()
    torch.cuda.synchronize()
    start, count = time.perf_counter(), 0
    while time.perf_counter() < start + seconds:
        for _ in range(20):
            step()
        count += 20
        torch.cuda.synchronize()
    return count / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
