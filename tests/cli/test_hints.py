"""Whatever a command advises can be done with that command; what comes "next" is run as it stands."""

import ast
import inspect
import itertools
import json
import shlex
import shutil
import subprocess
import sys
import urllib.request
from dataclasses import fields
from pathlib import Path

import pytest
from hints import OPTION, OTHERS, commands, unusable
from nin_program import QUICK, save_picture

import nin
from journeys import journey
from nin.errors import NinError
from nin.run import options as choices
from nin.run.run_folder import quote
from nin.teaching.teach_options import TeachOptions

SOURCE = Path(nin.__file__).parent
READ = "train, evaluate, data check"  # where Reading.offered is set
SAID_BY = {
    "data/check.py": "data check",
    "data/formats/columns.py": READ,
    "data/formats/folders.py": READ,
    "data/formats/layout.py": READ,
    "data/formats/table_paths.py": READ,
    "bulk/job.py": "batch",
    "bulk/ray_cluster.py": "batch",
    "bulk/listing.py": "batch",
    "server/lifetime.py": "serve",
    "importers/torch_layouts.py": "import",
    "importers/ports.py": "import",
    "training/distributed.py": "train",
    "training/hardware.py": "train, evaluate, predict, explain",
    "training/loop.py": "train",
    "training/state.py": "train",
    "report/page.py": "train",
    "report/picture_sections.py": "train",
    "run/budget.py": "train",
    "commands/doctor.py": "doctor",
    "commands/summary.py": "summary",
    "commands/proof.py": "export",
    "importers/translate.py": "import",
    "commands/evaluate.py": "evaluate",
    "run/plan.py": "train",
    "paper/rows.py": "reproduce",
    "paper/tables.py": "reproduce",
    "run/restart.py": "train",
    "run/run_folder.py": "train, demo, teach",
    "run/train.py": "train",
    "teaching/teach.py": "teach",
    "teaching/trunk.py": "teach",
    "importers/import_model.py": "import",
    "server/serve.py": "serve",
    "run/course.py": "train",
    "run/transfer.py": "train",
    "explorer/explore.py": "explore",
    "explorer/pictures.py": "publish",
    "explorer/publish.py": "publish",
}  # a file that names options -> every command that can print its words; all others serve many and name none
FUNCTIONS = {
    "bundle/hub.py": {"_expect_room": "push, pull", "_send": "push", "_present": "push"},
    "data/images.py": {"skippable": "train, evaluate"},
    "data/reading.py": {"Reading": READ},
    "run/network_file.py": {
        "read_network": "train, summary",
        "_expect_file": "train, summary",
        "write_network": "summary",
    },
    "run/which_network.py": {"find_network": "train", "_suits": "train"},
    "run/options.py": {
        "TrainOptions": "train",
        "ImportOptions": "import",
        "ExportOptions": "export",
        "ServeOptions": "serve",
        "seconds": "train",
    },
}  # files of several commands, by function or class


def texts(node: ast.AST) -> list[str]:
    """The strings of a piece of source that are no docstrings; what is filled in stands as {...}."""
    plain = {id(n.value) for n in ast.walk(node) if isinstance(n, ast.Expr)}
    whole = [n for n in ast.walk(node) if isinstance(n, ast.JoinedStr) and id(n) not in plain]
    inside = {id(part) for joined in whole for part in joined.values}
    words = ["".join(str(p.value) if isinstance(p, ast.Constant) else "{...}" for p in n.values) for n in whole]
    alone = [n for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return words + [n.value for n in alone if id(n) not in plain | inside]


def hints() -> dict[tuple[str, str], list[str]]:
    """(file, function or class at its top) -> the strings there that name options."""
    found: dict[tuple[str, str], list[str]] = {}
    for path in SOURCE.rglob("*.py"):
        name = path.relative_to(SOURCE).as_posix()
        if name.startswith("cli/"):
            continue  # its options are its own words; what it prints is judged where the program runs
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            told = [text for text in texts(node) if OPTION.search(OTHERS.sub("", text))]
            if told and not (isinstance(node, ast.Assign) and name == "errors.py"):
                found.setdefault((name, getattr(node, "name", "")), []).extend(told)
    return found


def test_every_option_in_a_message_is_one_of_the_commands_that_print_it():
    wrong, used = [], set()
    for (file, function), told in hints().items():
        said_by = FUNCTIONS.get(file, {}).get(function) or SAID_BY.get(file)
        used.add((file, function) if function in FUNCTIONS.get(file, {}) else file)
        if said_by is None:
            wrong.append(f"{file} {function} names an option and is not said whose: {told}")
            continue
        wrong += [
            f"{file}: {each}: {text}" for name in said_by.split(", ") for text in told for each in unusable(name, text)
        ]
    assert wrong == []
    assert set(SAID_BY) <= used and len(used) > 20  # no line of the tables is idle


def test_what_judges_hints_bites():
    assert unusable("bench", "a.png is cut; remove it or pass --skip-unreadable") == ["--skip-unreadable of bench"]
    assert unusable("evaluate", "remove it or pass --skip-unreadable") == []
    assert unusable("data check", "leave it out: nin train PATH --skip-unreadable; or --size") == [
        "--size of data check"
    ]
    assert unusable("predict", "go on: nin train --resume x --nothere") == ["--nothere of train"]
    assert unusable("doctor", "nin doctor has no option --data", typed="doctor --data") == []
    assert {"train", "data check", "batch", "import"} <= set(commands())


def test_every_option_in_a_message_has_its_name_in_python():
    named = {
        field.name
        for kind in ("Train", "Import", "Export", "Serve", "Batch", "Reproduce")
        for field in fields(getattr(choices, f"{kind}Options"))
    }
    named |= {field.name for field in fields(TeachOptions)}
    with_options = ("evaluate", "push", "bench", "reproduce", "summary", "publish", "explore")
    functions = [journey(name) for name in with_options]
    named |= {name for function in functions for name in inspect.signature(function).parameters}
    told = [note for text in itertools.chain(*hints().values()) for note in getattr(NinError(text), "__notes__", [])]
    words = {each.split(" is ")[1] for note in told for each in note.removeprefix("In Python: ").split(", ")}
    assert words - named == {"nin.resume"}
    assert "skip_unreadable" in words and callable(nin.resume)


def test_from_python_a_hint_names_the_argument(nin, photos):
    (nin.folder / "photos" / "dog" / "0.png").write_bytes(b"no picture")
    code = "import nin; nin.train('photos', out='run')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=nin.folder, env=nin.environment(), capture_output=True, text=True, timeout=300
    )
    *_, error, note = done.stderr.strip().splitlines()
    assert error.endswith(("; remove them or pass --skip-unreadable", "; remove it or pass --skip-unreadable"))
    assert note == "In Python: --skip-unreadable is skip_unreadable"


@pytest.mark.parametrize("words", ["bench model --data photos", "explain model photos", "evaluate model photos"])
def test_leaving_out_is_advised_where_it_can_be_done(words, nin, model, photos):
    (nin.folder / "photos" / "dog" / "0.png").write_bytes(b"no picture")
    outcome = nin(*words.split())
    assert outcome.code == 1
    line = outcome.err.splitlines()[-1]
    assert ("--skip-unreadable" in line) is words.startswith("evaluate")
    assert line.endswith(
        ("; remove it", "; remove them", "; give another picture", "; remove them or pass --skip-unreadable")
    )


def test_a_finished_run_is_not_gone_on_with(nin, photos):
    run = nin.folder / "runs" / "photos"
    run.mkdir(parents=True)
    (run / "args.yaml").write_text("data: photos\n")
    (run / "checkpoint-1.safetensors").touch()
    begun = nin("train", "photos").err.splitlines()[0]
    (run / "summary.json").write_text("{}")
    finished = nin("train", "photos").err.splitlines()[0]
    ways = "choose another --out, or replace it with --overwrite"
    assert begun == f"nin: runs/photos is not empty; go on with it: nin train --resume runs/photos; or {ways}"
    further = "train its network further: nin train photos --from runs/photos --out runs/photos-more"
    assert finished == f"nin: runs/photos holds a finished run; {further}; or {ways}"


AWKWARD = (
    "a b",
    "-x",
    "--out",
    "it's",
    "$HOME",
    "`id`",
    '"q"',
    "a\nb",
    "a\tb",
    "\\n",
    "\\",
    "사진",
    "*",
    "~",
    "e\u0301",
    "a\u200db",
    "#1",
    "!x",
    "a;b",
)


@pytest.mark.parametrize("name", AWKWARD)
@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_reads_a_quoted_path_as_it_was(name, shell):
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    done = subprocess.run([shell, "-c", f"printf '%s/' {quote(name)}"], capture_output=True, check=True)
    assert done.stdout.decode() == f"{'./' * name.startswith('-')}{name}/"
    assert quote(name).isprintable()


def look_and_close(line: str, folder: Path, environment: dict[str, str]) -> None:
    """What a browser does with `nin explore`: it asks for the page and, at the end, says goodbye."""
    with subprocess.Popen(["bash", "-c", line], cwd=folder, env=environment, stdout=subprocess.PIPE) as process:
        url = process.stdout.readline().decode().strip()
        with urllib.request.urlopen(f"{url}page.json", timeout=20) as reply:
            site = json.load(reply)
        assert len(site["models"][0]["examples"]) == 2  # the run held out one of each class
        with urllib.request.urlopen(url.rstrip("/") + site["goodbye"], b"", timeout=20) as reply:
            assert reply.status == 204
        assert process.wait(20) == 0


def test_what_comes_next_is_run_as_printed(nin):
    """A folder and a run with spaces, signs and letters that a shell takes for its own."""
    for number, label in enumerate(("개 it's", "-dog")):
        for index in range(8):
            save_picture(nin.folder / "내 $사진" / label / f"-{index} &.png", 100 * number + index)
    done = nin("train", "내 $사진", "--out=-r 1", "--epochs", "1", "--size", "16", *QUICK)
    assert done.code == 0, done.err
    lines = done.err.splitlines()
    printed = [line.strip() for line in lines[lines.index("next:") + 1 : lines.index("the model:")]]
    assert [shlex.split(line)[1] for line in printed] == ["predict", "explain", "explore", "evaluate"]
    program = nin.folder.parent / "bin" / "nin"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m nin "$@"\n')
    program.chmod(0o755)
    environment = nin.environment(PATH=f"{program.parent}:/usr/bin:/bin", BROWSER="true")
    for line in printed:
        if line.startswith("nin explore "):
            look_and_close(line, nin.folder, environment)
            continue
        run = subprocess.run(["bash", "-c", line], cwd=nin.folder, env=environment, capture_output=True, timeout=300)
        assert run.returncode == 0, (line, run.stderr.decode())
