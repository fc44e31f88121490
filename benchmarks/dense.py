"""Answers for every window of a picture: the network slid over it, and the same network made convolutional, in turn.

    python benchmarks/dense.py [--side 512] [--rounds 5] [--threads N] [--out FILE]

A VGG-like network without padding for windows of 64 x 64 (two stages of two 3x3 convolutions and pooling, one more
convolution, fully connected layers) with random weights. Sliding takes the windows in batches of the size that was the
fastest of several on the first thousand. Both ways compute the same answers: checked on these before anything counts,
and on all windows in every round. Rounds alternate in one process; a ratio is that of the times within a round, on the
clock and in processor time, which says more on a busy machine (with one thread: waiting threads spend it too).
"""

import argparse
import json
import os
import platform
import statistics
import time
from pathlib import Path

import torch
from torch import nn

from nin.network.anatomy import anatomy
from nin.network.surgery import convolutionize

WINDOW = (3, 64, 64)
BATCHES = (8, 32, 128)
TRIAL = 1024  # windows on which the size of a batch is chosen
TOLERANCE = 1e-5


def network(classes: int = 10) -> nn.Sequential:
    """The network to be made convolutional: (N, 3, 64, 64) -> (N, K)."""
    layers: list[nn.Module] = []
    for before, after in ((3, 8), (8, 16)):
        layers += [nn.Conv2d(before, after, 3), nn.ReLU(), nn.Conv2d(after, after, 3), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Conv2d(16, 8, 3), nn.ReLU(), nn.Flatten()]  # (N, 8, 11, 11) -> (N, 968)
    return nn.Sequential(*layers, nn.Linear(8 * 11 * 11, 32), nn.ReLU(), nn.Dropout(), nn.Linear(32, classes)).eval()


def slide(model: nn.Module, picture: torch.Tensor, stride: int, batch: int, most: int | None = None) -> torch.Tensor:
    """Logits (windows, K) of the windows of a picture (3, H, W), row by row; of the first `most` only."""
    windows = picture.unfold(1, WINDOW[1], stride).unfold(2, WINDOW[2], stride)  # (3, h, w, 64, 64), a view
    down, across = windows.shape[1:3]
    answers = []
    for numbers in torch.arange(most or down * across).split(batch):
        part = windows[:, numbers // across, numbers % across]  # (3, N, 64, 64)
        answers.append(model(part.transpose(0, 1).contiguous()))
    return torch.cat(answers)


def timed(work) -> tuple[tuple[float, float], torch.Tensor]:
    """Seconds on the clock and of processor time, and what `work` answered."""
    clock, processor = time.perf_counter(), time.process_time()
    answers = work()
    return (time.perf_counter() - clock, time.process_time() - processor), answers


def expect_same(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest difference of two lists of logits; ends the program when it is too large."""
    difference = float((found - expected[: len(found)]).abs().max())
    if not difference <= TOLERANCE:
        raise SystemExit(f"the answers differ by {difference:.1e}; expected at most {TOLERANCE:.0e}")
    return difference


@torch.no_grad()
def compare(side: int, rounds: int) -> dict:
    """Check that both ways agree, then time them in turn, and check again what the timed ones answered."""
    torch.manual_seed(0)
    model, picture = network(), torch.randn(3, side, side)
    dense = convolutionize(model, WINDOW)
    stride = dense.meta["stride"][0]

    def once() -> torch.Tensor:
        return dense(picture[None])[0].flatten(1).T  # (windows, K)

    answers, trial, slid, made, differences = once(), {}, [], [], []
    for batch in BATCHES:
        trial[batch], found = timed(lambda batch=batch: slide(model, picture, stride, batch, min(TRIAL, len(answers))))
        differences.append(expect_same(found, answers))
    batch = min(trial, key=trial.get)
    for _ in range(rounds):
        spent, found = timed(lambda: slide(model, picture, stride, batch))
        slid.append(spent)
        spent, answers = timed(once)
        made.append(spent)
        assert len(found) == len(answers)
        differences.append(expect_same(found, answers))
    ratios, processor = ([one[at] / other[at] for one, other in zip(slid, made, strict=True)] for at in (0, 1))
    work = len(answers) * anatomy(model, WINDOW).macs, anatomy(dense, (3, side, side)).macs
    return {
        "picture": [3, side, side],
        "window": list(WINDOW),
        "stride": stride,
        "windows": len(answers),
        "largest_difference": max(differences),
        "batch": batch,
        "batch_trial_seconds": {batch: clock for batch, (clock, _) in trial.items()},
        "sliding_seconds": [clock for clock, _ in slid],
        "dense_seconds": [clock for clock, _ in made],
        "sliding_processor_seconds": [spent for _, spent in slid],
        "dense_processor_seconds": [spent for _, spent in made],
        "ratios": ratios,
        "ratio_median": statistics.median(ratios),
        "processor_ratios": processor,
        "processor_ratio_median": statistics.median(processor),
        "macs_sliding": work[0],
        "macs_dense": work[1],
        "threads": torch.get_num_threads(),
        "load_average": os.getloadavg()[0],
        "torch": torch.__version__,
        "machine": platform.processor() or platform.machine(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=512, help="side of the picture, in pixels")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="write everything there as JSON")
    parser.add_argument("--threads", type=int, help="of torch, by default as many as it chooses")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    found = compare(arguments.side, arguments.rounds)
    slid, made, ratios = found["sliding_seconds"], found["dense_seconds"], found["ratios"]
    processor = found["processor_ratios"]
    print(
        f"{found['windows']:,} windows of {WINDOW[1]}x{WINDOW[2]}, {found['stride']} pixels apart, in a picture of "
        f"{arguments.side}x{arguments.side}; answers agree to {found['largest_difference']:.1e}"
    )
    print(
        f"sliding, batches of {found['batch']}: {statistics.median(slid):7.3f} s ({min(slid):.3f} to {max(slid):.3f})"
    )
    print(f"dense, one pass:        {statistics.median(made):7.3f} s ({min(made):.3f} to {max(made):.3f})")
    print(
        f"{found['ratio_median']:.0f} times faster ({min(ratios):.0f} to {max(ratios):.0f}), in processor time "
        f"{found['processor_ratio_median']:.0f} times ({min(processor):.0f} to {max(processor):.0f}), n={len(ratios)}"
    )
    print(
        f"{found['macs_sliding'] / found['macs_dense']:.0f} times fewer multiply-adds; load {found['load_average']:.1f}"
    )
    if arguments.out:
        arguments.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
