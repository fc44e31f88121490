"""Numbers that are not finite, put anywhere into a training: seen in the same step, never on the disk.

Fifty of them here, 500 in `make test-heavy`; each is drawn from its own seed, which a failure names.
"""

import math
import os
import random

import pytest
import torch

from nin.errors import NinError
from nin.sealed import read_tensors
from nin.training import checkpoint
from nin.training.slots import SLOTS

COUNT = 500 if os.environ.get("NIN_HEAVY") == "1" else 50
PLACES = ("weight", "gradient", "momentum", "statistic", "picture", "loss")


class Saboteur:
    """Puts `value` into a place, once."""

    def __init__(self, trainer, place: str, value: float, rng: random.Random) -> None:
        self.trainer, self.place, self.value, self.rng = trainer, place, value, rng

    def strike(self) -> None:
        trainer, model = self.trainer, self.trainer.model
        if self.place == "weight":
            self._put(model.parameters())
        elif self.place == "statistic":
            self._put(buffer for buffer in model.buffers() if buffer.is_floating_point())
        elif self.place == "momentum":
            self._put(state["momentum_buffer"] for state in trainer.optimizer.state.values())
        elif self.place == "gradient":
            real = trainer.state.team.all_reduce
            trainer.state.team = Tampered(trainer.team, lambda tensors: (real(*tensors), self._put(tensors[:-1])))
        elif self.place == "loss":
            real = trainer.state.team.all_reduce
            trainer.state.team = Tampered(
                trainer.team, lambda tensors: (real(*tensors), tensors[-1].__setitem__(0, self.value))
            )
        else:
            real = trainer.state.pictures

            def pictures(rows):
                x, labels = real(rows)
                x[self.rng.randrange(len(x)), 0, 6, 6] = self.value
                return x, labels

            trainer.state.pictures = pictures

    def _put(self, tensors) -> None:
        tensor = self.rng.choice(list(tensors))
        tensor.data[tuple(self.rng.randrange(side) for side in tensor.shape)] = self.value


class Tampered:
    """A team whose sums come out otherwise."""

    def __init__(self, team, all_reduce) -> None:
        self._team, self._all_reduce = team, all_reduce

    def all_reduce(self, *tensors) -> None:
        self._all_reduce(tensors)

    def __getattr__(self, name):
        return getattr(self._team, name)


@pytest.mark.parametrize("seed", range(COUNT))
def test_it_is_seen_in_the_same_step_and_never_written(seed, make_trainer, tmp_path):
    rng = random.Random(seed)
    place, value = PLACES[seed % len(PLACES)], rng.choice((math.nan, math.inf, -math.inf))
    optimizer = rng.choice(("sgd", "muon"))
    trainer = make_trainer(optimizer=optimizer, dropout=0.0)
    when, done = rng.randrange(1, 3 * trainer.state.steps), 0

    def on_step(_) -> None:
        nonlocal done
        done += 1
        checkpoint.save(tmp_path, trainer, {})
        if done == when:
            Saboteur(trainer, place, value, rng).strike()

    with pytest.raises(NinError, match=r"^the training loss, its gradient or a weight became (nan|inf|-inf) in epoch"):
        for _ in trainer.epochs(on_step=on_step):
            pass
    assert done == when, "it was seen later"
    saves = trainer.position.saves
    if not all(tensor.isfinite().all() for tensor in trainer.model.state_dict().values()):
        with pytest.raises(NinError, match=r"^model/\S+ is not finite; it was not saved"):
            checkpoint.save(tmp_path, trainer, {})
    written = [read_tensors(tmp_path / name)[0] for name in SLOTS if (tmp_path / name).exists()]
    assert len(written) == min(2, when)
    for tensors in written:
        assert all(torch.from_numpy(array.copy()).isfinite().all() for array in tensors.values())
    assert checkpoint.newest(tmp_path)[0][1].saves == saves == when
