"""What was measured on this machine before, in the user's cache folder: a courtesy to the next start (torch-free).

A memory that is not there, damaged, foreign or not allowed is none, and never an error: whoever asks measures again.
"""

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from nin.artifacts import make_folder, read_bytes, remove, write_bytes
from nin.data.machine import cache_folder
from nin.errors import ArtifactError
from nin.orphans import sweep
from nin.sealed import open_sealed_json, seal_json

MOST = 64  # memories of a kind: those written last stay
LARGEST = 10_000  # bytes of one


def recall(kind: str, key: object) -> Any:
    """What was remembered under this key, a JSON value that is equal to it; None where nothing was."""
    place = _place(kind, key)
    if place is None:
        return None
    with suppress(ArtifactError, OSError):
        kept = open_sealed_json(read_bytes(place, limit=LARGEST), place)
        if kept.get("of") == _as_read(key):
            return kept.get("found")
    return None


def remember(kind: str, key: object, found: object) -> None:
    """Keep a JSON value under a key, itself JSON, for `recall`; the oldest of its kind are forgotten beyond MOST."""
    place = _place(kind, key)
    if place is None:
        return
    with suppress(ArtifactError, OSError):
        sweep(place.parent)
        write_bytes(make_folder(place.parent) / place.name, seal_json({"found": found, "of": key}))
        kept = sorted(place.parent.glob(f"{kind}-*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for old in kept[MOST:]:
            remove(old)


def _place(kind: str, key: object) -> Path | None:
    folder = cache_folder()
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return None if folder is None else folder / f"{kind}-{digest[:16]}.json"


def _as_read(key: object) -> Any:
    """A key as it comes back from a file: its tuples are lists."""
    return json.loads(json.dumps(key))
