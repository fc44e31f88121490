"""Whether `--from nin-cifar10` beats training from scratch on photographs, in the same minutes.

    python experiments/2026-11-24-fine-tuning/run.py PHOTOS --runs DIR [--minutes 5] [--seeds 2] [--together 2]

Every contestant trains on one thread for the same minutes (`nin train PHOTOS --max-time`), `--together` side by side,
and is measured on the test split. "from scratch, 32 pixels" is the control: same network and size as the weights of
nin-cifar10, so that what the weights bring is told apart from what small pictures bring. Finished runs are kept.
Writes result.json beside this file.
"""

import argparse
import json
import statistics
import subprocess
import sys
from itertools import product
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CONTESTANTS = {
    "from scratch": [],
    "--from nin-cifar10": ["--from", "nin-cifar10"],
    "from scratch, nin-large, 32 pixels": ["--network", "nin-large", "--size", "32"],
    "--from nin-cifar10 --size 32": ["--from", "nin-cifar10", "--size", "32"],
}


def begin(words: list[str], folder: Path, arguments: argparse.Namespace, seed: int) -> subprocess.Popen:
    """The training of one contestant, in a process of its own."""
    line = [sys.executable, "-m", "nin", "train", str(arguments.photos), "--out", str(folder), "--seed", str(seed),
            "--max-time", f"{arguments.minutes:g}m", "--threads", "1", "--overwrite", *words]  # fmt: skip
    return subprocess.Popen(line)


def measured(folder: Path, seed: int) -> dict:
    """What a finished run says of itself."""
    summary = json.loads((folder / "summary.json").read_text())
    keys = ("split", "n", "accuracy", "interval", "epochs", "parameters", "macs")
    minutes = round(summary["seconds"] / 60, 2)
    return {"seed": seed, **{key: summary[key] for key in keys}, "minutes": minutes}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/fine-tuning"), help="where the run folders go")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--together", type=int, default=2, help="trainings side by side, a core each")
    arguments = parser.parse_args()
    planned = [
        (words, arguments.runs / f"{number}-{seed}", seed)
        for seed, (number, words) in product(range(arguments.seeds), enumerate(CONTESTANTS.values()))
    ]
    left = [one for one in planned if not (one[1] / "summary.json").exists()]
    for first in range(0, len(left), arguments.together):
        some = left[first : first + arguments.together]
        if any(run.wait() for run in [begin(words, folder, arguments, seed) for words, folder, seed in some]):
            raise SystemExit("a training failed")
    rows = []
    for number, name in enumerate(CONTESTANTS):
        runs = [measured(arguments.runs / f"{number}-{seed}", seed) for seed in range(arguments.seeds)]
        percent = [100 * run["accuracy"] for run in runs]
        deviation = round(statistics.stdev(percent), 2) if len(percent) > 1 else None
        rows.append({"name": name, "mean": round(statistics.mean(percent), 2), "sd": deviation, "runs": runs})
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    machine = json.loads((arguments.runs / "0-0" / "env.json").read_text())
    result = {"commit": commit.stdout.strip(), "machine": machine, "minutes": arguments.minutes, "contestants": rows}
    (HERE / "result.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for row in rows:
        print(f"{row['name']:40} {row['mean']:6.2f} % ± {row['sd']}")


if __name__ == "__main__":
    main()
