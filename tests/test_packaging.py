"""What is installed: the wheel and the source archive hold what they should and nothing else, and the wheel works
in an environment that has nothing but it and what it asks for."""

import fcntl
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import urllib.request
import zipfile
from email import message_from_bytes
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nin

ROOT = Path(__file__).resolve().parents[1]
NAME = f"network_in_network-{nin.__version__}"
CONTENTS = (  # of the package, as regular expressions; whatever is new and no module has to be named here
    r"nin/(\w+/)*\w+\.py",
    r"nin/py\.typed",
    r"nin/report/(page\.css|korean\.toml)",
    r"nin/paper/recorded\.json",
    r"nin/server/docs\.html",
    r"nin/claims/claims\.toml",
    r"nin/explorer/(page\.html|korean\.json)",
    r"nin/explorer/examples/[\w-]+/(\d+\.(png|jpg)|credits\.json)",
    r"nin/weights/[\w-]+/(config\.json|(model|likeness)\.safetensors|labels\.txt|README\.md|training\.csv)",
)
ABOUT = {f"{NAME}.dist-info/{name}" for name in ["METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"]}
BESIDE = {"PKG-INFO", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "pyproject.toml", ".gitignore"}
MOST_WHEEL, MOST_INSTALLED = 10e6, 200e6  # bytes
NO_INDEX = ("Failed to establish a new connection", "Name or service not known", "Temporary failure in name resolution")


def package_files() -> set[str]:
    """Every file of the sources, by its name in the wheel."""
    found = (path for path in (ROOT / "src" / "nin").rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(ROOT / "src").as_posix() for path in found}


def build(kind: str, source: Path, out: Path) -> Path:
    """Build as a front end would, without a network: hatchling is in the development environment."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(out)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (built,) = out.iterdir()
    return built


def shared_by_all_workers(tmp_path_factory, name: str, make) -> Path:
    """The folder `name`, made by the first process of the test run that comes by."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder, failed = base / name, base / f"{name}.failed"
        if failed.exists():
            pytest.skip(failed.read_text())
        if not (folder / "made").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            reason = make(folder)
            if reason:
                failed.write_text(reason)
                pytest.skip(reason)
            (folder / "made").touch()
    return folder


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Path:
    """dist/ with the wheel, sdist/ with the source archive, again/ with the wheel made from that."""

    def make(folder: Path) -> None:
        build("wheel", ROOT, folder / "dist")
        archive = build("sdist", ROOT, folder / "sdist")
        with tarfile.open(archive) as tar:
            tar.extractall(folder / "unpacked", filter="data")
        build("wheel", folder / "unpacked" / NAME, folder / "again")

    return shared_by_all_workers(tmp_path_factory, "built", make)


@pytest.fixture(scope="session")
def wheel(built) -> Path:
    return built / "dist" / f"{NAME}-py3-none-any.whl"


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        assert archive.testzip() is None
    assert names >= ABOUT
    assert names - ABOUT == package_files()
    strange = [name for name in names - ABOUT if not any(re.fullmatch(rule, name) for rule in CONTENTS)]
    assert strange == []
    used = [rule for rule in CONTENTS if any(re.fullmatch(rule, name) for name in names)]
    assert used == list(CONTENTS)
    assert wheel.stat().st_size < MOST_WHEEL
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.2f} MB, {len(names)} files")


def test_the_source_archive_is_complete_and_gives_the_same_wheel(built, wheel):
    with tarfile.open(built / "sdist" / f"{NAME}.tar.gz") as archive:
        names = {member.name.removeprefix(f"{NAME}/") for member in archive.getmembers() if member.isfile()}
        assert all(member.isfile() or member.isdir() for member in archive.getmembers())
    assert names == BESIDE | {f"src/{name}" for name in package_files()}
    again = built / "again" / wheel.name
    assert hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(wheel.read_bytes()).digest()


def test_what_the_wheel_says_of_itself(wheel):
    with zipfile.ZipFile(wheel) as archive:
        about = message_from_bytes(archive.read(f"{NAME}.dist-info/METADATA"))
        scripts = archive.read(f"{NAME}.dist-info/entry_points.txt").decode()
        licence = archive.read(f"{NAME}.dist-info/licenses/LICENSE").decode()
    assert (about["Name"], about["Version"]) == ("network-in-network", nin.__version__)
    assert (about["License-Expression"], about["Requires-Python"]) == ("Apache-2.0", ">=3.11")
    assert "Apache License" in licence and "Version 2.0" in licence
    assert about["Description-Content-Type"] == "text/markdown" and "# nin" in about.get_payload()
    assert "nin = nin.cli:main" in scripts
    asked = about.get_all("Requires-Dist")
    core = {re.split(r"[^\w-]", line)[0].lower() for line in asked if "extra ==" not in line}
    assert not core & {"torch", "torchvision", "matplotlib", "scikit-learn", "scipy", "onnx", "huggingface-hub"}
    assert {"train", "hub", "all"} <= set(about.get_all("Provides-Extra"))
    assert not [line for line in asked if "torchvision" in line or "==" in re.sub(r"extra == .*", "", line)]


@pytest.fixture(scope="session")
def venv(tmp_path_factory, wheel) -> Path:
    """An environment with nothing but the wheel and what it asks for, at the versions of constraints.txt."""

    def make(folder: Path) -> str | None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True, timeout=120)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(folder / "venv/bin/python")]
        words = ["install", "--quiet", "-c", str(ROOT / "constraints.txt"), str(wheel)]
        ours = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # would count as installed
        done = subprocess.run([*pip, *words], env=ours, capture_output=True, text=True, timeout=600)
        if any(words in done.stderr for words in NO_INDEX):
            return "the package index cannot be reached"
        assert done.returncode == 0, done.stderr
        return None

    return shared_by_all_workers(tmp_path_factory, "empty", make) / "venv"


def environment(venv: Path, folder: Path) -> dict[str, str]:
    """Environment variables that know nothing but the installation and a home of its own."""
    return {"PATH": f"{venv}/bin:/usr/bin:/bin", "HOME": str(folder / "home"), "LANG": "C.UTF-8", "COLUMNS": "80"}


@pytest.fixture
def installed(venv, tmp_path):
    """The installed program in a folder with photos, in an environment that has nothing of ours."""
    rng = np.random.default_rng(0)
    (tmp_path / "home").mkdir()
    for name in ("cat/picture.jpg", "cat/other.jpg", "dog/picture.jpg", "dog/other.jpg"):
        picture = tmp_path / "here" / "photos" / name
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 30, 3), np.uint8)).save(picture)
    clean = environment(venv, tmp_path)

    def program(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words,
            cwd=tmp_path / "here",
            env=clean,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=120,
        )

    return program


def test_the_program_runs_where_nothing_else_is(installed):
    version, page = installed("nin", "--version"), installed("nin", "--help")
    assert (version.returncode, version.stdout, version.stderr) == (0, f"nin {nin.__version__}\n", "")
    assert (page.returncode, page.stderr) == (0, "") and "predict" in page.stdout
    assert installed("python", "-m", "nin", "--version").stdout == version.stdout
    found = installed("python", "-c", "import nin, sys; print(nin.__file__, *nin.shipped(), 'torch' in sys.modules)")
    path, *names, torch = found.stdout.split()
    assert "site-packages" in path and not path.startswith(str(ROOT)) and torch == "False"
    assert names == list(nin.shipped())


def test_doctor_and_a_check_of_pictures_need_no_more(installed):
    doctor = installed("nin", "doctor", "--json")
    assert (doctor.returncode, doctor.stderr) == (0, "")
    found = {finding["name"]: finding for finding in json.loads(doctor.stdout)}
    assert found["nin"]["value"] == nin.__version__ and found["numpy"]["ok"]
    checked = installed("nin", "data", "check", "photos", "--json")
    assert (checked.returncode, checked.stderr) == (0, "")


def test_what_is_missing_is_said_in_one_line(installed):
    done = installed("nin", "train", "photos")
    assert (done.returncode, done.stdout) == (2, "")
    assert 'pip install "network-in-network[train]"' in done.stderr.splitlines()[0]
    hub = installed("nin", "pull", "me/animals")
    assert hub.returncode == 2 and 'pip install "network-in-network[hub]"' in hub.stderr.splitlines()[0]


def test_shipped_models_can_be_handed_on(installed):
    sent = installed("nin", "push", "nin-cifar10", "./store/cifar")
    assert (sent.returncode, sent.stdout) == (0, "store/cifar\n")
    got = installed("nin", "pull", "./store/cifar", "mine", "--json")
    assert json.loads(got.stdout)["place"] == "mine"


def test_predicting_needs_no_torch(installed):
    done = installed("nin", "predict", "nin-cifar10", "photos/cat/picture.jpg", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    (answer,) = json.loads(done.stdout)
    assert len(answer["predictions"]) == 3 and answer["predictions"][0]["score"] <= 1


def test_explaining_needs_no_torch(installed, tmp_path):
    done = installed("nin", "explain", "nin-cifar10", "photos/cat/picture.jpg", "--out", "seen")
    assert (done.returncode, done.stdout) == (0, "seen/picture.png\n")
    with Image.open(tmp_path / "here/seen/picture.png") as drawn:
        assert drawn.width > 600


def test_a_page_is_published_without_torch(installed, tmp_path):
    done = installed("nin", "publish", "nin-mnist", "page.html")
    assert (done.returncode, done.stdout) == (0, "page.html\n"), done.stderr
    page = (tmp_path / "here/page.html").read_text(encoding="utf-8")
    assert (
        'data-path="models/nin-mnist/model.safetensors"' in page
        and 'data-path="models/nin-mnist/examples/0.png"' in page
    )


def test_serving_needs_no_torch(venv, installed, tmp_path):
    words, where = ("nin", "serve", "nin-cifar10", "--port", "0"), {"cwd": tmp_path / "here", "text": True}
    with subprocess.Popen(
        words, **where, env=environment(venv, tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as server:
        try:
            address = server.stdout.readline().strip()  # once it listens
            assert address.startswith("http://127.0.0.1:"), server.stderr.read()
            picture = (tmp_path / "here/photos/cat/picture.jpg").read_bytes()
            answers = {}
            for route in ("/predict", "/explain"):
                asked = urllib.request.Request(address + route, picture, {"Content-Type": "image/jpeg"})
                with urllib.request.urlopen(asked, timeout=60) as answer:
                    answers[route] = answer.read()
            labels = (nin.load("nin-cifar10")).classes
            assert {found["label"] for found in json.loads(answers["/predict"])} <= set(labels)
            with Image.open(io.BytesIO(answers["/explain"])) as maps:
                assert maps.format == "PNG" and maps.width > 600
        finally:
            server.terminate()
        assert server.wait(60) == 0


def test_the_installation_is_small(venv, installed):
    packages = venv / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    files = [(path, path.lstat().st_blocks * 512) for path in venv.rglob("*") if not path.is_dir()]
    size = sum(taken for path, taken in files if path.suffix != ".pyc")
    compiled = sum(taken for path, taken in files if path.suffix == ".pyc")  # the interpreter's own, made when it likes
    found = sorted(path.name.split("-")[0] for path in packages.glob("*.dist-info"))
    print(f"installed: {size / 1e6:.0f} MB, with bytecode {(size + compiled) / 1e6:.0f} MB: {', '.join(found)}")
    assert "torch" not in found
    assert size <= MOST_INSTALLED
