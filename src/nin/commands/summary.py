"""`nin summary`: what a network of any making costs and sees, layer by layer."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nin.bundle.folder import open_bundle
from nin.bundle.shipped import shipped
from nin.choices import chosen, expanded, shown
from nin.errors import UsageError
from nin.extras import need
from nin.network.config import NINConfig
from nin.network.named import list_models
from nin.run.network_file import NetworkFile, write_network
from nin.run.which_network import configure_network, find_network

if TYPE_CHECKING:
    from nin.network.anatomy import Anatomy

DEFAULT_INPUTS = {"nin-author-mnist": (1, 28, 28), "nin-author-imagenet": (3, 224, 224)}


def summary(
    network: Any = None, input_size: tuple[int, int, int] | None = None, *, out: str | Path | None = None
) -> "Anatomy":
    """Anatomy of a network: how many parameters and multiply-adds each layer has, and what it sees of a picture.

    network: a name ("nin" by default), ours or one it is compared with; the path of a network file; a model (as
    `load`); a NINConfig; or any torch module. It counts for pictures of `input_size` (C, H, W), by default those that
    the network was made for, which of a torch module nobody knows. out: a network file to write, .yaml or .json, with
    which to begin a network of one's own (docs/reference/network-file.md).
    """
    size = chosen("input", input_size, tuple[int, ...] | None)
    if size is not None and len(size) != 3:
        raise UsageError(f"--input is {shown(input_size)}; expected (channels, height, width), such as (3, 64, 64)")
    file = chosen("out", out, Path | None)
    need("torch")
    found = _anatomy(network, size)
    if file is not None:
        if found.network is None:
            raise UsageError(f"{found.name} is no Network in Network, which alone has a network file; leave out --out")
        write_network(found.network, file)
    return found


def _anatomy(network: Any, size: tuple[int, int, int] | None) -> "Anatomy":
    from torch.nn import Module

    from nin.commands.classifier import Classifier
    from nin.network.anatomy import anatomy

    network = network.model if isinstance(network, Classifier) else network
    if isinstance(network, Module):
        if size is None and not hasattr(network, "config"):
            raise UsageError(f"of what pictures? nin.summary({type(network).__name__}(...), (3, 224, 224)) tells")
        return anatomy(network, size)
    if isinstance(network, NINConfig):
        return anatomy(configure_network(network), size or _pictures_for(network))
    return _anatomy_by_name(str(chosen("network", "nin" if network is None else network, str)), size)


def _anatomy_by_name(name: str, input_size: tuple[int, int, int] | None) -> "Anatomy":
    from nin.network.anatomy import anatomy
    from nin.network.relatives import RELATIVES

    if name in RELATIVES:
        relative = RELATIVES[name]
        try:
            return replace(anatomy(relative.bare(), input_size or relative.input_size), name=name)
        except UsageError as error:
            raise UsageError(f"{error}; {name} was made for {'x'.join(map(str, relative.input_size))}") from None
    if name not in list_models() and (expanded(name).is_dir() or name in shipped()):
        bundle = open_bundle(name)
        channels = bundle.preprocess.channels
        size = bundle.preprocess.size
        counted = anatomy(NINConfig.from_dict(bundle.network), input_size or (channels, *size))
        return replace(counted, normalisation=bundle.preprocess.in_words())
    found = find_network(name, (*list_models(), *RELATIVES))
    config = configure_network(found, in_channels=input_size[0] if input_size else None)
    designed = found.size if isinstance(found, NetworkFile) else None
    return anatomy(config, input_size or DEFAULT_INPUTS.get(name) or _pictures_for(config, designed))


def _pictures_for(config: NINConfig, side: int | None = None) -> tuple[int, int, int]:
    """What to count a network for: pictures of that side, or of 32 pixels, or of the least that it takes."""
    side = side or max(32, config.min_side)
    return config.in_channels, side, side
