"""A page for each model of the package: what it was trained on, how, for how long, and how good it became.

Everything but the command comes from the model's own folder, which holds the recipe, the machine and the curve of its
training. `python docs/generate.py` writes the pages, docs/models/NAME.md and the curve beside it.
"""

import csv
import io
import json
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from nin.report.svg import results_svg
from nin.training.recipes import Recipe

PAGES = Path(__file__).resolve().parent / "models"
LARGE = "--network nin-large --holdout 0.02 --statistics-batch 256"
COMMANDS = {  # what was typed, and where the run is written up
    "nin-cifar10": (f"nin train cifar --epochs 40 {LARGE}", "2026-11-24-cifar10"),
    "nin-mnist": (f"nin train mnist --epochs 8 {LARGE}", "2026-11-24-grey"),
    "nin-fashion": (f"nin train fashion --epochs 20 --flip on --mirror {LARGE}", "2026-11-24-grey"),
    "nin-clothing": ("nin train photos --from none", "2026-11-30-clothing"),
    "nin-photos": (
        "nin train things --network nin.yaml --size 48 --epochs 16 --out photos-48; "
        "nin train things --from photos-48 --size 64 --epochs 6 --lr 0.015",
        "2026-11-30-photos",
    ),
}
NAMES = {  # fields of a recipe that read better in other words
    "lr": "learning rate",
    "other_lr": "learning rate of biases, normalisations and the last layer",
    "statistics_batch": "pictures normalised together",
    "batch_size": "pictures a step",
    "weight_decay": "weight decay",
    "label_smoothing": "label smoothing",
    "warmup": "share of the run in which the rate rises",
}


def model_pages(weights: Path) -> dict[Path, str]:
    """Path -> text of every page and every curve, for the models in `weights`."""
    texts = {}
    for folder in sorted(path.parent for path in weights.glob("*/config.json")):
        texts[PAGES / f"{folder.name}.md"] = page(folder)
        texts[PAGES / f"{folder.name}.svg"] = results_svg(curve(folder)) + "\n"
    return texts


def page(folder: Path) -> str:
    """The recipe of one model on one page."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    ours = config["nin"]
    about, metrics, machine = ours["provenance"], ours["metrics"], ours["provenance"]["machine"]
    command, experiment = COMMANDS[folder.name]
    low, high = metrics["interval"]
    size = " x ".join(map(str, ours["preprocess"]["size"]))
    hours = about["seconds"] / 3600
    time = f"{hours:.1f} hours" if hours >= 1 else f"{60 * hours:.0f} minutes"
    threads = f"{machine['threads']} of {machine['cores']} cores"
    network = ours["network"]
    mirror = ", mean of the picture and its mirror image" if network["mirror"] else ""
    blocks = " - ".join("/".join(map(str, block["channels"])) for block in network["blocks"])
    rows = [
        ("data", f"`{about['data']}`, {about['pictures']:,} pictures to train on. {about.get('note', '')}".strip()),
        ("network", f"`{network['name']}` for pictures of {size}: {about['parameters']:,} parameters{mirror}"),
        ("mlpconv layers", f"{len(network['blocks'])}: {blocks} maps"),
        ("begun with", about.get("begun with", "random weights")),
        ("command", f"`{command}`, [log](../../experiments/{experiment}/README.md)"),
        ("recipe", recipe(about["recipe"])),
        ("augmentation", augmentation(about["recipe"]["augmentation"])),
        ("time", f"{time}, {about['epochs']} epochs"),
        ("machine", f"{machine['cpu']}, {threads}, {machine['instructions']}, {machine['precision']}"),
        ("accuracy", f"**{metrics['accuracy']:.2%}** of {metrics['n']:,} {metrics['split']} pictures "
         f"(95 % interval {low:.1%} to {high:.1%}), in half precision, as shipped"),
        ("calibration error", f"{metrics['ece']:.3f}"),
    ]  # fmt: skip
    table = "".join(f"| {what} | {value} |\n" for what, value in rows)
    return (
        f"# {folder.name}\n\nOne run, as it comes with the package. Written by `python docs/generate.py` from the "
        f"model's own folder.\n\n| what | |\n|---|---|\n{table}\n"
        f"![Loss, accuracy and learning rate over the epochs]({folder.name}.svg)\n"
    )


def recipe(found: dict[str, Any]) -> str:
    """What a recipe says that is not as usual, and what every one must say."""
    always = {"optimizer", "lr", "batch_size", "weight_decay", "label_smoothing"}
    usual = {each.name: each.default for each in fields(Recipe) if each.default is not MISSING}
    said = []
    for name, value in found.items():
        if name in ("epochs", "seed", "augmentation") or (name not in always and value == usual.get(name)):
            continue
        if value is None or value in ([], ()):
            continue
        said.append(f"{NAMES.get(name, name.replace('_', ' '))} {value}")
    return ", ".join(said)


def augmentation(found: dict[str, Any]) -> str:
    """The random changes of the training pictures."""
    said = [name if value is True else f"{name} {value:g}" for name, value in found.items() if value]
    return ", ".join(said) or "none"


def curve(folder: Path) -> list[dict[str, float]]:
    """The rows of training.csv."""
    rows = csv.DictReader(io.StringIO((folder / "training.csv").read_text(encoding="utf-8")))
    return [{name: float(value) for name, value in row.items()} for row in rows]
