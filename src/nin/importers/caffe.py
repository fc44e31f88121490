"""Caffe's network definitions (`train_val.prototxt`, `deploy.prototxt`), old and new spellings.

The network is the one of the TEST phase. Caffe's poolings round up, and its averages divide by the window as far as it
lies in the padded map; torch's do the same. Source: Caffe's public caffe.proto and what its layers compute.
"""

from nin.errors import ModelError, escape_name
from nin.importers.neutral import (
    PREPARED,
    ForeignInput,
    ForeignLayer,
    ForeignNet,
    assemble,
    network_lines,
)
from nin.importers.prototxt import Message

COLOURS = 3  # channels of a network that does not tell how many it reads
LOADS = {"data", "imagedata", "memorydata", "hdf5data", "dummydata", "windowdata", "input"}
ENDS = {"softmax", "softmaxloss", "softmaxwithloss", "accuracy", "argmax", "multinomiallogisticloss", "silence"}
NEEDS = "convolution, pooling, ReLU, dropout, softmax and data layers"

# The fields of each message that are understood; some change only how, not what, is computed.
LAYER = "name type bottom top include exclude phase param blobs_lr weight_decay loss_weight "
SIDES = "kernel_size kernel_h kernel_w stride stride_h stride_w pad pad_h pad_w engine "
CONVOLUTION = SIDES + "num_output group bias_term weight_filler bias_filler dilation axis force_nd_im2col"
POOLING = SIDES + "pool global_pooling"
SOLVER = "type solver_type base_lr lr_policy gamma stepsize stepvalue momentum weight_decay max_iter"  # shown


def read_net(net: Message, solver: Message | None = None) -> ForeignNet:
    """The network of a definition file, and in one line how its solver trained it, where there is one.

    Raises ModelError, in one line with the line's number, for whatever has no counterpart here.
    """
    layers = net.messages("layer") + net.messages("layers")
    if not layers:
        raise ModelError(f"{net.file} holds no layer; expected Caffe's layer {{ ... }} or layers {{ ... }}")
    if any("layer" in layer.fields for layer in layers):
        raise ModelError(
            f"{layers[0].at}: layers of Caffe's first format; rewrite it with Caffe's upgrade_net_proto_text"
        )
    loads = [layer for layer in layers if _type(layer) in LOADS]
    loads.sort(key=lambda layer: not _in_phase(layer, "TEST"))  # what the TEST phase says of pictures counts
    chain = _chain(layers, set(net.texts("input")))
    channels, side = _size(net, loads)
    config, side = assemble(
        chain,
        name=escape_name(net.text("name"))[:80] or "caffe",
        in_channels=channels,
        side=side,
        dropout_kind="inverted",
    )
    names = tuple(layer.name for layer in chain if layer.kind == "conv")
    return ForeignNet(
        "Caffe definition",
        config,
        names,
        network_lines(config, chain),
        _input(loads, channels, side, config.name),
        "" if solver is None else solver_in_words(solver),
        tuple(_notes(layers, chain)),
    )


def is_solver(message: Message) -> bool:
    """Whether a text-format file is a solver, not a network."""
    return "base_lr" in message.fields or bool({"net", "train_net", "lr_policy"} & set(message.fields))


def solver_in_words(solver: Message) -> str:
    """What a solver says of the training, its own words; each layer's lr_mult and decay_mult multiply them."""
    told = [f"{name} {', '.join(solver.texts(name))}" for name in SOLVER.split() if name in solver.fields]
    return escape_name("; ".join(told))


def _type(layer: Message) -> str:
    """A layer's type in one spelling: "SOFTMAX_LOSS" and "SoftmaxLoss" are "softmaxloss"."""
    return layer.text("type").replace("_", "").lower()


def _in_phase(layer: Message, phase: str) -> bool:
    """Whether a layer is part of the network in a phase, by its include, exclude and phase fields."""
    include = layer.messages("include")
    exclude = layer.messages("exclude")
    for rule in (*include, *exclude):
        rule.expect_only("a rule", "phase")
    names = (phase, "1" if phase == "TEST" else "0")  # older files have the numbers of the enumeration
    if include:
        return any(rule.text("phase", phase).upper() in names for rule in include)
    return not any(rule.text("phase", phase).upper() in names for rule in exclude)


def _chain(layers: list[Message], tops: set[str]) -> list[ForeignLayer]:
    """The row of layers from the picture to the softmax; every layer has to read what the one before it makes."""
    found: list[ForeignLayer] = []
    current: str | None = None  # what the last layer makes
    names: set[str] = set()
    ended = False
    for layer in layers:
        kind = _type(layer)
        name = layer.text("name")
        if not _in_phase(layer, "TEST"):
            continue
        if kind in LOADS:
            tops |= set(layer.texts("top"))
            continue
        if not name or name in names:
            raise ModelError(f"{layer.at}: layer {escape_name(name)!r} has no name of its own; name every layer once")
        names.add(name)
        bottoms = layer.texts("bottom")
        ends = kind in ENDS
        wanted = current if current is not None else next((bottom for bottom in bottoms if bottom in tops), None)
        if wanted is None or wanted not in bottoms or (len(bottoms) > 1 and not ends):
            raise ModelError(
                f"{layer.where('bottom')}: layer {escape_name(name)} reads "
                f"{escape_name(', '.join(bottoms))[:60] or 'nothing'}; expected {escape_name(wanted or 'the data')}: "
                "layers stand in one row here"
            )
        if ends:
            ended = True
            continue
        if ended:
            raise ModelError(f"{layer.at}: layer {escape_name(name)} comes after the softmax; expected nothing there")
        found.append(_translate(layer, kind, name))
        tops_of = layer.texts("top")
        if len(tops_of) != 1:
            raise ModelError(
                f"{layer.where('top')}: layer {escape_name(name)} has {len(tops_of)} outputs; expected one"
            )
        current = tops_of[0]
    return found


def _translate(layer: Message, kind: str, name: str) -> ForeignLayer:
    if kind == "convolution":
        return _convolution(layer, name)
    if kind == "pooling":
        return _pooling(layer, name)
    if kind == "relu":
        layer.expect_only("a ReLU layer", LAYER + "relu_param")
        param = layer.message("relu_param")
        param.expect_only("relu_param", "engine negative_slope")
        if param.number("negative_slope", 0) != 0:
            raise ModelError(f"{param.where('negative_slope')}: a leaky ReLU has no counterpart here")
        return ForeignLayer("relu", name, layer.at)
    if kind == "dropout":
        layer.expect_only("a dropout layer", LAYER + "dropout_param")
        param = layer.message("dropout_param")
        param.expect_only("dropout_param", "dropout_ratio")
        drop = param.number("dropout_ratio", 0.5)
        if not 0 <= drop < 1:
            raise ModelError(f"{param.where('dropout_ratio')}: dropout of {drop:g}; expected 0 to 1")
        return ForeignLayer("dropout", name, layer.at, drop=drop)
    shown = escape_name(layer.text("type"))[:40]
    reason = " (a fully connected layer)" if kind == "innerproduct" else ""
    raise ModelError(
        f"{layer.where('type')}: layer {escape_name(name)} is of type {shown!r}{reason}, which has no counterpart "
        f"here; known are {NEEDS}"
    )


def _convolution(layer: Message, name: str) -> ForeignLayer:
    layer.expect_only("a convolution layer", LAYER + "convolution_param")
    for rates in layer.messages("param"):
        rates.expect_only("param", "lr_mult decay_mult")  # a name would share weights with another layer
    param = layer.message("convolution_param")
    param.expect_only("convolution_param", CONVOLUTION)
    for field, only in (("dilation", 1), ("axis", 1)):
        if any(value != only for value in param.wholes(field)):
            raise ModelError(f"{param.where(field)}: {field} of other than {only} has no counterpart here")
    return ForeignLayer(
        "conv",
        name,
        layer.at,
        param.whole("num_output", 0),
        kernel=_square(param, "kernel_size", "kernel", 0),
        stride=_square(param, "stride", "stride", 1),
        padding=_square(param, "pad", "pad", 0),
        groups=param.whole("group", 1),
        std=_std(param.message("weight_filler")),
    )


def _std(filler: Message) -> float | None:
    """Standard deviation of a Gaussian filler; None for the others, whose first weights are drawn otherwise here."""
    std = filler.number("std", 1.0)
    return std if filler.text("type") == "gaussian" and std > 0 and filler.number("mean", 0) == 0 else None


def _pooling(layer: Message, name: str) -> ForeignLayer:
    layer.expect_only("a pooling layer", LAYER + "pooling_param")
    param = layer.message("pooling_param")
    param.expect_only("pooling_param", POOLING)
    method = param.text("pool", "MAX").upper()
    kinds = {"MAX": "max", "0": "max", "AVE": "avg", "1": "avg"}
    if method not in kinds:
        raise ModelError(f"{param.where('pool')}: pool is {escape_name(method)[:40]}; expected MAX or AVE")
    if param.flag("global_pooling", False):
        return ForeignLayer(kinds[method], name, layer.at, whole=True)
    return ForeignLayer(
        kinds[method],
        name,
        layer.at,
        kernel=_square(param, "kernel_size", "kernel", 0),
        stride=_square(param, "stride", "stride", 1),
        padding=_square(param, "pad", "pad", 0),
    )


def _square(param: Message, field: str, stem: str, default: int) -> int:
    """A size given once, or for both directions; ModelError where they differ."""
    values = param.wholes(field) + param.wholes(f"{stem}_h") + param.wholes(f"{stem}_w")
    if len(set(values)) > 1:
        raise ModelError(f"{param.at}: {field} differs between height and width; only squares have a counterpart here")
    return values[0] if values else default


def _size(net: Message, loads: list[Message]) -> tuple[int, int | None]:
    """Channels and side of the pictures, as far as the definition tells: input dimensions, or the crop of its data."""
    shapes = [net.wholes("input_dim"), *(shape.wholes("dim") for shape in net.messages("input_shape"))]
    for layer in loads:
        shapes += [shape.wholes("dim") for shape in layer.message("input_param").messages("shape")]
    for shape in shapes:
        if len(shape) == 4 and shape[2] == shape[3]:
            return shape[1], shape[2]
        if shape:
            raise ModelError(f"{net.file}: the input has the dimensions {shape[:8]}; expected four, the last two equal")
    crops = [part.whole("crop_size", 0) for layer in loads for part in _transforms(layer)]
    return COLOURS, next((crop for crop in crops if crop), None)


def _transforms(layer: Message) -> list[Message]:
    """Where a data layer says how pictures are prepared: transform_param, or its own parameters in older files."""
    return [layer.message(name) for name in ("transform_param", "data_param", "image_data_param", "memory_data_param")]


def _input(loads: list[Message], channels: int, side: int | None, name: str) -> ForeignInput:
    """What the network reads: `(x - mean) * scale` of 0..255 for Caffe, in BGR where Caffe's tools made the data."""
    parts = [part for layer in loads for part in _transforms(layer)]
    values = next((part.numbers("mean_value") for part in parts if part.numbers("mean_value")), [])
    file = next((part.text("mean_file") for part in parts if part.text("mean_file")), None)
    scale = next((part.number("scale", 1) for part in parts if "scale" in part.fields), 1.0)
    # the author's data base holds prepared pictures, in CIFAR's own order of colours
    odd = PREPARED.get(name, "") if not values and file is None and scale == 1 else ""
    cropped = any(part.whole("crop_size", 0) for part in parts)
    bgr = channels == COLOURS and not odd
    if scale <= 0:
        raise ModelError(f"{parts[0].file}: scale is {scale:g}; expected a positive number")
    if len(values) not in (0, 1, channels):
        raise ModelError(
            f"{parts[0].file}: mean_value comes {len(values)} times for {channels} channels; expected one each"
        )
    mean = None
    if values:
        full = values * channels if len(values) == 1 else values
        mean = tuple(value / 255 for value in (full[::-1] if bgr else full))
    elif file is None and not odd and any(_type(layer) != "input" for layer in loads):
        mean = (0.0,) * channels
    std = None if odd else (1 / (255 * scale),) * channels
    return ForeignInput(side, mean, std, bgr, file, cropped, odd)


def _notes(layers: list[Message], chain: list[ForeignLayer]) -> list[str]:
    """What is not carried over without a word: other first weights, first biases, missing biases."""
    notes = []
    for layer in layers:
        param = layer.message("convolution_param")
        name = escape_name(layer.text("name"))
        if param.message("bias_filler").number("value", 0) != 0:
            notes.append(f"{param.where('bias_filler')}: first biases of {name} are not 0; here they begin at 0")
        if not param.flag("bias_term", True):
            notes.append(f"{param.where('bias_term')}: {name} has no bias; here it has one that begins at 0")
    other = [layer for layer in chain if layer.kind == "conv" and layer.std is None]
    if other:
        notes.append(f"{other[0]} is not drawn from N(0, std); here all first weights are Kaiming's")
    return notes
