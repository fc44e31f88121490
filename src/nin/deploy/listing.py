"""What is to be answered, in blocks: the pictures of a folder or bucket, or the rows of Parquet files (torch-free).

A listing depends on the names, sizes and times of its files alone, so the same source gives the same blocks in every
process and after every restart, and one that has changed is told from its fingerprint.
"""

import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal, NamedTuple

from nin.artifacts import escape_name
from nin.data.containers import READABLE
from nin.data.images import is_picture_name
from nin.deploy.places import Entry, Place, place_of
from nin.errors import DataError

BLOCK = 512  # pictures: seconds of work, and a part of some ten kB
GROUP_PARTS = 8  # blocks that one row group is cut into at most: each reads the group from its beginning
BYTES_COLUMNS, PATH_COLUMN = ("bytes", "image"), "path"
Kind = Literal["pictures", "paths", "bytes"]


class Block(NamedTuple):
    """A part of the work. digest: of its pictures' names, sizes and times; inputs: what `unpacked` understands."""

    number: int
    pictures: int
    digest: str
    inputs: bytes


@dataclass(frozen=True, eq=False)
class Listing:
    """All that is to be answered. place: what names are relative to; column: of the bytes; notes: what was left out."""

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
    """What `packed` packed."""
    inputs: list[Any] = json.loads(zlib.decompress(data))
    return inputs


def open_listing(source: str, block_size: int = BLOCK) -> Listing:
    """The blocks of a folder, a bucket's prefix or a Parquet file; raises DataError with one line for anything else."""
    if source.lower().endswith((".parquet", ".pq")):
        above, _, name = source.rstrip("/").rpartition("/")
        place = place_of(above or ("/" if source.startswith("/") else "."))
        if (entry := place.entry(name)) is not None:
            return _tables(place, [entry], block_size, ())
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
        notes += [f"ignored: {len(tables):,} x parquet beside pictures"] if tables else []
        return Listing(place, "pictures", "", blocks, tuple(notes))
    if tables:
        return _tables(place, tables, block_size, tuple(notes))
    raise DataError(
        f"{escape_name(place.text)} holds no pictures; expected {READABLE} files, or Parquet files with a column path "
        "or bytes"
    )


def _cut(entries: Iterable[Entry], size: int) -> Iterator[Block]:
    """Blocks of `size` entries, the last one of what is left."""
    number, names, digest = 0, [], hashlib.sha256()
    for entry in entries:
        names.append(entry.name)
        digest.update(f"{entry.size} {entry.changed} {entry.name}\0".encode(errors="surrogateescape"))
        if len(names) == size:
            yield Block(number, size, digest.hexdigest(), packed(names))
            number, names, digest = number + 1, [], hashlib.sha256()
    if names:
        yield Block(number, len(names), digest.hexdigest(), packed(names))


def _tables(place: Place, entries: list[Entry], block_size: int, notes: tuple[str, ...]) -> Listing:
    opened = ((entry, open_table(place, entry.name)) for entry in entries)
    first, table = next(opened)
    kind, column = _column(table, first.name)

    def all_tables() -> Iterator[tuple[Entry, Any]]:
        yield first, table
        for entry, other in opened:
            if _column(other, entry.name) != (kind, column):
                names = f"{escape_name(first.name)} and {escape_name(entry.name)}"
                raise DataError(f"{names} have different columns; give Parquet files of one kind")
            yield entry, other

    if kind == "paths":
        rows = (row for entry, other in all_tables() for row in _paths(entry, other))
        blocks = tuple(_cut(rows, block_size))
    else:
        blocks = tuple(_row_blocks(all_tables(), block_size))
    if not blocks:
        raise DataError(f"{escape_name(place.text)}: the Parquet files have no rows; give some that have")
    return Listing(place, kind, column, blocks, notes)


def open_table(place: Place, name: str) -> Any:
    """A pyarrow.parquet.ParquetFile; DataError in one line where it is none."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        return ParquetFile(place.parquet(name))
    except (pa.ArrowException, OSError) as error:
        reason = escape_name(str(error).split("\n")[0])[:150]
        raise DataError(f"{escape_name(name)} is no whole Parquet file ({reason}); write it again") from error


def _column(table: Any, name: str) -> tuple[Kind, str]:
    """What kind of rows a table has, and in which column the pictures are."""
    import pyarrow as pa

    fields = {field.name: field.type for field in table.schema_arrow}
    for column in BYTES_COLUMNS:
        kind = fields.get(column, pa.null())
        inside = kind.field("bytes").type if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0 else kind
        if pa.types.is_binary(inside) or pa.types.is_large_binary(inside):
            return "bytes", column
    path = fields.get(PATH_COLUMN, pa.null())
    path = path.value_type if pa.types.is_dictionary(path) else path
    if pa.types.is_string(path) or pa.types.is_large_string(path):
        return "paths", PATH_COLUMN
    found = escape_name(", ".join(fields))[:150] or "nothing"
    raise DataError(f"{escape_name(name)} has the columns {found}; expected bytes or image (binary), or path (text)")


def _paths(entry: Entry, table: Any) -> Iterator[Entry]:
    """The rows of a table of paths; they change with the table, as nobody looks at every file beforehand."""
    for batch in table.iter_batches(columns=[PATH_COLUMN]):
        for name in batch.column(0).to_pylist():
            yield Entry(name or "", entry.size, entry.changed)


def _row_blocks(tables: Iterable[tuple[Entry, Any]], block_size: int) -> Iterator[Block]:
    """Blocks of rows: small row groups together, large ones cut, but into no more than GROUP_PARTS."""
    number, count, pieces, digest = 0, 0, [], hashlib.sha256()
    for entry, table in tables:
        for group in range(table.num_row_groups):
            rows, start = table.metadata.row_group(group).num_rows, 0
            size = max(block_size, -(-rows // GROUP_PARTS))
            while start < rows:
                stop = min(rows, start + max(1, size - count))
                pieces.append([entry.name, group, start, stop])
                said = f"{entry.size} {entry.changed} {group} {start} {stop} {entry.name}\0"
                digest.update(said.encode(errors="surrogateescape"))
                count, start = count + stop - start, stop
                if count >= block_size and (count >= size or start == rows):
                    yield Block(number, count, digest.hexdigest(), packed(pieces))
                    number, count, pieces, digest = number + 1, 0, [], hashlib.sha256()
    if pieces:
        yield Block(number, count, digest.hexdigest(), packed(pieces))
