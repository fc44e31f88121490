"""Pictures from memory, from the mapped cache and streamed from shards, in turn, in one run; and their peak memory.

    python benchmarks/streaming.py [--rounds 5] [--pictures 12800] [--sizes 10000 20000 40000] [--json FILE]

PNG pictures of CIFAR's size (32 x 32, smooth colours and a little noise, so that they compress) are written into
shards of 5,000. read: batches of 128 in a shuffled order, pictures a second, nothing else done. train: the same
batches through the Trainer that `nin train` runs, on the author's CIFAR-10 network. Every contestant runs in a process
of its own, rounds in turn (memory, mapped, streamed, memory ...). Then the peak resident memory of one epoch of
reading for growing sets; mapped pages, which the system may drop at any time, count in it.
"""

import argparse
import io
import json
import resource
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from PIL import Image

from nin.data.cache import decode_split
from nin.data.preprocess import Preprocess
from nin.data.sources import open_source
from nin.data.stream import prefetch

BATCH, SHARD = 128, 5_000
WAYS = {
    "memory": {"memory_limit": 2**62, "stream": False},
    "mapped": {"memory_limit": 0, "stream": False},
    "streamed": {"stream": True},
}
PREPROCESS = Preprocess((32, 32), 3, "stretch", (0.5,) * 3, (0.25,) * 3)


def write_shards(folder: Path, count: int) -> Path:
    """`count` labelled pictures in shards of SHARD."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for start in range(0, count, SHARD):
        with tarfile.open(folder / f"train-{start // SHARD:06}.tar", "w") as tar:
            for number in range(start, min(start + SHARD, count)):
                small = Image.fromarray(random.integers(0, 256, (5, 5, 3), dtype=np.uint8))
                smooth = np.asarray(small.resize((32, 32), Image.Resampling.BICUBIC)).astype(np.int64)
                noisy = (smooth + random.integers(-6, 7, smooth.shape)).clip(0, 255).astype(np.uint8)
                png = io.BytesIO()
                Image.fromarray(noisy).save(png, "PNG")
                for name, data in ((f"{number:07}.png", png.getvalue()), (f"{number:07}.cls", b"%d" % (number % 10))):
                    member = tarfile.TarInfo(name)
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
    return folder


def measure(way: str, folder: Path, steps: int) -> dict[str, float]:
    """Pictures a second read and trained on, `steps` batches of the latter; peak memory in MiB after reading."""
    source = open_source(folder, split=False)
    split = source.splits["train"]
    cache = folder.with_name("cache")
    decoded = decode_split(split, PREPROCESS, key=source.fingerprint, cache_dir=cache, **WAYS[way])
    rows = np.random.default_rng(1).permutation(len(split))
    start = time.perf_counter()
    prefetch(decoded.images, rows)
    for first in range(0, len(rows), BATCH):
        decoded.images[rows[first : first + BATCH]]
    found = {"read": len(rows) / (time.perf_counter() - start)}
    found["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if steps:
        found["train"] = train(decoded.images, split.labels, rows[: (steps + 3) * BATCH])
    return found


def train(images, labels: np.ndarray, rows: np.ndarray) -> float:
    """Pictures a second of the Trainer's steps on `rows`, the first three not counted."""
    from nin.network.architecture import NIN, author_cifar10
    from nin.training import hardware
    from nin.training.loop import Trainer
    from nin.training.recipes import Recipe
    from nin.training.state import Pictures

    machine = hardware.choose()
    settings = ExitStack()
    settings.enter_context(hardware.applied(machine))  # until this function ends
    data = Pictures(images, labels)
    trainer = Trainer(NIN(author_cifar10()), data, data, PREPROCESS, Recipe(1, BATCH, lr=0.01), machine)
    trainer.model.train()
    prefetch(images, rows)
    begun = 0.0
    for step in range(len(rows) // BATCH):
        if step == 3:
            begun = time.perf_counter()
        trainer.step(rows[step * BATCH : (step + 1) * BATCH])
    return (len(rows) // BATCH - 3) * BATCH / (time.perf_counter() - begun)


def child(way: str, folder: Path, steps: int) -> dict[str, float]:
    words = [sys.executable, __file__, "--only", way, "--folder", str(folder), "--steps", str(steps)]
    return json.loads(subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20, help="timed training steps a round")
    parser.add_argument("--pictures", type=int, default=12_800)
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 20_000, 40_000], help="sets for peak memory")
    parser.add_argument("--json", type=Path, help="write everything there")
    parser.add_argument("--only", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(measure(arguments.only, arguments.folder, arguments.steps)))
        return
    if arguments.pictures < (arguments.steps + 3) * BATCH:
        parser.error(
            f"--pictures is {arguments.pictures}; {arguments.steps} steps need {(arguments.steps + 3) * BATCH}"
        )
    speed: dict[str, list[dict]] = {way: [] for way in WAYS}
    peaks: dict[str, dict[int, float]] = {way: {} for way in WAYS}
    with tempfile.TemporaryDirectory() as place:
        folder = write_shards(Path(place, "speed"), arguments.pictures)
        child("mapped", folder, 0)  # the cache file is made once, before anything is timed
        for _ in range(arguments.rounds):
            for way in WAYS:
                speed[way].append(child(way, folder, arguments.steps))
        for size in arguments.sizes:
            folder = write_shards(Path(place, str(size)), size)
            child("mapped", folder, 0)
            for way in WAYS:
                peaks[way][size] = child(way, folder, 0)["peak_mib"]
    for way, rounds in speed.items():
        for what in ("read", "train"):
            rates = [row[what] for row in rounds]
            ratios = [rate / other[what] for rate, other in zip(rates, speed["memory"], strict=True)]
            print(
                f"{way:8} {what:5} {statistics.median(rates):9,.0f} pictures/s "
                f"({min(rates):,.0f} to {max(rates):,.0f}), "
                f"{statistics.median(ratios):.2f} x memory ({min(ratios):.2f} to {max(ratios):.2f}), n={len(rates)}"
            )
    for way, found in peaks.items():
        print(f"{way:8} peak  " + ", ".join(f"{size:,} pictures {peak:,.0f} MiB" for size, peak in found.items()))
    if arguments.json:
        arguments.json.write_text(json.dumps({"speed": speed, "peaks": peaks}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
