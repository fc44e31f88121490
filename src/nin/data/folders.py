"""Class folders: ROOT/CLASS/picture, or ROOT/SPLIT/CLASS/picture. Opens no file, and leaves the root by no link."""

import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nin.artifacts import escape_name
from nin.data.containers import READABLE
from nin.data.images import is_picture_name
from nin.data.splits import SPLIT_NAMES, Source, build_source, natural
from nin.errors import DataError

IGNORED = {"__macosx", "thumbs.db", "desktop.ini"}
MAX_DEPTH = 32  # folders below the root; deeper is a loop or a mistake


@dataclass
class Scan:
    """What a walk over one folder left out, for the notes."""

    root: Path
    real_root: str
    skipped: Counter[str] = field(default_factory=Counter)  # reason -> how often
    strangers: Counter[str] = field(default_factory=Counter)  # suffix -> how often
    problems: list[str] = field(default_factory=list)  # folders that could not be listed
    seen: set[tuple[int, int]] = field(default_factory=set)  # (device, inode) of folders, against loops
    listed: dict[Path, tuple[list[Path], list[Path]]] = field(default_factory=dict)

    def listing(self, folder: Path) -> tuple[list[Path], list[Path]]:
        """Sub-folders and picture files (by name) directly in `folder`, both in natural order; looked at once."""
        if folder not in self.listed:
            folders, files = [], []
            for entry in self._entries(folder):
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                elif reason := not_a_file(entry, self.real_root):
                    self.skipped[reason] += 1
                else:
                    files.append(Path(entry.path))
            pictures = [file for file in files if is_picture_name(file)]
            self.strangers.update(file.suffix.lower() or "no suffix" for file in files if not is_picture_name(file))
            self.listed[folder] = folders, pictures
        return self.listed[folder]

    def pictures(self, folder: Path, depth: int = 0) -> Iterator[Path]:
        """Every picture file in `folder` and below it."""
        below, pictures = self.listing(folder)
        yield from pictures
        for path in below:
            status = path.lstat()
            if depth >= MAX_DEPTH or (status.st_dev, status.st_ino) in self.seen:
                self.skipped["folder inside itself"] += 1
                continue
            self.seen.add((status.st_dev, status.st_ino))
            yield from self.pictures(path, depth + 1)

    def _entries(self, folder: Path) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: natural(entry.name))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            self.problems.append(f"{_shown(folder, self.root)} cannot be listed ({reason}): its pictures are missing")
            return []
        kept = [entry for entry in found if not (entry.name.startswith(".") or entry.name.lower() in IGNORED)]
        self.skipped["hidden or system file or folder"] += len(found) - len(kept)
        return kept

    def notes(self) -> list[str]:
        """One line per kind of thing left out."""
        lines = list(self.problems)
        lines += [f"ignored: {count:,} x {reason}" for reason, count in sorted(self.skipped.items()) if count]
        if self.strangers:
            kinds = ", ".join(f"{count:,} {escape_name(suffix)}" for suffix, count in self.strangers.most_common(5))
            lines.append(f"ignored: files that are no pictures by their name ({kinds}); read are {READABLE}")
        return lines


def not_a_file(entry: os.DirEntry[str], real_root: str) -> str:
    """Why an entry is neither a regular file nor a link to one inside `real_root`; empty when it is. Opens nothing."""
    try:
        real = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
        mode = os.lstat(real).st_mode
    except OSError:
        return "link that leads nowhere" if entry.is_symlink() else "file that has vanished"
    if not entry.is_symlink():
        return "" if stat.S_ISREG(mode) else "pipe, socket or device"
    if os.path.commonpath([real, real_root]) != real_root:
        return "link that leads out of the folder"
    if stat.S_ISLNK(mode):
        return "link that leads nowhere"
    return "" if stat.S_ISREG(mode) else "link to something that is not a file"


def _shown(path: Path, root: Path) -> str:
    return escape_name(path.relative_to(root) if path != root else path)


def open_folders(path: Path) -> Source:
    """Understand a folder of classes, or of splits of classes; raises DataError with one line when it is neither."""
    scan = Scan(path, os.path.realpath(path))
    top, loose = scan.listing(path)
    parts = _split_folders(path, top, scan)
    notes: list[str] = []
    if parts:
        notes.append("splits: " + ", ".join(f"{_shown(folder, path)} is {name}" for name, folder in parts.items()))
        others = [folder for folder in top if folder not in parts.values()]
        notes += [f"folder {_shown(folder, path)} holds no split and was ignored" for folder in others]
        loose = [*loose, *(file for folder in parts.values() for file in scan.listing(folder)[1])]
    elif all(folder.name.lower() in SPLIT_NAMES for folder in top):
        loose = [*loose, *(file for folder in top for file in scan.listing(folder)[1])]
    else:
        parts = {"train": path}
    members: dict[str, list[tuple[Path, str]]] = {name: [] for name in parts}
    for name, folder in parts.items():
        for class_folder in scan.listing(folder)[0]:
            pictures = [(file, class_folder.name) for file in scan.pictures(class_folder)]
            members[name] += pictures
            if not pictures:
                notes.append(f"class folder {_shown(class_folder, path)} holds no pictures and was left out")
    if not any(members.values()):
        raise DataError(_nothing_found(path, len(loose), scan))
    if loose:
        notes.append(f"ignored: {len(loose):,} pictures outside of any class folder")
    return build_source(path, "folders", members, notes + scan.notes(), root=path)


def _split_folders(path: Path, top: Iterable[Path], scan: Scan) -> dict[str, Path]:
    """The folders that are splits: named like one and holding class folders, not pictures (a class may be "train")."""
    parts: dict[str, Path] = {}
    for folder in top:
        name = SPLIT_NAMES.get(folder.name.lower())
        if name is None or not scan.listing(folder)[0]:
            continue
        if name in parts:
            twins = f"{_shown(parts[name], path)} and {_shown(folder, path)}"
            raise DataError(f"{escape_name(path)}: {twins} both mean {name}; keep one of them")
        parts[name] = folder
    return parts


def _nothing_found(path: Path, loose: int, scan: Scan) -> str:
    wanted = "expected FOLDER/CLASS/picture.jpg, or FOLDER/train/CLASS/picture.jpg"
    if scan.problems:
        return f"{escape_name(path)}: {scan.problems[0]}; allow reading it or choose another folder"
    if loose:
        return f"{escape_name(path)} holds {loose:,} pictures but no class folders; {wanted}"
    if scan.strangers:
        suffix, count = scan.strangers.most_common(1)[0]
        kinds = f"{count:,} x {escape_name(suffix)}"
        return f"{escape_name(path)} holds no pictures that can be read ({kinds}); {wanted} with {READABLE} files"
    return f"{escape_name(path)} holds no pictures; {wanted}"
