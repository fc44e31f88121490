"""The check of a data set: every planted fact is found, and nothing else."""

import json
import statistics

import numpy as np
import pytest
from picture_corpus import corpus, exif, gray16, idx, png, samples, saved, scene, tiny

from nin.data.check import check_source
from nin.errors import DataError


def put(root, name, data):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@pytest.fixture
def planted(tmp_path):
    """A data set in which every kind of fact is planted once or twice."""
    for number in range(30):
        put(tmp_path, f"train/cat/{number}.png", tiny(number))
    for number in range(10):
        put(tmp_path, f"train/dog/{number}.png", tiny(100 + number))
    put(tmp_path, "train/dog/deep.png", gray16(np.array([[1, 2], [3, 40000]])))
    put(tmp_path, "train/dog/cut.png", tiny(1)[:50])
    put(tmp_path, "train/dog/page.jpg", b"<html></html>")
    put(tmp_path, "train/dog/blank.webp", saved(np.full((4, 8, 3), 9, np.uint8), "WEBP", lossless=True))
    turned = saved(scene(6, 4), "JPEG", exif=b"Exif\0\0" + exif(6))
    put(tmp_path, "train/dog/turned.jpg", turned)
    put(tmp_path, "train/dog/turned again.jpg", turned)  # twice in one split and class
    put(tmp_path, "test/cat/shared.png", tiny(3))  # train/cat/3.png
    put(tmp_path, "test/dog/other.png", tiny(4))  # train/cat/4.png: shared, and another class
    put(tmp_path, "train/bird/.keep", b"")
    return tmp_path


def test_everything_planted_is_found(planted):
    found = check_source(planted)
    assert (found.kind, found.classes, found.total) == ("folders", ("cat", "dog"), 48)
    assert found.counts == {"train": (30, 16), "test": (1, 1)}
    assert set(found.unreadable) == {
        ("train/dog/cut.png", "truncated PNG"),
        (
            "train/dog/page.jpg",
            "an HTML page, not a picture this program reads (JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF, PNM)",
        ),
    }
    assert found.formats == {"PNG": 43, "JPEG": 2, "WebP": 1}
    assert found.modes == {"L": 42, "RGB": 3, "I;16": 1}
    assert (found.rotated, found.blank) == (2, 1)
    assert (found.width.min, found.width.median, found.width.max) == (2, 2, 8)
    assert (found.height.min, found.height.max) == (2, 4)  # turned: 6 x 4 lies on its side
    assert (found.aspect.min, found.aspect.max) == (1, 2)
    assert found.imbalance == pytest.approx(30 / 16)
    groups = {tuple(sorted(name for _, name, _ in group)) for group in found.duplicates}
    assert groups == {
        ("train/dog/turned again.jpg", "train/dog/turned.jpg"),
        ("test/cat/shared.png", "train/cat/3.png"),
        ("test/dog/other.png", "train/cat/4.png"),
    }
    assert len(found.shared) == 2 and len(found.contradictions) == 1
    assert any("class folder train/bird" in note for note in found.notes)


def test_suggestions_name_what_to_do(planted):
    text = "\n".join(check_source(planted).suggestions)
    advice = (
        "2 pictures cannot be read (train/dog/cut.png: truncated PNG); remove them, or leave them out: nin train PATH"
    )
    assert f"{advice} --skip-unreadable" in text
    assert "1 picture is in two classes: train/cat/4.png is cat, test/dog/other.png is dog; keep one of them" in text
    assert (
        "2 pictures are in two splits, which makes the score too good: train/cat/3.png in train, "
        "test/cat/shared.png in test; keep one of them" in text
    )
    assert "collect more pictures of dog: fewer than 20 to learn from" in text
    assert "shapes differ: nin train PATH --fit pad keeps proportions (default: stretch)" in text
    (note,) = [note for note in check_source(planted).notes if "bit" in note]
    assert (
        note
        == "45 pictures with 8-bit pixels, 1 picture with 16-bit pixels: black and white are the ends of their scale"
    )


def test_rows_and_json(planted):
    found = check_source(planted)
    rows = dict(found.rows)
    assert rows["pictures"] == "48" and rows["train"] == "46" and rows["unreadable"] == "2"
    assert rows["width"] == "2 to 8, median 2" and rows["duplicates"] == "3, 2 pictures in two splits"
    assert all("\n" not in value for row in found.rows for value in row)
    value = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert (value["total"], value["shared"], value["contradictions"]) == (48, 2, 1)
    assert value["width"] == {"min": 2, "median": 2, "max": 8}


def test_duplicates_are_exact_even_where_pictures_are_shrunk(tmp_path):
    """Two large JPEGs that differ in what shrinking removes are no duplicates; two of the same pixels are."""
    stripes = np.zeros((2048, 2048), np.uint8)
    stripes[:, ::2] = 255
    put(tmp_path, "a/one.jpg", saved(stripes, "JPEG", quality=100))
    put(tmp_path, "a/two.jpg", saved(255 - stripes, "JPEG", quality=100))
    assert check_source(tmp_path).duplicates == ()
    put(tmp_path, "b/three.jpg", saved(stripes, "JPEG", quality=100, comment=b"another file, the same pixels"))
    assert [[name for _, name, _ in group] for group in check_source(tmp_path).duplicates] == [
        ["a/one.jpg", "b/three.jpg"]
    ]


def test_the_same_pixels_in_other_containers_are_duplicates(tmp_path):
    gray = scene(channels=1)
    put(tmp_path, "a/1.png", saved(gray, "PNG"))
    put(tmp_path, "a/2.bmp", saved(np.dstack([gray] * 3), "BMP"))
    put(tmp_path, "b/3.webp", saved(np.dstack([gray] * 3), "WEBP", lossless=True))
    put(tmp_path, "b/4.png", saved(gray.T, "PNG"))
    put(tmp_path, "b/5.png", png(31, 33, 8, 0, samples(gray.reshape(33, 31, 1))))  # the same bytes, another shape
    (group,) = check_source(tmp_path).duplicates
    assert [name for _, name, _ in group] == ["a/1.png", "a/2.bmp", "b/3.webp"]


def test_a_whole_corpus_of_hostile_files_is_reported(tmp_path):
    files = corpus()
    for number, (name, (data, _)) in enumerate(files.items()):
        put(tmp_path, f"{'ab'[number % 2]}/{name}", data)
    found = check_source(tmp_path)
    expected = {name: verdict for name, (_, verdict) in files.items() if isinstance(verdict, str)}
    assert {name[2:]: reason for name, reason in found.unreadable} == expected
    assert found.total == len(files)


def test_only_unreadable_pictures(tmp_path):
    for name in ("a/1.png", "b/2.png"):
        put(tmp_path, name, b"%PDF")
    found = check_source(tmp_path)
    assert found.width is None and len(found.unreadable) == 2 and dict(found.rows)["formats"] == "none"
    assert json.dumps(found.to_dict())


def test_arrays(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (40, 5, 4)).astype(np.uint8)
    pictures[7], pictures[9] = pictures[30], 3
    labels = np.arange(40, dtype=np.uint8) % 2
    put(tmp_path, "train-images-idx3-ubyte", idx(pictures[:30]))
    put(tmp_path, "train-labels-idx1-ubyte", idx(labels[:30]))
    put(tmp_path, "t10k-images-idx3-ubyte", idx(pictures[30:]))
    put(tmp_path, "t10k-labels-idx1-ubyte", idx(labels[30:]))
    found = check_source(tmp_path)
    assert found.duplicates == ((("train", "picture 7", "1"), ("test", "picture 0", "0")),)
    assert found.blank == 1 and found.modes == {"L": 40} and found.width.max == 4 and found.height.max == 5
    assert "all pictures are gray: one channel is enough" in found.suggestions


def test_one_class_and_no_data(tmp_path):
    put(tmp_path, "one/cat/1.png", tiny(1))
    assert check_source(tmp_path / "one").classes == ("cat",)
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError):
        check_source(tmp_path / "none")


def test_progress_and_a_name_that_is_no_text(tmp_path):
    put(tmp_path, "a/\udcff\n.png", tiny(1)[:40])
    put(tmp_path, "b/2.png", tiny(2))
    told: list[tuple[int, int]] = []
    found = check_source(tmp_path, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (2, 2)
    assert json.dumps(found.to_dict()).isascii() and found.suggestions[0].isprintable()


def test_real_photos(photos):
    found = check_source(photos / "validation")
    assert found.total == 341 and not found.unreadable and found.formats == {"JPEG": 341}
    counts = [len(list(folder.iterdir())) for folder in sorted((photos / "validation").iterdir())]
    assert found.counts["train"] == tuple(counts)
    assert found.imbalance == max(counts) / min(counts)
    assert min(found.width.min, found.height.min) == 128 and statistics.median([found.width.median]) >= 128
