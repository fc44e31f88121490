"""The mlpconv layers of the author's CIFAR-10 network, forward and backward: fused, torch.compile and plain cuDNN.

    python experiments/2026-11-24-fused-mlpconv/bench.py --batch 1024
    python experiments/2026-11-24-fused-mlpconv/bench.py --device cpu --batch 8 --rounds 2    # does the script work?

All contestants take turns in one process, in bfloat16 and channels last, with random inputs and the gradient of a
random direction. `whole` times the spatial convolution too, `1x1` only what comes after it. The floors are measured in
the same run: the bytes that a fused layer must move at the speed of a copy, and its products at the speed of a large
matrix product. Writes result.json. The fused files and layers.patch are laid over a copy of the package, not into it.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parents[1] / "src" / "nin"
COMPILE = {"cuda": "max-autotune-no-cudagraphs", "cpu": "default"}
SIDES = (32, 16, 8)  # pixels; of the maps that the three mlpconv layers make of 32 x 32 pictures


def overlay(folder: Path) -> None:
    """A copy of the package with the kernels in it."""
    shutil.copytree(SOURCE, folder / "src" / "nin")
    for name in ("fused.py", "kernels.py"):
        shutil.copy(HERE / name, folder / "src" / "nin" / "network" / name)
    subprocess.run(["git", "apply", "--unsafe-paths", "--directory=.", HERE / "layers.patch"], cwd=folder, check=True)


def seconds(call: Callable[[], object], rounds: int, wait: Callable[[], None]) -> list[float]:
    found = []
    for _ in range(rounds + 2):
        wait()
        start = time.perf_counter()
        call()
        wait()
        found.append(time.perf_counter() - start)
    return found[2:]


def floors(device: str, rounds: int, wait: Callable[[], None]) -> tuple[float, float]:
    """Bytes a second of a copy (read and written) and operations a second of a bfloat16 product."""
    import torch

    size = 2**28 if device == "cuda" else 2**24
    a = torch.empty(size, dtype=torch.bfloat16, device=device)
    b = torch.empty_like(a)
    side = 8192 if device == "cuda" else 1024
    c = torch.randn(side, side, dtype=torch.bfloat16, device=device)
    copy = min(seconds(lambda: b.copy_(a), rounds, wait))
    product = min(seconds(lambda: c @ c, rounds, wait))
    return 2 * a.numel() * 2 / copy, 2 * side**3 / product


def measure(arguments: argparse.Namespace) -> dict:
    """One row for each layer and part: milliseconds of every contestant, and what the floors would allow."""
    import torch

    from nin.network.architecture import NIN
    from nin.network.author_networks import author_cifar10

    device = arguments.device
    wait = torch.cuda.synchronize if device == "cuda" else (lambda: None)
    bandwidth, rate = floors(device, arguments.rounds, wait)
    model = NIN(author_cifar10()).to(device, torch.bfloat16, memory_format=torch.channels_last)
    rows = []
    for layer, side in zip(model.blocks, SIDES, strict=True):
        first, widths = layer.spatial, [c.out_channels for c in layer.convolutions]
        for part in ("1x1", "whole"):
            width, taps = (widths[0], 0) if part == "1x1" else (first.in_channels, first.weight.numel())
            x = torch.randn(arguments.batch, width, side, side, device=device, dtype=torch.bfloat16)
            x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
            places = arguments.batch * side * side
            moved = 2 * places * 2 * (width + widths[-1])  # bytes: maps in and out, and their gradients
            products = taps + sum(a * b for a, b in pairwise(widths))
            found = contest(layer, part, x, arguments.rounds, wait)
            rows.append({
                "widths": widths, "part": part, "side": side,
                "milliseconds": {name: [round(1e3 * t, 4) for t in times] for name, times in found.items()},
                "memory floor": round(1e3 * moved / bandwidth, 4),
                "arithmetic floor": round(1e3 * 3 * 2 * places * products / rate, 4),
            })  # fmt: skip
    return {"bytes a second": bandwidth, "operations a second": rate, "rows": rows}


def contest(layer: Any, part: str, x: Any, rounds: int, wait: Callable[[], None]) -> dict[str, list[float]]:
    """Seconds of a forward and backward pass for each contestant, in turn."""
    import torch

    from nin.network import fused

    tail = layer.convolutions[1:]
    pieces = [layer.activation, *(piece for convolution in tail for piece in (convolution, layer.activation))]
    plain = layer if part == "whole" else torch.nn.Sequential(*pieces[: None if layer.last_activation else -1])
    weights, biases = [c.weight for c in tail], [c.bias for c in tail]
    parameters = list(plain.parameters())
    with torch.no_grad():
        layer.fused = False
        upstream = torch.randn_like(plain(x))

    def step(forward: Callable[[torch.Tensor], torch.Tensor], fuse: bool) -> None:
        layer.fused = fuse
        torch.autograd.grad(forward(x), [x, *parameters], upstream)

    contestants = {"plain": (plain, False), "compile": (torch.compile(plain, mode=COMPILE[x.device.type]), False)}
    if x.is_cuda:
        alone = lambda value: fused.pointwise(value, weights, biases, layer.last_activation)  # noqa: E731
        contestants["fused"] = (layer if part == "whole" else alone, True)
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(3):
        for name, (forward, fuse) in contestants.items():
            found[name] += seconds(lambda f=forward, s=fuse: step(f, s), rounds, wait)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--out", type=Path, default=HERE / "result.json")
    arguments = parser.parse_args()
    if "NIN_FUSED_OVERLAY" not in os.environ:
        with tempfile.TemporaryDirectory() as folder:
            overlay(Path(folder))
            there = {"PYTHONPATH": str(Path(folder) / "src"), "NIN_FUSED_OVERLAY": "1"}
            raise SystemExit(subprocess.run([sys.executable, *sys.argv], env={**os.environ, **there}).returncode)
    result = measure(arguments)
    for row in result["rows"]:
        times = {name: statistics.median(values) for name, values in row["milliseconds"].items()}
        best = min(times["plain"], times["compile"])
        ratio = f"  fused {best / times['fused']:.2f} times the best other" if "fused" in times else ""
        print(row["part"], row["widths"], {name: round(value, 3) for name, value in times.items()},
              f"floors {row['memory floor']} (memory) {row['arithmetic floor']} (arithmetic) ms{ratio}")  # fmt: skip
    arguments.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
