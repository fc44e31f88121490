"""The same numbers however the network is run: compiled, exported, other layouts, other precisions, in a copy."""

from dataclasses import replace

import pytest
import torch
from torch.export import Dim, export

from nin.errors import UsageError
from nin.network.architecture import NIN, author_imagenet, author_mnist, nin

CONFIGS = [
    nin(5, width=0.25),
    nin(5, width=0.25, stem_stride=2, dropout=0.2),
    replace(nin(5, width=0.25), mirror=True),
    author_mnist(5, 3),
    author_mnist(5, 3, pool2="avg", dropout_kind="inverted"),
]


@pytest.fixture(params=CONFIGS, ids=["ours", "strided", "mirrored", "author", "caffe"])
def model(request):
    return NIN(request.param, generator=torch.Generator().manual_seed(1)).eval()


def test_compiled_in_one_graph(model):
    model.train()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager", dynamic=False)
    x = torch.randn(4, 3, 24, 24)
    for module in model.dropouts:
        module.p = 0.0  # the masks of two runs would differ
    assert torch.allclose(compiled(x), model(x), atol=1e-6)
    torch._dynamo.reset()


def test_compiled_gradients():
    torch.manual_seed(2)
    model = NIN(nin(5, width=0.25))
    x, labels = torch.randn(4, 3, 16, 16), torch.tensor([0, 1, 2, 3])
    gradients = []
    for run in (model, torch.compile(model, fullgraph=True, backend="aot_eager")):
        model.zero_grad()
        torch.nn.functional.cross_entropy(run(x), labels).backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    assert all(torch.allclose(one, two, atol=1e-6) for one, two in zip(*gradients, strict=True))
    torch._dynamo.reset()


def test_compiled_for_changing_sizes():
    model = NIN(nin(5, width=0.25)).eval()
    compiled = torch.compile(model, fullgraph=True, backend="eager", dynamic=True)
    for batch, height, width in [(2, 32, 32), (3, 33, 20), (5, 8, 61)]:
        x = torch.randn(batch, 3, height, width)
        assert torch.allclose(compiled(x), model(x), atol=1e-6)
    torch._dynamo.reset()


def test_exported_once_for_every_size(model):
    x = torch.randn(2, 3, 40, 44)
    sizes = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    program = export(model, (x,), dynamic_shapes={"x": sizes}).module()
    for batch, height, width in [(2, 40, 44), (7, 33, 61), (3, 16, 17), (4, 96, 20)]:  # class maps of 2x2 and more
        x = torch.randn(batch, 3, height, width)
        assert torch.allclose(program(x), model(x), atol=1e-6)


@pytest.mark.parametrize("config", [CONFIGS[0], author_imagenet(3, init="kaiming")], ids=["ours", "imagenet"])
def test_channels_last(config):
    model = NIN(config).eval()
    x = torch.randn(2, 3, 64, 72)
    wanted = model(x)
    model.to(memory_format=torch.channels_last)
    maps = model.forward_maps(x.contiguous(memory_format=torch.channels_last))
    assert maps.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(maps.mean((2, 3)), wanted, atol=1e-5)


def test_double_precision_agrees_with_single(model):
    x = torch.randn(2, 3, 24, 24, dtype=torch.float64)
    single = model(x.float())
    double = model.double()(x)
    assert double.dtype == torch.float64
    assert torch.allclose(single.double(), double, atol=1e-5)


def test_bfloat16_autocast(model):
    x, labels = torch.randn(4, 3, 24, 24), torch.tensor([0, 1, 2, 3])
    model.train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(x)
        torch.nn.functional.cross_entropy(logits, labels).backward()
    assert logits.dtype == torch.bfloat16
    gradients = [parameter.grad for parameter in model.parameters()]
    assert all(gradient.dtype == torch.float32 and bool(gradient.isfinite().all()) for gradient in gradients)
    model.eval()
    with torch.no_grad():
        exact = model(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = model(x).float()
    assert (rough - exact).abs().max() <= 0.05 * exact.abs().max().clamp(min=1)


def test_gradients_reach_every_weight():
    model = NIN(nin(5, width=0.25))
    torch.nn.functional.cross_entropy(model(torch.randn(8, 3, 16, 16)), torch.arange(8) % 5).backward()
    assert all(parameter.grad is not None and bool(parameter.grad.any()) for parameter in model.parameters())


def test_hooks_on_blocks_see_the_forward_pass(model):
    seen = []
    for block in model.blocks:
        block.register_forward_hook(lambda _, __, out: seen.append(tuple(out.shape[:2])))
    model(torch.randn(2, 3, 24, 24))
    pictures = 4 if model.config.mirror else 2
    assert seen == [(pictures, block.channels[-1]) for block in model.config.blocks]


def test_built_without_memory_then_filled():
    with torch.device("meta"):
        ghost = NIN(CONFIGS[0])
    assert all(tensor.is_meta for tensor in ghost.state_dict().values())
    real = NIN(CONFIGS[0]).eval()
    ghost.load_state_dict(real.state_dict(), assign=True)
    x = torch.randn(1, 3, 16, 16)
    assert torch.equal(ghost.eval()(x), real(x))


def test_a_picture_too_small_is_refused_when_compiled_too():
    model = NIN(CONFIGS[0]).eval()
    with pytest.raises(UsageError, match="of at least 8"):
        torch.compile(model, backend="eager")(torch.randn(1, 3, 7, 7))
    torch._dynamo.reset()
