"""The author's definition files: his five networks from their layer tables, his rates, and what has no counterpart."""

import os
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foreign_files import NAMES, cuda_convnet_def, cuda_convnet_params, one_line
from nin.errors import ModelError
from nin.importers.cuda_convnet import read_definition
from nin.network.author_networks import author_cifar10, author_cifar100, author_mnist, author_svhn

EXAMPLES = 20_000 if os.environ.get("NIN_HEAVY") == "1" else 200


def read(text, params=None):
    return read_definition(text, "net_def", params, "net_params")


@pytest.mark.parametrize(
    ("net", "author", "side"),
    [
        ("cifar10", author_cifar10(), 32),
        ("cifar100", author_cifar100(), 32),
        ("svhn", author_svhn(), 32),
        ("mnist", author_mnist(), 28),
    ],
)
def test_the_author_s_files_make_the_author_s_networks(net, author, side):
    found = read(cuda_convnet_def(net))
    assert found.config == author
    assert found.input.side == side
    assert found.names == NAMES
    assert found.training == ""


def test_how_it_was_trained_is_told_in_one_line_of_the_file_s_own_words():
    found = read(cuda_convnet_def("cifar10"), cuda_convnet_params())
    assert found.training == "epsW 1, epsB 2, momW 0.9, momB 0.9, wc 1e-05 (conv1)"
    assert read(cuda_convnet_def("cifar10"), "[other]\nepsW=1\n").training == ""


def test_the_translation_names_lines_and_both_sides():
    definition, params = cuda_convnet_def("cifar10"), cuda_convnet_params()
    lines = read(definition, params).lines
    told = {(line.at, line.theirs): line.ours for line in lines}
    at = definition.splitlines().index("[cccp1]") + 1
    assert told[f"net_def:{at}", "cccp1: conv 1x1/1, 160 maps, first weights N(0, 0.05)"] == "blocks.0.pointwise.0"
    words = " ".join(line.ours for line in lines)
    assert "its size rounded up" in words
    assert "classic: training only masks, testing multiplies by 1 - p" in words
    assert len(lines) == 21 + 1 + 2 - 1  # conv and relu of nine, three pools, two dropouts


def test_spelling_is_as_free_as_cuda_convnet_s():
    text = cuda_convnet_def("tiny").replace("filterSize", "filtersize").replace("=", " = ")
    text = "# by hand\n; twice\n" + text.replace("stride = 1", "stride = 1 ; one", 1)
    assert read(text).config == read(cuda_convnet_def("tiny")).config


def test_a_dropout_layer_of_the_later_program_is_understood():
    changed = read(cuda_convnet_def("tiny", dropout1="type=dropout\ninputs=pool1\nkeep=0.75"))
    assert [block.dropout for block in changed.config.blocks] == [0.25, 0.5, 0.0]


CONV1 = "type=conv\ninputs=data\nchannels=3\nfilters=6\npadding=2\nfilterSize=5\ninitW=0.05"
POOL1 = "type=pool\npool=max\ninputs=cccp2\nsizeX=3\nstride=2\nchannels=4"
POOLG = "type=pool\npool=avg\ninputs=cccp6\nsizeX=8\nstride=1\nchannels=3"
NO_COUNTERPART = [
    (
        "conv1",
        f"{CONV1}\nneuron=tanh[1,2]",
        8,
        "neuron 'tanh[1,2]' has no counterpart here; expected relu or dropout[p]",
    ),
    ("conv1", f"{CONV1}\nneuron=ident", 0, "layer conv1 has no ReLU after it; expected one after every convolution"),
    ("conv1", f"{CONV1}\nstride=2", 8, "stride is 2; only 1 has a counterpart here"),
    ("conv1", f"{CONV1}\nsharedBiases=0", 8, "sharedbiases is 0; only 1 has a counterpart here"),
    (
        "conv1",
        f"{CONV1}\ninitWFunc=os.system(rm)",
        8,
        "initwfunc of a conv layer has no counterpart here; nothing was translated",
    ),
    ("conv1", CONV1.replace("=5", "=five"), 6, "filtersize is 'five'; expected a whole number"),
    ("conv1", CONV1.replace("=5", "=99999999999"), 6, "filtersize is '99999999999'; expected a whole number"),
    ("conv1", CONV1.replace("=5", "=256"), 0, "layer conv1 has the size 256; expected 1 to 255"),
    ("conv1", CONV1.replace("=6", "=999999999"), 0, "layer conv1 makes 999999999 maps; expected 1 to 16,384"),
    ("conv1", CONV1.replace("0.05", "nan"), 7, "initw is 'nan'; expected a number"),
    ("conv1", CONV1.replace("0.05", "-1"), 7, "initW is -1; expected a standard deviation"),
    ("conv1", CONV1.replace("inputs=data\n", ""), 0, "[conv1] has no inputs; expected inputs=..."),
    (
        "conv1",
        CONV1.replace("data", "conv2"),
        2,
        "layer conv1 reads conv2; expected the data: layers stand in one row here",
    ),
    (
        "cccp1",
        "type=fc\ninputs=conv1\noutputs=10",
        1,
        "layer cccp1 is of type 'fc', which has no counterpart here; known are data, conv, cccp, pool, neuron, "
        "dropout, softmax, cost.logreg",
    ),
    (
        "cccp1",
        "type=cccp\ninputs=conv1\nchannels=1\nin_nodes=7\nout_nodes=5\nneuron=relu",
        0,
        "layer cccp1 reads 7 maps and the layer before it makes 6; make them equal",
    ),
    (
        "dropout1",
        "type=neuron\ninputs=pool1\nneuron=dropout[1.5]",
        3,
        "dropout of 1.5; expected a probability of at least 0 and below 1",
    ),
    (
        "dropout1",
        "type=neuron\ninputs=pool1\nneuron=dropout[x]",
        3,
        "dropout of nan; expected a probability of at least 0 and below 1",
    ),
    ("pool1", f"{POOL1}\nstart=-1", 7, "start is -1; only 0 has a counterpart here"),
    ("pool1", f"{POOL1}\noutputsX=9", 7, "outputsx is 9; only 0 has a counterpart here"),
    ("pool1", POOL1.replace("max", "sum"), 2, "pool is 'sum'; expected max or avg"),
    (
        "pool1",
        POOL1.replace("=3", "=1"),
        0,
        "layer pool1 leaves out places between its windows; expected a stride of at most its size",
    ),
    ("poolg", POOLG.replace("=8", "=1"), 0, "layer poolg averages 1x1 places; no picture gives maps of that size"),
    (
        "poolg",
        POOLG.replace("avg", "max"),
        0,
        "layer poolg is the last one; expected an average pooling over the whole map of each class",
    ),
]


@pytest.mark.parametrize(("section", "content", "line", "reason"), NO_COUNTERPART)
def test_what_has_no_counterpart_is_said_in_one_line(section, content, line, reason):
    text = cuda_convnet_def("tiny", **{section: content})
    begin = text.splitlines().index(f"[{section}]") + 1
    with pytest.raises(ModelError) as caught:
        read(text)
    assert str(caught.value) == f"net_def:{begin + line}: {reason}"


NOTHING = "the definition holds no layer that computes anything; expected convolutions and poolings"
NO_DEFINITION = [
    ("", "net_def names no layer types; expected a cuda-convnet definition file (type=conv and so on)"),
    ("hello", "net_def:1: 'hello' is neither [layer] nor key=value; expected cuda-convnet's INI"),
    ("[a]\ntype=data\n[a]\n", "net_def:3: [a] comes twice; name every layer once"),
    ("[a]\ntype=data\nType=conv\n", "net_def:3: type comes twice in one layer; give it once"),
    ("[a]\ntype=data\n", NOTHING),
    ("[a\x1b[2J]", "net_def:1: '[a\\\\x1b[2J]' is neither [layer] nor key=value; expected cuda-convnet's INI"),
    (
        "".join(f"[l{n}]\ntype=data\n" for n in range(500)),
        "net_def:801: more than 400 layers; this is no definition file",
    ),
]


@pytest.mark.parametrize(("text", "reason"), NO_DEFINITION)
def test_what_is_no_definition_is_said_in_one_line(text, reason):
    with pytest.raises(ModelError) as caught:
        read(text)
    assert str(caught.value) == reason


PARAMS = cuda_convnet_params()
WORDS = ["[", "]", "=", "\n", "[conv1]\n", "type=", "conv", "inputs=data", "neuron=relu", ";", "#", "-1", "1e999", "\0"]
PIECES = st.sampled_from(WORDS)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(PIECES | st.text(string.printable, max_size=4), max_size=30).map("".join))
def test_any_text_is_read_or_refused_in_one_line(text):
    refused_in_one_line(text)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.data())
def test_a_damaged_definition_is_read_or_refused_in_one_line(data):
    text = cuda_convnet_def("tiny")
    start = data.draw(st.integers(0, len(text)))
    length = data.draw(st.integers(0, 40))
    refused_in_one_line(text[:start] + data.draw(PIECES | st.text(max_size=8)) + text[start + length :])


def refused_in_one_line(text):
    try:
        read(text, cuda_convnet_params())
    except ModelError as error:
        assert one_line(str(error))
