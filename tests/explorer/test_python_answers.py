"""check.json: the pictures are those it says, and the answers are those of torch."""

import base64
import hashlib
import io

import numpy as np
import pytest
from PIL import Image

import nin
from nin.bundle.folder import open_bundle
from nin.explorer.python_answers import generated_pictures, python_answers
from nin.network.architecture import nin as network
from small_models import make_bundle, preprocess


def as_file(picture: dict) -> bytes:
    """A picture of check.json as a PNG file."""
    shape = picture["height"], picture["width"], picture["channels"]
    pixels = np.frombuffer(base64.b64decode(picture["pixels"]), np.uint8).reshape(shape)
    held = io.BytesIO()
    Image.fromarray(pixels[..., 0] if shape[2] == 1 else pixels).save(held, "PNG")
    return held.getvalue()


def expect_torch_s(folder) -> None:
    """The answers are what torch gives for the pictures as files."""
    model = nin.load(folder, "cpu")
    for picture in python_answers(open_bundle(folder))["pictures"]:
        seen = model.see(as_file(picture))
        assert np.allclose(picture["logits"], seen.logits, atol=2e-5, rtol=1e-5)
        assert np.allclose(picture["probabilities"], seen.probabilities, atol=1e-5)


@pytest.mark.parametrize("name", nin.shipped())
def test_the_answers_for_the_package_s_models_are_torch_s(name):
    expect_torch_s(name)
    bundle = open_bundle(name)
    distances = [picture["distance"] for picture in python_answers(bundle)["pictures"]]
    assert (None in distances) == (bundle.likeness is None)


@pytest.mark.parametrize(
    ("channels", "normalisation", "fit"),
    [(3, "gcn-zca", "pad"), (1, "lcn", "crop"), (4, "standard", "pad"), (3, "gcn", "stretch")],
)
def test_every_preprocessing_is_gone_through(channels, normalisation, fit, tmp_path):
    prepared = preprocess((18, 12), channels, normalisation, fit)
    make_bundle(tmp_path / "small", network(3, in_channels=channels, width=0.1), prepared)
    expect_torch_s(tmp_path / "small")


@pytest.mark.parametrize("size", [(28, 28), (8, 8), (96, 96), (224, 160)])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_pictures_are_of_three_sizes_and_kinds_and_small(size, channels):
    pictures = generated_pictures(size, channels)
    assert [picture.shape[2] for picture in pictures] == [channels, 3, 4]
    assert len({picture.shape[:2] for picture in pictures}) == 3
    for picture in pictures:
        assert picture.dtype == np.uint8 and max(picture.shape[:2]) <= 144 and picture.std() > 20
    assert pictures[2][..., 3].min() < 100 < pictures[2][..., 3].max()  # its transparency is used


def test_they_are_the_same_everywhere_and_every_time():
    digest = hashlib.sha256(b"".join(picture.tobytes() for picture in generated_pictures((28, 28), 1))).hexdigest()
    by_hand = hashlib.sha256()
    for kind, (height, width) in enumerate(((28, 28), (42, 56), (14, 9))):
        planes = (("r3",), ("r5", "s7", "s11"), ("s9", "r2", "r4", "s23"))[kind]
        for y in range(height):
            for x in range(width):
                by_hand.update(bytes(value(plane[0], int(plane[1:]), y, x, height, width) for plane in planes))
    assert digest == by_hand.hexdigest()
    bundle = open_bundle("nin-mnist")
    assert python_answers(bundle) == python_answers(bundle)


def value(kind: str, number: int, y: int, x: int, height: int, width: int) -> int:
    """One pixel in Python's own whole numbers: a ring or a stripe."""
    if kind == "s":
        return (y * number + x * (number // 2 + 1)) % 256
    row, column = height * number // 11 % height, width * number // 7 % width
    return ((y - row) ** 2 + (x - column) ** 2) * 64 * number // (height * width) % 256
