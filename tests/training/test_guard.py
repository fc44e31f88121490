"""Dead starts of real networks named, healthy ones left alone; the probe judged; nothing disturbed."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nin.data.formats.digits import open_digits
from nin.data.preprocess import Preprocess
from nin.errors import NinError
from nin.network.architecture import NIN, author_mnist, nin
from nin.training import checkpoint
from nin.training.guard import Cause, Diagnosis, probe, repair
from nin.training.hardware import Hardware
from nin.training.loop import Trainer
from nin.training.recipes import Recipe
from nin.training.state import Pictures
from nin.training.watch import LAST, Watch, beyond_guessing, chance, related

PLAIN, NORMED = nin(10, 1, width=0.25, norm=None), nin(10, 1, width=0.25)
SGD = Recipe(40, batch_size=32, lr=0.01, weight_decay=1e-4, warmup=0.0, label_smoothing=0.0)
MUON = Recipe(40, optimizer="muon", lr=0.02)


class Stop(Exception):
    pass


@pytest.fixture(scope="module")
def digits() -> tuple[Pictures, Pictures]:
    """The built-in digits as they are, 8 x 8."""
    splits = open_digits(0).splits
    train, held = (Pictures(splits[name].images, splits[name].labels) for name in ("train", "validation"))
    return train, held


def trainer_of(data, network, recipe, model=None) -> Trainer:
    model = model or NIN(network, generator=torch.Generator().manual_seed(recipe.seed))
    return Trainer(
        model, *data, Preprocess((8, 8), 1, "stretch", (0.3,), (0.37,)), recipe, Hardware("cpu", 1, "float32")
    )


def watched(trainer, steps=LAST) -> list[Diagnosis]:
    """What is said within so many steps, up to the first sure diagnosis."""
    said = []

    def found(diagnosis):
        said.append(diagnosis)
        if diagnosis.sure:
            raise Stop

    def step(_):
        if len(trainer.position.losses) >= steps:
            raise Stop

    with pytest.raises(Stop):
        list(trainer.epochs(on_step=step, on_finding=found))
    return said


def relabelled(data, change) -> tuple[Pictures, ...]:
    return tuple(Pictures(p.images, change(p.labels)) for p in data)


def shuffled(labels):
    return np.random.default_rng(0).permutation(labels)


def shut(model):
    with torch.no_grad():
        model.blocks[-1].convolutions[-1].bias.fill_(-1)


def std_of(network, std):
    blocks = tuple(replace(block, init_std=(std,) * len(block.channels)) for block in network.blocks)
    return replace(network, init="normal", blocks=blocks)


BROKEN = {
    "torch's init": (Cause.WEIGHTS_SMALL, 50, replace(PLAIN, init="torch"), replace(SGD, lr=0.05), None),
    "N(0, 1)": (Cause.WEIGHTS_LARGE, 0, std_of(author_mnist(), 1.0), SGD, None),
    "dying last ReLU": (Cause.LAST_RELU, 75, author_mnist(), SGD, None),
    "shut last ReLU": (Cause.LAST_RELU, 0, replace(PLAIN, last_activation=True), SGD, shut),
    "rate 10, normed": (Cause.RATE_HIGH, 50, NORMED, replace(SGD, lr=10.0), None),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_starts_are_named(digits, name):
    cause, by, network, recipe, change = BROKEN[name]
    trainer = trainer_of(digits, network, recipe)
    if change:
        change(trainer.model)
    *feared, found = watched(trainer)
    assert (found.cause, found.sure) == (cause, True) and found.step <= by
    assert all(fear.cause is cause and fear.step == 0 for fear in feared)


@pytest.mark.parametrize("recipe", [SGD, replace(MUON, batch_size=32)], ids=["sgd", "muon"])
def test_labels_of_other_pictures_are_named(digits, recipe):
    found = watched(trainer_of(relabelled(digits, shuffled), PLAIN, recipe))[-1]
    assert found.cause is Cause.LABELS and found.step <= LAST


def test_pictures_and_labels_without_differences_are_named_before_the_first_step(digits):
    black = tuple(Pictures(p.images * 0, p.labels) for p in digits)
    alike = watched(trainer_of(black, NORMED, MUON))
    single = watched(trainer_of(relabelled(digits, np.zeros_like), NORMED, MUON))
    assert [(d.cause, d.step) for d in alike + single] == [(Cause.ALIKE, 0), (Cause.ONE_CLASS, 0)]


HEALTHY = {
    "normed, SGD": (NORMED, replace(SGD, lr=0.1), 100),
    "torch's init, Muon": (replace(PLAIN, init="torch"), MUON, 200),
    "author's network, Muon, dead for 50 steps": (author_mnist(), MUON, 200),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_starts_are_left_alone(digits, name):
    network, recipe, steps = HEALTHY[name]
    trainer = trainer_of(digits, network, recipe)
    assert [d for d in watched(trainer, steps) if d.sure] == []
    assert np.mean(trainer.position.losses[-25:]) < 2.29  # it learns, if late


def test_a_fear_is_told_before_the_first_step_for_torch_s_init_of_a_deep_plain_network(digits):
    trainer = trainer_of(digits, replace(PLAIN, init="torch"), SGD)
    (fear,) = watched(trainer, 1)
    assert not fear.sure
    assert str(fear).startswith("training may not start, seen before the first step: the logits differ between ")
    assert str(fear).endswith(" only, because the first weights are too small for the signal to pass 11 layers")


def test_pictures_that_happen_to_be_alike_among_the_first_are_no_alarm(digits):
    train, held = digits
    images = train.images.copy()
    images[::4] = 0
    trainer = trainer_of((Pictures(images, train.labels), held), NORMED, MUON)
    watch = Watch(trainer.state, lambda found: pytest.fail(str(found)))
    pictures = trainer.state.pictures
    trainer.state.pictures = lambda rows: pictures(rows if len(rows) > 16 else np.zeros_like(rows))
    watch.before_first_step()
    assert trainer.position.looks


def test_the_probe_sees_what_a_slow_second_implementation_sees():
    """Plain network, float64: activations by convolutions written out, gradients by backward()."""
    model = NIN(nin(3, 2, width=0.1, norm=None), generator=torch.Generator().manual_seed(1)).double()
    with torch.no_grad():
        model.blocks[1].convolutions[0].bias[:5] = -100.0  # five dead units
    x, labels = torch.randn(6, 2, 9, 9, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1, 2])
    facts = probe(model, x, labels)
    twin, at, layers = copy.deepcopy(model), x, []
    for block, pool in zip(twin.blocks, [*twin.pools, None], strict=True):
        for conv in block.convolutions:
            at = F.conv2d(at, conv.weight, conv.bias, conv.stride, conv.padding)
            last = conv is twin.blocks[-1].convolutions[-1]
            at = at if last else at.clamp(min=0)
            layers.append(at.detach().numpy())
        at = at if pool is None else pool(at)
    loss = F.cross_entropy(at.mean((2, 3)), labels)
    loss.backward()
    logits = at.detach().numpy().mean((2, 3))
    assert facts.loss == pytest.approx(loss.item())
    assert facts.logit_std == pytest.approx(np.sqrt(logits.var(0).mean()), rel=1e-5)
    assert facts.logit_size == pytest.approx(np.sqrt((logits**2).mean()), rel=1e-5)
    convolutions = [conv for block in twin.blocks for conv in block.convolutions]
    for seen, out, conv in zip(facts.layers, layers, convolutions, strict=True):
        dead = [all((out[:, c] == 0).ravel()) for c in range(out.shape[1])]
        assert seen.dead == pytest.approx(np.mean(dead))
        assert seen.std == pytest.approx(np.sqrt(out.var(0).mean() / (out**2).mean()), rel=1e-4)
        assert seen.pull == pytest.approx(float(conv.weight.grad.norm() / conv.weight.detach().norm()), rel=1e-4)
    names = [f"blocks.{b}.{layer}" for b in range(5) for layer in ("spatial", "pointwise.0")]
    assert [layer.name for layer in facts.layers] == [*names, "blocks.4.pointwise.1"]
    assert facts.layers[2].dead * len(model.blocks[1].convolutions[0].bias) >= 5


def test_a_probe_changes_nothing(make_trainer):
    trainer = make_trainer(dropout=0.5)
    model = trainer.model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    probe(model, *trainer.state.pictures(np.arange(8)))
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training and not module._forward_hooks for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("stop_at", "how"), [(2, {}), (26, {"optimizer": "muon", "lr": 0.02}), (30, {"norm": None})], ids=str
)
def test_a_watched_run_gives_the_bits_of_an_unwatched_one_interrupted_or_not(make_trainer, tmp_path, how, stop_at):
    """Labels that nothing tells, so that every check is made."""

    def make():
        trainer = make_trainer(epochs=12, **how)
        trainer.state.data = Pictures(trainer.data.images, np.arange(40) // 20)
        return trainer

    def bits(trainer):
        return [value.numpy().tobytes() for value in trainer.model.state_dict().values()]

    free, whole, first, count = make(), make(), make(), iter(range(100))
    list(free.epochs())
    list(whole.epochs(on_finding=lambda _: None))
    for _ in first.epochs(should_stop=lambda: next(count) + 1 >= stop_at, on_finding=lambda _: None):
        pass
    checkpoint.save(tmp_path, first, {})
    (tensors, position, _), _ = checkpoint.newest(tmp_path)
    second = make()
    checkpoint.restore(second, tensors, position)
    list(second.epochs(on_finding=lambda _: None))
    assert bits(free) == bits(whole) == bits(second)
    assert free.position.looks == [] and len(whole.position.looks) == 4  # before, after 25, 50 and all 60 steps
    assert whole.position.looks == second.position.looks and whole.position.losses == second.position.losses


@pytest.mark.parametrize(("shut", "pictures", "found"), [(1, 20, 1), (0, 20, None), (1, 8, None)])
def test_a_class_that_its_relu_has_shut_is_seen_once_it_stays_so(make_trainer, shut, pictures, found):
    """The other class learns, so the loss falls and no check is made; 4 pictures of a class are too few to say."""
    whole = make_trainer(epochs=45, lr=0.003)
    config = replace(whole.model.config, last_activation=True)
    model = NIN(config, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        model.blocks[-1].convolutions[-1].bias.copy_(torch.tensor([1.0, -1e3 if shut else 1.0]))
    few = Pictures(whole.validation.images[:pictures], whole.validation.labels[:pictures])
    trainer = Trainer(model, whole.data, few, whole.preprocess, whole.recipe, whole.hardware)
    heard = []
    for epoch in trainer.epochs(on_finding=heard.append):
        assert epoch.dead_classes == (shut if pictures == 20 else 0)
        assert bool(heard) == (found is not None and epoch.step >= LAST)
    if found:
        assert heard[0].cause is Cause.LAST_RELU and heard[0].step == LAST
        assert str(heard[0]) == (
            "dead start, seen after 200 steps: the logits of 1 of 2 classes are 0 for every validation picture, "
            "because the ReLU after their maps has died"
        )


def test_a_run_begun_by_a_program_without_a_watch_goes_on_without_one(make_trainer):
    trainer = make_trainer(epochs=6)
    trainer.position.epoch, trainer.position.step = 1, 3
    list(trainer.epochs(on_finding=lambda found: pytest.fail(str(found))))
    assert trainer.position.losses == [] == trainer.position.looks


def test_a_gradient_that_is_not_finite_ends_the_run_before_it_reaches_a_weight(make_trainer):
    trainer = make_trainer(norm=None, dropout=0.0)
    trainer.state.class_weights = torch.tensor([3e38, 3e38])  # the loss still fits, its gradient does not
    before = [p.detach().clone() for p in trainer.model.parameters()]
    with pytest.raises(
        NinError, match=r"^the training loss, its gradient or a weight became (inf|nan) in epoch 1, step 1, at "
    ):
        list(trainer.epochs())
    assert all(torch.equal(p, b) for p, b in zip(trainer.model.parameters(), before, strict=True))


@pytest.mark.parametrize("balance", ["none", "weights", "sampler"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_chance_is_the_lowest_loss_of_one_answer_for_all(balance, smoothing):
    """Judged by gradient descent on the loss as it is defined: torch's of every picture, times its class's weight."""
    labels = torch.tensor([0] * 6 + [1] * 3 + [2])
    seen = torch.tensor([0, 1, 2]) if balance == "sampler" else labels
    weights = torch.tensor([0.5, 1.2, 2.4]) if balance == "weights" else torch.ones(3)
    bias = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.LBFGS([bias], max_iter=200, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        each = F.cross_entropy(bias.expand(len(seen), 3), seen, reduction="none", label_smoothing=smoothing)
        value = (weights[seen] * each).mean()
        value.backward()
        return value

    if smoothing == 0 and balance == "none":
        assert chance(np.array([5, 5, 0]), np.ones(3), 0.0, balance) == pytest.approx(math.log(2))
    optimizer.step(loss)
    lowest = float(loss().detach())
    counts = np.bincount(labels.numpy())
    assert chance(counts, weights.numpy(), smoothing, balance) == pytest.approx(lowest, abs=1e-4)


def test_simple_features_tell_labels_that_belong_to_the_pictures(digits):
    train, _ = digits
    assert related(train.images, train.labels) is True
    assert [related(train.images, np.random.default_rng(s).permutation(train.labels)) for s in range(5)] == [False] * 5
    assert related(train.images[:60], train.labels[:60]) is None
    assert related(train.images, np.zeros_like(train.labels)) is None


def test_beyond_guessing_is_what_chance_gives_one_time_in_hundreds():
    labels = np.array([0] * 70 + [1] * 30)
    rng = np.random.default_rng(0)
    guesses = (rng.random((20_000, 100)) < 0.7).mean(1)
    assert 1e-4 < (guesses > beyond_guessing(labels)).mean() < 5e-3


def test_repairs():
    network, recipe = author_mnist(), Recipe(3, lr=0.5)

    def mended(cause, network=network, recipe=recipe, fresh=True):
        return repair(cause, network, recipe, usual_rate=0.02, fresh=fresh)

    open_ended = mended(Cause.LAST_RELU)
    assert open_ended.network == replace(network, last_activation=False) and open_ended.recipe == recipe
    assert mended(Cause.LAST_RELU, open_ended.network) is None
    kaiming = mended(Cause.WEIGHTS_SMALL)
    assert kaiming.network == replace(network, init="kaiming") == mended(Cause.WEIGHTS_LARGE).network
    assert mended(Cause.WEIGHTS_SMALL, kaiming.network) is mended(Cause.WEIGHTS_SMALL, fresh=False) is None
    assert mended(Cause.RATE_HIGH).recipe == replace(recipe, lr=0.05)
    assert mended(Cause.RATE_LOW) is None  # 0.5 is not below the usual rate
    assert mended(Cause.RATE_LOW, recipe=replace(recipe, lr=1e-9)).recipe.lr == 0.02
    for cause in (Cause.ONE_CLASS, Cause.ALIKE, Cause.FROZEN, Cause.LABELS):
        assert mended(cause) is None


def test_a_diagnosis_is_one_line_that_says_what_when_and_why():
    found = Diagnosis(Cause.RATE_HIGH, 25, "the loss rose to 5", "the learning rate 10 is too high")
    line = "dead start, seen after 25 steps: the loss rose to 5, because the learning rate 10 is too high"
    assert str(found) == line


def test_stripes_are_no_dead_start(make_trainer):
    trainer = make_trainer(epochs=12, count=80)
    list(trainer.epochs(on_finding=lambda found: pytest.fail(str(found))))
