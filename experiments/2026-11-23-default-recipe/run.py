"""What `nin train PATH` gives by itself: clothing photos, MNIST, CIFAR-10, and d2l's recipe beside.

    python experiments/2026-11-23-default-recipe/run.py PHOTOS MNIST_FOLDER CIFAR_FOLDER --runs runs/defaults

Runs one after the other, so that each has the machine to itself; finished runs are kept, so it can be stopped and
started again, and `--only photos` measures a part and keeps the others. Writes result.json beside this file: per seed
the accuracy on the official test split, its interval, epochs, training minutes; mean and spread; machine and commit.
d2l's NiN (benchmarks/d2l_nin.py) trains on the same photos for as many minutes as our slowest seed took.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WHAT = {
    "photos": "3,068 clothing photos, `nin train photos`",
    "d2l": "the same photos, d2l's NiN recipe",
    "mnist": "MNIST from IDX files, `nin train mnist --statistics-batch 256`",
    "cifar": "CIFAR-10 from the binary files, `nin train cifar --statistics-batch 256`",
}
WHOLE = ("--statistics-batch", "256")  # one thread normalised whole batches when these two were measured
OPTIONS = {"mnist": WHOLE, "cifar": WHOLE}


def ours(data: Path, folder: Path, seed: int, threads: int | None, options: tuple[str, ...]) -> dict:
    """Train with the defaults, one seed and these threads, unless that run is finished; what its summary says."""
    if not (folder / "summary.json").exists():
        going_on = (folder / "args.yaml").exists()
        what = ["--resume", str(folder)] if going_on else [str(data), "--out", str(folder), "--seed", str(seed)]
        what += [] if threads is None or going_on else ["--threads", str(threads)]
        what += [] if going_on else options
        subprocess.run([sys.executable, "-m", "nin", "train", *what], check=True)
    summary = json.loads((folder / "summary.json").read_text())
    keys = ("split", "n", "accuracy", "interval", "ece", "epochs", "parameters", "macs")
    machine = json.loads((folder / "env.json").read_text())
    picked = {key: summary[key] for key in keys}
    return {"seed": seed, **picked, "minutes": round(summary["seconds"] / 60, 2), "threads": machine["threads"]}


def d2l(data: Path, minutes: float, seeds: int, kept: Path) -> list[dict]:
    """d2l's recipe on the same pictures for at least the same minutes; what `kept` holds is not measured again."""
    found = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    if len(found) < seeds or min(run["minutes"] for run in found) < minutes:
        script = ROOT / "benchmarks" / "d2l_nin.py"
        words = [sys.executable, str(script), str(data), "--minutes", str(minutes), "--seeds", str(seeds)]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        kept.write_text(done.stdout)
        found = [json.loads(line) for line in done.stdout.splitlines()]
    return found


def spread(values: list[float]) -> dict:
    """Mean, standard deviation over the seeds (None for one), smallest and largest, in percent."""
    percent = [100 * value for value in values]
    deviation = round(statistics.stdev(percent), 2) if len(percent) > 1 else None
    return {"n": len(percent), "mean": round(statistics.mean(percent), 2), "sd": deviation,
            "least": round(min(percent), 2), "most": round(max(percent), 2)}  # fmt: skip


def row(what: str, runs: list[dict], accuracy: str, machine: dict) -> dict:
    """One line of the README's table."""
    found = spread([run[accuracy] for run in runs])
    sd = f" ± {found['sd']}" if found["sd"] is not None else ""
    threads = max(run.get("threads", machine["cores"]) for run in runs)
    minutes = sorted({f"{run['minutes']:.0f}" for run in runs}, key=int)
    return {
        "what": what,
        "result": f"{found['mean']:.1f} %{sd}",
        "n": found["n"],
        "minutes": "–".join(dict.fromkeys((minutes[0], minutes[-1]))),
        "machine": f"{threads} core{'s' if threads > 1 else ''}, no GPU",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("mnist", type=Path)
    parser.add_argument("cifar", type=Path)
    parser.add_argument("--only", nargs="+", choices=WHAT, default=list(WHAT), help="measure these, keep the others")
    parser.add_argument("--runs", type=Path, default=Path("runs/defaults"), help="where the run folders go")
    parser.add_argument("--seeds", type=int, default=3, help="for the photos")
    parser.add_argument("--threads", type=int, help="of each training; by default one a core")
    parser.add_argument("--d2l-seeds", type=int, default=2, help="for d2l's recipe on the photos")
    arguments = parser.parse_args()
    path = HERE / "result.json"
    result = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"parts": {}}
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in arguments.only:
        if name == "d2l":
            minutes = max(run["minutes"] for run in result["parts"]["photos"]["runs"])
            runs = d2l(arguments.photos, minutes, arguments.d2l_seeds, arguments.runs / "d2l.jsonl")
            machine = result["parts"]["photos"]["machine"]
        else:
            seeds = range(arguments.seeds if name == "photos" else 1)
            data = getattr(arguments, name)
            how = arguments.threads, OPTIONS.get(name, ())
            runs = [ours(data, arguments.runs / f"{name}-{seed}", seed, *how) for seed in seeds]
            machine = json.loads((arguments.runs / f"{name}-0" / "env.json").read_text())
        percent = spread([run["test_accuracy" if name == "d2l" else "accuracy"] for run in runs])
        result["parts"][name] = {"commit": commit.stdout.strip(), "machine": machine, "runs": runs, "summary": percent}
    result["readme"] = [
        row(what, part["runs"], "test_accuracy" if name == "d2l" else "accuracy", part["machine"])
        for name, what in WHAT.items()
        if (part := result["parts"].get(name))
    ]
    path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
