"""Training throughput of the author's CIFAR-10 network, batch 128: ours beside plain PyTorch, in turn, in one run.

    python benchmarks/train_throughput.py [--rounds 5] [--steps 6]

plain: the usual recipe, float32, NCHW, eager, SGD with momentum. ours: the Trainer that `nin train` runs
(normalisation, augmentation and all), with the precision, memory layout and allocator that it chooses on this machine.
Every contestant runs in a process of its own, rounds in turn (plain, ours, plain, ours ...), so that a busy neighbour
hurts both. Also measured in the same run: the machine's float32 and bfloat16 matrix products, which bound both.
Prints images a second per round, medians, the ratio, and the share of the matrix ceiling (3 x 222,486,528
multiply-adds an image, forward and backward).
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

BATCH = 128
MACS = 3 * 222_486_528  # forward, gradient of the inputs, gradient of the weights


def plain(steps: int) -> float:
    import torch
    import torch.nn.functional as F

    from nin.network.architecture import NIN, author_cifar10

    torch.manual_seed(0)
    model = NIN(author_cifar10())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    x, y = torch.randn(BATCH, 3, 32, 32), torch.randint(0, 10, (BATCH,))

    def step() -> None:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return rate(step, steps)


def ours(steps: int) -> float:
    import numpy as np

    from nin.data.preprocess import Preprocess
    from nin.network.architecture import NIN, author_cifar10
    from nin.training import hardware
    from nin.training.loop import Pictures, Trainer
    from nin.training.recipes import default_recipe

    machine = hardware.choose()
    hardware.apply(machine)
    from dataclasses import replace

    pixels = np.random.default_rng(0).integers(0, 256, (BATCH * 4, 32, 32, 3), dtype=np.uint8)
    data = Pictures(pixels, np.arange(BATCH * 4) % 10)
    pre = Preprocess((32, 32), 3, "stretch", (0.5,) * 3, (0.25,) * 3)
    recipe = replace(default_recipe(50_000, flip=True, colour=True), batch_size=BATCH)
    trainer = Trainer(NIN(author_cifar10()), data, data, pre, recipe, machine)
    batches = [np.arange(BATCH) + BATCH * i for i in range(4)]
    count = iter(range(10**9))
    trainer.model.train()
    return rate(lambda: trainer.step(batches[next(count) % 4]), steps)


def rate(step, steps: int) -> float:
    """Images a second: the median of `steps` steps after three to warm up."""
    for _ in range(3):
        step()
    seconds = []
    for _ in range(steps):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return BATCH / statistics.median(seconds)


def ceiling(_: int) -> dict:
    import torch

    from nin.training import hardware

    hardware.apply(hardware.choose())
    rates = {d: 2 * hardware.matrix_rate(getattr(torch, d), size=2048) / 1e9 for d in ("float32", "bfloat16")}
    return {**rates, "machine": hardware.environment(hardware.choose())}


CONTESTANTS = {"plain": plain, "ours": ours, "ceiling": ceiling}


def child(name: str, steps: int) -> dict | float:
    done = subprocess.run(
        [sys.executable, __file__, "--only", name, "--steps", str(steps)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6, help="timed steps a round")
    parser.add_argument("--only", choices=CONTESTANTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(CONTESTANTS[arguments.only](arguments.steps)))
        return
    limits = child("ceiling", 0)
    results: dict[str, list[float]] = {"plain": [], "ours": []}
    for _ in range(arguments.rounds):
        for name, values in results.items():
            values.append(child(name, arguments.steps))
    medians = {name: statistics.median(values) for name, values in results.items()}
    ratios = [b / a for a, b in zip(results["plain"], results["ours"], strict=True)]
    best = max(limits["float32"], limits["bfloat16"])
    print(f"machine: {json.dumps(limits['machine'])}")
    print(f"matrix products: float32 {limits['float32']:.0f}, bfloat16 {limits['bfloat16']:.0f} GFLOP/s")
    for name, values in results.items():
        share = medians[name] * 2 * MACS / 1e9 / best
        rounds = " ".join(f"{v:.0f}" for v in values)
        print(f"{name:6} median {medians[name]:.1f} images/s, {share:.0%} of the better ceiling (rounds: {rounds})")
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}, n={len(ratios)}"
    print(f"ratio ours / plain: median {statistics.median(ratios):.2f}, {spread}")
    print(f"most that any code at this ceiling could reach: {best * 1e9 / (2 * MACS) / medians['plain']:.2f}")


if __name__ == "__main__":
    main()
