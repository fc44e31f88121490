"""The journeys end to end on tiny real runs: what lies in the folder, true numbers, exact resume by real processes."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import nin
from listening import Told
from nin.bundle.folder import read_bundle
from nin.commands.demo import demo
from nin.commands.doctor import doctor
from nin.errors import Interrupted, ModelError, UsageError
from nin.run.options import Listener, TrainOptions, seconds
from nin.sealed import read_tensors

FILES = {
    "args.yaml", "env.json", "data.json", "results.csv", "metrics.jsonl", "summary.json", "results.png",
    "confusion_matrix.png", "confusion_matrix_normalised.png", "confusion_matrix.svg", "confusion_matrix.csv",
    "train_batch0.jpg", "val_batch0_pred.jpg",
    "pictures.safetensors", "report.html", "model", "checkpoint-0.safetensors", "checkpoint-1.safetensors",
}  # fmt: skip
QUICK = {"epochs": 3, "width": 0.1, "size": 16, "batch_size": 8, "threads": 1, "device": "cpu", "precision": "float32"}


def paint(folder: Path, label: str, count: int, seed: int) -> None:
    """Pictures of one class: 고양이 is reddish and striped, 개 is bluish and plain."""
    rng = np.random.default_rng(seed)
    (folder / label).mkdir(parents=True)
    for i in range(count):
        pixels = rng.integers(0, 90, (24, 30, 3))
        if label == "고양이":
            pixels[::4, :, 0] += 150
        else:
            pixels[..., 2] += 120
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / label / f"{i}.png")


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data") / "photos"
    for split, count in (("train", 24), ("val", 8), ("test", 10)):
        for label in ("고양이", "개"):
            paint(root / split, label, count, len(split) + len(label))
    return root


@pytest.fixture(scope="module")
def finished(photos, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "first"
    return nin.train(photos, TrainOptions(out=out, **{**QUICK, "epochs": 6}))


def test_a_run_leaves_exactly_what_it_promises(finished):
    names = {path.name for path in finished.folder.iterdir()}
    assert names - {".lock"} == FILES
    assert {p.name for p in (finished.folder / "model").iterdir()} == {
        "config.json", "model.safetensors", "labels.txt", "README.md", "training.csv",
    }  # fmt: skip
    assert (finished.model / "training.csv").read_bytes() == (finished.folder / "results.csv").read_bytes()


def test_the_numbers_in_all_files_are_the_same_and_true(finished, photos):
    summary = json.loads((finished.folder / "summary.json").read_text())
    assert summary["accuracy"] == finished.evaluation.accuracy and summary["split"] == "test" == finished.split
    assert summary["n"] == 20 and set(summary["splits"]) == {"validation", "test"}
    rows = list(csv.DictReader((finished.folder / "results.csv").read_text().splitlines()))
    lines = [json.loads(line) for line in (finished.folder / "metrics.jsonl").read_text().splitlines()]
    assert [int(row["epoch"]) for row in rows] == [line["epoch"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert float(rows[-1]["val_loss"]) == pytest.approx(lines[-1]["val_loss"], rel=1e-5)
    arguments = yaml.safe_load((finished.folder / "args.yaml").read_text())
    assert arguments["options"]["epochs"] == 6 and arguments["recipe"]["epochs"] == 6
    again = nin.evaluate(finished.folder, photos)
    assert again.split == "test" and (again.training_pictures, again.warnings) == (0, ())
    learnt = nin.evaluate(finished.folder, photos, split="train")
    assert learnt.training_pictures == learnt.evaluation.n == arguments["pictures"]["train"]
    assert again.evaluation.accuracy == finished.evaluation.accuracy
    assert again.evaluation.loss == pytest.approx(finished.evaluation.loss, abs=1e-6)


def test_it_learned_what_it_was_shown(finished):
    assert finished.evaluation.accuracy >= 0.9


def test_predicting_one_by_one_or_together_gives_what_evaluation_counted(finished, photos):
    answers = list(nin.predict(finished.folder, [str(photos / "test")]))
    right = sum(answer.label == Path(answer.file).parent.name for answer in answers)
    assert len(answers) == 20 and right / 20 == finished.evaluation.accuracy
    alone = next(iter(nin.predict(finished.model, [answers[3].file])))
    assert alone.label == answers[3].label and alone.score == pytest.approx(answers[3].score, abs=1e-5)
    assert all(sum(p for _, p in answer.scores) == pytest.approx(1) for answer in answers)


def test_unreadable_pictures_among_good_ones_are_told_and_do_not_stop_the_rest(finished, photos, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\nnot really")
    good = photos / "test" / "개" / "0.png"
    first, second, third = nin.predict(finished.folder, [str(good), str(bad), str(good)])
    assert second.error and second.label is None and first.label == third.label is not None


def test_explanations_show_maps_whose_mean_is_the_logit(finished, photos, tmp_path):
    seen = list(nin.explain(finished.folder, [str(photos / "test" / "고양이" / "0.png")] * 2, out=tmp_path, top=2))
    assert [e.png.name for e in seen] == ["0.png", "0-2.png"] and all(e.png.is_file() for e in seen)
    assert seen[0].identity_error <= 1e-6 and len(seen[0].classes) == 2


def test_the_model_rebuilt_by_hand_gives_the_same_logits(finished, photos):
    import torch

    model = nin.load(finished.folder)
    tensors, _ = read_tensors(finished.model / "model.safetensors")
    twin = nin.NIN(nin.NINConfig.from_dict(read_bundle(finished.model).network))
    twin.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in tensors.items()})
    pixels = model.preprocess.load(photos / "test" / "개" / "1.png")
    by_hand = (pixels.astype(np.float32) / 255 - model.preprocess.mean) / model.preprocess.std
    x = torch.from_numpy(by_hand.astype(np.float32)).permute(2, 0, 1)[None]
    with torch.no_grad():
        expected = twin.eval()(x).numpy()
    np.testing.assert_allclose(model.logits(pixels[None]), expected, atol=1e-5)


def command(photos: Path, out: Path) -> list[str]:
    options = [f"--{name.replace('_', '-')}={value}" for name, value in {**QUICK, "epochs": 8}.items()]
    return [sys.executable, "-m", "nin", "train", str(photos), f"--out={out}", *options]


def weights(folder: Path) -> dict[str, bytes]:
    tensors, _ = read_tensors(folder / "model" / "model.safetensors")
    return {name: array.tobytes() for name, array in tensors.items()}


HEAVY = pytest.mark.skipif(os.environ.get("NIN_HEAVY") != "1", reason="a minute; set NIN_HEAVY=1")


@pytest.mark.parametrize("sent", [pytest.param(signal.SIGINT, marks=HEAVY), signal.SIGKILL])
def test_interrupted_processes_resume_to_the_same_bits(photos, tmp_path, sent):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "7"}
    subprocess.run(command(photos, tmp_path / "whole"), env=environment, check=True, capture_output=True, timeout=300)
    process = subprocess.Popen(
        command(photos, tmp_path / "cut"), env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    deadline = time.monotonic() + 240
    while not (tmp_path / "cut" / "results.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(sent)
    _, said = process.communicate(timeout=120)
    assert process.returncode == (130 if sent == signal.SIGINT else -signal.SIGKILL), said.decode()
    assert not (tmp_path / "cut" / "model").exists()
    done = subprocess.run(
        [sys.executable, "-m", "nin", "train", "--resume", str(tmp_path / "cut")],
        env={**environment, "PYTHONHASHSEED": "8"}, cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")
    timeless = [("time", 0), ("images_per_second", 0)]
    histories = [
        [
            {**json.loads(line), **dict(timeless)}
            for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        ]
        for name in ("whole", "cut")
    ]
    assert histories[0] == histories[1] and len(histories[0]) == 8


def test_the_demo_needs_no_data_and_explains_one_digit_of_every_class(tmp_path):
    run = demo(TrainOptions(out=tmp_path / "demo", epochs=1, width=0.1, size=16, threads=1))
    assert run.split == "test" and run.evaluation.n == 359
    digits = [f"{digit}.png" for digit in range(10)]
    for folder in ("pictures", "explained"):
        assert sorted(path.name for path in (run.folder / folder).iterdir()) == digits
    assert run.commands[0] == f"nin predict {run.folder} {run.folder / 'pictures'}"
    assert len(list(nin.predict(run.folder, [str(run.folder / "pictures")]))) == 10


def test_a_stop_in_the_first_epoch_leaves_a_folder_that_resumes(photos, tmp_path):
    with pytest.raises(Interrupted, match=r"(?m)^stopped in epoch 1 of 3; continue with: nin train --resume .*$"):
        nin.train(photos, TrainOptions(out=tmp_path / "run", **QUICK), Told(1))
    assert nin.resume(tmp_path / "run").summary["epochs"] == 3


def test_an_overwritten_run_leaves_nothing_that_could_be_resumed_or_used(photos, tmp_path):
    nin.train(photos, TrainOptions(out=tmp_path / "run", **QUICK))
    again = TrainOptions(out=tmp_path / "run", overwrite=True, **{**QUICK, "epochs": 2, "seed": 5})
    with pytest.raises(Interrupted):
        nin.train(photos, again, Told(1))
    assert not (tmp_path / "run" / "summary.json").exists()
    with pytest.raises(ModelError):
        nin.load(tmp_path / "run")
    resumed = nin.resume(tmp_path / "run").summary
    assert (resumed["epochs"], resumed["seed"]) == (2, 5)


def test_resuming_on_other_pictures_is_refused(photos, tmp_path):
    mine = tmp_path / "photos"
    shutil.copytree(photos, mine)
    with pytest.raises(Interrupted):
        nin.train(mine, TrainOptions(out=tmp_path / "run", **QUICK), Told(1))
    (mine / "train" / "개" / "0.png").unlink()
    with pytest.raises(
        ModelError, match=r"^the pictures in .*photos are not those the run began with; start a new run$"
    ):
        nin.resume(tmp_path / "run")


def test_a_run_goes_on_where_its_pictures_are_now(photos, tmp_path):
    mine, moved, folder = tmp_path / "photos", tmp_path / "moved", tmp_path / "run"
    shutil.copytree(photos, mine)
    with pytest.raises(Interrupted):
        nin.train(mine, TrainOptions(out=folder, **QUICK), Told(1))
    with pytest.raises(UsageError, match=r"run is not empty; go on with it: nin train --resume .*run; or choose"):
        nin.train(mine, TrainOptions(out=folder, **QUICK))
    mine.rename(moved)
    with pytest.raises(UsageError) as gone:
        nin.resume(folder)
    assert str(gone.value) == (
        f"the pictures of the run are no longer at {mine}; say where they are now: nin train NEWPATH --resume {folder}"
    )
    with pytest.raises(ModelError, match=r"^the pictures in .*val are not those the run began with; start a new run$"):
        nin.resume(folder, data=moved / "val")
    assert nin.resume(folder, data=moved).summary["epochs"] == 3
    assert yaml.safe_load((folder / "args.yaml").read_text())["data"] == str(moved)
    told = Told()
    assert nin.resume(folder, told).summary["epochs"] == 3
    (line,) = (note for note in told.notes if "finished" in note)
    command = f"nin train {moved} --from {folder} --out {folder}-more"
    assert line == (
        f"this run is finished (3 epochs): it is measured again; to train more, begin with its weights: {command}"
    )
    assert command in (folder / "report.html").read_text(encoding="utf-8")


def test_the_truth_is_told_about_shared_pictures_and_chance(tmp_path):
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for label in ("a", "b"):
            (tmp_path / "noise" / split / label).mkdir(parents=True)
            for i in range(12):
                pixels = rng.integers(0, 256, (16, 16, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / "noise" / split / label / f"{i}.png")
    copied = tmp_path / "noise" / "val" / "a" / "0.png"
    copied.write_bytes((tmp_path / "noise" / "train" / "b" / "3.png").read_bytes())
    run = nin.train(tmp_path / "noise", TrainOptions(out=tmp_path / "run", **QUICK))
    told = " ".join(run.warnings)
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    for words in ("1 of the 24 pictures measured are also training pictures", "chance"):
        assert words in told and words in page


def test_an_existing_run_is_never_overwritten_by_accident(finished, photos):
    with pytest.raises(UsageError, match=r"first holds a finished run; train its network further: nin train .*;"):
        nin.train(photos, TrainOptions(out=finished.folder, **QUICK))


def test_unknown_options_are_named(photos):
    with pytest.raises(UsageError, match=r"^there is no option 'epoch'; there are out, epochs, .*$"):
        nin.train(photos, epoch=3)


@pytest.mark.parametrize(("text", "expected"), [("90s", 90), ("10m", 600), ("1.5h", 5400), ("45", 45)])
def test_times_are_understood(text, expected):
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "ten minutes", "-5m", "0", "5d"])
def test_other_times_are_refused(text):
    with pytest.raises(UsageError, match=r"(?m)^--max-time is .*; expected a time such as 90s, 10m or 1\.5h$"):
        seconds(text)


def test_summary_counts_the_author_s_network():
    counted = nin.summary("nin-author-cifar10")
    assert (counted.parameters, counted.macs) == (966_986, 222_486_528)


def test_doctor_finds_this_machine_in_order():
    findings = {finding.name: finding for finding in doctor()}
    assert findings["torch"].ok and findings["Python"].value.startswith(sys.version.split()[0])


def test_a_run_begins_with_the_weights_of_another(photos, finished, tmp_path):
    notes = []

    class Noting(Listener):
        def note(self, text: str) -> None:
            notes.append(text)

    few = {**QUICK, "epochs": 1, "lr": 1e-9, "width": 1.0}
    again = nin.train(photos, TrainOptions(out=tmp_path / "again", from_=str(finished.folder), **few), Noting())
    assert f"begins with the weights of {finished.folder / 'model'}" in notes
    assert again.summary["parameters"] == finished.summary["parameters"]
    before, _ = read_tensors(finished.model / "model.safetensors")
    after, _ = read_tensors(again.model / "model.safetensors")
    for name in before:
        if name.endswith("weight") and before[name].ndim == 4:
            direction = np.vdot(before[name], after[name]) / np.linalg.norm(before[name]) / np.linalg.norm(after[name])
            assert direction > 0.999, name
    card = json.loads((again.model / "config.json").read_text())["nin"]["provenance"]
    assert card["begun with"] == f"{finished.folder.parent.name}/{finished.folder.name}"  # models are shared


def test_an_unknown_model_to_begin_with_is_refused_before_anything_is_made(photos, tmp_path):
    with pytest.raises(ModelError, match="nothere does not exist"):
        nin.train(photos, TrainOptions(out=tmp_path / "run", from_="nothere"))
    assert not (tmp_path / "run").exists()


def test_a_mirrored_run_answers_for_a_picture_and_its_mirror_image_alike(photos, tmp_path):
    few = {**QUICK, "epochs": 1, "mirror": True, "flip": "on"}
    run = nin.train(photos, TrainOptions(out=tmp_path / "run", **few))
    model, paths = nin.load(run.folder), sorted(photos.rglob("*.png"))[:3]
    for path in paths:
        with Image.open(path) as picture:
            picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "turned.png")
        straight, turned = model.see(path, "a"), model.see(tmp_path / "turned.png", "b")
        np.testing.assert_allclose(straight.logits, turned.logits, atol=1e-4)
        np.testing.assert_allclose(straight.maps.mean((1, 2)), straight.logits, atol=1e-4)


def test_one_of_the_authors_networks_can_be_trained(photos, tmp_path):
    few = {**QUICK, "width": 1.0, "epochs": 1, "network": "nin-author-mnist", "size": 12}
    result = nin.train(photos, TrainOptions(out=tmp_path / "run", **few))
    assert json.loads((result.model / "config.json").read_text())["architecture"] == "nin-author-mnist"


@pytest.mark.parametrize(
    ("choices", "line"),
    [
        ({"network": "nin-autor-mnist"}, "there is no network named 'nin-autor-mnist'; did you mean nin-author-mnist?"),
        (
            {"network": "nin-author-mnist", "width": 0.5},
            "--width is for nin and nin-large; nin-author-mnist has one",
        ),
        ({"network": "nin-author-mnist", "mirror": True}, "mirror needs a last 1x1 layer without activation and"),
        (
            {"mirror": True, "flip": "off"},
            "--mirror asks about mirror images, on which this run does not train; add --flip",
        ),
        ({"network": "nin-author-imagenet"}, "nin-author-imagenet takes pictures from 39 pixels up; pass --size"),
    ],
)
def test_networks_that_cannot_be_are_refused(photos, tmp_path, choices, line):
    with pytest.raises(UsageError) as caught:
        nin.train(photos, TrainOptions(out=tmp_path / "run", **{**QUICK, "width": 1.0, **choices}))
    assert str(caught.value).startswith(line)
    assert not (tmp_path / "run").exists()
