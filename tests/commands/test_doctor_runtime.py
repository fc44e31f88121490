"""`nin doctor` on runtimes: it advises the extra where it was measured to pay, and measures what is installed."""

import pytest

from nin.commands import doctor
from nin.data import machine
from nin.engine import fastest, runtimes
from planted_openvino import plant

ONE = ("onnxruntime",)


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """A cache folder of the test's own."""
    monkeypatch.setattr(machine.platformdirs, "user_cache_dir", lambda name: str(tmp_path / "cache" / name))


@pytest.mark.parametrize(
    ("features", "advised"),
    [
        ({"avx2", "avx512_vnni", "amx_tile", "amx_int8"}, True),
        ({"avx2", "avx512_vnni"}, False),
        ({"avx2", "avx_vnni"}, False),
        ({"fp", "asimd", "i8mm"}, False),
        (set(), False),
    ],
)
def test_the_extra_is_advised_only_where_it_was_measured_to_pay(features, advised, monkeypatch):
    monkeypatch.setattr(runtimes, "installed", lambda: ONE)
    monkeypatch.setattr(doctor, "cpu_features", lambda: frozenset(features))
    found = doctor._runtimes()
    assert len(found) == advised
    for finding in found:
        assert (finding.name, finding.value, finding.ok) == ("openvino", "not installed", False)
        assert "3.3 times" in finding.advice and 'pip install "network-in-network[openvino]"' in finding.advice


def test_what_is_installed_is_measured_in_both_precisions(monkeypatch, tmp_path):
    plant(tmp_path / "planted", monkeypatch, "alike")
    models = []

    def tried(packed, other, threads, batch):
        models.append(packed)
        return {"times": float(len(models))}, True

    monkeypatch.setattr(fastest, "_trial", tried)
    whole, eight = doctor._runtimes()
    assert (whole.name, whole.ok, eight.name, eight.ok) == ("runtime, float32", True, "runtime, int8", True)
    assert whole.value.startswith("onnxruntime (openvino 1.00 times as fast here, measured")
    assert eight.value == "openvino (2.0 times onnxruntime here, measured)"
    assert b"/int8" not in models[0] and b"/int8" in models[1]
    assert doctor._runtimes() == (whole, eight) and len(models) == 2  # the eight-bit network is the same each time


def test_a_runtime_that_fails_is_said_with_what_to_do(monkeypatch, tmp_path):
    plant(tmp_path / "planted", monkeypatch, "alike")
    monkeypatch.setattr(fastest, "_trial", lambda *_: ({"fault": "ends its process here (SIGILL)"}, True))
    for finding in doctor._runtimes():
        assert (finding.value, finding.ok) == ("onnxruntime", False)
        assert finding.advice == "openvino ends its process here (SIGILL); install another version of it"


def test_without_onnxruntime_the_rest_is_still_told(monkeypatch):
    real = doctor.importlib.util.find_spec
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else real(name))
    assert doctor._runtimes() == ()
