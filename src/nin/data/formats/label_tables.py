"""Tables of pictures: CSV, TSV or JSONL with columns for the path, the label and, optionally, the split.

Paths are relative to the table's folder and may not leave it, by `..` or, unless links are followed, by a link. The
file's pictures are looked for, not opened. UTF-8 or UTF-16; cells between commas, semicolons or tabs.
"""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TextIO

from nin.data.formats.columns import (
    LABELS,
    MOST_VALUES,
    PATHS,
    all_splits,
    find_columns,
    may_say_split,
    plain_columns,
    split_rule,
)
from nin.data.formats.folders import some
from nin.data.formats.split_names import split_names
from nin.data.formats.table_paths import Places
from nin.data.images import is_picture_name
from nin.data.reading import AS_FOUND, Reading
from nin.data.spelling import as_text, clean, same
from nin.data.splits import Source, build_source
from nin.errors import DataError, amount, escape_name

SUFFIXES = frozenset({".csv", ".tsv", ".jsonl", ".ndjson"})
JSON_LINES = (".jsonl", ".ndjson")
MAX_LINE = 1_000_000  # characters; no row of three short cells needs more
MAX_BYTES = 2**30  # some ten million rows
HEADER = ("path", "label", "split")  # of tables that have none
_JSON_ROW = '{"path": "a.jpg", "label": "cat"}'

Row = dict[str, str]  # column -> cell


@dataclass(frozen=True)
class TableRows:
    """What a table says: per split the pictures and their labels as written; notes: how it was understood."""

    members: dict[str, list[tuple[Path, str]]]
    notes: tuple[str, ...]


def open_table(path: Path, reading: Reading = AS_FOUND) -> Source:
    """Read a table; every mistake in it is one DataError line with its line number."""
    found = read_table(path, reading)
    return build_source(path, "table", found.members, found.notes, root=path.parent)


def has_labels(path: Path) -> bool:
    """Whether a table has a column of labels, as far as its first row tells."""
    with _reading(path), _open(path) as lines:
        if path.suffix.lower() in JSON_LINES:
            columns = list(next((row for _, row in _json_rows(path, lines)), {}))
        else:
            columns = _head(path, lines)[1]
    return any(plain_columns(column) in LABELS for column in columns)


def read_table(path: Path, reading: Reading = AS_FOUND) -> TableRows:
    """The pictures of a table, each found below the table's folder; raises DataError with the line of a mistake."""
    shown = escape_name(path.name)
    notes: list[str] = []
    with _reading(path):
        survey, columns = _survey(path)
        rule = split_rule(survey, reading, shown)
        places = Places(path.parent, reading)
        members: dict[str, list[tuple[Path, str]]] = {}
        first: dict[tuple[Path, str], int] = {}  # (picture, split) -> line
        labels: dict[Path, tuple[str, int]] = {}
        repeated = 0
        for line, row in _records(path, notes):
            where = f"{shown} line {line}"
            cell, written = _cells(row, where)
            split = rule.split(row, where)
            if not (label := clean(written)):
                raise DataError(f"{where}: no label for {escape_name(cell)}; give one or remove the row")
            if not label.isprintable() or as_text(written) != written:
                raise DataError(f"{where}: label '{escape_name(written)}' is not plain UTF-8 text; correct it")
            picture = places.find(cell, where)
            known, at = labels.setdefault(picture, (written, line))
            if same(known) != same(written):
                found = f"{escape_name(cell)} is {escape_name(written)} here and {escape_name(known)} in line {at}"
                raise DataError(f"{where}: {found}; keep one of them")
            if first.setdefault((picture, split), line) != line:
                repeated += 1
                continue
            members.setdefault(split, []).append((picture, written))
    if not members:
        raise DataError(f"{escape_name(path)} has no rows; expected the columns path,label and one row per picture")
    notes += [*rule.notes, *_unused(columns, {*rule.columns}, shown), *places.notes()]
    notes += [f"{amount(repeated, 'repeated row')} counted once"] if repeated else []
    if len(first) > len(labels):
        rows = amount(len(first) - len(labels), "row names", "rows name")
        notes.append(f"{rows} a picture that is in another split too")
    return TableRows(members, tuple(notes))


def _unused(columns: Iterable[str], used: set[str], shown: str) -> list[str]:
    """The note about columns that are not read."""
    path, label = find_columns(list(columns), shown) or HEADER[:2]
    rest = [column for column in columns if column not in {path, label, *used} and column]
    return [f"columns not used: {some(rest)}"] if rest else []


def _survey(path: Path) -> tuple[dict[str, Counter[str]], list[str]]:
    """The values of every column that may say the split, by its name or by its values, and all columns."""
    survey: dict[str, Counter[str]] = {}
    columns: dict[str, bool] = {}  # whether its values are still counted
    for _, row in _records(path, []):
        for column, cell in row.items():
            if columns.setdefault(column, plain_columns(column) not in (*PATHS, *LABELS)):
                survey.setdefault(column, Counter())[cell.strip()] += 1
                if len(survey[column]) > MOST_VALUES:
                    del survey[column]
                    columns[column] = False
    return {c: counts for c, counts in survey.items() if may_say_split(c) or all_splits(counts)}, list(columns)


def _cells(row: Mapping[str, str], where: str) -> tuple[str, str]:
    """The path and the label of a row, as written."""
    found = find_columns(list(row), where)
    if found is None:  # of a line of JSON; the columns of a table of cells were checked before
        called = any(plain_columns(column) in PATHS for column in row)
        if not called:
            raise DataError(f'{where}: no text "path"; expected {_JSON_ROW}')
        raise DataError(f'{where}: "label" must be text or a whole number; correct the row')
    return row[found[0]].strip(), row[found[1]].strip()


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """What cannot be read, or is no text, as one DataError."""
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise DataError(f"{escape_name(path)} has {size:,} bytes, more than the {MAX_BYTES:,} allowed for a table")
        yield
    except OSError as error:
        raise DataError(f"{escape_name(path)} cannot be read ({(error.strerror or str(error)).lower()})") from error
    except UnicodeError as error:
        raise DataError(f"{escape_name(path)} is not whole UTF-16 text; save it as CSV (UTF-8)") from error


def _encoding(head: bytes) -> str:
    """UTF-16 by its mark, or without one by the zero bytes of its ASCII letters; else UTF-8."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    even = head[::2].count(0)
    odd = head[1::2].count(0)
    few = len(head) // 8  # of 2 bytes a letter, one in four such letters; a table's commas and paths are more
    if max(even, odd) > few and not min(even, odd):
        return "utf-16-be" if even else "utf-16-le"
    return "utf-8-sig"


def _open(path: Path) -> TextIO:
    with path.open("rb") as stream:
        encoding = _encoding(stream.read(256))
    errors = "surrogateescape" if encoding == "utf-8-sig" else "strict"
    return path.open(encoding=encoding, errors=errors, newline="")


def _records(path: Path, notes: list[str]) -> Iterator[tuple[int, Row]]:
    """(line number, row) of every row that is not empty; `notes` gets a line on how cells were understood."""
    with _open(path) as lines:
        if path.suffix.lower() in JSON_LINES:
            yield from _json_rows(path, lines)
        else:
            yield from _cell_rows(path, lines, notes)


def _cell_rows(path: Path, lines: Iterator[str], notes: list[str]) -> Iterator[tuple[int, Row]]:
    """The rows of a CSV (comma, or semicolon or tab as spreadsheets of some countries write) or TSV file."""
    shown = escape_name(path.name)
    head, columns, delimiter, start = _head(path, lines)
    used = [column for column in columns if plain_columns(column) in (*PATHS, *LABELS) or may_say_split(column)]
    if len(set(used)) < len(used) or find_columns(used, f"{shown} line {start}") is None:
        names = _headerless(columns, shown, start)
        notes.append(f"no line of column names: read as {', '.join(names)}")
        columns = names
        lines = chain([head], lines)
        start -= 1
    reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)
    try:
        for cells in reader:
            line = reader.line_num + start
            if not any(cell.strip() for cell in cells):
                continue
            while len(cells) > len(columns) and not cells[-1].strip():
                cells.pop()
            if len(cells) != len(columns):
                raise DataError(f'{shown} line {line}: {len(cells)} cells, expected {len(columns)}; quote "," in names')
            yield line, dict(zip(columns, cells, strict=True))
    except csv.Error as error:
        raise DataError(f"{shown} line {reader.line_num + start}: {escape_name(error)}; correct the row") from error


def _head(path: Path, lines: Iterator[str]) -> tuple[str, list[str], str, int]:
    """The first line of a table of cells, its cells, their delimiter, and its number."""
    head = next(lines, "")
    number = 1
    delimiter = _delimiter(head, path)
    if head.lower().strip().strip('"').startswith("sep="):  # Excel's own line, which names the delimiter
        delimiter = head.strip().strip('"')[4:5] or delimiter
        head = next(lines, "")
        number = 2
    try:
        columns = [cell.strip() for cell in next(csv.reader([head], delimiter=delimiter, skipinitialspace=True), [])]
    except csv.Error as error:
        raise DataError(f"{escape_name(path.name)} line {number}: {escape_name(error)}; correct the row") from error
    while columns and not columns[-1]:
        columns.pop()
    return head, columns, delimiter, number


def _delimiter(head: str, path: Path) -> str:
    """The delimiter: of comma, semicolon and tab the one that gives both columns, else the file type's usual one."""
    usual = "\t" if path.suffix.lower() == ".tsv" else ";" if ";" in head and "," not in head else ","
    for delimiter in dict.fromkeys((usual, ",", ";", "\t")):
        columns = {plain_columns(cell.strip().strip('"')) for cell in head.split(delimiter)}
        if columns & set(PATHS) and columns & set(LABELS):
            return delimiter
    counts = {delimiter: head.count(delimiter) for delimiter in (usual, ";", "\t")}
    return usual if counts[usual] else max(counts, key=lambda delimiter: counts[delimiter])


def _headerless(cells: list[str], shown: str, line: int) -> list[str]:
    """Names for the columns of a table that begins with a row: path and label, and split where there is a third."""
    pictures = [number for number, cell in enumerate(cells) if is_picture_name(cell)]
    words = [number for number, cell in enumerate(cells) if len(cells) == 3 and split_names([cell])]
    rest = [number for number in range(len(cells)) if number not in (*pictures, *words)]
    if len(pictures) != 1 or len(rest) != 1 or len(words) != len(cells) - 2:
        found = escape_name(", ".join(cells))[:200] or "nothing"
        raise DataError(f"{shown} line {line}: found the columns {found}; expected path,label or path,label,split")
    places = {pictures[0]: HEADER[0], rest[0]: HEADER[1], **dict.fromkeys(words, HEADER[2])}
    return [places[number] for number in range(len(cells))]


def _json_rows(path: Path, lines: Iterator[str]) -> Iterator[tuple[int, Row]]:
    for line, text in enumerate(lines, 1):
        if not text.strip():
            continue
        where = f"{escape_name(path.name)} line {line}"
        try:
            row = json.loads(text) if len(text) <= MAX_LINE else None
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: not JSON; expected {_JSON_ROW}") from error
        if not isinstance(row, dict):
            raise DataError(f'{where}: no text "path"; expected {_JSON_ROW}')
        yield (
            line,
            {str(name): cell for name, value in row.items() if (cell := _json_cell(str(name), value)) is not None},
        )


def _json_cell(name: str, value: object) -> str | None:
    """A value of a line of JSON as the cell of a table; None for what no cell holds."""
    if isinstance(value, str):
        return value
    if plain_columns(name) in PATHS or value is None or not isinstance(value, int | float):
        return None
    if plain_columns(name) in LABELS and (isinstance(value, bool) or not isinstance(value, int)):
        return None
    return str(value)
