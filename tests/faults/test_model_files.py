"""Model files that say anything: each is refused in one line that names it, before memory is taken or work is begun.

What a file says here has right digests: a digest shows damage, and does not prove who wrote a file.
"""

import copy
import shutil
import time
from dataclasses import replace

import numpy as np
import onnx
import pytest

from nin.bundle.folder import open_bundle
from nin.commands.torch_runner import TorchRunner
from nin.engine import engine as module
from nin.engine.engine import FACTS, Engine, facts_of_bundle, open_engine
from nin.engine.exporter import whole
from nin.engine.graph import core
from nin.engine.needs import needs_of
from nin.engine.onnx_file import Graph, Node, to_bytes
from nin.engine.quantise import quantised
from nin.engine.standard import from_uint8, standard
from nin.errors import ModelError
from nin.network.architecture import NIN, nin
from nin.network.config import NINConfig
from nin.network.demands import weight_shapes
from nin.network.named import configure, list_models
from nin.sealed import open_sealed_json, seal_json
from small_models import make_bundle, preprocess

VALUES = [0, 40, 10**4, 10**9, 2**63, 1e308, None, "\x1b[2J\n", [], {}, [10**9, 10**9]]
PARTS = (("nin", "network"), ("nin", "preprocess"), ("nin", "calibration"), ("label_names",), ("num_classes",))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("models") / "tabby", nin(3, width=0.1), preprocess((16, 16)))


def changed(bundle, place, path, value):
    """A copy of the model folder whose config.json has another value at a path, with right digests."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(bundle.folder, place)
    config = open_sealed_json((place / "config.json").read_bytes(), "config")
    part = config
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    (place / "config.json").write_bytes(seal_json(config))
    return place


def leaves(value, path):
    """The paths of everything in a JSON value, of a list its first member and itself."""
    items = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, inner in items:
        yield from leaves(inner, (*path, key))
    yield path


def test_every_setting_with_every_hostile_value_is_refused_or_works(bundle, tmp_path, monkeypatch):
    config = open_sealed_json((bundle.folder / "config.json").read_bytes(), "config")
    paths = []
    for part in PARTS:
        value = config
        for key in part:
            value = value[key]
        paths += leaves(copy.deepcopy(value), part)
    refused = worked = 0
    picture = np.zeros((1, 16, 16, 3), np.uint8)
    for path in dict.fromkeys(paths):
        for value in VALUES:
            folder = changed(bundle, tmp_path / "fuzzed", path, value)
            began = time.process_time()
            try:
                engine = open_engine(folder, threads=1)
                engine.run(picture if engine.preprocess.size == (16, 16) else [picture[0]])
                worked += 1
            except ModelError as error:
                text = str(error)
                assert text.isprintable() and "fuzzed" in text, (path, value, text)
                refused += 1
            assert time.process_time() - began < 2, (path, value)
    assert refused > 400 and worked > 10


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("stride",), 10_000, "leaves nothing of 16 x 16 pixels"),
        (
            ("padding",),
            30_000,
            "one picture of 16 x 16 pixels takes more than 1,073,741,824 bytes for its maps by block 1",
        ),
        (("padding",), 2_000, "takes more than 1,"),
        (("kernel_size",), 7, r"its weights blocks.0.spatial.weight are .*, where its settings ask for .* x 7 x 7"),
        (("groups",), 3, "groups of block 1 is 3; it must divide 3 and 8"),
        (("pool_size",), 10**9, "leaves nothing of 16 x 16 pixels"),
        (("pool_stride",), 0, "pool_stride is 0; expected a whole number of at least 1"),
        (("channels", 0), 10**9, "its weights blocks.0.spatial.weight are"),
    ],
)
def test_a_network_that_cannot_be_is_refused_by_every_reader(path, value, reason, bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "open_session", None)  # no runtime sees it
    folder = changed(bundle, tmp_path / "model", ("nin", "network", "blocks", 0, *path), value)
    for read in (open_engine, open_bundle, lambda place: TorchRunner(open_bundle(place), "cpu")):
        with pytest.raises(ModelError, match=reason) as caught:
            read(folder)
        assert str(caught.value).startswith(str(folder)) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [name for name in list_models() if "imagenet" not in name])
@pytest.mark.parametrize("norm", [None, "batch"])
def test_the_weights_that_settings_ask_for_are_those_that_torch_makes(name, norm):
    config = replace(configure(name), norm=norm)
    for each in (config, replace(config, last_norm=norm is not None, mirror=False)):
        made = {key: tuple(value.shape) for key, value in NIN(each).state_dict().items()}
        assert weight_shapes(each) == made


def test_weights_that_are_missing_or_too_many_are_refused(bundle):
    config = NINConfig.from_dict(bundle.network)
    found = {name: array.shape for name, array in bundle.weights().items()}
    from nin.network.config import SettingError
    from nin.network.demands import expect_weights

    expect_weights(config, found)
    with pytest.raises(SettingError, match="it has the weights more, which its settings do not ask for"):
        expect_weights(config, {**found, "more": (1,)})
    for name in found:
        with pytest.raises(SettingError, match=f"it has no weights {name}, which its settings ask for"):
            expect_weights(config, {key: shape for key, shape in found.items() if key != name})
        with pytest.raises(SettingError, match=f"its weights {name} are .*, where its settings ask for"):
            expect_weights(config, {**found, name: (*found[name], 2)})


# ---- graphs


@pytest.mark.parametrize("normalisation", ["standard", "gcn", "lcn", "gcn-zca"])
@pytest.mark.parametrize(("activation", "mirror"), [("relu", True), ("silu", False)])
def test_what_is_counted_is_what_onnx_infers(normalisation, activation, mirror, tmp_path):
    config = replace(nin(3, width=0.1), activation=activation, mirror=mirror)
    made = make_bundle(tmp_path / "model", config, preprocess((16, 16), normalisation=normalisation), beyond=9.0)
    whole = core(made)
    ranges = {node.inputs[0]: (0.0, 1.0) for node in whole.nodes if node.op == "Conv"}
    for graph in (whole, quantised(whole, ranges), from_uint8(standard(made))):
        needs = needs_of(graph, "it")
        fixed = replace(graph, inputs=(replace(graph.inputs[0], shape=(1, 16, 16, 3)),))
        model = onnx.load_from_string(to_bytes(fixed, "0"))
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
        sizes = {
            each.name: int(np.prod([side.dim_value or 1 for side in each.type.tensor_type.shape.dim]))
            for each in (*inferred.value_info, *inferred.output)
        }
        assert set(sizes) == {name for node in graph.nodes for name in node.outputs}
        assert (needs.values, needs.largest) == (sum(sizes.values()), max(sizes.values()))


def test_products_are_counted_by_hand(bundle):
    """The layers of the small network: 16 x 16 pixels, halved after each of the first blocks."""
    config = NINConfig.from_dict(bundle.network)
    side = 16
    macs = 0
    for block, weights in zip(config.blocks, config.block_weights, strict=True):
        side = block.conv_side(side)
        macs += weights * side**2
        side = block.output_side(side) if block.pool is None else -(-(side - block.pool_size) // block.pool_stride) + 1
    graph = core(bundle)
    windows = sum(node.op.endswith("Pool") for node in graph.nodes)
    assert windows and macs < needs_of(graph, "it").macs < 1.2 * macs


def after_maps(graph: Graph, constants: dict, *nodes: tuple) -> Graph:
    """The graph with operators (op, inputs, attributes) in a chain behind its class maps; "" is what came before."""
    place = next(number for number, node in enumerate(graph.nodes) if "class_maps" in node.outputs)
    more = []
    name = "real"
    for number, (op, inputs, attributes) in enumerate(nodes):
        made = f"bomb{number}"
        more.append(Node(op, tuple(each or name for each in inputs), (made,), made, attributes))
        name = made
    last = replace(more[-1], outputs=("class_maps",))
    first = replace(graph.nodes[place], outputs=("real",))
    nodes_ = (*graph.nodes[:place], first, *more[:-1], last, *graph.nodes[place + 1 :])
    return replace(graph, nodes=nodes_, constants={**graph.constants, **constants})


BOMBS = {
    "doubled": ({}, [("Concat", ("", ""), {"axis": 0})] * 40, "values"),
    "a range": (
        {"lo": np.int64(0), "hi": np.int64(10**12), "by": np.int64(1)},
        [("Range", ("lo", "hi", "by"), {})],
        "does not fit what it reads",
    ),
    "padded": ({"pads": np.full(8, 2**31)}, [("Pad", ("", "pads"), {})], "more than 268,435,456 values in one tensor"),
    "products": (
        {"m": np.ones((2_000, 2_000), np.float32)},
        [("MatMul", ("m", "m"), {}), *[("MatMul", ("", "m"), {})] * 200],
        "more than 1,000,000,000,000 multiply-adds",
    ),
    "broadcast": (
        {"a": np.ones((1, 30_000), np.float32), "b": np.ones((30_000, 1), np.float32)},
        [("Add", ("a", "b"), {})],
        "values in one tensor",
    ),
    "a shape that is computed": ({}, [("Reshape", ("", ""), {})], "does not fit what it reads"),
    "negative": ({"shape": np.array([-1, -1])}, [("Reshape", ("", "shape"), {})], "does not fit what it reads"),
    "nothing": (
        {},
        [("MaxPool", ("",), {"kernel_shape": (99, 99), "strides": (1, 1), "pads": (0, 0, 0, 0)})],
        "leaves nothing",
    ),
    "no stride": ({}, [("MaxPool", ("",), {"kernel_shape": (1, 1), "strides": (0, 0)})], "does not fit what it reads"),
    "padding decided by the runtime": (
        {},
        [("MaxPool", ("",), {"kernel_shape": (1, 1), "auto_pad": "SAME_UPPER"})],
        "does not fit what it reads",
    ),
    "unknown": ({}, [("Add", ("", "nobody"), {})], "does not fit what it reads"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_graph_that_would_fill_the_memory_or_never_end_is_refused(name, bundle, tmp_path, monkeypatch):
    constants, nodes, reason = BOMBS[name]
    graph = after_maps(core(bundle), constants, *nodes)
    facts = facts_of_bundle(bundle)
    monkeypatch.setattr(module, "open_session", None)  # no runtime sees it
    began = time.process_time()
    with pytest.raises(ModelError, match=r"^tabby is no network that can be run \(.*\); export the model again$") as no:
        Engine(facts, graph)
    assert reason in str(no.value) and time.process_time() - began < 1
    data = to_bytes(replace(graph, metadata={FACTS: facts.to_json()}), "0.1.0")
    with pytest.raises(ModelError, match="is no network that can be run"):
        module.engine_from_bytes(data)
    file = tmp_path / "given.onnx"
    file.write_bytes(to_bytes(whole(bundle, graph, facts), "0.1.0"))
    with pytest.raises(ModelError, match=r"given\.onnx is no network that can be run \(.*\); export the model again$"):
        open_engine(file)


def test_a_network_of_large_maps_is_computed_in_small_parts(bundle, monkeypatch):
    engine = Engine(facts_of_bundle(bundle), core(bundle), threads=1)
    images = np.random.default_rng(0).integers(0, 256, (9, 16, 16, 3)).astype(np.uint8)
    expected = engine.run(images)
    monkeypatch.setattr(module, "HELD", 3 * needs_of(core(bundle), "it").largest)
    small = Engine(facts_of_bundle(bundle), core(bundle), threads=1)
    sizes = []
    run = small._session.run
    monkeypatch.setattr(small._session, "run", lambda names, batch: sizes.append(len(batch)) or run(names, batch))
    assert np.abs(small.run(images).logits - expected.logits).max() < 1e-5
    assert sizes == [3, 3, 3]
