"""What Python teaches on the same features and pictures as the page: web/src/teach is compared with these.

`make web-fixtures` writes them below TARGET/teaching, beside the engine's. Every class has pictures of a colour or a
brightness of its own, so that something can be learnt. Legend: N pictures, F features, K classes.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fixtures import chain, pooled
from safetensors.numpy import save_file
from sklearn.linear_model import LogisticRegression

from nin.bundle.folder import Bundle, read_bundle, write_bundle
from nin.bundle.shipped import shipped
from nin.network.architecture import nin
from nin.network.config import BlockConfig, NINConfig
from nin.teaching.estimate import Taught, teach_head
from nin.teaching.regression import PENALTY, standards
from nin.teaching.trunk import Trunk, cut_trunk
from plausible import HOSTILE
from small_models import cuts, make_bundle, png, preprocess

FEATURES = {  # F, and pictures of each class
    "three of thirty": (40, (30, 30, 30)),
    "two, few of one": (12, (6, 41)),
    "ten of twelve": (64, (12,) * 10),
    "four pictures only": (20, (4, 30, 9)),
    "more features than pictures": (90, (5, 6, 7)),
    "one picture each": (7, (1, 1, 1)),
}
TOLD = {"data": "noise", "license": "CC0-1.0", "note": "fading | stars *"}


@dataclass(frozen=True)
class Model:
    """A network to teach on: its cut and size, None as by default, and how many pictures of each class."""

    bundle: Bundle
    cut: int | None = None
    size: int | None = None
    counts: tuple[int, ...] = (9, 9, 9)


def features_of(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Features as a network with ReLUs makes them, some never moving, and labels: (N, F) float32, (N,) int32."""
    width, counts = FEATURES[name]
    rng = np.random.default_rng(len(name))
    labels = np.repeat(np.arange(len(counts)), counts)
    inner = max(3, width // 4)
    directions = rng.normal(size=(inner, width)) * np.exp(rng.normal(size=width))
    places = rng.normal(size=(len(counts), inner))
    made = (0.8 * places[labels] + rng.normal(size=(len(labels), inner))) @ directions
    made = np.maximum(0.2 * made + 0.05 * rng.normal(size=made.shape), 0)
    made[:, 0] = 0  # a dead map
    made[:, 1] = 3
    mixed = rng.permutation(len(labels))
    return made[mixed].astype(np.float32), labels[mixed].astype(np.int32)


def by_scikit(features: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """The head that scikit-learn finds on the same standardised features, for the features as they are."""
    mean, scale = standards(features.astype(np.float64))
    strength = PENALTY * len(labels)
    if labels.max() == 1:  # of two classes it has one row, which is the difference of ours: twice as long as each
        strength /= 2
    found = LogisticRegression(C=1 / strength, class_weight="balanced", tol=1e-10, max_iter=100_000)
    found.fit((features - mean) / scale, labels)
    weight, bias = found.coef_ / scale, found.intercept_
    if len(weight) == 1:
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return {"scikit.weight": weight, "scikit.bias": bias - weight @ mean}


def told_by(taught: Taught, labels: np.ndarray) -> tuple[dict, dict[str, np.ndarray]]:
    """What Python found: numbers for the index, and arrays."""
    arrays = {"weight": taught.head.weight, "bias": taught.head.bias}
    about: dict = taught.calibration.to_dict()
    if taught.probabilities is not None:
        classes = taught.probabilities.shape[1]
        confusion = np.zeros((classes, classes), int)
        np.add.at(confusion, (labels, taught.probabilities.argmax(1)), 1)
        about["confusion"] = confusion.tolist()
    return about, arrays


def regressions() -> tuple[dict, dict[str, np.ndarray]]:
    """Every case of FEATURES."""
    index: dict = {}
    tensors: dict[str, np.ndarray] = {}
    for name, (_, counts) in FEATURES.items():
        features, labels = features_of(name)
        taught = teach_head(features, labels, len(counts))
        about, arrays = told_by(taught, labels)
        arrays |= {"features": features, "labels": labels, **by_scikit(features, labels)}
        if taught.likeness is not None:
            arrays["distances"] = taught.likeness.distances(features)
        index[name] = {"classes": len(counts), **about}
        tensors |= {f"{name}.{key}": np.ascontiguousarray(array) for key, array in arrays.items()}
    return index, tensors


def models(target: Path) -> dict[str, Model]:
    """Networks of every kind that changes what a trunk is; their folders lie below the target."""
    block = BlockConfig((14, 12), 3, dropout=0.3, **pooled("max", 3, 2, 1, ceil=True))
    grouped = BlockConfig((12, 16), 3, groups=2, **pooled("avg", 2, 2, 0, ceil=False))
    single = BlockConfig((10,), 5)
    made: dict[str, tuple[NINConfig, dict]] = {
        "mirrored": (nin(4, width=0.2), {}),
        "classic": (chain(block, grouped, dropout_kind="classic"), {}),
        "normalised": (chain(block, grouped, norm="batch", last_norm=True, last_activation=True), {}),
        "one layer": (chain(single, activation="gelu"), {}),
        "grey": (nin(3, 1, width=0.2), {"channels": 1, "fit": "pad"}),
        "whitened": (chain(block, mirror=True), {"normalisation": "gcn-zca"}),
    }
    bundles = {}
    for name, (config, how) in made.items():
        mirror = {"mirror": True} if name == "mirrored" else {}
        bundle = make_bundle(target / name, NINConfig(**{**vars(config), **mirror}), preprocess((22, 26), **how))
        bundles[name] = as_told(bundle, "float16" if name == "mirrored" else "float32")
    return {
        "mirrored": Model(bundles["mirrored"]),
        "classic": Model(bundles["classic"], cut=1, size=31),
        "normalised": Model(bundles["normalised"], cut=3),
        "one layer": Model(bundles["one layer"]),
        "grey": Model(bundles["grey"], cut=5, counts=(4, 7)),
        "whitened": Model(bundles["whitened"]),
        **{name: Model(open_shipped(name), size=48) for name in shipped() if name == "nin-clothing"},
    }


def open_shipped(name: str) -> Bundle:
    """A model of the package."""
    return read_bundle(Path(__file__).parents[2] / "src" / "nin" / "weights" / name)


def as_told(bundle: Bundle, dtype: str) -> Bundle:
    """The same model, in this precision, that says what it had learnt from."""
    write_bundle(
        bundle.folder,
        network=bundle.network,
        weights=bundle.weights(),
        classes=bundle.classes,
        preprocess=bundle.preprocess,
        calibration=bundle.calibration,
        metrics={},
        provenance=TOLD,
        dtype=dtype,
    )
    return read_bundle(bundle.folder)


def pictures_of(counts: tuple[int, ...], channels: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Cuts of photographs, (H, W, 1 or 3) uint8, tinted or darkened class by class, and labels (N,)."""
    labels = np.repeat(np.arange(len(counts)), counts)
    tints = np.array([(1, 0.55, 0.4), (0.35, 1, 0.6), (0.5, 0.4, 1)]) if channels == 3 else np.array([1, 0.6, 0.3])
    found = [
        np.round(cut * tints[label]).astype(np.uint8)
        for cut, label in zip(cuts(len(labels), channels, seed=11), labels, strict=True)
    ]
    return found, labels.astype(np.int32)


def write_model(target: Path, name: str, model: Model) -> dict:
    """Pictures, their features by the trunk, and what is taught on them; what index.json says of it."""
    trunk: Trunk = cut_trunk(model.bundle, model.cut, model.size)
    images, labels = pictures_of(model.counts, model.bundle.preprocess.channels)
    seen = np.stack([trunk.preprocess.resize(image) for image in images])
    features = trunk.features(seen)
    about, arrays = told_by(teach_head(features, labels, len(model.counts)), labels)
    arrays |= {"features": features, "labels": labels, "maps": trunk.maps(seen[:2])}
    arrays |= {f"picture.{number}": image for number, image in enumerate(images)}
    save_file({key: np.ascontiguousarray(array) for key, array in arrays.items()}, target / f"{name}.safetensors")
    return {
        "model": str(model.bundle.folder),
        "cut": model.cut,
        "size": model.size,
        "counts": list(model.counts),
        "width": trunk.width,
        **about,
    }


def write(target: Path) -> None:
    """Everything below a folder: index.json says which file is for what."""
    target.mkdir(parents=True)
    index, tensors = regressions()
    save_file(tensors, target / "regressions.safetensors")
    taught = {name: write_model(target, name, model) for name, model in models(target / "models").items()}
    (target / "picture.png").write_bytes(png(np.zeros((9, 9, 3), np.uint8)))
    about = {"regressions": index, "models": taught, "hostile": HOSTILE}
    (target / "index.json").write_text(json.dumps(about, indent=1), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
