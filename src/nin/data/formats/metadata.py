"""Folders with a table of their own: `metadata.csv` or `metadata.jsonl`, as Hugging Face's imagefolder has it.

The table lies beside the pictures, in the folder or in the folder of each split, and names them relative to itself in
`file_name`. Source: Hugging Face datasets, "Create an image dataset", section ImageFolder.
"""

from pathlib import Path

from nin.data.formats.folders import Scan, shown_below
from nin.data.formats.label_tables import has_labels, read_table
from nin.data.formats.split_names import split_names
from nin.data.reading import Reading
from nin.data.splits import Source, build_source
from nin.errors import DataError, amount, escape_name

NAMES = ("metadata.csv", "metadata.jsonl")


def open_metadata(path: Path, files: dict[str, Path], reading: Reading) -> Source | None:
    """The pictures that such tables name; None where there are none, or none with labels. Raises DataError with one
    line for what cannot be used."""
    here = [files[name] for name in NAMES if name in files]
    folders = {} if here else _of_splits(path, reading)
    tables = [(table, "") for table in here] + [(table, split) for split, table in folders.items()]
    tables = [(table, split) for table, split in tables if has_labels(table)]
    if not tables:
        return None
    if len(here) > 1:
        raise DataError(f"{escape_name(path)} has both {' and '.join(NAMES)}; keep one of them")
    members: dict[str, list[tuple[Path, str]]] = {}
    notes = []
    for table, split in tables:
        found = read_table(table, reading)
        shown = shown_below(table, path)
        notes += [f"{shown} names the pictures{f' of {split}' if split else ''}"]
        notes += [f"{shown}: {note}" for note in found.notes]
        for name, pairs in found.members.items():
            members.setdefault(split or name, []).extend(pairs)
    unnamed = _unnamed(path, members, reading)
    notes += [f"ignored: {amount(unnamed, 'picture')} that no table names"] if unnamed else []
    return build_source(path, "table", members, notes, root=path)


def _of_splits(path: Path, reading: Reading) -> dict[str, Path]:
    """Split -> the table in its folder."""
    scan = Scan(path, reading)
    folders = scan.listing(path).folders
    named = split_names(folder.name for folder in folders)
    tables: dict[str, Path] = {}
    for folder in folders:
        if folder.name not in named:
            continue
        for table in (file for file in scan.listing(folder).others if file.name in NAMES):
            if (split := named[folder.name]) in tables:
                both = f"{shown_below(tables[split], path)} and {shown_below(table, path)}"
                raise DataError(f"{escape_name(path)}: {both} are both of {split}; keep one of them")
            tables[split] = table
    return tables


def _unnamed(path: Path, members: dict[str, list[tuple[Path, str]]], reading: Reading) -> int:
    """How many pictures lie below `path` that no table names."""
    named = {file for pairs in members.values() for file, _ in pairs}
    return sum(file not in named for file in Scan(path, reading).pictures(path))
