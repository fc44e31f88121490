"""What people call the parts of a data set: "Training Data", val2017, seg_test, PublicTest, 검증 and the like.

A name says a split when one of its words does and the others say nothing ("set", "images", numbers), or are the same
beside another split's word (`cats_and_dogs_train`, `cats_and_dogs_test`). That a folder is called so does not make it a
split: a class of vehicles may be "train". nin.data.formats.layout looks at what the folder holds.
"""

import re
import unicodedata
from collections.abc import Iterable

LATE = "late"  # "eval", "holdout": the validation part where there is a test part as well, else the test part
_NAMES = {
    "train": "train trains trained training trainings trainval trn 훈련 학습 训练 訓練 学習",
    "validation": "val vals valid validation validations validate validating dev devel development 검증 验证 驗證 検証",
    "test": "test tests tested testing 시험 테스트 测试 測試 テスト",
    LATE: "eval evals evaluate evaluation holdout heldout 평가 評価 评估",
}
WORDS = {word: split for split, words in _NAMES.items() for word in words.split()}
SPLIT_WORDS = {word: "test" if split == LATE else split for word, split in WORDS.items()}
_SAY_NOTHING = """s set sets data dataset datasets image images img imgs picture pictures pic pics photo photos folder
folders dir directory file files split splits part partition sample samples public private
용 용도 데이터 데이터셋 데이터세트 셋 세트 집합 이미지 사진 영상 자료 폴더 数据 数据集 集 图片 資料 データ 用"""
_FILLERS = frozenset(_SAY_NOTHING.split())
_LONGEST = sorted(WORDS, key=len, reverse=True)


def split_names(names: Iterable[str]) -> dict[str, str]:
    """The split that each name means ("train", "validation" or "test"), for those that mean one, in their order."""
    read = {name: _read(name) for name in names}
    beside: dict[tuple[str, ...], set[str]] = {}  # what is left of a name without its split's word -> splits
    for split, rest in read.values():
        if split:
            beside.setdefault(rest, set()).add(split)
    meant = {name: split for name, (split, rest) in read.items() if split and (not rest or len(beside[rest]) > 1)}
    public = {name for name in meant if "public" in _words(name)} if any("private" in _words(n) for n in meant) else ()
    had = set(meant.values())
    for name, split in meant.items():
        if split == LATE:
            meant[name] = "validation" if "test" in had and "validation" not in had else "test"
        elif name in public and split == "test" and "validation" not in had:
            meant[name] = "validation"  # Kaggle, FER-2013: the public part chooses the model, the private one judges it
    return meant


def stem(name: str) -> tuple[str, ...]:
    """What is left of a name without the words that say a split or nothing: () of "Training Data"."""
    return _read(name)[1]


def says_nothing(name: str) -> bool:
    """Whether a name ("images", "data", "train") says no class."""
    return not stem(name)


def _read(name: str) -> tuple[str, tuple[str, ...]]:
    """The split a name's words say, "" for none or two, and the words that say something else."""
    splits = set()
    rest = []
    for word in _words(name):
        if split := _split_of(word):
            splits.add(split)
        elif word not in _FILLERS and not word.isdecimal():
            rest.append(word)
    return (splits.pop() if len(splits) == 1 else ""), tuple(rest)


def _words(name: str) -> list[str]:
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", unicodedata.normalize("NFKC", name)).casefold()
    text = re.sub(r"\b(hold|held)[\W_]*out", "holdout", text.replace("_", " "))
    return re.findall(r"[^\W\d_]+|\d+", text)


def _split_of(word: str) -> str:
    """The split that one word says, alone or with a word that says nothing: "trainset", "훈련용데이터"."""
    if word in WORDS:
        return WORDS[word]
    for known in _LONGEST:
        rest = word.removeprefix(known) if word.startswith(known) else word.removesuffix(known)
        if rest != word and _nothing(rest):
            return WORDS[known]
    return ""


def _nothing(word: str) -> bool:
    """Whether a word is one, or two, that say nothing: "imageset", "용데이터"."""
    return word in _FILLERS or any(word[:n] in _FILLERS and word[n:] in _FILLERS for n in range(1, len(word)))
