"""The command line: parse -> call -> print. The only room that prints; `main` turns every outcome into an exit code.

0 done, 1 failed, 2 wrong usage, 3 under --fail-under, 130 stopped by Ctrl-C, 143 stopped by SIGTERM.
"""

import os
import sys
import warnings
from collections.abc import Sequence

from nin.cli.screen import Screen, other_rank, safe, screen_for
from nin.errors import MissingExtra, NinError, UsageError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (default: the program's own) and return its exit code."""
    if arguments is None and sys.getfilesystemencoding() == "ascii":  # LC_ALL=C: no name but a plain one would be read
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])
    _prepare_streams()
    _wait_asleep()
    screen, words = screen_for(sys.argv[1:] if arguments is None else list(arguments))
    if not (screen.debug or sys.warnoptions):
        warnings.simplefilter("ignore")  # other libraries' remarks to programmers
    try:
        return _run(words, screen)
    except BrokenPipeError:  # the reader has seen enough: `nin predict ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt as error:
        screen.error(str(error) or "stopped")
        return getattr(error, "exit_code", 130)


def _run(words: list[str], screen: Screen) -> int:
    from nin.cli import app
    from nin.cli.mistakes import smaller

    try:
        return app.run_command(words, screen)
    except NinError as error:
        wrong_use = isinstance(error, UsageError) and not isinstance(error, MissingExtra)
        if not (other_rank("LOCAL_RANK") if error.said is None else error.said):
            screen.error(error, hint=f"{app.command_name(words)} --help" if wrong_use else "")
        return error.exit_code
    except (BrokenPipeError, KeyboardInterrupt):
        raise
    except Exception as error:  # noqa: BLE001  a bug of ours: said in one line, shown whole with --debug
        if isinstance(error, MemoryError) or "allocate memory" in str(error) or "out of memory" in str(error):
            less = smaller(app.app, words)
            screen.error(
                f"there is not enough memory; {f'choose a smaller {less}, or ' if less else ''}close other programs"
            )
            return 1
        if missing := _missing_extra(error):
            screen.error(f"{app.command_name(words)} needs {missing}")
            return MissingExtra.exit_code
        text = safe(error) or "no text"
        advice = "" if screen.debug else "; run again with --debug to see where"
        screen.error(f"unexpected {type(error).__name__}: {text}{advice}")
        return 1


def _missing_extra(error: Exception) -> str | None:
    """What to install when an optional package was missed only in the middle of a command; None for other errors."""
    from nin.extras import EXTRAS, not_installed

    root = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    return not_installed(root) if root in EXTRAS else None


def _prepare_streams() -> None:
    """A name that the terminal's encoding cannot show is escaped, never a crash."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _wait_asleep() -> None:
    """Threads of OpenMP that wait for each other go to sleep soon, unless the user has decided that.

    By default they spin for milliseconds, which is what the thread that they wait for needs when the machine is busy:
    benchmarks/busy.py. OpenMP reads this once, when torch is loaded; no result depends on it. GNU's (GOMP) still spins
    as long as a thread next door needs for a small layer, other OpenMP libraries do not spin at all.
    """
    if "torch" not in sys.modules and not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & set(os.environ):
        os.environ.update(OMP_WAIT_POLICY="PASSIVE", GOMP_SPINCOUNT="1000")
