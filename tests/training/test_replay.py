"""Training steps recorded on a GPU against the same steps launched one by one; runs where there is one."""

from functools import partial

import numpy as np
import pytest
import torch

from nin.data.augment import Augmentation
from nin.network.architecture import NIN

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")


class Curious(NIN):
    """Asks for a value on the way, which no recording can give."""

    def forward(self, x):
        logits = super().forward(x)
        assert logits.sum().item() == logits.sum().item()
        return logits


@pytest.fixture
def on_gpu(make_trainer):
    """on_gpu(**as make_trainer) -> a Trainer on the GPU, its convolutions as exact as on a CPU."""
    torch.backends.cudnn.allow_tf32 = False
    yield partial(make_trainer, augmentation=Augmentation(), device="cuda")
    torch.backends.cudnn.allow_tf32 = True


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("norm", ["batch", None])
@pytest.mark.parametrize("optimizer", ["sgd", "muon"])
def test_recorded_steps_learn_what_launched_ones_learn(on_gpu, norm, dropout, optimizer):
    ours, plain = (on_gpu(optimizer=optimizer, norm=norm, dropout=dropout) for _ in range(2))
    plain._replay = None
    for epoch, other in zip(ours.epochs(), plain.epochs(), strict=True):
        assert epoch.train_loss == pytest.approx(other.train_loss, rel=1e-3)
        assert epoch.val_loss == pytest.approx(other.val_loss, rel=1e-2)
    assert all(ours._replay.recordings.values()) and len(ours._replay.recordings) == 1
    for (name, mine), theirs in zip(ours.model.state_dict().items(), plain.model.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-2, atol=1e-3, msg=name)


def test_a_small_last_batch_has_its_own_recording(on_gpu):
    trainer = on_gpu(files=20)
    list(trainer.epochs())
    assert sorted(shapes[0][0] for shapes in trainer._replay.recordings) == [4, 8]
    assert all(trainer._replay.recordings.values())


def test_dropout_follows_the_seed_of_the_step(on_gpu):
    trainer = on_gpu(dropout=0.5)
    x, labels = trainer.pictures(np.arange(8))
    targets = torch.nn.functional.one_hot(labels, 2).float()
    losses = []
    for seed in (1, 2, 1):
        torch.cuda.manual_seed(seed)
        losses.append(trainer._replay(x, targets, labels)[1][0].item())
    assert losses[0] == pytest.approx(losses[2], rel=1e-5) and losses[0] != pytest.approx(losses[1], rel=1e-3)


def test_a_network_that_cannot_be_recorded_trains_all_the_same(on_gpu):
    trainer = on_gpu(kind=Curious)
    assert list(trainer.epochs())[-1].train_loss < 0.7
    assert list(trainer._replay.recordings.values()) == [None]
