"""Training as the command line and Python begin it: paths and options are checked before torch is imported."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nin.bundle.folder import open_bundle
from nin.choices import path_of, with_choices
from nin.errors import UsageError, escape_name
from nin.extras import need
from nin.network.config import NINConfig
from nin.run.beginning import begins_with
from nin.run.network_file import NetworkFile
from nin.run.options import Listener, TrainOptions
from nin.run.run_folder import END, expect_free, held, run_folder
from nin.run.which_network import find_network

if TYPE_CHECKING:
    from nin.data.splits import Source
    from nin.run.run import RunResult
    from nin.training.distributed import Team


def train_run(
    path: str | Path, options: TrainOptions | None = None, listener: Listener | None = None, **choices: Any
) -> "RunResult":
    """Train a Network in Network on the pictures at `path` and leave everything in a run folder.

    `choices` are fields of TrainOptions: `train_run("photos", epochs=20, width=0.5)`; `network` may be a NINConfig, or
    the path of a network file (docs/reference/network-file.md).
    Raises DataError, UsageError or ArtifactError in one line; Interrupted when the listener asks to stop, with the
    state saved for `resume`.
    """
    own = choices["network"] if isinstance(choices.get("network"), NINConfig) else None
    choices |= {"network": own.name} if own else {}
    options = with_choices(options, choices, TrainOptions)
    path = path_of("path", path)
    found = own or find_network(options.network)
    if not isinstance(found, str):
        if begins_with(options) or options.width != 1.0:
            other = "--from" if begins_with(options) else "--width"
            what = "is a NINConfig" if own else f"{escape_name(options.network)} is a whole network"
            raise UsageError(f"--network {what}, which leaves nothing to {other}; leave one of them out")
        if isinstance(found, NetworkFile):
            options = replace(options, size=options.size or found.size)
    from nin.data.images import skippable
    from nin.data.sources import expect_there, open_source

    heard = listener or Listener()
    folder = run_folder(path, options)
    expect = partial(expect_free, data=path, options=options)
    with _team() as team, skippable(), ExitStack() as stack:
        expect_there(path)
        restarted = bool(team and team.place.restarts)
        first = not (team and team.rank)
        if first:
            stack.enter_context(held(folder, heard) if restarted else held(folder, heard, expect))
        source = open_source(path, seed=options.seed, holdout=options.holdout, reading=options.reading)
        begin = open_bundle(name) if (name := begins_with(options)) else None
        again = team and restarted and _go_on(folder, source, options, team)
        if restarted and first and not again:
            expect(folder)
        need("torch", "resvg_py")
        from nin.run.course import go_on, start
        from nin.training.distributed import ALONE

        if again:
            return go_on(folder, heard, team or ALONE)
        return start(
            folder,
            source,
            options,
            heard,
            team or ALONE,
            begin,
            None if isinstance(found, str) else found,
        )


@contextmanager
def _team() -> Iterator["Team | None"]:
    """The processes that torchrun has started beside this one; None for a process alone."""
    if not {"RANK", "WORLD_SIZE"} & set(os.environ):
        yield None
        return
    need("torch", "resvg_py")
    from nin.training.distributed import joined

    with joined() as team:
        yield team


def _go_on(folder: Path, source: "Source", options: TrainOptions, team: "Team") -> bool:
    """Whether torchrun has started a run again that has left a checkpoint: rank 0 decides for all."""
    from nin.run.course import begun

    return bool(team.broadcast_text("yes" if team.first and begun(folder, source, options) else ""))


def resume_run(folder: str | Path, listener: Listener | None = None, *, data: str | Path | None = None) -> "RunResult":
    """Go on with an interrupted run, to the same weights bit for bit as if it had not been interrupted.

    data: where its pictures lie now, if they have moved; refused unless they are those that the run began with.
    """
    folder = path_of("folder", folder)
    moved = None if data is None else path_of("data", data)
    heard = listener or Listener()
    with _team() as team, ExitStack() as stack:
        if not (team and team.rank):
            if not folder.is_dir():
                raise UsageError(f"{folder} is not a run folder; expected the folder of an interrupted nin train")
            stack.enter_context(held(folder, heard, advice=END))
        need("torch", "resvg_py")
        from nin.run.course import go_on
        from nin.training.distributed import ALONE

        return go_on(folder, heard, team or ALONE, moved)
