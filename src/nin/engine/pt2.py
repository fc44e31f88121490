"""torch.export of a trained network: normalisation, network and probabilities in one .pt2 file (torch)."""

import io
import warnings

import numpy as np
import torch
from torch import Tensor, nn

from nin.bundle.likeness import Likeness
from nin.data.preprocess import Preprocess
from nin.engine.engine import Answers
from nin.network.architecture import NIN
from nin.training.tensors import normalised


class Whole(nn.Module):
    """Pictures (N, H, W, C) uint8 of the network's own size -> probabilities, logits (N, K) and maps (N, K, h, w), and
    distances (N,) where the model knows its training pictures."""

    def __init__(
        self, network: NIN, preprocess: Preprocess, temperature: float, likeness: Likeness | None = None
    ) -> None:
        super().__init__()
        self.network = network
        self.preprocess = preprocess
        self.temperature = temperature
        names = () if likeness is None else ("centre", "factor", "places", "halves")
        self.likeness = nn.ParameterList(
            nn.Parameter(torch.from_numpy(getattr(likeness, name).copy()), requires_grad=False) for name in names
        )

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """(N, H, W, C) uint8 -> (N, K), (N, K), (N, K, h, w) and, where there is one, (N,)."""
        x = normalised(pictures, self.preprocess)  # (N, C, H, W)
        maps, features = self.network.forward_both(x)  # (N, K, h, w), (N, F)
        logits = self.network.gap(maps)  # (N, K)
        answers = torch.softmax(logits / self.temperature, 1), logits, maps
        return (*answers, self._distances(features)) if len(self.likeness) else answers

    def _distances(self, features: Tensor) -> Tensor:
        """(N, F) -> (N,): the twin of `Likeness.distances`."""
        centre, factor, places, halves = self.likeness
        at = (features - centre) @ factor  # (N, F)
        nearest = (at @ places.T - halves).argmax(1)  # (N, K) -> (N,)
        distances: Tensor = (at - places[nearest]).square().sum(1).sqrt()
        return distances


def program(network: NIN, preprocess: Preprocess, temperature: float, likeness: Likeness | None = None) -> bytes:
    """The network as a torch.export program for any number of pictures of its own size, as the bytes of a .pt2 file."""
    whole = Whole(network, preprocess, temperature, likeness).eval()
    example = torch.zeros((2, *preprocess.size, preprocess.channels), dtype=torch.uint8)
    with torch.inference_mode(False), torch.no_grad():
        exported = torch.export.export(whole, (example,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    held = io.BytesIO()
    with warnings.catch_warnings():  # torch warns that shared buffers may not be on the CPU; all are
        warnings.simplefilter("ignore", UserWarning)
        torch.export.save(exported, held)
    return held.getvalue()


def run_program(data: bytes, images: np.ndarray) -> Answers:
    """The answers of the program in a .pt2 file for pictures (N, H, W, C) uint8 of its own size."""
    loaded = torch.export.load(io.BytesIO(data)).module()
    with torch.no_grad():
        return Answers(*(value.numpy() for value in loaded(torch.from_numpy(images))))
