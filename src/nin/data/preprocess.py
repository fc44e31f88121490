"""Pictures of any size to what a network was trained on; saved with the model, so every path uses the same.

N pictures, C channels, H x W pixels. Resizing is Pillow's antialiased bilinear: resampling over the whole area that
shrinks into one pixel, which torch's and ONNX's `antialias=True` agree with.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
from PIL import Image

from nin.data.images import read_picture, to_channels
from nin.errors import ModelError, UsageError

Fit = Literal["stretch", "pad", "crop"]


@dataclass(frozen=True)
class Preprocess:
    """Size (H, W), channels (1, 3 or 4), and normalisation of a network's input.

    fit: "stretch" to the size; "pad" the whole picture with the mean colour, centred; "crop" the centre.
    mean, std: one number per channel, in units of 0..1.
    """

    size: tuple[int, int]
    channels: int
    fit: Fit
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.size) != 2 or not all(isinstance(n, int) and 1 <= n <= 4096 for n in self.size):
            raise UsageError(f"preprocess size {self.size} must be (height, width), each from 1 to 4096")
        if self.channels not in (1, 3, 4):
            raise UsageError(f"preprocess channels {self.channels} must be 1, 3 or 4")
        if self.fit not in get_args(Fit):
            raise UsageError(f"preprocess fit {self.fit!r} must be one of {', '.join(get_args(Fit))}")
        for name, values, low in (("mean", self.mean, 0.0), ("std", self.std, 1e-6)):
            if len(values) != self.channels or not all(low <= value <= 1 for value in values):
                raise UsageError(f"preprocess {name} {values} must be {self.channels} numbers from {low:g} to 1")

    def resize(self, pixels: np.ndarray) -> np.ndarray:
        """(H0, W0, C0) uint8 -> (H, W, channels) uint8."""
        pixels = to_channels(pixels, self.channels)
        height, width = pixels.shape[:2]
        if (height, width) == self.size:
            return pixels
        if self.fit == "stretch":
            return _bilinear(pixels, self.size)
        ratios = self.size[0] / height, self.size[1] / width
        if self.fit == "crop":
            scale = max(ratios)
            rows, columns = self.size[0] / scale, self.size[1] / scale
            top, left = (height - rows) / 2, (width - columns) / 2
            return _bilinear(pixels, self.size, (left, top, left + columns, top + rows))
        scale = min(ratios)
        inner = max(1, round(height * scale)), max(1, round(width * scale))
        canvas = np.empty((*self.size, self.channels), np.uint8)
        canvas[:] = np.rint(np.array(self.mean) * 255).astype(np.uint8)
        top, left = (self.size[0] - inner[0]) // 2, (self.size[1] - inner[1]) // 2
        canvas[top : top + inner[0], left : left + inner[1]] = _bilinear(pixels, inner)
        return canvas

    def load(self, source: Path | bytes, *, name: str | None = None) -> np.ndarray:
        """(H, W, channels) uint8 of one picture file, or of the bytes of one; raises PictureError."""
        return self.resize(read_picture(source, near=max(self.size), name=name).pixels)

    def normalise(self, batch: np.ndarray) -> np.ndarray:
        """(N, H, W, C) uint8 -> (N, C, H, W) float32: (x / 255 - mean) / std."""
        values = np.ascontiguousarray(batch.transpose(0, 3, 1, 2)).astype(np.float32)
        values /= np.float32(255)
        values -= np.array(self.mean, np.float32)[:, None, None]
        values /= np.array(self.std, np.float32)[:, None, None]
        return values

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; `from_dict` reads it back."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote; raises ModelError when it is anything else."""
        names = {"size", "channels", "fit", "mean", "std"}
        if not isinstance(value, Mapping) or set(value) != names:
            found = ", ".join(sorted(map(str, value))) if isinstance(value, Mapping) else type(value).__name__
            raise ModelError(f"preprocess has {found}; expected exactly {', '.join(sorted(names))}")
        try:
            size = tuple(int(n) for n in value["size"])
            mean, std = (tuple(float(x) for x in value[name]) for name in ("mean", "std"))
            return cls(size, value["channels"], value["fit"], mean, std)  # type: ignore[arg-type]
        except (UsageError, TypeError, ValueError, OverflowError) as error:
            raise ModelError(f"the model's preprocessing makes no sense ({error}); restore the file") from error


def _bilinear(
    pixels: np.ndarray, size: tuple[int, int], box: tuple[float, float, float, float] | None = None
) -> np.ndarray:
    """(H0, W0, C) uint8, or its `box` (left, top, right, bottom), as (*size, C) uint8; alpha weighs colours."""
    single = pixels.shape[-1] == 1
    image = Image.fromarray(np.ascontiguousarray(pixels[..., 0] if single else pixels))
    small = np.asarray(image.resize((size[1], size[0]), Image.Resampling.BILINEAR, box=box))
    return small[..., None] if single else small
