"""What a page of the explorer holds: page.json, and the files of each model in it (torch-free).

page.json has the form of web/src/app/site.ts, format 1. A model's files are the bytes of its folder, read and verified
once; beside them lie check.json, Python's own answers for generated pictures, and the pictures to try.
"""

import json
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from nin.artifacts import json_bytes
from nin.bundle.folder import FITTED, LIKENESS, WEIGHTS, Bundle, bundle_of, read_file, verified_files
from nin.bundle.shipped import CONFIG, find_model
from nin.data.depth import in_words, is_full
from nin.engine.engine import facts_of_bundle
from nin.errors import ArtifactError, ModelError, escape_name
from nin.explorer.pictures import PagePicture
from nin.explorer.python_answers import python_answers
from nin.version import __version__

FORMAT = 1  # raised when a page could misread what a newer program writes
SITE = "page.json"
CHECK = "check.json"
SHOWN = (CONFIG, WEIGHTS, FITTED, LIKENESS)  # the files of a model folder that the page reads, if they are there
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # of normalisations: nobody learns these
LONGEST = 60  # characters of a model's name in the page's address
KOREAN = Path(__file__).with_name("korean.json")

Language = Literal["en", "ko"]


@dataclass(frozen=True, eq=False)
class OpenedModel:
    """A model that was read and verified, with the files that a page reads, by name: what was verified is shown."""

    bundle: Bundle
    files: dict[str, bytes]

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(map(len, self.files.values()))


@dataclass(frozen=True, eq=False)
class PageModel:
    """A model as a page has it: its entry in page.json, and its files by their paths in the page."""

    entry: dict[str, Any]
    files: dict[str, bytes]


def open_model(model: str | Path) -> OpenedModel:
    """The model of a folder, of the run folder that holds it, or of the package by its name; ModelError otherwise."""
    folder = find_model(model)
    try:
        files = verified_files(partial(read_file, folder), folder)
        bundle = bundle_of(files, folder)
    except ArtifactError as error:
        raise ModelError(str(error)) from error
    if not is_full(own := bundle.preprocess.value_range):
        assert own is not None
        raise ModelError(
            f"{escape_name(folder)} was trained on pixel values of {in_words(own)}, and a browser gives 0 to 255; "
            "use nin predict and nin explain, which read such pictures"
        )
    return OpenedModel(bundle, {name: files[name] for name in SHOWN if name in files})


def page_model(opened: OpenedModel, pictures: Sequence[PagePicture], taken: Collection[str] = ()) -> PageModel:
    """The model and its pictures for a page in which the names `taken` are used already."""
    bundle = opened.bundle
    name = page_name(facts_of_bundle(bundle).name, taken)
    folder = f"models/{name if name.isascii() else f'model-{len(taken) + 1}'}"
    examples = {f"examples/{number}.{picture.kind}": picture for number, picture in enumerate(pictures)}
    entry = {
        "id": name,
        "folder": folder,
        "files": list(opened.files),
        "bytes": opened.bytes,
        "sha256": bundle.digests[WEIGHTS],
        "labels": {"ko": korean_classes(bundle.classes)},
        "examples": [{"file": file, "label": each.label, "credit": each.credit} for file, each in examples.items()],
        "summary": _summary(bundle),
    }
    files = {
        **opened.files,
        CHECK: json_bytes(python_answers(bundle), CHECK),
        **{file: picture.data for file, picture in examples.items()},
    }
    return PageModel(entry, {f"{folder}/{file}": data for file, data in files.items()})


def page_json(models: Sequence[PageModel], language: Language | None = None, goodbye: str | None = None) -> bytes:
    """page.json. goodbye: the address at which the page says that it was closed; only a server has one."""
    site = {
        "format": FORMAT,
        "nin": __version__,
        "language": language,
        "models": [model.entry for model in models],
        "goodbye": goodbye,
    }
    return json_bytes(site, SITE)


def page_name(name: str, taken: Collection[str] = ()) -> str:
    """A model's name as the page's address can hold it, unlike those `taken`, also where case does not count.

    Letters, marks and digits of any script stay, and "-", "_" and "."; whatever lies between is one "-".
    """
    plain = unicodedata.normalize("NFC", name)
    kept = "".join(c if c in "-_." or unicodedata.category(c)[0] in "LMN" else " " for c in plain)
    short = "-".join(kept.split()).strip("-.")[:LONGEST].strip("-.") or "model"
    used = {each.casefold() for each in taken}
    number = 1
    while (found := short if number == 1 else f"{short}-{number}").casefold() in used:
        number += 1
    return found


def korean_classes(classes: Sequence[str]) -> list[str] | None:
    """The classes in Korean, in the same order, where they are those of a model in the package."""
    known: Mapping[str, Mapping[str, str]] = json.loads(KOREAN.read_text(encoding="utf-8"))
    names = next((names for names in known.values() if set(names) == set(classes)), None)
    return None if names is None else [names[label] for label in classes]


def _summary(bundle: Bundle) -> dict[str, Any]:
    """Parameters, and the accuracy with its interval where the model's folder has plausible ones."""
    accuracy = bundle.metrics.get("accuracy")
    weights = bundle.weights().items()
    return {
        "parameters": sum(array.size for name, array in weights if not name.endswith(STATISTICS)),
        "accuracy": accuracy if _is_share(accuracy) else None,
        "interval": _interval(bundle.metrics.get("interval")) if _is_share(accuracy) else None,
    }


def _interval(value: object) -> list[float] | None:
    """The two ends, the lower one first; None for anything else."""
    if isinstance(value, list) and len(value) == 2 and all(map(_is_share, value)) and value[0] <= value[1]:
        return value
    return None


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
