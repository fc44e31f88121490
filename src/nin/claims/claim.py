"""A claim, what a measurement says about it, and the words for both in two languages (torch-free)."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from string import Formatter
from typing import Any, Literal, get_args

Language = Literal["en", "ko"]
Verdict = Literal["holds", "holds in part", "does not hold here", "too close to tell", "open"]
KOREAN = ("맞다", "일부만 맞다", "여기서는 확인되지 않았다", "차이가 작아 판정할 수 없다", "미해결")
VERDICTS: dict[Language, dict[Verdict, str]] = {
    "en": {name: name for name in get_args(Verdict)},
    "ko": dict(zip(get_args(Verdict), KOREAN, strict=True)),
}


AGREE: dict[Language, tuple[str, str]] = {
    "en": ("are identical", "agree to {} decimals"),
    "ko": ("완전히", "소수점 아래 {}자리까지"),
}  # how far two computations agree: exactly, or to so many decimals; the Korean verb follows in the sentence
ZERO: dict[Language, tuple[str, str]] = {
    "en": ("exactly 0", "0 to {} decimals"),
    "ko": ("정확히 0", "소수점 아래 {}자리까지 0"),
}


class Sentence(Formatter):
    """`str.format` for the sentences of claims.toml, with three more formats; no number comes out as 4e-16.

    `agree`: a difference as "agree to 15 decimals", or "are identical" where it is 0; `zero`: a number near 0 as
    "0 to 15 decimals"; `seed|seeds`: a count with its noun, singular or plural.
    """

    def __init__(self, language: Language) -> None:
        self.words = {"agree": AGREE[language], "zero": ZERO[language]}

    def format_field(self, value: Any, format_spec: str) -> str:
        """One number in words; called by `vformat`."""
        if format_spec in self.words:
            exact, rounded = self.words[format_spec]
            return rounded.format(decimals(value)) if value else exact
        if "|" in format_spec:
            singular, plural = format_spec.split("|")
            return f"{value:,} {singular if value == 1 else plural}"
        return str(super().format_field(value, format_spec))


def decimals(difference: float) -> int:
    """How many decimals are the same where two numbers differ by this much: 15 for 4e-16, 0 for 1 and more."""
    return max(0, math.floor(-math.log10(abs(difference))))


@dataclass(frozen=True)
class Measurement:
    """What was measured: named numbers, and the verdict that they lead to.

    curve: (x, y) pairs where the measurement is a sweep; axes: what x and y are.
    """

    verdict: Verdict
    numbers: dict[str, float]
    curve: tuple[tuple[float, float], ...] = ()
    axes: tuple[str, str] = ("", "")


def judged(holds: bool, partly: bool = False) -> Verdict:
    """The verdict of a measurement that can decide."""
    return "holds" if holds else "holds in part" if partly else "does not hold here"


def judged_by(interval: tuple[float, float]) -> Verdict:
    """The verdict of a difference with its interval: nothing is decided where that spans zero."""
    low, high = interval
    return "holds" if low > 0 else "does not hold here" if high < 0 else "too close to tell"


@dataclass(frozen=True)
class Claim:
    """One sentence about Network in Network, the measurement that tests it, and the sentence about its numbers.

    claim, measured: by language; measured has the numbers as fields, see Sentence. struck: the claim is struck out in
    its source and shown as a hypothesis.
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
        """What was measured, in a sentence with its numbers."""
        return Sentence(language).vformat(self.claim.measured[language], (), self.finding.numbers)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able: the sentences in both languages, numbers, verdict, seconds."""
        finding = self.finding
        sweep = {"curve": [list(point) for point in finding.curve], "axes": list(finding.axes)} if finding.curve else {}
        return {
            "claim": self.claim.number,
            "text": dict(self.claim.claim),
            "struck": self.claim.struck,
            "measured": {language: self.measured(language) for language in get_args(Language)},
            "numbers": finding.numbers,
            "verdict": finding.verdict,
            **sweep,
            "seconds": round(self.seconds, 3),
        }
