"""Help pages, made from the commands' signatures and docstrings: plain text of at most 80 columns."""

import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from cyclopts import App, Argument

from nin.cli.mistakes import command_of, options_of, variable
from nin.cli.screen import paint

RARE = {
    "train": (
        "--network",
        "--skip-unreadable",
        "--divide",
        "--follow-links",
        "--lr",
        "--batch-size",
        "--statistics-batch",
        "--weight-decay",
        "--label-smoothing",
        "--recipe",
        "--flip",
        "--mirror",
        "--holdout",
        "--channels",
        "--normalise",
        "--device",
        "--threads",
        "--precision",
        "--stream",
        "--strict",
        "--json",
    )
}  # shown by --help-all only
RARE_ELSEWHERE = ("--device",)
METAVARS: dict[object, str] = {
    "--max-time": "TIME",
    "--host": "HOST",
    "--resume": "RUN",
    "--split": "NAME",
    "--divide": "PARTS",
    "--input": "CxHxW",
    "--from": "MODEL",
    "--trunk": "MODEL",
    "--network": "NAME|FILE",
    "--labels": "FILE",
    "--layout": "NAME",
    "--mean": "R,G,B",
    "--std": "R,G,B",
    int: "N",
    float: "X",
    Path: "PATH",
    str: "TEXT",
}
TOP = (
    ("--version", "Show the version."),
    ("--install-completion", "Complete commands and options with TAB."),
)
ANYWHERE = (
    ("-q, --quiet", "Results, warnings and errors only."),
    ("-v, --verbose", "Tell more."),
    ("--debug", "Show where an error arose."),
)


def page(app: App, chain: Sequence[str], *, everything: bool = False) -> str:
    """The help page of the command that `chain` names; `everything` adds rare options and environment variables."""
    command = app
    for name in chain:
        command = command[name]
    width = max(60, min(shutil.get_terminal_size((80, 24)).columns, 100))
    parts = [_usage(command, chain), *textwrap.wrap(_description(command), width), ""]
    if command.default_command is None:
        parts += [_title("Commands"), *_rows(_commands(command), width), ""]
    rows = _options(command, everything)
    if not chain:
        rows += TOP
    if everything or not chain:
        rows += ANYWHERE
    parts += [_title("Options"), *_rows(rows, width), "", *_epilogue(command)]
    if everything and command.default_command is not None:
        parts += ["", *textwrap.wrap(_variables(command, chain), width)]
    return "\n".join(parts).rstrip() + "\n"


def _title(text: str) -> str:
    return paint(text, "bold", sys.stdout)


def _usage(command: App, chain: Sequence[str]) -> str:
    usage = command.usage or f"{command_of(chain)} COMMAND ..."
    lines = usage.splitlines()
    return "\n".join([f"{_title('Usage:')} {lines[0]}", *(f"       {line}" for line in lines[1:]), ""])


def _description(command: App) -> str:
    return " ".join(command.help.split())


def _epilogue(command: App) -> list[str]:
    lines = (command.help_epilogue or "").splitlines()
    return [_title(line) if line and not line.startswith(" ") else line for line in lines]


def _commands(app: App) -> list[tuple[str, str]]:
    """Names and first sentences, groups such as `data` spelled out, aliases in brackets."""
    rows = []
    for name in app:
        command = app[name]
        if name.startswith("-") or name != command.name[0]:
            continue
        if command.default_command is None:
            rows += [(f"{name} {inner}", text) for inner, text in _commands(command)]
            continue
        also = f" (also: {', '.join(command.alias)})" if command.alias else ""
        rows.append((name, _description(command).partition(". ")[0].rstrip(".") + f"{also}."))
    return rows


def _options(command: App, everything: bool) -> list[tuple[str, str]]:
    arguments = [] if command.default_command is None else command.assemble_argument_collection(parse_docstring=True)
    rare = RARE.get(command.name[0], RARE_ELSEWHERE)
    shown = [a for a in arguments if a.show and (everything or a.name not in rare)]
    rows = [(_label(a), f"{a.parameter.help or ''}{_default(a)}".strip()) for a in shown]
    rows.append(("-h, --help", "Show this page."))
    if any(a.name in rare for a in arguments):
        rows.append(("--help-all", "Show all options and the environment variables."))
    return rows


def _label(argument: Argument) -> str:
    if argument.field_info.is_positional or argument.hint is bool:
        return argument.name
    kinds = (argument.name, argument.hint, *get_args(argument.hint))
    metavar = "CHOICE" if argument.get_choices() else next(METAVARS[kind] for kind in kinds if kind in METAVARS)
    return f"{argument.name} {metavar}"


def _default(argument: Argument) -> str:
    default = argument.field_info.default
    choices = argument.get_choices()
    if choices:
        return f" [{' | '.join(choices)}{'' if default is None else f'; default: {default}'}]"
    if argument.hint is bool or default in (None, ()) or not argument.show_default:
        return ""
    return f" [default: {default}]"


def _rows(rows: Sequence[tuple[str, str]], width: int) -> list[str]:
    """Two aligned columns, the second one wrapped."""
    gap = max(len(label) for label, _ in rows) + 4
    lines = []
    for label, text in rows:
        first, *more = textwrap.wrap(text, width - gap) or [""]
        lines += [f"  {label:<{gap - 2}}{first}".rstrip(), *(" " * gap + line for line in more)]
    return lines


def _variables(command: App, chain: Sequence[str]) -> str:
    options = options_of(command)
    flag = next(name for name, argument in options.items() if argument.hint is bool)
    valued = next((name for name, argument in options.items() if argument.hint is not bool), None)
    names = (*chain[:-1], command.name[0])
    examples = f"{variable(names, flag)}=1 is {flag}"
    if valued is not None:
        examples = f"{variable(names, valued)}=... is {valued} ..., {examples}"
    return f"Every option can also be set by an environment variable: {examples}. The command line wins."
