"""MNIST and Fashion-MNIST with less than a million parameters: the runs whose weights come with the package.

    python experiments/2026-11-24-grey/run.py MNIST_FOLDER FASHION_FOLDER --runs runs/grey [--threads 1]

Each is `nin train FOLDER` with the options below: 58,800 pictures to train on, 1,200
to calibrate with, one look at the 10,000 test pictures at the end. Finished runs are kept, and stopped ones go on.
"""

import argparse
import csv
import json
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PLAN = {
    "mnist": ("MNIST", "mnist-8-0", ["--epochs", "8"]),
    "fashion": ("Fashion-MNIST", "fashion-20-0", ["--epochs", "20", "--flip", "on", "--mirror"]),
}
# one thread normalised whole batches when this was measured
OPTIONS = ["--network", "nin-large", "--holdout", "0.02", "--statistics-batch", "256"]


def train(data: Path, folder: Path, options: list[str], threads: int | None) -> None:
    """Begin a run, go on with it, or leave a finished one as it is."""
    if not (folder / "summary.json").exists():
        new = [str(data), "--out", str(folder), *options, *OPTIONS, *(["--threads", str(threads)] if threads else [])]
        what = ["--resume", str(folder)] if (folder / "args.yaml").exists() else new
        subprocess.run([sys.executable, "-m", "nin", "train", *what], check=True)


def found(folder: Path) -> dict:
    """What a finished run says, with its curve: minutes and accuracy on the held-out pictures after each epoch."""
    summary = json.loads((folder / "summary.json").read_text())
    with (folder / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    keys = ("seed", "accuracy", "interval", "n", "ece", "epochs", "parameters", "macs")
    return {
        **{key: summary[key] for key in keys},
        "minutes": round(summary["seconds"] / 60, 2),
        "images_per_second": round(statistics.median(float(row["images_per_second"]) for row in rows), 1),
        "curve": [[round(float(row["time"]) / 60, 2), float(row["val_accuracy"])] for row in rows],
        "machine": json.loads((folder / "env.json").read_text()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mnist", type=Path)
    parser.add_argument("fashion", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/grey"))
    parser.add_argument("--threads", type=int, help="of each run; by default one a core")
    arguments = parser.parse_args()
    path = HERE / "result.json"
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    runs, readme = {}, []
    for name, (title, folder, options) in PLAN.items():
        train(getattr(arguments, name), arguments.runs / folder, options, arguments.threads)
        runs[name] = run = {"commit": commit.stdout.strip(), **found(arguments.runs / folder)}
        cores = run["machine"]["threads"]
        readme.append({
            "what": f"{title}, `nin train {name} {' '.join([*options, *OPTIONS])}`",
            "result": f"{100 * run['accuracy']:.2f} %",
            "n": 1,
            "minutes": f"{run['minutes']:.0f}",
            "machine": f"{cores} core{'s' if cores > 1 else ''}, no GPU",
        })  # fmt: skip
    path.write_text(json.dumps({"runs": runs, "readme": readme}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
