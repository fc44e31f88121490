"""Figure 4 of the paper, and two scores that it lacks: is the true class's map the strongest, and where is its peak?

N pictures, K classes, (H, W) sides of a picture, (h, w) sides of a map.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import nn

from nin.data.preprocess import Preprocess
from nin.data.randomness import order
from nin.network.architecture import NIN
from nin.network.class_maps import pointing
from nin.report.plots import category_maps_png
from nin.training.state import Pictures

BATCH = 250
MOSAICS = 1000


def figure4(
    model: nn.Module, test: Pictures, preprocess: Preprocess, classes: Sequence[str]
) -> tuple[bytes, dict[str, float]]:
    """A PNG of the maps of one rightly answered test picture of each class, and scores over all test pictures.

    strongest_map: percent of the pictures whose highest place of all maps is in the true class's map. pointing: percent
    of MOSAICS mosaics of four test pictures of different classes in which the map of a class peaks in that class's
    quarter; chance is 25.
    """
    assert isinstance(model, NIN)
    pictures = np.asarray(test.images)
    maps = np.concatenate(list(_maps(model, preprocess, pictures)))
    answers = maps.mean((2, 3)).argmax(1)
    rows = [int(np.flatnonzero((test.labels == k) & (answers == k))[0]) for k in range(len(classes))
            if ((test.labels == k) & (answers == k)).any()]  # fmt: skip
    drawing = category_maps_png([pictures[row] for row in rows], maps[rows], classes)
    strongest = float((maps.max((2, 3)).argmax(1) == test.labels).mean())
    images, labels, boxes = mosaics(test)
    found = torch.from_numpy(np.concatenate(list(_maps(model, preprocess, images))))
    hits = pointing(found, torch.from_numpy(labels), torch.from_numpy(boxes))
    scores = {
        "accuracy": 100 * float((answers == test.labels).mean()),
        "strongest_map": 100 * strongest,
        "pointing": 100 * float(hits.float().mean()),
        "mosaics": float(len(labels)),
    }
    return drawing, {name: round(value, 2) for name, value in scores.items()}


def mosaics(test: Pictures) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """MOSAICS mosaics (2H, 2W, C) of four pictures of different classes; the class of one and its box in shares.

    Which of the four is asked about goes round, so that no corner is favoured.
    """
    shuffled = order(0, 0, len(test))
    groups = shuffled[: len(shuffled) // 4 * 4].reshape(-1, 4)
    groups = np.array([group for group in groups if len(set(test.labels[group])) == 4][:MOSAICS]).reshape(-1, 4)
    height, width, channels = test.images.shape[1:]
    four = test.images[groups.reshape(-1)].reshape(-1, 2, 2, height, width, channels)
    whole = four.transpose(0, 1, 3, 2, 4, 5).reshape(-1, 2 * height, 2 * width, channels)
    asked = np.arange(len(groups)) % 4
    top = asked // 2 / 2
    left = asked % 2 / 2
    boxes = np.stack([top, left, top + 0.5, left + 0.5], 1)
    return whole, test.labels[groups[np.arange(len(groups)), asked]], boxes


@torch.inference_mode()
def _maps(model: NIN, preprocess: Preprocess, images: np.ndarray) -> Iterator[np.ndarray]:
    """Class maps (n, K, h, w), batch by batch; a whitened picture is whitened piece by piece, at the trained size."""
    height, width = preprocess.size
    for start in range(0, len(images), BATCH):
        batch = np.ascontiguousarray(images[start : start + BATCH])
        down, across = batch.shape[1] // height, batch.shape[2] // width
        pieces = batch.reshape(len(batch), down, height, across, width, -1).transpose(0, 1, 3, 2, 4, 5)
        values = preprocess.normalise(pieces.reshape(-1, height, width, batch.shape[3]))
        values = values.reshape(len(batch), down, across, -1, height, width).transpose(0, 3, 1, 4, 2, 5)
        x = torch.from_numpy(np.ascontiguousarray(values.reshape(len(batch), -1, *batch.shape[1:3])))
        yield model.forward_maps(x).numpy()
