"""The figures that the lesson of the explorer quotes: claims that need trainings, and what networks count.

    python experiments/2026-11-30-lesson/run.py            # both, as result.json beside this file
    python experiments/2026-11-30-lesson/run.py --counts   # the counts anew, the trainings as they are

Counts are those of `nin summary NAME`, claims those of `nin claims NUMBERS --seeds 3`. docs/generate.py takes from
result.json what the page shows.
"""

import argparse
import json
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULT = HERE / "result.json"
NETWORKS = ("vgg16", "alexnet", "googlenet", "nin-author-cifar10", "lenet5")
CLAIMS = (2, 9, 12, 14, 16, 17, 25)
SEEDS = 3


def counted() -> list[dict[str, object]]:
    """Parameters of each network, and how many of them are in fully connected layers."""
    from nin.commands.summary import summary

    found = {name: summary(name) for name in NETWORKS}
    return [
        {
            "name": name,
            "parameters": anatomy.parameters,
            "fc": sum(row.parameters for row in anatomy.layers if row.kind == "fc"),
        }
        for name, anatomy in found.items()
    ]


def measured() -> dict[str, object]:
    """The claims about learning, measured here."""
    from nin.claims.claim import VERDICTS
    from nin.claims.measure import claims
    from nin.data.machine import usable_cores
    from nin.training.hardware import cpu_name
    from nin.version import __version__

    start = time.perf_counter()
    answers = [
        {**answer.to_dict(), "verdicts": {lang: words[answer.finding.verdict] for lang, words in VERDICTS.items()}}
        for answer in claims(CLAIMS, seeds=SEEDS)
    ]
    numbers = " ".join(map(str, CLAIMS))
    return {
        "command": f"nin claims {numbers} --seeds {SEEDS} --json",
        "n": SEEDS,
        "machine": f"{cpu_name()}, {usable_cores()} cores",
        "nin": __version__,
        "minutes": round((time.perf_counter() - start) / 60, 1),
        "answers": answers,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--counts", action="store_true", help="count anew, keep the trainings")
    kept = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    trainings = kept.get("claims") if parser.parse_args().counts else measured()
    result = {"networks": counted(), "claims": trainings}
    RESULT.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
