"""Network files: both forms hold every network, and whatever is wrong in one is one line with its place."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import assume, given, settings

import nin
from networks import any_network
from nin.errors import NinError
from nin.network.config import SettingError
from nin.network.form import to_form
from nin.network.named import MODELS, configure
from nin.run.network_file import MOST_BYTES, network_text, read_network
from nin.run.which_network import configure_network, find_network

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "network-file.md"
GOOD = """\
blocks:
  - {channels: [8, 8], kernel_size: 5, pool: max}
  - {channels: [8, classes], kernel_size: 3}
"""
JSON = """\
{"blocks": [
  {"channels": [8, 8], "kernel_size": 5, "pool": "max"},
  {"channels": [8, "classes"], "kernel_size": 3}
]}
"""
BILLIONS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)


def saved(folder, content, name="mine.yaml"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refusal(call, *arguments, **more) -> str:
    """The one line in which a call is refused."""
    with pytest.raises(NinError) as caught:
        call(*arguments, **more)
    line = str(caught.value)
    assert line.isprintable() and len(line) < 700
    return line


@settings(max_examples=100, deadline=None)
@given(any_network())
def test_every_network_is_the_same_through_yaml_and_json(tmp_path_factory, config):
    try:
        assume(config.min_side <= 512)
    except SettingError:  # no picture is large enough
        assume(False)
    folder = tmp_path_factory.getbasetemp()
    for name in ("any.yaml", "any.json"):
        path = saved(folder, network_text(to_form(config), folder / name), name)
        assert read_network(path).config() == config
    plain = saved(folder, json.dumps(config.to_dict(), ensure_ascii=False, indent="\t"), "any.json")  # others' JSON
    assert read_network(plain).config() == config
    plain = saved(folder, yaml.safe_dump(config.to_dict()), "any.yaml")
    assert read_network(plain).config() == config


@pytest.mark.parametrize("name", ["nin", "nin-author-cifar100", "nin-author-mnist"])
def test_what_summary_tells_and_writes_is_that_network(name, tmp_path):
    told = nin.summary(name, out=tmp_path / "mine.yaml")
    saved(tmp_path, json.dumps(told.network), "told.json")
    assert nin.create_model(tmp_path / "told.json").config == MODELS[name]()
    assert configure_network(tmp_path / "mine.yaml", 7) == replace(MODELS[name](7), name="mine")
    assert nin.summary(tmp_path / "mine.yaml", told.input_size).layers == told.layers


def test_a_summary_of_a_trained_model_has_its_network_and_of_others_none(tmp_path):
    told = nin.summary("nin-mnist")
    assert told.network["in_channels"] == 1 and json.loads(json.dumps(told.to_dict()))["network"] == told.network
    saved(tmp_path, json.dumps(told.network), "mnist.json")
    assert nin.summary(tmp_path / "mnist.json", told.input_size).layers == told.layers
    assert "lenet5 is no Network in Network, which alone has a network file; leave " in refusal(
        nin.summary, "lenet5", out=tmp_path / "lenet.yaml"
    )
    assert not (tmp_path / "lenet.yaml").exists()


def test_nothing_is_written_over_or_under_another_ending(tmp_path):
    path = saved(tmp_path, "mine")
    assert "mine.yaml exists; remove it, or choose another --out" in refusal(nin.summary, "nin", out=path)
    assert "mine.txt; expected a name that ends in .yaml or .json" in refusal(
        nin.summary, "nin", out=tmp_path / "mine.txt"
    )
    assert path.read_text() == "mine" and [each.name for each in tmp_path.iterdir()] == ["mine.yaml"]


@pytest.mark.parametrize(
    "content",
    [
        GOOD.encode("utf-8-sig"),
        GOOD.encode("utf-16"),
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("max", '"max"'),
        "# mine\n---\n" + GOOD + "...\n",
        GOOD.replace("pool: max", "pool: max, dropout: 0e-3, padding: null, pool_ceil: True"),
        "blocks:\n- channels:\n  - 8\n  - 8\n  kernel_size: 5\n  pool: max\n- channels: [8, classes]\n  kernel_size: 3",
        JSON,
    ],
)
def test_ways_to_write_the_same(content, tmp_path):
    assert read_network(saved(tmp_path, content)).config() == read_network(saved(tmp_path, JSON, "mine.json")).config()


def test_a_block_may_be_said_once_and_meant_twice(tmp_path):
    twice = (
        "blocks:\n  - &wide {channels: [8, 8], kernel_size: 3}\n  - *wide\n  - {channels: [8, classes], kernel_size: 3}"
    )
    first, second, _ = read_network(saved(tmp_path, twice)).config().blocks
    assert first == second


def test_words_are_values_as_json_has_them(tmp_path):
    std = GOOD.replace("pool: max", "init_std: [1e-3, .5]").replace(
        "kernel_size: 3", "kernel_size: 3, init_std: [1, 2]"
    )
    assert read_network(saved(tmp_path, std)).config().blocks[0].init_std == (0.001, 0.5)
    name = "name: no\n" + GOOD  # which older YAML takes for false
    assert read_network(saved(tmp_path, name)).config().name == "no"
    name = 'name: "\\ud83d\\ude00"\n' + GOOD  # as json.dumps writes an emoji
    assert read_network(saved(tmp_path, name)).config().name == "\U0001f600"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", " is empty; write the network, such as blocks: [{channels: [48, 48, classes], kernel_size: 5}]"),
        ("# later\n", " is empty; write the network"),
        ("hello", " line 1: found no settings; expected such as blocks: "),
        ("- {channels: [8, classes], kernel_size: 3}", " line 1: found no settings; expected such as blocks: "),
        (b"\x89PNG\r\n\x1a\n\0\0\0", " is no text; expected a network file such as blocks: "),
        (b"blocks:\n  # caf\xe9\n", " line 2: this is no text in UTF-8; save it as UTF-8, or give a network file"),
        (GOOD + "\x07", " line 4: a character that no text has; remove it"),
        ("x" * (MOST_BYTES + 1), " is larger than 256 kB; expected a network file such as "),
        (GOOD.replace("  - {", "\t- {"), " line 2: a tab, which YAML does not take; write spaces"),
        (GOOD.replace("}", "", 1), " line 3: not YAML (expected ',' or '}', but got '{' in what line 2 begins); corr"),
        (GOOD + "---\n" + GOOD, " line 4: not YAML (but found another document in what line 1 begins); correct it"),
        ("[" * 5000, " is no network: it is nested too deep"),
        ("blocks: &x [*x]", " line 1: more values than a network has, or nested too deep; write them out"),
        (BILLIONS, " line 1: more values than a network has, or nested too deep; write them out"),
        ("blocks: [*wide]", " line 1: not YAML (found undefined alias 'wide'); correct it"),
        ("blocks: !!python/name:os.system []", " line 1: the tag tag:yaml.org,2002:python/name:os.system; leave it o"),
        ("? [a]\n: 3\n", " line 1: a name was expected before the colon"),
        ("norm: batch\nnorm: batch\n" + GOOD, " line 2: norm is there twice, first in line 1; keep one"),
        (GOOD.replace("pool: max", "kernel_size: 3"), " line 2: kernel_size is there twice, first in line 2; keep one"),
        (GOOD.replace("pool:", "pol:"), " line 2: a block of the network has the unknown setting 'pol'; expected onl"),
        (GOOD + "blokcs: 3", " line 4: the network has the unknown setting 'blokcs'; expected only name, blocks, num"),
        (GOOD.replace(", kernel_size: 3", ""), " line 3: a block of the network lacks the setting 'kernel_size'; exp"),
        ("norm: batch", " line 1: the network lacks the setting 'blocks'; expected name, blocks, "),
        ("norm: batch\nblocks: []", " line 2: blocks is empty; a network needs at least one mlpconv layer"),
        ("norm: batch\nblocks:", " line 2: blocks is None; expected a list of blocks"),
        (GOOD.replace("max", "no"), " line 2: pool is 'no'; expected 'max' or 'avg', or leave it out"),
        ("mirror: on\n" + GOOD, " line 1: mirror is 'on'; expected true or false"),
        (GOOD.replace(": 3}", ": 03}"), " line 3: kernel_size is '03'; expected a whole number of at least 1"),
        (GOOD.replace(": 3}", ": 3.0}"), " line 3: kernel_size is 3.0; expected a whole number of at least 1"),
        (GOOD.replace(": 3}", ": 0}"), " line 3: kernel_size is 0; expected a whole number of at least 1"),
        (GOOD.replace("max", "max, stride: 9999999999"), " line 2: stride is 9999999999; expected a whole number of"),
        (GOOD.replace("max", "max, groups: 3"), " line 2: groups of block 1 is 3; it must divide 3 and 8"),
        (GOOD.replace("max", "max, dropout: 1"), " line 2: dropout is 1; expected a probability of at least 0 and be"),
        ("init: normal\n" + GOOD, " line 3: init is 'normal' but block 1 has no init_std; give it one or use 'kaimin"),
        (GOOD.replace("classes", "class"), " line 3: the last width is 'class'; expected classes, or a whole number"),
        (GOOD.replace("[8, 8]", "[8, classes]"), " line 2: channels is 'classes'; expected a whole number of at leas"),
        (GOOD.replace("[8, classes]", "[classes]"), " line 3: the last block feeds global average pooling: it ends i"),
        (GOOD.replace(": 3}", ": 3, pool: max}"), " line 3: the last block feeds global average pooling: it ends in"),
        ("num_classes: 5\n" + GOOD.replace("classes]", "4]"), " line 4: the last layer makes 4 maps for 5 classes; m"),
        ("size: 6\n" + GOOD, " line 1: size is 6; expected a whole number from 8 to 512"),
        ("size: wide\n" + GOOD, " line 1: size is 'wide'; expected a whole number from 8 to 512"),
        ("size: 32\n" + GOOD.replace(": 5", ": 41, padding: 0"), " line 1: size is 32; the network takes pictures fr"),
        (GOOD.replace(": 5", ": 600, padding: 0"), " line 2: this leaves nothing of pictures under 601 pixels, and 5"),
        (GOOD.replace(": 5", ": 5001, padding: 0"), " line 2: the strides of mine leave nothing of any picture under"),
        (GOOD.replace("[8, 8]", "[8, 99999999]").replace("[8, c", "[999999, c"), " line 3: the network mine needs "),
        ("nin: 0.1.0\nnetwork: {}\n", " line 1: this is the record of a run or a model; its network alone goes into"),
    ],
)  # fmt: skip
def test_whatever_is_wrong_is_one_line_with_its_place(content, message, tmp_path):
    path = saved(tmp_path, content)
    assert refusal(configure_network, path).startswith(f"{path}{message}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", " is empty; write the network"),
        (GOOD, " line 1: not JSON (Expecting value, column 1); correct it"),
        (JSON.replace("},\n  {", "}\n  {"), " line 3: not JSON (Expecting ',' delimiter, column 3); correct it"),
        (JSON.replace("5,", "5, \"kernel_size\": 5,"), " line 2: kernel_size is there twice, first in line 2; keep o"),
        (JSON.replace("\"max\"", "NaN"), " line 2: pool is 'NaN'; expected 'max' or 'avg', or leave it out"),
        ("[" * 100_000, " is no network: it is nested too deep, or has too long numbers"),
        (JSON.replace("5", "5" * 5000), " is no network: it is nested too deep, or has too long numbers"),
    ],
)  # fmt: skip
def test_json_is_told_as_json(content, message, tmp_path):
    path = saved(tmp_path, content, "mine.json")
    assert refusal(configure_network, path).startswith(f"{path}{message}")


def test_what_is_no_network_file_is_told_what_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved(tmp_path, GOOD)
    model = Path(nin.__file__).parent / "weights" / "nin-mnist"
    weights = model / "model.safetensors"
    for place, line in {
        "min.yaml": "min.yaml does not exist; did you mean mine.yaml?",
        "other.yaml": "other.yaml does not exist; expected a network file",
        "none/mine.yaml": "none/mine.yaml does not exist; expected a network file",
        "mine": 'there is no network named "mine"; did you mean the file mine.yaml?',
        "nim": "there is no network named 'nim'; did you mean nin? (known: nin, nin-large, ",
        str(tmp_path): f"{tmp_path} is a folder; expected a network file such as mine.yaml",
        str(
            model
        ): f"{model} is a trained model, no network to begin with; take its weights too: nin train PATH --from ",
        str(weights): f"{weights} holds weights; make a model of them: nin import {weights} --out MODEL; and begin w",
        str(model / "config.json"): f"{model}/config.json line 1: this is the record of a run or a model; its network ",
        "nin-mnist": "--network nin-mnist is a trained model; begin with its weights: --from nin-mnist",
        "a" * 300: f"there is no network named '{'a' * 300}' (known: nin, nin-large, ",
        f"./{'a' * 300}": f"{'a' * 300} cannot be read (File name too long); give a network file",
        "/dev/zero": "/dev/zero is not a regular file; put the real file in its place",
        "a\x1b[31m.yaml": r"a\x1b[31m.yaml does not exist; expected a network file",
    }.items():
        assert refusal(find_network, place).startswith(line)


def test_a_name_goes_before_a_file_and_a_path_is_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved(tmp_path, GOOD, "nin")
    assert configure_network("nin", 3) == configure("nin", 3)
    assert configure_network("./nin", 3).blocks[0].channels == (8, 8)
    assert find_network("nin") == "nin" and find_network(configure("nin")) == configure("nin")


def test_models_are_made_from_files_and_configurations(tmp_path):
    path = saved(tmp_path, GOOD)
    model = nin.create_model(path, num_classes=4, in_chans=1)
    assert model.config.name == "mine" and model.config.num_classes == 4 and model.config.in_channels == 1
    assert nin.create_model(model.config).config == model.config
    assert nin.summary(str(path), (1, 20, 20)).parameters == nin.summary(nin.create_model(path, in_chans=1)).parameters
    assert refusal(nin.create_model, path, width=0.5).startswith("width is for networks with a name; write it into ")
    fixed = saved(tmp_path, GOOD.replace("classes", "4"))
    assert f"{fixed} line 3: the last width is 4 and there are 5 classes; " in refusal(nin.create_model, fixed, 5)
    grey = saved(tmp_path, "in_channels: 1\n" + GOOD)
    assert f"{grey} line 1: in_channels is 1 and the pictures have 3; " in refusal(nin.summary, grey, (3, 32, 32))
    assert nin.summary(saved(tmp_path, "size: 48\n" + GOOD)).input_size == (3, 48, 48)


def test_the_page_shows_a_file_that_is_one_and_a_fault_that_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text(encoding="utf-8")
    (written,) = re.findall(r"^```yaml\n(.*?)^```$", text, flags=re.M | re.S)
    assert len(read_network(saved(tmp_path, written)).config().blocks) == 3
    saved(tmp_path, written.replace("96], kernel_size", "96], kernel"))
    assert f"\nnin: {refusal(find_network, 'mine.yaml')}\n" in text
