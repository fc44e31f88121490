"""A claim, what a measurement finds about it, and the words for both in two languages (torch-free)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

Language = Literal["en", "ko"]
Verdict = Literal["holds", "holds in part", "does not hold here", "open"]
KOREAN = ("맞다", "일부만 맞다", "여기서는 확인되지 않았다", "미해결")
VERDICTS: dict[Language, dict[Verdict, str]] = {
    "en": {name: name for name in get_args(Verdict)},
    "ko": dict(zip(get_args(Verdict), KOREAN, strict=True)),
}


@dataclass(frozen=True)
class Measurement:
    """What was measured: named numbers, and what they say of the claim.

    curve: (x, y) pairs where the measurement is a sweep; axes: what x and y are.
    """

    verdict: Verdict
    numbers: dict[str, float]
    curve: tuple[tuple[float, float], ...] = ()
    axes: tuple[str, str] = ("", "")


def judged(holds: bool, partly: bool = False) -> Verdict:
    """The verdict of a measurement that can decide."""
    return "holds" if holds else "holds in part" if partly else "does not hold here"


@dataclass(frozen=True)
class Claim:
    """One sentence about Network in Network, the measurement that tests it, and the sentence about its numbers.

    claim and measured: by language; the second has the finding's numbers as format fields. struck: the sentence is
    struck out in its source, and is shown as a hypothesis.
    """

    number: int
    claim: dict[Language, str]
    measured: dict[Language, str]
    measure: Callable[[Any], Measurement]
    struck: bool = False


@dataclass(frozen=True)
class Answer:
    """A claim with its finding and the seconds that the measurement took."""

    claim: Claim
    finding: Measurement
    seconds: float

    def measured(self, language: Language) -> str:
        """What was found, with its numbers."""
        return self.claim.measured[language].format_map(self.finding.numbers)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able: the sentences in both languages, numbers, verdict, seconds."""
        found = self.finding
        sweep = {"curve": [list(point) for point in found.curve], "axes": list(found.axes)} if found.curve else {}
        return {
            "claim": self.claim.number,
            "text": dict(self.claim.claim),
            "struck": self.claim.struck,
            "measured": {language: self.measured(language) for language in get_args(Language)},
            "numbers": found.numbers,
            "verdict": found.verdict,
            **sweep,
            "seconds": round(self.seconds, 3),
        }
