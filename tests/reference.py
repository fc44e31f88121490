"""Slow second implementations to judge the fast ones by: plain numpy in float64, one place at a time."""

import math

import numpy as np

ACTIVATIONS = {
    "relu": lambda v: np.maximum(v, 0),
    "gelu": np.vectorize(lambda v: 0.5 * v * (1 + math.erf(v / math.sqrt(2)))),
    "silu": lambda v: v / (1 + np.exp(-v)),
    "identity": lambda v: v,
}


def slide_mlp(x, layers, *, stride=1, padding=0, groups=1, activation="relu", last_activation=True, norms=()):
    """The paper's picture taken literally: cut out each patch, flatten it, run a perceptron on it.

    x (N, C, H, W); layers: (weight, bias or None) each, the first weight (C', C / groups, k, k), the others (out, in);
    norms: (weight, bias, mean, variance, epsilon) of each normalised layer. Returns (N, C', h, w).
    """
    first, kernel = layers[0][0], layers[0][0].shape[-1]
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    tops = range(0, padded.shape[2] - kernel + 1, stride)
    lefts = range(0, padded.shape[3] - kernel + 1, stride)
    per_in, per_out = x.shape[1] // groups, len(first) // groups
    rows = []
    for picture in padded:
        for top in tops:
            for left in lefts:
                patch = picture[:, top : top + kernel, left : left + kernel]
                values = np.concatenate(
                    [
                        first[g * per_out : (g + 1) * per_out].reshape(per_out, -1)
                        @ patch[g * per_in : (g + 1) * per_in].reshape(-1)
                        for g in range(groups)
                    ]
                )
                for index, (weight, bias) in enumerate(layers):
                    values = values if index == 0 else weight @ values
                    values = values if bias is None else values + bias
                    if index < len(norms):
                        gamma, beta, mean, variance, epsilon = norms[index]
                        values = (values - mean) / np.sqrt(variance + epsilon) * gamma + beta
                    if last_activation or index < len(layers) - 1:
                        values = ACTIVATIONS[activation](values)
                rows.append(values)
    return np.array(rows).reshape(len(x), len(tops), len(lefts), -1).transpose(0, 3, 1, 2)


def slide_pool(x, kind, size, stride, padding, ceil):
    """Pooling window by window; a window that leaves the padded map is cut off there, as in Caffe."""

    def starts(side):
        every = range(-padding, side + padding, stride)
        fits = [s for s in every if s + size <= side + padding]
        hanging = [s for s in every if s + size > side + padding and s < side][:1] if ceil else []
        return fits + (hanging if not fits or fits[-1] + size < side + padding else [])

    n, c, height, width = x.shape
    out = np.empty((n, c, len(starts(height)), len(starts(width))))
    for row, top in enumerate(starts(height)):
        for column, left in enumerate(starts(width)):
            window = x[:, :, max(top, 0) : top + size, max(left, 0) : left + size]
            if kind == "max":
                out[:, :, row, column] = window.max((2, 3))
            else:
                tall = min(top + size, height + padding) - top
                wide = min(left + size, width + padding) - left
                out[:, :, row, column] = window.sum((2, 3)) / (tall * wide)
    return out


def slow_nin(x, config, state):
    """A whole network in evaluation mode from its configuration and state dict (numpy, float64): class maps, logits."""
    for number, block in enumerate(config.blocks):
        last = number == len(config.blocks) - 1
        prefix = f"blocks.{number}."
        names = ["spatial", *(f"pointwise.{index}" for index in range(len(block.channels) - 1))]
        layers = [(state[f"{prefix}{name}.weight"], state.get(f"{prefix}{name}.bias")) for name in names]
        layers = [layers[0], *((weight[:, :, 0, 0], bias) for weight, bias in layers[1:])]
        norms = [
            (*(state[f"{prefix}norms.{i}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")), 1e-5)
            for i in range(len(layers))
            if f"{prefix}norms.{i}.weight" in state
        ]
        padding = block.kernel_size // 2 if block.padding is None else block.padding
        keep = config.last_activation or not last
        options = {"stride": block.stride, "padding": padding, "groups": block.groups, "norms": norms}
        x = slide_mlp(x, layers, activation=config.activation, last_activation=keep, **options)
        if block.pool:
            x = slide_pool(x, block.pool, block.pool_size, block.pool_stride, block.pool_padding, block.pool_ceil)
        if config.dropout_kind == "classic":
            x = x * (1 - block.dropout)
    return x, x.sum((2, 3)) / (x.shape[2] * x.shape[3])


def slow_contrast(picture, scale, bias, use_std):
    """Global contrast normalisation of one picture of any shape, value by value, in Python's own numbers."""
    values = [float(value) for value in picture.reshape(-1)]
    mean = math.fsum(values) / len(values)
    squares = math.fsum((value - mean) ** 2 for value in values)
    norm = math.sqrt(bias + (squares / (len(values) - 1) if use_std else squares)) / scale
    norm = 1.0 if norm < 1e-8 else norm
    return np.array([(value - mean) / norm for value in values]).reshape(picture.shape)


def slow_zca(x, bias):
    """ZCA of x (N, D) float64 by its singular values, no covariance built: the mean (D,) and the matrix (D, D)."""
    mean = x.mean(0)
    _, singular, directions = np.linalg.svd(x - mean, full_matrices=True)
    variances = np.zeros(x.shape[1])
    variances[: len(singular)] = singular**2 / len(x)
    matrix = sum(np.outer(d, d) / math.sqrt(v + bias) for d, v in zip(directions, variances, strict=True))
    return mean, matrix


def slow_local_contrast(channel, size, sigma, threshold):
    """Local contrast normalisation of one channel (H, W), place by place; what lies beyond the border counts as 0."""
    half, (height, width) = size // 2, channel.shape
    steps = range(-half, half + 1)
    weights = {(i, j): math.exp(-(i * i + j * j) / (2 * sigma**2)) for i in steps for j in steps}
    total = math.fsum(weights.values())
    centred, norms = np.zeros(channel.shape), np.zeros(channel.shape)
    for row in range(height):
        for column in range(width):
            inside = [
                (weight / total, float(channel[row + i, column + j]))
                for (i, j), weight in weights.items()
                if 0 <= row + i < height and 0 <= column + j < width
            ]
            centred[row, column] = channel[row, column] - math.fsum(weight * value for weight, value in inside)
            norms[row, column] = math.sqrt(math.fsum(weight * value**2 for weight, value in inside))
    return centred / np.maximum(np.maximum(norms, norms.mean()), threshold)


def slow_loss(logits, parts, weights, smoothing):
    """Mean weighted cross-entropy in nats, picture by picture, in Python's own numbers.

    parts: of each picture the (class, share) pairs that it is mixed from; each part counts with its class's weight, and
    asks for its own class with 1 - smoothing and for all K classes alike with the rest.
    """
    total = []
    for row, mixed in zip(logits, parts, strict=True):
        top = max(row)
        log_sum = top + math.log(math.fsum(math.exp(value - top) for value in row))
        for label, share in mixed:
            own, every = log_sum - row[label], math.fsum(log_sum - value for value in row) / len(row)
            total.append(share * weights[label] * ((1 - smoothing) * own + smoothing * every))
    return math.fsum(total) / len(logits)
