"""Foreign files for the tests, written by other means than those that read them: INI, Caffe's text and its binary.

The layer tables are those of the author's definition files (Lin et al. 2013, supplementary), typed in as numbers.
"""

import struct

# kernel and widths of every mlpconv layer; channels of a picture; its side; side of the last maps
TABLES = {
    "cifar10": (((5, 192, 160, 96), (5, 192, 192, 192), (3, 192, 192, 10)), 3, 32, 8),
    "cifar100": (((5, 192, 160, 96), (5, 192, 192, 192), (3, 192, 192, 100)), 3, 32, 8),
    "svhn": (((5, 128, 96, 64), (5, 320, 256, 128), (5, 384, 256, 10)), 3, 32, 8),
    "mnist": (((5, 96, 64, 48), (5, 128, 96, 48), (5, 128, 96, 10)), 1, 28, 7),
    "tiny": (((5, 6, 5, 4), (5, 4, 3, 4), (3, 5, 4, 3)), 3, 32, 8),
}
NAMES = ("conv1", "cccp1", "cccp2", "conv2", "cccp3", "cccp4", "conv3", "cccp5", "cccp6")
STDS = {"cifar100": (0.001, 0.01, 0.01, *(0.05,) * 6)}  # of first weights; the others: 0.05 everywhere
PARAMS = {"conv": (1, 2, 0.9, 0.9, 1e-5), "cccp6": (0.1, 0.2, 0.9, 0.9, 1e-5), "coeff": 0.1}
PARAMS_100 = {"conv": (0.01, 0.02, 0.9, 0.9, 1e-3), "cccp6": (0.01, 0.02, 0.9, 0.9, 1e-3), "coeff": 2}


def rows(net):
    """(name, kernel, maps read, maps made, deviation of the first weights) of every convolution."""
    blocks, reads, _, _ = TABLES[net]
    flat = [(kernel if index == 0 else 1, width) for kernel, *widths in blocks for index, width in enumerate(widths)]
    for name, (kernel, width), std in zip(NAMES, flat, STDS.get(net, (0.05,) * 9), strict=True):
        yield name, kernel, reads, width, std
        reads = width


def cuda_convnet_def(net, **changes):
    """A definition file of the author's kind; `changes` replace the text of whole sections by name."""
    parts, top = {"data": "type=data\ndataIdx=0", "labels": "type=data\ndataIdx=1"}, "data"
    for name, kernel, reads, width, std in rows(net):
        if name.startswith("conv"):
            parts[name] = (
                f"type=conv\ninputs={top}\nchannels={reads}\nfilters={width}\npadding={kernel // 2}\nstride=1\n"
                f"filterSize={kernel}\nneuron=relu\ninitW={std}\npartialSum=8\nsharedBiases=1"
            )
        else:
            parts[name] = (
                f"type=cccp\ninputs={top}\nchannels=1\nin_nodes={reads}\nout_nodes={width}\ninitW={std}\nneuron=relu"
            )
        top = name
        if name in ("cccp2", "cccp4"):
            number = {"cccp2": 1, "cccp4": 2}[name]
            parts[f"pool{number}"] = (
                f"type=pool\npool=max\ninputs={top}\nstart=0\nsizeX=3\nstride=2\noutputsX=0\nchannels={width}"
            )
            parts[f"dropout{number}"] = f"type=neuron\ninputs=pool{number}\nneuron=dropout[0.5]"
            top = f"dropout{number}"
    size = TABLES[net][3]
    parts["poolg"] = f"type=pool\npool=avg\ninputs={top}\nstart=0\nsizeX={size}\nstride=1\noutputsX=0\nchannels={width}"
    parts["probs"] = "type=softmax\ninputs=poolg"
    parts["logprob"] = "type=cost.logreg\ninputs=labels,probs"
    return "".join(f"[{name}]\n{text}\n\n" for name, text in (parts | changes).items() if text)


def cuda_convnet_params(values=PARAMS, names=NAMES):
    """The second file of the pair."""
    words = ("epsW", "epsB", "momW", "momB", "wc")
    text = ""
    for name in names:
        numbers = values.get(name, values["conv"])
        text += (
            f"[{name}]\n" + "".join(f"{word}={number}\n" for word, number in zip(words, numbers, strict=True)) + "\n"
        )
    return f"{text}[logprob]\ncoeff={values['coeff']}\n"


def caffe_layer(new, name, kind, bottom, top=None, more=""):
    """One layer in the new spelling (layer, "Convolution") or the old one (layers, CONVOLUTION)."""
    old = {"Convolution": "CONVOLUTION", "Pooling": "POOLING", "ReLU": "RELU", "Dropout": "DROPOUT", "Data": "DATA"}
    old |= {"SoftmaxWithLoss": "SOFTMAX_LOSS", "Accuracy": "ACCURACY", "Softmax": "SOFTMAX"}
    word = f'type: "{kind}"' if new else f"type: {old[kind]}"
    bottoms = "".join(f' bottom: "{each}"' for each in bottom)
    tops = "".join(f' top: "{each}"' for each in (top or [name]))
    return f'{"layer" if new else "layers"} {{\n  name: "{name}" {word}{bottoms}{tops}\n  {more}\n}}\n'


def caffe_net(net, *, new=True, data="", pool2="AVE", rates=True, title="CIFAR10_full"):
    """A training definition of the model zoo's kind: data, the network, accuracy and loss."""
    phases = ("include { phase: TRAIN }", "include: { phase: TEST }")
    batch = (128, 100)
    text = f'name: "{title}"  # a comment\n'
    for phase, size in zip(phases, batch, strict=True):
        more = f"{data} data_param {{ source: 'lmdb' batch_size: {size} backend: LMDB }} {phase}"
        text += caffe_layer(new, "data", "Data", [], ["data", "label"], more)
    top = "data"
    for name, kernel, _, width, std in rows(net):
        multipliers = (0.1, 0.1) if name == "cccp6" else (1, 2)
        extra = ""
        if rates and new:
            extra = "".join(
                f"param {{ lr_mult: {m} decay_mult: {d} }} " for m, d in zip(multipliers, (1, 0), strict=True)
            )
        elif rates:
            extra = f"blobs_lr: {multipliers[0]} blobs_lr: {multipliers[1]} weight_decay: 1. weight_decay: 0."
        pad = f"pad: {kernel // 2} " if kernel > 1 else ""
        filler = f'weight_filler {{ type: "gaussian" std: {std} }} bias_filler {{ type: "constant" value: 0 }}'
        param = f"convolution_param {{ num_output: {width} {pad}kernel_size: {kernel} {filler} }}"
        text += caffe_layer(new, name, "Convolution", [top], None, f"{extra}\n  {param}")
        text += caffe_layer(new, f"relu_{name}", "ReLU", [name], [name])
        top = name
        if name in ("cccp2", "cccp4"):
            number = {"cccp2": 1, "cccp4": 2}[name]
            pool = "MAX" if number == 1 else pool2
            pooled = f"pooling_param {{ pool: {pool} kernel_size: 3 stride: 2 }}"
            text += caffe_layer(new, f"pool{number}", "Pooling", [top], None, pooled)
            top = f"pool{number}"
            text += caffe_layer(new, f"drop{number}", "Dropout", [top], [top], "dropout_param { dropout_ratio: 0.5 }")
    size = TABLES[net][3]
    text += caffe_layer(
        new, "pool3", "Pooling", [top], None, f"pooling_param {{ pool: AVE kernel_size: {size} stride: 1 }}"
    )
    text += caffe_layer(new, "accuracy", "Accuracy", ["pool3", "label"], None, phases[1])
    return text + caffe_layer(new, "loss", "SoftmaxWithLoss", ["pool3", "label"])


SOLVER = """
net: "train_test.prototxt"
test_iter: 100
test_interval: 500
base_lr: 0.1
momentum: 0.9
weight_decay: 0.0001
lr_policy: "step"
gamma: 0.1
stepsize: 100000
display: 100
max_iter: 120000
snapshot_prefix: "cifar10_nin"
solver_mode: GPU
"""

# name, kernel/stride/padding, maps, deviation; None: max pooling 3/2
IMAGENET = (
    ("conv1", (11, 4, 0), 96, 0.01),
    ("cccp1", (1, 1, 0), 96, 0.05),
    ("cccp2", (1, 1, 0), 96, 0.05),
    None,
    ("conv2", (5, 1, 2), 256, 0.05),
    ("cccp3", (1, 1, 0), 256, 0.05),
    ("cccp4", (1, 1, 0), 256, 0.05),
    None,
    ("conv3", (3, 1, 1), 384, 0.01),
    ("cccp5", (1, 1, 0), 384, 0.05),
    ("cccp6", (1, 1, 0), 384, 0.05),
    None,
    ("conv4-1024", (3, 1, 1), 1024, 0.05),
    ("cccp7-1024", (1, 1, 0), 1024, 0.05),
    ("cccp8-1024", (1, 1, 0), 1000, 0.01),
)


def caffe_imagenet(*, new=False, crop=224, mean='mean_file: "imagenet_mean.binaryproto"'):
    """The four-block definition for ImageNet, dropout after the third pooling only."""
    transform = f"transform_param {{ crop_size: {crop} mirror: false {mean} }}"
    text = 'name: "nin_imagenet"\n' + caffe_layer(new, "data", "Data", [], ["data", "label"], transform)
    top, number = "data", 0
    for row in IMAGENET:
        if row is None:
            pooled = "pooling_param { pool: MAX kernel_size: 3 stride: 2 }"
            text += caffe_layer(new, f"pool{number}", "Pooling", [top], None, pooled)
            top, number = f"pool{number}", number + 1
            if number == 3:
                text += caffe_layer(new, "drop", "Dropout", [top], [top], "dropout_param { dropout_ratio: 0.5 }")
            continue
        name, (kernel, stride, pad), width, std = row
        filler = f'weight_filler {{ type: "gaussian" std: {std} }}'
        param = f"num_output: {width} kernel_size: {kernel} stride: {stride} pad: {pad} {filler}"
        text += caffe_layer(new, name, "Convolution", [top], None, f"convolution_param {{ {param} }}")
        text += caffe_layer(new, f"relu_{name}", "ReLU", [name], [name])
        top = name
    text += caffe_layer(new, "pool4", "Pooling", [top], None, "pooling_param { pool: AVE kernel_size: 6 stride: 1 }")
    return text + caffe_layer(new, "loss", "SoftmaxWithLoss", ["pool4", "label"])


def varint(value):
    """A whole number of protocol buffers, seven bits a byte, the lowest first."""
    groups = [value >> shift & 127 for shift in range(0, max(1, value.bit_length()), 7)]
    return bytes(group | 128 for group in groups[:-1]) + bytes(groups[-1:])


def entry(number, payload):
    """A field of bytes: key, length, content."""
    payload = payload.encode() if isinstance(payload, str) else payload
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def blob(values, shape, *, legacy=False, packed=True, double=False):
    """A blob in one of the ways in which versions of Caffe have written it."""
    code, number, kind = ("d", 8, 1) if double else ("f", 5, 5)
    if packed:
        numbers = entry(number, struct.pack(f"<{len(values)}{code}", *values))
    else:
        numbers = b"".join(varint(number << 3 | kind) + struct.pack(f"<{code}", value) for value in values)
    if legacy:
        sides = (1,) * (4 - len(shape)) + tuple(shape)
        return b"".join(varint(n << 3) + varint(side) for n, side in enumerate(sides, start=1)) + numbers
    return numbers + entry(7, entry(1, b"".join(map(varint, shape))))


def caffemodel(layers, *, version=2, **how):
    """A net with the layers {name: [(values, shape), ...]} in the format of Caffe's version 0, 1 or 2 of a layer."""
    data = entry(1, "a net")
    for name, blobs in layers.items():
        made = [blob(values, shape, **how) for values, shape in blobs]
        if version == 2:
            data += entry(100, entry(1, name) + entry(2, "Convolution") + b"".join(entry(7, each) for each in made))
        elif version == 1:
            data += entry(2, entry(3, "top") + entry(4, name) + b"".join(entry(6, each) for each in made))
        else:
            inner = entry(1, name) + entry(2, "conv") + b"".join(entry(50, each) for each in made)
            data += entry(2, entry(1, inner) + entry(2, "bottom"))
    return data


def one_line(text):
    """Whether a message is one line with nothing that moves a cursor; joiners of Persian and emoji may stay."""
    return "\n" not in text and text.replace("\u200c", "").replace("\u200d", "").isprintable()
