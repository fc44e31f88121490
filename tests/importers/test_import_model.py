"""Importing foreign networks: what the files are, how pictures are prepared, the model folder, and what is refused."""

import argparse
import hashlib
import json
import os

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

import nin
from foreign_files import (
    SOLVER,
    blob,
    caffe_imagenet,
    caffe_layer,
    caffe_net,
    caffemodel,
    cuda_convnet_def,
    cuda_convnet_params,
    rows,
)
from nin.bundle.folder import read_bundle
from nin.errors import DataError, ModelError, UsageError
from nin.run.options import ImportOptions

WIDTHS, KERNELS = (6, 5, 4, 4, 3, 4, 5, 4, 3), (5, 1, 1, 5, 1, 1, 3, 1, 1)


def port(seed=0):
    """jiecaoyu's row of modules with narrow layers."""
    torch.manual_seed(seed)
    parts, reads = [], 3
    for number, (width, kernel) in enumerate(zip(WIDTHS, KERNELS, strict=True)):
        conv = nn.Conv2d(reads, width, kernel, padding=kernel // 2)
        nn.init.uniform_(conv.bias)
        parts += [conv, nn.ReLU()]
        reads = width
        if number in (2, 5):
            parts += [(nn.MaxPool2d if number == 2 else nn.AvgPool2d)(3, 2, 1), nn.Dropout(0.5)]
    return nn.Sequential(*parts).eval()


def numbers(seed=1):
    rng = np.random.default_rng(seed)
    shapes = {name: ((width, reads, kernel, kernel), (width,)) for name, kernel, reads, width, _ in rows("tiny")}
    draw = {4: lambda shape: rng.normal(0, 0.5, shape), 1: lambda shape: rng.uniform(0, 1, shape)}
    return {
        name: [(draw[len(shape)](shape).astype(np.float32).ravel().tolist(), shape) for shape in pair]
        for name, pair in shapes.items()
    }


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net_def").write_text(cuda_convnet_def("cifar10"))
    (tmp_path / "net_params").write_text(cuda_convnet_params())
    (tmp_path / "tiny.prototxt").write_text(caffe_net("tiny"))
    (tmp_path / "solver.prototxt").write_text(SOLVER)
    (tmp_path / "tiny.caffemodel").write_bytes(caffemodel(numbers()))
    torch.save({"state_dict": port().state_dict()}, tmp_path / "port.pth")
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    return tmp_path


def pixels():
    return np.asarray(Image.open("picture.png"), np.float64)


def probabilities(model):
    (answer,) = nin.predict(model, ["picture.png"], device="cpu")
    return [score for _, score in sorted(answer.scores)]


def test_definitions_alone_are_only_translated(here):
    found = nin.import_model(["net_params", "net_def"], out="model")
    assert found.network["name"] == "nin-author-cifar10"
    assert (found.parameters, found.source) == (966_986, "cuda-convnet definition")
    assert found.recipe.startswith("epsW 1, ")
    assert found.model is None and not (here / "model").exists()
    assert found.missing == "these files hold no weights; train it here: nin train PATH --network nin-author-cifar10"
    assert found.pictures == "32 x 32 pixels, 3 channels, after global contrast normalisation and ZCA whitening"
    caffe = nin.import_model(["tiny.prototxt", "solver.prototxt"])
    assert caffe.missing == "these files hold no weights; add the .caffemodel that belongs to them"
    assert "max_iter 120000" in caffe.recipe


def test_a_port_answers_as_its_own_network_does(here):
    """From the file to `nin predict`, judged by the network that wrote the file."""
    (here / "labels.txt").write_text("고양이\ndog\nowl\n")
    said = {"layout": "pytorch-nin-cifar10", "labels": "labels.txt", "size": 16, "mean": "0.5,0.4,0.3", "std": "0.2"}
    found = nin.import_model(["port.pth"], out="model", **said)
    assert (found.model, found.warnings) == (here.__class__("model"), ())
    x = torch.from_numpy((pixels() / 255 - [0.5, 0.4, 0.3]) / 0.2).float().permute(2, 0, 1)[None]
    with torch.no_grad():
        expected = torch.softmax(port()(x).mean((2, 3)), 1)[0]
    (answer,) = nin.predict("model", ["picture.png"], device="cpu")
    scores = dict(answer.scores)
    assert [scores[name] for name in ("고양이", "dog", "owl")] == pytest.approx(expected.tolist(), abs=1e-5)


def test_safetensors_and_torch_give_the_same_folder(here):
    save_file(port().state_dict(), "port.safetensors")
    for file, out in (("port.pth", "a"), ("port.safetensors", "b")):
        nin.import_model([file], out=out, mean="0.5", std="0.2")
    first, second = (read_bundle(out).weights() for out in ("a", "b"))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_caffe_weights_answer_as_caffe_prepares_pictures(here):
    """BGR minus the mean, times the scale: turned round and folded here, the same answers."""
    data = "transform_param { mean_value: 104 mean_value: 117 mean_value: 123 scale: 0.00390625 }"
    (here / "tiny.prototxt").write_text(caffe_net("tiny", data=data))
    found = nin.import_model(["tiny.prototxt", "tiny.caffemodel"], out="model", size=16)
    assert "read BGR; here they are turned round" in found.pictures
    assert read_bundle("model").preprocess.std == (1.0,) * 3  # 1 / (255 * 0.0039) is more than 1: the rest is folded
    parts, names = port(), iter(numbers().items())
    for module in parts:
        if isinstance(module, nn.Conv2d):
            for tensor, (values, shape) in zip((module.weight, module.bias), next(names)[1], strict=True):
                tensor.data = torch.tensor(values).reshape(shape)
        if isinstance(module, nn.MaxPool2d | nn.AvgPool2d):
            module.padding, module.ceil_mode = 0, True
    bgr = (pixels()[..., ::-1] - [104, 117, 123]) * 0.00390625
    with torch.no_grad():
        x = torch.from_numpy(bgr.copy()).float().permute(2, 0, 1)[None]
        expected = torch.softmax(parts(x).mean((2, 3)), 1)[0]
    assert len({round(score, 2) for score in expected.tolist()}) == 3  # no two classes alike: the test can see
    assert probabilities("model") == pytest.approx(expected.tolist(), abs=1e-5)
    turned = nin.import_model(["tiny.prototxt", "tiny.caffemodel"], out="rgb", size=16, colours="rgb")
    assert "BGR" not in turned.pictures
    assert probabilities("rgb") != pytest.approx(expected.tolist(), abs=1e-3)


def test_a_mean_picture_is_averaged_into_one_colour(here):
    (here / "tiny.prototxt").write_text(caffe_net("tiny", data='transform_param { mean_file: "mean.binaryproto" }'))
    with pytest.raises(UsageError) as caught:
        nin.import_model(["tiny.prototxt", "tiny.caffemodel"], out="model")
    assert str(caught.value) == (
        "the network subtracts the mean picture mean.binaryproto, which is not among the files; add it, or pass --mean"
    )
    (here / "mean.binaryproto").write_bytes(blob([51.0] * 4 + [102.0] * 4 + [153.0] * 4, (1, 3, 2, 2), legacy=True))
    nin.import_model(["tiny.prototxt", "tiny.caffemodel", "mean.binaryproto"], out="model")
    preprocess = read_bundle("model").preprocess
    assert preprocess.mean == pytest.approx((0.6, 0.4, 0.2))  # blue comes first in Caffe's file
    assert preprocess.std == pytest.approx((1 / 255,) * 3)


def test_the_folder_says_where_it_comes_from(here):
    found = nin.import_model(["port.pth"], out="model", layout="pytorch-nin-cifar10")
    digest = hashlib.sha256((here / "port.pth").read_bytes()).hexdigest()
    assert found.files == (("port.pth", digest),)
    told = json.loads((here / "model" / "config.json").read_text())["nin"]["provenance"]
    assert told["files (SHA-256)"] == {"port.pth": digest}
    assert told["license"] == "unknown"
    card = (here / "model" / "README.md").read_text()
    assert digest in card and "jiecaoyu/pytorch-nin-cifar10" in card
    assert found.warnings == (
        "the network was trained on pictures after global contrast normalisation and ZCA whitening, which its model "
        "folder does not do: what it answers for ordinary pictures means little; pass --whiten with the pictures it "
        "was trained on",
    )
    assert found.warnings[0][:60] in card
    assert nin.summary("model").parameters == found.parameters


def test_a_network_of_whitened_pictures_gets_its_whitening_fitted(here):
    """Judged by the network that wrote the file on pictures whitened by plain formulas in float64."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (40, 8, 8, 3)).repeat(2, 1).repeat(2, 2).astype(np.uint8)  # 16 x 16, coarse
    for number, picture in enumerate(pictures):
        folder = here / "seen" / "train" / ("cat", "dog")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / f"{number:02}.png")
    found = nin.import_model(["port.pth"], out="model", layout="pytorch-nin-cifar10", size=16, whiten="seen")
    assert found.warnings == () and found.pictures == (
        "stretched to 16 x 16 pixels, RGB, the picture's mean removed, scaled to a norm of 55 (GCN), then ZCA "
        "whitening fitted on 40 training pictures"
    )

    def contrast(images):
        flat = images.transpose(0, 3, 1, 2).reshape(len(images), -1).astype(np.float64)
        flat -= flat.mean(1, keepdims=True)
        return 55 * flat / np.sqrt((flat**2).sum(1, keepdims=True))

    known = contrast(pictures)
    mean = known.mean(0)
    values, vectors = np.linalg.eigh((known - mean).T @ (known - mean) / len(known) + 0.1 * np.eye(768))
    with Image.open(here / "picture.png") as opened:
        asked = np.asarray(opened.convert("RGB").resize((16, 16), Image.Resampling.BILINEAR))
    white = (contrast(asked[None]) - mean) @ (vectors / np.sqrt(values)) @ vectors.T
    with torch.no_grad():
        x = torch.from_numpy(white.reshape(1, 3, 16, 16)).float()
        expected = torch.softmax(port()(x).mean((2, 3)), 1)[0]
    assert probabilities("model") == pytest.approx(expected.tolist(), abs=1e-4)


def test_whitening_that_cannot_be_fitted_is_one_line(here):
    with pytest.raises(UsageError, match=r"(?m)^--whiten takes the place of --mean and --std; leave one out$"):
        nin.import_model(["port.pth"], out="model", whiten="seen", mean="0.5")
    with pytest.raises((DataError, UsageError), match=r"nowhere"):
        nin.import_model(["port.pth"], out="model", size=16, whiten="nowhere")
    assert not (here / "model").exists()


def test_the_author_s_big_network_goes_the_whole_way(here):
    """7.6 million numbers, legacy shapes: only read and shown, nothing is written."""
    shapes, reads = {}, 3
    names = caffe_imagenet().split('name: "')
    for part in names:
        if "CONVOLUTION" in part:
            name, words = part.partition('"')[0], part.split()
            width, kernel = int(words[words.index("num_output:") + 1]), int(words[words.index("kernel_size:") + 1])
            shapes[name], reads = ((width, reads, kernel, kernel), (width,)), width
    weights = {name: [([0.0] * int(np.prod(shape)), shape) for shape in pair] for name, pair in shapes.items()}
    (here / "big.prototxt").write_text(caffe_imagenet())
    (here / "big.caffemodel").write_bytes(caffemodel(weights, version=1, legacy=True))
    found = nin.import_model(["big.prototxt", "big.caffemodel"], mean="0.4")
    assert (found.network["name"], found.parameters) == ("nin-author-imagenet", 7_595_176)
    assert found.warnings == ("Caffe cut 224x224 from the middle of larger pictures; here they are resized, then cut",)
    assert found.missing == "pass --out to write a model folder"


TOGETHER = "do not belong together; give the files of one network"


@pytest.mark.parametrize(
    ("files", "options", "reason"),
    [
        ([], {}, "0 files are given; expected the definition or the weights of one network"),
        (["nothere"], {}, "nothere does not exist; expected a definition file or a file of weights"),
        (["."], {}, ". is a folder; expected a definition file or a file of weights"),
        (["pipe"], {}, "pipe is not a file; expected a definition file or a file of weights"),
        (
            ["net_def", "net_def"],
            {},
            "net_def and net_def are both cuda-convnet definition; give the files of one network",
        ),
        (["net_def", "port.pth"], {}, f"net_def (cuda-convnet definition) and port.pth (PyTorch weights) {TOGETHER}"),
        (
            ["net_params"],
            {},
            "net_params (cuda-convnet hyper-parameters) does not tell the network; add its cuda-convnet definition "
            "(net_def)",
        ),
        (
            ["tiny.caffemodel"],
            {},
            "tiny.caffemodel (Caffe weights) does not tell the network; add its Caffe network definition "
            "(train_val.prototxt or deploy.prototxt)",
        ),
        (
            ["net_def"],
            {"layout": "pytorchcv"},
            "--layout is for PyTorch weights, whose file does not tell the network; leave it out",
        ),
        (
            ["net_def"],
            {"pooling": "ceil"},
            "--pooling is for PyTorch weights, whose file does not tell the network; leave it out",
        ),
        (
            ["tiny.prototxt", "tiny.caffemodel"],
            {"last_relu": "off"},
            "--last-relu is for PyTorch weights, whose file does not tell the network; leave it out",
        ),
        (["port.pth"], {"pooling": "round"}, '--pooling is "round"; expected padding, ceil or floor'),
        (["port.pth"], {"last_relu": "yes"}, '--last-relu is "yes"; expected on or off'),
        (["port.pth"], {"norm_eps": 2.0}, "--norm-eps is 2.0; expected 0 to 1"),
        (["port.pth"], {"size": 4}, "--size is 4; expected 8 to 4096"),
        (["port.pth"], {"mean": "1,2"}, "--mean is '1,2'; expected 3 numbers from 0 to 1, separated by commas"),
        (["port.pth"], {"std": "0"}, "--std is '0'; expected 3 numbers from 1e-06 to 1, separated by commas"),
        (["port.pth"], {"colours": "yuv"}, '--colours is "yuv"; expected rgb or bgr'),
        (
            ["port.pth"],
            {"labels": "cifar10"},
            "--labels names 10 classes and the network has 3; name each once, in its order",
        ),
        (
            ["port.pth"],
            {"labels": "nothere"},
            "--labels nothere cannot be used (nothere cannot be read (No such file or directory); check the path; its "
            "folder must exist); expected cifar10 or a text file with one class name a line",
        ),
        (["port.pth"], {"labels": "twice.txt"}, "--labels names a class twice; give each its own name"),
        (["port.pth"], {"out": "full"}, "full is not empty; choose another --out, or replace it with --overwrite"),
        (["port.pth"], {"lables": "x"}, "there is no option 'lables'; there are out, labels, layout, key, pooling, "
         "pools, last_relu, norm_eps, size, mean, std, colours, whiten, overwrite; did you mean labels?"),
    ],
)  # fmt: skip
def test_a_wrong_use_is_said_in_one_line(files, options, reason, here):
    os.mkfifo("pipe")
    (here / "twice.txt").write_text("a\nb\na\n")
    (here / "full").mkdir()
    (here / "full" / "notes.txt").write_text("mine")
    before = sorted(here.rglob("*"))
    with pytest.raises(UsageError) as caught:
        nin.import_model(files, **{"out": "model", **options})
    assert str(caught.value) == reason
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xfea\0", "file is a text in UTF-16; save it as UTF-8"),
        (b"ok\n# caf\xe9", "file:2: byte 0xe9 is not UTF-8; save the file as UTF-8"),
        (b"\x89HDF\r\n\x1a\n", "file is an HDF5 file; save the weights as .caffemodel, .pth or .safetensors"),
        (b"x" * (4 * 2**20 + 1), "file is a text of 4,194,305 bytes; expected a definition of at most 4,194,304"),
        (b"PK\x03\x04", "file is damaged (File is not a zip file); get it again"),
        (b"# nothing", "file holds no layer; expected Caffe's layer { ... } or layers { ... }"),
        (b"hello", "file:1: found the end of the file; expected : or { after hello"),
        (b"\x20" + b"\0" * 7 + b"{" + b"\0" * 40, "file is damaged (Error while deserializing"),
    ],
)  # fmt: skip
def test_a_file_that_is_none_of_these_is_said_in_one_line(content, reason, here):
    (here / "file").write_bytes(content)
    with pytest.raises(ModelError) as caught:
        nin.import_model(["file"], out="model")
    assert str(caught.value).startswith(reason)
    assert "\n" not in str(caught.value)
    assert not (here / "model").exists()


def test_what_weights_do_not_tell_is_warned_of_and_can_be_said(here):
    """A port whose poolings round up has the same names and shapes; what is said is what every path computes."""
    ceil = nn.Sequential(*(rounded_up(module) for module in port()))
    torch.save({"state_dict": ceil.state_dict(), "args": argparse.Namespace(lr=0.1)}, "ceil.pth")
    silent = nin.import_model(["ceil.pth"], out="silent", size=16, mean="0.5", std="0.2")
    assert "padded by 1 (else --pooling ceil or floor)" in silent.warnings[0]
    assert silent.warnings[0][:40] in (here / "silent" / "README.md").read_text()
    said = {"pooling": "ceil", "pools": "max,avg", "last_relu": "on"}
    found = nin.import_model(["ceil.pth"], out="model", size=16, mean="0.5", std="0.2", **said)
    assert found.warnings == ()
    x = torch.from_numpy((pixels() / 255 - 0.5) / 0.2).float().permute(2, 0, 1)[None]
    with torch.no_grad():
        expected = torch.softmax(ceil(x).mean((2, 3)), 1)[0].tolist()
        assert torch.allclose(nin.load("model", device="cpu").model(x), ceil(x).mean((2, 3)), atol=1e-5)
    assert probabilities("model") == pytest.approx(expected, abs=1e-5)
    assert probabilities("silent") != pytest.approx(expected, abs=1e-3)
    nin.export("model", out="model.onnx")
    assert probabilities("model.onnx") == pytest.approx(expected, abs=1e-5)


def rounded_up(module):
    """The same pooling as PyTorch rounds up; everything else as it is."""
    if isinstance(module, nn.MaxPool2d | nn.AvgPool2d):
        return type(module)(3, 2, ceil_mode=True)
    return module


def test_pictures_of_which_the_weights_tell_nothing_are_warned_of(here):
    """d2l's rows of modules carry no sign of how their pictures were prepared."""
    rows = {}
    for number, (reads, width, side) in {0: (3, 4, 11), 2: (4, 4, 5), 4: (4, 4, 3), 7: (4, 3, 3)}.items():
        for place, (taken, size) in {0: (reads, side), 2: (width, 1), 4: (width, 1)}.items():
            rows |= {f"net.{number}.{place}.weight": torch.ones(width, taken, size, size) / 99}
            rows |= {f"net.{number}.{place}.bias": torch.ones(width)}
    save_file({name: tensor.bfloat16() for name, tensor in rows.items()}, "d2l.safetensors")
    heard = nin.import_model(["d2l.safetensors"]).warnings
    assert heard[0].startswith("the weights do not tell everything; supposed as in d2l: poolings max, max, max")
    assert heard[1:] == (
        "the weights do not tell how pictures were prepared either; supposed are mean 0,0,0, std 1,1,1 of values from "
        "0 to 1 (else --mean, --std), RGB (else --colours bgr)",
    )
    assert nin.import_model(["d2l.safetensors"], layout="d2l").warnings == ()
    assert nin.import_model(["d2l.safetensors"]).pictures.startswith("stretched to 224 x 224 pixels, RGB")


def test_a_network_that_would_fill_the_memory_is_refused_before_it_is_built(here):
    """Every layer pads by 254 places, so that the maps of a small picture grow to 15,000 places a side."""
    text, top = 'input: "c0" input_dim: 1 input_dim: 1 input_dim: 8 input_dim: 8\n', "c0"
    for name in (f"c{number}" for number in range(1, 61)):
        size = "kernel_size: 1" if name == "c60" else "kernel_size: 255 pad: 254"
        text += caffe_layer(True, name, "Convolution", [top], None, f"convolution_param {{ num_output: 1 {size} }}")
        text, top = text + caffe_layer(True, f"r{name}", "ReLU", [name], [name]), name
    text += caffe_layer(True, "all", "Pooling", [top], None, "pooling_param { pool: AVE global_pooling: true }")
    (here / "huge.prototxt").write_text(text)
    with pytest.raises(ModelError) as caught:
        nin.import_model(["huge.prototxt"])
    sides = [8 + 254 * number for number in (*range(1, 60), 59)]
    assert str(caught.value) == (
        f"the network needs {4 * sum(side**2 for side in sides):,} bytes for its maps for one picture of 8x8, "
        "which no Network in Network does; pass a smaller --size"
    )


def test_weights_that_are_no_numbers_are_not_written(here):
    state = port().state_dict()
    state["0.bias"][0] = float("nan")
    torch.save(state, "nan.pth")
    with pytest.raises(
        ModelError, match=r"^the weights hold NaN or infinity, or give them for a black picture; get them"
    ):
        nin.import_model(["nan.pth"], out="model")
    assert not (here / "model").exists()


def test_a_folder_is_replaced_only_when_asked(here):
    nin.import_model(["port.pth"], out="model")
    before = (here / "model" / "config.json").read_bytes()
    with pytest.raises(UsageError):
        nin.import_model(["port.pth"], out="model", mean="0.1")
    assert (here / "model" / "config.json").read_bytes() == before
    nin.import_model(["port.pth"], ImportOptions(overwrite=True), out="model", mean="0.1")
    assert read_bundle("model").preprocess.mean == (0.1,) * 3
