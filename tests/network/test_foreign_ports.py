"""Other people's PyTorch networks, built here from PyTorch's own layers, against what their weights become."""

from pathlib import Path

import pytest
import torch
from torch import nn

from nin.errors import ModelError, UsageError
from nin.network.architecture import NIN
from nin.network.foreign import take_weights
from nin.network.foreign_ports import LAYOUTS, read_port
from nin.network.foreign_torch import read_torch

WIDTHS = (6, 5, 4, 4, 3, 4, 5, 4, 3)
KERNELS = (5, 1, 1, 5, 1, 1, 3, 1, 1)
MICRONET = Path(__file__).resolve().parents[3] / "shared" / "data" / "weights" / "micronet_nin_cifar10_8693.pth"


def convolutions():
    reads = (3, *WIDTHS[:-1])
    return [nn.Conv2d(i, o, k, padding=k // 2) for i, o, k in zip(reads, WIDTHS, KERNELS, strict=True)]


def norm(width, eps):
    made = nn.BatchNorm2d(width, eps=eps)
    nn.init.uniform_(made.weight, 0.5, 2)
    nn.init.normal_(made.bias)
    nn.init.normal_(made.running_mean)
    nn.init.uniform_(made.running_var, 0.01, 2)
    return made


def pooled(kind, pad):
    return {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}[kind](3, 2, pad, ceil_mode=pad == 0)


class Holder(nn.Module):
    """A row of modules under a name, and the mean of its last maps."""

    def __init__(self, name, row):
        super().__init__()
        self.add_module(name, row)
        self.row = name

    def forward(self, x):
        return getattr(self, self.row)(x).mean((2, 3))


def jiecaoyu():
    parts = []
    for number, conv in enumerate(convolutions()):
        parts += [conv, nn.ReLU()]
        if number in (2, 5):
            parts += [pooled("max" if number == 2 else "avg", 1), nn.Dropout(0.5)]
    return Holder("classifer", nn.Sequential(*parts))


def szagoruyko():
    parts = []
    for number, conv in enumerate(convolutions()):
        parts += [conv, norm(conv.out_channels, 1e-3), nn.ReLU()]
        if number in (2, 5):
            parts += [pooled("max" if number == 2 else "avg", 0), nn.Dropout(0.5)]
    return Holder("features", nn.Sequential(*parts))


class Unit(nn.Module):
    """micronet's unit: a ReLU before or after where the flags say, a convolution, its normalisation."""

    def __init__(self, conv, before, after):
        super().__init__()
        self.conv, self.bn = conv, norm(conv.out_channels, 1e-5)
        self.before, self.after = before, after

    def forward(self, x):
        x = self.bn(self.conv(torch.relu(x) if self.before else x))
        return torch.relu(x) if self.after else x


def micronet():
    first, *units, last = convolutions()
    flags = ((1, 0), (1, 1), (0, 0), (1, 0), (1, 1), (0, 0), (1, 1))
    made = [Unit(conv, *flag) for conv, flag in zip(units, flags, strict=True)]
    parts = [first, norm(6, 1e-5), *made[:2], pooled("max", 1), *made[2:5], pooled("avg", 1), *made[5:]]
    return Holder("tnn_bin", nn.Sequential(*parts, last, norm(3, 1e-5), nn.ReLU()))


class NamedUnit(nn.Module):
    """pytorchcv's unit."""

    def __init__(self, conv):
        super().__init__()
        self.conv, self.activ = conv, nn.ReLU()

    def forward(self, x):
        return self.activ(self.conv(x))


class PytorchCV(nn.Module):
    """pytorchcv's network: stages of units, each later one begun by its pooling; the last unit beside them."""

    def __init__(self):
        super().__init__()
        *convs, last = convolutions()
        self.features, self.output = nn.Sequential(), nn.Sequential()
        for number in (1, 2, 3):
            stage = nn.Sequential()
            if number > 1:
                stage.add_module(f"pool{number}", pooled("max" if number == 2 else "avg", 1))
                stage.add_module(f"dropout{number}", nn.Dropout(0.5))
            for unit, conv in enumerate(convs[3 * number - 3 : 3 * number], start=1):
                stage.add_module(f"unit{unit}", NamedUnit(conv))
            self.features.add_module(f"stage{number}", stage)
        self.output.add_module("final_conv", NamedUnit(last))

    def forward(self, x):
        return self.output(self.features(x)).mean((2, 3))


PORTS = {"pytorch-nin-cifar10": jiecaoyu, "pytorchcv": PytorchCV, "micronet": micronet, "cifar.torch": szagoruyko}


@pytest.mark.parametrize("name", PORTS)
@pytest.mark.parametrize("side", [13, 16])
def test_a_port_computes_the_same_here(name, side):
    port = PORTS[name]().eval()
    net, given = read_port(port.state_dict(), "f")
    model = NIN(net.config).eval()
    model.load_state_dict(take_weights(net.config, given))
    x = torch.randn(2, 3, side, side)
    assert net.source == next(layout.source for layout in LAYOUTS if layout.name == name)
    assert torch.allclose(model(x), port(x), atol=2e-5, rtol=1e-5)
    assert net.config.dropout_kind == "inverted"
    assert [block.dropout for block in net.config.blocks] == [0, 0, 0] if name == "micronet" else [0.5, 0.5, 0]


def test_another_name_above_the_row_and_other_widths_are_no_matter():
    row = jiecaoyu().classifer
    for before in ("", "classifier.", "model."):
        state = {f"{before}{name}": tensor for name, tensor in row.state_dict().items()}
        assert read_port(state, "f")[0].config.num_classes == 3


def test_the_author_s_network_is_not_claimed_where_padding_differs():
    """jiecaoyu pads its poolings where the author's round up: the same sizes, not the same numbers at the edge."""
    net, _ = read_port(jiecaoyu().state_dict(), "f")
    assert net.config.name == "pytorch-nin-cifar10"
    assert net.input.odd and net.input.mean is None
    assert read_port(micronet().state_dict(), "f")[0].input.mean == (0.4914, 0.4822, 0.4465)


def changed(make, **changes):
    state = dict(make().state_dict())
    for name, tensor in changes.items():
        name = name.replace("__", ".")
        state.pop(name, None)
        if tensor is not None:
            state[name] = tensor
    return state


CLOSEST = "f fits no layout known here; closest is"


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (
            changed(jiecaoyu, classifer__20__bias=None),
            f"{CLOSEST} pytorch-nin-cifar10, but classifer.20.bias is missing",
        ),
        (
            changed(jiecaoyu, classifer__30__weight=torch.ones(1)),
            f"{CLOSEST} pytorch-nin-cifar10, but classifer.30.weight is one tensor too many",
        ),
        (
            changed(jiecaoyu, classifer__8__weight=torch.ones(4, 7, 5, 5)),
            f"{CLOSEST} pytorch-nin-cifar10, but classifer.8.weight reads 7 maps, expected 4",
        ),
        (
            changed(jiecaoyu, classifer__2__weight=torch.ones(5, 6, 3, 3)),
            f"{CLOSEST} pytorch-nin-cifar10, but classifer.2.weight is of shape (5, 6, 3, 3), expected (O, I, 1, 1)",
        ),
        (
            changed(jiecaoyu, classifer__0__weight=torch.ones(6, 75)),
            f"{CLOSEST} pytorch-nin-cifar10, but classifer.0.weight is of shape (6, 75), expected (O, I, k, k)",
        ),
        (
            changed(micronet, tnn_bin__2__bn__running_var=torch.ones(9)),
            f"{CLOSEST} micronet, but tnn_bin.2.bn.running_var is of shape (9,), expected (5,)",
        ),
        (
            changed(PytorchCV, output__final_conv__conv__weight=None),
            f"{CLOSEST} pytorchcv, but output.final_conv.conv.weight is missing",
        ),
        ({"fc.weight": torch.ones(2, 2)}, f"{CLOSEST} pytorch-nin-cifar10, but 0.weight is missing"),
    ],
)
def test_the_closest_layout_and_the_first_difference_are_said(state, reason):
    with pytest.raises(ModelError) as caught:
        read_port(state, "f")
    assert str(caught.value) == reason


def test_a_layout_can_be_demanded():
    assert read_port(micronet().state_dict(), "f", "micronet")[0].config.norm == "batch"
    with pytest.raises(ModelError, match=r"^f fits no layout known here; closest is pytorchcv, but features\.stage1"):
        read_port(micronet().state_dict(), "f", "pytorchcv")
    with pytest.raises(UsageError) as caught:
        read_port(micronet().state_dict(), "f", "pytorchvc")
    assert str(caught.value) == (
        "there is no layout 'pytorchvc'; did you mean pytorchcv? known are pytorch-nin-cifar10, pytorchcv, micronet, "
        "cifar.torch"
    )


def test_a_checkpoint_that_somebody_published_is_read():
    """micronet's network, 972,667 values in PyTorch's old format; that it scores as published: docs/import.md."""
    if not MICRONET.is_file():
        pytest.skip(f"{MICRONET} is not there: it is no part of the project")
    data = MICRONET.read_bytes()
    found = read_torch(data, "f")
    expected = torch.load(MICRONET, weights_only=True, map_location="cpu")["state_dict"]
    assert sum(tensor.numel() for tensor in found.values()) == 972_667
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in found)
    net, given = read_port(found, "f")
    assert NIN(net.config).load_state_dict(take_weights(net.config, given))
