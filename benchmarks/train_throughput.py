"""Training throughput of the author's CIFAR-10 network, batch 128: ours beside the usual ways, in turn, in one run.

    python benchmarks/train_throughput.py [--rounds 5] [--steps 6] [--busy] [--json FILE]      (make bench-train)

plain: the usual recipe, float32, NCHW, eager, SGD with momentum. d2l: the book's loop on the same network (DataLoader,
SGD without momentum). compile: plain under torch.compile. ours: the Trainer that `nin train` runs (normalisation,
augmentation and all), with the precision, memory layout and allocator that it chooses on this machine.
Every contestant runs in a process of its own, rounds in turn (plain, d2l, compile, ours, plain ...), so that a busy
neighbour hurts all. --busy measures again with one other process that keeps one core busy. Also measured in the same
run: the machine's matrix products (benchmarks/ceiling.py), which bound all (3 x 222,486,528 multiply-adds an image,
forward and backward), and each contestant's peak resident memory.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

SETTINGS = ExitStack()  # of this process, from the first measurement on
BATCH = 128
MACS = 3 * 222_486_528  # forward, gradient of the inputs, gradient of the weights


def usual(*, compiled: bool = False, momentum: float = 0.9, loader: bool = False) -> Callable[[], None]:
    """One step of the author's network as most people would write it; `loader` as in the book."""
    import torch
    import torch.nn.functional as F

    from nin.network.architecture import NIN, author_cifar10

    torch.manual_seed(0)
    model = NIN(author_cifar10())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=momentum, weight_decay=1e-4)
    forward = torch.compile(model) if compiled else model
    x, y = torch.randn(4 * BATCH, 3, 32, 32), torch.randint(0, 10, (4 * BATCH,))

    def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        data = torch.utils.data.TensorDataset(x, y)
        while True:
            yield from torch.utils.data.DataLoader(data, BATCH, shuffle=True) if loader else [(x[:BATCH], y[:BATCH])]

    feed = batches()

    def step() -> None:
        pictures, labels = next(feed)
        loss = F.cross_entropy(forward(pictures), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def ours() -> Callable[[], None]:
    import numpy as np

    from nin.data.augment import Augmentation
    from nin.data.preprocess import Preprocess
    from nin.network.architecture import NIN, author_cifar10
    from nin.training import hardware
    from nin.training.loop import Trainer
    from nin.training.recipes import Recipe
    from nin.training.state import Pictures

    machine = hardware.choose()
    SETTINGS.enter_context(hardware.applied(machine))
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH * 4, 32, 32, 3), dtype=np.uint8)
    data = Pictures(pixels, np.arange(BATCH * 4) % 10)
    pre = Preprocess((32, 32), 3, "stretch", (0.5,) * 3, (0.25,) * 3)
    recipe = Recipe(1, BATCH, augmentation=Augmentation(flip=True, shift=0.1))
    trainer = Trainer(NIN(author_cifar10()), data, data, pre, recipe, machine)
    batches = [np.arange(BATCH) + BATCH * i for i in range(4)]
    count = iter(range(10**9))
    trainer.model.train()

    def step() -> None:
        trainer.step(batches[next(count) % 4])

    return step


CONTESTANTS: dict[str, Callable[[], Callable[[], None]]] = {
    "plain": usual,
    "d2l": lambda: usual(momentum=0.0, loader=True),
    "compile": lambda: usual(compiled=True),
    "ours": ours,
}


def rate(step: Callable[[], None], steps: int) -> dict[str, float]:
    """Images a second (median of `steps` steps after three to warm up), the process's peak memory in MiB, and by how
    much the memory that it holds grew from the first timed step to the last."""
    for _ in range(3):
        step()
    before = resident()
    seconds = []
    for _ in range(steps):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"rate": BATCH / statistics.median(seconds), "peak_mib": peak, "growth_mib": resident() - before}


def resident() -> float:
    """MiB that this process holds in memory now; Linux only, elsewhere 0."""
    table = Path("/proc/self/statm")
    return int(table.read_text().split()[1]) * resource.getpagesize() / 2**20 if table.exists() else 0.0


def child(*words: str) -> dict:
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def rounds_of(names: list[str], rounds: int, steps: int) -> dict[str, list[dict]]:
    """{contestant: its rounds}, in turn."""
    found: dict[str, list[dict]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            found[name].append(child(__file__, "--only", name, "--steps", str(steps)))
    return found


def table(found: dict[str, list[dict]], ceiling: float) -> list[str]:
    """One line a contestant: images a second, share of the ceiling, ratio to plain, peak memory."""
    lines = []
    for name, rows in found.items():
        rates = [row["rate"] for row in rows]
        ratios = [rate / plain["rate"] for rate, plain in zip(rates, found["plain"], strict=True)]
        lines.append(
            f"{name:8} {statistics.median(rates):6.1f} images/s ({min(rates):.0f} to {max(rates):.0f}), "
            f"{statistics.median(rates) * MACS * 2 / 1e9 / ceiling:4.0%} of the ceiling, "
            f"{statistics.median(ratios):.2f} x plain ({min(ratios):.2f} to {max(ratios):.2f}), "
            f"peak {max(row['peak_mib'] for row in rows):,.0f} MiB "
            f"({max(row['growth_mib'] for row in rows):+.0f} while timed), n={len(rates)}"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6, help="timed steps a round")
    parser.add_argument("--contestants", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS))
    parser.add_argument("--busy", action="store_true", help="measure again beside a process that keeps a core busy")
    parser.add_argument("--json", type=Path, help="write everything there")
    parser.add_argument("--only", choices=CONTESTANTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(rate(CONTESTANTS[arguments.only](), arguments.steps)))
        return
    names = ["plain", *(name for name in arguments.contestants if name != "plain")]
    limits = child(str(Path(__file__).with_name("ceiling.py")), "--json", "--seconds", "0.3")
    ceiling = max(max(row["float32"], row["bfloat16"]) for row in limits)
    print(
        f"matrix products: float32 {limits[-1]['float32']:.0f}, bfloat16 {limits[-1]['bfloat16']:.0f} GFLOP/s",
        flush=True,
    )
    found = {"ceiling": limits, "quiet": rounds_of(names, arguments.rounds, arguments.steps)}
    print(*table(found["quiet"], ceiling), sep="\n", flush=True)
    if arguments.busy:
        neighbour = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        try:
            found["busy"] = rounds_of(names, arguments.rounds, arguments.steps)
        finally:
            neighbour.kill()
        print("beside a busy process:", *table(found["busy"], ceiling), sep="\n")
        for name in names:
            quiet, busy = (statistics.median(row["rate"] for row in found[key][name]) for key in ("quiet", "busy"))
            print(f"{name:8} keeps {busy / quiet:.0%} of its quiet throughput")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
