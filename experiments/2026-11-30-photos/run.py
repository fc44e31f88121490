"""nin-photos: the default photo network pretrained on 200 kinds of photographs, in half precision.

    python experiments/2026-11-30-photos/run.py TINY_IMAGENET [--runs runs/photos]

Two stages, each a plain command: 16 epochs of pictures of 48 pixels, then 6 of 64 that begin with those weights. The
network is the one that `nin train` takes for photographs (nin.yaml beside this file; it says what --size 96 would
choose). Every epoch is measured on the validation pictures, which chose nothing: there was one run of each stage.
Finished runs are kept, and stopped ones go on. Then the model folder of the package, measured again as it is stored
by experiments/ship.py, and result.json beside this file with both curves.
"""

import argparse
import csv
import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
KEYS = ("split", "accuracy", "interval", "n", "top5", "ece", "epochs", "parameters", "macs")
NOTE = (
    "a part of Tiny-ImageNet: 300 photographs of each of 200 kinds of things, 64 x 64. ImageNet's photographs belong "
    "to those who took them; their terms allow research. No photograph comes with the model, only what was learnt"
)


def train(words: list[str], run: Path) -> None:
    """One stage, begun, gone on with or left as it is."""
    if not (run / "summary.json").exists():
        what = ["--resume", str(run)] if (run / "args.yaml").exists() else [*words, "--out", str(run), "--threads", "2"]
        subprocess.run([sys.executable, "-m", "nin", "train", *what], check=True)


def stage(run: Path) -> dict:
    """What a finished stage says of itself."""
    summary = json.loads((run / "summary.json").read_text())
    with (run / "results.csv").open(newline="") as file:
        curve = [[round(float(row["time"]) / 60, 2), float(row["val_accuracy"])] for row in csv.DictReader(file)]
    found = {key: summary[key] for key in KEYS}
    return found | {"minutes": round(summary["seconds"] / 60, 1), "curve": curve}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/photos"))
    arguments = parser.parse_args()
    pictures, small, large = str(arguments.pictures), arguments.runs / "48", arguments.runs / "64"
    train([pictures, "--network", str(HERE / "nin.yaml"), "--size", "48", "--epochs", "16"], small)
    train([pictures, "--from", str(small), "--size", "64", "--epochs", "6", "--lr", "0.015"], large)
    ship = [sys.executable, HERE.parent / "ship.py", large, "nin-photos", pictures, "--note", NOTE]
    subprocess.run([*ship, "--split", "validation"], check=True)
    machine = json.loads((large / "env.json").read_text())
    found = {"stages": {run.name: stage(run) for run in (small, large)}, "machine": machine}
    (HERE / "result.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
