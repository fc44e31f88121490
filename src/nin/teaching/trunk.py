"""A trained network cut after one of its mlpconv layers: what gives the features, and what becomes of it with new
classes (torch-free).

Legend: N pictures, F features, which are means of F maps, K classes.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from nin.bundle.card import Calibration
from nin.bundle.folder import Bundle
from nin.data.preprocess import Preprocess
from nin.data.stream import Images
from nin.engine.engine import Engine, ModelFacts, facts_of_bundle
from nin.engine.graph import core
from nin.errors import UsageError, amount, escape_name
from nin.network.config import NINConfig
from nin.teaching.regression import LinearHead

AT_ONCE = 64  # pictures answered at a time: their maps stay in memory


@dataclass(frozen=True, eq=False)
class Trunk:
    """A model's mlpconv layers 1 to `cut`, for pictures of that preprocessing."""

    bundle: Bundle
    cut: int
    preprocess: Preprocess

    @property
    def width(self) -> int:
        """F: maps that its last mlpconv layer makes."""
        return self.network(1).blocks[-1].channels[-2]

    def network(self, classes: int) -> NINConfig:
        """The network for so many classes: after the cut one 1x1 layer, no activation, and global average pooling."""
        had = NINConfig.from_dict(self.bundle.network)
        *before, last = had.blocks[: self.cut]
        widths = last.channels[:-1] if self.cut == len(had.blocks) else last.channels
        last = replace(last, channels=(*widths, classes), pool=None, dropout=0.0, init_std=None)
        blocks = (*(replace(block, init_std=None) for block in before), last)
        init = "kaiming" if had.init == "normal" else had.init
        return replace(had, blocks=blocks, num_classes=classes, init=init, last_activation=False, last_norm=False)

    def weights(self, head: LinearHead) -> dict[str, np.ndarray]:
        """The weights of that network by name, float32: the trunk's as they are, and the head's."""
        network = self.network(len(head.bias))
        index = len(network.blocks) - 1
        place = f"blocks.{index}.pointwise.{len(network.blocks[-1].channels) - 2}"
        norm = f"blocks.{index}.norms.{len(network.blocks[-1].channels) - 1}"
        kept = {
            name: array
            for name, array in self.bundle.weights().items()
            if int(name.split(".")[1]) < self.cut and not name.startswith((f"{place}.", f"{norm}."))
        }
        last = {"weight": head.weight[:, :, None, None], "bias": head.bias}
        return kept | {f"{place}.{part}": array.astype(np.float32) for part, array in last.items()}

    @property
    def name(self) -> str:
        """What its model is called: by its folder, or by the run folder around it."""
        return facts_of_bundle(self.bundle).name

    def features(self, images: Images) -> np.ndarray:
        """(N, H, W, C) uint8 of the preprocessing's size -> mean features (N, F) float32."""
        engine = self._passing
        parts = [engine.run(images[at : at + AT_ONCE]).logits for at in range(0, len(images), AT_ONCE)]
        return np.concatenate(parts) if parts else np.empty((0, self.width), np.float32)

    def maps(self, images: np.ndarray) -> np.ndarray:
        """(N, H, W, C) uint8 of the preprocessing's size -> its maps (N, F, h, w) float32, whose means are features."""
        return self._passing.run(images).maps

    @cached_property
    def _passing(self) -> Engine:
        """The network whose head passes every map on, so that its class maps are the features' maps and its logits the
        features; of a network that also looks at the mirror image they are means of both views."""
        width = self.width
        names = tuple(str(number) for number in range(width))
        passing = replace(
            self.bundle,
            network=self.network(width).to_dict(),
            classes=names,
            preprocess=self.preprocess,
            calibration=Calibration(),
            likeness=None,
            _stored=self.weights(LinearHead(np.eye(width), np.zeros(width))),
        )
        return Engine(ModelFacts(self.name, names, self.preprocess, Calibration()), core(passing))


def cut_trunk(bundle: Bundle, cut: int | None = None, size: int | None = None) -> Trunk:
    """The trunk of a model; by default cut one mlpconv layer before the last, at the model's own size.

    UsageError for a cut that it does not have, and for another size where whitening binds it to one.
    """
    layers = len(NINConfig.from_dict(bundle.network).blocks)
    cut = max(1, layers - 1) if cut is None else cut
    if not 1 <= cut <= layers:
        raise UsageError(f"--cut is {cut}; {escape_name(bundle.folder.name)} has {amount(layers, 'mlpconv layer')}")
    preprocess = bundle.preprocess
    if size is not None and (size, size) != preprocess.size:
        if preprocess.zca is not None:
            height, width = preprocess.size
            name = escape_name(bundle.folder.name)
            raise UsageError(f"{name} whitens pictures of {height} x {width}; leave out --size")
        preprocess = replace(preprocess, size=(size, size))
    return Trunk(bundle, cut, preprocess)
