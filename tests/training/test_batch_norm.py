"""Ghost batches in one process, on several ranks and as a GPU takes them; torch's own layer is the judge."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier, Lock

import pytest
import torch
from torch import nn

from nin.training.batch_norm import (
    GhostBatchNorm,
    SharedBatchNorm,
    batch_of,
    ghost_batches,
    in_ghost_batches,
    share_batch_norms,
)
from nin.training.cpu import CpuSteps
from nin.training.distributed import ALONE, Rank, Team


@pytest.mark.parametrize(
    ("count", "least", "sizes"),
    [
        (256, 64, (64, 64, 64, 64)),
        (250, 64, (83, 83, 84)),
        (127, 64, (127,)),
        (40, 64, (40,)),
        (5, 2, (2, 3)),
        (0, 2, (0,)),
    ],
)
def test_a_batch_is_divided_by_the_recipe_alone(count, least, sizes):
    assert ghost_batches(count, least) == sizes


def drawn(seed: int = 0) -> nn.BatchNorm2d:
    """A normalisation of three channels with weights and statistics that are not the usual ones."""
    generator = torch.Generator().manual_seed(seed)
    plain = nn.BatchNorm2d(3, momentum=0.25)
    with torch.no_grad():
        plain.weight.uniform_(0.5, 2, generator=generator)
        plain.bias.uniform_(-1, 1, generator=generator)
    return plain


def judged(x: torch.Tensor, seed: torch.Tensor, sizes: tuple[int, ...]) -> dict[str, torch.Tensor]:
    """What torch's layer makes of every ghost batch by itself, in float64: outputs, gradients, mean statistics."""
    judges = [drawn().double() for _ in sizes]
    whole = x.detach().double().requires_grad_()
    outs = [judge(ghost) for judge, ghost in zip(judges, whole.split(sizes), strict=True)]
    torch.cat(outs).backward(seed.double())
    return {
        "out": torch.cat(outs).detach(),
        "x": whole.grad,
        "weight": sum(judge.weight.grad for judge in judges),
        "bias": sum(judge.bias.grad for judge in judges),
        "mean": torch.stack([judge.running_mean for judge in judges]).mean(0),
        "variance": torch.stack([judge.running_var for judge in judges]).mean(0),
    }


def assert_close(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    for name, value in found.items():
        torch.testing.assert_close(value.double(), expected[name], rtol=1e-3, atol=1e-3, msg=name)


def pictures(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Maps (N, 3, 5, 5) far from zero, channels last, whose ghost batches differ; and the gradient of their outputs."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(count, 3, 5, 5, generator=generator) + 20 + torch.arange(count).view(-1, 1, 1, 1)
    seed = torch.randn(count, 3, 5, 5, generator=generator)
    return x.contiguous(memory_format=torch.channels_last), seed


@pytest.mark.parametrize(("count", "least"), [(12, 4), (11, 4), (6, 4)])
def test_ghost_batches_in_one_process_equal_torch_on_each(count, least):
    x, seed = pictures(count)
    x.requires_grad_()
    norm = GhostBatchNorm(drawn(), least)
    out = norm(x)
    out.backward(seed)
    found = {"out": out, "x": x.grad, "weight": norm.weight.grad, "bias": norm.bias.grad}
    found |= {"mean": norm.running_mean, "variance": norm.running_var}
    assert_close(found, judged(x, seed, ghost_batches(count, least)))
    assert int(norm.num_batches_tracked) == 1
    assert out.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(norm.eval()(x[:2]), norm(x)[:2])  # in use a picture's answer is its own


class Meeting(Team):
    """One of several ranks in threads of one process: a sum waits for all of them."""

    def __init__(self, rank: int, world: int, barrier: Barrier, brought: list) -> None:
        super().__init__(Rank(rank, world))
        self.barrier = barrier
        self.brought = brought

    def all_reduce(self, *tensors: torch.Tensor) -> None:
        self.brought[self.rank] = [tensor.clone() for tensor in tensors]
        self.barrier.wait(timeout=60)
        for place, tensor in enumerate(tensors):
            tensor.copy_(sum(each[place] for each in self.brought))
        self.barrier.wait(timeout=60)


@pytest.mark.parametrize(
    ("count", "least", "world"), [(12, 4, 2), (12, 4, 3), (11, 4, 2), (12, 6, 4), (13, 3, 2), (5, 64, 2)]
)
def test_ranks_normalise_the_ghost_batches_of_one_process(count, least, world):
    """Ghost batches on one rank, on several, and some of which a rank has no picture."""
    x, seed = pictures(count)
    barrier = Barrier(world)
    brought: list = [None] * world

    def of_rank(rank: int) -> dict[str, torch.Tensor]:
        team = Meeting(rank, world, barrier, brought)
        norm = SharedBatchNorm(drawn(), team, least)
        mine = x[team.shard(count)].detach().requires_grad_()
        with batch_of(count, norm):
            out = norm(mine)
            out.backward(seed[team.shard(count)])
        assert norm.count is None
        statistics = {"mean": norm.running_mean, "variance": norm.running_var}
        return {"out": out.detach(), "x": mine.grad, "weight": norm.weight.grad, "bias": norm.bias.grad, **statistics}

    with ThreadPoolExecutor(world) as pool:
        ranks = list(pool.map(of_rank, range(world)))
    expected = judged(x, seed, ghost_batches(count, least))
    found = {name: torch.cat([rank[name] for rank in ranks]) for name in ("out", "x")}
    found |= {name: sum(rank[name] for rank in ranks) for name in ("weight", "bias")}
    assert_close(found, expected)
    for rank in ranks:
        assert_close({name: rank[name] for name in ("mean", "variance")}, expected)


def test_outside_a_step_the_pictures_of_all_ranks_are_one_ghost_batch():
    norm = SharedBatchNorm(drawn(), Echo(Rank(0, 2)), 2)
    assert norm.rows(12) == (12,)
    with batch_of(7, norm):
        assert norm.rows(3) == (2, 1, 0)


def test_a_model_in_ghost_batches_shares_weights_and_statistics_and_leaves_the_model_as_it_was():
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Sequential(drawn()))
    ghosted = in_ghost_batches(model, 12, 4)
    assert type(ghosted[1][0]) is GhostBatchNorm and type(model[1][0]) is nn.BatchNorm2d
    theirs = dict(ghosted.named_parameters()) | dict(ghosted.named_buffers())
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        assert theirs[name] is tensor, name
    before = model[1][0].running_mean.clone()
    ghosted(pictures(12)[0])
    assert not torch.equal(model[1][0].running_mean, before)


def test_a_model_without_several_ghost_batches_is_taken_as_it_is():
    normed = nn.Sequential(drawn())
    plain = nn.Sequential(nn.Conv2d(3, 3, 1))
    assert in_ghost_batches(normed, 7, 4) is normed
    assert in_ghost_batches(plain, 12, 4) is plain


class Echo(Team):
    """Rank 0 of two ranks that see the same pictures: every sum is twice its own."""

    def all_reduce(self, *tensors: torch.Tensor) -> None:
        for tensor in tensors:
            tensor.mul_(2)


def test_shared_normalisation_equals_torch_on_the_whole_batch():
    """Twice the same part: torch's layer on the doubled batch, in float64, is the judge; far from zero."""
    torch.manual_seed(0)
    plain = nn.BatchNorm2d(3)
    with torch.no_grad():
        plain.weight.uniform_(0.5, 2)
        plain.bias.uniform_(-1, 1)
    judge = nn.BatchNorm2d(3).double()
    judge.load_state_dict(plain.state_dict())
    norm = SharedBatchNorm(plain, Echo(Rank(0, 2)), 64)
    x = (torch.randn(4, 3, 5, 5) + 100).requires_grad_()
    seed = torch.randn(4, 3, 5, 5)
    norm(x).backward(seed)
    whole = torch.cat([x, x]).detach().double().requires_grad_()
    judge(whole).backward(torch.cat([seed, seed]).double())
    torch.testing.assert_close(x.grad.double(), whole.grad[:4], rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(2 * norm.weight.grad.double(), judge.weight.grad, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(2 * norm.bias.grad.double(), judge.bias.grad, rtol=1e-4, atol=1e-4)
    assert norm.state_dict().keys() == judge.state_dict().keys()
    for name, value in norm.state_dict().items():
        torch.testing.assert_close(value.double(), judge.state_dict()[name].double(), rtol=1e-5, atol=1e-5, msg=name)
    norm.eval(), judge.eval()
    torch.testing.assert_close(norm(x).double(), judge(x.double()), rtol=1e-4, atol=1e-4)


def test_norms_are_shared_in_place_and_a_process_alone_keeps_its_own():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Sequential(nn.BatchNorm2d(2)))
    names, weights = list(model.state_dict()), list(model.parameters())
    share_batch_norms(model, ALONE, 64)
    assert type(model[1][0]) is nn.BatchNorm2d
    share_batch_norms(model, Echo(Rank(0, 2)), 64)
    assert type(model[1][0]) is SharedBatchNorm
    assert list(model.state_dict()) == names and all(a is b for a, b in zip(model.parameters(), weights, strict=True))


@pytest.mark.parametrize(("world", "kind"), [(1, GhostBatchNorm), (2, SharedBatchNorm)])
def test_devices_beside_the_processor_have_ghost_batches_in_one_model(make_trainer, world, kind):
    """Alone by a twin of the model, on ranks by its shared normalisations: these are not copied, a store cannot be."""
    trainer = make_trainer(batch_size=16, statistics_batch=4)
    state = trainer.state
    state.hardware = replace(state.hardware, device="mps")
    state.team = Team(Rank(0, world), Lock())
    share_batch_norms(state.model, state.team, 4)
    steps = CpuSteps(state)
    assert steps.micro_batches == 1
    found = {type(module) for module in steps._replicas.model.modules() if isinstance(module, nn.BatchNorm2d)}
    assert found == {kind}
