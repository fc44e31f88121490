"""What a mistyped command line becomes: one line of what was typed, what was expected and what was perhaps meant."""

import difflib
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import get_args

from cyclopts import App, Argument, ArgumentCollection, CycloptsError, Token
from cyclopts.exceptions import (
    CoercionError,
    MissingArgumentError,
    RepeatArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from nin.choices import WORDS, listed
from nin.cli.screen import SWITCHES
from nin.errors import UsageError

STDIN = "\0-"  # stands for a lone "-", which cyclopts takes for an option, while the words are parsed
SYNONYMS = {
    "fit": "train",
    "test": "evaluate",
    "classify": "predict",
    "infer": "predict",
    "inference": "predict",
    "view": "explore",
    "browse": "explore",
    "cam": "explain",
    "heatmap": "explain",
    "visualize": "explain",
    "convert": "import",
    "info": "summary",
    "check": "data check",
    "checks": "doctor",
    "upload": "push",
    "share": "push",
    "download": "pull",
    "help": "--help",
    "version": "--version",
}
OPTION_SYNONYMS = {
    **dict.fromkeys(("learning-rate", "lr0"), "--lr"),
    **dict.fromkeys(("imgsz", "img-size", "image-size", "resolution"), "--size"),
    **dict.fromkeys(("arch", "backbone", "model"), "--network"),
    **dict.fromkeys(("pretrained", "weights", "init"), "--from"),
    **dict.fromkeys(("val-split", "validation-split", "test-size"), "--holdout"),
    **dict.fromkeys(("num-workers", "workers", "jobs"), "--threads"),
    **dict.fromkeys(("project", "name", "save-dir", "destination"), "--out"),
    **dict.fromkeys(("force", "exist-ok"), "--overwrite"),
    "gpu": "--device",
}  # other programs' words for what is an option here
PLACES = ("data", "path", "model", "source", "input", "image", "images", "run")  # yolo's words for what we name bare


def command_of(chain: Iterable[str]) -> str:
    """('data', 'check') -> 'nin data check'."""
    return " ".join(("nin", *chain))


def options_of(app: App) -> dict[str, Argument]:
    """Every option of a command by its name; an empty dictionary for a group of commands."""
    if app.default_command is None:
        return {}
    return _options(app.assemble_argument_collection())


def smaller(app: App, words: Sequence[str]) -> str:
    """The options of the command in a command line that make it take less memory: '--size or --batch-size', or ''."""
    if "--resume" in words:  # goes on as it began
        return ""
    known = options_of(app.parse_commands(words)[1][-1])
    return " or ".join(option for option in ("--size", "--batch-size", "--max-batch", "--workers") if option in known)


def _options(arguments: ArgumentCollection) -> dict[str, Argument]:
    return {name: a for a in arguments if a.parse for name in a.names if name.startswith("--")}


def mistake(error: CycloptsError, app: App) -> UsageError:
    """The UsageError that says what cyclopts found wrong."""
    command = command_of(error.command_chain or ())
    at = error.app or app
    if isinstance(error, UnknownCommandError):
        return UsageError(_unknown_command((error.unused_tokens or [""])[0], command, at))
    if isinstance(error, UnknownOptionError):
        return UsageError(_unknown_option(error.token.keyword or error.token.value, command, at))
    if isinstance(error, UnusedCliTokensError):
        return UsageError(_surplus((error.unused_tokens or [""])[0], command, at))
    if isinstance(error, CoercionError) and error.argument is not None and error.token is not None:
        return UsageError(_wrong_value(error.argument, error.token.keyword, error.token.value))
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        return UsageError(_missing(error.argument, error.keyword, command))
    if isinstance(error, RepeatArgumentError):
        return UsageError(f"{error.token.keyword} is given more than once; give it once")
    error.verbose = False
    return UsageError(" ".join(str(error).split()) or f"{command} does not understand these words")


def _unknown_command(word: str, command: str, app: App) -> str:
    if word.startswith("-"):
        return _unknown_option(word, command, app)
    commands = [name for name in app if not name.startswith("-")]
    meant = SYNONYMS.get(word) if command == "nin" else None
    meant = meant or next(iter(difflib.get_close_matches(word, commands, n=1)), None)
    if meant is None and command == "nin" and Path(word).exists():
        meant = f"train {word}"
    primary = [name for name in commands if app[name].name[0] == name]
    expected = f"did you mean {command} {meant}?" if meant else f"the commands are {', '.join(primary)}"
    return f'{command} has no command "{word}"; {expected}'


def _unknown_option(word: str, command: str, app: App) -> str:
    name = "--" + word.lstrip("-").partition("=")[0].replace("_", "-")
    known = [*options_of(app), *SWITCHES, "--help", "--help-all", "--version"]
    meant = [name] if name in known and name != word else _near(name, known)
    if not meant and name[2:] in PLACES and _bare(name[2:], app):
        meant = [(app.usage or command).splitlines()[0].removesuffix(" [options]")]
    meant = meant or [option for option in (OPTION_SYNONYMS.get(name[2:]),) if option in known]
    if meant:
        return f"{command} has no option {word}; did you mean {meant[0]}?"
    return f"{command} has no option {word}"


def _near(name: str, known: Sequence[str]) -> list[str]:
    """The known option that is spelled most like `name`; dashes, which all have, do not count."""
    bare = {option.lstrip("-"): option for option in known if option.startswith("--")}
    return [bare[close] for close in difflib.get_close_matches(name.lstrip("-"), bare, n=1)]


def _bare(place: str, app: App) -> bool:
    """Whether what other programs call --`place` stands without an option in this command."""
    names = {"data": "PATH SOURCE", "input": "INPUT IMAGE", "images": "INPUT IMAGE", "image": "INPUT IMAGE"}
    return bool(set(names.get(place, place.upper()).split()) & set(_positional_names(app)))


def _surplus(word: str, command: str, app: App) -> str:
    meant = assignment(word, options_of(app))
    if meant:
        return meant
    if f"--{word}" in options_of(app):
        return f'{command} does not know what to do with "{word}"; did you mean --{word}?'
    return f'{command} does not know what to do with "{word}"; it takes {_positionals(app) or "options only"}'


def _positionals(app: App) -> str:
    names = _positional_names(app)
    return f"one {' and one '.join(names)}" if names else ""


def _positional_names(app: App) -> list[str]:
    if app.default_command is None:
        return []
    return [a.name for a in app.assemble_argument_collection() if a.field_info.is_positional]


def assignment(word: str, options: dict[str, Argument], *, named: bool = False) -> str | None:
    """What `epochs=10`, the habit of another program, was probably meant to be; None when `word` is no assignment, or
    where NAME=MODEL may stand (`named`) and no option is meant."""
    match = re.fullmatch(r"-*([A-Za-z]\w*)=(.*)", word, re.DOTALL)
    if match is None or Path(word).exists():
        return None
    key, value = match[1].lower().replace("_", "-"), match[2]
    meant = next(iter(difflib.get_close_matches(f"--{key}", options, n=1, cutoff=0.75)), OPTION_SYNONYMS.get(key))
    if meant in options:
        typed = meant if options[meant].hint is bool else f"{meant} {value}"
        return f'options are not written "{word}"; did you mean {typed}?'
    if named:
        return None
    if key in PLACES:
        return f'"{word}" is not a path; did you mean {value}?'
    return f'"{word}" is neither a path nor an option; options are written --name value'


def _wrong_value(argument: Argument, keyword: str | None, value: str) -> str:
    choices = list(argument.get_choices() or ())
    near = difflib.get_close_matches(value, choices, n=1)
    hint = f'; did you mean "{near[0]}"?' if near else ""
    return f'{keyword or argument.name} is "{value}"; expected {expected(argument)}{hint}'


def _missing(argument: Argument, keyword: str | None, command: str) -> str:
    if argument.field_info.is_positional:
        return f"{command} needs {argument.name}: {_lower(argument.parameter.help or 'a value')}"
    return f"{keyword or argument.name} needs a value: {expected(argument)}"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:].rstrip(".")


def expected(argument: Argument) -> str:
    """What an option takes, in words."""
    choices = argument.get_choices()
    if choices:
        return listed(tuple(choices))
    kinds = {*get_args(argument.hint), argument.hint}
    return next((text for kind, text in {**WORDS, bool: "yes or no"}.items() if kind in kinds), WORDS[str])


def settings(app: App, chain: Sequence[str], arguments: ArgumentCollection) -> None:
    """Fill in options from the environment, and refuse what cyclopts lets pass: 1.5 epochs (it rounds), NaN, epochs=10
    in the place of a path. Called by cyclopts between splitting the words and converting the values."""
    options, named = _options(arguments), app.name[0] == "serve"
    for name, argument in options.items():
        source = variable((*chain[:-1], app.name[0]), name)
        if os.environ.get(source) and not argument.tokens:
            argument.append(Token(keyword=source, value=os.environ[source], source="env"))
    for argument in arguments:
        kinds = {*get_args(argument.hint), argument.hint}
        for index, token in enumerate(argument.tokens):
            if token.value == STDIN:
                argument.tokens[index] = token.evolve(value="-")
            if Path in kinds and token.value.startswith("~/"):  # --out=~/runs: no shell expands that
                argument.tokens[index] = token.evolve(value=str(Path(token.value).expanduser()))
            if not token.value and not token.implicit_value:  # an unset variable is not the present folder
                raise UsageError(_wrong_value(argument, token.keyword, token.value))
            if int in kinds and not re.fullmatch(r"[+-]?\d+", token.value):
                raise UsageError(_wrong_value(argument, token.keyword, token.value))
            if float in kinds and re.fullmatch(r"[+-]?(nan|inf|infinity)", token.value, re.IGNORECASE):
                raise UsageError(f'{token.keyword or argument.name} is "{token.value}"; expected a finite number')
            if token.keyword is None and (meant := assignment(token.value, options, named=named)):
                raise UsageError(meant)


def variable(chain: Sequence[str], option: str) -> str:
    """The environment variable of an option: (("train",), "--max-time") -> NIN_TRAIN_MAX_TIME."""
    return "_".join(("NIN", *chain, option.strip("-"))).upper().replace("-", "_")


def unknown_variables(app: App, words: Sequence[str]) -> list[str]:
    """Environment variables that look like options of the command that `words` name, and are none."""
    chain, apps, _ = app.parse_commands(words)
    names = (*chain[:-1], apps[-1].name[0])
    known = {variable(names, option) for option in options_of(apps[-1])}
    return sorted(v for v in os.environ if chain and v.startswith(variable(names, "")) and v not in known)
