"""What more ranks bring on one machine: pictures a second of the author's CIFAR-10 network under torchrun.

    python benchmarks/ddp_scaling.py [--ranks 1 2] [--threads 1] [--rounds 3] [--steps 8] [--batch 128] [--device auto]

The whole batch stays the same (strong scaling). With --threads every rank has that many threads, so that two ranks
have twice the cores of one; without, the cores are divided among the ranks, and one rank with all of them is the one
to beat. On GPUs there is one rank to a GPU. Rounds in turn (1, 2, 1, 2 ...), each in fresh processes, so that a busy
neighbour hurts all. Prints pictures a second per round, medians, and the ratio to one rank.
"""

import argparse
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack


def measure(steps: int, batch: int, device: str, threads: int | None) -> None:
    """One rank: rank 0 prints pictures a second of the whole team, after two steps to warm up."""
    import numpy as np

    from nin.data.preprocess import Preprocess
    from nin.network.architecture import NIN, author_cifar10
    from nin.training import hardware
    from nin.training.distributed import joined
    from nin.training.loop import Trainer
    from nin.training.recipes import Recipe
    from nin.training.state import Pictures

    rng = np.random.default_rng(0)
    data = Pictures(rng.integers(0, 256, (4 * batch, 32, 32, 3), np.uint8), rng.integers(0, 10, 4 * batch))
    with joined() as team:
        machine = hardware.choose(device, threads, team=team)
        settings = ExitStack()
        settings.enter_context(hardware.applied(machine))  # until this function ends
        pre = Preprocess((32, 32), 3, "stretch", (0.5,) * 3, (0.5,) * 3)
        trainer = Trainer(NIN(author_cifar10()), data, data, pre, Recipe(1, batch_size=batch, lr=1e-3), machine, team)
        trainer.model.train()
        batches = [np.arange(batch) + batch * i for i in range(4)]
        for i in range(2 + steps):
            if i == 2:
                start = time.perf_counter()
            trainer.step(batches[i % 4])  # ends with a value read back: nothing is left under way
        if team.first:
            print(steps * batch / (time.perf_counter() - start))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--threads", type=int, help="of each rank; by default the cores are divided")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rank-of-one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rank_of_one:
        measure(options.steps, options.batch, options.device, options.threads)
        return
    rates: dict[int, list[float]] = {ranks: [] for ranks in options.ranks}
    words = ["--steps", options.steps, "--batch", options.batch, "--device", options.device, "--rank-of-one"]
    words += ["--threads", options.threads] if options.threads else []
    for round_ in range(options.rounds):
        for ranks in options.ranks:
            run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", ranks, __file__]
            plain = [sys.executable, __file__]  # one process starts alone, with all its threads
            command = [str(word) for word in [*(plain if ranks == 1 else run), *words]]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            rates[ranks].append(float(done.stdout))
            print(f"round {round_ + 1}  {ranks} ranks  {rates[ranks][-1]:8.1f} pictures/s", flush=True)
    first = statistics.median(rates[options.ranks[0]])
    for ranks, found in rates.items():
        median = statistics.median(found)
        print(f"{ranks} ranks: median {median:.1f} pictures/s, {median / first:.2f} times {options.ranks[0]} ranks")


if __name__ == "__main__":
    main()
