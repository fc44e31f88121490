"""Packages that only some commands need, and how to install them: the extras of pyproject.toml."""

import importlib.util

from nin.errors import MissingExtra

EXTRAS = {
    **dict.fromkeys(("torch", "resvg_py", "sklearn", "scipy"), "train"),
    "huggingface_hub": "hub",
    **dict.fromkeys(("ray", "pyarrow"), "ray"),
    "openvino": "openvino",
    "pillow_heif": "heic",
}  # package, as it is imported -> the extra that brings it
WITHOUT_GPU = (
    " (without a GPU, torch's CPU build is enough: pip install torch --index-url https://download.pytorch.org/whl/cpu)"
)


def need(*packages: str, what: str = "this") -> None:
    """Raise MissingExtra, with the line to type, unless these packages of one extra are installed.

    `what` needs them: the subject of the message, "this" for the command or call at work.
    """
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        advice = WITHOUT_GPU if "torch" in missing else ""
        raise MissingExtra(f"{what} needs {not_installed(*missing)}{advice}")


def not_installed(*packages: str) -> str:
    """The end of a message about missing packages of one extra: what they are, and the line that installs them."""
    verb = "is" if len(packages) == 1 else "are"
    return f"{' and '.join(packages)}, which {verb} not installed: {install(packages[0])}"


def install(package: str) -> str:
    """The line to type for a package: 'pip install "network-in-network[train]"'."""
    return f'pip install "network-in-network[{EXTRAS[package]}]"'
