"""Caffe's definitions: the author's zoo models in both spellings, solvers, inputs, and what has no counterpart."""

import math
import os

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foreign_files import NAMES, SOLVER, caffe_imagenet, caffe_layer, caffe_net, one_line
from nin.errors import ModelError
from nin.importers.caffe import is_solver, read_net, solver_in_words
from nin.importers.prototxt import parse_prototxt
from nin.network.anatomy import anatomy
from nin.network.architecture import BlockConfig, _pool
from nin.network.author_networks import author_cifar10, author_imagenet, author_mnist

EXAMPLES = 5_000 if os.environ.get("NIN_HEAVY") == "1" else 100


def read(text, solver=None):
    return read_net(parse_prototxt(text, "net"), None if solver is None else parse_prototxt(solver, "solver"))


@pytest.mark.parametrize("new", [True, False])
def test_the_author_s_cifar10_model_of_the_zoo(new):
    found = read(caffe_net("cifar10", new=new), SOLVER)
    assert found.config == author_cifar10(pool2="avg", dropout_kind="inverted")
    assert found.names == NAMES
    assert (found.input.side, found.input.bgr) == (32, False)
    assert found.input.odd == "global contrast normalisation and ZCA whitening"
    assert found.training == (
        "base_lr 0.1; lr_policy step; gamma 0.1; stepsize 100000; momentum 0.9; weight_decay 0.0001; max_iter 120000"
    )


@pytest.mark.parametrize("new", [True, False])
def test_the_author_s_imagenet_model_of_the_zoo(new):
    found = read(caffe_imagenet(new=new))
    assert found.config == author_imagenet()
    assert anatomy(found.config, (3, 224, 224)).parameters == 7_595_176
    assert (found.input.side, found.input.bgr, found.input.cropped) == (224, True, True)
    assert found.input.mean_file == "imagenet_mean.binaryproto"
    assert found.input.std == pytest.approx((1 / 255,) * 3)


def test_other_pooling_is_another_variant_of_the_same_network():
    assert read(caffe_net("cifar10", pool2="MAX")).config == author_cifar10(dropout_kind="inverted")


def test_a_deploy_file_tells_size_and_channels():
    head = 'input: "data" input_dim: 1 input_dim: 1 input_dim: 28 input_dim: 28\n'
    body = "".join(f"layer {part}" for part in caffe_net("mnist", data="").split("layer ")[3:-2])
    for text in (
        head + body,
        'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 1 dim: 28 dim: 28 } } }'
        + body,
    ):
        found = read(text)
        assert found.config == author_mnist(pool2="avg", dropout_kind="inverted")
        assert (found.input.side, found.input.mean) == (28, None)


def test_mean_and_scale_in_bgr_become_mean_and_spread_in_rgb():
    """Caffe computes (x - mean) * scale of 0..255; the same numbers come out of (x / 255 - m) / s."""
    text = caffe_net("tiny", data="transform_param { mean_value: 104 mean_value: 117 mean_value: 123 scale: 0.5 }")
    told = read(text).input
    assert told.bgr
    blue, green, red = 30.0, 60.0, 90.0
    ours = [(value / 255 - m) / s for value, m, s in zip((red, green, blue), told.mean, told.std, strict=True)]
    assert ours == pytest.approx([(red - 123) * 0.5, (green - 117) * 0.5, (blue - 104) * 0.5])
    assert read(caffe_net("tiny", data="transform_param { mean_value: 128 }")).input.mean == pytest.approx(
        (128 / 255,) * 3
    )
    assert read(caffe_net("tiny")).input.mean == (0.0,) * 3


def test_other_fillers_and_missing_biases_are_said():
    text = caffe_net("tiny").replace('"gaussian" std: 0.05', '"xavier"', 1).replace("value: 0 ", "value: 1 ", 1)
    found = read(text.replace("num_output: 5", "num_output: 5 bias_term: false", 1))
    assert found.config.init == "kaiming"
    assert [note.partition(": ")[2] for note in found.notes] == [
        "first biases of conv1 are not 0; here they begin at 0",
        "cccp1 has no bias; here it has one that begins at 0",
        "layer conv1 is not drawn from N(0, std); here all first weights are Kaiming's",
    ]


def test_a_relu_behind_max_pooling_is_one_before_it():
    moved = caffe_net("tiny").replace(caffe_layer(True, "relu_cccp2", "ReLU", ["cccp2"], ["cccp2"]), "")
    late = caffe_layer(True, "relu_cccp2", "ReLU", ["pool1"], ["pool1"])
    drop = caffe_layer(True, "drop1", "Dropout", ["pool1"], ["pool1"], "dropout_param { dropout_ratio: 0.5 }")
    assert read(moved.replace(drop, late + drop)).config == read(caffe_net("tiny")).config


def test_global_pooling_needs_no_size():
    text = caffe_net("tiny").replace("pool: AVE kernel_size: 8 stride: 1", "pool: AVE global_pooling: true")
    assert read(text).input.side is None
    assert read(text).config == read(caffe_net("tiny")).config


def change(old, new, text=None):
    text = text or caffe_net("tiny")
    assert old in text
    return text.replace(old, new, 1)


NO = "has no counterpart here"
KNOWN = f"which {NO}; known are convolution, pooling, ReLU, dropout, softmax and data layers"
ROW = "layers stand in one row here"
CROPPED = caffe_net("tiny", data="transform_param { crop_size: 32 }")
NO_COUNTERPART = [
    (
        change('type: "Convolution"', 'type: "InnerProduct"'),
        f"layer conv1 is of type 'InnerProduct' (a fully connected layer), {KNOWN}",
    ),
    (change('type: "ReLU"', 'type: "LRN"'), f"layer relu_conv1 is of type 'LRN', {KNOWN}"),
    (change("num_output: 6", "num_output: 6 dilation: 2"), f"dilation of other than 1 {NO}"),
    (
        change("num_output: 6", "num_output: 6 kernel_h: 3"),
        "kernel_size differs between height and width; only squares have a counterpart here",
    ),
    (change("num_output: 6", "num_output: 6 magic: 3"), f"magic of convolution_param {NO}"),
    (change("num_output: 6", "num_output: 0"), "layer conv1 makes 0 maps; expected 1 to 16,384"),
    (change("num_output: 6", "num_output: 900000000"), "layer conv1 makes 900000000 maps; expected 1 to 16,384"),
    (change("pool: MAX", "pool: STOCHASTIC"), "pool is STOCHASTIC; expected MAX or AVE"),
    (change("pool: MAX", "pool: MAX round_mode: FLOOR"), f"round_mode of pooling_param {NO}"),
    (change("dropout_ratio: 0.5", "dropout_ratio: 1"), "dropout of 1; expected 0 to 1"),
    (change('bottom: "conv1"', 'bottom: "cccp1"'), f"layer relu_conv1 reads cccp1; expected conv1: {ROW}"),
    (change('bottom: "data"', 'bottom: "loss"'), f"layer conv1 reads loss; expected the data: {ROW}"),
    (change('name: "cccp1"', 'name: "conv1"'), "layer 'conv1' has no name of its own; name every layer once"),
    (change('top: "conv1"', 'top: "conv1" top: "more"'), "layer conv1 has 2 outputs; expected one"),
    (
        change("kernel_size: 8", "kernel_size: 7", CROPPED),
        "layer pool3 averages 7x7 places, and pictures of 32x32 give maps of 8x8; "
        "expected an average over the whole map",
    ),
    (change("lr_mult: 1 ", 'name: "shared" lr_mult: 1 '), f"name of param {NO}"),
    (change("include { phase: TRAIN }", "include { stage: 'x' }"), f"stage of a rule {NO}"),
    (
        caffe_net("tiny") + caffe_layer(True, "more", "ReLU", ["pool3"], ["pool3"]),
        "layer more comes after the softmax; expected nothing there",
    ),
]


@pytest.mark.parametrize(("text", "reason"), NO_COUNTERPART)
def test_what_has_no_counterpart_is_said_in_one_line(text, reason):
    with pytest.raises(ModelError) as caught:
        read(text, SOLVER)
    place, _, found = str(caught.value).partition(": ")
    assert found == reason
    file, _, line = place.partition(":")
    assert file == "net"
    assert 1 <= int(line) <= text.count("\n") + 1


RELU = "layer { name: 'b' type: 'ReLU' bottom: 'a' top: 'b' }"
NO_DEFINITION = [
    ("", "net holds no layer; expected Caffe's layer { ... } or layers { ... }"),
    (
        "layers { layer { name: 'x' type: 'conv' } }",
        "net:1: layers of Caffe's first format; rewrite it with Caffe's upgrade_net_proto_text",
    ),
    ("layer { name: 'a' type: 'ReLU' }", f"net:1: layer a reads nothing; expected the data: {ROW}"),
    (
        f"input: 'a' {RELU} input_dim: 1 input_dim: 3",
        "net: the input has the dimensions [1, 3]; expected four, the last two equal",
    ),
    (f"input: 'a' {RELU}", "net:1: layer b comes before the first convolution; expected a convolution"),
]


@pytest.mark.parametrize(("text", "reason"), NO_DEFINITION)
def test_what_is_no_definition_is_said_in_one_line(text, reason):
    with pytest.raises(ModelError) as caught:
        read(text)
    assert str(caught.value) == reason


def test_a_solver_is_told_from_a_network_and_told_as_it_is():
    assert is_solver(parse_prototxt(SOLVER, "s")) and not is_solver(parse_prototxt(caffe_net("tiny"), "n"))
    other = parse_prototxt("base_lr: 1 type: 'Adam' stepvalue: 5 stepvalue: 30 display: 10", "solver")
    assert solver_in_words(other) == "type Adam; base_lr 1; stepvalue 5, 30"


def caffe_average(x, kernel, stride, pad):
    """Caffe's average pooling, from the formulas of its layer: one map (H, W), float64."""
    height, width = x.shape

    def count(side):
        out = math.ceil((side + 2 * pad - kernel) / stride) + 1
        return out - 1 if pad and (out - 1) * stride >= side + pad else out

    made = np.empty((count(height), count(width)))
    for row in range(made.shape[0]):
        for column in range(made.shape[1]):
            top, left = row * stride - pad, column * stride - pad
            bottom, right = min(top + kernel, height + pad), min(left + kernel, width + pad)
            size = (bottom - top) * (right - left)
            window = x[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
            made[row, column] = window.sum() / size
    return made


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(1, 5), st.data(), st.integers(3, 12), st.integers(3, 12))
def test_our_average_pooling_is_caffe_s(kernel, data, height, width):
    """Rounded up, padded or not: Caffe divides by the window as far as it lies in the padded map, and so does ours."""
    stride = data.draw(st.integers(1, kernel))
    pad = data.draw(st.integers(0, kernel // 2))
    x = np.random.default_rng(height * width).normal(size=(height, width))
    if min(height, width) + 2 * pad < kernel:
        return
    block = BlockConfig((1,), 1, pool="avg", pool_size=kernel, pool_stride=stride, pool_padding=pad)
    ours = _pool(block)(torch.from_numpy(x)[None, None])[0, 0].numpy()
    expected = caffe_average(x, kernel, stride, pad)
    assert ours.shape == expected.shape
    assert np.abs(ours - expected).max() < 1e-12


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.data())
def test_a_damaged_definition_is_read_or_refused_in_one_line(data):
    text = caffe_net("tiny")
    start, length = data.draw(st.integers(0, len(text))), data.draw(st.integers(0, 60))
    words = st.sampled_from(
        ["{", "}", ":", "1", "-1", "999999999", "bottom: 'x'", "type: MAX", "layer { }", "param: 1"]
    )
    try:
        read(text[:start] + data.draw(words | st.text(max_size=6)) + text[start + length :], SOLVER)
    except ModelError as error:
        assert one_line(str(error))
