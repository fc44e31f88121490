"""Exported files: proven before they are written, the same for other programs, refused when they are not the model."""

import json
import re
from dataclasses import replace
from itertools import combinations

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

import nin
from nin.commands import proof
from nin.commands.torch_runner import TorchRunner
from nin.data import machine
from nin.engine import fastest, pt2
from nin.engine.engine import Answers, open_engine
from nin.engine.exporter import Exporter, ranges_of
from nin.engine.graph import core
from nin.engine.quantise import calibrate, convolutions, quantised, tapped
from nin.errors import ModelError, UsageError
from nin.network.named import configure
from nin.run.options import ExportOptions
from nin.sealed import open_sealed_json
from planted_openvino import plant
from small_models import cuts, make_bundle, preprocess

ROUNDED = "DequantizeLinear"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two classes of pictures in several sizes, to train and to test."""
    root = tmp_path_factory.mktemp("data") / "photos"
    for split, count in (("train", 40), ("test", 12)):
        for number, cut in enumerate(cuts(2 * count, seed=count)):
            folder = root / split / ("class 0", "class 1")[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(cut if number % 2 else 255 - cut // 3).save(folder / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def model(photos, tmp_path_factory):
    """A model that has learned them."""
    out = tmp_path_factory.mktemp("runs") / "run"
    choices = {"epochs": 6, "width": 0.2, "size": 16, "batch_size": 8, "threads": 1, "precision": "float32"}
    return nin.train(photos, out=out, device="cpu", **choices).folder


@pytest.mark.parametrize("form", ["onnx", "onnx-int8", "pt2"])
def test_export_writes_a_file_and_its_certificate(model, photos, tmp_path, form):
    done = nin.export(model, format=form, out=tmp_path / "file", data=photos)
    said = open_sealed_json(done.certificate.read_bytes(), "certificate")
    assert done.file == tmp_path / "file" and done.certificate == tmp_path / "file.parity.json"
    assert said["passed"] and said["pictures"] == 24 and said == done.parity
    import hashlib

    assert said["sha256_of_file"] == hashlib.sha256(done.file.read_bytes()).hexdigest()
    if form != "onnx-int8":
        assert said["probability_difference"] <= 1e-5
    else:
        assert said["gate"]["agreement"] >= 0.995 and said["gate"]["pictures"] == 24


def test_another_program_gets_the_same_from_the_file_alone(model, photos, tmp_path):
    """Plain ONNX Runtime, pictures as they are in the files, nothing of ours but the file."""
    file = nin.export(model, out=tmp_path / "m.onnx").file
    session = onnxruntime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])
    words = session.get_modelmeta().custom_metadata_map
    labels = words["labels"].splitlines()
    paths = sorted(photos.rglob("test/*/*.png"))
    expected = list(nin.load(model).predict(paths))
    for path, answer in zip(paths, expected, strict=True):
        pixels = np.asarray(Image.open(path).convert("RGB"))
        probabilities, logits, maps = session.run(["probabilities", "logits", "class_maps"], {"pictures": pixels[None]})
        assert labels[int(probabilities.argmax())] == answer.label
        assert abs(probabilities.max() - answer.score) <= 1e-5
        np.testing.assert_allclose(maps.mean((2, 3)), logits, atol=1e-5)
    assert json.loads(words["nin"])["precision"] == "float32" and "mean" in words["preprocessing"]


def test_without_data_photographs_prove_it(default_bundle, tmp_path):
    done = nin.export(default_bundle.folder, out=tmp_path / "m.onnx")
    assert "photographs" in done.parity["proven_on"] and done.parity["sizes"] >= 6


def test_the_whitened_network_of_the_author_is_one_file_too(tmp_path):
    config, how = configure("nin-author-cifar10"), preprocess((20, 20), normalisation="gcn-zca")
    bundle = make_bundle(tmp_path / "author", config, how)
    made = Exporter(bundle, TorchRunner(bundle, "cpu").run, cuts(6)).onnx()
    (tmp_path / "a.onnx").write_bytes(made.data)
    assert made.parity["probability_difference"] <= 1e-5 and made.parity["sizes"] == 6
    images = np.stack([how.resize(cut) for cut in cuts(3)])
    expected = TorchRunner(bundle, "cpu").run(images).probabilities
    np.testing.assert_allclose(open_engine(tmp_path / "a.onnx").run(images).probabilities, expected, atol=1e-5)


def test_a_file_that_says_something_else_is_not_written(default_bundle, tmp_path, monkeypatch):
    run = TorchRunner(default_bundle, "cpu").run

    def moved(images):
        answers = run(images)
        return Answers(answers.probabilities + 1e-4, answers.logits, answers.maps)

    with pytest.raises(ModelError, match=r"other probabilities than torch \(off by 1.0e-04, allowed 1e-05\)"):
        Exporter(default_bundle, moved, cuts(3)).onnx()
    monkeypatch.setattr(proof.TorchRunner, "run", lambda self, images: moved(images))
    with pytest.raises(ModelError, match="nothing was written"):
        proof.export_bundle(default_bundle, ExportOptions(out=tmp_path / "m.onnx"))
    assert list(tmp_path.iterdir()) == []


def test_eight_bits_that_cost_too_much_are_refused(default_bundle, monkeypatch):
    exporter = Exporter(default_bundle, TorchRunner(default_bundle, "cpu").run, cuts(3))
    images = np.stack([default_bundle.preprocess.resize(cut) for cut in cuts(30)])
    monkeypatch.setattr("nin.engine.exporter.AGREE", 1.01)
    with pytest.raises(ModelError, match=r"stays the same for .* % of 30 pictures at best .*nothing was written"):
        exporter.int8(images, images, np.zeros(30, np.int64))


def test_a_gate_that_fails_first_leaves_more_in_float32(default_bundle, monkeypatch):
    """With the whole ladder refused but its last step, the last step is what comes out."""
    exporter = Exporter(default_bundle, TorchRunner(default_bundle, "cpu").run, cuts(3))
    images = np.stack([default_bundle.preprocess.resize(cut) for cut in cuts(30)])
    every = frozenset(node.name for node in convolutions(core(default_bundle)))
    found = calibrate({name: np.full((1, 1, 1, 1), 0.01) for name in tapped(core(default_bundle))[1]})
    monkeypatch.setattr(Exporter, "_choices", lambda *_: [(found.extremes, frozenset()), (found.extremes, every)])
    made = exporter.int8(images, images, exporter._answers(core(default_bundle), images).logits.argmax(1))
    assert [one["agreement"] for one in made.parity["gate"]["tried"]][-1] == 1.0
    assert made.parity["gate"]["tried"][0]["agreement"] < 0.995 and made.parity["gate"]["float32"] == sorted(every)


@pytest.mark.parametrize("careful", [False, True])
def test_eight_bits_keep_which_pictures_are_unlike_the_training_pictures(careful, tmp_path, monkeypatch):
    """Ranges so narrow that all distances change, whatever the classes do, are refused; no rounding at all passes."""
    bundle = make_bundle(tmp_path / "knows", configure("nin", 4, 3, width=0.1), preprocess((24, 24)), beyond=1.0)
    exporter = Exporter(bundle, TorchRunner(bundle, "cpu").run, cuts(3))
    images = np.stack([bundle.preprocess.resize(cut) for cut in cuts(40)])
    before = exporter._answers(core(bundle), images)
    exporter.bundle = replace(
        bundle, calibration=replace(bundle.calibration, unknown_beyond=float(np.median(before.distances)))
    )
    every = frozenset(node.name for node in convolutions(core(bundle)))
    narrow = calibrate({name: np.full((1, 1, 1, 1), 0.01) for name in tapped(core(bundle))[1]}).extremes
    choices = [(narrow, frozenset()), (narrow, every)] if careful else [(narrow, frozenset())]
    monkeypatch.setattr(Exporter, "_choices", lambda *_: choices)
    monkeypatch.setattr("nin.engine.exporter.AGREE", 0.0)
    monkeypatch.setattr("nin.engine.exporter.LOSS", 1.0)
    labels = before.logits.argmax(1)
    if not careful:
        with pytest.raises(ModelError) as error:
            exporter.int8(images, images, labels)
        assert re.fullmatch(
            r"in eight bits too many pictures become unlike the training pictures or like them \(the same for "
            r"\d+\.\d\d % of 40, needed: 98 %\); nothing was written",
            str(error.value),
        )
        return
    parity = exporter.int8(images, images, labels).parity
    assert [one["unlike_agreement"] for one in parity["gate"]["tried"]][1:] == [1.0]
    assert parity["gate"]["tried"][0]["unlike_agreement"] < 0.98 and parity["allowed"]["unlike_agreement"] == 0.98


def test_eight_bits_round_as_a_slow_second_way_does(default_bundle):
    """One convolution in whole numbers, by hand: scales, zero points, sums."""
    graph, images = core(default_bundle), np.stack([default_bundle.preprocess.resize(cut) for cut in cuts(2)])
    ranges = ranges_of(graph, images).extremes
    first = convolutions(graph)[0]
    others = frozenset(node.name for node in convolutions(graph)[1:])
    rounded = quantised(graph, ranges, others, {first.inputs[0]: np.zeros(3)})
    weight, bias = (graph.constants[name].astype(np.float64) for name in first.inputs[1:])
    mean, std = (np.reshape(v, (1, -1, 1, 1)) for v in (default_bundle.preprocess.mean, default_bundle.preprocess.std))
    x = (images.transpose(0, 3, 1, 2) / 255 - mean) / std
    low, high = ranges[first.inputs[0]]
    scale = (high - low) / 255
    zero = round(-low / scale)
    whole = (np.rint(x / scale) + zero).clip(0, 255) - zero
    heaviest = [
        max(abs(a + b) for a, b in combinations((*channel, 0.0), 2) if a * b >= 0)
        for channel in weight.reshape(len(weight), -1)
    ]
    scales = np.array(heaviest) / 127
    w = np.rint(weight / scales[:, None, None, None])
    sums = torch.nn.functional.conv2d(torch.from_numpy(whole), torch.from_numpy(w), padding=first.attributes["pads"][0])
    by_hand = (sums.numpy() + np.rint(bias / (scale * scales))[:, None, None]) * (scale * scales)[:, None, None]
    found = tap(rounded, "blocks.0.spatial", images)
    assert np.abs(by_hand - found).max() <= 1e-3 * np.abs(found).max()
    assert np.abs(tap(graph, "blocks.0.spatial", images) - found).max() > 1e-4  # rounding is there at all
    assert sum(node.op == ROUNDED for node in rounded.nodes) == 3  # the input, its weights, its bias


def test_what_rounding_weights_does_on_average_is_taken_back(default_bundle):
    """Every convolution alone, asked for pictures it was calibrated on: the mean of each channel comes nearer."""
    graph, images = core(default_bundle), np.stack([default_bundle.preprocess.resize(cut) for cut in cuts(30)])
    found = ranges_of(graph, images)
    every = [node.name for node in convolutions(graph)]
    for name in every[:-1]:
        others = frozenset(every) - {name}
        true, plain, mended = (
            tap(version, name, images).mean((0, 2, 3))
            for version in (
                graph,
                quantised(graph, found.extremes, others),
                quantised(graph, found.extremes, others, found.means),
            )
        )
        assert np.abs(mended - true).mean() < 0.7 * np.abs(plain - true).mean()


def test_no_two_weights_overflow_the_sixteen_bits_of_older_processors(default_bundle):
    """255 a + 255 b for every two weights of a channel; channels of equal weights, of one, of none, heavy tails."""
    graph, rng = core(default_bundle), np.random.default_rng(0)
    for node in convolutions(graph):
        weight = rng.standard_t(2, graph.constants[node.inputs[1]].shape).astype(np.float32)
        weight[:3] = np.reshape([0.7, -0.7, 0.0], (3, 1, 1, 1))
        weight[3], weight[3, 0, 0, 0] = 0, 5
        graph.constants[node.inputs[1]] = weight
    found = quantised(graph, dict.fromkeys(tapped(graph)[1], (0.0, 1.0))).constants
    wholes = [array.astype(int) for name, array in found.items() if name.endswith("weight/int8")]
    assert len(wholes) == len(convolutions(graph)) - 1
    for whole in wholes:
        flat = whole.reshape(len(whole), -1)
        sums = 255 * np.array([[a + b for a, b in combinations(channel, 2)] for channel in flat[:12]])
        assert sums.min() >= -(2**15) and sums.max() < 2**15
        assert np.abs(flat[4:]).max(1).min() >= 63 and not flat[2].any() and np.abs(flat[3]).max() == 127


def tap(graph, name: str, images: np.ndarray) -> np.ndarray:
    from nin.engine.onnx_file import Port, to_bytes

    port = Port(name, "float32", ("n", "c", "h", "w"))
    session = onnxruntime.InferenceSession(to_bytes(replace(graph, outputs=(*graph.outputs, port)), "0"))
    return session.run([name], {"resized": images})[0]


def test_pt2_runs_for_any_number_of_pictures(default_bundle):
    runner = TorchRunner(default_bundle, "cpu")
    data = pt2.program(runner.model, default_bundle.preprocess, default_bundle.calibration.temperature)
    for count in (1, 3):
        images = np.stack([default_bundle.preprocess.resize(cut) for cut in cuts(count)])
        np.testing.assert_allclose(pt2.run_program(data, images).maps, runner.run(images).maps, atol=1e-5)


def test_nothing_is_replaced_unasked_and_nothing_is_left_by_a_failure(default_bundle, tmp_path, monkeypatch):
    nin.export(default_bundle.folder, out=tmp_path / "m.onnx")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UsageError, match=r"m.onnx exists; choose another --out, or replace it with --overwrite"):
        nin.export(default_bundle.folder, out=tmp_path / "m.onnx")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    nin.export(default_bundle.folder, out=tmp_path / "m.onnx", overwrite=True)
    monkeypatch.setattr(proof, "seal_json", lambda value: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        nin.export(default_bundle.folder, out=tmp_path / "n.onnx")
    assert not (tmp_path / "n.onnx").exists()


def test_eight_bits_need_labelled_pictures(default_bundle, tmp_path):
    with pytest.raises(
        UsageError,
        match=r"needs labelled pictures of .* 4 classes .* to calibrate with; name the data set: --data PATH",
    ):
        nin.export(default_bundle.folder, format="onnx-int8", out=tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def short_bench(monkeypatch, tmp_path):
    """`nin bench` whose rounds are short, where OpenVINO is planted and trials find it 1.5 times as fast."""
    from nin.commands import bench

    monkeypatch.setattr(bench, "ROUND_SECONDS", 0.01)
    monkeypatch.setattr(bench, "LATENCIES", 10)
    monkeypatch.setattr(machine.platformdirs, "user_cache_dir", lambda name: str(tmp_path / "cache" / name))
    monkeypatch.setattr(fastest, "_trial", lambda *_: ({"times": 1.5}, True))
    plant(tmp_path / "planted", monkeypatch, "alike")
    return bench.bench


def test_bench_measures_every_form_and_says_which_is_taken(short_bench, model, photos):
    ours, openvino, torchs = found = short_bench([str(model)], data=photos, threads=1)
    assert "ONNX Runtime" in ours.computed_by and "OpenVINO" in openvino.computed_by and "torch" in torchs.computed_by
    assert {one.n for one in found} == {24} and ours.accuracy == openvino.accuracy == torchs.accuracy
    assert [one.runtime for one in found] == ["onnxruntime", "openvino", "torch"]
    assert [one.auto for one in found] == [False, True, False]
    said = "runtime openvino (1.5 times onnxruntime here, measured)"
    assert [said in one.notes for one in found] == [False, True, False]
    for one in found:
        assert list(one.images_per_second) == [1, 8, 32, 128] and min(one.images_per_second.values()) > 0
        assert 0 < one.milliseconds["p50"] <= one.milliseconds["p95"] <= one.milliseconds["p99"]


def test_bench_measures_one_runtime_alone_and_none_that_fails(short_bench, model, tmp_path, monkeypatch):
    for runtime in ("onnxruntime", "openvino"):
        (one,) = short_bench([str(model)], threads=1, runtime=runtime)
        assert (one.runtime, one.auto, one.notes) == (runtime, False, ())
    plant(tmp_path / "planted-9.1", monkeypatch, "SIGSEGV", "9.1")  # opening it here would end the tests
    monkeypatch.setattr(fastest, "_trial", lambda *_: ({"fault": "ends its process here (SIGSEGV)"}, True))
    ours, torchs = short_bench([str(model)], threads=1)
    assert (ours.runtime, ours.auto, torchs.runtime) == ("onnxruntime", True, "torch")
    assert ours.notes == ("runtime onnxruntime (openvino ends its process here (SIGSEGV))",)
