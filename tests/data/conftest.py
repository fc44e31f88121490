"""Small data sets for the tests of this room; makes tests/reference.py importable."""

import os
from pathlib import Path

import pytest
from picture_corpus import tiny

PHOTOS = Path(os.environ.get("NIN_TEST_DATA") or Path(__file__).parents[2] / ".." / "shared" / "data") / "photos"


@pytest.fixture
def fill(tmp_path):
    """fill("train/cat", 3) puts three different pictures into that folder below tmp_path; returns tmp_path."""
    count = 0

    def make(folder: str, number: int, root: Path = tmp_path) -> Path:
        nonlocal count
        (root / folder).mkdir(parents=True, exist_ok=True)
        for index in range(number):
            count += 1
            (root / folder / f"{index}.png").write_bytes(tiny(count))
        return root

    return make


@pytest.fixture
def photos() -> Path:
    if not PHOTOS.is_dir():
        pytest.skip(f"real photos are not here ({PHOTOS}); set NIN_TEST_DATA")
    return PHOTOS
