"""The journeys' front doors: paths, folders and models are looked at before torch is imported."""

import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nin.artifacts import escape_name
from nin.bundle.folder import Bundle, read_bundle
from nin.bundle.shipped import find_model
from nin.choices import chosen, path_of, with_choices
from nin.data.given import named_pictures
from nin.data.images import PictureError
from nin.errors import MissingExtra, UsageError
from nin.workflows.answers import Explanation, Export, Imported, Measured, Prediction, RunResult
from nin.workflows.options import TOP, Device, ExportOptions, ImportOptions, Listener, TrainOptions
from nin.workflows.run_folder import run_folder

if TYPE_CHECKING:  # what only some journeys need is imported by those: a prediction begins in half a second
    from nin.data.check import Check
    from nin.data.reading import Reading
    from nin.data.splits import Source
    from nin.deploy.engine import Engine
    from nin.training.distributed import Team
    from nin.workflows.using import Classifier

    AtWork = str | Path | Classifier | Engine

DEMO_SIDE = 32  # the 8x8 digits are enlarged so that their class maps are fine enough to look at
DEMO_EPOCHS = 20  # under three minutes on two cores without AVX-512, too: docs/log.md
MOST_FILES = 8  # of one foreign network: definition, hyper-parameters, weights, mean picture


def need(*roots: str, extra: str = "train") -> None:
    """Raise MissingExtra, with the line to type, unless these packages, which the extra brings, are installed."""
    missing = [root for root in roots if importlib.util.find_spec(root) is None]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        without_gpu = (
            " (without a GPU, torch's CPU build is enough: "
            "pip install torch --index-url https://download.pytorch.org/whl/cpu)"
        )
        raise MissingExtra(
            f'this needs {" and ".join(missing)}, which {verb} not installed: pip install "network-in-network[{extra}]"'
            f"{without_gpu if extra == 'train' else ''}"
        )


def train(
    path: str | Path, options: TrainOptions | None = None, listener: Listener | None = None, **choices: Any
) -> RunResult:
    """Train a Network in Network on the pictures at `path` and leave everything in a run folder.

    `choices` are fields of TrainOptions: `train("photos", epochs=20, width=0.5)`; `network` may be a NINConfig, too.
    Raises DataError, UsageError or ArtifactError in one line; Interrupted when the listener asks to stop, with the
    state saved for `resume`.
    """
    from nin.network.config import NINConfig

    own = choices["network"] if isinstance(choices.get("network"), NINConfig) else None
    choices |= {"network": own.name} if own else {}
    options, path = with_choices(options, choices, TrainOptions), path_of("path", path)
    if own and (options.from_ or options.width != 1.0):
        other = "--from" if options.from_ else "--width"
        raise UsageError(f"--network is a NINConfig, which leaves nothing to {other}; leave one of them out")
    from nin.data.sources import open_source

    with _team() as team, _skippable():
        source = open_source(path, seed=options.seed, holdout=options.holdout, reading=options.reading)
        begin = _bundle(options.from_) if options.from_ else None
        again = team and team.place.restarts and _go_on(source, options, team)
        folder = run_folder(source.path, options, look=not (again or (team and team.rank)))
        need("torch", "matplotlib")
        from nin.training.distributed import ALONE
        from nin.workflows.training import go_on, start

        if again:
            return go_on(folder, listener or Listener(), team or ALONE)
        return start(folder, source, options, listener or Listener(), team or ALONE, begin, own)


@contextmanager
def _skippable() -> Iterator[None]:
    """Of an unreadable picture say that it can be left out; for journeys that have this choice."""
    try:
        yield
    except PictureError as error:
        if error.dispensable:
            error.add_way("pass --skip-unreadable")
        raise


@contextmanager
def _team() -> Iterator["Team | None"]:
    """The processes that torchrun has started beside this one; None for a process alone."""
    if not {"RANK", "WORLD_SIZE"} & set(os.environ):
        yield None
        return
    need("torch", "matplotlib")
    from nin.training.distributed import joined

    with joined() as team:
        yield team


def _go_on(source: "Source", options: TrainOptions, team: "Team") -> bool:
    """Whether torchrun has started a run again that has left a checkpoint: rank 0 looks, for all."""
    from nin.workflows.training import begun

    folder = run_folder(source.path, options, look=False)
    return bool(team.say("yes" if team.first and begun(folder, source, options) else ""))


def demo(options: TrainOptions | None = None, listener: Listener | None = None) -> RunResult:
    """The whole journey on scikit-learn's 1,797 real handwritten digits: no data set needed, two or three minutes.

    Trains, reports, and explains one held-out digit of every class (explained/ in the run folder).
    """
    options = with_choices(options, {}, TrainOptions)
    options = replace(
        options,
        out=options.out or Path("runs/demo"),
        size=options.size or DEMO_SIDE,
        epochs=options.epochs or DEMO_EPOCHS,
    )
    folder = run_folder(None, options)
    if {"RANK", "WORLD_SIZE"} & set(os.environ):
        raise UsageError("the demo runs in one process; start it without torchrun")
    need("torch", "matplotlib", "sklearn")
    from nin.data.digits import open_digits
    from nin.workflows.training import start

    result = start(folder, open_digits(options.seed), options, listener or Listener())
    explain(folder, folder / "pictures", out=folder / "explained", device=options.device)
    return result


def resume(folder: str | Path, listener: Listener | None = None, *, data: str | Path | None = None) -> RunResult:
    """Go on with an interrupted run, to the same weights bit for bit as if it had not been interrupted.

    data: where its pictures lie now, if they have moved; refused unless they are those that the run began with.
    """
    folder, moved = path_of("folder", folder), None if data is None else path_of("data", data)
    with _team() as team:
        if not (team and team.rank) and not folder.is_dir():
            raise UsageError(f"{folder} is not a run folder; expected the folder of an interrupted nin train")
        need("torch", "matplotlib")
        from nin.training.distributed import ALONE
        from nin.workflows.training import go_on

        return go_on(folder, listener or Listener(), team or ALONE, moved)


def load(model: str | Path, device: str = "auto") -> "Classifier":
    """Load a model folder, the run folder that holds one in `model/`, or a model of the package: "nin-cifar10".

    It computes with torch; its `model` is the torch module. To compute without torch: `nin.open_engine`.
    """
    device = chosen("device", device, Device)
    bundle = _bundle(model)
    need("torch")
    from nin.workflows.loaded import TorchRunner
    from nin.workflows.using import Classifier

    return Classifier(TorchRunner(bundle, device))


def classifier(model: "AtWork", device: str = "auto") -> "Classifier":
    """A model, or an .onnx file, at work: on a processor without torch, on a GPU that is asked for with it.

    What is at work already, of `load` or `open_engine`, goes on as it is.
    """
    from nin.deploy.engine import Engine, open_engine
    from nin.workflows.using import Classifier

    if isinstance(model, Classifier | Engine):
        return model if isinstance(model, Classifier) else Classifier(model)
    if chosen("device", device, Device) not in ("auto", "cpu"):
        return load(model, device)
    return Classifier(open_engine(model))


def evaluate(
    model: str | Path,
    data: str | Path,
    *,
    split: str | None = None,
    skip_unreadable: bool = False,
    divide: str | None = None,
    follow_links: bool = False,
    device: str = "auto",
) -> Measured:
    """Measure a trained network on the pictures at `data`: on `split`, else test, else validation, else everything.

    Of a folder without splits everything but what the model was trained on, where its run folder knows that: pictures
    are known by their pixels. What is measured is in the result's `notes`, training pictures in its `warnings`.
    `divide` and `follow_links` say how `data` is read, as for `train`.
    """
    split, skip_unreadable = chosen("split", split, str | None), chosen("skip_unreadable", skip_unreadable, bool)
    data, device = path_of("data", data), chosen("device", device, Device)
    from nin.workflows.measuring import known_pictures, measure

    reading = _reading(divide, follow_links)
    opened, seen = partial(classifier, model, device), known_pictures(model)
    with _skippable():
        return measure(opened, data, split=split, skip_unreadable=skip_unreadable, reading=reading, seen=seen)


def predict(
    model: "AtWork", pictures: Any, *, device: str = "auto", say: Callable[[str], None] = lambda _: None
) -> Iterator[Prediction]:
    """Answer for pictures, in a stable order: one or many, in any form in which a program has them.

    pictures: paths, folders, globs or '-' (standard input); bytes and open files; Pillow's images; arrays (H, W) or
    (H, W, C) and tensors (C, H, W); a list or generator of these, see nin.data.given. Answers come as they are asked
    for, the first ones are computed now. `say` is told what computes.
    """
    device, named = chosen("device", device, Device), named_pictures(pictures)
    at_work = classifier(model, device)
    say(at_work.runner.in_words())
    return at_work.answer(named)


def explain(
    model: "AtWork",
    pictures: Any,
    *,
    out: str | Path | None = None,
    top: int = 3,
    device: str = "auto",
    say: Callable[[str], None] = lambda _: None,
) -> list[Explanation]:
    """Write, for every picture, one PNG into `out` ("explained"): the picture and the maps of its top classes.

    pictures: as `predict` takes them; all are written when this returns. The maps are exact: the logit of a class is
    the mean of its map, checked to 1e-6 on every picture. `say` is told what computes.
    """
    return list(explaining(model, pictures, out=out, top=top, device=device, say=say))


def explaining(
    model: "AtWork",
    pictures: Any,
    *,
    out: str | Path | None = None,
    top: int = 3,
    device: str = "auto",
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[Explanation]:
    """`explain`, a picture at a time: each is written when it is asked for."""
    folder, top = path_of("out", "explained" if out is None else out), chosen("top", top, int, TOP)
    device, named = chosen("device", device, Device), named_pictures(pictures)
    at_work = classifier(model, device)
    say(at_work.runner.in_words())
    from nin.workflows.using import explanations

    return explanations(at_work, named, folder, top)


def export(model: str | Path, options: ExportOptions | None = None, **choices: Any) -> Export:
    """Write a model as one file that other programs run, proven equal to torch first, and its certificate beside it.

    `choices` are fields of ExportOptions: `export("runs/photos", format="onnx-int8")`. Raises ModelError, and writes
    nothing, when the file's answers are not the model's.
    """
    options = with_choices(options, choices, ExportOptions)
    bundle = _bundle(model)
    need("torch", "sklearn")
    from nin.workflows.exporting import export as export_now

    return export_now(bundle, options)


def check(path: str | Path, *, divide: str | None = None, follow_links: bool = False) -> "Check":
    """Look through a data set before training, read as `train` reads it with these choices: see nin.data.check."""
    from nin.data.check import check as check_data

    return check_data(path_of("path", path), reading=_reading(divide, follow_links))


def _reading(divide: str | None, follow_links: bool) -> "Reading":
    """How the command at work wants the data to be read."""
    from nin.data.reading import Reading

    divide, follow_links = chosen("divide", divide, str | None), chosen("follow_links", follow_links, bool)
    return Reading(divide, follow_links, offered=True)


def import_model(
    files: str | Path | Sequence[str | Path], options: ImportOptions | None = None, **choices: Any
) -> Imported:
    """Bring in somebody else's network: definition files, or weights, of cuda-convnet, Caffe or PyTorch.

    `choices` are fields of ImportOptions: `import_model(["nin.pth"], out="model", labels="cifar10")`. Without `out`, or
    without weights among the files, nothing is written. Raises ModelError or UsageError in one line for files that
    cannot be understood, or that do not belong together.
    """
    options = with_choices(options, choices, ImportOptions)
    paths = [path_of("file", file) for file in chosen("file", files, tuple[str, ...])]
    if not paths or len(paths) > MOST_FILES:
        raise UsageError(f"{len(paths)} files are given; expected the definition or the weights of one network")
    for path in paths:
        if not path.is_file():
            found = "is a folder" if path.is_dir() else "does not exist" if not path.exists() else "is not a file"
            raise UsageError(f"{escape_name(path)} {found}; expected a definition file or a file of weights")
    out = options.out
    if out is not None and not options.overwrite and out.is_dir() and any(out.iterdir()):
        raise UsageError(f"{escape_name(out)} is not empty; choose another --out, or replace it with --overwrite")
    need("torch")
    from nin.workflows.importing import import_files

    return import_files(paths, options)


def _bundle(model: str | Path) -> Bundle:
    return read_bundle(find_model(model))
