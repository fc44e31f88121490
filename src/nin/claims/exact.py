"""Claims that are identities: computed in full, in float64 where exactness is the point.

(N, C, H, W) maps. Pictures and weights are random unless a claim names its own.
"""

from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nin.claims.claim import Measurement, judged
from nin.network.layers import MLPConv

EXACT = 1e-11  # largest difference in float64 that rounding explains here


def linear_or_not(_: Any) -> Measurement:
    """Claim 1: superposition, and two crossed edges whose exclusive-or no linear filter can tell."""
    layer = _mlpconv(16, 16)
    errors = [superposition_error(function, (2, 3, 9, 9)) for function in (layer.spatial, layer)]
    filter_right, mlp_right = (100 * exclusive_or(hidden) for hidden in (0, 16))
    return Measurement(
        judged(errors[0] < EXACT and errors[1] > 0.01 and filter_right < 80 and mlp_right > 99),
        {"filter": errors[0], "mlpconv": errors[1], "filter_right": filter_right, "mlpconv_right": mlp_right},
    )


def slid_perceptron(_: Any) -> Measurement:
    """Claim 3: an explicit perceptron on every unfolded patch against the mlpconv layer."""
    layer, x = _mlpconv(24, 16, 8), _random(2, 3, 12, 10)
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
    convolution, linear = _pointwise(32, 10), nn.Linear(32, 10).double()
    with torch.no_grad():
        linear.weight.copy_(convolution.weight.flatten(1))
        linear.bias.copy_(_bias(convolution))
    x, direction = _random(2, 32, 7, 5).requires_grad_(), _random(2, 10, 7, 5, seed=3)
    one, other = convolution(x), linear(x.movedim(1, -1)).movedim(-1, 1)
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
    shared, x = _pointwise(192, 10), _random(2, 192, 8, 8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        full = nn.Linear(192 * 8 * 8, 10).double()
    with torch.no_grad():
        as_convolution = F.conv2d(x, full.weight.view(10, 192, 8, 8), full.bias)[:, :, 0, 0]
        error = float((as_convolution - full(x.flatten(1))).abs().max())
    many, few = full.weight.numel(), shared.weight.numel()
    return Measurement(
        judged(error < EXACT and many == 64 * few), {"full": many, "pointwise": few, "difference": error}
    )


def maps_for_filters(_: Any) -> Measurement:
    """Claim 22: n filters, n maps, the height and width kept, for every n up to 256."""
    x = torch.zeros(1, 32, 7, 5)
    kept = sum(F.conv2d(x, torch.zeros(n, 32, 1, 1)).shape == (1, n, 7, 5) for n in range(1, 257))
    return Measurement(judged(kept == 256), {"tried": 256, "kept": kept})


def up_and_down(_: Any) -> Measurement:
    """Claim 23: 32 maps become fewer and more, and what each keeps of them."""
    maps = _random(1, 32, 6, 6).flatten(2)[0]  # (C, pixels)
    fewer, more = (int(torch.linalg.matrix_rank(_random(width, 32, seed=width) @ maps)) for width in (8, 128))
    return Measurement(judged((fewer, more) == (8, 32)), {"rank_of_8": fewer, "rank_of_128": more})


def activated(_: Any) -> Measurement:
    """Claim 24: a 1x1 convolution with and without ReLU, and two of them folded into one."""
    first, second, x = _pointwise(8, 12), _pointwise(12, 6), _random(2, 8, 5, 5)
    bare, bent = (superposition_error(nn.Sequential(first, *more), (2, 8, 5, 5)) for more in ((), (nn.ReLU(),)))
    with torch.no_grad():
        weights = [layer.weight.flatten(1) for layer in (first, second)]
        bias = weights[1] @ _bias(first) + _bias(second)
        folded = F.conv2d(x, (weights[1] @ weights[0])[:, :, None, None], bias)
        same, other = (float((second(y) - folded).abs().max()) for y in (first(x), F.relu(first(x))))
    return Measurement(
        judged(max(bare, same) < EXACT and min(bent, other) > 0.01),
        {"bare": bare, "relu": bent, "folded": same, "folded_with_relu": other},
    )


def collapsed_error() -> float:
    """How far conv, 1x1, 1x1 without activations between them are from the one convolution they fold into."""
    layer, x = _mlpconv(24, 16, 8), _random(2, 3, 12, 10)
    with torch.no_grad():
        out = x
        for convolution in layer.convolutions:
            out = convolution(out)
        weight, bias = layer.spatial.weight.flatten(1), _bias(layer.convolutions[0])
        for _, after in pairwise(layer.convolutions):
            weight, bias = after.weight.flatten(1) @ weight, after.weight.flatten(1) @ bias + _bias(after)
        folded = F.conv2d(x, weight.view(-1, 3, 3, 3), bias, padding=1)
    return float((out - folded).abs().max())


def superposition_error(function: nn.Module, shape: tuple[int, ...]) -> float:
    """|f(a + b) - f(a) - f(b) + f(0)| relative to |f(a + b)|: zero for whatever is linear but for a constant."""
    a, b = _random(*shape, seed=1), _random(*shape, seed=2)
    with torch.no_grad():
        whole = function(a + b)
        rest = whole - function(a) - function(b) + function(torch.zeros_like(a))
    return float(rest.abs().max() / whole.abs().max())


def exclusive_or(hidden: int) -> float:
    """Share of new patches told right after training: is exactly one of two edges in this noisy patch of 5 x 5?

    hidden: units of the perceptron's hidden layer; 0 makes it a linear filter.
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
