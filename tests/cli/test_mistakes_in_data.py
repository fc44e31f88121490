"""What unusable data answers: the whole output of the real program, and nothing left behind."""

import shutil

import pytest
from nin_program import save_picture

LAYOUT = "expected FOLDER/CLASS/picture.jpg, or FOLDER/train/CLASS/picture.jpg"
KINDS = "JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF, PNM"


def data(folder):
    """Every unusable data set of the cases below."""
    (folder / "empty").mkdir()
    (folder / "notes.txt").write_text("no picture")
    for index in range(3):
        save_picture(folder / "one" / "cat" / f"{index}.png", index)
    save_picture(folder / "loose" / "0.png", 0)
    for name in ("cat", "dog"):
        for index in range(4):
            save_picture(folder / "bad" / name / f"{index}.png", index)
    (folder / "bad" / "cat" / "text.png").write_text("no picture")
    whole = (folder / "bad" / "dog" / "0.png").read_bytes()
    for name in ("cat", "dog"):  # each class keeps three good pictures whichever are held out
        (folder / "bad" / name / "cut.png").write_bytes(whole[:200])
    tables = folder / "tables"
    tables.mkdir()
    shutil.copy(folder / "loose" / "0.png", tables / "0.png")
    (tables / "columns.csv").write_text("who,label\n0.png,dog\n")
    (tables / "outside.csv").write_text("path,label\n../loose/0.png,dog\n")
    (tables / "gone.csv").write_text("path,label\n0.png,cat\n1.png,dog\n")
    (tables / "split.csv").write_text("path,label,split\n0.png,cat,trian\n")


MISTAKES = {
    "nothere": "nothere cannot be opened (no such file or directory); give a folder or a file of data",
    "notes.txt": "notes.txt is not understood; expected class folders, CSV, TSV, JSONL, NPZ, IDX or CIFAR binary",
    "loose/0.png": "loose/0.png is one picture; expected a folder with one folder of pictures per class",
    "empty": f"empty holds no pictures; {LAYOUT}",
    "one": "one has one class only (cat); expected at least two, one folder for each",
    "tables/columns.csv": "columns.csv line 1: found the columns who, label; expected path,label or path,label,split",
    "tables/outside.csv": "outside.csv line 2: ../loose/0.png is outside of the table's folder; "
    "move the picture or the table",
    "tables/gone.csv": "gone.csv line 3: there is no file 1.png in the table's folder; correct or remove it",
    "tables/split.csv": "split.csv line 2: split 'trian'; expected train, validation or test",
}


@pytest.mark.parametrize("path", MISTAKES)
def test_train_refuses_and_leaves_nothing(path, nin):
    data(nin.folder)
    before = nin.left()
    outcome = nin("train", path)
    missing = path == "nothere"
    hint = "try: nin train --help\n" if missing else ""
    assert outcome.err == f"nin: {MISTAKES[path]}\n{hint}"
    assert (outcome.code, outcome.out) == (2 if missing else 1, "")
    assert nin.left() == before


def test_pictures_outside_of_class_folders(nin):
    data(nin.folder)
    outcome = nin("data", "check", "loose")
    assert outcome.err.startswith("nin: loose holds 1 picture") and outcome.err.endswith(
        f"but no class folders; {LAYOUT}\n"
    )
    assert (outcome.code, outcome.out) == (1, "")


def test_unreadable_pictures_stop_a_run_before_it_makes_anything(nin):
    data(nin.folder)
    before = nin.left()
    outcome = nin("train", "bad", "-q")
    (line,) = outcome.err.splitlines()
    assert line.endswith(("; remove them or pass --skip-unreadable", "; remove it or pass --skip-unreadable"))
    assert f"(a text file, not a picture this program reads ({KINDS}))" in line or "(truncated PNG)" in line
    assert (outcome.code, outcome.out) == (1, "")
    assert nin.left() == before


def test_check_lists_what_cannot_be_read_and_exits_with_1(nin):
    data(nin.folder)
    before = nin.left()
    outcome = nin("data", "check", "bad")
    assert (outcome.code, outcome.err) == (1, "")
    listed = outcome.out.partition("\nunreadable\n")[2].partition("\n\n")[0].splitlines()
    assert listed == [
        "  cat/cut.png: truncated PNG",
        f"  cat/text.png: a text file, not a picture this program reads ({KINDS})",
        "  dog/cut.png: truncated PNG",
    ]
    assert nin.left() == before
