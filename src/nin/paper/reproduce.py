"""`nin reproduce`: tables and figures of the paper, run."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nin.choices import chosen, path_of
from nin.extras import need
from nin.run.options import SEEDS, Listener, ProtocolName


def reproduce(
    names: Sequence[str],
    data: str | Path,
    *,
    out: str | Path = "reproduced",
    protocol: ProtocolName = "short",
    seeds: int = 2,
    strict: bool = False,
    only: Sequence[str] = (),
    resume: bool = False,
    listener: Listener | None = None,
) -> Iterator[dict[str, Any]]:
    """Run tables and figures of the paper, see nin.paper.rows."""
    names, only = chosen("name", names, tuple[str, ...]), chosen("only", only, tuple[str, ...])
    protocol, seeds = chosen("protocol", protocol, ProtocolName), chosen("seeds", seeds, int, SEEDS)
    strict, resume = chosen("strict", strict, bool), chosen("resume", resume, bool)
    need("torch", "resvg_py")
    from nin.paper.rows import reproduce_parts

    return reproduce_parts(
        *(names, path_of("data", data), path_of("out", out)),
        protocol=protocol, seeds=seeds, strict=strict, only=only, resume=resume, listener=listener,
    )  # fmt: skip
