"""`--runtime auto`: what is faster is taken, never what answers otherwise; found once, remembered, and not believed.

OpenVINO's place is taken by packages whose speed or fault is known (planted_openvino.py), in real processes.
"""

import re
import sys

import numpy as np
import pytest

import nin
from nin.data import machine, remembered
from nin.engine import fastest, runtimes, trial
from nin.engine.engine import Answers, open_engine
from nin.engine.fastest import Choice
from nin.errors import UsageError
from nin.network.architecture import nin as network
from planted_openvino import plant
from small_models import cuts, make_bundle, preprocess

FAULTS = {
    "other answers": r"gives other probabilities here, off by 3.0e-05, allowed 1e-05",
    "not finite": r"fails here \(small gives numbers that are not finite; .*\)",
    "refuses": r"fails here \(small is no network that can be run \(no plugin takes this\); get it again\)",
    "cannot be imported": r"fails here \(libtbb.so.12: cannot open shared object file\)",
    "exits": r"fails here \(no licence\)",
    "leaves": r"ends its process here \(exit code 7\)",
    "SIGSEGV": r"ends its process here \(SIGSEGV\)",
    "SIGKILL": r"ends its process here \(SIGKILL\)",
    "hangs": r"did not end within 5 s here",
}


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """A cache folder of the test's own."""
    monkeypatch.setattr(machine.platformdirs, "user_cache_dir", lambda name: str(tmp_path / "cache" / name))
    return tmp_path / "cache" / "nin"


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """planted(kind): another OpenVINO from now on."""
    return lambda kind, version="9.0": plant(tmp_path / f"planted-{version}", monkeypatch, kind, version)


@pytest.fixture
def trials(monkeypatch):
    """A number for each trial: how many times as fast the other runtime is told to be; a list of those that began."""
    begun = []

    def tried(packed, other, threads, batch):
        begun.append((threads, batch))
        return {"times": 2.0}, True

    monkeypatch.setattr(fastest, "_trial", tried)
    return begun


def opened(bundle, **more):
    return open_engine(bundle.folder, runtime="auto", **{"threads": 1, "batch": 8, **more})


@pytest.mark.parametrize(("kind", "taken"), [("fast", "openvino"), ("alike", "onnxruntime"), ("slow", "onnxruntime")])
def test_what_is_clearly_faster_is_taken(kind, taken, planted, default_bundle):
    planted(kind)
    engine = opened(default_bundle)
    assert engine.runtime == engine.choice.runtime == taken
    low, high = {"fast": (2, 1e4), "alike": (0.8, fastest.WORTH), "slow": (0.3, 0.8)}[kind]
    assert low < engine.choice.times < high
    words = {"fast": r"openvino (", "alike": "onnxruntime (openvino ", "slow": "onnxruntime (openvino 0."}[kind]
    assert engine.choice.in_words().startswith(words) and " here, measured" in engine.choice.in_words()
    images = np.stack([default_bundle.preprocess.resize(cut) for cut in cuts(5)])
    expected = open_engine(default_bundle.folder, threads=1).run(images).logits
    np.testing.assert_allclose(engine.run(images).logits, expected, atol=1e-5)


@pytest.mark.parametrize("kind", FAULTS)
def test_what_fails_or_answers_otherwise_is_not_taken(kind, planted, default_bundle, monkeypatch, cache):
    monkeypatch.setattr(fastest, "LIMIT", 5 if kind == "hangs" else 60)
    planted(kind)
    engine = opened(default_bundle)
    assert engine.runtime == "onnxruntime" and "openvino" not in sys.modules
    assert re.fullmatch(FAULTS[kind], engine.choice.fault), engine.choice.fault
    assert engine.choice.in_words() == f"onnxruntime (openvino {engine.choice.fault})"
    assert cache.exists() != (kind == "SIGKILL")  # whoever kills a process may not do so again
    assert list(engine.run(np.zeros((1, 24, 24, 3), np.uint8)).logits.shape) == [1, 4]


def test_distances_are_compared_too(planted, tmp_path):
    planted("other distances")
    bundle = make_bundle(tmp_path / "knows", network(3, width=0.1), preprocess((16, 16)), beyond=50.0)
    assert re.fullmatch(r"gives other distances here, off by .*, allowed 0.001", opened(bundle).choice.fault)


def test_eight_bits_may_round_otherwise_and_no_more(default_bundle):
    """By hand: answers so far apart are let pass or not, by the precision of the model."""

    class Told:
        def __init__(self, precision, off, far):
            self.precision, self.off, self.far, self.preprocess = precision, off, far, default_bundle.preprocess

        def run(self, images):
            n = len(images)
            chances = np.full((n, 4), 0.25, np.float32) + np.float32(self.off)
            return Answers(chances, chances, chances, np.full(n, 10 * (1 + self.far), np.float32))

    for precision, off, far, passes in (
        ("float32", 9e-6, 0, True), ("float32", 2e-5, 0, False), ("float32", 0, 2e-3, False),
        ("int8", 0.019, 0.019, True), ("int8", 0.021, 0, False), ("int8", 0, 0.021, False),
        ("int8", float("nan"), 0, False),
    ):  # fmt: skip
        fault = trial.fault_of(Told(precision, off, far), Told(precision, 0, 0))
        assert (fault == "") == passes, (precision, off, far, fault)


def test_where_nothing_else_is_installed_nothing_is_tried(default_bundle, monkeypatch, trials, cache):
    monkeypatch.setattr(fastest, "installed", lambda: ("onnxruntime",))
    engine = opened(default_bundle)
    assert (engine.runtime, engine.choice.in_words(), trials, cache.exists()) == ("onnxruntime", "", [], False)


def test_a_folder_of_that_name_is_no_runtime(monkeypatch, tmp_path):
    (tmp_path / "openvino").mkdir()
    monkeypatch.setitem(sys.modules, "openvino", None)
    del sys.modules["openvino"]
    monkeypatch.setattr(sys, "path", [str(tmp_path), *(p for p in sys.path if "site-packages" not in p)])
    assert "openvino" not in runtimes.installed()


def test_it_is_found_once_for_a_model_a_batch_threads_versions_and_a_processor(
    default_bundle, planted, trials, monkeypatch, tmp_path
):
    planted("fast")
    assert opened(default_bundle).choice.in_words() == "openvino (2.0 times onnxruntime here, measured)"
    for _ in range(2):
        assert opened(default_bundle).runtime == "openvino" and len(trials) == 1
    other = make_bundle(tmp_path / "other", network(3, width=0.1), preprocess((16, 16)))
    for number, (bundle, more) in enumerate(
        ((default_bundle, {"batch": 9}), (default_bundle, {"threads": 2}), (other, {})), 2
    ):
        for _ in range(2):
            opened(bundle, **more)
            assert len(trials) == number
    assert trials == [(1, 8), (1, 9), (2, 8), (1, 8)]
    monkeypatch.setattr(fastest, "cpu_name", lambda: "another processor that sees the same home folder")
    assert opened(default_bundle) and opened(default_bundle) and len(trials) == 5
    monkeypatch.setattr(fastest, "cpu_features", lambda: frozenset({"avx2"}))
    assert opened(default_bundle) and opened(default_bundle) and len(trials) == 6
    planted("fast", "9.1")
    assert runtimes.runtime_version("openvino") == "9.1"
    assert opened(default_bundle) and opened(default_bundle) and len(trials) == 7


def change(kept, **more) -> bytes:
    """A memory with other content, sealed as ours are."""
    return remembered.seal_json({**remembered.open_sealed_json(kept.read_bytes(), kept), **more})


@pytest.mark.parametrize(
    "left",
    [
        lambda kept: b"",
        lambda kept: b"[]",
        lambda kept: kept.read_bytes().replace(b"2.0", b"0.2"),
        lambda kept: b"x" * 20_000,
        lambda kept: change(kept, of=["another key whose name is the same"]),
        lambda kept: change(kept, found={"times": "2.0"}),
        lambda kept: change(kept, found={"times": 0.2, "fault": "both"}),
        lambda kept: change(kept, found={"times": -2.0}),
        lambda kept: change(kept, found=[2.0]),
        lambda kept: change(kept, found={"times": True}),
        None,
    ],
)
def test_what_is_not_a_memory_is_found_again_and_mended(left, default_bundle, planted, trials, cache):
    planted("fast")
    opened(default_bundle)
    (kept,) = cache.iterdir()
    kept.unlink() if left is None else kept.write_bytes(left(kept))
    for _ in range(2):
        assert opened(default_bundle).runtime == "openvino" and len(trials) == 2


def test_without_a_usable_cache_folder_it_is_found_each_time(default_bundle, planted, trials, monkeypatch, tmp_path):
    planted("fast")
    (tmp_path / "cache").write_text("a file where the folder should be")
    for number in (1, 2):
        assert opened(default_bundle).runtime == "openvino" and len(trials) == number
    monkeypatch.setattr(
        machine.platformdirs, "user_cache_dir", lambda name: f"/proc/{name}"
    )  # nothing can be made there
    assert opened(default_bundle).runtime == "openvino" and len(trials) == 3
    monkeypatch.setattr(machine.platformdirs, "user_cache_dir", lambda name: f"~/.cache/{name}")  # HOME of nobody
    monkeypatch.chdir(tmp_path)
    assert opened(default_bundle).runtime == "openvino" and len(trials) == 4 and not (tmp_path / "~").exists()


def test_a_runtime_that_was_right_and_cannot_be_opened_now_leaves_the_other(default_bundle, planted, trials):
    planted("fast")
    assert opened(default_bundle).runtime == "openvino"
    planted("cannot be imported")
    engine = opened(default_bundle)
    assert len(trials) == 1 and engine.runtime == "onnxruntime"
    said = "onnxruntime (openvino could not be opened (libtbb.so.12: cannot open shared object file))"
    assert engine.choice.in_words() == said


def test_a_program_that_is_no_python_is_not_started_again(default_bundle, planted, monkeypatch, cache):
    planted("fast")
    for program in ("/opt/app/app", "/usr/sbin/uwsgi", "", None):
        monkeypatch.setattr(sys, "executable", program)
        assert opened(default_bundle).choice.fault == "could not be tried, as no Python interpreter is known"
    monkeypatch.setattr(sys, "executable", "/nowhere/python3")
    assert opened(default_bundle).choice.fault.startswith("could not be tried ([Errno 2]")
    assert not cache.exists()


def test_a_choice_in_words():
    for choice, said in (
        (Choice("onnxruntime"), ""),
        (Choice("openvino", "openvino", 3.26), "openvino (3.3 times onnxruntime here, measured)"),
        (Choice("onnxruntime", "openvino", 0.914), "onnxruntime (openvino 0.91 times as fast here, measured)"),
        (
            Choice("onnxruntime", "openvino", 1.083),
            "onnxruntime (openvino 1.08 times as fast here, measured; below 1.25 onnxruntime stays)",
        ),
        (Choice("onnxruntime", "openvino", None, "is ill"), "onnxruntime (openvino is ill)"),
    ):
        assert choice.in_words() == said


def test_what_is_asked_for_by_name_is_taken_without_a_trial(default_bundle, planted, trials):
    planted("slow")
    for runtime in runtimes.RUNTIMES:
        engine = open_engine(default_bundle.folder, threads=1, runtime=runtime)
        assert (engine.runtime, engine.choice.in_words(), trials) == (runtime, "", [])
    with pytest.raises(UsageError, match="--batch is 0; expected 1 to 1000000"):
        open_engine(default_bundle.folder, runtime="auto", batch=0)


def test_predictions_from_python_take_the_engine(default_bundle, planted, trials):
    planted("fast")
    engine = opened(default_bundle)
    (answer,) = nin.predict(engine, cuts(1)[0])
    (expected,) = nin.predict(default_bundle.folder, cuts(1)[0])
    assert answer.label == expected.label and answer.score == pytest.approx(expected.score, abs=1e-5)
