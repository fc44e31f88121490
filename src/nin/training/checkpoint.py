"""Exact resume: a checkpoint holds everything that decides the next bit (weights, momentum, position)."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nin.data.preprocess import Preprocess
from nin.errors import ArtifactError, ModelError, NotFinite
from nin.sealed import read_tensors, write_tensors
from nin.training.distributed import Team
from nin.training.loop import Trainer
from nin.training.slots import SLOTS
from nin.training.state import Epoch, Position

FORMAT = 1
FITTED = "preprocess/"  # before the names of what the preprocessing was fitted to: a resumed run never fits again
Saved = tuple[dict[str, np.ndarray], Position, dict[str, Any]]


def save(folder: Path, trainer: Trainer, about: dict[str, Any]) -> None:
    """Write the trainer's whole state over the older of the two checkpoints; `about` (JSON-able) travels with it.

    NotFinite, with nothing written, for numbers that are not finite.
    """
    tensors = {f"model/{k}": v for k, v in trainer.model.state_dict().items()}
    tensors |= {f"best/{k}": v for k, v in trainer.best.items()}
    for index, parameter in enumerate(_parameters(trainer)):
        momentum = trainer.optimizer.state.get(parameter, {}).get("momentum_buffer")
        if momentum is not None:
            tensors[f"momentum/{index}"] = momentum
    arrays = {k: np.asarray(v.detach().cpu().numpy(), order="C") for k, v in tensors.items()}  # counters keep shape ()
    arrays |= {f"{FITTED}{k}": v for k, v in trainer.preprocess.tensors().items()}
    broken = [name for name, array in arrays.items() if array.dtype.kind == "f" and not np.isfinite(array).all()]
    if broken:
        raise NotFinite(f"{broken[0]} is not finite; it was not saved, the checkpoint before it stays")
    trainer.position.saves += 1
    metadata = {
        "format": str(FORMAT),
        "position": json.dumps(asdict(trainer.position)),
        "about": json.dumps(about),
    }
    write_tensors(folder / SLOTS[trainer.position.saves % 2], arrays, metadata)


def newest(folder: Path) -> tuple[Saved, tuple[str, ...]]:
    """The newest intact checkpoint of a run folder (tensors, position, `about`) and notes on damaged ones."""
    found = [folder / name for name in SLOTS if (folder / name).is_file()]
    if not found:
        raise ModelError(f"{folder} holds no checkpoint; expected the folder of an interrupted `nin train`")
    intact: list[Saved] = []
    damaged: list[str] = []
    for path in found:
        try:
            intact.append(_read(path))
        except ArtifactError as error:
            damaged.append(str(error))
    if not intact:
        raise ModelError(f"no checkpoint in {folder} is intact: {damaged[0]}; start the training again")
    notes = tuple(f"{text}; it is kept, the other checkpoint is used" for text in damaged)
    return max(intact, key=lambda saved: saved[1].saves), notes


def load_together(folder: Path, team: Team) -> tuple[Saved, tuple[str, ...]]:
    """What `newest` gives rank 0, on all ranks; the others need not see the folder."""
    if team.world == 1:
        return newest(folder)
    tensors: dict[str, np.ndarray] = {}
    text = ""
    if team.first:
        (tensors, position, about), notes = newest(folder)
        text = json.dumps([asdict(position), about, notes])
    tensors, text = team.broadcast_arrays(tensors, text)
    raw, about, notes = json.loads(text)
    return (tensors, _position(raw), about), tuple(notes)


def _position(raw: dict[str, Any]) -> Position:
    return Position(**{**raw, "history": [Epoch(**row) for row in raw["history"]]})


def _read(path: Path) -> Saved:
    tensors, metadata = read_tensors(path)
    if metadata.get("format") != str(FORMAT):
        raise ModelError(f"{path} has checkpoint format {metadata.get('format')!r}; this program reads {FORMAT}")
    return tensors, _position(json.loads(metadata["position"])), json.loads(metadata["about"])


def preprocess_of(tensors: dict[str, np.ndarray], about: dict[str, Any]) -> Preprocess:
    """The preprocessing that a checkpointed run began with, what was fitted included; raises ModelError."""
    fitted = {name.removeprefix(FITTED): array for name, array in tensors.items() if name.startswith(FITTED)}
    return Preprocess.from_dict(about["preprocess"], fitted)


def restore(trainer: Trainer, tensors: dict[str, np.ndarray], position: Position) -> None:
    """Put a trainer of the same network and recipe into the saved state, bit for bit."""
    groups: dict[str, dict[str, torch.Tensor]] = {"model": {}, "best": {}, "momentum": {}}
    for name, array in tensors.items():
        kind, _, key = name.partition("/")
        if name.startswith(FITTED):
            continue
        groups[kind][key] = torch.from_numpy(array.copy()).to(trainer.hardware.device)
    try:
        trainer.model.load_state_dict(groups["model"])
    except RuntimeError as error:
        raise ModelError(f"the checkpoint belongs to another network: {str(error).splitlines()[-1].strip()}") from None
    parameters = _parameters(trainer)
    for key, momentum in groups["momentum"].items():
        parameter = parameters[int(key)]
        buffer = torch.empty_like(parameter).copy_(momentum)  # in the parameter's own memory layout
        trainer.optimizer.state[parameter]["momentum_buffer"] = buffer
    trainer.restore(position, groups["best"])


def _parameters(trainer: Trainer) -> list[torch.nn.Parameter]:
    return [parameter for group in trainer.optimizer.param_groups for parameter in group["params"]]
