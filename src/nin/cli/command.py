"""One command of the program, and the one way in which commands are registered."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cyclopts import App


@dataclass(frozen=True)
class Command:
    """A command: its name, the function that runs it, and the usage, examples and aliases that its help page shows.

    The function's parameters become options; its docstring becomes the help text.
    """

    name: str
    run: Callable[..., Any]
    usage: str
    examples: tuple[str, ...]
    alias: tuple[str, ...] = ()

    def add_to(self, app: App) -> None:
        """Register the command with a program, or with a group of its commands."""
        app.command(
            self.run,
            name=self.name,
            alias=self.alias,
            usage=f"nin {self.usage}",
            help_epilogue="\n  nin ".join(("Examples", *self.examples)),
        )
