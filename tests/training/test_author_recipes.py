"""The author's recipes against his published numbers, and the loop's part in them against hand-written arithmetic."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nin.data.augment import Augmentation, augment
from nin.errors import UsageError
from nin.run.options import TrainOptions
from nin.run.plan import make_recipe
from nin.training import cpu
from nin.training.author_recipes import (
    AUGMENTED,
    AUTHORS,
    author_cifar10_recipe,
    author_cifar100_recipe,
    author_imagenet_recipe,
    caffe_cifar10,
)
from nin.training.micro_batches import micro_batch_count

# Published: epsW and epsB of all layers, of the last one, cost coefficient, wc (author's params files).
PARAMS = {
    "nin-author-cifar10": ((1, 2), (0.1, 0.2), 0.1, 1e-5),
    "nin-author-svhn": ((1, 2), (0.1, 0.2), 0.1, 1e-5),
    "nin-author-mnist": ((1, 2), (0.1, 0.2), 0.1, 1e-5),
    "nin-author-cifar100": ((0.01, 0.02), (0.01, 0.02), 2, 1e-3),
}


@pytest.mark.parametrize("name", PARAMS)
def test_effective_rates_and_decay_follow_from_his_files(name):
    (weights, biases), (last_weights, last_biases), coefficient, decay = PARAMS[name]
    recipe = AUTHORS[name]()
    rates = np.array([1.0, recipe.bias_rate, recipe.last_rate, recipe.last_bias_rate]) * recipe.lr
    np.testing.assert_allclose(rates, np.array([weights, biases, last_weights, last_biases]) * coefficient)
    assert recipe.weight_decay == pytest.approx(decay / coefficient)
    assert (recipe.momentum, recipe.nesterov, recipe.batch_size, recipe.label_smoothing) == (0.9, False, 128, 0)


def test_the_schedule_is_200_30_30_epochs():
    recipe = author_cifar10_recipe()
    rates = [recipe.rate((epoch + 0.5) / 260) for epoch in range(260)]
    assert recipe.epochs == 260
    assert [rates.count(pytest.approx(rate)) for rate in (0.1, 0.01, 0.001)] == [200, 30, 30]


def test_caffe_and_imagenet_follow_their_solvers():
    caffe, large = caffe_cifar10(), author_imagenet_recipe()
    assert caffe.epochs * 50_000 / 128 == pytest.approx(120_000, rel=1e-3)
    assert [caffe.rate(i / 120_000) for i in (0, 99_999, 100_000)] == pytest.approx([0.1, 0.1, 0.01])
    assert caffe.lr * caffe.last_bias_rate == pytest.approx(0.01)
    assert large.epochs * 1_281_167 / 64 == pytest.approx(450_000, rel=0.03)
    assert [large.rate(i / 450) for i in (0, 199, 200, 399, 400)] == pytest.approx([1e-2, 1e-2, 1e-3, 1e-3, 1e-4])


def test_biases_and_the_last_layer_have_rates_of_their_own(author_trainer):
    trainer = author_trainer()
    trainer.step(np.arange(8))
    rates = {id(p): group["lr"] for group in trainer.optimizer.param_groups for p in group["params"]}
    decays = {id(p): group["weight_decay"] for group in trainer.optimizer.param_groups for p in group["params"]}
    layers = [layer for block in trainer.model.blocks for layer in block.convolutions]
    assert [rates[id(layer.weight)] for layer in layers] == pytest.approx([0.1] * (len(layers) - 1) + [0.01])
    assert [rates[id(layer.bias)] for layer in layers] == pytest.approx([0.2] * (len(layers) - 1) + [0.02])
    assert {decays[id(layer.weight)] for layer in layers} == {1e-4}
    assert {decays[id(layer.bias)] for layer in layers} == {0.0}


def test_pictures_come_in_the_order_of_their_files_and_none_is_left_out(author_trainer):
    trainer = author_trainer(count=45)
    for epoch in (0, 7):
        batches = trainer.state.batches(epoch)
        assert [len(batch) for batch in batches] == [8, 8, 4, 8, 8, 4, 5]
        np.testing.assert_array_equal(np.concatenate(batches), np.arange(45))
    files = author_cifar10_recipe()
    assert 5 * -(-files.files // files.batch_size) == 395  # updates an epoch, as his README counts them


def test_an_epoch_equals_momentum_as_cuda_convnet_defines_it(author_trainer):
    """v <- 0.9 v - rate (decay w + gradient), w <- w + v; with one rate this is what torch computes."""
    settings = {"lr": 0.02, "steps": (0.99,)}
    trainer, twin = author_trainer(**settings), author_trainer().model.double()
    velocity = {name: torch.zeros_like(p) for name, p in twin.named_parameters()}
    last = len(twin.blocks) - 1, len(twin.blocks[-1].pointwise) - 1
    for batch in (slice(0, 8), slice(8, 16), slice(16, 20), slice(20, 28), slice(28, 36), slice(36, 40)):
        x = torch.from_numpy((trainer.data.images[batch] / 255 - 0.3) / 0.3).permute(0, 3, 1, 2)
        loss = F.cross_entropy(twin(x), torch.from_numpy(trainer.data.labels[batch]))
        gradients = torch.autograd.grad(loss, list(twin.parameters()))
        with torch.no_grad():
            for (name, p), gradient in zip(twin.named_parameters(), gradients, strict=True):
                rate = 0.02 * (2 if p.ndim == 1 else 1)
                rate *= 0.1 if name.startswith("blocks.{}.pointwise.{}.".format(*last)) else 1
                velocity[name] = 0.9 * velocity[name] - rate * ((1e-4 if p.ndim > 1 else 0) * p + gradient)
                p += velocity[name]
    list(trainer.epochs())
    for name, value in trainer.model.named_parameters():
        torch.testing.assert_close(value.double(), dict(twin.named_parameters())[name].detach(), rtol=1e-3, atol=1e-5)


def test_a_small_last_batch_is_shared_by_threads_without_losing_a_picture(author_trainer, monkeypatch):
    monkeypatch.setattr(cpu, "micro_batch_count", partial(micro_batch_count, least=1))  # eight, of batches of eight
    alone, shared = (author_trainer(count=45, threads=threads, dropout=0.4) for threads in (1, 2))
    assert [cpu.CpuSteps(trainer.state).micro_batches for trainer in (alone, shared)] == [1, 8]
    for trainer in (alone, shared):
        list(trainer.epochs())
    for left, right in zip(alone.model.parameters(), shared.model.parameters(), strict=True):
        torch.testing.assert_close(left, right, rtol=1e-3, atol=1e-5)
    assert shared.position.history[0].train_loss == pytest.approx(alone.position.history[0].train_loss, abs=1e-5)


def test_augmented_crops_are_whole_pixels_from_minus_four_to_four_all_as_likely():
    how = author_cifar10_recipe(augment=True).augmentation
    x = torch.zeros(4000, 1, 32, 32)
    x[:, 0, 16, 8] = 1
    found = augment(x, np.arange(4000), how, seed=0, epoch=0)[:, 0].reshape(4000, -1).argmax(1)
    rows, columns = found // 32, found % 32
    flipped = columns > 15
    assert flipped.float().mean() == pytest.approx(0.5, abs=0.03)
    for places, middle in ((rows, 16), (torch.where(flipped, 31 - columns, columns), 8)):
        counts = torch.bincount(places - (middle - 4), minlength=9)
        assert len(counts) == 9 and counts.min() > 0.8 * 4000 / 9 and counts.max() < 1.2 * 4000 / 9
    assert author_cifar10_recipe().augmentation == Augmentation()


def test_the_command_line_takes_them_by_network():
    def recipe(**options):
        return make_recipe(50_000, 3, TrainOptions(**options))

    assert recipe(network="nin-author-cifar10", recipe="author") == author_cifar10_recipe()
    assert recipe(network="nin-author-cifar100", recipe="author-augmented", seed=3, epochs=9) == replace(
        author_cifar100_recipe(augment=True, epochs=9), seed=3
    )
    assert recipe(network="nin-author-cifar10", recipe="author-caffe", lr=0.05) == replace(caffe_cifar10(), lr=0.05)
    assert set(AUGMENTED) < set(AUTHORS)
    for options, line in (
        (
            {"recipe": "author"},
            "--recipe author is for --network nin-author-cifar10 or nin-author-cifar100 or nin-author-svhn or "
            "nin-author-mnist or nin-author-imagenet; the network here is nin",
        ),
        (
            {"recipe": "author-caffe", "network": "nin-author-mnist"},
            "--recipe author-caffe is for --network nin-author-cifar10; the network here is nin-author-mnist",
        ),
        (
            {"recipe": "author", "network": "nin-author-mnist", "flip": "on"},
            "--recipe author decides --flip and --balance; leave them out",
        ),
    ):
        with pytest.raises(UsageError) as caught:
            recipe(**options)
        assert str(caught.value) == line
