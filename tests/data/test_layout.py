"""Splits and classes by the names of folders: what people have, what it means, and what is asked."""

import os
import unicodedata

import pytest
from picture_corpus import tiny

from nin.data.check import check_source
from nin.data.formats.split_names import split_names
from nin.data.reading import Reading
from nin.data.sources import open_source
from nin.errors import DataError, UsageError

ASKED = Reading(offered=True)


def counts(source):
    """split -> class -> pictures."""
    found = {}
    for name, split in source.splits.items():
        labels = split.labels.tolist()
        found[name] = {c: labels.count(i) for i, c in enumerate(source.classes) if i in labels}
    return found


def refused(path, reading=ASKED):
    """The line of the refusal, which training and `nin data check` share."""
    with pytest.raises(DataError) as caught:
        open_source(path, reading=reading)
    line = str(caught.value)
    assert "\n" not in line
    try:
        assert check_source(path, reading=reading).refused == line
    except DataError as error:
        assert str(error) == line
    return line


@pytest.mark.parametrize(
    ("names", "meant"),
    [
        ("training_set test_set", "train test"),
        ("train_images val_images test_images", "train validation test"),
        ("seg_train seg_test seg_pred", "train test -"),
        ("dataset-train dataset-valid", "train validation"),
        ("cats_and_dogs_train cats_and_dogs_test", "train test"),
        ("trainset devset testdata", "train validation test"),
        ("TrainImages ValidationImages", "train validation"),
        ("TRAIN EVAL", "train test"),
        ("train test eval", "train test validation"),
        ("train val holdout", "train validation test"),
        ("train hold-out", "train test"),
        ("Training PublicTest PrivateTest", "train validation test"),
        ("Training PublicTest", "train test"),
        ("train2017 val2017", "train validation"),
        ("train_1 test_1", "train test"),
        ("훈련 검증 시험", "train validation test"),
        ("학습용데이터 검증용데이터 테스트셋", "train validation test"),
        (unicodedata.normalize("NFD", "훈련 평가"), "train test"),
        ("ｔｒａｉｎ test", "train test"),
        ("train bus plane", "train - -"),
        ("test_tube beaker", "- -"),
        ("train_station harbour", "- -"),
        ("latest contest trainable valid8or", "- - - -"),
        ("fold_0 fold_1", "- -"),
        ("train_test_split", "-"),
        ("invalid", "-"),
    ],
)
def test_words_for_splits(names, meant):
    expected = {name: split for name, split in zip(names.split(), meant.split(), strict=True) if split != "-"}
    assert split_names(names.split()) == expected


def test_blanks_and_case_in_names_of_splits():
    assert split_names(["Training Data", "Test Data"]) == {"Training Data": "train", "Test Data": "test"}
    assert split_names(["training set ", "Held Out"]) == {"training set ": "train", "Held Out": "test"}


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("training_set", "test_set"),
        ("train_images", "test_images"),
        ("Training Data", "Testing Data"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("train/images", "test/images"),
        ("cats_and_dogs_train", "cats_and_dogs_test"),
        ("훈련", "시험"),
        ("photos/train", "photos/test"),
    ],
)
def test_split_folders_as_people_have_them(fill, train, test):
    for name in ("cat", "dog"):
        fill(f"{train}/{name}", 6)
        root = fill(f"{test}/{name}", 2)
    source = open_source(root, split=False)
    assert counts(source) == {"train": {"cat": 6, "dog": 6}, "test": {"cat": 2, "dog": 2}}
    assert f"splits: {test} is test, {train} is train" in source.notes or (
        f"splits: {train} is train, {test} is test" in source.notes
    )
    assert check_source(root).refused == ""


def test_classes_may_be_called_like_splits(fill):
    for name in ("train", "bus", "plane"):
        root = fill(f"vehicles/{name}", 4) / "vehicles"
    assert open_source(root).classes == ("bus", "plane", "train")
    for name in ("test", "control"):
        root = fill(f"trial/{name}", 4) / "trial"
    assert open_source(root).classes == ("control", "test")
    for name in ("valid", "invalid"):
        root = fill(f"tickets/{name}", 4) / "tickets"
    fill("tickets/valid/old", 1)
    assert counts(open_source(root, split=False)) == {"train": {"invalid": 4, "valid": 5}}


def test_one_folder_called_like_a_split_beside_others_is_asked_about(fill):
    for name in ("train/steam", "train/diesel", "bus/city", "bus/school"):
        root = fill(name, 3)
    line = refused(root)
    assert "train is named like a split and holds folders, bus beside it is not; pass --divide none if all" in line
    assert counts(open_source(root, split=False, reading=Reading("none"))) == {"train": {"bus": 6, "train": 6}}
    assert "--divide" not in refused(root, Reading())


def test_folds_are_asked_about(fill):
    for fold in range(5):
        for name in ("cat", "dog"):
            root = fill(f"fold_{fold}/{name}", 2)
    line = refused(root)
    assert "fold_0, fold_1, fold_2, fold_3, fold_4 hold folders of the same names (cat, dog)" in line
    assert "--divide test=fold_4" in line and "--divide none" in line
    divided = open_source(root, split=False, reading=Reading("test=fold_4, val=fold_3"))
    assert counts(divided) == {
        "train": {"cat": 6, "dog": 6},
        "validation": {"cat": 2, "dog": 2},
        "test": {"cat": 2, "dog": 2},
    }
    assert "fold_0, fold_1, fold_2 are train; fold_3 is validation; fold_4 is test" in "\n".join(divided.notes)
    some = open_source(root, split=False, reading=Reading("train=fold_0,test=fold_4"))
    assert counts(some) == {"train": {"cat": 2, "dog": 2}, "test": {"cat": 2, "dog": 2}}
    assert "folder fold_2 holds no split and was ignored" in some.notes
    assert len(open_source(root, reading=Reading("none")).classes) == 5
    assert "has no folder fold_9, which --divide names" in refused(root, Reading("test=fold_9", offered=True))


def test_splits_inside_classes_are_asked_about(fill):
    for name in ("cat/train", "cat/test", "dog/train", "dog/test"):
        root = fill(name, 2)
    assert "cat, dog hold a test and a train each; pass --divide none to take them together" in refused(root)


def test_a_folder_of_splits_beside_other_folders_is_named(fill):
    for name in ("labelled/train/a", "labelled/train/b", "labelled/test/a", "labelled/test/b", "unlabelled"):
        root = fill(name, 2)
    line = refused(root)
    assert "labelled holds splits of its own (test, train); pass --divide none if it is a class, or give " in line
    assert line.endswith(f"{root}/labelled for those")


def test_splits_in_the_names_of_classes_are_asked_about(fill):
    for name in ("train_cats", "test_cats", "train_dogs", "test_dogs"):
        root = fill(name, 2)
    assert "all" not in refused(root) and "no class folders" in refused(root)
    fill("birds", 2)
    assert "test_cats and train_cats look like test and train of one class" in refused(root)


def test_classes_with_folders_of_the_same_names_can_be_said(fill):
    for name in ("cat/2023", "cat/2024", "dog/2023", "dog/2024"):
        root = fill(name, 2)
    assert "--divide none if they are the classes" in refused(root)
    assert open_source(root, reading=Reading("none")).classes == ("cat", "dog")


@pytest.mark.parametrize("text", ["fold_4", "test", "test=", "=a", "best=fold_4", "test=a,,"])
def test_what_divide_cannot_mean(text):
    with pytest.raises(UsageError, match=r"--divide is .* expected none, or parts such as test=fold_4"):
        Reading(text)


def test_a_folder_around_the_data_set(fill, tmp_path):
    fill("photos/photos/cat", 4)
    fill("photos/photos/dog", 4)
    root = fill("photos/__MACOSX/photos", 1) / "photos"
    for name in ("README.md", "LICENSE", ".DS_Store"):
        (root / name).write_text("x")
    source = open_source(root)
    assert source.classes == ("cat", "dog")
    assert any(note.startswith(f"read as {root}/photos, the only folder in ") for note in source.notes)
    fill("outer/photos/cat", 4)
    fill("outer/photos/dog", 4)
    assert f"one class only (photos); expected at least two, one folder for each; if cat, dog are the classes, give " \
        f"{tmp_path}/outer/photos" in refused(tmp_path / "outer")  # fmt: skip


def test_folders_around_folders_are_named_down_to_the_classes(fill, tmp_path):
    fill("data/archive/photos/cat", 4)
    fill("data/archive/photos/dog", 4)
    assert f"if cat, dog are the classes, give {tmp_path}/data/archive/photos" in refused(tmp_path / "data")


def test_a_test_folder_of_pictures_without_classes_is_left_out_with_their_number(fill):
    for test in ("test", "test/test", "test/images"):
        root = test.replace("/", "-")
        for name in ("cat", "dog"):
            fill(f"{root}/train/{name}", 4)
        path = fill(f"{root}/{test}", 3) / root
        source = open_source(path, split=False)
        assert counts(source) == {"train": {"cat": 4, "dog": 4}}
        assert "folder test holds 3 pictures but no class folders and was ignored" in source.notes
    fill("flat/train/images", 4)
    path = fill("flat/test/images", 3) / "flat"
    assert "holds 7 pictures but no class folders (in test, train there are none)" in refused(path)


def test_both_spellings_of_a_split_are_asked_about(fill):
    for name in ("val/a", "valid/a", "train/a", "train/b"):
        root = fill(name, 1)
    assert "val and valid both mean validation; say which is which, such as --divide test=NAME" in refused(root)


# ---- links


@pytest.fixture
def linked(fill, tmp_path):
    """Pictures of three classes in nas/, and folders that are linked to from data/ in every way."""
    for name in ("cat", "dog", "owl"):
        fill(f"nas/{name}", 4)
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def test_a_class_that_is_a_link_is_refused_by_name_or_followed(linked, fill):
    fill("data/cat", 4)
    fill("data/owl", 4)
    (linked / "dog").symlink_to("../nas/dog")
    line = refused(linked)
    assert "dog is a link to a folder, which is not followed; pass --follow-links" in line
    assert "--follow-links" not in refused(linked, Reading())
    assert counts(open_source(linked, split=False, reading=Reading(follow_links=True))) == {
        "train": {"cat": 4, "dog": 4, "owl": 4}
    }


def test_a_data_set_of_links_names_the_option(linked):
    for split, rows in (("train", range(3)), ("val", range(3, 4))):
        for name in ("cat", "dog"):
            (linked / split / name).mkdir(parents=True)
            for row in rows:
                (linked / split / name / f"{row}.png").symlink_to(f"../../../nas/{name}/{row}.png")
    assert "nothing but links that are not followed (3 in train/cat, 3 in train/dog, 1 in val/cat, 1 in val/dog)" in (
        refused(linked)
    )
    source = open_source(linked, reading=Reading(follow_links=True))
    assert counts(source) == {"train": {"cat": 3, "dog": 3}, "validation": {"cat": 1, "dog": 1}}


def test_links_among_pictures_are_counted_by_class_and_a_class_of_links_only_is_refused(linked, fill):
    fill("data/cat", 2)
    fill("data/dog", 2)
    for row in range(3):
        (linked / "cat" / f"l{row}.png").symlink_to(f"../../nas/cat/{row}.png")
    assert "links that are not followed: 3 in cat; --follow-links reads them" in (
        open_source(linked, reading=ASKED).notes
    )
    (linked / "owl").mkdir()
    (linked / "owl" / "0.png").symlink_to("../../nas/owl/0.png")
    assert "class owl would be lost, as its folder holds nothing but links that are not followed (1)" in refused(linked)


def test_followed_links_lead_round_in_no_circle(linked, fill):
    fill("data/cat", 2)
    fill("data/dog", 2)
    (linked / "cat" / "up").symlink_to("..")
    (linked / "cat" / "self").symlink_to(".")
    (linked / "cat" / "nas").symlink_to("../../nas/cat")
    (linked.parent / "nas" / "cat" / "back").symlink_to("../../data/cat")
    (linked / "dog" / "void").symlink_to("/dev/zero")
    source = open_source(linked, split=False, reading=Reading(follow_links=True))
    assert counts(source) == {"train": {"cat": 6, "dog": 2}}
    assert any("x folder inside itself" in note for note in source.notes)


# ---- classes that would be lost


@pytest.mark.parametrize("names", [["a.dcm"], ["a.psd", "b.PSD"], ["a.CR2"], ["a.mp4"], ["noname"]])
def test_a_class_of_files_that_are_not_read_is_refused_by_name(fill, names, monkeypatch):
    monkeypatch.setattr("nin.data.images.SUFFIXES", frozenset({".png"}))
    fill("cat", 3)
    fill("dog", 3)
    root = fill("bird", 0)
    for name in names:
        (root / "bird" / name).write_bytes(b"x")
    assert "class bird would be lost, as its folder holds nothing that can be read" in refused(root)


def test_a_folder_of_texts_is_no_class(fill):
    fill("cat", 3)
    fill("dog", 3)
    root = fill("annotations", 0)
    (root / "annotations" / "cat.xml").write_text("x")
    assert "class folder annotations holds no pictures and was left out" in open_source(root).notes


# ---- names in another spelling


def test_the_same_name_in_two_spellings_is_one_class(fill, tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "고양이") for form in ("NFC", "NFD"))
    for root, folders in {
        "splits": [f"train/{decomposed}", "train/dog", f"val/{composed}", "val/dog"],
        "one": [decomposed, composed, "dog"],
        "blank": ["고양이 ", "고양이\u200b", "dog"],
        "wide": ["ｄｏｇ", "dog", "고양이\u00a0"],
    }.items():
        for folder in folders:
            fill(f"{root}/{folder}", 3)
        assert open_source(tmp_path / root).classes == ("dog", composed), root


def test_names_that_differ_in_case_only(fill, tmp_path):
    for folder in ("train/Cat", "train/dog", "test/cat", "test/dog"):
        fill(f"across/{folder}", 3)
    source = open_source(tmp_path / "across")
    assert source.classes == ("Cat", "dog")
    assert "Cat and cat differ in case only and no split has both: taken as one class" in source.notes
    if os.path.exists(fill("beside/Cat", 3) / "beside" / "cat"):
        pytest.skip("this file system does not tell case")
    fill("beside/cat", 3)
    source = open_source(tmp_path / "beside")
    assert source.classes == ("Cat", "cat")
    assert "Cat and cat differ in case only and are two classes; if they are one, give them one name" in source.notes


# ---- tables in folders (Hugging Face's imagefolder)


def test_metadata_beside_the_pictures(fill, tmp_path):
    fill("one/pictures", 4)
    (tmp_path / "one" / "metadata.csv").write_text(
        "file_name,label,text\n" + "".join(f"pictures/{n}.png,{'ab'[n % 2]},x\n" for n in range(3))
    )
    source = open_source(tmp_path / "one", split=False)
    assert counts(source) == {"train": {"a": 2, "b": 1}}
    assert source.notes == (
        "metadata.csv names the pictures",
        "metadata.csv: columns not used: text",
        "ignored: 1 picture that no table names",
    )
    for split, labels in (("train", "aab"), ("test", "ab")):
        fill(f"many/{split}", len(labels))
        lines = [f'{{"file_name": "{n}.png", "label": "{label}"}}\n' for n, label in enumerate(labels)]
        (tmp_path / "many" / split / "metadata.jsonl").write_text("".join(lines))
    assert counts(open_source(tmp_path / "many", split=False)) == {"train": {"a": 2, "b": 1}, "test": {"a": 1, "b": 1}}


def test_metadata_without_labels_leaves_the_classes_to_the_folders(fill):
    fill("cat", 2)
    root = fill("dog", 2)
    (root / "metadata.csv").write_text("file_name,text\ncat/0.png,a cat\n")
    assert open_source(root).classes == ("cat", "dog")


# ---- one judgement for training and checking


def test_checking_refuses_what_training_refuses(fill, tmp_path):
    fill("single/cat", 4)
    fill("few/a", 1)
    fill("few/b", 1)
    fill("untaught/test/a", 2)
    fill("untaught/test/b", 2)
    for name in ("single", "few", "untaught"):
        assert refused(tmp_path / name) in check_source(tmp_path / name).suggestions
    fill("broken/a", 3)
    fill("broken/b", 0)
    for number in range(3):
        (tmp_path / "broken" / "b" / f"{number}.png").write_bytes(tiny(1)[:40])
    assert "no picture of class b in train can be read" in check_source(tmp_path / "broken").refused
