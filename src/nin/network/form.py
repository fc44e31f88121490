"""The form of a network that people write: what is left out is as usual, or as the pictures have it (torch-free).

{"norm": "batch", "blocks": [
    {"channels": [48, 48], "kernel_size": 5, "pool": "max"},
    {"channels": [96, 96, "classes"], "kernel_size": 3}]}
"""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from reprlib import repr as short
from typing import Any

from nin.network.config import BlockConfig, NINConfig, SettingError, expect_whole

CLASSES = "classes"  # as the last width: as many maps as the pictures have classes
USUAL_CLASSES = 10  # where no pictures say how many: those of CIFAR-10 and MNIST, which the paper begins with


def to_form(config: NINConfig) -> dict[str, Any]:
    """A network in its form: no setting that is as usual, CLASSES as the last width."""
    values = config.to_dict()
    form = _unusual(NINConfig, {name: value for name, value in values.items() if name != "blocks"})
    if form["num_classes"] == USUAL_CLASSES:
        del form["num_classes"]
    blocks = [_unusual(BlockConfig, block) for block in values["blocks"]]
    blocks[-1]["channels"][-1] = CLASSES
    return {**form, "blocks": blocks}


def from_form(
    form: Mapping[str, Any], called: str, num_classes: int | None = None, in_channels: int | None = None
) -> NINConfig:
    """The network of a form, for so many classes and channels; None: as many as the form says, or as usual.

    `called` is the name where the form has none. A last width that is a number, and channels that the form names, are
    fixed: SettingError where others are asked for, and for all that no network can have.
    """
    for name, count in (("num_classes", num_classes), ("in_channels", in_channels)):
        if count is not None:
            expect_whole(name, count, 1)
    widths = _last_widths(form)
    at = ("blocks", len(form["blocks"]) - 1, "channels", len(widths) - 1) if widths else ()
    last = widths[-1] if widths else CLASSES
    if last != CLASSES and (not isinstance(last, int) or isinstance(last, bool)):
        raise SettingError(f"the last width is {short(last)}; expected {CLASSES}, or a whole number", *at)
    if last != CLASSES and num_classes not in (None, last):
        raise SettingError(f"the last width is {last} and there are {num_classes} classes; write {CLASSES} there", *at)
    channels = form.get("in_channels")
    if in_channels is not None and channels not in (None, in_channels):
        text = f"in_channels is {short(channels)} and the pictures have {in_channels}; make them equal or leave it out"
        raise SettingError(text, "in_channels")
    values = {"name": called, "num_classes": USUAL_CLASSES if last == CLASSES else last, **form}
    expect_whole("num_classes", values["num_classes"], 1)
    if in_channels is not None:
        values["in_channels"] = in_channels
    if widths and last == CLASSES:
        values["num_classes"] = num_classes or values["num_classes"]
        block = {**form["blocks"][-1], "channels": [*widths[:-1], values["num_classes"]]}
        values["blocks"] = [*form["blocks"][:-1], block]
    return NINConfig.from_dict(values)


def _unusual(cls: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a configuration class that differ from their defaults, and those that have none."""
    usual = {field.name: field.default for field in fields(cls)}
    return {name: value for name, value in values.items() if usual[name] is MISSING or usual[name] != value}


def _last_widths(form: Mapping[str, Any]) -> list[Any]:
    """The widths of the last block of a form; an empty list where it has none."""
    blocks = form.get("blocks")
    last = blocks[-1] if isinstance(blocks, list) and blocks else None
    widths = last.get("channels") if isinstance(last, Mapping) else None
    return widths if isinstance(widths, list) else []
