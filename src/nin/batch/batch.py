"""`nin batch`: very many pictures answered into Parquet, on this machine or a cluster (torch-free)."""

from pathlib import Path
from typing import Any

from nin.batch.job import Batched, answer, plan
from nin.choices import address, with_choices
from nin.extras import need
from nin.run.options import BatchOptions, Listener

__all__ = ["Batched", "answer_pictures"]


def answer_pictures(
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
    `nin.batch("runs/photos", "s3://bucket/photos", "answers", scores=True)`. Raises NinErrors in one line; Interrupted
    when the listener asks to stop.
    """
    options = with_choices(options, choices, BatchOptions)
    need("ray", "pyarrow", extra="ray")
    hears = listener or Listener()
    if options.runtime == "openvino":
        need("openvino", extra="openvino")
    what = {name: getattr(options, name) for name in ("block_size", "scores", "runtime", "column")}
    work = plan(address("model", model), address("source", source), address("destination", destination), **what)
    for note in work.listing.notes:
        hears.note(note)

    def told(done: int, total: int) -> bool:
        hears.answered(done, total)
        return hears.should_stop()

    chosen = {name: getattr(options, name) for name in ("address", "workers", "threads", "overwrite")}
    return answer(work, **chosen, told=told)
