"""The weights that a run begins with where nobody said which: those of nin-photos, where they were measured to help.

They help with few coloured photographs at the size that the network was pretrained for, and are not used for
anything else (docs/log.md): grey pictures, drawings, small pictures, other networks, other preprocessing.
"""

from collections.abc import Sequence

import numpy as np

from nin.bundle.folder import Bundle, open_bundle
from nin.network.config import NINConfig
from nin.run.options import SCRATCH, TrainOptions

START = "nin-photos"
FEWER = 10_000  # training pictures; 50 to 3,068 were measured, and from here on there is another recipe
MANY_COLOURS = 0.2  # of a picture's pixels differ from all others: photographs 0.39 and more, drawings 0.15 at most
COLOURED = 0.1  # of a picture's pixels have a hue: photographs 0.5 and more
HUE = 16  # grey levels between the largest and the least of red, green and blue
OWN = ("network", "width", "recipe", "channels", "normalise", "from_")  # options that ask for something else


def usual_beginning(
    options: TrainOptions, count: int, sample: Sequence[np.ndarray], stem_stride: int, channels: int
) -> Bundle | None:
    """The model to begin with for `count` training pictures, of which `sample` are some, (H, W, C) 8 bits; None where
    it is from scratch.

    stem_stride: the stride of the first convolution for their size. channels: those that the network would have.
    """
    if any(getattr(options, name) != getattr(TrainOptions(), name) for name in OWN):
        return None
    if count >= FEWER or channels != 3 or not photographs(sample):
        return None
    begin = open_bundle(START)
    same = NINConfig.from_dict(begin.network).blocks[0].stride == stem_stride
    return begin if same else None


def begins_with(options: TrainOptions) -> str | None:
    """The model that the options say to begin with; None: the usual one, or none."""
    return None if options.from_ == SCRATCH else options.from_


def photographs(sample: Sequence[np.ndarray]) -> bool:
    """Whether most of these pictures, (H, W, C) 8 bits, have many colours: photographs, not drawings or grey ones."""
    seen = [_colours(picture) for picture in sample if picture.shape[2] >= 3]
    if len(seen) <= len(sample) // 2:
        return False
    different, coloured = np.median(seen, axis=0)
    return bool(different >= MANY_COLOURS and coloured >= COLOURED)


def _colours(picture: np.ndarray) -> tuple[float, float]:
    """Shares of the pixels: how many different colours there are, and how many pixels have a hue."""
    rgb = picture[..., :3].reshape(-1, 3).astype(np.int32)
    different = len(np.unique(rgb @ np.array([65536, 256, 1], np.int32))) / len(rgb)
    coloured = float((rgb.max(1) - rgb.min(1) > HUE).mean())
    return different, coloured
