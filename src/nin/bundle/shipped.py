"""The models that come with the package, and finding a model by its folder or by its name (imports nothing heavy)."""

import difflib
from collections.abc import Sequence
from pathlib import Path

from nin.choices import path_of
from nin.errors import ModelError, escape_name

CONFIG = "config.json"  # what makes a folder a model
SHIPPED = Path(__file__).parents[1] / "weights"  # a folder for each, as nin.bundle.folder writes them


def shipped() -> tuple[str, ...]:
    """The names of the models that come with the package."""
    return tuple(sorted(folder.name for folder in SHIPPED.glob("*") if (folder / CONFIG).is_file()))


def find_model(model: str | Path) -> Path:
    """The folder of a model: `model` itself, the model/ in a run folder, or the one of that name in the package.

    A folder goes before a name. Raises ModelError when there is neither.
    """
    folder = path_of("model", model)
    if folder.exists():
        inside = folder / "model"
        return inside if (inside / CONFIG).is_file() and not (folder / CONFIG).exists() else folder
    name = str(model)
    known = shipped()
    if name in known:
        return SHIPPED / name
    meant = difflib.get_close_matches(name, known, n=1)
    raise ModelError(
        f"{escape_name(name)} does not exist; {f'did you mean {meant[0]}? ' if meant else ''}"
        f"expected the model folder that nin train wrote (runs/.../model){_or_one_of(known)}"
    )


def _or_one_of(names: Sequence[str]) -> str:
    return f", or the name of a model in the package: {', '.join(names)}" if names else ""
