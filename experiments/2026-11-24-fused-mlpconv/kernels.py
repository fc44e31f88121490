# mypy: ignore-errors
# Triton's language is a dialect: what stands in these bodies is compiled for the GPU, not run by Python.
"""The fused kernels behind `fused.py`, in Triton: what mlpconv does to each place after its spatial convolution.

Shape legend: R rows (one per place: N * h * w), C0 maps of the spatial convolution, C1 and C2 of the 1x1 layers. A
program holds ROWS of them; P0 and P2 are C0 and C2 rounded up to a power of two, what is too much is masked to zero.

A perceptron is a sum over its hidden units, so every kernel walks them HIDDEN at a time: z = relu(x) w1' + b1 and its
gradient exist only in registers. LAYERS is 1 or 2; with 1 the units are the output itself, C2 is not used and P2 is 16.
`out` masks the gradient by the last ReLU (LAST). Products of PRECISION "ieee" or "tf32" are summed in float32.
ReLU is `where(z <= 0, 0, z)` and not a maximum, so that a NaN goes through as it does in torch.
"""

import triton
import triton.language as tl


@triton.jit
def _relu(z):
    return tl.where(z <= 0, 0.0, z).to(z.dtype)


@triton.jit
def _load(matrix, row, rows, WIDTH: tl.constexpr, column):
    """Elements (row, column) of a row-major (rows, WIDTH) matrix, zero outside."""
    inside = (row < rows)[:, None] & (column < WIDTH)[None, :]
    return tl.load(matrix + row[:, None] * WIDTH + column[None, :], mask=inside, other=0.0)


@triton.jit
def _store(matrix, row, rows, WIDTH: tl.constexpr, column, value):
    inside = (row < rows)[:, None] & (column < WIDTH)[None, :]
    tl.store(matrix + row[:, None] * WIDTH + column[None, :], value.to(matrix.dtype.element_ty), mask=inside)


@triton.jit
def _gradient(gradient, out, row, rows, WIDTH: tl.constexpr, column, LAST: tl.constexpr):
    """The gradient before the last activation."""
    g = _load(gradient, row, rows, WIDTH, column)
    if LAST:
        g = tl.where(_load(out, row, rows, WIDTH, column) <= 0, 0.0, g).to(g.dtype)
    return g


@triton.jit
def forward(
    x, w1, b1, w2, b2, out, rows,
    C0: tl.constexpr, C1: tl.constexpr, C2: tl.constexpr, P0: tl.constexpr, P2: tl.constexpr,
    ROWS: tl.constexpr, HIDDEN: tl.constexpr, LAYERS: tl.constexpr, LAST: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """x (R, C0), w1 (C1, C0), b1 (C1), w2 (C2, C1), b2 (C2) -> out (R, C2), or (R, C1) with one layer."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    maps, column = tl.arange(0, P0), tl.arange(0, P2)
    h0 = _relu(_load(x, row, rows, C0, maps))
    total = tl.zeros((ROWS, P2), tl.float32)
    for first in range(0, C1, HIDDEN):
        unit = first + tl.arange(0, HIDDEN)
        z = tl.dot(h0, tl.trans(_load(w1, unit, C1, C0, maps)), input_precision=PRECISION)
        z += tl.load(b1 + unit, mask=unit < C1, other=0.0)[None, :]
        if LAYERS == 2:
            h1 = _relu(z).to(h0.dtype)
            total += tl.dot(h1, tl.trans(_load(w2, column, C2, C1, unit)), input_precision=PRECISION)
        else:
            _store(out, row, rows, C1, unit, _relu(z) if LAST else z)
    if LAYERS == 2:
        total += tl.load(b2 + column, mask=column < C2, other=0.0)[None, :]
        _store(out, row, rows, C2, column, _relu(total) if LAST else total)


@triton.jit
def backward_maps(
    x, w1, b1, w2, out, gradient, dx, rows,
    C0: tl.constexpr, C1: tl.constexpr, C2: tl.constexpr, P0: tl.constexpr, P2: tl.constexpr,
    ROWS: tl.constexpr, HIDDEN: tl.constexpr, LAYERS: tl.constexpr, LAST: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """gradient like out -> dx (R, C0), the gradient before the ReLU of the spatial convolution."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    maps, column = tl.arange(0, P0), tl.arange(0, P2)
    seen = _load(x, row, rows, C0, maps)
    h0 = _relu(seen)
    total = tl.zeros((ROWS, P0), tl.float32)
    if LAYERS == 2:
        g = _gradient(gradient, out, row, rows, C2, column, LAST)
    for first in range(0, C1, HIDDEN):
        unit = first + tl.arange(0, HIDDEN)
        weights = _load(w1, unit, C1, C0, maps)
        if LAYERS == 2:
            z = tl.dot(h0, tl.trans(weights), input_precision=PRECISION)
            z += tl.load(b1 + unit, mask=unit < C1, other=0.0)[None, :]
            dz = tl.dot(g, _load(w2, column, C2, C1, unit), input_precision=PRECISION)
            dz = tl.where(z <= 0, 0.0, dz).to(h0.dtype)
        else:
            dz = _gradient(gradient, out, row, rows, C1, unit, LAST)
        total += tl.dot(dz, weights, input_precision=PRECISION)
    _store(dx, row, rows, C0, maps, tl.where(seen <= 0, 0.0, total))


@triton.jit
def backward_weights(
    x, w1, b1, w2, out, gradient, dw1, db1, dw2, db2, rows,
    C0: tl.constexpr, C1: tl.constexpr, C2: tl.constexpr, P0: tl.constexpr, P2: tl.constexpr,
    ROWS: tl.constexpr, HIDDEN: tl.constexpr, LAYERS: tl.constexpr, LAST: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Partial sums of program p in float32: dw1 (p, C1, C0), db1 (p, C1), dw2 (p, C2, C1), db2 (p, C2).

    Axis 0 of the grid shares out the rows, always in the same order; axis 1 the hidden units, HIDDEN each.
    """
    program, programs = tl.program_id(0).to(tl.int64), tl.num_programs(0)
    maps, column = tl.arange(0, P0), tl.arange(0, P2)
    unit = tl.program_id(1) * HIDDEN + tl.arange(0, HIDDEN)
    total_w1, total_b1 = tl.zeros((HIDDEN, P0), tl.float32), tl.zeros((HIDDEN,), tl.float32)
    total_w2, total_b2 = tl.zeros((P2, HIDDEN), tl.float32), tl.zeros((P2,), tl.float32)
    if LAYERS == 2:
        weights, bias = _load(w1, unit, C1, C0, maps), tl.load(b1 + unit, mask=unit < C1, other=0.0)
        weights2 = _load(w2, column, C2, C1, unit)
    for first in range(program * ROWS, rows, programs * ROWS):
        row = first + tl.arange(0, ROWS)
        h0 = _relu(_load(x, row, rows, C0, maps))
        if LAYERS == 2:
            g = _gradient(gradient, out, row, rows, C2, column, LAST)
            z = tl.dot(h0, tl.trans(weights), input_precision=PRECISION) + bias[None, :]
            h1 = _relu(z).to(h0.dtype)
            total_w2 += tl.dot(tl.trans(g), h1, input_precision=PRECISION)
            total_b2 += tl.sum(g.to(tl.float32), 0)
            dz = tl.where(z <= 0, 0.0, tl.dot(g, weights2, input_precision=PRECISION)).to(h0.dtype)
        else:
            dz = _gradient(gradient, out, row, rows, C1, unit, LAST)
        total_w1 += tl.dot(tl.trans(dz), h0, input_precision=PRECISION)
        total_b1 += tl.sum(dz.to(tl.float32), 0)
    _store(dw1 + program * C1 * C0, unit, C1, C0, maps, total_w1)
    tl.store(db1 + program * C1 + unit, total_b1, mask=unit < C1)
    if LAYERS == 2:
        _store(dw2 + program * C2 * C1, column, C2, C1, unit, total_w2)
        if tl.program_id(1) == 0:  # all chunks have the same sum
            tl.store(db2 + program * C2 + column, total_b2, mask=column < C2)
