"""The 1x1 layers of mlpconv as one GPU kernel: their maps never leave the chip, forward or backward.

Between the spatial convolution and the output, plain PyTorch writes and reads every map of every layer several times;
a GPU waits for that, not for the arithmetic. Here a program loads a few places, computes their whole perceptron in
registers and stores the output; backward computes the hidden maps again instead of keeping them. The kernels
(`kernels.py`) are in Triton, which is imported when first needed: without it, or where `takes` says no, `MLPConv`
computes layer by layer. `MLPConv.fused = False` switches this path off everywhere, `layer.fused = False` for one layer.

Gradients of weights are partial sums per program, added in a fixed order: the same inputs give the same bits on the
same kind of GPU. Products are summed in float32; for float32 inputs they follow torch.backends.cudnn.allow_tf32, like
the 1x1 convolutions they replace.

Shape legend: N pictures, C0 maps of the spatial convolution, (h, w) their sides, R = N * h * w rows.
"""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from nin.errors import UsageError

WIDEST = 192  # the author's CIFAR-10 network; a program holds a whole row, and wider ones would not fit in registers
DTYPES = (torch.bfloat16, torch.float16, torch.float32)
CAPABILITY = (8, 0)  # the first GPUs with bfloat16 and TF32 matrix units; older ones are not supported by Triton's dot


@dataclass(frozen=True)
class Tile:
    """How one kernel is cut: rows and hidden units at a time (powers of two, at least 16), warps, pipeline stages."""

    rows: int = 64
    hidden: int = 32
    warps: int = 4
    stages: int = 2


@dataclass(frozen=True)
class Tiles:
    """The cuts of the three kernels. Never chosen by timing at run time: that would decide the order of sums."""

    forward: Tile = Tile()
    maps: Tile = Tile()
    weights: Tile = Tile()


TILES = Tiles()
TILES_FLOAT32 = Tiles(Tile(rows=32), Tile(rows=32), Tile(rows=32))  # four bytes a value: half the rows


def takes(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor | None]) -> bool:
    """Whether `pointwise` serves a layer whose input is x (N, C, H, W), with these 1x1 weights (C', C, 1, 1).

    Asks for one or two 1x1 layers with biases, widths up to 192, one floating type for all (autocast may lower it),
    channels-last maps on a CUDA GPU of capability 8.0 or newer, Triton, and that nobody traces or compiles.
    """
    return (
        x.is_cuda
        and not torch.version.hip
        and _serves(weights, biases)
        and _dtype(x) in DTYPES
        and x.dtype == weights[0].dtype
        and x.is_contiguous(memory_format=torch.channels_last)
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        and torch.cuda.get_device_capability(x.device) >= CAPABILITY
        and _has_triton()
    )


def pointwise(
    x: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None],
    last_activation: bool,
    tiles: Tiles | None = None,
) -> Tensor:
    """relu, then one or two 1x1 convolutions with relu between them: x (N, C0, h, w) -> (N, C', h, w), channels last.

    x comes before the spatial convolution's activation; weights (C', C, 1, 1) and biases (C',) come layer by layer and
    may be of a higher precision than x. Gradients flow to all of them, once (no second derivatives).
    Raises UsageError for a number of layers or widths that the kernels do not serve.
    Source: Lin et al. 2013, equation 2.
    """
    if not _serves(weights, biases):
        shapes = ", ".join(str(tuple(weight.shape)) for weight in weights) or "none"
        raise UsageError(
            f"the fused kernel got 1x1 weights {shapes}; expected one or two with biases, of widths up to {WIDEST}; "
            "set MLPConv.fused = False"
        )
    tiles = tiles or (TILES_FLOAT32 if x.dtype == torch.float32 else TILES)
    second = (weights[1], biases[1]) if len(weights) == 2 else (None, None)
    result: Tensor = _Pointwise.apply(x, weights[0], biases[0], *second, last_activation, tiles)  # type: ignore[no-untyped-call]
    return result


class _Pointwise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor | None, b2: Tensor | None, last: bool, tiles: Tiles
    ) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        call = _Call(x, w1, b1, w2, b2, last)
        out = call.forward(tiles.forward)
        ctx.last, ctx.tiles = last, tiles
        ctx.save_for_backward(x, w1, b1, w2, b2, out if last else None)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, w1, b1, w2, b2, out = ctx.saved_tensors
        call = _Call(x, w1, b1, w2, b2, ctx.last)
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        dx = call.backward_maps(gradient, out, ctx.tiles.maps) if ctx.needs_input_grad[0] else None
        if not any(ctx.needs_input_grad[1:5]):
            return dx, None, None, None, None, None, None
        sums = call.backward_weights(gradient, out, ctx.tiles.weights)
        found = [
            None if like is None else value.view_as(like).to(like.dtype)
            for value, like in zip(sums, (w1, b1, w2, b2), strict=True)
        ]
        return dx, *found, None, None


class _Call:
    """The arguments that the three kernels share, and their launches; x (N, C0, h, w) is channels last."""

    def __init__(self, x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor | None, b2: Tensor | None, last: bool) -> None:
        self.x, self.layers = x, 1 if w2 is None else 2
        self.w1, self.b1 = w1.to(x.dtype).contiguous(), b1.float().contiguous()
        self.w2, self.b2 = (self.w1, self.b1) if w2 is None or b2 is None else (w2.to(x.dtype).contiguous(), b2.float())
        self.rows = x.numel() // x.shape[1]
        self.widths = (x.shape[1], w1.shape[0], 1 if w2 is None else w2.shape[0])
        self.constants = {
            **dict(zip(("C0", "C1", "C2"), self.widths, strict=True)),
            "P0": _padded(self.widths[0]),
            "P2": _padded(self.widths[2]),
            "LAYERS": self.layers,
            "LAST": last,
            "PRECISION": "tf32" if x.dtype == torch.float32 and torch.backends.cudnn.allow_tf32 else "ieee",
        }

    def forward(self, tile: Tile) -> Tensor:
        out = self._maps_like_x(self.widths[self.layers])
        self._launch("forward", (self._blocks(tile),), tile, self.x, self.w1, self.b1, self.w2, self.b2, out)
        return out

    def backward_maps(self, gradient: Tensor, out: Tensor | None, tile: Tile) -> Tensor:
        dx = self._maps_like_x(self.widths[0])
        read = (self.x, self.w1, self.b1, self.w2, gradient if out is None else out, gradient)
        self._launch("backward_maps", (self._blocks(tile),), tile, *read, dx)
        return dx

    def backward_weights(self, gradient: Tensor, out: Tensor | None, tile: Tile) -> list[Tensor]:
        """Gradients of w1, b1, w2, b2 in float32, flat; the last two of one element where there is one layer."""
        chunks = -(-self.widths[1] // tile.hidden)
        programs = min(self._blocks(tile), max(1, _processors(self.x.device) // chunks))  # all at work at once
        c0, c1, c2 = self.widths
        sizes = (c1 * c0, c1, c2 * c1, c2) if self.layers == 2 else (c1 * c0, c1, 1, 1)
        sums = [torch.empty(programs, size, device=self.x.device) for size in sizes]
        read = (self.x, self.w1, self.b1, self.w2, gradient if out is None else out, gradient)
        self._launch("backward_weights", (programs, chunks), tile, *read, *sums)
        return [partial.sum(0) for partial in sums]

    def _blocks(self, tile: Tile) -> int:
        return -(-self.rows // tile.rows)

    def _maps_like_x(self, width: int) -> Tensor:
        n, _, h, w = self.x.shape
        return self.x.new_empty((n, h, w, width)).permute(0, 3, 1, 2)

    def _launch(self, name: str, grid: tuple[int, ...], tile: Tile, *tensors: Tensor) -> None:
        from nin.network import kernels

        cut = {"ROWS": tile.rows, "HIDDEN": tile.hidden, "num_warps": tile.warps, "num_stages": tile.stages}
        if self.rows:
            with torch.cuda.device_of(self.x):  # type: ignore[no-untyped-call]
                getattr(kernels, name)[grid](*tensors, self.rows, **self.constants, **cut)


def _serves(weights: Sequence[Tensor], biases: Sequence[Tensor | None]) -> bool:
    widths = [width for weight in weights for width in weight.shape[:2]]
    biased = len(weights) == len(biases) and all(bias is not None for bias in biases)
    return len(weights) in (1, 2) and biased and max(widths) <= WIDEST


def _dtype(x: Tensor) -> torch.dtype:
    """The type the spatial convolution will compute in."""
    return torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else x.dtype


def _padded(width: int) -> int:
    return max(16, 1 << (width - 1).bit_length())  # tensor cores multiply 16 at a time


def _processors(device: torch.device) -> int:
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 8


@cache
def _has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None
