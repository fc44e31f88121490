"""Claims about cost, counted layer by layer from the networks themselves."""

import time
from typing import Any

import torch
from torch import nn

from nin.claims.claim import Measurement, judged
from nin.network.anatomy import anatomy
from nin.network.architecture import author_cifar10
from nin.network.relatives import RELATIVES, googlenet
from nin.network.surgery import convolutionize

CLASSIC = ("lenet5", "alexnet", "vgg16")


def fewer_parameters(_: Any) -> Measurement:
    """Claim 5: the author's second spatial layer with and without a 1x1 before it; a branch of an Inception module."""
    layers = [nn.Conv2d(maps, 192, 5) for maps in (96, 192)]  # after the 1x1, and on the maps before it
    with_1x1, without = (sum(p.numel() for p in layer.parameters()) for layer in layers)
    direct, reduced = (anatomy(branch, (192, 28, 28)).macs for branch in inception_branches())
    numbers = {
        "with_1x1": with_1x1,
        "without": without,
        "direct": direct,
        "reduced": reduced,
        "factor": direct / reduced,
    }
    return Measurement(judged(with_1x1 < without and reduced < direct), numbers)


def inception_branches() -> tuple[nn.Module, nn.Module]:
    """5x5 to 32 maps straight from 192 maps, and through 16 maps made by a 1x1 (Szegedy et al. 2014, module 3a)."""
    with torch.device("meta"):
        direct = nn.Conv2d(192, 32, 5, padding=2)
        reduced = nn.Sequential(nn.Conv2d(192, 16, 1), nn.ReLU(), nn.Conv2d(16, 32, 5, padding=2))
    return direct, reduced


def no_fully_connected_layer(_: Any) -> Measurement:
    """Claim 7: fully connected parameters of the author's CIFAR-10 network."""
    found = anatomy(author_cifar10())
    full = sum(row.parameters for row in found.layers if row.kind == "fc")
    return Measurement(judged(full == 0), {"fc": full, "parameters": found.parameters})


def cheaper_head(_: Any) -> Measurement:
    """Claim 10: what the head costs on the author's 192 maps of 8x8."""
    ours, one, two = anatomy(author_cifar10()).fc_alternatives
    numbers = {"gap_parameters": ours.parameters, "fc_parameters": one.parameters, "two_parameters": two.parameters}
    macs = {"gap_macs": ours.macs, "fc_macs": one.macs, "two_macs": two.macs}
    saves = ours.parameters < one.parameters
    return Measurement(judged(saves and ours.macs < one.macs, saves), {**numbers, **macs})


def classic_shares(_: Any) -> Measurement:
    """Claim 11: the share of all parameters that fully connected layers hold."""
    counts = {name: anatomy(RELATIVES[name].build(), RELATIVES[name].input_size) for name in CLASSIC}
    shares = {name: 100 * found.fc_parameters for name, found in counts.items()}
    shares["nin"] = 100 * anatomy(author_cifar10()).fc_parameters
    return Measurement(judged(all(shares[name] > 85 for name in CLASSIC) and shares["nin"] == 0), shares)


def googlenet_has_both(_: Any) -> Measurement:
    """Claim 13: Inception modules, global average pooling, and the share of the 1x1 layers."""
    with torch.device("meta"):
        model = googlenet(auxiliary=False)
    found = anatomy(model, (3, 224, 224))
    modules = sum(type(module).__name__ == "Inception" for module in model.modules())
    gaps = sum(row.kind == "gap" for row in found.layers)
    shares = {"pointwise_macs": 100 * found.pointwise_macs, "fc_parameters": 100 * found.fc_parameters}
    numbers = {"modules": modules, "gaps": gaps, "parameters": found.parameters, **shares}
    return Measurement(judged(modules == 9 and gaps == 1), numbers)


def converted(_: Any) -> Measurement:
    """Claim 21: fully connected layers made convolutions: the same logits, and a map of them for larger pictures."""
    generator = torch.Generator().manual_seed(0)
    layers = (nn.Conv2d(3, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2))
    original = nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * 6 * 6, 64), nn.ReLU(), nn.Linear(64, 10)).eval()
    dense = convolutionize(original, (3, 32, 32))
    small, large = (torch.randn(1, 3, side, side, generator=generator) for side in (32, 160))
    with torch.inference_mode():
        error = float((dense(small).flatten(1) - original(small)).abs().max())
        fast, answers = _timed(lambda: dense(large))
        rows, columns = answers.shape[2:]
        windows = large.unfold(2, 32, 4).unfold(3, 32, 4)[0].permute(1, 2, 0, 3, 4).reshape(-1, 3, 32, 32)
        slow, expected = _timed(lambda: original(windows))
        apart = float((answers[0].flatten(1).T - expected).abs().max())
    numbers = {"difference": error, "map_difference": apart, "windows": rows * columns, "speedup": slow / fast}
    return Measurement(judged(max(error, apart) < 1e-4 and slow > fast), numbers)


def _timed(call: Any) -> tuple[float, Any]:
    """Seconds of the fastest of three calls, and the result of the last."""
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        found = call()
        best = min(best, time.perf_counter() - start)
    return best, found
