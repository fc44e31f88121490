"""Places, sums and shared batch normalisation; real ranks are in tests/run/test_torchrun.py."""

import pytest
import torch
from torch import nn

from nin.errors import UsageError
from nin.training import distributed
from nin.training.distributed import ALONE, Rank, SharedBatchNorm, Team, place

RUN = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
MASTER = {"MASTER_ADDR": "a", "MASTER_PORT": "1"}


def test_the_place_is_what_torchrun_says():
    assert place({}) == Rank(0, 1, 0, 1, 0)
    assert place({**RUN, **MASTER, "TORCHELASTIC_RESTART_COUNT": "2"}) == Rank(3, 4, 1, 2, 2)
    assert place({"RANK": "0", "WORLD_SIZE": "1"}) == Rank()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"WORLD_SIZE": None}, "RANK is set, but WORLD_SIZE is not; start with torchrun, which sets both, or unset it"),
        ({"RANK": None}, "WORLD_SIZE is set, but RANK is not; start with torchrun, which sets both, or unset it"),
        ({"RANK": "4"}, "RANK is 4, but WORLD_SIZE is 4; expected a rank below the number of ranks"),
        ({"LOCAL_RANK": "2"}, "LOCAL_RANK is 2, but LOCAL_WORLD_SIZE is 2; expected a rank below the number of ranks"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE is 'two'; expected a whole number, as torchrun sets it"),
        ({"RANK": "-1"}, "RANK is '-1'; expected a whole number, as torchrun sets it"),
        ({"MASTER_PORT": "x"}, "MASTER_PORT is 'x'; expected a whole number, as torchrun sets it"),
        ({"MASTER_ADDR": None}, "WORLD_SIZE is 4, but MASTER_ADDR is not set; start with torchrun, which sets it"),
    ],
)
def test_impossible_settings_are_refused_in_one_line(changes, text):
    variables = {name: value for name, value in {**RUN, **MASTER, **changes}.items() if value is not None}
    with pytest.raises(UsageError) as refused:
        place(variables)
    assert str(refused.value) == text


@pytest.mark.parametrize(("count", "world"), [(8, 2), (7, 3), (5, 5), (64, 6)])
def test_parts_cover_a_batch_once_and_evenly(count, world):
    parts = [list(range(count))[Team(Rank(rank, world)).shard(count)] for rank in range(world)]
    assert [row for part in parts for row in part] == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


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
    norm = SharedBatchNorm(plain, Echo(Rank(0, 2)))
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
    ALONE.share_batch_norms(model)
    assert type(model[1][0]) is nn.BatchNorm2d
    Echo(Rank(0, 2)).share_batch_norms(model)
    assert type(model[1][0]) is SharedBatchNorm
    assert list(model.state_dict()) == names and all(a is b for a, b in zip(model.parameters(), weights, strict=True))


def test_a_process_alone_needs_nobody():
    ones = torch.ones(2)
    ALONE.all_reduce(ones)
    assert ones.tolist() == [1, 1] and ALONE.broadcast_text("a") == "a" and ALONE.broadcast_seconds(2.5) == 2.5
    assert ALONE.any_rank(True) and not ALONE.any_rank(False) and ALONE.broadcast_arrays({}, "b") == ({}, "b")
    with distributed.joined() as team:
        assert team.world == 1
