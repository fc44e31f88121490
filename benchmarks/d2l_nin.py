"""d2l's NiN recipe, written afresh, on a folder of pictures for a given number of minutes.

    python benchmarks/d2l_nin.py ../shared/data/photos --minutes 10 --seeds 3

Network and settings: Dive into Deep Learning, section "Network in Network (NiN)", PyTorch edition 1.0: 224x224 input,
blocks of 96, 256, 384 and K maps with 11x11/4, 5x5, 3x3, 3x3 kernels, dropout 0.5 before the last, Xavier
initialisation, SGD with learning rate 0.05 and no momentum, batch 128, pictures scaled to 0..1, no augmentation.
Plain PyTorch as the book runs it: float32, NCHW, eager. Prints one JSON line a seed with the test accuracy.
"""

import argparse
import json
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from nin.data.cache import decode_split
from nin.data.preprocess import Preprocess
from nin.data.sources import open_source

SIDE, BATCH, RATE = 224, 128, 0.05


def block(maps: int, kernel: int, stride: int, padding: int) -> nn.Sequential:
    """One NiN block of the book: a convolution and two 1x1 convolutions, each with ReLU."""
    return nn.Sequential(
        nn.LazyConv2d(maps, kernel, stride, padding), nn.ReLU(),
        nn.LazyConv2d(maps, 1), nn.ReLU(),
        nn.LazyConv2d(maps, 1), nn.ReLU(),
    )  # fmt: skip


def network(classes: int) -> nn.Sequential:
    """The book's network, its weights drawn as the book does."""
    model = nn.Sequential(
        block(96, 11, 4, 0), nn.MaxPool2d(3, 2),
        block(256, 5, 1, 2), nn.MaxPool2d(3, 2),
        block(384, 3, 1, 1), nn.MaxPool2d(3, 2),
        nn.Dropout(0.5),
        block(classes, 3, 1, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip
    model(torch.zeros(1, 3, SIDE, SIDE))
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight)
    return model


def batches(images: np.ndarray, labels: np.ndarray, order: torch.Tensor):
    for part in order.split(BATCH):
        x = torch.from_numpy(images[part.numpy()]).permute(0, 3, 1, 2).float() / 255
        yield x, torch.from_numpy(labels[part.numpy()])


def accuracy(model: nn.Module, images: np.ndarray, labels: np.ndarray) -> float:
    model.eval()
    with torch.no_grad():
        right = sum(int((model(x).argmax(1) == y).sum()) for x, y in batches(images, labels, torch.arange(len(labels))))
    model.train()
    return right / len(labels)


def run(data: dict, classes: int, minutes: float, seed: int) -> dict:
    torch.manual_seed(seed)
    model = network(classes)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    spent, steps, losses = 0.0, 0, []
    count = len(data["train"].labels)
    while spent < minutes * 60:
        for x, y in batches(data["train"].images, data["train"].labels, torch.randperm(count)):
            start = time.perf_counter()
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            spent, steps = spent + time.perf_counter() - start, steps + 1
            if spent >= minutes * 60:
                break
    return {
        "recipe": "d2l NiN",
        "seed": seed,
        "minutes": round(spent / 60, 2),
        "epochs": round(steps * BATCH / count, 2),
        "last_loss": round(float(np.mean(losses[-20:])), 4),
        "test_accuracy": round(accuracy(model, data["test"].images, data["test"].labels), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="pictures with train and test splits")
    parser.add_argument("--minutes", type=float, default=10.0, help="training time, evaluation not counted")
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    source = open_source(arguments.folder)
    pre = Preprocess((SIDE, SIDE), 3, "stretch", (0.0,) * 3, (1.0,) * 3)
    data = {name: decode_split(source.splits[name], pre, key=source.fingerprint) for name in ("train", "test")}
    for seed in range(arguments.seeds):
        print(json.dumps(run(data, len(source.classes), arguments.minutes, seed)), flush=True)


if __name__ == "__main__":
    main()
