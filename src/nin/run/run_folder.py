"""The folder of a run: whether one may begin there, and how its path is typed in a shell (torch-free)."""

import os
import shlex
from pathlib import Path

from nin.errors import UsageError
from nin.run.options import TrainOptions


def run_folder(data: Path | None, options: TrainOptions, *, check: bool = True) -> Path:
    """Where the run will lie; UsageError when it cannot lie there, or when an earlier run would be replaced unasked.

    data: what it trains on; None for built-in pictures, whose run has its --out. check: False only names the folder.
    """
    name = data.resolve().name.split(".")[0] if data else ""
    folder = options.out or Path("runs") / (name or "data")
    if not check:
        return folder
    place = expect_place(folder)
    if place == folder and any(each.name != ".lock" for each in folder.iterdir()) and not options.overwrite:
        begun = (folder / "args.yaml").is_file()
        whole = (folder / "summary.json").is_file()
        state = "holds a finished run" if begun and whole else "is not empty"
        ways = "choose another --out, or replace it with --overwrite"
        if begun and whole and data:
            ways = f"train its network further: {further(data, folder)}; or {ways}"
        elif begun and not whole:
            ways = f"go on with it: nin train --resume {quote(folder)}; or {ways}"
        raise UsageError(f"{folder} {state}; {ways}")
    return folder


def expect_place(folder: Path) -> Path:
    """The nearest folder at or above `folder` that there is; UsageError where none can be made in it."""
    place = next(place for place in (folder, *folder.parents) if place.exists())
    if not place.is_dir():
        raise UsageError(f"{folder} cannot be a run folder: {place} is a file; choose another --out")
    if not os.access(place, os.W_OK | os.X_OK):
        raise UsageError(f"{folder} cannot be a run folder: {place} may not be written to; choose another --out")
    return place


def further(data: Path, folder: Path) -> str:
    """What to type to train a finished run's network further on its data set."""
    more = folder.with_name(f"{folder.name}-more")
    return f"nin train {quote(data)} --from {quote(folder)} --out {quote(more)}"


def quote(path: object) -> str:
    """A path as it must be typed in a shell after a command's name: no part of it is an option, a space or a line."""
    text = str(path)
    text = f"./{text}" if text.startswith("-") else text
    if text.isprintable():
        return shlex.quote(text)
    special = {"'": r"\'", "\\": r"\\"}
    escaped = (c if c.isprintable() else "".join(f"\\x{byte:02x}" for byte in os.fsencode(c)) for c in text)
    return "$'" + "".join(special.get(c, c) for c in escaped) + "'"
