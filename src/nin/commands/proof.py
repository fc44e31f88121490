"""An exported file: made, proven on pictures, and only then written, with its certificate (torch)."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nin.artifacts import remove, write_bytes
from nin.bundle.folder import WEIGHTS, Bundle
from nin.commands.torch_runner import TorchRunner
from nin.data.depth import to_uint8
from nin.data.images import read_picture, to_channels
from nin.data.preprocess import Preprocess
from nin.data.spelling import match_names
from nin.data.splits import Split
from nin.data.stream import StreamedImages
from nin.engine import pt2
from nin.engine.engine import facts_of_bundle
from nin.engine.exporter import Exported, Exporter
from nin.errors import DataError, UsageError, escape_name
from nin.network.config import NINConfig
from nin.orphans import sweep
from nin.run.options import ExportOptions
from nin.run.recorded import recorded_source
from nin.sealed import seal_json
from nin.version import __version__

PROVEN = 64  # pictures on which the file is compared with torch
CALIBRATED = 512  # training pictures from which eight bits get their ranges
GATED = 10_000  # unseen pictures on which eight bits may lose no accuracy
CROPS = (17, 33, 64, 100, 224, 333)  # sides of what is cut out of the photographs where there are no other pictures


@dataclass(frozen=True)
class Export:
    """A file that was exported and proven: where it and its certificate lie, and what the certificate says."""

    file: Path
    certificate: Path
    format: str
    bytes: int
    parity: dict[str, Any]


@dataclass(frozen=True)
class Material:
    """Pictures (H0, W0, C) uint8 of any size to prove with, where they come from, and the data set, if there is one."""

    pictures: list[np.ndarray]
    origin: str
    train: Split | None = None
    unseen: Split | None = None


def export_bundle(bundle: Bundle, options: ExportOptions) -> Export:
    """Make the file, prove it, and only then write it and its certificate; see `nin.export`."""
    own = bundle.preprocess.size
    bundle = _sized(bundle, options.size)
    path, certificate = _places(bundle, options)
    material = _material(bundle, options)
    runner = TorchRunner(bundle, "cpu")
    exporter = Exporter(bundle, runner.run, material.pictures)
    if options.format == "onnx-int8":
        made = _in_eight_bits(exporter, bundle, material)
    elif options.format == "pt2":
        temperature = bundle.calibration.temperature
        made = exporter.pt2(pt2.program(runner.model, bundle.preprocess, temperature, bundle.likeness), pt2.run_program)
    else:
        made = exporter.standard() if options.standard else exporter.onnx()
    facts = {
        "file": path.name,
        "format": "onnx-standard" if options.standard else options.format,
        "sha256_of_file": hashlib.sha256(made.data).hexdigest(),
        "bytes": len(made.data),
        "sha256_of_weights": bundle.digests[WEIGHTS],
        "nin": __version__,
        "torch": torch.__version__,
        "proven_on": material.origin,
        **made.parity,
    }
    if own != bundle.preprocess.size:
        trained, now = (" x ".join(map(str, size)) for size in (own, bundle.preprocess.size))
        facts["note"] = f"the model was trained on {trained} pixels; how good it is at {now} is not known"
    sweep(path.parent)
    write_bytes(path, made.data)
    try:
        write_bytes(certificate, seal_json(facts))
    except BaseException:
        remove(path)  # a file without its proof is not done
        raise
    return Export(path, certificate, facts["format"], len(made.data), facts)


def _sized(bundle: Bundle, side: int | None) -> Bundle:
    """The model for pictures of another size, which its network takes as they are; UsageError where it cannot."""
    own = bundle.preprocess
    if side is None or own.size == (side, side):
        return bundle
    least = NINConfig.from_dict(bundle.network).min_side
    if side < least:
        raise UsageError(f"--size is {side}; the network takes pictures from {least} pixels up")
    if own.zca is not None:
        words = " x ".join(map(str, own.size))
        raise UsageError(f"--size is {side}; this model's whitening is fitted for {words} pixels; leave out --size")
    return replace(bundle, preprocess=replace(own, size=(side, side)))


def _places(bundle: Bundle, options: ExportOptions) -> tuple[Path, Path]:
    """Where the file and its certificate will lie; UsageError, before any work, where something lies already."""
    endings = {"onnx": ".onnx", "onnx-int8": "-int8.onnx", "pt2": ".pt2"}
    ending = "-standard.onnx" if options.standard else endings[options.format]
    path = options.out or Path(facts_of_bundle(bundle).name + ending)
    certificate = path.with_name(path.name + ".parity.json")
    for each in (path, certificate):
        if each.is_dir():
            raise UsageError(f"{escape_name(each)} is a folder; choose the name of a file as --out")
        if each.exists() and not options.overwrite:
            raise UsageError(f"{escape_name(each)} exists; choose another --out, or replace it with --overwrite")
    return path, certificate


def _in_eight_bits(exporter: Exporter, bundle: Bundle, material: Material) -> Exported:
    if material.train is None or material.unseen is None:
        known = ", ".join(escape_name(label) for label in bundle.classes[:3])
        raise UsageError(
            f"--format onnx-int8 needs labelled pictures of the model's {len(bundle.classes)} classes ({known} ...) to "
            "calibrate with; name the data set: --data PATH"
        )
    splits = _some(material.train, CALIBRATED), _some(material.unseen, GATED)
    calibration, images = (StreamedImages(split, bundle.preprocess, skip_unreadable=True)[:] for split in splits)
    return exporter.int8(calibration, images, splits[1].labels)


def _some(split: Split, count: int) -> Split:
    """At most so many pictures, spread evenly: a folder is sorted by class."""
    return split.take(np.linspace(0, len(split) - 1, min(count, len(split))).astype(np.int64))


def _material(bundle: Bundle, options: ExportOptions) -> Material:
    """Pictures of the data set that is named, or that the model was trained on if it is still there, or photographs."""
    source = recorded_source(bundle, options.data)
    if source is None:
        pictures = [to_channels(picture, bundle.preprocess.channels) for picture in _photographs()]
        return Material(pictures, "cuts of the two photographs that come with scikit-learn")
    if list(match_names(source.classes, bundle.classes)[0].values()) != list(range(len(bundle.classes))):
        known = ", ".join(escape_name(label) for label in bundle.classes[:5])
        raise DataError(
            f"{source.path} has other classes than the model ({known} ...); name the data that it was trained on"
        )
    unseen = next(source.splits[name] for name in ("test", "validation", "train") if name in source.splits)
    pictures = list(_whole(_some(unseen, PROVEN), bundle.preprocess))
    origin = f"{len(pictures)} pictures of {source.path.resolve().name}"
    return Material(pictures, origin, source.splits["train"], unseen)


def _whole(split: Split, preprocess: Preprocess) -> Iterator[np.ndarray]:
    """Pictures in their own sizes, 8 bits deep; those that cannot be read are not needed."""
    for row in range(len(split)):
        try:
            stored = split.read(row)
            pixels = stored if isinstance(stored, np.ndarray) else read_picture(stored).pixels
            pixels = to_uint8(pixels, preprocess.value_range)
        except DataError:
            continue
        yield np.ascontiguousarray(to_channels(pixels, preprocess.channels))


def _photographs() -> Iterator[np.ndarray]:
    """Cuts of real photographs, in six sizes and in shapes from tall to wide."""
    from sklearn.datasets import load_sample_images

    for photograph in load_sample_images().images:
        height, width = photograph.shape[:2]
        for number, side in enumerate(CROPS * 5):
            tall, wide = side, min(width, side * (1 + number // 2 % 3))
            top, left = (number * 61) % (height - tall), (number * 97) % (width - wide + 1)
            yield photograph[top : top + tall, left : left + wide]
