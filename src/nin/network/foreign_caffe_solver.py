"""Caffe's solver files: how a network was trained, in numbers that plain SGD takes.

Multipliers become rates: `base_lr * lr_mult` is the learning rate here, `weight_decay * decay_mult` the decay.
Source: Caffe's public caffe.proto (SolverParameter, ParamSpec) and its SGD solver.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from nin.artifacts import escape_name
from nin.errors import ModelError
from nin.network.foreign import ForeignRecipe, LayerRates, Line, plain
from nin.network.foreign_prototxt import Message


@dataclass(frozen=True)
class Solver:
    """What a solver file says of training by plain SGD, and how its lines translate."""

    base_lr: float
    momentum: float
    weight_decay: float
    iterations: int | None
    drops: tuple[tuple[int, float], ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]


def is_solver(message: Message) -> bool:
    """Whether a text-format file is a solver, not a network."""
    return "base_lr" in message.fields or bool({"net", "train_net", "lr_policy"} & set(message.fields))


def read_solver(solver: Message) -> Solver:
    """A solver file in our words. Raises ModelError for other methods than SGD and for other schedules than steps."""
    method = solver.text("type", solver.text("solver_type", "SGD")).upper()
    if method not in ("SGD", "0"):
        raise ModelError(
            f"{solver.where('type')}: the solver is {escape_name(method)[:40]}; only SGD has a counterpart here"
        )
    lr, momentum, decay = (solver.number(name, 0) for name in ("base_lr", "momentum", "weight_decay"))
    if lr <= 0 or momentum < 0 or decay < 0:
        raise ModelError(
            f"{solver.where('base_lr')}: rates of {lr:g}, {momentum:g} and {decay:g}; expected positive ones"
        )
    iterations = solver.whole("max_iter", 0) or None
    policy, gamma = solver.text("lr_policy", "fixed"), solver.number("gamma", 0)
    if policy not in ("fixed", "step", "multistep"):
        shown = escape_name(policy)[:40]
        raise ModelError(f"{solver.where('lr_policy')}: lr_policy is {shown}; expected fixed, step or multistep")
    if policy != "fixed" and not 0 < gamma <= 1:
        raise ModelError(f"{solver.where('gamma')}: gamma is {gamma:g}; expected a factor above 0 and up to 1")
    step, last = solver.whole("stepsize", 0), iterations or 0
    if policy == "step" and not step:
        raise ModelError(f"{solver.where('lr_policy')}: lr_policy is step without a stepsize; expected one above 0")
    at = solver.wholes("stepvalue") if policy == "multistep" else []
    if policy == "step":
        at = list(range(step, min(last, 100 * step) or step + 1, step))
    drops = tuple((iteration, gamma**number) for number, iteration in enumerate(at, start=1))
    lines = [
        Line(solver.where("base_lr"), f"base_lr {lr:g}", f"learning rate {lr:g} times each layer's lr_mult"),
        Line(solver.where("momentum"), f"momentum {momentum:g}", f"momentum {momentum:g} everywhere"),
        Line(solver.where("weight_decay"), f"weight_decay {decay:g}", f"weight decay {decay:g} times each decay_mult"),
        Line(
            solver.where("lr_policy"),
            f"lr_policy {policy}",
            "; ".join(f"rates x {factor:g} after iteration {iteration:,}" for iteration, factor in drops)
            or "rates stay",
        ),
    ]
    if iterations:
        lines.append(Line(solver.where("max_iter"), f"max_iter {iterations}", f"ends after iteration {iterations:,}"))
    notes = []
    if solver.text("regularization_type", "L2") != "L2":
        notes.append(f"{solver.where('regularization_type')}: other decay than L2 has no counterpart here")
    if solver.whole("iter_size", 1) != 1:
        notes.append(f"{solver.where('iter_size')}: gradients of {solver.whole('iter_size', 1)} batches make one step")
    return Solver(lr, momentum, decay, iterations, drops, tuple(lines), tuple(notes))


def recipe_of(
    solver: Solver, layers: list[Message], names: tuple[str, ...], paths: tuple[str, ...], batch_size: int | None
) -> tuple[ForeignRecipe, list[Line]]:
    """Rates and decays of every convolution: the solver's, times the layer's own multipliers."""
    by_name: Mapping[str, Message] = {layer.text("name"): layer for layer in layers}
    rates, lines = [], []
    for name, path in zip(names, paths, strict=True):
        layer = by_name[name]
        params = layer.messages("param")
        for param in params:
            param.expect_only("param", "lr_mult decay_mult")
        lr = [*(param.number("lr_mult", 1) for param in params), *layer.numbers("blobs_lr"), 1.0, 1.0]
        decay = [*(param.number("decay_mult", 1) for param in params), *layer.numbers("weight_decay"), 1.0, 1.0]
        found = LayerRates(
            path,
            plain(solver.base_lr * lr[0]),
            plain(solver.base_lr * lr[1]),
            plain(solver.weight_decay * decay[0]),
            plain(solver.weight_decay * decay[1]),
            solver.momentum,
            solver.momentum,
        )
        rates.append(found)
        where = layer.where("param" if "param" in layer.fields else "blobs_lr")
        lines += [
            Line(
                where,
                f"{escape_name(name)}: lr_mult {lr[0]:g}, {lr[1]:g}",
                f"learning rate {found.lr:g} of {path}.weight, {found.bias_lr:g} of its bias",
            ),
            Line(
                where,
                f"{escape_name(name)}: decay_mult {decay[0]:g}, {decay[1]:g}",
                f"weight decay {found.weight_decay:g} of {path}.weight, {found.bias_decay:g} of its bias",
            ),
        ]
    return ForeignRecipe(tuple(rates), batch_size, solver.iterations, solver.drops), lines
