"""The journeys' front doors: paths, folders and models are looked at before torch is imported."""

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import partial
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from nin.artifacts import escape_name
from nin.bundle.folder import Bundle, read_bundle
from nin.bundle.shipped import find_model, shipped
from nin.data.images import is_picture_name
from nin.errors import MissingExtra, UsageError
from nin.workflows.answers import Explanation, Export, Imported, Measured, Prediction, RunResult
from nin.workflows.options import ExportOptions, ImportOptions, Listener, TrainOptions

if TYPE_CHECKING:  # what only some journeys need is imported by those: a prediction begins in half a second
    from nin.data.check import Check
    from nin.data.reading import Reading
    from nin.data.splits import Source
    from nin.network.anatomy import Anatomy
    from nin.training.distributed import Team
    from nin.workflows.using import Classifier

DEMO_SIDE = 32  # the 8x8 digits are enlarged so that their class maps are fine enough to look at
DEMO_EPOCHS = 20  # under three minutes on two cores without AVX-512, too: docs/log.md
Options = TypeVar("Options", TrainOptions, ImportOptions, ExportOptions)
MOST_FILES = 8  # of one foreign network: definition, hyper-parameters, weights, mean picture
DEFAULT_INPUTS = {"nin-author-mnist": (1, 28, 28), "nin-author-imagenet": (3, 224, 224)}


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

    `choices` are fields of TrainOptions: `train("photos", epochs=20, width=0.5)`.
    Raises DataError, UsageError or ArtifactError in one line; Interrupted when the listener asks to stop, with the
    state saved for `resume`.
    """
    options = _chosen(options or TrainOptions(), choices)
    from nin.data.sources import open_source

    with _team() as team:
        source = open_source(path, seed=options.seed, holdout=options.holdout, reading=options.reading)
        begin = _bundle(options.from_) if options.from_ else None
        again = team and team.place.restarts and _go_on(source, options, team)
        folder = _run_folder(source.path, options, look=not (again or (team and team.rank)))
        need("torch", "matplotlib")
        from nin.training.distributed import ALONE
        from nin.workflows.training import go_on, start

        if again:
            return go_on(folder, listener or Listener(), team or ALONE)
        return start(folder, source, options, listener or Listener(), team or ALONE, begin)


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

    folder = _run_folder(source.path, options, look=False)
    return bool(team.say("yes" if team.first and begun(folder, source, options) else ""))


def demo(options: TrainOptions | None = None, listener: Listener | None = None) -> RunResult:
    """The whole journey on scikit-learn's 1,797 real handwritten digits: no data set needed, two or three minutes.

    Trains, reports, and explains one held-out digit of every class (explained/ in the run folder).
    """
    options = options or TrainOptions()
    options = replace(
        options,
        out=options.out or Path("runs/demo"),
        size=options.size or DEMO_SIDE,
        epochs=options.epochs or DEMO_EPOCHS,
    )
    folder = _run_folder(Path("demo"), options)
    if {"RANK", "WORLD_SIZE"} & set(os.environ):
        raise UsageError("the demo runs in one process; start it without torchrun")
    need("torch", "matplotlib", "sklearn")
    from nin.data.digits import open_digits
    from nin.workflows.training import start

    result = start(folder, open_digits(options.seed), options, listener or Listener())
    list(explain(folder, [str(folder / "pictures")], out=folder / "explained", device=options.device))
    return result


def resume(folder: str | Path, listener: Listener | None = None) -> RunResult:
    """Go on with an interrupted run, to the same weights bit for bit as if it had not been interrupted."""
    with _team() as team:
        if not (team and team.rank) and not Path(folder).is_dir():
            raise UsageError(f"{folder} is not a run folder; expected the folder of an interrupted nin train")
        need("torch", "matplotlib")
        from nin.training.distributed import ALONE
        from nin.workflows.training import go_on

        return go_on(Path(folder), listener or Listener(), team or ALONE)


def load(model: str | Path, device: str = "auto") -> "Classifier":
    """Load a model folder, the run folder that holds one in `model/`, or a model of the package: "nin-cifar10".

    It computes with torch; its `model` is the torch module. To compute without torch: `nin.open_engine`.
    """
    bundle = _bundle(model)
    need("torch")
    from nin.workflows.loaded import TorchRunner
    from nin.workflows.using import Classifier

    return Classifier(TorchRunner(bundle, device))


def classifier(model: str | Path, device: str = "auto") -> "Classifier":
    """A model, or an .onnx file, at work: on a processor without torch, on a GPU that is asked for with it."""
    if device not in ("auto", "cpu"):
        return load(model, device)
    from nin.deploy.engine import open_engine
    from nin.workflows.using import Classifier

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

    `divide` and `follow_links` say how `data` is read, as for `train`.
    """
    from nin.data.reading import Reading

    reading = Reading(divide, follow_links, offered=True)
    opened = partial(classifier, model, device)
    return measure(opened, data, split=split, skip_unreadable=skip_unreadable, reading=reading)


def measure(
    opened: "Callable[[], Classifier]",
    data: str | Path,
    *,
    split: str | None = None,
    skip_unreadable: bool = False,
    reading: "Reading | None" = None,
) -> Measured:
    """`evaluate` of what `opened` gives once the pictures are found."""
    from nin.data.cache import decode_split, noted_in_words
    from nin.data.reading import AS_FOUND
    from nin.data.sources import open_source
    from nin.data.splits import expect_every_class, known_classes
    from nin.data.stream import StreamedImages

    source = open_source(Path(data), split=False, reading=reading or AS_FOUND)
    name = split or next((n for n in ("test", "validation") if n in source.splits), "train")
    if name not in source.splits:
        raise UsageError(f"{data} has no split {name!r}; it has {', '.join(source.splits)}")
    at_work = opened()
    columns, joined = known_classes(source, at_work.classes)
    decoded = decode_split(
        source.splits[name], at_work.preprocess, skip_unreadable=skip_unreadable, key=source.fingerprint
    )
    expect_every_class(source, name, decoded.kept)
    labels = np.array([columns[label] for label in source.classes])[decoded.labels]
    evaluation = at_work.evaluate(decoded.images, labels)
    streamed = decoded.images.unreadable.values() if isinstance(decoded.images, StreamedImages) else ()
    notes = [*joined, *(f"left out: {file} ({reason})" for file, reason in (*decoded.unreadable, *streamed))]
    notes += noted_in_words(decoded.noted)
    if name == "train":
        notes.append("no test or validation split was found: measured on everything in the folder")
    return Measured(evaluation, name, tuple(notes), at_work.runner.in_words())


def predict(
    model: str | Path, inputs: Sequence[str], *, device: str = "auto", say: Callable[[str], None] = lambda _: None
) -> Iterator[Prediction]:
    """Answer for files, folders, globs, or '-' (one picture on standard input), in a stable order.

    `say` is told what computes.
    """
    sources, names = _pictures(inputs)
    at_work = classifier(model, device)
    say(at_work.runner.in_words())
    return at_work.predict(sources, names)


def explain(
    model: str | Path,
    images: Sequence[str],
    *,
    out: str | Path | None = None,
    top: int = 3,
    device: str = "auto",
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[Explanation]:
    """Write, for every picture, one PNG into `out` ("explained"): the picture and the maps of its top classes.

    The maps are exact: the logit of a class is the mean of its map, checked to 1e-6 on every picture. `say` is told
    what computes.
    """
    sources, names = _pictures(images)
    at_work = classifier(model, device)
    say(at_work.runner.in_words())
    from nin.workflows.using import explanations

    return explanations(at_work, sources, names, Path(out or "explained"), top)


def export(model: str | Path, options: ExportOptions | None = None, **choices: Any) -> Export:
    """Write a model as one file that other programs run, proven equal to torch first, and its certificate beside it.

    `choices` are fields of ExportOptions: `export("runs/photos", format="onnx-int8")`. Raises ModelError, and writes
    nothing, when the file's answers are not the model's.
    """
    options = _chosen(options or ExportOptions(), choices)
    bundle = _bundle(model)
    need("torch", "sklearn")
    from nin.workflows.exporting import export as export_now

    return export_now(bundle, options)


def check(path: str | Path, *, divide: str | None = None, follow_links: bool = False) -> "Check":
    """Look through a data set before training, read as `train` reads it with these choices: see nin.data.check."""
    from nin.data.check import check as check_data
    from nin.data.reading import Reading

    return check_data(Path(path), reading=Reading(divide, follow_links, offered=True))


def summary(name: str | None = None, input_size: tuple[int, int, int] | None = None) -> "Anatomy":
    """Anatomy of a network by name ("nin" by default), ours or one it is compared with, or of a model (as `load`).

    It counts for pictures of `input_size` (C, H, W), by default those that the network was made for.
    """
    need("torch")
    from nin.network.anatomy import anatomy
    from nin.network.architecture import create_model, list_models, unknown_network
    from nin.network.config import NINConfig
    from nin.network.relatives import RELATIVES

    name = name or "nin"
    if name in RELATIVES:
        relative = RELATIVES[name]
        try:
            return replace(anatomy(relative.bare(), input_size or relative.input_size), name=name)
        except UsageError as error:
            raise UsageError(f"{error}; {name} was made for {'x'.join(map(str, relative.input_size))}") from None
    if name not in list_models() and (Path(name).is_dir() or name in shipped()):
        bundle = _bundle(name)
        channels, size = bundle.preprocess.channels, bundle.preprocess.size
        counted = anatomy(NINConfig.from_dict(bundle.network), input_size or (channels, *size))
        return replace(counted, normalisation=bundle.preprocess.in_words())
    if name not in list_models():
        raise unknown_network(name, (*list_models(), *RELATIVES))
    if input_size is None:
        return anatomy(create_model(name), DEFAULT_INPUTS.get(name, (3, 32, 32)))
    return anatomy(create_model(name, in_chans=input_size[0]), input_size)


def import_model(files: Sequence[str | Path], options: ImportOptions | None = None, **choices: Any) -> Imported:
    """Bring in somebody else's network: definition files, or weights, of cuda-convnet, Caffe or PyTorch.

    `choices` are fields of ImportOptions: `import_model(["nin.pth"], out="model", labels="cifar10")`. Without `out`, or
    without weights among the files, nothing is written. Raises ModelError or UsageError in one line for files that
    cannot be understood, or that do not belong together.
    """
    options = _chosen(options or ImportOptions(), choices)
    paths = [Path(file) for file in files]
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


def _chosen(options: Options, choices: dict[str, Any]) -> Options:
    if choices.get("out") is not None:
        choices["out"] = Path(choices["out"])
    try:
        return replace(options, **choices)
    except TypeError:
        known = [field.name for field in fields(options)]
        wrong = next(name for name in choices if name not in known)
        raise UsageError(f"there is no option {wrong!r}; there are {', '.join(known)}") from None


def _run_folder(path: Path, options: TrainOptions, *, look: bool = True) -> Path:
    """Where the run will lie; UsageError when it cannot lie there, or when an earlier run would be replaced unasked."""
    folder = options.out or Path("runs") / (path.resolve().name.split(".")[0] or "data")
    if not look:
        return folder
    place = next(place for place in (folder, *folder.parents) if place.exists())
    if not place.is_dir():
        raise UsageError(f"{folder} cannot be a run folder: {place} is a file; choose another --out")
    if not os.access(place, os.W_OK | os.X_OK):
        raise UsageError(f"{folder} cannot be a run folder: {place} may not be written to; choose another --out")
    if place == folder and any(folder.iterdir()) and not options.overwrite:
        continues = f"go on with it: nin train --resume {folder}; or " if (folder / "args.yaml").is_file() else ""
        raise UsageError(f"{folder} is not empty; {continues}choose another --out, or replace it with --overwrite")
    return folder


def _bundle(model: str | Path) -> Bundle:
    return read_bundle(find_model(model))


def _pictures(inputs: Sequence[str]) -> tuple[list[Path | bytes], list[str]]:
    """Files, folders (searched through), globs and '-' -> sources and the names to show."""
    if not inputs:
        raise UsageError("no picture given; name files, folders, a glob, or - for standard input")
    sources: list[Path | bytes] = []
    names: list[str] = []
    for text in inputs:
        found = _standard_input() if text == "-" else _expand(text)
        sources += found
        names += ["-"] if text == "-" else [str(path) for path in found]
    return sources, names


def _standard_input() -> list[Path | bytes]:
    if sys.stdin is None:
        raise UsageError("standard input is closed; give it a picture, for instance with < picture.jpg")
    return [sys.stdin.buffer.read()]


def _expand(text: str) -> list[Path]:
    path = Path(text)
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.is_file() and is_picture_name(p) and not _hidden(p, path))
        if not found:
            raise UsageError(f"{text} holds no pictures (JPEG, PNG, WebP, BMP, GIF)")
        return found
    if path.exists():
        return [path]
    matched = [Path(name) for name in sorted(glob(text, recursive=True)) if Path(name).is_file()]  # noqa: PTH207
    if not matched:
        raise UsageError(
            f"{escape_name(text)} does not exist; name files, folders, a glob in quotes, or - for standard input"
        )
    return matched


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)
