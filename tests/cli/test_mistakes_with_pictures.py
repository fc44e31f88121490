"""What is no picture, or is not there: the whole output of the real program, and nothing left behind."""

import pytest

KINDS = "JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF, PNM"
NAME_SOME = "name files, folders, a glob in quotes, or - for standard input"


@pytest.fixture
def places(nin, model, photos):
    (nin.folder / "empty").mkdir()
    (nin.folder / "notes.txt").write_text("no picture")
    return nin


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (
            "predict model notes.txt",
            1,
            f"notes.txt cannot be read: a text file, not a picture this program reads ({KINDS})",
        ),
        ("predict model nothere.png", 2, f"nothere.png does not exist; {NAME_SOME}"),
        ("predict model photos/*.gif", 2, f"photos/*.gif does not exist; {NAME_SOME}"),
        ("predict model empty", 2, f"empty holds no pictures ({KINDS})"),
        (
            "predict model -",
            1,
            "standard input cannot be read: an empty file (0 bytes)",
        ),
        ("explain model nothere.png", 2, f"nothere.png does not exist; {NAME_SOME}"),
    ],
)
def test_a_mistake_with_pictures(words, code, reason, places):
    before = places.left()
    outcome = places(*words.split(), stdin=b"")
    hint = [f"try: nin {words.split()[0]} --help"] if code == 2 else []
    assert outcome.err.splitlines() == [f"nin: {reason}", *hint]
    assert (outcome.code, outcome.out) == (code, "")
    assert places.left() == before


def test_explain_leaves_nothing_for_what_is_no_picture(places):
    before = places.left()
    outcome = places("explain", "model", "notes.txt")
    (line,) = outcome.err.splitlines()
    assert line.startswith("nin: notes.txt is a text file, not a picture this program reads")
    assert (outcome.code, outcome.out) == (1, "")
    assert places.left() == before
