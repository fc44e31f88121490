"""A trained network at work: pictures in, answers, class maps and measurements out (torch-free)."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from nin.bundle.card import Calibration
from nin.bundle.folder import open_bundle
from nin.choices import chosen
from nin.data.given import Named, Source, named_pictures, one_picture
from nin.data.images import PictureError
from nin.data.preprocess import Preprocess
from nin.data.stream import Images, StreamedImages, prefetch
from nin.engine.engine import Answers, Engine, open_engine
from nin.extras import need
from nin.run.options import Device

if TYPE_CHECKING:  # imported where they are used: a prediction needs none of them
    from nin.report.content import Example
    from nin.training.evaluation import Evaluation

BATCH = 64


@dataclass(frozen=True)
class Prediction:
    """The answer for one picture; `scores` holds every class, likeliest first. `error` is set when there is none;
    `notes`: what is to be known of the picture, one line each. `unlike`: it is unlike the training pictures, and so
    unknown whatever its score."""

    file: str
    label: str | None
    score: float | None
    unknown: bool
    scores: tuple[tuple[str, float], ...]
    ms: float
    error: str | None = None
    notes: tuple[str, ...] = ()
    unlike: bool = False


class Runner(Protocol):
    """What computes: the engine without torch, or torch itself. Attributes as those of `nin.engine.engine.Engine`."""

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
        self.classes = runner.classes
        self.preprocess = runner.preprocess
        self.calibration = runner.calibration

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
        prefetch(images, np.arange(len(images)))
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
        probabilities = answers.probabilities[row]
        distance = answers.distance(row)
        ranked = tuple((self.classes[i], float(probabilities[i])) for i in np.argsort(-probabilities, kind="stable"))
        label, score = ranked[0]
        unknown = self.calibration.is_unknown(score, distance)
        unlike = self.calibration.is_unlike(distance)
        return Prediction(name, label, score, unknown, ranked, ms, notes=notes, unlike=unlike)

    def see(self, picture: Any, name: str | None = None) -> "Example":
        """One picture, given in any form that `nin.predict` takes, with its logits, probabilities and class maps."""
        from nin.report.content import Example

        its_name, source = one_picture(picture)
        pixels = self.preprocess.load(source, name=its_name)
        seen = self.runner.run(pixels[None])
        return Example(pixels, name or Path(its_name).name, None, seen.probabilities[0], seen.logits[0], seen.maps[0])

    def evaluate(self, images: Images, labels: np.ndarray) -> "Evaluation":
        """Measure on decoded or streamed pictures (N, H, W, C) uint8 with labels (N,); unreadable ones do not count."""
        from nin.training.evaluation import evaluate_probabilities

        probabilities = self.probabilities(images)
        if isinstance(images, StreamedImages):
            left_out = list(images.unreadable)
            probabilities = np.delete(probabilities, left_out, 0)
            labels = np.delete(labels, left_out)
        return evaluate_probabilities(probabilities, labels, self.classes)


def _load(preprocess: Preprocess, name: str, source: Source) -> tuple[np.ndarray, tuple[str, ...]] | str:
    try:
        return preprocess.open_picture(source, name=name)
    except PictureError as error:
        return error.reason


def load(model: str | Path, device: str = "auto") -> Classifier:
    """Load a model folder, the run folder that holds one in `model/`, or a model of the package: "nin-cifar10".

    It computes with torch; its `model` is the torch module. To compute without torch: `nin.open_engine`.
    """
    device = chosen("device", device, Device)
    bundle = open_bundle(model)
    need("torch")
    from nin.commands.torch_runner import TorchRunner

    return Classifier(TorchRunner(bundle, device))


AtWork = str | Path | Classifier | Engine


def classifier(model: AtWork, device: str = "auto") -> Classifier:
    """A model, or an .onnx file, at work: on a processor without torch, on a GPU that is asked for with it.

    What is at work already, of `load` or `open_engine`, goes on as it is.
    """
    if isinstance(model, Classifier | Engine):
        return model if isinstance(model, Classifier) else Classifier(model)
    if chosen("device", device, Device) not in ("auto", "cpu"):
        return load(model, device)
    return Classifier(open_engine(model))
