"""torch.hub's door to the networks: trained ones that come with the repository, and fresh ones by name.

    model = torch.hub.load("OWNER/REPOSITORY", "nin_cifar10")        # or a folder of this repository, source="local"
    look = torch.hub.load("OWNER/REPOSITORY", "preprocess", "nin-cifar10")
    probabilities = model(look("picture.jpg")).softmax(1)            # (1, 10)

Weights are read from the repository itself and verified; nothing more is downloaded, and no pickle is opened.
"""

import sys as _sys
from pathlib import Path as _Path

dependencies = ["torch", "numpy", "PIL", "safetensors", "yaml"]

_sys.path.insert(0, str(_Path(__file__).resolve().parent / "src"))

from nin.bundle.shipped import shipped as _shipped  # noqa: E402
from nin.network.architecture import build_network as _create_model  # noqa: E402
from nin.network.named import list_models as _list_models  # noqa: E402


def preprocess(name):
    """How a trained network sees pictures: a function from a file's path or bytes to a tensor (1, C, H, W)."""
    from nin.bundle.folder import read_bundle
    from nin.bundle.shipped import find_model
    from nin.training.tensors import to_tensor

    steps = read_bundle(find_model(name)).preprocess

    def look(picture):
        return to_tensor(steps.load(picture if isinstance(picture, bytes) else _Path(picture))[None], steps, "cpu")

    return look


def _trained(name):
    def entry(pretrained=True):
        import torch

        from nin.bundle.folder import read_bundle
        from nin.bundle.shipped import find_model
        from nin.network.architecture import NIN
        from nin.network.config import NINConfig

        bundle = read_bundle(find_model(name))
        model = NIN(NINConfig.from_dict(bundle.network))
        if pretrained:
            model.load_state_dict({key: torch.from_numpy(array) for key, array in bundle.weights().items()})
            model.eval()
        return model

    entry.__doc__ = f"""{name}: trained, in eval mode, or with fresh weights (pretrained=False).

    (N, C, H, W) as `preprocess("{name}")` makes it -> logits (N, K); `model.forward_maps` gives the class maps.
    """
    return entry


def _fresh(name):
    def entry(num_classes=None, in_chans=None, **switches):
        return _create_model(name, num_classes, in_chans, **switches)

    entry.__doc__ = f"""{name} with fresh weights, as nin.create_model("{name}", num_classes, in_chans, ...)."""
    return entry


globals().update({name.replace("-", "_"): _fresh(name) for name in _list_models()})
globals().update({name.replace("-", "_"): _trained(name) for name in _shipped()})
