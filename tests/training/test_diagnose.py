"""Every rule that names a dead start, on both sides of every threshold: written down, nothing is trained."""

import math
from dataclasses import replace

import pytest

from nin.training.guard import Cause, EarlierProbe, History, Probe, ProbedLayer, diagnose

LAYERS = tuple(ProbedLayer(name, dead=0.1, std=0.5, pull=0.1) for name in "abc")
HEALTHY = Probe(loss=2.3, input_std=1.0, logit_std=0.5, logit_size=1.0, layers=LAYERS, trained=6)
BEGIN = History(
    losses=(), probes=(), chance=2.3, classes=10, rate=0.1, travel=0.0, fade=25, reach=1.0, unseen=False, last=False,
    related=lambda: None,
)  # fmt: skip


def layers(index: int, **changes: float) -> tuple[ProbedLayer, ...]:
    """The healthy layers, one of them changed; every other one too where `others` is given."""
    return tuple(replace(layer, **changes) if place == index else layer for place, layer in enumerate(LAYERS))


def silent(*dead: int, std: float = 0.5) -> Probe:
    """No layer is pulled, all pictures get the same logits, and these layers are dead."""
    shut = tuple(
        replace(layer, pull=0.0, std=std, dead=1.0 if place in dead else 0.1) for place, layer in enumerate(LAYERS)
    )
    return replace(HEALTHY, logit_std=0.0, layers=shut)


def after(*losses: float, looks: tuple[tuple[float, float, float], ...] = ((0, 0.5, 0.1),), **changes) -> History:
    """So many steps later, each at the full rate."""
    told = {"travel": float(len(losses)), **changes}
    return replace(
        BEGIN, losses=tuple(losses), probes=tuple(EarlierProbe(int(s), std, dead) for s, std, dead in looks), **told
    )


FLAT, RISEN = (2.3,) * 50, (2.3,) * 25
DEAD = {"layers": layers(1, dead=0.62)}
FADED = ((0, 0.5, 0.1), (25, 0.12, 0.4))  # probes of a run whose logits lose what they had to say
STUCK = ((0, 0.5e-7, 0.1), (25, 0.5e-7, 0.1))
LOST = ((0, 0.5, 0.1), (25, 0.0, 1.0))
UNRELATED = {"related": lambda: False}

CASES = {  # what is seen and what came before -> the cause, and whether it is sure; None: nothing is wrong
    "healthy": (HEALTHY, BEGIN, None),
    "healthy after steps": (HEALTHY, after(*FLAT), None),
    # the data
    "one class": (HEALTHY, replace(BEGIN, classes=1), Cause.ONE_CLASS),
    "two classes": (HEALTHY, replace(BEGIN, classes=2), None),
    "alike": (replace(HEALTHY, input_std=0.99e-6), BEGIN, Cause.ALIKE),
    "hardly alike": (replace(HEALTHY, input_std=1e-6), BEGIN, None),
    "frozen": (replace(HEALTHY, trained=0), BEGIN, Cause.FROZEN),
    "one is trained": (replace(HEALTHY, trained=1), BEGIN, None),
    "the data come first": (replace(HEALTHY, broken="b", trained=0), replace(BEGIN, classes=1), Cause.ONE_CLASS),
    # what is not finite
    "logits of 100": (replace(HEALTHY, logit_size=100.0), BEGIN, Cause.WEIGHTS_LARGE),
    "logits under 100": (replace(HEALTHY, logit_size=99.99), BEGIN, None),
    "logits that are no number": (replace(HEALTHY, logit_size=math.nan), BEGIN, Cause.WEIGHTS_LARGE),
    "logits of 100 later": (replace(HEALTHY, logit_size=100.0), after(*FLAT), None),
    "a layer that is not finite": (replace(HEALTHY, broken="b"), BEGIN, Cause.WEIGHTS_LARGE),
    "a loss that is no number": (HEALTHY, after(2.3, math.nan), Cause.RATE_HIGH),
    "an endless loss": (HEALTHY, after(2.3, math.inf), Cause.RATE_HIGH),
    "a loss 3 above guessing": (HEALTHY, after(2.3, *[5.31] * 9), Cause.RATE_HIGH),
    "a loss under 3 above guessing": (HEALTHY, after(2.3, *[5.29] * 9), None),
    "a loss 3 above the first one": (HEALTHY, after(3.0, *[6.01] * 9), Cause.RATE_HIGH),
    "a loss under 3 above the first one": (HEALTHY, after(3.0, *[5.99] * 9), None),
    "high half of the time": (HEALTHY, after(2.3, *[2.3] * 5, *[9.0] * 4), Cause.RATE_HIGH),
    "high less than half of the time": (HEALTHY, after(2.3, *[2.3] * 7, *[9.0] * 2), None),
    "one high loss": (HEALTHY, after(9.0), None),
    "high long ago": (HEALTHY, after(2.3, *[9.0] * 24, *FLAT), None),
    # no gradient
    "dead from the first layer on": (silent(0, 1, 2), BEGIN, Cause.WEIGHTS_SMALL),
    "the last ReLU is dead": (silent(2), BEGIN, Cause.LAST_RELU),
    "the last ReLU is dead, and blind before": (silent(2, std=0.0099), BEGIN, Cause.WEIGHTS_SMALL),
    "the last ReLU is dead, and just sees": (silent(2, std=0.01), BEGIN, Cause.LAST_RELU),
    "silent, but nothing is dead": (silent(), BEGIN, (Cause.WEIGHTS_SMALL, False)),
    "silent, but pulled": (replace(silent(2), layers=layers(2, dead=1.0)), BEGIN, (Cause.WEIGHTS_SMALL, False)),
    "dead, and it was not": (silent(1, 2), after(*FLAT, looks=LOST), Cause.RATE_HIGH),
    "dead, and it had little": (silent(1, 2), after(*FLAT, looks=((0, 0.9e-3, 1.0), LOST[1])), Cause.WEIGHTS_SMALL),
    "dead, and it had enough": (silent(1, 2), after(*FLAT, looks=((0, 1e-3, 1.0), LOST[1])), Cause.RATE_HIGH),
    "the last ReLU died": (silent(2), after(*FLAT, looks=((0, 1e-7, 1.0), LOST[1])), Cause.LAST_RELU),
    "the last ReLU never lived": (silent(2), after(*FLAT, looks=((0, 0.9e-7, 1.0), LOST[1])), Cause.WEIGHTS_SMALL),
    "momentum still moves it": (silent(0), after(*FLAT, looks=((0, 0.0, 1.0), (26, 0.0, 1.0)), fade=51), None),
    "momentum moves no more": (silent(0), after(*FLAT, looks=((0, 0.0, 1.0),), fade=50), Cause.WEIGHTS_SMALL),
    "it has just lost its logits": (silent(1, 2), after(*FLAT[1:], looks=((0, 0.5, 1.0), (24, 0.1, 1.0))), None),
    "it lost its logits before": (
        silent(1, 2), after(*FLAT[1:], looks=((0, 0.5, 1.0), (24, 0.0, 1.0))), Cause.RATE_HIGH,
    ),
    # dying
    "units die and the loss rises": (replace(HEALTHY, **DEAD), after(*RISEN, *[2.61] * 25), Cause.RATE_HIGH),
    "the loss rises less": (replace(HEALTHY, **DEAD), after(*RISEN, *[2.59] * 25), None),
    "the loss rose from a high one": (replace(HEALTHY, **DEAD), after(2.5, *[2.79] * 49), None),
    "the loss rose 0.3 from a high one": (replace(HEALTHY, **DEAD), after(2.5, *[2.81] * 49), Cause.RATE_HIGH),
    "units die": (replace(HEALTHY, layers=layers(1, dead=0.41)), after(*RISEN, *[2.7] * 25), Cause.RATE_HIGH),
    "fewer units die": (replace(HEALTHY, layers=layers(1, dead=0.39)), after(*RISEN, *[2.7] * 25), None),
    "they were dead before": (replace(HEALTHY, **DEAD), after(*RISEN, *[2.7] * 25, looks=((0, 0.5, 0.4),)), None),
    "the last layer's units die": (replace(HEALTHY, layers=layers(2, dead=1.0)), after(*RISEN, *[2.7] * 25), None),
    "it died for less than a window": (replace(HEALTHY, **DEAD), after(*[2.7] * 24), None),
    "it learns meanwhile": (replace(HEALTHY, **DEAD), after(*[2.7] * 25, *[2.19] * 25), None),
    "nothing was checked before": (replace(HEALTHY, **DEAD), after(*RISEN, *[2.7] * 25, looks=()), None),
    "it had little to say": (
        replace(HEALTHY, **DEAD), after(*RISEN, *[2.7] * 25, looks=((0, 0.9e-3, 0.1),)), Cause.WEIGHTS_SMALL,
    ),
    "units die and the logits fade": (
        replace(HEALTHY, logit_std=0.16, **DEAD), after(*FLAT, looks=FADED), Cause.RATE_HIGH,
    ),
    "half of the units live": (
        replace(HEALTHY, logit_std=0.16, layers=layers(1, dead=0.59)), after(*FLAT, looks=FADED), None,
    ),
    "the logits keep a third": (replace(HEALTHY, logit_std=0.17, **DEAD), after(*FLAT, looks=FADED), None),
    "the logits come back": (
        replace(HEALTHY, logit_std=0.16, **DEAD), after(*FLAT, looks=(FADED[0], (25, 0.10, 0.4))), None,
    ),
    "too early to say that they fade": (
        replace(HEALTHY, logit_std=0.16, **DEAD), after(*FLAT[1:], looks=FADED), None,
    ),
    "too slow to say that they fade": (
        replace(HEALTHY, logit_std=0.16, **DEAD), after(*FLAT, looks=FADED, travel=4.9), None,
    ),
    "slow, but it is the last check": (
        replace(HEALTHY, logit_std=0.16, **DEAD), after(*FLAT, looks=FADED, travel=4.9, last=True), Cause.RATE_HIGH,
    ),
    # weights too small
    "blind": (replace(HEALTHY, layers=layers(1, std=0.0099)), BEGIN, (Cause.WEIGHTS_SMALL, False)),
    "it just sees": (replace(HEALTHY, layers=layers(1, std=0.01)), BEGIN, None),
    "blind to dim pictures": (
        replace(HEALTHY, input_std=0.5, layers=layers(1, std=0.0051)), BEGIN, None,
    ),
    "one layer is never blind": (replace(HEALTHY, layers=(replace(LAYERS[0], std=1e-9),)), BEGIN, None),
    "faint": (replace(HEALTHY, logit_std=0.9e-7), BEGIN, (Cause.WEIGHTS_SMALL, False)),
    "not faint": (replace(HEALTHY, logit_std=1e-7), BEGIN, None),
    "faint and stuck": (replace(HEALTHY, logit_std=0.75e-7), after(*FLAT, looks=STUCK), Cause.WEIGHTS_SMALL),
    "faint and growing": (replace(HEALTHY, logit_std=0.76e-7), after(*FLAT, looks=STUCK), None),
    "faint, but learning": (replace(HEALTHY, logit_std=0.5e-7), after(*[2.19] * 50, looks=STUCK), None),
    "the last ReLU is dying": (
        replace(HEALTHY, logit_std=0.5e-7, layers=layers(2, dead=0.5)),
        after(*FLAT, looks=((0, 1e-7, 0.1), STUCK[1])), Cause.LAST_RELU,
    ),
    "half of the last layer lives": (
        replace(HEALTHY, logit_std=0.5e-7, layers=layers(2, dead=0.49)),
        after(*FLAT, looks=((0, 1e-7, 0.1), STUCK[1])), Cause.WEIGHTS_SMALL,
    ),
    "the last layer was faint at first": (
        replace(HEALTHY, logit_std=0.5e-7, layers=layers(2, dead=0.5)),
        after(*FLAT, looks=((0, 0.9e-7, 0.1), STUCK[1])), Cause.WEIGHTS_SMALL,
    ),
    # the rate
    "a rate that moves nothing": (HEALTHY, replace(BEGIN, reach=0.0099), Cause.RATE_LOW),
    "a rate that just moves": (HEALTHY, replace(BEGIN, reach=0.01), None),
    "nothing is to be moved": (replace(HEALTHY, loss=2.19), replace(BEGIN, reach=0.0099), None),
    "something is to be moved": (replace(HEALTHY, loss=2.21), replace(BEGIN, reach=0.0099), Cause.RATE_LOW),
    "it moved": (HEALTHY, after(*FLAT, reach=0.0099), None),
    # the labels
    "labels of others": (HEALTHY, after(*FLAT, *FLAT, **UNRELATED), Cause.LABELS),
    "labels of others, too early": (HEALTHY, after(*FLAT, *FLAT[1:], **UNRELATED), None),
    "labels of others, last check": (HEALTHY, after(*FLAT, **UNRELATED, last=True), Cause.LABELS),
    "labels of others, last check, too early": (HEALTHY, after(*FLAT[1:], **UNRELATED, last=True), None),
    "labels of others, too slow": (HEALTHY, after(*FLAT, *FLAT, **UNRELATED, travel=4.9), None),
    "labels of others, slow enough": (HEALTHY, after(*FLAT, *FLAT, **UNRELATED, travel=5.0), Cause.LABELS),
    "labels that may be right": (HEALTHY, after(*FLAT, *FLAT), None),
    "labels that are right": (HEALTHY, after(*FLAT, *FLAT, related=lambda: True), None),
    "learnt by heart": (HEALTHY, after(*[2.19] * 100, **UNRELATED, unseen=True), Cause.LABELS),
    "learnt": (HEALTHY, after(*[2.19] * 100, **UNRELATED), None),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_rule_on_both_sides_of_its_threshold(name):
    facts, history, expected = CASES[name]
    found = diagnose(facts, history)
    cause, sure = expected if isinstance(expected, tuple) else (expected, expected is not None)
    assert (None if found is None else found.cause) == cause, found
    assert found is None or (found.sure, found.step) == (sure, len(history.losses))


def test_every_cause_is_in_the_table():
    named = {expected[0] if isinstance(expected, tuple) else expected for _, _, expected in CASES.values()}
    assert named == {None, *Cause}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("labels of others", "the loss is 2.300, where guessing gives 2.300, and every layer is alive"),
        ("learnt by heart", "the validation pictures are answered no better than by guessing"),
        (
            "units die and the loss rises",
            "the loss rose to 2.610, where guessing gives 2.300, and 52% of a layer's units",
        ),
        ("units die and the logits fade", "52% of a layer's units died, and the logits differ between pictures by 0.2"),
        ("faint and stuck", "e-08 only and no step changes that"),
        ("a loss 3 above guessing", "the loss is 5.01, where guessing gives 2.300"),
        ("a loss that is no number", "the loss became nan"),
        ("a layer that is not finite", "b gives numbers that are not finite"),
        ("a rate that moves nothing", "no layer can move by more than 0.01 of its weights' norm in the whole run"),
    ],
)
def test_what_was_found_is_said_in_numbers(name, words):
    found = diagnose(*CASES[name][:2])
    assert found is not None and words in found.found
