"""Training steps recorded on a GPU against the same steps launched one by one; runs where there is one."""

from functools import partial

import numpy as np
import pytest
import torch

from nin.data.augment import Augmentation
from nin.network.architecture import NIN
from nin.training import checkpoint, gpu, replay

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
def test_recorded_steps_learn_what_launched_ones_learn(on_gpu, monkeypatch, optimizer, norm, dropout):
    words = {"count": 80, "optimizer": optimizer, "norm": norm, "dropout": dropout}
    ours = on_gpu(**words)
    epochs = list(ours.epochs())
    assert [len(each.recordings) for each in (ours.stepper.learn, ours.stepper.update)] == [1, 1]
    assert all([*ours.stepper.learn.recordings.values(), *ours.stepper.update.recordings.values()])
    monkeypatch.setattr(replay, "LAUNCHED", 10**9)
    plain = on_gpu(**words)
    for epoch, other in zip(epochs, plain.epochs(), strict=True):
        assert epoch.train_loss == pytest.approx(other.train_loss, rel=1e-3)
        assert epoch.val_loss == pytest.approx(other.val_loss, rel=1e-2)
    for (name, mine), theirs in zip(ours.model.state_dict().items(), plain.model.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-2, atol=1e-3, msg=name)


@pytest.mark.parametrize("kept", [True, False])
def test_a_gpu_learns_what_a_cpu_learns(make_trainer, on_gpu, monkeypatch, kept):
    vary = Augmentation(flip=True, shift=0.1, zoom=0.2, rotate=5.0, colour=0.2, erase=0.2, cutmix=0.0 if kept else 0.3)
    monkeypatch.setattr(gpu, "SHARE", 4 if kept else 10**12)
    words = {"count": 80, "augmentation": vary, "dropout": 0.0}
    ours, plain = on_gpu(**words), make_trainer(**words)
    for epoch, other in zip(ours.epochs(), plain.epochs(), strict=True):
        assert epoch.train_loss == pytest.approx(other.train_loss, rel=3e-2)
        assert epoch.lr == pytest.approx(other.lr, rel=1e-5)
    assert (ours.stepper._images is not None) is kept


def test_a_compiled_network_learns_the_same(on_gpu, monkeypatch):
    words = {"count": 80, "dropout": 0.0}
    plain = [epoch.train_loss for epoch in on_gpu(**words).epochs()]
    monkeypatch.setattr(gpu, "COMPILED", 1)
    trainer = on_gpu(**words)
    assert [epoch.train_loss for epoch in trainer.epochs()] == pytest.approx(plain, rel=1e-2)
    assert trainer.stepper._model is not trainer.model and all(trainer.stepper.learn.recordings.values())


def test_a_small_last_batch_has_its_own_recording(on_gpu):
    trainer = on_gpu(files=20)
    list(trainer.epochs())
    assert sorted(shapes[0][0] for shapes in trainer.stepper.learn.recordings) == [4, 8]
    assert all(trainer.stepper.learn.recordings.values())


def test_dropout_follows_the_seed_of_the_step(on_gpu):
    trainer = on_gpu(dropout=0.5)
    for _ in range(5):
        trainer.step(np.arange(8))
    rows, losses = torch.arange(8, device="cuda"), []
    for seed in (1, 2, 1):
        torch.cuda.manual_seed(seed)
        losses.append(trainer.stepper.learn(rows)[0].item())
    assert losses[0] == pytest.approx(losses[2], rel=1e-5) and losses[0] != pytest.approx(losses[1], rel=1e-3)


@pytest.mark.parametrize("noticed", [True, False])
def test_a_network_that_cannot_be_recorded_trains_all_the_same(on_gpu, monkeypatch, noticed):
    if not noticed:
        monkeypatch.setattr(replay.Waits, "__exit__", lambda self, *error: torch.cuda.set_sync_debug_mode("default"))
    trainer = on_gpu(kind=Curious, count=80)
    losses = [epoch.train_loss for epoch in trainer.epochs()]
    assert losses[-1] < losses[0] and list(trainer.stepper.learn.recordings.values()) == [None]
    assert all(trainer.stepper.update.recordings.values())
    assert torch.rand(3, device="cuda").std() > 0


def test_an_interrupted_run_goes_on_from_its_checkpoint(on_gpu, tmp_path):
    whole = [epoch.train_loss for epoch in on_gpu(count=80).epochs()]
    trainer = on_gpu(count=80)
    first = next(trainer.epochs())
    checkpoint.save(tmp_path, trainer, {})
    trainer = on_gpu(count=80)
    (tensors, position, _), _ = checkpoint.newest(tmp_path)
    checkpoint.restore(trainer, tensors, position)
    rest = [epoch.train_loss for epoch in trainer.epochs()]
    assert [first.train_loss, *rest] == pytest.approx(whole, rel=1e-3)


def test_a_step_that_overflows_leaves_the_weights_as_they_are(on_gpu):
    trainer = on_gpu(norm=None)
    for _ in range(5):
        trainer.step(np.arange(8))
    with torch.no_grad():
        trainer.model.blocks[0].spatial.weight.view(-1)[0] = float("nan")
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    loss, _ = trainer.step(np.arange(8))
    assert loss != loss
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(value.nan_to_num(7.0), before[name].nan_to_num(7.0)), name
