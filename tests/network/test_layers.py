"""The layers against an explicit perceptron slid over patches, hand-made numbers and counted masks."""

import numpy as np
import pytest
import torch
from torch import nn

from nin.errors import UsageError
from nin.network.layers import Dropout, GlobalAveragePool2d, MLPConv, kept_mask
from reference import slide_mlp


def as_numpy(layer):
    first, *others = layer.convolutions
    tensors = [(first.weight, first.bias), *((conv.weight[:, :, 0, 0], conv.bias) for conv in others)]
    return [(w.detach().numpy(), None if b is None else b.detach().numpy()) for w, b in tensors]


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "groups", "widths", "activation"),
    [
        (5, 1, None, 1, (6, 5, 4), "relu"),
        (3, 2, 0, 1, (4, 7), "gelu"),
        (3, 1, 2, 2, (6, 5, 4, 3), "silu"),
        (1, 1, 0, 1, (5, 3), "relu"),
        (4, 3, 1, 4, (8, 2), "identity"),
        (3, 1, 1, 1, (5,), "relu"),
        (7, 4, 3, 2, (4, 4, 4), "relu"),
    ],
)
@pytest.mark.parametrize("last", [True, False])
def test_it_is_a_perceptron_slid_over_every_patch(kernel, stride, padding, groups, widths, activation, last):
    layer = MLPConv(
        4, widths, kernel, stride=stride, padding=padding, groups=groups, activation=activation, last_activation=last
    ).double()
    x = torch.randn(2, 4, 9, 11, dtype=torch.float64)
    expected = slide_mlp(
        x.numpy(),
        as_numpy(layer),
        stride=stride,
        padding=kernel // 2 if padding is None else padding,
        groups=groups,
        activation=activation,
        last_activation=last,
    )
    found = layer(x).detach().numpy()
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-12


def test_gradients_are_those_of_linear_layers_on_unfolded_patches():
    layer = MLPConv(3, (5, 4, 2), 3, stride=2).double()
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    patches = nn.functional.unfold(x, 3, padding=1, stride=2).transpose(1, 2)  # (N, places, C k k)
    values = patches
    for conv in layer.convolutions:
        values = torch.relu(nn.functional.linear(values, conv.weight.flatten(1), conv.bias))
    weights = torch.randn(2, 2, 16, dtype=torch.float64)
    wanted = torch.autograd.grad((values.transpose(1, 2) * weights).sum(), [x, *layer.parameters()])
    found = torch.autograd.grad((layer(x).flatten(2) * weights).sum(), [x, *layer.parameters()])
    for one, two in zip(found, wanted, strict=True):
        assert (one - two).abs().max() < 1e-12


def test_a_linear_filter_obeys_superposition_and_mlpconv_does_not():
    def error(layer):
        a, b, nothing = torch.randn(1, 3, 8, 8), torch.randn(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
        return float((layer(a + b) - layer(a) - layer(b) + layer(nothing)).abs().max().detach())

    assert error(MLPConv(3, (8,), 3, last_activation=False)) < 1e-5
    assert error(MLPConv(3, (8, 8, 8), 3, activation="identity")) < 1e-5
    assert error(MLPConv(3, (8, 8, 8), 3)) > 1e-3


def test_a_1x1_layer_by_hand():
    """Four maps to two, one place: the seed's example with whole numbers."""
    layer = MLPConv(4, (4, 2), 1)
    with torch.no_grad():
        layer.spatial.weight.copy_(torch.eye(4)[:, :, None, None])
        layer.pointwise[0].weight.copy_(torch.tensor([[1.0, 2, 3, 4], [-1, 1, -1, 1]])[:, :, None, None])
        layer.spatial.bias.zero_()
        layer.pointwise[0].bias.copy_(torch.tensor([10.0, -3]))
    x = torch.tensor([1.0, -2, 3, 4]).view(1, 4, 1, 1)  # ReLU makes it 1, 0, 3, 4
    assert layer(x).flatten().tolist() == [1 + 9 + 16 + 10, 0]  # the second: -1 - 3 + 4 - 3 = -3, cut at 0


def test_hidden_then_output_is_the_whole_layer():
    layer = MLPConv(3, (8, 6, 4), 3, norm="batch").eval()
    x = torch.randn(2, 3, 7, 7)
    assert layer.hidden(x).shape == (2, 6, 7, 7)
    assert torch.equal(layer.output(layer.hidden(x)), layer(x))


@pytest.mark.parametrize(
    ("options", "norms", "biases"),
    [
        ({}, 0, [True, True, True]),
        ({"norm": "batch"}, 3, [False, False, False]),
        ({"norm": "batch", "last_norm": False}, 2, [False, False, True]),
        ({"norm": "batch", "bias": True}, 3, [True, True, True]),
        ({"bias": False}, 0, [False, False, False]),
    ],
)
def test_a_bias_is_where_no_norm_is(options, norms, biases):
    layer = MLPConv(3, (8, 6, 4), 3, **options)
    assert len(layer.norms) == norms
    assert [conv.bias is not None for conv in layer.convolutions] == biases
    assert any(key.startswith("norms") for key in layer.state_dict()) == bool(norms)


def test_batch_norm_stands_between_convolution_and_activation():
    layer = MLPConv(3, (8, 4), 3, norm="batch")
    x = torch.randn(16, 3, 6, 6)
    first = nn.functional.conv2d(x, layer.spatial.weight, padding=1)
    first = (first - first.mean((0, 2, 3), keepdim=True)) / (first.var((0, 2, 3), False, keepdim=True) + 1e-5).sqrt()
    second = nn.functional.conv2d(first.relu(), layer.pointwise[0].weight)
    second = (second - second.mean((0, 2, 3), keepdim=True)) / (
        second.var((0, 2, 3), False, keepdim=True) + 1e-5
    ).sqrt()
    assert torch.allclose(layer(x), second.relu(), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((3, (), 3), {}, "channels is empty"),
        ((3, (8,), 3), {"norm": "layer"}, "norm is 'layer'"),
        ((3, (8,), 3), {"activation": "tanhh"}, "activation is 'tanhh'; expected one of relu"),
        ((3, (8,), 3), {"groups": 2}, "groups is 2; it must divide both 3 and 8"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(arguments, options, message):
    with pytest.raises(UsageError, match=r"^[^\n]+$") as caught:
        MLPConv(*arguments, **options)
    assert message in str(caught.value)


def test_global_average_pooling_by_hand():
    x = torch.arange(24, dtype=torch.float32).view(1, 2, 3, 4)
    assert GlobalAveragePool2d()(x).tolist() == [[5.5, 17.5]]


@pytest.mark.parametrize("p", [0.25, 0.5])
@pytest.mark.parametrize(
    ("kind", "kept", "evaluated"), [("inverted", lambda p: 1 / (1 - p), 1), ("classic", lambda p: 1, None)]
)
def test_both_kinds_of_dropout(p, kind, kept, evaluated):
    layer, x = Dropout(p, kind), torch.ones(400, 500)
    out = layer(x)
    dropped = float((out == 0).double().mean())
    assert abs(dropped - p) < 5 * (p * (1 - p) / x.numel()) ** 0.5  # five standard deviations of the count
    assert torch.allclose(out[out != 0], torch.tensor(float(kept(p))))
    layer.eval()
    expected = 1 - p if evaluated is None else evaluated
    assert torch.allclose(layer(x), torch.tensor(float(expected)))
    assert abs(float(out.mean()) - expected) < 0.01  # training and evaluation agree on average


@pytest.mark.parametrize("kind", ["inverted", "classic"])
def test_dropout_draws_from_the_default_generator_and_masks_the_gradient(kind):
    layer, x = Dropout(0.5, kind), torch.randn(1000, requires_grad=True)
    torch.manual_seed(7)
    first = layer(x)
    torch.manual_seed(7)
    assert torch.equal(first, layer(x))
    assert not torch.equal(first, layer(x))
    first.sum().backward()
    assert torch.equal(x.grad == 0, first == 0)


def test_dropout_of_nothing_is_the_same_tensor():
    x = torch.randn(3)
    assert Dropout(0.0)(x) is x


@pytest.mark.parametrize(
    ("arguments", "message"), [((1.0,), "dropout is 1.0"), ((0.5, "spatial"), "dropout_kind is 'spatial'")]
)
def test_wrong_dropout_is_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        Dropout(*arguments)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("keep", [0.5, 0.8, 0.9])
def test_masks_keep_each_value_independently_with_the_probability_asked_for(keep, layout):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        mask = kept_mask(torch.zeros(64, 32, 16, 17).contiguous(memory_format=layout), keep)
    flat = (mask if layout is torch.contiguous_format else mask.permute(0, 2, 3, 1)).reshape(-1).double()
    error = (keep * (1 - keep) / len(flat)) ** 0.5
    assert abs(float(flat.mean()) - keep) < 5 * error
    for lane in range(4):  # the four values that share a random number
        assert abs(float(flat[lane::4].mean()) - keep) < 10 * error
    centred = flat - flat.mean()
    for distance in (1, 2, 3, 4, 64):
        correlation = float((centred[:-distance] * centred[distance:]).mean() / centred.square().mean())
        assert abs(correlation) < 5 / len(flat) ** 0.5


@pytest.mark.parametrize("shape", [(8, 3, 5, 7), (8, 4, 6, 6), (8, 10)])
def test_a_picture_s_mask_is_a_function_of_its_seed_alone(shape):
    """Whatever other pictures are computed beside it, on however many threads, and whatever torch drew before."""
    x = torch.zeros(shape)
    x = x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x
    seeds = [7, 2**62, 7, 1, 2, 3, 4, 5]
    whole = kept_mask(x, 0.5, seeds)
    assert torch.equal(whole[0], whole[2]) and not torch.equal(whole[0], whole[1])
    torch.rand(3)
    parts = [kept_mask(x[place : place + 3], 0.5, seeds[place : place + 3]) for place in (0, 3, 6)]
    assert torch.equal(torch.cat(parts), whole)


@pytest.mark.parametrize("keep", [0.5, 0.8])
def test_masks_by_seed_keep_each_value_independently_with_the_probability_asked_for(keep):
    mask = kept_mask(torch.zeros(400, 5, 16, 17), keep, range(400)).reshape(400, -1).double()
    error = (keep * (1 - keep) / mask.numel()) ** 0.5
    assert abs(float(mask.mean()) - keep) < 5 * error
    centred = mask - mask.mean()
    for one, other in (
        (centred[:-1], centred[1:]),
        (centred[:, :-1], centred[:, 1:]),
        (centred[:, :-4], centred[:, 4:]),
    ):
        assert abs(float((one * other).mean() / centred.square().mean())) < 5 / one.numel() ** 0.5


def test_masks_of_views_and_odd_sizes():
    base = torch.zeros(3, 5, 7, 9)
    for x in (base[:, :, ::2], base[:1, :1, :1, :1], base.transpose(1, 2), base[:, 1:]):
        assert kept_mask(x, 0.5).shape == x.shape
        assert kept_mask(x, 0.5, range(len(x))).shape == x.shape
