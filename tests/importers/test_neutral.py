"""Layers in a row become a network of ours, or the one line that says why not; weights become its state."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from nin.errors import ModelError
from nin.importers.neutral import (
    ConvWeights,
    ForeignLayer,
    assemble,
    convolution_paths,
    network_lines,
    recognise,
    reverse_colours,
    scale_input,
    weights_for,
)
from nin.network.architecture import NIN, BlockConfig, NINConfig
from nin.network.author_networks import author_cifar10, author_cifar100, author_imagenet, author_mnist, author_svhn


def layer(kind, **fields):
    return ForeignLayer(kind, fields.pop("name", kind), "file:1", **fields)


def conv(width=4, kernel=1, **fields):
    return layer("conv", width=width, kernel=kernel, padding=fields.pop("padding", kernel // 2), **fields)


RELU, GAP = layer("relu"), layer("avg", name="gap", kernel=8)
HALVED = layer("max", kernel=3, stride=2)
ROW = (conv(6, 5), RELU, conv(5), RELU, HALVED, layer("dropout", drop=0.5), conv(4, 3), RELU, conv(3), GAP)


def made(*layers, side=None, channels=3):
    return assemble(layers, name="x", in_channels=channels, side=side, dropout_kind="classic")


def test_a_row_becomes_blocks():
    config, side = made(*ROW)
    assert config == NINConfig(
        "x",
        (BlockConfig((6, 5), 5, pool="max", dropout=0.5), BlockConfig((4, 3), 3)),
        3,
        dropout_kind="classic",
    )
    assert side == 16  # the least that makes 8x8 maps: 16 -> 8, and 15 -> 7
    assert config.output_side(15) == 7
    kept, _ = made(*ROW[:-1], RELU, GAP)
    assert kept.last_activation


def test_a_1x1_layer_behind_a_pooling_begins_a_block():
    config, _ = made(conv(6, 3), RELU, HALVED, conv(5), RELU, conv(4, 1), layer("avg", kernel=4))
    assert [block.channels for block in config.blocks] == [(6,), (5, 4)]
    assert config.blocks[1].kernel_size == 1


@pytest.mark.parametrize("author", [author_cifar10, author_cifar100, author_svhn, author_mnist, author_imagenet])
def test_the_author_s_networks_are_recognised_and_others_are_not(author):
    config = author()
    assert recognise(replace(config, name="x")) == config
    other = replace(config.blocks[0], channels=(95, *config.blocks[0].channels[1:]))
    assert recognise(replace(config, name="x", blocks=(other, *config.blocks[1:]))).name == "x"
    drawn = tuple(replace(block, init_std=None) for block in config.blocks)
    assert recognise(replace(config, name="x", init="kaiming", blocks=drawn)).name == config.name


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        ((), "the definition holds no layer that computes anything; expected convolutions and poolings"),
        ((conv(),) * 201, "the definition holds 201 layers; expected at most 200"),
        ((RELU,), "file:1: layer relu comes before the first convolution; expected a convolution"),
        (
            (conv(), RELU),
            "file:1: layer relu is the last one; expected an average pooling over the whole map of each class",
        ),
        ((conv(), conv(), GAP), "file:1: layer conv has no ReLU after it; expected one after every convolution"),
        (
            (conv(), RELU, HALVED, HALVED, GAP),
            "file:1: layer max pools after pooling or dropout; here a pooling comes right after convolutions",
        ),
        (
            (conv(), layer("avg", kernel=3, stride=2), RELU, GAP),
            "file:1: layer relu comes after average pooling; here it can only come before it",
        ),
        (
            (conv(), RELU, layer("dropout", drop=0.5), layer("dropout", drop=0.5)),
            "file:1: layer dropout drops a second time; expected one dropout after a pooling",
        ),
        ((conv(reads=4), GAP), "file:1: layer conv reads 4 maps and the layer before it makes 3; make them equal"),
        ((conv(stride=300), GAP), "file:1: layer conv has the stride 300; expected 1 to 255"),
        ((conv(4, 3, padding=3), GAP), "file:1: layer conv pads by 3; expected less than its size, 3"),
        (
            (conv(), RELU, layer("avg", name="all", whole=True), conv(3), GAP),
            "file:1: layer all takes in the whole map before the last layer; expected that only at the end",
        ),
        ((conv(padding=-1), GAP), "file:1: layer conv has the padding -1; expected 0 to 255"),
        (
            (conv(), RELU, conv(3), layer("avg", name="gap", kernel=8, padding=1)),
            "file:1: layer gap pads the last maps; expected an average over the whole map and nothing else",
        ),
        (
            (conv(4, 3, groups=2), RELU, conv(3), GAP),
            "file makes no network of this package (groups of block 1 is 2; it must divide 3 and 4)",
        ),
        (
            (conv(3, 3), GAP),
            "file makes no network of this package (the last block feeds global average pooling: it ends in a 1x1 "
            "layer, no pool, no dropout; give it one more width before the last)",
        ),
    ],
)
def test_what_makes_no_network_is_said_in_one_line(layers, reason):
    with pytest.raises(ModelError) as caught:
        made(*layers)
    assert str(caught.value) == reason


def test_every_line_of_a_translation_names_a_module_that_exists():
    config, _ = made(*ROW)
    names = {name for name, _ in NIN(config).named_modules()}
    lines = network_lines(config, ROW)
    assert len(lines) == len(ROW)
    for line in lines:
        assert line.ours.partition(",")[0] in {*names, "relu"}
    assert convolution_paths(config) == tuple(
        name for name, m in NIN(config).named_modules() if isinstance(m, nn.Conv2d)
    )


def test_bias_and_eps_of_a_normalisation_are_folded_exactly():
    """conv + bias, then normalisation with another eps, is the normalisation of ours with other statistics."""
    config = NINConfig("x", (BlockConfig((4, 3), 3),), 3, norm="batch", last_norm=True, last_activation=True)
    parts = [nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4, eps=0.1), nn.Conv2d(4, 3, 1), nn.BatchNorm2d(3, eps=0.1)]
    for norm in parts[1::2]:
        nn.init.normal_(norm.running_mean)
        nn.init.uniform_(norm.running_var, 0.001, 1)
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    first, norm1, last, norm2 = (part.double().eval() for part in parts)
    given = [
        ConvWeights(name, c.weight, c.bias, (n.weight, n.bias, n.running_mean, n.running_var), eps=0.1)
        for name, c, n in (("a", first, norm1), ("b", last, norm2))
    ]
    model = NIN(config)
    model.load_state_dict(weights_for(config, given))
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    expected = torch.relu(norm2(last(torch.relu(norm1(first(x))))))
    assert torch.allclose(model.double().eval().forward_maps(x), expected, atol=1e-5)  # the state is float32


def test_colours_and_spread_go_into_the_first_weights():
    config, _ = made(*ROW)
    model = NIN(config).eval()
    state = model.state_dict()
    x = torch.randn(2, 3, 16, 16)
    other = NIN(config).eval()
    other.load_state_dict(reverse_colours(config, state))
    assert torch.allclose(other(x.flip(1)), model(x), atol=1e-6)
    other.load_state_dict(scale_input(state, 0.25))
    assert torch.allclose(other(x), model(0.25 * x), atol=1e-6)
    grouped = replace(config, blocks=(replace(config.blocks[0], groups=3, channels=(6, 5)), config.blocks[1]))
    with pytest.raises(
        ModelError, match=r"^the first convolution works in groups, so its colours cannot be reversed; "
    ):
        reverse_colours(grouped, state)
