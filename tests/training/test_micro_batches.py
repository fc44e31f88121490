"""A step in micro-batches on several threads against the same step in one piece, and against itself."""

import threading
from dataclasses import replace

import pytest
import torch
from torch import nn

from nin.data.augment import Augmentation
from nin.network.architecture import NIN, author_mnist
from nin.training.cpu import CpuSteps
from nin.training.micro_batches import MicroBatches, micro_batch_count

MIXED = Augmentation(shift=0.1, cutmix=0.5)


@pytest.mark.parametrize(
    ("batch", "threads", "least", "count"),
    [(128, 2, 1, 8), (128, 2, 64, 2), (256, 2, 64, 4), (64, 2, 64, 1), (128, 1, 1, 1), (126, 2, 1, 2), (127, 2, 1, 1)],
)
def test_micro_batches_are_equal_and_not_too_small(batch, threads, least, count):
    assert micro_batch_count(batch, threads, least=least) == count


def test_without_normalisation_micro_batches_change_nothing_but_rounding(make_trainer):
    how = {"count": 256, "batch_size": 64, "augmentation": MIXED, "norm": None, "dropout": 0.0}
    whole, split = make_trainer(threads=1, **how), make_trainer(threads=2, **how)
    assert (CpuSteps(whole.state).micro_batches, CpuSteps(split.state).micro_batches) == (1, 4)
    for epoch, other in zip(whole.epochs(), split.epochs(), strict=True):
        assert epoch.train_loss == pytest.approx(other.train_loss, rel=1e-4)
    for (name, ours), theirs in zip(whole.model.named_parameters(), split.model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5, msg=name)


def test_the_threads_race_but_the_bits_do_not(make_trainer):
    results = []
    for _ in range(3):
        trainer = make_trainer(count=256, batch_size=128, augmentation=MIXED, threads=2)
        assert CpuSteps(trainer.state).micro_batches == 2
        list(trainer.epochs())
        results.append(trainer.model.state_dict())
    for name, value in results[0].items():
        assert torch.equal(value, results[1][name]) and torch.equal(value, results[2][name]), name


def test_running_statistics_are_the_means_over_the_micro_batches():
    model = nn.Sequential(nn.BatchNorm2d(3, momentum=0.25))
    x = torch.randn(8, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    replicas = MicroBatches(model, 4, 2)

    def work(copy: nn.Module, index: int) -> tuple[list[torch.Tensor], torch.Tensor]:
        loss = copy(x[2 * index : 2 * index + 2]).square().sum()
        return list(torch.autograd.grad(loss, list(copy.parameters()))), loss.detach()

    for _ in range(2):
        replicas.run(work, range(4))
    kept = (1 - 0.25) ** 2
    means = torch.stack([x[i : i + 2].mean((0, 2, 3)) for i in range(0, 8, 2)]).mean(0)
    variances = torch.stack([x[i : i + 2].movedim(1, 0).reshape(3, -1).var(1) for i in range(0, 8, 2)]).mean(0)
    torch.testing.assert_close(model[0].running_mean, (1 - kept) * means)
    torch.testing.assert_close(model[0].running_var, kept + (1 - kept) * variances)
    assert int(model[0].num_batches_tracked) == 2


def test_every_micro_batch_has_dropout_of_its_own_and_threads_of_one():
    model = NIN(replace(author_mnist(), init="kaiming"))
    seen: dict[int, tuple[torch.Tensor, int, str]] = {}

    def work(copy: nn.Module, index: int) -> tuple[list[torch.Tensor], torch.Tensor]:
        dropped = copy.dropouts[0](torch.ones(1, 4, 8, 8))
        seen[index] = (dropped, torch.get_num_threads(), threading.current_thread().name)
        return [], torch.zeros(1)

    replicas = MicroBatches(model, 4, 2)
    replicas.run(work, [1, 2, 3, 3])
    assert not torch.equal(seen[0][0], seen[1][0]) and torch.equal(seen[2][0], seen[3][0])
    assert {threads for _, threads, _ in seen.values()} == {1}
    assert all(name.startswith("micro-batch") for _, _, name in seen.values())
    assert model.dropouts[0].generator is None  # the model itself stays as it was


def test_an_error_in_a_thread_reaches_the_caller():
    replicas = MicroBatches(nn.Linear(2, 2), 2, 2)

    def work(copy: nn.Module, index: int) -> tuple[list[torch.Tensor], torch.Tensor]:
        raise MemoryError(f"micro-batch {index}")

    with pytest.raises(MemoryError, match="micro-batch 0"):
        replicas.run(work, [0, 1])
