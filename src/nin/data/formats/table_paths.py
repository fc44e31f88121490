"""Finds the pictures that a table names, in its folder, also where the table spells a name in another way."""

import os
import re
import stat
from collections import Counter
from pathlib import Path

from nin.data.reading import Reading
from nin.data.spelling import same
from nin.errors import DataError, escape_name


class Places:
    """Finds the table's pictures inside its folder, asking the file system once per folder and once per picture.

    What is not there as it is written is looked for with `/` in place of the backslashes of Windows, and under the same
    name in another spelling (nin.data.spelling; case, too, where one file alone fits).
    """

    def __init__(self, root: Path, reading: Reading) -> None:
        self.root = root
        self.reading = reading
        self.real_root = os.path.realpath(root)
        self.real_folders: dict[str, str] = {}
        self.listed: dict[str, dict[str, list[str]]] = {}  # folder -> what spellings have in common -> names
        self.otherwise: Counter[str] = Counter()  # how names were found that are not there as written

    def find(self, cell: str, where: str) -> Path:
        """The picture a cell names, as a path below the root; raises DataError beginning with `where`."""
        if not cell:
            raise DataError(f"{where}: no path; give one or remove the row")
        slashed = cell.replace("\\", "/")
        for written in dict.fromkeys((cell, slashed)):
            found = self._at(written, cell, where)
            if found is None and (respelled := self._respelled(written)):
                self.otherwise["file names are spelled in another way than in the table"] += 1
                found = self._at(respelled, cell, where)
            if found is not None:
                if written != cell:
                    self.otherwise["paths are written with \\ and were read with /"] += 1
                return found
        advice = "correct or remove it"
        if re.match(r"[A-Za-z]:[\\/]|\\\\", cell):
            advice = "it is a path of a Windows machine: write paths from the table's folder on, with /"
        raise DataError(f"{where}: there is no file {escape_name(cell)} in the table's folder; {advice}")

    def notes(self) -> list[str]:
        """One line per way in which names were found that are not there as written."""
        return [f"{count:,} {what}" for what, count in self.otherwise.items()]

    def _at(self, text: str, cell: str, where: str) -> Path | None:
        """The file at `text`; None where there is none. DataError for what is outside, or no file."""
        shown = escape_name(cell)
        folder, name = os.path.split(f"{self.real_root}/{text}" if not text.startswith("/") else text)
        try:
            lexical = os.path.normpath(f"{folder}/{name}") if self.reading.follow_links else ""
            if folder not in self.real_folders:
                self.real_folders[folder] = os.path.realpath(folder)
            place = lexical or f"{self.real_folders[folder]}/{name}"
            mode = os.lstat(place).st_mode if self._inside(place) else 0
            target = os.path.realpath(place) if stat.S_ISLNK(mode) else place
            if not self._inside(place if lexical else target):
                raise DataError(f"{where}: {shown} is outside of the table's folder; {self._bring_in(folder, name)}")
            mode = os.lstat(target).st_mode
        except (OSError, ValueError):  # ValueError: a NUL in the name
            return None
        if not stat.S_ISREG(mode):
            raise DataError(f"{where}: {shown} is not a file; name one picture per row")
        return self.root / os.path.relpath(place, self.real_root)

    def _bring_in(self, folder: str, name: str) -> str:
        """What to do about a path that leads out: a link may be followed."""
        move = "move the picture or the table"
        linked = os.path.normpath(f"{folder}/{name}").startswith(f"{self.real_root}/")
        return self.reading.hint("it is a link: pass --follow-links", move) if linked else move

    def _inside(self, path: str) -> bool:
        return os.path.commonpath([path, self.real_root]) == self.real_root and not path.endswith(("/..", "/."))

    def _respelled(self, text: str) -> str:
        """The path with the names that are there in place of those in `text` that are the same; empty where one has
        none, or several."""
        folder = self.real_root
        parts = []
        for part in text.split("/"):
            if part not in ("", ".") and not os.path.lexists(f"{folder}/{part}"):
                names = self._names(folder)
                exact = names.get(same(part), [])
                folded = names.get(same(part).casefold(), [])
                if len(fits := exact if len(exact) == 1 else folded) != 1:
                    return ""
                part = fits[0]
            parts.append(part)
            folder = f"{folder}/{part}"
        return "/".join(parts)

    def _names(self, folder: str) -> dict[str, list[str]]:
        if folder not in self.listed:
            found: dict[str, list[str]] = {}
            try:
                with os.scandir(folder) as entries:
                    names = [entry.name for entry in entries]
            except OSError:
                names = []
            for name in names:
                for key in {same(name), same(name).casefold()}:
                    found.setdefault(key, []).append(name)
            self.listed[folder] = found
        return self.listed[folder]
