"""Claims about what the maps mean: fewer independent maps, merged units, and class maps that show where a class is.

(C, H, W) maps, K classes. "Variance" is over the places of all pictures, after subtracting each map's mean.
"""

import numpy as np
import torch
from torch import Tensor

from nin.claims.claim import Measurement, judged
from nin.claims.learned import NOISE
from nin.claims.placed_digits import DIGIT, SIDE, Placed, placed
from nin.claims.small_trainings import STANDARD, FullyConnectedHead, Workbench, chain, inputs, network
from nin.network.architecture import NIN
from nin.network.class_maps import class_maps, pointing

REDUCING = chain((32, 8), (32, 16), (24, 24))  # its 1x1 layers make 32 maps into 8 and into 16


def gathered(bench: Workbench) -> Measurement:
    """Claim 15: correlation between maps and their effective number, before and after each reducing 1x1 layer."""
    numbers: dict[str, float] = {}
    for place, (before, after) in enumerate(_around_pointwise(bench), 1):
        for when, maps in (("before", before), ("after", after)):
            numbers[f"rank_{when}_{place}"] = effective_rank(maps)
            numbers[f"share_{when}_{place}"] = 100 * effective_rank(maps) / len(maps)
    better = [numbers[f"share_after_{place}"] > numbers[f"share_before_{place}"] for place in (1, 2)]
    return Measurement(judged(all(better), any(better)), numbers)


def condensed(bench: Workbench) -> Measurement:
    """Claim 17: the share of the variance of c2 maps that c3 maps explain linearly, beside as many of the c2 maps."""
    numbers: dict[str, float] = {}
    for place, (before, after) in enumerate(_around_pointwise(bench), 1):
        picks = np.random.default_rng(0)
        some = [explained(before, before[picks.choice(len(before), len(after), replace=False)]) for _ in range(5)]
        numbers[f"c2_{place}"] = len(before)
        numbers[f"c3_{place}"] = len(after)
        numbers[f"kept_{place}"] = 100 * explained(before, after)
        numbers[f"random_{place}"] = 100 * float(np.mean(some))
    better = [numbers[f"kept_{place}"] > numbers[f"random_{place}"] + NOISE for place in (1, 2)]
    more = [numbers[f"kept_{place}"] > 100 * numbers[f"c3_{place}"] / numbers[f"c2_{place}"] for place in (1, 2)]
    return Measurement(judged(all(better), all(more)), numbers)


def merged_units(bench: Workbench) -> Measurement:
    """Claim 25: half of the first layer's maps merged by correlation, or at random, and the accuracy after that."""
    model = bench.standard().model
    assert isinstance(model, NIN)
    before = bench.accuracy(model, placed("test", seed=1))
    maps = _hidden(model, placed("train", 300))[0]
    kept = bench.accuracy(merged(model, _by_correlation(maps)), placed("test", seed=1))
    random = [_at_random(len(maps), seed) for seed in range(5)]
    others = float(np.mean([bench.accuracy(merged(model, pairs), placed("test", seed=1)) for pairs in random]))
    return Measurement("open", {"whole": before, "correlated": kept, "random": others, "maps": len(maps)})


def confidence_maps(bench: Workbench) -> Measurement:
    """Claim 26: how often the true class's map peaks on the digit; accuracy at other picture sizes and positions."""
    model = bench.standard().model
    assert isinstance(model, NIN)
    side = 3 * SIDE // 2
    numbers = {
        "pointing": points_at_digit(model, placed("test", side=side, seed=1)),
        "chance": 100 * (DIGIT / side) ** 2,
        "strongest": strongest(model, placed("test", seed=1)),
    }
    for factor in (2, 3, 4):
        where = placed("test", side=factor * SIDE // 2, seed=1)
        numbers[f"size_{factor * SIDE // 2}"] = bench.accuracy(model, where)
    middle = placed("train", reach=1)
    gap = bench.learn(network(STANDARD), middle)
    full = bench.learn(FullyConnectedHead, middle)
    for shift in (1, 4):
        ring = _shifted(shift)
        numbers[f"gap_{shift}"] = bench.accuracy(gap.model, ring)
        numbers[f"fc_{shift}"] = bench.accuracy(full.model, ring)
    holds = numbers["pointing"] > 3 * numbers["chance"] and numbers["gap_4"] > numbers["fc_4"] + NOISE
    return Measurement(judged(holds, numbers["pointing"] > 2 * numbers["chance"]), numbers)


def _around_pointwise(bench: Workbench) -> list[tuple[np.ndarray, np.ndarray]]:
    """Maps (C, places) before and after the 1x1 layers of the first two mlpconv layers of a trained network."""
    model = bench.shared("reducing", lambda b: b.learn(network(REDUCING))).model
    pictures = placed("test", seed=1)
    return list(zip(_hidden(model, pictures), _hidden(model, pictures, after=True), strict=True))


@torch.no_grad()
def _hidden(model: NIN, pictures: Placed, *, after: bool = False) -> list[np.ndarray]:
    """Maps (C, places) of the first two mlpconv layers: what their 1x1 layer reads, or what it makes."""
    x = inputs(pictures)
    found = []
    model.eval()
    for number in range(2):
        block = model.blocks[number]
        maps: Tensor = block(x) if after else block.hidden(x)  # type: ignore[operator]
        found.append(maps.transpose(0, 1).flatten(1).double().numpy())
        x = model.pools[number](block(x))
    return found


def effective_rank(maps: np.ndarray) -> float:
    """(C, places) -> the participation ratio of their correlations: C when uncorrelated, 1 when all are equal."""
    centred = maps - maps.mean(1, keepdims=True)
    alive = centred[centred.std(1) > 1e-12]
    values = np.linalg.eigvalsh(np.corrcoef(alive))
    return float(values.sum() ** 2 / (values**2).sum())


def explained(maps: np.ndarray, by: np.ndarray) -> float:
    """Share of the variance of `maps` (C, places) that is a linear function of `by` (C', places), 0 to 1."""
    target, given = (values - values.mean(1, keepdims=True) for values in (maps, by))
    weights, *_ = np.linalg.lstsq(given.T, target.T, rcond=None)
    left = target - weights.T @ given
    return 1 - float((left**2).sum() / (target**2).sum())


def merged(model: NIN, pairs: list[tuple[int, int]]) -> NIN:
    """A copy whose first spatial layer answers for both maps of a pair with their mean."""
    twin = NIN(model.config)
    twin.load_state_dict(model.state_dict())
    mixing = torch.eye(len(twin.blocks[0].spatial.weight))  # type: ignore[union-attr,arg-type]
    for a, b in pairs:
        mixing[a, [a, b]] = mixing[b, [a, b]] = 0.5
    block = twin.blocks[0]
    weight = block.pointwise[0].weight  # type: ignore[union-attr,index]
    with torch.no_grad():
        weight.copy_((weight.flatten(1) @ mixing)[:, :, None, None])  # the 1x1 layer reads the means
    return twin


def _by_correlation(maps: np.ndarray) -> list[tuple[int, int]]:
    """Disjoint pairs, the most correlated first, until no map is alone."""
    near = np.nan_to_num(np.corrcoef(maps), nan=-1.0)
    order = [(near[a, b], a, b) for a in range(len(maps)) for b in range(a)]
    pairs: list[tuple[int, int]] = []
    for _, a, b in sorted(order, reverse=True):
        if not any(unit in pair for pair in pairs for unit in (a, b)):
            pairs.append((a, b))
    return pairs


def _at_random(count: int, seed: int) -> list[tuple[int, int]]:
    shuffled = np.random.default_rng(seed).permutation(count)
    return [(int(a), int(b)) for a, b in shuffled[: count // 2 * 2].reshape(-1, 2)]


def points_at_digit(model: NIN, pictures: Placed) -> float:
    """Percentage of pictures in which the strongest place of the true class's map lies on the digit."""
    maps = class_maps(model.eval(), inputs(pictures)).maps
    boxes = torch.from_numpy(np.concatenate([pictures.corners, pictures.corners + DIGIT], 1))
    hits = pointing(maps, torch.from_numpy(pictures.labels), boxes / pictures.images.shape[1])
    return 100 * float(hits.float().mean())


def strongest(model: NIN, pictures: Placed) -> float:
    """Percentage of pictures whose true class has the map with the highest peak."""
    maps = class_maps(model.eval(), inputs(pictures)).maps
    return 100 * float((maps.amax((2, 3)).argmax(1).numpy() == pictures.labels).mean())


def _shifted(by: int) -> Placed:
    """The test digits `by` pixels from the middle, in all eight directions in turn."""
    whole = placed("test", reach=0)
    steps = np.array([(r, c) for r in (-by, 0, by) for c in (-by, 0, by) if r or c])
    moves = steps[np.arange(len(whole.labels)) % len(steps)]
    images = np.stack([np.roll(image, tuple(move), (0, 1)) for image, move in zip(whole.images, moves, strict=True)])
    return Placed(images, whole.labels, whole.corners + moves)
