"""The program: registers its commands, parses a command line and runs it."""

from collections.abc import Sequence
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Parameter

from nin.cli.checks import DATA_CHECK, DOCTOR
from nin.cli.help import page
from nin.cli.mistakes import STDIN, command_of, mistake, settings, unknown_variables
from nin.cli.models import EXPORT, IMPORT, PULL, PUSH, SUMMARY
from nin.cli.pages import EXPLORE, PUBLISH
from nin.cli.paper_claims import CLAIMS, REPRODUCE
from nin.cli.parameters import Output
from nin.cli.questions import BENCH, EVALUATE, EXPLAIN, PREDICT
from nin.cli.runs import DEMO, TRAIN
from nin.cli.screen import Screen, safe
from nin.cli.services import BATCH, SERVE
from nin.cli.teaching import TEACH
from nin.errors import ArtifactError, UsageError
from nin.version import __version__

Shell = Literal["zsh", "bash", "fish", "powershell"]
HELP_FLAGS = ("-h", "--help", "--help-all")
COMMANDS = (  # in the order of the help page
    TRAIN,
    TEACH,
    EVALUATE,
    PREDICT,
    EXPLAIN,
    EXPLORE,
    PUBLISH,
    SUMMARY,
    IMPORT,
    EXPORT,
    BENCH,
    DOCTOR,
    DEMO,
    CLAIMS,
    REPRODUCE,
    BATCH,
    PUSH,
    PULL,
    SERVE,
)

app = App(
    name="nin",
    help="Network in Network: train a small image classifier on your own pictures and see what it looks at.",
    help_epilogue=(
        "Examples\n  nin demo\n  nin data check photos\n  nin train photos\n"
        "  nin predict runs/photos picture.jpg\n\n"
        "Exit codes\n  0 done, 1 failed, 2 wrong usage, 3 under --fail-under, 130 stopped by Ctrl-C"
    ),
    help_format="plaintext",
    default_parameter=Parameter(negative=()),
    config=settings,
    suppress_keyboard_interrupt=False,
)
data = App(name="data", help="Check a data set.")
app.command(data)
for each in COMMANDS:
    each.add_to(app)
DATA_CHECK.add_to(data)


def run_command(words: Sequence[str], screen: Screen) -> int:
    """Parse and run one command line; returns the exit code. Raises NinError for what the user can mend."""
    end = words.index("--") if "--" in words else len(words)
    if not words or any(word in HELP_FLAGS for word in words[:end]):
        _help([word for word in words[:end] if word not in HELP_FLAGS], screen, "--help-all" in words)
        return 0
    if "--version" in words[:end]:
        screen.result(f"nin {__version__}")
        return 0
    tokens = [STDIN if word == "-" else word for word in words]
    try:
        command, bound, ignored = app.parse_args(tokens, print_error=False, exit_on_error=False)
    except CycloptsError as error:
        raise mistake(error, app) from error
    for name in unknown_variables(app, tokens):
        screen.warn(f"{name} is set, but {command_name(words)} has no such option")
    if "screen" in ignored:
        bound.arguments["screen"] = screen
    code = command(*bound.args, **bound.kwargs)
    return code if isinstance(code, int) else 0


def command_name(words: Sequence[str]) -> str:
    """The command that a command line names: 'nin data check'; 'nin' when it names none."""
    return command_of(app.parse_commands([word for word in words if word not in HELP_FLAGS])[0])


def _help(words: list[str], screen: Screen, everything: bool) -> None:
    """Print the help page that the words name; raises UsageError for a command that there is not."""
    chain, apps, rest = app.parse_commands(words)
    if apps[-1].default_command is None and rest and not rest[0].startswith("-"):
        try:
            app.parse_args([*chain, rest[0]], print_error=False, exit_on_error=False)
        except CycloptsError as error:
            raise mistake(error, app) from error
    screen.result(page(app, chain, everything=everything).rstrip())


@app.command(name="--install-completion", usage="nin --install-completion [--shell SHELL]", show=False)
def install_completion(
    *,
    shell: Annotated[Shell | None, Parameter(help="Which shell; by default the one this runs in.")] = None,
    screen: Output,
) -> None:
    """Let the shell complete commands and options with TAB.

    Writes a script and, where one is needed, a line in the shell's start file.
    """
    from cyclopts.completion.detect import ShellDetectionError

    try:
        path = app.install_completion(shell=shell)
    except ShellDetectionError as error:
        raise UsageError("which shell this is cannot be told; add --shell bash, zsh or fish") from error
    except OSError as error:
        raise ArtifactError(f"{error.filename} cannot be written ({error.strerror}); check your home folder") from error
    screen.note("start a new shell to complete commands with TAB")
    screen.result(safe(path))
