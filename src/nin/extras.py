"""Packages that only some commands need, and how to install them: the extras of pyproject.toml."""

import importlib.util

from nin.errors import MissingExtra

EXTRAS = {
    **dict.fromkeys(("torch", "resvg_py", "sklearn"), "train"),
    "huggingface_hub": "hub",
    **dict.fromkeys(("ray", "pyarrow"), "ray"),
}  # package -> the extra that brings it


def need(*roots: str, extra: str = "train") -> None:
    """Raise MissingExtra, with the line to type, unless these packages, which the extra brings, are installed."""
    missing = [root for root in roots if importlib.util.find_spec(root) is None]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        without_gpu = (
            " (without a GPU, torch's CPU build is enough: "
            "pip install torch --index-url https://download.pytorch.org/whl/cpu)"
        )
        raise MissingExtra(
            f'this needs {" and ".join(missing)}, which {verb} not installed: pip install "network-in-network[{extra}]"'
            f"{without_gpu if extra == 'train' else ''}"
        )
