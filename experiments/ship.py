"""Put the model of a finished run into the package: half precision, measured again as it will be shipped.

    python experiments/ship.py RUN NAME DATA [--note TEXT]

Writes src/nin/weights/NAME, or INTO/NAME (model, labels, card, training log, digests). The accuracy in the card is
that of the rounded weights on the test split of DATA, or on --split, measured by what `nin evaluate` calls; temperature
and thresholds are fitted anew for them, on the pictures that the run held out. What "unknown" does with pictures of
something else is measured and put into the card by experiments/2026-11-30-unknown/run.py.
"""

import argparse
from pathlib import Path

import numpy as np
import yaml

from nin.bundle.card import Calibration
from nin.bundle.folder import LOG, read_bundle, write_bundle
from nin.bundle.likeness import Likeness
from nin.bundle.shipped import SHIPPED, find_model
from nin.commands.classifier import load
from nin.commands.evaluate import evaluate
from nin.data.cache import decode_split
from nin.data.sources import open_source
from nin.run.calibration import fit_known_pictures
from nin.training.evaluation import fit_temperature, fit_unknown_threshold, softmax
from nin.training.state import Pictures

KEPT = ("n", "accuracy", "interval", "balanced_accuracy", "loss", "ece", "per_class")


def calibration(folder: Path, run: Path, data: Path) -> tuple[Calibration, Likeness | None]:
    """Temperature and both thresholds of the model in `folder`, from the pictures that `run` held out of `data`."""
    options = yaml.safe_load((run / "args.yaml").read_text(encoding="utf-8"))["options"]
    source = open_source(data, seed=options["seed"], holdout=options["holdout"])
    classifier = load(folder)
    parts = (source.splits[name] for name in ("train", "validation"))
    decoded = (decode_split(part, classifier.preprocess, key=source.fingerprint) for part in parts)
    train, held_out = (Pictures(np.asarray(each.images), each.labels) for each in decoded)
    logits = classifier.logits(held_out.images)
    temperature = fit_temperature(logits, held_out.labels)
    threshold = fit_unknown_threshold(softmax(logits, temperature), held_out.labels)
    right = logits.argmax(1) == held_out.labels
    beyond, likeness = fit_known_pictures(classifier.model, classifier.preprocess, "cpu", train, held_out, right)
    return Calibration(temperature, threshold, beyond), likeness


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("name")
    parser.add_argument("data", type=Path)
    parser.add_argument("--into", type=Path, default=SHIPPED, help="the folder that the model's own is put into")
    parser.add_argument("--split", default="test", help="where it is measured")
    parser.add_argument("--note", help="what one must know of the pictures, for the card")
    parser.add_argument("--mirror", action="store_true", help="answer with the mean of a picture and its mirror image")
    arguments = parser.parse_args()
    bundle = read_bundle(find_model(arguments.run))
    provenance = {"license": "Apache-2.0", **bundle.provenance}
    if arguments.note:
        provenance["note"] = arguments.note
    parts = {
        "network": {**bundle.network, "mirror": arguments.mirror or bundle.network.get("mirror", False)},
        "weights": bundle.weights(),
        "classes": bundle.classes,
        "preprocess": bundle.preprocess,
        "calibration": bundle.calibration,
        "likeness": bundle.likeness,
        "provenance": provenance,
        "log": (bundle.folder / LOG).read_text(encoding="utf-8"),
        "dtype": "float16",
    }
    folder = arguments.into / arguments.name
    folder.parent.mkdir(exist_ok=True)
    write_bundle(folder, metrics={}, **parts)
    parts["calibration"], parts["likeness"] = calibration(folder, Path(arguments.run), arguments.data)
    write_bundle(folder, metrics={}, **parts)
    measured = evaluate(folder, arguments.data, split=arguments.split)
    found = measured.evaluation.to_dict()
    write_bundle(folder, metrics={"split": arguments.split, **{name: found[name] for name in KEPT}}, **parts)
    measured_on = f"{found['n']:,} {arguments.split} pictures"
    print(f"{arguments.name}: {100 * found['accuracy']:.2f} % of {measured_on}; {bundle.metrics}")


if __name__ == "__main__":
    main()
