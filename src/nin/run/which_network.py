"""Which network: what a user names, gives or has in a file, as the one configuration that is meant (torch-free)."""

import os
from collections.abc import Iterable
from typing import Any

from nin.bundle.shipped import shipped
from nin.choices import chosen, expanded, shown
from nin.data.machine import demand
from nin.errors import DataError, UsageError
from nin.network.config import NINConfig, SettingError
from nin.network.named import MODELS, configure, unknown_network
from nin.run.network_file import ENDINGS, NetworkFile, read_network

Given = str | NetworkFile | NINConfig  # a name that is known, a file that was read, a configuration
STEP_BYTES = 16  # of a weight while it is learnt: itself, its gradient, its momentum and the mean that is kept
MAP_BYTES = 2  # times the maps of a picture: they are kept for the way back, and so are their gradients


def find_network(given: object, known: Iterable[str] = MODELS) -> Given:
    """The network that is meant by a name out of `known`, the path of a file, or a configuration.

    A name goes before a file of the same name; ./NAME is the file. UsageError, in one line, where there is neither, and
    for all that is wrong in a file.
    """
    if isinstance(given, NINConfig | NetworkFile):
        return given
    name: str = chosen("network", given, str)
    known = list(known)
    if name in known:
        return name
    path = expanded(name)
    if path.suffix.lower() in ENDINGS or os.sep in name or os.path.exists(path):  # noqa: PTH110  Path.exists can raise
        return read_network(path)
    if name in shipped():
        raise UsageError(f"--network {name} is a trained model; begin with its weights: --from {name}")
    for ending in ENDINGS:
        if os.path.isfile(expanded(name + ending)):  # noqa: PTH113  Path.is_file can raise
            raise UsageError(f"there is no network named {shown(name)}; did you mean the file {name}{ending}?")
    unknown = unknown_network(name, known)
    unknown.add_way("give a network file such as mine.yaml")
    raise unknown


def configure_network(
    given: object, num_classes: int | None = None, in_channels: int | None = None, **switches: Any
) -> NINConfig:
    """The configuration of whatever `find_network` takes, for so many classes and channels.

    None means: as the file says, or as usual. `switches` are those of `configure`, which only names have. UsageError
    for a network that is made for others, and for one that memory cannot hold.
    """
    found = find_network(given)
    if isinstance(found, str):
        config = configure(found, num_classes, in_channels, **switches)
    elif switches:
        raise UsageError(
            f"{next(iter(switches))} is for networks with a name; write it into the network's own settings"
        )
    elif isinstance(found, NetworkFile):
        config = found.config(num_classes, in_channels)
    else:
        config = _suits(found, num_classes, in_channels)
    expect_room(found, config, 4 * sum(config.block_weights))
    return config


def expect_room(found: Given, config: NINConfig, size: int) -> None:
    """Raise UsageError, naming the block with most weights, where `size` bytes are more than memory should give."""
    try:
        demand(size, f"the network {config.name}", "make it narrower")
    except DataError as error:
        weights = config.block_weights
        fault = SettingError(error, "blocks", weights.index(max(weights)), "channels")
        if isinstance(found, NetworkFile):
            with found.telling_lines():
                raise fault from None
        raise fault from None


def training_bytes(config: NINConfig, side: int) -> int:
    """Bytes that a step needs at least, for one picture of that side."""
    return STEP_BYTES * sum(config.block_weights) + MAP_BYTES * config.map_bytes(side)


def _suits(own: NINConfig, classes: int | None, channels: int | None) -> NINConfig:
    """A configuration that the user has made, which must suit the pictures."""
    if classes not in (None, own.num_classes):
        raise UsageError(
            f"the network has num_classes={own.num_classes}, the pictures have {classes} classes; change it"
        )
    if channels not in (None, own.in_channels):
        came = f"the network has in_channels={own.in_channels}, the pictures come with {channels}"
        raise UsageError(f"{came}; expected 1, 3 or 4, and --channels the same")
    return own
