"""Which column of a table is the picture's path, which its label, and which says its split; what is not sure is asked.

Headers count in any case, with or without blanks, `_` and `-`. A split column holds words (split, set, Usage: Training,
PublicTest) or flags (is_valid: True, False); a column of any header is one when all its values name splits. Numbers may
be folds or codes: those are asked about.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nin.data.formats.folders import some
from nin.data.formats.split_names import SPLIT_WORDS, split_names
from nin.data.reading import Reading
from nin.data.spelling import same
from nin.data.splits import natural
from nin.errors import DataError, escape_name

_KNOWN = {
    "paths": "path filename file filepath image img imagepath imgpath imagefile imagefilename imagename imgname "
    "imgfile picture picturepath photo pic relativepath relpath filenames images files paths "
    "경로 파일 파일명 파일이름 파일경로 이미지 사진 이미지경로 이미지파일",
    "labels": "label class category target labelname classname categoryname labels classes categories y species "
    "classid labelid classlabel imagelabel groundtruth gt tag 라벨 레이블 클래스 분류 정답 종류",
    "splits": "split splits set subset partition phase usage stage mode fold folds kfold part datasplit dataset "
    "splitname setname traintest traintestsplit splittype 분할 구분 세트 용도",
    "numbered": "split splits set subset partition fold folds kfold datasplit traintest traintestsplit 분할",
    "yes": "true 1 yes y t 1.0 on 예",
    "no": "false 0 no n f 0.0 off 아니오 아니요",
}
PATHS, LABELS, SPLIT_COLUMNS, NUMBERED = (
    tuple(_KNOWN[name].split()) for name in ("paths", "labels", "splits", "numbered")
)
YES = set(_KNOWN["yes"].split())
NO = {*_KNOWN["no"].split(), ""}
MOST_VALUES = 1_000  # different ones in a column; more say no split

Survey = Mapping[str, Counter[str]]  # column -> its values, with how often; only columns that may say the split


def plain_columns(header: str) -> str:
    """A header without what people vary: "File Name" and "file_name" are "filename"."""
    return re.sub(r"[\s_\-.#]+", "", same(header)).casefold()


def find_columns(headers: Sequence[str], where: str) -> tuple[str, str] | None:
    """The headers of path and label; None where one is missing. DataError where two could be one of them."""
    found = []
    for names in (PATHS, LABELS):
        called = [header for header in headers if plain_columns(header) in names]
        exact = [header for header in called if plain_columns(header) == names[0]]
        if len(called) > 1 and len(exact) != 1:
            both = " and ".join(map(escape_name, called[:2]))
            raise DataError(f"{where}: both {both} could be the {names[0]}; call the right one {names[0]}")
        found += exact or called
        if not called:
            return None
    return found[0], found[1]


def is_flag(header: str) -> str:
    """The split that a column of flags stands for: "validation" of is_valid; "" for other columns."""
    words = [word for word in re.split(r"[\s_\-.]+|(?<=[a-z])(?=[A-Z])", header) if word]
    if len(words) == 1 and words[0].lower().startswith("is"):
        words = ["is", words[0][2:]]
    rest = [word.lower() for word in words if word.lower() not in ("is", "image", "img", "set", "flag", "in")]
    return SPLIT_WORDS.get(rest[0], "") if len(rest) == 1 else ""


def may_say_split(header: str) -> bool:
    """Whether a column's name is one that splits are written under."""
    return plain_columns(header) in SPLIT_COLUMNS or bool(is_flag(header))


def all_splits(values: Iterable[str]) -> bool:
    """Whether a column's values are the names of two splits or more and nothing else, whatever its header."""
    values = list(values)
    named = split_names(values)
    return len(named) == len(values) and len({*named.values()}) > 1


@dataclass(frozen=True)
class SplitRule:
    """columns: those read, each with what its values mean (None: nothing); otherwise: the split of rows about which
    they say nothing (None: there may be none); notes: how it was understood."""

    columns: Mapping[str, Mapping[str, str | None]]
    otherwise: str | None = "train"
    notes: tuple[str, ...] = ()

    def split(self, row: Mapping[str, str], where: str) -> str:
        """The split of a row; raises DataError beginning with `where` for a value that means none."""
        said = []
        for column, values in self.columns.items():
            text = row.get(column)
            if text is None:
                continue
            if (value := text.strip()) not in values:
                shown = f"{escape_name(column)} '{escape_name(value)}'"
                raise DataError(f"{where}: {shown}; expected train, validation or test")
            if (split := values[value]) is not None:
                said.append(split)
        split = said[0] if len(set(said)) == 1 else self.otherwise if not said else None
        if split is None:
            found = "none" if not said else "more than one"
            raise DataError(f"{where}: {some(self.columns)} put it into {found} of the splits; correct the row")
        return split


def split_rule(survey: Survey, reading: Reading, shown: str) -> SplitRule:
    """How a table says the split of its rows; `shown`: the table, for messages. DataError where that must be asked."""
    if reading.whole:
        dropped = f"--divide none: {some(survey)} not used" if survey else "--divide none: all rows are train"
        return SplitRule({}, "train", (dropped,))
    if reading.parts:
        return _as_said(survey, reading, shown)
    worded = {
        column: split_names(counts)
        for column, counts in survey.items()
        if (plain_columns(column) in SPLIT_COLUMNS or all_splits(counts)) and not _is_flags(counts)
    }
    clear = {column: values for column, values in worded.items() if values}
    flags = {c: is_flag(c) for c, counts in survey.items() if is_flag(c) and _is_flags(counts)}
    if exact := [column for column in survey if plain_columns(column) == "split" and not _numbers(survey[column])]:
        return _by_words(exact[0], worded.get(exact[0], {}))
    if len(clear) + bool(flags) > 1:
        both = some([*clear, *list(flags)[:1]])
        raise DataError(f"{shown}: the columns {both} could all be the split; call the right one split")
    if clear:
        return _by_words(*next(iter(clear.items())))
    if flags:
        return _by_flags(flags, survey, reading, shown)
    for column, counts in survey.items():
        if plain_columns(column) in NUMBERED and (_numbers(counts) or _numbered(counts)):
            values = sorted(counts, key=natural)
            ask = reading.hint(
                f"pass --divide test={escape_name(values[-1])} to measure on those rows and train on the others, "
                "--divide none to take no notice of it",
                "write train, validation or test into a column split",
            )
            found = f"the column {escape_name(column)} holds {some(values)}, which may be folds or splits"
            raise DataError(f"{shown}: {found}; {ask}")
    return SplitRule({})


def _by_words(column: str, values: Mapping[str, str]) -> SplitRule:
    """Values that are words; the usual ones in a column of the usual name need no note."""
    usual = plain_columns(column) == "split" and all(
        value in ("train", "validation", "val", "test") for value in values
    )
    said = ", ".join(f"{escape_name(value)} is {split}" for value, split in values.items())
    notes = () if usual or not values else (f"splits by the column {escape_name(column)}: {said}",)
    return SplitRule({column: values}, "train", notes)


def _by_flags(flags: Mapping[str, str], survey: Survey, reading: Reading, shown: str) -> SplitRule:
    """Columns of flags, one for each split or fewer."""
    rules: dict[str, dict[str, str | None]] = {}
    for column, split in flags.items():
        rules[column] = {value: split if same(value).casefold() in YES else None for value in survey[column]}
    otherwise = "train"
    if "train" in flags.values():
        rest = [name for name in ("test", "validation") if name not in flags.values()]
        otherwise = "test" if len(flags) == 1 else rest[0] if len(rest) == 1 else None  # type: ignore[assignment]
    marked = {c: sum(n for v, n in survey[c].items() if rules[c][v]) for c in flags}
    total = max(sum(survey[column].values()) for column in flags)
    train = [marked[c] for c, split in flags.items() if split == "train"]
    if (train[0] if train else total - sum(marked.values())) * 2 < total:
        counts = ", ".join(
            f"{escape_name(column)} is set in {count:,} of {total:,} rows" for column, count in marked.items()
        )
        advice = "write train, validation or test into a column split"
        ask = reading.hint("pass --divide none to take no notice of it", advice)
        raise DataError(f"{shown}: {counts}, which would leave less than half to train on; {ask}")
    said = [f"{escape_name(column)} is {split}" for column, split in flags.items()]
    rest_said = f", the rest is {otherwise}" if otherwise else ""
    return SplitRule(rules, otherwise, (f"splits by columns of flags: {', '.join(said)}{rest_said}",))


def _as_said(survey: Survey, reading: Reading, shown: str) -> SplitRule:
    """The split column that holds all the values that --divide names."""
    wanted = {same(name): split for name, split in reading.parts.items()}
    for column, counts in survey.items():
        spelled = {same(value): value for value in counts}
        spelled |= {f"{float(v):g}": v for v in counts if _number(v)} | spelled
        if not set(wanted) <= set(spelled):
            continue
        rest = None if "train" in wanted.values() else "train"
        meant = {spelled[name]: split for name, split in wanted.items()}
        if rest is None and len(meant) < len(counts):
            other = next(value for value in counts if value not in meant)
            raise DataError(
                f"{shown}: {escape_name(column)} '{escape_name(other)}' is in no part that --divide names; add it"
            )
        said = ", ".join(f"{escape_name(value)} is {split}" for value, split in meant.items())
        said += ", the rest is train" if rest else ""
        note = f"splits by the column {escape_name(column)}, as --divide says: {said}"
        return SplitRule({column: {value: meant.get(value, rest) for value in counts}}, "train", (note,))
    columns = f"there are {some(survey)}" if survey else "there is no such column"
    raise DataError(f"{shown}: no split column holds {some(wanted)}, which --divide names; {columns}")


def _is_flags(counts: Mapping[str, int]) -> bool:
    values = {same(value).casefold() for value in counts}
    return bool(values & YES) and values <= YES | NO


def _number(text: str) -> bool:
    return bool(re.fullmatch(r"-?\d{1,9}(\.\d{1,9})?", text)) and text.isascii()


def _numbered(counts: Mapping[str, int]) -> bool:
    """Whether all values are one word with different numbers: fold1, fold2."""
    found = [re.fullmatch(r"([^\W\d_]+)[ _-]?\d{1,9}", value) for value in counts]
    return bool(found) and all(found) and len({match[1].casefold() for match in found if match}) == 1


def _numbers(counts: Mapping[str, int]) -> bool:
    return bool(counts) and all(map(_number, counts))
