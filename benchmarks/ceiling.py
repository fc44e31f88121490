"""What this machine can do at most: matrix products in float32 and bfloat16, and memory bandwidth, by threads.

    python benchmarks/ceiling.py [--size 2048] [--repeats 10]

Best of `repeats` after two to warm up; prints a table and, with --json, one JSON object. GFLOP/s count a multiply-add
as two; bandwidth counts bytes read and written by a copy of 256 MB.
"""

import argparse
import json
import time
from collections.abc import Callable

import torch

PATIENCE = 1.0  # seconds for one product; in bfloat16 it takes a minute on a CPU that has no instructions for it
SMALL = 256  # the size that is measured in place of such a product
COPY = 64 << 20  # float32 values: far above any cache


def best_seconds(work: Callable[[], object], repeats: int) -> float:
    """The shortest of `repeats` timings, after two runs to warm up."""
    work(), work()
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def products(dtype: torch.dtype, size: int, repeats: int) -> float:
    """GFLOP/s of size^3 products."""
    left, right = (torch.randn(size, size).to(dtype) for _ in range(2))
    return 2 * size**3 / best_seconds(lambda: left @ right, repeats) / 1e9


def measure(threads: int, size: int, repeats: int) -> dict[str, float]:
    """GFLOP/s of size^3 products in both precisions and GB/s of a copy, with that many threads."""
    torch.set_num_threads(threads)
    found: dict[str, float] = {"threads": threads}
    for name in ("float32", "bfloat16"):
        found[name] = products(getattr(torch, name), SMALL, repeats)
        if 2 * size**3 / 1e9 < PATIENCE * found[name]:
            found[name] = products(getattr(torch, name), size, repeats)
    source, target = torch.ones(COPY), torch.zeros(COPY)
    found["copy"] = 2 * source.nbytes / best_seconds(lambda: target.copy_(source), repeats) / 1e9
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = [measure(threads, arguments.size, arguments.repeats) for threads in sorted({1, torch.get_num_threads()})]
    if arguments.json:
        print(json.dumps(rows))
        return
    print("threads  float32 GFLOP/s  bfloat16 GFLOP/s  copy GB/s")
    for row in rows:
        print(f"{row['threads']:7.0f}  {row['float32']:15.0f}  {row['bfloat16']:16.0f}  {row['copy']:9.1f}")


if __name__ == "__main__":
    main()
