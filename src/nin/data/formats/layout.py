"""Which folders of a data set are splits and which are classes; where it cannot be told, the user is asked.

Splits by the names that people give them (nin.data.formats.split_names), when they hold folders of classes. A folder
that holds pictures itself is a class, whatever its name (vehicles: train, bus, plane). The user is asked where one
folder is named like a split and those beside it are not, and where folders of any names hold the same folders
(fold_0/cat, fold_1/cat).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nin.data.codecs.headers import READABLE
from nin.data.formats.folders import Scan, shown_below, some
from nin.data.formats.split_names import says_nothing, split_names, stem
from nin.data.reading import AS_FOUND, Reading
from nin.data.spelling import same
from nin.data.splits import SPLITS, Source, build_source
from nin.errors import DataError, amount, escape_name

USUAL = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}  # need no note
SPLIT_SHAPE = "expected FOLDER/CLASS/picture.jpg, or FOLDER/train/CLASS/picture.jpg"
_ARRANGE = "arrange them as FOLDER/train/CLASS and FOLDER/test/CLASS"


@dataclass(frozen=True)
class FolderLayout:
    """parts: per split, the folders that hold its class folders; notes: how the folders were understood; aside: top
    folders that are no part of it."""

    parts: dict[str, list[Path]]
    notes: tuple[str, ...] = ()
    aside: tuple[Path, ...] = ()


def open_folders(path: Path, reading: Reading = AS_FOUND) -> Source:
    """Understand a folder of classes, or of splits of classes; raises DataError with one line when it is neither, or
    may be both."""
    scan = Scan(path, reading)
    top, notes = _unwrap(path, scan)
    layout = _understand(top, scan)
    notes += layout.notes
    notes += [_aside(folder, scan) for folder in layout.aside]
    loose = [*scan.listing(path).pictures, *(scan.listing(top).pictures if top != path else ())]
    members: dict[str, list[tuple[Path, str]]] = {}
    empty: list[Path] = []
    for name, folders in layout.parts.items():
        for folder in folders:
            _expect_no_linked_class(folder, scan)
            loose += scan.listing(folder).pictures if folder not in (top, path) else ()
            for class_folder in scan.listing(folder).folders:
                pictures = [(file, class_folder.name) for file in scan.pictures(class_folder)]
                members.setdefault(name, []).extend(pictures)
                empty += [] if pictures else [class_folder]
    if not any(members.values()):
        raise DataError(_nothing_found(path, len(loose), scan))
    notes += [_left_out(class_folder, scan) for class_folder in empty]
    if loose:
        notes.append(f"ignored: {amount(len(loose), 'picture')} outside of any class folder")
    return build_source(path, "folders", members, notes + scan.notes(), root=path)


def _unwrap(path: Path, scan: Scan) -> tuple[Path, list[str]]:
    """The folder that holds classes or splits, and notes: `path`, or the only one in it where that is sure, as it bears
    the same name (photos/photos) or holds splits."""
    top = path
    while len(inner := scan.holding(top)) == 1 and not scan.listing(top).pictures:
        (only,) = inner
        below = scan.listing(only).folders
        named = split_names(folder.name for folder in below)
        splits = {named[f.name] for f in below if f.name in named and _holds_classes(_within(f, scan), scan)}
        twin = same(only.name).casefold() == same(top.resolve().name).casefold()
        divided = len(splits) > 1 and not scan.reading.whole
        if not (divided or (twin and scan.holding(only))) or split_names([only.name]):
            break
        top = only
    return top, [f"read as {escape_name(top)}, the only folder in {escape_name(path)}"] if top != path else []


def _within(folder: Path, scan: Scan) -> Path:
    """The folder in a split's folder that holds its classes: it itself, or the only one in it (seg_train/seg_train,
    train/images) when that bears the same name or one that says no class."""
    while len(inner := scan.holding(folder)) == 1 and not scan.listing(folder).pictures:
        (only,) = inner
        twin = same(only.name).casefold() == same(folder.name).casefold()
        if not (twin or says_nothing(only.name)):
            break
        folder = only
    return folder


def _holds_classes(folder: Path, scan: Scan) -> bool:
    """Whether pictures lie in folders of this folder, rather than in it."""
    return bool(scan.holding(folder)) and len(scan.pictures(folder)) >= 2 * len(scan.listing(folder).pictures)


def _understand(top: Path, scan: Scan) -> FolderLayout:
    """Splits or classes; raises DataError where the user must say which."""
    reading = scan.reading
    folders = scan.listing(top).folders
    if reading.whole:
        return FolderLayout({"train": [top]})
    if reading.parts:
        return _as_said(top, scan)
    holding = scan.holding(top)
    named = split_names(folder.name for folder in folders)
    within = {folder: _within(folder, scan) for folder in folders if folder.name in named}
    splits = [folder for folder in within if _holds_classes(within[folder], scan)]
    if not splits:
        _expect_classes(top, holding, named, scan)
        return FolderLayout({"train": [top]})
    others = [folder for folder in holding if folder.name not in named]
    if len({named[folder.name] for folder in within}) == 1 and others:
        raise DataError(_one_split(top, splits, others, scan))
    parts: dict[str, list[Path]] = {}
    for folder in splits:
        parts.setdefault(named[folder.name], []).append(folder)
    for name, twins in parts.items():
        if len(twins) > 1:
            both = " and ".join(shown_below(folder, scan.root) for folder in twins[:2])
            advice = reading.hint("say which is which, such as --divide test=NAME", "keep one of them")
            raise DataError(f"{escape_name(scan.root)}: {both} both mean {name}; {advice}")
    inside = {name: [within[folder]] for name, (folder,) in parts.items()}
    shown = {name: shown_below(folder, scan.root) for name, (folder,) in inside.items()}
    notes = ("splits: " + ", ".join(f"{folder} is {name}" for name, folder in shown.items()),)
    plain = all(USUAL.get(folder) == name for name, folder in shown.items())
    return FolderLayout(inside, () if plain else notes, tuple(f for f in folders if f not in splits))


def _as_said(top: Path, scan: Scan) -> FolderLayout:
    """The splits that --divide names; folders that it does not name are train, unless it names train."""
    parts = scan.reading.parts
    folders = scan.listing(top).folders
    spelled = {same(name): split for name, split in parts.items()}
    if unknown := [name for name in parts if same(name) not in {same(folder.name) for folder in folders}]:
        found = some(folder.name for folder in folders) or "none"
        raise DataError(
            f"{escape_name(top)} has no folder {escape_name(unknown[0])}, which --divide names; it has {found}"
        )
    rest = None if "train" in spelled.values() else "train"
    found_parts: dict[str, list[Path]] = {}
    aside = []
    for folder in folders:
        if split := spelled.get(same(folder.name), rest):
            found_parts.setdefault(split, []).append(_within(folder, scan))
        else:
            aside.append(folder)
    said = []
    for name in (name for name in SPLITS if name in found_parts):
        below = [folder.relative_to(scan.root) for folder in found_parts[name]]
        said.append(f"{some(below)} {'is' if len(below) == 1 else 'are'} {name}")
    return FolderLayout(found_parts, ("splits, as --divide says: " + "; ".join(said),), tuple(aside))


def _expect_classes(top: Path, holding: Sequence[Path], named: dict[str, str], scan: Scan) -> None:
    """Raise DataError where folders that are about to become classes look like parts of the data."""
    if holding and all(folder.name in named for folder in holding):
        count = sum(len(scan.pictures(folder)) for folder in holding)
        names = some(folder.name for folder in holding)
        ask = "; pass --divide none if these are the classes" if scan.reading.offered and len(holding) > 1 else ""
        found = f"holds {amount(count, 'picture')} but no class folders (in {names} there are none); {SPLIT_SHAPE}{ask}"
        raise DataError(f"{escape_name(scan.root)} {found}")
    for folder in (f for f in holding if f.name in named and stem(f.name)):  # train_cats beside test_cats
        twin = next(
            (f for f in holding if stem(f.name) == stem(folder.name) and named.get(f.name) != named[folder.name]), None
        )
        if twin is not None:
            pair = f"{escape_name(folder.name)} and {escape_name(twin.name)} look like {named[folder.name]}"
            ask = scan.reading.hint("pass --divide none if they are two classes", _ARRANGE)
            raise DataError(
                f"{escape_name(top)}: {pair} and {named.get(twin.name, 'another part')} of one class; {ask}"
            )
    for folder in holding:
        inner = split_names(below.name for below in scan.holding(folder) if _holds_classes(_within(below, scan), scan))
        if len(set(inner.values())) > 1:
            found = f"{escape_name(folder.name)} holds splits of its own ({some(inner)})"
            give = f"give {escape_name(folder)} for those"
            raise DataError(
                f"{escape_name(top)}: {found}; {scan.reading.hint('pass --divide none if it is a class', give)}"
            )
    shaped = {f: {same(g.name) for g in scan.holding(f)} for f in holding if not scan.listing(f).pictures}
    shaped = {folder: names for folder, names in shaped.items() if len(names) > 1}
    common = set.intersection(*shaped.values()) if shaped else set()
    if len(shaped) < 2 or 2 * len(shaped) <= len(holding) or len(common) < 2:
        return
    tops = some(folder.name for folder in shaped)
    if len({*split_names(common).values()}) > 1:
        ask = scan.reading.hint("pass --divide none to take them together", "move them to FOLDER/train/CLASS")
        raise DataError(
            f"{escape_name(top)}: {tops} hold a {' and a '.join(sorted(map(escape_name, common)))} each; {ask}"
        )
    example = escape_name(list(shaped)[-1].name)
    ask = scan.reading.hint(
        f"pass --divide test={example} to measure on that one and train on the others, --divide none if they are the "
        "classes",
        _ARRANGE,
    )
    raise DataError(
        f"{escape_name(top)}: {tops} hold folders of the same names ({some(sorted(common))}), which look like the "
        f"classes; {ask}"
    )


def _one_split(top: Path, splits: Sequence[Path], others: Sequence[Path], scan: Scan) -> str:
    folder = escape_name(splits[0].name)
    other = escape_name(others[0].name)
    ask = scan.reading.hint(
        f"pass --divide none if all are classes, --divide test={other} if that is the test part", _ARRANGE
    )
    found = f"{folder} is named like a split and holds folders, {some(f.name for f in others)} beside it"
    return f"{escape_name(top)}: {found} {'is' if len(others) == 1 else 'are'} not; {ask}"


def _expect_no_linked_class(folder: Path, scan: Scan) -> None:
    """Raise DataError for links to folders where class folders are expected: a class would be lost."""
    if links := [link for link in scan.listing(folder).links if link.is_dir()]:
        what = "is a link to a folder, which is" if len(links) == 1 else "are links to folders, which are"
        names = some(link.relative_to(scan.root) for link in links)
        raise DataError(f"{escape_name(scan.root)}: {names} {what} not followed; {_unlink(scan)}")


def _unlink(scan: Scan) -> str:
    return scan.reading.hint("pass --follow-links", "put the pictures themselves there")


def _aside(folder: Path, scan: Scan) -> str:
    """The note about a folder beside the splits."""
    bare = not _holds_classes(_within(folder, scan), scan) and len(scan.pictures(folder))
    found = f"{amount(bare, 'picture')} but no class folders" if bare else "no split"
    return f"folder {shown_below(folder, scan.root)} holds {found} and was ignored"


def _left_out(class_folder: Path, scan: Scan) -> str:
    """The note about a class folder that is empty; DataError where a class would be lost that is not."""
    shown = shown_below(class_folder, scan.root)
    if not (reason := scan.lost(class_folder)):
        return f"class folder {shown} holds no pictures and was left out"
    if "links" in reason:
        advice = _unlink(scan)
    elif "listed" in reason:
        advice = "allow reading it, or take it away"
    else:
        advice = f"read are {READABLE}: convert them, or take the folder away"
    raise DataError(f"{escape_name(scan.root)}: class {shown} would be lost, as its folder {reason}; {advice}")


def _nothing_found(path: Path, loose: int, scan: Scan) -> str:
    if scan.problems:
        folder, reason = next(iter(scan.problems.items()))
        return (
            f"{escape_name(path)}: {shown_below(folder, path)} cannot be listed ({reason}): its pictures are missing; "
            "allow reading it or choose another folder"
        )
    if scan.linked:
        places = ", ".join(f"{count:,} in {place}" for place, count in scan.linked.most_common(5))
        return f"{escape_name(path)} holds nothing but links that are not followed ({places}); {_unlink(scan)}"
    if loose:
        return f"{escape_name(path)} holds {amount(loose, 'picture')} but no class folders; {SPLIT_SHAPE}"
    if scan.strangers:
        suffix, count = scan.strangers.most_common(1)[0]
        kinds = f"{count:,} x {escape_name(suffix)}"
        return f"{escape_name(path)} holds no pictures that can be read ({kinds}); {SPLIT_SHAPE} with {READABLE} files"
    return f"{escape_name(path)} holds no pictures; {SPLIT_SHAPE}"
