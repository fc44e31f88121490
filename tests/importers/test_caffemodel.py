"""Caffe's binary weights, written here byte by byte in every format that Caffe has had, and read back."""

import os
import random
import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foreign_files import blob, caffe_net, caffemodel, entry, one_line, rows, varint
from nin.errors import ModelError
from nin.importers.caffe import read_net
from nin.importers.caffemodel import is_mean_picture, read_caffemodel, read_convolutions, read_mean
from nin.importers.neutral import weights_for
from nin.importers.prototxt import parse_prototxt
from nin.network.architecture import NIN
from reference import slide_mlp, slide_pool

EXAMPLES = 50_000 if os.environ.get("NIN_HEAVY") == "1" else 300


def weights(net="tiny", seed=1):
    """{layer: ((numbers, shape) of its weights, of its bias)}, float32 numbers."""
    rng = np.random.default_rng(seed)
    made = {}
    for name, kernel, reads, width, _ in rows(net):
        shapes = ((width, reads, kernel, kernel), (width,))
        made[name] = [(rng.normal(0, 0.3, shape).astype(np.float32).ravel().tolist(), shape) for shape in shapes]
    return made


WRITTEN = weights()


@pytest.mark.parametrize("version", [0, 1, 2])
@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize(("packed", "double"), [(True, False), (False, False), (True, True), (False, True)])
def test_every_format_is_read(version, legacy, packed, double):
    data = caffemodel(WRITTEN, version=version, legacy=legacy, packed=packed, double=double)
    layers = read_caffemodel(data, "f")
    assert list(layers) == list(WRITTEN)
    for found, (name, written) in zip(read_convolutions(layers, tuple(layers), "f"), WRITTEN.items(), strict=True):
        assert found.name == f"f: {name}"
        for tensor, (numbers, shape) in zip((found.weight, found.bias), written, strict=True):
            assert torch.equal(tensor, torch.tensor(numbers).reshape(shape))


def test_the_network_computes_what_caffe_s_layers_do():
    """The whole way, judged by a slow numpy network that is built from Caffe's own words."""
    net = read_net(parse_prototxt(caffe_net("tiny"), "net"))
    layers = read_caffemodel(caffemodel(WRITTEN, legacy=True), "f")
    model = NIN(net.config).eval()
    model.load_state_dict(weights_for(net.config, read_convolutions(layers, net.names, "f")))
    x = np.random.default_rng(0).normal(size=(2, 3, 13, 13)).astype(np.float32)
    slow = x.astype(np.float64)
    names = list(WRITTEN)
    for first, pool in ((0, "max"), (3, "avg"), (6, None)):
        arrays = [
            [np.array(numbers).reshape(shape) for numbers, shape in WRITTEN[name]] for name in names[first : first + 3]
        ]
        flat = [arrays[0], *([weight[:, :, 0, 0], bias] for weight, bias in arrays[1:])]
        slow = slide_mlp(slow, flat, padding=arrays[0][0].shape[-1] // 2)
        slow = slow if pool is None else slide_pool(slow, pool, 3, 2, 0, True)
    logits = model(torch.from_numpy(x)).detach().numpy()
    assert np.abs(logits - slow.mean((2, 3))).max() < 1e-5


def test_layers_without_numbers_and_unknown_fields_are_passed_over():
    extra = entry(100, entry(1, "pool1") + entry(2, "Pooling")) + varint(5 << 3) + varint(1) + entry(77, b"\xff" * 9)
    extra += varint(78 << 3 | 5) + b"1234" + varint(79 << 3 | 1) + b"12345678"
    assert list(read_caffemodel(extra + caffemodel(WRITTEN) + extra, "f")) == list(WRITTEN)


def test_a_convolution_without_a_bias_gets_one_of_zeros():
    net = read_net(parse_prototxt(caffe_net("tiny"), "net"))
    bare = {name: blobs[:1] for name, blobs in WRITTEN.items()}
    state = weights_for(net.config, read_convolutions(read_caffemodel(caffemodel(bare), "f"), net.names, "f"))
    assert not state["blocks.0.spatial.bias"].any()


def test_a_mean_picture_gives_the_mean_of_every_channel():
    numbers = [*([1.0, 3.0] * 6), *([10.0] * 12), *([100.0] * 12)]
    data = blob(numbers, (1, 3, 3, 4), legacy=True)
    assert is_mean_picture(data) and is_mean_picture(blob(numbers, (1, 3, 3, 4)))
    assert not is_mean_picture(caffemodel(WRITTEN)) and not is_mean_picture(b"")
    assert read_mean(data, "f").tolist() == [2.0, 10.0, 100.0]
    with pytest.raises(
        ModelError, match=r"^f holds numbers of shape \(4,\); expected one mean picture \(1, C, H, W\)$"
    ):
        read_mean(blob([1.0] * 4, (4,)), "f")


LAYER = entry(1, "x")
FLOATS = entry(5, struct.pack("<2f", 1, 2))
NAME = "f has a layer whose name is not UTF-8 of at most 1,000 bytes; it is damaged"
DAMAGED = [
    (b"", "f holds no layer with weights; expected a .caffemodel of Caffe's binary format"),
    (caffemodel({}), "f holds no layer with weights; expected a .caffemodel of Caffe's binary format"),
    (b"\x00", "f is damaged, or another kind of file (field 0 of type 0 in it)"),
    (b"\x0b", "f is damaged, or another kind of file (field 1 of type 3 in it)"),
    (b"\x0a\x05abc", "f is cut short (5 bytes announced, 3 there); get it again"),
    (b"\x0d\x00", "f is cut short (4 bytes announced, 1 there); get it again"),
    (
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        "f is cut short (9,223,372,036,854,775,807 bytes announced, 0 there); get it again",
    ),
    (b"\xff", "f is cut short in the middle of a number; get it again"),
    (b"\xff" * 11, "f is damaged, or another kind of file (a number of more than 64 bits in it)"),
    (entry(100, entry(1, b"\xff") + entry(7, FLOATS)), NAME),
    (entry(100, entry(1, "x" * 1001)), NAME),
    (entry(100, LAYER + entry(7, entry(5, b"123"))), "f holds 3 bytes of numbers of 4 bytes each; it is damaged"),
    (
        entry(100, LAYER + entry(7, FLOATS + entry(7, entry(1, b"\x03")))),
        "f holds 2 numbers for a shape of 3; it is damaged",
    ),
    (entry(100, LAYER + entry(7, FLOATS)), "f holds 2 numbers for a shape of 0x0x0x0; it is damaged"),
    (
        entry(100, LAYER + entry(7, FLOATS + entry(7, entry(1, varint(2**40) + varint(2**40))))),
        "f holds 2 numbers for a shape of 1099511627776x1099511627776; it is damaged",
    ),
    (
        entry(100, LAYER + entry(7, entry(7, entry(1, b"\x01" * 99)))),
        "f holds numbers of more than 8 dimensions; expected weights of convolutions",
    ),
    (entry(100, LAYER + entry(7, blob([1.0], (1,)))) * 2, "f holds the layer x twice; which one counts cannot be told"),
    (entry(100, LAYER + entry(7, blob([1.0], (1,))) * 17), "f: layer x holds 17 blobs; expected at most 16"),
]


@pytest.mark.parametrize(("data", "reason"), DAMAGED)
def test_a_damaged_file_is_said_in_one_line(data, reason):
    with pytest.raises(ModelError) as caught:
        read_caffemodel(data, "f")
    assert str(caught.value) == reason


def test_weights_that_do_not_fit_are_said_in_one_line():
    net = read_net(parse_prototxt(caffe_net("tiny"), "net"))

    def reason(changed):
        with pytest.raises(ModelError) as caught:
            weights_for(net.config, read_convolutions(read_caffemodel(caffemodel(changed), "f"), net.names, "f"))
        return str(caught.value)

    assert reason({name: WRITTEN[name] for name in ("conv1", "cccp1")}) == (
        "f has no weights for layer cccp2; it has those of conv1, cccp1"
    )
    assert reason({**WRITTEN, "conv2": WRITTEN["conv1"]}) == (
        "f: conv2: weights are of shape (6, 3, 5, 5); the definition makes it (4, 4, 5, 5)"
    )
    assert reason({**WRITTEN, "conv1": [WRITTEN["conv1"][0], ([1.0], (1,))]}) == (
        "f: conv1: bias are of shape (1,); the definition makes it (6,)"
    )
    assert reason({**WRITTEN, "conv1": [*WRITTEN["conv1"], ([1.0], (1,))]}) == (
        "f: layer conv1 holds 3 blobs; expected weights and bias"
    )


def refused_in_one_line(data):
    try:
        read_caffemodel(data, "f")
        read_mean(data, "f")
    except ModelError as error:
        assert one_line(str(error))


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_in_one_line(data):
    refused_in_one_line(data)
    refused_in_one_line(entry(100, LAYER + entry(7, data)))


def test_any_cut_and_any_flipped_bit_is_read_or_refused_in_one_line():
    data = caffemodel({"conv1": WRITTEN["conv1"][1:]}, legacy=True) + caffemodel({"b": WRITTEN["cccp1"]}, version=1)
    for end in range(len(data)):
        refused_in_one_line(data[:end])
    rng = random.Random(0)
    for _ in range(EXAMPLES):
        changed = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        refused_in_one_line(bytes(changed))
