"""Files for others' readers: standard operators, one picture of a fixed size, judged by torch and by ONNX itself."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator
from PIL import Image

import nin
from nin.commands.torch_runner import TorchRunner
from nin.engine.engine import open_engine
from nin.errors import UsageError
from nin.network.architecture import nin as default_network
from nin.network.config import BlockConfig, NINConfig
from nin.network.named import configure
from nin.sealed import open_sealed_json
from small_models import cuts, make_bundle, preprocess

BASE = default_network(4, width=0.1)
NAMES = ["probabilities", "logits", "class_maps"]


def pooled(**how):
    """A network with a maximum and a mean over windows that hang over the edge, are padded or leave it out."""
    first = (BlockConfig((8, 6), 5, pool=kind, **how) for kind in ("max", "avg"))
    return NINConfig("pooled", (*first, BlockConfig((8, 4), 3)), 4, last_activation=True)


MODELS = {
    "plain": (BASE, preprocess((24, 24))),
    "wide": (BASE, preprocess((20, 30))),
    "grey": (default_network(4, 1, width=0.1), preprocess((28, 28), 1)),
    "mirror": (replace(BASE, mirror=True), preprocess((24, 24))),
    "gelu": (replace(BASE, activation="gelu"), preprocess((24, 24))),
    "silu": (replace(BASE, activation="silu"), preprocess((24, 24))),
    "rounded up": (pooled(), preprocess((33, 33))),
    "rounded down": (pooled(pool_ceil=False), preprocess((32, 32))),
    "padded": (pooled(pool_padding=1, pool_ceil=False), preprocess((32, 32))),
    "author": (configure("nin-author-cifar10"), preprocess((32, 32))),
    "gcn": (BASE, preprocess((16, 16), normalisation="gcn")),
    "gcn-zca": (BASE, preprocess((16, 16), normalisation="gcn-zca")),
    "lcn": (BASE, preprocess((16, 16), normalisation="lcn")),
}


@pytest.fixture(scope="module", params=MODELS)
def exported(request, tmp_path_factory):
    """A model folder, its file, and pictures (n, H, W, C) uint8 of its size, one of them of one colour."""
    config, how = MODELS[request.param]
    folder = tmp_path_factory.mktemp("standard")
    bundle = make_bundle(folder / "model", config, how)
    done = nin.export(bundle.folder, standard=True, out=folder / "m.onnx")
    images = np.stack([how.resize(np.ascontiguousarray(cut[..., : how.channels])) for cut in cuts(4)])
    return bundle, done, np.concatenate([images, np.full_like(images[:1], 77)])


def by_torch(bundle, images):
    """What the network of the model folder says: torch alone, no graph."""
    height, width = images.shape[1:3]
    answers = TorchRunner(replace(bundle, preprocess=replace(bundle.preprocess, size=(height, width))), "cpu").run(
        images
    )
    return answers.probabilities, answers.logits, answers.maps


def asked(run, images):
    """One picture after the other, as float32 (1, C, H, W)."""
    single = [run(np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32)) for image in images]
    return [np.concatenate(part) for part in zip(*single, strict=True)]


def expect_same(found, expected):
    for name, one, other in zip(NAMES, found, expected, strict=True):
        scale = max(1.0, float(np.abs(other).max()))
        np.testing.assert_allclose(one / scale, other / scale, atol=1e-5 if name == "probabilities" else 5e-5)


def test_onnx_itself_reads_it_and_computes_the_same(exported):
    bundle, done, images = exported
    onnx.checker.check_model(str(done.file), full_check=True)
    file = onnx.load(done.file)
    assert [(each.domain, each.version) for each in file.opset_import] == [("", 13)]
    for port in (*file.graph.input, *file.graph.output):
        assert all(side.dim_value > 0 for side in port.type.tensor_type.shape.dim)  # no side may vary
    assert [port.name for port in file.graph.output] == NAMES
    run = ReferenceEvaluator(file)
    expect_same(asked(lambda x: run.run(NAMES, {"pictures": x}), images), by_torch(bundle, images))


def test_onnx_runtime_without_its_optimisations_computes_the_same(exported):
    bundle, done, images = exported
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    run = onnxruntime.InferenceSession(str(done.file), options)
    expect_same(asked(lambda x: run.run(NAMES, {"pictures": x}), images), by_torch(bundle, images))


def test_the_certificate_says_how_to_feed_it(exported):
    bundle, done, _ = exported
    said = open_sealed_json(done.certificate.read_bytes(), "certificate")
    height, width = bundle.preprocess.size
    assert said["passed"] and said["format"] == "onnx-standard" and said["probability_difference"] <= 1e-5
    channels = bundle.preprocess.channels
    assert said["input"].startswith(f"pictures: float32 (1, {channels}, {height}, {width}), ")
    words = {prop.key: prop.value for prop in onnx.load(done.file).metadata_props}
    assert words["input"] == said["input"] and words["labels"].splitlines() == list(bundle.classes)


def test_our_own_engine_reads_it(exported):
    """Any number of pictures, uint8, resized by us: `nin predict`, `nin serve` and `nin bench` take the file."""
    bundle, done, images = exported
    expected, found = open_engine(bundle.folder).run(images), open_engine(done.file).run(images)
    expect_same(
        (found.probabilities, found.logits, found.maps), (expected.probabilities, expected.logits, expected.maps)
    )


def test_another_size_is_the_network_at_that_size(tmp_path):
    bundle = make_bundle(tmp_path / "model", BASE, preprocess((24, 24)))
    done = nin.export(bundle.folder, standard=True, size=40, out=tmp_path / "m.onnx")
    images = np.stack([preprocess((40, 40)).resize(cut) for cut in cuts(3)])
    run = onnxruntime.InferenceSession(str(done.file))
    found = asked(lambda x: run.run(NAMES, {"pictures": x}), images)
    expect_same(found, by_torch(bundle, images))
    assert found[2].shape[2:] == by_torch(bundle, images)[2].shape[2:] != (6, 6)
    assert done.parity["note"] == "the model was trained on 24 x 24 pixels; how good it is at 40 x 40 is not known"
    Image.fromarray(cuts(1)[0]).save(tmp_path / "p.png")
    (answer,) = nin.predict(tmp_path / "m.onnx", [tmp_path / "p.png"])
    expected = by_torch(bundle, preprocess((40, 40)).resize(np.asarray(Image.open(tmp_path / "p.png")))[None])[0][0]
    assert [score for _, score in sorted(answer.scores)] == pytest.approx(expected.tolist(), abs=1e-5)


@pytest.mark.parametrize(
    ("choices", "reason"),
    [
        (
            {"standard": True, "format": "onnx-int8"},
            "--standard is a form of --format onnx, in float32; leave out --format onnx-int8",
        ),
        (
            {"standard": True, "format": "pt2"},
            "--standard is a form of --format onnx, in float32; leave out --format pt2",
        ),
        ({"size": 32}, "--size is for --standard; other files take pictures of any size, or of the model's own"),
        ({"standard": True, "size": 4}, "--size is 4; expected 8 to 4096"),
        (
            {"standard": True, "size": 32},
            "--size is 32; this model's whitening is fitted for 16 x 16 pixels; leave out --size",
        ),
    ],
)
def test_what_cannot_be_is_one_line(choices, reason, tmp_path):
    bundle = make_bundle(tmp_path / "model", BASE, preprocess((16, 16), normalisation="gcn-zca"))
    with pytest.raises(UsageError) as caught:
        nin.export(bundle.folder, out=tmp_path / "m.onnx", **choices)
    assert str(caught.value) == reason
    assert not (tmp_path / "m.onnx").exists()


def test_opencv_takes_it_as_the_page_says(tmp_path):
    """docs/export.md's own lines, where OpenCV is installed."""
    pytest.importorskip("cv2")
    page = Path(__file__).resolve().parents[2] / "docs" / "export.md"
    (snippet,) = re.findall(r"```py\n(.*?)```", page.read_text(), re.DOTALL)
    nin.export("nin-cifar10", standard=True, out=tmp_path / "nin-cifar10-standard.onnx")
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    Image.fromarray(cuts(1)[0]).resize((32, 32)).save(tmp_path / "photos" / "cat" / "0.png")
    script = snippet.replace("0.jpg", "0.png")
    said = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    (answer,) = nin.predict("nin-cifar10", [tmp_path / "photos" / "cat" / "0.png"])
    label, score = said.stdout.split()
    assert label == answer.label and float(score) == pytest.approx(answer.score, abs=0.01)
