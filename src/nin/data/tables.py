"""Tables of pictures: CSV, TSV or JSONL with the columns path, label and, optionally, split.

Paths are relative to the table's folder and may not leave it, by `..` or by a link. The file's pictures are looked for,
not opened.
"""

import csv
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from nin.artifacts import escape_name
from nin.data.splits import SPLIT_NAMES, Source, build_source
from nin.errors import DataError

SUFFIXES = frozenset({".csv", ".tsv", ".jsonl", ".ndjson"})
MAX_LINE = 1_000_000  # characters; no row of three short cells needs more

MAX_BYTES = 2**30  # some ten million rows

Row = tuple[int, str, str, str]  # line number, path, label, split (as written)


def open_table(path: Path) -> Source:
    """Read a table; every mistake in it is one DataError line with its line number."""
    root = path.parent
    places = Places(root)
    members: dict[str, list[tuple[Path, str]]] = {}
    first: dict[tuple[Path, str], int] = {}  # (picture, split) -> line
    labels: dict[Path, tuple[str, int]] = {}
    repeated = 0
    try:
        for line, cell, label, split in _rows(path):
            where = f"{escape_name(path.name)} line {line}"
            if split.strip().lower() not in SPLIT_NAMES:
                raise DataError(f"{where}: split '{escape_name(split)}'; expected train, validation or test")
            if not label:
                raise DataError(f"{where}: no label for {escape_name(cell)}; give one or remove the row")
            if not label.isprintable():
                raise DataError(f"{where}: label '{escape_name(label)}' is not plain UTF-8 text; correct it")
            name, picture = SPLIT_NAMES[split.strip().lower()], places.find(cell, where)
            known, at = labels.setdefault(picture, (label, line))
            if known != label:
                found = f"{escape_name(cell)} is {escape_name(label)} here and {escape_name(known)} in line {at}"
                raise DataError(f"{where}: {found}; keep one of them")
            if first.setdefault((picture, name), line) != line:
                repeated += 1
                continue
            members.setdefault(name, []).append((picture, label))
    except OSError as error:
        raise DataError(f"{escape_name(path)} cannot be read ({(error.strerror or str(error)).lower()})") from error
    if not members:
        raise DataError(f"{escape_name(path)} has no rows; expected the columns path,label and one row per picture")
    notes = [f"{repeated:,} repeated rows counted once"] if repeated else []
    if len(first) > len(labels):
        notes.append(f"{len(first) - len(labels):,} rows name a picture that is in another split too")
    return build_source(path, "table", members, notes, root=root)


class Places:
    """Finds the table's pictures inside its folder, asking the file system once per folder and once per picture."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.real_root = os.path.realpath(root)
        self.real_folders: dict[str, str] = {}

    def find(self, cell: str, where: str) -> Path:
        """The picture a cell names, as a path below the root; raises DataError beginning with `where`."""
        shown = escape_name(cell)
        if not cell:
            raise DataError(f"{where}: no path; give one or remove the row")
        folder, name = os.path.split(f"{self.real_root}/{cell}" if not cell.startswith("/") else cell)
        try:
            if folder not in self.real_folders:
                self.real_folders[folder] = os.path.realpath(folder)
            place = f"{self.real_folders[folder]}/{name}"
            mode = os.lstat(place).st_mode if self._inside(place) else 0
            target = os.path.realpath(place) if stat.S_ISLNK(mode) else place
            if not self._inside(target):
                raise DataError(f"{where}: {shown} is outside of the table's folder; move the picture or the table")
            mode = os.lstat(target).st_mode
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            raise DataError(f"{where}: there is no file {shown} in the table's folder; correct or remove it") from error
        if not stat.S_ISREG(mode):
            raise DataError(f"{where}: {shown} is not a file; name one picture per row")
        return self.root / os.path.relpath(place, self.real_root)

    def _inside(self, path: str) -> bool:
        return os.path.commonpath([path, self.real_root]) == self.real_root and not path.endswith(("/..", "/."))


def _rows(path: Path) -> Iterator[Row]:
    if (size := path.stat().st_size) > MAX_BYTES:
        raise DataError(f"{escape_name(path)} has {size:,} bytes, more than the {MAX_BYTES:,} allowed for a table")
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        if path.suffix.lower() in (".jsonl", ".ndjson"):
            yield from _json_rows(path, stream)
        else:
            yield from _cell_rows(path, stream)


def _cell_rows(path: Path, lines: Iterator[str]) -> Iterator[Row]:
    """Rows of a CSV (comma, or semicolon as spreadsheets of some countries write) or TSV file."""
    shown = escape_name(path.name)
    head = next(lines, "")
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ";" if ";" in head and "," not in head else ","
    columns = [cell.strip().lower() for cell in next(csv.reader([head], delimiter=delimiter), [])]
    missing = [name for name in ("path", "label") if name not in columns]
    if missing or len(set(columns)) < len(columns):
        found = escape_name(", ".join(columns))[:200] or "nothing"
        raise DataError(f"{shown} line 1: found the columns {found}; expected path,label or path,label,split")
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            line = reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(columns):
                raise DataError(f'{shown} line {line}: {len(cells)} cells, expected {len(columns)}; quote "," in names')
            row = dict(zip(columns, cells, strict=True))
            yield line, row["path"].strip(), row["label"].strip(), row.get("split", "train")
    except csv.Error as error:
        raise DataError(f"{shown} line {reader.line_num + 1}: {escape_name(error)}; correct the row") from error


def _json_rows(path: Path, lines: Iterator[str]) -> Iterator[Row]:
    for line, text in enumerate(lines, 1):
        if not text.strip():
            continue
        where = f"{escape_name(path.name)} line {line}"
        try:
            row = json.loads(text) if len(text) <= MAX_LINE else None
        except (ValueError, RecursionError) as error:
            raise DataError(f'{where}: not JSON; expected {{"path": "a.jpg", "label": "cat"}}') from error
        if not isinstance(row, dict) or not isinstance(row.get("path"), str):
            raise DataError(f'{where}: no text "path"; expected {{"path": "a.jpg", "label": "cat"}}')
        label, split = row.get("label"), row.get("split", "train")
        if isinstance(label, bool) or not isinstance(label, str | int) or not isinstance(split, str):
            raise DataError(f'{where}: "label" must be text or a whole number, "split" text; correct the row')
        yield line, row["path"], str(label).strip(), split
