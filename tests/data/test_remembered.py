"""What was measured is remembered under everything that it depends on, and a memory is never believed unread.

Damaged memories and folders that cannot be written: tests/engine/test_fastest.py, tests/training/test_hardware.py.
"""

import pytest

from nin.data import machine, remembered


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """A cache folder of the test's own."""
    monkeypatch.setattr(machine.platformdirs, "user_cache_dir", lambda name: str(tmp_path / "cache" / name))
    return tmp_path / "cache" / "nin"


def test_a_value_comes_back_under_its_own_key_and_kind():
    key = ["a model", 2, ("AMD", ["avx2"])]
    remembered.remember("runtime", key, {"times": 1.5, "한글": [None, True]})
    assert remembered.recall("runtime", ["a model", 2, ["AMD", ["avx2"]]]) == {"times": 1.5, "한글": [None, True]}
    for kind, other in (("precision", key), ("runtime", key[:2]), ("runtime", ["a model", 3, *key[2:]])):
        assert remembered.recall(kind, other) is None
    remembered.remember("runtime", key, 3)
    assert remembered.recall("runtime", key) == 3


def test_the_folder_does_not_grow_for_ever(cache, monkeypatch):
    monkeypatch.setattr(remembered, "MOST", 3)
    for number in range(6):
        remembered.remember("runtime", [number], number)
    remembered.remember("precision", [0], "float32")
    (cache / "runtime-notes.txt").write_text("a file of somebody")
    assert [remembered.recall("runtime", [number]) for number in range(6)] == [None, None, None, 3, 4, 5]
    assert remembered.recall("precision", [0]) == "float32" and len(list(cache.iterdir())) == 5
