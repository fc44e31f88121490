"""Dense answers against the original slid over the picture window by window, in float64 to 1e-12."""

import copy
import math
from collections import OrderedDict

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nin.errors import UsageError
from nin.network.layers import Dropout, GlobalAveragePool2d
from nin.network.pointwise import linear_to_pointwise, pointwise_to_linear
from nin.network.relatives import alexnet, conv_fc, conv_maxout, googlenet, lenet5, nin_fc
from nin.network.surgery import convolutionize, fully_connect


def slid(model, pictures, window, stride):
    """What the model says of every window, one after the other: (N, K, h, w)."""
    rows = []
    for top in range(0, pictures.shape[2] - window[0] + 1, stride[0]):
        views = [
            pictures[:, :, top : top + window[0], left : left + window[1]]
            for left in range(0, pictures.shape[3] - window[1] + 1, stride[1])
        ]
        rows.append(torch.stack([model(view) for view in views], dim=2))
    return torch.stack(rows, dim=2)


def stirred(model):
    """The model in float64 and evaluation mode, with trained-looking statistics where it normalises."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.running_mean is not None:
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.bias, -1, 1)
    return model.double().eval()


def pictures(*shape):
    return torch.randn(shape, dtype=torch.float64)


@torch.no_grad()
def agrees(model, size, larger=(0, 0)):
    """Check a network without padding: same logits, dense map as slid windows, and the way back; returns the copy."""
    before = copy.deepcopy(model.state_dict())
    dense = convolutionize(model, size)
    x = pictures(2, *size)
    torch.testing.assert_close(dense(x), model(x)[:, :, None, None], rtol=0, atol=1e-12)
    wide = pictures(1, size[0], size[1] + larger[0], size[2] + larger[1])
    found, (down, across) = dense(wide), dense.meta["stride"]
    rows, columns = slid(model, wide, size[1:], (down, across)).shape[2:]
    assert rows <= found.shape[2] <= rows + 1 and columns <= found.shape[3] <= columns + 1
    framed = F.pad(wide, (0, across, 0, down), value=9.0)  # for windows that hang over with pixels nobody looks at
    expected = slid(model, framed, size[1:], (down, across))[:, :, : found.shape[2], : found.shape[3]]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    back = fully_connect(dense, size)
    torch.testing.assert_close(back(x), model(x), rtol=0, atol=1e-12)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    return dense


def small_vgg(classes=4):
    layers = []
    for before, after in ((3, 6), (6, 8)):
        layers += [
            nn.Conv2d(before, after, 3),
            nn.ReLU(inplace=True),
            nn.Conv2d(after, after, 3),
            nn.ReLU(inplace=True),
        ]
        layers += [nn.MaxPool2d(2)]
    head = [nn.Linear(8 * 4 * 4, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, classes)]
    return nn.Sequential(
        OrderedDict(features=nn.Sequential(*layers), flatten=nn.Flatten(), classifier=nn.Sequential(*head))
    )


def unpacked(x):
    pictures, channels, height, width = x.shape
    return x.reshape(pictures, channels * height * width)


ENDINGS = {
    "flatten": lambda x: x.flatten(1),
    "torch.flatten": lambda x: torch.flatten(x, 1),
    "start_dim": lambda x: torch.flatten(x, start_dim=1),
    "view": lambda x: x.view(x.size(0), -1),
    "view shape": lambda x: x.view(x.shape[0], 5 * 5 * 5),
    "view -1": lambda x: x.view(-1, 5 * 5 * 5),
    "reshape": lambda x: x.reshape(x.size()[0], -1),
    "torch.reshape": lambda x: torch.reshape(x, (x.shape[0], -1)),
    "nn.Flatten": nn.Flatten(),
    "unpacked": unpacked,
    "in place": lambda x: (x.mul_(2), F.relu(x, inplace=True), x.flatten(1))[-1],
    "twice": lambda x: x.flatten(1).flatten(1),
    "mean": lambda x: x.mean((2, 3)),
    "mean dim": lambda x: torch.mean(x, dim=[-1, -2]),
    "gap": GlobalAveragePool2d(),
}


class HandWritten(nn.Module):
    """As people write them: functional pooling and dropout, a residual step, numbers of their own."""

    def __init__(self, ending):
        super().__init__()
        self.conv1, self.norm, self.conv2 = nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.Conv2d(5, 5, 3, padding=0)
        self.same = nn.Conv2d(5, 5, 1)
        features = 5 if "mean" in ending or ending == "gap" else 5 * 5 * 5
        self.fc1, self.fc2 = nn.Linear(features, 7), nn.Linear(7, 3)
        self.ending = ENDINGS[ending]
        self.register_buffer("shade", torch.rand(1, 3, 1, 1))

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm(self.conv1((x - self.shade) / 0.5))), 2)
        x = torch.tanh(self.conv2(x))
        x = x + F.gelu(self.same(x))
        x = F.dropout(self.ending(x), 0.5, self.training)
        x = F.relu(self.fc1(x))
        return F.log_softmax(self.fc2(F.dropout(x, training=self.training)), dim=-1)


def test_a_vgg_like_network():
    dense = agrees(stirred(small_vgg()), (3, 28, 28), (13, 6))
    assert dense.meta["window"] == (28, 28) and dense.meta["stride"] == (4, 4)
    assert dense(pictures(1, 3, 41, 34)).shape == (1, 4, 4, 2)
    shapes = {name: tuple(tensor.shape) for name, tensor in dense.state_dict().items()}
    assert shapes["classifier.0.weight"] == (16, 8, 4, 4) and shapes["classifier.3.weight"] == (4, 16, 1, 1)


@pytest.mark.parametrize("ending", ENDINGS)
def test_hand_written_forwards(ending):
    model = stirred(HandWritten(ending))
    assert agrees(model, (3, 16, 16), (5, 8)).meta["stride"] == (2, 2)


def test_names_stay_and_the_original_loads_what_comes_back():
    model = small_vgg()
    dense = convolutionize(model, (3, 28, 28))
    assert list(dense.state_dict()) == list(model.state_dict())
    back = fully_connect(dense, (3, 28, 28)).state_dict()
    assert all(torch.equal(back[name], tensor) for name, tensor in model.state_dict().items())
    other = small_vgg()
    other.load_state_dict(back)
    assert "window" in dense.meta and "window" not in fully_connect(dense, (3, 28, 28)).meta
    dense.classifier.get_submodule("0").weight.data.zero_()  # a copy, not a view
    assert model.classifier[0].weight.abs().sum() > 0


def test_float32_is_close():
    model = small_vgg().eval()
    x = torch.randn(4, 3, 28, 28)
    with torch.no_grad():
        torch.testing.assert_close(convolutionize(model, (3, 28, 28))(x).flatten(1), model(x), rtol=0, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize(("build", "size"), [(lenet5, (1, 32, 32)), (alexnet, (3, 227, 227))])
def test_published_networks(build, size):
    model = build(generator=torch.Generator().manual_seed(0)).eval()
    dense = convolutionize(model, size)
    x = torch.randn(1, *size)
    scale = model(x).abs().max()
    assert ((dense(x).flatten(1) - model(x)).abs().max() / scale) < 1e-5
    assert dense(torch.randn(1, size[0], size[1] + 64, size[2])).shape[2:] == (1 + 64 // dense.meta["stride"][0], 1)
    if build is lenet5:
        agrees(model.double(), size, (9, 4))
        assert dense.get_submodule("c5").weight.shape == (120, 16, 5, 5)  # a convolution, as its authors call it


@torch.no_grad()
@pytest.mark.parametrize("build", [conv_maxout, nin_fc, lambda: nin_fc(hidden=(30,), dropout=0.5)])
def test_relatives_of_nin(build):
    model = build().double().eval()
    x = pictures(1, 3, 32, 32)
    dense = convolutionize(model, (3, 32, 32))
    torch.testing.assert_close(dense(x).flatten(1), model(x), rtol=0, atol=1e-11)
    torch.testing.assert_close(fully_connect(dense, (3, 32, 32))(x), model(x), rtol=0, atol=1e-11)
    assert dense(pictures(1, 3, 48, 40)).shape[2] > 1


@torch.no_grad()
def test_googlenet_is_operated_on_without_its_training_heads():
    model = googlenet(5).train()
    dense = convolutionize(model, (3, 64, 64)).eval()
    assert not any("auxiliary" in name for name in dense.state_dict()) and model.training
    x = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(dense(x).flatten(1), model.eval()(x), rtol=1e-4, atol=1e-5)
    assert dense(torch.randn(1, 3, 128, 96)).shape == (1, 5, 3, 2)


@pytest.mark.parametrize(
    ("pool", "side", "stride"),
    [
        (nn.AdaptiveAvgPool2d((3, 3)), 3, 1),  # the identity at this size
        (nn.AdaptiveAvgPool2d(3), 6, 1),  # windows of 2, 2 apart
        (nn.AdaptiveMaxPool2d(2), 6, 1),
        (nn.AdaptiveAvgPool2d(4), 5, 1),  # windows of 2, 1 apart
        (nn.AdaptiveAvgPool2d(1), 5, 1),
        (nn.AdaptiveAvgPool2d((None, 2)), 4, 1),
    ],
)
def test_adaptive_pooling_does_everywhere_what_it_does_at_the_size(pool, side, stride):
    places = pool(torch.zeros(1, 1, side, side)).numel()
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), pool, nn.Dropout(), nn.Flatten(), nn.Linear(3 * places, 4))
    assert agrees(stirred(model), (2, side + 2, side + 2), (4, 3)).meta["stride"] == (stride, stride)


def test_batch_normalisation_of_vectors():
    after = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(32, 6), nn.BatchNorm1d(6), nn.PReLU(6), nn.Linear(6, 3)
    )
    agrees(stirred(after), (1, 6, 6), (2, 3))
    straight = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.Flatten(), nn.BatchNorm1d(32), nn.Dropout(), nn.BatchNorm1d(32), nn.Linear(32, 3)
    )
    dense = agrees(stirred(straight), (1, 6, 6), (2, 3))
    assert list(dense.state_dict()) == ["0.weight", "0.bias", "5.weight", "5.bias"]  # taken into the layer


def test_dropout_obeys_the_mode():
    for model in (HandWritten("flatten"), nn.Sequential(nn.Flatten(), Dropout(0.5), nn.Linear(3 * 256, 3))):
        dense = convolutionize(model.train(), (3, 16, 16))
        x = torch.randn(1, 3, 16, 16)
        assert dense.training and not torch.equal(dense(x), dense(x))
        assert torch.equal(dense.eval()(x), dense(x))
        assert not convolutionize(model.eval(), (3, 16, 16)).training


def test_dropout_in_training_drops_what_the_original_would():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 3)).train()
    dense, x = convolutionize(model, (1, 6, 6)), torch.randn(8, 1, 6, 6)
    torch.manual_seed(3)
    expected = model(x)
    torch.manual_seed(3)
    torch.testing.assert_close(dense(x).flatten(1), expected)


@torch.no_grad()
def test_with_padding_the_rim_differs_and_nothing_else():
    """Weights of the fully connected layer for the rim set to zero: what is left agrees exactly with slid windows."""
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 3, 3, padding=1), nn.Tanh(),
        nn.Flatten(), nn.Linear(3 * 8 * 8, 2),
    ).double()  # fmt: skip
    wide = pictures(1, 2, 24, 20)
    dense = convolutionize(model, (2, 16, 16))
    difference = (dense(wide) - slid(model, wide, (16, 16), (2, 2))).abs()
    assert difference.shape == (1, 2, 5, 3) and difference.max() > 1e-3
    weight = model[-1].weight.view(2, 3, 8, 8)
    weight[..., [0, 1, 6, 7], :] = 0  # fields of these rows reach over the window: 1 place of pooling, 1 of padding
    weight[..., [0, 1, 6, 7]] = 0
    dense = convolutionize(model, (2, 16, 16))
    torch.testing.assert_close(dense(wide), slid(model, wide, (16, 16), (2, 2)), rtol=0, atol=1e-12)


@torch.no_grad()
def test_pooling_that_hangs_over_differs_at_the_far_edges_only():
    model = nn.Sequential(nn.MaxPool2d(3, 2, ceil_mode=True), nn.Flatten(), nn.Linear(4 * 4, 1)).double()
    wide, dense = pictures(1, 1, 14, 14), convolutionize(model, (1, 8, 8))
    assert (dense(wide) - slid(model, wide, (8, 8), (2, 2))).abs().max() > 1e-3
    weight = model[-1].weight.view(1, 1, 4, 4)
    weight[..., 3, :] = 0
    weight[..., 3] = 0
    dense = convolutionize(model, (1, 8, 8))
    torch.testing.assert_close(dense(wide), slid(model, wide, (8, 8), (2, 2)), rtol=0, atol=1e-12)


class Branches(nn.Module):
    """Two branches that meet, two heads, a constant that is one number."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Conv2d(1, 3, 3), nn.Conv2d(1, 3, (3, 1))
        self.across = nn.Conv2d(3, 3, (1, 3))
        self.first, self.second = nn.Linear(6 * 16, 2), nn.Linear(6 * 16, 3)
        self.scale = nn.Parameter(torch.tensor(0.5))

    def forward(self, x):
        maps = torch.cat([self.left(x), self.across(self.right(x))], dim=1).softmax(1)
        flat = torch.flatten(maps, 1) * self.scale
        return torch.cat((self.first(flat), self.second(flat)), -1)


def test_weights_that_are_computed_from_others():
    conv = nn.utils.parametrizations.spectral_norm(nn.Conv2d(1, 2, 3))
    agrees(stirred(nn.Sequential(conv, nn.Flatten(), nn.Linear(32, 2))), (1, 6, 6), (1, 2))


def test_branches_and_several_heads():
    agrees(stirred(Branches()), (1, 6, 6), (3, 2))


def activations():
    return st.sampled_from([nn.ReLU, nn.Tanh, nn.GELU, nn.SiLU, lambda: nn.LeakyReLU(0.2), nn.Identity])


@st.composite
def networks(draw):
    """A random network without padding and the size it is for."""
    channels, sides = draw(st.integers(1, 3)), [draw(st.integers(9, 16)), draw(st.integers(9, 16))]
    size, layers = (channels, *sides), []
    for _ in range(draw(st.integers(0, 3))):
        kernel, stride, dilation = draw(st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 2)))
        if min(sides) < dilation * (kernel - 1) + 1 + 2:
            break
        groups = draw(st.sampled_from([1, channels]))
        width = groups * draw(st.integers(1, 2))
        layers.append(
            nn.Conv2d(channels, width, kernel, stride, dilation=dilation, groups=groups, bias=draw(st.booleans()))
        )
        channels, sides = width, [(side - dilation * (kernel - 1) - 1) // stride + 1 for side in sides]
        layers += [nn.BatchNorm2d(width)] if draw(st.booleans()) else []
        layers.append(draw(activations())())
        if min(sides) >= 3 and draw(st.booleans()):
            kind, step = draw(st.sampled_from([nn.MaxPool2d, nn.AvgPool2d])), draw(st.integers(1, 2))
            layers.append(kind(2, step))
            sides = [(side - 2) // step + 1 for side in sides]
    if draw(st.booleans()):
        sides = [draw(st.sampled_from([each for each in range(1, side + 1) if side % each == 0])) for side in sides]
        layers.append(draw(st.sampled_from([nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d]))(tuple(sides)))
    features = channels * sides[0] * sides[1]
    layers += [nn.Flatten(), nn.Dropout(0.3)] + ([nn.BatchNorm1d(features)] if draw(st.booleans()) else [])
    for width in draw(st.lists(st.integers(1, 5), max_size=2)):
        layers.append(nn.Linear(features, width, bias=draw(st.booleans())))
        layers += [nn.BatchNorm1d(width)] if draw(st.booleans()) else []
        layers += [draw(activations())(), nn.Dropout()]
        features = width
    return nn.Sequential(*layers, nn.Linear(features, draw(st.integers(1, 4)))), size


@settings(max_examples=100, deadline=None)
@given(networks(), st.integers(0, 7), st.integers(0, 7), st.integers(0, 2**31))
def test_random_networks(network, down, across, seed):
    torch.manual_seed(seed)
    agrees(stirred(network[0]), network[1], (down, across))


class Step(nn.Module):
    """A convolution, a step that a test gives, and a fully connected layer on what it makes."""

    def __init__(self, step, features=3 * 16, **parts):
        super().__init__()
        self.conv, self.fc, self.step = nn.Conv2d(1, 3, 3), nn.Linear(features, 2), step
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.fc(self.step(self, self.conv(x)))


LSTM = nn.LSTM(16, 16, batch_first=True)
REFUSALS = {
    "a branch on values": (
        lambda m, x: x.flatten(1) if x.sum() > 0 else -x.flatten(1),
        "torch.fx cannot follow the forward of Step (symbolically traced variables cannot be used as inputs to control "
        "flow); write it without loops, branches and conversions that depend on the picture",
    ),
    "flatten of the batch": (
        lambda m, x: x.reshape(1, -1)[:, :48],
        "reshape stands in the way: it makes 1x96 of 2 pictures' maps of 3x4x4; expected one vector a picture",
    ),
    "a loop over sizes": (
        lambda m, x: x.view(-1, math.prod(side for side in x.size()[1:])),
        "torch.fx cannot follow the forward of Step (Proxy object cannot be iterated); write it without loops, "
        "branches and conversions that depend on the picture",
    ),
    "recurrent": (
        lambda m, x: m.rnn(x.flatten(2))[0].flatten(1),
        "rnn (LSTM) stands in the way: before the flatten it takes convolutions, pooling, padding, batch and response "
        "normalisation, elementwise steps; after the flatten it takes nn.Linear, BatchNorm1d, dropout, softmax over "
        "the classes and elementwise steps",
    ),
    "a sequence": (
        lambda m, x: x.flatten(2).transpose(1, 2).flatten(1),
        "flatten stands in the way: it makes 2x3x16 of 2 pictures' maps of 3x4x4; expected one vector a picture",
    ),
    "not NCHW": (
        lambda m, x: x.permute(0, 2, 3, 1).flatten(1),
        "permute stands in the way: before the flatten it takes convolutions, pooling, padding, batch and response "
        "normalisation, elementwise steps",
    ),
    "whole map": (
        lambda m, x: m.norm(x).flatten(1),
        "norm (GroupNorm) stands in the way: before the flatten it takes convolutions, pooling, padding, batch and "
        "response normalisation, elementwise steps; after the flatten it takes nn.Linear, BatchNorm1d, dropout, "
        "softmax over the classes and elementwise steps",
    ),
    "squeeze and excitation": (
        lambda m, x: (x * F.adaptive_avg_pool2d(x, 1)).flatten(1),
        "mul stands in the way: it joins maps of different sizes or strides",
    ),
    "a value for each place": (
        lambda m, x: (x + m.place).flatten(1),
        "add stands in the way: it depends on place, which does not fit maps of every size",
    ),
    "the picture's size": (
        lambda m, x: (x / x.shape[2]).flatten(1),
        "truediv stands in the way: it depends on getitem, which does not fit maps of every size",
    ),
    "uneven pooling": (
        lambda m, x: F.adaptive_avg_pool2d(F.adaptive_avg_pool2d(x, 3), (4, 4)).flatten(1),
        "adaptive_avg_pool2d stands in the way: it pools maps of 3x3 to 4x4, not through windows of one size and "
        "distance; choose an input_size that gives it maps of 4x4 or a multiple",
    ),
    "a layer that is not flattened": (
        lambda m, x: m.wide(x).flatten(1),
        "wide (Linear) stands in the way: it reads maps that are not flattened; for channels at every place use a 1x1 "
        "convolution",
    ),
    "a norm of places": (
        lambda m, x: m.norm1(x.flatten(1)).relu(),
        "relu stands in the way: it follows BatchNorm1d of a flattened map; only nn.Linear can, which takes it in",
    ),
    "layer norm": (
        lambda m, x: F.layer_norm(x.flatten(1), (48,)),
        "layer_norm stands in the way: after the flatten it takes nn.Linear, BatchNorm1d, dropout, softmax over the "
        "classes and elementwise steps",
    ),
    "mean over channels": (
        lambda m, x: F.pad(x.mean(1).flatten(1), (0, 32)),
        "mean stands in the way: a mean must be over height and width",
    ),
    "mean over everything": (
        lambda m, x: F.pad(x.mean(dim=None, keepdim=True).flatten(1), (0, 47)),
        "mean stands in the way: a mean must be over height and width",
    ),
    "values of its own": (
        lambda m, x: x.flatten(1) + x.new_ones(x.size(0), 48),
        "new_ones stands in the way: before the flatten it takes convolutions, pooling, padding, batch and response "
        "normalisation, elementwise steps",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_be_done_is_refused_in_one_line(name):
    step, message = REFUSALS[name]
    parts = {"rnn": LSTM, "norm": nn.GroupNorm(1, 3), "wide": nn.Linear(4, 4), "norm1": nn.BatchNorm1d(48)}
    parts |= {"place": nn.Parameter(torch.zeros(1, 3, 4, 4))}
    with pytest.raises(UsageError) as caught:
        convolutionize(Step(step, **parts), (1, 6, 6))
    assert str(caught.value) == message


def test_calls_that_cannot_be_are_refused_in_one_line():
    vgg, conv = small_vgg(), nn.Conv2d(1, 3, 3)
    tied = nn.Linear(3, 2)
    nn.utils.parametrizations.weight_norm(tied)
    for call, message in [
        (lambda: convolutionize(vgg, (28, 28)), "input_size is (28, 28); expected (channels, height, width)"),
        (lambda: convolutionize(vgg, (3, 0, 28)), "height is 0; expected a whole number of at least 1"),
        (
            lambda: convolutionize(vgg, (3, 32, 32)),
            "the network does not take pictures of 3x32x32: linear gets 200 features; its weights are for 128",
        ),
        (
            lambda: convolutionize(vgg, (1, 28, 28)),
            "the network does not take pictures of 1x28x28: conv2d gets 1 channels; its weights are for 3",
        ),
        (
            lambda: convolutionize(conv, (1, 8, 8)),
            "Conv2d has nothing to operate on; expected a flatten or a mean over its maps",
        ),
        (
            lambda: convolutionize(nn.Sequential(conv, nn.Flatten()), (1, 8, 8)),
            "Sequential ends in a flattened map; expected nn.Linear after the flatten",
        ),
        (
            lambda: convolutionize(nn.Sequential(conv, nn.Flatten(), nn.Linear(3, 3), tied), (1, 3, 3)),
            "3 (ParametrizedLinear) stands in the way: its weight is computed from others; remove the parametrization "
            "first",
        ),
        (
            lambda: convolutionize(nn.Bilinear(2, 2, 2), (1, 3, 3)),
            "the forward of Bilinear takes input1, input2; expected pictures only",
        ),
        (
            lambda: convolutionize(nn.Sequential(conv, nn.Flatten(), nn.LazyLinear(2)), (1, 3, 3)),
            "Sequential cannot be copied: Attempted to use an uninitialized parameter in <method 'detach' of "
            "'torch._C.TensorBase' objects>",
        ),
        (
            lambda: convolutionize(conv_fc(), (3, 32, 32)),
            "local2d stands in the way: before the flatten it takes convolutions, pooling, padding, batch and response "
            "normalisation, elementwise steps",
        ),
        (
            lambda: fully_connect(nn.Sequential(conv, nn.ReLU()), (1, 8, 8)),
            "Sequential has nothing to operate on; expected a kernel that covers its map",
        ),
        (
            lambda: fully_connect(nn.Sequential(conv, nn.Conv2d(3, 3, 3, padding=1)), (1, 3, 3)),
            "1 (Conv2d) stands in the way: after the kernel that covers its map only 1x1 convolutions can be fully "
            "connected",
        ),
        (
            lambda: pointwise_to_linear(conv),
            "Conv2d(1, 3, kernel_size=(3, 3), stride=(1, 1)) is no 1x1 convolution; expected kernel 1x1, stride 1, no "
            "padding and one group",
        ),
    ]:
        with pytest.raises(UsageError) as caught:
            call()
        assert str(caught.value) == message


def test_a_convolutional_network_of_any_making_becomes_fully_connected():
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.Dropout2d(),
        nn.Conv2d(6, 3, 1), nn.Softmax(dim=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip
    connected = fully_connect(stirred(model), (1, 8, 8))
    x = pictures(5, 1, 8, 8)
    torch.testing.assert_close(connected(x), model(x), rtol=0, atol=1e-12)
    kinds = [type(module) for module in connected.modules()]
    assert kinds.count(nn.Linear) == 2 and nn.BatchNorm1d in kinds and nn.Dropout2d not in kinds


@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_over_channels_is_a_1x1_convolution(bias):
    """The same numbers, and the same gradients, as the layer applied at every place by hand."""
    linear = nn.Linear(5, 3, bias=bias).double()
    conv = linear_to_pointwise(linear)
    x = pictures(2, 5, 4, 6)
    by_hand = torch.stack([torch.stack([linear(x[:, :, i, j]) for j in range(6)], -1) for i in range(4)], -2)
    torch.testing.assert_close(conv(x), by_hand, rtol=0, atol=1e-12)
    by_hand.square().sum().backward()
    conv(x).square().sum().backward()
    torch.testing.assert_close(conv.weight.grad.flatten(1), linear.weight.grad, rtol=0, atol=1e-11)
    back = pointwise_to_linear(conv)
    assert torch.equal(back.weight, linear.weight) and (back.bias is None) is not bias
    assert back.weight.data_ptr() != linear.weight.data_ptr()


def test_the_seed_s_example_of_four_neurons_and_two():
    """A1..A4 -> B1, B2 at every pixel, with whole numbers that can be followed by hand."""
    linear = nn.Linear(4, 2)
    linear.weight.data = torch.tensor([[1.0, 2, 3, 4], [0, 1, 0, -1]])
    linear.bias.data = torch.tensor([10.0, 20])
    maps = torch.tensor([1.0, 2, 3, 4])[:, None, None] * torch.tensor([[1.0, 2], [3, 4]])  # (4, 2, 2)
    assert linear_to_pointwise(linear)(maps).tolist() == [[[40, 70], [100, 130]], [[18, 16], [14, 12]]]
