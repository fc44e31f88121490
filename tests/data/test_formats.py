"""TIFF, PNM, AVIF and HEIC: against what Pillow wrote and against hand-made files; hostile ones: test_images."""

import struct
import sys
import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_corpus import corpus, gray_tags, saved, scene, tiff
from PIL import Image

from nin.data.codecs import readers
from nin.data.images import Limits, PictureError, read_picture

RNG = np.random.default_rng(0)
COMPRESSIONS = [None, "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits"]


def image(mode):
    gray = RNG.integers(0, 256, (19, 23)).astype(np.uint8)
    if mode in ("F", "I", "I;16"):
        kind = {"F": np.float32, "I": np.int32, "I;16": np.uint16}[mode]
        return Image.fromarray(gray.astype(kind) * kind(3))
    return Image.fromarray(RNG.integers(0, 256, (19, 23, 3)).astype(np.uint8)).convert(mode)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK", "F", "I", "I;16"])
def test_tiff_gives_the_pixels_that_pillow_wrote(mode, compression):
    written = image(mode)
    picture = read_picture(saved(written, "TIFF", **({"compression": compression} if compression else {})))
    plain = {"1": "L", "P": "RGB", "CMYK": "RGB"}.get(mode)
    expected = np.asarray(written.convert(plain) if plain else written)
    assert picture.format == "TIFF" and picture.pixels.dtype == expected.dtype
    assert np.array_equal(picture.pixels, expected.reshape(picture.pixels.shape))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "f2", "f4", "f8"])
def test_tiff_of_every_type_is_read_as_it_is(kind, order):
    values = RNG.integers(0, 120, (5, 4)).astype(kind)
    sample = {"u": 1, "i": 2, "f": 3}[kind[0]]
    body = values.astype(order + kind).tobytes()
    tags = gray_tags(4, 5, len(body), 8 * values.itemsize, _339=sample)
    found = read_picture(tiff(tags, body, order)).pixels
    assert found.dtype == values.dtype and np.array_equal(found[..., 0], values)


@pytest.mark.parametrize("bits", [1, 2, 4, 10, 12, 14])
def test_tiff_of_packed_bits_is_unpacked(bits):
    values = RNG.integers(0, 2**bits, (3, 8))
    body = b"".join(
        int("".join(f"{value:0{bits}b}" for value in row), 2).to_bytes(bits, "big") for row in values.tolist()
    )
    found = read_picture(tiff(gray_tags(8, 3, len(body), bits), body)).pixels[..., 0]
    expected = values * 255 // (2**bits - 1) if bits < 8 else values
    assert np.array_equal(found, expected)
    turned = read_picture(tiff(gray_tags(8, 3, len(body), bits, _262=0), body)).pixels[..., 0]
    assert np.array_equal(turned, (255 if bits < 8 else 2**bits - 1) - expected)


def test_tiff_with_a_predictor_tiles_and_planes():
    values = RNG.integers(0, 65_536, (32, 16)).astype(np.uint16)
    differences = np.diff(values, axis=1, prepend=np.uint16(0)).astype("<u2").tobytes()
    assert np.array_equal(read_picture(tiff(gray_tags(16, 32, 1024, 16, _317=2), differences)).pixels[..., 0], values)
    bytes_ = RNG.integers(0, 256, (20, 24)).astype(np.uint8)
    padded = np.pad(bytes_, ((0, 12), (0, 8)))
    body = b"".join(padded[y : y + 16, x : x + 16].tobytes() for y in (0, 16) for x in (0, 16))
    tags = {256: 24, 257: 20, 258: 8, 259: 1, 262: 1, 277: 1, 322: 16, 323: 16, 325: (256,) * 4}
    start = len(tiff({**tags, 324: (1, 1, 1, 1)}))
    whole = tiff({**tags, 324: tuple(start + 256 * number for number in range(4))}, body)
    assert np.array_equal(read_picture(whole).pixels[..., 0], bytes_)
    colours = RNG.integers(0, 256, (6, 5, 3)).astype(np.uint8)
    tags = {256: 5, 257: 6, 258: (8, 8, 8), 259: 1, 262: 2, 277: 3, 278: 6, 284: 2, 279: (30, 30, 30)}
    start = len(tiff({**tags, 273: (1, 1, 1)}))
    whole = tiff({**tags, 273: (start, start + 30, start + 60)}, colours.transpose(2, 0, 1).tobytes())
    assert np.array_equal(read_picture(whole).pixels, colours)


def test_tiff_of_floating_point_differences():
    """Predictor 3, by hand from its technical note: bytes of a row by significance, then differences."""
    values = RNG.random((4, 6)).astype(np.float32)
    planes = values.astype(">f4").view(np.uint8).reshape(4, 6, 4).transpose(0, 2, 1).reshape(4, 24)
    body = np.diff(planes, axis=1, prepend=np.uint8(0)).astype(np.uint8).tobytes()
    found = read_picture(tiff(gray_tags(6, 4, 96, 32, _339=3, _317=3), body)).pixels
    assert np.array_equal(found[..., 0], values)


def test_tiff_is_turned_and_a_small_copy_is_no_page():
    colours = scene(4, 6)
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = read_picture(saved(Image.fromarray(colours), "TIFF", exif=exif))
    assert picture.rotated and picture.size == (4, 6)
    assert np.array_equal(picture.pixels, np.rot90(colours, -1))
    first = tiff(gray_tags(3, 2, 6), bytes(range(6)))
    second = struct.pack("<HHHII", 1, 254, 4, 1, 1) + bytes(4)  # reduced resolution
    data = bytearray(first + second)
    data[8 + 2 + 12 * 9 : 8 + 2 + 12 * 9 + 4] = struct.pack("<I", len(first))
    assert read_picture(bytes(data)).pixels.ravel().tolist() == list(range(6))


def test_tiff_with_opacity_multiplied_in():
    tags = {256: 1, 257: 1, 258: (8,) * 4, 259: 1, 262: 2, 273: ..., 277: 4, 278: 1, 279: 4, 338: 1}
    assert read_picture(tiff(tags, bytes((50, 100, 0, 128)))).pixels.ravel().tolist() == [100, 199, 0, 128]


def test_pnm_values_are_on_the_scale_of_their_maxval():
    assert read_picture(b"P2\n# c\n3 1\n15\n0 15 7\n").pixels.ravel().tolist() == [0, 255, 119]
    assert read_picture(b"P2 3 1 4095 0 4095 2048\n").pixels.ravel().tolist() == [0, 65_535, 32_776]
    assert read_picture(b"P1 4 1 1 0 01").pixels.ravel().tolist() == [0, 255, 255, 0]
    assert read_picture(b"P5 2 1 65535\n\1\2\3\4").pixels.ravel().tolist() == [258, 772]
    for mode in ("1", "L", "RGB"):
        written = image(mode)
        expected = np.asarray(written.convert("L") if mode == "1" else written)
        assert np.array_equal(read_picture(saved(written, "PPM")).pixels.reshape(expected.shape), expected)


def test_avif_is_read_and_turned():
    colours = scene(20, 30)
    plain = read_picture(saved(colours, "AVIF", quality=100, subsampling="4:4:4"))
    assert plain.format == "AVIF" and np.abs(plain.pixels.astype(int) - colours).max() <= 4
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = read_picture(saved(Image.fromarray(colours), "AVIF", quality=100, subsampling="4:4:4", exif=exif))
    assert turned.size == (20, 30) and np.abs(turned.pixels.astype(int) - np.rot90(colours, -1)).max() <= 4


HEIC = (
    b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
    + struct.pack(">I4sI", 56, b"meta", 0)
    + struct.pack(">I4sI4sI4sIII", 44, b"iprp", 36, b"ipco", 20, b"ispe", 0, 30, 20)
    + bytes(8)
)


def test_heic_says_what_to_install_or_how_to_convert(monkeypatch):
    monkeypatch.setattr(readers, "find_spec", lambda name: None)
    with pytest.raises(
        PictureError, match=r'^a\.heic is a HEIC photo, .*: pip install "network-in-network\[heic\]" or conv'
    ):
        read_picture(HEIC, name="a.heic")


def test_heic_is_read_by_the_extra_within_the_limits(monkeypatch):
    asked = []

    def open_heif(file, **options):
        asked.append(file.read())
        return types.SimpleNamespace(to_pillow=lambda: Image.fromarray(scene(20, 30)))

    monkeypatch.setattr(readers, "find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "pillow_heif", types.SimpleNamespace(open_heif=open_heif))
    assert np.array_equal(read_picture(HEIC).pixels, scene(20, 30)) and asked == [HEIC]
    with pytest.raises(PictureError, match="30 x 20 pixels, more than the 100 allowed"):
        read_picture(HEIC, limits=Limits(max_pixels=100))
    assert len(asked) == 1


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["plain.tif", "lzw.tif", "deflate.tif", "packbits.tif", "plain.avif", "digits.pgm"]), st.data())
def test_flipped_bytes_and_cuts_give_pixels_or_one_error(name, data):
    content = bytearray(CORPUS[name][0])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(1, len(content)))]
    try:
        assert read_picture(bytes(content), limits=Limits(max_pixels=1_000_000)).pixels.size
    except PictureError as error:
        assert "\n" not in str(error)


CORPUS = corpus()
