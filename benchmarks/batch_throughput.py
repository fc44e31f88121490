"""Throughput of nin batch beside the bare engine's best loop, on the same pictures, in turn in one run.

    python benchmarks/batch_throughput.py                     # 10,000 JPEGs of 256 x 256, three rounds
    python benchmarks/batch_throughput.py --pictures 2000 --rounds 1

The bare loop reads, decodes, resizes and computes what nin batch does, and keeps the answers in memory. Two are tried
in every round, and the better one counts: one thread a core, each with its own pictures and an engine of one thread;
and one engine on all cores with as many threads decoding the next pictures meanwhile. Of nin batch the rate between the
first and the last finished part is compared (the aim is 0.8), and that of the whole command is told with it, Ray's
start and end and all. Beside the rates stand milliseconds of processor time a picture, of all processes together: on a
machine that is busy with other things they tell more, as who has more threads is given more of the cores.
"""

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
from PIL import Image
from sklearn.datasets import load_sample_images

import nin
from nin.bulk.worker import BATCH
from nin.data.machine import usable_cores
from nin.engine.engine import Engine, open_engine
from nin.run.options import Listener

AIM = 0.8


class Clock(Listener):
    """When parts were finished: seconds, seconds of processor time so far, pictures."""

    def __init__(self) -> None:
        self.parts: list[tuple[float, float, int]] = []

    def answered(self, done: int, total: int) -> None:  # noqa: ARG002  as the Listener has it
        self.parts.append((time.perf_counter(), spent(), done))

    def between(self) -> tuple[float, float]:
        """Pictures a second, and milliseconds of processor time a picture, between the first and the last part."""
        (began, before, first), (ended, after, last) = self.parts[0], self.parts[-1]
        return (last - first) / (ended - began), 1000 * (after - before) / (last - first)


def spent() -> float:
    """Seconds of processor time of this process and of all that it has started and still runs."""
    total = time.process_time()
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:2])
    return total


def write_pictures(folder: Path, count: int, side: int) -> list[Path]:
    """Cuts of two photographs as JPEGs, a thousand a folder."""
    rng, photographs = np.random.default_rng(0), load_sample_images().images
    paths = []
    for number in range(count):
        top, left = int(rng.integers(0, 427 - side)), int(rng.integers(0, 640 - side))
        path = folder / f"{number // 1000:03d}" / f"{number:06d}.jpg"
        path.parent.mkdir(exist_ok=True, parents=True)
        Image.fromarray(photographs[number % 2][top : top + side, left : left + side]).save(path, quality=85)
        paths.append(path)
    return paths


def by_threads(engine: Engine, paths: Sequence[Path], cores: int) -> None:
    """One thread a core; each reads, decodes and computes its own pictures."""

    def work(part: Sequence[Path]) -> None:
        for start in range(0, len(part), BATCH):
            engine.run(np.stack([engine.preprocess.load(path) for path in part[start : start + BATCH]]))

    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(work, [paths[core::cores] for core in range(cores)]))


def by_batches(engine: Engine, paths: Sequence[Path], cores: int) -> None:
    """One engine on all cores, the next batch decoded while one is computed."""
    with ThreadPoolExecutor(cores) as pool:
        waiting = [pool.submit(engine.preprocess.load, path) for path in paths[:BATCH]]
        for start in range(0, len(paths), BATCH):
            images = np.stack([future.result() for future in waiting])
            waiting = [pool.submit(engine.preprocess.load, path) for path in paths[start + BATCH : start + 2 * BATCH]]
            engine.run(images)


def measure(model: str, folder: Path, paths: list[Path], cores: int, block_size: int) -> dict[str, float]:
    """One round: pictures a second of each."""
    found = {}
    for name, loop, threads in (("threads", by_threads, 1), ("batches", by_batches, cores)):
        engine = open_engine(model, threads=threads)
        engine.run(np.zeros((1, *engine.preprocess.size, engine.preprocess.channels), np.uint8))
        began, before = time.perf_counter(), spent()
        loop(engine, paths, cores)
        found[name] = len(paths) / (time.perf_counter() - began)
        found[f"{name}, ms"] = 1000 * (spent() - before) / len(paths)
    clock, out = Clock(), folder / "answers"
    choices = {"workers": cores, "block_size": block_size, "runtime": "onnxruntime"}  # as the bare engine has it
    done = nin.batch(model, folder / "pictures", out, listener=clock, **choices)
    shutil.rmtree(out)
    assert (done.pictures, done.errors) == (len(paths), 0)
    found["nin batch"], found["nin batch, ms"] = clock.between()
    found["whole command"] = done.images_per_second
    return {**found, "ratio": found["nin batch"] / max(found["threads"], found["batches"])}


def main() -> None:
    """Measure, print each round and the medians, and say whether the aim is reached."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="nin-cifar10")
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--block-size", type=int, default=256)
    options = parser.parse_args()
    cores = usable_cores()
    with tempfile.TemporaryDirectory() as name:
        paths = write_pictures(Path(name) / "pictures", options.pictures, options.side)
        rounds = []
        for _ in range(options.rounds):
            rounds.append(measure(options.model, Path(name), paths, cores, options.block_size))
            print(json.dumps({key: round(value, 3) for key, value in rounds[-1].items()}), flush=True)
    medians = {key: statistics.median(found[key] for found in rounds) for key in rounds[0]}
    print(f"{options.pictures:,} pictures, {cores} cores; pictures a second, medians of {options.rounds}:")
    for key, value in medians.items():
        print(f"  {key:<14}{value:>8,.2f}")
    print(f"aim {AIM}: {'reached' if medians['ratio'] >= AIM else 'missed'}")


if __name__ == "__main__":
    main()
