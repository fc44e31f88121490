"""The door for pictures: verdicts on hostile files, and pixels against references made by hand or by other code."""

import io
import os
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_corpus import chunk, corpus, exif, gray16, jpeg_segment, png, samples, saved, scene
from PIL import Image, ImageFile, ImageOps

from nin.data.codecs.headers import RefusedFile, exif_orientation
from nin.data.codecs.readers import inspect
from nin.data.depth import sample, to_uint8
from nin.data.images import Limits, PictureError, is_picture_name, read_picture, to_channels
from nin.data.splits import Files, Split
from nin.errors import DataError, UsageError

CORPUS = corpus()


TOO_LARGE = "5,000 x 5,100 pixels, more than the 25,000,000 allowed: save it smaller, or set NIN_MAX_PIXELS=25500000"


def verdict(data: bytes, **options):
    try:
        return read_picture(data, **options).pixels.shape
    except PictureError as error:
        assert "\n" not in str(error) and str(error).endswith("; remove it")
        return error.reason


@pytest.mark.parametrize("name", CORPUS)
def test_every_file_of_the_corpus_gets_its_verdict(name):
    data, expected = CORPUS[name]
    assert verdict(data) == expected
    assert verdict(data, near=8) == expected


def test_the_corpus_is_large_enough_and_judged_by_content_not_by_name(tmp_path):
    assert len(CORPUS) >= 120
    for name in ("plain.jpg", "plain.webp", "red.gif", "plain.bmp", "plain.png"):
        path = tmp_path / "picture.png"
        path.write_bytes(CORPUS[name][0])
        assert read_picture(path).pixels.shape == CORPUS[name][1]


def test_no_picture_leaves_a_descriptor_open(tmp_path):
    (tmp_path / "good.png").write_bytes(CORPUS["plain.png"][0])
    (tmp_path / "bad.png").write_bytes(CORPUS["plain.png"][0][:40])
    verdict(tmp_path / "good.png")
    before = len(os.listdir("/dev/fd"))
    for _ in range(3):
        assert verdict(tmp_path / "good.png") == CORPUS["plain.png"][1]
        assert "PNG" in verdict(tmp_path / "bad.png")
    assert len(os.listdir("/dev/fd")) == before


def test_hostile_files_cost_little_time_and_memory():
    """No more processor time than five million turns of an empty loop take on the same machine, and 64 MiB."""
    code = """
import resource, time
from picture_corpus import corpus
from nin.data.images import PictureError, read_picture

def cost(work):
    times = []
    for _ in range(2):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)

def turn():
    for _ in range(1_000_000):
        pass

def read():
    try:
        read_picture(data)
    except PictureError:
        pass

files = corpus()
read_picture(files["plain.webp"][0]), read_picture(files["plain.jpg"][0]), read_picture(files["plain.png"][0])
files = {name: data for name, (data, verdict) in files.items()}
before, slow = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, []
for name, data in files.items():
    if (took := cost(read)) > 0.05 and took > 15 * cost(turn):
        slow.append(f"{name} {took:.2f} s")
assert not slow, slow
grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
assert grown < 64, f"{grown:.0f} MiB"
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_pillow_is_left_as_it_was():
    allowed = Image.MAX_IMAGE_PIXELS
    for data, _ in CORPUS.values():
        verdict(data, near=8)
    assert allowed == Image.MAX_IMAGE_PIXELS
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["plain.jpg", "progressive.jpg", "palette-alpha.png", "plain.webp", "plain.gif", "runs.bmp"]),
    st.data(),
)
def test_flipped_bytes_and_cuts_give_pixels_or_one_error(name, data):
    content = bytearray(CORPUS[name][0])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(1, len(content)))]
    assert isinstance(verdict(bytes(content), limits=Limits(max_pixels=1_000_000), near=4), tuple | str)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\x20\0\0\0WEBP", b"BM", b""]),
    st.binary(max_size=300),
)
def test_headers_of_any_bytes_are_walked_or_refused(magic, rest):
    try:
        assert inspect(magic + rest).width > 0
    except RefusedFile as refusal:
        assert str(refusal)


# ---- pixels


def test_sixteen_bit_gray_is_scaled_not_clipped():
    values = np.array([[0, 128, 129, 255, 256, 257, 1000, 32768, 65407, 65535]])
    picture = read_picture(gray16(values))
    expected = [int(value / 257 + 0.5) for value in values[0]]
    assert picture.mode == "I;16"
    assert picture.pixels[0, :, 0].tolist() == values[0].tolist()
    assert to_uint8(picture.pixels)[0, :, 0].tolist() == expected


def test_sixteen_bit_colour_and_alpha_are_as_deep_as_stored():
    values = np.random.default_rng(0).integers(0, 65536, (5, 7, 4)).astype(np.uint16)
    for colour, channels in ((0, 1), (4, 2), (2, 3), (6, 4)):
        part = values[..., :channels]
        picture = read_picture(png(7, 5, 16, colour, samples(part)))
        expected = part[..., [0, 0, 0, 1]] if channels == 2 else part
        assert picture.pixels.dtype == np.uint16
        assert np.array_equal(picture.pixels, expected)
        assert np.abs(to_uint8(picture.pixels) - expected / 257).max() <= 1


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_gray_with_a_transparent_value(depth):
    top = 2**depth - 1
    values = [0, top, top // 2, 0, top, top, 0, 1]
    packed = int("".join(f"{value:0{depth}b}" for value in values), 2).to_bytes(depth, "big")
    key = top // 2 if depth > 1 else 1
    data = png(8, 1, depth, 0, b"\0" + packed, before=chunk(b"tRNS", struct.pack(">H", key)))
    pixels = to_uint8(read_picture(data).pixels)
    assert pixels.shape == (1, 8, 4)
    assert pixels[0, :, 0].tolist() == [round(value * 255 / top) for value in values]
    assert pixels[0, :, 3].tolist() == [0 if value == key else 255 for value in values]


@pytest.mark.parametrize("depth", [8, 16])
def test_colour_with_a_transparent_value(depth):
    colours = np.array([[[10, 20, 30], [10, 20, 31], [0, 0, 0]]]) * (256 if depth == 16 else 1) + depth * 4 - 32
    key = struct.pack(">HHH", *colours[0, 0])
    kind = np.uint16 if depth == 16 else np.uint8
    pixels = to_uint8(
        read_picture(png(3, 1, depth, 2, samples(colours.astype(kind)), before=chunk(b"tRNS", key))).pixels
    )
    assert pixels[0, :, 3].tolist() == [0, 255, 255]
    assert np.abs(pixels[..., :3] - colours / (257 if depth == 16 else 1)).max() <= 1


def test_palettes_with_and_without_transparency():
    colours = chunk(b"PLTE", bytes((255, 0, 0, 0, 255, 0, 1, 2, 3)))
    assert read_picture(png(3, 1, 8, 3, b"\0\2\1\0", before=colours)).pixels[0].tolist() == [
        [1, 2, 3],
        [0, 255, 0],
        [255, 0, 0],
    ]
    for alphas, expected in ((b"\0", [255, 255, 0]), (b"\x80\x40", [255, 64, 128]), (b"\xff\x00", [255, 0, 255])):
        pixels = read_picture(png(3, 1, 8, 3, b"\0\2\1\0", before=colours + chunk(b"tRNS", alphas))).pixels
        assert pixels[0, :, 3].tolist() == expected
        assert pixels[0, 0, :3].tolist() == [1, 2, 3]


def test_one_bit_and_gray_alpha():
    assert read_picture(png(9, 1, 1, 0, b"\0\xaa\x80")).pixels[0, :, 0].tolist() == [255, 0] * 4 + [255]
    assert read_picture(png(2, 1, 8, 4, b"\0\1\2\3\4")).pixels[0].tolist() == [[1, 1, 1, 2], [3, 3, 3, 4]]
    assert read_picture(CORPUS["clear.gif"][0]).pixels[0, 0].tolist() == [255, 0, 0, 0]
    assert read_picture(CORPUS["runs.bmp"][0]).pixels[0].tolist() == [[0, 0, 255]] * 4
    assert read_picture(CORPUS["top-down.bmp"][0]).pixels[:, 0].tolist() == [[3, 2, 1], [6, 5, 4]]


def inks_to_rgb(c, m, y, k):
    """Ink coverages 0..255 to light, by hand."""
    return [round(255 * (1 - ink / 255) * (1 - k / 255)) for ink in (c, m, y)]


INKS = [(0, 0, 0, 0), (255, 0, 0, 0), (0, 255, 255, 0), (40, 90, 160, 30), (200, 10, 60, 128), (0, 0, 0, 255)]


@pytest.mark.parametrize("inks", INKS)
def test_cmyk_as_photoshop_writes_it(inks):
    data = saved(Image.new("CMYK", (16, 16), inks), "JPEG", quality=100)
    assert b"Adobe" in data  # inverted, as every program that writes CMYK JPEG does
    pixels = read_picture(data).pixels
    assert np.abs(pixels.astype(int) - inks_to_rgb(*inks)).max() <= 1


@pytest.mark.parametrize("inks", INKS)
def test_ycck(inks):
    """CMY as YCbCr: planes made by the formulas of BT.601, stored as four plain channels, then marked as YCCK."""
    c, m, y, k = inks
    luma = 0.299 * c + 0.587 * m + 0.114 * y
    planes = [luma, 128 + (y - luma) * 0.564334, 128 + (c - luma) * 0.713267, 255 - k]
    stored = tuple(255 - min(255, max(0, round(plane))) for plane in planes)
    data = bytearray(saved(Image.new("CMYK", (16, 16), stored), "JPEG", quality=100))
    data[data.index(b"Adobe") + 11] = 2
    pixels = read_picture(bytes(data)).pixels
    assert np.abs(pixels.astype(int) - inks_to_rgb(*inks)).max() <= 3  # one step of chroma is 1.8 of colour


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_agrees_with_pillow(format, orientation):
    options = {"JPEG": {"quality": 95, "subsampling": 0}, "PNG": {}, "WEBP": {"lossless": True}}[format]
    block = exif(orientation, order="<>"[orientation % 2])
    data = saved(scene(), format, exif=b"Exif\0\0" + block if format == "JPEG" else block, **options)
    picture = read_picture(data)
    reference = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    assert np.array_equal(picture.pixels, reference)
    assert picture.rotated == (orientation != 1)
    assert picture.size == (reference.shape[1], reference.shape[0])


def test_exif_orientation_by_hand():
    """A 2 x 3 picture stored turned: viewers turn orientation 6 clockwise."""
    stored = np.array([[[1], [2], [3]], [[4], [5], [6]]], np.uint8)
    turned = {
        3: [[6, 5, 4], [3, 2, 1]],
        6: [[4, 1], [5, 2], [6, 3]],
        8: [[3, 6], [2, 5], [1, 4]],
        5: [[1, 4], [2, 5], [3, 6]],
    }
    for orientation, expected in turned.items():
        data = png(3, 2, 8, 0, samples(stored), before=chunk(b"eXIf", exif(orientation)))
        assert read_picture(data).pixels[..., 0].tolist() == expected


@pytest.mark.parametrize(
    "block", [b"", b"II", exif(0), exif(9), exif(6)[:9], b"XX" + exif(6)[2:], exif(65535), exif(6)[:18]]
)
def test_nonsense_exif_changes_nothing(block):
    assert exif_orientation(block) == 1
    picture = read_picture(jpeg_segment(saved(scene(), "JPEG"), 0xE1, b"Exif\0\0" + block))
    assert not picture.rotated


def test_exif_orientation_as_a_long_counts():
    assert exif_orientation(b"Exif\0\0" + exif(6, kind=4)) == 6


def test_colour_pictures_are_what_pillow_reads():
    data = saved(scene(), "JPEG", quality=95)
    assert np.array_equal(read_picture(data).pixels, np.asarray(Image.open(io.BytesIO(data))))
    dressed = jpeg_segment(jpeg_segment(data, 0xE2, b"ICC_PROFILE\0"), 0xED, b"Photoshop 3.0\0")
    assert np.array_equal(read_picture(dressed).pixels, read_picture(data).pixels)


# ---- size


@pytest.mark.parametrize(
    ("width", "height", "near"), [(640, 480, 32), (511, 300, 64), (128, 128, 64), (1000, 130, 16), (9, 9, 64)]
)
def test_shrunk_decoding_keeps_twice_the_wanted_side(width, height, near):
    data = saved(scene(height, width), "JPEG", quality=95)
    picture = read_picture(data, near=near)
    short = min(picture.pixels.shape[:2])
    factor = round(min(width, height) / short)
    assert picture.size == (width, height)
    assert short >= min(2 * near, width, height)
    assert factor in (1, 2, 4, 8) and (factor == 8 or min(width, height) // (factor * 2) < 2 * near)
    small = Image.open(io.BytesIO(data)).resize(picture.pixels.shape[1::-1], Image.Resampling.BOX)
    assert np.abs(picture.pixels.astype(int) - np.asarray(small)).mean() < 3


def test_a_large_jpeg_is_read_small_or_refused():
    data = saved(np.zeros((5100, 5000), np.uint8), "JPEG")
    assert read_picture(data, near=64).pixels.shape == (638, 625, 1)
    assert verdict(data) == TOO_LARGE
    assert verdict(data, near=2000) == TOO_LARGE
    assert verdict(data, near=64, limits=Limits(max_jpeg_pixels=10**7, max_pixels=10**6)).endswith(
        "than the 10,000,000 allowed: save it smaller"
    )


def test_the_byte_cap_holds_for_files_and_bytes(tmp_path):
    data = saved(scene(), "PNG")
    path = tmp_path / "a.png"
    path.write_bytes(data)
    tight = Limits(max_bytes=len(data) - 1)
    assert read_picture(path, limits=Limits(max_bytes=len(data))).pixels.shape == (31, 33, 3)
    assert verdict(data, limits=tight) == f"more than the {len(data) - 1:,} bytes allowed"
    assert verdict(path, limits=tight) == f"{len(data):,} bytes, more than the {len(data) - 1:,} allowed"


# ---- files that are none


def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(tmp_path / "socket.jpg"))
        reasons = {
            name: verdict(tmp_path / name)
            for name in ("pipe.jpg", "socket.jpg", "loop.jpg", "none.jpg", ".", "n\0l.jpg")
        }
    assert reasons == {
        "pipe.jpg": "a pipe, socket or device, not a file",
        "socket.jpg": "a pipe, socket or device, not a file",
        "loop.jpg": "a link to itself",
        "none.jpg": "no such file",
        ".": "a folder",
        "n\0l.jpg": "no such file",
    }
    assert verdict(Path("/dev/zero")) == "a pipe, socket or device, not a file"


def test_errors_name_the_file_in_one_safe_line(tmp_path):
    path = tmp_path / "evil\x1b[2J\nname\udcff.jpg"
    path.write_bytes(b"\xff\xd8\xff")
    with pytest.raises(
        PictureError, match=r"evil\\x1b\[2J\\nname\\udcff\.jpg is not a readable picture \(truncated JPEG\)"
    ):
        read_picture(path)
    with pytest.raises(
        PictureError,
        match=r"^x\.png is a PDF, not a picture this program reads \(JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF, PNM\);",
    ):
        read_picture(b"%PDF-1.7", name="x.png")
    with pytest.raises(DataError, match=r"^the picture is an empty file"):
        read_picture(b"")


def test_names_of_pictures():
    assert all(
        is_picture_name(name)
        for name in ("a.JPG", "b.jpeg", "c.webp", "d.PNG", "e.gif", "f.bmp", "g.tif", "h.avif", "i.pgm", "j.HEIC")
    )
    assert not any(is_picture_name(name) for name in ("a.psd", "b.txt", "jpg", ".jpg", "c.npy", "d.svg"))


def test_many_threads_read_the_same_pixels():
    names = [name for name, (_, verdict) in CORPUS.items() if isinstance(verdict, tuple)]
    expected = {name: read_picture(CORPUS[name][0]).pixels.tobytes() for name in names}
    wrong: list[str] = []

    def work() -> None:
        wrong.extend(name for name in names if read_picture(CORPUS[name][0]).pixels.tobytes() != expected[name])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# ---- arrays


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_channels_by_slow_arithmetic(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (3, 4, 4)).astype(np.uint8)
    over = to_channels(pixels, 3)
    gray = to_channels(pixels, 1)
    for row in range(3):
        for column in range(4):
            *colour, alpha = (int(value) for value in pixels[row, column])
            exact = [(value * alpha + 255 * (255 - alpha)) / 255 for value in colour]
            assert np.abs(over[row, column] - exact).max() <= 0.5
            luma = 0.299 * over[row, column, 0] + 0.587 * over[row, column, 1] + 0.114 * over[row, column, 2]
            assert abs(gray[row, column, 0] - luma) <= 1
    assert np.array_equal(to_channels(gray, 3), np.repeat(gray, 3, -1))
    assert np.array_equal(to_channels(gray, 4)[..., 3], np.full((3, 4), 255))
    assert np.array_equal(to_channels(over, 4)[..., :3], over)
    assert to_channels(over, 3) is over


def test_the_most_compressible_jpegs_are_not_taken_for_bombs():
    blank = np.zeros((2000, 3000), np.uint8)
    for options in ({"optimize": True}, {"progressive": True}, {"quality": 1, "optimize": True}):
        assert verdict(saved(blank, "JPEG", **options)) == (2000, 3000, 1)


# ---- JPEGs without their end marker


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"progressive": True},
        {"optimize": True, "subsampling": 2},
        {"restart_marker_rows": 1},
        {"restart_marker_blocks": 2},
        {"progressive": True, "restart_marker_rows": 1},
    ],
)
def test_a_jpeg_is_read_without_its_end_marker_and_refused_with_a_byte_less(options):
    """Cut at every byte of its last part and every restart marker: read is what has the pixels of the whole file."""
    noise = np.random.default_rng(0).integers(0, 256, (5, 6, 3)).astype(np.uint8)
    data = saved(Image.fromarray(noise).resize((40, 33)), "JPEG", **options)
    whole, scan = read_picture(data).pixels, data.index(b"\xff\xda")
    restarts = [place for place in range(scan, len(data)) if data[place] == 0xFF and 0xD0 <= data[place + 1] <= 0xD7]
    cuts = {
        *range(len(data) - 40, len(data)),
        *restarts,
        *(place + 2 for place in restarts),
        *range(scan, len(data), 17),
    }
    read = []
    for cut in sorted(cuts):
        try:
            picture = read_picture(data[:cut], near=8 if cut % 2 else None)
        except PictureError as error:
            assert error.reason == "truncated JPEG"
            continue
        read.append(cut)
        assert picture.notes == ("a JPEG without its end marker, whose pixels are all there",)
        assert np.array_equal(read_picture(data[:cut]).pixels, whole)
    assert read == [len(data) - 2, len(data) - 1]


def test_a_progressive_jpeg_that_lacks_whole_scans_is_refused():
    data = saved(scene(), "JPEG", progressive=True)
    scans = [place for place in range(len(data)) if data[place : place + 2] in (b"\xff\xda", b"\xff\xc4")]
    assert len(scans) > 10
    for place in scans:
        assert verdict(data[:place]) == "truncated JPEG"
    assert verdict(data[:-2]) == (31, 33, 3)


# ---- large scans


def test_large_scans_are_allowed_by_the_environment_and_only_there(monkeypatch):
    data = png(5_000, 5_100, 1, 0, bytes(626) * 5_100)
    assert verdict(data) == TOO_LARGE
    monkeypatch.setenv("NIN_MAX_PIXELS", "25500000")
    assert verdict(data) == (5_100, 5_000, 1)
    assert verdict(data, limits=Limits()) == "5,000 x 5,100 pixels, more than the 25,000,000 allowed: save it smaller"
    for bad in ("many", "0", "-1", "1e9", "99999999999", ""):
        monkeypatch.setenv("NIN_MAX_PIXELS", bad)
        with pytest.raises(
            UsageError, match=r"^NIN_MAX_PIXELS is '.*'; expected a number of pixels from 1 to 1,000,000,000$"
        ):
            read_picture(data)


def test_a_large_picture_is_looked_at_small_and_keeps_its_colours(tmp_path):
    large = np.repeat(np.repeat(scene(21, 26, 3), 100, 0), 100, 1)  # 2,100 x 2,600
    (tmp_path / "large.png").write_bytes(saved(large, "PNG"))
    (small,) = sample(Split(np.zeros(1, np.int64), Files((tmp_path / "large.png",))), near=192)
    assert small.shape == (420, 520, 3)
    assert np.array_equal(small, np.repeat(np.repeat(scene(21, 26, 3), 20, 0), 20, 1))
