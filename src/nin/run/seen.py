"""Which pictures a run learnt from and which it held out, known by their pixels wherever they lie now (torch-free).

A picture's digest is over its pixels as the network gets them, so that a copy, another name, another lossless format
and an array of the same picture are the same picture. The digests stay in the run folder and go nowhere with the model.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np

from nin.bundle.folder import Bundle
from nin.data.splits import Source, Split, hold_out
from nin.data.stream import Images
from nin.sealed import read_tensors, write_tensors

SEEN = "pictures.safetensors"  # in the run folder
DIGEST = 8  # bytes: two of a million different pictures share one in 1 of 37 million runs


def digests(images: Images | Iterable[np.ndarray]) -> np.ndarray:
    """(N,) uint64, one for each picture (H, W, C) uint8; pictures of the same pixels have the same."""
    found = (blake2b(np.ascontiguousarray(picture).data, digest_size=DIGEST).digest() for picture in images)
    return np.frombuffer(b"".join(found), "<u8").astype(np.uint64)


@dataclass(frozen=True, eq=False)
class Seen:
    """What is known of a model's training.

    pictures: split -> digests (uint64); "train" is missing where the run streamed them, all are where its folder is not
    here. fingerprint, seed, holdout: of the data set as the run divided it, and how it did.
    """

    pictures: Mapping[str, np.ndarray]
    fingerprint: str
    seed: int
    holdout: float | None

    def among(self, split: str, found: np.ndarray) -> np.ndarray:
        """(N,) bool: which of these digests (N,) are of pictures of that split of the run."""
        return np.isin(found, self.pictures.get(split, np.empty(0, np.uint64)))

    def held_out_of(self, source: Source) -> Split | None:
        """The part of `source` that the run held out, if it is the very data set (names and sizes) that it divided."""
        if self.holdout is None or "train" not in source.splits or "validation" in source.splits:
            return None
        again = hold_out(source, seed=self.seed, holdout=self.holdout)
        return again.splits["validation"] if again.fingerprint == self.fingerprint else None


def write_seen(folder: Path, pictures: Mapping[str, np.ndarray], fingerprint: str) -> None:
    """Write the digests of a run's pictures, by split, into its folder: sorted, so that the order stays private."""
    write_tensors(
        folder / SEEN, {name: np.unique(found) for name, found in pictures.items()}, {"fingerprint": fingerprint}
    )


def seen_by(bundle: Bundle) -> Seen | None:
    """What is known of the training of a model; None where its folder records nothing of it."""
    provenance = bundle.provenance
    folder = bundle.folder.resolve()
    if not provenance.get("fingerprint"):
        return None
    pictures: dict[str, np.ndarray] = {}
    if folder.name == "model" and (folder.parent / SEEN).is_file():
        found, words = read_tensors(folder.parent / SEEN)
        pictures = found if words.get("fingerprint") == provenance["fingerprint"] else {}
    if not pictures and "holdout" not in provenance:
        return None
    seed = int(provenance.get("recipe", {}).get("seed", 0))
    return Seen(pictures, str(provenance["fingerprint"]), seed, provenance.get("holdout"))
