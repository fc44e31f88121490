"""Plants one bug at a time in a copy of the tree and says whether the tests that are to notice it do.

    python tests/planted/plant.py              # every bug of bugs.toml, going on where an earlier call was stopped
    python tests/planted/plant.py NAME ...     # these, whatever was found before

The tree itself is never changed. A bug is "noticed" when a named test fails; first the same tests must pass without it.
Each bug has a process of its own, forked from one that has imported the packages beneath ours, which take the longest.
What was found is kept in build/planted.json for as long as bug, file and tests stay what they are.
"""

import hashlib
import importlib
import json
import os
import shutil
import sys
import tempfile
import time
import tomllib
import traceback
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUGS = ROOT / "tests" / "planted" / "bugs.toml"
FOUND = ROOT / "build" / "planted.json"
COPIED = ("src", "tests", "docs", "web/src", "README.md", "pyproject.toml", "constraints.txt", "Makefile")
BENEATH = ("pytest", "numpy", "torch", "PIL.Image", "hypothesis")
LONGEST = 1_200  # seconds that the tests of one bug may take
OTHER_TIME = 60  # seconds by which a planted file is newer, so that no compiled one is taken for it


@dataclass(frozen=True)
class Bug:
    """One bug: in `file`, `text`, which occurs there once, becomes `becomes`; `tests` must notice."""

    name: str
    file: str
    text: str
    becomes: str
    why: str
    tests: tuple[str, ...]

    def planted(self, source: str) -> str:
        """The file's text with the bug in it; ValueError unless `text` occurs exactly once."""
        if (count := source.count(self.text)) != 1:
            raise ValueError(f"{self.name}: its text occurs {count} times in {self.file}; bring tests/planted up to it")
        return source.replace(self.text, self.becomes)

    def key(self) -> str:
        """A digest of the bug, the file it is planted in, and the tests that are to notice it."""
        files = {self.file, *(test.partition("::")[0] for test in self.tests)}
        parts = [json.dumps(asdict(self)), *((ROOT / file).read_text(encoding="utf-8") for file in sorted(files))]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def read_bugs() -> list[Bug]:
    """Every bug of bugs.toml, in its order."""
    tables = tomllib.loads(BUGS.read_text(encoding="utf-8"))["bug"]
    return [Bug(**{**table, "tests": tuple(table["tests"])}) for table in tables]


def copy_tree(place: Path) -> None:
    """What tests need of the tree, without what was compiled."""
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc", "node_modules", "dist")
    for name in COPIED:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, place / name, ignore=ignored)
        else:
            shutil.copy2(ROOT / name, place / name)


def run_tests(place: Path, tests: Iterable[str]) -> tuple[int, str]:
    """pytest's exit status for these tests of the tree at `place`, in a process of its own, and what it printed."""
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if child == 0:
            code = 99
            try:
                code = _pytest(place, list(tests), output.fileno())
            except BaseException:  # noqa: BLE001  the child never returns into what the parent does
                os.write(output.fileno(), traceback.format_exc().encode())
            finally:
                os._exit(code)
        end = time.monotonic() + LONGEST
        while not (done := os.waitpid(child, os.WNOHANG))[0]:
            if time.monotonic() > end:
                os.killpg(child, 9)
                os.waitpid(child, 0)
                return -1, f"no end within {LONGEST} s"
            time.sleep(0.02)
        output.seek(0)
        return os.waitstatus_to_exitcode(done[1]), output.read().decode(errors="replace")


def _pytest(place: Path, tests: list[str], output: int) -> int:
    """Run the tests in this process, which is the child's."""
    import pytest

    os.setpgid(0, 0)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.chdir(place)
    os.environ["PYTHONPATH"] = str(place / "src")
    sys.path[:0] = [str(place / "src")]
    spec = importlib.util.find_spec("nin")
    if spec is None or not str(spec.origin).startswith(str(place)):
        return 98  # another nin would be tested
    code = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", f"--rootdir={place}", *tests]))
    sys.stdout.flush()
    return code


def verdict(bug: Bug, place: Path) -> tuple[str, str]:
    """What the tests say of one bug, and the end of what they printed; the copy is as before afterwards."""
    path = place / bug.file
    before = path.stat()
    sound = path.read_text(encoding="utf-8")
    path.write_text(bug.planted(sound), encoding="utf-8")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + OTHER_TIME * 10**9))
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    try:
        code, said = run_tests(place, bug.tests)
    finally:
        path.write_text(sound, encoding="utf-8")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    words = {0: "survived", 1: "noticed", -1: "no end"}
    return words.get(code, f"no verdict (pytest ended with {code})"), said


def main(names: list[str]) -> int:
    """Plant what is asked for; 0 where every bug was noticed."""
    bugs = read_bugs()
    if unknown := set(names) - {bug.name for bug in bugs}:
        print(f"no bug is called {', '.join(sorted(unknown))}")
        return 2
    found = json.loads(FOUND.read_text(encoding="utf-8")) if FOUND.is_file() else {}
    due = [bug for bug in bugs if bug.name in names or (not names and found.get(bug.name) != noticed(bug))]
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for name in BENEATH if due else ():
        importlib.import_module(name)
    with tempfile.TemporaryDirectory(prefix="nin-planted-") as folder:
        place = Path(folder).resolve()
        copy_tree(place)
        for bug in due:
            if not _sound(bug, place, found):
                return 1
            start = time.monotonic()
            said, output = verdict(bug, place)
            found[bug.name] = {**noticed(bug), "verdict": said}
            _keep(found)
            print(f"{bug.name}: {said} ({time.monotonic() - start:.1f} s)", flush=True)
            if said != "noticed":
                print(output[-3000:], flush=True)
    return table(bugs, found)


def noticed(bug: Bug) -> dict[str, str]:
    """What is kept of a bug that was noticed: it need not be planted again."""
    return {"key": bug.key(), "verdict": "noticed"}


def _sound(bug: Bug, place: Path, found: dict[str, dict[str, str]]) -> bool:
    """Whether the tests of a bug pass without it; each is asked once for as long as package and test stay the same."""
    passed = found.setdefault("sound", {})
    keys = {test: sound_key(test.partition("::")[0]) for test in bug.tests}
    due = [test for test, key in keys.items() if passed.get(test) != key]
    if not due:
        return True
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    code, output = run_tests(place, due)
    if code:
        print(f"{bug.name}: its tests do not pass without it (pytest ended with {code})\n{output[-3000:]}")
        return False
    passed.update({test: keys[test] for test in due})
    _keep(found)
    return True


@cache
def sound_key(test: str) -> str:
    """A digest of the package's modules and a file of tests: while it stays, what passed need not pass again."""
    digest = hashlib.sha256((ROOT / test).read_bytes())
    for path in sorted((ROOT / "src" / "nin").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _keep(found: dict[str, dict[str, str]]) -> None:
    FOUND.parent.mkdir(exist_ok=True)
    fresh = FOUND.with_suffix(".new")
    fresh.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    fresh.replace(FOUND)


def table(bugs: list[Bug], found: dict[str, dict[str, str]]) -> int:
    """Print every bug with its verdict; 0 where all were noticed."""
    width = max(len(bug.name) for bug in bugs)
    rows = [(bug, found.get(bug.name, {}).get("verdict", "not planted yet")) for bug in bugs]
    for bug, said in rows:
        print(f"{bug.name:{width}}  {said:10}  {bug.file}")
    noticed = sum(said == "noticed" for _, said in rows)
    print(f"{noticed} of {len(bugs)} planted bugs were noticed")
    return int(noticed < len(bugs))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
