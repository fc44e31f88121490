"""A small model, pictures, a page of a few lines in the place of the built one, and the real program."""

import shutil
from pathlib import Path

import pytest
from nin_program import Program, save_picture, write_model

from nin.explorer import built_page

PLAIN = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>nin</title>
</head>
<body>
<p>두 가지</p>
<script>const inner = "</body>";</script>
</body>
</html>
"""


@pytest.fixture
def page(tmp_path, monkeypatch) -> str:
    """What stands for the built page: with an end of a body in a script, as real ones may have."""
    path = tmp_path / "built" / "page.html"
    path.parent.mkdir()
    path.write_text(PLAIN, encoding="utf-8")
    monkeypatch.setattr(built_page, "PAGE", path)
    return PLAIN


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> Path:
    """A model folder of 고양이 and dog: see nin_program.ODDS."""
    folder = tmp_path_factory.mktemp("small") / "small"
    write_model(folder)
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A user's own folder, in which the test is."""
    folder = tmp_path / "user"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def program(here, small) -> Program:
    """The real program in a folder with a model and pictures of both classes."""
    shutil.copytree(small, here / "model")
    for number in range(3):
        save_picture(here / "photos" / "dog" / f"{number}.png", number)
        save_picture(here / "photos" / "고양이" / f"{number}.png", 10 + number)
    return Program(here)
