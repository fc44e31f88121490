"""Odd surroundings: Windows, a locale without letters, no home, no user, no folder, nobody who reads."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from nin_program import QUICK, save_picture

WINDOWS = """
import os, sys
sys.modules["fcntl"] = None
sys.platform, os.name = "win32", "nt"
"""
LINE = "nin runs on Linux and macOS; on Windows use it inside WSL: https://learn.microsoft.com/windows/wsl"


def elsewhere(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Python as on Windows: no fcntl, and the platform's names."""
    (folder / "windows").mkdir()
    (folder / "windows" / "sitecustomize.py").write_text(WINDOWS)
    source = Path(__file__).parents[2] / "src"
    environment = {**os.environ, "PYTHONPATH": f"{folder / 'windows'}{os.pathsep}{source}", **variables}
    return subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, timeout=100)


@pytest.mark.parametrize("words", [("-m", "nin"), ("-m", "nin", "train", "photos"), ("nin", "--version"), ("nin",)])
def test_the_program_says_one_line_on_windows(words, tmp_path):
    if words[0] == "nin":  # what an installer makes of the entry point
        script = tmp_path / "nin"
        script.write_text("import sys\nfrom nin.cli import main\nsys.exit(main())\n")
        words = (str(script), *words[1:])
    done = elsewhere(tmp_path, *words)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"nin: {LINE}\n")


@pytest.mark.parametrize(
    "code", ["import nin", "from nin import train", "import nin.artifacts", "import nin.bundle.folder"]
)
def test_python_says_one_line_on_windows(code, tmp_path):
    done = elsewhere(tmp_path, "-c", code)
    assert (done.returncode, done.stdout, done.stderr.splitlines()[-1]) == (1, "", f"ImportError: {LINE}")
    assert "fcntl" not in done.stderr.splitlines()[-1]
    caught = subprocess.run(
        [sys.executable, "-c", f"try:\n {code}\nexcept ImportError as error: print(error)"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path / 'windows'}{os.pathsep}{Path(__file__).parents[2] / 'src'}"},
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert (caught.returncode, caught.stdout) == (0, f"{LINE}\n")


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def test_a_locale_without_letters_reads_and_shows_korean_names(nin, model, photos):
    picture = next((photos / "고양이").iterdir())
    outcome = nin("predict", "model", f"photos/고양이/{picture.name}", **ASCII)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"photos/고양이/{picture.name}: 고양이 0.750, dog 0.250")
    outcome = nin("evaluate", "model", "photos", **ASCII)
    assert outcome.code == 0 and "고양이" in outcome.out, outcome.err


NO_HOME = {
    "HOME": "/proc/nothere",
    "XDG_CACHE_HOME": "/proc/cache",
    "MPLCONFIGDIR": "/proc/matplotlib",
    "TMPDIR": "/nothere",
}


def test_a_run_is_whole_and_quiet_without_a_place_of_its_own(nin, photos):
    done = nin("train", "photos", "--epochs", "1", "--size", "16", *QUICK, TERM="dumb", COLUMNS="1", **NO_HOME)
    assert done.code == 0, done.err
    assert (nin.folder / "runs" / "photos" / "report.html").is_file()
    assert (nin.folder / "runs" / "photos" / "results.png").is_file()
    for word in ("atplotlib", "MPLCONFIGDIR", "font", "Traceback", "Warning"):
        assert word not in done.err


@pytest.mark.parametrize("words", [("predict", "model", "photos"), ("explain", "model", "photos"), ("doctor",)])
def test_in_a_folder_that_is_gone_there_is_one_line(words, nin, model):
    save_picture(nin.folder / "photos" / "a.png", 1)
    gone = nin.folder / "gone"
    gone.mkdir()
    places = [str(nin.folder / word) if (nin.folder / word).exists() else word for word in words]
    code = f"import os, sys; os.rmdir({str(gone)!r}); from nin.cli import main; sys.exit(main({places!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=gone, env=nin.environment(), capture_output=True, text=True, timeout=100
    )
    assert "unexpected" not in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert done.returncode in (0, 1, 2) and (done.returncode == 0 or len(done.stderr.splitlines()) <= 2)
