"""ONNX Runtime and OpenVINO give the same answers, and neither tells anybody anything."""

import importlib.util
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from nin.engine import runtimes
from nin.engine.engine import Engine, engine_from_bytes, facts_of_bundle, open_engine, pack_engine
from nin.engine.exporter import ranges_of
from nin.engine.graph import core
from nin.engine.quantise import quantised
from nin.engine.runtimes import RUNTIMES, open_session
from nin.errors import MissingExtra, ModelError, UsageError
from nin.run.options import BatchOptions, ServeOptions
from small_models import cuts


@pytest.fixture(scope="module")
def images(default_bundle) -> np.ndarray:
    return np.stack([default_bundle.preprocess.resize(cut) for cut in cuts(70)])


def test_they_agree_on_one_picture_on_many_and_from_many_threads(default_bundle, images):
    ours = open_engine(default_bundle.folder).run(images)
    engine = open_engine(default_bundle.folder, threads=2, runtime="openvino")
    together = engine.run(images)
    for name, close in (("probabilities", 1e-5), ("logits", 2e-5), ("maps", 1e-4)):  # maps are of size 10 here
        np.testing.assert_allclose(getattr(together, name), getattr(ours, name), atol=close)
    with ThreadPoolExecutor(8) as pool:
        single = list(pool.map(lambda image: engine.run(image[None]).logits[0], images))
    np.testing.assert_allclose(np.stack(single), ours.logits, atol=2e-5)
    assert engine.in_words().startswith("OpenVINO 20") and engine.in_words().endswith(", float32, 2 threads")


def test_they_agree_in_eight_bits(default_bundle, images):
    ranges = ranges_of(core(default_bundle), images).extremes
    graph, facts = quantised(core(default_bundle), ranges), facts_of_bundle(default_bundle, "int8")
    found = [Engine(facts, graph, runtime=runtime).run(images).probabilities for runtime in RUNTIMES]
    exact = open_engine(default_bundle.folder).run(images).probabilities
    assert 0 < np.abs(found[0] - found[1]).max() < np.abs(found[0] - exact).max()


def test_a_packed_model_is_the_same_model(default_bundle, images):
    engine = engine_from_bytes(pack_engine(default_bundle.folder), runtime="openvino")
    assert engine.digest == open_engine(default_bundle.folder).digest
    np.testing.assert_allclose(
        engine.run(images[:3]).logits, open_engine(default_bundle.folder).run(images[:3]).logits, atol=1e-5
    )


def test_what_cannot_be_run_is_refused_in_one_line(default_bundle, monkeypatch):
    for runtime in RUNTIMES:
        for data in (b"", b"no graph", b"\x08\x07" * 50):
            with pytest.raises(ModelError, match=r"^cats is no network that can be run \(.*\); get it again$"):
                open_session(runtime, data, 1, "cats")
    with pytest.raises(UsageError, match='--runtime is "tensorrt"; expected auto, onnxruntime or openvino'):
        open_engine(default_bundle.folder, runtime="tensorrt")
    monkeypatch.delitem(sys.modules, "openvino")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r'pip install "network-in-network\[openvino\]"'):
        open_engine(default_bundle.folder, runtime="openvino")


def test_every_option_offers_both_and_the_choice():
    for options in (ServeOptions, BatchOptions):
        assert options.__dataclass_fields__["runtime"].type.__args__ == ("auto", *RUNTIMES)
        assert options().runtime == "auto"
    assert RUNTIMES[0] == runtimes.REFERENCE == runtimes.OnnxRuntime.__name__.lower()


LISTENS = """
import sys
asked = []
sys.addaudithook(lambda event, _: asked.append(event) if event in ("socket.connect", "socket.getaddrinfo") else None)
import numpy, os
before = set(os.listdir(os.path.expanduser("~")))
from nin import open_engine
engine = open_engine(sys.argv[1], runtime="openvino")
engine.run(numpy.zeros((1, *engine.preprocess.size, engine.preprocess.channels), numpy.uint8))
import time; time.sleep(1)
assert not asked, asked
assert sys.modules["openvino_telemetry"] is None
assert set(os.listdir(os.path.expanduser("~"))) == before
"""


def test_openvino_connects_to_nobody_and_leaves_nothing_at_home(default_bundle, tmp_path):
    words = [sys.executable, "-c", LISTENS, str(default_bundle.folder)]
    done = subprocess.run(words, capture_output=True, text=True, env={"HOME": str(tmp_path), "PATH": "/usr/bin"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
