"""The author's five networks, exactly as the definition files have them, as configurations."""

from nin.network.config import BlockConfig, NINConfig

STD = ((0.05, 0.05, 0.05),) * 3  # author's definition files: initW=0.05 in every layer


def author_cifar10(
    num_classes: int = 10,
    in_channels: int = 3,
    *,
    pool2: str = "max",
    dropout_kind: str = "classic",
    dropout: float = 0.5,
    last_relu: bool = True,
    init: str = "normal",
) -> NINConfig:
    """The author's CIFAR-10 network: 966,986 parameters, 222,486,528 multiply-accumulates at 32x32.

    Where his two releases disagree there is a switch: `pool2` is "max" in cuda-convnet and "avg" in the Caffe model
    zoo, `dropout_kind` is "classic" in the first and "inverted" in the second. `last_relu=False` takes the ReLU off
    the class maps, which he keeps. Source: the author's definition file NIN/cifar-10_def.
    """
    widths = ((192, 160, 96), (192, 192, 192), (192, 192, num_classes))
    blocks = _three_blocks(widths, (5, 5, 3), pool2, dropout, STD)
    return _author("nin-author-cifar10", blocks, num_classes, in_channels, dropout_kind, last_relu, init)


def author_cifar100(
    num_classes: int = 100,
    in_channels: int = 3,
    *,
    pool2: str = "max",
    dropout_kind: str = "classic",
    dropout: float = 0.5,
    last_relu: bool = True,
    init: str = "normal",
    first_std: tuple[float, float, float] = (0.001, 0.01, 0.01),
) -> NINConfig:
    """The author's CIFAR-100 network: his CIFAR-10 network with 100 maps, 984,356 parameters.

    The paper says that nothing else changes, but the definition file starts the first block from smaller weights
    (0.001, 0.01, 0.01); `first_std=(0.05, 0.05, 0.05)` follows the paper. Other switches as in `author_cifar10`.
    Source: the author's definition file NIN/cifar-100_def.
    """
    widths = ((192, 160, 96), (192, 192, 192), (192, 192, num_classes))
    blocks = _three_blocks(widths, (5, 5, 3), pool2, dropout, (first_std, *STD[1:]))
    return _author("nin-author-cifar100", blocks, num_classes, in_channels, dropout_kind, last_relu, init)


def author_svhn(
    num_classes: int = 10,
    in_channels: int = 3,
    *,
    pool2: str = "max",
    dropout_kind: str = "classic",
    dropout: float = 0.5,
    last_relu: bool = True,
    init: str = "normal",
) -> NINConfig:
    """The author's network for street view house numbers: 1,986,026 parameters, three 5x5 layers.

    Switches as in `author_cifar10`. Source: the author's definition file NIN/svhn_def.
    """
    widths = ((128, 96, 64), (320, 256, 128), (384, 256, num_classes))
    blocks = _three_blocks(widths, (5, 5, 5), pool2, dropout, STD)
    return _author("nin-author-svhn", blocks, num_classes, in_channels, dropout_kind, last_relu, init)


def author_mnist(
    num_classes: int = 10,
    in_channels: int = 1,
    *,
    pool2: str = "max",
    dropout_kind: str = "classic",
    dropout: float = 0.5,
    last_relu: bool = True,
    init: str = "normal",
) -> NINConfig:
    """The author's network for 28x28 digits: 349,674 parameters, three 5x5 layers.

    Switches as in `author_cifar10`. Source: the author's definition file NIN/mnist_def.
    """
    widths = ((96, 64, 48), (128, 96, 48), (128, 96, num_classes))
    blocks = _three_blocks(widths, (5, 5, 5), pool2, dropout, STD)
    return _author("nin-author-mnist", blocks, num_classes, in_channels, dropout_kind, last_relu, init)


def author_imagenet(
    num_classes: int = 1000,
    in_channels: int = 3,
    *,
    dropout_kind: str = "inverted",
    dropout: float = 0.5,
    last_relu: bool = True,
    init: str = "normal",
) -> NINConfig:
    """The author's four-block ImageNet network: 7,595,176 parameters, 6x6 class maps for 224x224 pictures.

    Dropout is Caffe's inverted kind. Source: the author's Caffe model zoo entry (train_val.prototxt).
    """
    blocks = (
        BlockConfig((96, 96, 96), 11, stride=4, padding=0, pool="max", init_std=(0.01, 0.05, 0.05)),
        BlockConfig((256, 256, 256), 5, pool="max", init_std=(0.05, 0.05, 0.05)),
        BlockConfig((384, 384, 384), 3, pool="max", dropout=dropout, init_std=(0.01, 0.05, 0.05)),
        BlockConfig((1024, 1024, num_classes), 3, init_std=(0.05, 0.05, 0.01)),
    )
    return _author("nin-author-imagenet", blocks, num_classes, in_channels, dropout_kind, last_relu, init)


def _three_blocks(
    widths: tuple[tuple[int, int, int], ...],
    kernels: tuple[int, int, int],
    pool2: str,
    dropout: float,
    stds: tuple[tuple[float, float, float], ...],
) -> tuple[BlockConfig, ...]:
    first = BlockConfig(widths[0], kernels[0], pool="max", dropout=dropout, init_std=stds[0])
    second = BlockConfig(widths[1], kernels[1], pool=pool2, dropout=dropout, init_std=stds[1])
    return first, second, BlockConfig(widths[2], kernels[2], init_std=stds[2])


def _author(
    name: str,
    blocks: tuple[BlockConfig, ...],
    num_classes: int,
    in_channels: int,
    dropout_kind: str,
    last_relu: bool,
    init: str,
) -> NINConfig:
    return NINConfig(
        name, blocks, num_classes, in_channels, last_activation=last_relu, dropout_kind=dropout_kind, init=init
    )
