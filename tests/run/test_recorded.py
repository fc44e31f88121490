"""The data set of a finished run found again: divided as the run divided it, or nothing."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from nin_program import save_picture

from nin.data.formats.digits import open_digits
from nin.data.sources import open_source
from nin.errors import DataError
from nin.run.recorded import demo_folder, recorded_source


@pytest.fixture
def run(tmp_path):
    """A model in a run folder, as far as this looks at it, and the pictures that it names."""
    for label in "ab":
        for number in range(8):
            save_picture(tmp_path / "photos" / label / f"{number}.png", number)
    folder = tmp_path / "runs" / "photos" / "model"
    folder.mkdir(parents=True)
    text = (
        f"nin: 0.1.0\ndata: {tmp_path}/photos\noptions: {{seed: 3, holdout: 0.25, divide: null, follow_links: false}}\n"
    )
    (folder.parent / "args.yaml").write_text(text)
    return SimpleNamespace(folder=folder, arguments=folder.parent / "args.yaml", photos=tmp_path / "photos")


def test_it_is_divided_as_the_run_divided_it(run):
    found = recorded_source(run)
    assert found.fingerprint == open_source(run.photos, seed=3, holdout=0.25).fingerprint
    assert found.fingerprint != open_source(run.photos, seed=0, holdout=0.25).fingerprint
    assert len(found.splits["validation"]) == 4


def test_a_data_set_that_is_named_goes_before(run, tmp_path):
    shutil.move(run.photos, tmp_path / "elsewhere")
    assert recorded_source(run) is None
    assert recorded_source(run, tmp_path / "elsewhere").path == tmp_path / "elsewhere"


def test_without_a_run_there_is_nothing(run):
    run.arguments.write_text(f"task: classify\ndata: {run.photos}\n")  # another program's args.yaml
    assert recorded_source(run) is None
    run.arguments.write_text("- 1\n")
    assert recorded_source(run) is None
    run.arguments.unlink()
    assert recorded_source(run) is None and demo_folder(run) is None


@pytest.mark.parametrize("text", [b"nin: [", b"\xff\xfe", b"nin: !!python/object/apply:os.system ['x']"])
def test_a_damaged_record_is_said(text, run):
    run.arguments.write_bytes(text)
    with pytest.raises(DataError, match=r"args.yaml is damaged; restore it from a copy, or move it away$"):
        recorded_source(run)


def test_the_demo_is_known_by_its_digits(run):
    pytest.importorskip("sklearn")
    run.arguments.write_text("nin: 0.1.0\ndata: null\noptions: {seed: 1}\n")
    assert demo_folder(run) is None
    (run.folder.parent / "pictures").mkdir()
    assert demo_folder(run) == run.folder.parent / "pictures"
    found = recorded_source(run)
    expected = open_digits(1)
    assert found.kind == "digits" and found.fingerprint == expected.fingerprint != open_digits(0).fingerprint
    for name, split in expected.splits.items():
        np.testing.assert_array_equal(found.splits[name].labels, split.labels)
    images = found.splits["test"].images
    assert images.dtype == np.uint8 and images.shape[1:] == (8, 8, 1)
