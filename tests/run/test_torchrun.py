"""Real ranks under torchrun: equal to one process, the same bits twice, one line for every mistake, nobody waits."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import nin
from nin.bundle.folder import read_bundle
from nin.sealed import read_tensors
from nin.training.tensors import to_tensor

QUICK = ("--width", "0.1", "--batch-size", "7", "--threads", "1", "--device", "cpu", "--precision", "float32")
TRAINER = """
import sys, torch
from dataclasses import replace
sys.path.insert(0, sys.argv[1])
from conftest import MACHINE, PREPROCESS, stripes
from nin.sealed import write_tensors
from nin.data.augment import Augmentation
from nin.network.architecture import NIN, nin
from nin.training.distributed import joined
from nin.training.loop import Trainer
from nin.training.recipes import Recipe
torch.set_num_threads(1)
with joined() as team:
    for optimizer, norm in (("sgd", "batch"), ("muon", "batch"), ("sgd", None)):
        config = replace(nin(2, 1, width=0.1, dropout=0.3), norm=norm)
        recipe = Recipe(
            epochs=1, batch_size=15, statistics_batch=4, optimizer=optimizer, lr=0.01, balance="weights",
            augmentation=Augmentation(shift=0.1, zoom=0.2, cutmix=1.0),
        )
        model = NIN(config, generator=torch.Generator().manual_seed(0))
        trainer = Trainer(model, stripes(47, 0), stripes(21, 1), PREPROCESS, recipe, MACHINE, team)
        (epoch,) = trainer.epochs()
        tensors = {name: value.numpy() for name, value in trainer.model.state_dict().items()}
        facts = torch.tensor([epoch.train_loss, epoch.train_accuracy, epoch.val_loss, epoch.val_accuracy]).numpy()
        write_tensors(f"{sys.argv[2]}-{optimizer}-{norm}-{team.rank}", {**tensors, "facts": facts}, {})
"""


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NIN_", "TORCHELASTIC", "FORCE"))}
    return {**kept, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", **more}


def torchrun(ranks: int, *words: str, restarts: int = 0) -> list[str]:
    how = ("--standalone", "--nproc-per-node", str(ranks), "--max-restarts", str(restarts))
    return [sys.executable, "-m", "torch.distributed.run", *how, *words]


def run(command: list[str], cwd: Path, **more: str) -> subprocess.CompletedProcess:
    return subprocess.run(command, cwd=cwd, env=environment(**more), capture_output=True, text=True, timeout=60)


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


STARTED: list[subprocess.Popen] = []


def start(command: list[str], cwd: Path, **more: str) -> subprocess.Popen:
    STARTED.append(subprocess.Popen(command, cwd=cwd, env=environment(**more), stderr=subprocess.PIPE, text=True))
    return STARTED[-1]


@pytest.fixture(autouse=True)
def nothing_left_running():
    yield
    while STARTED:
        with STARTED.pop() as process:
            process.terminate()  # torchrun takes its ranks along
            process.stderr.close()


def two_machines(words: list[list[str]], folders: list[Path]) -> list[subprocess.Popen]:
    """Two ranks without torchrun, each as if alone on its machine: with words and a folder of its own."""
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    return [
        start([sys.executable, "-m", "nin", "train", *more], folder, RANK=str(rank), **place)
        for rank, (more, folder) in enumerate(zip(words, folders, strict=True))
    ]


def write_photos(folder: Path, train: int, validation: int) -> None:
    """Two classes that their colour tells, so many pictures each."""
    rng = np.random.default_rng(0)
    for split, count in (("train", train), ("val", validation)):
        for channel, label in enumerate(("cat", "dog")):
            (folder / split / label).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 90, (16, 16, 3))
                pixels[..., channel] += 120
                Image.fromarray(pixels.astype(np.uint8)).save(folder / split / label / f"{i}.png")


@pytest.fixture(scope="module")
def user(tmp_path_factory) -> Path:
    """A folder with `photos`: two classes, 12 pictures to train on and 5 to validate each."""
    root = tmp_path_factory.mktemp("user")
    write_photos(root / "photos", 12, 5)
    return root


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("trained")
    (root / "script.py").write_text(TRAINER)
    words = ("script.py", str(Path(__file__).parents[1] / "training"))
    for command in ([sys.executable, *words, "one"], torchrun(2, *words, "two")):
        done = run(command, root)
        assert done.returncode == 0, done.stderr
    return root


@pytest.mark.parametrize("case", ["sgd-batch", "muon-batch", "sgd-None"])
def test_ranks_equal_one_process_on_the_same_batches(trained, case):
    """Batches of 15 in shards of 7 and 8, augmented, mixed over the shards' border, weighted, with dropout, normalised
    in ghost batches of 5, one of which has pictures of both ranks."""
    one, two = (read_tensors(trained / f"{name}-{case}-0")[0] for name in ("one", "two"))
    assert (trained / f"two-{case}-0").read_bytes() == (trained / f"two-{case}-1").read_bytes()
    assert one.keys() == two.keys()
    for name, values in one.items():
        np.testing.assert_allclose(two[name], values, rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.skipif(os.environ.get("NIN_HEAVY") != "1", reason="a minute; set NIN_HEAVY=1")
def test_two_runs_give_the_same_bits_and_rank_0_alone_writes_and_prints(user, tmp_path):
    words = [str(user / "photos"), "--epochs", "2", *QUICK]
    done = run(torchrun(2, "-m", "nin", "train", *words, "--out", "a"), user)
    assert done.returncode == 0 and done.stdout == "a/model\n", done.stderr
    assert done.stderr.count("epoch 1/2") == done.stderr.count("everything is in") == 1
    ranks = two_machines([[*words, "--out", "b"]] * 2, [user, tmp_path])
    said = [process.communicate(timeout=40)[1] for process in ranks]
    assert [process.returncode for process in ranks] == [0, 0], said
    assert "epoch 2/2" in said[0] and said[1] == "" and not list(tmp_path.iterdir())
    a, b = ((user / name / "model" / "model.safetensors").read_bytes() for name in ("a", "b"))
    assert a == b
    assert json.loads((user / "a" / "env.json").read_text())["ranks"] == 2
    assert {p.name for p in user.iterdir()} == {"photos", "a", "b"}


@pytest.mark.skipif(os.environ.get("NIN_HEAVY") != "1", reason="half a minute; set NIN_HEAVY=1")
def test_ranks_know_their_training_pictures_too(tmp_path):
    """Rank 0 fits the distance on all training pictures, those that the other rank learned from included."""
    write_photos(tmp_path / "photos", 12, 60)
    done = run(torchrun(2, "-m", "nin", "train", "photos", "--epochs", "6", "--out", "run", *QUICK), tmp_path)
    assert done.returncode == 0, done.stderr
    known = read_bundle(tmp_path / "run" / "model").likeness
    assert known is not None
    classifier = nin.load(tmp_path / "run")
    for row, label in enumerate(("cat", "dog")):
        pictures = [classifier.preprocess.load(p) for p in sorted((tmp_path / "photos/train" / label).iterdir())]
        with torch.inference_mode():
            x = to_tensor(np.stack(pictures), classifier.preprocess, "cpu")
            features = classifier.model.forward_both(x)[1].numpy()
        np.testing.assert_allclose(known.means[row], features.mean(0), rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(os.environ.get("NIN_HEAVY") != "1", reason="half a minute; set NIN_HEAVY=1")
def test_rank_0_whitens_for_all(user):
    words = [str(user / "photos"), "--epochs", "1", "--normalise", "gcn-zca", "--size", "8", *QUICK]
    for out, ranks in (("white1", 1), ("white2", 2)):
        start_of = [sys.executable] if ranks == 1 else torchrun(ranks)
        done = run([*start_of, "-m", "nin", "train", *words, "--out", out], user)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("fitting ZCA on 24 of 24 training pictures") == 1
    one, two = ((user / out / "model" / "preprocess.safetensors").read_bytes() for out in ("white1", "white2"))
    assert one == two
    losses = [json.loads((user / out / "metrics.jsonl").read_text())["val_loss"] for out in ("white1", "white2")]
    assert all(np.isfinite(losses))
    for out in ("white1", "white2"):  # other tests look at what lies in this folder
        shutil.rmtree(user / out)


def children(pid: int) -> list[int]:
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def variable(pid: int, name: str) -> str:
    pairs = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(pair.partition("=")[::2] for pair in pairs)[name]


def kill_rank(process: subprocess.Popen, rank: str, folder: Path) -> None:
    """SIGKILL one rank when the second epoch is written, so that the first one has been printed."""
    end, table = time.monotonic() + 40, folder / "results.csv"
    while not table.exists() or len(table.read_text().splitlines()) < 3:
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.02)
    ours = [pid for pid in children(process.pid) if b"nin" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")]
    (victim,) = [pid for pid in ours if variable(pid, "RANK") == rank]
    os.kill(victim, signal.SIGKILL)


def next_epoch(process: subprocess.Popen) -> int:
    """The number of the epoch that it prints next."""
    return next(int(line.split()[1].partition("/")[0]) for line in process.stderr if line.startswith("epoch "))


@pytest.mark.skipif(os.environ.get("NIN_HEAVY") != "1", reason="a minute; set NIN_HEAVY=1")
def test_a_killed_rank_ends_the_others_in_seconds_and_the_run_goes_on(user, tmp_path):
    process = start(torchrun(2, "-m", "nin", "train", "photos", "--epochs", "200", "--out", "killed", *QUICK), user)
    kill_rank(process, "1", user / "killed")
    killed = time.monotonic()
    _, err = process.communicate(timeout=30)
    assert time.monotonic() - killed < 10 and process.returncode == 1
    line = "nin: rank 1 ended without a word (killed, or out of memory?); go on from the last checkpoint"
    assert err.count(line) == 1
    resume = start(torchrun(2, "-m", "nin", "train", "--resume", "killed"), user)
    second = next_epoch(resume)
    assert second > 1  # not from the beginning
    resume.send_signal(signal.SIGINT)  # Ctrl-C: all ranks stop together, rank 0 saves
    err = resume.communicate(timeout=30)[1]
    assert err.count("nin: stopped in epoch") == 1 and "nin: rank" not in err
    ranks = two_machines([["--resume", "killed"]] * 2, [user, tmp_path])  # rank 1 does not see the run folder
    assert next_epoch(ranks[0]) > second
    ranks[1].send_signal(signal.SIGINT)  # there alone
    said = [process.communicate(timeout=30)[1] for process in ranks]
    assert [process.returncode for process in ranks] == [130, 130]
    assert said[0].count("nin: stopped in epoch") == 1 and said[1] == "" and not list(tmp_path.iterdir())


@pytest.mark.skipif(os.environ.get("NIN_HEAVY") != "1", reason="a minute; set NIN_HEAVY=1")
def test_torchrun_starts_a_run_again_from_its_checkpoint(user):
    command = torchrun(2, "-m", "nin", "train", "photos", "--epochs", "40", "--out", "again", *QUICK, restarts=1)
    process = start(command, user)
    kill_rank(process, "0", user / "again")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert len(re.findall(r"epoch +1/40 ", err)) == 1 and "epoch 40/40" in err
    refused = run(torchrun(2, "-m", "nin", "train", "photos", "--out", "again", *QUICK, restarts=0), user)
    assert refused.stderr.count("nin: again holds a finished run") == 1


@pytest.mark.skipif(os.environ.get("NIN_HEAVY") != "1", reason="half a minute; set NIN_HEAVY=1")
def test_wrong_settings_are_one_line_and_nobody_waits(user):
    nin = [sys.executable, "-m", "nin", "train", "photos", "--out", "wrong", *QUICK]
    done = run(nin, user, RANK="0")
    assert done.returncode == 2 and done.stderr.startswith("nin: RANK is set, but WORLD_SIZE is not; ")
    impatient = (
        "import sys; from nin.training import distributed as d; from nin.cli import main; d.JOIN_SECONDS = 2.0; "
    )
    nin[1:3] = ["-c", impatient + "sys.exit(main(sys.argv[1:]))"]
    port = free_port()
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    for rank in "01":
        done = run(nin, user, RANK=rank, **place)
        assert done.returncode == 1
        assert f"nin: rank {rank} of 2 did not meet the others at 127.0.0.1:{port} within 2 s; " in done.stderr
    with socket.create_server(("", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run(nin, user, RANK="0", **{**place, "MASTER_PORT": port})
        assert done.returncode == 2 and f"nin: MASTER_PORT {port} is in use on this machine; " in done.stderr
    assert not (user / "wrong").exists()


@pytest.mark.skipif(os.environ.get("NIN_HEAVY") != "1", reason="half a minute; set NIN_HEAVY=1")
def test_ranks_that_differ_or_fail_end_together(user):
    words = ["photos", "--out", "wrong", *QUICK, "--epochs"]
    ranks = two_machines([[*words, "2"], [*words, "3"]], [user, user])
    errors = [process.communicate(timeout=40)[1] for process in ranks]
    assert [process.returncode for process in ranks] == [2, 2]
    assert "".join(errors).count("nin: rank 1 has --epochs 3, rank 0 has 2; start every rank with the same") == 1
    done = run(torchrun(2, "-m", "nin", "train", "nothing", *QUICK), user)
    assert done.stderr.count("nin: ") == 1 and "nothing" in done.stderr
    assert not (user / "wrong").exists()


@pytest.mark.skipif(os.environ.get("NIN_HEAVY") != "1", reason="a minute; set NIN_HEAVY=1")
def test_ranks_read_one_network_file_or_end_together(user, tmp_path):
    network = (
        "norm: batch\nblocks:\n  - {channels: [8, 8], kernel_size: 5}\n  - {channels: [8, classes], kernel_size: 3}\n"
    )
    (user / "mine.yaml").write_text(network)
    words = [
        str(user / "photos"),
        "--out",
        str(tmp_path / "out"),
        "--network",
        "mine.yaml",
        "--epochs",
        "1",
        *QUICK[2:],
    ]
    done = run(torchrun(2, "-m", "nin", "train", *words), user)
    assert done.returncode == 0, done.stderr
    assert read_bundle(tmp_path / "out" / "model").network["blocks"][1]["channels"] == [8, 2]
    (tmp_path / "mine.yaml").write_text(network.replace("kernel_size: 3", "kernel_size: 1"))
    ranks = two_machines([[*words, "--overwrite"]] * 2, [user, tmp_path])
    errors = "".join(process.communicate(timeout=40)[1] for process in ranks)
    assert [process.returncode for process in ranks] == [2, 2]
    assert (
        len(re.findall(r"nin: rank 1 has --network mine.yaml \(\w{8}\), rank 0 has mine.yaml \(\w{8}\)", errors)) == 1
    )
    (user / "mine.yaml").write_text(network.replace("norm", "nrom"))
    done = run(torchrun(2, "-m", "nin", "train", *words), user)
    assert done.stderr.count("nin: mine.yaml line 1: the network has the unknown setting 'nrom'; expected only ") == 1


@pytest.mark.skipif(os.environ.get("NIN_HEAVY") != "1", reason="half a minute; set NIN_HEAVY=1")
def test_ranks_begin_again_together_after_a_dead_start(user):
    """A plain network at a rate that it cannot bear, mended by all ranks alike; --strict ends them all."""
    words = ("--network", "nin-author-mnist", "--channels", "1", "--lr", "1000", "--epochs", "2", *QUICK[2:])
    done = run(torchrun(2, "-m", "nin", "train", "photos", "--out", "dead", *words), user)
    assert done.returncode == 0, done.stderr
    notes = json.loads((user / "dead" / "summary.json").read_text())["notes"]
    assert notes[0].endswith("starting again from step 0 with the learning rate 100")
    assert [done.stderr.count(note) for note in notes] == [1] * len(notes)
    strict = run(torchrun(2, "-m", "nin", "train", "photos", "--out", "strict", "--strict", *words), user)
    assert strict.returncode == 1
    assert strict.stderr.count("start again with the learning rate 100, or leave out --strict") == 1
