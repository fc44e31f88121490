"""Every claim about Network in Network, measured here and now, and the tables and figures of its paper."""

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nin.artifacts import write_bytes
from nin.choices import chosen, path_of, shown
from nin.errors import UsageError
from nin.workflows.journeys import need
from nin.workflows.options import CLAIM_SEEDS, SEEDS, Lang, Listener, ProtocolName

if TYPE_CHECKING:
    from nin.lab.claims.claim import Answer, Claim, Language


def claims(numbers: Sequence[int] = (), *, seeds: int = CLAIM_SEEDS) -> Iterator["Answer"]:
    """Measure these claims (all there are when none is named), one answer after the other.

    seeds: of every training. Raises UsageError for unknown numbers.
    """
    numbers, seeds = chosen("number", numbers, tuple[int, ...]), chosen("seeds", seeds, int, SEEDS)
    need("torch", "sklearn", "matplotlib")
    from nin.lab.claims.seed import claims as known

    by_number = {claim.number: claim for claim in known()}
    wrong = [number for number in numbers if number not in by_number]
    if wrong:
        raise UsageError(f"there is no claim {wrong[0]}; they are numbered from 1 to {len(by_number)}")
    return _answers([by_number[number] for number in (dict.fromkeys(numbers) or by_number)], seeds)


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
    """Run tables and figures of the paper, see nin.workflows.reproducing.reproduce."""
    names, only = chosen("name", names, tuple[str, ...]), chosen("only", only, tuple[str, ...])
    protocol, seeds = chosen("protocol", protocol, ProtocolName), chosen("seeds", seeds, int, SEEDS)
    strict, resume = chosen("strict", strict, bool), chosen("resume", resume, bool)
    need("torch", "matplotlib")
    from nin.workflows.reproducing import reproduce

    return reproduce(
        *(names, path_of("data", data), path_of("out", out)),
        protocol=protocol, seeds=seeds, strict=strict, only=only, resume=resume, listener=listener,
    )  # fmt: skip


def _answers(chosen: Sequence["Claim"], seeds: int) -> Iterator["Answer"]:
    from nin.lab.claims.bench import Bench
    from nin.lab.claims.claim import Answer
    from nin.training import hardware

    machine = hardware.choose("cpu", precision="float32")
    hardware.apply(machine)
    bench = Bench(machine, seeds)
    for claim in chosen:
        start = time.perf_counter()
        finding = claim.measure(bench)
        yield Answer(claim, finding, time.perf_counter() - start)


def claims_page(answers: Sequence["Answer"], path: Path, lang: Lang = "en", *, seeds: int = CLAIM_SEEDS) -> None:
    """Write the answers as one HTML page that needs no network."""
    from nin.data.machine import usable_cores
    from nin.lab.claims.page import page_html
    from nin.lab.claims.placed import placed
    from nin.training.hardware import cpu_name

    if not isinstance(answers, Iterable):
        raise UsageError(f"answers is {shown(answers)}; expected what nin.workflows.claims gave")
    lang, path, seeds = chosen("lang", lang, Lang), path_of("path", path), chosen("seeds", seeds, int, SEEDS)
    languages: tuple[Language, ...] = ("en", "ko") if lang == "both" else (lang,)
    counts = {split: len(placed(split).labels) for split in ("train", "test")}
    about = {"machine": f"{cpu_name()}, {usable_cores()} cores", "seeds": seeds, **counts}
    write_bytes(path, page_html(answers, languages, about).encode())
