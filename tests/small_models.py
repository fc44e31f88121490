"""Model folders of every kind that can be exported, with weights and statistics that matter; pictures for them."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from nin.bundle.card import Calibration
from nin.bundle.folder import Bundle, read_bundle, write_bundle
from nin.bundle.likeness import Likeness, fit_likeness
from nin.data.preprocess import Preprocess
from nin.data.whiten import fit_zca
from nin.network.architecture import NIN
from nin.network.config import NINConfig
from nin.training.tensors import to_tensor


def png(pixels: np.ndarray) -> bytes:
    held = BytesIO()
    Image.fromarray(pixels).save(held, "PNG")
    return held.getvalue()


def make_bundle(
    folder: Path, config: NINConfig, preprocess: Preprocess, temperature: float = 1.3, beyond: float | None = None
) -> Bundle:
    """A model folder of that network: seeded weights, normalisation fitted to photographs, answers that differ.

    beyond: the distance beyond which answers are unknown; with one the model knows 96 cuts of photographs.
    """
    torch.manual_seed(0)
    network = NIN(replace(config, init="kaiming"), generator=torch.Generator().manual_seed(1))
    for parameter in network.parameters():
        if parameter.ndim == 1:
            parameter.data.add_(torch.randn(parameter.shape) * 0.1)
    x = to_tensor(np.stack([preprocess.resize(cut) for cut in cuts(32, preprocess.channels)]), preprocess, "cpu")
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0  # one pass gives it the statistics of these pictures
    with torch.no_grad():
        network.train()(x)
        last = network.blocks[-1].convolutions[-1]
        last.weight.mul_(0.7 / float(network.eval()(x).std(0).mean()))
        if last.bias is not None:
            last.bias.sub_(network(x).mean(0))  # so that no class is likeliest everywhere
    network.config = config
    likeness = None if beyond is None else known(network.eval(), preprocess)
    write_bundle(
        folder,
        network=config.to_dict(),
        weights={name: tensor.numpy() for name, tensor in network.state_dict().items()},
        classes=[f"class {n}" for n in range(config.num_classes)],
        preprocess=preprocess,
        calibration=Calibration(temperature, 0.2, beyond),
        metrics={},
        provenance={},
        likeness=likeness,
    )
    return read_bundle(folder)


def known(network: NIN, preprocess: Preprocess) -> Likeness:
    """What the network knows of 96 cuts of photographs, dealt out to its classes."""
    x = to_tensor(np.stack([preprocess.resize(cut) for cut in cuts(96, preprocess.channels)]), preprocess, "cpu")
    with torch.no_grad():
        features = network.forward_features(x).mean((2, 3)).numpy()
    likeness = fit_likeness(features, np.arange(96) % network.num_classes, network.num_classes)
    assert likeness is not None
    return likeness


def preprocess(
    size: tuple[int, int], channels: int = 3, normalisation: str = "standard", fit: str = "stretch"
) -> Preprocess:
    """Preprocessing for pictures of that size, whitened by real photographs where it is to whiten."""
    mean, std = (0.48, 0.44, 0.4, 0.9)[:channels], (0.25, 0.24, 0.26, 0.2)[:channels]
    if normalisation != "gcn-zca":
        return Preprocess(size, channels, fit, mean, std, normalisation)
    resize = Preprocess(size, channels, fit, mean, std)
    block = np.stack([resize.resize(cut) for cut in cuts(40)])
    return Preprocess(size, channels, fit, mean, std, normalisation, fit_zca([block]))


def cuts(count: int, channels: int = 3, seed: int = 0) -> list[np.ndarray]:
    """Cuts of two real photographs, (H, W, channels) uint8, tall, wide, small and large."""
    rng, photographs = np.random.default_rng(seed), load_sample_images().images
    found = []
    for number in range(count):
        height, width = (int(side) for side in rng.integers(9, 300, 2))
        top, left = int(rng.integers(0, 427 - height)), int(rng.integers(0, 640 - width))
        cut = photographs[number % 2][top : top + height, left : left + width]
        if channels == 4:
            cut = np.concatenate([cut, cut[:, :, ::-1][..., :1]], axis=-1)
        found.append(np.ascontiguousarray(cut[..., :channels]))
    return found
