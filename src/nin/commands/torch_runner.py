"""A model folder as a torch network: what `nin.load` gives, and what a GPU computes with."""

import os
from typing import Any

import numpy as np
import torch

from nin.bundle.folder import Bundle
from nin.bundle.shipped import shipped
from nin.engine.engine import Answers, expect_finite
from nin.errors import ModelError, UsageError
from nin.network.architecture import NIN
from nin.network.config import NINConfig
from nin.network.named import list_models
from nin.run.which_network import configure_network
from nin.training import hardware
from nin.training.evaluation import softmax
from nin.training.tensors import to_tensor


class TorchRunner:
    """The network of a model folder in torch, in float32; `model` is the module, the rest as the engine has it."""

    precision = "float32"

    def __init__(self, bundle: Bundle, device: str = "auto", threads: int | None = None) -> None:
        self.name = str(bundle.folder)
        self.classes = bundle.classes
        self.preprocess = bundle.preprocess
        self.calibration = bundle.calibration
        self.likeness = bundle.likeness
        self.hardware = hardware.choose(device, threads, "float32")
        self.threads = self.hardware.threads
        self.model = _network(bundle).to(self.hardware.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

    def run(self, images: np.ndarray) -> Answers:
        """Answers for (N, H, W, C) uint8 of the network's own size; ModelError when a number is not finite."""
        with hardware.threads_used(self.threads), torch.inference_mode():
            x = to_tensor(np.asarray(images), self.preprocess, self.hardware.device)
            maps, features = self.model.forward_both(x.contiguous(memory_format=torch.channels_last))
            logits = self.model.gap(maps).float().cpu().numpy()
            maps, features = maps.float().cpu(), features.float().cpu()
        probabilities = softmax(logits, self.calibration.temperature).astype(np.float32)
        distances = None if self.likeness is None else self.likeness.distances(features.numpy())
        return expect_finite(Answers(probabilities, logits, maps.numpy(), distances), self.name)

    def in_words(self) -> str:
        """What computes, for people."""
        return f"torch {torch.__version__}, {self.hardware}"


def create_model(
    name: str | os.PathLike[str] | NINConfig,
    num_classes: int | None = None,
    in_chans: int | None = None,
    **switches: Any,
) -> NIN:
    """Build a freshly initialised network: `create_model("nin", 5, width=0.5)`, `create_model("mine.yaml", 5)`.

    name: one of `list_models`, the path of a network file, or a configuration. Other arguments as those of
    nin.network.named.configure; a trained model has its own name, and `nin.load`.
    """
    if name in shipped() and name not in list_models():
        raise UsageError(f"{name} is a trained model, not a network to begin with; get it with nin.load({name!r})")
    return NIN(configure_network(name, num_classes, in_chans, **switches))


def _network(bundle: Bundle) -> NIN:
    model = NIN(NINConfig.from_dict(bundle.network), generator=torch.Generator())  # torch's own stays as it is
    weights = {name: torch.from_numpy(array.copy()) for name, array in bundle.weights().items()}
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise ModelError(f"the weights in {bundle.folder} do not fit its config.json: {reason}") from None
    return model
