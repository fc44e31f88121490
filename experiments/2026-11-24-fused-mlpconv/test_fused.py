"""The fused kernels, run by Triton's interpreter on the CPU, against layer by layer arithmetic in float64.

The interpreter is chosen when Triton is imported, so what needs it runs in a fresh process: this file, as a script.
"""

import importlib.util
import os
import subprocess
import sys
from itertools import pairwise
from types import SimpleNamespace
from unittest import mock

import pytest
import torch
import torch.nn.functional as F

from nin.errors import UsageError
from nin.network import fused
from nin.network.layers import MLPConv

SMALL = fused.Tile(rows=16, hidden=16)
TILES = fused.Tiles(SMALL, SMALL, fused.Tile(rows=32, hidden=64))
CASES = {  # widths, (N, h, w), last activation, tiles
    "the paper's two layers": ((20, 12, 10), (2, 5, 7), True, TILES),
    "no last activation": ((20, 40, 10), (2, 5, 7), False, TILES),
    "the author's widths": ((192, 160, 96), (1, 3, 5), True, None),
    "his last block": ((192, 192, 10), (1, 8, 8), True, None),
    "100 classes": ((192, 192, 100), (1, 3, 3), False, None),
    "one layer": ((33, 50), (3, 4, 5), True, TILES),
    "one layer, no activation": ((96, 100), (1, 5, 5), False, None),
    "one place, one map": ((1, 1, 1), (1, 1, 1), True, TILES),
    "more rows than programs": ((5, 17, 3), (3, 16, 17), True, TILES),
    "no picture": ((5, 17, 3), (0, 4, 4), True, TILES),
}


def operands(widths, places, dtype):
    """x, weights and biases; every width sees both signs, and some values are exactly zero."""
    n, h, w = places
    x = torch.randn(n, widths[0], h, w).to(dtype)
    x[:, :, :1, :1] = 0
    weights = [torch.randn(b, a, 1, 1) / a**0.5 for a, b in pairwise(widths)]
    biases = [torch.randn(b) / 2 for b in widths[1:]]
    return x.contiguous(memory_format=torch.channels_last), weights, biases


def plain(x, weights, biases, last):
    x = F.relu(x)
    for index, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        x = F.conv2d(x, weight, bias)
        x = F.relu(x) if last or index + 1 < len(weights) else x
    return x


def gradients(compute, tensors, upstream):
    """The output and the gradient of every tensor."""
    leaves = [tensor.detach().clone().requires_grad_() for tensor in tensors]
    layers = (len(leaves) - 1) // 2
    out = compute(leaves[0], leaves[1 : 1 + layers], leaves[1 + layers :])
    return [out.detach(), *torch.autograd.grad(out, leaves, upstream.to(out.dtype))]


def distance(found, expected):
    """The largest error beside the largest value."""
    assert found.shape == expected.shape
    return float((found.double() - expected).abs().max() / expected.abs().max().clamp_min(1e-9)) if len(found) else 0.0


def check_gradients(name, dtype=torch.float32, bound=2e-6):
    widths, places, last, tiles = CASES[name]
    x, weights, biases = operands(widths, places, dtype)
    upstream = torch.randn(places[0], widths[-1], *places[1:])  # not channels last: backward has to see to that
    tensors = (x, *weights, *biases)
    runs = [
        gradients(lambda x, w, b: fused.pointwise(x, w, b, last, tiles), tensors, upstream.to(dtype)) for _ in range(2)
    ]
    assert all(torch.equal(*pair) for pair in zip(*runs, strict=True)), "two runs differ"
    exact = [tensor.to(dtype).double() for tensor in (x, *weights)] + [bias.double() for bias in biases]
    expected = gradients(lambda x, w, b: plain(x, w, b, last), exact, upstream.to(dtype).double())
    assert runs[0][0].dtype == dtype
    assert runs[0][0].is_contiguous(memory_format=torch.channels_last)
    for found, right in zip(runs[0], expected, strict=True):
        assert distance(found, right) < bound, (name, dtype, distance(found, right))


def check_low_precision():
    """Activations and gradients are rounded to 11 bits once per layer, sums are not; bfloat16 needs a GPU.

    Triton's interpreter (3.9) multiplies the bit patterns of bfloat16 as integers.
    """
    for name in ("the paper's two layers", "one layer"):
        check_gradients(name, torch.float16, 2e-3)


def check_non_finite():
    """A NaN must come out: a dead run is told by it."""
    x, weights, biases = operands((4, 5, 3), (1, 2, 2), torch.float32)
    x[0, 1, 1, 1] = torch.nan
    out = fused.pointwise(x, weights, biases, True)
    assert out[0, :, 1, 1].isnan().all() and not out[0, :, 0].isnan().any()


def check_frozen():
    """What needs no gradient gets none, and the others' do not change."""
    x, weights, biases = operands((4, 5, 3), (2, 3, 3), torch.float32)
    for picked in (x, weights[1]):
        picked.requires_grad_()
        out = fused.pointwise(x, weights, biases, True, TILES)
        (found,) = torch.autograd.grad(out.sum(), picked)
        (right,) = torch.autograd.grad(plain(x, weights, biases, True).sum(), picked)
        assert distance(found, right.double()) < 1e-5
        picked.requires_grad_(False)


def check_layer():
    """MLPConv by way of the kernels is MLPConv: output and gradients of all weights and of the input."""
    for widths, last in (((20, 12, 10), True), ((7, 6), False)):
        layer = MLPConv(3, widths, 3, last_activation=last)
        exact = MLPConv(3, widths, 3, last_activation=last).double()
        exact.load_state_dict(layer.state_dict())
        x = torch.randn(2, 3, 6, 5, requires_grad=True)
        far = x.detach().double().requires_grad_()
        with (
            mock.patch.object(fused, "takes", return_value=True),
            mock.patch.object(fused, "pointwise", wraps=fused.pointwise) as called,
        ):
            out = layer(x)
        right, upstream = exact(far), torch.randn_like(out)
        out.backward(upstream)
        right.backward(upstream.double())
        assert called.call_count == 1
        pairs = [(out, right), (x.grad, far.grad)]
        pairs += [(a.grad, b.grad) for a, b in zip(layer.parameters(), exact.parameters(), strict=True)]
        assert len(pairs) == 2 + 2 * len(widths)
        assert max(distance(a.detach(), b.detach()) for a, b in pairs) < 2e-6


CHECKS = {
    **{name: (lambda name=name: check_gradients(name)) for name in CASES},
    **{check.__name__: check for check in (check_low_precision, check_non_finite, check_frozen, check_layer)},
}


@pytest.fixture(scope="module")
def verdicts():
    """Check -> "passed" or what went wrong, of all checks in one fresh process."""
    if importlib.util.find_spec("triton") is None:
        pytest.skip("triton is not installed")
    done = subprocess.run(
        [sys.executable, __file__], capture_output=True, text=True, env={**os.environ, "TRITON_INTERPRET": "1"}
    )
    assert done.returncode == 0, done.stderr
    return dict(line.split("\t", 1) for line in done.stdout.splitlines())


@pytest.mark.parametrize("name", CHECKS)
def test_the_kernels_agree_with_layer_by_layer_arithmetic(verdicts, name):
    assert verdicts[name] == "passed"


def on_gpu(**changes):
    """What `takes` asks of an input on a GPU, and a layer it takes."""
    known = {"is_cuda": True, "dtype": torch.float32, "device": "cuda", "is_contiguous": lambda memory_format: True}
    shapes = changes.pop("shapes", ((160, 192), (96, 160)))
    weights = [torch.zeros(*shape, 1, 1) for shape in shapes]
    biases = changes.pop("biases", [torch.zeros(shape[0]) for shape in shapes])
    return SimpleNamespace(**{**known, **changes}), weights, biases


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(fused, "_has_triton", lambda: True)


@pytest.mark.parametrize(
    "changes",
    [
        {"is_cuda": False},
        {"dtype": torch.float64},
        {"dtype": torch.bfloat16},  # beside float32 weights: torch refuses that, and so let it
        {"is_contiguous": lambda memory_format: False},
        {"shapes": ()},
        {"shapes": ((8, 8), (8, 8), (8, 8))},
        {"shapes": ((193, 8),)},
        {"shapes": ((8, 193),)},
        {"biases": [torch.zeros(160), None]},
    ],
)
def test_other_cases_are_left_to_torch(gpu, changes):
    assert fused.takes(*on_gpu())
    assert fused.takes(*on_gpu(shapes=((10, 192),)))
    assert not fused.takes(*on_gpu(**changes))


def test_old_gpus_missing_triton_and_tracing_are_left_to_torch(gpu, monkeypatch):
    for module, name, value in (
        (torch.cuda, "get_device_capability", lambda device: (7, 5)),
        (fused, "_has_triton", lambda: False),
        (torch.compiler, "is_compiling", lambda: True),
        (torch.jit, "is_tracing", lambda: True),
        (torch.version, "hip", "7.0"),
        (fused, "_dtype", lambda x: torch.float64),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, value)
            assert not fused.takes(*on_gpu())
    assert fused.takes(*on_gpu())


@pytest.mark.parametrize(
    ("layer", "changes"),
    [
        (MLPConv(3, (6, 5, 4), 3), {"fused": False}),
        (MLPConv(3, (6, 5, 4), 3, activation="gelu"), {}),
        (MLPConv(3, (6, 5, 4), 3, norm="batch", bias=True), {}),
        (MLPConv(3, (6, 5, 4), 3, norm="batch", bias=True).eval(), {}),
    ],
)
def test_layers_of_another_kind_or_switched_off_run_layer_by_layer(layer, changes, monkeypatch):
    monkeypatch.setattr(fused, "takes", lambda *_: True)
    monkeypatch.setattr(fused, "pointwise", lambda *_: pytest.fail("fused"))
    for name, value in changes.items():
        setattr(layer, name, value)
    assert layer(torch.zeros(1, 3, 4, 4)).shape == (1, 4, 4, 4)


def test_unserved_widths_are_refused_in_one_line():
    with pytest.raises(UsageError) as caught:
        fused.pointwise(torch.zeros(1, 200, 1, 1), [torch.zeros(8, 200, 1, 1)], [torch.zeros(8)], True)
    assert str(caught.value) == (
        "the fused kernel got 1x1 weights (8, 200, 1, 1); expected one or two with biases, of widths up to 192; "
        "set MLPConv.fused = False"
    )


def main():
    for name, check in CHECKS.items():
        torch.manual_seed(0)
        try:
            check()
            print(f"{name}\tpassed")
        except Exception as error:  # noqa: BLE001  the verdict is printed, and judged by the tests
            print(f"{name}\t{type(error).__name__}: {' '.join(str(error).split())[:300]}")


if __name__ == "__main__":
    main()
