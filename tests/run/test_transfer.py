"""Beginning with another model's weights: what is taken, what begins afresh, and what is refused."""

import numpy as np
import pytest
import torch

from nin.bundle.card import Calibration
from nin.bundle.folder import Bundle, read_bundle, write_bundle
from nin.data.preprocess import Preprocess
from nin.errors import UsageError
from nin.network.architecture import NIN, nin
from nin.run.options import TrainOptions
from nin.run.transfer import channels_for, network_for, take_weights


@pytest.fixture
def model(tmp_path) -> Bundle:
    """A network with weights no fresh one has, for three classes and colour pictures."""
    network = NIN(nin(3, 3, 0.1))
    weights = {name: np.asarray(value + 1) for name, value in network.state_dict().items()}
    write_bundle(
        tmp_path / "model", network=network.config.to_dict(), weights=weights, classes=("a", "b", "c"),
        preprocess=Preprocess((32, 32), 3, "stretch", (0.5,) * 3, (0.25,) * 3), calibration=Calibration(),
        metrics={}, provenance={},
    )  # fmt: skip
    return read_bundle(tmp_path / "model")


def taken(network: NIN, model: Bundle) -> set[str]:
    stored = model.weights()
    return {name for name, value in network.state_dict().items() if np.array_equal(value, stored[name])}


def test_everything_is_taken_for_the_same_classes(model):
    network = NIN(network_for(model, 3, 1))
    line = take_weights(network, model, ("a", "b", "c"))
    assert taken(network, model) == set(model.weights())
    assert line == f"begins with the weights of {model.folder}"


@pytest.mark.parametrize("classes", [("b", "a", "c"), ("a", "b", "d"), ("a", "b"), tuple("abcd")])
def test_other_classes_get_a_fresh_last_layer(model, classes):
    network = NIN(network_for(model, len(classes), 1))
    line = take_weights(network, model, classes)
    assert set(model.weights()) - taken(network, model) == {
        "blocks.4.pointwise.1.weight",
        "blocks.4.pointwise.1.bias",
    }
    assert line.endswith("; begins afresh: blocks.4.pointwise.1")


def test_larger_pictures_get_a_fresh_first_convolution_and_maps_of_the_usual_size(model):
    config = network_for(model, 3, 2)
    assert config.output_side(96) == nin(3, 3, 0.1, 2).output_side(96)
    network = NIN(config)
    assert take_weights(network, model, ("a", "b", "c")).endswith("; begins afresh: blocks.0.spatial")
    assert set(model.weights()) - taken(network, model) == {"blocks.0.spatial.weight"}
    assert network(torch.zeros(1, 3, 96, 96)).shape == (1, 3)


def test_options_that_would_make_another_network_are_refused(model):
    assert channels_for(model, TrainOptions(from_="m")) == 3
    with pytest.raises(UsageError, match=r"--channels is 1 and m reads 3; leave out --channels"):
        channels_for(model, TrainOptions(from_="m", channels=1))
    for own in ({"width": 0.5}, {"network": "nin-author-cifar10"}):
        with pytest.raises(UsageError, match=rf"--{next(iter(own))} and --from cannot go together: m has its own"):
            channels_for(model, TrainOptions(from_="m", **own))
