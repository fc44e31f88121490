"""Few pictures of each class: from scratch, with weights to begin with, and taught, at the same cost.

    python experiments/2026-11-30-photos/few.py PHOTOS --runs runs/few [--counts 5 10 20 50] [--draws 3] [--seen 12000]
        [--only NAME ...] [--all]

PHOTOS are the clothing photos (train, validation and test). A draw takes so many of the training and validation
pictures of every class; all contestants of a draw get the same ones, and the same test pictures. What is trained sees
`--seen` pictures, at most 200 times each, on one thread, `--together` side by side: all have a network of one cost, so
that it is the same work whatever else the machine does. "head first" is `nin teach --cut 5` and then `nin train --from`
its model. `--all` trains on all pictures as well, twelve times each, once. Finished runs are kept. Writes few.json and
few.svg beside this file.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np

from nin.data.sources import open_source
from nin.report.svg import Curve, side_by_side

HERE = Path(__file__).resolve().parent
START = "nin-photos"  # the pretrained network: run.py
SCRATCH, BEGUN = "from scratch", "--from nin-photos"
ALL = 12  # epochs on all pictures
CONTESTANTS = {
    SCRATCH: ["--from", "none"],
    "--from nin-cifar10": ["--from", "nin-cifar10"],
    BEGUN: ["--from", START],
    "--from nin-photos --lr 0.01": ["--from", START, "--lr", "0.01"],
    "--from nin-photos --lr 0.005": ["--from", START, "--lr", "0.005"],
    "--from nin-photos --lr 0.002": ["--from", START, "--lr", "0.002"],
    "head first --lr 0.005": ["--from", "HEAD", "--lr", "0.005"],
    "nin teach --trunk nin-cifar10": ["--trunk", "nin-cifar10"],
    "nin teach --trunk nin-photos": ["--trunk", START],
    "nin teach --trunk nin-photos --cut 5": ["--trunk", START, "--cut", "5"],
    "nin teach --trunk nin-photos --size 96": ["--trunk", START, "--size", "96"],
    "nin teach --trunk nin-photos --cut 5 --size 96": ["--trunk", START, "--cut", "5", "--size", "96"],
}


def table(photos: Path, count: int, draw: int, runs: Path) -> Path:
    """The pictures of a draw, as a table beside the photographs' links; made once."""
    path = runs / f"{count}-{draw}.csv"
    if path.exists():
        return path
    link = runs / "photos"
    if not link.exists():
        link.symlink_to(photos.resolve(), target_is_directory=True)
    source = open_source(photos, split=False)
    random = np.random.default_rng(draw)
    rows = []
    known = [(source.splits[name], row) for name in ("train", "validation") for row in range(len(source.splits[name]))]
    for label, name in enumerate(source.classes):
        own = [(split, row) for split, row in known if split.labels[row] == label]
        chosen = random.permutation(len(own))[:count]
        rows += [(split.read(row), name, "train") for split, row in (own[at] for at in chosen)]
    test = source.splits["test"]
    rows += [(test.read(row), source.classes[test.labels[row]], "test") for row in range(len(test))]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "split"))
        writer.writerows((f"photos/{one.relative_to(photos)}", label, split) for one, label, split in rows)
    return path


def words(name: str, pictures: Path, folder: Path, epochs: int, draw: int) -> list[list[str]]:
    """The commands of a contestant, one after the other."""
    begin = [sys.executable, "-m", "nin"]
    given = CONTESTANTS[name]
    teach = [*begin, "teach", str(pictures), "--follow-links", "--overwrite", "--out"]
    if name.startswith("nin teach"):
        return [[*teach, str(folder), *given]]
    head = folder.with_name(f"{folder.name}-head")
    first = [[*teach, str(head), "--trunk", START, "--cut", "5"]] if "HEAD" in given else []
    given = [str(head) if word == "HEAD" else word for word in given]
    train = [*begin, "train", str(pictures), "--follow-links", "--overwrite", "--out", str(folder), "--seed", str(draw)]
    return [*first, [*train, "--epochs", str(epochs), "--threads", "1", *given]]


def run_all(jobs: list[list[list[str]]], together: int) -> None:
    """Every job's commands in their order, so many jobs at a time."""
    waiting, running = list(jobs), []
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    while waiting or running:
        while waiting and len(running) < together:
            running.append([waiting.pop(0), None])
        for one in list(running):
            commands, process = one
            if process is None or process.poll() is not None:
                if process is not None and process.returncode:
                    raise SystemExit(f"failed: {process.args}")
                one[1] = subprocess.Popen(commands.pop(0), env=environment) if commands else None
                if one[1] is None:
                    running.remove(one)
        if running:
            try:
                running[0][1].wait(timeout=1)
            except subprocess.TimeoutExpired:
                continue


def drawing(rows: list[dict]) -> str:
    """Accuracy over pictures a class, one curve a contestant."""
    colours = ("ink", "warm", "accent")
    names = (SCRATCH, "nin teach --trunk nin-cifar10", BEGUN)
    curves = []
    for name, colour in zip(names, colours, strict=True):
        own = sorted((row["count"], row["mean"] / 100) for row in rows if row["name"] == name and row["count"] != "all")
        if own:
            label = name.replace("--trunk nin-cifar10", "").replace("--from", "begun with").strip()
            curves.append(Curve(label, [x for x, _ in own], [y for _, y in own], colour))
    return str(side_by_side("Accuracy over pictures a class", [("Accuracy", curves, True)], "pictures a class"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/few"))
    parser.add_argument("--counts", type=int, nargs="+", default=[5, 10, 20, 50])
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--seen", type=int, default=12_000)
    parser.add_argument("--only", nargs="+", default=list(CONTESTANTS), choices=list(CONTESTANTS))
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--together", type=int, default=2)
    arguments = parser.parse_args()
    runs = arguments.runs
    runs.mkdir(parents=True, exist_ok=True)
    jobs = []
    for draw, count, name in product(range(arguments.draws), arguments.counts, arguments.only):
        folder = runs / f"{list(CONTESTANTS).index(name)}-{count}-{draw}"
        if not (folder / "summary.json").exists():
            pictures = table(arguments.photos, count, draw, runs)
            epochs = min(200, arguments.seen // (count * 10))
            jobs.append(words(name, pictures, folder, epochs, draw))
    if arguments.all:
        for name in (SCRATCH, BEGUN):
            folder = runs / f"{list(CONTESTANTS).index(name)}-all-0"
            if not (folder / "summary.json").exists():
                jobs.append(words(name, arguments.photos, folder, ALL, 0))
    run_all(jobs, arguments.together)
    rows = []
    for (number, name), count in product(enumerate(CONTESTANTS), [*sorted({*arguments.counts}), "all"]):
        found = [json.loads(path.read_text()) for path in sorted(runs.glob(f"{number}-{count}-[0-9]/summary.json"))]
        if found:
            percent = [round(100 * each["accuracy"], 2) for each in found]
            spread = round(statistics.stdev(percent), 2) if len(percent) > 1 else None
            seconds = round(statistics.mean(each["seconds"] for each in found), 1)
            row = {"name": name, "count": count, "mean": round(statistics.mean(percent), 2), "sd": spread}
            rows.append({**row, "n": len(found), "seconds": seconds, "runs": percent})
    result = {"seen": arguments.seen, "threads": 1, "rows": rows}
    (HERE / "few.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (HERE / "few.svg").write_text(drawing(rows) + "\n", encoding="utf-8")
    for row in rows:
        print(f"{row['name']:48} {row['count']:>4} {row['mean']:6.2f} % ± {row['sd']} (n = {row['n']})")


if __name__ == "__main__":
    main()
