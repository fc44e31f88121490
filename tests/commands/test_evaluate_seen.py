"""What is measured when the pictures are, in part, those that the model was trained on; no network computes here."""

from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nin.commands.evaluate import STREAMED, UNKNOWN, Chosen, choose_pictures
from nin.data.preprocess import Preprocess
from nin.data.sources import open_source
from nin.errors import UsageError
from nin.run.seen import SEEN, Seen, digests, write_seen
from nin.sealed import read_tensors

PREPROCESS = Preprocess((8, 8), 3, "stretch", (0.5,) * 3, (0.5,) * 3)
NONE_FOUND = "no test or validation split was found: measured on everything in the folder"


def pixels(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (8, 8, 3)).astype(np.uint8)


@pytest.fixture
def flat(tmp_path) -> Path:
    """Two classes of ten different pictures, 8 x 8."""
    for kind, label in enumerate("ab"):
        (tmp_path / "flat" / label).mkdir(parents=True)
        for number in range(10):
            Image.fromarray(pixels(100 * kind + number)).save(tmp_path / "flat" / label / f"{number}.png")
    return tmp_path / "flat"


def own_digests(numbers) -> np.ndarray:
    return np.array([int.from_bytes(blake2b(pixels(n).tobytes(), digest_size=8).digest(), "little") for n in numbers],
                    np.uint64)  # fmt: skip


def run_on(flat: Path, **changes) -> Seen:
    """What a run on these pictures knows afterwards."""
    source = open_source(flat, holdout=0.2)
    names = {name: [split.read(i) for i in range(len(split))] for name, split in source.splits.items()}
    kinds = {"a": 0, "b": 100}
    numbers = {name: [kinds[p.parent.name] + int(p.stem) for p in paths] for name, paths in names.items()}
    pictures = {name: own_digests(found) for name, found in numbers.items()}
    return replace(Seen(pictures, source.fingerprint, 0, 0.2), **changes)


def chosen(path: Path, seen: Seen | None, split: str | None = None) -> Chosen:
    return choose_pictures(open_source(path, split=False), split, seen, PREPROCESS, skip_unreadable=False)


def measured(found: Chosen) -> set[bytes]:
    return {image.tobytes() for image in found.decoded.images}


def held_out(flat: Path) -> set[bytes]:
    part = open_source(flat, holdout=0.2).splits["validation"]
    return {np.asarray(Image.open(path)).tobytes() for path in part.stored.paths}


@pytest.mark.parametrize("split", [None, "validation"])
def test_of_the_data_of_a_run_its_held_out_part_is_measured(flat, split):
    found = chosen(flat, run_on(flat), split)
    assert found.split == "validation" and measured(found) == held_out(flat) and len(found.decoded.labels) == 4
    assert found.notes == ("measured on the 4 pictures that nin train held out; 16 training pictures are left out",)
    assert (found.warnings, found.training_pictures) == ((), 0)


def test_labels_and_pictures_stay_together(flat):
    found = chosen(flat, run_on(flat, fingerprint="of other names"))
    truth = {pixels(n).tobytes(): int(n >= 100) for n in (*range(10), *range(100, 110))}
    assert [truth[image.tobytes()] for image in found.decoded.images] == found.decoded.labels.tolist()


def test_pictures_are_known_under_other_names_in_other_formats_and_as_arrays(flat, tmp_path):
    seen, held = run_on(flat), held_out(flat)
    (flat / "a").rename(flat / "a2")
    (flat / "a2").rename(flat / "a")
    for label in "ab":
        for number in range(10):
            picture = flat / label / f"{number}.png"
            Image.open(picture).save(flat / label / f"of-{number}.bmp")
            picture.unlink()
    assert measured(chosen(flat, seen)) == held
    images, labels = zip(*[(pixels(100 * kind + n), kind) for kind in (0, 1) for n in range(10)], strict=True)
    np.savez(tmp_path / "all.npz", images=np.stack(images), labels=np.array(labels))
    assert measured(chosen(tmp_path / "all.npz", seen)) == held
    for number in range(9):
        (flat / "b" / f"of-{number}.bmp").unlink()
    part = chosen(flat, seen)
    assert measured(part) <= held and part.split == "validation"


def test_what_is_measured_with_training_pictures_is_measured_with_a_warning(flat):
    found = chosen(flat, run_on(flat), "train")
    assert (len(found.decoded.labels), found.split, found.training_pictures) == (20, "train", 16)
    assert found.warnings == (
        "16 of the 20 pictures measured are training pictures: the result looks better than it is; "
        "leave out --split train to measure the others",
    )
    for picture in open_source(flat, holdout=0.2).splits["validation"].stored.paths:
        picture.unlink()
    found = chosen(flat, run_on(flat, pictures={"train": own_digests([*range(10), *range(100, 110)])}))
    assert found.warnings == (
        "all 16 pictures measured are training pictures: how new pictures are answered is not measured; "
        "give pictures that the run has not seen",
    )


def test_training_pictures_in_a_split_of_the_data_are_counted(flat):
    seen = run_on(flat)
    (flat / "test").mkdir()
    for label in "ab":
        (flat / label).rename(flat / "test" / label)
    found = chosen(flat, seen)
    assert found.split == "test" and found.training_pictures == 16
    assert found.warnings == (
        "16 of the 20 pictures measured are training pictures: the result looks better than it is; take them out",
    )


def test_new_pictures_count_with_the_held_out_ones(flat):
    seen = run_on(flat)
    Image.fromarray(pixels(500)).save(flat / "b" / "new.png")
    found = chosen(flat, seen)
    assert found.split == "unseen" and pixels(500).tobytes() in measured(found) and len(found.decoded.labels) == 5
    assert found.notes == (
        "measured on 5 pictures: 4 that nin train held out and 1 that it has not seen; "
        "16 training pictures are left out",
    )
    assert measured(chosen(flat, seen, "validation")) == measured(found) - {pixels(500).tobytes()}
    for label in "ab":
        for number in range(10):
            Image.fromarray(pixels(1000 + number + ord(label) * 50)).save(flat / label / f"{number}.png")
    found = chosen(flat, seen)
    assert (len(found.decoded.labels), found.split, found.training_pictures) == (21, "train", 0)
    assert found.notes == (f"{NONE_FOUND}, none of which the model was trained on",)


def test_a_held_out_picture_that_is_a_training_picture_too_is_left_out(flat):
    first = open_source(flat, holdout=0.2).splits["validation"].stored.paths[0]
    seen = run_on(flat)
    number = int(first.stem) + (100 if first.parent.name == "b" else 0)
    doubled = {**seen.pictures, "train": np.append(seen.pictures["train"], own_digests([number]))}
    found = chosen(flat, replace(seen, pictures=doubled))
    assert measured(found) == held_out(flat) - {pixels(number).tobytes()}
    assert found.notes[0].endswith(", and 1 that are held out and training pictures at once")


def test_the_very_data_set_is_divided_again_where_no_picture_is_listed(flat, tmp_path):
    unlisted = run_on(flat, pictures={})
    assert measured(chosen(flat, unlisted)) == held_out(flat)
    moved = flat.rename(tmp_path / "elsewhere")
    assert measured(chosen(moved, unlisted)) == held_out(moved)
    (moved / "a" / "0.png").rename(moved / "a" / "other.png")
    found = chosen(moved, unlisted)
    assert (len(found.decoded.labels), found.notes) == (20, (NONE_FOUND, UNKNOWN))
    (moved / "a" / "other.png").rename(moved / "a" / "0.png")
    streamed = run_on(moved, pictures={"validation": run_on(moved).pictures["validation"]}, fingerprint="")
    assert measured(chosen(moved, streamed)) == held_out(moved)
    new = replace(streamed, pictures={"validation": own_digests([9999])})
    assert chosen(moved, new).notes == (NONE_FOUND, STREAMED)
    assert chosen(moved, None).notes == (NONE_FOUND, UNKNOWN)


@pytest.mark.parametrize(
    ("split", "known", "text"),
    [
        ("test", True, "flat has no split 'test', and the run held out none of its pictures as test; it has train"),
        ("rest", True, "flat has no split 'rest', and the run held out none of its pictures as rest; it has train"),
        ("validation", False, "flat has no split 'validation'; it has train"),
    ],
)
def test_a_split_that_nobody_knows_is_refused(flat, monkeypatch, split, known, text):
    monkeypatch.chdir(flat.parent)
    seen = run_on(flat) if known else None
    with pytest.raises(UsageError, match=f"^{text}$"):
        choose_pictures(open_source("flat", split=False), split, seen, PREPROCESS, skip_unreadable=False)


def test_what_is_written_is_sorted_and_no_more_than_digests(tmp_path):
    found = digests([pixels(3), pixels(1), pixels(3)])
    assert found.tolist() == own_digests([3, 1, 3]).tolist()
    write_seen(tmp_path, {"train": found}, "of the data")
    tensors, words = read_tensors(tmp_path / SEEN)
    assert tensors["train"].tolist() == sorted(set(own_digests([1, 3]).tolist())) and words == {
        "fingerprint": "of the data"
    }
