"""The model card, README.md of a model folder: what the model knows, how well, from what, and how to use it."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nin.data.preprocess import Preprocess
from nin.errors import UsageError, escape_name

_FITS = {"stretch": "stretched to", "pad": "padded and resized to", "crop": "resized and cropped in the middle to"}
_ROWS = 200  # of a table
TEMPERATURES = 1e-6, 1e6  # what a model folder may say; ours
DISTANCES = 0.0, 1e9  # the same


@dataclass(frozen=True)
class Calibration:
    """How far answers can be trusted: logits / temperature before softmax, and when the answer is "unknown".

    It is under the probability `unknown_below`, or beyond the distance `unknown_beyond` from the training pictures
    (nin.bundle.likeness); None: the model does not know them.
    """

    temperature: float = 1.0
    unknown_below: float = 0.0
    unknown_beyond: float | None = None

    def __post_init__(self) -> None:
        limits = {"temperature": TEMPERATURES, "unknown_below": (0.0, 1.0), "unknown_beyond": DISTANCES}
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if name == "unknown_beyond" and value is None:
                continue
            if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
                raise UsageError(f"{name} is {str(value)[:40]}; expected a number from {low:g} to {high:g}")

    def is_unknown(self, score: float, distance: float | None = None) -> bool:
        """Whether an answer of this probability, and this distance of its picture where it is known, is "unknown"."""
        return score < self.unknown_below or self.is_unlike(distance)

    def is_unlike(self, distance: float | None) -> bool:
        """Whether a picture at this distance is unlike the training pictures, whatever its probability says."""
        return self.unknown_beyond is not None and distance is not None and not distance <= self.unknown_beyond

    def to_dict(self) -> dict[str, float]:
        """As JSON values, those that there are; `Calibration(**values)` reads them back."""
        return {name: value for name, value in vars(self).items() if value is not None}


def licence(provenance: Mapping[str, Any]) -> str:
    """The licence that the provenance names, in small letters: the hub refuses a card with others."""
    return str(provenance.get("license", "unknown")).lower()


def model_card(
    network: Mapping[str, Any],
    classes: Sequence[str],
    preprocess: Preprocess,
    calibration: Calibration,
    metrics: Mapping[str, Any],
    provenance: Mapping[str, Any],
) -> str:
    """README.md of the folder: what the model knows, how well, from what, and how to use it."""
    import yaml  # reading a model does without

    front = {
        "library_name": "network-in-network",
        "license": licence(provenance),
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "network-in-network", "class-activation-map"],
        "metrics": ["accuracy"],
    }
    names = ", ".join(_plain(name) for name in classes[:_ROWS]) + (", ..." if len(classes) > _ROWS else "")
    return f"""---
{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---

# {_plain(network["name"])}: {len(classes)} classes

A Network in Network (Lin, Chen, Yan 2013, arXiv 1312.4400) that sorts pictures into {len(classes)} classes:
{names}.

## How good it is

{_quality(metrics)}

## What it was trained on

{_table(("what", "value"), _flat(provenance))}

## What it expects

{_expectation(preprocess)}

## How to use it

```
pip install network-in-network
nin predict path/to/this/folder picture.jpg
```

Probabilities are softmax(logits / {calibration.temperature:.4g}). {unknown_in_words(calibration)}

## Limits

It knows the classes above and nothing else. The accuracy holds for pictures like those it was measured on; pictures
from another camera, place or time may do worse: measure it with your own, `nin evaluate path/to/this/folder pictures`.
Pictures of something else get one of these classes, too. {_foreign(calibration, metrics)}
The digests in config.json show damage to a file; they do not prove who made it.
"""


def unknown_in_words(calibration: Calibration) -> str:
    """When the answer is "unknown": one sentence, or nothing where it never is."""
    reasons = []
    if calibration.unknown_below > 0:
        reasons.append(f"under a probability of {calibration.unknown_below:.2g}")
    if calibration.unknown_beyond is not None:
        reasons.append(f"farther than {calibration.unknown_beyond:.3g} from the training pictures")
    if not reasons:
        return ""
    text = " or ".join(reasons)
    return f'{text[0].upper()}{text[1:]} the answer is "unknown".'


def _expectation(preprocess: Preprocess) -> str:
    colours = {1: "grey", 3: "RGB", 4: "RGBA"}.get(preprocess.channels, f"{preprocess.channels} channels")
    size = " x ".join(str(side) for side in preprocess.size)
    return (
        f"Pictures of any size; each is {_FITS[preprocess.fit]} {size} pixels (height x width), {colours},\n"
        f"{preprocess.in_words()}."
    )


def _quality(metrics: Mapping[str, Any]) -> str:
    """Accuracy with its interval, then one row per class; `metrics` is what an evaluation's `to_dict` gives."""
    if "accuracy" not in metrics:
        return "It has not been measured."
    low, high = metrics.get("interval", (math.nan, math.nan))
    split = f" of the {_plain(metrics['split'])} split" if "split" in metrics else ""
    text = (
        f"Accuracy {100 * metrics['accuracy']:.1f} % (95 % interval {100 * low:.1f} to {100 * high:.1f} %) on "
        f"{metrics.get('n', 0):,} pictures{split}."
    )
    rows = [
        (score["label"], f"{score['support']:,}", f"{100 * score['precision']:.1f} %", f"{100 * score['recall']:.1f} %")
        for score in metrics.get("per_class", ())
    ]
    return f"{text}\n\n{_table(('class', 'pictures', 'precision', 'recall'), rows)}" if rows else text


def _foreign(calibration: Calibration, metrics: Mapping[str, Any]) -> str:
    """What "unknown" does with pictures of something else, by `foreign` of the metrics where that was measured."""
    if not unknown_in_words(calibration):
        return ""
    known = calibration.unknown_beyond is not None
    marks = "those that it is not sure of" + (" and those unlike all that it was trained on" if known else "")
    rows = [
        (row["pictures"], f"{row['n']:,}", f"{100 * row['unknown']:.0f} %", f"{100 * row['over_90']:.0f} %")
        for row in metrics.get("foreign", ())
    ]
    if not rows:
        return f'The answer "unknown" marks {marks}; how many that are was not measured.'
    sentence = f'The answer "unknown" marks {marks}, and so only a part of them:'
    return f"{sentence}\n\n{_table(('pictures', 'n', 'unknown', 'answered with over 90 %'), rows)}\n"


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested dictionaries as ("training.epochs", "30") pairs."""
    pairs: list[tuple[str, str]] = []
    for name, value in values.items():
        inner = isinstance(value, Mapping)
        pairs += _flat(value, f"{prefix}{name}.") if inner else [(f"{prefix}{name}", str(value)[:200])]
    return pairs


def _table(head: tuple[str, ...], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return "Nothing is recorded."
    lines = [head, ("---",) * len(head), *([_plain(cell) for cell in row] for row in rows[:_ROWS])]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _plain(text: object) -> str:
    """Text that Markdown and HTML show as it is."""
    return re.sub(r"([\\`*_\[\]<>|&~])", r"\\\1", escape_name(text))
