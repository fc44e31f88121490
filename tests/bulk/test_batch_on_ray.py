"""`nin batch` on a real Ray of two workers: one is killed midway, the whole program is stopped, killed, begun again.

The pictures are photographs that take some milliseconds each, and every run is watched by its finished parts, so that
what is killed is killed in the middle of its work.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

pq = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("ray")

from nin.bulk import ray_cluster  # noqa: E402
from nin.bulk.places import Folder  # noqa: E402
from nin.bulk.worker import read_manifest  # noqa: E402
from nin.engine.engine import open_engine  # noqa: E402
from nin.errors import NinError, UsageError  # noqa: E402

PICTURES, BLOCK = 240, 6
AGENTS = {"ray::DashboardAgent", "ray::RuntimeEnvAgent"}
PATIENCE = 180  # seconds, on a machine that has other things to do


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """240 names of six large photographs and two files that are none."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "originals").mkdir()
    originals = []
    for number in range(6):
        pixels = np.roll(load_sample_images().images[number % 2], 70 * number, axis=1)
        originals.append(folder / "originals" / f"{number}.png")
        Image.fromarray(pixels).save(originals[-1], compress_level=1)
    for name, data in (("a.png", b"no picture"), ("b.png", originals[0].read_bytes()[:5000])):
        originals.append(folder / "originals" / name)
        originals[-1].write_bytes(data)
    for number in range(PICTURES):
        place = folder / "photos" / f"{number % 5}" / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        os.link(originals[number % len(originals)], place)
    return folder / "photos"


@pytest.fixture(scope="module")
def wanted(default_bundle, photos):
    """name -> (label, score) of every picture, by the engine alone; (None, None) of what is none."""
    engine, known, found = open_engine(default_bundle.folder, threads=1), {}, {}
    for path in sorted(photos.rglob("*.png")):
        kind = int(path.stem) % 8
        if kind < 6 and kind not in known:
            scores = engine.run(engine.preprocess.load(path)[None]).probabilities[0]
            known[kind] = engine.classes[int(scores.argmax())], float(scores.max())
        found[path.relative_to(photos).as_posix()] = known.get(kind, (None, None))
    return found


class Running:
    """The program at work, a process group of its own, as a user's shell would start it."""

    def __init__(self, home: Path, *words: object, **variables: str) -> None:
        home.mkdir(exist_ok=True)
        fixed = ("--block-size", str(BLOCK), "--workers", "2", "--runtime", "onnxruntime")
        command = [sys.executable, "-m", "nin", "batch", *map(str, words), *fixed]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("NIN_", "RAY_"))}
        self.process = psutil.Popen(
            command,
            env={**environment, "HOME": str(home), "OMP_NUM_THREADS": "1", **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        self.below: list[psutil.Process] = []

    def until(self, parts: int, out: Path) -> None:
        """Wait until the destination has so many finished parts."""
        ends = time.monotonic() + PATIENCE
        while len(list(out.glob("part-*.parquet"))) < parts:
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < ends
            time.sleep(0.01)
        self.below = self.process.children(recursive=True)

    def workers(self) -> list[psutil.Process]:
        """Ray's processes in which our workers are."""
        return [p for p in self.below if "".join(p.cmdline()).startswith("ray::MapWorker")]

    def scratch(self) -> Path:
        """The folder that Ray's files are in while it runs."""
        raylet = next(p.cmdline() for p in self.below if p.name() == "raylet")
        return Path(next(word for word in raylet if word.startswith("--temp_dir=")).partition("=")[2]).parent

    def listening(self) -> set[str]:
        """The addresses at which the program and all that it started can be reached."""
        found = set()
        for process in (self.process, *self.below):
            try:
                found |= {c.laddr.ip for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN}
            except psutil.NoSuchProcess:
                continue
        return found

    def end(self, agents: bool = False) -> tuple[int, str, str]:
        """Exit code, output, errors; nothing that was seen running is running any more, but for Ray's agents where
        the program had no chance: they go by themselves, in a minute or two."""
        out, err = self.process.communicate(timeout=PATIENCE)
        spared = [p for p in self.below if agents and p.is_running() and p.name() in AGENTS]
        _, alive = psutil.wait_procs([p for p in self.below if p not in spared], timeout=30)
        alive = [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]  # those have ended, and nobody has asked
        for process in (*spared, *alive):
            process.kill()
        assert alive == []
        return self.process.returncode, out, err


def rows_of(out: Path) -> list[dict]:
    return pq.read_table(out).to_pylist()


def expect_each_once(out: Path, wanted: dict) -> None:
    """Every picture has one row, with the engine's own answer."""
    rows = rows_of(out)
    assert sorted(row["path"] for row in rows) == sorted(wanted)
    for row in rows:
        label, score = wanted[row["path"]]
        assert row["label"] == label and (row["error"] is None) == (label is not None)
        assert row["score"] == (None if score is None else pytest.approx(score, abs=1e-5))


@pytest.mark.skipif(os.environ.get("NIN_HEAVY") != "1", reason="half a minute; set NIN_HEAVY=1")
def test_a_worker_is_killed_and_every_picture_is_answered_once(default_bundle, photos, wanted, tmp_path):
    out = tmp_path / "answers"
    run = Running(tmp_path / "home", default_bundle.folder, photos, out, "--json")
    run.until(2, out)
    assert {address.removeprefix("::ffff:") for address in run.listening()} == {"127.0.0.1"}
    scratch = run.scratch()
    assert scratch.stat().st_mode & 0o077 == 0
    victim = run.workers()[0]
    victim.kill()
    assert len(list(out.glob("part-*"))) < PICTURES // BLOCK - 4  # midway
    code, text, errors = run.end()
    assert (code, errors) == (0, "")
    said = json.loads(text)
    assert (said["pictures"], said["errors"], said["blocks"], said["skipped"]) == (240, 60, 40, 0)
    assert said["processes"] >= 2
    expect_each_once(out, wanted)
    assert read_manifest(Folder(out))["state"] == "complete"
    assert not scratch.exists()
    assert list((tmp_path / "home").iterdir()) == []
    assert {path.name[:5] for path in out.iterdir()} == {"part-", "_mani"}


@pytest.mark.skipif(os.environ.get("NIN_HEAVY") != "1", reason="two minutes; set NIN_HEAVY=1")
def test_stopped_then_killed_then_finished_on_a_cluster(default_bundle, photos, wanted, tmp_path):
    out, home = tmp_path / "answers", tmp_path / "home"
    words = (default_bundle.folder, photos, out)
    stopped = Running(home, *words)
    stopped.until(2, out)
    stopped.process.send_signal(signal.SIGINT)
    code, text, errors = stopped.end()
    assert (code, text) == (130, "")
    asked, reason = errors.splitlines()
    assert asked == "stopping after this step; Ctrl-C again to stop at once"
    assert reason.startswith("nin: stopped; ") and reason.endswith(
        " of 40 parts are finished and stay: the same command goes on"
    )
    first = parts_of(out)
    killed = Running(home, *words)
    killed.until(len(first) + 2, out)
    scratch = killed.scratch()
    killed.process.kill()
    assert killed.end(agents=True)[0] == -signal.SIGKILL
    shutil.rmtree(scratch)  # which it could not remove
    second = parts_of(out)
    assert first.items() <= second.items() and len(second) < 36
    with somebodys_cluster(tmp_path) as address:
        last = Running(home, *words, "--json", "--address", address)
        code, text, errors = last.end()
    assert (code, errors) == (0, "")
    said = json.loads(text)
    assert (said["skipped"], said["pictures"]) == (len(second), 240)
    assert second.items() <= parts_of(out).items()  # not touched
    expect_each_once(out, wanted)


def parts_of(out: Path) -> dict[str, tuple[int, int]]:
    return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in out.glob("part-*.parquet")}


@contextmanager
def somebodys_cluster(tmp_path):
    """A Ray cluster of one machine with two cores that somebody else has started, at the address that is given."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    scratch = ray_cluster.scratch_folder()
    with scratch as folder:
        words = ["start", "--head", "--block", "--port", port, "--num-cpus", 2, "--include-dashboard", "false"]
        words += ["--disable-usage-stats", "--temp-dir", f"{folder}/ray", "--object-store-memory", 100 * 2**20]
        head = psutil.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", *map(str, words)],
            env={**os.environ, "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            ends = time.monotonic() + PATIENCE
            while not any(p.name() == "raylet" for p in head.children(recursive=True)):
                assert head.poll() is None and time.monotonic() < ends
                time.sleep(0.1)
            time.sleep(2)  # until it has told the head of itself
            yield f"127.0.0.1:{port}"
        finally:
            family = [head, *head.children(recursive=True)]
            head.terminate()
            for process in psutil.wait_procs(family, timeout=15)[1]:
                with suppress(psutil.NoSuchProcess):  # it may end in this moment
                    process.kill()
            head.wait()


def test_a_cluster_that_is_not_there_is_one_line_and_nothing_is_begun(default_bundle, photos, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    began = time.monotonic()
    run = Running(tmp_path / "home", default_bundle.folder, photos, tmp_path / "answers", "--address", address)
    code, text, errors = run.end()
    assert (code, text) == (1, "")
    reason = f"there is no Ray cluster at {address} (connection refused)"
    assert errors == f"nin: {reason}; start one with ray start --head, or leave out --address\n"
    assert time.monotonic() - began < 60
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]


@contextmanager
def server(answer: bytes | None):
    """Something that listens, takes what comes and answers that; None: never."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            connection, _ = listening.accept()
            with connection:
                connection.recv(100)
                if answer is not None:
                    connection.sendall(answer)
                else:
                    done.wait()

        done = threading.Event()
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        done.set()
        thread.join()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(None, "no answer"), (b"HTTP/1.1 400 Bad Request\r\n", "what answers there is not ray"), (b"", "is not ray")],
)
def test_what_is_not_ray_is_told_within_the_deadline(answer, reason, monkeypatch):
    monkeypatch.setattr(ray_cluster, "DEADLINE", 0.5)
    with server(answer) as address, pytest.raises(NinError, match=f"no Ray cluster at {address} .*{reason}"):
        ray_cluster._expect_cluster(address)


def test_what_speaks_as_ray_does_may_be_ray():
    with server(b"\0\0\0\4\0\0\0\0\0") as address:
        assert ray_cluster._expect_cluster(address)


@pytest.mark.parametrize("address", ["ray://head:10001", "head", "head:x", "head:0", "head:99999", ":6379\x1b"])
def test_an_address_that_is_none(address):
    with pytest.raises(UsageError, match=r'^--address is ".*"; expected host:port of a Ray cluster') as refused:
        ray_cluster._expect_cluster(address)
    assert str(refused.value).isprintable()


def test_without_ray_one_line_says_what_to_install(default_bundle, photos, tmp_path):
    code = "import sys; sys.modules['ray'] = None; from nin.cli import main; sys.exit(main(sys.argv[1:]))"
    words = [sys.executable, "-c", code, "batch", default_bundle.folder, photos, tmp_path / "out"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == 'nin: this needs ray, which is not installed: pip install "network-in-network[ray]"\n'
    assert not (tmp_path / "out").exists()


def test_the_environment_is_put_back(monkeypatch):
    monkeypatch.setenv("RAY_A", "1")
    before = dict(os.environ)
    with ray_cluster._environment({"RAY_A": "2", "RAY_B": "3"}):
        assert (os.environ["RAY_A"], os.environ["RAY_B"]) == ("2", "3")
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        ("", 2, "nin batch needs MODEL: a model folder"),
        ("{model} {photos}", 2, "nin batch needs DESTINATION: a new folder or bucket prefix"),
        ("{model} {photos} out --workers 0", 2, "--workers is 0; expected 1 to 100000"),
        ("{model} {photos} out --block-size 0", 2, "--block-size is 0; expected 1 to 1000000"),
        ("nothere {photos} out", 1, "nothere does not exist; "),
        ("{model} nothere out", 1, "nothere does not exist; name a folder of pictures, a Parquet file or a bucket"),
        (
            "{model} {photos} .",
            2,
            ". holds mine.txt, which nin batch did not write; choose an empty",
        ),
        ("{model} {photos} out --address head", 2, '--address is "head"; expected host:port of a Ray cluster'),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(words, code, reason, default_bundle, photos, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    command = words.format(model=default_bundle.folder, photos=photos).split()
    done = subprocess.run(
        [sys.executable, "-m", "nin", "batch", *command], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.stderr.startswith(f"nin: {reason}")
    assert len(done.stderr.splitlines()) == code  # wrong usage: and a line of what to type
    assert (done.returncode, done.stdout) == (code, "")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
