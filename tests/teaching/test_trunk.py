"""The cut network gives the features that torch computes, and becomes a network whose class maps are exact."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nin.bundle.folder import open_bundle
from nin.bundle.shipped import shipped
from nin.commands.classifier import load
from nin.errors import UsageError
from nin.network.architecture import nin
from nin.network.author_networks import author_cifar10
from nin.network.config import BlockConfig, NINConfig
from nin.teaching.regression import LinearHead
from nin.teaching.trunk import cut_trunk
from nin.training.tensors import to_tensor
from small_models import cuts, make_bundle, preprocess

ODD = NINConfig(
    "odd",
    (
        BlockConfig((6, 9), 5, stride=2, pool="avg", pool_padding=1, dropout=0.4),
        BlockConfig((8,), 3, padding=0, pool="max", pool_ceil=False),
        BlockConfig((6, 5), 3, groups=2),
    ),
    5,
    4,
    activation="silu",
    dropout_kind="classic",
    last_activation=True,
)
NETWORKS = {
    "default": (nin(4, width=0.2), preprocess((24, 24))),
    "mirrored": (replace(nin(4, width=0.2), mirror=True), preprocess((24, 20), fit="pad")),
    "odd": (ODD, preprocess((32, 32), 4)),
    "author": (author_cifar10(), preprocess((32, 32), normalisation="gcn-zca")),
}


@pytest.fixture(scope="module", params=NETWORKS)
def bundle(request, tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("trunk") / request.param, *NETWORKS[request.param])


def seen(bundle, count: int = 6) -> np.ndarray:
    return np.stack([bundle.preprocess.resize(cut) for cut in cuts(count, bundle.preprocess.channels, seed=3)])


@torch.no_grad()
def maps_by_torch(bundle, images: np.ndarray, cut: int) -> np.ndarray:
    """Block after block, without a look at how a trunk is made: (N, F, h, w)."""
    model = load(bundle.folder).model.eval()

    def of(x: torch.Tensor) -> torch.Tensor:
        for index in range(cut - 1):
            x = model.dropouts[index](model.pools[index](model.blocks[index](x)))
        block = model.blocks[cut - 1]
        return block.hidden(x) if cut == len(model.blocks) else block(x)

    x = to_tensor(images, bundle.preprocess, "cpu")
    if not model.config.mirror:
        return of(x).numpy()
    return ((of(x) + of(x.flip(3)).flip(3)) / 2).numpy()


def test_features_and_maps_are_those_of_torch_at_every_cut(bundle):
    images = seen(bundle)
    for cut in range(1, len(bundle.network["blocks"]) + 1):
        trunk = cut_trunk(bundle, cut)
        expected = maps_by_torch(bundle, images, cut)
        near = 1e-4 * np.abs(expected).max()
        assert np.abs(trunk.maps(images) - expected).max() < near
        assert np.abs(trunk.features(images) - expected.mean((2, 3))).max() < near
        assert trunk.width == expected.shape[1]


def test_a_head_of_the_trunk_is_a_network_with_exact_class_maps(bundle, tmp_path):
    """Written, read and run by torch: what the head says of the features, picture by picture and place by place."""
    from nin.bundle.card import Calibration
    from nin.bundle.folder import read_bundle, write_bundle

    trunk = cut_trunk(bundle, max(1, len(bundle.network["blocks"]) - 1))
    random = np.random.default_rng(0)
    head = LinearHead(random.normal(size=(3, trunk.width)), random.normal(size=3))
    write_bundle(
        tmp_path / "taught",
        network=trunk.network(3).to_dict(),
        weights=trunk.weights(head),
        classes=("a", "b", "c"),
        preprocess=trunk.preprocess,
        calibration=Calibration(),
        metrics={},
        provenance={},
    )
    images = seen(bundle)
    model = load(read_bundle(tmp_path / "taught").folder).model.eval()
    x = to_tensor(images, bundle.preprocess, "cpu")
    with torch.no_grad():
        maps, logits = model.forward_maps(x).numpy(), model(x).numpy()
    expected = np.stack([head.maps(each) for each in trunk.maps(images)])
    near = 1e-4 * np.abs(expected).max()
    assert np.abs(maps - expected).max() < near
    assert np.abs(logits - head.logits(trunk.features(images))).max() < near


@pytest.mark.parametrize("name", shipped())
def test_every_model_of_the_package_is_a_trunk(name):
    trunk = cut_trunk(open_bundle(name))
    assert trunk.cut == len(trunk.bundle.network["blocks"]) - 1
    features = trunk.features(np.stack([trunk.preprocess.resize(cut) for cut in cuts(2, trunk.preprocess.channels)]))
    assert features.shape == (2, trunk.width)
    assert np.abs(features[0] - features[1]).max() > 0


def test_another_size_is_another_preprocessing():
    trunk = cut_trunk(open_bundle("nin-cifar10"), size=48)
    assert trunk.preprocess.size == (48, 48)
    images = np.stack([trunk.preprocess.resize(cut) for cut in cuts(2)])
    assert trunk.maps(images).shape == (2, trunk.width, 12, 12)


def test_what_cannot_be_is_told(tmp_path):
    with pytest.raises(UsageError, match=r"--cut is 6; nin-cifar10 has 5 mlpconv layers"):
        cut_trunk(open_bundle("nin-cifar10"), 6)
    whitens = make_bundle(tmp_path / "white", *NETWORKS["author"])
    with pytest.raises(UsageError, match=r"white whitens pictures of 32 x 32"):
        cut_trunk(whitens, size=64)
