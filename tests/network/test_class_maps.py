"""Class maps: the identity with the logits, additivity, and agreement with what hiding parts of the picture shows."""

from dataclasses import replace

import pytest
import torch

from nin.errors import ModelError, UsageError
from nin.network.anatomy import anatomy
from nin.network.architecture import NIN, NINConfig, author_mnist, nin
from nin.network.class_maps import class_maps, contributions, occlusion
from nin.network.layers import MLPConv


@pytest.fixture(scope="module", params=[nin(4, width=0.25), author_mnist(4, 3, init="kaiming")], ids=["ours", "author"])
def model(request):
    return NIN(request.param, generator=torch.Generator().manual_seed(1)).eval()


@pytest.mark.parametrize("size", [(8, 8), (8, 96), (17, 23), (32, 32), (33, 64), (96, 96)])
def test_logits_are_the_means_of_their_maps(model, size):
    x = torch.randn(3, 3, *size)
    found = class_maps(model, x)
    assert found.maps.shape[:2] == found.logits.shape == (3, 4)
    assert torch.equal(found.logits, model(x))
    exact = found.maps.double().mean((2, 3))
    assert float((exact - found.logits).abs().max()) <= 1e-6 * max(1, float(found.logits.abs().max()))


def test_with_the_mirror_image_everything_is_the_mean_of_both():
    model = NIN(nin(4, width=0.25), generator=torch.Generator().manual_seed(1)).eval()
    twin = NIN(replace(model.config, mirror=True)).eval()
    twin.load_state_dict(model.state_dict())
    x = torch.randn(2, model.config.in_channels, 24, 20)
    with torch.no_grad():
        expected = (model(x) + model(x.flip(3))) / 2
        maps = (model.forward_maps(x) + model.forward_maps(x.flip(3)).flip(3)) / 2
        torch.testing.assert_close(twin(x), expected)
        torch.testing.assert_close(twin.forward_maps(x), maps)
        torch.testing.assert_close(twin.forward_head(twin.forward_features(x)), expected)
        torch.testing.assert_close(twin(x.flip(3)), expected)
        torch.testing.assert_close(class_maps(twin, x).maps.mean((2, 3)), expected)
        torch.testing.assert_close(twin.train()(x), model.train()(x))  # training sees one picture


def test_a_mirrored_network_counts_twice_the_work_and_needs_a_linear_last_layer():
    config = nin(5, width=0.25)
    one, both = anatomy(config), anatomy(replace(config, mirror=True))
    assert (both.macs, both.parameters, both.layers) == (2 * one.macs, one.parameters, one.layers)
    assert NINConfig.from_dict({k: v for k, v in config.to_dict().items() if k != "mirror"}) == config
    with pytest.raises(UsageError, match=r"^mirror needs a last 1x1 layer without activation and normalisation; take"):
        replace(author_mnist(), mirror=True)


def test_large_values_that_cancel_are_no_false_alarm():
    model = NIN(nin(4, width=0.25)).eval()
    model.blocks[-1].convolutions[-1].weight.data.mul_(1e6)
    found = class_maps(model, torch.randn(2, 3, 96, 96))
    assert float(found.maps.abs().max()) > 1e3


def test_each_place_adds_its_part(model):
    x = torch.randn(3, 3, 40, 24)
    found, which = class_maps(model, x), torch.tensor([2, 0, 3])
    parts = contributions(model, x, which)
    assert parts.shape == (3, *found.maps.shape[2:])
    assert torch.allclose(parts.sum((1, 2)), found.logits[torch.arange(3), which], atol=1e-6)
    assert torch.allclose(contributions(model, x, 1).sum((1, 2)), found.logits[:, 1], atol=1e-6)


def bright_spot_finder():
    """A network whose class 1 map is the picture's brightness, place by place, so everything is known beforehand."""
    model = NIN(NINConfig("spots", nin(2, 1, 0.01).blocks[-1:], 2, 1)).eval()
    block = model.blocks[0]
    assert isinstance(block, MLPConv)
    for parameter in model.parameters():
        parameter.data.zero_()
    block.spatial.weight.data[0, 0, 1, 1] = 1
    block.pointwise[0].weight.data[0, 0] = 1
    block.pointwise[1].weight.data[1, 0] = 1
    return model


def test_occlusion_by_hand():
    model = bright_spot_finder()
    x = torch.zeros(1, 1, 10, 12)
    x[0, 0, 6, 8] = 60.0
    found = occlusion(model, x, 4, 4, 1)
    assert found.shape == (1, 3, 3)
    wanted = torch.zeros(1, 3, 3)
    wanted[0, 1, 2] = 60 / 120  # hiding the only bright pixel takes its share of the mean away
    assert torch.allclose(found, wanted)
    assert torch.equal(occlusion(model, x, 4, 4, 0), torch.zeros(1, 3, 3))
    brighter = occlusion(model, x, 4, 4, 1, fill=1.0)
    assert torch.allclose(brighter[0, 0, 0], torch.tensor(-16 / 120))
    assert x[0, 0, 6, 8] == 60.0


def test_occlusion_finds_what_the_map_shows():
    model = bright_spot_finder()
    x = torch.rand(2, 1, 16, 16)
    wanted = torch.nn.functional.avg_pool2d(contributions(model, x, 1)[:, None], 4).squeeze(1) * 16
    assert torch.allclose(occlusion(model, x, 4, 4, torch.tensor([1, 1])), wanted, atol=1e-6)


def test_training_mode_is_refused_and_nothing_changes():
    model = NIN(nin(width=0.1))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    for ask in (
        lambda: class_maps(model, torch.zeros(1, 3, 8, 8)),
        lambda: occlusion(model, torch.zeros(1, 3, 8, 8), 4, 4, 0),
    ):
        with pytest.raises(UsageError, match="call eval"):
            ask()
    model.eval()
    class_maps(model, torch.randn(1, 3, 8, 8))
    assert not model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_values_that_are_not_finite_are_named(model):
    with pytest.raises(ModelError, match=r"off by nan\); expected finite weights and pictures"):
        class_maps(model, torch.full((1, 3, 32, 32), float("nan")))


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda m, x: contributions(m, x, 4), "class_index is 4; expected 0 to 3"),
        (lambda m, x: contributions(m, x, -1), "class_index is -1"),
        (lambda m, x: contributions(m, x, torch.tensor([0, 1, 2])), "expected one class, or one for each of 2"),
        (lambda m, x: occlusion(m, x, 0, 1, 0), "patch is 0"),
        (lambda m, x: occlusion(m, x, 4, 0, 0), "stride is 0"),
    ],
)
def test_what_cannot_be_asked(model, ask, message):
    with pytest.raises(UsageError) as caught:
        ask(model, torch.zeros(2, 3, 16, 16))
    assert message in str(caught.value)
