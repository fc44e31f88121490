"""The pictures of a page: which are taken, how they are kept, that nothing beside their pixels comes along."""

import io
import json
import shutil
from collections import Counter

import numpy as np
import pytest
from nin_program import save_picture
from PIL import Image

import nin
from nin.bundle.folder import open_bundle
from nin.bundle.shipped import shipped
from nin.data.images import read_picture
from nin.errors import UsageError
from nin.explorer.pictures import LONGEST, MOST, OWN, by_turns, folder_pictures, package_pictures, run_pictures

MOST_BYTES = 150_000  # of all pictures in the package


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def test_rows_are_taken_in_turns():
    assert by_turns("aaabbc", 4) == [0, 3, 5, 1]
    assert by_turns("aaabbc", 99) == [0, 3, 5, 1, 4, 2]
    assert by_turns([None, None], 1) == [0] and by_turns([], 3) == []


def test_of_many_pictures_some_of_every_folder_are_taken(tmp_path):
    for name, count in (("cat", 40), ("dog", 2), ("새", 30)):
        for number in range(count):
            save_picture(tmp_path / "all" / name / "inner" / f"{number}.png", 100 * count + number)
    (tmp_path / "all" / ".hidden").mkdir()
    save_picture(tmp_path / "all" / ".hidden" / "0.png", 0)
    selected = folder_pictures(tmp_path / "all")
    assert Counter(picture.label for picture in selected.pictures) == {"cat": 11, "dog": 2, "새": 11}
    assert selected.notes == (f"{MOST} of the 72 pictures in {tmp_path / 'all'} are taken",)
    assert len({picture.data for picture in selected.pictures}) == MOST
    save_picture(tmp_path / "flat" / "0.png", 0)
    alone = folder_pictures(tmp_path / "flat")
    assert ([picture.label for picture in alone.pictures], alone.notes) == ([None], ())
    with pytest.raises(UsageError, match="is no folder; expected one of pictures, or of class folders"):
        folder_pictures(tmp_path / "flat" / "0.png")


def test_small_pictures_keep_every_pixel(tmp_path):
    kept = {}
    for mode, channels in (("L", 1), ("RGB", 3), ("RGBA", 4)):
        pixels = np.random.default_rng(channels).integers(0, 256, (64, 48, channels), np.uint8)
        (tmp_path / "few").mkdir(exist_ok=True)
        Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(tmp_path / "few" / f"{mode}.png")
        kept[mode] = pixels
    found = [opened(picture.data) for picture in folder_pictures(tmp_path / "few").pictures]
    assert [image.mode for image in found] == ["L", "RGB", "RGBA"]
    for image in found:
        assert np.array_equal(np.asarray(image).reshape(kept[image.mode].shape), kept[image.mode])


def test_a_photo_is_made_small_upright_and_says_nothing_but_its_pixels(tmp_path):
    (tmp_path / "holiday").mkdir()
    ramp = np.linspace(0, 255, 1200).astype(np.uint8)
    photo = Image.fromarray(np.broadcast_to(ramp[None, :, None], (800, 1200, 3)).copy())
    exif = photo.getexif()
    exif[0x0112] = 6  # to be turned to the right
    exif[0x010F] = "Secret Camera"
    exif.get_ifd(0x8825)[2] = (37.0, 33.0, 59.0)
    photo.save(tmp_path / "holiday" / "at home.jpg", exif=exif, comment=b"Secret comment", quality=95)
    (picture,) = folder_pictures(tmp_path / "holiday").pictures
    image = opened(picture.data)
    assert (picture.kind, image.format) == ("jpg", "JPEG") and max(image.size) == LONGEST
    assert image.size == (171, 256)
    columns = np.asarray(image.convert("L"), float)
    assert columns[5].mean() < 20 < 235 < columns[-5].mean()  # left has become top
    assert b"Secret" not in picture.data and b"Exif" not in picture.data and not image.getexif()


def test_transparency_and_deep_grey_are_kept_as_a_page_can(tmp_path):
    (tmp_path / "odd").mkdir()
    clear = np.zeros((300, 500, 4), np.uint8)
    clear[:, 250:] = (200, 10, 10, 255)
    Image.fromarray(clear).save(tmp_path / "odd" / "clear.png")
    deep = np.linspace(0, 65535, 60 * 60).astype(np.uint16).reshape(60, 60)
    Image.fromarray(deep).save(tmp_path / "odd" / "deep.png")
    first, second = (opened(picture.data) for picture in folder_pictures(tmp_path / "odd").pictures)
    pixels = np.asarray(first)
    assert first.mode == "RGBA" and max(first.size) == LONGEST
    assert pixels[0, 0, 3] == 0 and tuple(pixels[0, -1]) == (200, 10, 10, 255)
    assert second.mode == "L" and abs(np.asarray(second, float) - deep / 257).max() <= 1


@pytest.mark.parametrize("name", [name for name in shipped() if (OWN / name).is_dir()])
def test_the_pictures_of_the_package_are_right_small_and_credited(name):
    bundle = open_bundle(name)
    selected = package_pictures(bundle)
    told = json.loads((OWN / name / "credits.json").read_text(encoding="utf-8"))
    assert len(selected.pictures) == len(told["pictures"]) >= 1
    files = {path.name for path in (OWN / name).iterdir()}
    assert files == {"credits.json", *(each["file"] for each in told["pictures"])}
    assert told["credit"].startswith(told["credit"].strip()) and len(told["credit"]) > 20 and told["licence"]
    found = list(nin.predict(name, [picture.data for picture in selected.pictures]))
    assert [answer.label for answer in found] == [picture.label for picture in selected.pictures]
    assert not any(answer.unknown for answer in found)
    for picture, each in zip(selected.pictures, told["pictures"], strict=True):
        assert picture.kind == each["file"].rpartition(".")[2] and picture.credit == told["credit"]
        assert max(read_picture(picture.data).pixels.shape[:2]) <= 96


def test_they_are_few_bytes_and_no_model_but_the_package_s_gets_them(tmp_path):
    assert sum(path.stat().st_size for path in OWN.rglob("*") if path.is_file()) < MOST_BYTES
    assert {path.name for path in OWN.iterdir()} <= set(shipped())
    copy = tmp_path / "nin-mnist"
    shutil.copytree(open_bundle("nin-mnist").folder, copy)
    assert package_pictures(open_bundle(copy)).pictures == () and package_pictures(open_bundle("nin-mnist")).pictures


def test_the_demo_s_own_pictures_are_those_of_its_folder(tmp_path, small):
    run = tmp_path / "demo"
    shutil.copytree(small, run / "model")
    (run / "args.yaml").write_text("nin: 0.1.0\ndata: null\n")
    for digit in range(3):
        save_picture(run / "pictures" / f"{digit}.png", digit)
    selected = run_pictures(open_bundle(run))
    assert [picture.label for picture in selected.pictures] == ["0", "1", "2"]
    shutil.rmtree(run / "pictures")
    assert len(run_pictures(open_bundle(run)).pictures) in (0, MOST)  # the digits of scikit-learn, where it is


def test_a_model_alone_has_no_pictures(small):
    assert run_pictures(open_bundle(small)).pictures == () == run_pictures(open_bundle("nin-mnist")).pictures
