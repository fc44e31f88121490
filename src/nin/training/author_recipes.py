"""The author's training as recipes, exactly as the published parameter files and solvers have it.

docs/fidelity.md has the rows. Rates are the effective ones: cuda-convnet multiplies each epsW by the cost's
coefficient and divides the decay by it.
"""

from collections.abc import Callable
from dataclasses import replace

from nin.data.augment import Augmentation
from nin.training.recipes import Recipe

FILE = 10_000  # pictures; one file of the author's CIFAR-10 data, whose last batch has 16 of them
EPOCHS = 260  # the author's README: 200 at the full rate, 30 at a tenth, 30 at a hundredth
# Share of the side: whole pixels from -4 to 4, each as likely. Source: the author's data provider, crop_border 4.
CROP = 4.5 / 32


def author_cifar10_recipe(*, augment: bool = False, epochs: int = EPOCHS) -> Recipe:
    """SGD, rates 0.1 for weights and 0.2 for biases, a tenth of that in the last layer, decay 1e-4 on weights only.

    Pictures in the order of their files, batches of 128 inside files of 10,000. `augment` adds the paper's
    translations and flips: zero-padded crops by up to 4 pixels, after whitening. Fewer `epochs` keep the shares of the
    three rates. Source: the author's NIN/cifar-10_params and README; the augmentation: CroppedCIFARDataProvider there.
    """
    return Recipe(
        epochs,
        batch_size=128,
        lr=0.1,
        bias_rate=2.0,
        last_rate=0.1,
        last_bias_rate=0.2,
        nesterov=False,
        steps=(200 / EPOCHS, 230 / EPOCHS),
        files=FILE,
        weight_decay=1e-4,
        label_smoothing=0.0,
        augmentation=Augmentation(flip=True, shift=CROP) if augment else Augmentation(),
    )


def author_cifar100_recipe(*, augment: bool = False, epochs: int = EPOCHS) -> Recipe:
    """As `author_cifar10_recipe`, with rates 0.02 and 0.04 in all layers and decay 5e-4; one file of 50,000 pictures.

    The paper says that nothing was tuned for CIFAR-100. Source: the author's NIN/cifar-100_params; the number of
    epochs is that of CIFAR-10 ("rest is the same").
    """
    recipe = author_cifar10_recipe(augment=augment, epochs=epochs)
    return replace(recipe, lr=0.02, last_rate=1.0, last_bias_rate=2.0, weight_decay=5e-4)


def author_svhn_recipe(*, epochs: int = EPOCHS) -> Recipe:
    """As `author_cifar10_recipe`; the author published no schedule for SVHN. Source: the author's NIN/svhn_params."""
    return author_cifar10_recipe(epochs=epochs)


def author_mnist_recipe(*, epochs: int = EPOCHS) -> Recipe:
    """As `author_cifar10_recipe`; the author published no schedule for MNIST. Source: the author's NIN/mnist_params."""
    return author_cifar10_recipe(epochs=epochs)


def author_imagenet_recipe(*, epochs: int = 22) -> Recipe:
    """SGD at 0.01 and 0.02 for biases, divided by ten after 200,000 and 400,000 of 450,000 batches of 64.

    The author's crops of 224 out of 256 pixels are shifts by up to 16 of 256 here. Source: the author's solver.prototxt
    for Caffe.
    """
    return Recipe(
        epochs,
        batch_size=64,
        lr=0.01,
        bias_rate=2.0,
        last_bias_rate=2.0,
        nesterov=False,
        steps=(200 / 450, 400 / 450),
        weight_decay=5e-4,
        label_smoothing=0.0,
        augmentation=Augmentation(flip=True, shift=16 / 256),
    )


def caffe_cifar10(*, epochs: int = 307) -> Recipe:
    """The author's second release: 120,000 batches of 128, the rate divided by ten after 100,000; last biases 0.01.

    It goes with average pooling, inverted dropout and N(0, 0.05). Source: solver.prototxt of the author's
    entry in Caffe's model zoo.
    """
    recipe = author_cifar10_recipe(epochs=epochs)
    return replace(recipe, last_bias_rate=0.1, steps=(100 / 120,), files=50_000)


AUTHORS: dict[str, Callable[..., Recipe]] = {
    "nin-author-cifar10": author_cifar10_recipe,
    "nin-author-cifar100": author_cifar100_recipe,
    "nin-author-svhn": author_svhn_recipe,
    "nin-author-mnist": author_mnist_recipe,
    "nin-author-imagenet": author_imagenet_recipe,
}
AUGMENTED = {name: AUTHORS[name] for name in ("nin-author-cifar10", "nin-author-cifar100")}  # take `augment=True`
