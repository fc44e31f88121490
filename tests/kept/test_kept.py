"""What every version has kept is loaded by this one and answers alike: see keep.py."""

import json
from pathlib import Path

import numpy as np
import pytest

import nin
from kept.keep import KEPT, pictures, unseen
from nin.sealed import read_tensors
from nin.training.slots import SLOTS

VERSIONS = sorted(path.name for path in KEPT.iterdir() if (path / "answers.json").is_file())
ALIKE = 1e-4  # of probabilities and logits: other processors and runtimes round otherwise
TRAINED_ALIKE = 1e-2  # of weights that one epoch more has moved


def test_something_is_kept_and_it_is_small():
    assert VERSIONS[0] == "0.1.0"
    for version in VERSIONS:
        assert sum(path.stat().st_size for path in (KEPT / version).rglob("*")) < 200_000


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("what", ["model", "model.onnx"])
def test_a_kept_model_and_its_file_answer_as_they_did(what, version):
    expected = json.loads((KEPT / version / "answers.json").read_text(encoding="utf-8"))
    found = nin.open_engine(KEPT / version / what, threads=1).run(list(unseen()))
    for name, values in expected.items():
        np.testing.assert_allclose(getattr(found, name), values, rtol=0, atol=ALIKE)
    assert np.ptp(expected["probabilities"], axis=0).max() > 0.01  # they say something


@pytest.mark.parametrize("version", VERSIONS)
def test_a_kept_checkpoint_goes_on(version, tmp_path):
    """To the weights that the version itself reached, on whatever machine this is."""
    data = pictures(tmp_path / "photos")
    run = tmp_path / "run"
    run.mkdir()
    (run / SLOTS[0]).write_bytes((KEPT / version / "checkpoint.safetensors").read_bytes())
    done = nin.resume(run, data=data, progress=False)
    expected, _ = read_tensors(KEPT / version / "model" / "model.safetensors")
    found, _ = read_tensors(Path(done.folder) / "model" / "model.safetensors")
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name].shape == values.shape, name
        np.testing.assert_allclose(found[name], values, rtol=0, atol=TRAINED_ALIKE, err_msg=name)
