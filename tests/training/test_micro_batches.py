"""A step in micro-batches on several threads against the same step on another number of them, and against itself."""

import threading

import numpy as np
import pytest
import torch
from torch import nn

from nin.data.augment import Augmentation
from nin.network.architecture import NIN
from nin.network.layers import Dropout
from nin.training import checkpoint, cpu
from nin.training.cpu import CpuSteps
from nin.training.loop import Trainer
from nin.training.micro_batches import MicroBatches, computed_together, divided, micro_batch_count

MIXED = Augmentation(shift=0.1, cutmix=0.5)
# float32 sums of a few thousand numbers, added in another order: a unit in the last place, 6e-8, grows by their number
ROUNDING = 1e-4


@pytest.mark.parametrize(
    ("batch", "threads", "least", "count"),
    [(128, 2, 1, 8), (128, 2, 64, 2), (256, 2, 64, 4), (64, 2, 64, 1), (128, 1, 1, 1), (126, 2, 1, 2), (127, 2, 1, 1)],
)
def test_micro_batches_are_equal_and_not_too_small(batch, threads, least, count):
    assert micro_batch_count(batch, threads, least=least) == count


@pytest.mark.parametrize(("count", "parts"), [(256, 4), (250, 3), (5, 5), (0, 1), (1, 1)])
def test_parts_cover_all_pictures_once_and_evenly(count, parts):
    sizes = divided(count, parts)
    assert len(sizes) == parts and sum(sizes) == count and max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(
    ("count", "threads", "together"),
    [(4, 1, 1), (4, 2, 2), (4, 3, 1), (4, 4, 4), (4, 6, 2), (4, 8, 4), (1, 8, 1), (8, 2, 2), (3, 2, 1), (16, 16, 16)],
)
def test_no_thread_is_left_idle_and_few_share_an_operation(count, threads, together):
    assert computed_together(count, threads) == together


def learnt(trainer: Trainer) -> tuple[list[float], dict[str, torch.Tensor]]:
    """The losses of all epochs, and weights and statistics after them."""
    losses = [loss for epoch in trainer.epochs() for loss in (epoch.train_loss, epoch.val_loss)]
    return losses, trainer.model.state_dict()


def assert_alike(ours: tuple, theirs: tuple) -> None:
    assert ours[0] == pytest.approx(theirs[0], rel=ROUNDING)
    for name, value in ours[1].items():
        torch.testing.assert_close(value, theirs[1][name], rtol=10 * ROUNDING, atol=10 * ROUNDING, msg=name)


CASES = {
    "ghost batches": {"batch_size": 32, "statistics_batch": 8, "optimizer": "muon", "lr": 0.02},
    "ghost batches that are not equal": {"batch_size": 27, "statistics_batch": 8},
    "one ghost batch": {"batch_size": 16, "statistics_batch": 16},
    "a small last batch": {"batch_size": 32, "statistics_batch": 8, "files": 40},
    "nothing normalised": {"batch_size": 64, "norm": None},
    "nothing normalised, a small last batch": {"batch_size": 32, "norm": None, "files": 40},
    "mirrored in use": {"batch_size": 32, "statistics_batch": 8, "mirror": True},
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_any_number_of_threads_learns_the_same(make_trainer, case):
    """Losses and weights of two epochs, augmented, mixed and with dropout, on 1, 2 and 3 threads."""
    how = {"count": 64, "epochs": 2, "augmentation": MIXED, "dropout": 0.4, **case}
    one = learnt(make_trainer(threads=1, **how))
    for threads in (2, 3):
        assert_alike(learnt(make_trainer(threads=threads, **how)), one)


def test_a_number_of_threads_that_decides_what_is_normalised_would_be_noticed(make_trainer, monkeypatch):
    """The fault of before, planted: ghost batches by the number of threads."""
    how = {"count": 64, "epochs": 2, "augmentation": MIXED, "batch_size": 32, "statistics_batch": 8}
    one = learnt(make_trainer(threads=1, **how))
    trainer = make_trainer(threads=2, **how)
    monkeypatch.setattr(cpu, "ghost_batches", lambda count, least: divided(count, 2))
    with pytest.raises(AssertionError):
        assert_alike(learnt(trainer), one)


def test_masks_by_micro_batch_would_be_noticed(make_trainer, monkeypatch):
    """Planted: dropout seeded by the place within the micro-batch."""
    how = {"count": 64, "epochs": 2, "batch_size": 64, "norm": None, "dropout": 0.4}
    one = learnt(make_trainer(threads=1, **how))
    seeds = cpu.mask_seeds
    monkeypatch.setattr(
        cpu, "mask_seeds", lambda seed, epoch, places, layer: seeds(seed, epoch, places - places[0], layer)
    )
    with pytest.raises(AssertionError):
        assert_alike(learnt(make_trainer(threads=2, **how)), one)


def test_a_run_goes_on_with_another_number_of_threads(make_trainer, tmp_path):
    how = {"count": 64, "epochs": 2, "augmentation": MIXED, "dropout": 0.4, "batch_size": 32, "statistics_batch": 8}
    whole = learnt(make_trainer(threads=1, **how))
    begun = make_trainer(threads=2, **how)
    first = next(begun.epochs())
    checkpoint.save(tmp_path, begun, {})
    (tensors, position, _), _ = checkpoint.newest(tmp_path)
    again = make_trainer(threads=3, **how)
    checkpoint.restore(again, tensors, position)
    losses, state = learnt(again)
    assert_alike(([first.train_loss, first.val_loss, *losses], state), whole)


def test_the_threads_race_but_the_bits_do_not(make_trainer):
    results = []
    for _ in range(3):
        trainer = make_trainer(count=256, batch_size=128, augmentation=MIXED, threads=2)
        assert CpuSteps(trainer.state).micro_batches == 2
        list(trainer.epochs())
        results.append(trainer.model.state_dict())
    for name, value in results[0].items():
        assert torch.equal(value, results[1][name]) and torch.equal(value, results[2][name]), name


class WithTorchDropout(NIN):
    """A network with a dropout of torch's own, as other people's have."""

    def __init__(self, *arguments, **options) -> None:
        super().__init__(*arguments, **options)
        self.drop = nn.Dropout(0.4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(self.drop(x))


@pytest.mark.parametrize("norm", ["batch", None])
def test_dropout_of_torch_is_drawn_alike_on_any_number_of_threads(make_trainer, norm):
    how = {"count": 64, "epochs": 2, "batch_size": 64, "statistics_batch": 16, "norm": norm, "kind": WithTorchDropout}
    one, two = (learnt(make_trainer(threads=threads, **how)) for threads in (1, 2))
    assert_alike(two, one)


def test_running_statistics_are_the_means_over_the_micro_batches():
    model = nn.Sequential(nn.BatchNorm2d(3, momentum=0.25))
    x = torch.randn(8, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    replicas = MicroBatches(model, 4, 2, 2)

    def work(copy: nn.Module, index: int) -> tuple[list[torch.Tensor], torch.Tensor]:
        loss = copy(x[2 * index : 2 * index + 2]).square().sum()
        return list(torch.autograd.grad(loss, list(copy.parameters()))), loss.detach()

    for _ in range(2):
        replicas.run(work, 4)
    kept = (1 - 0.25) ** 2
    means = torch.stack([x[i : i + 2].mean((0, 2, 3)) for i in range(0, 8, 2)]).mean(0)
    variances = torch.stack([x[i : i + 2].movedim(1, 0).reshape(3, -1).var(1) for i in range(0, 8, 2)]).mean(0)
    torch.testing.assert_close(model[0].running_mean, (1 - kept) * means)
    torch.testing.assert_close(model[0].running_var, kept + (1 - kept) * variances)
    assert int(model[0].num_batches_tracked) == 2


@pytest.mark.parametrize(("threads", "together", "each"), [(2, 2, 1), (4, 2, 2)])
def test_the_threads_are_divided_among_the_micro_batches_computed_together(threads, together, each):
    seen: dict[int, tuple[int, str]] = {}

    def work(copy: nn.Module, index: int) -> tuple[list[torch.Tensor], torch.Tensor]:
        seen[index] = (torch.get_num_threads(), threading.current_thread().name)
        return [], torch.zeros(1)

    MicroBatches(nn.Linear(2, 2), 4, threads, together).run(work, 4)
    assert sorted(seen) == [0, 1, 2, 3]
    assert {count for count, _ in seen.values()} == {each}
    assert all(name.startswith("micro-batch") for _, name in seen.values())


def test_every_picture_has_masks_of_its_own(make_trainer, monkeypatch):
    """What each dropout is given in two steps: 64 seeds a layer, no two alike, and none left behind."""
    seen: list[list[int]] = []
    plain = Dropout.forward

    def spy(self: Dropout, x: torch.Tensor) -> torch.Tensor:
        if self.p:
            seen.append(list(self.seeds))
        return plain(self, x)

    monkeypatch.setattr(Dropout, "forward", spy)
    trainer = make_trainer(count=128, batch_size=64, statistics_batch=16, threads=2, dropout=0.4)
    layers = sum(isinstance(module, Dropout) and module.p > 0 for module in trainer.model.modules())
    for step in range(2):
        trainer.step(np.arange(64) + 64 * step)
        trainer.position.step += 1
    seeds = [seed for each in seen for seed in each]
    assert layers and len(seeds) == 2 * 64 * layers == len(set(seeds))
    assert all(module.seeds is None for module in trainer.model.modules() if isinstance(module, Dropout))


def test_the_model_itself_stays_as_it_was_after_an_error(make_trainer):
    trainer = make_trainer(count=16, batch_size=16, dropout=0.4)
    with pytest.raises(IndexError):
        trainer.step(np.arange(1000, 1016))
    steps = CpuSteps(trainer.state)
    with pytest.raises(MemoryError), steps._seeded(trainer.model, 0, 16, 0):
        raise MemoryError
    assert all(module.seeds is None for module in trainer.model.modules() if isinstance(module, Dropout))


def test_an_error_in_a_thread_reaches_the_caller():
    replicas = MicroBatches(nn.Linear(2, 2), 2, 2, 2)

    def work(copy: nn.Module, index: int) -> tuple[list[torch.Tensor], torch.Tensor]:
        raise MemoryError(f"micro-batch {index}")

    with pytest.raises(MemoryError, match="micro-batch 0"):
        replicas.run(work, 2)
