"""Steps as a GPU takes them against steps as a CPU takes them, on a CPU: everything but the recording itself.

What needs a GPU is taken from them: the amount of its memory, and recordings (no step comes often enough).
"""

import numpy as np
import pytest
import torch
from torch import nn

from nin.data.augment import Augmentation
from nin.training import checkpoint, gpu, replay

VARIED = Augmentation(flip=True, shift=0.1, zoom=0.2, rotate=5.0, colour=0.2, erase=0.2)


@pytest.fixture
def make_both(make_trainer, monkeypatch):
    """make_both(memory=bytes, **as make_trainer) -> a Trainer that takes its steps as on a GPU, and a plain one."""
    monkeypatch.setattr(replay, "LAUNCHED", 10**9)

    def make(memory: int = 10**9, **changes):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (memory, memory))
        ours, plain = make_trainer(**changes), make_trainer(**changes)
        ours.stepper = gpu.GpuSteps(ours.state)
        monkeypatch.setattr(ours, "step", lambda batch: ours.stepper.step(batch, ours.state.learning_rate()))
        return ours, plain

    return make


@pytest.mark.parametrize("memory", [10**9, 0])
@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "muon"},
        {"optimizer": "muon", "norm": None, "weight_decay": 0.1},
        {"optimizer": "sgd", "nesterov": False, "bias_rate": 2.0, "last_rate": 0.1, "last_bias_rate": 0.2},
        {"files": 20, "steps": (0.5,), "norm": None},
        {"balance": "weights"},
        {"optimizer": "muon", "statistics_batch": 3},
        {"statistics_batch": 3, "files": 20},
    ],
)
def test_steps_of_a_gpu_learn_what_steps_of_a_cpu_learn(make_both, memory, changes):
    ours, plain = make_both(memory, augmentation=VARIED, dropout=0.0, **changes)
    assert (ours.stepper._images is None) is (memory == 0)
    for mine, theirs in zip(ours.epochs(), plain.epochs(), strict=True):
        assert mine.train_loss == pytest.approx(theirs.train_loss, rel=1e-4)
        assert mine.lr == pytest.approx(theirs.lr, rel=1e-6)
        assert mine.train_accuracy == theirs.train_accuracy
    for (name, mine), theirs in zip(ours.model.state_dict().items(), plain.model.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5, msg=name)


def test_mixed_pictures_are_prepared_batch_by_batch(make_both):
    mixed = Augmentation(shift=0.1, cutmix=0.9)
    ours, plain = make_both(augmentation=mixed, dropout=0.0)
    assert ours.stepper._images is None
    losses, others = ([epoch.train_loss for epoch in trainer.epochs()] for trainer in (ours, plain))
    assert losses == pytest.approx(others, rel=1e-4)


def test_without_a_compiler_a_long_run_is_not_compiled(make_both, monkeypatch):
    class Broken(nn.Module):
        def forward(self, x):
            raise RuntimeError("no compiler is there")

    monkeypatch.setattr(gpu, "COMPILED", 1)
    monkeypatch.setattr(torch, "compile", lambda model, **_: Broken())
    ours, plain = make_both(dropout=0.0)
    assert isinstance(ours.stepper._model, Broken)
    with pytest.warns(
        RuntimeWarning, match=r"^the network is not compiled \(no compiler is there\); it trains more slowly$"
    ):
        losses = [epoch.train_loss for epoch in ours.epochs()]
    assert losses == pytest.approx([epoch.train_loss for epoch in plain.epochs()], rel=1e-4)
    assert ours.stepper._model is ours.model


def test_what_overflows_leaves_the_weights_as_they_are(make_both):
    ours, _ = make_both(norm=None)
    ours.step(np.arange(8))
    with torch.no_grad():
        ours.model.blocks[0].spatial.weight.view(-1)[0] = float("nan")
    before = {name: value.clone() for name, value in ours.model.state_dict().items()}
    loss, right = ours.step(np.arange(8))
    assert loss != loss and right == 0
    for name, value in ours.model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0, equal_nan=True)


def test_a_restored_trainer_records_anew(make_both, tmp_path):
    ours, _ = make_both()
    next(ours.epochs())
    checkpoint.save(tmp_path, ours, {})
    (tensors, position, _), _ = checkpoint.newest(tmp_path)
    checkpoint.restore(ours, tensors, position)
    assert ours.stepper is None and ours.position.epoch == 1
