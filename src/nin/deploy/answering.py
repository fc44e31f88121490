"""One worker of many: it has the engine, takes blocks of pictures, and leaves one Parquet file of answers for each.

Nothing here knows Ray: a worker is a class whose objects are called, which is all that Ray Data asks for. The name of a
block's file says which block of which work it is, and it is written as a whole, so a block that is done twice, by a
worker that took over from one that was killed, is the same file again and never a second answer. (torch-free)
"""

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from os import getpid
from typing import Any

import numpy as np

from nin import __version__
from nin.artifacts import open_sealed_json
from nin.data.images import PictureError
from nin.deploy.engine import Engine, engine_from_bytes
from nin.deploy.listing import Kind, open_table, unpacked
from nin.deploy.places import Anywhere, Folder, Place, place_of
from nin.deploy.runtimes import Runtime
from nin.errors import ArtifactError, NinError, UsageError

BATCH = 64  # pictures that are decoded while as many are computed
MANIFEST = "_manifest.json"  # what begins with _ or . is no data to those who read a folder of Parquet files
READERS, BUCKET_READERS = 2, 16  # threads that read and decode: a bucket is waited for, a folder is not
Item = tuple[str, Any]  # a picture's name, and where it is: its path, its bytes, or the PictureError in its place


@dataclass(frozen=True)
class Work:
    """What every worker must know. source, destination: addresses; work: the SHA-256 that the manifest has, too.

    kind, column: as those of a listing. threads, runtime: what one worker computes with. scores: are all wanted?
    """

    source: str
    destination: str
    kind: Kind
    column: str
    work: str
    scores: bool
    threads: int = 1
    runtime: Runtime = "onnxruntime"
    version: str = __version__


@dataclass
class Rows:
    """The answers of a block, column by column; a picture that could not be read has an error and nothing else."""

    path: list[str] = field(default_factory=list)
    label: list[str | None] = field(default_factory=list)
    score: list[float | None] = field(default_factory=list)
    scores: list[np.ndarray | None] = field(default_factory=list)
    error: list[str | None] = field(default_factory=list)


class Worker:
    """Answers blocks; made once in a process and called for one block at a time. model: what `pack_engine` packed, or
    a function that fetches it."""

    def __init__(self, work: Work, model: Any) -> None:
        self.work, self._model = work, model
        self._ready = False

    def __call__(self, batch: Any) -> Any:
        """One row of `number`, `name` and `inputs` -> one of number, pictures, errors, pid, failed (why, or null)."""
        import pyarrow as pa

        (block,) = batch.to_pylist()
        done = {"number": block["number"], "pictures": 0, "errors": 0, "pid": getpid(), "failed": None}
        try:
            if not self._ready:
                self._prepare()
            rows = self._answer(unpacked(block["inputs"]))
            data = to_parquet(rows, self.engine, self.work, block["name"])
            self.destination.write(block["name"], data)
            done |= {"pictures": len(rows.path), "errors": sum(error is not None for error in rows.error)}
        except NinError as error:  # said in the process that started all this, without a traceback on the way
            done["failed"] = str(error)
        return pa.Table.from_pylist([done], _done_schema())

    def _prepare(self) -> None:
        """Make the engine, and see that this machine has the same program and the same places as the others."""
        work = self.work
        if work.version != __version__:
            raise UsageError(f"a worker has nin {__version__}, the command nin {work.version}; install the same")
        self.source, self.destination = place_of(work.source), place_of(work.destination)
        self.pictures = Anywhere(self.source) if work.kind == "paths" else self.source
        expect_work(self.destination, work.work)
        packed = self._model() if callable(self._model) else self._model
        self.engine = engine_from_bytes(packed, threads=work.threads, runtime=work.runtime)
        local = isinstance(self.source, Folder)
        self.pool = ThreadPoolExecutor(READERS if local else BUCKET_READERS)
        self._ready = True

    def _answer(self, inputs: list[Any]) -> Rows:
        """The answers for a block's pictures in their order; a batch is read and decoded while another is computed."""
        rows, waiting = Rows(), []
        items = iter(self._rows_of_tables(inputs) if self.work.kind == "bytes" else ((name, None) for name in inputs))
        while batch := [(name, self.pool.submit(self._pixels, name, data)) for name, data in islice(items, BATCH)]:
            waiting.append(batch)
            if len(waiting) == 2:
                self._compute(waiting.pop(0), rows)
        for batch in waiting:
            self._compute(batch, rows)
        return rows

    def _pixels(self, name: str, data: bytes | None) -> np.ndarray | str:
        """A picture as the engine takes it, or why there is none."""
        try:
            if self.work.kind == "bytes" and data is None:
                return "no bytes in this row"
            return self.engine.preprocess.load(self.pictures.picture(name) if data is None else data, name=name)
        except PictureError as error:
            return error.reason

    def _compute(self, batch: list[tuple[str, Future[np.ndarray | str]]], rows: Rows) -> None:
        loaded = [future.result() for _, future in batch]
        good = [pixels for pixels in loaded if isinstance(pixels, np.ndarray)]
        answers = iter(self.engine.run(np.stack(good)).probabilities if good else ())
        for (name, _), pixels in zip(batch, loaded, strict=True):
            rows.path.append(name.encode(errors="backslashreplace").decode())
            scores = None if isinstance(pixels, str) else next(answers)
            best = None if scores is None else int(scores.argmax())
            rows.label.append(None if best is None else self.engine.classes[best])
            rows.score.append(None if scores is None else float(scores[best]))
            rows.scores.append(scores)
            rows.error.append(pixels if isinstance(pixels, str) else None)

    def _rows_of_tables(self, pieces: list[Any]) -> Iterator[Item]:
        """The rows of [file, row group, first, after the last], called by their column path, or by file and row."""
        column, tables = self.work.column, {}
        for file, group, first, end in pieces:
            if file not in tables:
                tables = {file: open_table(self.source, file)}
            table = tables[file]
            before = sum(table.metadata.row_group(n).num_rows for n in range(group))
            columns = [column, *(["path"] if "path" in table.schema_arrow.names else [])]
            row = 0
            for batch in table.iter_batches(BATCH, row_groups=[group], columns=columns):
                start, stop = max(first - row, 0), min(end - row, len(batch))
                if start < stop:
                    for offset, cells in enumerate(batch.slice(start, stop - start).to_pylist(), row + start):
                        yield _item(cells, column, f"{file}#{before + offset}")
                row += len(batch)
                if row >= end:
                    break


def _item(cells: dict[str, Any], column: str, place: str) -> Item:
    cell = cells[column]
    own = cell.get("path") if isinstance(cell, dict) else None
    named = cells.get("path") or own
    return (named if isinstance(named, str) else place), (cell.get("bytes") if isinstance(cell, dict) else cell)


def expect_work(destination: Place, work: str) -> None:
    """Raise ArtifactError unless the destination is the one in which this work was begun, seen from here, too."""
    try:
        begun = open_sealed_json(destination.read(MANIFEST), MANIFEST)["work"]
    except ArtifactError:
        begun = None
    if begun != work:
        raise ArtifactError(
            f"a worker does not find at {destination.text} what was begun there; name a destination that every machine "
            "of the cluster sees under the same name"
        )


def _done_schema() -> Any:
    """What a worker says of a block, as a pyarrow.Schema."""
    import pyarrow as pa

    whole = [pa.field(name, pa.int64()) for name in ("number", "pictures", "errors", "pid")]
    return pa.schema([*whole, pa.field("failed", pa.string())])


def to_parquet(rows: Rows, engine: Engine, work: Work, name: str) -> bytes:
    """A Parquet file of answers with all that is needed to understand it in its metadata."""
    import pyarrow as pa
    from pyarrow import parquet

    columns: dict[str, Any] = {
        "path": pa.array(rows.path, pa.string()),
        "label": pa.array(rows.label, pa.string()),
        "score": pa.array(rows.score, pa.float32()),
    }
    if work.scores:
        columns["scores"] = pa.array(rows.scores, pa.list_(pa.float32()))
    columns["error"] = pa.array(rows.error, pa.string())
    facts = {
        "nin": __version__,
        "part": name,
        "errors": str(sum(error is not None for error in rows.error)),
        "model": engine.name,
        "model_sha256": engine.digest,
        "classes": json.dumps(engine.classes, ensure_ascii=False),
        "unknown_below": json.dumps(engine.calibration.unknown_below),
    }
    stream = pa.BufferOutputStream()
    parquet.write_table(pa.table(columns).replace_schema_metadata(facts), stream)
    return bytes(stream.getvalue())


def part_facts(destination: Place, name: str) -> tuple[int, int] | None:
    """(pictures, errors) of a block's file that is whole and carries its own name; None for any other."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(destination.parquet(name)) as table:
            facts = table.schema_arrow.metadata or {}
            return (table.metadata.num_rows, int(facts[b"errors"])) if facts[b"part"] == name.encode() else None
    except (pa.ArrowException, OSError, KeyError, ValueError, NinError):
        return None
