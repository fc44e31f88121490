"""Augmentation of whole batches: one affine resampling, colour, erasing, mixing; randomness picture by picture.

N pictures, C channels, H x W pixels. All functions take and return float tensors (N, C, H, W), already normalised.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from nin.data.randomness import uniform
from nin.errors import UsageError

MOST = {
    **dict.fromkeys(("aspect", "colour", "cutmix", "erase", "widen"), 1.0),
    "shift": 0.5,
    "zoom": 0.9,
    "rotate": 180.0,
}


@dataclass(frozen=True)
class Augmentation:
    """How training pictures are varied. Zero (or False) switches a variation off.

    flip: mirror left-right, half of the pictures in one epoch and the other half in the next (Jordan 2024: as good as
    chance in long runs, better in short ones). shift: largest translation, share of the side.
    zoom: largest enlargement (0.25 shows at least 75 % of the side). widen: largest reduction (0.25 shows up to 125 %,
    mirrored at the border). aspect: largest log stretch of the aspect ratio.
    rotate: largest rotation in degrees. colour: largest change of brightness (in standard deviations), contrast and
    saturation (as factors). erase: side of an erased square, share of the side (DeVries and Taylor 2017).
    cutmix: probability that a batch is mixed by rectangles (Yun et al. 2019).
    """

    flip: bool = False
    shift: float = 0.0
    zoom: float = 0.0
    widen: float = 0.0
    aspect: float = 0.0
    rotate: float = 0.0
    colour: float = 0.0
    erase: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        for name, highest in MOST.items():
            if not 0 <= getattr(self, name) <= highest:
                raise UsageError(f"augmentation {name}={getattr(self, name)} is outside 0 to {highest}")


Draw = Callable[[str], torch.Tensor]
MOVES = ("zoom", "aspect", "rotate", "shift x", "shift y")
COLOURS = ("saturation", "contrast", "brightness")
ERASES = ("erase y", "erase x")


def draws(seed: int, epoch: int, index: np.ndarray, purpose: str) -> np.ndarray:
    """(N,) float32 for the pictures `index` in `epoch`: uniform in [-1, 1), or for "mirror" -1 (do so) or 1."""
    if purpose != "mirror":
        return (uniform(seed, epoch, index, purpose) * 2 - 1).astype(np.float32)
    first = draws(seed, 0, index, "flip") < 0
    return np.where(first == (epoch % 2 == 0), np.float32(-1), np.float32(1))


def purposes(how: Augmentation, channels: int) -> list[str]:
    """Everything that `vary` draws for."""
    found = ["mirror"] if how.flip else []
    found += MOVES if _moves(how) else ()
    found += (*COLOURS, *(f"channel {c}" for c in range(channels))) if how.colour else ()
    return [*found, *ERASES] if how.erase else found


def augment(x: torch.Tensor, index: np.ndarray, how: Augmentation, *, seed: int, epoch: int) -> torch.Tensor:
    """Vary every picture of the batch (N, C, H, W) by its own randomness; `index` (N,) names the pictures."""
    return vary(x, how, lambda purpose: torch.from_numpy(draws(seed, epoch, index, purpose)).to(x.device))


def vary(x: torch.Tensor, how: Augmentation, draw: Draw) -> torch.Tensor:
    """(N, C, H, W) -> the same, varied by what `draw` gives for each purpose, (N,) as `draws`."""
    if _moves(how):
        x = _move(x, how, draw)
    if how.colour:
        x = _recolour(x, how.colour, draw)
    if how.erase:
        x = _erase(x, how.erase, draw)
    return x


def _moves(how: Augmentation) -> bool:
    return bool(how.flip or how.shift or how.zoom or how.widen or how.aspect or how.rotate)


def _move(x: torch.Tensor, how: Augmentation, draw: Draw) -> torch.Tensor:
    """Flip, zoom, stretch, rotate and shift in one bilinear resampling; whole pixels only when nothing resizes."""
    height, width = x.shape[2:]
    mirror = draw("mirror") if how.flip else torch.ones(len(x), device=x.device)
    scale = 1 + how.widen - (draw("zoom") + 1) / 2 * (how.zoom + how.widen)  # share of the side that is shown
    stretch = torch.exp(draw("aspect") * how.aspect / 2)
    scale_x, scale_y = scale * stretch, scale / stretch
    angle = draw("rotate") * (how.rotate * torch.pi / 180)
    shift_x = draw("shift x") * ((1 - scale_x).clamp(min=0) + 2 * how.shift)
    shift_y = draw("shift y") * ((1 - scale_y).clamp(min=0) + 2 * how.shift)
    resizes = bool(how.zoom or how.widen or how.aspect or how.rotate)
    if not resizes:
        shift_x = (shift_x * width / 2).round() * 2 / width
        shift_y = (shift_y * height / 2).round() * 2 / height
    cos, sin = angle.cos(), angle.sin()
    rows = [
        torch.stack([mirror * scale_x * cos, -scale_y * sin, shift_x], dim=1),
        torch.stack([mirror * scale_x * sin, scale_y * cos, shift_y], dim=1),
    ]
    grid = F.affine_grid(torch.stack(rows, dim=1), list(x.shape), align_corners=False)
    padding = "reflection" if resizes else "zeros"
    return F.grid_sample(x, grid, padding_mode=padding, align_corners=False)


def _recolour(x: torch.Tensor, amount: float, draw: Draw) -> torch.Tensor:
    """Saturation, contrast, brightness; a small shift of each channel on its own."""

    def factor(purpose: str) -> torch.Tensor:
        return (draw(purpose) * amount).view(-1, 1, 1, 1)  # (N, 1, 1, 1)

    grey = x.mean(dim=1, keepdim=True)
    x = (x - grey) * (1 + factor("saturation")) + grey
    middle = x.mean(dim=(1, 2, 3), keepdim=True)
    x = (x - middle) * (1 + factor("contrast")) + middle + factor("brightness")
    if x.shape[1] > 1:
        x = x + 0.3 * torch.cat([factor(f"channel {c}") for c in range(x.shape[1])], dim=1)
    return x


def _erase(x: torch.Tensor, side: float, draw: Draw) -> torch.Tensor:
    """Set one square of every picture to the mean (zero after normalisation); it may reach over the border."""
    height, width = x.shape[2:]
    half = side * min(height, width) / 2
    rows, columns = torch.arange(height, device=x.device), torch.arange(width, device=x.device)
    centre_y = ((draw("erase y") + 1) / 2 * height).view(-1, 1, 1)
    centre_x = ((draw("erase x") + 1) / 2 * width).view(-1, 1, 1)
    inside = ((rows.view(1, -1, 1) - centre_y).abs() <= half) & ((columns.view(1, 1, -1) - centre_x).abs() <= half)
    return x.masked_fill(inside.unsqueeze(1), 0.0)


def cutmix(
    x: torch.Tensor, targets: torch.Tensor, how: Augmentation, *, seed: int, epoch: int, step: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """With probability `how.cutmix` paste one rectangle of the next picture into each; targets (N, K) mix by area."""

    def chance(purpose: str) -> float:
        return float(uniform(seed, epoch, np.array([step]), purpose)[0])

    if chance("cutmix") >= how.cutmix:
        return x, targets
    height, width = x.shape[2:]
    side = np.sqrt(1 - chance("cutmix area"))
    box_h = int(height * side)
    box_w = int(width * side)
    top, left = int(chance("cutmix top") * (height - box_h + 1)), int(chance("cutmix left") * (width - box_w + 1))
    window = (..., slice(top, top + box_h), slice(left, left + box_w))
    mixed = x.clone()
    mixed[window] = x.roll(1, dims=0)[window]
    kept = 1 - box_h * box_w / (height * width)
    return mixed, kept * targets + (1 - kept) * targets.roll(1, dims=0)
