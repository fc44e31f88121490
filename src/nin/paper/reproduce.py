"""`nin reproduce`: tables and figures of the paper, run."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nin.choices import chosen, path_of, with_choices
from nin.extras import need
from nin.run.options import Listener, ReproduceOptions


def reproduce(
    names: Sequence[str],
    data: str | Path,
    options: ReproduceOptions | None = None,
    listener: Listener | None = None,
    **choices: Any,
) -> Iterator[dict[str, Any]]:
    """Run tables and figures of the paper, and yield what each one found; see nin.paper.rows.

    `choices` are fields of ReproduceOptions: `reproduce(["table4"], "mnist", seeds=3, only=["mnist"])`.
    """
    names = chosen("name", names, tuple[str, ...])
    options = with_choices(options, choices, ReproduceOptions)
    data = path_of("data", data)
    need("torch", "resvg_py")
    from nin.paper.rows import reproduce_parts

    return reproduce_parts(names, data, options, listener or Listener())
