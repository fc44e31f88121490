"""`nin batch`: very many pictures answered into Parquet, on this machine or a cluster (torch-free)."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from nin.deploy.batch import Batched, answer, plan
from nin.errors import UsageError
from nin.workflows.journeys import need
from nin.workflows.options import BatchOptions, Listener

__all__ = ["Batched", "batch"]


def batch(
    model: str | Path,
    source: str | Path,
    destination: str | Path,
    options: BatchOptions | None = None,
    listener: Listener | None = None,
    **choices: Any,
) -> Batched:
    """Answer every picture of a folder, a Parquet file or a bucket's address, and write Parquet to `destination`.

    A row a picture: path, label, score, on request scores, and error where a picture could not be read. What is
    finished is not done twice: after an interruption the same call goes on. `choices` are fields of BatchOptions:
    `batch("runs/photos", "s3://bucket/photos", "answers", scores=True)`. Raises NinErrors in one line; Interrupted when
    the listener asks to stop.
    """
    try:
        options = replace(options or BatchOptions(), **choices)
    except TypeError:
        known = [field.name for field in fields(BatchOptions)]
        wrong = next(name for name in choices if name not in known)
        raise UsageError(f"there is no option {wrong!r}; there are {', '.join(known)}") from None
    need("ray", "pyarrow", extra="ray")
    hears = listener or Listener()
    if options.runtime == "openvino":
        need("openvino", extra="openvino")
    what = {name: getattr(options, name) for name in ("block_size", "scores", "runtime")}
    work = plan(str(model), str(source), str(destination), **what)
    for note in work.listing.notes:
        hears.note(note)

    def told(done: int, total: int) -> bool:
        hears.answered(done, total)
        return hears.should_stop()

    chosen = {name: getattr(options, name) for name in ("address", "workers", "threads", "overwrite")}
    return answer(work, **chosen, told=told)
