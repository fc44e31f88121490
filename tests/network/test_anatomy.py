"""Costs and fields of view against the author's numbers, torch's own flop counter, hooks and measured gradients."""

import json
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from nin.errors import UsageError
from nin.network.anatomy import anatomy
from nin.network.architecture import (
    NIN,
    BlockConfig,
    NINConfig,
    author_cifar10,
    author_cifar100,
    author_imagenet,
    author_mnist,
    author_svhn,
    nin,
)

# name, kind, kernel, output, parameters, MACs, receptive field, jump: computed by hand from the definition file
CIFAR10 = [
    ("blocks.0.spatial", "conv", 5, (192, 32, 32), 14_592, 14_745_600, 5, 1),
    ("blocks.0.pointwise.0", "1x1", 1, (160, 32, 32), 30_880, 31_457_280, 5, 1),
    ("blocks.0.pointwise.1", "1x1", 1, (96, 32, 32), 15_456, 15_728_640, 5, 1),
    ("pools.0", "max pool", 3, (96, 16, 16), 0, 0, 7, 2),
    ("blocks.1.spatial", "conv", 5, (192, 16, 16), 460_992, 117_964_800, 15, 2),
    ("blocks.1.pointwise.0", "1x1", 1, (192, 16, 16), 37_056, 9_437_184, 15, 2),
    ("blocks.1.pointwise.1", "1x1", 1, (192, 16, 16), 37_056, 9_437_184, 15, 2),
    ("pools.1", "max pool", 3, (192, 8, 8), 0, 0, 19, 4),
    ("blocks.2.spatial", "conv", 3, (192, 8, 8), 331_968, 21_233_664, 27, 4),
    ("blocks.2.pointwise.0", "1x1", 1, (192, 8, 8), 37_056, 2_359_296, 27, 4),
    ("blocks.2.pointwise.1", "1x1", 1, (10, 8, 8), 1_930, 122_880, 27, 4),
    ("gap", "gap", 8, (10, 1, 1), 0, 0, 55, 4),
]

# a teaching book's network for 224x224 grey pictures: floor pooling, four blocks (Dive into Deep Learning)
D2L = NINConfig(
    "d2l",
    (
        BlockConfig((96, 96, 96), 11, stride=4, padding=0, pool="max", pool_ceil=False),
        BlockConfig((256, 256, 256), 5, pool="max", pool_ceil=False),
        BlockConfig((384, 384, 384), 3, pool="max", pool_ceil=False, dropout=0.5),
        BlockConfig((10, 10, 10), 3),
    ),
    num_classes=10,
    in_channels=1,
)


def test_every_row_of_the_cifar10_network():
    rows = anatomy(author_cifar10()).layers
    found = [
        (row.name, row.kind, row.kernel, row.output, row.parameters, row.macs, row.receptive_field, row.jump)
        for row in rows
    ]
    assert found == CIFAR10
    for row in rows:
        assert row.activation_bytes == 4 * row.output[0] * row.output[1] * row.output[2]


@pytest.mark.parametrize(
    ("config", "size", "parameters", "macs", "shares", "field"),
    [
        (author_cifar10(), (3, 32, 32), 966_986, 222_486_528, (0.165, 0.308), 27),
        (author_cifar100(), (3, 32, 32), 984_356, 223.59e6, (0.180, 0.311), 27),
        (author_svhn(), (3, 32, 32), 1_986_026, 274.24e6, (0.118, 0.199), 35),
        (author_mnist(), (1, 28, 28), 349_674, 50.70e6, (0.114, 0.221), 35),
        (author_imagenet(), (3, 224, 224), 7_595_176, 1_100.19e6, (0.332, 0.249), 195),
        (author_imagenet(), (3, 227, 227), 7_595_176, 1_106.00e6, None, 195),
        (D2L, (1, 224, 224), 1_992_166, 762.30e6, (0.224, 0.242), 195),
    ],
)
def test_published_totals(config, size, parameters, macs, shares, field):
    found = anatomy(config, size)
    assert found.parameters == parameters
    assert found.macs == macs or abs(found.macs - macs) <= 5_000  # two decimals of a million
    assert found.receptive_field == field
    if shares:
        assert (round(found.pointwise_parameters, 3), round(found.pointwise_macs, 3)) == shares


def test_a_port_that_rounds_pools_down_loses_a_row_of_maps():
    config = author_imagenet()
    floor = replace(config, blocks=tuple(replace(block, pool_ceil=False) for block in config.blocks))
    assert abs(anatomy(floor, (3, 224, 224)).macs - 969.46e6) <= 5_000
    assert anatomy(floor, (3, 224, 224)).layers[-2].output[1:] == (5, 5)
    assert anatomy(config, (3, 224, 224)).layers[-2].output[1:] == (6, 6)


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        (author_svhn(), [9_728, 12_384, 6_208, 512_320, 82_176, 32_896, 1_229_184, 98_560, 2_570]),
        (author_mnist(), [2_496, 6_208, 3_120, 153_728, 12_384, 4_656, 153_728, 12_384, 970]),
        (
            author_imagenet(),
            [34_944, 9_312, 9_312, 614_656, 65_792, 65_792, 885_120, 147_840, 147_840, 3_539_968, 1_049_600, 1_025_000],
        ),
    ],
)
def test_parameters_of_every_layer(config, parameters):
    rows = anatomy(config, (config.in_channels, 64, 64)).layers
    assert [row.parameters for row in rows if row.kind in ("conv", "1x1")] == parameters


ODD = NINConfig(
    "odd",
    (
        BlockConfig((12, 8), 4, stride=3, padding=2, pool="avg", pool_size=2, pool_padding=1, pool_ceil=False),
        BlockConfig((16, 8, 12), 3, groups=4),
        BlockConfig((6, 5), 1, stride=2),
    ),
    num_classes=5,
    in_channels=2,
    norm="batch",
    last_norm=True,
)


@pytest.mark.parametrize(
    ("config", "size"),
    [
        (author_cifar10(), (3, 32, 32)),
        (author_imagenet(), (3, 224, 200)),
        (author_mnist(), (1, 29, 31)),
        (nin(), (3, 32, 32)),
        (nin(7, 4, 0.5, 2), (4, 64, 50)),
        (ODD, (2, 45, 38)),
    ],
)
def test_formulas_against_a_forward_pass(config, size):
    """Shapes from hooks, multiply-accumulates from torch's counter, parameters from the modules; nothing computed."""
    model = NIN(config).eval()
    own = {name: sum(tensor.numel() for tensor in module.parameters()) for name, module in model.named_modules()}
    shapes = {}
    for name, module in model.named_modules():
        module.register_forward_hook(lambda _, __, out, name=name: shapes.__setitem__(name, tuple(out.shape[1:])))
    with FlopCounterMode(display=False, depth=9) as counter:
        model.to("meta")(torch.zeros(1, *size, device="meta"))
    flops = {name.removeprefix("NIN."): sum(by.values()) for name, by in counter.get_flop_counts().items()}
    found = anatomy(model, size)
    assert 2 * found.macs == counter.get_total_flops()
    assert found.parameters == own[""]
    for row in found.layers:
        assert (row.output if row.kind != "gap" else row.output[:1]) == shapes[row.name]
        assert 2 * row.macs == flops.get(row.name, 0)
        block, _, layer = row.name.removeprefix("blocks.").partition(".")
        index = 0 if layer == "spatial" else int(layer.rpartition(".")[2] or 0) + 1
        norm = own.get(f"blocks.{block}.norms.{index}", 0) if row.name.startswith("blocks") else 0
        assert row.parameters == own[row.name] + norm
    convolutional = {row.name for row in found.layers if row.macs}
    assert convolutional == {name for name, module in model.named_modules() if isinstance(module, torch.nn.Conv2d)}


@pytest.mark.parametrize("config", [author_cifar10(2), author_svhn(2), nin(2), nin(2, stem_stride=2), ODD])
def test_receptive_field_and_jump_are_what_gradients_reach(config):
    """Every weight positive and every pooling an average: the pixels with a gradient are the field, exactly."""
    blocks = tuple(
        replace(
            block,
            channels=(4, 2),
            groups=1,
            init_std=None,
            pool=block.pool and "avg",
        )
        for block in config.blocks
    )
    narrow = replace(config, blocks=blocks, num_classes=2, norm=None, init="kaiming", activation="identity")
    model = NIN(narrow).double()
    for parameter in model.parameters():
        parameter.data.fill_(0.1)
    side = 161
    x = torch.zeros(1, config.in_channels, side, side, dtype=torch.float64, requires_grad=True)
    outputs = {}
    for name, module in model.named_modules():
        module.register_forward_hook(lambda _, __, out, name=name: outputs.__setitem__(name, out))
    model(x)
    for row in anatomy(narrow, (config.in_channels, side, side)).layers[:-1]:
        middle = outputs[row.name].shape[-1] // 2
        reached = []
        for place in (middle, middle + 1):
            (gradient,) = torch.autograd.grad(outputs[row.name][0, 0, place, middle], x, retain_graph=True)
            reached.append(gradient[0, 0].sum(1).nonzero().flatten())
        assert len(reached[0]) == row.receptive_field, row
        assert int(reached[1][0] - reached[0][0]) == row.jump, row


def test_heads_of_the_cifar10_network():
    heads = anatomy(author_cifar10()).fc_alternatives
    assert [(head.parameters, head.macs) for head in heads] == [
        (1_930, 122_880),
        (122_890, 122_880),
        (12_299_010, 12_288_000 + 10_000),
    ]
    features = torch.zeros(192, 8, 8).numel()
    for head, widths in zip(heads[1:], [(features, 10), (features, 1000, 10)], strict=True):
        layers = [torch.nn.Linear(a, b, device="meta") for a, b in pairwise(widths)]
        assert head.parameters == sum(tensor.numel() for layer in layers for tensor in layer.parameters())
        assert head.name == "flatten " + " -> ".join(map(str, widths))


def test_memory():
    found = anatomy(author_cifar10())
    maps = [192 * 1024, 160 * 1024, 96 * 1024, 96 * 256, 3 * 192 * 256, 192 * 64, 2 * 192 * 64, 10 * 64, 10]
    assert found.activation_bytes == 4 * sum(maps)
    assert found.peak_bytes == 4 * (192 + 160) * 1024


def test_a_network_after_reset_classifier_and_json():
    model = NIN(nin(width=0.25))
    model.reset_classifier(3)
    found = anatomy(model)
    assert found.parameters == sum(tensor.numel() for tensor in model.parameters())
    assert found.input_size == (3, 32, 32)
    values = found.to_dict()
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert values["layers"][0]["name"] == "blocks.0.spatial"


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((3, 7, 32), "height is 7; expected a whole number of at least 8"),
        ((3, 32, 7), "width is 7"),
        ((1, 32, 32), "input_size has 1 channels; nin takes 3"),
        ((32, 32), "expected (channels, height, width)"),
    ],
)
def test_sizes_that_do_not_fit(size, message):
    with pytest.raises(UsageError) as caught:
        anatomy(nin(), size)
    assert message in str(caught.value)
