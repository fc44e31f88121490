"""One worker of many: it holds the engine, takes blocks of pictures, and writes one Parquet file of answers for each.

Nothing here imports Ray: Ray Data needs only a class whose objects can be called. The name of a block's file says which
block of which work it holds, and the file is written as a whole. So a block that is done twice, since its first worker
was killed, gives the same file again and no second answer. (torch-free)
"""

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from os import getpid
from typing import Any

import numpy as np

from nin.bulk.listing import PATH_COLUMNS, Kind, beside, open_parquet, own_name, unpacked
from nin.bulk.places import Anywhere, Folder, Place, place_of
from nin.choices import Runtime
from nin.data.images import PictureError
from nin.engine.engine import Engine, engine_from_bytes
from nin.errors import ArtifactError, NinError, UsageError, escape_name
from nin.sealed import open_sealed_json, seal_json
from nin.version import __version__

BATCH = 64  # pictures that are decoded while as many are computed
MANIFEST = "_manifest.parquet"  # without rows, so that the whole folder can be read as one table
READERS = 2  # threads that read and decode from a folder
BUCKET_READERS = 16  # from a bucket, where most of the time is waiting
Item = tuple[str, bytes | str | None]  # a picture's name, and its bytes, or where they lie


@dataclass(frozen=True)
class Work:
    """What every worker needs to know. source, destination: addresses; work: the SHA-256 in the manifest.

    kind, column: as in the Listing. threads, runtime: what one worker computes with. scores: whether to write all.
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
class AnswerColumns:
    """The answers of a block, column by column; a picture that could not be read has an error and nothing else."""

    path: list[str] = field(default_factory=list)
    label: list[str | None] = field(default_factory=list)
    score: list[float | None] = field(default_factory=list)
    unknown: list[bool | None] = field(default_factory=list)
    scores: list[np.ndarray | None] = field(default_factory=list)
    error: list[str | None] = field(default_factory=list)


class Worker:
    """Answers blocks; made once in a process and called for one block at a time. model: what `pack_engine` packed, or
    a function that fetches it."""

    def __init__(self, work: Work, model: Any) -> None:
        self.work = work
        self._model = model
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
        except NinError as error:  # raised again by the command; an exception here would come with Ray's traceback
            done["failed"] = str(error)
        return pa.Table.from_pylist([done], _done_schema())

    def _prepare(self) -> None:
        """Make the engine; raise where this machine has another version of nin or does not see the destination."""
        work = self.work
        if work.version != __version__:
            raise UsageError(f"a worker has nin {__version__}, the command nin {work.version}; install the same")
        self.source = place_of(work.source)
        self.destination = place_of(work.destination)
        self.pictures = self.source if work.kind == "pictures" else Anywhere(self.source)
        expect_work(self.destination, work.work)
        packed = self._model() if callable(self._model) else self._model
        self.engine = engine_from_bytes(packed, threads=work.threads, runtime=work.runtime)
        local = isinstance(self.source, Folder)
        self.pool = ThreadPoolExecutor(READERS if local else BUCKET_READERS)
        self._ready = True

    def _answer(self, inputs: list[Any]) -> AnswerColumns:
        """The answers for a block's pictures in their order; a batch is read and decoded while another is computed."""
        rows = AnswerColumns()
        waiting = []
        bytes_ = self.work.kind == "bytes"
        items = iter(self._rows_of_tables(inputs) if bytes_ else ((own_name(name), name) for name in inputs))
        while batch := [(name, self.pool.submit(self._pixels, name, data)) for name, data in islice(items, BATCH)]:
            waiting.append(batch)
            if len(waiting) == 2:
                self._compute(waiting.pop(0), rows)
        for batch in waiting:
            self._compute(batch, rows)
        return rows

    def _pixels(self, name: str, data: bytes | str | None) -> np.ndarray | str:
        """A picture as the engine takes it, or why there is none. data: its bytes, or where they lie."""
        try:
            if data is None:
                return "neither bytes nor a path in this row"
            found = self.pictures.picture(data) if isinstance(data, str) else data
            return self.engine.preprocess.load(found, name=name)
        except PictureError as error:
            return error.reason

    def _compute(self, batch: list[tuple[str, Future[np.ndarray | str]]], rows: AnswerColumns) -> None:
        loaded = [future.result() for _, future in batch]
        good = [pixels for pixels in loaded if isinstance(pixels, np.ndarray)]
        answers = self.engine.run(np.stack(good)) if good else None
        numbers = iter(range(len(good)))
        for (name, _), pixels in zip(batch, loaded, strict=True):
            rows.path.append(name.encode(errors="backslashreplace").decode())
            if answers is None or isinstance(pixels, str):
                for column in (rows.label, rows.score, rows.unknown, rows.scores):
                    column.append(None)
                rows.error.append(pixels if isinstance(pixels, str) else None)
                continue
            number = next(numbers)
            scores = answers.probabilities[number]
            distance = answers.distance(number)
            best = int(scores.argmax())
            rows.label.append(self.engine.classes[best])
            rows.score.append(float(scores[best]))
            rows.unknown.append(self.engine.calibration.is_unknown(float(scores[best]), distance))
            rows.scores.append(scores)
            rows.error.append(None)

    def _rows_of_tables(self, pieces: list[Any]) -> Iterator[Item]:
        """The rows of [file, row group, first, after the last], called by their column path, or by file and row."""
        column = self.work.column
        tables: dict[str, Any] = {}
        for file, group, first, end in pieces:
            if file not in tables:
                tables = {file: open_parquet(self.source, file)}
            table = tables[file]
            before = sum(table.metadata.row_group(n).num_rows for n in range(group))
            names = [name for name in PATH_COLUMNS if name in table.schema_arrow.names and name != column][:1]
            row = 0
            for batch in table.iter_batches(BATCH, row_groups=[group], columns=[column, *names]):
                start = max(first - row, 0)
                stop = min(end - row, len(batch))
                if start < stop:
                    for offset, cells in enumerate(batch.slice(start, stop - start).to_pylist(), row + start):
                        yield _item(cells, column, names, f"{file}#{before + offset}", file)
                row += len(batch)
                if row >= end:
                    break


def _item(cells: dict[str, Any], column: str, names: list[str], place: str, file: str) -> Item:
    """A row's own name, and its bytes or, as Hugging Face's data sets have it, the path beside bytes that are null."""
    cell = cells[column]
    own, data = (cell.get("path"), cell.get("bytes")) if isinstance(cell, dict) else (None, cell)
    named = next((each for each in (*(cells[name] for name in names), own) if isinstance(each, str) and each), None)
    if data is None and isinstance(own, str) and own:
        data = beside(file, own)
    return (named or place), data


def expect_work(destination: Place, work: str) -> None:
    """Raise ArtifactError unless the destination is the one in which this work was begun, seen from here, too."""
    try:
        begun = read_manifest(destination)["work"]
    except ArtifactError:
        begun = None
    if begun != work:
        raise ArtifactError(
            f"a worker does not find at {destination.text} what was begun there; name a destination that every machine "
            "of the cluster sees under the same name"
        )


def _done_schema() -> Any:
    """The columns that a worker returns for a block, as a pyarrow.Schema."""
    import pyarrow as pa

    whole = [pa.field(name, pa.int64()) for name in ("number", "pictures", "errors", "pid")]
    return pa.schema([*whole, pa.field("failed", pa.string())])


def _answers_schema(scores: bool, facts: dict[str, str]) -> Any:
    """The columns and metadata of every file in a destination, as a pyarrow.Schema."""
    import pyarrow as pa

    columns = {"path": pa.string(), "label": pa.string(), "score": pa.float32(), "unknown": pa.bool_()}
    columns |= {"scores": pa.list_(pa.float32())} if scores else {}
    return pa.schema([*columns.items(), ("error", pa.string())], metadata=facts)


def to_parquet(rows: AnswerColumns, engine: Engine, work: Work, name: str) -> bytes:
    """A Parquet file of answers; its metadata hold classes, model and thresholds."""
    import pyarrow as pa
    from pyarrow import parquet

    facts = {
        "nin": __version__,
        "part": name,
        "errors": str(sum(error is not None for error in rows.error)),
        "model": engine.name,
        "model_sha256": engine.digest,
        "classes": json.dumps(engine.classes, ensure_ascii=False),
        "unknown_below": json.dumps(engine.calibration.unknown_below),
        "unknown_beyond": json.dumps(engine.calibration.unknown_beyond),
    }
    schema = _answers_schema(work.scores, facts)
    stream = pa.BufferOutputStream()
    parquet.write_table(pa.table([getattr(rows, field.name) for field in schema], schema=schema), stream)
    return bytes(stream.getvalue())


def manifest_file(said: dict[str, Any]) -> bytes:
    """The manifest of a destination: a table without rows whose metadata hold `said` as sealed JSON."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    stream = pa.BufferOutputStream()
    ParquetWriter(stream, _answers_schema(bool(said["scores"]), {"manifest": seal_json(said).decode()})).close()
    return bytes(stream.getvalue())


def read_manifest(destination: Place) -> dict[str, Any]:
    """The content of the manifest; ArtifactError where it is damaged."""
    import pyarrow as pa
    from pyarrow.parquet import read_metadata

    name = f"{destination.text}/{MANIFEST}"
    try:
        said = (read_metadata(pa.BufferReader(destination.read(MANIFEST))).metadata or {})[b"manifest"]
    except (pa.ArrowException, OSError, KeyError) as error:
        raise ArtifactError(f"{escape_name(name)} is damaged; choose another destination, or remove it") from error
    return open_sealed_json(said, name)


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
