"""What this machine can do at most: matrix products in float32 and bfloat16, and memory bandwidth, by threads.

    python benchmarks/ceiling.py [--sides 512 1024 2048 4096] [--pictures 64] [--seconds 1] [--json]

A processor is not equally fast at all shapes, so the best of several counts: square products, and those of the 1x1
layers of our networks on `--pictures` pictures of 32 x 32 (pixels x C times C x C'). Every shape is multiplied for
`--seconds`, three times at least, after one to warm up; its shortest product counts, and the shape that won is named,
with its time on the clock and the processor's: where the second is less than threads times the first, something else
wanted the cores. A shape that would take more than two seconds a product is left out. Bandwidth counts bytes read and
written by a copy of 256 MB. Prints a table, or one JSON object with every shape.
"""

import argparse
import json
import time
from collections.abc import Callable

import torch

from nin.network.anatomy import anatomy
from nin.network.architecture import author_cifar10, nin, nin_large

PATIENCE = 2.0  # seconds for one product; in bfloat16 a large one takes a minute where there are no instructions for it
SMALL = 256  # side of the first product; how long others take is guessed by the best so far
COPY = 64 << 20  # float32 values: far above any cache
FEWEST = 3
Shape = tuple[int, int, int]  # M, K, N of (M, K) @ (K, N)


def pointwise(pictures: int) -> list[Shape]:
    """The products of the 1x1 layers of the networks that others are measured with, each shape once."""
    found = set()
    for network in (author_cifar10(), nin(10), nin_large(10)):
        for layer in anatomy(network, (3, 32, 32)).layers:
            if layer.kind == "1x1":
                maps, height, width = layer.output
                found.add((pictures * height * width, layer.macs // (maps * height * width), maps))
    return sorted(found)


def shortest(work: Callable[[], object], seconds: float) -> tuple[float, float]:
    """(wall, processor) seconds of the shortest run of `work`, repeated for `seconds` after one to warm up."""
    work()
    found = []
    end = time.perf_counter() + seconds
    while len(found) < FEWEST or time.perf_counter() < end:
        processor = time.process_time()
        start = time.perf_counter()
        work()
        found.append((time.perf_counter() - start, time.process_time() - processor))
    return min(found)


def product(dtype: torch.dtype, shape: Shape, seconds: float) -> dict:
    """The shape, its GFLOP/s (a multiply-add is two) and the two times of its shortest product."""
    rows, inner, columns = shape
    left, right = torch.randn(rows, inner).to(dtype), torch.randn(inner, columns).to(dtype)
    wall, processor = shortest(lambda: left @ right, seconds)
    rate = 2 * rows * inner * columns / wall / 1e9
    return {"shape": list(shape), "gflops": rate, "wall_seconds": wall, "processor_seconds": processor}


def measure(threads: int, shapes: list[Shape], seconds: float) -> dict:
    """GFLOP/s of the best shape in both precisions, what every shape gave, and GB/s of a copy."""
    torch.set_num_threads(threads)
    found: dict = {"threads": threads, "shapes": {}}
    for name in ("float32", "bfloat16"):
        dtype = getattr(torch, name)
        rows = [product(dtype, (SMALL,) * 3, min(seconds, 0.1))]
        for shape in shapes:
            if 2 * shape[0] * shape[1] * shape[2] / 1e9 < PATIENCE * max(row["gflops"] for row in rows):
                rows.append(product(dtype, shape, seconds))
        found["shapes"][name] = rows
        found[name] = max(row["gflops"] for row in rows)
    source, target = torch.ones(COPY), torch.zeros(COPY)
    found["copy"] = 2 * source.nbytes / shortest(lambda: target.copy_(source), seconds)[0] / 1e9
    return found


def lines(row: dict) -> list[str]:
    """One line a precision, with the shape that won, and one for the copy."""
    said = []
    for name, rows in row["shapes"].items():
        best = max(rows, key=lambda each: each["gflops"])
        shape = " x ".join(f"{side:,}" for side in best["shape"])
        times = f"{1000 * best['wall_seconds']:.2f} ms, {1000 * best['processor_seconds']:.2f} ms of processors"
        said.append(f"{row['threads']:7}  {name:8} {best['gflops']:6.0f} GFLOP/s  {shape}: {times}")
    return [*said, f"{row['threads']:7}  copy     {row['copy']:6.1f} GB/s"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[512, 1024, 2048, 4096], help="of square products")
    parser.add_argument("--pictures", type=int, default=64, help="of the 1x1 layers")
    parser.add_argument("--seconds", type=float, default=1.0, help="for every shape")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    shapes = [*((side,) * 3 for side in arguments.sides), *pointwise(arguments.pictures)]
    rows = [measure(threads, shapes, arguments.seconds) for threads in sorted({1, torch.get_num_threads()})]
    if arguments.json:
        print(json.dumps(rows))
        return
    print(*(line for row in rows for line in lines(row)), sep="\n")


if __name__ == "__main__":
    main()
