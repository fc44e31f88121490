"""A budget of time is planned for: as many epochs as fit, and then the same run as with so many from the start."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from PIL import Image

import nin
from listening import Told
from nin.errors import Interrupted
from nin.run import budget
from nin.run.options import TrainOptions
from nin.sealed import read_tensors

QUICK = {"width": 0.1, "size": 12, "batch_size": 8, "threads": 1, "device": "cpu", "precision": "float32"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "photos"
    for kind, label in enumerate("ab"):
        (root / label).mkdir(parents=True)
        for number in range(14):
            pixels = np.random.default_rng([kind, number]).integers(0, 120, (12, 12, 3))
            pixels[..., kind] += 120
            Image.fromarray(pixels.astype(np.uint8)).save(root / label / f"{number}.png")
    return root


def weights(folder) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in read_tensors(folder / "model" / "model.safetensors")[0].items()}


def test_a_planned_run_is_the_run_of_so_many_epochs_interrupted_or_not(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(budget, "_epoch_seconds", lambda trainer, most: 1000.0)
    ear = Told()
    planned = nin.train(photos, TrainOptions(out=tmp_path / "planned", max_time="1h", **QUICK), ear)
    line = (
        "--max-time 1h allows 3 of 200 epochs (about 1,000.0 seconds each, measured); the schedule is planned for that"
    )
    assert line in ear.notes  # 0.9 x 3,600 seconds hold three of 1,000
    asked = nin.train(photos, TrainOptions(out=tmp_path / "asked", epochs=3, **QUICK))
    assert weights(planned.folder) == weights(asked.folder)
    said = yaml.safe_load((planned.folder / "args.yaml").read_text())
    assert said["recipe"]["epochs"] == planned.summary["epochs"] == 3
    assert said["budget"] == planned.summary["budget"] == {"max_time": "1h", "epochs": 3, "of_epochs": 200}
    with pytest.raises(Interrupted):
        nin.train(photos, TrainOptions(out=tmp_path / "cut", max_time="1h", **QUICK), Told(4))
    assert weights(nin.resume(tmp_path / "cut").folder) == weights(asked.folder)
    advised = [line for line in planned.warnings if "train longer" in line]
    assert not advised


def test_what_fits_is_left_as_it_is_and_what_does_not_fit_is_said(photos, tmp_path, monkeypatch):
    ear = Told()
    done = nin.train(photos, TrainOptions(out=tmp_path / "fits", max_time="1h", epochs=1, **QUICK), ear)
    assert not any("--max-time" in note for note in ear.notes) and done.summary["epochs"] == 1
    monkeypatch.setattr(budget, "_epoch_seconds", lambda trainer, most: 50.0)
    ear = Told()
    short = nin.train(photos, TrainOptions(out=tmp_path / "short", max_time="0.01s", **QUICK), ear)
    assert any(note.startswith("--max-time 0.01s does not allow even 1 of 200 epochs") for note in ear.notes)
    told = " ".join(short.warnings)
    assert "train longer" not in told
    if "the answers are" in told:
        assert re.search(r"--max-time 0.01s allowed 1 of 200 epochs; give it more time", told)


def test_the_steps_that_are_timed_change_nothing_and_stop_when_they_cost_too_much(photos, tmp_path, monkeypatch):
    timed = []

    class Stand:
        state = type("S", (), {"steps": 10, "batch_size": 2})
        validation = type("V", (), {"images": np.zeros(4), "__len__": lambda _: 8})()
        recipe, data = type("R", (), {"seed": 0}), np.arange(6)
        hardware, model = type("H", (), {"device": "cpu"}), type("M", (), {"train": lambda *_: None})()
        team = type("T", (), {"broadcast_seconds": staticmethod(lambda _: 2.0)})

        def step(self, rows):
            timed.append(rows)

        def logits(self, images, *, fast):
            assert len(images) == 4 and fast

    assert budget._epoch_seconds(Stand(), 5.0) == 10 * 2.0 + 2.0 * 8 / 4
    assert len(timed) == 3 and sorted(np.concatenate(timed)) == list(range(6))
    timed.clear()
    budget._epoch_seconds(Stand(), 1e9)
    assert len(timed) == budget.STEPS


@pytest.mark.parametrize(
    ("choices", "planned", "done", "told"),
    [
        ({}, 200, 200, (200, None)),
        ({"patience": 3}, 200, 61, (200, None)),  # ended because it was enough
        ({"epochs": 20}, 20, 20, (20, None)),
        ({"max_time": "2m"}, 9, 9, (9, "2m")),
        ({"max_time": "2h"}, 200, 200, (200, None)),
        ({"max_time": "2h", "epochs": 20}, 20, 20, (20, None)),
    ],
)
def test_a_report_says_short_of_what_was_short_and_why(choices, planned, done, told):
    trainer = SimpleNamespace(data=range(100), position=SimpleNamespace(epoch=done))
    plan = SimpleNamespace(preprocess=SimpleNamespace(channels=3), recipe=SimpleNamespace(epochs=planned))
    found = budget.effort(SimpleNamespace(trainer=trainer, plan=plan, options=TrainOptions(**choices)))
    assert (found.epochs, found.max_time) == told and found.usual == 200
