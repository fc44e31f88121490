"""Deep pictures on one scale: the right values are worked out by hand, from how a camera would have counted."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_corpus import gray16, png, samples, saved, scene
from PIL import Image

from nin.data.cache import decode_split, noted_in_words
from nin.data.check import check_source
from nin.data.depth import find_range, settle, to_uint8
from nin.data.images import PictureError
from nin.data.preprocess import Preprocess
from nin.data.sources import open_source
from nin.errors import DataError, ModelError, UsageError


def camera(seed, bits, low=0, side=48):
    """A frame of a camera of so many bits, (side, side, 1) uint16: levels from an eighth to a half of its scale."""
    rng = np.random.default_rng(seed)
    levels = np.linspace(2**bits // 8, 2**bits // 2, 71).astype(np.int64)
    return (levels[rng.integers(0, 71, (side, side, 1))] + low).astype(np.uint16)


def grey_levels(picture, value_range):
    return len(np.unique(to_uint8(picture, value_range)))


@pytest.mark.parametrize("low", [0, 300, 32_768])
@pytest.mark.parametrize("bits", [10, 12, 14])
def test_cameras_of_10_to_14_bits_keep_their_levels_with_and_without_an_offset(bits, low):
    frames = [camera(seed, bits, low) for seed in range(5)]
    value_range = find_range(frames)
    assert value_range == (2**bits // 8 + low, 2**bits // 2 + low)
    assert grey_levels(frames[0], value_range) == 71
    mapped = to_uint8(np.array([[[2**bits // 8 + low], [2**bits // 2 + low]]], np.uint16), value_range)
    assert mapped.ravel().tolist() == [0, 255]


@pytest.mark.parametrize("kind", [np.int16, np.uint16, np.int32, np.uint32, np.int64, np.float32, np.float64])
def test_counts_of_every_type_get_the_same_range_and_the_same_pixels(kind):
    frames = [camera(seed, 12) for seed in range(3)]
    found = find_range([frame.astype(kind) for frame in frames])
    assert found == find_range(frames) == (512, 2048)
    assert np.array_equal(to_uint8(frames[0].astype(kind), found), to_uint8(frames[0], found))


@settings(max_examples=40, deadline=None)
@given(st.integers(10, 14), st.sampled_from([0, 500, 20_000]), st.integers(0, 2**32 - 1), st.integers(1, 10))
def test_hot_dead_and_saturated_pixels_do_not_bring_the_fault_back(bits, low, seed, many):
    frames, rng = [camera(seed + n, bits, low) for n in range(4)], np.random.default_rng(seed)
    for frame in frames:
        frame[rng.integers(0, 48, many), rng.integers(0, 48, many)] = 65_535
        frame[rng.integers(0, 48, many), rng.integers(0, 48, many)] = 0
    assert grey_levels(camera(99, bits, low), find_range(frames)) >= 64


def test_an_empty_background_and_a_hot_column_are_not_the_scene():
    frames = [camera(seed, 12, 32_768) for seed in range(4)]
    for frame in frames:
        frame[:30] = 0  # outside of what was scanned: 62 %
        frame[:, 7] = 65_535  # 2 % of the pixels
    assert grey_levels(frames[0][30:, 8:], find_range(frames)) >= 64


def test_rare_bright_things_keep_differences():
    frames = [camera(seed, 12) for seed in range(8)]
    frames[3][:2, :2] = 2_300  # four pixels of 18,432
    frames[5][:2, :2] = 2_500
    value_range = find_range(frames)
    assert len({int(to_uint8(frames[n], value_range)[0, 0, 0]) for n in (3, 5)}) == 2


def test_full_scales_stay_as_they_were():
    rng = np.random.default_rng(0)
    photograph = rng.integers(0, 65_536, (40, 40, 3)).astype(np.uint16)
    assert find_range([photograph]) is None
    assert find_range([scene()]) is None
    assert find_range([rng.random((40, 40, 1))]) == (0, 1)
    assert find_range([rng.random((40, 40, 1)) * 2 - 1]) == (-1, 1)
    assert find_range([rng.random((40, 40, 1)) * 255]) == (0, 255)
    assert find_range([rng.random((40, 40, 1)) * 65_535]) == (0, 65_535)
    gray = photograph[..., :1]
    assert np.array_equal(to_uint8(gray), np.floor(gray / 257 + 0.5))  # rounded
    assert np.array_equal(to_uint8(photograph), photograph >> 8)  # the high byte, as Pillow takes


def test_full_scales_of_different_kinds_go_together():
    for full in ((0, 1), (-1, 1), None):
        assert to_uint8(np.full((1, 1, 1), 65_535, np.uint16), full).item() == 255
        assert to_uint8(np.full((1, 1, 1), 255, np.uint8), full).item() == 255
    assert to_uint8(np.array([[[-1.0], [0.0], [1.0]]]), (-1, 1)).ravel().tolist() == [0, 128, 255]


def test_transparency_is_not_of_the_scene():
    frames = np.concatenate([*[camera(0, 12)] * 3, np.full((48, 48, 1), 65_535, np.uint16)], axis=-1)
    value_range = find_range([frames])
    assert value_range == (512, 2048)
    assert (to_uint8(frames, value_range)[..., 3] == 255).all()


def test_what_means_nothing_on_a_scale_is_refused():
    with pytest.raises(DataError, match=r"^8-bit pixels, where the network learned from values of 512 to 2,048$"):
        to_uint8(scene(), (512, 2048))
    with pytest.raises(
        DataError, match=r"^floating-point pixels, where the network learned from 8-bit or 16-bit ones$"
    ):
        to_uint8(np.zeros((1, 1, 1)), None)
    with pytest.raises(DataError, match="no finite numbers"):
        to_uint8(np.full((1, 1, 1), np.nan), (0, 1))


# ---- arrays


def settled(*arrays):
    found, notes = settle({f"x{number}": array for number, array in enumerate(arrays)})
    return [found[f"x{number}"] for number in range(len(arrays))], notes


@pytest.mark.parametrize(
    ("values", "black_and_white"),
    [
        (lambda u: u.astype(np.int64), "0 is black, 255 is white"),
        (lambda u: u.astype(np.float32), "0 is black, 255 is white"),
        (lambda u: u.astype(np.float32) / 255, "0 is black, 1 is white"),
        (lambda u: (u / 255).astype(np.float16).astype(np.float32), "0 is black, 1 is white"),
        (lambda u: u.astype(np.float32) / 127.5 - 1, "-1 is black, 1 is white"),
        (lambda u: u.astype(np.float64) * 257, "0 is black, 65,535 is white"),
        (lambda u: u.astype(np.int32) * 257, "0 is black, 65,535 is white"),
    ],
)
def test_arrays_of_the_usual_scales_become_the_pixels_they_were_made_from(values, black_and_white):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 9, 9, 1)).astype(np.uint8)
    pixels[0, 0, :2, 0] = 0, 255
    (found,), (note,) = settled(values(pixels))
    assert found.dtype in (np.uint8, np.uint16)
    assert np.array_equal(to_uint8(found), pixels)
    assert black_and_white in note


def test_bool_is_black_and_white_and_bytes_are_bytes():
    pixels = np.random.default_rng(0).integers(0, 2, (6, 9, 9, 1))
    (found,), notes = settled(pixels.astype(bool))
    assert (found == pixels * 255).all() and found.dtype == np.uint8 and not notes
    assert settled((pixels * 2).astype(np.uint8))[0][0].tolist() == (pixels * 2).tolist()


def test_arrays_of_no_full_scale_are_kept_for_the_range_of_the_data():
    for values, kept in (
        (camera(0, 12), np.uint16),
        (camera(0, 12).astype(np.int64), np.uint16),
        (camera(0, 12).astype(np.int16) - 1000, np.int16),
        (camera(0, 12).astype(np.float32) - 1000.5, np.float32),
        (camera(0, 12).astype(np.float32) / 65_535, np.float32),
        (np.arange(48 * 48).reshape(48, 48, 1) % 17, np.uint16),
    ):
        (found,), notes = settled(values[None])
        assert found.dtype == kept and np.array_equal(found, values[None]) and not notes
        low, high = find_range(list(found))
        assert (low, high) == (values.min(), values.max())


def test_parts_that_do_not_go_together_are_refused():
    bytes_, fractions = np.full((2, 8, 8, 1), 255, np.uint8), np.random.default_rng(0).random((2, 8, 8, 1))
    assert [to_uint8(array).max() for array in settled(bytes_, np.where(fractions > 0.5, 1.0, 0.0))[0]] == [255, 255]
    with pytest.raises(
        DataError, match=r"^x1: values of 0 to 255, where those of x0 are on the scale 0 to 1; save both"
    ):
        settled(fractions, bytes_.astype(float) * (fractions > 0.5))
    with pytest.raises(DataError, match=r"^x0 has 8-bit pixels, x1 values of 512 to 2,048; save both alike$"):
        settled(bytes_, camera(0, 12)[None])
    with pytest.raises(DataError, match="x0 and x1: whole numbers and fractions"):
        settled(camera(0, 12)[None], fractions)
    for bad in (np.full((1, 2, 2, 1), np.nan), np.full((1, 2, 2, 1), np.inf)):
        with pytest.raises(DataError, match=r"^x0: .*no finite numbers"):
            settled(bad)
    for bad in (np.zeros((1, 2, 2, 1), complex), np.full((1, 2, 2, 1), "a")):
        with pytest.raises(DataError, match="cannot be used; give uint8"):
            settled(bad)


@pytest.mark.parametrize("where", [0, 299])  # among the pictures that the scale is found from, and not
@pytest.mark.parametrize(
    ("scale", "beyond"), [(1.0, 1.0000001), (1.0, 1.0009766), (255.0, 255.4), (65_535.0, 65_600.0), (1.0, -0.001)]
)
def test_a_value_a_hair_beyond_a_scale_is_its_end_and_that_is_said(scale, beyond, where):
    pixels = np.random.default_rng(0).integers(0, 256, (300, 3, 3, 1)).astype(np.uint8)
    values = pixels / 255 * scale
    values[where, 0, 0, 0] = beyond
    (found,), (note,) = settled(values)
    expected = pixels.copy()
    expected[where, 0, 0, 0] = 255 if beyond > 0 else 0
    assert np.array_equal(to_uint8(found), expected)
    assert note.endswith(f"0 is black, {scale:,.0f} is white; 1 value a hair beyond became that")


def test_values_well_beyond_a_scale_are_refused_in_words_that_make_sense():
    values = np.random.default_rng(0).random((600, 3, 3, 1))
    values[1, 0, 0, 0] = 1.01  # of 600 pictures not among the 256 that are looked at first
    wrong = r"^x0: values of .* to 1.01, where nearly all are on the scale 0 to 1; correct the values that lie outside$"
    with pytest.raises(DataError, match=wrong):
        settled(values)


@pytest.mark.parametrize(
    ("kind", "top", "other"),
    [(np.uint16, 65_535, 255), (np.float32, 255, 1), (np.float32, 65_535, 1), (np.float64, 65_535, 255)],
)
def test_a_part_on_a_smaller_scale_would_be_black_and_is_refused(kind, top, other):
    pixels = np.random.default_rng(0).random((40, 4, 4, 1))
    both = (pixels * top).astype(kind), (pixels * other).astype(kind)
    with pytest.raises(DataError, match=r"^x1: values of .*, where those of x0 are on the scale .*; save both alike$"):
        settled(*both)
    black = np.zeros((2, 4, 4, 1), kind)
    (_, found), _ = settled(both[0], black)
    assert not found.any()


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int64, np.bool_])
def test_whole_numbers_of_0_and_1_are_black_and_white(kind):
    pixels = np.random.default_rng(0).integers(0, 2, (6, 9, 9, 1))
    (found,), notes = settled(pixels.astype(kind))
    assert found.dtype == np.uint8 and np.array_equal(found, pixels * 255)
    assert (
        kind is np.bool_
        or notes == [f"x0: {np.dtype(kind)} values of 0 and 1: 0 is black, 1 is white"]
        or notes == [f"x0: {np.dtype(kind)} values of 0 to 1: 0 is black, 1 is white"]
    )
    signs = pixels.astype(np.int8) * 2 - 1
    assert np.array_equal(to_uint8(settled(signs)[0][0]), pixels * 255)


def test_channels_that_may_be_first_or_last_are_asked_for(tmp_path):
    np.savez(tmp_path / "d.npz", images=np.zeros((2, 3, 4, 4), np.uint8), labels=[0, 1])
    with pytest.raises(
        DataError, match=r"shape \(2, 3, 4, 4\), channels first or last; put them last: \(N, H, W, C\)$"
    ):
        open_source(tmp_path / "d.npz", split=False)


# ---- one rule, kept with the model

DEEP = Preprocess((48, 48), 1, "stretch", (0.5,), (0.5,), value_range=(512.0, 2048.0))


def test_the_range_is_kept_with_the_model_and_older_models_are_read():
    assert Preprocess.from_dict(DEEP.to_dict()) == DEEP
    plain = Preprocess((48, 48), 1, "stretch", (0.5,), (0.5,))
    assert "value_range" not in plain.to_dict() and Preprocess.from_dict(plain.to_dict()) == plain
    assert DEEP.in_words().startswith("values of 512 to 2,048 as 0 to 255; ")
    for bad in ((2.0, 1.0), (0.0, float("nan")), (1.0,)):
        with pytest.raises(UsageError, match="the lower one first"):
            Preprocess((48, 48), 1, "stretch", (0.5,), (0.5,), value_range=bad)
        with pytest.raises(ModelError, match="makes no sense"):
            Preprocess.from_dict({**plain.to_dict(), "value_range": list(bad)})


def test_a_picture_to_be_answered_is_on_the_scale_or_refused():
    frame = camera(0, 12)
    pixels, notes = DEEP.open_picture(gray16(frame[..., 0]))
    by_hand = np.floor((frame.astype(float) - 512) / 1536 * 255 + 0.5)
    assert np.abs(pixels - by_hand).max() <= 1 and not notes
    above = frame.copy()
    above[0, 0] = 65_535
    assert DEEP.load(gray16(above[..., 0]))[0, 0, 0] == 255
    with pytest.raises(
        PictureError, match=r"\(8-bit pixels, where the network learned from values of 512 to 2,048\); rem"
    ):
        DEEP.load(saved(scene(), "PNG"))
    with pytest.raises(
        PictureError, match=r"values of 2 to 8, nearly all outside of 512 to 2,048, from which the network"
    ):
        DEEP.load(gray16(frame[..., 0] // 256))


def test_a_model_of_the_full_scale_answers_as_before_and_says_what_it_does_not_see():
    plain = Preprocess((48, 48), 1, "stretch", (0.5,), (0.5,))
    frame = camera(0, 12)
    pixels, notes = plain.open_picture(gray16(frame[..., 0]))
    assert np.array_equal(pixels, np.floor(frame / 257 + 0.5))
    assert len(notes) == 1 and notes[0].startswith(
        "16-bit values of 512 to 2,048 become 6 of 256 grey levels: the netw"
    )
    full = np.random.default_rng(0).integers(0, 65_536, (48, 48))
    assert plain.open_picture(gray16(full))[1] == ()


@pytest.fixture
def folder(tmp_path):
    """deep/train|test/a|b with frames of a 12-bit camera; no two have the same pixels."""
    for split, first in (("train", 0), ("test", 100)):
        for number in range(12):
            place = tmp_path / "deep" / split / "ab"[number % 2]
            place.mkdir(parents=True, exist_ok=True)
            frame = np.full((48, 48), 600 + first // 10 + number)
            frame[number, number] = 2_000
            (place / f"{number}.png").write_bytes(gray16(frame))
    return tmp_path / "deep"


def test_claims_about_files_are_made_from_their_own_pixels(folder):
    result = check_source(folder)
    assert not result.duplicates and not result.contradictions and result.blank == 0
    assert any(note.startswith("pixel values of 6") for note in result.notes)
    (folder / "test" / "a" / "copy.png").write_bytes((folder / "train" / "b" / "1.png").read_bytes())
    result = check_source(folder)
    assert len(result.duplicates) == len(result.shared) == len(result.contradictions) == 1


def test_deep_and_shallow_files_are_told_apart(folder):
    (folder / "train" / "a" / "shallow.png").write_bytes(saved(scene(48, 48, 1), "PNG"))
    assert any(
        line.startswith("1 of 13 sampled pictures have 8-bit pixels") for line in check_source(folder).suggestions
    )
    (folder / "train" / "a" / "shallow.png").rename(folder / "test" / "a" / "shallow.png")
    (line,) = [line for line in check_source(folder).suggestions if "8-bit" in line]
    assert line.startswith("8-bit pixels in 1 of 25 pictures, values of 6")


def test_full_scale_files_of_8_and_16_bits_go_together(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(4):
        place = tmp_path / "d" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (9, 9))
        (place / f"{number}.png").write_bytes(gray16(pixels * 257) if number < 2 else saved(pixels.astype("u1"), "PNG"))
    result = check_source(tmp_path / "d")
    assert any("black and white are the ends of their scale" in note for note in result.notes)
    assert not [line for line in result.suggestions if "bit" in line]


def test_values_of_8_bits_in_16_bit_files_are_told(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(4):
        place = tmp_path / "d" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        pixels = np.array([0, 255, *rng.integers(0, 256, 79)]).reshape(9, 9)
        (place / f"{number}.png").write_bytes(gray16(pixels))
    assert (
        "4 pictures with 16-bit pixels, of 0 to 255: these become black and white" in check_source(tmp_path / "d").notes
    )


def test_a_split_is_decoded_by_the_rule_and_what_lies_outside_is_noted(folder):
    (folder / "test" / "b" / "dim.png").write_bytes(gray16(camera(0, 12)[..., 0] // 200))
    split = open_source(folder, split=False).splits["test"]
    decoded = decode_split(split, DEEP, key="k")
    assert len(decoded.images) == len(split)
    (line,) = noted_in_words(decoded.noted)
    assert line.startswith(
        "1 picture, the first: test/b/dim.png (values of 2 to 10, nearly all outside of 512 to 2,048"
    )
    (folder / "test" / "b" / "shallow.png").write_bytes(saved(scene(48, 48, 1), "PNG"))
    split = open_source(folder, split=False).splits["test"]
    with pytest.raises(
        PictureError, match=r"1 of 14 pictures cannot be read: test/b/shallow.png \(8-bit pixels, where"
    ):
        decode_split(split, DEEP, key="k")


def test_the_cache_knows_the_rule(folder, tmp_path):
    split = open_source(folder, split=False).splits["test"]
    (folder / "test" / "b" / "1.png").write_bytes(gray16(camera(0, 12)[..., 0] // 200))
    options = {"key": "k", "memory_limit": 0, "cache_dir": tmp_path / "cache", "stream": False}
    first = decode_split(split, DEEP, **options)
    again = decode_split(split, DEEP, **options)
    other = decode_split(
        split, Preprocess((48, 48), 1, "stretch", (0.5,), (0.5,), value_range=(0.0, 4095.0)), **options
    )
    assert len(list((tmp_path / "cache").glob("*.pixels"))) == 2
    assert np.array_equal(first.images, again.images) and not np.array_equal(first.images, other.images)
    assert first.noted == again.noted and len(first.noted) == 1


def test_sixteen_bit_colour_keeps_its_low_bits():
    colours = np.concatenate([camera(seed, 12) for seed in range(3)], axis=-1)
    data = png(48, 48, 16, 2, samples(colours))
    with Image.open(io.BytesIO(data)) as image:
        assert len(np.unique(np.asarray(image))) < 8  # what Pillow alone would leave
    rgb = Preprocess((48, 48), 3, "stretch", (0.5,) * 3, (0.5,) * 3, value_range=(512.0, 2048.0))
    assert len(np.unique(rgb.load(data))) == 71
