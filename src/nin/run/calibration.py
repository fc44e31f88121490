"""What is fitted once a training is over: the temperature, and when the answer is "unknown" (torch).

Shapes: N pictures, K classes, F features.
"""

from dataclasses import replace

import numpy as np
import torch

from nin.bundle.card import Calibration
from nin.bundle.likeness import Likeness, fit_likeness
from nin.data.preprocess import Preprocess
from nin.data.stream import Images, prefetch
from nin.network.architecture import NIN
from nin.run.run import Run
from nin.training.evaluation import (
    Evaluation,
    evaluate_probabilities,
    fit_temperature,
    fit_unknown_threshold,
    fit_unlike_threshold,
    softmax,
)
from nin.training.loop import EVALUATION_BATCH
from nin.training.state import Pictures
from nin.training.tensors import to_tensor

ENOUGH = 5_000  # pictures that statistics of features are taken from; ours


def calibrated(run: Run) -> tuple[Calibration, dict[str, np.ndarray], dict[str, Evaluation]]:
    """Calibrate probabilities on the validation pictures, then measure every held-out split: each rank a part."""
    trainer = run.trainer
    logits = {name: trainer.logits(pictures.images) for name, pictures in run.held_out.items()}
    temperature = fit_temperature(logits["validation"], run.held_out["validation"].labels)
    probabilities = {name: softmax(values, temperature) for name, values in logits.items()}
    threshold = fit_unknown_threshold(probabilities["validation"], run.held_out["validation"].labels)
    evaluations = {
        name: evaluate_probabilities(values, run.held_out[name].labels, run.source.classes)
        for name, values in probabilities.items()
    }
    return Calibration(temperature=temperature, unknown_below=threshold), probabilities, evaluations


def with_likeness(run: Run, calibration: Calibration, probabilities: np.ndarray) -> tuple[Calibration, Likeness | None]:
    """The calibration with the distance from the training pictures beyond which answers are unknown, and its measure.

    probabilities (N, K): of the validation pictures. None where these are too few to set a threshold by, or the
    training pictures tell nothing.
    """
    trainer = run.trainer
    held_out = run.held_out["validation"]
    network = trainer.model, trainer.preprocess, trainer.hardware.device
    right = probabilities.argmax(1) == held_out.labels
    beyond, likeness = fit_known_pictures(*network, trainer.data, held_out, right)
    return replace(calibration, unknown_beyond=beyond), likeness


def fit_known_pictures(
    model: NIN, preprocess: Preprocess, device: str, train: Pictures, held_out: Pictures, right: np.ndarray
) -> tuple[float | None, Likeness | None]:
    """The distance beyond which answers are unknown, and its measure; None and None where it cannot be told.

    right (N,) bool: which of the held-out pictures are answered rightly.
    """
    rows = _some(held_out.labels)
    if fit_unlike_threshold(np.zeros(len(rows)), right[rows]) is None:  # no distance would be used
        return None, None
    known = _some(train.labels)
    features = mean_features(model, preprocess, device, train.images, known)
    likeness = fit_likeness(features, train.labels[known], model.config.num_classes)
    if likeness is None:
        return None, None
    distances = likeness.distances(mean_features(model, preprocess, device, held_out.images, rows))
    beyond = fit_unlike_threshold(distances, right[rows])
    return (None, None) if beyond is None else (beyond, likeness)


def _some(labels: np.ndarray) -> np.ndarray:
    """At most ENOUGH rows and one for every class, spread evenly over the classes, in order."""
    if len(labels) <= ENOUGH:
        return np.arange(len(labels))
    by_class = np.argsort(labels, kind="stable")  # rows, class after class: an even step through them takes of all
    even = by_class[np.linspace(0, len(labels) - 1, ENOUGH).astype(np.int64)]
    return np.unique(np.concatenate([even, np.unique(labels, return_index=True)[1]]))


def mean_features(model: NIN, preprocess: Preprocess, device: str, images: Images, rows: np.ndarray) -> np.ndarray:
    """(N, H, W, C) uint8, of which these rows -> (rows, F) float32, as they are: not augmented."""
    was_training = model.training
    model.eval()
    prefetch(images, rows)
    found = []
    with torch.inference_mode():
        for start in range(0, len(rows), EVALUATION_BATCH):
            x = to_tensor(images[rows[start : start + EVALUATION_BATCH]], preprocess, device)  # (B, C, H, W)
            _, features = model.forward_both(x.contiguous(memory_format=torch.channels_last))  # (B, F)
            found.append(features.float().cpu().numpy())
    model.train(was_training)
    return np.concatenate(found)
