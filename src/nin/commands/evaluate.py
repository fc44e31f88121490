"""`nin evaluate`: measuring on the pictures that a network was not trained on, and a warning about the others."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nin.bundle.folder import open_bundle
from nin.choices import chosen, path_of
from nin.commands.classifier import Classifier, classifier
from nin.data.cache import Decoded, decode_split, noted_in_words
from nin.data.images import skippable
from nin.data.preprocess import Preprocess
from nin.data.reading import AS_FOUND, Reading, reading_of
from nin.data.sources import open_source
from nin.data.splits import Source, Split, expect_every_class, known_classes
from nin.data.stream import StreamedImages
from nin.errors import UsageError
from nin.run.options import Device
from nin.run.seen import Seen, digests, seen_by

if TYPE_CHECKING:
    from nin.training.evaluation import Evaluation

UNKNOWN = "whether the model was trained on these pictures is not known: its run folder is not here"
STREAMED = "which of these pictures the model was trained on is not known: its run streamed them"


@dataclass(frozen=True)
class Measured:
    """An evaluation, the split it was made on, what is to be known of it, and what computed.

    split: train, validation or test, or unseen for pictures of which some were held out and some are new.
    training_pictures: how many of those measured the model was trained on; None where that is not known.
    """

    evaluation: "Evaluation"
    split: str
    notes: tuple[str, ...]
    computed_by: str
    warnings: tuple[str, ...] = ()
    training_pictures: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """The numbers as JSON values, with the split and the number of training pictures."""
        return {**self.evaluation.to_dict(), "split": self.split, "training_pictures": self.training_pictures}


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
    split = chosen("split", split, str | None)
    skip_unreadable = chosen("skip_unreadable", skip_unreadable, bool)
    data = path_of("data", data)
    device = chosen("device", device, Device)
    reading = reading_of(divide, follow_links)
    opened = partial(classifier, model, device)
    seen = pictures_seen_by(model)
    with skippable():
        return measure_on(opened, data, split=split, skip_unreadable=skip_unreadable, reading=reading, seen=seen)


def pictures_seen_by(model: str | Path) -> Seen | None:
    """What is known of the pictures that a model was trained on; nothing of an exported file."""
    return None if path_of("model", model).is_file() else seen_by(open_bundle(model))


def measure_on(
    opened: Callable[[], Classifier],
    data: str | Path,
    *,
    split: str | None = None,
    skip_unreadable: bool = False,
    reading: Reading = AS_FOUND,
    seen: Seen | None = None,
) -> Measured:
    """`evaluate` of what `opened` gives once the pictures are found; `seen`: what is known of its training."""
    source = open_source(Path(data), split=False, reading=reading)
    at_work = opened()
    columns, joined = known_classes(source, at_work.classes)
    chosen = choose_pictures(source, split, seen, at_work.preprocess, skip_unreadable)
    decoded = chosen.decoded
    labels = np.array([columns[label] for label in source.classes])[decoded.labels]
    evaluation = at_work.evaluate(decoded.images, labels)
    streamed = decoded.images.unreadable.values() if isinstance(decoded.images, StreamedImages) else ()
    left_out = [f"left out: {file} ({reason})" for file, reason in (*decoded.unreadable, *streamed)]
    notes = (*joined, *left_out, *noted_in_words(decoded.noted), *chosen.notes)
    return Measured(
        evaluation, chosen.split, notes, at_work.runner.in_words(), chosen.warnings, chosen.training_pictures
    )


@dataclass(frozen=True, eq=False)
class Chosen:
    """The pictures to measure on, their split's name, notes and warnings about them; how many are training pictures,
    None where that is not known."""

    decoded: Decoded
    split: str
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    training_pictures: int | None = None


def choose_pictures(
    source: Source, split: str | None, seen: Seen | None, preprocess: Preprocess, skip_unreadable: bool
) -> Chosen:
    """The pictures of `split`; without one those of test, else of validation, else all but training pictures.

    A validation or test split that the data do not have is the part of them that the run held out. UsageError where
    there is no such part.
    """
    decode = partial(decode_split, preprocess=preprocess, skip_unreadable=skip_unreadable, key=source.fingerprint)
    name = split or next((n for n in ("test", "validation") if n in source.splits), "train")
    if seen is not None and (name not in source.splits or (split is None and name == "train")):
        return _known_part(source, split, seen, decode)
    if name not in source.splits:
        raise _no_split(source, name)
    decoded = decode(source.splits[name])
    expect_every_class(source, name, decoded.kept)
    return _whole(source, name, seen, decoded)


def _no_split(source: Source, name: str, more: str = "") -> UsageError:
    return UsageError(f"{source.path} has no split {name!r}{more}; it has {', '.join(source.splits)}")


def _whole(source: Source, name: str, seen: Seen | None, decoded: Decoded) -> Chosen:
    """Everything in a split, with a warning where training pictures are among it."""
    everything = "no test or validation split was found: measured on everything in the folder"
    notes = [everything] if set(source.splits) == {"train"} else []
    if seen is None or "train" not in seen.pictures:
        unknown = [UNKNOWN if seen is None or not seen.pictures else STREAMED] if name == "train" else []
        return Chosen(decoded, name, (*notes, *unknown))
    trained = int(seen.among("train", digests(decoded.images)).sum())
    notes = [f"{note}, none of which the model was trained on" for note in notes] if not trained else notes
    return Chosen(decoded, name, tuple(notes), _mixed(trained, len(decoded.labels), name), trained)


def _mixed(trained: int, count: int, name: str) -> tuple[str, ...]:
    if not trained:
        return ()
    if trained == count:
        return (
            f"all {count:,} pictures measured are training pictures: how new pictures are answered is not measured; "
            "give pictures that the run has not seen",
        )
    advice = "leave out --split train to measure the others" if name == "train" else "take them out"
    return (
        f"{trained:,} of the {count:,} pictures measured are training pictures: the result looks better than it is; "
        f"{advice}",
    )


def _known_part(source: Source, split: str | None, seen: Seen, decode: "partial[Decoded]") -> Chosen:
    """The part of a data set that the run did not train on (split: None), or held out as validation or test."""
    part = seen.held_out_of(source) if split in (None, "validation") else None
    if part is not None:  # only that part need be decoded
        decoded = decode(part)
        found = digests(decoded.images)
        if not seen.pictures or bool(seen.among("validation", found).all()):
            again = seen.among("train", found)
            decoded = _take(decoded, part, np.flatnonzero(~again), decode) if again.any() else decoded
            if len(decoded.labels):
                left = len(source.splits["train"]) - len(part)
                return Chosen(
                    decoded, "validation", (_measured_on(len(decoded.labels), 0, left, int(again.sum())),), (), 0
                )
    whole = source.splits.get("train") or next(iter(source.splits.values()))
    decoded = decode(whole)
    expect_every_class(source, next(name for name, each in source.splits.items() if each is whole), decoded.kept)
    found = digests(decoded.images)
    trained = seen.among("train", found)
    held = {name: seen.among(name, found) & ~trained for name in ("validation", "test")}
    either = held["validation"] | held["test"]
    wanted = either if "train" not in seen.pictures else ~trained
    if split is not None:
        wanted = held.get(split, np.zeros(len(found), bool))
        if not wanted.any():
            raise _no_split(source, split, f", and the run held out none of its pictures as {split}")
    elif not wanted.any() or not (trained.any() or "train" not in seen.pictures):
        return _whole(source, "train", seen, decoded)
    new = int((wanted & ~either).sum())
    name = "unseen" if new else "validation" if (wanted & held["validation"]).any() else "test"
    note = _measured_on(int(wanted.sum()) - new, new, int(trained.sum()), 0)
    return Chosen(_take(decoded, whole, np.flatnonzero(wanted), decode), name, (note,), (), 0)


def _measured_on(held: int, new: int, trained: int, twice: int) -> str:
    """Which pictures are measured, in words."""
    one = "the picture" if held == 1 else f"the {held:,} pictures"
    which = f"{one} that nin train held out"
    if new:
        seen = f"{new:,} that it has not seen"
        which = f"{held + new:,} pictures: {held:,} that nin train held out and {seen}" if held else f"pictures: {seen}"
    left = f"; {trained:,} training pictures are left out" if trained else ""
    more = f", and {twice:,} that are held out and training pictures at once" if twice else ""
    return f"measured on {which}{left}{more}"


def _take(decoded: Decoded, split: Split, rows: np.ndarray, decode: "partial[Decoded]") -> Decoded:
    """The rows of a decoded or streamed split, in that order."""
    if not isinstance(decoded.images, np.ndarray):
        return decode(split.take(decoded.kept[rows]))
    return replace(decoded, images=decoded.images[rows], labels=decoded.labels[rows], kept=decoded.kept[rows])
