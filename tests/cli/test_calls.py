"""Python's own calls: progress where it can be seen, Ctrl-C that loses nothing, networks of one's own, copies."""

import copy
import inspect
import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import types
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nin
from journeys import journey
from nin.errors import UsageError
from nin.network.form import to_form
from nin.network.named import configure

QUICK = {"width": 0.1, "size": 16, "batch_size": 8, "threads": 1, "device": "cpu", "precision": "float32"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data") / "photos"
    rng = np.random.default_rng(3)
    for label, channel in (("red", 0), ("blue", 2)):
        (root / label).mkdir(parents=True)
        for number in range(20):
            pixels = rng.integers(0, 90, (16, 16, 3), dtype=np.uint8)
            pixels[..., channel] += 120
            Image.fromarray(pixels).save(root / label / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def finished(photos, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    return nin.train(photos, out=out, epochs=2, progress=False, **QUICK)


def test_calls_take_what_the_journeys_take_and_progress():
    for name in ("train", "resume", "batch"):
        ours, theirs = (inspect.signature(function).parameters for function in (getattr(nin, name), journey(name)))
        assert list(theirs) == [parameter for parameter in ours if parameter != "progress"]
        assert all(ours[parameter].default == theirs[parameter].default for parameter in theirs)


SCRIPT = "import sys, nin; p, o, w, k = sys.argv[1:]; nin.train(p, out=o, epochs=1, progress=eval(w), **eval(k))"


@pytest.mark.parametrize("progress", ["None", "True", "False"])
def test_progress_goes_to_standard_error_and_is_silenced(photos, tmp_path, progress):
    words = [sys.executable, "-c", SCRIPT, str(photos), str(tmp_path / "run"), progress, repr(QUICK)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "")
    shown = [line for line in done.stderr.splitlines() if line.startswith("epoch 1/1  loss ")]
    assert len(shown) == (0 if progress == "False" else 1)
    assert (done.stderr == "") == (progress == "False")


def test_in_a_notebook_it_stands_below_the_cell(photos, tmp_path, monkeypatch, capsys):
    shell = types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell, version_info=(9, 0)))
    monkeypatch.setattr("nin.cli.calls.BEAT", 0.0)
    nin.train(photos, out=tmp_path / "run", epochs=2, **QUICK)
    said = capsys.readouterr()
    assert said.err == "" and said.out.count("\nepoch 1/2  loss ") + said.out.count("\repoch 1/2  loss ") == 1
    assert "\repoch 1/2  step 2/" in said.out  # the line before is written over
    for line in said.out.split("\n")[:-1]:
        parts = line.split("\r")
        assert all(len(after) >= len(before.rstrip()) for before, after in pairwise(parts))


class Heard(nin.Listener):
    """A listener that does something at its third step."""

    def __init__(self, act) -> None:
        self.act, self.steps, self.epochs, self.stop = act, 0, 0, False
        self.notes: list[str] = []

    def note(self, text) -> None:
        self.notes.append(text)

    def step(self, progress) -> None:
        self.steps += 1
        if self.steps == 3:
            self.act(self)

    def epoch(self, epoch, epochs) -> None:
        self.epochs += 1

    def should_stop(self) -> bool:
        return self.stop


def interrupt(_: Heard) -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("progress", [None, True, False])
def test_ctrl_c_leaves_a_run_that_goes_on_and_says_how(photos, tmp_path, progress):
    heard, out = Heard(interrupt), tmp_path / "run"
    with pytest.raises(KeyboardInterrupt) as error:
        nin.train(photos, out=out, epochs=2, listener=heard, progress=progress, **QUICK)
    line = f"stopped in epoch 1 of 2; continue with: nin train --resume {out}, or with nin.resume in Python"
    assert str(error.value) == line and heard.steps == 3
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    after = Heard(lambda _: None)
    assert nin.resume(out, after).evaluation.n == 6 and after.epochs == 2
    whole = nin.train(photos, out=tmp_path / "whole", epochs=2, progress=False, **QUICK)
    assert (whole.model / "model.safetensors").read_bytes() == (out / "model" / "model.safetensors").read_bytes()


def test_a_listener_may_stop_and_a_programs_own_handling_of_ctrl_c_stays(photos, tmp_path):
    caught = []
    before = signal.signal(signal.SIGINT, lambda *_: caught.append("mine"))
    try:
        heard = Heard(interrupt)
        nin.train(photos, out=tmp_path / "a", epochs=1, listener=heard, **QUICK)
        assert caught == ["mine"]
    finally:
        signal.signal(signal.SIGINT, before)
    with pytest.raises(nin.NinError, match=r"^stopped in epoch 1 of 2; continue with: nin train --resume [^,]*$"):
        nin.train(
            photos, out=tmp_path / "b", epochs=2, listener=Heard(lambda self: setattr(self, "stop", True)), **QUICK
        )


def test_it_trains_in_a_thread_that_may_handle_no_signal(photos, tmp_path):
    runs = []
    thread = threading.Thread(target=lambda: runs.append(nin.train(photos, out=tmp_path / "run", epochs=1, **QUICK)))
    thread.start()
    thread.join()
    assert runs[0].evaluation.n == 6


def test_what_cannot_listen_is_refused(photos):
    with pytest.raises(UsageError, match=r"^listener is .*; expected an object of a class derived from nin\.Listener$"):
        nin.train(photos, listener=print)
    with pytest.raises(UsageError, match=r'^--progress is the text "no"; expected True or False'):
        nin.train(photos, progress="no")


@pytest.mark.parametrize("form", ["configuration", "file"])
def test_a_network_of_ones_own_is_trained_resumed_and_counted(form, photos, tmp_path):
    own = replace(configure("nin", 2, 1, width=0.05), name="mine")
    words = {name: value for name, value in QUICK.items() if name != "width"}
    network = own
    if form == "file":
        network = tmp_path / "mine.json"
        network.write_text(json.dumps({**to_form(own), "num_classes": 7, "size": words.pop("size") + 2}))
    heard = Heard(interrupt)
    with pytest.raises(KeyboardInterrupt):
        nin.train(photos, network=network, out=tmp_path / "run", epochs=2, listener=heard, **words)
    if form == "file":
        assert (
            f"{network} line 1: num_classes is 7, and the pictures have 2, for which the network is made" in heard.notes
        )
        network.unlink()  # the run has it
    run = nin.resume(tmp_path / "run", progress=False)
    assert nin.open_engine(run).preprocess.size == ((18, 18) if form == "file" else (16, 16))
    model = nin.load(run).model
    assert model.config == own and next(iter(model.parameters())).shape[1] == 1  # the pictures came in gray
    counted = [nin.summary(each, (1, 16, 16)).parameters for each in (own, model, nin.load(run), run)]
    assert counted == [sum(weight.numel() for weight in model.parameters())] * 4


def test_networks_of_ones_own_that_do_not_suit_are_refused(photos, tmp_path, monkeypatch):
    own = configure("nin", 2, 1, width=0.05)
    words = {name: value for name, value in QUICK.items() if name != "width"}
    file = tmp_path / "mine.yaml"
    blocks = "blocks:\n  - {channels: [8, 8], kernel_size: 17, padding: 0}\n  - {channels: [8, 3], kernel_size: 3}\n"
    file.write_text("size: 20\n" + blocks)
    open_ended = tmp_path / "open.yaml"
    open_ended.write_text("mirror: true\n" + blocks.replace("3]", "classes]").replace("17", "5"))
    for change, line in (
        ({"network": file}, f"{file} line 4: the last width is 3 and there are 2 classes; write classes there"),
        ({"network": file, "from_": "nin-mnist"}, f"--network {file} is a whole network, which leaves nothing to --f"),
        ({"network": file, "width": 0.5}, f"--network {file} is a whole network, which leaves nothing to --wi"),
        ({"network": open_ended, "recipe": "author"}, "--recipe author is for --network nin-author-cifar10 or "),
        ({"network": open_ended, "flip": "off"}, f"{open_ended} line 1: mirror asks about mirror images, on which th"),
        ({"network": open_ended, "channels": 1}, f"{open_ended} line 1: mirror asks about mirror images, on which th"),
        ({"network": replace(own, in_channels=2)}, "the network has in_channels=2; pictures have 1, 3 or 4"),
        ({"network": configure("nin", 3)}, "the network has num_classes=3, the pictures have 2 classes; change it"),
        ({"network": own, "channels": 3}, "the network has in_channels=1, the pictures come with 3; expected "),
        ({"network": own, "width": 0.5}, "--network is a NINConfig, which leaves nothing to --width; leave "),
        ({"network": own, "from_": "nin-mnist"}, "--network is a NINConfig, which leaves nothing to --from; "),
        ({"network": nin.create_model(own)}, "--network is NIN("),
        ({"network": "nin-mnist"}, "--network nin-mnist is a trained model; begin with its weights: --from nin-mnist"),
    ):  # fmt: skip
        with pytest.raises(UsageError) as error:
            nin.train(photos, out=tmp_path / "none", epochs=1, progress=False, **words, **change)
        assert str(error.value).startswith(line) and not (tmp_path / "none").exists()
    file.write_text("size: 20\n" + blocks.replace("3]", "classes]"))  # the call's size goes before it
    with pytest.raises(UsageError) as error:
        nin.train(photos, out=tmp_path / "none", network=file, progress=False, **words)
    line = (
        "line 3: mine takes pictures from 17 pixels up; pass --size, or pool less: block 1 leaves nothing of 16 pixels"
    )
    assert str(error.value) == f"{file} {line}"
    weights = sum(configure("nin").block_weights)
    monkeypatch.setattr("nin.data.machine.available_memory", lambda: 16 * weights)  # it could be built, not learnt
    with pytest.raises(UsageError, match=r"^the network nin needs 0\.0 GB of memory, .*; make it narrower$"):
        nin.train(photos, out=tmp_path / "none", progress=False, **words)
    assert nin.create_model("nin", 2)


def test_names_of_trained_models_and_modules_without_a_size_are_told():
    with pytest.raises(UsageError, match=r"^nin-mnist is a trained model, .*; get it with nin\.load\('nin-mnist'\)$"):
        nin.create_model("nin-mnist")
    assert nin.create_model("nin", 5, width=0.1).config.num_classes == 5
    import torch

    plain = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Flatten(), torch.nn.Linear(8 * 36, 2))
    assert nin.summary(plain, (3, 8, 8)).parameters == 3 * 8 * 9 + 8 + 8 * 36 * 2 + 2
    with pytest.raises(
        UsageError, match=r"^of what pictures\? nin\.summary\(Sequential\(\.\.\.\), \(3, 224, 224\)\) tells$"
    ):
        nin.summary(plain)


def ask(model, file: str) -> float:
    """In another process: the score of a picture."""
    return next(iter(nin.predict(model, file))).score


def test_results_and_models_are_pickled_copied_and_sent_to_processes(finished, photos, tmp_path):
    file = str(photos / "red" / "0.png")
    engine, loaded = nin.open_engine(finished), nin.load(finished, "cpu")
    answers = list(nin.predict(engine, file))
    shown = nin.explain(finished, file, out=tmp_path)
    for value in (finished, answers, shown, nin.TrainOptions(epochs=3), loaded.model.config, finished.evaluation):
        for again in (pickle.loads(pickle.dumps(value)), copy.deepcopy(value)):
            assert repr(again) == repr(value)
    for model in (engine, loaded, loaded.predict(file) and loaded):
        for again in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
            assert ask(again, file) == ask(model, file)
    x = __import__("torch").zeros(1, 3, 16, 16)
    for again in (pickle.loads(pickle.dumps(loaded.model)), copy.deepcopy(loaded.model)):
        assert (again(x) == loaded.model(x)).all()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        scores = pool.starmap(ask, [(engine, file), (loaded, file), (finished, file)])
    np.testing.assert_allclose(scores, answers[0].score, rtol=1e-5)
