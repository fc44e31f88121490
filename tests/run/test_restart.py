"""Dead starts end to end: mended, said and recorded, the same bits after an interruption, and what --strict does."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import nin
from listening import Told
from nin.errors import DataError, Interrupted, NinError
from nin.run import course
from nin.run.options import TrainOptions
from nin.sealed import read_tensors

QUICK = {"epochs": 5, "size": 16, "batch_size": 8, "threads": 1, "device": "cpu", "precision": "float32", "channels": 1}
DEAD = {**QUICK, "network": "nin-author-mnist", "lr": 1000.0}  # a plain network: its loss is no number in a few steps


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Two classes, dark and bright: 16 pictures each to train on, 4 to validate."""
    root = tmp_path_factory.mktemp("data") / "photos"
    rng = np.random.default_rng(0)
    for split, count in (("train", 16), ("val", 4)):
        for label, shade in (("dark", 0), ("bright", 150)):
            (root / split / label).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(shade, shade + 100, (16, 16)).astype(np.uint8)
                Image.fromarray(pixels).save(root / split / label / f"{i}.png")
    return root


class Ear(Told):
    """Remembers those notes that tell of a start."""

    def note(self, text: str) -> None:
        if "start" in text:
            super().note(text)


@pytest.fixture(scope="module")
def mended(photos, tmp_path_factory):
    """A run that begins again until its learning rate is bearable, and what was said meanwhile."""
    ear = Ear()
    return nin.train(photos, TrainOptions(out=tmp_path_factory.mktemp("runs") / "run", **DEAD), ear), ear


def weights(folder: Path) -> dict[str, bytes]:
    tensors, _ = read_tensors(folder / "model" / "model.safetensors")
    return {name: array.tobytes() for name, array in tensors.items()}


def test_a_rate_that_is_too_high_is_divided_by_ten_and_training_begins_again(mended):
    run, ear = mended
    assert ear.notes, "the start was not dead"
    first = ear.notes[0]
    assert first.startswith("dead start, seen after ")
    assert first.endswith(
        ", because the learning rate 1000 is too high; starting again from step 0 with the learning rate 100"
    )
    assert run.summary["epochs"] == 5


def test_what_was_done_stands_in_arguments_summary_and_report(mended):
    run, ear = mended
    arguments = yaml.safe_load((run.folder / "args.yaml").read_text(encoding="utf-8"))
    summary = json.loads((run.folder / "summary.json").read_text(encoding="utf-8"))
    assert arguments["notes"] == summary["notes"] == run.summary["notes"] == ear.notes
    assert arguments["options"]["lr"] == 1000
    assert arguments["recipe"]["lr"] == pytest.approx(1000 / 10 ** sum("starting again" in note for note in ear.notes))
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    assert "because the learning rate 1000 is too high; starting again from step 0" in page
    rows = (run.folder / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["epoch"] for row in rows] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("steps", [1, 6, 11])
def test_interrupted_before_or_after_the_new_start_it_ends_with_the_same_bits(photos, mended, tmp_path, steps):
    out = TrainOptions(out=tmp_path / "cut", **DEAD)
    with pytest.raises(Interrupted):
        nin.train(photos, out, before := Ear(steps))
    run = nin.resume(tmp_path / "cut", after := Ear())
    assert weights(run.folder) == weights(mended[0].folder)
    assert run.summary["notes"] == mended[1].notes == before.notes + after.notes


def test_strict_ends_the_run_in_the_same_line_and_changes_nothing(photos, tmp_path):
    line = (
        r"(?m)^dead start, seen after \d steps: the loss became (inf|nan), because the learning rate 1000 is too high; "
        r"start again with the learning rate 100, or leave out --strict$"
    )
    with pytest.raises(NinError, match=line) as ended:
        nin.train(photos, TrainOptions(out=tmp_path / "run", strict=True, **DEAD))
    assert ended.value.exit_code == 1
    arguments = yaml.safe_load((tmp_path / "run" / "args.yaml").read_text(encoding="utf-8"))
    assert arguments["recipe"]["lr"] == 1000 and "notes" not in arguments
    assert not (tmp_path / "run" / "summary.json").exists()


def test_the_authors_recipe_is_never_mended(photos, tmp_path):
    with pytest.raises(NinError, match=r"(?m); start again .*, or leave out --recipe author$"):
        nin.train(photos, TrainOptions(out=tmp_path / "run", **{**DEAD, "epochs": 15}, recipe="author"))


def test_pictures_that_are_all_alike_end_the_run_before_the_first_step(photos, tmp_path):
    for path in photos.glob("*/*/*.png"):
        black = tmp_path / "black" / path.relative_to(photos)
        black.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (16, 16)).save(black)
    ear = Ear()
    line = (
        r"^dead start, seen before the first step: every answer is the same, because all training pictures look the "
        r"same to the network; check the pictures with nin data check$"
    )
    with pytest.raises(DataError, match=line):
        nin.train(tmp_path / "black", TrainOptions(out=tmp_path / "run", **QUICK), ear)
    assert ear.steps == []


def planned(monkeypatch, **changes):
    """Every plan made from now on has its network changed."""
    make = course.make_plan

    def change(*arguments):
        plan = make(*arguments)
        return replace(plan, network=replace(plan.network, **changes))

    monkeypatch.setattr(course, "make_plan", change)


def test_torch_s_first_weights_are_feared_recorded_and_left_until_they_prove_dead(photos, tmp_path, monkeypatch):
    planned(monkeypatch, init="torch", norm=None, last_activation=False)
    ear = Ear()
    run = nin.train(photos, TrainOptions(out=tmp_path / "run", **{**QUICK, "width": 0.1, "epochs": 2}), ear)
    (fear,) = run.summary["notes"]
    assert fear.startswith("training may not start, seen before the first step: ") and ear.notes == [fear]
    arguments = yaml.safe_load((tmp_path / "run" / "args.yaml").read_text(encoding="utf-8"))
    assert arguments["notes"] == [fear] and arguments["network"]["init"] == "torch"


def test_first_weights_that_are_too_large_are_drawn_anew(photos, tmp_path, monkeypatch):
    make = course.make_plan

    def large(*arguments):
        plan = make(*arguments)
        blocks = tuple(replace(b, init_std=(1.0,) * len(b.channels)) for b in plan.network.blocks)
        return replace(plan, network=replace(plan.network, blocks=blocks))

    monkeypatch.setattr(course, "make_plan", large)
    options = TrainOptions(out=tmp_path / "run", **{**QUICK, "network": "nin-author-mnist", "epochs": 1})
    run = nin.train(photos, options, Ear())
    config = json.loads((run.model / "config.json").read_text())
    assert run.summary["notes"][0].endswith("starting again from step 0 with kaiming's first weights (He et al. 2015)")
    assert "kaiming" in json.dumps(config)


def test_labels_that_pictures_do_not_tell_are_noted_once_and_end_a_strict_run(tmp_path):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (280, 8, 8, 1)).astype(np.uint8), np.arange(280) % 2
    np.savez(tmp_path / "noise.npz", x_train=images, y_train=labels)
    options = {**QUICK, "size": 8, "width": 0.1}
    ear = Ear()
    run = nin.train(tmp_path / "noise.npz", TrainOptions(out=tmp_path / "run", **options), ear)
    (note,) = run.summary["notes"]
    assert ear.notes == [note] and len(ear.steps) == 145  # three looks: after 100, 125 and all steps
    assert note.endswith("(shuffled?); see that every label belongs to its picture")
    with pytest.raises(DataError, match=r"^dead start, seen after 100 steps: .*; see that every label belongs to "):
        nin.train(tmp_path / "noise.npz", TrainOptions(out=tmp_path / "strict", strict=True, **options))


def test_a_healthy_run_has_no_notes(photos, tmp_path):
    ear = Ear()
    run = nin.train(photos, TrainOptions(out=tmp_path / "run", **{**QUICK, "width": 0.1}), ear)
    assert "notes" not in run.summary and ear.notes == []
