"""The runtime of a server's models: chosen when it starts, kept when a model is replaced, left where it fails."""

import logging

import pytest

from nin.data import machine
from nin.engine import fastest
from nin.errors import ModelError
from nin.network.architecture import nin
from nin.run.options import ServeOptions
from nin.server import serve
from planted_openvino import plant
from small_models import make_bundle, preprocess


@pytest.fixture
def trials(monkeypatch, tmp_path):
    """Every trial finds the planted OpenVINO twice as fast; the threads and pictures of each are listed."""
    monkeypatch.setattr(machine.platformdirs, "user_cache_dir", lambda name: str(tmp_path / "cache" / name))
    begun = []

    def tried(packed, other, threads, batch):
        begun.append((threads, batch))
        return {"times": 2.0}, True

    monkeypatch.setattr(fastest, "_trial", tried)
    return begun


def make(folder, temperature: float) -> None:
    make_bundle(folder, nin(3, width=0.1), preprocess((16, 16)), temperature)


def test_a_model_that_takes_over_keeps_the_runtime_and_nobody_waits_for_a_trial(tmp_path, monkeypatch, trials, caplog):
    plant(tmp_path / "planted", monkeypatch, "fast")
    make(tmp_path / "tabby", 1.3)
    (one,) = serve._open([f"cats={tmp_path / 'tabby'}"], ServeOptions(threads=1, max_batch=7))
    assert (one.engine.runtime, one.metadata["platform"], trials) == ("openvino", "nin_openvino", [(1, 7)])
    assert serve._described(one) == [
        "cats: 3 classes, OpenVINO 9.0, float32, 1 thread",
        "cats: runtime openvino (2.0 times onnxruntime here, measured)",
    ]
    make(tmp_path / "tabby", 1.4)
    engine, metadata = one._open_aside()
    assert engine.digest != one.engine.digest and (engine.runtime, metadata["platform"]) == ("openvino", "nin_openvino")
    caplog.set_level(logging.INFO, "nin.serve")
    for kind, said in (
        ("other answers", "cats: runtime onnxruntime (openvino gives other probabilities here, off by 3.0e-05, "),
        ("refuses", "cats: runtime onnxruntime (openvino fails here (tabby is no network that can be run (no plugin "),
        ("cannot be imported", "cats: runtime onnxruntime (openvino fails here (libtbb.so.12: "),
    ):
        plant(tmp_path / "planted", monkeypatch, kind)
        engine, metadata = one._open_aside()
        assert (engine.runtime, metadata["platform"]) == ("onnxruntime", "nin_onnxruntime")
        assert [line[: len(said)] for line in caplog.messages] == [said]
        caplog.clear()
    assert len(trials) == 1


def test_what_was_asked_for_by_name_is_not_left(tmp_path, monkeypatch, trials):
    plant(tmp_path / "planted", monkeypatch, "alike")
    make(tmp_path / "tabby", 1.3)
    for runtime in ("onnxruntime", "openvino"):
        (one,) = serve._open([str(tmp_path / "tabby")], ServeOptions(threads=1, runtime=runtime))
        assert one.engine.runtime == one._open_aside()[0].runtime == runtime and len(serve._described(one)) == 1
    plant(tmp_path / "planted", monkeypatch, "refuses")
    with pytest.raises(ModelError, match="no plugin takes this"):
        one._open_aside()
    assert trials == []
