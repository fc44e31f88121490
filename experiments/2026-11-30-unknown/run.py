"""What "unknown" does with pictures of something else: the models in the package, and whether another score is better.

    python experiments/2026-11-30-unknown/run.py DATA PHOTOS [--kept DIR] [--only NAME ...] [--write]

DATA holds cifar-10-batches-bin, fashion-mnist, mnist and tiny-imagenet, PHOTOS the clothing photos (class folders in
train, validation and test). Every model answers 2,000 test pictures of its own set and of each other set 700, and all
the test photos. nin-photos knows things of CIFAR-10's kinds and clothing, so what is foreign to it is Fashion-MNIST and
MNIST; its own set has validation pictures only, and they are foreign to nobody else here.
Scores are compared by AUROC, by the share of foreign pictures accepted where 95 % of the own ones are (FPR at 95 %),
and by what a threshold that gives up 2 % of the right answers on the validation pictures accepts of them and notices of
the model's mistakes. The distances need statistics of the training pictures (5,000 of them), fitted as nin train does
(nin.bundle.likeness). Logits and features go to --kept and are found there again. Writes result.json beside this file;
--write puts the statistics and what the two thresholds together do into the models' folders, from where the card and
the table in README.md have it; weights, temperature and the threshold of the probability stay as they are.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from nin.bundle.card import Calibration
from nin.bundle.folder import LOG, read_bundle, write_bundle
from nin.bundle.likeness import Likeness, fit_likeness
from nin.bundle.shipped import SHIPPED
from nin.training.evaluation import fit_unlike_threshold, softmax

HERE = Path(__file__).resolve().parent
OWN = {"nin-cifar10": "cifar-10-batches-bin", "nin-fashion": "fashion-mnist", "nin-mnist": "mnist"}
PHOTOS, THINGS = "nin-clothing", "nin-photos"
WORDS = {"nin-cifar10": "CIFAR-10", "nin-fashion": "Fashion-MNIST", "nin-mnist": "MNIST", PHOTOS: "clothing photos"}
GREY = ("nin-fashion", "nin-mnist")
TAKEN = {"train": 5000, "validation": 1000, "test": 2000}
FOREIGN = 700
Part = dict[str, np.ndarray]


def answers(name: str, data: Path, photos: Path) -> Part:
    """Logits (N, K) and pooled features of the last layer's input (N, F) of every set, labels of the model's own."""
    import torch

    from nin.commands.classifier import load
    from nin.data.sources import open_source
    from nin.data.stream import load_picture

    classifier = load(name)
    pre, seen = classifier.preprocess, []
    last = classifier.model.blocks[-1].pointwise[-1]
    last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].mean((2, 3)).detach()))

    def run(pictures: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        seen.clear()
        logits = classifier.logits(np.stack(pictures))
        parts = list(seen)
        if classifier.model.config.mirror:  # of every batch the pictures, then their mirror images
            parts = [(part[: len(part) // 2] + part[len(part) // 2 :]) / 2 for part in seen]
        return logits, torch.cat(parts).numpy()

    found: Part = {}
    places = {**{other: data / folder for other, folder in OWN.items()}, PHOTOS: photos, THINGS: data / "tiny-imagenet"}
    for other in (name, *foreign(name)):
        source = open_source(places[other], seed=0, holdout=0.02)
        for split, count in TAKEN.items() if other == name else (("test", FOREIGN),):
            part = source.splits.get(split) or source.splits["validation"]
            pictures = [load_picture(part, row, pre)[0] for row in range(min(count, len(part)))]
            found[f"{other}/{split}/logits"], found[f"{other}/{split}/features"] = run(pictures)
            found[f"{other}/{split}/labels"] = part.labels[:count]
    return found


def foreign(name: str) -> list[str]:
    """The models whose pictures are of something else for this one."""
    return [other for other in WORDS if other != name and (name != THINGS or other in GREY)]


def fitted(name: str, kept: Part) -> tuple[Likeness, Calibration]:
    """Statistics of the training pictures' features, and the calibration with the threshold for their distance."""
    bundle, place = read_bundle(SHIPPED / name), f"{name}/validation"
    if name == THINGS:  # 5,000 are too few for 200 kinds; what it came with is from all its pictures
        return bundle.likeness, bundle.calibration
    likeness = fit_likeness(kept[f"{name}/train/features"], kept[f"{name}/train/labels"], len(bundle.classes))
    assert likeness is not None
    beyond = fit_unlike_threshold(likeness.distances(kept[f"{place}/features"]), _right(kept, place))
    return likeness, replace(bundle.calibration, unknown_beyond=beyond)


def scores(kept: Part, likeness: Likeness, temperature: float) -> dict[str, dict[str, np.ndarray]]:
    """Score -> set -> (N,), larger for what is more like the model's own pictures."""
    sets = [key.removesuffix("/logits") for key in kept if key.endswith("/logits") and "/train" not in key]
    found: dict[str, dict[str, np.ndarray]] = {}
    for place in sets:
        z, f = kept[f"{place}/logits"].astype(float), kept[f"{place}/features"].astype(float)
        top = z.max(1)
        each = {
            "probability": softmax(z, temperature).max(1),
            "logit": top,
            "energy": top + np.log(np.exp(z - top[:, None]).sum(1)),
            "distance of means": -np.min([((f - mean) ** 2).sum(1) for mean in likeness.means], axis=0),
            "Mahalanobis": -likeness.distances(f).astype(float),
        }
        for score, values in each.items():
            found.setdefault(score, {})[place] = values
    return found


def auroc(own: np.ndarray, foreign: np.ndarray) -> float:
    """Share of pairs in which the own picture has the larger score; ties count half."""
    ordered = np.sort(foreign)
    below = np.searchsorted(ordered, own, "left") + np.searchsorted(ordered, own, "right")
    return float(below.mean() / 2 / len(foreign))


def _right(kept: Part, place: str) -> np.ndarray:
    return kept[f"{place}/logits"].argmax(1) == kept[f"{place}/labels"]


def measured(name: str, kept: Part) -> dict:
    """What the model's own threshold does, and how the scores compare; shares to 4 decimals."""
    likeness, calibration = fitted(name, kept)
    by_score = scores(kept, likeness, calibration.temperature)
    own, others = f"{name}/test", [f"{other}/test" for other in foreign(name)]
    unknown = []
    for place in (own, *others):
        sure, distances = by_score["probability"][place], -by_score["Mahalanobis"][place]
        judged = zip(sure, distances, strict=True)
        marked = np.array([calibration.is_unknown(float(score), float(distance)) for score, distance in judged])
        words = {**WORDS, THINGS: "Tiny-ImageNet"}[place.partition("/")[0]]
        shares = {"unknown": float(marked.mean()), "over_90": float(((sure > 0.9) & ~marked).mean())}
        if place == own:
            right = _right(kept, own)
            shares |= {
                "right answers lost": float(marked[right].mean()),
                "mistakes noticed": float(marked[~right].mean()),
            }
        unknown.append({"pictures": words, "n": len(sure), **{k: round(v, 4) for k, v in shares.items()}})
    compared: dict[str, dict] = {}
    right = {place: _right(kept, place) for place in (f"{name}/validation", own)}
    for score, values in by_score.items():
        limit = np.quantile(values[own], 0.05)
        threshold = np.quantile(values[f"{name}/validation"][right[f"{name}/validation"]], 0.02)
        compared[score] = {"mistakes noticed": round(float((values[own][~right[own]] < threshold).mean()), 4)}
        compared[score] |= {
            WORDS[place.partition("/")[0]]: {
                "auroc": round(auroc(values[own], values[place]), 4),
                "fpr95": round(float((values[place] >= limit).mean()), 4),
                "accepted": round(float((values[place] >= threshold).mean()), 4),
            }
            for place in others
        }
    return {"own": unknown[0], "foreign": unknown[1:], "scores": compared}


def write(name: str, rows: list[dict], likeness: Likeness, calibration: Calibration) -> None:
    """The shipped folder again, the same but for what makes an answer unknown and what its card says of that."""
    bundle = read_bundle(SHIPPED / name)
    log = (bundle.folder / LOG).read_text(encoding="utf-8")
    metrics = {**bundle.metrics, "foreign": rows}
    write_bundle(
        bundle.folder, network=bundle.network, weights=bundle.weights(), classes=bundle.classes,
        preprocess=bundle.preprocess, calibration=calibration, metrics=metrics, provenance=bundle.provenance,
        log=log, dtype="float16", likeness=likeness,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--kept", type=Path, default=Path("runs/unknown"))
    parser.add_argument(
        "--only", nargs="+", default=[*OWN, PHOTOS, THINGS], help="models; what is known of the others stays"
    )
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    arguments.kept.mkdir(parents=True, exist_ok=True)
    place = HERE / "result.json"
    result = json.loads(place.read_text(encoding="utf-8"))["models"] if place.exists() else {}
    for name in arguments.only:
        file = arguments.kept / f"{name}.npz"
        if not file.exists():
            np.savez(file, **answers(name, arguments.data, arguments.photos))
        kept = dict(np.load(file))
        result[name] = measured(name, kept)
        if arguments.write:
            write(name, result[name]["foreign"], *fitted(name, kept))
    place.write_text(json.dumps({"models": result}, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
