"""Decoding a split: order, memory, the verified cache, unreadable pictures."""

import os
import shutil
import tracemalloc
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_corpus import saved, scene

from nin.data import cache
from nin.data.cache import decode_split
from nin.data.images import PictureError
from nin.data.preprocess import Preprocess
from nin.data.sources import open_source
from nin.data.splits import Arrays, Files, Split
from nin.data.whiten import fit_zca
from nin.errors import DataError

POLICY = Preprocess((6, 5), 3, "stretch", (0.5,) * 3, (0.25,) * 3)


def split_of(folder, count, bad=()):
    """A split of `count` pictures of one colour each (its number), those in `bad` cut short."""
    folder.mkdir(exist_ok=True)
    paths = []
    for number in range(count):
        data = saved(np.full((9, 9, 3), number % 256, np.uint8), "PNG")
        paths.append(folder / f"{number}.png")
        paths[-1].write_bytes(data[:40] if number in bad else data)
    return Split(np.arange(count) % 3, Files(tuple(paths), folder.parent))


@pytest.mark.parametrize("limit", [None, 0])
def test_pictures_come_in_order_with_their_labels(tmp_path, limit):
    split = split_of(tmp_path / "in", 600)
    told: list[tuple[int, int]] = []
    decoded = decode_split(
        split,
        POLICY,
        key="k",
        memory_limit=limit,
        cache_dir=tmp_path / "cache",
        progress=lambda done, total: told.append((done, total)),
    )
    assert decoded.images.shape == (600, 6, 5, 3) and decoded.images.dtype == np.uint8
    assert (decoded.images == (np.arange(600) % 256)[:, None, None, None]).all()
    assert np.array_equal(decoded.labels, split.labels) and np.array_equal(decoded.kept, np.arange(600))
    assert told == [(256, 600), (512, 600), (600, 600)]
    assert isinstance(decoded.images, np.memmap) == (limit == 0) == (tmp_path / "cache").exists()


def test_arrays_that_fit_are_not_copied():
    images = np.zeros((7, 6, 5, 3), np.uint8)
    split = Split(np.arange(7), Arrays(images))
    assert decode_split(split, POLICY, key="k", memory_limit=0).images is images


def test_arrays_that_do_not_fit_are_resized_as_pictures_are(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (300, 9, 9, 1)).astype(np.uint8)
    split = Split(np.arange(300), Arrays(images))
    decoded = decode_split(split, POLICY, key="k")
    assert all(np.array_equal(a, POLICY.resize(b)) for a, b in zip(decoded.images, images, strict=True))
    cached = decode_split(split, POLICY, key="k", memory_limit=0, cache_dir=tmp_path)
    assert np.array_equal(cached.images, decoded.images)


@pytest.mark.parametrize("limit", [None, 0])
def test_unreadable_pictures_are_all_named_or_skipped(tmp_path, limit):
    split = split_of(tmp_path / "in", 300, bad=(2, 5, 256, 299))
    options = {"key": "k", "memory_limit": limit, "cache_dir": tmp_path / "cache"}
    with pytest.raises(PictureError) as caught:
        decode_split(split, POLICY, **options)
    assert str(caught.value) == (
        "4 of 300 pictures cannot be read: in/2.png (truncated PNG), in/5.png (truncated PNG), "
        "in/256.png (truncated PNG), ...; remove them"
    )
    assert not list((tmp_path / "cache").glob("*")) if limit == 0 else not (tmp_path / "cache").exists()
    kept = np.setdiff1d(np.arange(300), [2, 5, 256, 299])
    for _ in range(2):  # decoded, then from the cache
        decoded = decode_split(split, POLICY, skip_unreadable=True, **options)
        assert np.array_equal(decoded.kept, kept) and np.array_equal(decoded.labels, split.labels[kept])
        assert (decoded.images == (kept % 256)[:, None, None, None]).all()
        assert decoded.unreadable[3] == ("in/299.png", "truncated PNG")
    with pytest.raises(PictureError, match="4 of 300 pictures"):
        decode_split(split, POLICY, **options)


def test_nothing_readable_is_an_error_even_when_skipping(tmp_path):
    split = split_of(tmp_path / "in", 2, bad=(0, 1))
    with pytest.raises(DataError, match=r"2 of 2 pictures cannot be read: .*; give other pictures"):
        decode_split(split, POLICY, key="k", skip_unreadable=True)


def test_names_in_messages_are_safe(tmp_path):
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "a\n\x1b[2J\udcff.png"
    path.write_bytes(b"")
    split = Split(np.zeros(1, np.int64), Files((path,), tmp_path))
    with pytest.raises(
        PictureError, match=r"1 of 1 picture cannot be read: in/a\\n\\x1b\[2J\\udcff\.png \(an empty file"
    ):
        decode_split(split, POLICY, key="k", memory_limit=0, cache_dir=tmp_path / "cache")


def fresh(split, folder, monkeypatch, policy=POLICY, key="k"):
    """Decode through the cache; returns (images, how many pictures were decoded)."""
    count = 0
    load = Preprocess.open_picture

    def counting(self, source, **more):
        nonlocal count
        count += 1
        return load(self, source, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Preprocess, "open_picture", counting)
        images = decode_split(split, policy, key=key, memory_limit=0, cache_dir=folder).images
    return np.array(images), count


def test_the_cache_is_used_again_only_for_the_same_thing(tmp_path, monkeypatch):
    split, folder = split_of(tmp_path / "in", 10), tmp_path / "cache"
    images, count = fresh(split, folder, monkeypatch)
    assert count == 10
    again, count = fresh(split, folder, monkeypatch)
    assert count == 0 and np.array_equal(images, again)
    assert fresh(split, folder, monkeypatch, key="other")[1] == 10
    other = Preprocess((6, 5), 3, "pad", (0.5,) * 3, (0.25,) * 3)
    assert fresh(split, folder, monkeypatch, policy=other)[1] == 10
    for normalisation, zca in (("gcn", None), ("gcn-zca", fit_zca([images]))):  # the pixels are the same
        same = replace(POLICY, normalisation=normalisation, zca=zca)
        assert fresh(split, folder, monkeypatch, policy=same)[1] == 0
    data = saved(np.full((9, 9, 3), 77, np.uint8), "PNG")
    assert len(data) == split.stored.paths[3].stat().st_size  # the same size, another time
    split.stored.paths[3].write_bytes(data)
    os.utime(split.stored.paths[3], ns=(1, 1))
    images, count = fresh(split, folder, monkeypatch)
    assert count == 10 and (images[3] == 77).all()


def test_two_splits_under_one_key_are_two_things(tmp_path):
    first = Split(np.arange(3), Arrays(np.full((3, 9, 9, 1), 7, np.uint8)))
    second = Split(np.arange(3), Arrays(np.full((3, 9, 9, 1), 8, np.uint8)))
    folders = split_of(tmp_path / "one", 3), split_of(tmp_path / "two", 3)
    for split, other in (first, second), folders:
        options = {"key": "k", "memory_limit": 0, "cache_dir": tmp_path / "cache"}
        names = [set((tmp_path / "cache").glob("*"))]
        for part in (split, other):
            decode_split(part, POLICY, **options)
            names.append(set((tmp_path / "cache").glob("*")))
        assert [len(b - a) for a, b in pairwise(names)] == [2, 2]
    assert (decode_split(second, POLICY, **options).images == 8).all()


def test_writing_into_the_images_leaves_the_cache_as_it_is(tmp_path, monkeypatch):
    split, folder = split_of(tmp_path / "in", 4), tmp_path / "cache"
    decode_split(split, POLICY, key="k", memory_limit=0, cache_dir=folder).images[:] = 99
    images, count = fresh(split, folder, monkeypatch)
    assert count == 0 and (images[2] == 2).all()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 255), st.sampled_from(["flip", "cut", "zero", "longer"]), st.booleans())
def test_every_damage_to_the_cache_is_seen_and_mended(tmp_path_factory, place, flip, kind, note):
    base = tmp_path_factory.getbasetemp() / "damage"
    if not base.exists():
        base.mkdir()
        decode_split(split_of(base / "in", 3), POLICY, key="k", memory_limit=0, cache_dir=base / "good")
    split = Split(np.arange(3) % 3, Files(tuple(base / "in" / f"{n}.png" for n in range(3)), base))
    folder = base / "cache"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(base / "good", folder)
    path = next(folder.glob("*.json" if note else "*.pixels"))
    whole = path.read_bytes()
    place %= len(whole)
    data = {
        "flip": whole[:place] + bytes([whole[place] ^ flip]) + whole[place + 1 :],
        "cut": whole[:place],
        "zero": whole[:place] + bytes(len(whole) - place),
        "longer": whole + bytes([flip]),
    }[kind]
    path.write_bytes(data)
    decoded = decode_split(split, POLICY, key="k", memory_limit=0, cache_dir=folder)
    assert (decoded.images == np.arange(3)[:, None, None, None]).all()
    assert path.read_bytes() == whole or data == whole


def test_the_default_limit_is_half_of_what_is_free(tmp_path, monkeypatch):
    split = split_of(tmp_path / "in", 4)  # 360 bytes
    monkeypatch.setattr(cache.platformdirs, "user_cache_dir", lambda name: str(tmp_path / "home" / name))
    monkeypatch.setattr(cache, "available_memory", lambda: 720)
    assert not isinstance(decode_split(split, POLICY, key="k").images, np.memmap)
    monkeypatch.setattr(cache, "available_memory", lambda: 718)
    assert isinstance(decode_split(split, POLICY, key="k").images, np.memmap)
    assert len(list((tmp_path / "home" / "nin").iterdir())) == 2


def test_memory_stays_bounded_when_caching(tmp_path):
    policy = Preprocess((64, 64), 3, "stretch", (0.5,) * 3, (0.25,) * 3)
    split = split_of(tmp_path / "in", 1024)  # 12.6 MB decoded
    tracemalloc.start()
    decode_split(split, policy, key="k", memory_limit=0, cache_dir=tmp_path / "cache")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6  # a block of 256 is 3.1 MB


def test_real_photos_are_what_a_plain_loop_gives(photos):
    split = open_source(photos).splits["validation"]
    policy = Preprocess((32, 32), 3, "pad", (0.5,) * 3, (0.25,) * 3)
    decoded = decode_split(split, policy, key="k")
    assert len(decoded.images) == 341 and not decoded.unreadable
    for row in range(0, 341, 20):
        assert np.array_equal(decoded.images[row], policy.load(split.stored.paths[row]))


def test_a_large_picture_beside_small_ones(tmp_path):
    (tmp_path / "in").mkdir()
    for number, side in enumerate((3, 900)):
        (tmp_path / "in" / f"{number}.jpg").write_bytes(saved(scene(side, side), "JPEG"))
    split = Split(np.arange(2), Files((tmp_path / "in" / "0.jpg", tmp_path / "in" / "1.jpg"), tmp_path))
    assert decode_split(split, POLICY, key="k").images.shape == (2, 6, 5, 3)
