"""The pictures of a finished run, found again and divided as the run divided them (torch-free)."""

from pathlib import Path
from typing import Any

import yaml

from nin.bundle.folder import Bundle
from nin.data.formats.digits import open_digits
from nin.data.reading import Reading
from nin.data.sources import open_source
from nin.data.splits import Source
from nin.errors import DataError, escape_name

DEMO_PICTURES = "pictures"  # folder of the demo's own example pictures, within its run folder


def recorded_source(bundle: Bundle, data: Path | None = None) -> Source | None:
    """The data set at `data`, or the one that the run of this model was given, divided as that run divided it.

    None where the model has no run beside it, or its pictures are no longer where they were.
    """
    recorded = _arguments(bundle)
    chosen = recorded.get("options", {})
    if data is None and _is_demo(recorded):
        return open_digits(chosen.get("seed", 0))
    path = data or Path(recorded.get("data", ""))
    if data is None and not (recorded and path.exists()):
        return None
    divided = {name: chosen[name] for name in ("seed", "holdout") if name in chosen}
    return open_source(path, **divided, reading=Reading(chosen.get("divide"), bool(chosen.get("follow_links"))))


def demo_folder(bundle: Bundle) -> Path | None:
    """The folder of pictures that the demo left, where this model is the demo's."""
    folder = bundle.folder.resolve().parent / DEMO_PICTURES
    return folder if _is_demo(_arguments(bundle)) and folder.is_dir() else None


def _arguments(bundle: Bundle) -> dict[str, Any]:
    """args.yaml of the run that the model lies in; an empty dictionary for a model by itself."""
    path = bundle.folder.resolve().parent / "args.yaml"
    if not path.is_file():
        return {}
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError, ValueError) as error:
        raise DataError(f"{escape_name(path)} is damaged; restore it from a copy, or move it away") from error
    return found if isinstance(found, dict) and "nin" in found else {}


def _is_demo(recorded: dict[str, Any]) -> bool:
    """Whether it was trained on the built-in digits, which have no path."""
    return recorded.get("data", "") is None
