"""The commands that send models to others and fetch theirs."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from nin import workflows
from nin.cli.exchange import to_json
from nin.cli.parameters import Json, Model, Words
from nin.cli.screen import Screen, safe

if TYPE_CHECKING:
    from nin.workflows import Shared

Repo = Annotated[str, Parameter(help="A hub id, owner/name, or a folder: ./folder, /folder, ~/folder, file:///folder.")]


def add_sharing(app: App) -> None:
    """Give the program its commands push and pull."""
    app.command(
        usage="nin push MODEL REPO [options]",
        help_epilogue="Examples\n  nin push runs/photos me/photos --private\n  nin push runs/photos /mnt/models/photos",
    )(push)
    app.command(
        usage="nin pull REPO [FOLDER] [options]",
        help_epilogue="Examples\n  nin pull me/photos\n  nin pull me/photos models/photos --revision v2",
    )(pull)


def push(
    model: Model,
    repo: Repo,
    /,
    *,
    message: Annotated[str | None, Parameter(help="What the hub shall say of this version.")] = None,
    private: Annotated[bool, Parameter(help="Make a new repository of the hub for your eyes only.")] = False,
    overwrite: Annotated[bool, Parameter(help="Replace the model that is there.")] = False,
    json: Json = False,
    screen: Words,
) -> None:
    """Send a model to the Hugging Face hub, or to a folder.

    All its files are verified first, and appear together or not at all. The hub needs the extra [hub] and a token (hf
    auth login, or HF_TOKEN).
    """
    _quiet()
    _show(workflows.push(model, repo, message=message, private=private, overwrite=overwrite), json, screen)


def pull(
    repo: Repo,
    folder: Annotated[Path | None, Parameter(help="Where it goes; by default a folder here of the same name.")] = None,
    /,
    *,
    revision: Annotated[str | None, Parameter(help="Branch, tag or commit of the hub; by default the newest.")] = None,
    overwrite: Annotated[bool, Parameter(help="Replace a model in the same folder.")] = False,
    json: Json = False,
    screen: Words,
) -> None:
    """Fetch a model from the Hugging Face hub, or from a folder.

    Nothing appears before every file is verified. What comes is a model folder for nin predict and the rest; no code in
    it is run.
    """
    _quiet()
    _show(workflows.pull(repo, folder, revision=revision, overwrite=overwrite), json, screen)


def _quiet() -> None:
    """Keep huggingface_hub from telling its hub what is installed here, and from saying more than we do."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")


def _show(shared: "Shared", json: bool, screen: Screen) -> None:
    if json:
        screen.result(to_json(shared))
        return
    commit = f", commit {shared.revision[:12]}" if shared.revision else ""
    screen.note(f"{len(shared.files)} files verified{commit}")
    screen.result(safe(shared.place))
