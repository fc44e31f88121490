"""Dead starts: what can be wrong, how it shows inside a network, and what repairs it. Pure: nothing is changed here.

A loss that stays at ln K proves nothing: plain networks often learn only after a hundred flat steps. So the loss alone
never decides; a few pictures go through the network and back, and what they show in its layers does.

N pictures, C channels, H x W pixels, K classes; std: standard deviation between pictures; a unit is one output channel
of a layer, dead when it is zero for every picture at every place.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from statistics import median
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nin.network.config import NINConfig
from nin.network.layers import ACTIVATION_CLASSES, Dropout
from nin.training.recipes import Recipe

# All numbers: ours, experiments/2026-11-24-dead-starts.
WINDOW = 25  # steps whose mean loss counts as the present loss, and steps between checks
MARGIN = 0.1  # nats below the best blind guess from which a run counts as learning
ABSURD = 3.0  # nats above guessing, and above the first loss, that no healthy start stays above
WORSE = 0.3  # nats above guessing, and above the first loss, that no healthy start keeps up for WINDOW steps
DYING = 0.3  # growth of a layer's dead share that goes with such a loss
BLIND = 1e-2  # std of the features, as a share of the pictures' own, under which pictures look alike
FAINT = 1e-7  # std of the logits under which rounding and the biases hide the pictures
SMALL = 1e-3  # std of the first logits under which a layer that dies later died of its first weights
MOSTLY = 0.5  # share of dead units from which a layer is dying
LARGE = 100.0  # size of the first logits from which softmax is a coin that always falls on one side
GROWN = 1.5  # growth of the logits' std from check to check that a slow start shows
WARM = 5.0  # steps at the full rate before a std that has not grown says anything
# Steps without a gradient after which momentum 0.9 moves weights no more. Muon makes what is left of it full size, down
# to a norm of 1e-9, which from 1e-2 takes 153 steps.
FADE = {"sgd": 25, "muon": 150}
REACH = 1e-2  # share of its norm that the most pulled layer must be able to move in the whole run
LEAST_PULL = 1e-2  # what layers are pulled with once they learn
STEP_0 = "before the first step"


class Cause(StrEnum):
    """Why a network does not start to learn."""

    ONE_CLASS = "one class"
    ALIKE = "pictures alike"
    FROZEN = "weights frozen"
    LAST_RELU = "dead last ReLU"
    WEIGHTS_SMALL = "first weights too small"
    WEIGHTS_LARGE = "first weights too large"
    RATE_HIGH = "learning rate too high"
    RATE_LOW = "learning rate too low"
    LABELS = "labels unrelated to the pictures"


@dataclass(frozen=True)
class ProbedLayer:
    """A convolution with what follows it, up to its activation; `name` is that of its weights.

    dead: share of its units that are dead. std: standard deviation of its outputs between pictures, as a share of
    their root mean square. pull: norm of its weights' gradient as a share of the weights' norm; 0 where not trained.
    """

    name: str
    dead: float
    std: float
    pull: float


@dataclass(frozen=True)
class Probe:
    """What a few pictures show of a network.

    loss: mean cross-entropy, nats. input_std: as `ProbedLayer.std`, of the pictures as the network gets them.
    logit_std: standard deviation of the logits between pictures. logit_size: their root mean square. trained:
    weights and biases that are trained. broken: the first layer whose outputs or gradient are not finite.
    """

    loss: float
    input_std: float
    logit_std: float
    logit_size: float
    layers: tuple[ProbedLayer, ...]
    trained: int
    broken: str | None = None


class EarlierProbe(NamedTuple):
    """What is remembered of an earlier probe: after which step it was, the logits' std, and the largest share of dead
    units in any layer but the last."""

    step: int
    logit_std: float
    dead: float


@dataclass(frozen=True)
class History:
    """What came before a check.

    losses: of every training step. probes: the earlier ones. chance: the lowest loss that ignores the pictures, nats.
    classes: those with training pictures. rate: the recipe's largest learning rate. travel: steps so far, each counted
    as its rate's share of that. fade: see FADE. reach: share of its norm that the most pulled layer can move in the
    whole run, pulled as now, but at least by LEAST_PULL. unseen: the validation pictures were answered, but no better
    than by guessing. last: no check comes after this one. related: whether simple features of the pictures tell their
    labels; None: cannot be said.
    """

    losses: tuple[float, ...]
    probes: tuple[EarlierProbe, ...]
    chance: float
    classes: int
    rate: float
    travel: float
    fade: int
    reach: float
    unseen: bool
    last: bool
    related: Callable[[], bool | None]

    @property
    def step(self) -> int:
        """Steps done."""
        return len(self.losses)

    @property
    def loss(self) -> float:
        """The present training loss: the mean of the last WINDOW steps."""
        last = self.losses[-WINDOW:]
        return sum(last) / len(last) if last else self.chance

    @property
    def recent(self) -> tuple[EarlierProbe, ...]:
        """The probes of the last `fade` steps; none while the run, or the watch over it, is younger than that."""
        oldest = max((each.step for each in self.probes if each.step <= self.step - self.fade), default=None)
        return () if oldest is None else tuple(each for each in self.probes if each.step >= oldest)

    @property
    def falling(self) -> bool:
        """Whether the training loss has fallen below what guessing reaches."""
        return self.step > 0 and self.loss < self.chance - MARGIN


@dataclass(frozen=True)
class Diagnosis:
    """A dead start: its cause, after how many steps it was seen, what was found and why that is so, as two clauses.

    sure: False for what is feared before the first step and may still turn out well.
    """

    cause: Cause
    step: int
    found: str
    why: str
    sure: bool = True

    def __str__(self) -> str:
        when = f"after {self.step} steps" if self.step else STEP_0
        what = "dead start" if self.sure else "training may not start"
        return f"{what}, seen {when}: {self.found}, because {self.why}"


@dataclass(frozen=True)
class Repair:
    """What a run starts again with; `how` says it: "starting again ..."."""

    network: NINConfig
    recipe: Recipe
    how: str


def probe(model: nn.Module, x: Tensor, labels: Tensor) -> Probe:
    """Send pictures (N, C, H, W) with labels (N,) through `model` and back; nothing of the model is changed.

    Normalisations use these pictures' own statistics, as in training; dropout rests, so no random number is drawn.
    """
    seen: list[tuple[str, Tensor]] = []  # name and final outputs (N, C, H, W) of each convolution, as computed
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    with _recorded(model, seen), torch.enable_grad():
        # with copies of its buffers, so that running statistics stay as they are
        logits = torch.func.functional_call(model, buffers, (x,)).float()  # (N, K)
        loss = F.cross_entropy(logits, labels)
        gradients = torch.autograd.grad(loss, list(trained.values())) if trained else ()
    norms = [torch.stack([g.norm(), p.detach().norm()]) for g, p in zip(gradients, trained.values(), strict=True)]
    pulls = dict(zip(trained, torch.stack(norms).tolist() if norms else (), strict=True))
    layers = []
    broken = None
    for name, out in seen:
        gradient, weight = pulls.get(f"{name}.weight", (0.0, 1.0))
        dead, std = _dead_and_std(out).tolist()
        layer = ProbedLayer(name, dead, std, gradient / max(weight, 1e-30))
        layers.append(layer)
        if broken is None and not math.isfinite(layer.std + layer.pull):
            broken = name
    logits = logits.detach()
    size = x.square().mean().sqrt().clamp(min=1e-30)
    numbers = torch.stack([loss.detach(), _std(x) / size, _std(logits), logits.square().mean().sqrt()])
    mean_loss, input_std, logit_std, logit_size = numbers.tolist()
    return Probe(mean_loss, input_std, logit_std, logit_size, tuple(layers), len(trained), broken)


def _std(x: Tensor) -> Tensor:
    """(N, ...) -> the root mean square, over everything, of the standard deviation between pictures."""
    x = x.float() - x[:1].float()  # exactly zero where pictures are alike
    return (x - x.mean(dim=0, keepdim=True)).square().mean().sqrt()  # var takes thrice as long over channels last


@contextmanager
def _recorded(model: nn.Module, seen: list[tuple[str, Tensor]]) -> Iterator[None]:
    """The model in training, its dropout at rest; every convolution's final outputs are put into `seen`."""
    modes = [(module, module.training) for module in model.modules()]
    handles = []

    def convolution(name: str) -> Callable[..., None]:
        return lambda _module, _inputs, out: seen.append((name, out.detach()))

    def activation(_module: nn.Module, _inputs: Any, out: Tensor) -> None:
        if seen:
            seen[-1] = (seen[-1][0], out.detach())

    try:
        for name, module in model.named_modules():
            module.training = not isinstance(module, Dropout | nn.Dropout)
            if isinstance(module, nn.Conv2d | nn.Linear):
                handles.append(module.register_forward_hook(convolution(name)))
            elif type(module) in ACTIVATION_CLASSES.values():
                handles.append(module.register_forward_hook(activation))
        yield
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training


def _dead_and_std(out: Tensor) -> Tensor:
    """(N, C, ...) -> (2,): share of dead units, std as a share of the root mean square."""
    everywhere = [dim for dim in range(out.ndim) if dim != 1]
    dead = (out.abs().amax(dim=everywhere) == 0).float().mean()
    return torch.stack([dead, _std(out) / out.float().square().mean().sqrt().clamp(min=1e-30)])


def diagnose(facts: Probe, history: History) -> Diagnosis | None:
    """What keeps the network from learning; None when nothing does, or nothing that can be told yet.

    The order matters: faults of the data first, then what is certain, then what only shows over time.
    """
    for suspect in (_data, _not_finite, _no_gradient, _dying, _weights, _rate_low, _labels):
        found = suspect(facts, history)
        if found:
            return found
    return None


def _data(facts: Probe, history: History) -> Diagnosis | None:
    if history.classes < 2:
        found = "there is nothing to tell apart"
        why = "all training pictures have the same label"
        return Diagnosis(Cause.ONE_CLASS, history.step, found, why)
    if facts.input_std < 1e-6:
        found = "every answer is the same"
        why = "all training pictures look the same to the network"
        return Diagnosis(Cause.ALIKE, history.step, found, why)
    if not facts.trained:
        found = "no weight can change"
        why = "all weights are frozen (requires_grad is off)"
        return Diagnosis(Cause.FROZEN, history.step, found, why)
    return None


def _not_finite(facts: Probe, history: History) -> Diagnosis | None:
    if not history.losses and (facts.broken or not facts.logit_size < LARGE):
        found = f"the logits are of the size {facts.logit_size:.2g}"
        if facts.broken:
            found = f"{facts.broken} gives numbers that are not finite"
        return Diagnosis(Cause.WEIGHTS_LARGE, history.step, found, "the first weights are too large")
    recent = history.losses[-min(WINDOW, history.step // 2) :] if history.step > 1 else ()
    if history.losses and not math.isfinite(history.losses[-1]):
        found = f"the loss became {history.losses[-1]}"
    elif recent and median(recent) > ABSURD + max(history.chance, history.losses[0]):
        found = f"the loss is {history.loss:.3g}, where guessing gives {history.chance:.3f}"
    else:
        return None
    return Diagnosis(Cause.RATE_HIGH, history.step, found, _rate(history, "high"))


def _rate(history: History, how: str) -> str:
    return f"the learning rate {history.rate:g} is too {how}"


def _no_gradient(facts: Probe, history: History) -> Diagnosis | None:
    """All pictures get the same logits and no layer is pulled anywhere, for so long that momentum has faded.

    Under Muon a network may lie dead for 100 steps and rise again: what is left of its momentum moves it at full size.
    """
    if history.losses and not (history.recent and all(each.logit_std == 0 for each in history.recent)):
        return None
    if facts.logit_std > 0 or any(layer.pull > 0 for layer in facts.layers):
        return None
    silent = next((i for i, layer in enumerate(facts.layers) if layer.dead == 1), None)
    if silent is None:
        return None
    name = facts.layers[silent].name
    first = history.probes[0].logit_std if history.probes else 0.0
    found = f"all units of {name} are zero for every picture, so no weight gets a gradient"
    clear = silent == 0 or facts.layers[silent - 1].std >= BLIND * facts.input_std
    if silent == len(facts.layers) - 1 and clear and first >= FAINT * bool(history.losses):
        return Diagnosis(Cause.LAST_RELU, history.step, found, "the ReLU after the last layer has died")
    if first >= SMALL:
        return Diagnosis(Cause.RATE_HIGH, history.step, found, _rate(history, "high"))
    return Diagnosis(Cause.WEIGHTS_SMALL, history.step, found, "the first weights are too small")


def _dying(facts: Probe, history: History) -> Diagnosis | None:
    """Units die while the loss rises far above guessing and stays, or while the logits lose what they had to say."""
    if history.step < WINDOW or history.falling or not history.probes:
        return None
    first = history.probes[0]
    died = max((layer.dead for layer in facts.layers[:-1]), default=0.0) - first.dead
    worst = max(sum(history.losses[i - WINDOW : i]) / WINDOW for i in range(WINDOW, history.step + 1))
    units = f"{died:.0%} of a layer's units died"
    if died >= DYING and worst >= WORSE + max(history.chance, history.losses[0]):
        found = f"the loss rose to {worst:.3f}, where guessing gives {history.chance:.3f}, and {units}"
    elif died >= MOSTLY and facts.logit_std < first.logit_std / 3 and _stuck(facts, history):
        found = f"{units}, and the logits differ between pictures by {facts.logit_std:.1g} only"
    else:
        return None
    if first.logit_std >= SMALL:
        return Diagnosis(Cause.RATE_HIGH, history.step, found, _rate(history, "high"))
    return Diagnosis(Cause.WEIGHTS_SMALL, history.step, found, "the first weights are too small")


def _weights(facts: Probe, history: History) -> Diagnosis | None:
    """The pictures are lost on their way through the layers, and the steps so far have not brought them any nearer."""
    features = facts.layers[-2].std if len(facts.layers) > 1 else facts.input_std
    blind = features < BLIND * facts.input_std
    faint = facts.logit_std < FAINT
    if not (blind or faint) or history.falling:
        return None
    found = f"the logits differ between pictures by {facts.logit_std:.1g} only" * (facts.logit_std > 0)
    found = found or "every picture gets the same logits"
    why = f"the first weights are too small for the signal to pass {len(facts.layers)} layers"
    if not history.losses:
        return Diagnosis(Cause.WEIGHTS_SMALL, 0, found, why, sure=False)
    if not _stuck(facts, history):
        return None
    found = f"{found} and no step changes that"
    if not blind and facts.layers[-1].dead >= MOSTLY and history.probes[0].logit_std >= FAINT:
        return Diagnosis(Cause.LAST_RELU, history.step, found, "the ReLU after the last layer is dying")
    return Diagnosis(Cause.WEIGHTS_SMALL, history.step, found, why)


def _stuck(facts: Probe, history: History) -> bool:
    """Whether the logits differ between pictures no more than a while ago, though there were steps worth the name."""
    if not history.recent or history.step < 2 * WINDOW or (history.travel < WARM and not history.last):
        return False
    return facts.logit_std <= GROWN * min(each.logit_std for each in history.recent)


def _rate_low(facts: Probe, history: History) -> Diagnosis | None:
    if history.losses or history.reach >= REACH or facts.loss < history.chance - MARGIN:
        return None
    found = f"no layer can move by more than {history.reach:.1g} of its weights' norm in the whole run"
    return Diagnosis(Cause.RATE_LOW, history.step, found, _rate(history, "low"))


def _labels(_: Probe, history: History) -> Diagnosis | None:
    """Nothing is wrong inside the network, but nothing is learnt: do the labels belong to the pictures at all?"""
    early = history.step < (2 if history.last else 4) * WINDOW or history.travel < WARM
    if early or (history.falling and not history.unseen) or history.related() is not False:
        return None
    found = f"the loss is {history.loss:.3f}, where guessing gives {history.chance:.3f}, and every layer is alive"
    if history.falling:
        found = "the validation pictures are answered no better than by guessing, and every layer is alive"
    return Diagnosis(Cause.LABELS, history.step, found, "the labels have nothing to do with the pictures (shuffled?)")


def repair(cause: Cause, network: NINConfig, recipe: Recipe, *, usual_rate: float, fresh: bool) -> Repair | None:
    """What to start again with; None where a new start would not help.

    usual_rate: the learning rate for these pictures where nobody chose another one. fresh: whether the first weights
    are drawn, not taken from a trained model.
    """
    if cause is Cause.LAST_RELU and network.last_activation:
        return Repair(replace(network, last_activation=False), recipe, "without the ReLU after the last layer")
    if cause in (Cause.WEIGHTS_SMALL, Cause.WEIGHTS_LARGE) and network.init != "kaiming" and fresh:
        return Repair(replace(network, init="kaiming"), recipe, "with kaiming's first weights (He et al. 2015)")
    rate = {Cause.RATE_HIGH: recipe.lr / 10, Cause.RATE_LOW: usual_rate}.get(cause)
    if rate is None or (cause is Cause.RATE_LOW and rate <= recipe.lr):
        return None
    return Repair(network, replace(recipe, lr=rate), f"with the learning rate {rate:g}")
