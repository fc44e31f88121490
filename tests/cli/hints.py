"""Which options a text tells its reader to use, and of which command."""

import re

from cyclopts import App

from nin.cli.app import app
from nin.cli.mistakes import options_of

OPTION = re.compile(r"(?<![\w-])--[a-z]+(?:-[a-z]+)*")
COMMAND = re.compile(r"(?<![\w/-])nin ((?:data )?[a-z]+)([^;]*)")
ANYWHERE = {"--help", "--help-all", "--version", "--quiet", "--verbose", "--debug", "--install-completion"}
OTHERS = re.compile(r"(?:pip install|ray start|with curl:) [^;)]*|another --master-port")  # other programs' options


def known(command: str) -> set[str]:
    """The options of a command: 'train', 'data check'; 'nin' alone has those that stand anywhere."""
    found: App = app
    for name in command.split():
        found = found[name]
    return {*options_of(found), *ANYWHERE}


def commands() -> list[str]:
    """Every command by name, 'data check' among them."""
    groups = {name: app[name] for name in app if not name.startswith("-")}
    deep = [f"{name} {inner}" for name, group in groups.items() if group.default_command is None for inner in group]
    return [name for name, found in groups.items() if found.default_command] + [n for n in deep if " -" not in n]


def unusable(command: str, text: str, typed: str = "") -> list[str]:
    """'--option of command' for each option that `text`, said by `command`, names and that is none of that command.

    After "nin NAME" an option is that command's. What the user has typed is no advice.
    """
    wrong, rest = [], OTHERS.sub("", text)
    for name, words in COMMAND.findall(rest):
        if name in commands():
            wrong += [f"{o} of {name}" for o in OPTION.findall(words) if o not in known(name)]
            rest = rest.replace(words, "")
    wrong += [f"{o} of {command}" for o in OPTION.findall(rest) if o not in known(command)]
    return [each for each in wrong if each.split()[0] not in OPTION.findall(typed)]
