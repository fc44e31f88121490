"""Using a trained network: load, evaluate, predict, explain; and looking at data and networks."""

import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from glob import glob
from pathlib import Path

import numpy as np
import torch

from nin.artifacts import escape_name, make_folder, write_bytes
from nin.bundle import Bundle, read_bundle
from nin.data.cache import decode_split
from nin.data.check import Check
from nin.data.check import check as check_data
from nin.data.images import PictureError, is_picture_name
from nin.data.sources import open_source
from nin.errors import DataError, ModelError, NinError, UsageError
from nin.lab.plots import explain_png
from nin.lab.report import Example
from nin.network.anatomy import Anatomy, anatomy
from nin.network.architecture import NIN, create_model, list_models
from nin.network.class_maps import class_maps
from nin.network.config import NINConfig
from nin.training import hardware
from nin.training.evaluate import Evaluation, evaluate_probabilities, softmax
from nin.training.loop import predict_logits, to_input

BATCH = 64
IDENTITY_LIMIT = 1e-6  # of max(1, |logit|): float32 rounding of a mean; more means the maps are not the logits


@dataclass(frozen=True)
class Prediction:
    """The answer for one picture; `scores` holds every class, likeliest first. `error` is set when there is none."""

    file: str
    label: str | None
    score: float | None
    unknown: bool
    scores: tuple[tuple[str, float], ...]
    ms: float
    error: str | None = None


@dataclass(frozen=True)
class Explanation:
    """A picture of the class maps of one picture: where it lies, and (label, logit, probability) of the top classes."""

    file: str
    png: Path
    classes: tuple[tuple[str, float, float], ...]
    identity_error: float


@dataclass(frozen=True)
class Measured:
    """An evaluation and the split it was made on."""

    evaluation: Evaluation
    split: str
    notes: tuple[str, ...]


class Classifier:
    """A trained network with its labels and its preprocessing: pictures in, answers out."""

    def __init__(self, bundle: Bundle, device: str = "auto") -> None:
        self.bundle = bundle
        self.classes, self.preprocess, self.calibration = bundle.classes, bundle.preprocess, bundle.calibration
        self.hardware = hardware.choose(device, precision="float32")
        hardware.apply(self.hardware)
        self.model = _network(bundle).to(self.hardware.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

    def logits(self, images: np.ndarray) -> np.ndarray:
        """(N, H, W, C) uint8 pictures of the network's own size -> (N, K) float32."""
        return predict_logits(self.model, images, self.preprocess, self.hardware)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """(N, H, W, C) uint8 -> (N, K) calibrated probabilities; ModelError when a logit is not finite."""
        logits = self.logits(images)
        if not np.isfinite(logits).all():
            raise ModelError(f"the network in {self.bundle.folder} gives numbers that are not finite; train it again")
        return softmax(logits, self.calibration.temperature)

    def predict(self, sources: Sequence[Path | bytes], names: Sequence[str] | None = None) -> Iterator[Prediction]:
        """Answer for every picture, in order; an unreadable one gives a Prediction with `error`."""
        names = names or [str(s) if isinstance(s, Path) else "picture" for s in sources]
        with ThreadPoolExecutor(self.hardware.threads) as pool:
            for start in range(0, len(sources), BATCH):
                end = start + BATCH
                chunk = list(zip(sources[start:end], names[start:end], strict=True))
                yield from self._predict_chunk(chunk, pool)

    def _predict_chunk(self, chunk: list[tuple[Path | bytes, str]], pool: ThreadPoolExecutor) -> Iterator[Prediction]:
        start = time.perf_counter()
        loaded = list(pool.map(lambda item: _load(self, item[0]), chunk))
        good = [pixels for pixels in loaded if isinstance(pixels, np.ndarray)]
        rows = iter(self.probabilities(np.stack(good)) if good else ())
        ms = (time.perf_counter() - start) * 1000 / len(chunk)
        for (_, name), pixels in zip(chunk, loaded, strict=True):
            if isinstance(pixels, np.ndarray):
                yield self._answer(name, next(rows), ms)
            else:
                yield Prediction(name, None, None, False, (), ms, error=pixels)

    def _answer(self, name: str, probabilities: np.ndarray, ms: float) -> Prediction:
        ranked = tuple((self.classes[i], float(probabilities[i])) for i in np.argsort(-probabilities, kind="stable"))
        label, score = ranked[0]
        return Prediction(name, label, score, score < self.calibration.unknown_below, ranked, ms)

    def see(self, source: Path | bytes, name: str) -> Example:
        """One picture with its logits, probabilities and class maps."""
        pixels = self.preprocess.load(source)
        seen = class_maps(self.model, to_input(pixels[None], self.preprocess, self.hardware.device))
        logits, maps = seen.logits[0].cpu().numpy(), seen.maps[0].cpu().numpy()
        return Example(pixels, name, None, softmax(logits, self.calibration.temperature), logits, maps)

    def evaluate(self, images: np.ndarray, labels: np.ndarray) -> Evaluation:
        """Measure on decoded pictures (N, H, W, C) uint8 with labels (N,)."""
        return evaluate_probabilities(self.probabilities(images), labels, self.classes)


def _load(classifier: Classifier, source: Path | bytes) -> np.ndarray | str:
    try:
        return classifier.preprocess.load(source)
    except PictureError as error:
        return error.reason


def _network(bundle: Bundle) -> NIN:
    model = NIN(NINConfig.from_dict(bundle.network))
    weights = {name: torch.from_numpy(array.copy()) for name, array in bundle.weights().items()}
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ModelError(f"the weights in {bundle.folder} do not fit its config.json: {reason}") from None
    return model


def load(model: str | Path, device: str = "auto") -> Classifier:
    """Load a model folder, or the run folder that holds one in `model/`."""
    folder = Path(model)
    if (folder / "model" / "config.json").is_file() and not (folder / "config.json").exists():
        folder = folder / "model"
    return Classifier(read_bundle(folder), device)


def evaluate(
    model: str | Path,
    data: str | Path,
    *,
    split: str | None = None,
    skip_unreadable: bool = False,
    device: str = "auto",
) -> Measured:
    """Measure a trained network on the pictures at `data`: on `split`, else test, else validation, else everything."""
    source = open_source(Path(data), split=False)
    name = split or next((n for n in ("test", "validation") if n in source.splits), "train")
    if name not in source.splits:
        raise UsageError(f"{data} has no split {name!r}; it has {', '.join(source.splits)}")
    classifier = load(model, device)
    columns = {label: index for index, label in enumerate(classifier.classes)}
    strangers = [label for label in source.classes if label not in columns]
    if strangers:
        known = ", ".join(escape_name(c) for c in classifier.classes[:5]) + (" ..." if len(columns) > 5 else "")
        raise DataError(
            f"{data} has the class {escape_name(strangers[0])!r}, which the model does not know (it knows {known}); "
            "name the folders as the model's labels.txt does"
        )
    decoded = decode_split(
        source.splits[name], classifier.preprocess, skip_unreadable=skip_unreadable, key=source.fingerprint
    )
    labels = np.array([columns[label] for label in source.classes])[decoded.labels]
    notes = [f"left out: {file} ({reason})" for file, reason in decoded.unreadable]
    if name == "train":
        notes.append("no test or validation split was found: measured on everything in the folder")
    return Measured(classifier.evaluate(decoded.images, labels), name, tuple(notes))


def predict(model: str | Path, inputs: Sequence[str], *, device: str = "auto") -> Iterator[Prediction]:
    """Answer for files, folders, globs, or '-' (one picture on standard input), in a stable order."""
    sources, names = _pictures(inputs)
    yield from load(model, device).predict(sources, names)


def explain(
    model: str | Path, images: Sequence[str], *, out: str | Path | None = None, top: int = 3, device: str = "auto"
) -> Iterator[Explanation]:
    """Write, for every picture, one PNG: the picture and the class maps of its top classes.

    The maps are exact: the logit of a class is the mean of its map, checked to 1e-6 on every picture.
    """
    sources, names = _pictures(images)
    classifier = load(model, device)
    folder = make_folder(Path(out or "explained"))
    for source, name in zip(sources, names, strict=True):
        example = classifier.see(source, name)
        means = np.asarray(example.maps).mean((1, 2), dtype=np.float64)
        error = np.abs(means - example.logits) / np.maximum(1, np.abs(example.logits))
        if error.max() > IDENTITY_LIMIT:
            raise NinError(
                f"{name}: a logit differs from the mean of its map by {error.max():.1e}; the maps cannot be shown"
            )
        png = _free_name(folder, Path(name).stem if name != "-" else "stdin")
        write_bytes(png, explain_png(example, classifier.classes, top))
        ranked = np.argsort(-example.logits, kind="stable")[:top]
        classes = tuple(
            (classifier.classes[i], float(example.logits[i]), float(example.probabilities[i])) for i in ranked
        )
        yield Explanation(name, png, classes, float(error.max()))


def _free_name(folder: Path, stem: str) -> Path:
    """stem.png, or stem-2.png and so on when an explanation of that name is there."""
    number = 1
    while (path := folder / f"{stem}{'' if number == 1 else f'-{number}'}.png").exists():
        number += 1
    return path


def _pictures(inputs: Sequence[str]) -> tuple[list[Path | bytes], list[str]]:
    """Files, folders (searched through), globs and '-' -> sources and the names to show."""
    if not inputs:
        raise UsageError("no picture given; name files, folders, a glob, or - for standard input")
    sources: list[Path | bytes] = []
    names: list[str] = []
    for text in inputs:
        found = [sys.stdin.buffer.read()] if text == "-" else _expand(text)
        sources += found
        names += ["-"] if text == "-" else [str(path) for path in found]
    return sources, names


def _expand(text: str) -> list[Path]:
    path = Path(text)
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.is_file() and is_picture_name(p) and not _hidden(p, path))
        if not found:
            raise UsageError(f"{text} holds no pictures (JPEG, PNG, WebP, BMP, GIF)")
        return found
    if path.exists():
        return [path]
    matched = [Path(name) for name in sorted(glob(text, recursive=True)) if Path(name).is_file()]  # noqa: PTH207
    if not matched:
        raise UsageError(
            f"{escape_name(text)} does not exist; name files, folders, a glob in quotes, or - for standard input"
        )
    return matched


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def check(path: str | Path) -> Check:
    """Look through a data set before training: see nin.data.check."""
    return check_data(Path(path))


def summary(name: str | None = None, input_size: tuple[int, int, int] | None = None) -> Anatomy:
    """Anatomy of a named network (default: "nin") or of a model folder, for pictures of (C, H, W)."""
    name = name or "nin"
    if name not in list_models() and Path(name).is_dir():
        bundle = read_bundle(Path(name) / "model" if (Path(name) / "model").is_dir() else Path(name))
        channels, size = bundle.preprocess.channels, bundle.preprocess.size
        return anatomy(NINConfig.from_dict(bundle.network), input_size or (channels, *size))
    if input_size is None:
        return anatomy(create_model(name), DEFAULT_INPUTS.get(name, (3, 32, 32)))
    return anatomy(create_model(name, in_chans=input_size[0]), input_size)


DEFAULT_INPUTS = {"nin-author-mnist": (1, 28, 28), "nin-author-imagenet": (3, 224, 224)}
