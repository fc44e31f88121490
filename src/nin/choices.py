"""What a caller may choose, checked by the annotations of the fields: type, names to choose from, range (torch-free).

The command line reads words, Python gives values; both end here, so that nothing is believed that is not understood.
"""

import difflib
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from numbers import Integral, Real
from pathlib import Path
from reprlib import repr as short
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from nin.errors import UsageError, escape_name

# Names that several rooms know. They stand here because a help page loads neither NumPy nor a runtime.
Fit = Literal["stretch", "pad", "crop"]  # how a picture becomes the network's shape: nin.data.preprocess
Normalisation = Literal["standard", "gcn", "gcn-zca", "lcn"]  # what is done to its values: nin.data.preprocess
Runtime = Literal["onnxruntime", "openvino"]  # what computes a graph: nin.engine.runtimes
AnyRuntime = Literal["auto", "onnxruntime", "openvino"]  # auto: nin.engine.fastest chooses

Options = TypeVar("Options")
Range = tuple[float, float]
WORDS = {bool: "True or False", int: "a whole number", float: "a number", Path: "a path", str: "some text"}
LONGEST = 80  # characters of a wrong value that a message repeats


def option(field: str) -> str:
    """The option of the command line that sets a field: "batch_size" -> "--batch-size"."""
    return "--" + field.strip("_").replace("_", "-")


def check_fields(options: Any, ranges: Mapping[str, Range]) -> None:
    """Make every field of a frozen dataclass what its annotation says, or raise UsageError; see `chosen`."""
    for name, hint in get_type_hints(type(options)).items():
        object.__setattr__(options, name, chosen(name, getattr(options, name), hint, ranges.get(name)))


def with_choices(given: Any, choices: Mapping[str, Any], cls: type[Options]) -> Options:
    """The options that a call was given (None: the defaults) with the fields that it names changed."""
    if given is not None and not isinstance(given, cls):
        raise UsageError(f"options is {shown(given)}; expected {cls.__name__}(...), or its fields by name")
    known = [field.name for field in fields(cls)]  # type: ignore[arg-type]
    for name in choices:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise UsageError(f"there is no option {name!r}; there are {', '.join(known)}{meant}")
    return replace(cls() if given is None else given, **choices)  # type: ignore[type-var]


def chosen(name: str, value: object, hint: Any, between: Range | None = None) -> Any:
    """`value` as the plain type that `hint` names, within `between`; UsageError, naming the option, for all others.

    Taken for it: numpy's numbers, an int where a float is wanted, os.PathLike for a path (its ~ is expanded) or a text.
    """
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if value is None and type(None) in kinds:
        return None
    kind = next(kind for kind in kinds if kind is not type(None))
    if get_origin(kind) is Literal:
        return _one_of(name, value, get_args(kind))
    if get_origin(kind) is tuple:
        return _several(name, value, get_args(kind)[0])
    found = _plain(value, kind)
    if found is None:
        what = "the text " if isinstance(value, str) and kind is not Path else ""
        wanted = "a finite number" if kind is float and isinstance(value, float) else WORDS[kind]
        raise UsageError(f"{option(name)} is {what}{shown(value)}; expected {wanted}")
    if between is not None and not between[0] <= found <= between[1]:
        low, high = (f"{each:g}" if kind is float else str(each) for each in between)
        raise UsageError(f"{option(name)} is {value}; expected {low} to {high}")
    return found


def _plain(value: Any, kind: type) -> Any:
    """`value` as this very type; None where it is something else."""
    if kind is bool:
        named = type(value).__name__ in ("bool", "bool_") and type(value).__module__ in ("builtins", "numpy")
        return bool(value) if named else None
    if kind is int:
        return int(value) if isinstance(value, Integral) and not isinstance(value, bool) else None
    if kind is float:
        real = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
        return float(value) if real else None
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str) or (kind is Path and not value):
        return None
    return expanded(value) if kind is Path else str(value)


def _one_of(name: str, value: object, names: tuple[str, ...]) -> str:
    if isinstance(value, str) and value in names:
        return str(value)
    near = difflib.get_close_matches(value, names, n=1) if isinstance(value, str) else []
    meant = f'; did you mean "{near[0]}"?' if near else ""
    raise UsageError(f"{option(name)} is {shown(value)}; expected {listed(names)}{meant}")


def _several(name: str, value: Any, kind: type) -> tuple[Any, ...]:
    """A tuple of any length; one alone is one of them, and a text is never its letters."""
    alone = isinstance(value, str | bytes | os.PathLike | Mapping) or not isinstance(value, Iterable)
    return tuple(chosen(name, each, kind) for each in ([value] if alone else value))


def listed(names: tuple[str, ...]) -> str:
    """The names one may choose from, in words: "a, b or c"."""
    return f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else names[0]


def shown(value: object) -> str:
    """A wrong value on one line: a text in quotes, as the command line shows it; of others, what Python shows."""
    text = escape_name(value if isinstance(value, str) else short(value))
    text = text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."
    return f'"{text}"' if isinstance(value, str) else text


def path_of(what: str, path: object) -> Path:
    """A path that a call was given, its ~ expanded; UsageError, with `what` it is for, where it is none."""
    return Path(address(what, path))


def address(what: str, path: object) -> str:
    """As `path_of`, for what may also be an address such as s3://bucket/photos, which stays as it is."""
    if isinstance(path, os.PathLike):
        path = os.fspath(path)
    if not isinstance(path, str) or not path:
        raise UsageError(f"{what} is {shown(path)}; expected a path")
    return path if "://" in path else str(expanded(path))


def expanded(path: str | os.PathLike[str]) -> Path:
    """The path with its ~ made the home folder, where there is one of that name."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  Path.expanduser raises for a user that does not exist
