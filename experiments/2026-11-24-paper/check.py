"""The author's CIFAR-10 network as reproduced at full length: its weights, judged again on the test pictures.

    python experiments/2026-11-24-paper/check.py DATA            # a folder with CIFAR-10's binary files
    python experiments/2026-11-24-paper/check.py DATA --keep FOLDER_OF_A_RUN     # weights from a run's checkpoint

The whitening is fitted anew from the training pictures, as the weights file does not hold it.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from nin.data.preprocess import Preprocess
from nin.data.whiten import fit_zca
from nin.paper.rows import data_sets
from nin.paper.tables import ROWS
from nin.training import checkpoint, hardware
from nin.training.loop import predict_logits

WEIGHTS = Path(__file__).parent / "full" / "cifar10-0.safetensors"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    if arguments.keep is not None:
        (tensors, _, _), _ = checkpoint.newest(arguments.keep)
        model = {name.removeprefix("model/"): value for name, value in tensors.items() if name.startswith("model/")}
        save_file({name: value.astype(np.float16) for name, value in model.items()}, WEIGHTS)
    network = ROWS["cifar10"].build(torch.Generator().manual_seed(0), False)
    network.load_state_dict({name: torch.from_numpy(value).float() for name, value in load_file(WEIGHTS).items()})
    splits = data_sets(arguments.data, {"cifar10"})["cifar10"].splits
    train, test = splits["train"].images, splits["test"]
    zca = fit_zca(train[start : start + 1000] for start in range(0, len(train), 1000))
    preprocess = Preprocess((32, 32), 3, "stretch", (0.5,) * 3, (0.25,) * 3, "gcn-zca", zca)
    answers = predict_logits(network, test.images, preprocess, hardware.choose("cpu", precision="float32")).argmax(1)
    print(f"{100 * float((answers != test.labels).mean()):.2f} % of {len(test.labels):,} test pictures wrong")


if __name__ == "__main__":
    main()
