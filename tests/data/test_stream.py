"""Streamed pictures: the same bytes as a plain loop reads, in any order, ahead of the reader, in little memory."""

import threading
import time
import tracemalloc
from collections import namedtuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_corpus import saved, scene
from test_shards import put, tar

from nin.data import cache, stream
from nin.data.cache import decode_split
from nin.data.images import PictureError
from nin.data.preprocess import Preprocess
from nin.data.sources import open_source
from nin.data.splits import Arrays, Files, Split
from nin.data.stream import StreamedImages, prefetch
from nin.errors import DataError

POLICY = Preprocess((6, 5), 3, "stretch", (0.5,) * 3, (0.25,) * 3)


def shards_of(folder, count, bad=(), classes=3, side=9):
    """The train split of shards of 50 pictures of one colour each (its number), those in `bad` cut short."""
    members = []
    for number in range(count):
        data = saved(np.full((side, side, 3), number % 256, np.uint8), "PNG")
        members.append((f"{number:05}.png", data[:40] if number in bad else data))
        members.append((f"{number:05}.cls", f"class {number % classes}".encode()))
    shards = {f"train_{start}_tar": tar(*members[start : start + 100]) for start in range(0, len(members), 100)}
    return open_source(put(folder, **shards), split=False).splits["train"]


def colours(rows):
    """What rows of `shards_of` must look like."""
    return np.broadcast_to((np.asarray(rows) % 256)[:, None, None, None], (len(rows), 6, 5, 3))


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    return shards_of(tmp_path_factory.mktemp("stream"), 300)


def test_it_reads_like_an_array(split):
    images = StreamedImages(split, POLICY)
    array = decode_split(split, POLICY, key="k").images
    assert isinstance(array, np.ndarray) and np.array_equal(array, colours(np.arange(300)))
    assert images.shape == array.shape and len(images) == len(array)
    picks = np.random.default_rng(0).integers(0, 300, 77)
    for key in (
        picks,
        picks[:0],
        -1 - picks,
        slice(None),
        slice(290, 400),
        slice(9, 2, -3),
        slice(7, 7),
        5,
        -1,
        picks[0],
    ):
        assert np.array_equal(images[key], array[key]) and images[key].shape == array[key].shape
        assert images[key].dtype == np.uint8
    assert np.array_equal(np.stack(list(images)), array)
    for key in (300, -301, np.array([0, 300]), np.array([-301]), picks > 3):
        with pytest.raises(IndexError):
            images[key]


def test_real_photos_are_what_a_plain_loop_gives(photos, tmp_path):
    files = open_source(photos).splits["validation"]
    members = [
        member
        for row, path in enumerate(files.stored.paths[:60])
        for member in ((f"{row:04}{path.suffix}", path.read_bytes()), (f"{row:04}.cls", b"%d" % files.labels[row]))
    ]
    split = open_source(put(tmp_path / "s", a_tar=tar(*members)), split=False).splits["train"]
    policy = Preprocess((32, 32), 3, "pad", (0.5,) * 3, (0.25,) * 3)
    rows = np.random.default_rng(0).permutation(60)
    images = StreamedImages(split, policy)
    images.prefetch(rows)
    for start in range(0, 60, 7):
        batch = rows[start : start + 7]
        assert np.array_equal(images[batch], np.stack([policy.load(files.stored.paths[row]) for row in batch]))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_is_said_and_read_the_pictures_are_right(split, data):
    """Any mixture of orders told, orders kept, left and broken off: never a wrong picture."""
    images = StreamedImages(split, POLICY)
    order, at = np.empty(0, np.int64), 0
    for _ in range(data.draw(st.integers(1, 12))):
        step = data.draw(st.sampled_from(["prefetch", "follow", "follow", "follow", "elsewhere"]))
        if step == "prefetch":
            seed, count = data.draw(st.integers(0, 9)), data.draw(st.integers(0, 300))
            order, at = np.random.default_rng(seed).permutation(300)[:count], 0
            prefetch(images, order)
            continue
        size = data.draw(st.integers(0, 70))
        rows = order[at : at + size] if step == "follow" else data.draw(st.integers(0, 299)) + np.arange(size)
        rows, at = rows % 300, at + size * (step == "follow")
        assert np.array_equal(images[rows], colours(rows))


def settled(done: list, least: int) -> int:
    """How many things are done once there are `least`, and no more for a while."""
    until = time.monotonic() + 60
    while len(done) < least and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.3)
    return len(done)


def test_it_works_ahead_but_not_far(split, monkeypatch):
    """While the reader is busy the next batch is decoded, and no more than the window."""
    decoded, threads, load = [], set(), stream.load_picture
    split = split.take(np.arange(300))  # of its own: what other tests left queued is not counted

    def watched(asked, row, policy):
        if asked is split:
            decoded.append(row)
            threads.add(threading.get_ident())
        return load(asked, row, policy)

    monkeypatch.setattr(stream, "load_picture", watched)
    monkeypatch.setattr(stream, "AHEAD", 32)
    images = StreamedImages(split, POLICY)
    rows = np.random.default_rng(1).permutation(300)
    images.prefetch(rows)
    assert settled(decoded, 32) == 32
    images[rows[:40]]
    ahead = settled(decoded, 40 + 80)
    assert 40 + 80 <= ahead < 40 + 80 + 16 and sorted(decoded) == sorted(rows[:ahead])
    for start in range(40, 300, 40):
        assert np.array_equal(images[rows[start : start + 40]], colours(rows[start : start + 40]))
    assert sorted(decoded) == list(range(300)) and threading.get_ident() not in threads


def test_an_order_that_is_no_longer_wanted_is_dropped(split, monkeypatch):
    gate, decoded, load = threading.Event(), [], stream.load_picture
    split = split.take(np.arange(300))

    def slow(asked, row, policy):
        if asked is split:
            decoded.append(row)
            gate.wait()
        return load(asked, row, policy)

    monkeypatch.setattr(stream, "load_picture", slow)
    images = StreamedImages(split, POLICY)
    images.prefetch(np.arange(300))
    images.prefetch(np.arange(200, 210))
    gate.set()
    assert np.array_equal(images[np.arange(200, 210)], colours(np.arange(200, 210)))
    assert len(decoded) < 128 and max(decoded) < 210


def test_memory_does_not_grow_with_the_pictures(tmp_path):
    policy, peaks = Preprocess((48, 48), 3, "stretch", (0.5,) * 3, (0.25,) * 3), []
    for count in (400, 1_200):  # 2.8 and 8.3 MB decoded
        split = shards_of(tmp_path / str(count), count, side=30)
        tracemalloc.start()
        images = StreamedImages(split, policy)
        rows = np.random.default_rng(0).permutation(count)
        images.prefetch(rows)
        for start in range(0, count, 50):
            images[rows[start : start + 50]]
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 3e6 and peaks[1] - peaks[0] < 5e5  # a window of 128 is 0.9 MB


# ---- unreadable pictures


def test_an_unreadable_picture_is_named_when_it_is_met(tmp_path):
    images = StreamedImages(shards_of(tmp_path / "s", 120, bad=(107,)), POLICY)
    line = "train-200.tar/00107.png is not a readable picture (truncated PNG); remove it"
    for told in (True, False):
        if told:
            images.prefetch(np.arange(120))
        assert np.array_equal(images[np.arange(50)], colours(np.arange(50)))
        with pytest.raises(PictureError) as caught:
            images[np.arange(50, 120)]
        assert str(caught.value) == line
    assert np.array_equal(images[np.arange(30, 60)], colours(np.arange(30, 60)))  # and reading can go on


def test_the_next_readable_one_of_its_class_stands_in(tmp_path):
    split = shards_of(tmp_path / "s", 60, bad=(4, 7, 59, 58))
    names = {4: "00004", 7: "00007", 59: "00059", 58: "00058"}
    expected = np.arange(60)
    expected[[4, 7, 59, 58]] = 10, 10, 2, 1  # every third is of the same class; after the last comes the first
    for seed in range(3):
        images = StreamedImages(split, POLICY, skip_unreadable=True)
        for _ in range(2):
            rows = np.random.default_rng(seed).permutation(60)
            images.prefetch(rows)
            got = np.concatenate([images[rows[start : start + 13]] for start in range(0, 60, 13)])
            assert np.array_equal(got, colours(expected[rows]))
        shard = {row: "train-100.tar" if row >= 50 else "train-0.tar" for row in names}
        told = {row: (f"{shard[row]}/{name}.png", "truncated PNG") for row, name in names.items()}
        assert images.unreadable == told


def test_a_stand_in_is_looked_for_once_among_all_of_its_class(tmp_path, monkeypatch):
    split, loads, load = shards_of(tmp_path / "s", 9, bad=(3, 6)), [], stream.load_picture
    monkeypatch.setattr(stream, "load_picture", lambda s, row, p: loads.append(row) or load(s, row, p))
    images = StreamedImages(split, POLICY, skip_unreadable=True)
    for _ in range(2):
        assert np.array_equal(images[np.array([6, 3])], colours([0, 0]))
    assert loads[-2:] == [0, 0] and len(loads) <= 2 + 2 + 3 + 2


def test_a_class_without_a_readable_picture_is_said(tmp_path):
    images = StreamedImages(shards_of(tmp_path / "s", 9, bad=(1, 4, 7)), POLICY, skip_unreadable=True)
    with pytest.raises(PictureError) as caught:
        images[np.arange(9)]
    assert str(caught.value) == (
        "train-0.tar/00001.png cannot be read (truncated PNG), nor any other picture of its class; take the class out"
    )


def test_a_shard_that_changes_under_way_stops_the_reader(tmp_path):
    images = StreamedImages(shards_of(tmp_path / "s", 60), POLICY, skip_unreadable=True)
    (tmp_path / "s" / "train-0.tar").write_bytes(b"")
    with pytest.raises(
        DataError, match=r"train-0\.tar has 0 bytes now and had [\d,]+ when it was indexed; put the old"
    ):
        images[np.arange(60)]


# ---- when to stream

Disk = namedtuple("Disk", "total used free")


def test_what_fits_nowhere_is_streamed_and_what_is_asked_for(split, tmp_path, monkeypatch):
    size = 300 * 6 * 5 * 3
    options = {"key": "k", "memory_limit": size - 1, "cache_dir": tmp_path / "cache"}

    def kind(free=10**12, **more) -> str:
        monkeypatch.setattr(cache.shutil, "disk_usage", lambda path: Disk(0, 0, free))
        decoded = decode_split(split, POLICY, **{**options, **more})
        assert np.array_equal(decoded.kept, np.arange(300)) and np.array_equal(decoded.labels, split.labels)
        assert np.array_equal(decoded.images[np.array([299, 0])], colours([299, 0]))
        return type(decoded.images).__name__

    assert kind(memory_limit=size, free=0) == "ndarray"
    assert kind(free=2 * size - 1) == "StreamedImages" and not (tmp_path / "cache").exists()
    assert kind(stream=True) == kind(stream=True, memory_limit=size) == "StreamedImages"
    assert not (tmp_path / "cache").exists()
    assert kind(free=2 * size) == "memmap"
    assert kind(free=0) == "memmap"  # the file is there already
    assert kind(free=0, key="other") == "StreamedImages"
    assert kind(free=0, key="other", stream=False) == "memmap"
    pixels = Split(np.arange(3), Arrays(np.zeros((3, 6, 5, 3), np.uint8)))
    assert decode_split(pixels, POLICY, key="k", stream=True).images is pixels.images


def test_files_and_arrays_can_be_streamed_too(tmp_path):
    arrays = Split(np.arange(9), Arrays(np.random.default_rng(0).integers(0, 256, (9, 9, 9, 1)).astype(np.uint8)))
    paths = [tmp_path / f"{n}.jpg" for n in range(9)]
    for number, path in enumerate(paths):
        path.write_bytes(saved(scene(20 + number, 30), "JPEG"))
    for part, truth in (
        (arrays, [POLICY.resize(image) for image in arrays.images]),
        (Split(np.arange(9), Files(tuple(paths))), [POLICY.load(path) for path in paths]),
    ):
        images = decode_split(part, POLICY, key="k", stream=True).images
        assert isinstance(images, StreamedImages) and np.array_equal(images[::-1], np.stack(truth)[::-1])
