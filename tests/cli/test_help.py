"""Help pages: documented as they are, short, and shown without loading anything heavy.

`python tests/cli/test_help.py > docs/reference/cli.md` writes the page anew.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "cli.md"
COMMANDS = (
    "train",
    "teach",
    "evaluate",
    "predict",
    "explain",
    "explore",
    "publish",
    "summary",
    "import",
    "export",
    "bench",
    "serve",
    "data check",
    "doctor",
    "demo",
    "claims",
    "reproduce",
    "batch",
    "push",
    "pull",
)
HEAD = """# The command line

Made from the program's own help pages by `python tests/cli/test_help.py > docs/reference/cli.md`; a test compares them.

Results go to standard output, everything else to standard error. The exit code is 0 when all went well, 1 when a run
failed, 2 when the command line was wrong, 3 when `--fail-under` was not reached, 130 after Ctrl-C, 143 after SIGTERM.
Colours follow `NO_COLOR` and `FORCE_COLOR`; where standard error is no terminal, or `CI` is set, lines replace the bar.
"""
TRAIN = "out epochs max-time from size width fit balance patience seed overwrite resume help help-all"
TRAIN_RARE = (
    "divide follow-links network skip-unreadable recipe lr batch-size statistics-batch weight-decay label-smoothing "
    "flip mirror holdout channels normalise device threads precision stream strict json"
)
ANYWHERE = "quiet verbose debug"
OPTIONS = {
    "evaluate": "split fail-under skip-unreadable divide follow-links json help help-all",
    "predict": "json jsonl csv top help help-all",
    "explain": "out top json help help-all",
    "explore": "port no-open lesson teach lang help",
    "publish": "examples language overwrite json help",
    "summary": "input out json help",
    "export": "format standard size out data overwrite json help",
    "bench": "data threads runtime json help",
    "import": "out labels layout key pooling pools last-relu norm-eps size mean std colours whiten overwrite json help",
    "serve": "host port public threads runtime queue max-batch max-body cors access-log help",
    "data check": "divide follow-links json help",
    "doctor": "json help",
    "demo": "out overwrite json help",
    "claims": "lang html seeds json help",
    "reproduce": "data show protocol seeds strict only out resume json help",
    "batch": "scores address workers threads runtime column block-size overwrite json help",
    "push": "message private overwrite json help",
    "pull": "revision overwrite json help",
}


def help_page(command: str, everything: bool = False) -> str:
    from nin.cli.app import app
    from nin.cli.help import page

    return page(app, command.split(), everything=everything)


def reference() -> str:
    parts = [HEAD, "## nin", "", f"```text\n{help_page('')}```", ""]
    for command in COMMANDS:
        if command == "train":
            parts += ["## nin train --help", "", f"```text\n{help_page(command)}```", ""]
            parts += ["## nin train --help-all", "", f"```text\n{help_page(command, everything=True)}```", ""]
            continue
        parts += [f"## nin {command}", "", f"```text\n{help_page(command, everything=True)}```", ""]
    return "\n".join(parts).rstrip() + "\n"


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")


def options(page: str) -> list[str]:
    """The long names in the first column of a page."""
    return re.findall(r"^  (?:-\w, )?--([a-z-]+)", page, re.MULTILINE)


def test_the_reference_is_what_the_program_says():
    assert PAGE.read_text() == reference(), "run: python tests/cli/test_help.py > docs/reference/cli.md"


def test_train_shows_its_usual_options_and_help_all_the_rest():
    assert sorted(options(help_page("train"))) == sorted(TRAIN.split())
    assert len(TRAIN.split()) < 15
    everything = f"{TRAIN} {TRAIN_RARE} {ANYWHERE}"
    assert sorted(options(help_page("train", everything=True))) == sorted(everything.split())


@pytest.mark.parametrize("command", OPTIONS)
def test_options_are_these(command):
    assert sorted(options(help_page(command))) == sorted(OPTIONS[command].split())


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_a_page_fits_a_screen_and_gives_two_examples(command):
    page = help_page(command)
    lines = page.splitlines()
    assert len(lines) <= (35 if command else 43)  # the first page lists the commands
    assert max(map(len, lines)) <= 80
    assert page.isascii()
    examples = page.partition("Examples\n")[2].partition("\n\n")[0].splitlines()
    assert len(examples) >= 2
    assert all(line.startswith("  nin ") for line in examples)


def test_every_train_option_of_the_interface_is_there_with_its_docstring():
    from dataclasses import fields

    from nin.run.options import TrainOptions

    shown = options(help_page("train", everything=True))
    assert {f.name.strip("_").replace("_", "-") for f in fields(TrainOptions)} <= set(shown)
    assert "Passes over the training pictures." in help_page("train")


def test_help_comes_however_it_is_asked_for(nin):
    asked = [
        nin("train", "--help"),
        nin("train", "-h"),
        nin("--help", "train"),
        nin("train", "photos", "-h", "--size", "x"),
    ]
    assert {(a.code, a.err) for a in asked} == {(0, "")}
    assert {a.out for a in asked} == {help_page("train")}
    assert nin("eval", "-h").out == nin("val", "-h").out == help_page("evaluate")
    assert nin().out == nin("-h").out == help_page("")


def test_help_and_version_load_nothing_heavy(nin):
    heavy = ("torch", "numpy", "matplotlib", "PIL", "sklearn", "safetensors", "rich.progress")
    code = (
        "import sys; from nin.cli import main; codes = [main(w.split()) for w in sys.argv[1:]];"
        f"print(codes, [m for m in {heavy!r} if m in sys.modules])"
    )
    words = ["--version", "-h", "train -h", "train --help-all", "predict -h", "trian", "train --epochs ten"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, env=nin.environment())
    assert done.stdout.splitlines()[-1] == "[0, 0, 0, 0, 0, 2, 2] []"


def test_a_narrow_or_wide_terminal_is_no_trouble(monkeypatch):
    for columns, most in (("1", 60), ("70", 70), ("500", 100)):
        monkeypatch.setenv("COLUMNS", columns)
        widest = max(map(len, help_page("train", everything=True).splitlines()))
        assert widest <= most


def test_completion_is_installed_for_the_asked_shell(nin):
    outcome = nin("--install-completion", "--shell", "bash")
    assert outcome.code == 0
    script = Path(outcome.out.strip())
    assert subprocess.run(["bash", "-n", script], capture_output=True).returncode == 0
    text = script.read_text()
    assert "--max-time" in text
    assert "--screen" not in text


def test_version(nin):
    import nin as package

    outcome = nin("--version")
    assert (outcome.code, outcome.out, outcome.err) == (0, f"nin {package.__version__}\n", "")


def test_headings_are_bold_only_where_colours_are(nin):
    assert "\x1b" not in nin("-h").out
    assert nin("-h", FORCE_COLOR="1").out.startswith("\x1b[1mUsage:\x1b[0m nin")
    assert "\x1b" not in nin("-h", FORCE_COLOR="1", NO_COLOR="1").out


if __name__ == "__main__":
    os.environ.update(COLUMNS="80", NO_COLOR="1")
    sys.stdout.write(reference())
