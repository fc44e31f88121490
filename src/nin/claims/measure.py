"""`nin claims`: claims about Network in Network, measured on this machine."""

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nin.artifacts import write_bytes
from nin.choices import chosen, path_of, shown
from nin.errors import UsageError
from nin.extras import need
from nin.orphans import sweep
from nin.run.options import CLAIM_SEEDS, SEEDS, Lang

if TYPE_CHECKING:
    from nin.claims.claim import Answer, Claim, Language


def claims(numbers: Sequence[int] = (), *, seeds: int = CLAIM_SEEDS) -> Iterator["Answer"]:
    """Measure these claims, all 26 when none is named, and yield one answer after the other.

    seeds: how often each small network is trained. Raises UsageError for unknown numbers.
    """
    numbers = chosen("number", numbers, tuple[int, ...])
    seeds = chosen("seeds", seeds, int, SEEDS)
    need("torch", "sklearn")
    from nin.claims.all_claims import all_claims

    by_number = {claim.number: claim for claim in all_claims()}
    wrong = [number for number in numbers if number not in by_number]
    if wrong:
        raise UsageError(f"there is no claim {wrong[0]}; they are numbered from 1 to {len(by_number)}")
    return _answers([by_number[number] for number in (dict.fromkeys(numbers) or by_number)], seeds)


def _answers(asked: Sequence["Claim"], seeds: int) -> Iterator["Answer"]:
    from nin.claims.claim import Answer
    from nin.claims.small_trainings import Workbench
    from nin.training import hardware

    machine = hardware.choose("cpu", precision="float32")
    bench = Workbench(machine, seeds)
    for claim in asked:
        start = time.perf_counter()
        with hardware.applied(machine):
            finding = claim.measure(bench)
        yield Answer(claim, finding, time.perf_counter() - start)


def claims_page(answers: Sequence["Answer"], path: Path, lang: Lang = "en", *, seeds: int = CLAIM_SEEDS) -> None:
    """Write the answers as one HTML page that needs no network."""
    from nin.claims.claims_page import page_html
    from nin.claims.placed_digits import placed
    from nin.data.machine import cpu_name, usable_cores

    if not isinstance(answers, Iterable):
        raise UsageError(f"answers is {shown(answers)}; expected what nin.claims.measure.claims yields")
    lang = chosen("lang", lang, Lang)
    path = path_of("path", path)
    seeds = chosen("seeds", seeds, int, SEEDS)
    languages: tuple[Language, ...] = ("en", "ko") if lang == "both" else (lang,)
    counts = {split: len(placed(split).labels) for split in ("train", "test")}
    about = {"machine": cpu_name(), "cores": usable_cores(), "seeds": seeds, **counts}
    sweep(path.parent)
    write_bytes(path, page_html(answers, languages, about).encode())
