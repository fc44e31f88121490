"""Importing a network: its files are read, translated layer by layer, and written as a model folder (torch)."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from nin.artifacts import read_bytes
from nin.bundle.card import Calibration
from nin.bundle.folder import write_bundle
from nin.choices import Normalisation, option
from nin.data.cache import decode_split
from nin.data.machine import demand
from nin.data.preprocess import Preprocess
from nin.data.sources import open_source
from nin.data.spelling import clean, same
from nin.data.whiten import Zca, expect_whitenable, fit_memory, fit_zca
from nin.errors import ArtifactError, DataError, ModelError, UsageError, escape_name
from nin.importers.caffe import read_net
from nin.importers.caffemodel import read_caffemodel, read_convolutions, read_mean
from nin.importers.cuda_convnet import read_definition
from nin.importers.network_files import LARGEST_TEXT, File, belonging, read_network_file
from nin.importers.neutral import LOCAL, WHITENED, ForeignNet, reverse_colours, scale_input, weights_for
from nin.importers.ports import read_port
from nin.importers.torch_file import read_safetensors, read_torch
from nin.importers.torch_layouts import Said
from nin.network.anatomy import anatomy
from nin.network.architecture import NIN
from nin.network.demands import MOST_BYTES, MOST_MACS
from nin.network.named import list_models
from nin.run.options import ImportOptions
from nin.version import __version__

LABELS = {"cifar10": "airplane automobile bird cat deer dog frog horse ship truck"}  # in the order of CIFAR's numbers
UNTOLD_MEAN = 0.5  # where nothing tells how pictures were normalised
UNTOLD_STD = 0.25  # likewise
WEIGHTS = ("torch", "safetensors")
UNTOLD = ("layout", "key", "pooling", "pools", "last_relu", "norm_eps")  # options for what weights do not tell


@dataclass(frozen=True)
class Imported:
    """A foreign network understood, and the model folder made of it where there were weights.

    lines: (where it stands, what it says there, what it is here); recipe: how it was trained, in the files'
    own words, if they tell; pictures: what the network expects, in words; files: (name, SHA-256); missing: why there is
    no model folder.
    """

    source: str
    network: dict[str, Any]
    parameters: int
    lines: tuple[tuple[str, str, str], ...]
    recipe: str | None
    pictures: str
    files: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    missing: str | None = None
    model: Path | None = None


@dataclass(frozen=True)
class Preparation:
    """How pictures are prepared: side in pixels, how they get it, mean and standard deviation by channel (RGB, 0 to 1).

    normalisation: where it is not "standard", mean and standard deviation are not used.
    """

    side: int
    fit: Literal["stretch", "crop"]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    normalisation: Normalisation = "standard"


def import_files(paths: Sequence[Path], options: ImportOptions) -> Imported:
    """Understand the files and, where there are weights and `options.out`, write the model folder.

    Raises ModelError or UsageError in one line for files that cannot be understood or do not belong together.
    """
    files = belonging([read_network_file(path) for path in paths])
    net, state = _understand(files, options)
    config = net.config
    side = max(options.size or net.input.side or 0, config.min_side)
    _expect_modest("bytes for its maps", config.map_bytes(side), MOST_BYTES, side)
    costs = anatomy(config, (config.in_channels, side, side))
    _expect_modest("multiply-adds", costs.macs, MOST_MACS, side)
    digests = tuple((file.name, hashlib.sha256(file.data).hexdigest()) for file in files.values())
    found = Imported(
        net.source,
        config.to_dict(),
        costs.parameters,
        tuple((line.at, line.theirs, line.ours) for line in net.lines),
        net.training or None,
        _told(net),
        digests,
        net.notes,
        (),
    )
    if state is None:
        return replace(found, missing=_missing(files, config.name))
    wanted, warnings = _preparation(net, files, options)
    classes = _classes(config.num_classes, options)
    state, preprocess = _fitted(net, state, wanted, options)
    _prove(net, state)
    found = replace(found, pictures=_words(preprocess, turned=_reads_bgr(net, options)), warnings=warnings)
    if options.out is None:
        return replace(found, missing="pass --out to write a model folder")
    write_bundle(
        options.out,
        network=config.to_dict(),
        weights={name: tensor.contiguous().numpy() for name, tensor in state.items()},
        classes=classes,
        preprocess=preprocess,
        calibration=Calibration(),
        metrics={},
        provenance={
            "license": "unknown",
            "imported from": net.source,
            "pictures": found.pictures,
            "parameters": costs.parameters,
            "nin": __version__,
            "files (SHA-256)": dict(digests),
            "notes": {str(number): text for number, text in enumerate((*warnings, *net.notes), start=1)},
        },
    )
    return replace(found, model=options.out)


def _expect_modest(what: str, needed: int, most: int, side: int) -> None:
    if needed > most:
        raise ModelError(
            f"the network needs {needed:,} {what} for one picture of {side}x{side}, which no Network in Network does; "
            "pass a smaller --size"
        )


def _understand(files: Mapping[str, File], options: ImportOptions) -> tuple[ForeignNet, dict[str, Tensor] | None]:
    """The network that the files describe, and the state of ours where they hold weights."""
    relu = None if options.last_relu is None else options.last_relu == "on"
    said = Said(options.layout, options.key, options.pooling, options.pools, relu, options.norm_eps)
    if said != Said() and not set(WEIGHTS) & set(files):
        name = next(name for name in UNTOLD if getattr(options, name) is not None)
        raise UsageError(f"{option(name)} is for PyTorch weights, whose file does not tell the network; leave it out")
    if "_def" in files:
        first = files["_def"]
        second = files.get("_params")
        more = (second.text, second.name) if second else (None, "")
        return read_definition(first.text, first.name, *more), None
    if "net" in files:
        solver = files.get("solver")
        message = files["net"].message
        assert message is not None  # of every network definition
        net = read_net(message, solver.message if solver else None)
        weights = files.get("caffemodel")
        if weights is None:
            return net, None
        layers = read_caffemodel(weights.data, weights.name)
        return net, weights_for(net.config, read_convolutions(layers, net.names, weights.name))
    file = next(iter(files.values()))
    read = read_torch if file.kind == "torch" else read_safetensors
    net, given = read_port(read(file.data, file.name), file.name, said)
    return net, weights_for(net.config, given)


def _reads_bgr(net: ForeignNet, options: ImportOptions) -> bool:
    """Whether the weights in the file read blue, green, red: as the user says, else as is known of their source."""
    return net.config.in_channels == 3 and (net.input.bgr if options.colours is None else options.colours == "bgr")


def _preparation(
    net: ForeignNet, files: Mapping[str, File], options: ImportOptions
) -> tuple[Preparation, tuple[str, ...]]:
    """How pictures have to be prepared for the network, and what to heed; what the user says goes first."""
    told = net.input
    channels = net.config.in_channels
    side = options.size or told.side
    if side is None:
        raise UsageError("the files do not tell the side of the pictures; pass --size")
    if side < net.config.min_side:
        raise UsageError(f"--size is {side}; the network takes pictures from {net.config.min_side} pixels up")
    fit: Literal["stretch", "crop"] = "crop" if told.cropped else "stretch"
    heed = list(net.doubts)
    if told.cropped and not options.size:
        heed.append(f"Caffe cut {side}x{side} from the middle of larger pictures; here they are resized, then cut")
    if options.whiten is not None or (told.odd == LOCAL and not (options.mean or options.std)):
        normalisation: Normalisation = "lcn" if options.whiten is None else "gcn-zca"
        return Preparation(side, fit, (0.0,) * channels, (1.0,) * channels, normalisation), tuple(heed)
    mean = options.numbers("mean", channels) or _mean(net, files.get("mean"), _reads_bgr(net, options))
    std = options.numbers("std", channels) or told.std
    if told.odd and not (options.mean and options.std):
        way = "; pass --whiten with the pictures it was trained on" * (told.odd == WHITENED)
        heed.append(
            f"the network was trained on pictures after {told.odd}, which its model folder does not do: "
            f"what it answers for ordinary pictures means little{way}"
        )
    elif mean is None and told.mean_file:
        raise UsageError(
            f"the network subtracts the mean picture {escape_name(told.mean_file)[:80]}, which is not among the "
            "files; add it, or pass --mean"
        )
    elif mean is None or std is None:
        heed.append("nothing tells how pictures were normalised; pass --mean and --std if you know")
    elif net.supposed and not (options.mean and options.std):
        values = ", std ".join(",".join(f"{value:g}" for value in values) for values in (mean, std))
        colours = "" if channels == 1 or options.colours else ", RGB (else --colours bgr)"
        heed.append(
            f"the weights do not tell how pictures were prepared either; supposed are mean {values} of values from "
            f"0 to 1 (else --mean, --std){colours}"
        )
    mean = mean or (UNTOLD_MEAN if std is None else 0.0,) * channels
    std = std or (UNTOLD_STD,) * channels
    return Preparation(side, fit, mean, std), tuple(heed)


def _fitted(
    net: ForeignNet, state: dict[str, Tensor], wanted: Preparation, options: ImportOptions
) -> tuple[dict[str, Tensor], Preprocess]:
    """The state for RGB pictures whose std is at most 1, and their preparation; the rest goes into the weights."""
    factor = 1 / max(1.0, *wanted.std)
    std = tuple(value * factor for value in wanted.std)
    plain = Preprocess((wanted.side,) * 2, net.config.in_channels, wanted.fit, (0.5,) * len(std), (0.5,) * len(std))
    zca = None if options.whiten is None else _whitening(options.whiten, plain)
    try:
        preprocess = replace(plain, mean=wanted.mean, std=std, normalisation=wanted.normalisation, zca=zca)
    except UsageError as error:
        raise ModelError(f"pictures cannot be prepared as the network expects them ({error})") from error
    if _reads_bgr(net, options):
        state = reverse_colours(net.config, state)
    return (scale_input(state, factor) if factor != 1 else state), preprocess


def _whitening(path: Path, preprocess: Preprocess) -> Zca:
    """ZCA fitted on the training pictures at `path`, resized as the model will resize; DataError, UsageError."""
    source = open_source(path, split=False)
    if "train" not in source.splits:
        raise DataError(f"{path} has no training pictures; --whiten needs those that the network was trained on")
    advice = "pass a smaller --size"
    demand(fit_memory(expect_whitenable(preprocess.size, preprocess.channels, advice)), "fitting ZCA", advice)
    images = decode_split(source.splits["train"], preprocess, key=source.fingerprint).images
    return fit_zca((images[start : start + 1000] for start in range(0, len(images), 1000)), advice)


def _mean(net: ForeignNet, file: File | None, bgr: bool) -> tuple[float, ...] | None:
    """The mean to subtract, in RGB and units of 0..1: of the mean picture's channels, or as the definition says."""
    if file is None:
        return net.input.mean
    values = (read_mean(file.data, file.name) / 255).tolist()
    if len(values) != net.config.in_channels:
        raise ModelError(f"{file.name} has {len(values)} channels; the network reads {net.config.in_channels}")
    return tuple(values[::-1] if bgr else values)


def _told(net: ForeignNet) -> str:
    """What a definition alone tells of the pictures."""
    side = net.input.side
    channels = net.config.in_channels
    size = "a size that it does not tell" if side is None else f"{side} x {side} pixels"
    return f"{size}, {channels} channels{f', after {net.input.odd}' if net.input.odd else ''}"


def _words(preprocess: Preprocess, turned: bool) -> str:
    """The preparation that the model folder does."""
    colours = {1: "grey", 3: "RGB", 4: "RGBA"}[preprocess.channels]
    turn = " (the weights in the file read BGR; here they are turned round)" if turned else ""
    mean, std = (", ".join(f"{value:.4g}" for value in values) for values in (preprocess.mean, preprocess.std))
    how = "stretched" if preprocess.fit == "stretch" else "cut from the middle"
    size = " x ".join(str(side) for side in preprocess.size)
    values = f"(value / 255 - mean) / std, mean {mean}, std {std}"
    if preprocess.normalisation != "standard":
        values = preprocess.in_words()
    return f"{how} to {size} pixels, {colours}{turn}, {values}"


def _classes(count: int, options: ImportOptions) -> tuple[str, ...]:
    """Names of the classes: those of a known set, the lines of a file, or numbers."""
    if options.labels is None:
        return tuple(str(number) for number in range(count))
    if options.labels in LABELS and not Path(options.labels).is_file():
        names = LABELS[options.labels].split()
    else:
        try:
            text = read_bytes(options.labels, limit=LARGEST_TEXT).decode()
        except (ArtifactError, UnicodeDecodeError) as error:
            found = f"--labels {escape_name(options.labels)} cannot be used ({escape_name(error)[:200]})"
            raise UsageError(
                f"{found}; expected {', '.join(LABELS)} or a text file with one class name a line"
            ) from error
        names = [clean(line.strip()) for line in text.splitlines() if line.strip()]
    if len(names) != count:
        raise UsageError(
            f"--labels names {len(names)} classes and the network has {count}; name each once, in its order"
        )
    if len(set(map(same, names))) != len(names):
        raise UsageError("--labels names a class twice; give each its own name")
    return tuple(names)


def _missing(files: Mapping[str, File], name: str) -> str:
    """Why a definition alone gives no model folder, and what would."""
    trained = f"train it here: nin train PATH --network {name}" if name in list_models() else ""
    added = "" if "_def" in files else "add the .caffemodel that belongs to them"
    advice = " or ".join(filter(None, (added, trained))) or "a definition can only be shown"
    return f"these files hold no weights; {advice}"


@torch.no_grad()
def _prove(net: ForeignNet, state: dict[str, Tensor]) -> None:
    """Put the state into our network once; ModelError when it does not fit or gives something that is no number."""
    model = NIN(net.config)
    model.load_state_dict(state)
    side = net.config.min_side
    logits = model.eval()(torch.zeros(1, net.config.in_channels, side, side))
    if not math.isfinite(float(logits.abs().max())):
        raise ModelError("the weights hold NaN or infinity, or give them for a black picture; get them again")
