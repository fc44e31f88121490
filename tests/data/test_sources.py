"""Class folders of every layout, hostile folders, the seeded split, fingerprints."""

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_corpus import saved, scene, tiny

from nin.data.sources import open_source
from nin.data.splits import MAX_HOLDOUT, Arrays, Split, choose_holdout, natural
from nin.errors import DataError, UsageError


def sizes(source):
    return {name: len(split) for name, split in source.splits.items()}


def members(source):
    """{(split, class, relative path)} of every picture."""
    return {
        (name, source.classes[label], str(split.stored.relative(row)))
        for name, split in source.splits.items()
        for row, label in enumerate(split.labels)
    }


# ---- layouts


@pytest.mark.parametrize("train", ["train", "Training", "TRAIN"])
@pytest.mark.parametrize("validation", ["val", "valid", "Validation", "dev"])
@pytest.mark.parametrize("test", ["test", "Testing"])
def test_every_split_name_is_understood(fill, train, validation, test):
    for folder, count in ((train, 3), (validation, 2), (test, 1)):
        fill(f"{folder}/cat", count)
        root = fill(f"{folder}/dog", count)
    source = open_source(root)
    assert sizes(source) == {"train": 6, "validation": 4, "test": 2}
    assert source.kind == "folders" and source.classes == ("cat", "dog")
    usual = (train, validation, test) == ("train", "val", "test")  # these names need no note
    assert any(f"{train} is train" in note for note in source.notes) == (not usual)


def test_one_folder_of_classes_is_split_without_copying(fill):
    fill("cat", 20)
    root = fill("dog", 10)
    before = sorted(root.rglob("*"))
    source = open_source(root)
    assert sizes(source) == {"train": 26, "validation": 4}
    assert open_source(root, split=False).splits.keys() == {"train"}
    assert {m[1:] for m in members(source)} == {m[1:] for m in members(open_source(root, split=False))}
    assert sorted(root.rglob("*")) == before
    assert "4 of 30 training pictures held out for validation, by class (seed 0)" in source.notes


def test_train_and_test_only_get_a_validation_part(fill):
    for name in ("train/a", "train/b", "test/a", "test/b"):
        root = fill(name, 8)
    assert sizes(open_source(root)) == {"train": 14, "validation": 2, "test": 16}
    assert sizes(open_source(root, split=False)) == {"train": 16, "test": 16}


def test_classes_are_in_natural_order_and_a_class_may_be_called_train(fill):
    for name in ("10", "2", "1", "train", "test", "Zebra", "apple"):
        root = fill(name, 2)
    assert open_source(root).classes == ("1", "2", "10", "apple", "test", "train", "Zebra")


@given(st.lists(st.text(max_size=8), max_size=8))
def test_natural_order_is_total(names):
    backwards = names[::-1]
    assert sorted(names, key=natural) == sorted(backwards, key=natural)
    assert natural("a2") < natural("a10") < natural("b1") and natural("9" * 5000) > natural("1")


def test_pictures_in_folders_below_a_class_belong_to_it(fill):
    fill("cat", 2)
    fill("cat/2024/may", 2)
    root = fill("dog", 2)
    assert Counter(m[1] for m in members(open_source(root))) == {"cat": 4, "dog": 2}


def test_what_is_ignored_is_said(fill):
    fill("cat", 3)
    fill("dog", 3)
    fill("bird", 0)
    for folder in (".ipynb_checkpoints", "__MACOSX/cat", ".git", "cat/.thumbs"):
        root = fill(folder, 2)
    for name in ("Thumbs.db", ".DS_Store", "cat/._0.png", "cat/notes.txt", "cat/scan.psd", "dog/scan.psd", "loose.png"):
        (root / name).write_bytes(tiny(0))
    source = open_source(root)
    assert source.classes == ("cat", "dog") and sum(sizes(source).values()) == 6
    notes = "\n".join(source.notes)
    assert "class folder bird holds no pictures and was left out" in notes
    assert "ignored: 7 x hidden or system file or folder" in notes
    assert "ignored: files that are no pictures by their name (2 .psd, 1 .txt)" in notes
    assert "ignored: 1 picture outside of any class folder" in notes


def test_a_folder_beside_the_splits_is_named(fill):
    for name in ("train/a", "train/b", "extra/a"):
        fill(name, 2)
    root = fill("test", 3)  # an unlabelled test folder
    source = open_source(root)
    assert sizes(source) == {"train": 2, "validation": 2}
    bare = "folder test holds 3 pictures but no class folders and was ignored"
    assert {"folder extra holds no split and was ignored", bare} <= set(source.notes)


# ---- refusals


def refusal(path, kind=DataError, **options):
    with pytest.raises(kind) as caught:
        open_source(path, **options)
    assert type(caught.value) is kind and "\n" not in str(caught.value)
    return str(caught.value)


def test_what_cannot_be_trained_on_is_refused_in_one_line(fill, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "empty holds no pictures; expected FOLDER/CLASS/picture.jpg" in refusal(tmp_path / "empty")
    (tmp_path / "one.png").write_bytes(tiny(1))
    assert "one.png is one picture; expected a folder" in refusal(tmp_path / "one.png")
    assert "loose holds 3 pictures but no class folders" in refusal(fill("loose", 3) / "loose")
    fill("splits/train", 2)
    assert "splits holds 4 pictures but no class folders" in refusal(fill("splits/test", 2) / "splits")
    fill("single/none", 0)
    assert "has one class only (cat); expected at least two" in refusal(fill("single/cat", 3) / "single")
    assert sizes(open_source(tmp_path / "single", split=False)) == {"train": 3}
    assert "no such file" in refusal(tmp_path / "nowhere", UsageError)
    assert "not a possible name" in refusal("a\0b", UsageError)
    (tmp_path / "psd").mkdir()
    (tmp_path / "psd" / "a").mkdir()
    (tmp_path / "psd" / "a" / "x.psd").write_bytes(b"II*\0")
    assert "psd holds no pictures that can be read (1 x .psd)" in refusal(tmp_path / "psd")
    for name, words in (("a.zip", "is an archive"), ("a.docx", "is not understood"), ("a.tar.gz", "is an archive")):
        (tmp_path / name).write_bytes(b"x")
        assert words in refusal(tmp_path / name)


def test_the_same_split_twice_is_refused(fill):
    for name in ("val/a", "valid/b", "train/a", "train/b"):
        root = fill(name, 1)
    assert "val and valid both mean validation; keep one of them" in refusal(root)


def test_a_class_that_cannot_be_learned_is_named(fill):
    for name in ("train/a", "train/b", "test/a", "test/zebra"):
        root = fill(name, 2)
    assert "class zebra in test but not in train; add training pictures" in refusal(root)
    fill("train/zebra", 0)
    assert "class zebra in test but not in train" in refusal(root)


def test_no_training_pictures(fill):
    fill("test/a", 2)
    root = fill("test/b", 2)
    assert "has test pictures but none to train on" in refusal(root)
    assert sizes(open_source(root, split=False)) == {"test": 4}


@pytest.mark.parametrize("holdout", [0, 1, -0.1, float("nan")])
def test_a_senseless_holdout_is_a_usage_error(fill, holdout):
    fill("a", 2)
    assert "must lie between 0 and 1" in refusal(fill("b", 2), UsageError, holdout=holdout)


def test_classes_of_one_picture_each_cannot_be_split(fill):
    fill("a", 1)
    assert "every class has one picture only" in refusal(fill("b", 1))


# ---- hostile folders


@pytest.fixture
def trapped(fill, tmp_path):
    """A good data set among traps; returns its root."""
    outside = fill("outside/cat", 1, tmp_path)
    root = tmp_path / "data"
    fill("cat", 4, root)
    fill("dog", 4, root)
    (root / "cat" / "away.png").symlink_to(outside / "outside" / "cat" / "0.png")
    (root / "cat" / "password.png").symlink_to("/etc/passwd")
    (root / "cat" / "device.png").symlink_to("/dev/zero")
    (root / "cat" / "broken.png").symlink_to("nothing")
    (root / "cat" / "self.png").symlink_to("self.png")
    (root / "cat" / "inside.png").symlink_to("../dog/0.png")
    (root / "cat" / "folder.png").symlink_to("../dog")
    (root / "cat" / "up").symlink_to("..")
    (root / "cat" / "stolen").symlink_to(outside / "outside")
    (root / "loop").symlink_to("loop")
    (root / "dog" / "is-a-folder.png").mkdir()
    os.mkfifo(root / "cat" / "pipe.png")
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(root / "cat" / "socket.png"))
    return root


def test_traps_are_passed_by_and_each_is_said_once(trapped):
    done: list[object] = []
    thread = threading.Thread(target=lambda: done.append(open_source(trapped, split=False)), daemon=True)
    thread.start()
    thread.join(10)
    assert done, "it hangs"
    source = done[0]
    names = {name for _, _, name in members(source)}
    assert names == {f"{c}/{n}.png" for c in ("cat", "dog") for n in range(4)} | {"cat/inside.png"}
    assert source.classes == ("cat", "dog")
    assert sorted(source.notes) == [
        "ignored: 2 x link to something that is not a file",
        "ignored: 3 x link that leads nowhere",
        "ignored: 3 x pipe, socket or device",
        "ignored: 4 x link that leads out of the folder",
        "links that are not followed: 5 in cat",  # away, password, stolen, folder.png and up lead to something
    ]


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_nothing_outside_the_root_is_opened(trapped):
    code = f"from nin.data.check import check_source; print('begin', flush=True); check_source({str(trapped)!r})"
    log = trapped.parent / "strace.log"
    command = ["strace", "-f", "-e", "trace=open,openat,openat2", "-o", str(log), sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if "ptrace" in done.stderr.lower():
        pytest.skip("strace may not trace here")
    assert done.returncode == 0, done.stderr
    opened = [str(name) for name in re.findall(r'open[a-z0-9]*\([^"]*"([^"]+)"', log.read_text(errors="replace"))]
    ours = {os.path.relpath(name, trapped) for name in opened if name.startswith(str(trapped.parent))}
    pictures = {f"{c}/{n}.png" for c in ("cat", "dog") for n in range(4)} | {"cat/inside.png"}
    assert ours == {".", "cat", "dog", "dog/is-a-folder.png"} | pictures
    assert not {"/etc/passwd", "/dev/zero"} & set(opened)


def test_names_that_are_no_text_survive(fill, tmp_path):
    root = os.fsencode(fill("dog", 2))
    folder = root + b"/caf\xe9 \x1b[2J\n"
    os.mkdir(folder)
    for name in (b"\xff\xfe.png", b"new\nline.png", b"=cmd.png", b"x" * 251 + b".png"):
        with open(folder + b"/" + name, "wb") as stream:
            stream.write(tiny(len(name)))
    source = open_source(tmp_path, split=False)
    assert source.classes[0] == "caf\\xe9 \x1b[2J\n"
    assert sizes(source) == {"train": 6}
    assert all(path.read_bytes() for path in source.splits["train"].stored.paths)
    assert len(source.fingerprint) == 64


def test_case_twins_are_two_classes(fill):
    for name in ("Cat", "cat"):
        root = fill(name, 2)
    assert sorted(open_source(root).classes) == ["Cat", "cat"]


def test_a_read_only_folder_is_enough_and_nothing_is_written(fill):
    fill("a", 3)
    root = fill("b", 3)
    for folder in (root / "a", root / "b", root):
        folder.chmod(0o555)
    before = {path: path.lstat().st_mtime_ns for path in [root, *root.rglob("*")]}
    assert sizes(open_source(root)) == {"train": 4, "validation": 2}
    assert {path: path.lstat().st_mtime_ns for path in [root, *root.rglob("*")]} == before
    for folder in (root, root / "a", root / "b"):
        folder.chmod(0o755)


def test_a_folder_that_may_not_be_listed_is_said(fill):
    fill("data/a", 3)
    fill("data/b", 3)
    fill("data/b/locked", 3)
    root = fill("data/gone", 3)
    code = f"""
import os, sys
from nin.data.sources import open_source
import nin.data.check
if os.getuid() == 0:
    os.setgid(65534), os.setuid(65534)
print(*open_source({str(root / "data")!r}).notes, sep="\\n")
"""
    for folder in [root, *root.parents]:
        if folder.stat().st_uid == os.getuid() and folder.is_relative_to("/tmp") and folder != Path("/tmp"):
            folder.chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code]
    for locked in ("b/locked", "gone"):
        (root / "data" / locked).chmod(0)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        (root / "data" / locked).chmod(0o755)
        if locked == "gone":  # a class would be lost
            assert "class gone would be lost, as its folder cannot be listed (permission denied)" in done.stderr
        else:
            assert done.stdout.count("locked cannot be listed (permission denied): its pictures are missing") == 1


# ---- the split


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=12), st.floats(0.01, 0.99), st.integers(-(2**63), 2**64))
def test_the_holdout_is_stratified_seeded_and_bounded(counts, holdout, seed):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    chosen = choose_holdout(labels, seed=seed, holdout=holdout)
    assert np.array_equal(chosen, choose_holdout(labels, seed=seed, holdout=holdout))
    for label, count in enumerate(counts):
        taken = int(chosen[labels == label].sum())
        assert (taken == 0) == (count == 1)
        assert taken < count
        assert abs(taken - count * holdout) <= 1 or taken in (1, count - 1)
    free = [c for c in counts if 1 <= c * holdout <= c - 1]
    if len(free) == len(counts):
        assert int(chosen.sum()) == round(sum(counts) * holdout)


def test_the_holdout_is_capped_and_random():
    labels = np.repeat(np.arange(10), 10_000)
    chosen = choose_holdout(labels, seed=0, holdout=0.5)
    assert chosen.sum() == MAX_HOLDOUT and np.bincount(labels[chosen]).tolist() == [500] * 10
    other = choose_holdout(labels, seed=1, holdout=0.5)
    overlap = (chosen & other).sum()  # hypergeometric: mean 250, deviation about 15 in all
    assert 150 < overlap < 350
    positions = np.flatnonzero(chosen[:10_000])
    assert abs(positions.mean() - 5000) < 5 * 2887 / 500**0.5


def test_one_class_does_not_move_another(fill):
    fill("a", 20)
    root = fill("b", 20)
    before = {m for m in members(open_source(root)) if m[1] == "a"}
    fill("c", 20)
    assert {m for m in members(open_source(root)) if m[1] == "a"} == before


# ---- fingerprints


def test_the_fingerprint_follows_the_content_not_the_place(fill, tmp_path):
    fill("one/cat", 5)
    fill("one/dog", 5)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    one, two = tmp_path / "one", tmp_path / "two"
    first = open_source(one).fingerprint
    assert open_source(two).fingerprint == first == open_source(str(one)).fingerprint
    assert open_source(one, seed=1).fingerprint != first
    assert open_source(one, split=False).fingerprint != first
    (two / "cat" / "0.png").rename(two / "cat" / "x.png")
    assert open_source(two).fingerprint != first
    (two / "cat" / "x.png").rename(two / "cat" / "0.png")
    assert open_source(two).fingerprint == first
    (two / "cat" / "0.png").write_bytes(b"another size")
    assert open_source(two).fingerprint != first
    (two / "cat" / "0.png").unlink()
    assert open_source(two).fingerprint != first


def test_a_file_that_vanishes_does_not_break_the_fingerprint(fill):
    fill("a", 3)
    root = fill("b", 3)
    source = open_source(root)
    (root / "a" / "0.png").unlink()
    assert len(source.fingerprint) == 64


def test_names_of_pictures_for_messages(fill):
    fill("a", 2)
    source = open_source(fill("b", 2), split=False)
    assert source.splits["train"].name(0) == "a/0.png"
    assert Split(np.zeros(1, np.int64), Arrays(np.zeros((1, 1, 1, 1), np.uint8))).name(0) == "picture 0"


def test_real_photos(photos):
    source = open_source(photos)
    assert sizes(source) == {"train": 3068, "validation": 341, "test": 372}
    assert len(source.classes) == 10 and "t-shirt" in source.classes
    reference = {path.relative_to(photos) for path in photos.glob("*/*/*.jpg")}
    found = {split.stored.relative(row) for split in source.splits.values() for row in range(len(split))}
    assert found == reference


def test_many_pictures_are_listed_quickly(tmp_path):
    import time

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    data = saved(scene(2, 2), "PNG")
    (tmp_path / "a" / "0.png").write_bytes(data)
    for number in range(1, 5000):
        os.link(tmp_path / "a" / "0.png", tmp_path / "ab"[number % 2] / f"{number}.png")
    start = time.process_time()
    assert sum(sizes(open_source(tmp_path)).values()) == 5000
    assert time.process_time() - start < 2
