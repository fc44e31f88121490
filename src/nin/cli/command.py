"""How a command of the program is told: the one way in which all of them are registered."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cyclopts import App


@dataclass(frozen=True)
class Command:
    """A command: its words, what does it (whose signature and docstring are its options and help), usage, examples."""

    name: str
    run: Callable[..., Any]
    usage: str
    examples: tuple[str, ...]
    alias: tuple[str, ...] = ()

    def add_to(self, app: App) -> None:
        """Give a program, or a group of its commands, this one."""
        app.command(
            self.run,
            name=self.name,
            alias=self.alias,
            usage=f"nin {self.usage}",
            help_epilogue="\n  nin ".join(("Examples", *self.examples)),
        )
