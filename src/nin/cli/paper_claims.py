"""The commands that check what is written about the network: `nin claims` and `nin reproduce`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from nin.cli.command import Command
from nin.cli.exchange import to_json
from nin.cli.parameters import Json, Output
from nin.errors import UsageError
from nin.run.options import CLAIM_SEEDS, Lang, ReproduceOptions

if TYPE_CHECKING:
    from nin.claims.claim import Answer, Language

WIDTH = 80  # columns
REPRODUCE_DEFAULTS = ReproduceOptions()


def _claims(
    *number: Annotated[int, Parameter(help="Which claims, by number; by default all 26.")],
    lang: Annotated[Lang, Parameter(help="Language of the sentences.")] = "en",
    html: Annotated[Path | None, Parameter(help="Also write all answers as one HTML page.")] = None,
    seeds: Annotated[int, Parameter(help="How often each small network is trained.")] = CLAIM_SEEDS,
    json: Json = False,
    screen: Output,
) -> None:
    """Measure 26 claims about Network in Network.

    The answers are in English or Korean, with numbers computed on this machine. All 26 take about 5 minutes on 2 cores.
    """
    from nin.claims.measure import claims, claims_page

    answers = []
    for answer in claims(number, seeds=seeds):
        answers.append(answer)
        if not json:
            for language in ("en", "ko") if lang == "both" else (lang,):
                screen.result("\n".join(_claim_lines(answer, language)))
    if html is not None:
        claims_page(answers, html, lang, seeds=seeds)
        screen.note(f"page written: {html}")
    if json:
        screen.result(to_json([answer.to_dict() for answer in answers]))


def _reproduce(
    *name: Annotated[str, Parameter(help="table1 to table5, figure3, figure4, or all.")],
    data: Annotated[Path | None, Parameter(help="Folder of the data set, or one that holds several.")] = None,
    show: Annotated[bool, Parameter(help="Train nothing: print what was recorded, beside the paper's.")] = False,
    options: Annotated[ReproduceOptions, Parameter(name="*", consume_multiple=True)] = REPRODUCE_DEFAULTS,
    json: Json = False,
    screen: Output,
) -> None:
    """Run tables and figures of the paper.

    Trains each row with several seeds and shows its error beside the paper's. Takes hours; go on with --resume.
    --show prints the recorded errors at once.
    """
    from nin.cli.printed import reproduced_lines
    from nin.cli.progress import Stop, listener_for
    from nin.paper import reproduce

    if not name:
        where = "; put it before --only, which takes all words after it" if options.only else ""
        raise UsageError(f"nin reproduce needs NAME: table1 to table5, figure3, figure4, or all{where}")
    if show:
        from nin.paper.recorded_results import recorded

        found = recorded(name)
        for result in () if json else found:
            screen.result("\n".join(reproduced_lines(result)))
        if json:
            screen.result(to_json(found))
        return
    if data is None:
        raise UsageError(
            "nin reproduce needs --data DIR, a data set's folder; or --show, which prints recorded results"
        )
    found = []
    with Stop() as stop, listener_for(screen, stop) as listener:
        for result in reproduce.reproduce(name, data, options, listener):
            found.append(result)
            if not json:
                screen.result("\n".join(reproduced_lines(result)))
    if json:
        screen.result(to_json(found))


def _claim_lines(answer: "Answer", language: "Language") -> list[str]:
    """The claim, its verdict and its numbers, wrapped."""
    from nin.claims.claim import VERDICTS

    claim = answer.claim
    verdict = VERDICTS[language][answer.finding.verdict]
    sentence = f"[-{claim.claim[language]}-]" if claim.struck else claim.claim[language]
    return [
        *_wrapped(f"{claim.number:>2}  ", sentence),
        *_wrapped("    ", f"{verdict}: {answer.measured(language)}"),
        "",
    ]


def _wrapped(start: str, text: str) -> list[str]:
    """Lines of at most WIDTH columns after `start`, broken at spaces; wide letters take two columns."""
    from rich.cells import cell_len

    lines, current = [], ""
    for word in text.split():
        longer = f"{current} {word}" if current else word
        if current and len(start) + cell_len(longer) > WIDTH:
            lines.append(current)
            longer = word
        current = longer
    first, *more = [*lines, current]
    return [start + first, *(" " * len(start) + line for line in more)]


CLAIMS = Command(
    "claims",
    _claims,
    "claims [NUMBER ...] [options]",
    ("claims", "claims 18 21 --lang ko", "claims --html claims.html --lang both"),
)
REPRODUCE = Command(
    "reproduce",
    _reproduce,
    "reproduce NAME... --data DIR [options]",
    ("reproduce all --show", "reproduce table4 --data mnist", "reproduce table5 --data cifar --resume"),
)
