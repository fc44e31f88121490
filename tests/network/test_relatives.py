"""The relatives against the figures that were published for them, hand counts, and slow second implementations."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nin.errors import UsageError
from nin.network.anatomy import anatomy
from nin.network.architecture import NIN, author_cifar10
from nin.network.googlenet import INCEPTION, Inception, InceptionConfig, googlenet_loss
from nin.network.layers import Dropout
from nin.network.relatives import (
    RELATIVES,
    LocallyConnected2d,
    MaxoutConv2d,
    MaxoutLinear,
    conv_fc,
    conv_maxout,
    googlenet,
    maxout,
    nin_fc,
)


def bare(build):
    """A network without numbers, for counting."""
    with torch.device("meta"):
        return build()


def facts(name):
    return anatomy(bare(RELATIVES[name].build), RELATIVES[name].input_size)


@pytest.mark.parametrize(
    ("name", "parameters", "connected"),
    [
        ("lenet5", 61_706, 59_134),  # 48,120 + 10,164 + 850
        ("alexnet", 60_965_224, 58_631_144),  # 37,752,832 + 16,781,312 + 4,097,000
        ("vgg11", 132_863_336, 123_642_856),  # 102,764,544 + 16,781,312 + 4,097,000
        ("vgg16", 138_357_544, 123_642_856),
        ("googlenet", 6_998_552, 1_025_000),
    ],
)
def test_share_of_fully_connected_layers(name, parameters, connected):
    """95.8, 96.2, 93.1 and 89.4 % of the classic networks, 14.6 % of GoogLeNet, nothing of a NIN."""
    found = facts(name)
    assert found.parameters == parameters
    assert found.fc_parameters == connected / parameters
    shares = {"lenet5": 0.958, "alexnet": 0.962, "vgg11": 0.931, "vgg16": 0.894, "googlenet": 0.146}
    assert round(found.fc_parameters, 3) == shares[name]
    assert anatomy(author_cifar10()).fc_parameters == 0


@pytest.mark.parametrize("name", RELATIVES)
def test_counts_against_torch_s_own(name):
    """Parameters from the modules, multiply-accumulates from torch's own counter of operations."""
    found, model = facts(name), bare(RELATIVES[name].build).eval()
    own = sum(tensor.numel() for tensor in model.parameters())
    assert found.parameters + found.training_parameters == own
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, *RELATIVES[name].input_size, device="meta"))
    assert 2 * found.macs == counter.get_total_flops()


def test_layers_of_the_ancestor():
    rows = {row.name: row for row in facts("conv-fc").layers}
    assert [rows[name].output for name in ("pool1", "pool2", "pool3")] == [(64, 16, 16), (64, 8, 8), (64, 4, 4)]
    assert rows["conv1"].parameters == 5 * 5 * 3 * 64 + 64 and rows["conv2"].parameters == 5 * 5 * 64 * 64 + 64
    local = rows["local4"]
    assert (local.kind, local.output) == ("local", (10, 4, 4))
    assert (local.parameters, local.macs) == (16 * (10 * 9 * 64 + 10), 16 * 10 * 9 * 64)  # nothing is shared
    assert rows["fc5"].parameters == 16 * 10 * 10 + 10
    assert facts("conv-gap").parameters == facts("conv-fc").parameters - 1_610


def test_heads_of_the_ancestor():
    with pytest.raises(UsageError, match="head is 'softmax'; expected one of fc, fc-dropout, gap"):
        conv_fc(head="softmax")
    x = torch.randn(2, 3, 32, 32)
    for head in ("fc", "fc-dropout", "gap"):
        model = conv_fc(7, head=head).train()
        assert model(x).shape == (2, 7)
        assert torch.equal(model(x), model(x)) is (head != "fc-dropout")


@pytest.mark.parametrize(("hidden", "parameters"), [((), 122_890), ((1000,), 12_299_010)])
def test_nin_under_fully_connected_layers(hidden, parameters):
    """The counts of the head; the trunk is NIN's own, with NIN's names, up to the 1x1 layer of class maps."""
    model = nin_fc(hidden=hidden, dropout=0.5)
    assert sum(tensor.numel() for tensor in model.head.parameters()) == parameters
    assert sum(isinstance(module, Dropout) for module in model.head) == 1
    assert not any(isinstance(module, nn.Dropout) for module in nin_fc(hidden=hidden).head)
    whole = NIN(author_cifar10())
    trunk = {name: tensor for name, tensor in whole.state_dict().items() if "blocks.2.pointwise.1" not in name}
    missing = model.load_state_dict(trunk, strict=False)
    assert not missing.unexpected_keys and all(name.startswith("head") for name in missing.missing_keys)
    x = torch.randn(2, 3, 32, 32)
    expected = model.eval().head(whole.eval().forward_features(x).flatten(1))
    torch.testing.assert_close(model(x), expected)


def test_maxout_by_hand():
    x = torch.tensor([[3.0, -1, 2, 5, 4, -7]])
    assert maxout(x, 2).tolist() == [[3, 5, 4]] and maxout(x, 3).tolist() == [[3, 5]]
    layer = MaxoutConv2d(2, 3, 3, pieces=4, padding=1).double()
    x = torch.randn(2, 2, 5, 6, dtype=torch.float64)
    weight, bias = layer.conv.weight.unflatten(0, (3, 4)), layer.conv.bias.unflatten(0, (3, 4))
    pieces = torch.stack([F.conv2d(x, weight[:, piece], bias[:, piece], padding=1) for piece in range(4)])
    torch.testing.assert_close(layer(x), pieces.max(0).values)
    dense = MaxoutLinear(4, 2, pieces=3).double()
    v = torch.randn(5, 4, dtype=torch.float64)
    slow = [[max(dense.fc(row)[3 * unit : 3 * unit + 3]) for unit in range(2)] for row in v]
    torch.testing.assert_close(dense(v), torch.stack([torch.stack(row) for row in slow]))
    for kind in (lambda: MaxoutConv2d(1, 1, 1, pieces=0), lambda: MaxoutLinear(1, 1, pieces=0)):
        with pytest.raises(UsageError, match="pieces is 0; expected a whole number of at least 1"):
            kind()


def test_maxout_of_many_pieces_shapes_any_convex_function():
    """Tangents of a parabola: one unit of 33 pieces is x^2 to 1/1024 between -1 and 1 (equation 3 at work)."""
    layer = MaxoutLinear(1, 1, pieces=33)
    at = torch.linspace(-1, 1, 33)
    layer.fc.weight.data, layer.fc.bias.data = 2 * at[:, None], -at.square()
    x = torch.linspace(-1, 1, 1001)[:, None]
    assert (layer(x) - x.square()).abs().max() <= 1 / 1024 + 1e-6


def test_the_maxout_network_s_maps():
    """33, 15 and 9 places before pooling: the partial sums in its published settings divide them."""
    rows = {row.name: row for row in facts("conv-maxout").layers}
    assert [rows[f"{name}.conv"].output for name in ("h0", "h1", "h2")] == [
        (192, 33, 33),
        (384, 15, 15),
        (384, 9, 9),
    ]
    assert rows["pool2"].output == (192, 5, 5)
    assert [rows[f"{name}.conv"].parameters for name in ("h0", "h1", "h2")] == [37_056, 2_359_680, 1_843_584]
    assert (rows["h3.fc"].parameters, rows["y"].parameters) == (12_002_500, 5_010)
    assert conv_maxout(4).eval()(torch.randn(2, 3, 32, 32)).shape == (2, 4)


def test_a_locally_connected_layer_place_by_place():
    layer = LocallyConnected2d(2, 3, 5, 3, padding=1).double()
    layer.weight.data.normal_()
    layer.bias.data.normal_()
    x = torch.randn(2, 2, 5, 5, dtype=torch.float64)
    frame = F.pad(x, (1, 1, 1, 1))
    found = layer(x)
    assert found.shape == (2, 3, 5, 5)
    for i in range(5):
        for j in range(5):
            patch = frame[:, :, i : i + 3, j : j + 3].flatten(1)
            expected = F.linear(patch, layer.weight[5 * i + j], layer.bias[5 * i + j])
            torch.testing.assert_close(found[:, :, i, j], expected)


# Szegedy et al. 2014, table 1, the rows that have any: parameters (in thousands of 1,024), operations (millions), and
# the weights that the table's own widths make
TABLE = {
    "conv1": (2.7, 34, 9_408),
    "conv2": (112, 360, 114_688),
    "3a": (159, 128, 163_328),
    "3b": (380, 304, 388_096),
    "4a": (364, 73, 375_552),
    "4b": (437, 88, 448_512),
    "4c": (463, 100, 509_440),
    "4d": (580, 119, 604_672),
    "4e": (840, 170, 867_328),
    "5a": (1072, 54, 1_042_432),
    "5b": (1388, 71, 1_442_816),
    "linear": (1000, 1, 1_024_000),
}


def row_of(name):
    """Which row of the paper's table a layer belongs to."""
    first = name.split(".")[0]
    return {"reduce2": "conv2", "fc": "linear"}.get(first, first.removeprefix("inception_"))


def test_googlenet_beside_the_published_table():
    """The table counts weights without biases in units of 1,024. From its own widths some rows come out otherwise.

    Parameters, published less counted: nothing for conv2 and linear, at most one unit for 3a, 3b and 4b, then 4a -2.8,
    4e -7, 4d -10.5, 5b -21, 4c -34.5, 5a +54, and 2.7 instead of 9.2 for the 7x7 row. Operations are multiply-
    accumulates and right to a million but for 5a (54 for 51, as its parameters) and the 7x7 row (34 for 118): both its
    figures fit 2 * 7 * 3 * 64 weights, a 7x1 and a 1x7 filter.
    """
    rows = facts("googlenet").layers
    weights, biased, macs = (dict.fromkeys(TABLE, 0) for _ in range(3))
    for row in rows:
        if row.parameters:
            weights[row_of(row.name)] += row.parameters - row.output[0]
            biased[row_of(row.name)] += row.parameters
            macs[row_of(row.name)] += row.macs
    assert weights == {name: count for name, (_, _, count) in TABLE.items()}
    assert sum(biased.values()) == 6_998_552  # as Caffe's bvlc_googlenet counts
    off = {name: round(published - weights[name] / 1024, 1) for name, (published, _, _) in TABLE.items()}
    assert off == {
        "conv1": -6.5, "conv2": 0, "3a": -0.5, "3b": 1.0, "4a": -2.8, "4b": -1.0, "4c": -34.5, "4d": -10.5, "4e": -7.0,
        "5a": 54.0, "5b": -21.0, "linear": 0,
    }  # fmt: skip
    wrong = {name for name, (_, published, _) in TABLE.items() if abs(published - macs[name] / 1e6) > 1}
    assert wrong == {"conv1", "5a"}
    assert (round(macs["conv1"] / 1e6), round(macs["5a"] / 1e6)) == (118, 51)
    separable = 2 * 7 * 3 * 64
    assert (round(separable / 1000, 1), round(separable * 112 * 112 / 1e6)) == TABLE["conv1"][:2]
    assert round(TABLE["5a"][0] * 1024 * 7 * 7 / 1e6) == TABLE["5a"][1]


def test_googlenet_s_maps_are_the_table_s():
    rows = facts("googlenet").layers
    last = {row_of(row.name): row for row in rows}
    sides = {"conv1": 112, "pool1": 56, "conv2": 56, "pool2": 28, "pool3": 14, "pool4": 7, "5b": 7}
    assert {name: last[name].output[1] for name in sides} == sides
    depths = [256, 480, 512, 512, 512, 528, 832, 832, 1024]
    assert [config.out_channels for config in INCEPTION.values()] == depths
    assert last["gap"].output == (1024, 1, 1) and [row.kind for row in rows].count("lrn") == 2


def test_googlenet_s_field_by_hand():
    """The largest of the branches: 7, pooling 11, 3x3 19, pooling 27; each module adds 4 jumps; poolings add 2."""
    assert (facts("googlenet").receptive_field, facts("googlenet").jump) == (715, 32)
    field, jump = 27, 8
    for name in INCEPTION:
        field += 4 * jump
        if name in ("3b", "4e"):
            field, jump = field + 2 * jump, 2 * jump
    assert (field, jump) == (715, 32)


def test_the_bottleneck_of_an_inception_module():
    """28x28x192 -> 5x5 -> 32 maps: 120,422,400 multiply-accumulates, 12,443,648 with 16 maps of 1x1 between."""
    direct = anatomy(nn.Conv2d(192, 32, 5, padding=2), (192, 28, 28))
    assert direct.macs == 120_422_400
    module = anatomy(Inception(192, InceptionConfig(64, 96, 128, 16, 32, 32)), (192, 28, 28))
    bottleneck = {row.name: row.macs for row in module.layers if row.name in ("reduce5x5", "conv5x5")}
    assert bottleneck == {"reduce5x5": 2_408_448, "conv5x5": 10_035_200}
    assert sum(bottleneck.values()) == 12_443_648
    assert module.receptive_field == 5


def test_googlenet_s_other_heads_work_in_training_only():
    torch.manual_seed(0)
    model = googlenet(10).train()
    assert sum(tensor.numel() for tensor in googlenet_heads(bare(googlenet))) == 6_379_728
    assert facts("googlenet").training_parameters == 6_379_728
    x, labels = torch.randn(2, 3, 224, 224), torch.tensor([3, 7])
    logits = model(x)
    assert [tuple(each.shape) for each in logits] == [(2, 10)] * 3
    losses = [F.cross_entropy(each, labels) for each in logits]
    torch.testing.assert_close(googlenet_loss(logits, labels), losses[0] + 0.3 * losses[1] + 0.3 * losses[2])
    googlenet_loss(logits, labels).backward()
    assert all(tensor.grad is not None for tensor in model.parameters())
    with torch.no_grad():
        answer = model.eval()(x)
    assert answer.shape == (2, 10)
    torch.testing.assert_close(googlenet_loss(answer, labels), F.cross_entropy(answer, labels))
    small = googlenet(3, auxiliary=False).train()
    assert small(torch.randn(2, 3, 64, 96)).shape == (2, 3) and not googlenet_heads(small)


def googlenet_heads(model):
    return [tensor for name, tensor in model.named_parameters() if "auxiliary" in name]


@pytest.mark.parametrize("name", ["conv-fc", "nin-fc", "lenet5"])
def test_first_weights_come_from_the_generator_alone(name):
    build = RELATIVES[name].build
    builder = {"conv-fc": conv_fc, "nin-fc": nin_fc}.get(name, build)
    before = torch.random.get_rng_state()
    one, two = (builder(generator=torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(before, torch.random.get_rng_state())
    other = builder(generator=torch.Generator().manual_seed(6))
    for first, second, third in zip(one.parameters(), two.parameters(), other.parameters(), strict=True):
        assert torch.equal(first, second)
        assert first.ndim == 1 or not first.any() or not torch.equal(first, third)
    weight = one.get_submodule({"conv-fc": "conv2", "nin-fc": "blocks.1.spatial", "lenet5": "c5"}[name]).weight
    expected = (2 / weight[0].numel()) ** 0.5
    assert abs(float(weight.detach().std()) / expected - 1) < 0.02
