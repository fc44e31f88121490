"""nin-clothing: the default recipe on the clothing photos, and the model put into the package.

    python experiments/2026-11-30-clothing/run.py PHOTOS [--run runs/clothing]

Is `nin train PHOTOS --seed 0` (goes on where it was stopped, leaves a finished run as it is), then experiments/ship.py
and examples.py beside this file. The card's sentence on pictures of something else is written afterwards by
experiments/2026-11-30-unknown/run.py. Nothing was chosen by the test pictures: there was one run.
"""

import argparse
import csv
import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
KEYS = ("seed", "accuracy", "interval", "n", "balanced_accuracy", "ece", "epochs", "parameters", "macs")
NOTE = "clothing-dataset-small (CC0): photographs of single pieces of clothing, short side 128 pixels, re-encoded"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--run", type=Path, default=Path("runs/clothing"))
    arguments = parser.parse_args()
    run, photos = arguments.run, str(arguments.photos)
    if not (run / "summary.json").exists():
        begun = (run / "args.yaml").exists()
        what = ["--resume", str(run)] if begun else [photos, "--out", str(run), "--seed", "0"]
        subprocess.run([sys.executable, "-m", "nin", "train", *what], check=True)
    ship = HERE.parent / "ship.py"
    subprocess.run([sys.executable, ship, run, "nin-clothing", photos, "--note", NOTE], check=True)
    subprocess.run([sys.executable, HERE / "examples.py", photos], check=True)
    summary = json.loads((run / "summary.json").read_text())
    with (run / "results.csv").open(newline="") as file:
        curve = [[round(float(row["time"]) / 60, 2), float(row["val_accuracy"])] for row in csv.DictReader(file)]
    found = {key: summary[key] for key in KEYS}
    found |= {"minutes": round(summary["seconds"] / 60, 1), "curve": curve}
    found |= {"machine": json.loads((run / "env.json").read_text())}
    (HERE / "result.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
