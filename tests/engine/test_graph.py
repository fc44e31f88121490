"""The graph of a model folder against torch, for every network and preprocessing there is, and against onnx itself."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

from nin.commands.torch_runner import TorchRunner
from nin.engine import graph, pt2, resize
from nin.engine.engine import open_engine
from nin.engine.exporter import Exporter
from nin.engine.onnx_file import Graph, Port, from_bytes, to_bytes
from nin.network.config import BlockConfig, NINConfig
from nin.network.named import configure, nin
from nin.training.tensors import to_tensor
from small_models import cuts, make_bundle, preprocess


def odd(**changes) -> NINConfig:
    """A network with what ours do not have: groups, strides, padded and rounded-up average pooling."""
    blocks = (
        BlockConfig((8, 6), 5, stride=2, padding=1, pool="avg", pool_size=3, pool_stride=2, pool_padding=1),
        BlockConfig((12, 9), 3, groups=3, pool="max", pool_size=3, pool_stride=2, pool_padding=1),
        BlockConfig((8, 3), 3),
    )
    return NINConfig("odd", blocks, 3, **changes)


NETWORKS = {
    "ours": (nin(4, width=0.2), preprocess((24, 24))),
    "ours, mirrored": (replace(nin(4, width=0.2), mirror=True), preprocess((24, 31), fit="crop")),
    "grey": (nin(3, 1, width=0.2), preprocess((28, 28), 1, fit="pad")),
    "with alpha": (nin(3, 4, width=0.2), preprocess((16, 16), 4)),
    "author's": (configure("nin-author-cifar10"), preprocess((32, 32), normalisation="gcn")),
    "author's, whitened": (configure("nin-author-svhn", 3), preprocess((20, 20), normalisation="gcn-zca")),
    "local contrast": (nin(3, width=0.2), preprocess((20, 26), normalisation="lcn")),
    "odd": (odd(activation="gelu"), preprocess((33, 29))),
    "odd, normalised": (odd(norm="batch", last_norm=True, last_activation=True), preprocess((40, 33))),
    "odd, silu": (odd(activation="silu", dropout_kind="classic"), preprocess((33, 29))),
    "linear": (odd(activation="identity"), preprocess((21, 64))),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_graph_says_what_torch_says(name, tmp_path):
    bundle = make_bundle(tmp_path / "m", *NETWORKS[name])
    images = np.stack([bundle.preprocess.resize(cut) for cut in cuts(5, bundle.preprocess.channels)])
    expected, found = TorchRunner(bundle, "cpu").run(images), open_engine(bundle.folder).run(images)
    assert found.probabilities.std() > 0.01  # they say something
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)
    np.testing.assert_allclose(found.logits, expected.logits, rtol=1e-4, atol=1e-4 * np.abs(expected.logits).max())
    np.testing.assert_allclose(found.maps, expected.maps, rtol=1e-4, atol=1e-4 * np.abs(expected.maps).max())
    np.testing.assert_allclose(found.maps.mean((2, 3)), found.logits, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_distances_are_those_of_torchs_features_by_hand_on_every_path(name, tmp_path):
    """Engine, OpenVINO, the exported file and torch.export; of pictures like those known, and of noise."""
    bundle = make_bundle(tmp_path / "m", *NETWORKS[name], beyond=9.5)
    how, known = bundle.preprocess, bundle.likeness
    noise = np.random.default_rng(0).integers(0, 256, (3, *how.size, how.channels), np.uint8)
    images = np.concatenate([np.stack([how.resize(cut) for cut in cuts(5, how.channels)]), noise])
    runner = TorchRunner(bundle, "cpu")
    with torch.no_grad():
        features = runner.model.forward_features(to_tensor(images, how, "cpu")).mean((2, 3)).double().numpy()
    off = (features[:, None] - known.means) @ (known.directions.astype(float) * known.scales)
    right = np.sqrt((off**2).sum(2)).min(1)
    expected = runner.run(images)
    np.testing.assert_allclose(expected.distances, right, rtol=1e-3)
    exporter = Exporter(bundle, runner.run, list(images))
    made = exporter.onnx()
    assert made.parity["distance_difference"] <= 1e-3 == made.parity["allowed"]["distance_difference"]
    (tmp_path / "m.onnx").write_bytes(made.data)
    files = {"file": tmp_path / "m.onnx", "folder": bundle.folder}
    paths = {key: open_engine(place).run(images) for key, place in files.items()}
    paths["openvino"] = open_engine(bundle.folder, runtime="openvino").run(images)
    program = pt2.program(runner.model, how, bundle.calibration.temperature, known)
    paths["pt2"] = pt2.run_program(program, images)
    assert exporter.pt2(program, pt2.run_program).parity["distance_difference"] <= 1e-3
    standard = exporter.standard()
    assert standard.parity["distance_difference"] <= 1e-3
    (tmp_path / "s.onnx").write_bytes(standard.data)
    paths["standard"] = open_engine(tmp_path / "s.onnx").run(images)
    for found in paths.values():
        np.testing.assert_allclose(found.distances, right, rtol=1e-3)
        np.testing.assert_allclose(found.logits, expected.logits, rtol=1e-4, atol=1e-4 * np.abs(expected.logits).max())


@pytest.mark.parametrize("mirror", [False, True])
def test_a_model_without_statistics_is_computed_as_ever(mirror, tmp_path):
    """The same operators and outputs as before there were any, and the same answers as with them."""
    config = replace(nin(4, width=0.2), mirror=mirror)
    without = make_bundle(tmp_path / "a" / "m", config, preprocess((24, 24)))
    with_it = make_bundle(tmp_path / "b" / "m", config, preprocess((24, 24)), beyond=9.5)
    plain, more = graph.core(without), graph.core(with_it)
    assert [port.name for port in plain.outputs] == ["probabilities", "logits", "class_maps"]
    assert [port.name for port in more.outputs] == ["probabilities", "logits", "class_maps", "distance"]
    assert more.nodes[: len(plain.nodes)] == plain.nodes and len(more.nodes) <= len(plain.nodes) + 14
    images = np.stack([without.preprocess.resize(cut) for cut in cuts(5)])
    a, b = (open_engine(bundle.folder).run(images) for bundle in (without, with_it))
    assert a.distances is None and (a.logits == b.logits).all() and (a.maps == b.maps).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_onnx_itself_finds_nothing_wrong_with_it(name, tmp_path):
    bundle = make_bundle(tmp_path / "m", *NETWORKS[name], beyond=9.5)
    data = to_bytes(graph.core(bundle), "0")
    model = onnx.load_from_string(data)
    onnx.checker.check_model(model, full_check=True)
    assert [node.name for node in model.graph.node if node.op_type == "Conv" and node.name[:6] == "blocks"] == [
        f"blocks.{index}.{f'pointwise.{layer - 1}' if layer else 'spatial'}"
        for index, block in enumerate(bundle.network["blocks"])
        for layer in range(len(block["channels"]))
    ]


def resized(how, images: np.ndarray) -> np.ndarray:
    import onnxruntime

    build = resize.resizing(how)
    ports = (
        [Port(graph.PICTURES, "uint8", ("n", "h", "w", how.channels))],
        [Port(graph.RESIZED, "uint8", ("n", *how.size, how.channels))],
    )
    data = to_bytes(Graph("resize", tuple(build.nodes), build.constants, tuple(ports[0]), tuple(ports[1]), {}), "0")
    onnx.checker.check_model(onnx.load_from_string(data), full_check=True)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return session.run([graph.RESIZED], {graph.PICTURES: images})[0]


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_resizing_in_the_graph_is_pillows_bit_for_bit(fit, channels):
    rng = np.random.default_rng(channels)
    for size in ((32, 32), (28, 17)):
        how = preprocess(size, channels, fit=fit)
        sizes = [size, (1, 1), (1, 300), (300, 1), (17, 28), *rng.integers(2, 200, (6, 2))]
        for height, width in sizes:
            images = rng.integers(0, 256, (2, height, width, channels), dtype=np.uint8)
            images[0, :, :, -1] = rng.choice([0, 1, 128, 255], (height, width))  # alpha at its ends
            assert (resized(how, images) == np.stack([how.resize(image) for image in images])).all(), (height, width)


def test_an_onnx_file_is_read_as_it_was_written(default_bundle):
    made = graph.core(default_bundle)
    data = to_bytes(replace(made, metadata={"a": "é", "b": ""}), "0.1")
    read = from_bytes(data, "f")
    assert (read.nodes, read.inputs, read.outputs, read.metadata) == (made.nodes, *_ports(made), {"a": "é", "b": ""})
    assert all((read.constants[name] == array).all() for name, array in made.constants.items())
    assert to_bytes(read, "0.1") == data
    theirs = onnx.load_from_string(data)
    assert {p.key: p.value for p in theirs.metadata_props}["a"] == "é" and theirs.producer_name == "nin"


def _ports(made):
    return (
        tuple(replace(port, dtype=np.dtype(port.dtype).str) for port in made.inputs),
        tuple(replace(port, dtype=np.dtype(port.dtype).str) for port in made.outputs),
    )
