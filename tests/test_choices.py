"""What a caller may choose, swept: every field of every dataclass of options, and every argument of the journeys."""

import dataclasses
import inspect
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from PIL import Image

import nin
from journeys import PLACES, journey
from nin.choices import chosen, option, path_of, with_choices
from nin.errors import NinError, UsageError
from nin.run import options
from nin.run.options import ExportOptions, ImportOptions, ServeOptions, TrainOptions

CLASSES = [value for name, value in vars(options).items() if name.endswith("Options")]
FIELDS = [(cls, name, hint) for cls in CLASSES for name, hint in get_type_hints(cls).items()]
WRONG: dict[type, list[Any]] = {  # what is none of the kind, though Python may take it for one
    int: ["5", 1.5, 2.0, True, np.True_, b"1", [1], (32, 32), np.array([1]), 1j, float("nan")],
    float: ["0.1", True, b"1", [0.1], float("nan"), float("inf"), np.float32("nan"), 1j],
    bool: ["yes", "no", "True", 0, 1, 1.0, [True], np.int64(1)],
    str: [5, 0.5, True, b"x", ["x"]],
    Path: [5, True, b"x", "", ["x"], 0.5],
    tuple[str, ...]: [5, True, b"x", [5], ["x", None]],
}
RIGHT: dict[type, list[tuple[Any, Any]]] = {  # given and taken as
    bool: [(np.True_, True), (np.False_, False), (True, True)],
    Path: [("a/b", Path("a/b")), (Path("c"), Path("c")), ("~/x", Path.home() / "x")],
    tuple[str, ...]: [("ab", ("ab",)), (["a", "b"], ("a", "b")), ((), ())],
}
FORMATS, RUNTIMES = "expected onnx, onnx-int8 or pt2", "expected auto, onnxruntime or openvino"
DEVICES = 'expected auto, cpu, cuda or mps; did you mean "cpu"?'


def kind_of(hint: Any) -> Any:
    """The type that is not None."""
    kinds = [kind for kind in get_args(hint) if kind is not type(None)] if type(None) in get_args(hint) else [hint]
    assert len(kinds) == 1, hint
    return kinds[0]


def refused(cls: type, name: str, value: Any) -> str:
    with pytest.raises(UsageError) as error:
        cls(**{name: value})
    line = str(error.value)
    assert line.startswith(option(name)) and "expected " in line and "\n" not in line, line
    return line


def test_all_dataclasses_of_options_are_swept():
    public = {cls.__name__ for cls in CLASSES}
    assert {
        "TrainOptions",
        "ExportOptions",
        "ImportOptions",
        "ServeOptions",
        "BatchOptions",
        "ReproduceOptions",
    } <= public
    assert all(dataclasses.is_dataclass(cls) for cls in CLASSES)


@pytest.mark.parametrize(("cls", "name", "hint"), FIELDS, ids=[f"{c.__name__}.{n}" for c, n, _ in FIELDS])
def test_every_field_takes_its_own_type_only(cls, name, hint):
    kind = kind_of(hint)
    for value in (object(), {}, {"a": 1}, lambda: None):
        refused(cls, name, value)
    if type(None) in get_args(hint):
        assert getattr(cls(**{name: None}), name) is None
    else:
        refused(cls, name, None)
    if get_origin(kind) is Literal:
        for value in (*[value.upper() for value in get_args(kind)], "", "nothing", True, False, 0, 1):
            refused(cls, name, value)
        for value in get_args(kind):
            taken = getattr(cls(**{name: np.str_(value)}), name)
            assert taken == value and type(taken) is str
        return
    wrong = WRONG[kind]
    if (cls, name) == (TrainOptions, "max_time"):  # a number means seconds
        wrong = [True, b"x", ["x"], 0, -1, float("nan"), "soon", "5 years"]
    if (cls, name) in ((ImportOptions, "mean"), (ImportOptions, "std")):  # numbers are taken, one or for every channel
        wrong = [True, b"x", ["x"], []]
    if (cls, name) == (ImportOptions, "pools"):  # several kinds may be a list, too
        wrong = [value for value in wrong if not isinstance(value, list)]
    for value in wrong:
        refused(cls, name, value)
    for given, expected in RIGHT.get(kind, []):
        taken = getattr(cls(**{name: given}), name)
        assert taken == expected and type(taken) is type(expected)


BESIDE = {(ExportOptions, "size"): {"standard": True}}  # options that mean something beside others only
NUMBERS = [(cls, name, kind_of(hint)) for cls, name, hint in FIELDS if kind_of(hint) in (int, float)]


def default_of(cls: type, name: str) -> Any:
    return next(field.default for field in dataclasses.fields(cls) if field.name == name)


@pytest.mark.parametrize(("cls", "name", "kind"), NUMBERS, ids=[f"{c.__name__}.{n}" for c, n, _ in NUMBERS])
def test_every_number_has_a_range_and_its_ends_are_taken(cls, name, kind):
    """No number is without a range: what is far away on either side is refused, in words that tell the two ends."""
    low_line, high_line = refused(cls, name, kind(-(10**30))), refused(cls, name, kind(10**30))
    if name == "channels":
        assert low_line.endswith("expected 1, 3 or 4")
        return
    assert low_line.partition("expected")[2] == high_line.partition("expected")[2]
    low, high = (kind(word) for word in low_line.rpartition("expected ")[2].split(" to "))
    types = (np.int64, np.int32, np.uint8) if kind is int else (np.float64, int)
    beside = BESIDE.get((cls, name), {})
    for value in {low, high}:
        taken = getattr(cls(**{name: value}, **beside), name)
        assert taken == value and type(taken) is kind
        for other in types:
            if float(value).is_integer() if other is int else np.can_cast(np.min_scalar_type(value), other):
                taken = getattr(cls(**{name: other(value)}, **beside), name)
                assert taken == value and type(taken) is kind
    step = 1 if kind is int else max(abs(low), 1e-9) / 100
    refused(cls, name, low - step)
    refused(cls, name, high + (1 if kind is int else high / 100))
    assert default_of(cls, name) is None or low <= default_of(cls, name) <= high


@pytest.mark.parametrize(
    ("cls", "name", "value", "line"),
    [
        (ExportOptions, "format", "int8", f'--format is "int8"; {FORMATS}; did you mean "onnx-int8"?'),
        (TrainOptions, "flip", "yes", '--flip is "yes"; expected auto, on or off'),
        (TrainOptions, "flip", True, "--flip is True; expected auto, on or off"),
        (TrainOptions, "epochs", "5", '--epochs is the text "5"; expected a whole number'),
        (TrainOptions, "lr", float("nan"), "--lr is nan; expected a finite number"),
        (TrainOptions, "size", (32, 32), "--size is (32, 32); expected a whole number"),
        (TrainOptions, "seed", None, "--seed is None; expected a whole number"),
        (TrainOptions, "mirror", 1, "--mirror is 1; expected True or False"),
        (TrainOptions, "recipe", "a\x1b[31m", '--recipe is "a\\x1b[31m"; expected default, author, '),
        (TrainOptions, "out", "", '--out is ""; expected a path'),
        (ServeOptions, "port", 65536, "--port is 65536; expected 0 to 65535"),
        (TrainOptions, "max_time", -1, "--max-time is '-1s'; expected a time such as 90s, 10m or 1.5h"),
    ],
)  # fmt: skip
def test_the_lines_are_those_of_the_command_line(cls, name, value, line):
    assert refused(cls, name, value).startswith(line)


def test_what_means_one_thing_only_is_taken():
    assert TrainOptions(max_time=60).max_time == "60s" and TrainOptions(max_time=np.float64(1.5)).max_time == "1.5s"
    assert TrainOptions(from_=Path("runs/x")).from_ == "runs/x"
    assert ImportOptions(mean=(0.5, 0.25, 1), std=0.5).numbers("mean", 3) == (0.5, 0.25, 1.0)
    assert ImportOptions(std=np.float32(0.5)).numbers("std", 3) == (0.5, 0.5, 0.5)
    assert TrainOptions(width=2).width == 2.0 and type(TrainOptions(width=2).width) is float


def test_a_word_is_one_of_several_and_not_its_letters():
    assert chosen("name", "table1", tuple[str, ...]) == ("table1",)
    assert chosen("name", Path("a"), tuple[str, ...]) == ("a",) and chosen("number", 7, tuple[int, ...]) == (7,)
    assert chosen("number", range(1, 3), tuple[int, ...]) == (1, 2)
    for value in ([1, "2"], {"a": 1}, None, 2.5):
        with pytest.raises(UsageError, match=r"^--number is "):
            chosen("number", value, tuple[int, ...])


def test_options_are_options():
    with pytest.raises(
        UsageError, match=r"^options is \{'epochs': 3\}; expected TrainOptions\(\.\.\.\), or its fields"
    ):
        with_choices({"epochs": 3}, {}, TrainOptions)
    with pytest.raises(UsageError, match=r"^there is no option 'epoch'; there are out, .*; did you mean epochs\?$"):
        with_choices(None, {"epoch": 3}, TrainOptions)
    assert with_choices(TrainOptions(epochs=3), {"size": 32}, TrainOptions) == TrainOptions(epochs=3, size=32)


def test_home_is_found_as_the_shell_finds_it(monkeypatch):
    monkeypatch.setenv("HOME", "/home/of/mine")
    assert path_of("data", "~/photos") == Path("/home/of/mine/photos") and path_of("data", "~") == Path("/home/of/mine")
    assert path_of("data", Path("~/photos")) == Path("/home/of/mine/photos")
    assert path_of("data", "a/~/b") == Path("a/~/b") and path_of("data", "~nobody-of-that-name/x") == Path(
        "~nobody-of-that-name/x"
    )
    with pytest.raises(UsageError, match=r"^data is None; expected a path$"):
        path_of("data", None)


CALLS: dict[str, tuple[Any, ...]] = {  # journeys, with what stands before their named arguments
    "train": ("photos",), "teach": ("photos",), "resume": ("run",), "load": ("nin-cifar10",),
    "evaluate": ("nin-cifar10", "photos"),
    "predict": ("nin-cifar10", "x.png"), "explain": ("nin-cifar10", "x.png"), "export": ("nin-cifar10",),
    "check": ("photos",), "summary": (), "import_model": (["x.pth"],), "batch": ("nin-cifar10", "photos", "out"),
    "push": ("nin-cifar10", "./there"), "pull": ("./here",), "bench": (["nin-cifar10"],), "claims": ([1],),
    "reproduce": (["table1"], "photos"), "claims_page": ([], "page.html"), "serve": (["nin-cifar10"],), "demo": (),
    "doctor": (), "explore": ((),), "publish": ("nin-cifar10", "page.html"),
}  # fmt: skip
OTHER_NAMES = {
    *("__version__", "convolutionize", "create_model", "fully_connect", "list_models", "open_engine", "shipped"),
}
OTHERS = {"listener", "say", "begun"}  # called, not looked at


def test_every_journey_is_swept():
    assert set(PLACES) == set(CALLS) | {"explaining"}  # explain, a picture at a time
    assert {name for name in nin.__all__ if name.islower()} - set(CALLS) == OTHER_NAMES


@pytest.mark.parametrize("name", CALLS)
def test_every_argument_of_every_journey_is_looked_at(name, tmp_path, monkeypatch):
    """Something of no type that anything takes is refused in one line that names the argument, before any work."""
    monkeypatch.chdir(tmp_path)
    for file in ("x.png", "photos/a/0.png", "photos/b/0.png"):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(file)
    before_it = sorted(tmp_path.rglob("*"))
    function = journey(name)
    parameters = [p for p in inspect.signature(function).parameters.values() if p.kind is not p.VAR_KEYWORD]
    for number, parameter in enumerate(parameters):
        if parameter.name in OTHERS:
            continue
        before = list(CALLS[name])
        named = {parameter.name: object()} if number >= len(before) else {}
        if not named:
            before[number] = object()
        with pytest.raises(NinError, match=r"object") as error:
            done = function(*before, **named)
            list(done) if inspect.isgenerator(done) else None
        assert "\n" not in str(error.value)
    assert sorted(tmp_path.rglob("*")) == before_it


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: nin.predict("nin-cifar10", "x.png", device="gpu"), f'--device is "gpu"; {DEVICES}'),
        (lambda: nin.load("nin-cifar10", "gpu"), f'--device is "gpu"; {DEVICES}'),
        (lambda: nin.explain("nin-cifar10", "x.png", top=0), "--top is 0; expected 1 to 1000"),
        (lambda: nin.explain("nin-cifar10", "x.png", top="3"), '--top is the text "3"; expected a whole number'),
        (lambda: nin.open_engine("nin-cifar10", threads=0), "--threads is 0; expected 1 to 1024"),
        (lambda: nin.open_engine("nin-cifar10", runtime="tensorrt"), f'--runtime is "tensorrt"; {RUNTIMES}'),
        (lambda: nin.open_engine(5), "model is 5; expected a path"),
        (lambda: journey("claims")([1], seeds=0), "--seeds is 0; expected 1 to 1000"),
        (lambda: journey("reproduce")("table1", "x", protocol="long"), '--protocol is "long"; expected short or full'),
    ],
)  # fmt: skip
def test_arguments_of_calls_get_the_lines_of_the_command_line(call, line):
    with pytest.raises(UsageError) as error:
        call()
    assert str(error.value) == line
