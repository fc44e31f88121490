"""Pictures of any size to what a network was trained on; saved with the model, so every path uses the same.

N pictures, C channels, H x W pixels. Resizing is Pillow's antialiased bilinear: resampling over the whole area that
shrinks into one pixel, which torch's and ONNX's `antialias=True` agree with.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, get_args

import numpy as np
from PIL import Image

from nin.choices import Fit, Normalisation
from nin.data.depth import Range, in_words, misfit, shallow, to_uint8
from nin.data.given import Source, held_pixels, on_full_scale
from nin.data.images import Limits, PictureError, read_picture, to_channels, too_tall
from nin.data.whiten import SVHN, Zca, expect_whitenable, global_contrast, local_contrast, read_zca
from nin.errors import DataError, ModelError, UsageError

SHOWN = 3.0  # root mean squares of a normalised picture that lie between mid-grey and white; ours


@dataclass(frozen=True)
class Preprocess:
    """Size (H, W), channels (1, 3 or 4), and normalisation of a network's input.

    fit: "stretch" the picture to the size; "pad" the whole picture with the mean colour, centred; "crop" the centre.
    mean, std: one number per channel, in units of 0..1.
    normalisation: "standard" by mean and std; "gcn", each picture by its own contrast; "gcn-zca", whitened after that
    by `zca`, which must be there; "lcn", each place by its neighbourhood's contrast. See nin.data.whiten.
    value_range: the values of deep pictures that become 0 and 255, chosen from the training pictures; None: the full
    scale of their type. See nin.data.depth.
    """

    size: tuple[int, int]
    channels: int
    fit: Fit
    mean: tuple[float, ...]
    std: tuple[float, ...]
    normalisation: Normalisation = "standard"
    zca: Zca | None = None
    value_range: Range | None = None

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
        if self.value_range is not None:
            low, high = self.value_range if len(self.value_range) == 2 else (math.nan, math.nan)
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise UsageError(f"preprocess value_range {self.value_range} must be two numbers, the lower one first")
        if self.normalisation not in get_args(Normalisation):
            known = ", ".join(get_args(Normalisation))
            raise UsageError(f"preprocess normalisation {self.normalisation!r} must be one of {known}")
        if (self.zca is not None) != (self.normalisation == "gcn-zca"):
            found = "no fitted ZCA" if self.zca is None else "a fitted ZCA"
            raise UsageError(f"preprocess normalisation {self.normalisation} has {found}; gcn-zca alone goes with one")
        if self.zca is not None and self.zca.mean.size != expect_whitenable(self.size, self.channels):
            shape = " x ".join(str(n) for n in (*self.size, self.channels))
            raise UsageError(f"preprocess has a ZCA for {self.zca.mean.size:,} values; pictures are {shape}")

    def resize(self, pixels: np.ndarray) -> np.ndarray:
        """(H0, W0, C0) uint8, on the scale of the network -> (H, W, channels) uint8; DataError where it is far too
        high for its width."""
        height, width = pixels.shape[:2]
        if reason := too_tall(height, width, self.size[1], max(self.size)):
            raise DataError(reason)
        if pixels.shape[2] != 1 or self.channels == 4:  # gray becomes RGB when it is small
            pixels = to_channels(pixels, self.channels)
        resized = self._resized(pixels)
        return resized if resized.shape[2] == self.channels else to_channels(resized, self.channels)

    def _resized(self, pixels: np.ndarray) -> np.ndarray:
        """(H0, W0, C) uint8 -> (H, W, C) uint8; padded, with `channels`."""
        height, width = pixels.shape[:2]
        if (height, width) == self.size:
            return pixels
        if self.fit == "stretch":
            return _bilinear(pixels, self.size)
        ratios = self.size[0] / height, self.size[1] / width
        if self.fit == "crop":
            scale = max(ratios)
            rows, columns = self.size[0] / scale, self.size[1] / scale
            top, left = max(0.0, (height - rows) / 2), max(0.0, (width - columns) / 2)
            return _bilinear(pixels, self.size, (left, top, min(left + columns, width), min(top + rows, height)))
        scale = min(ratios)
        inner = max(1, round(height * scale)), max(1, round(width * scale))
        canvas = np.empty((*self.size, self.channels), np.uint8)
        canvas[:] = np.rint(np.array(self.mean) * 255).astype(np.uint8)
        top, left = (self.size[0] - inner[0]) // 2, (self.size[1] - inner[1]) // 2
        canvas[top : top + inner[0], left : left + inner[1]] = _bilinear(pixels, inner)
        return canvas

    def open_picture(
        self, source: Source, *, name: str | None = None, limits: Limits | None = None, strict: bool = True
    ) -> tuple[np.ndarray, tuple[str, ...]]:
        """(H, W, channels) uint8 of a picture (file, bytes, or held as array or image), and notes about it.

        Raises PictureError, also for pixels that mean nothing on this scale, and UsageError for arrays whose values can
        mean several things. Where nearly all values lie outside of the range, it is an error if
        `strict`, as for a picture to be classified, and else a note, as for one of many training pictures.
        """
        if isinstance(source, np.ndarray | Image.Image):
            name = name or "the picture"
            pixels = held_pixels(source, name)
            return self.fit_pixels(
                on_full_scale(pixels, name) if self.value_range is None else pixels, name, strict=strict
            )
        picture = read_picture(source, near=max(self.size), name=name, limits=limits)
        resized, notes = self.fit_pixels(picture.pixels, name or _name(source), strict=strict)
        return resized, (*picture.notes, *notes)

    def fit_pixels(self, pixels: np.ndarray, name: str, *, strict: bool = True) -> tuple[np.ndarray, tuple[str, ...]]:
        """As `open_picture`, of pixels (H0, W0, C0) of any type; `name` stands for them in messages."""
        found = misfit(pixels, self.value_range)
        if found and strict:
            raise PictureError(name, found)
        try:
            resized = self.resize(to_uint8(pixels, self.value_range))
        except DataError as error:
            raise PictureError(name, str(error)) from None
        note = found or shallow(pixels, self.value_range)
        return resized, (note,) if note else ()

    def load(self, source: Source, *, name: str | None = None, limits: Limits | None = None) -> np.ndarray:
        """(H, W, channels) uint8 of one picture to be classified; raises what `open_picture` does."""
        return self.open_picture(source, name=name, limits=limits)[0]

    def normalise(self, batch: np.ndarray) -> np.ndarray:
        """(N, H, W, C) uint8 -> (N, C, H, W) float32 as the network takes it; standard: (x / 255 - mean) / std."""
        pixels = np.ascontiguousarray(batch.transpose(0, 3, 1, 2))
        if self.normalisation == "lcn":
            return local_contrast(global_contrast(pixels, SVHN))
        if self.normalisation != "standard":
            contrasted = global_contrast(pixels)
            return contrasted if self.zca is None else self.zca.whiten(contrasted)
        values = pixels.astype(np.float32)
        values /= np.float32(255)
        values -= np.array(self.mean, np.float32)[:, None, None]
        values /= np.array(self.std, np.float32)[:, None, None]
        return values

    def show(self, values: np.ndarray) -> np.ndarray:
        """(N, C, H, W) float32, normalised -> (N, H, W, C) uint8 for display.

        Standard: the pixels again. The others cannot be undone and show the values themselves, each picture scaled so
        that zero is mid-grey and SHOWN times its root mean square is white.
        """
        x = values.transpose(0, 2, 3, 1)  # (N, H, W, C)
        if self.normalisation == "standard":
            x = x * np.array(self.std, np.float32) + np.array(self.mean, np.float32)
        else:
            root_mean_square = np.sqrt(np.square(x).mean((1, 2, 3), keepdims=True))  # (N, 1, 1, 1)
            x = 0.5 + x / np.maximum(2 * SHOWN * root_mean_square, np.float32(1e-6))
        shown: np.ndarray = (x.clip(0, 1) * 255).round().astype(np.uint8)
        return shown

    def in_words(self) -> str:
        """How the values of a resized picture are normalised, for people."""
        scaled = f"values of {in_words(self.value_range)} as 0 to 255; " if self.value_range is not None else ""
        return scaled + self._normalised_in_words()

    def _normalised_in_words(self) -> str:
        if self.normalisation == "standard":
            mean, std = (", ".join(f"{value:g}" for value in values) for values in (self.mean, self.std))
            return f"values / 255, minus the mean ({mean}), divided by the standard deviation ({std})"
        if self.normalisation == "lcn":
            once = "the picture's mean removed, divided by its standard deviation"
            return f"{once}, then by each place's local contrast (LCN)"
        whitened = f", then ZCA whitening fitted on {self.zca.pictures:,} training pictures" if self.zca else ""
        return f"the picture's mean removed, scaled to a norm of 55 (GCN){whitened}"

    def tensors(self) -> dict[str, np.ndarray]:
        """What was fitted on pictures and is too large for `to_dict`, by name; nothing for most."""
        return self.zca.tensors() if self.zca is not None else {}

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; `from_dict` reads it back, together with `tensors`."""
        value: dict[str, Any] = {name: getattr(self, name) for name in ("size", "channels", "fit", "mean", "std")}
        value = {name: list(item) if isinstance(item, tuple) else item for name, item in value.items()}
        if self.normalisation != "standard":
            value["normalisation"] = self.normalisation
        if self.value_range is not None:
            value["value_range"] = list(self.value_range)
        if self.zca is not None:
            value["zca"] = {"pictures": self.zca.pictures, "sha256": self.zca.sha256}
        return value

    @classmethod
    def from_dict(cls, value: Mapping[str, Any], tensors: Mapping[str, np.ndarray] | None = None) -> Self:
        """Read what `to_dict` wrote and `tensors` gave; raises ModelError when it is anything else."""
        names = {"size", "channels", "fit", "mean", "std"}
        more = {"normalisation", "zca", "value_range"}
        if not isinstance(value, Mapping) or not names <= set(value) <= names | more:
            found = ", ".join(sorted(map(str, value))) if isinstance(value, Mapping) else type(value).__name__
            raise ModelError(f"preprocess has {found}; expected exactly {', '.join(sorted(names))}")
        zca = read_zca(value["zca"], tensors or {}) if "zca" in value else None
        try:
            size = tuple(int(n) for n in value["size"])
            mean, std = (tuple(float(x) for x in value[name]) for name in ("mean", "std"))
            normalisation = value.get("normalisation", "standard")
            low_high = value.get("value_range")
            value_range = None if low_high is None else tuple(float(x) for x in low_high)
            return cls(size, value["channels"], value["fit"], mean, std, normalisation, zca, value_range)  # type: ignore[arg-type]
        except (UsageError, TypeError, ValueError, OverflowError) as error:
            raise ModelError(f"the model's preprocessing makes no sense ({error}); restore the file") from error


def _name(source: Path | bytes) -> str:
    return "the picture" if isinstance(source, bytes) else str(source)


def _bilinear(
    pixels: np.ndarray, size: tuple[int, int], box: tuple[float, float, float, float] | None = None
) -> np.ndarray:
    """(H0, W0, C) uint8, or its `box` (left, top, right, bottom), as (*size, C) uint8; alpha weighs colours.

    Across and then down, in two steps: the order decides the last bit, and versions of Pillow differ in it.
    """
    single = pixels.shape[-1] == 1
    alpha = pixels.shape[-1] == 4
    image = Image.fromarray(np.ascontiguousarray(pixels[..., 0] if single else pixels))
    height, width = size
    left, top, right, bottom = box or (0, 0, image.width, image.height)
    image = image.convert("RGBa") if alpha else image
    image = image.resize((width, image.height), Image.Resampling.BILINEAR, box=(left, 0, right, image.height))
    image = image.resize((width, height), Image.Resampling.BILINEAR, box=(0, top, width, bottom))
    small = np.asarray(image.convert("RGBA") if alpha else image)
    return small[..., None] if single else small
