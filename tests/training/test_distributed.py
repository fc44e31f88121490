"""Places and sums; real ranks are in tests/run/test_torchrun.py."""

import pytest
import torch

from nin.errors import UsageError
from nin.training import distributed
from nin.training.distributed import ALONE, Rank, Team, place

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


def test_a_process_alone_needs_nobody():
    ones = torch.ones(2)
    ALONE.all_reduce(ones)
    assert ones.tolist() == [1, 1] and ALONE.broadcast_text("a") == "a" and ALONE.broadcast_seconds(2.5) == 2.5
    assert ALONE.any_rank(True) and not ALONE.any_rank(False) and ALONE.broadcast_arrays({}, "b") == ({}, "b")
    with distributed.joined() as team:
        assert team.world == 1
