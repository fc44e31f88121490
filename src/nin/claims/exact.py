"""Claims that are identities: both sides computed in full, in float64.

(N, C, H, W) maps. Pictures and weights are random unless a claim names its own.
"""

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nin.claims.claim import Measurement, judged
from nin.network.layers import MLPConv

EXACT = 1e-11  # rounding in float64 stays below it in every claim here


def linear_or_not(_: Any) -> Measurement:
    """Claim 1: superposition, and two crossed edges whose exclusive-or no linear filter can learn."""
    layer = _mlpconv(16, 16)
    linear_error = superposition_error(layer.spatial, (2, 3, 9, 9))
    mlpconv_error = superposition_error(layer, (2, 3, 9, 9))
    filter_right = 100 * exclusive_or(0)
    mlp_right = 100 * exclusive_or(16)
    return Measurement(
        judged(linear_error < EXACT and mlpconv_error > 0.01 and filter_right < 80 and mlp_right > 99),
        {"filter": linear_error, "mlpconv": mlpconv_error, "filter_right": filter_right, "mlpconv_right": mlp_right},
    )


def slid_perceptron(_: Any) -> Measurement:
    """Claim 3: an explicit perceptron on every unfolded patch against the mlpconv layer."""
    layer = _mlpconv(24, 16, 8)
    x = _random(2, 3, 12, 10)
    with torch.no_grad():
        expected = layer(x)
        values = F.unfold(x, 3, padding=1).movedim(1, 2)  # (N, H * W, 27): one row a patch
        for convolution in layer.convolutions:
            values = F.relu(values @ convolution.weight.flatten(1).T + _bias(convolution))
        slid = values.movedim(1, 2).reshape(expected.shape)
    error = float((slid - expected).abs().max())
    return Measurement(judged(error < EXACT), {"difference": error, "patches": 2 * 12 * 10})


def pointwise_is_linear(_: Any) -> Measurement:
    """Claim 18: nn.Linear over the channels against a 1x1 convolution, values and gradients."""
    convolution = _pointwise(32, 10)
    linear = nn.Linear(32, 10).double()
    with torch.no_grad():
        linear.weight.copy_(convolution.weight.flatten(1))
        linear.bias.copy_(_bias(convolution))
    x = _random(2, 32, 7, 5).requires_grad_()
    direction = _random(2, 10, 7, 5, seed=3)  # any gradient of the outputs: all of both layers takes part
    one = convolution(x)
    other = linear(x.movedim(1, -1)).movedim(-1, 1)
    gradients = [
        torch.autograd.grad(out, [x, *layer.parameters()], direction)
        for out, layer in ((one, convolution), (other, linear))
    ]
    error = float((one - other).detach().abs().max())
    backward = max(float((a.flatten() - b.flatten()).abs().max()) for a, b in zip(*gradients, strict=True))
    return Measurement(judged(max(error, backward) < EXACT), {"difference": error, "gradient_difference": backward})


def four_to_two(_: Any) -> Measurement:
    """Claim 19: whole numbers that can be checked by hand, at every pixel of a 3 x 3 map."""
    weight = torch.tensor([[1, 2, 0, -1], [0, -1, 3, 1]])
    a = torch.arange(36).view(4, 3, 3)  # at pixel p A1..A4 are p, 9 + p, 18 + p, 27 + p
    found = F.conv2d(a[None].double(), weight[:, :, None, None].double())[0].long()
    pixel = torch.arange(9)
    by_hand = torch.stack([2 * pixel - 9, 3 * pixel + 72]).view(2, 3, 3)
    wrong = int((found != by_hand).sum())
    b1, b2 = (int(found[k, 1, 1]) for k in range(2))
    return Measurement(judged(wrong == 0), {"b1": b1, "b2": b2, "weights": weight.numel(), "wrong": wrong})


def flattened(_: Any) -> Measurement:
    """Claim 20: weights of a fully connected layer on 192 flattened maps of 8x8, and the convolution that it equals."""
    shared = _pointwise(192, 10)
    x = _random(2, 192, 8, 8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        full = nn.Linear(192 * 8 * 8, 10).double()
    with torch.no_grad():
        as_convolution = F.conv2d(x, full.weight.view(10, 192, 8, 8), full.bias)[:, :, 0, 0]
        error = float((as_convolution - full(x.flatten(1))).abs().max())
    many = full.weight.numel()
    few = shared.weight.numel()
    return Measurement(
        judged(error < EXACT and many == 64 * few), {"full": many, "pointwise": few, "difference": error}
    )


def maps_for_filters(_: Any) -> Measurement:
    """Claim 22: n filters, n maps, the height and width kept, for every n up to 256."""
    x = torch.zeros(1, 32, 7, 5)
    kept = sum(F.conv2d(x, torch.zeros(n, 32, 1, 1)).shape == (1, n, 7, 5) for n in range(1, 257))
    return Measurement(judged(kept == 256), {"tried": 256, "kept": kept})


def up_and_down(_: Any) -> Measurement:
    """Claim 23: 32 maps become 8 and 128; the rank says how much of them is left."""
    maps = _random(1, 32, 6, 6).flatten(2)[0]  # (C, pixels)
    ranks = {width: int(torch.linalg.matrix_rank(_random(width, 32, seed=width) @ maps)) for width in (8, 128)}
    return Measurement(judged(ranks == {8: 8, 128: 32}), {"rank_of_8": ranks[8], "rank_of_128": ranks[128]})


def activated(_: Any) -> Measurement:
    """Claim 24: a 1x1 convolution with and without ReLU, and two of them folded into one."""
    first = _pointwise(8, 12)
    second = _pointwise(12, 6)
    x = _random(2, 8, 5, 5)
    bare = superposition_error(first, (2, 8, 5, 5))
    bent = superposition_error(nn.Sequential(first, nn.ReLU()), (2, 8, 5, 5))
    with torch.no_grad():
        weights = [layer.weight.flatten(1) for layer in (first, second)]
        bias = weights[1] @ _bias(first) + _bias(second)
        folded = F.conv2d(x, (weights[1] @ weights[0])[:, :, None, None], bias)
        same = float((second(first(x)) - folded).abs().max())
        other = float((second(F.relu(first(x))) - folded).abs().max())
    return Measurement(
        judged(max(bare, same) < EXACT and min(bent, other) > 0.01),
        {"bare": bare, "relu": bent, "folded": same, "folded_with_relu": other},
    )


def collapsed_error() -> float:
    """Largest difference between conv, 1x1, 1x1 without activations and the one convolution that they fold into."""
    layer = _mlpconv(24, 16, 8)
    x = _random(2, 3, 12, 10)
    with torch.no_grad():
        out = x
        for convolution in layer.convolutions:
            out = convolution(out)
        weight = layer.spatial.weight.flatten(1)
        bias = _bias(layer.convolutions[0])
        for _, after in pairwise(layer.convolutions):  # W2 (W1 x + b1) + b2 = (W2 W1) x + (W2 b1 + b2)
            weight = after.weight.flatten(1) @ weight
            bias = after.weight.flatten(1) @ bias + _bias(after)
        folded = F.conv2d(x, weight.view(-1, 3, 3, 3), bias, padding=1)
    return float((out - folded).abs().max())


def superposition_error(function: nn.Module, shape: tuple[int, ...]) -> float:
    """|f(a + b) - f(a) - f(b) + f(0)| relative to |f(a + b)|: zero where f is linear plus a constant."""
    a = _random(*shape, seed=1)
    b = _random(*shape, seed=2)
    with torch.no_grad():
        whole = function(a + b)
        rest = whole - function(a) - function(b) + function(torch.zeros_like(a))
    return float(rest.abs().max() / whole.abs().max())


def exclusive_or(hidden: int) -> float:
    """Accuracy (0 to 1) on new noisy patches of 5 x 5, after training: does a patch show exactly one of two edges?

    hidden: units in the perceptron's hidden layer; 0 makes it a linear filter.
    """
    generator = torch.Generator().manual_seed(0)
    rows = torch.linspace(-1, 1, 5).sign().expand(5, 5)
    signs = torch.randint(0, 2, (4000, 2), generator=generator) * 2.0 - 1
    patches = signs @ torch.stack([rows, rows.T]).reshape(2, 25) + 0.5 * torch.randn(4000, 25, generator=generator)
    labels = (signs[:, 0] * signs[:, 1] < 0).float()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [nn.Linear(25, hidden), nn.ReLU(), nn.Linear(hidden, 1)] if hidden else [nn.Linear(25, 1)]
    model = nn.Sequential(*layers)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(300):
        loss = F.binary_cross_entropy_with_logits(model(patches[:2000])[:, 0], labels[:2000])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return float(((model(patches[2000:])[:, 0] > 0) == (labels[2000:] > 0)).float().mean())


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _mlpconv(*widths: int) -> MLPConv:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return MLPConv(3, widths, 3).double()


def _pointwise(before: int, after: int) -> nn.Conv2d:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(before)
        return nn.Conv2d(before, after, 1).double()


def _bias(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias
