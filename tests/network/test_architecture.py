"""The networks against a slow numpy one, the author's files, and identities that hold whatever the weights are."""

import copy
import inspect
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from nin.errors import UsageError
from nin.network.architecture import (
    LAST_STD,
    NIN,
    BlockConfig,
    NINConfig,
    author_cifar10,
    author_cifar100,
    author_imagenet,
    author_mnist,
    author_svhn,
    build_network,
    list_models,
    nin,
    nin_large,
)
from nin.network.named import MODELS
from reference import slow_nin

AUTHORS = [author_cifar10, author_cifar100, author_svhn, author_mnist, author_imagenet]


def tiny(**changes):
    """Two blocks with everything in them that can differ, small enough for the slow implementation."""
    blocks = (
        BlockConfig((6, 4), 3, stride=2, pool="max", dropout=0.3, init_std=(0.2, 0.3)),
        BlockConfig((8, 5), 3, groups=2, pool="avg", pool_size=3, pool_padding=1, init_std=(0.2, 0.2)),
        BlockConfig((6, 5, 3), 3, init_std=(0.3, 0.3, 0.3)),
    )
    return NINConfig("tiny", blocks, 3, 2, **changes)


def settled(config, seed=0):
    """A network in evaluation mode whose normalisation has seen something."""
    model = NIN(config, generator=torch.Generator().manual_seed(seed))
    for name, buffer in [*model.named_buffers(), *model.named_parameters()]:
        if "norms" in name and buffer.is_floating_point():
            buffer.data.uniform_(0.5, 1.5)
        elif name.endswith("bias"):
            buffer.data.normal_(0, 0.1)
    return model.eval()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"norm": "batch"},
        {"norm": "batch", "last_norm": True, "last_activation": True},
        {"dropout_kind": "classic", "activation": "gelu"},
        {"init": "normal", "last_activation": True, "activation": "silu"},
    ],
)
@pytest.mark.parametrize("size", [(17, 12), (24, 31)])
def test_the_whole_network_against_a_slow_one(changes, size):
    config = tiny(**changes)
    model = settled(config).double()
    x = torch.randn(2, 2, *size, dtype=torch.float64)
    maps, logits = slow_nin(x.numpy(), config, {key: value.numpy() for key, value in model.state_dict().items()})
    assert np.abs(model.forward_maps(x).detach().numpy() - maps).max() < 1e-10
    assert np.abs(model(x).detach().numpy() - logits).max() < 1e-10


def test_state_dict_keys_are_a_public_contract():
    keys = [key for key in NIN(nin()).state_dict() if key.startswith("blocks.0")]
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    assert keys == [
        "blocks.0.spatial.weight",
        "blocks.0.pointwise.0.weight",
        *(f"blocks.0.norms.{index}.{part}" for index in (0, 1) for part in norm),
    ]
    assert [key for key in NIN(nin()).state_dict() if key.startswith("blocks.4.pointwise")] == [
        "blocks.4.pointwise.0.weight",
        "blocks.4.pointwise.1.weight",
        "blocks.4.pointwise.1.bias",
    ]
    assert list(NIN(author_cifar10()).state_dict()) == [
        f"blocks.{block}.{layer}.{part}"
        for block in range(3)
        for layer in ("spatial", "pointwise.0", "pointwise.1")
        for part in ("weight", "bias")
    ]


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (author_cifar10, 966_986),
        (author_cifar100, 984_356),
        (author_svhn, 1_986_026),
        (author_mnist, 349_674),
        (author_imagenet, 7_595_176),
    ],
)
def test_the_authors_parameter_counts(function, parameters):
    assert sum(tensor.numel() for tensor in NIN(function()).parameters()) == parameters


def test_the_authors_switches():
    config = author_cifar10(5, 1, pool2="avg", dropout_kind="inverted", dropout=0.0, last_relu=False, init="kaiming")
    assert (config.num_classes, config.in_channels, config.blocks[-1].channels[-1]) == (5, 1, 5)
    assert [block.pool for block in config.blocks] == ["max", "avg", None]
    assert (config.dropout_kind, config.last_activation, config.init) == ("inverted", False, "kaiming")
    faithful = author_cifar10()
    assert [block.pool for block in faithful.blocks] == ["max", "max", None]
    assert [block.dropout for block in faithful.blocks] == [0.5, 0.5, 0.0]
    assert (faithful.dropout_kind, faithful.last_activation, faithful.norm) == ("classic", True, None)
    assert author_imagenet().dropout_kind == "inverted"
    assert [block.dropout for block in author_imagenet().blocks] == [0, 0, 0.5, 0]


@pytest.mark.parametrize("function", AUTHORS)
def test_first_weights_of_the_author(function):
    config = function()
    model = NIN(config)
    stds = {"cifar100": [[0.001, 0.01, 0.01], [0.05] * 3, [0.05] * 3]}.get(config.name.split("-")[-1])
    if config.name.endswith("imagenet"):
        stds = [[0.01, 0.05, 0.05], [0.05] * 3, [0.01, 0.05, 0.05], [0.05, 0.05, 0.01]]
    for block, wanted in zip(model.blocks, stds or [[0.05] * 3] * 3, strict=True):
        for conv, std in zip(block.convolutions, wanted, strict=True):
            found, n = conv.weight.std().item(), conv.weight.numel()
            assert abs(found - std) < 5 * std / math.sqrt(2 * n)  # five standard errors of a standard deviation
            assert abs(conv.weight.mean().item()) < 5 * std / math.sqrt(n)
            assert not conv.bias.any()


def test_first_weights_of_ours():
    model = NIN(nin())
    for number, block in enumerate(model.blocks):
        for conv in block.convolutions:
            last = conv is model.blocks[-1].convolutions[-1]
            fan_in = conv.in_channels * conv.kernel_size[0] ** 2
            std = LAST_STD if last else math.sqrt(2 / fan_in)
            assert abs(conv.weight.std().item() - std) < 5 * std / math.sqrt(2 * conv.weight.numel()), number
    loss = torch.nn.functional.cross_entropy(model(torch.randn(64, 3, 32, 32)), torch.arange(64) % 10)
    assert abs(loss.item() - math.log(10)) < 0.02


def test_torch_first_weights_are_those_of_torch():
    torch.manual_seed(3)
    found = NIN(replace(author_mnist(), init="torch"))
    for conv in found.blocks[1].convolutions:
        fresh = torch.nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size)
        for one, two in zip(conv.parameters(), fresh.parameters(), strict=True):
            assert abs((one.abs().max() / two.abs().max()).item() - 1) < 0.15
            assert abs((one.std() / two.std()).item() - 1) < 0.25


def test_a_generator_decides_the_weights_and_the_default_stream_is_left_alone():
    config = nin(width=0.25)
    before = torch.get_rng_state()
    one, two = (NIN(config, generator=torch.Generator().manual_seed(5)) for _ in range(2))
    one.reset_classifier(4, torch.Generator().manual_seed(6))
    two.reset_classifier(4, torch.Generator().manual_seed(6))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    double = NIN(config).double()
    double.initialise(torch.Generator().manual_seed(5))
    single = NIN(config, generator=torch.Generator().manual_seed(5))
    assert all(torch.equal(a, b.float()) for a, b in zip(single.parameters(), double.parameters(), strict=True))


def test_initialise_forgets_everything():
    model = settled(nin(width=0.25))
    model.initialise(torch.Generator().manual_seed(1))
    fresh = NIN(nin(width=0.25), generator=torch.Generator().manual_seed(1))
    assert all(torch.equal(value, fresh.state_dict()[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("function", [nin, nin_large])
def test_our_networks_keep_the_authors_budget(function):
    assert sum(tensor.numel() for tensor in NIN(function()).parameters()) <= 966_986
    config = function()
    assert (config.norm, config.last_activation, config.last_norm) == ("batch", False, False)


@pytest.mark.parametrize("width", [0.01, 0.1, 0.25, 0.5, 1.0, 1.3, 2.0])
@pytest.mark.parametrize("function", [nin, nin_large])
def test_widths_are_multiples_of_eight(function, width):
    for block, plain in zip(function(7, width=width).blocks, function(7).blocks, strict=True):
        hidden = block.channels[:-1] if block.channels[-1] == 7 else block.channels
        for one, designed in zip(hidden, plain.channels, strict=False):
            assert one % 8 == 0
            assert one == 8 or abs(one - designed * width) <= 4
    assert function(7, width=width).blocks[-1].channels[-1] == 7


@pytest.mark.parametrize(("stride", "kernel"), [(1, 5), (2, 7), (4, 11)])
def test_the_stem_stride_divides_the_maps(stride, kernel):
    config = nin(stem_stride=stride)
    assert config.blocks[0].kernel_size == kernel
    x = torch.randn(1, 3, 32 * stride, 32 * stride)
    assert NIN(replace(nin(width=0.1, stem_stride=stride))).eval().forward_maps(x).shape == (1, 10, 8, 8)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_any_input_from_eight_pixels_up(channels):
    model = settled(nin(4, channels, width=0.1))
    for height, width in [(8, 8), (8, 96), (9, 13), (31, 33), (32, 32), (50, 17), (96, 95)]:
        x = torch.randn(2, channels, height, width)
        maps = model.forward_maps(x)
        assert maps.shape == (2, 4, model.config.output_side(height), model.config.output_side(width))
        assert torch.allclose(model(x), maps.mean((2, 3)), atol=1e-6)


def test_features_and_head_are_the_forward_pass_in_two_steps():
    model = settled(author_mnist())
    x = torch.randn(2, 1, 28, 28)
    features = model.forward_features(x)
    assert features.shape == (2, model.num_features, 7, 7)
    assert torch.allclose(model.forward_head(features), model(x), atol=1e-6)
    assert torch.equal(model.forward_head(features, pre_logits=True), features.mean((2, 3)))


def test_averaging_before_or_after_a_linear_last_layer_is_the_same():
    """Why the class maps of our default are those of class activation mapping."""
    model = settled(nin(width=0.25)).double()
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    pooled = model.forward_head(model.forward_features(x), pre_logits=True)
    last = model.blocks[-1].convolutions[-1]
    assert torch.allclose(torch.nn.functional.linear(pooled, last.weight[:, :, 0, 0], last.bias), model(x), atol=1e-12)


@pytest.mark.parametrize(
    "config", [nin(width=0.25), author_mnist(in_channels=3), replace(nin(width=0.25), last_norm=True)]
)
def test_reset_classifier(config):
    model = settled(config)
    x = torch.randn(2, 3, 16, 16)
    features, old = model.forward_features(x), {key: value.clone() for key, value in model.state_dict().items()}
    model.reset_classifier(4)
    assert (model.num_classes, model.config.num_classes, model.config.blocks[-1].channels[-1]) == (4, 4, 4)
    assert model(x).shape == (2, 4)
    assert torch.equal(model.forward_features(x), features)
    changed = {key for key, value in model.state_dict().items() if value.shape != old[key].shape}
    last = len(config.blocks) - 1
    wanted = {f"blocks.{last}.pointwise.1.{part}" for part in ("weight", "bias")}
    if config.last_norm:
        wanted = {f"blocks.{last}.pointwise.1.weight"}
        wanted |= {f"blocks.{last}.norms.2.{part}" for part in ("weight", "bias", "running_mean", "running_var")}
    assert changed == wanted
    NIN(model.config).load_state_dict(model.state_dict())
    assert not model.training and not any(module.training for module in model.modules())
    with pytest.raises(UsageError, match="expected a whole number of at least 1"):
        model.reset_classifier(0)
    assert model.num_classes == 4


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(3, 32, 32), "the input has 3 dimensions; expected (N, 3, H, W) with H and W of at least 8"),
        (torch.zeros(1, 1, 32, 32), "the input has the shape (1, 1, 32, 32); expected (N, 3, H, W)"),
        (torch.zeros(1, 3, 7, 32), "the input has the shape (1, 3, 7, 32)"),
        (torch.zeros(1, 3, 32, 7), "of at least 8"),
        (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), "the input holds torch.uint8; expected normalised"),
    ],
)
def test_inputs_that_do_not_fit(x, message):
    with pytest.raises(UsageError, match=r"^[^\n]+$") as caught:
        NIN(nin(width=0.1))(x)
    assert message in str(caught.value)


@pytest.mark.parametrize("config", [nin(width=0.1), nin(width=0.1, stem_stride=4), author_mnist(), author_imagenet(2)])
def test_min_side_is_the_least_that_works(config):
    model = NIN(config).eval()
    x = torch.randn(1, config.in_channels, config.min_side, config.min_side)
    assert model(x).shape == (1, config.num_classes)
    if config.min_side > 8:
        model.min_side = 1
        with pytest.raises(RuntimeError):
            model(x[:, :, 1:, 1:])


def test_create_model():
    model = build_network("nin", 5, 1, width=0.25)
    assert (model.num_classes, model.config.in_channels, model.config.blocks[0].channels) == (5, 1, (16, 16))
    assert build_network("nin-author-mnist").config == author_mnist()
    assert build_network("nin-author-cifar10", pool2="avg").config == author_cifar10(pool2="avg")
    assert list_models()[0] == "nin"
    for name in list_models():
        assert MODELS[name]().name == name
        assert list(inspect.signature(MODELS[name]).parameters)[:2] == ["num_classes", "in_channels"]


@pytest.mark.parametrize(
    ("name", "switches", "message"),
    [
        ("nin-cifar10", {}, "there is no network named 'nin-cifar10'; did you mean nin-author-cifar10? (known: nin, "),
        ("resnet", {}, "there is no network named 'resnet' (known: nin, nin-large, nin-author-cifar10"),
        ("nin", {"pool2": "avg"}, "nin has no switch 'pool2'; it has width, stem_stride"),
        ("nin-author-svhn", {"pool2": "median"}, "pool is 'median'; expected 'max' or 'avg', or leave it out"),
        ("nin", {"width": -1}, "width is -1; expected a positive number"),
        ("nin", {"width": "big"}, "width is 'big'"),
        ("nin", {"stem_stride": 0}, "stem_stride is 0; expected a whole number of at least 1"),
        ("nin-author-mnist", {"init": "xavier"}, "init is 'xavier'; expected 'kaiming' or 'normal' or 'torch'"),
    ],
)
def test_create_model_refuses(name, switches, message):
    with pytest.raises(UsageError, match=r"^[^\n]+$") as caught:
        build_network(name, **switches)
    assert message in str(caught.value)


def test_a_copy_is_independent_and_a_state_dict_makes_a_twin():
    model = settled(nin(width=0.25))
    x = torch.randn(2, 3, 20, 20)
    wanted = model(x)
    twin = NIN(NINConfig.from_dict(json.loads(json.dumps(model.config.to_dict())))).eval()
    twin.load_state_dict({key: value.clone() for key, value in model.state_dict().items()})
    other = copy.deepcopy(model)
    assert torch.equal(twin(x), wanted) and torch.equal(other(x), wanted)
    other.initialise()
    assert torch.equal(model(x), wanted) and not torch.equal(other(x), wanted)


def test_author_and_our_signatures_do_not_drift():
    shared = {"num_classes", "in_channels", "dropout_kind", "dropout", "last_relu", "init"}
    for function in AUTHORS:
        assert shared <= set(inspect.signature(function).parameters)
