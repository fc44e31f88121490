"""From pictures and options to a complete plan: size, channels, preprocessing, network, recipe."""

import hashlib
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nin.bundle.folder import Bundle
from nin.choices import Normalisation
from nin.data import depth
from nin.data.cache import Decoded, decode_split, left_out_in_words
from nin.data.check import stored_pixels
from nin.data.machine import demand
from nin.data.preprocess import Preprocess
from nin.data.splits import Source, Split, expect_every_class
from nin.data.stream import Images, StreamedImages, prefetch
from nin.data.whiten import MATRIX, MEAN, Zca, expect_whitenable, fit_memory, fit_zca
from nin.errors import DataError, UsageError, escape_name
from nin.network.config import NINConfig, SettingError
from nin.network.named import OURS
from nin.run.beginning import usual_beginning
from nin.run.network_file import NetworkFile
from nin.run.options import Listener, TrainOptions, seconds
from nin.run.transfer import channels_for, network_for, normalisation_for, preprocess_of_beginning, size_for
from nin.run.which_network import configure_network, expect_room, training_bytes
from nin.training.author_recipes import AUGMENTED, AUTHORS, caffe_cifar10
from nin.training.distributed import Team
from nin.training.recipes import Recipe, default_recipe

PHOTO_SIDE = 96  # side for photographs; ours: docs/log.md
SMALLEST = 8  # pixels; the least side the network takes
STEM_SIDE = 48  # largest side of the map after the first convolution; ours: docs/log.md
WHITENED = 50_000  # streamed pictures that whitening is fitted on, as many as CIFAR has; of others it is all
LESS = "pass a smaller --size or --normalise gcn"  # where whitening would take too much memory
BLOCK = 1_000  # pictures contrast normalised at a time: 25 MB at 32 x 32 x 3


@dataclass(frozen=True)
class Plan:
    """What a run will do, fixed before its first step."""

    preprocess: Preprocess
    network: NINConfig
    recipe: Recipe
    begin: Bundle | None = None
    """The model whose weights the run begins with."""


def make_plan(
    source: Source, options: TrainOptions, begin: Bundle | None = None, own: NetworkFile | NINConfig | None = None
) -> Plan:
    """Decide everything that the options leave open, from a sample of the training pictures.

    begin: the model to begin with, by default the usual one for these pictures, if any; its network is taken over as
    far as it suits them. own: the network in the place of one that has a name, which must suit them; they get its
    channels.
    """
    train = source.splits["train"]
    sample = depth.sample(train, near=2 * PHOTO_SIDE)
    value_range = _value_range(source, sample)
    channels = options.channels or (own and own.in_channels) or (3 if any(p.shape[2] >= 3 for p in sample) else 1)
    if channels not in (1, 3, 4):
        raise UsageError(f"the network has in_channels={channels}; pictures have 1, 3 or 4")
    wanted: Normalisation = options.normalise or "standard"
    height, width = _size(sample, options.size)
    sample = [depth.to_uint8(picture, value_range) for picture in sample]
    if begin is None and own is None:
        begin = usual_beginning(options, len(train), sample, _stem_stride(height, width), channels)
    if begin is not None:
        channels = channels_for(begin, options)
        wanted = normalisation_for(begin, options)
        height, width = size_for(begin, options, (height, width))
    normalisation: Normalisation = wanted
    if wanted == "gcn-zca":
        expect_whitenable((height, width), channels, LESS)
        normalisation = "gcn"  # until `whitened` has seen the pictures
    even = (0.5,) * channels
    preprocess = Preprocess((height, width), channels, options.fit, even, even, normalisation, value_range=value_range)
    resized = np.stack([preprocess.resize(picture) for picture in sample]) / 255.0
    mean, std = resized.mean((0, 1, 2)), resized.std((0, 1, 2))
    preprocess = replace(
        preprocess,
        mean=tuple(round(float(m), 4) for m in mean),
        std=tuple(round(max(float(s), 0.01), 4) for s in std),
    )
    stem_stride = _stem_stride(height, width)
    if begin is None:
        network = _network(options, own, len(source.classes), channels, stem_stride)
    else:
        network = network_for(begin, len(source.classes), stem_stride)
        preprocess = preprocess_of_beginning(begin, preprocess)
    if options.statistics_batch is not None and network.norm is None:
        raise UsageError(f"--statistics-batch is for networks with batch normalisation; {network.name} has none")
    network = replace(network, mirror=options.mirror or (own is not None and network.mirror))
    with own.telling_lines() if isinstance(own, NetworkFile) else nullcontext():
        _expect_suitable(network, options, channels, min(height, width), own=own is not None)
    expect_room(own or options.network, network, training_bytes(network, max(height, width)))
    return Plan(preprocess, network, make_recipe(len(train), channels, options), begin)


def _stem_stride(height: int, width: int) -> int:
    """The stride of the first convolution for pictures of this size."""
    return -(-min(height, width) // STEM_SIDE)


def _value_range(source: Source, sample: list[np.ndarray]) -> depth.Range | None:
    """The values of deep pictures that become 0 and 255; DataError where there is no one range for all."""
    try:
        return depth.find_range(sample)
    except DataError as error:
        raise DataError(f"{escape_name(source.path)}: {error}") from None


def _network(
    options: TrainOptions, own: NetworkFile | NINConfig | None, classes: int, channels: int, stem_stride: int
) -> NINConfig:
    """The network that the options name, or the user's own; those of the author's have one width."""
    if own is not None:
        return configure_network(own, classes, channels)
    switches: dict[str, Any] = {"width": options.width, "stem_stride": stem_stride} if options.network in OURS else {}
    if options.recipe == "author-caffe":
        switches = {"pool2": "avg", "dropout_kind": "inverted"}
    if "width" not in switches and options.width != 1.0:
        raise UsageError(f"--width is for {' and '.join(OURS)}; {options.network} has one width")
    return configure_network(options.network, classes, channels, **switches)


def _expect_suitable(network: NINConfig, options: TrainOptions, channels: int, side: int, *, own: bool) -> None:
    """Raise UsageError where these pictures are none for the network."""
    if network.mirror and not _flips(options, channels):
        what = "--mirror" if options.mirror else "mirror"
        text = f"{what} asks about mirror images, on which this run does not train; add --flip on"
        raise SettingError(text, "mirror")
    if side < network.min_side:
        left = network.blocks_left(side)
        less = f", or pool less: block {left + 1} leaves nothing of {side} pixels" if own else ""
        text = f"{network.name} takes pictures from {network.min_side} pixels up; pass --size{less}"
        raise SettingError(text, "blocks", left)


def _flips(options: TrainOptions, channels: int) -> bool:
    """Whether a mirrored picture is as good as the picture."""
    return options.flip == "on" or (options.flip == "auto" and channels >= 3)


def make_recipe(count: int, channels: int, options: TrainOptions) -> Recipe:
    """The default recipe for `count` training pictures with the user's choices put in."""
    if options.recipe == "default":
        flip = _flips(options, channels)
        recipe = default_recipe(count, flip=flip, colour=channels >= 3, epochs=options.epochs)
    else:
        recipe = _author_recipe(options)
    chosen: dict[str, Any] = {
        "lr": options.lr,
        "batch_size": options.batch_size,
        "statistics_batch": options.statistics_batch,
        "weight_decay": options.weight_decay,
        "label_smoothing": options.label_smoothing,
    }
    recipe = replace(recipe, **{name: value for name, value in chosen.items() if value is not None})
    if options.statistics_batch is not None and options.statistics_batch > recipe.batch_size:
        given = f"--statistics-batch is {options.statistics_batch}, but a step has {recipe.batch_size} pictures"
        raise UsageError(f"{given}; give at most as many, or a larger --batch-size")
    return replace(
        recipe,
        balance=options.balance,
        patience=options.patience,
        max_seconds=None if options.max_time is None else seconds(options.max_time),
        seed=options.seed,
    )


def _author_recipe(options: TrainOptions) -> Recipe:
    """The author's recipe for one of the author's networks."""
    variant = options.recipe.removeprefix("author").removeprefix("-")
    made_for = {"": AUTHORS, "augmented": AUGMENTED, "caffe": {"nin-author-cifar10": caffe_cifar10}}[variant]
    if options.network not in made_for:
        raise UsageError(
            f"--recipe {options.recipe} is for --network {' or '.join(made_for)}; the network here is {options.network}"
        )
    if options.flip != "auto" or options.balance != "none":
        raise UsageError(f"--recipe {options.recipe} decides --flip and --balance; leave them out")
    chosen: dict[str, Any] = {} if options.epochs is None else {"epochs": options.epochs}
    if variant == "augmented":
        chosen["augment"] = True
    return made_for[options.network](**chosen)


def _size(sample: list[np.ndarray], wanted: int | None) -> tuple[int, int]:
    """(H, W): as asked for; the pictures' own size when they are small and alike; else PHOTO_SIDE."""
    if wanted is not None:
        return wanted, wanted
    shapes = {picture.shape[:2] for picture in sample}
    if len(shapes) == 1:
        height, width = shapes.pop()
        if max(height, width) <= PHOTO_SIDE:
            return max(height, SMALLEST), max(width, SMALLEST)
    side = int(np.median([min(picture.shape[:2]) for picture in sample]))
    return (side, side) if SMALLEST <= side < PHOTO_SIDE else (PHOTO_SIDE, PHOTO_SIDE)


def decode(
    source: Source, name: str, plan: Plan, options: TrainOptions, listener: Listener, stream: bool | None
) -> Decoded:
    """Decode one split at the plan's size, or stream it (None: when nothing else fits); notes what was left out."""
    decoded = decode_split(
        source.splits[name],
        plan.preprocess,
        skip_unreadable=options.skip_unreadable,
        stream=stream,
        key=source.fingerprint,
        progress=listener.loading,
    )
    if isinstance(decoded.images, StreamedImages):
        size = int(np.prod(decoded.images.shape, dtype=np.int64)) / 1e9
        listener.note(
            f"{name} is streamed ({size:,.1f} GB decoded): every epoch decodes its pictures anew, unreadable ones are "
            "found on the way, pictures that are in two splits are not searched for; nin data check finds both"
        )
    if name == "train":
        expect_every_class(source, name, decoded.kept)
    for line in left_out_in_words(decoded, name):
        listener.note(line)
    return decoded


def whitened(plan: Plan, train: Images, options: TrainOptions, listener: Listener, team: Team) -> Plan:
    """The plan with ZCA fitted on the training pictures where --normalise asks for it; rank 0 fits, all get the same.

    A plan that has one (of a checkpoint, of the model to begin with) stays as it is. DataError where memory is short.
    """
    pre = plan.preprocess
    if options.normalise != "gcn-zca" or pre.zca is not None:
        return plan
    tensors = {}
    pictures = len(train)
    if isinstance(train, StreamedImages):
        pictures = min(pictures, WHITENED)
    if team.first:
        count = expect_whitenable(pre.size, pre.channels, LESS)
        demand(fit_memory(count), "fitting ZCA", LESS)
        listener.note(
            f"fitting ZCA on {pictures:,} of {len(train):,} training pictures: takes {fit_memory(count) / 1e9:.1f} GB "
            f"of memory for the moment, {4e-6 * count**2:,.0f} MB in the model"
        )
        tensors = fit_zca(_evenly(train, pictures, listener), LESS).tensors()
    tensors, text = team.broadcast_arrays(tensors, str(pictures))
    zca = Zca(tensors[MEAN], tensors[MATRIX], int(text))
    return replace(plan, preprocess=replace(pre, normalisation="gcn-zca", zca=zca))


def _evenly(images: Images, count: int, listener: Listener) -> Iterator[np.ndarray]:
    """`count` pictures, evenly taken from all, in blocks (n, H, W, C) uint8."""
    rows = np.arange(count) * len(images) // count
    prefetch(images, rows)
    for start in range(0, count, BLOCK):
        yield images[rows[start : start + BLOCK]]
        listener.loading(min(start + BLOCK, count), count)


def shared_pictures(train: Split, learned: Decoded, split: Split, measured: Decoded) -> int:
    """How many pictures of `split` are, pixel for pixel as they are stored, also training pictures.

    Those that are alike as the network sees them, small and in 8 bits, are compared as they are stored.
    """
    alike: dict[bytes, list[int]] = {}
    for row, picture in zip(learned.kept.tolist(), learned.images, strict=True):
        alike.setdefault(_digest(picture), []).append(row)
    stored: dict[bytes, set[bytes]] = {}
    shared = 0
    for row, picture in zip(measured.kept.tolist(), measured.images, strict=True):
        if (found := _digest(picture)) in alike:
            if found not in stored:
                stored[found] = {stored_pixels(train, place) for place in alike[found]}
            shared += stored_pixels(split, row) in stored[found]
    return shared


def _digest(picture: np.ndarray) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(picture).data, digest_size=16).digest()
