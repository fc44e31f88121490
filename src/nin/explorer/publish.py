"""`nin publish`: a model as one HTML file that opens anywhere, or as a folder for a web space (torch-free)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nin.artifacts import make_folder, read_bytes, replace_folder, write_bytes
from nin.choices import chosen, path_of
from nin.errors import ArtifactError, UsageError, escape_name
from nin.explorer.built_page import folder_page, one_file_page
from nin.explorer.pictures import folder_pictures, package_pictures
from nin.explorer.site import CHECK, FORMAT, SITE, Language, open_model, page_json, page_model
from nin.orphans import sweep

MOST_IN_ONE = 8_000_000  # bytes of a model in one file; ours: a larger page is slow to open, and no mail takes it
INDEX = "index.html"
_REPLACEABLE = (INDEX, SITE, "models")
_LARGEST_SITE = 16 * 2**20  # bytes of page.json; that of a thousand classes has 50 kB


@dataclass(frozen=True)
class Published:
    """A page that was written: where it lies, how large it is, and what is in it; notes are one line each."""

    place: Path
    model: str
    bytes: int
    pictures: int
    notes: tuple[str, ...] = ()


def publish(
    model: str | Path,
    target: str | Path,
    *,
    examples: str | Path | None = None,
    language: Language | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a page that shows a model's every map and answers pictures in the browser; returns where it lies.

    `target` ending in .html is one file, which needs no server and makes no request; any other is a folder for a web
    space, which a model over 8 MB needs. `examples`: a folder of pictures to put in, or of class folders, at most 24
    of all classes alike; by default those that come with a model of the package, and none with others. `language`: en
    or ko; by default the reader's own. Raises UsageError where something is already unless `overwrite` is given,
    ModelError for what is no whole model.
    """
    return publish_page(model, target, examples=examples, language=language, overwrite=overwrite).place


def publish_page(
    model: str | Path,
    target: str | Path,
    *,
    examples: str | Path | None = None,
    language: Language | None = None,
    overwrite: bool = False,
) -> Published:
    """As `publish`, with everything that is to be said of it."""
    place = path_of("target", target)
    folder_of_examples = chosen("examples", examples, Path | None)
    language = chosen("language", language, Language | None)
    overwrite = chosen("overwrite", overwrite, bool)
    in_one = place.suffix.lower() in (".html", ".htm")
    opened = open_model(model)
    _expect_room(place, in_one, overwrite)
    if in_one and opened.bytes > MOST_IN_ONE:
        raise UsageError(
            f"the model has {opened.bytes / 1e6:.0f} MB, and one file is for at most {MOST_IN_ONE / 1e6:.0f} MB; "
            f"name a folder: {escape_name(place.with_suffix(''))}"
        )
    selected = package_pictures(opened.bundle)
    if folder_of_examples is not None:
        selected = folder_pictures(folder_of_examples)
    shown = page_model(opened, selected.pictures)
    files = {SITE: page_json([shown], language), **shown.files}
    if in_one:
        files = {place.name: one_file_page(files)}
        sweep(place.parent)
        write_bytes(place, files[place.name])
    else:
        files = {INDEX: folder_page(), **files}
        _write_folder(place, files, overwrite)
    size = sum(map(len, files.values()))
    return Published(place, shown.entry["id"], size, len(selected.pictures), selected.notes)


def _expect_room(place: Path, in_one: bool, overwrite: bool) -> None:
    """UsageError, before any work, where a page would replace what nobody asked to replace."""
    shown = escape_name(place)
    if in_one:
        if place.is_dir():
            raise UsageError(
                f"{shown} is a folder; choose the name of a file, or of a folder that does not end in .html"
            )
        if place.exists() and not overwrite:
            raise UsageError(f"{shown} exists; choose another name, or replace it with --overwrite")
    elif place.exists() and not place.is_dir():
        raise UsageError(f"{shown} is a file; a page in one file has a name that ends in .html")
    elif place.is_dir() and any(place.iterdir()):
        if not overwrite:
            raise UsageError(f"{shown} is not empty; choose another folder, or replace it with --overwrite")
        _expect_page(place)


def _expect_page(folder: Path) -> None:
    """Raise UsageError unless a folder holds a page that was published, and nothing beside it."""
    try:
        site = json.loads(read_bytes(folder / SITE, limit=_LARGEST_SITE, follow=False))
        known = {INDEX, SITE}
        if site["format"] != FORMAT:
            raise ValueError("another format")
        for each in site["models"]:
            names = (*each["files"], CHECK, *(example["file"] for example in each["examples"]))
            known |= {f"{each['folder']}/{name}" for name in names}
    except (ArtifactError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(f"{escape_name(folder)} holds what is no page of nin; choose another folder") from error
    there = {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()
    }
    if strangers := sorted(there - known):
        found = f"holds {escape_name(strangers[0])}, which would be lost"
        raise UsageError(f"{escape_name(folder)} {found}; choose another folder")


def _write_folder(place: Path, files: Mapping[str, bytes], overwrite: bool) -> None:
    """Give the folder these files, all at once."""
    with replace_folder(place, may_hold=_REPLACEABLE if overwrite else ()) as new:
        for path, data in files.items():
            make_folder((new / path).parent)
            write_bytes(new / path, data)
