"""Class maps as pictures: red speaks for the class, blue against it, the picture shows through where it says nothing.

(h, w) sides of a map, (H, W) sides of a picture. A map is enlarged for display only (bicubic); the raw grid and every
number stay as the network gave them.
"""

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from nin.data.images import to_channels

Pixels = NDArray[np.uint8]
Floats = NDArray[np.floating]
SIDE = 224  # pixels of the longer side of a picture shown; ours

# ColorBrewer 2.0, "RdBu" with 7 classes, from blue (against) to red (for)
STOPS = ("#2166ac", "#67a9cf", "#d1e5f0", "#f7f7f7", "#fddbc7", "#ef8a62", "#b2182b")
FOR, AGAINST = "#d0384a", "#2f7fc4"  # ours: seen on the light and on the dark paper of a page
_STOPS = np.array([ImageColor.getrgb(stop) for stop in STOPS], dtype=np.float64)


def limit_of(maps: Floats) -> float:
    """The largest magnitude of these maps: the end of a colour scale with 0 in its middle (1.0 for all zeros)."""
    return float(np.abs(maps).max(initial=0.0)) or 1.0


def colours(values: Floats, limit: float) -> Pixels:
    """Values (...) in -limit..limit as RGB (..., 3): blue below 0, near white at 0, red above."""
    place = np.clip(np.asarray(values, np.float64) / limit, -1, 1)
    knots = np.linspace(-1, 1, len(_STOPS))
    return np.stack([np.interp(place, knots, _STOPS[:, c]) for c in range(3)], axis=-1).round().astype(np.uint8)


def tinted(values: Floats, limit: float) -> Pixels:
    """Values (h, w) in -limit..limit as RGBA (h, w, 4): blue below 0, red above, and nothing at 0, so that the paper
    of a light or a dark page shows where the map says nothing."""
    share = np.clip(np.asarray(values, np.float64) / limit, -1, 1)
    hue = np.where(share[..., None] < 0, ImageColor.getrgb(AGAINST), ImageColor.getrgb(FOR))
    alpha = 255 * np.abs(share) ** 0.75  # bent upward so that weak values are seen
    return np.concatenate([hue, alpha[..., None]], axis=-1).round().astype(np.uint8)


def is_mean(values: Floats, logit: float) -> bool:
    """Whether the logit is the mean of its map (h, w), to the four digits that are shown."""
    return bool(np.isclose(np.mean(values, dtype=np.float64), logit, rtol=1e-4, atol=1e-4))


def sized(pixels: Pixels, side: int = SIDE) -> Pixels:
    """The picture as (H, W, 3) with its longer side at `side`: small ones in plain blocks, large ones averaged."""
    image = Image.fromarray(to_channels(pixels, 3))
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return np.asarray(image.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS))


def enlarged(values: Floats, height: int, width: int) -> Floats:
    """A map (h, w) at (height, width) by bicubic interpolation, without leaving the map's own range."""
    image = Image.fromarray(np.asarray(values, dtype=np.float32))
    smooth = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))
    held: Floats = np.clip(smooth, values.min(), values.max())
    return held


def overlay(pixels: Pixels, values: Floats, limit: float, side: int = SIDE) -> Pixels:
    """The map (h, w) laid over the picture in grey, the stronger the value the less shows through."""
    picture = sized(pixels, side).astype(np.float64)
    grey = picture @ np.array([0.299, 0.587, 0.114])  # ITU-R 601
    smooth = enlarged(values, *grey.shape)
    strength = 0.85 * (np.abs(smooth) / limit)[..., None]
    colour = colours(np.sign(smooth) * (0.45 + 0.55 * np.abs(smooth) / limit), 1.0)
    mixed: Pixels = (grey[..., None] * (1 - strength) + colour * strength).round().clip(0, 255).astype(np.uint8)
    return mixed


def encoded(image: Image.Image, kind: str, **how: Any) -> bytes:
    """The picture as a file of that kind, "PNG" or "JPEG"; `how` goes to Pillow."""
    held = io.BytesIO()
    image.save(held, kind, **how)
    return held.getvalue()


def data_uri(pixels: Pixels, *, exact: bool = False) -> str:
    """The picture (H, W, 3|4) inside an address: PNG when exact or small, else JPEG."""
    exact = exact or max(pixels.shape[:2]) <= 64
    kind, how = ("PNG", {"optimize": True}) if exact else ("JPEG", {"quality": 85})
    data = encoded(Image.fromarray(pixels), kind, **how)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(data).decode()}"
