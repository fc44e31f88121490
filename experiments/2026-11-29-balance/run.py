"""Class imbalance: nothing, loss weights and the sampler at 10, 30 and 100 to 1, judged by balanced accuracy.

    python experiments/2026-11-29-balance/run.py [--epochs 20] [--only WAY ...]

Two classes of scikit-learn's real digits: one digit against the nine others, 600 of these and 60, 20 or 6 of that one
to learn from, all the rest to measure on. Seed 0 asks for 8, seed 1 for 3, seed 2 for 9. The way "torch" is what
--balance weights was before: torch's own class weights, which multiply the smoothed part of the targets too. Finished
trainings are kept in result.json; delete it to begin afresh.
"""

import argparse
import json
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

from nin.data.preprocess import Preprocess
from nin.network.architecture import NIN, nin
from nin.training import hardware
from nin.training.evaluation import evaluate_probabilities, softmax
from nin.training.loop import Trainer
from nin.training.recipes import default_recipe
from nin.training.state import Pictures, State

RESULT = Path(__file__).resolve().parent / "result.json"
MACHINE = hardware.Hardware("cpu", 1, "float32")
PREPROCESS = Preprocess((16, 16), 1, "stretch", (0.3,), (0.38,))
COMMON, RATIOS = 600, (10, 30, 100)
RARE = (8, 3, 9)  # the digit of seed 0, 1 and 2
WAYS = ("none", "weights", "sampler", "torch")


def learn_as_torch(state: State, model: nn.Module, share: float, x, targets, labels):  # type: ignore[no-untyped-def]
    """`State.learn` with the loss as it was: class weights and smoothing both left to torch."""
    logits = model(x)
    smoothing = state.recipe.label_smoothing
    loss = share * F.cross_entropy(logits, targets, weight=state.class_weights, label_smoothing=smoothing)
    right = (logits.argmax(1) == labels).sum().float()
    return list(torch.autograd.grad(loss, state.trained)), torch.stack([loss.detach(), right])


def pictures(ratio: int, seed: int) -> tuple[Pictures, Pictures]:
    """Training pictures with `ratio` of the common class to one of the rare, and all others: (N, 16, 16, 1) uint8."""
    raw = load_digits()
    images = np.kron(np.round(raw.images * 255 / 16), np.ones((2, 2))).astype(np.uint8)[..., None]
    labels = (raw.target == RARE[seed]).astype(np.int64)
    mixed = np.random.default_rng(seed).permutation(len(labels))
    rare, common = mixed[labels[mixed] == 1], mixed[labels[mixed] == 0]
    few = COMMON // ratio
    train, rest = np.concatenate([common[:COMMON], rare[:few]]), np.concatenate([common[COMMON:], rare[few:]])
    return Pictures(images[train], labels[train]), Pictures(images[rest], labels[rest])


def measure(way: str, ratio: int, seed: int, epochs: int) -> dict[str, object]:
    """Train once; accuracies in 0..1 on the pictures not trained on."""
    train, rest = pictures(ratio, seed)
    recipe = default_recipe(len(train), flip=False, colour=False, epochs=epochs)
    recipe = replace(recipe, balance="weights" if way == "torch" else way, seed=seed)
    model = NIN(nin(2, 1, width=0.25), generator=torch.Generator().manual_seed(seed))
    trainer = Trainer(model, train, rest, PREPROCESS, recipe, MACHINE)
    if way == "torch":
        trainer.state.learn = partial(learn_as_torch, trainer.state)  # type: ignore[method-assign]
    for _ in trainer.epochs():
        pass
    found = evaluate_probabilities(softmax(trainer.logits(rest.images)), rest.labels, ("others", str(RARE[seed])))
    recalls = [round(score.recall, 4) for score in found.per_class]
    return {
        "balanced accuracy": round(found.balanced_accuracy, 4),
        "accuracy": round(found.accuracy, 4),
        "recall": recalls,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--only", nargs="+", choices=WAYS, default=WAYS)
    chosen = parser.parse_args()
    settings = ExitStack()
    settings.enter_context(hardware.applied(MACHINE))  # until this function ends
    results = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    for seed in range(len(RARE)):
        for ratio in RATIOS:
            for way in chosen.only:
                name = f"{way} {ratio}:1 seed {seed}"
                if name not in results:
                    results[name] = measure(way, ratio, seed, chosen.epochs)
                    RESULT.write_text(json.dumps(results, indent=1) + "\n")
                    print(name, results[name], flush=True)
    for way in chosen.only:
        for ratio in RATIOS:
            values = [results[f"{way} {ratio}:1 seed {seed}"]["balanced accuracy"] for seed in range(len(RARE))]
            print(f"{way:8} {ratio:3}:1  {np.mean(values):.1%} +- {np.std(values, ddof=1):.1%}  n = {len(values)}")


if __name__ == "__main__":
    main()
