"""The commands that count, convert and share models: `nin summary`, `import`, `export`, `push` and `pull`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from nin.cli.command import Command
from nin.cli.exchange import to_json
from nin.cli.parameters import FOREIGN, NETWORK, Json, Model, Output, picture_size
from nin.cli.screen import Screen, safe
from nin.errors import UsageError
from nin.run.options import ExportOptions, ImportOptions
from nin.run.run_folder import quote

if TYPE_CHECKING:
    from nin.bundle.hub import Shared

EXPORT_DEFAULTS = ExportOptions()
IMPORT_DEFAULTS = ImportOptions()
Repo = Annotated[str, Parameter(help="A hub id, owner/name, or a folder: ./folder, /folder, ~/folder, file:///folder.")]


def _summary(
    name: Annotated[str | None, Parameter(help=NETWORK)] = None,
    /,
    *,
    input: Annotated[str | None, Parameter(help="Size of the pictures, such as 3x64x64.")] = None,
    out: Annotated[Path | None, Parameter(help="Network file to write, .yaml or .json, to make your own of.")] = None,
    json: Json = False,
    screen: Output,
) -> None:
    """Count what a network costs, layer by layer.

    Shows parameters, multiply-adds, memory and receptive fields, the shares of 1x1 and fully connected layers, and what
    a NIN would cost with fully connected heads. With --out it writes the network as a file for nin train --network.
    """
    from nin.commands import summary

    size = picture_size(input)
    anatomy = summary.summary(name, size, out=out)
    if out is not None:
        screen.note(f"{safe(out)} is written; train it: nin train PATH --network {quote(out)}")
    if json:
        screen.result(to_json(anatomy.to_dict()))
    else:
        from nin.cli.printed import anatomy_lines

        screen.result("\n".join(anatomy_lines(anatomy)))


def _import(
    *file: Annotated[Path, Parameter(help=FOREIGN)],
    options: Annotated[ImportOptions, Parameter(name="*")] = IMPORT_DEFAULTS,
    json: Json = False,
    screen: Output,
) -> int:
    """Import a network of cuda-convnet, Caffe or PyTorch.

    Shows each layer of its files beside the same layer here, and with --out writes a model folder with its weights. No
    code in a file is run.
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
    options: Annotated[ExportOptions, Parameter(name="*")] = EXPORT_DEFAULTS,
    json: Json = False,
    screen: Output,
) -> None:
    """Write a model as one file that other programs run.

    The file takes pictures of any size, gives probabilities, logits and class maps, and holds the labels. It is written
    only if its outputs equal those of torch on real pictures; the certificate beside it says so.
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
    message: Annotated[str | None, Parameter(help="Commit message on the hub.")] = None,
    private: Annotated[bool, Parameter(help="Make a new repository on the hub private.")] = False,
    overwrite: Annotated[bool, Parameter(help="Replace the model that is there.")] = False,
    json: Json = False,
    screen: Output,
) -> None:
    """Send a model to the Hugging Face hub, or to a folder.

    All files are verified first, and appear together or not at all. The hub needs the extra [hub] and a token (hf
    auth login, or HF_TOKEN).
    """
    from nin.bundle import hub

    _quiet()
    _show(hub.push(model, repo, message=message, private=private, overwrite=overwrite), json, screen)


def _pull(
    repo: Repo,
    folder: Annotated[Path | None, Parameter(help="Folder to write; by default one of the same name here.")] = None,
    /,
    *,
    revision: Annotated[str | None, Parameter(help="Branch, tag or commit of the hub; by default the newest.")] = None,
    overwrite: Annotated[bool, Parameter(help="Replace a model in the same folder.")] = False,
    json: Json = False,
    screen: Output,
) -> None:
    """Fetch a model from the Hugging Face hub, or from a folder.

    The model folder appears once every file is verified. No code in it is run.
    """
    from nin.bundle import hub

    _quiet()
    _show(hub.pull(repo, folder, revision=revision, overwrite=overwrite), json, screen)


def _quiet() -> None:
    """Switch off huggingface_hub's telemetry, and all of its messages but errors."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")


def _show(shared: "Shared", json: bool, screen: Screen) -> None:
    """Print where the model lies now: the place alone on standard output, or everything as JSON."""
    if json:
        screen.result(to_json(shared))
        return
    commit = f", commit {shared.revision[:12]}" if shared.revision else ""
    screen.note(f"{len(shared.files)} files verified{commit}")
    screen.result(safe(shared.place))


SUMMARY = Command(
    "summary",
    _summary,
    "summary [NAME | FILE | MODEL] [options]",
    ("summary", "summary googlenet", "summary runs/photos --input 3x128x128", "summary nin --out mine.yaml"),
)
IMPORT = Command(
    "import",
    _import,
    "import FILE... [options]",
    ("import cifar-10_def cifar-10_params", "import nin_cifar10.pth --out model --labels cifar10"),
)
EXPORT = Command(
    "export",
    _export,
    "export MODEL [options]",
    ("export runs/photos", "export runs/photos --format onnx-int8 --out small.onnx"),
)
PUSH = Command(
    "push",
    _push,
    "push MODEL REPO [options]",
    ("push runs/photos me/photos --private", "push runs/photos /mnt/models/photos"),
)
PULL = Command(
    "pull",
    _pull,
    "pull REPO [FOLDER] [options]",
    ("pull me/photos", "pull me/photos models/photos --revision v2"),
)
