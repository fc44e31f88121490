"""A network of one's own as a file, in YAML or JSON: read, every fault told with its line, and written (torch-free).

One reader serves both, since JSON is YAML. Plain words are values as JSON and YAML 1.2 have them: `1e-3` is a number,
`no` and `on` are words. A file can name no Python object, and nothing in it is run.
"""

import codecs
import difflib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from nin.artifacts import read_bytes, write_text
from nin.bundle.shipped import CONFIG
from nin.errors import UsageError, escape_name
from nin.network.config import MIN_SIDE, NINConfig, SettingError, expect_known
from nin.network.form import from_form
from nin.orphans import sweep
from nin.run.options import RANGES

ENDINGS = (".yaml", ".yml", ".json")
SETTINGS = (*(field.name for field in fields(NINConfig)), "size")
MOST_BYTES = 256 * 1024  # a block takes about a hundred
MOST_VALUES = 20_000  # of a few lines of YAML, aliases can make billions
EXAMPLE = "blocks: [{channels: [48, 48, classes], kernel_size: 5}]"
WEIGHTS = (".pt", ".pth", ".safetensors", ".caffemodel", ".onnx", ".ckpt", ".bin", ".h5", ".pt2")
SWITCHES = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
NOTHING = ("", "~", "null", "Null", "NULL")
WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]{0,29})")  # no leading zero, which counts in eights elsewhere
NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
ODD = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")  # YAML breaks lines at some, and refuses others
PLAIN = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map")

Keys = tuple[str | int, ...]


@dataclass(frozen=True)
class NetworkFile:
    """A file that was read: its form, the line of every setting, and the side of the pictures it was designed for."""

    path: Path
    form: Mapping[str, Any]
    lines: Mapping[Keys, int]
    size: int | None

    @property
    def in_channels(self) -> int | None:
        """The channels that the file asks for; None where the pictures say."""
        found: int | None = self.form.get("in_channels")
        return found

    def config(self, num_classes: int | None = None, in_channels: int | None = None) -> NINConfig:
        """The network for so many classes and channels; UsageError, with the line, where the file has others."""
        with self.telling_lines():
            return from_form(self.form, self.path.stem, num_classes, in_channels)

    def note(self, classes: int) -> str | None:
        """What to say of pictures of so many classes, where the file names another number that it does not fix."""
        said = self.form.get("num_classes", classes)
        if said == classes:
            return None
        at = f"{escape_name(self.path)} line {self.lines['num_classes',]}"
        return f"{at}: num_classes is {said}, and the pictures have {classes}, for which the network is made"

    @contextmanager
    def telling_lines(self) -> Iterator[None]:
        """Say of a SettingError in which line of the file its setting stands."""
        try:
            yield
        except SettingError as error:
            keys = error.keys
            while keys not in self.lines:
                keys = keys[:-1]
            raise _fault(self.path, self.lines[keys], error) from None


def read_network(path: Path) -> NetworkFile:
    """Read a network file and check all that can be checked before there are pictures; UsageError in one line."""
    try:
        _expect_file(path)
        text = _text(path)
    except OSError as error:  # a folder that may not be searched, a name longer than names can be
        raise UsageError(f"{escape_name(path)} cannot be read ({error.strerror}); give a network file") from None
    if path.suffix.lower() == ".json":
        text = _json(path, text)
    root = _compose(path, text)
    if root is None:
        raise UsageError(f"{escape_name(path)} is empty; write the network, such as {EXAMPLE}")
    tree = _Tree(path)
    form = tree.value(root, ())
    if not isinstance(form, dict):
        raise _fault(path, tree.lines[()], f"found no settings; expected such as {EXAMPLE}")
    if "network" in form or "nin" in form:
        kind = "the record of a run or a model; its network alone goes into a file: nin summary NAME --out mine.yaml"
        raise _fault(path, 1, f"this is {kind}")
    size = form.pop("size", None)
    file = NetworkFile(path, form, tree.lines, size)
    with file.telling_lines():
        expect_known("the network", form, SETTINGS)
        _expect_whole_network(file)
    return file


def _expect_whole_network(file: NetworkFile) -> None:
    """Raise SettingError for what no pictures could mend."""
    blocks = file.form.get("blocks")
    first = blocks[0] if isinstance(blocks, list) and blocks else None
    groups = first.get("groups") if isinstance(first, dict) else None  # which the pictures' channels may suit
    channels = file.in_channels or (groups if isinstance(groups, int) and groups > 0 else None)
    config = from_form(file.form, file.path.stem, in_channels=channels)
    least = config.min_side
    low, high = RANGES["size"]
    if least > high:
        text = f"this leaves nothing of pictures under {least} pixels, and {high} are the most; stride or pool less"
        raise SettingError(text, "blocks", config.blocks_left(int(high)))
    if file.size is None:
        return
    if not isinstance(file.size, int) or isinstance(file.size, bool) or not low <= file.size <= high:
        raise SettingError(
            f"size is {file.size!r}; expected a whole number from {max(low, MIN_SIDE)} to {high}", "size"
        )
    if file.size < least:
        raise SettingError(f"size is {file.size}; the network takes pictures from {least} pixels up", "size")


def network_text(form: Mapping[str, Any], path: Path) -> str:
    """A form as the text of a file of that name; a line for every block."""
    rest = {name: value for name, value in form.items() if name != "blocks"}
    if path.suffix.lower() == ".json":
        lines = [f'  "{name}": {json.dumps(value)},\n' for name, value in rest.items()]
        blocks = ",\n".join(f"    {json.dumps(block)}" for block in form["blocks"])
        return "{\n" + "".join(lines) + '  "blocks": [\n' + blocks + "\n  ]\n}\n"
    head = yaml.safe_dump(rest, sort_keys=False, allow_unicode=True) if rest else ""
    lines = [yaml.safe_dump(each, default_flow_style=True, sort_keys=False, width=10**9) for each in form["blocks"]]
    return head + "blocks:\n" + "".join(f"  - {line}" for line in lines)


def write_network(form: Mapping[str, Any], path: Path) -> None:
    """Write a form as a new file, without a name: it will be called as the file is. UsageError unless that can be."""
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(f"--out is {escape_name(path)}; expected a name that ends in .yaml or .json")
    if path.exists():
        raise UsageError(f"{escape_name(path)} exists; remove it, or choose another --out")
    sweep(path.parent)
    write_text(path, network_text({name: value for name, value in form.items() if name != "name"}, path))


def _fault(path: Path, line: int, what: object) -> UsageError:
    return UsageError(f"{escape_name(path)} line {line}: {escape_name(what)}")


def _expect_file(path: Path) -> None:
    """Raise UsageError for what cannot be a network file, and say what to do with it instead."""
    shown = escape_name(path)
    if path.is_dir():
        if (path / CONFIG).is_file() or (path / "model" / CONFIG).is_file():
            raise UsageError(
                f"{shown} is a trained model, no network to begin with; take its weights too: nin train PATH --from "
                f"{shown}, or its network alone: nin summary {shown} --out mine.yaml"
            )
        raise UsageError(f"{shown} is a folder; expected a network file such as mine.yaml")
    if not path.exists():
        folder = path.parent
        there = {each.stem: each for each in _listed(folder) if each.suffix.lower() in ENDINGS}
        near = difflib.get_close_matches(path.stem, there, n=1)
        meant = f"did you mean {escape_name(there[near[0]])}?" if near else "expected a network file"
        raise UsageError(f"{shown} does not exist; {meant}")
    if path.suffix.lower() in WEIGHTS:
        raise UsageError(
            f"{shown} holds weights; make a model of them: nin import {shown} --out MODEL; and begin with it: "
            "nin train PATH --from MODEL"
        )


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _text(path: Path) -> str:
    shown = escape_name(path)
    if path.is_file() and path.stat().st_size > MOST_BYTES:
        raise UsageError(f"{shown} is larger than {MOST_BYTES // 1024} kB; expected a network file such as {EXAMPLE}")
    data = read_bytes(path)
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if b"\0" in data and not wide:
        raise UsageError(f"{shown} is no text; expected a network file such as {EXAMPLE}")
    try:
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _fault(path, line, "this is no text in UTF-8; save it as UTF-8, or give a network file") from None
    return text


def _json(path: Path, text: str) -> str:
    """A text that is strict JSON, as YAML reads it, which knows no tabs between values and breaks lines within them."""
    try:
        json.loads(text or "null")
    except json.JSONDecodeError as error:
        raise _fault(path, error.lineno, f"not JSON ({error.msg}, column {error.colno}); correct it") from None
    except (RecursionError, ValueError):
        raise UsageError(f"{escape_name(path)} is no network: it is nested too deep, or has too long numbers") from None
    return ODD.sub(lambda found: f"\\u{ord(found[0]):04x}", text.replace("\t", " "))


def _compose(path: Path, text: str) -> yaml.Node | None:
    """The tree of a YAML text, its values still words; no constructor of Python objects is there to be called."""
    try:
        root: yaml.Node | None = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        if "'\\t'" in str(error.problem):
            raise _fault(path, line, "a tab, which YAML does not take; write spaces") from None
        begun = error.context_mark.line + 1 if error.context_mark else line
        where = f" in what line {begun} begins" if begun != line else ""
        raise _fault(path, line, f"not YAML ({error.problem}{where}); correct it") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _fault(path, line, "a character that no text has; remove it") from None
    except RecursionError:
        raise UsageError(f"{escape_name(path)} is no network: it is nested too deep") from None
    return root


class _Tree:
    """A YAML tree made values; `lines` gets the line of each by the keys that lead to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: dict[Keys, int] = {}

    def value(self, node: yaml.Node, keys: Keys) -> Any:
        """Text, number, truth value, None, list or dictionary; UsageError for what a network file has no use for."""
        self.lines.setdefault(keys, node.start_mark.line + 1)
        line = self.lines[keys]
        if len(self.lines) > MOST_VALUES or len(keys) > len(("blocks", 0, "channels", 0)) + 2:
            raise _fault(self.path, line, "more values than a network has, or nested too deep; write them out")
        if node.tag not in PLAIN:
            raise _fault(self.path, line, f"the tag {node.tag}; leave it out")
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*keys, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return self._table(node, keys)
        assert isinstance(node, yaml.ScalarNode)  # there is no fourth kind
        return self._scalar(node, line)

    def _table(self, node: yaml.MappingNode, keys: Keys) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise _fault(self.path, line, "a name was expected before the colon")
            name = str(key.value)
            if name in found:
                before = self.lines[*keys, name]
                raise _fault(self.path, line, f"{name} is there twice, first in line {before}; keep one")
            self.lines[*keys, name] = line
            found[name] = self.value(value, (*keys, name))
        return found

    def _scalar(self, node: yaml.ScalarNode, line: int) -> Any:
        text = str(node.value)
        if node.style is not None:  # in quotes, or a block of text
            try:
                return text.encode("utf-16", "surrogatepass").decode("utf-16")  # JSON writes an emoji as two halves
            except UnicodeDecodeError:
                raise _fault(self.path, line, "half a character; write it whole") from None
        if text in NOTHING:
            return None
        if text in SWITCHES:
            return SWITCHES[text]
        if WHOLE.fullmatch(text):
            return int(text)
        return float(text) if NUMBER.fullmatch(text) and not text.lstrip("+-").isdigit() else text
