"""`nin batch`: millions of pictures classified into Parquet files, on this machine or a cluster (torch-free)."""

from pathlib import Path
from typing import Any

from nin.bulk.job import Batched, answer, plan
from nin.choices import address, with_choices
from nin.extras import need
from nin.run.options import BatchOptions, Listener


def answer_pictures(
    model: str | Path,
    source: str | Path,
    destination: str | Path,
    options: BatchOptions | None = None,
    listener: Listener | None = None,
    **choices: Any,
) -> Batched:
    """Classify every picture of a folder, a Parquet file or a bucket, and write Parquet files to `destination`.

    Each picture has a row with path, label, score and, on request, scores, or with an error where it could not be read.
    After an interruption the same call goes on and repeats no finished part. `choices` are fields of BatchOptions:
    `nin.batch("runs/photos", "s3://bucket/photos", "answers", scores=True)`. Raises NinErrors in one line; Interrupted
    when the listener asks to stop.
    """
    options = with_choices(options, choices, BatchOptions)
    need("ray", "pyarrow")
    listener = listener or Listener()
    names = ("block_size", "scores", "runtime", "column", "threads", "address", "overwrite")
    what = {name: getattr(options, name) for name in names}
    work = plan(address("model", model), address("source", source), address("destination", destination), **what)
    for note in work.listing.notes:
        listener.note(note)
    if why := work.choice.in_words():
        listener.note(f"runtime {why}")

    def told(done: int, total: int) -> bool:
        listener.answered(done, total)
        return listener.should_stop()

    chosen = {name: getattr(options, name) for name in ("address", "workers", "threads", "overwrite")}
    return answer(work, **chosen, told=told)
