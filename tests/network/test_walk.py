"""A pass without numbers against real ones: shapes from hooks, operations as torch counts, fields by gradients."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nin.errors import UsageError
from nin.network.anatomy import anatomy
from nin.network.walk import walk


class Odd(nn.Module):
    """Everything at once: branches, calls of functions, uneven kernels, dilation, groups, shared and bare weights."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(2, 4, (3, 5), stride=(2, 1), padding=(1, 2), dilation=(1, 2), bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.narrow = nn.Conv2d(4, 4, 1, groups=2)
        self.wide = nn.Conv2d(4, 4, 5, padding="same", dilation=2)
        self.slope = nn.PReLU(4)
        self.scale = nn.Parameter(torch.ones(4, 1, 1))
        self.group = nn.GroupNorm(2, 4)
        self.fc = nn.Linear(4, 3)
        self.other = nn.Linear(3, 3)  # only training uses it
        self.register_buffer("mean", torch.ones(1, 2, 1, 1))

    def forward(self, x):
        x = self.norm(self.stem(x - self.mean))
        x = F.max_pool2d(self.slope(x), 3, stride=2, padding=1)
        x = self.narrow(x) + self.wide(x) + self.narrow(x)
        x = F.avg_pool2d(F.relu(self.group(x)) * self.scale, kernel_size=2)
        x = self.fc(x.mean([-2, -1]))
        return self.other(x) if self.training else x


def test_shapes_costs_and_names_of_an_odd_network():
    model = Odd().eval()
    shapes = {}
    for name, module in model.named_modules():
        module.register_forward_hook(lambda _, __, out, name=name: shapes.__setitem__(name, tuple(out.shape[1:])))
    with FlopCounterMode(display=False) as counter:
        model(torch.randn(1, 2, 33, 30))
    found = anatomy(model, (2, 33, 30))
    assert 2 * found.macs == counter.get_total_flops()
    rows = [(row.name, row.kind, row.parameters) for row in found.layers]
    assert rows == [
        ("stem", "conv", 2 * 15 * 4 + 8),
        ("slope", "prelu", 4),
        ("max_pool2d", "max pool", 0),
        ("narrow", "1x1", 2 * 4 + 4),
        ("wide", "conv", 4 * 4 * 25 + 4),
        ("narrow", "1x1", 0),  # the same weights again
        ("group", "norm", 8),
        ("mul", "mul", 4),
        ("avg_pool2d", "avg pool", 0),
        ("mean", "gap", 0),
        ("fc", "fc", 15),
    ]
    for row in found.layers:
        if row.name in shapes and row.kind != "fc":
            assert row.output == shapes[row.name]
    assert found.parameters == sum(row.parameters for row in found.layers)
    assert (found.training_parameters, found.name) == (12, "Odd")
    # down: 3, pooling 2 * 2 at jump 2, 5 with dilation 2 adds 8 * 4, pooling 4; across less: 9 + 2 + 8 * 2 + 2
    assert (found.receptive_field, found.jump) == (3 + 2 * 2 + 8 * 4 + 4, 2 * 2 * 2)


def test_the_network_is_left_as_it_was():
    model = Odd().train()
    hooks = {name: len(module._forward_hooks) for name, module in model.named_modules()}
    state = torch.random.get_rng_state()
    walk(model, (2, 40, 40))
    assert model.training and torch.equal(state, torch.random.get_rng_state())
    assert hooks == {name: len(module._forward_hooks) for name, module in model.named_modules()}
    assert int(model.norm.num_batches_tracked) == 0
    assert all(not tensor.is_meta for tensor in (*model.parameters(), *model.buffers()))


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.small, self.large = nn.Conv2d(1, 2, 3, 2, 1), nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 7, padding=3)
        self.pool, self.last = nn.MaxPool2d(3, 1, 1), nn.Conv2d(6, 1, 3, stride=2, padding=1)

    def forward(self, x):
        x = self.stem(x)
        return self.last(torch.cat([self.small(x), self.large(x), F.relu(self.pool(x))], dim=1))


def test_where_branches_meet_the_field_is_that_of_the_widest():
    model = Branches().double()
    for tensor in model.parameters():
        tensor.data.fill_(0.1)
    x = torch.rand(1, 1, 81, 81, dtype=torch.float64, requires_grad=True)
    out, found = model(x), anatomy(model, (1, 81, 81))
    reached = []
    for place in (10, 11):
        (gradient,) = torch.autograd.grad(out[0, 0, place, 10], x, retain_graph=True)
        reached.append(gradient[0, 0].sum(1).nonzero().flatten())
    assert len(reached[0]) == found.receptive_field == 3 + 6 * 2 + 2 * 2
    assert int(reached[1][0] - reached[0][0]) == found.jump == 4


def test_memory_in_use_is_the_largest_input_and_output_together():
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 9, 5))
    found = walk(model, (1, 8, 8))
    assert found.peak_bytes == 4 * (8 * 36 + 8 * 9)
    assert [row.receptive_field for row in found.layers] == [3, 4, 4 + 2 * 2]
    assert (found.receptive_field, found.jump) == (4, 2)


class Standardised(nn.Conv2d):
    """A convolution whose weights are computed from others in its own forward."""

    def forward(self, x):
        return F.conv2d(x, self.weight - self.weight.mean((1, 2, 3), keepdim=True), self.bias)


def test_weights_that_are_computed_from_others_count_once():
    for conv, own in (
        (Standardised(2, 3, 3), 2 * 9 * 3 + 3),
        (nn.utils.parametrizations.weight_norm(nn.Conv2d(2, 3, 3)), 2 * 9 * 3 + 3 + 3),
        (nn.utils.parametrizations.spectral_norm(nn.Conv2d(2, 3, 3, bias=False)), 2 * 9 * 3),
    ):
        found = anatomy(nn.Sequential(conv, nn.ReLU()), (2, 6, 6))
        assert [(row.kind, row.parameters, row.macs) for row in found.layers] == [("conv", own, 2 * 9 * 3 * 16)]
        assert found.training_parameters == 0


class Uses(nn.Module):
    def __init__(self, what):
        super().__init__()
        self.weight, self.what = nn.Parameter(torch.zeros(4, 4)), what

    def forward(self, x):
        return self.what(x, self.weight)


NOT = "the network does not take pictures of"


@pytest.mark.parametrize(
    ("model", "size", "message"),
    [
        (nn.Conv2d(3, 4, 5), (1, 9, 9), f"{NOT} 1x9x9: conv2d gets 1 channels; its weights are for 3"),
        (nn.Conv2d(3, 4, 5), (3, 4, 9), f"{NOT} 3x4x9: a kernel of 5x5 does not fit into a map of 4x9"),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(9, 2)),
            (1, 4, 4),
            f"{NOT} 1x4x4: linear gets 16 features; its weights are for 9",
        ),
        (nn.MaxPool2d(9), (1, 4, 4), None),
        (nn.Conv2d(3, 4, 5), None, "input_size is None; expected (channels, height, width)"),
        (nn.Conv2d(3, 4, 5), (3, 0, 9), "height is 0; expected a whole number of at least 1"),
        (
            Uses(lambda x, w: torch.einsum("nchw,hk->nckw", x, w)),
            (1, 4, 4),
            "einsum uses weights in a way that is not known here; use nn.Conv2d or nn.Linear",
        ),
        (
            nn.LazyLinear(3),
            (1, 4, 4),
            "LazyLinear cannot be copied: Attempted to use an uninitialized parameter in <method 'detach' of "
            "'torch._C.TensorBase' objects>",
        ),
        (
            nn.Sequential(nn.Flatten(2), nn.TransformerEncoderLayer(16, 1, 4, batch_first=True)),
            (1, 4, 4),
            "multi_head_attention_forward uses weights in a way that is not known here; use nn.Conv2d or nn.Linear",
        ),
        (
            nn.Upsample(scale_factor=2),
            (1, 4, 4),
            "interpolate makes maps of 8x8 of maps of 4x4 in a way that is not known here",
        ),
    ],
)
def test_what_cannot_be_counted_is_refused_in_one_line(model, size, message):
    with pytest.raises(UsageError) as caught:
        anatomy(model, size)
    text = str(caught.value)
    assert text == message if message else text.startswith(f"{NOT} 1x4x4: ")
    assert "\n" not in text
