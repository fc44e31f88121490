"""The pictures of a batch in blocks: those of a folder or bucket, or the rows of Parquet files (torch-free).

A listing depends on the names, sizes and times of its files alone, so the same source gives the same blocks in every
process and after every restart; the fingerprint differs where the source has changed.
"""

import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal, NamedTuple

from nin.bulk.places import Entry, Place, place_of
from nin.data.codecs.headers import READABLE
from nin.data.images import is_picture_name
from nin.errors import DataError, UsageError, escape_name

BLOCK = 512  # pictures: seconds of work, and a part of some ten kB
GROUP_PARTS = 8  # at most so many blocks a row group: each of them reads the group from its beginning
BYTES_COLUMNS = (
    "bytes",
    "image",
    "img",
    "picture",
    "photo",
    "pixel_values",
    "image_bytes",
    "jpg",
    "jpeg",
    "png",
    "webp",
)
PATH_COLUMNS = (
    "path",
    "file_name",
    "filename",
    "file",
    "file_path",
    "filepath",
    "image_path",
    "img_path",
    "uri",
    "url",
)
USUAL = ("bytes", "image", "path")  # columns that are read without a note
Kind = Literal["pictures", "paths", "bytes"]


class Block(NamedTuple):
    """A part of the work. digest: of its pictures' names, sizes and times; inputs: what `packed` made."""

    number: int
    pictures: int
    digest: str
    inputs: bytes


@dataclass(frozen=True, eq=False)
class Listing:
    """All pictures of a batch. place: what names are relative to; column: the one that is read; notes: for the user."""

    place: Place
    kind: Kind
    column: str
    blocks: tuple[Block, ...]
    notes: tuple[str, ...]

    @property
    def pictures(self) -> int:
        """Pictures in all blocks together."""
        return sum(block.pictures for block in self.blocks)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over everything that decides which picture is where."""
        digest = hashlib.sha256(f"{self.kind} {self.column}".encode())
        for block in self.blocks:
            digest.update(f"\n{block.pictures} {block.digest}".encode())
        return digest.hexdigest()


def packed(inputs: list[Any]) -> bytes:
    """The names of a block's pictures, or its pieces [file, row group, first row, row after the last], as few bytes."""
    return zlib.compress(json.dumps(inputs, separators=(",", ":")).encode(), 1)


def unpacked(data: bytes) -> list[Any]:
    """The inverse of `packed`."""
    inputs: list[Any] = json.loads(zlib.decompress(data))
    return inputs


def open_listing(source: str, block_size: int = BLOCK, column: str | None = None) -> Listing:
    """The blocks of a folder, a bucket's prefix or a Parquet file; raises DataError with one line for anything else.

    column: of Parquet files, the one with the pictures or their paths; None: recognised by its name and type.
    """
    if source.lower().endswith((".parquet", ".pq")):
        above, _, name = source.rstrip("/").rpartition("/")
        place = place_of(above or ("/" if source.startswith("/") else "."))
        if (entry := place.entry(name)) is not None:
            return _tables(place, [entry], block_size, (), column)
    place = place_of(source)
    ignored: Counter[str] = Counter()
    tables: list[Entry] = []

    def pictures() -> Iterator[Entry]:
        for entry in place.walk():
            if is_picture_name(entry.name):
                yield entry
            elif entry.name.lower().endswith((".parquet", ".pq")):
                tables.append(entry)
            else:
                ignored[PurePosixPath(entry.name).suffix.lower() or "no suffix"] += 1

    blocks = tuple(_cut(pictures(), block_size))
    notes = [f"ignored: {count:,} x {escape_name(kind)}" for kind, count in ignored.most_common(5)]
    if blocks:
        if column is not None:
            raise UsageError(
                f"--column is for Parquet files, and {escape_name(place.text)} holds pictures; leave it out"
            )
        notes += [f"ignored: {len(tables):,} x parquet beside pictures"] if tables else []
        return Listing(place, "pictures", "", blocks, tuple(notes))
    if tables:
        return _tables(place, tables, block_size, tuple(notes), column)
    raise DataError(
        f"{escape_name(place.text)} holds no pictures; expected {READABLE} files, or Parquet files with a column path "
        "or bytes"
    )


def _cut(entries: Iterable[Entry], size: int) -> Iterator[Block]:
    """Blocks of `size` entries, the last one of what is left."""
    number = 0
    names: list[str] = []
    digest = hashlib.sha256()
    for entry in entries:
        names.append(entry.name)
        digest.update(f"{entry.size} {entry.changed} {entry.name}\0".encode(errors="surrogateescape"))
        if len(names) == size:
            yield Block(number, size, digest.hexdigest(), packed(names))
            number += 1
            names = []
            digest = hashlib.sha256()
    if names:
        yield Block(number, len(names), digest.hexdigest(), packed(names))


def _tables(place: Place, entries: list[Entry], block_size: int, notes: tuple[str, ...], wanted: str | None) -> Listing:
    opened = ((entry, open_parquet(place, entry.name)) for entry in entries)
    first, table = next(opened)
    kind, column = _column(table, first.name, wanted)
    if column not in USUAL and wanted is None:
        notes = (
            *notes,
            f"{'pictures' if kind == 'bytes' else 'paths of pictures'} are read from the column {escape_name(column)}",
        )

    def all_tables() -> Iterator[tuple[Entry, Any]]:
        yield first, table
        for entry, other in opened:
            if _column(other, entry.name, wanted) != (kind, column):
                names = f"{escape_name(first.name)} and {escape_name(entry.name)}"
                raise DataError(f"{names} have different columns; give Parquet files of one kind")
            yield entry, other

    if kind == "paths":
        rows = (row for entry, other in all_tables() for row in _paths(entry, other, column))
        blocks = tuple(_cut(rows, block_size))
    else:
        blocks = tuple(_row_blocks(all_tables(), block_size))
    if not blocks:
        raise DataError(f"{escape_name(place.text)}: the Parquet files have no rows; give some that have")
    return Listing(place, kind, column, blocks, notes)


def open_parquet(place: Place, name: str) -> Any:
    """A pyarrow.parquet.ParquetFile; DataError in one line where it is none."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        return ParquetFile(place.parquet(name))
    except (pa.ArrowException, OSError) as error:
        reason = escape_name(str(error).split("\n")[0])[:150]
        raise DataError(f"{escape_name(name)} is no whole Parquet file ({reason}); write it again") from error


def _column(table: Any, name: str, wanted: str | None) -> tuple[Kind, str]:
    """The kind of a table's rows and the column with the pictures or paths: `wanted`, or the usual one."""
    kinds = {field.name: _kind(field.type) for field in table.schema_arrow}
    found = escape_name(", ".join(kinds))[:150] or "nothing"
    shown = escape_name(name)
    if wanted is not None:
        kind = kinds.get(wanted)
        if kind is None:
            what = "no picture or path" if wanted in kinds else "not there"
            raise DataError(f"{shown}: the column {escape_name(wanted)!r} is {what}; --column can be one of {found}")
        return kind, wanted
    bytes_ = [each for each, kind in kinds.items() if kind == "bytes"]
    paths = [each for each, kind in kinds.items() if kind == "paths"]
    chosen = next((each for each in BYTES_COLUMNS if each in bytes_), None)
    if chosen is None and len(bytes_) == 1:
        chosen = bytes_[0]
    if chosen is not None:
        return "bytes", chosen
    chosen = None if bytes_ else next((each for each in (*PATH_COLUMNS, *BYTES_COLUMNS) if each in paths), None)
    if chosen is not None:
        return "paths", chosen
    raise DataError(
        f"{shown} has the columns {found}; expected bytes or image (binary), or path (text), or name it with --column"
    )


def _kind(column: Any) -> Kind | None:
    """Whether a column of this type can hold pictures, or paths; Hugging Face's data sets have {bytes, path}."""
    import pyarrow as pa

    column = column.value_type if pa.types.is_dictionary(column) else column
    if pa.types.is_struct(column):
        inside = [column.field(number) for number in range(column.num_fields)]
        return "bytes" if any(field.name == "bytes" and _kind(field.type) == "bytes" for field in inside) else None
    if any(test(column) for test in (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)):
        return "bytes"
    if pa.types.is_fixed_size_binary(column):
        return "bytes"
    return (
        "paths"
        if pa.types.is_string(column) or pa.types.is_large_string(column) or pa.types.is_string_view(column)
        else None
    )


def beside(table: str, name: str) -> str:
    """A path in a table, after the table's folder and a NUL where that folder is not the source; see `own_name`."""
    folder = table.rpartition("/")[0]
    return f"{folder}\0{name}" if folder else name


def own_name(place: str) -> str:
    """The path as the row has it, out of what `beside` made."""
    return place.rpartition("\0")[2]


def _paths(entry: Entry, table: Any, column: str) -> Iterator[Entry]:
    """The rows of a table of paths, with the table's own size and time: the files themselves are not looked at."""
    for batch in table.iter_batches(columns=[column]):
        for name in batch.column(0).to_pylist():
            yield Entry(beside(entry.name, name) if name else "", entry.size, entry.changed)


def _row_blocks(tables: Iterable[tuple[Entry, Any]], block_size: int) -> Iterator[Block]:
    """Blocks of rows: small row groups together, large ones cut, but into no more than GROUP_PARTS."""
    number = 0
    count = 0  # rows of the block under way
    pieces: list[list[Any]] = []
    digest = hashlib.sha256()
    for entry, table in tables:
        for group in range(table.num_row_groups):
            rows = table.metadata.row_group(group).num_rows
            start = 0
            size = max(block_size, -(-rows // GROUP_PARTS))
            while start < rows:
                stop = min(rows, start + max(1, size - count))
                pieces.append([entry.name, group, start, stop])
                said = f"{entry.size} {entry.changed} {group} {start} {stop} {entry.name}\0"
                digest.update(said.encode(errors="surrogateescape"))
                count += stop - start
                start = stop
                if count >= block_size and (count >= size or start == rows):
                    yield Block(number, count, digest.hexdigest(), packed(pieces))
                    number += 1
                    count = 0
                    pieces = []
                    digest = hashlib.sha256()
    if pieces:
        yield Block(number, count, digest.hexdigest(), packed(pieces))
