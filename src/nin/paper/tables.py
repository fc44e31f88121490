"""The paper's tables and figures: its numbers, the network and recipe of each row, and the verdict on both.

Errors are in percent of the test pictures. Source of all numbers: Lin et al. 2013, tables 1 to 5 and section 4.6.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import nn

from nin.choices import Normalisation
from nin.network.architecture import NIN
from nin.network.author_networks import author_cifar10, author_cifar100, author_mnist, author_svhn
from nin.network.config import NINConfig
from nin.network.relatives import nin_fc_maps
from nin.training import author_recipes
from nin.training.recipes import Recipe

Build = Callable[[torch.Generator, bool], nn.Module]
MENDED: dict[str, Any] = {"init": "kaiming", "last_relu": False}  # the repairs of `nin train`; ours: docs/paper.md


@dataclass(frozen=True)
class DataSet:
    """A data set of the paper: the kind that `open_source` finds, and how it must look.

    classes: their number; shape: (H, W, C); train and test: numbers of pictures in the whole set; mean: between which
    values the mean pixel lies (0 to 1), where another set has the same format.
    """

    title: str
    kind: str
    classes: int
    shape: tuple[int, int, int]
    train: int
    test: int
    normalisation: Normalisation
    mean: tuple[float, float] = (0.0, 1.0)


DATA_SETS = {
    "cifar10": DataSet("CIFAR-10", "cifar10", 10, (32, 32, 3), 50_000, 10_000, "gcn-zca"),
    "cifar100": DataSet("CIFAR-100", "cifar100", 100, (32, 32, 3), 50_000, 10_000, "gcn-zca"),
    "svhn": DataSet("SVHN", "svhn", 10, (32, 32, 3), 604_388, 26_032, "lcn"),
    "mnist": DataSet("MNIST", "idx", 10, (28, 28, 1), 60_000, 10_000, "standard", mean=(0.10, 0.16)),
}


@dataclass(frozen=True)
class Row:
    """One row of a table that is run: its words, the paper's error, the data set, network and recipe (of epochs).

    build: the network from a generator; True gives it the author's own start, False one that is MENDED.
    """

    key: str
    title: str
    paper: float
    data: str
    build: Build
    recipe: Callable[..., Recipe]


@dataclass(frozen=True)
class Part:
    """A table or a figure: the rows that are run for it, and the paper's other rows, which are not."""

    name: str
    title: str
    rows: tuple[str, ...]
    others: tuple[tuple[str, float], ...] = ()


def _nin(make: Callable[..., NINConfig], dropout: float = 0.5) -> Build:
    return lambda generator, strict: NIN(make(dropout=dropout, **_start(strict)), generator=generator)


def _fc(dropout: float) -> Build:
    return lambda generator, strict: nin_fc_maps(dropout=dropout, generator=generator, **_start(strict))


def _start(strict: bool) -> dict[str, Any]:
    return {} if strict else MENDED


ROWS = {
    row.key: row
    for row in (
        Row("cifar10", "NIN + Dropout", 10.41, "cifar10", _nin(author_cifar10), author_recipes.author_cifar10_recipe),
        Row("cifar10-augmented", "NIN + Dropout + data augmentation", 8.81, "cifar10", _nin(author_cifar10),
            partial(author_recipes.author_cifar10_recipe, augment=True)),
        Row("cifar10-no-dropout", "NIN without Dropout", 14.51, "cifar10", _nin(author_cifar10, dropout=0.0),
            author_recipes.author_cifar10_recipe),
        Row("cifar10-fc", "mlpconv + fully connected", 11.59, "cifar10", _fc(0.0),
            author_recipes.author_cifar10_recipe),
        Row("cifar10-fc-dropout", "mlpconv + fully connected + Dropout", 10.88, "cifar10", _fc(0.5),
            author_recipes.author_cifar10_recipe),
        Row("cifar100", "NIN + Dropout", 35.68, "cifar100", _nin(author_cifar100),
            author_recipes.author_cifar100_recipe),
        Row("svhn", "NIN + Dropout", 2.35, "svhn", _nin(author_svhn), author_recipes.author_svhn_recipe),
        Row("mnist", "NIN + Dropout", 0.47, "mnist", _nin(author_mnist), author_recipes.author_mnist_recipe),
    )
}  # fmt: skip

PARTS = {
    part.name: part
    for part in (
        Part(
            "table1",
            "Table 1: CIFAR-10",
            ("cifar10", "cifar10-augmented"),
            (
                ("Stochastic Pooling", 15.13),
                ("CNN + Spearmint", 14.98),
                ("Conv. maxout + Dropout", 11.68),
                ("CNN + Spearmint + data augmentation", 9.50),
                ("Conv. maxout + Dropout + data augmentation", 9.38),
                ("DropConnect + 12 networks + data augmentation", 9.32),
            ),
        ),
        Part(
            "table2",
            "Table 2: CIFAR-100",
            ("cifar100",),
            (
                ("Learned Pooling", 43.71),
                ("Stochastic Pooling", 42.51),
                ("Conv. maxout + Dropout", 38.57),
                ("Tree based priors", 36.85),
            ),
        ),
        Part(
            "table3",
            "Table 3: SVHN",
            ("svhn",),
            (
                ("Stochastic Pooling", 2.80),
                ("Rectifier + Dropout", 2.78),
                ("Rectifier + Dropout + synthetic translation", 2.68),
                ("Conv. maxout + Dropout", 2.47),
                ("Multi-digit number recognition", 2.16),
                ("DropConnect", 1.94),
            ),
        ),
        Part(
            "table4",
            "Table 4: MNIST",
            ("mnist",),
            (
                ("2-layer CNN + 2-layer NN", 0.53),
                ("Stochastic Pooling", 0.47),
                ("Conv. maxout + Dropout", 0.45),
            ),
        ),
        Part(
            "table5",
            "Table 5: global average pooling against fully connected layers, CIFAR-10",
            ("cifar10-fc", "cifar10-fc-dropout", "cifar10", "cifar10-no-dropout"),
        ),
        Part("figure3", "Figure 3: with and without dropout, CIFAR-10", ("cifar10", "cifar10-no-dropout")),
        Part("figure4", "Figure 4: category maps, CIFAR-10", ("cifar10",)),
    )
}


@dataclass(frozen=True)
class Protocol:
    """How much is run: by data set, epochs, and the number of first training pictures where not all are taken.

    watched: test pictures that each epoch of a curve is measured on, the first ones; None: all, as the last epoch is.
    ours: whether it is our own shortened one, whose errors may not be held beside the paper's.
    """

    name: str
    epochs: dict[str, int]
    pictures: dict[str, int]
    watched: int | None
    ours: bool

    def recipe(self, row: Row, seed: int) -> Recipe:
        """The row's recipe at this length."""
        return replace(row.recipe(epochs=self.epochs[row.data]), seed=seed)


PROTOCOLS = {
    "full": Protocol("full", dict.fromkeys(DATA_SETS, author_recipes.EPOCHS), {}, None, ours=False),
    "short": Protocol(
        "short",
        {"cifar10": 25, "cifar100": 25, "svhn": 25, "mnist": 30},
        {"cifar10": 10_000, "cifar100": 10_000, "svhn": 10_000},
        2_000,
        ours=True,
    ),
}


# Minutes of one training, as recorded: experiments/2026-11-24-paper (two cores without AVX-512; one NVIDIA H200).
# Those at full length on two cores are by the pictures that a training takes, docs/log.md (275 a second).
MINUTES: dict[tuple[str, str], dict[str, float]] = {
    ("short", "cpu"): {"cifar10": 18, "cifar100": 18, "svhn": 18, "mnist": 121},
    ("short", "cuda"): {"cifar10": 0.25, "cifar100": 0.25, "svhn": 0.25, "mnist": 1},
    ("full", "cpu"): {"cifar10": 800, "cifar100": 800, "svhn": 9500, "mnist": 1050},
    ("full", "cuda"): {"cifar10": 5.5, "cifar100": 5.5, "svhn": 66, "mnist": 5.8},
}


def expectation(plan: Protocol, rows: Sequence[Row], seeds: int, device: str) -> str:
    """How long these rows will take, roughly, and what a short training cannot tell: for before the start."""
    minutes = seeds * sum(MINUTES[plan.name, device][row.data] for row in rows)
    long = f"{minutes / 60:,.0f} hours" if minutes >= 120 else f"{max(1, minutes):,.0f} minutes"
    machine = "one NVIDIA H200" if device == "cuda" else "two cores"
    count = seeds * len(rows)
    trainings = "1 training" if count == 1 else f"{count} trainings"
    told = f"{trainings} with the {plan.name} protocol: about {long} on {machine}, by what was recorded"
    if not plan.ours:
        return told
    limits = "; its errors are not the paper's"
    if any("fc" in row.key for row in rows):
        limits += ", and so short a training reverses table 5: fully connected layers come out ahead"
    return f"{told}{limits}; --protocol full is the author's length"


def row_summary(row: Row, runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean, spread and minutes of a row's finished runs, beside the paper's error."""
    errors = [run["error"] for run in runs if run["started"]]
    return {
        "row": row.key,
        "title": row.title,
        "paper": row.paper,
        "error": round(statistics.mean(errors), 3) if errors else None,
        "spread": round(statistics.stdev(errors), 3) if len(errors) > 1 else None,
        "n": len(errors),
        "dead starts": len(runs) - len(errors),
        "minutes": round(statistics.mean(run["minutes"] for run in runs), 1) if runs else None,
    }


def verdict(part: Part, rows: Sequence[dict[str, Any]], protocol: Protocol) -> str:
    """What the numbers allow to say, in one sentence."""
    found = {row["row"]: row for row in rows if row["error"] is not None}
    missing = [ROWS[key].title for key in part.rows if key not in found]
    lacking = f"; not run yet: {', '.join(missing)}" if missing else ""
    if not found:
        return "nothing is run yet"
    if protocol.ours:
        return f"short protocol, ours: its errors are not the paper's; {_order(found)}{lacking}"
    words = []
    for row in found.values():
        apart = row["error"] - row["paper"]
        within = abs(apart) <= max(0.3, 2 * (row["spread"] or 0.0))
        judged = "reproduced" if within else "better than the paper" if apart < 0 else "not reproduced"
        words.append(f"{row['title']}: {judged} ({apart:+.2f} points)")
    return "; ".join(words) + lacking


def _order(found: dict[str, dict[str, Any]]) -> str:
    """Whether the rows that were run come in the paper's order; pairs closer than their spread do not count."""
    if len(found) < 2:
        return "one row alone has no order"
    wrong = []
    close = 0
    rows = sorted(found.values(), key=lambda row: row["paper"])
    for place, better in enumerate(rows):
        for worse in rows[place + 1 :]:
            apart = worse["error"] - better["error"]
            noise = 2 * max(better["spread"] or 0.0, worse["spread"] or 0.0)
            if abs(apart) <= noise:
                close += 1
            elif apart < 0:
                wrong.append(f"{worse['title']} is better than {better['title']}")
    if close == len(rows) * (len(rows) - 1) // 2:
        return "the rows are too close to call"
    undecided = f" ({close} pair{'s' if close > 1 else ''} too close to call)" if close else ""
    if wrong:
        return f"the order is not the paper's: {'; '.join(wrong)}{undecided}"
    return f"the rows come in the paper's order{undecided}"
