"""The pictures of a run's report: mistakes, one of each class, and those whose label may be wrong, with their maps."""

import numpy as np

from nin.network.class_maps import class_maps
from nin.report.content import Example
from nin.run.run import Run
from nin.training.label_errors import candidates, consistent, views
from nin.training.loop import predict_logits
from nin.training.tensors import to_tensor

MISTAKES = 48  # wrong answers shown in the report
SUSPECTS = 24  # pictures shown whose label may be wrong
EXAMPLES = 10  # pictures whose class maps are shown, one a class


def shown_pictures(run: Run, split: str, probabilities: np.ndarray) -> tuple[tuple[Example, ...], ...]:
    """The most confident mistakes, a picture of each of the first classes, and pictures whose label may be wrong."""
    pictures = run.held_out[split]
    labels = pictures.labels
    guesses = probabilities.argmax(1)  # (N,)
    sure = probabilities.max(1)
    wrong = np.flatnonzero(guesses != labels)
    mistakes = wrong[np.argsort(-sure[wrong], kind="stable")][:MISTAKES]
    firsts = [np.flatnonzero(labels == label)[:1] for label in np.unique(labels)[:EXAMPLES]]
    suspects = candidates(probabilities, labels)
    if len(suspects):
        seen = np.stack([_logits(run, view) for view in views(pictures.images, suspects)])  # (V, M, K)
        suspects = suspects[consistent(guesses[suspects], seen)][:SUSPECTS]
    chosen = mistakes, np.concatenate(firsts), suspects
    return tuple(_examples(run, split, rows, probabilities) for rows in chosen)


def _logits(run: Run, images: np.ndarray) -> np.ndarray:
    """(M, H, W, C) uint8 -> (M, K), by this process alone: the other ranks have nothing to do with the report."""
    return predict_logits(run.trainer.model, images, run.trainer.preprocess, run.trainer.hardware)


def _examples(run: Run, split: str, chosen: np.ndarray, probabilities: np.ndarray) -> tuple[Example, ...]:
    if not len(chosen):
        return ()
    pictures = run.held_out[split]
    trainer = run.trainer
    trainer.model.eval()
    seen = class_maps(trainer.model, to_tensor(pictures.images[chosen], trainer.preprocess, trainer.hardware.device))
    return tuple(
        Example(
            pixels=np.asarray(pictures.images[i]),
            name=run.name(split, i),
            true=int(pictures.labels[i]),
            probabilities=probabilities[i],
            logits=seen.logits[row].cpu().numpy(),
            maps=seen.maps[row].cpu().numpy(),
            path=run.path(split, i),
        )
        for row, i in enumerate(chosen)
    )
