"""Accuracy against cost: our networks at several widths, bottlenecks, ResNet-20 and a MobileNet, in equal minutes.

    python experiments/2026-11-24-family/run.py CIFAR_FOLDER [--minutes 10] [--threads 1] [--together 2]

Each contestant trains for the same minutes on as many threads with the recipe of nin.training.recipes (the schedule
follows the clock) on the first 45,000 training pictures and is measured once on the official test split; `--together`
lets so many train side by side. Afterwards, with nothing beside it, latency: one picture at a time and batches of 64,
float32, all cores, median of 30. Finished contestants are kept in result.json, so it can be stopped and started again;
then table.md is written and pareto.png drawn: accuracy against multiply-adds, with the front that nothing beats.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nin.data.preprocess import Preprocess
from nin.data.sources import open_source
from nin.network.architecture import NIN, nin, nin_large
from nin.network.config import NINConfig
from nin.training import hardware
from nin.training.evaluation import wilson_interval
from nin.training.loop import Trainer
from nin.training.recipes import default_recipe
from nin.training.state import Pictures

HERE = Path(__file__).resolve().parent
RESULT = HERE / "result.json"
HELD_OUT = 5_000
PREPROCESS = Preprocess((32, 32), 3, "stretch", (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))


def bottleneck(share: float) -> NINConfig:
    """Our network with its last 1x1 layers narrowed to `share`: fewer maps into the expensive spatial layers."""
    config = nin(10)
    blocks = [
        replace(block, channels=(*block.channels[:-1], max(8, round(block.channels[-1] * share / 8) * 8)))
        for block in config.blocks[:-1]
    ]
    return replace(config, blocks=(*blocks, config.blocks[-1]))


class Residual(nn.Module):
    """Two 3x3 convolutions and a shortcut, a 1x1 projection where sizes change: (N, C, H, W) -> (N, C', h, w)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first, self.second = convolution(before, after, 3, stride), convolution(after, after, 3, 1)
        same = before == after and stride == 1
        self.shortcut = nn.Identity() if same else convolution(before, after, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(F.relu(self.first(x))) + self.shortcut(x))


def convolution(before: int, after: int, kernel: int, stride: int, groups: int = 1) -> nn.Sequential:
    layer = nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(after))


def resnet20() -> nn.Module:
    """He et al. 2016, section 4.2, n = 3, with projections: 272,474 parameters."""
    widths = [16] * 4 + [32] * 3 + [64] * 3
    blocks = [Residual(before, after, 1 if before == after else 2) for before, after in pairwise(widths)]
    return classifier([convolution(3, 16, 3, 1), nn.ReLU(), *blocks], 64)


def mobilenet() -> nn.Module:
    """Depthwise 3x3 and 1x1 layers (Howard et al. 2017) at CIFAR's size."""
    layers: list[nn.Module] = [convolution(3, 32, 3, 1), nn.ReLU()]
    plan = [(32, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 1), (512, 512, 1)]
    for before, after, stride in plan:
        layers += [convolution(before, before, 3, stride, groups=before), nn.ReLU()]
        layers += [convolution(before, after, 1, 1), nn.ReLU()]
    return classifier(layers, 512)


def classifier(layers: list[nn.Module], width: int) -> nn.Module:
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))
    model.num_classes = 10
    return model


CONTESTANTS: dict[str, Callable[[], nn.Module]] = {
    **{f"nin, width {width:g}": (lambda w=width: NIN(nin(10, width=w))) for width in (0.25, 0.5, 0.75, 1.0)},
    **{f"nin-large, width {width:g}": (lambda w=width: NIN(nin_large(10, width=w))) for width in (0.5, 1.0)},
    **{f"nin, bottleneck {share:g}": (lambda s=share: NIN(bottleneck(s))) for share in (0.25, 0.5, 0.75)},
    "ResNet-20": resnet20,
    "MobileNet": mobilenet,
}


def macs_of(model: nn.Module) -> int:
    """Multiply-adds of all convolutions and linear layers for one 32 x 32 picture, by watching a forward pass."""
    total, hooks = 0, []

    def count(layer: nn.Module, _: object, output: Tensor) -> None:
        nonlocal total
        total += layer.weight[0].numel() * output[0].numel()

    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            hooks.append(layer.register_forward_hook(count))
    model.eval()(torch.zeros(1, 3, 32, 32))
    for hook in hooks:
        hook.remove()
    return total


def latency(model: nn.Module, batch: int) -> float:
    """Median milliseconds of a forward pass of `batch` pictures."""
    x = torch.randn(batch, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    seconds = []
    with torch.inference_mode():
        for _ in range(35):
            start = time.perf_counter()
            model.eval()(x)
            seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds[5:])


def contend(name: str, folder: Path, minutes: float, threads: int | None) -> dict:
    """Train one contestant and measure its accuracy."""
    machine = hardware.choose(threads=threads)
    settings = ExitStack()
    settings.enter_context(hardware.applied(machine))  # until this function ends
    torch.manual_seed(0)
    model = CONTESTANTS[name]()
    splits = open_source(folder, split=False).splits
    train, test = (Pictures(np.asarray(splits[part].images), splits[part].labels) for part in ("train", "test"))
    recipe = default_recipe(45_000, flip=True, colour=True)
    # one thread normalised whole batches when this was measured
    recipe = replace(recipe, epochs=1000, statistics_batch=recipe.batch_size, max_seconds=60 * minutes)
    held_out = Pictures(train.images[-HELD_OUT:], train.labels[-HELD_OUT:])
    seen = Pictures(train.images[:-HELD_OUT], train.labels[:-HELD_OUT])
    trainer = Trainer(model, seen, held_out, PREPROCESS, recipe, machine)
    for epoch in trainer.epochs():
        print(f"{name}: {epoch.epoch} {epoch.val_accuracy:.4f} {epoch.images_per_second:.0f} images/s", flush=True)
    right = int((trainer.logits(test.images).argmax(1) == test.labels).sum())
    return {
        "name": name, "accuracy": right / len(test), "interval": wilson_interval(right, len(test)), "n": len(test),
        "validation": epoch.val_accuracy, "epochs": epoch.epoch, "minutes": minutes,
        "parameters": sum(p.numel() for p in model.parameters()), "macs": macs_of(model),
        "machine": hardware.environment(machine),
    }  # fmt: skip


def front(rows: list[dict]) -> list[dict]:
    """The rows that no other beats in both accuracy and multiply-adds, cheapest first."""
    best, kept = -1.0, []
    for row in sorted(rows, key=lambda row: (row["macs"], -row["accuracy"])):
        if row["accuracy"] > best:
            best = row["accuracy"]
            kept.append(row)
    return kept


def table(rows: list[dict]) -> str:
    """All contestants, cheapest first; those of the front in bold."""
    best = {row["name"] for row in front(rows)}
    lines = [
        "| network | test accuracy | 95 % interval | epochs | parameters | multiply-adds | ms, 1 picture | ms, 64 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda row: row["macs"]):
        name = f"**{row['name']}**" if row["name"] in best else row["name"]
        low, high = (100 * value for value in row["interval"])
        cells = (
            *(name, f"{100 * row['accuracy']:.2f} %", f"{low:.1f} to {high:.1f}", row["epochs"]),
            *(f"{row['parameters']:,}", f"{row['macs'] / 1e6:.1f} M", f"{row['ms']:.2f}", f"{row['ms_of_64']:.1f}"),
        )
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def draw(rows: list[dict]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 5), layout="constrained")
    for number, row in enumerate(sorted(rows, key=lambda row: row["macs"]), 1):
        x, y = row["macs"] / 1e6, 100 * row["accuracy"]
        low, high = (100 * value for value in row["interval"])
        colour = "tab:blue" if row["name"].startswith("nin") else "tab:red"
        name = f"{number}  {row['name']} ({row['parameters'] / 1e3:.0f} k)"
        axes.errorbar(x, y, [[y - low], [high - y]], fmt="o", color=colour, label=name)
        axes.annotate(str(number), (x, y), (5, 3), textcoords="offset points", fontsize=9)
    figure.legend(loc="outside right upper", fontsize=8, title="network (parameters)")
    best = front(rows)
    axes.plot([r["macs"] / 1e6 for r in best], [100 * r["accuracy"] for r in best], "-", color="grey", zorder=0)
    axes.set(xscale="log", xlabel="multiply-adds a picture, millions", ylabel="CIFAR-10 test accuracy, %")
    axes.set_xticks(ticks := [5, 10, 20, 50, 100], [str(tick) for tick in ticks])
    axes.set_title(f"{rows[0]['minutes']:g} minutes of training each; bars: 95 % interval of the test set")
    figure.savefig(HERE / "pareto.png", dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS))
    parser.add_argument("--threads", type=int, help="of each contestant; by default one a core")
    parser.add_argument("--together", type=int, default=1, help="contestants that train side by side")
    parser.add_argument("--alone", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone:
        row = contend(arguments.only[0], arguments.folder, arguments.minutes, arguments.threads)
        arguments.alone.write_text(json.dumps(row), encoding="utf-8")
        return
    rows = json.loads(RESULT.read_text())["contestants"] if RESULT.exists() else []
    left = [name for name in arguments.only if name not in {row["name"] for row in rows}]
    for first in range(0, len(left), arguments.together):
        rows += side_by_side(left[first : first + arguments.together], arguments)
        RESULT.write_text(json.dumps({"contestants": rows}, indent=2) + "\n", encoding="utf-8")
    settings = ExitStack()
    settings.enter_context(hardware.applied(hardware.choose()))  # until this function ends
    for row in rows:
        if "ms" not in row:
            model = CONTESTANTS[row["name"]]().to(memory_format=torch.channels_last)
            row["ms"], row["ms_of_64"] = round(latency(model, 1), 3), round(latency(model, 64), 2)
    RESULT.write_text(json.dumps({"contestants": rows}, indent=2) + "\n", encoding="utf-8")
    (HERE / "table.md").write_text(table(rows), encoding="utf-8")
    draw(rows)


def side_by_side(names: list[str], arguments: argparse.Namespace) -> list[dict]:
    """Let these train at the same time, each in a process of its own; their rows."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, str(number)) for number in range(len(names))]
        words = [sys.executable, __file__, str(arguments.folder), "--minutes", str(arguments.minutes)]
        words += ["--threads", str(arguments.threads)] if arguments.threads else []
        running = [
            subprocess.Popen([*words, "--only", name, "--alone", str(file)])
            for name, file in zip(names, files, strict=True)
        ]
        if any(process.wait() for process in running):
            raise SystemExit("a contestant failed")
        return [json.loads(file.read_text(encoding="utf-8")) for file in files]


if __name__ == "__main__":
    main()
