r"""When two names are the same name: the one place that decides it for folders, tables, files and models.

Two spellings of one name are joined where nobody can see that they differ, or where it is a way of typing only:
Unicode's composed and decomposed forms (Hangul or accents from a Mac), blanks at the ends or of another kind (no-break,
wide, doubled), characters of no width, full and half width of the same letters. Names that differ in case only are
another matter: on Linux `Cat` and `cat` may well be two folders, and Polish may not be polish. They are taken for one
where no place has both (train has `Cat` and test has `cat`); where one place has both they stay two, with a line that
says so. Compatibility forms beyond width (x² and x2, ① and 1) are different names.
Source: Unicode Standard Annex 15 (normalisation forms), Annex 11 (East Asian width).
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from nin.errors import escape_name

_JOINERS = "\u200c\u200d"  # they shape Persian, Indic scripts and emoji, and mean nothing at an end or beside ASCII
_NO_WIDTH = re.compile("[\u00ad\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LOOSE_JOINER = re.compile(f"(?:^|(?<=[\\x00-\\x7f]))[{_JOINERS}]+|[{_JOINERS}]+(?=[\\x00-\\x7f]|$)")


def as_text(name: str) -> str:
    r"""A name that every file format and program takes: bytes that are no UTF-8 as `\xe9`, lone surrogates as `\ud800`.

    Python reads such bytes of a file's name as surrogates (PEP 383), which nothing else can write.
    """
    return _SURROGATE.sub(_escaped, name)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def clean(name: str) -> str:
    """A name as labels bear it: text, composed (NFC), plain single blanks, none at the ends, nothing without width."""
    name = as_text(name)
    if name.isascii() and "  " not in name:
        return name.strip(" ")
    text = _LOOSE_JOINER.sub("", _NO_WIDTH.sub("", name))
    text = "".join(" " if unicodedata.category(c) == "Zs" else c for c in text)
    return re.sub(" +", " ", unicodedata.normalize("NFC", text)).strip(" ")


def same(name: str) -> str:
    """What two spellings of one name have in common: `clean`, with letters of full or half width as the plain ones."""
    if name.isascii():
        return clean(name)
    narrow = (_plain_width(c) for c in clean(name))
    return clean("".join(narrow))


def _plain_width(character: str) -> str:
    kind, _, codes = unicodedata.decomposition(character).partition(" ")
    return "".join(chr(int(code, 16)) for code in codes.split()) if kind in ("<wide>", "<narrow>") else character


def join_names(places: Mapping[str, Iterable[str]]) -> tuple[dict[str, str], list[str]]:
    """The class that every name in `places` (split -> the names in it, as written) means, and notes of what was joined.

    A class is called as its spellings are once cleaned; where these differ, by their common spelling, and where only
    case differs, as the first place has it.
    """
    places = {place: list(dict.fromkeys(names)) for place, names in places.items()}
    written = list(dict.fromkeys(name for names in places.values() for name in names))
    groups: dict[str, list[str]] = {}
    for name in written:
        groups.setdefault(same(name), []).append(name)
    cleaned = {key: {clean(name) for name in names} for key, names in groups.items()}
    label = {key: min(shown) if len(shown) == 1 else key for key, shown in cleaned.items()}
    notes = [_note(names, label[key]) for key, names in groups.items() if len(names) > 1]
    cases: dict[str, list[str]] = {}
    for key in groups:
        cases.setdefault(key.casefold(), []).append(key)
    for keys in (keys for keys in cases.values() if len(keys) > 1):
        shown = " and ".join(escape_name(label[key]) for key in keys)
        found = [{same(name) for name in names} & set(keys) for names in places.values()]
        if max(map(len, found)) == 1:
            label.update(dict.fromkeys(keys, label[keys[0]]))
            notes.append(f"{shown} differ in case only and no split has both: taken as one class")
        else:
            notes.append(f"{shown} differ in case only and are two classes; if they are one, give them one name")
    return {name: label[same(name)] for name in written}, notes


def match_names(names: Sequence[str], known: Sequence[str]) -> tuple[dict[str, int], list[str]]:
    """Which of `known` each name is, by number, for those that are one of them; and notes of what was joined.

    The same text comes first, then the same name, then the only one that differs in case.
    """
    places = {name: number for number, name in reversed(list(enumerate(known)))}
    spelled: dict[str, int] = {}
    folded: dict[str, set[int]] = {}
    for number, name in enumerate(known):
        spelled.setdefault(same(name), number)
        folded.setdefault(same(name).casefold(), set()).add(number)
    meant: dict[str, int] = {}
    for name in names:
        only = folded.get(same(name).casefold(), set())
        alone = min(only) if len(only) == 1 else -1
        meant[name] = places.get(name, spelled.get(same(name), alone))
    meant = {name: number for name, number in meant.items() if number >= 0}
    often = Counter(meant.values())  # two that stay two here cannot be one there
    meant = {name: number for name, number in meant.items() if often[number] == 1 or name == known[number]}
    notes = [
        f"class {_told(name)} is the model's {_told(known[number])}: one name in two spellings"
        for name, number in meant.items()
        if known[number] != name
    ]
    return meant, notes


def _note(names: Sequence[str], label: str) -> str:
    ways = " and ".join(map(_told, names))
    return f"class {escape_name(label)} is spelled in {len(names)} ways ({ways}): taken as one class"


def _told(name: str) -> str:
    """A spelling, with what cannot be seen in words."""
    decomposed = unicodedata.normalize("NFC", name) != name
    return f"'{escape_name(name)}'" + (" in decomposed letters, as a Mac writes them," if decomposed else "")
