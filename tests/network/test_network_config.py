"""Configurations: what they accept, what they refuse in one line, and that nothing is lost on the way through JSON."""

import json
from dataclasses import FrozenInstanceError, fields, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nin.errors import UsageError
from nin.network.config import BlockConfig, NINConfig, conv_side, pool_side
from nin.network.named import MODELS, nin
from reference import slide_pool

GOOD = nin(width=0.25).to_dict()


@pytest.mark.parametrize("name", list(MODELS))
def test_through_json_and_back(name):
    config = MODELS[name]()
    text = json.dumps(config.to_dict(), allow_nan=False)
    assert NINConfig.from_dict(json.loads(text)) == config
    assert json.loads(text) == config.to_dict()
    assert set(config.to_dict()) == {field.name for field in fields(NINConfig)}


def test_frozen_and_hashable():
    config = nin()
    with pytest.raises(FrozenInstanceError):
        config.num_classes = 3
    assert len({config, nin(), nin(3)}) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blokcs": []}, "the network has the unknown setting 'blokcs'; expected only name, blocks"),
        ({"name": ""}, "name is ''"),
        ({"blocks": []}, "blocks is empty"),
        ({"blocks": "five"}, "blocks is 'five'; expected a list of blocks"),
        ({"blocks": ["five"]}, "a block of the network is 'five'; expected a table of settings"),
        ({"num_classes": 3}, "the last layer makes 10 maps for 3 classes; make them equal"),
        ({"num_classes": True}, "num_classes is True; expected a whole number of at least 1"),
        ({"num_classes": 10.0}, "num_classes is 10.0"),
        ({"in_channels": 0}, "in_channels is 0"),
        ({"norm": "group"}, "norm is 'group'; expected 'batch', or leave it out"),
        ({"activation": ["relu"]}, "activation is ['relu']; expected 'relu' or"),
        ({"dropout_kind": "alpha"}, "dropout_kind is 'alpha'"),
        ({"last_activation": 1}, "last_activation is 1; expected true or false"),
        ({"init": "normal"}, "init is 'normal' but block 1 has no init_std"),
    ],
)
def test_networks_that_are_refused(changes, message):
    with pytest.raises(UsageError, match=r"^[^\n]+$") as caught:
        NINConfig.from_dict({**GOOD, **changes})
    assert message in str(caught.value)


def test_missing_settings_are_named():
    with pytest.raises(UsageError, match="the network lacks the setting 'blocks'"):
        NINConfig.from_dict({"name": "x", "num_classes": 3})
    with pytest.raises(UsageError, match="the network is None; expected a table of settings"):
        NINConfig.from_dict(None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": ()}, "channels is []; expected a list of widths such as [192, 160, 96]"),
        ({"channels": (8, 0)}, "channels is 0; expected a whole number of at least 1"),
        ({"kernel_size": 0}, "kernel_size is 0"),
        ({"stride": 1.5}, "stride is 1.5"),
        ({"padding": -1}, "padding is -1"),
        ({"pool": "median"}, "pool is 'median'; expected 'max' or 'avg', or leave it out"),
        ({"pool_padding": 2}, "pool_padding is 2; expected at most half of pool_size 3"),
        ({"pool_ceil": "yes"}, "pool_ceil is 'yes'"),
        ({"dropout": 1}, "dropout is 1; expected a probability of at least 0 and below 1"),
        ({"dropout": float("nan")}, "dropout is nan"),
        ({"dropout": 10**400}, "expected a probability"),
        ({"init_std": (0.1,)}, "init_std is [0.1]; expected 2 positive numbers, one a layer"),
        ({"init_std": (0.1, float("inf"))}, "expected 2 positive numbers"),
        ({"dropout": "x" * 5000}, "expected a probability"),
    ],
)
def test_blocks_that_are_refused(changes, message):
    with pytest.raises(UsageError, match=r"^[^\n]{1,200}$") as caught:
        BlockConfig(**{"channels": (8, 4), "kernel_size": 3, **changes})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("last", "message"),
    [
        (BlockConfig((3,), 3), "the last block feeds global average pooling"),
        (BlockConfig((8, 3), 3, pool="max"), "no pool"),
        (BlockConfig((8, 3), 3, dropout=0.5), "no dropout"),
        (BlockConfig((8, 3), 3, groups=3), "groups of block 2 is 3; it must divide 8 and 8"),
    ],
)
def test_last_blocks_that_are_refused(last, message):
    with pytest.raises(UsageError, match=message):
        NINConfig("x", (BlockConfig((8, 8), 3), last), 3)


def test_strides_that_leave_nothing():
    with pytest.raises(UsageError, match="leave nothing of any picture under 4096 pixels"):
        _ = NINConfig("deep", (*(BlockConfig((8, 8), 9, stride=9, padding=0),) * 5, BlockConfig((8, 3), 3)), 3).min_side


def test_replace_follows_the_kernel():
    assert replace(BlockConfig((8,), 5), kernel_size=3).pad == 1


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 40), st.integers(1, 7), st.integers(1, 5), st.data(), st.booleans())
def test_pooled_sides_are_those_of_torch_and_of_counted_windows(side, size, stride, data, ceil):
    padding = data.draw(st.integers(0, size // 2))
    found = pool_side(side, size, stride, padding, ceil)
    x = torch.randn(1, 1, side, side, dtype=torch.float64)
    for kind, pool in (("max", torch.nn.MaxPool2d), ("avg", torch.nn.AvgPool2d)):
        try:
            out = pool(size, stride, padding, ceil_mode=ceil)(x)
        except RuntimeError:
            assert found < 1
            continue
        assert out.shape[-1] == found
        slow = torch.from_numpy(slide_pool(x.numpy(), kind, size, stride, padding, ceil))
        assert (out - slow).abs().max() < 1e-12


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 40), st.integers(1, 11), st.integers(1, 5), st.integers(0, 5))
def test_convolved_sides_are_those_of_torch(side, kernel, stride, padding):
    found = conv_side(side, kernel, stride, padding)
    if side + 2 * padding < kernel:
        assert found < 1
    else:
        assert torch.nn.Conv2d(1, 1, kernel, stride, padding)(torch.zeros(1, 1, side, side)).shape[-1] == found
