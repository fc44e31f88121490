"""The commands for models: `nin summary`, `import`, `export`, `push` and `pull`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from nin.cli.command import Command
from nin.cli.exchange import to_json
from nin.cli.parameters import FOREIGN, NETWORK, Json, Model, Words, picture_size
from nin.cli.screen import Screen, safe
from nin.errors import UsageError
from nin.run.options import ExportOptions, ImportOptions

if TYPE_CHECKING:
    from nin.bundle.hub import Shared

DEFAULTS, IMPORT_DEFAULTS = ExportOptions(), ImportOptions()
Repo = Annotated[str, Parameter(help="A hub id, owner/name, or a folder: ./folder, /folder, ~/folder, file:///folder.")]


def _summary(
    name: Annotated[str | None, Parameter(help=NETWORK)] = None,
    /,
    *,
    input: Annotated[str | None, Parameter(help="Picture size to count for, such as 3x64x64.")] = None,
    json: Json = False,
    screen: Words,
) -> None:
    """Count what a network costs, layer by layer.

    Shows parameters, multiply-adds, memory and fields of view, what 1x1 and fully connected layers have of them, and
    what fully connected heads would cost a NIN.
    """
    from nin.commands import summary

    size = picture_size(input)
    anatomy = summary.summary(name, size)
    if json:
        screen.result(to_json(anatomy.to_dict()))
    else:
        from nin.cli.printed import anatomy_lines

        screen.result("\n".join(anatomy_lines(anatomy)))


def _import(
    *file: Annotated[Path, Parameter(help=FOREIGN)],
    options: Annotated[ImportOptions, Parameter(name="*")] = IMPORT_DEFAULTS,
    json: Json = False,
    screen: Words,
) -> int:
    """Bring in somebody else's network.

    Shows what its files say and what that is here, and makes a model folder of its weights. No code in a file is run.
    """
    from nin.importers.import_model import import_model

    if not file:
        raise UsageError(f"nin import needs FILE: {FOREIGN[0].lower()}{FOREIGN[1:-1]}")
    found = import_model(file, options)
    for warning in found.warnings:
        screen.warn(warning)
    for note in found.notes:
        screen.note(f"note: {safe(note)}")
    if json:
        screen.result(to_json(found))
    else:
        from nin.cli.printed import import_lines

        screen.result("\n".join(import_lines(found)))
    if options.out is None or found.model is not None:
        return 0
    screen.error(f"nothing was written to {options.out}: {found.missing}")
    return 1


def _export(
    model: Model,
    /,
    *,
    options: Annotated[ExportOptions, Parameter(name="*")] = DEFAULTS,
    json: Json = False,
    screen: Words,
) -> None:
    """Write a model as one file that other programs run.

    Pictures of any size in; probabilities, logits and class maps out; labels inside. Proven equal to torch on real
    pictures before it is written, with the certificate beside it.
    """
    from nin.commands import export

    done = export.export(model, options)
    if json:
        screen.result(to_json(done))
        return
    from nin.cli.printed import export_lines

    for line in export_lines(done):
        screen.note(line)
    screen.result(safe(done.file))


def _push(
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
    from nin.bundle import hub

    _quiet()
    _tell(hub.push(model, repo, message=message, private=private, overwrite=overwrite), json, screen)


def _pull(
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
    from nin.bundle import hub

    _quiet()
    _tell(hub.pull(repo, folder, revision=revision, overwrite=overwrite), json, screen)


def _quiet() -> None:
    """Keep huggingface_hub from telling its hub what is installed here, and from saying more than we do."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")


def _tell(shared: "Shared", json: bool, screen: Screen) -> None:
    if json:
        screen.result(to_json(shared))
        return
    commit = f", commit {shared.revision[:12]}" if shared.revision else ""
    screen.note(f"{len(shared.files)} files verified{commit}")
    screen.result(safe(shared.place))


COMMANDS = (
    Command(
        "summary",
        _summary,
        "summary [NAME | MODEL] [options]",
        ("summary", "summary googlenet", "summary runs/photos --input 3x128x128"),
    ),
    Command(
        "import",
        _import,
        "import FILE... [options]",
        ("import cifar-10_def cifar-10_params", "import nin_cifar10.pth --out model --labels cifar10"),
    ),
    Command(
        "export",
        _export,
        "export MODEL [options]",
        ("export runs/photos", "export runs/photos --format onnx-int8 --out small.onnx"),
    ),
)
SHARING = (
    Command(
        "push",
        _push,
        "push MODEL REPO [options]",
        ("push runs/photos me/photos --private", "push runs/photos /mnt/models/photos"),
    ),
    Command(
        "pull",
        _pull,
        "pull REPO [FOLDER] [options]",
        ("pull me/photos", "pull me/photos models/photos --revision v2"),
    ),
)
