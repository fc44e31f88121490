"""Randomness as a function of (seed, epoch, index, purpose): no stream, no state, nothing to save (torch-free).

Batch size, order of reading, worker count and interruptions cannot change a number that depends on nothing else.
"""

import zlib

import numpy as np

GOLDEN = 0x9E3779B97F4A7C15  # 2^64 / golden ratio, the increment of SplitMix64 (Steele, Lea, Flood 2014)
MASK = 0xFFFFFFFFFFFFFFFF


def _mix(z: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 on (N,) uint64: every input bit changes every output bit with probability 1/2."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = z ^ (z >> np.uint64(31))
    return mixed


def integers(seed: int, epoch: int, index: np.ndarray, purpose: str) -> np.ndarray:
    """(N,) indices -> (N,) uniform uint64, one independent number per (seed, epoch, index, purpose)."""
    state = np.full(np.shape(index), seed & MASK, dtype=np.uint64)
    for part in (zlib.crc32(purpose.encode()), epoch, np.asarray(index)):
        word = np.atleast_1d(part).astype(np.uint64)  # arrays wrap around silently, scalars warn
        state = _mix(state + (word + np.uint64(1)) * np.uint64(GOLDEN))
    return state


def uniform(seed: int, epoch: int, index: np.ndarray, purpose: str) -> np.ndarray:
    """(N,) indices -> (N,) float64 in [0, 1), multiples of 2^-53."""
    return (integers(seed, epoch, index, purpose) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def order(seed: int, epoch: int, count: int) -> np.ndarray:
    """A permutation of range(count) for one epoch, (count,) int64."""
    return np.argsort(integers(seed, epoch, np.arange(count), "order"), kind="stable")


def balanced_order(seed: int, epoch: int, labels: np.ndarray) -> np.ndarray:
    """(N,) labels -> (N,) int64 indices drawn with replacement so that every present class comes equally often."""
    present = np.unique(labels)
    positions = np.arange(len(labels))
    chosen = present[positions % len(present)]
    picks = uniform(seed, epoch, positions, "balanced pick")
    drawn = np.empty(len(labels), dtype=np.int64)
    for label in present:
        members = np.flatnonzero(labels == label)
        slots = np.flatnonzero(chosen == label)
        drawn[slots] = members[(picks[slots] * len(members)).astype(np.int64)]
    shuffled: np.ndarray = drawn[order(seed, epoch, len(labels))]
    return shuffled


def mask_seeds(seed: int, epoch: int, places: np.ndarray, layer: int) -> list[int]:
    """Seeds of the dropout masks of one layer, each below 2^63, for pictures at `places` (N,) in the order of an epoch.

    By place and not by row: a picture that a balanced epoch shows twice gets two masks.
    """
    return [int(number) for number in integers(seed, epoch, places, f"dropout {layer}") >> np.uint64(1)]


def step_seed(seed: int, epoch: int, step: int) -> int:
    """The seed of torch's own generator for one training step, below 2^63: of what draws there, as on GPUs dropout."""
    return int(integers(seed, epoch, np.array([step]), "step")[0] >> np.uint64(1))
