"""The author's definition files: cuda-convnet's layers (`_def`) and hyper-parameters (`_params`), INI syntax.

Source: the files themselves and what cuda-convnet makes of them (Python/layer.py and PluginsSrc/include/
extralayers.cuh of the author's fork). What the second file says of the training is told as it is; the author's recipes
are in nin.training.author_recipes.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from nin.errors import ModelError, escape_name
from nin.importers.neutral import (
    PREPARED,
    ForeignInput,
    ForeignLayer,
    ForeignNet,
    assemble,
    network_lines,
)

MOST_SECTIONS = 400
INIT_STD = 0.01  # cuda-convnet's own default of initW
DROPOUT = re.compile(r"dropout\s*\[\s*([^\]]+?)\s*\]")

# What a layer may say, beside its type; partialSum and gpu change how fast it computes, not what.
KEYS = {
    "data": "dataidx",
    "conv": "inputs channels filters padding stride filtersize groups neuron initw initb sharedbiases partialsum gpu",
    "cccp": "inputs channels in_nodes out_nodes neuron initw initb partialsum gpu",
    "pool": "inputs pool start sizex stride outputsx channels neuron gpu",
    "neuron": "inputs neuron gpu",
    "dropout": "inputs keep gpu",
    "softmax": "inputs gpu",
    "cost.logreg": "inputs gpu",
}
RATES = ("epsW", "epsB", "momW", "momB", "wc")  # what the second file says of every convolution


@dataclass(frozen=True)
class Section:
    """One [name] of a file and its settings, keys in lower case: value and where it stands ("net_def:12")."""

    name: str
    at: str
    values: Mapping[str, tuple[str, str]]

    def where(self, key: str) -> str:
        """Where a setting stands; where the section begins if it does not."""
        return self.values[key][1] if key in self.values else self.at

    def text(self, key: str, default: str | None = None) -> str:
        """A setting as it is written; ModelError when it is needed and not there."""
        if key in self.values:
            return self.values[key][0]
        if default is None:
            raise ModelError(f"{self.at}: [{escape_name(self.name)}] has no {key}; expected {key}=...")
        return default

    def number(self, key: str, default: float | None = None) -> float:
        """A finite number."""
        text = self.text(key, None if default is None else str(default))
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise ModelError(f"{self.where(key)}: {key} is {escape_name(text)[:40]!r}; expected a number")
        return value

    def whole(self, key: str, default: int | None = None) -> int:
        """A whole number."""
        text = self.text(key, None if default is None else str(default))
        if not re.fullmatch(r"[+-]?\d{1,9}", text):
            raise ModelError(f"{self.where(key)}: {key} is {escape_name(text)[:40]!r}; expected a whole number")
        return int(text)


def read_sections(text: str, name: str) -> dict[str, Section]:
    """[name] and key=value lines; `name` is the file's, for messages. # and ; begin comments.

    Raises ModelError for lines that are neither, for sections and settings that come twice, and for too many.
    """
    sections: dict[str, Section] = {}
    values: dict[str, tuple[str, str]] = {}
    for number, raw in enumerate(text.splitlines(), start=1):
        line = re.sub(r"(^|\s);.*", "", raw).strip()
        at = f"{name}:{number}"
        if not line or line.startswith("#"):
            continue
        if heading := re.fullmatch(r"\[([^\[\]]+)\]", line):
            title = heading[1].strip()
            values = {}
            if title in sections:
                raise ModelError(f"{at}: [{escape_name(title)}] comes twice; name every layer once")
            if len(sections) >= MOST_SECTIONS:
                raise ModelError(f"{at}: more than {MOST_SECTIONS} layers; this is no definition file")
            sections[title] = Section(title, at, values)
            continue
        key, equals, value = line.partition("=")
        key = key.strip().lower()
        if not equals or not key or not sections:
            raise ModelError(
                f"{at}: {escape_name(line)[:60]!r} is neither [layer] nor key=value; expected cuda-convnet's INI"
            )
        if key in values:
            raise ModelError(f"{at}: {escape_name(key)} comes twice in one layer; give it once")
        values[key] = (value.strip(), at)
    return sections


def is_definition(sections: Mapping[str, Section]) -> bool:
    """Whether these sections are layers (`_def`), not the layers' hyper-parameters (`_params`)."""
    return any("type" in section.values for section in sections.values())


def read_definition(definition: str, name: str, params: str | None = None, params_name: str = "") -> ForeignNet:
    """The network of a `_def` file, and in one line how it was trained, where there is its `_params` file.

    `name` and `params_name` are the files', for messages. Raises ModelError, in one line with the line's number, for
    whatever has no counterpart here.
    """
    sections = read_sections(definition, name)
    if not is_definition(sections):
        raise ModelError(f"{name} names no layer types; expected a cuda-convnet definition file (type=conv and so on)")
    layers = _layers(sections)
    channels = next((layer.reads for layer in layers), None) or 1  # a first layer that is no convolution is refused
    config, side = assemble(layers, name="cuda-convnet", in_channels=channels, side=None, dropout_kind="classic")
    convolutions = tuple(layer for layer in layers if layer.kind == "conv")
    notes = _notes(sections)
    training = ""
    if params is not None:
        training = _training(read_sections(params, params_name), convolutions)
        notes.append("the files hold no schedule: rates were lowered by hand when the training error stood still")
    return ForeignNet(
        "cuda-convnet definition",
        config,
        tuple(layer.name for layer in convolutions),
        network_lines(config, layers),
        ForeignInput(side, odd=PREPARED.get(config.name, "")),
        training,
        tuple(notes),
    )


def _layers(sections: Mapping[str, Section]) -> list[ForeignLayer]:
    """The row of layers from the picture to the softmax."""
    layers: list[ForeignLayer] = []
    top: str | None = None  # the last layer
    data: set[str] = set()
    ended = False
    for section in sections.values():
        kind = section.text("type")
        if kind not in KEYS:
            raise ModelError(
                f"{section.where('type')}: layer {escape_name(section.name)} is of type {escape_name(kind)[:40]!r}, "
                f"which has no counterpart here; known are {', '.join(KEYS)}"
            )
        _expect_keys(section, kind)
        if kind == "data":
            data.add(section.name)
            continue
        inputs = [word.strip() for word in section.text("inputs").split(",")]
        if top is None and len(inputs) == 1 and inputs[0] in data:
            top = inputs[0]
        chained = inputs[-1] == top and (len(inputs) == 1 or (kind == "cost.logreg" and inputs[0] in data))
        if not chained:
            raise ModelError(
                f"{section.where('inputs')}: layer {escape_name(section.name)} reads "
                f"{escape_name(','.join(inputs))[:60]}; expected {escape_name(top or 'the data')}: layers stand in one "
                "row here"
            )
        ended = ended or kind == "softmax"
        if not ended:
            layers += _translate(section, kind)
        top = section.name
    return layers


def _expect_keys(section: Section, kind: str) -> None:
    for key, (_, at) in section.values.items():
        if key != "type" and key not in KEYS[kind].split():
            raise ModelError(
                f"{at}: {escape_name(key)} of a {kind} layer has no counterpart here; nothing was translated"
            )


def _translate(section: Section, kind: str) -> list[ForeignLayer]:
    """A section as one layer and the neuron that it names beside itself."""
    if kind == "neuron":
        return _neuron(section, section.text("neuron"))
    if kind == "dropout":
        return [_dropout(section, "keep", 1 - section.number("keep", 0.5))]
    if kind == "pool":
        layer = _pool(section)
    elif kind == "cccp":
        _expect(section, "channels", 1, 1)
        layer = ForeignLayer(
            "conv",
            section.name,
            section.at,
            section.whole("out_nodes"),
            section.whole("in_nodes"),
            std=_std(section),
        )
    else:
        _expect(section, "sharedbiases", 1, 1)
        _expect(section, "stride", 1, 1)  # cuda-convnet rounds the size of strided maps up, torch down
        groups = section.whole("groups", 1)
        layer = ForeignLayer(
            "conv",
            section.name,
            section.at,
            section.whole("filters") * groups,
            section.whole("channels"),
            section.whole("filtersize"),
            padding=section.whole("padding", 0),
            groups=groups,
            std=_std(section),
        )
    neuron = section.text("neuron", "")
    return [layer, *_neuron(section, neuron)] if neuron else [layer]


def _std(section: Section) -> float | None:
    std = section.number("initw", INIT_STD)
    if std < 0:
        raise ModelError(f"{section.where('initw')}: initW is {std:g}; expected a standard deviation")
    return std or None


def _pool(section: Section) -> ForeignLayer:
    kind = section.text("pool")
    if kind not in ("max", "avg"):
        raise ModelError(f"{section.where('pool')}: pool is {escape_name(kind)[:40]!r}; expected max or avg")
    _expect(section, "start", 0, 0)
    if section.whole("outputsx", 0) > 1:  # 1: an average over the whole map, which is looked at later
        _expect(section, "outputsx", 0, 0)
    size = section.whole("sizex")
    stride = size if section.whole("outputsx", 0) == 1 else section.whole("stride")
    return ForeignLayer(kind, section.name, section.at, kernel=size, stride=stride)


def _neuron(section: Section, text: str) -> list[ForeignLayer]:
    if text == "ident":
        return []
    if text == "relu":
        name = section.name if section.text("type") == "neuron" else f"{section.name}_neuron"
        return [ForeignLayer("relu", name, section.where("neuron"))]
    drop = DROPOUT.fullmatch(text)
    if drop is None:
        raise ModelError(
            f"{section.where('neuron')}: neuron {escape_name(text)[:40]!r} has no counterpart here; "
            "expected relu or dropout[p]"
        )
    try:
        probability = float(drop[1])
    except ValueError:
        probability = math.nan
    return [_dropout(section, "neuron", probability)]


def _dropout(section: Section, key: str, drop: float) -> ForeignLayer:
    if not 0 <= drop < 1:
        raise ModelError(f"{section.where(key)}: dropout of {drop:g}; expected a probability of at least 0 and below 1")
    return ForeignLayer("dropout", section.name, section.where(key), drop=drop)


def _expect(section: Section, key: str, default: int, only: int) -> None:
    value = section.whole(key, default)
    if value != only:
        raise ModelError(f"{section.where(key)}: {key} is {value}; only {only} has a counterpart here")


def _notes(sections: Mapping[str, Section]) -> list[str]:
    """What the network cannot carry over without harm, but the reader should know."""
    return [
        f"{section.where('initb')}: first biases of {section.text('initb')}; here they begin at 0"
        for section in sections.values()
        if section.number("initb", 0) != 0
    ]


def _training(sections: Mapping[str, Section], convolutions: tuple[ForeignLayer, ...]) -> str:
    """What the second file says of the first layer's training, in its own words."""
    section = next((sections[layer.name] for layer in convolutions if layer.name in sections), None)
    if section is None:
        return ""
    told = [f"{name} {section.text(name.lower())}" for name in RATES if name.lower() in section.values]
    return escape_name(f"{', '.join(told)} ({section.name})")
