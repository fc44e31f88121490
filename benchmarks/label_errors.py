"""How well wrong labels are found: some are planted among real digits, in training and in held-out pictures alike.

    python benchmarks/label_errors.py              # 4 shares of wrong labels, 3 seeds each

A small network learns from labels of which a share is wrong; then held-out pictures are suspected as in the report of
a run. Prints precision (suspects whose label was planted) and recall (planted labels that are suspected), with
the rule's two halves: confident alone, and confident and the same in every view.
"""

import argparse
import statistics
from dataclasses import replace

import numpy as np
import torch

from nin.claims.placed_digits import Placed, placed
from nin.claims.small_trainings import CLASSES, SIDE, STANDARD, Workbench, network, preprocess_for
from nin.training import hardware
from nin.training.evaluation import softmax
from nin.training.label_errors import candidates, consistent, views
from nin.training.loop import predict_logits


def with_errors(pictures: Placed, share: float, rng: np.random.Generator) -> tuple[Placed, np.ndarray]:
    """The pictures with that share of their labels wrong, and which are (N,) bool."""
    planted = rng.random(len(pictures.labels)) < share
    other = (pictures.labels + rng.integers(1, CLASSES, len(planted))) % CLASSES
    return replace(pictures, labels=np.where(planted, other, pictures.labels)), planted


def scores(found: np.ndarray, planted: np.ndarray) -> tuple[float, float, int]:
    """Precision and recall in percent, and how many pictures are suspected."""
    hits = int(planted[found].sum())
    return 100 * hits / max(1, len(found)), 100 * hits / max(1, int(planted.sum())), len(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.0, 0.02, 0.05, 0.1])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=8)
    chosen = parser.parse_args()
    machine = hardware.choose("cpu", precision="float32")
    torch.manual_seed(0)
    for share in chosen.shares:
        found: dict[str, list[tuple[float, float, int]]] = {"confident": [], "confident and consistent": []}
        for seed in range(chosen.seeds):
            rng = np.random.default_rng(seed)
            train, _ = with_errors(placed("train"), share, rng)
            held, planted = with_errors(placed("test", seed=1), share, rng)
            with hardware.applied(machine):
                bench = Workbench(machine)
                model = bench.learn(network(STANDARD), train, chosen.epochs, seed).model
                logits = predict_logits(model, held.images, preprocess_for(SIDE), machine)
                rows = candidates(softmax(logits), held.labels)
                moved = views(held.images, rows)
                seen = [predict_logits(model, view, preprocess_for(SIDE), machine) for view in moved]
            found["confident"].append(scores(rows, planted))
            same = consistent(logits.argmax(1)[rows], np.stack(seen))
            found["confident and consistent"].append(scores(rows[same], planted))
        for rule, each in found.items():
            precision, recall, count = (statistics.mean(values) for values in zip(*each, strict=True))
            print(
                f"{share:4.0%} planted, {rule:<24}: precision {precision:5.1f} %, recall {recall:5.1f} %, "
                f"{count:.1f} suspected of {len(planted)}",
                flush=True,
            )


if __name__ == "__main__":
    main()
