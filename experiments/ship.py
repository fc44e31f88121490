"""Put the model of a finished run into the package: half precision, measured again as it will be shipped.

    python experiments/ship.py RUN NAME DATA [--note TEXT]

Writes src/nin/weights/NAME (model, labels, card, training log, digests). The accuracy in the card is that of the
rounded weights on the test split of DATA, measured by what `nin evaluate` calls.
"""

import argparse
from pathlib import Path

from nin.bundle.folder import LOG, read_bundle, write_bundle
from nin.bundle.shipped import SHIPPED, find_model
from nin.workflows import evaluate

KEPT = ("n", "accuracy", "interval", "balanced_accuracy", "loss", "ece", "per_class")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("name")
    parser.add_argument("data", type=Path)
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
        "provenance": provenance,
        "log": (bundle.folder / LOG).read_text(encoding="utf-8"),
        "dtype": "float16",
    }
    folder = SHIPPED / arguments.name
    folder.parent.mkdir(exist_ok=True)
    write_bundle(folder, metrics={}, **parts)
    measured = evaluate(folder, arguments.data, split="test")
    found = measured.evaluation.to_dict()
    write_bundle(folder, metrics={"split": "test", **{name: found[name] for name in KEPT}}, **parts)
    print(f"{arguments.name}: {100 * found['accuracy']:.2f} % of {found['n']:,} test pictures; {bundle.metrics}")


if __name__ == "__main__":
    main()
