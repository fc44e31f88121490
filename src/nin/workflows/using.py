"""A trained network at work: pictures in, answers, class maps and measurements out (torch-free)."""

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from nin.artifacts import make_folder, write_bytes
from nin.bundle.card import Calibration
from nin.data.given import Named, Source, named_pictures, one_picture
from nin.data.images import PictureError
from nin.data.preprocess import Preprocess
from nin.data.stream import Images, StreamedImages, expect
from nin.deploy.engine import Answers
from nin.errors import DataError, NinError
from nin.workflows.answers import Explanation, Prediction

if TYPE_CHECKING:  # imported where they are used: a prediction needs none of them
    from nin.lab.report import Example
    from nin.training.evaluate import Evaluation

BATCH = 64
IDENTITY_LIMIT = 1e-6  # of max(1, |logit|): float32 rounding of a mean; more means the maps are not the logits


class Runner(Protocol):
    """What computes: the engine without torch, or torch itself. Attributes as those of `nin.deploy.engine.Engine`."""

    name: str
    classes: tuple[str, ...]
    preprocess: Preprocess
    calibration: Calibration
    threads: int

    def run(self, images: np.ndarray) -> Answers:
        """Answers for (N, H, W, C) uint8 of the network's own size; ModelError when a number is not finite."""

    def in_words(self) -> str:
        """What computes, for people."""


class Classifier:
    """A trained network with its labels and its preprocessing: pictures in, answers out."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.classes, self.preprocess, self.calibration = runner.classes, runner.preprocess, runner.calibration

    @property
    def model(self) -> Any:
        """The network itself, a torch module; of what `nin.load` gives, which computes with torch."""
        return self.runner.model  # type: ignore[attr-defined]

    def logits(self, images: Images) -> np.ndarray:
        """(N, H, W, C) uint8 pictures of the network's own size -> (N, K) float32."""
        return np.concatenate([np.empty((0, len(self.classes)), np.float32), *(a.logits for a in self._parts(images))])

    def probabilities(self, images: Images) -> np.ndarray:
        """(N, H, W, C) uint8 -> (N, K) float32, calibrated; ModelError when a number is not finite."""
        none = np.empty((0, len(self.classes)), np.float32)
        return np.concatenate([none, *(answers.probabilities for answers in self._parts(images))])

    def _parts(self, images: Images) -> Iterator[Answers]:
        expect(images, np.arange(len(images)))
        for start in range(0, len(images), BATCH):
            yield self.runner.run(images[start : start + BATCH])

    def predict(self, pictures: Any) -> Iterator[Prediction]:
        """Answer for every picture, in order; an unreadable one gives a Prediction with `error`.

        pictures: one or many, as `nin.predict` takes them. The first BATCH are answered now, the others as they are
        wanted. Raises UsageError for what is no picture.
        """
        return self.answer(named_pictures(pictures))

    def answer(self, named: Iterator[Named]) -> Iterator[Prediction]:
        """`predict`, of at least one picture with its name."""
        answers = self._predictions(named)
        return chain((next(answers),), answers)

    def _predictions(self, named: Iterator[Named]) -> Iterator[Prediction]:
        with ThreadPoolExecutor(self.runner.threads) as pool:
            while chunk := list(islice(named, BATCH)):
                yield from self._predict_chunk(chunk, pool)

    def _predict_chunk(self, chunk: list[Named], pool: ThreadPoolExecutor) -> Iterator[Prediction]:
        start = time.perf_counter()
        loaded = list(pool.map(lambda item: _load(self.preprocess, *item), chunk))
        good = [found[0] for found in loaded if not isinstance(found, str)]
        answers = self.runner.run(np.stack(good)) if good else None
        rows = iter(range(len(good)))
        ms = (time.perf_counter() - start) * 1000 / len(chunk)
        for (name, _), found in zip(chunk, loaded, strict=True):
            if isinstance(found, str):
                yield Prediction(name, None, None, False, (), ms, error=found)
            else:
                assert answers is not None
                yield self._answer(name, answers, next(rows), ms, found[1])

    def _answer(self, name: str, answers: Answers, row: int, ms: float, notes: tuple[str, ...]) -> Prediction:
        probabilities, distance = answers.probabilities[row], answers.distance(row)
        ranked = tuple((self.classes[i], float(probabilities[i])) for i in np.argsort(-probabilities, kind="stable"))
        label, score = ranked[0]
        unknown, unlike = self.calibration.is_unknown(score, distance), self.calibration.is_unlike(distance)
        return Prediction(name, label, score, unknown, ranked, ms, notes=notes, unlike=unlike)

    def see(self, picture: Any, name: str | None = None) -> "Example":
        """One picture, given in any form that `nin.predict` takes, with its logits, probabilities and class maps."""
        from nin.lab.report import Example

        its_name, source = one_picture(picture)
        pixels = self.preprocess.load(source, name=its_name)
        seen = self.runner.run(pixels[None])
        return Example(pixels, name or Path(its_name).name, None, seen.probabilities[0], seen.logits[0], seen.maps[0])

    def evaluate(self, images: Images, labels: np.ndarray) -> "Evaluation":
        """Measure on decoded or streamed pictures (N, H, W, C) uint8 with labels (N,); unreadable ones do not count."""
        from nin.training.evaluate import evaluate_probabilities

        probabilities = self.probabilities(images)
        if isinstance(images, StreamedImages):
            left_out = list(images.unreadable)
            probabilities, labels = np.delete(probabilities, left_out, 0), np.delete(labels, left_out)
        return evaluate_probabilities(probabilities, labels, self.classes)


def _load(preprocess: Preprocess, name: str, source: Source) -> tuple[np.ndarray, tuple[str, ...]] | str:
    try:
        return preprocess.open_picture(source, name=name)
    except PictureError as error:
        return error.reason


def explanations(classifier: Classifier, pictures: Iterable[Named], folder: Path, top: int) -> Iterator[Explanation]:
    """Write one PNG for every picture into `folder`: the picture and the class maps of its top classes."""
    from nin.lab.plots import explain_png

    for name, source in pictures:
        try:
            example = classifier.see(source, Path(name).name)
        except PictureError as error:
            raise DataError(f"{str(error).rpartition('; ')[0]}; give another picture") from None
        means = np.asarray(example.maps).mean((1, 2), dtype=np.float64)
        error_of = np.abs(means - example.logits) / np.maximum(1, np.abs(example.logits))
        if error_of.max() > IDENTITY_LIMIT:
            raise NinError(
                f"{name}: a logit differs from the mean of its map by {error_of.max():.1e}; the maps cannot be shown"
            )
        png = _free_name(make_folder(folder), Path(name).stem if name != "-" else "stdin")
        write_bytes(png, explain_png(example, classifier.classes, top))
        ranked = np.argsort(-example.logits, kind="stable")[:top]
        classes = tuple(
            (classifier.classes[i], float(example.logits[i]), float(example.probabilities[i])) for i in ranked
        )
        yield Explanation(name, png, classes, float(error_of.max()))


def _free_name(folder: Path, stem: str) -> Path:
    """stem.png, or stem-2.png and so on when an explanation of that name is there."""
    number = 1
    while (path := folder / f"{stem}{'' if number == 1 else f'-{number}'}.png").exists():
        number += 1
    return path
