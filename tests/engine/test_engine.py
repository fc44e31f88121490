"""The engine: same answers as torch, any exported file, and nothing that is not ours."""

import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import onnx
import pytest

from nin.commands.torch_runner import TorchRunner
from nin.engine import onnx_file
from nin.engine.engine import facts_of_bundle, open_engine, read_exported
from nin.engine.exporter import Exporter
from nin.engine.graph import core
from nin.engine.onnx_file import Node, from_bytes, to_bytes
from nin.errors import ModelError, UsageError
from nin.sealed import seal
from small_models import cuts


@pytest.fixture(scope="module")
def exported(default_bundle) -> bytes:
    return Exporter(default_bundle, TorchRunner(default_bundle, "cpu").run, cuts(4)).onnx().data


@pytest.fixture
def file(exported, tmp_path):
    (tmp_path / "m.onnx").write_bytes(exported)
    return tmp_path / "m.onnx"


def sized(bundle, count: int = 5) -> np.ndarray:
    return np.stack([bundle.preprocess.resize(cut) for cut in cuts(count)])


def test_a_file_answers_as_the_folder_does(default_bundle, file):
    ours, theirs = open_engine(default_bundle.folder), open_engine(file)
    assert (theirs.classes, theirs.preprocess, theirs.calibration) == (ours.classes, ours.preprocess, ours.calibration)
    assert (theirs.name, theirs.precision, theirs.digest) == ("small", "float32", ours.digest)
    images = sized(default_bundle, 70)
    assert (theirs.run(images).maps == ours.run(images).maps).all()


def test_one_picture_and_many_and_many_threads_agree(default_bundle):
    engine, images = open_engine(default_bundle.folder, threads=1), sized(default_bundle, 70)
    together = engine.run(images).logits
    with ThreadPoolExecutor(8) as pool:
        single = list(pool.map(lambda image: engine.run(image[None]).logits[0], images))
    np.testing.assert_allclose(np.stack(single), together, atol=1e-5)


def test_it_never_needs_torch(default_bundle):
    code = "import sys; sys.modules['torch'] = None; from nin import open_engine; open_engine(sys.argv[1])"
    words = [sys.executable, "-W", "error", "-c", code, str(default_bundle.folder)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "images",
    [np.zeros((1, 24, 24, 3), np.float32), np.zeros((1, 25, 24, 3), np.uint8), np.zeros((0, 24, 24, 3), np.uint8)],
)
def test_other_pictures_are_refused(default_bundle, images):
    with pytest.raises(UsageError, match=r"expected uint8 \(N, 24, 24, 3\)"):
        open_engine(default_bundle.folder).run(images)


def test_numbers_that_are_not_finite_are_never_an_answer(default_bundle):
    from nin.engine.engine import Engine

    graph = core(default_bundle)
    bias = next(name for name in graph.constants if name.endswith("pointwise.1.bias"))
    broken = {**graph.constants, bias: np.full_like(graph.constants[bias], np.nan)}
    with pytest.raises(ModelError, match="not finite"):
        Engine(facts_of_bundle(default_bundle), replace(graph, constants=broken)).run(sized(default_bundle))


def test_one_flipped_bit_is_always_noticed(exported):
    draw = random.Random(0)
    for _ in range(1000):
        data, place = bytearray(exported), draw.randrange(len(exported))
        data[place] ^= 1 << draw.randrange(8)
        with pytest.raises(Exception, match=r"damaged|no ONNX file of nin"):
            from_bytes(bytes(data), "f")
    for _ in range(100):
        with pytest.raises(Exception, match=r"damaged|no ONNX file of nin"):
            from_bytes(exported[: draw.randrange(len(exported))], "f")


def hostile(exported: bytes, change) -> bytes:
    """The file with a change that its maker could have made: sealed again."""
    model = onnx.load_from_string(exported)
    entry = next(prop for prop in model.metadata_props if prop.key == "sha256")
    entry.value = "0" * 64
    change(model)
    ordered = onnx.ModelProto()
    ordered.metadata_props.append(entry)
    rest = onnx.ModelProto()
    rest.CopyFrom(model)
    rest.metadata_props.remove(entry)
    return seal(ordered.SerializeToString() + rest.SerializeToString(), onnx_file._SEAL)


def outside(model):
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.append(onnx.StringStringEntryProto(key="location", value="/etc/passwd"))


def huge(model):
    model.graph.initializer[0].dims[:] = [2**40]


def foreign(model):
    model.graph.node[3].domain = "evil"


def unknown(model):
    model.graph.node[3].op_type = "Loop"


def subgraph(model):
    model.graph.node[3].attribute.append(onnx.helper.make_attribute("body", onnx.GraphProto(name="x")))


def functions(model):
    model.functions.append(onnx.FunctionProto(name="f"))


def many(model):
    for _ in range(6000):
        model.graph.node.add(op_type="Relu", input=["logits"], output=["x"])


def no_facts(model):
    model.metadata_props.remove(next(prop for prop in model.metadata_props if prop.key == "nin"))


def other_classes(model):
    fact = next(prop for prop in model.metadata_props if prop.key == "nin")
    fact.value = fact.value.replace('"class 3"', '"class 3", "class 4"')


def wrong_wire(model):
    model.graph.node[-1].input[0] = "nothing"


CHANGES = [outside, huge, foreign, unknown, subgraph, functions, many, no_facts, other_classes, wrong_wire]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_hostile_file_is_refused_in_one_line(exported, change, tmp_path):
    path = tmp_path / "hostile.onnx"
    path.write_bytes(hostile(exported, change))
    with pytest.raises(ModelError) as refused:
        open_engine(path)
    assert "\n" not in str(refused.value)


def test_the_maker_of_hostile_files_makes_good_ones_too(exported, tmp_path):
    path = tmp_path / "fine.onnx"
    path.write_bytes(hostile(exported, lambda model: None))
    assert read_exported(path)[0].classes == tuple(f"class {n}" for n in range(4))


def test_a_link_out_of_the_folder_is_not_followed(file, tmp_path):
    (tmp_path / "link.onnx").symlink_to(file)
    with pytest.raises(ModelError, match="symbolic link"):
        open_engine(tmp_path / "link.onnx")


def test_an_operator_that_nin_never_writes_is_refused(default_bundle):
    graph = core(default_bundle)
    node = Node("Loop", ("a",), ("b",), "n")
    with pytest.raises(ModelError, match="'Loop', which nin never writes"):
        from_bytes(to_bytes(replace(graph, nodes=(node,)), "0"), "f")
