"""Class folders: ROOT/CLASS/picture, or ROOT/SPLIT/CLASS/picture. Opens no file; leaves the root by no link unasked."""

import mimetypes
import os
import stat
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from nin.data.codecs.headers import READABLE
from nin.data.images import is_picture_name
from nin.data.reading import AS_FOUND, Reading
from nin.data.splits import natural
from nin.errors import escape_name

IGNORED = {"__macosx", "thumbs.db", "desktop.ini"}
MAX_DEPTH = 32  # folders below the root; deeper is a loop or a mistake
MOST_NAMES = 5  # of classes or folders in one line
_IMAGES = """.heic .heif .tif .tiff .avif .jxl .jp2 .j2k .svg .psd .ico .tga .pbm .pgm .ppm .pnm .dng .cr2 .cr3 .nef
.arw .orf .rw2 .raf .raw .dcm .nii .exr .hdr .fits"""  # that mimetypes need not know


class FolderListing(NamedTuple):
    """What lies directly in a folder, in natural order. links: those not followed that lead to a folder or a picture;
    others: files that are no pictures by their name."""

    folders: list[Path]
    pictures: list[Path]
    others: list[Path]
    links: list[Path]


@dataclass
class Scan:
    """A walk over one folder, and what it left out, for the notes. Every folder is listed once."""

    root: Path
    reading: Reading = AS_FOUND
    skipped: Counter[str] = field(default_factory=Counter)  # reason -> how often
    linked: Counter[str] = field(default_factory=Counter)  # folder -> links in it that lead out
    strangers: Counter[str] = field(default_factory=Counter)  # suffix -> how often
    circles: set[Path] = field(default_factory=set)  # folders inside themselves
    problems: dict[Path, str] = field(default_factory=dict)  # folders that could not be listed, and why
    listed: dict[Path, FolderListing] = field(default_factory=dict)
    walked: dict[Path, tuple[list[Path], list[Path]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.real_root = os.path.realpath(self.root)

    def listing(self, folder: Path) -> FolderListing:
        """What lies directly in `folder`."""
        if folder not in self.listed:
            found = FolderListing([], [], [], [])
            for entry in self._entries(folder):
                path = Path(entry.path)
                if entry.is_dir(follow_symlinks=self.reading.follow_links):
                    found.folders.append(path)
                elif reason := not_a_file(entry, self.real_root, follow=self.reading.follow_links):
                    self._leave(entry, reason, found)
                else:
                    (found.pictures if is_picture_name(path) else found.others).append(path)
            self.strangers.update(file.suffix.lower() or "no suffix" for file in found.others)
            self.listed[folder] = found
        return self.listed[folder]

    def pictures(self, folder: Path) -> list[Path]:
        """Every picture file in `folder` and below it."""
        return self._walk(folder)[0]

    def holding(self, folder: Path) -> list[Path]:
        """The folders directly in `folder` in which, at any depth, pictures are, or what would be such if it could be
        read."""
        return [path for path in self.listing(folder).folders if self.pictures(path) or self.lost(path)]

    def lost(self, folder: Path) -> str:
        """Why a folder without pictures may yet be meant for a class: what there is in it; empty when it is empty."""
        folders = self._walk(folder)[1]
        if blocked := [path for path in folders if path in self.problems]:
            return f"cannot be listed ({self.problems[blocked[0]]})"
        if links := sum(len(self.listing(path).links) for path in folders):
            return f"holds nothing but links that are not followed ({links:,})"
        files = [file for path in folders for file in self.listing(path).others if _may_be_picture(file)]
        kinds = Counter(file.suffix.lower() or "no suffix" for file in files).most_common(3)
        return (
            f"holds nothing that can be read ({', '.join(f'{n:,} x {escape_name(s)}' for s, n in kinds)})"
            if files
            else ""
        )

    def _walk(self, top: Path) -> tuple[list[Path], list[Path]]:
        """Every picture file in and below `top`, and every folder; each real folder once, so that no link leads round
        in a circle, and none leads to a folder that `top` is in."""
        if top not in self.walked:
            above = [top, *(path for path in top.parents if path == self.root or path.is_relative_to(self.root))]
            seen = {identity for path in above if (identity := _identity(path))}
            pictures: list[Path] = []
            folders: list[Path] = []
            waiting = [(top, 0)]
            while waiting:
                folder, depth = waiting.pop()
                folders.append(folder)
                pictures += self.listing(folder).pictures
                below = []
                for path in self.listing(folder).folders:
                    identity = _identity(path)
                    if depth >= MAX_DEPTH or identity is None or identity in seen:
                        self.circles.add(path)
                        continue
                    seen.add(identity)
                    below.append((path, depth + 1))
                waiting += reversed(below)
            self.walked[top] = pictures, folders
        return self.walked[top]

    def _leave(self, entry: os.DirEntry[str], reason: str, found: FolderListing) -> None:
        """Remember an entry that is left out, and why."""
        self.skipped[reason] += 1
        if not entry.is_symlink():
            return
        try:
            mode = Path(entry.path).stat().st_mode
        except OSError:
            return
        if stat.S_ISDIR(mode) or (stat.S_ISREG(mode) and is_picture_name(entry.name)):
            found.links.append(Path(entry.path))
            self.linked[shown_below(Path(entry.path).parent, self.root)] += 1

    def _entries(self, folder: Path) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: natural(entry.name))
        except OSError as error:
            self.problems[folder] = (error.strerror or str(error)).lower()
            return []
        kept = [entry for entry in found if not (entry.name.startswith(".") or entry.name.lower() in IGNORED)]
        self.skipped["hidden or system file or folder"] += len(found) - len(kept)
        return kept

    def notes(self) -> list[str]:
        """One line per kind of thing left out."""
        lines = [
            f"{shown_below(folder, self.root)} cannot be listed ({reason}): its pictures are missing"
            for folder, reason in self.problems.items()
        ]
        if self.circles:
            lines.append(f"ignored: {len(self.circles):,} x folder inside itself")
        lines += [f"ignored: {count:,} x {reason}" for reason, count in sorted(self.skipped.items()) if count]
        if self.linked:
            places = ", ".join(f"{count:,} in {place}" for place, count in self.linked.most_common(MOST_NAMES))
            advice = "; --follow-links reads them" if self.reading.offered else ""
            lines.append(f"links that are not followed: {places}{advice}")
        if self.strangers:
            kinds = ", ".join(f"{count:,} {escape_name(suffix)}" for suffix, count in self.strangers.most_common(5))
            lines.append(f"ignored: files that are no pictures by their name ({kinds}); read are {READABLE}")
        return lines


def not_a_file(entry: os.DirEntry[str], real_root: str, *, follow: bool = False) -> str:
    """Why an entry is neither a regular file nor a link to one, which must lie inside `real_root` unless links are
    followed; empty when it is. Opens nothing."""
    try:
        real = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
        mode = os.lstat(real).st_mode
    except OSError:
        return "link that leads nowhere" if entry.is_symlink() else "file that has vanished"
    if not entry.is_symlink():
        return "" if stat.S_ISREG(mode) else "pipe, socket or device"
    if not follow and os.path.commonpath([real, real_root]) != real_root:
        return "link that leads out of the folder"
    if stat.S_ISLNK(mode):
        return "link that leads nowhere"
    return "" if stat.S_ISREG(mode) else "link to something that is not a file"


def shown_below(path: Path, root: Path) -> str:
    """A path for messages, as it lies below `root`; the root itself in full."""
    return escape_name(path.relative_to(root) if path != root else path)


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _may_be_picture(file: Path) -> bool:
    """Whether a file that is not read may be a picture, or a film of some: by its name, or because it has none."""
    kind = mimetypes.guess_type(file.name)[0] or ""
    return file.suffix.lower() in ("", *_IMAGES.split()) or kind.startswith(("image/", "video/"))


def some(names: Iterable[object]) -> str:
    """A few names for one line."""
    listed = [escape_name(name) for name in names]
    return ", ".join(listed[:MOST_NAMES]) + (
        f" and {len(listed) - MOST_NAMES:,} more" if len(listed) > MOST_NAMES else ""
    )
