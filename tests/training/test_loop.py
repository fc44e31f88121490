"""The loop against a plain loop written from the definitions, and its promises: schedule, balance, patience, resume."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nin.data.augment import Augmentation
from nin.data.randomness import order
from nin.errors import NinError, UsageError
from nin.training import checkpoint
from nin.training.hardware import Hardware
from nin.training.loop import train_epochs
from nin.training.optimizers import class_weights, weighted_targets
from nin.training.recipes import Recipe, default_recipe
from nin.training.slots import SLOTS
from nin.training.tensors import to_tensor
from reference import slow_loss


def state_of(trainer) -> dict[str, torch.Tensor]:
    tensors = {f"model/{k}": v.clone() for k, v in trainer.model.state_dict().items()}
    for i, p in enumerate(p for g in trainer.optimizer.param_groups for p in g["params"]):
        tensors[f"momentum/{i}"] = trainer.optimizer.state[p]["momentum_buffer"].clone()
    return tensors


def assert_same_bits(left, right) -> None:
    assert left.keys() == right.keys()
    for name in left:
        assert torch.equal(left[name], right[name]), name


def test_one_epoch_equals_nesterov_sgd_written_from_its_definition(make_trainer):
    plain = Augmentation()
    trainer = make_trainer(epochs=1, augmentation=plain, label_smoothing=0.1)
    for dropout in trainer.model.dropouts:
        dropout.p = 0.0
    twin = make_trainer(epochs=1, augmentation=plain).model.double()
    for dropout in twin.dropouts:
        dropout.p = 0.0
    weights = dict(twin.named_parameters())
    velocity = {n: torch.zeros_like(p) for n, p in weights.items()}
    twin.train()
    indices, recipe = order(0, 0, 40), trainer.recipe
    for step in range(5):
        batch = indices[step * 8 : step * 8 + 8]
        x = torch.from_numpy((trainer.data.images[batch].astype(np.float64) / 255 - 0.3) / 0.3).permute(0, 3, 1, 2)
        y = torch.from_numpy(trainer.data.labels[batch])
        log_p = twin(x).log_softmax(1)
        smooth = 0.1 / 2 + 0.9 * F.one_hot(y, 2).double()
        loss = -(smooth * log_p).sum(1).mean()
        grads = torch.autograd.grad(loss, list(weights.values()))
        lr = recipe.rate(step / 5)
        with torch.no_grad():
            for (name, p), g in zip(weights.items(), grads, strict=True):
                g = g + (recipe.weight_decay if p.ndim > 1 else 0) * p
                velocity[name] = recipe.momentum * velocity[name] + g
                p -= lr * (g + recipe.momentum * velocity[name])
    list(trainer.epochs())
    for name, value in trainer.model.named_parameters():
        torch.testing.assert_close(value.double(), weights[name].detach(), rtol=1e-3, atol=1e-4, msg=name)


def test_it_learns_and_yields_one_epoch_at_a_time(make_trainer):
    trainer = make_trainer(epochs=6, count=80)
    epochs = list(trainer.epochs())
    assert [e.epoch for e in epochs] == [1, 2, 3, 4, 5, 6]
    assert [e.step for e in epochs] == [10, 20, 30, 40, 50, 60]
    assert epochs[-1].val_accuracy > 0.9 and trainer.finished
    with torch.no_grad():
        trainer.model.eval()
        x = to_tensor(trainer.validation.images, trainer.preprocess, "cpu")
        logits = trainer.model(x)
    y = torch.from_numpy(trainer.validation.labels)
    assert epochs[-1].val_loss == pytest.approx(float(F.cross_entropy(logits, y)), abs=1e-5)


def test_muon_turns_every_convolution_but_the_last_and_learns(make_trainer):
    trainer = make_trainer(epochs=6, count=80, optimizer="muon", lr=0.02, other_lr=0.1)
    matrices, last, vectors, _ = trainer.optimizer.param_groups
    convolutions = [layer.weight for block in trainer.model.blocks for layer in block.convolutions]
    assert [id(p) for p in matrices["params"]] == [id(p) for p in convolutions[:-1]]
    assert [id(p) for p in last["params"]] == [id(convolutions[-1])]
    assert list(trainer.epochs())[-1].val_accuracy > 0.9
    assert vectors["lr"] == pytest.approx(5 * matrices["lr"])
    for weight in convolutions[:-1]:
        assert float(weight.detach().norm()) == pytest.approx(len(weight) ** 0.5, rel=0.1)


def test_to_tensor_equals_the_torch_free_preprocessing(make_trainer):
    trainer = make_trainer()
    images = trainer.data.images[:5]
    ours = to_tensor(images, trainer.preprocess, "cpu").numpy()
    np.testing.assert_allclose(ours, trainer.preprocess.normalise(images), rtol=0, atol=1e-6)


def test_the_rate_rises_linearly_and_falls_to_zero():
    recipe = Recipe(epochs=1, lr=0.4, warmup=0.25)
    assert [recipe.rate(p) for p in (0, 0.125, 0.25, 0.625, 1.0)] == pytest.approx([0, 0.2, 0.4, 0.2, 0.0])


@pytest.mark.parametrize("stop_at", [1, 4, 5, 9, 13])
@pytest.mark.parametrize("how", [{}, {"optimizer": "muon", "lr": 0.02}], ids=["sgd", "muon"])
def test_stopping_anywhere_and_resuming_gives_the_same_bits(make_trainer, tmp_path, stop_at, how):
    whole = make_trainer(**how)
    list(whole.epochs())
    first, count = make_trainer(**how), iter(range(100))
    for _ in first.epochs(should_stop=lambda: next(count) + 1 >= stop_at):
        pass
    assert not first.finished
    checkpoint.save(tmp_path, first, {"note": "hello"})
    (tensors, position, about), notes = checkpoint.newest(tmp_path)
    second = make_trainer(**how)
    checkpoint.restore(second, tensors, position)
    list(second.epochs())
    assert about == {"note": "hello"} and notes == ()
    assert_same_bits(state_of(whole), state_of(second))
    timeless = {"time": 0.0, "images_per_second": 0.0}
    assert [replace(e, **timeless) for e in whole.position.history] == [
        replace(e, **timeless) for e in second.position.history
    ]


def test_a_damaged_checkpoint_is_named_and_the_other_one_used(make_trainer, tmp_path):
    trainer = make_trainer()
    for _ in trainer.epochs():
        checkpoint.save(tmp_path, trainer, {})
    assert checkpoint.newest(tmp_path)[0][1].epoch == 3
    newest = tmp_path / SLOTS[trainer.position.saves % 2]
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    (_, position, _), notes = checkpoint.newest(tmp_path)
    assert position.epoch == 2
    assert len(notes) == 1 and newest.name in notes[0] and "damaged" in notes[0]
    assert bytes(data) == newest.read_bytes()


def test_a_checkpoint_of_another_network_is_refused(make_trainer, tmp_path):
    trainer = make_trainer()
    checkpoint.save(tmp_path, trainer, {})
    (tensors, position, _), _ = checkpoint.newest(tmp_path)
    tensors.pop("model/blocks.0.spatial.weight")
    with pytest.raises(NinError, match=r"^the checkpoint belongs to another network: .*$"):
        checkpoint.restore(trainer, tensors, position)


def test_patience_stops_and_keeps_the_best_epoch(make_trainer):
    trainer = make_trainer(epochs=50, patience=2, lr=1e-9)
    losses = []
    snapshots = []
    for epoch in trainer.epochs():
        losses.append(epoch.val_loss)
        snapshots.append({k: v.clone() for k, v in trainer.model.state_dict().items()})
    best = int(np.argmin(losses))
    assert len(losses) == min(best + 3, 50)
    assert_same_bits(trainer.final_weights(), snapshots[best])


@pytest.mark.parametrize("after", [0, 1])
def test_a_run_that_goes_on_after_its_best_epoch_still_knows_it(make_trainer, tmp_path, after):
    how = {"epochs": 50, "patience": 2, "lr": 1e-9}
    whole = make_trainer(**how)
    list(whole.epochs())
    first = make_trainer(**how)
    for epoch in first.epochs():
        if epoch.epoch == whole.position.best_epoch + after:
            break
    checkpoint.save(tmp_path, first, {})
    (tensors, position, _), _ = checkpoint.newest(tmp_path)
    second = make_trainer(**how)
    checkpoint.restore(second, tensors, position)
    list(second.epochs())
    assert len(second.position.history) == len(whole.position.history)
    assert (second.position.best_epoch, second.position.best_loss) == (
        whole.position.best_epoch,
        whole.position.best_loss,
    )
    assert_same_bits(second.final_weights(), whole.final_weights())


def test_every_epoch_shows_pictures_anew(make_trainer):
    """Another order, and pictures varied and mixed in another way; mixed in another way in every step, too."""
    rows = np.arange(8)
    shown = {}
    for how in (Augmentation(shift=0.2), Augmentation(cutmix=1.0)):
        trainer = make_trainer(augmentation=how)
        for epoch, step in ((0, 0), (0, 1), (1, 0)):
            trainer.position.epoch = epoch
            trainer.position.step = step
            shown[how, epoch, step] = trainer.state.augmented(rows)[0]
        assert not torch.equal(shown[how, 0, 0], shown[how, 1, 0])
    assert not torch.equal(shown[how, 0, 0], shown[how, 0, 1])
    first, second = (np.concatenate(trainer.state.batches(epoch)) for epoch in (0, 1))
    assert not np.array_equal(first, second)
    assert sorted(first) == sorted(second) == list(range(40))


def test_the_clock_shrinks_the_schedule(make_trainer):
    trainer = make_trainer(epochs=10**6, max_seconds=0.5)
    epochs = list(trainer.epochs())
    assert trainer.finished and len(epochs) < 10**5
    assert trainer.state.learning_rate() == 0.0
    assert trainer.position.seconds >= 0.5


def test_the_clock_decides_only_for_a_run_that_is_late(make_trainer):
    trainer = make_trainer(epochs=4, max_seconds=100.0)  # 5 steps an epoch
    at = trainer.position
    at.epoch, at.step, at.seconds = 2, 0, 54.0  # half of the steps, 4 points late
    assert trainer.state.progress() == 0.5
    at.seconds = 64.0
    assert trainer.state.progress() == pytest.approx(0.6)  # (64 - 10) / 90
    at.seconds = 100.0
    assert trainer.state.progress() == 1.0 and trainer.state.learning_rate() == 0.0


def test_loss_weights_count_every_class_the_same(make_trainer):
    trainer = make_trainer()
    uneven = replace(trainer.data, labels=np.array([0] * 30 + [1] * 10))
    weighted = type(trainer)(
        trainer.model,
        uneven,
        trainer.validation,
        trainer.preprocess,
        replace(trainer.recipe, balance="weights"),
        trainer.hardware,
    )
    assert weighted.state.class_weights.tolist() == pytest.approx([40 / 60, 40 / 20])
    assert trainer.state.class_weights.tolist() == [1, 1]


def test_class_weights_do_not_touch_the_smoothed_part(make_trainer):
    """One picture of the common class: what it asks for the rare one is a matter of smoothing, not of its weight."""
    targets = F.one_hot(torch.tensor([0, 1]), 2).float()
    asked = weighted_targets(targets, torch.tensor([0.5, 15.0]), 0.1)  # 30 : 1
    assert asked.tolist() == [pytest.approx([0.475, 0.025]), pytest.approx([0.75, 14.25])]
    assert torch.equal(weighted_targets(targets, torch.ones(2), 0.0), targets)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
@pytest.mark.parametrize("classes", [2, 5])
def test_the_loss_of_a_step_is_the_mean_of_its_pictures_weighted_by_their_classes(make_trainer, smoothing, classes):
    rng = np.random.default_rng(classes)
    weights = [rng.uniform(0, 3) for _ in range(classes - 1)] + [30.0]
    parts = [[(i % classes, share), ((2 * i + 1) % classes, 1 - share)] for i, share in enumerate((1.0, 1.0, 0.7, 0.2))]
    targets = torch.zeros(len(parts), classes)
    for row, mixed in enumerate(parts):
        for label, share in mixed:
            targets[row, label] += share
    trainer = make_trainer(label_smoothing=smoothing, dropout=0.0)
    trainer.state.class_weights = torch.tensor(weights)
    logits = torch.tensor(rng.normal(0, 2, (len(parts), classes)), dtype=torch.float32, requires_grad=True)
    trainer.state.trained = [logits]
    labels = torch.tensor([mixed[0][0] for mixed in parts])
    (gradient,), facts = trainer.state.learn(lambda x: x, 0.5, logits, targets, labels)
    plain = logits.detach().double().numpy()
    assert facts[0].item() == pytest.approx(0.5 * slow_loss(plain, parts, weights, smoothing), rel=1e-5)
    for place in np.ndindex(*plain.shape):
        step = np.zeros_like(plain)
        step[place] = 1e-4
        rise = slow_loss(plain + step, parts, weights, smoothing) - slow_loss(plain - step, parts, weights, smoothing)
        assert gradient[place].item() == pytest.approx(0.5 * rise / 2e-4, rel=1e-3, abs=1e-5)


def test_a_rare_class_among_many_is_not_the_answer_for_all(make_trainer):
    """At 39 to 1 a constant answer that is best for the weighted, smoothed loss prefers neither class."""
    trainer = make_trainer(label_smoothing=0.1)
    labels = torch.tensor([0] * 39 + [1])
    trainer.state.class_weights = class_weights(labels.numpy(), 2, "weights")
    bias = torch.zeros(2, requires_grad=True)
    trainer.state.trained = [bias]
    x = torch.zeros(40, 2)
    (gradient,), _ = trainer.state.learn(lambda zeros: zeros + bias, 1.0, x, F.one_hot(labels, 2).float(), labels)
    assert gradient.abs().max() < 1e-6


def test_a_loss_that_is_not_finite_ends_the_run_in_one_line(make_trainer):
    trainer = make_trainer()
    with torch.no_grad():
        trainer.model.blocks[0].spatial.weight[0, 0, 0, 0] = math.inf
    with pytest.raises(
        NinError,
        match=r"(?m)^the training loss, its gradient or a weight became nan in epoch 1, step 1, .* smaller --lr$",
    ):
        list(trainer.epochs())


def test_train_is_the_loop_for_people_who_want_no_trainer(make_trainer):
    t = make_trainer()
    epochs = list(train_epochs(t.model, t.data, t.validation, t.preprocess, replace(t.recipe, epochs=2), t.hardware))
    assert len(epochs) == 2


def test_bfloat16_trains_too(make_trainer):
    trainer = make_trainer(count=80, epochs=6)
    trainer.state.hardware = Hardware("cpu", 1, "bfloat16")
    assert list(trainer.epochs())[-1].val_accuracy >= 0.9
    assert all(p.dtype == torch.float32 for p in trainer.model.parameters())


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"epochs": 0}, "epochs=0 is too small; the least is 1"),
        ({"files": 0}, "files=0 is too small; the least is 1"),
        ({"last_rate": -0.1}, "last_rate=-0.1 is not a positive number"),
        ({"lr": float("nan")}, "lr=nan is not a positive number"),
        ({"optimizer": "adam"}, "optimizer='adam' is unknown; use one of sgd, muon"),
        ({"balance": "evenly"}, "balance='evenly' is unknown; use one of none, weights, sampler"),
    ],
)
def test_impossible_recipes_are_refused(changes, text):
    with pytest.raises(UsageError, match=f"^{text}$"):
        replace(Recipe(epochs=1), **changes)


def test_default_epochs_fall_with_the_number_of_pictures():
    counts = [default_recipe(n, flip=True, colour=True).epochs for n in (10, 1_000, 5_000, 20_000, 10**6)]
    assert counts == sorted(counts, reverse=True) and counts[0] > counts[-1] >= 1


def test_small_sets_are_varied_more_the_longer_the_run():
    short, long, longest = (default_recipe(3_000, flip=True, colour=True, epochs=n).augmentation for n in (10, 30, 98))
    assert short.zoom == short.cutmix == long.cutmix == 0 and long.zoom > 0 and longest.cutmix > 0
    assert default_recipe(3_068, flip=True, colour=True).augmentation == longest  # the default goes all the way
    large = [default_recipe(50_000, flip=True, colour=True, epochs=n).augmentation for n in (None, 98)]
    assert large == [short, replace(short, erase=0.25)]
