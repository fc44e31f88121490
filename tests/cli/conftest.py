"""Every test's own folder with the program in it, and copies of the tiny pictures and the tiny model."""

import shutil
from pathlib import Path

import pytest
from nin_program import Program, save_picture, write_model


@pytest.fixture
def nin(tmp_path) -> Program:
    folder = tmp_path / "user"
    folder.mkdir()
    return Program(folder)


@pytest.fixture(scope="session")
def originals(tmp_path_factory) -> Path:
    """`photos`: two classes of ten pictures of 16x16; `model`: see ODDS; copied into a test's own folder by name."""
    root = tmp_path_factory.mktemp("originals")
    for number, name in enumerate(("고양이", "dog")):
        for index in range(10):
            save_picture(root / "photos" / name / f"{index}.png", 100 * number + index)
    write_model(root / "model")
    return root


@pytest.fixture
def photos(nin, originals) -> Path:
    return Path(shutil.copytree(originals / "photos", nin.folder / "photos"))


@pytest.fixture
def model(nin, originals) -> Path:
    return Path(shutil.copytree(originals / "model", nin.folder / "model"))
