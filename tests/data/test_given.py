"""Pictures as programs have them: every form of one picture gives the pixels that its file gives."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from nin.data.given import named_pictures, one_picture
from nin.data.images import PictureError
from nin.data.preprocess import Preprocess
from nin.errors import UsageError

SIDES = (7, 5)  # height, width
COLOUR = Preprocess(SIDES, 3, "stretch", (0.5,) * 3, (0.5,) * 3)
GRAY = Preprocess(SIDES, 1, "stretch", (0.5,), (0.5,))


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (*SIDES, 3), dtype=np.uint8)


@pytest.fixture
def file(pixels, tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(pixels).save("a.png")
    return Path("a.png")


def loaded(given, preprocess=COLOUR) -> np.ndarray:
    name, source = one_picture(given)
    return preprocess.load(source, name=name)


def forms(file: Path, pixels: np.ndarray):
    data = file.read_bytes()
    chw = torch.from_numpy(pixels).permute(2, 0, 1)
    yield from (str(file), file, np.str_(file), data, bytearray(data), memoryview(data), io.BytesIO(data))
    yield from (Image.open(file), Image.fromarray(pixels), pixels, pixels[::-1][::-1], pixels.astype(np.int64))
    yield from (pixels.astype(np.uint16) * 257, (pixels.astype(np.uint16) * 257).astype(">u2"))
    yield from (pixels / 255, (pixels / 255).astype(np.float32), pixels[None])
    yield from (chw, chw.permute(1, 2, 0), chw[None], chw / 255, torch.nn.Parameter(chw / 255))


def test_every_form_of_a_picture_gives_its_pixels_alone_and_among_others(file, pixels):
    for given in forms(file, pixels):
        np.testing.assert_array_equal(loaded(given), pixels, err_msg=repr(given)[:80])
    every = list(forms(file, pixels))
    for many in (every, tuple(every), iter(every), (one for one in every)):
        found = [COLOUR.load(source, name=name) for name, source in named_pictures(many)]
        assert len(found) == len(every)
        assert all((one == pixels).all() for one in found)
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "PNG")
    assert written.tell() and (loaded(written) == pixels).all()  # it stands at its end
    with file.open("rb") as stream:
        name, source = one_picture(stream)  # read while it is open
    assert name == "a.png" and (COLOUR.load(source) == pixels).all()


def test_gray_arrays_and_truth_values_are_pictures(pixels):
    gray = pixels[..., 0]
    for given in (gray, gray[..., None], torch.from_numpy(gray), torch.from_numpy(gray)[None], Image.fromarray(gray)):
        np.testing.assert_array_equal(loaded(given, GRAY)[..., 0], gray)
    np.testing.assert_array_equal(loaded(gray > 99, GRAY)[..., 0], np.where(gray > 99, 255, 0))
    np.testing.assert_array_equal(loaded(torch.from_numpy(gray / 255).bfloat16(), GRAY)[..., 0], np.rint(
        torch.from_numpy(gray / 255).bfloat16().double().numpy() * 255))  # fmt: skip


def test_an_engine_takes_pictures_of_every_form_and_size(file, pixels):
    from nin.engine.engine import open_engine

    engine = open_engine("nin-cifar10", threads=1)
    ready = engine.preprocess.load(pixels)[None]
    expected = engine.run(ready).logits
    for given in ("a.png", file, pixels, [Image.fromarray(pixels)], io.BytesIO(file.read_bytes())):
        np.testing.assert_array_equal(engine.run(given).logits, expected)


def test_batches_are_their_pictures(pixels):
    batch = np.stack([pixels, 255 - pixels])
    tensor = torch.from_numpy(batch).permute(0, 3, 1, 2)
    for many in (batch, tensor, [batch], (one for one in batch), [tensor[:1], tensor[1:]]):
        names, found = zip(*named_pictures(many), strict=True)
        assert names == ("picture 1", "picture 2")
        np.testing.assert_array_equal([COLOUR.load(source) for source in found], batch)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_as_its_file_is(tmp_path, orientation, pixels):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path := tmp_path / "turned.png", exif=exif)
    image = Image.open(path)
    expected = np.asarray(ImageOps.exif_transpose(image))
    for given in (path, path.read_bytes(), image, Image.open(path).copy()):
        name, source = one_picture(given)
        whole = Preprocess(expected.shape[:2], 3, "stretch", (0.5,) * 3, (0.5,) * 3).load(source, name=name)
        np.testing.assert_array_equal(whole, expected)


MODES = ["1", "L", "P", "LA", "La", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"]


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_is_over_white_or_converted_as_pillow_does(mode, pixels):
    alpha = np.random.default_rng(6).integers(0, 256, SIDES, dtype=np.uint8)
    seen = Image.fromarray(np.dstack([pixels, alpha]))
    image = {
        "1": lambda: Image.fromarray(pixels[..., 0] > 99),
        "P": lambda: seen.convert("RGB").quantize(8),
        "PA": lambda: seen.convert("RGB").quantize(8).convert("PA"),
        "La": lambda: seen.convert("LA").convert("La"),
    }.get(mode, lambda: seen.convert(mode))()
    assert image.mode == mode
    plain = image.convert({"La": "LA", "RGBa": "RGBA"}.get(mode, mode)).convert("RGBA")
    colours, share = np.asarray(plain)[..., :3] / 1.0, np.asarray(plain)[..., 3:] / 255
    expected = np.rint(colours * share + 255 * (1 - share)) if "A" in mode.upper() else colours
    np.testing.assert_allclose(loaded(image), expected, atol=1)


def test_deep_images_are_as_deep_as_their_files(tmp_path):
    deep = np.arange(35, dtype=np.uint16).reshape(SIDES) * 1872
    image = Image.fromarray(deep)
    assert image.mode == "I;16"
    image.save(tmp_path / "deep.png")
    np.testing.assert_array_equal(loaded(image, GRAY), loaded(tmp_path / "deep.png", GRAY))
    np.testing.assert_array_equal(loaded(deep, GRAY), loaded(tmp_path / "deep.png", GRAY))
    shallow = Image.fromarray((deep // 257).astype(np.uint8)).convert("I")  # 0 to 255 in 32 bits is not black
    np.testing.assert_array_equal(loaded(shallow, GRAY)[..., 0], deep // 257)
    half = Image.fromarray(np.full(SIDES, 0.5, np.float32))
    assert half.mode == "F" and (loaded(half, GRAY) == 128).all()


def test_names_are_those_of_files_or_numbers(file, pixels, tmp_path):
    with file.open("rb") as stream, Image.open(file) as image:
        given = [pixels, "a.png", stream, image, Image.fromarray(pixels), b""]
        names = [name for name, _ in named_pictures(given)]
        assert names == ["picture 1", "a.png", "a.png", str(image.filename), "picture 5", "picture 6"]


def test_words_are_files_folders_globs_and_home(file, tmp_path, monkeypatch):
    (tmp_path / "more").mkdir()
    for name in ("c.png", "b.png", ".hidden.png", "words.txt"):
        (tmp_path / "more" / name).write_bytes(file.read_bytes())
    assert [name for name, _ in named_pictures("more")] == ["more/b.png", "more/c.png"]
    assert [name for name, _ in named_pictures(["more/*.png", "a.png"])] == ["more/b.png", "more/c.png", "a.png"]
    monkeypatch.setenv("HOME", str(tmp_path))
    assert [name for name, _ in named_pictures("~/more")] == [f"{tmp_path}/more/b.png", f"{tmp_path}/more/c.png"]
    assert [name for name, _ in named_pictures(Path("~/more/?.png"))] == [f"{tmp_path}/more/{x}.png" for x in "bc"]


def test_a_generator_is_asked_for_one_picture_after_the_other(pixels):
    asked = []

    def camera():
        for number in range(1000):
            asked.append(number)
            yield pixels

    found = named_pictures(camera())
    assert len(asked) == 1 and next(found)[0] == "picture 1" and next(found)[0] == "picture 2"
    assert len(asked) == 2


TAKEN = "expected a path, bytes, an open file, a Pillow image, an array (H, W) or (H, W, C), a tensor (C, H, W), "

SHAPES = "expected (H, W) or (H, W, C), C being 1, 3 or 4"


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("https://a.b/c", '"https://a.b/c" is an address, and nothing is fetched; give the path or bytes of a picture'),
        ("none.png", "none.png does not exist; name files, folders, a glob in quotes, or - for standard input"),
        (5, f"5 is no picture; {TAKEN}or a list or generator of these"),
        (None, f"None is no picture; {TAKEN}or a list or generator of these"),
        ({"a.png": 1}, "{'a.png': 1} is no picture; "),
        ([["a.png"]], "['a.png'] is no picture; "),
        ([], "no picture given; name files, folders, a glob, or - for standard input"),
        (iter(()), "no picture given; "),
        ("", "no picture given; name files, folders, a glob, or - for standard input; an empty name stands for none"),
        ([b"x", " "], "no picture given; "),
        (np.zeros(()), "an array of shape () is no picture; expected (H, W), (H, W, C) or, of many, (N, H, W, C)"),
        (np.zeros((3, 9, 9)), f"an array of shape (3, 9, 9) is no picture; {SHAPES}; of (C, H, W) give "),
        (np.zeros((9, 9, 2)), f"an array of shape (9, 9, 2) is no picture; {SHAPES}"),
        (np.zeros((0, 9, 3)), "an array of shape (0, 9, 3) has no pixels; "),
        (np.zeros((9, 9), complex), "an array of complex128 is no picture; "),
        (torch.zeros(3, 9, 3), "a tensor of shape (3, 9, 3) can be read in two ways; "),
        (torch.zeros(2, 9, 9), "a tensor of shape (2, 9, 9) is no picture; "),
        (io.StringIO("x"), "the file is open as text; open it with mode rb"),
    ],
)  # fmt: skip
def test_what_is_no_picture_is_told_what_is_taken(given, line):
    with pytest.raises(UsageError) as error:
        list(named_pictures(given))
    assert str(error.value).startswith(line) and "\n" not in str(error.value)


def test_a_closed_file_and_several_pictures_are_told(file):
    stream = file.open("rb")
    stream.close()
    with pytest.raises(
        UsageError, match=r"^a\.png cannot be read \(I/O operation on closed file.*\); open it with mode rb$"
    ):
        one_picture(stream)
    with pytest.raises(UsageError, match=r"^2 pictures are given; expected one$"):
        one_picture([file, file])


@pytest.mark.parametrize("scale", [255.0, -1.0, 1.01, float("nan"), float("inf")])
def test_fractions_outside_of_0_to_1_are_asked_about(scale, pixels):
    with np.errstate(invalid="ignore"):
        values = pixels / 255 * scale
    with pytest.raises(UsageError, match=r"^picture 1 has float64 values from .*; expected fractions from 0"):
        loaded(values)


def test_whole_numbers_that_may_mean_several_things_are_asked_about(pixels):
    for values in (pixels.astype(np.int32) * 16, pixels.astype(np.int16) - 1):
        with pytest.raises(UsageError, match=r"^picture 1 has int.. values from .*; expected 0 to 255, or uint16$"):
            loaded(values)


def test_a_range_that_was_learned_goes_for_held_pixels_too(pixels):
    deep = replace(COLOUR, value_range=(0.0, 1020.0))
    np.testing.assert_array_equal(deep.load(pixels.astype(np.int32) * 4), pixels)
    np.testing.assert_array_equal(deep.load(pixels * 4.0), pixels)
    with pytest.raises(PictureError, match=r"8-bit pixels, where the network learned from values of 0 to 1,020"):
        deep.load(pixels)


def test_an_image_that_pillow_cannot_finish_is_told(tmp_path, pixels):
    Image.fromarray(pixels).resize((200, 200)).save(path := tmp_path / "cut.png")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    line = r"is a Pillow image of mode RGB that cannot be read \(image file is truncated"
    with Image.open(path) as image, pytest.raises(PictureError, match=line):
        loaded(image)


def test_fractions_a_hair_beyond_black_and_white_are_their_ends(pixels):
    values = pixels / 255
    values[0, 0] = 1.0000001, -1e-9, 1.0
    expected = pixels.copy()
    expected[0, 0] = 255, 0, 255
    assert np.array_equal(loaded(values), expected)


def test_bytes_in_16_bits_are_not_taken_for_black(pixels):
    with pytest.raises(UsageError, match=r"^picture 1 has uint16 values of .* to 2.., which are black on the scale"):
        loaded(pixels.astype(np.uint16))
    assert not loaded(np.zeros((*SIDES, 3), np.uint16)).any()
