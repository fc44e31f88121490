"""The folder of a run: whether one may begin there, held while it lasts, and how its path is typed (torch-free)."""

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from nin.artifacts import RunLock
from nin.errors import UsageError, escape_name
from nin.orphans import sweep
from nin.run.options import Listener, TrainOptions
from nin.training.slots import has_checkpoint

END = "wait for its end"
OTHER = f"{END} or choose another --out"


def run_folder(data: Path | None, options: TrainOptions) -> Path:
    """Where the run will lie. data: what it trains on; None for the built-in pictures of the demo."""
    name = data.resolve().name.split(".")[0] if data else "demo"
    return options.out or Path("runs") / (name or "data")


@contextmanager
def held(
    folder: Path, listener: Listener, expect: Callable[[Path], None] = lambda _: None, advice: str = OTHER
) -> Iterator[None]:
    """Hold the folder for this process alone; ArtifactError, within a second, that says who else does.

    expect: raises where one may not begin in a folder. It looks before anything is made there, and again when nobody
    else can write any more. Where nothing comes of it, nothing is left.
    """
    expect_place(folder)
    sweep(folder)
    if folder.exists() and not (folder / ".lock").exists():  # one with a lock is perhaps in use, which says more
        expect(folder)
    with RunLock(folder, advice) as lock:
        if lock.note:
            listener.note(lock.note)
        expect(folder)
        yield


def expect_free(folder: Path, data: Path | None, options: TrainOptions) -> None:
    """Raise UsageError where an earlier run would be replaced unasked, or unknowingly: one on other pictures."""
    if not any(each.name != ".lock" for each in folder.iterdir()):
        return
    recorded = _recorded(folder)
    other = other_pictures(folder, data)
    if not (missing := missing_leave(folder, other, options.out, overwrite=options.overwrite)):
        return
    ways = f"choose another --out, or replace it with {missing}"
    state = "is not empty"
    if recorded and (folder / "summary.json").is_file():
        state = "holds a finished run"
        ways = f"train its network further: {further(data, folder)}; or {ways}" if data else ways
    elif has_checkpoint(folder) and not other:
        ways = f"go on with it: nin train --resume {quote(folder)}; or {ways}"
    elif recorded:
        state = "holds an unfinished run"
    raise UsageError(f"{folder} {state}{f' on {other}' if other else ''}; {ways}")


def _recorded(folder: Path) -> dict[str, Any]:
    """What a run in the folder wrote of itself at its start; empty where there is none that can be read."""
    try:
        found = yaml.safe_load((folder / "args.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def missing_leave(folder: Path, other: str, out: Path | None, *, overwrite: bool) -> str:
    """What must be added to a command so that it may replace what is in `folder`; "" where it may.

    other: the pictures of what is there, where they are not the command's: then the folder must be named, too.
    """
    named = out is not None or not other
    return "" if named and overwrite else "--overwrite" if named else f"--out {quote(folder)} --overwrite"


def other_pictures(folder: Path, data: Path | None) -> str:
    """What the run in `folder` learns from, where that is not `data`; "" where it is, or is not known."""
    before = _recorded(folder).get("data", "")
    if before == "" or not isinstance(before, str | None):
        return ""
    if before is None:
        return "" if data is None else "the digits of nin demo"
    if data is None:
        return escape_name(before)
    return "" if Path(before).resolve() == data.resolve() else escape_name(before)


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
