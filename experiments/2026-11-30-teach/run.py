"""Which trunk, cut where, at which size: new classes taught from few pictures, and what the estimate is worth.

    python experiments/2026-11-30-teach/run.py PHOTOS [--tiny TINY_IMAGENET] [--runs runs/teach]

PHOTOS: the clothing photos, of whose classes no trunk but nin-clothing knows; TINY_IMAGENET: 40 of its classes, of
which nin-photos knows all. Every draw takes classes and pictures at random, teaches them with `teach_head` and asks
the test pictures of those classes: accuracy is the mean over classes. The features of each trunk are computed once and
kept in --runs. Writes result.json and teach.svg beside this file.
"""

import argparse
import json
import statistics
import time
from itertools import product
from pathlib import Path

import numpy as np

from nin.bundle.folder import open_bundle
from nin.data.cache import decode_split
from nin.data.machine import cpu_name, usable_cores
from nin.data.sources import open_source
from nin.report.svg import Curve, side_by_side
from nin.teaching.estimate import teach_head
from nin.teaching.trunk import cut_trunk
from nin.training.evaluation import softmax

HERE = Path(__file__).resolve().parent
TRUNKS = (  # model, mlpconv layers, pixels
    *(("nin-cifar10", cut, 32) for cut in (3, 4, 5)),
    *(("nin-photos", cut, 64) for cut in (3, 4, 5)),
    *(("nin-photos", cut, 96) for cut in (3, 4, 5)),
    ("nin-clothing", 4, 64),
)
OWN = {"nin-photos": HERE.parent / "2026-11-30-photos" / "nin-photos"}  # not in the package
CLASSES = (3, 10)
COUNTS = (5, 10, 20, 30)
DRAWS = 4
EVERY = 5  # of Tiny-ImageNet's classes
KEPT = 60  # training pictures of each that are looked at
SEEN = {("nin-photos", "tiny"), ("nin-clothing", "clothing")}  # trained on: no test of few pictures


def features(name: str, cut: int, size: int, which: str, path: Path, runs: Path) -> dict[str, np.ndarray]:
    """Mean features and labels of training and test pictures, and seconds a picture; computed once."""
    kept = runs / f"{which}-{name}-{cut}-{size}.npz"
    if not kept.exists():
        trunk = cut_trunk(open_bundle(OWN.get(name, name)), cut, size)
        source = open_source(path, split=False)
        found: dict[str, np.ndarray] = {}
        for part in ("train", "test" if "test" in source.splits else "validation"):
            split = source.splits[part]
            if which == "tiny":
                few = [np.flatnonzero(split.labels == label)[:KEPT] for label in range(0, 200, EVERY)]
                split = split.take(np.concatenate(few))
            decoded = decode_split(split, trunk.preprocess, key=source.fingerprint)
            start = time.process_time()
            x = trunk.features(np.asarray(decoded.images))
            found["cost"] = np.array((time.process_time() - start) / len(x))
            side = "train" if part == "train" else "test"
            found |= {f"{side}_x": x, f"{side}_y": np.unique(decoded.labels, return_inverse=True)[1]}
        np.savez(kept, **found)
    return dict(np.load(kept))


def draw(known: dict[str, np.ndarray], classes: int, count: int, seed: int) -> dict[str, float]:
    """One draw of classes and pictures: accuracy on test pictures, the estimate, what is called unknown."""
    random = np.random.default_rng(seed)
    chosen = random.choice(known["train_y"].max() + 1, classes, replace=False)
    rows = [random.choice(np.flatnonzero(known["train_y"] == label), count, replace=False) for label in chosen]
    labels = np.repeat(np.arange(classes), count)
    start = time.process_time()
    taught = teach_head(known["train_x"][np.concatenate(rows)], labels, classes)
    seconds = time.process_time() - start
    own = np.isin(known["test_y"], chosen)
    logits = taught.head.logits(known["test_x"])
    truth = np.array([{label: k for k, label in enumerate(chosen)}.get(label, -1) for label in known["test_y"]])
    right = logits.argmax(1) == truth
    assert taught.probabilities is not None
    unknown = softmax(logits, taught.calibration.temperature).max(1) < taught.calibration.unknown_below
    if taught.likeness is not None and taught.calibration.unknown_beyond is not None:
        unknown |= taught.likeness.distances(known["test_x"]) > taught.calibration.unknown_beyond
    return {
        "accuracy": 100 * float(np.mean([right[truth == k].mean() for k in range(classes)])),
        "estimate": 100 * float((taught.probabilities.argmax(1) == labels).mean()),
        "right called unknown": 100 * float((unknown & right)[own].sum() / right[own].sum()),
        "other classes called unknown": 100 * float(unknown[~own].mean()) if (~own).any() else float("nan"),
        "seconds": seconds,
    }


def drawing(rows: list[dict]) -> str:
    """Accuracy over pictures a class on the clothing photos, for 3 and 10 classes."""
    charts = []
    for classes in CLASSES:
        curves = []
        for (name, cut, size), colour in ((("nin-cifar10", 4, 32), "ink"), (("nin-photos", 4, 64), "accent")):
            own = [r for r in rows if (r["trunk"], r["cut"], r["size"], r["classes"]) == (name, cut, size, classes)]
            points = sorted((r["pictures"], r["accuracy"] / 100) for r in own if r["set"] == "clothing")
            if points:
                curves.append(Curve(name, [x for x, _ in points], [y for _, y in points], colour))
        charts.append((f"{classes} classes", curves, True))
    return str(side_by_side("Accuracy over pictures a class", charts, "pictures a class"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--tiny", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/teach"))
    arguments = parser.parse_args()
    arguments.runs.mkdir(parents=True, exist_ok=True)
    sets = {"clothing": arguments.photos} | ({"tiny": arguments.tiny} if arguments.tiny else {})
    rows = []
    for (which, path), (name, cut, size) in product(sets.items(), TRUNKS):
        if (name, which) in SEEN:
            continue
        known = features(name, cut, size, which, path, arguments.runs)
        for classes, count in product(CLASSES, COUNTS):
            found = [draw(known, classes, count, seed) for seed in range(DRAWS)]
            means = {key: round(statistics.mean(each[key] for each in found), 2) for key in found[0]}
            spread = round(statistics.stdev(each["accuracy"] for each in found), 2)
            about = {"set": which, "trunk": name, "cut": cut, "size": size, "classes": classes, "pictures": count}
            rows.append({**about, **means, "sd": spread, "ms a picture": round(1e3 * float(known["cost"]), 2)})
            said = f"{which:9} {name:12} {cut} {size:3}  {classes:2} x {count:2}"
            print(f"{said}  {means['accuracy']:5.1f} ± {spread:4.1f}  estimate {means['estimate']:5.1f}", flush=True)
    result = {"machine": f"{cpu_name()}, {usable_cores()} cores", "draws": DRAWS, "rows": rows}
    (HERE / "result.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (HERE / "teach.svg").write_text(drawing(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
