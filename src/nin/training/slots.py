"""Where the checkpoints of a run lie in its folder (torch-free)."""

from pathlib import Path

SLOTS = ("checkpoint-0.safetensors", "checkpoint-1.safetensors")  # written in turn: one good one always stays


def has_checkpoint(folder: Path) -> bool:
    """Whether there is one, intact or not."""
    return any((folder / name).is_file() for name in SLOTS)
