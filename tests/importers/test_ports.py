"""Other people's PyTorch networks, built here from PyTorch's own layers, against what their weights become."""

from pathlib import Path

import pytest
import torch
from torch import nn

from nin.errors import ModelError, UsageError
from nin.importers.neutral import weights_for
from nin.importers.ports import read_port
from nin.importers.torch_file import read_torch
from nin.importers.torch_layouts import LAYOUTS, NOTHING, Said
from nin.network.architecture import NIN

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


def d2l(channels=3, classes=3, alone=True):
    """The chapter's network as its text writes it, with narrow layers; `alone`: not below the name `net`."""

    def nin_block(reads, width, size, stride, pad):
        convs = nn.Conv2d(reads, width, size, stride, pad), nn.Conv2d(width, width, 1), nn.Conv2d(width, width, 1)
        return nn.Sequential(*(part for conv in convs for part in (conv, nn.ReLU())))

    row = nn.Sequential(
        nin_block(channels, 6, 11, 4, 0),
        nn.MaxPool2d(3, stride=2),
        nin_block(6, 5, 5, 1, 2),
        nn.MaxPool2d(3, stride=2),
        nin_block(5, 4, 3, 1, 1),
        nn.MaxPool2d(3, stride=2),
        nn.Dropout(0.5),
        nin_block(4, classes, 3, 1, 1),
        nn.AdaptiveAvgPool2d((1, 1)),
        nn.Flatten(),
    )
    for module in row.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")  # with torch's own start all answers are alike
    return row if alone else nn.ModuleDict({"net": row})


PORTS = {"pytorch-nin-cifar10": jiecaoyu, "pytorchcv": PytorchCV, "micronet": micronet, "cifar.torch": szagoruyko}


def ours(state, said=NOTHING):
    """What the reader makes of a state dict: our network, and what it says of it."""
    net, given = read_port({"": state}, "f", said)
    model = NIN(net.config).eval()
    model.load_state_dict(weights_for(net.config, given))
    return model, net


@pytest.mark.parametrize("name", PORTS)
@pytest.mark.parametrize("side", [13, 16])
def test_a_port_computes_the_same_here(name, side):
    port = PORTS[name]().eval()
    model, net = ours(port.state_dict())
    x = torch.randn(2, 3, side, side)
    assert net.source == next(layout.source for layout in LAYOUTS if layout.name == name)
    assert torch.allclose(model(x), port(x), atol=2e-5, rtol=1e-5)
    assert net.config.dropout_kind == "inverted"
    assert [block.dropout for block in net.config.blocks] == [0, 0, 0] if name == "micronet" else [0.5, 0.5, 0]


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize(("channels", "classes"), [(1, 10), (3, 10), (3, 2)])
def test_d2l_s_network_computes_the_same_here(channels, classes, alone):
    port = d2l(channels, classes, alone).eval()
    model, net = ours(port.state_dict())
    x = torch.rand(2, channels, 224, 224)
    row = port if alone else port["net"]
    with torch.no_grad():
        expected, found = row(x), model(x)
    assert expected.std() > 1e-3  # the test can see
    assert torch.allclose(found, expected, atol=1e-5, rtol=1e-4)
    assert (net.input.side, net.input.mean, net.input.std) == (224, (0.0,) * channels, (1.0,) * channels)
    assert [block.dropout for block in net.config.blocks] == [0, 0, 0.5, 0]


def test_first_filters_of_another_size_are_not_taken_for_d2l_s():
    state = dict(d2l().state_dict())
    state["0.0.weight"] = torch.zeros(6, 3, 5, 5)
    with pytest.raises(ModelError, match=r"closest is d2l, but 0\.0\.weight has filters of 5x5, expected 11x11$"):
        read_port({"": state}, "f")


def otherwise(kinds, edge, last_relu=True, eps=1e-5, normed=False):
    """A row of modules with jiecaoyu's (or, normed, szagoruyko's) names that pools and ends in another way."""
    size = {"padding": {"padding": 1}, "ceil": {"ceil_mode": True}, "floor": {}}[edge]
    parts = []
    torch.manual_seed(0)
    for number, conv in enumerate(convolutions()):
        nn.init.kaiming_uniform_(conv.weight, nonlinearity="relu")  # so that no answer is like the other
        nn.init.uniform_(conv.bias)
        parts += [conv, norm(conv.out_channels, eps), nn.ReLU()] if normed else [conv, nn.ReLU()]
        if number in (2, 5):
            kind, side = (kinds[number == 5] + "3")[:4][:3], int((kinds[number == 5] + "3")[3])
            pool = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}[kind]
            parts += [pool(side, 2, **({} if side == 2 and edge == "padding" else size)), nn.Dropout(0.5)]
    return Holder("features", nn.Sequential(*parts[: None if last_relu else -1]))


@pytest.mark.parametrize("side", [13, 16, 32])
@pytest.mark.parametrize("edge", ["padding", "ceil", "floor"])
@pytest.mark.parametrize("kinds", [("max", "avg"), ("max", "max"), ("avg", "max2"), ("max2", "avg2")])
def test_what_weights_do_not_tell_can_be_said(kinds, edge, side):
    """Judged by PyTorch's own poolings: what is said is what is computed, and it is not what is supposed otherwise."""
    port = otherwise(kinds, edge).eval()
    x = torch.randn(2, 3, side, side)
    model, _ = ours(port.state_dict(), Said(edge=edge, pools=",".join(kinds)))
    assert torch.allclose(model(x), port(x), atol=2e-5, rtol=1e-4)
    if (kinds, edge) != (("max", "avg"), "padding"):
        assert not torch.allclose(ours(port.state_dict())[0](x), port(x), atol=1e-3)


def test_the_last_relu_and_the_variance_s_epsilon_can_be_said():
    port = otherwise(("max", "avg"), "padding", last_relu=False, eps=1e-5, normed=True).eval()
    x = torch.randn(2, 3, 16, 16)
    model, _ = ours(port.state_dict(), Said(edge="padding", last_relu=False, eps=1e-5))
    assert torch.allclose(model(x), port(x), atol=2e-5, rtol=1e-5)
    assert (port(x) < 0).any()
    for said in (Said(edge="padding", last_relu=True, eps=1e-5), Said(edge="padding", last_relu=False)):
        assert not torch.allclose(ours(port.state_dict(), said)[0](x), port(x), atol=1e-4)


def test_what_is_supposed_is_said_until_it_is_confirmed():
    state = jiecaoyu().state_dict()
    (doubt,) = ours(state)[1].doubts
    assert doubt == (
        "the weights do not tell everything; supposed as in pytorch-nin-cifar10: poolings max, avg of 3x3 with stride "
        "2 (else --pools); padded by 1 (else --pooling ceil or floor); a ReLU after the last layer (else --last-relu "
        "off). What is otherwise in the network they come from changes the answers without an error; --layout "
        "pytorch-nin-cifar10 confirms all of it"
    )
    (doubt,) = ours(state, Said(edge="ceil"))[1].doubts
    assert "--pooling" not in doubt and "--pools" in doubt and "--last-relu" in doubt
    assert "1e-05" not in doubt and "--norm-eps" not in doubt
    assert "0.001 added to variances (else --norm-eps)" in ours(szagoruyko().state_dict())[1].doubts[0]
    for known in (Said("pytorch-nin-cifar10"), Said(edge="ceil", pools="max,max", last_relu=True)):
        assert ours(state, known)[1].doubts == ()
    for own in (PytorchCV, micronet):  # nobody else gives such names
        assert ours(own().state_dict())[1].doubts == ()


@pytest.mark.parametrize("pools", ["max", "max,min", "max,avg,max", "", "max4,avg"])
def test_poolings_that_do_not_exist_are_one_line(pools):
    with pytest.raises(UsageError) as caught:
        ours(jiecaoyu().state_dict(), Said(pools=pools))
    assert str(caught.value) == (
        f"--pools is {pools!r}; expected 2 kinds such as max,avg (3x3 with stride 2; max2 and avg2 are 2x2)"
    )


WRAPPED = {  # how people save a network, and where its weights then are
    "alone": lambda state: {"": state},
    "DataParallel": lambda state: {"": below("module.", state)},
    "Lightning": lambda state: {"state_dict": below("model.net.", state) | {"loss_fn.weight": torch.ones(3)}},
    "averaged": lambda state: {"": {"n_averaged": torch.tensor(5), **below("module.", state)}},
    "accuracy beside": lambda state: {"": {"best_acc1": torch.tensor(86.9)}, "state_dict": state},
    "average beside": lambda state: {"state_dict": state, "model_ema": {n: t + 1 for n, t in state.items()}},
    "average in the same table": lambda state: {
        "": below("ema_model.", {n: t + 1 for n, t in state.items()}) | below("model.", state)
    },
}


def below(before, state):
    return {before + name: tensor for name, tensor in state.items()}


@pytest.mark.parametrize("name", [*PORTS, "d2l"])
@pytest.mark.parametrize("how", WRAPPED)
def test_weights_are_found_wherever_they_are_saved(name, how):
    state = dict((PORTS | {"d2l": d2l})[name]().state_dict())
    _, expected = read_port({"": state}, "f")
    net, found = read_port(WRAPPED[how](state), "f")
    assert net.source == read_port({"": state}, "f")[0].source
    for one, other in zip(expected, found, strict=True):
        assert torch.equal(one.weight, other.weight) and torch.equal(one.bias, other.bias)
    left = ("left out of f, as no part of the network: loss_fn.weight",)
    assert net.notes == (left if how == "Lightning" else ())


def test_of_several_networks_one_is_taken_and_said():
    state = dict(PytorchCV().state_dict())
    other = {name: tensor + 1 for name, tensor in state.items()}
    tables = {"state_dict": state, "state_dict_ema": below("module.", other), "copy": state}
    net, given = read_port(tables, "f")
    assert net.doubts == (
        "f holds several such networks; taken are the weights under state_dict, others (--key) lie under "
        "state_dict_ema.module",
    )
    net, averaged = read_port(tables, "f", Said(key="state_dict_ema.module"))
    assert net.doubts == () and torch.equal(averaged[0].weight, given[0].weight + 1)
    with pytest.raises(UsageError) as caught:
        read_port(tables, "f", Said(key="emma"))
    assert str(caught.value) == (
        "f holds no network known here under 'emma'; --key can be state_dict, state_dict_ema.module, copy"
    )


def test_a_layer_more_is_another_network():
    """A classifier beside the row would change every answer; only what training keeps is left out."""
    for name in ("fc.weight", "head.0.weight", "model.norm.weight", "mean"):
        state = below("model.features.", jiecaoyu().classifer.state_dict()) | {name: torch.ones(3)}
        with pytest.raises(ModelError, match=rf"but {name} is one tensor too many$"):
            read_port({"": state}, "f")


def test_a_convolution_before_a_normalisation_needs_no_bias():
    row = otherwise(("max", "avg"), "ceil", eps=1e-3, normed=True).eval()
    for module in row.modules():
        if isinstance(module, nn.Conv2d):
            module.bias = None
    x = torch.randn(2, 3, 16, 16)
    assert not any(name.endswith("0.bias") and name.count("0") == 1 for name in row.state_dict())
    assert torch.allclose(ours(row.state_dict())[0](x), row(x), atol=2e-5, rtol=1e-5)


def test_another_name_above_the_row_and_other_widths_are_no_matter():
    row = jiecaoyu().classifer
    for before in ("", "classifier.", "model."):
        state = {f"{before}{name}": tensor for name, tensor in row.state_dict().items()}
        assert read_port({"": state}, "f")[0].config.num_classes == 3


def test_the_author_s_network_is_not_claimed_where_padding_differs():
    """jiecaoyu pads its poolings where the author's round up: the same sizes, not the same numbers at the edge."""
    net, _ = read_port({"": jiecaoyu().state_dict()}, "f")
    assert net.config.name == "pytorch-nin-cifar10"
    assert net.input.odd and net.input.mean is None
    assert read_port({"": micronet().state_dict()}, "f")[0].input.mean == (0.4914, 0.4822, 0.4465)


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
        read_port({"": state}, "f")
    assert str(caught.value) == reason


def test_a_layout_can_be_demanded():
    assert read_port({"": micronet().state_dict()}, "f", Said("micronet"))[0].config.norm == "batch"
    with pytest.raises(ModelError, match=r"^f fits no layout known here; closest is pytorchcv, but features\.stage1"):
        read_port({"": micronet().state_dict()}, "f", Said("pytorchcv"))
    with pytest.raises(UsageError) as caught:
        read_port({"": micronet().state_dict()}, "f", Said("pytorchvc"))
    assert str(caught.value) == (
        "there is no layout 'pytorchvc'; did you mean pytorchcv? known are pytorch-nin-cifar10, pytorchcv, micronet, "
        "cifar.torch, d2l"
    )


def test_a_checkpoint_that_somebody_published_is_read():
    """micronet's network, 972,667 values in PyTorch's old format; that it scores as published: docs/import.md."""
    if not MICRONET.is_file():
        pytest.skip(f"{MICRONET} is not there: it is no part of the project")
    data = MICRONET.read_bytes()
    tables = read_torch(data, "f")
    found = tables["state_dict"]
    expected = torch.load(MICRONET, weights_only=True, map_location="cpu")["state_dict"]
    assert sum(tensor.numel() for tensor in found.values()) == 972_667
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in found)
    net, given = read_port(tables, "f")
    assert NIN(net.config).load_state_dict(weights_for(net.config, given))
