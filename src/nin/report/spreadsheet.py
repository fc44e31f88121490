"""CSV that a spreadsheet program cannot be tricked with: the one writer of tables with names in them (torch-free)."""

import csv
import io
import re
from collections.abc import Iterable

_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # OWASP, "CSV Injection"
_NUMBER = re.compile(r"[+-](?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def csv_line(cells: Iterable[object]) -> str:
    """One CSV record without its line end; None is empty, and no cell can start a formula."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerow([_cell(value) for value in cells])  # what it quotes: \r and \n
    return buffer.getvalue().removesuffix("\r\n")


def _cell(value: object) -> object:
    return guarded(value) if isinstance(value, str) else "" if value is None else str(value)


def guarded(text: str) -> str:
    """`text` with an apostrophe before it where it would begin a formula; a number with its sign begins none."""
    return f"'{text}" if text.startswith(_STARTS) and not _NUMBER.fullmatch(text) else text
