"""Results of the paper's tables and figures as they were recorded, to be looked at without training (torch-free)."""

import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

from nin.errors import UsageError

NAMES = ("table1", "table2", "table3", "table4", "table5", "figure3", "figure4")  # as tables.PARTS, without torch
SOURCE = "experiments/2026-11-24-paper"


def recorded(names: Sequence[str]) -> list[dict[str, Any]]:
    """What was recorded of these tables and figures ("all" for all there are): at full length, then with the short
    protocol, each as `reproduce` yields it, with `recorded`, the folder of the repository that has all of it.

    Raises UsageError for unknown names, and where nothing was recorded.
    """
    if wrong := [name for name in names if name not in (*NAMES, "all")]:
        raise UsageError(f"there is no {wrong[0]!r}; there are {', '.join(NAMES)} and all")
    text = resources.files("nin.paper").joinpath("recorded.json").read_text(encoding="utf-8")
    held: dict[str, dict[str, Any]] = json.loads(text)
    chosen = NAMES if "all" in names else tuple(dict.fromkeys(names))
    found = [
        {"part": name, **held[protocol][name], "recorded": f"{SOURCE}/{protocol}"}
        for name in chosen
        for protocol in ("full", "short")
        if name in held[protocol]
    ]
    if not found:
        there = [name for name in NAMES if any(name in parts for parts in held.values())]
        raise UsageError(f"nothing was recorded of {' and '.join(chosen)}; there are {', '.join(there)}")
    return found
