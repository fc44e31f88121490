"""`nin teach`: a few pictures of each class to a model, in seconds (torch-free)."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from nin.bundle.folder import open_bundle
from nin.choices import path_of, with_choices
from nin.data import depth
from nin.data.cache import Decoded, decode_split, left_out_in_words
from nin.data.images import skippable
from nin.data.sources import expect_there, expect_trainable, open_source
from nin.data.splits import Source, expect_every_class
from nin.errors import DataError, UsageError, escape_name
from nin.run.options import Listener
from nin.run.run_folder import held, missing_leave, other_pictures
from nin.teaching.estimate import teach_head
from nin.teaching.lesson import Lesson
from nin.teaching.taught_folder import LEFT, TeachResult, write_taught
from nin.teaching.teach_options import TeachOptions
from nin.teaching.trunk import Trunk, cut_trunk


def teach(
    path: str | Path, options: TeachOptions | None = None, listener: Listener | None = None, **choices: Any
) -> TeachResult:
    """Teach a trained network the classes of the pictures at `path`, a few of each, in seconds, without torch.

    Its mlpconv layers up to a cut stay as they are. One new 1x1 layer on their maps is learnt: softmax regression on
    mean features, which has one minimum, so that nothing depends on chance. Every class has its exact map, as ever.
    `choices` are fields of TeachOptions: `teach("photos", trunk="nin-cifar10")`. Raises DataError, UsageError,
    ModelError or ArtifactError in one line.
    """
    options = with_choices(options, choices, TeachOptions)
    heard = listener or Listener()
    start = time.perf_counter()
    path = path_of("path", path)
    expect_there(path)
    folder = _folder(path, options)
    with skippable(), held(folder, heard, lambda place: _expect_free(place, path, options)):
        source = open_source(path, split=False, reading=options.reading)
        expect_trainable(source)
        trunk = _with_range(cut_trunk(open_bundle(options.trunk), options.cut, options.size), source)
        decoded = {name: _decode(source, name, trunk, options, heard) for name in source.splits}
        train = decoded["train"]
        heard.note(f"{len(train.labels):,} pictures through mlpconv layers 1 to {trunk.cut} of {trunk.name}")
        features = trunk.features(train.images)
        begun = time.perf_counter()
        taught = teach_head(features, train.labels, len(source.classes))
        now = time.perf_counter()
        return write_taught(Lesson(folder, source, options, trunk, decoded, taught, now - start, now - begun))


def _folder(path: Path, options: TeachOptions) -> Path:
    """Where the model will lie."""
    name = path.resolve().name.split(".")[0] or "pictures"
    return options.out or Path("runs") / f"{name}-taught"


def _expect_free(folder: Path, path: Path, options: TeachOptions) -> None:
    """Raise UsageError where something would be replaced unasked, or is not ours to replace."""
    found = {each.name for each in folder.iterdir()} - {".lock"}
    if found - LEFT:
        raise UsageError(f"{folder} holds something else than a model that nin teach left; choose another --out")
    other = other_pictures(folder, path)
    missing = missing_leave(folder, other, options.out, overwrite=options.overwrite)
    if found and missing:
        state = f"holds what was taught on {other}" if other else "is not empty"
        raise UsageError(f"{folder} {state}; choose another --out, or replace it with {missing}")


def _with_range(trunk: Trunk, source: Source) -> Trunk:
    """The trunk for pictures with values like these: deep ones have a range of their own."""
    near = 2 * max(trunk.preprocess.size)
    try:
        found = depth.find_range(depth.sample(source.splits["train"], near=near))
    except DataError as error:
        raise DataError(f"{escape_name(source.path)}: {error}") from None
    return replace(trunk, preprocess=replace(trunk.preprocess, value_range=found))


def _decode(source: Source, name: str, trunk: Trunk, options: TeachOptions, heard: Listener) -> Decoded:
    """One split at the trunk's size; notes what was left out."""
    decoded = decode_split(
        source.splits[name],
        trunk.preprocess,
        skip_unreadable=options.skip_unreadable,
        key=source.fingerprint,
        progress=heard.loading,
    )
    if name == "train":
        expect_every_class(source, name, decoded.kept)
    for line in left_out_in_words(decoded, name):
        heard.note(line)
    return decoded
