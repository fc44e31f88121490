"""CIFAR-10 on two cores: the minutes to the paper's 91.2 %, and how far the same command goes when it may run longer.

    python experiments/2026-11-24-cifar10/run.py CIFAR_FOLDER --runs runs/cifar10

Every run is `nin train CIFAR_FOLDER --network nin-large --epochs ... --holdout 0.02 --statistics-batch ... --seed ...`:
49,000 pictures to train on, 1,000 to calibrate with, one look at the 10,000 test pictures at the end, one view of each;
then, with the same weights, the mean over each picture and its mirror image, as `nin train --mirror` would have it. The
rate falls to zero at the end of a run, so the minutes to an accuracy are those of the shortest run that reaches it.
Finished runs are kept, and stopped ones go on. `--threads 1` leaves the other cores to others; `--together 2` lets two
seeds run side by side: with one thread each the pair is done sooner than one after the other, and each needs more
minutes than alone.
"""

import argparse
import csv
import json
import statistics
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from nin.bundle.folder import read_bundle
from nin.data.sources import open_source
from nin.engine.engine import Engine, facts_of_bundle
from nin.engine.graph import core

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
OPTIONS = ("--network", "nin-large", "--holdout", "0.02")


def start(
    data: Path, folder: Path, epochs: int, seed: int, together: int, threads: int | None
) -> subprocess.Popen | None:
    """Begin a run, or go on with it; None when it is finished."""
    if (folder / "summary.json").exists():
        return None
    begun = (folder / "args.yaml").exists()
    new = [str(data), "--out", str(folder), "--seed", str(seed), "--epochs", str(epochs), *OPTIONS]
    new += ["--statistics-batch", str(together)]
    if threads:
        new += ["--threads", str(threads)]
    return subprocess.Popen([sys.executable, "-m", "nin", "train", *(["--resume", str(folder)] if begun else new)])


def found(folder: Path, seed: int) -> dict:
    """What the summary of a finished run says and its curve."""
    summary = json.loads((folder / "summary.json").read_text())
    with (folder / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    keys = ("accuracy", "interval", "n", "ece", "epochs", "parameters", "macs")
    return {
        "seed": seed,
        "minutes": round(summary["seconds"] / 60, 2),
        **{key: summary[key] for key in keys},
        "images_per_second": round(statistics.median(float(row["images_per_second"]) for row in rows), 1),
        "curve": [[round(float(row["time"]) / 60, 2), float(row["val_accuracy"])] for row in rows],
    }


def mirrored(folder: Path, cifar: Path) -> float:
    """Accuracy of a run's weights on the official test pictures when a picture and its mirror image are averaged."""
    bundle = read_bundle(folder / "model")
    twice = replace(bundle, network={**bundle.network, "mirror": True})
    test = open_source(cifar).splits["test"]
    answers = Engine(facts_of_bundle(twice), core(twice)).run(np.asarray(test.images))
    return float((answers.logits.argmax(1) == test.labels).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cifar", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/cifar10"))
    parser.add_argument("--plan", nargs="+", default=["6:2", "40:2"], help="EPOCHS:SEEDS ...")
    parser.add_argument("--together", type=int, default=1, help="runs side by side")
    parser.add_argument("--threads", type=int, help="of each run; by default one a core")
    parser.add_argument("--statistics-batch", type=int, default=256, help="what one thread had when this was measured")
    arguments = parser.parse_args()
    path = HERE / "result.json"
    result = json.loads(path.read_text()) if path.exists() else {"runs": {}}
    for plan in arguments.plan:
        epochs, seeds = (int(part) for part in plan.split(":"))
        folders = {arguments.runs / f"{epochs}-{seed}": seed for seed in range(seeds)}
        for first in range(0, seeds, arguments.together):
            group = list(folders.items())[first : first + arguments.together]
            together = arguments.statistics_batch, arguments.threads
            running = [start(arguments.cifar, folder, epochs, seed, *together) for folder, seed in group]
            if any(process.wait() for process in running if process):
                raise SystemExit("a run failed")
        for folder, seed in folders.items():
            machine = json.loads((folder / "env.json").read_text())
            commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
            about = {
                "machine": machine,
                "commit": commit.stdout.strip(),
                "statistics_batch": arguments.statistics_batch,
            }
            old = result["runs"].get(folder.name, about)
            if "accuracy_mirrored" not in old:
                old["accuracy_mirrored"] = mirrored(folder, arguments.cifar)
            result["runs"][folder.name] = {**old, **found(folder, seed)}
        lengths = sorted({run["epochs"] for run in result["runs"].values() if "accuracy_mirrored" in run})
        result["readme"] = [row(result["runs"], length) for length in lengths]
        path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def row(runs: dict[str, dict], epochs: int) -> dict:
    """One line of the README's table."""
    chosen = [run for run in runs.values() if run["epochs"] == epochs]
    cores = chosen[0]["machine"]["threads"]
    options = " ".join([*OPTIONS, "--statistics-batch", str(chosen[0]["statistics_batch"])])
    one, both = (_percent([run[key] for run in chosen]) for key in ("accuracy", "accuracy_mirrored"))
    return {
        "what": f"CIFAR-10, `nin train cifar --epochs {epochs} {options}`",
        "result": f"{one}; with mirror images {both}",
        "n": len(chosen),
        "minutes": f"{statistics.mean(run['minutes'] for run in chosen):.0f}",
        "machine": f"{cores} core{'s' if cores > 1 else ''}, no GPU",
    }


def _percent(shares: list[float]) -> str:
    """Mean in percent and, of more than one, the standard deviation."""
    percent = [100 * share for share in shares]
    return f"{statistics.mean(percent):.2f} %" + (f" ± {statistics.stdev(percent):.2f}" if len(percent) > 1 else "")


if __name__ == "__main__":
    main()
