"""Muon against the singular value decomposition and against hand-written SGD."""

import subprocess
import sys

import pytest
import torch

from nin.training.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(16, 16), (8, 75), (96, 24), (1, 9)])
def test_orthogonal_keeps_the_singular_vectors_and_levels_the_singular_values(shape):
    update = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    left, values, right = torch.linalg.svd(update, full_matrices=False)
    levelled = left.T @ orthogonal(update, torch.float64, steps=5) @ right.T
    assert torch.allclose(levelled, torch.diag(levelled.diagonal()), atol=1e-9)
    large = values / values.norm() > 0.02  # five steps lift what is not tiny; Jordan et al. state 0.7 to 1.2
    assert levelled.diagonal()[large].min() > 0.6
    assert levelled.diagonal().max() < 1.25


def one_step(weight, gradient, **group):
    parameter = torch.nn.Parameter(weight.clone())
    parameter.grad = gradient
    settings = {"lr": 0.1, "momentum": 0.9, "dtype": torch.float64}
    Muon([{"params": [parameter], **group}], **settings).step()
    return parameter.detach()


def test_convolution_and_its_matrix_move_alike():
    weight, gradient = torch.randn(2, 6, 4, 3, 3, dtype=torch.float64)
    moved = one_step(weight, gradient, orthogonal=True)
    flat = one_step(weight.reshape(6, -1), gradient.reshape(6, -1), orthogonal=True)
    assert torch.allclose(moved.reshape(6, -1), flat, atol=1e-12)
    last = {"memory_format": torch.channels_last}
    assert torch.allclose(moved, one_step(weight.to(**last), gradient.to(**last), orthogonal=True), atol=1e-12)


def test_the_step_does_not_depend_on_the_gradients_size():
    weight, gradient = torch.randn(2, 6, 20, dtype=torch.float64)
    small = one_step(weight, gradient * 1e-3, orthogonal=True)
    assert torch.allclose(one_step(weight, gradient, orthogonal=True), small, atol=1e-6)


def test_fixed_norm_and_decay():
    weight, gradient = torch.randn(2, 6, 20, dtype=torch.float64)
    still = one_step(weight, gradient, orthogonal=True, fixed_norm=True, lr=0.0)
    assert still.norm() == pytest.approx(6**0.5)
    assert torch.allclose(still / still.norm(), weight / weight.norm())
    decayed = one_step(weight, gradient, orthogonal=True, weight_decay=0.5)
    free = one_step(weight, gradient, orthogonal=True)
    assert torch.allclose(free - decayed, weight * 0.1 * 0.5)


def test_other_groups_are_torchs_nesterov_sgd():
    ours, theirs = (torch.nn.Parameter(torch.arange(4.0)) for _ in range(2))
    mine = Muon([{"params": [ours], "weight_decay": 0.01}], lr=0.1, momentum=0.9, dtype=torch.float32)
    sgd = torch.optim.SGD([theirs], lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)
    for step in range(5):
        ours.grad, theirs.grad = (torch.full((4,), 1.0 + step) for _ in range(2))
        mine.step()
        sgd.step()
    assert torch.allclose(ours, theirs)


def test_making_one_does_not_import_what_compiles_networks():
    code = """
import sys, torch
from nin.training.muon import Muon
weight = torch.nn.Parameter(torch.ones(3, 3))
Muon([{"params": [weight], "orthogonal": True}], lr=0.1, momentum=0.9, dtype=torch.float32)
sys.exit("torch._dynamo" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
