"""torch.export of a trained network: normalisation, network and probabilities in one .pt2 file (torch)."""

import io
import warnings

import numpy as np
import torch
from torch import Tensor, nn

from nin.data.preprocess import Preprocess
from nin.deploy.engine import Answers
from nin.network.architecture import NIN
from nin.training.inputs import normalised


class Whole(nn.Module):
    """Pictures (N, H, W, C) uint8 of the network's own size -> probabilities, logits (N, K) and maps (N, K, h, w)."""

    def __init__(self, network: NIN, preprocess: Preprocess, temperature: float) -> None:
        super().__init__()
        self.network, self.preprocess, self.temperature = network, preprocess, temperature

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, H, W, C) uint8 -> (N, K), (N, K), (N, K, h, w)."""
        maps = self.network.forward_maps(normalised(pictures, self.preprocess))
        logits = self.network.gap(maps)
        return torch.softmax(logits / self.temperature, 1), logits, maps


def program(network: NIN, preprocess: Preprocess, temperature: float) -> bytes:
    """The network as a torch.export program for any number of pictures of its own size, as the bytes of a .pt2 file."""
    whole = Whole(network, preprocess, temperature).eval()
    example = torch.zeros((2, *preprocess.size, preprocess.channels), dtype=torch.uint8)
    with torch.inference_mode(False), torch.no_grad():
        exported = torch.export.export(whole, (example,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    held = io.BytesIO()
    with warnings.catch_warnings():  # it says of shared buffers that they may not be on the CPU; all are
        warnings.simplefilter("ignore", UserWarning)
        torch.export.save(exported, held)
    return held.getvalue()


def run(data: bytes, images: np.ndarray) -> Answers:
    """What the program in a .pt2 file says of pictures (N, H, W, C) uint8 of its own size."""
    loaded = torch.export.load(io.BytesIO(data)).module()
    with torch.no_grad():
        return Answers(*(value.numpy() for value in loaded(torch.from_numpy(images))))
