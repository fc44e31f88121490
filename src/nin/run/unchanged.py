"""Whether a resumed run has the pictures it began with, pixel for pixel: names and sizes may stay when they change."""

import hashlib
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from nin.errors import ModelError, escape_name
from nin.run.options import Listener
from nin.run.run import Run


def picture_state(run: Run) -> dict[str, Any]:
    """What a checkpoint must know of the pictures of a run to notice that they changed, JSON-able.

    decoded: split -> SHA-256 over the digests of its pictures as the network gets them, in their order; decoder: what
    made pixels of files. streamed: SHA-256 over places, sizes and times of the files of train, whose pixels are not at
    hand.
    """
    state: dict[str, Any] = {
        "decoded": {name: hashlib.sha256(found.tobytes()).hexdigest() for name, found in sorted(run.digests.items())},
        "decoder": f"Pillow {version('pillow')}",
    }
    if "train" not in run.digests:
        digest = hashlib.sha256()
        for part in run.source.splits["train"].stored.state():
            digest.update(part)
        state["streamed"] = digest.hexdigest()
    return state


def expect_unchanged(run: Run, before: Mapping[str, Any], listener: Listener, moved: Path | None) -> None:
    """Raise ModelError where pictures changed since the run began; note where they may have.

    before: what `picture_state` gave then, empty for a run that an earlier version began. moved: where they lie now, if
    they have moved: files that were copied have other times.
    """
    now = picture_state(run)
    changed = [name for name, found in before.get("decoded", {}).items() if now["decoded"].get(name) != found]
    place = escape_name(run.source.path)
    if changed and before["decoder"] == now["decoder"]:
        raise ModelError(
            f"pictures of {' and '.join(changed)} in {place} are not those the run began with, though their files' "
            "names and sizes are; put those back, or start a new run"
        )
    if changed:
        listener.note(
            f"pictures of {' and '.join(changed)} have other pixels than when the run began: {before['decoder']} read "
            f"them then, {now['decoder']} does now; it goes on, but not bit for bit the same"
        )
    if moved is None and "streamed" in before and before["streamed"] != now.get("streamed"):
        listener.note(
            f"files of train in {place} were written anew since the run began; if they are other pictures, start a "
            "new run"
        )
