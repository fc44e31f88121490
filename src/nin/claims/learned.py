"""Claims about learning: small networks trained on the same pictures with the same recipe and as many epochs."""

from dataclasses import replace

import torch
from torch import nn

from nin.claims.claim import Measurement, judged, judged_by
from nin.claims.exact import collapsed_error
from nin.claims.placed_digits import placed
from nin.claims.small_trainings import STANDARD, FullyConnectedHead, Workbench, chain, cost, network
from nin.network.architecture import NIN

FEW = 300  # training pictures where overfitting is the question
LONGER = 12  # epochs, where the difference is a small one
NOISE = 1.0  # percentage points; smaller differences mean nothing here (about one standard error of 359 test pictures)


def more_maps(bench: Workbench) -> Measurement:
    """Claim 2: plain convolutions with more maps against mlpconv layers of as many parameters."""
    numbers: dict[str, float] = {}
    gains = []
    for size, width in (("small", 6), ("medium", 12), ("large", 20)):
        ours = chain(*[(width, width)] * 3)
        budget = cost(ours)[0]
        plain = min((chain(*[(w,)] * 3) for w in range(width, 4 * width)), key=lambda c: abs(cost(c)[0] - budget))
        numbers[f"{size}_parameters"] = float(budget)
        numbers[f"{size}_filters"] = bench.mean(network(plain))
        numbers[f"{size}_mlpconv"] = bench.mean(network(ours))
        gains.append((float(budget), numbers[f"{size}_mlpconv"] - numbers[f"{size}_filters"]))
    numbers["twice_the_maps"] = cost(chain(*[(40,)] * 3))[0] / cost(chain(*[(20,)] * 3))[0]
    dearer = numbers["twice_the_maps"] > 3
    better = gains[-1][1] > NOISE and all(gain > -NOISE for _, gain in gains)
    axes = ("parameters", "points won by mlpconv")
    return Measurement(judged(dearer and better, dearer), numbers, tuple(gains), axes)


def straight(generator: torch.Generator) -> NIN:
    """STANDARD without ReLU inside its mlpconv layers: every block is one linear filter before its ReLU."""
    model = NIN(replace(STANDARD, norm=None), generator=generator)
    for block in model.blocks:
        block.activation = nn.Identity()
    model.pools = nn.ModuleList(nn.Sequential(nn.ReLU(), pool) for pool in model.pools)
    return model


def inner_activations(bench: Workbench) -> Measurement:
    """Claim 4: the same network without the ReLUs inside its micro networks."""
    found = bench.compared(network(replace(STANDARD, norm=None)), straight, epochs=LONGER)
    low, high = found.interval
    numbers = {"with_relu": found.one, "without_relu": found.other, "folded": collapsed_error()}
    return Measurement(judged_by(found.interval), {**numbers, "gain": found.gain, "low": low, "high": high})


def stacked(bench: Workbench) -> Measurement:
    """Claim 6: one to four mlpconv layers."""
    widths = ((16, 16), (24, 24), (24, 24), (24, 24))
    found = [bench.mean(network(chain(*widths[:depth]))) for depth in range(1, 5)]
    numbers = {f"layers_{depth}": value for depth, value in enumerate(found, 1)}
    holds = found[2] > found[0] + NOISE and found[2] > found[1] - NOISE
    axes = ("mlpconv layers", "right answers, %")
    return Measurement(judged(holds), numbers, tuple((float(n), value) for n, value in enumerate(found, 1)), axes)


def gap_classifies(bench: Workbench) -> Measurement:
    """Claim 8: global average pooling as the last layer, and a fully connected head on the same features."""
    trained = bench.standard()

    def frozen(generator: torch.Generator) -> nn.Module:
        model = FullyConnectedHead(generator)
        model.trunk.load_state_dict(trained.model.state_dict())
        return model.requires_grad_(False).begin()

    head = bench.learn(frozen)
    return Measurement(judged(trained.test > head.test - 2 * NOISE), {"gap": trained.test, "fc": head.test})


def heads(bench: Workbench) -> dict[str, float]:
    """Percentages (train, test) of three heads trained on few pictures."""
    builds = {
        "gap": network(STANDARD),
        "fc": FullyConnectedHead,
        "dropout": lambda generator: FullyConnectedHead(generator, dropout=0.5),
    }
    found = {}
    for name, build in builds.items():
        found[f"{name}_train"], found[name] = bench.means(build, placed("train", FEW), epochs=40)
    return found


def overfits_less(bench: Workbench) -> Measurement:
    """Claim 9: training accuracy minus test accuracy of three heads, trained on few pictures."""
    found = bench.shared("heads", heads)
    gaps = {f"{name}_gap": found[f"{name}_train"] - found[name] for name in ("gap", "fc", "dropout")}
    return Measurement(judged(gaps["gap_gap"] < gaps["fc_gap"] - NOISE), {**found, **gaps, "pictures": FEW})


def dropout_places(bench: Workbench) -> Measurement:
    """Claim 12: dropout nowhere, between the mlpconv layers, and in the head, few pictures."""
    found = bench.shared("heads", heads)
    masked = tuple(replace(block, dropout=0.2) for block in STANDARD.blocks[:-1])
    between = bench.means(network(replace(STANDARD, blocks=(*masked, STANDARD.blocks[-1]))), placed("train", FEW), 40)
    gain = found["dropout"] - found["fc"]
    gap = found["gap"]
    numbers = {"fc": found["fc"], "dropout": found["dropout"], "gain": gain, "gap": gap, "between": between[1]}
    fine = gap > max(found["dropout"], found["fc"]) - NOISE
    return Measurement(judged(gain > 0 and fine, gain > 0 or fine), {**numbers, "pictures": FEW})


def channel_reduction(bench: Workbench) -> Measurement:
    """Claim 14: how far the 1x1 layer may reduce 24 maps before accuracy suffers, and what that saves."""
    numbers = {}
    points = []
    whole = cost(chain((24, 24), (24, 24), (24, 24)))[1]
    for width in (24, 12, 6, 3, 1):
        config = chain((24, width), (24, width), (24, 24))
        points.append((float(width), bench.mean(network(config))))
        numbers[f"maps_{width}"] = points[-1][1]
        numbers[f"saved_{width}"] = 100 * (1 - cost(config)[1] / whole)
    holds = numbers["maps_6"] > numbers["maps_24"] - 2 * NOISE and numbers["saved_6"] > 30
    return Measurement(judged(holds, True), numbers, tuple(points), ("maps kept", "right answers, %"))


def deeper_for_the_same(bench: Workbench) -> Measurement:
    """Claim 16: two wide layers against four with 1x1 bottlenecks, for at most the same multiply-adds."""
    wide = chain((32, 32), (32, 32))
    deep = [chain((16, 8), (w, 8), (w, 8), (w, 16)) for w in range(8, 96, 4)]
    fitting = max((c for c in deep if cost(c)[1] <= cost(wide)[1]), key=lambda c: cost(c)[1])
    two = bench.mean(network(wide))
    four = bench.mean(network(fitting))
    numbers = {"two": two, "four": four, "macs_two": float(cost(wide)[1]), "macs_four": float(cost(fitting)[1])}
    return Measurement(judged(four > two - NOISE, partly=True), numbers)  # it is deeper; the rest is whether that pays
