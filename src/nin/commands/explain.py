"""`nin explain`: where in a picture a network sees each class, one PNG a picture (torch-free)."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nin.artifacts import make_folder, write_bytes
from nin.choices import chosen, path_of
from nin.commands.classifier import AtWork, Classifier, classifier
from nin.data.given import Named, named_pictures
from nin.data.images import PictureError
from nin.errors import DataError, NinError
from nin.orphans import sweep
from nin.run.options import TOP, Device

IDENTITY_LIMIT = 1e-6  # of max(1, |logit|): float32 rounding of a mean; more means the maps are not the logits


@dataclass(frozen=True)
class Explanation:
    """A picture of the class maps of one picture: where it lies, and (label, logit, probability) of the top classes."""

    file: str
    png: Path
    classes: tuple[tuple[str, float, float], ...]
    identity_error: float


def explain(
    model: AtWork,
    pictures: Any,
    *,
    out: str | Path | None = None,
    top: int = 3,
    device: str = "auto",
    say: Callable[[str], None] = lambda _: None,
) -> list[Explanation]:
    """Write, for every picture, one PNG into `out` ("explained"): the picture and the maps of its top classes.

    pictures: as `predict` takes them; all are written when this returns. The maps are exact: the logit of a class is
    the mean of its map, checked to 1e-6 on every picture. `say` is told what computes.
    """
    return list(explaining(model, pictures, out, top, device, say))


def explaining(
    model: AtWork, pictures: Any, out: str | Path | None, top: int, device: str, say: Callable[[str], None]
) -> Iterator[Explanation]:
    """`explain`, a picture at a time: each is written when it is asked for."""
    folder = path_of("out", "explained" if out is None else out)
    top = chosen("top", top, int, TOP)
    device = chosen("device", device, Device)
    named = named_pictures(pictures)
    sweep(folder)
    at_work = classifier(model, device)
    say(at_work.runner.in_words())
    return explanations(at_work, named, folder, top)


def explanations(classifier: Classifier, pictures: Iterable[Named], folder: Path, top: int) -> Iterator[Explanation]:
    """Write one PNG for every picture into `folder`: the picture and the class maps of its top classes."""
    from nin.report.plots import explain_png

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
