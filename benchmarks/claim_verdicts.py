"""How often a claim that is decided by an interval gets the wrong verdict: claim 4, measured with many pairs of seeds.

    python benchmarks/claim_verdicts.py            # 20 pairs of seeds; about 20 minutes on 2 cores

Prints each pair's difference, interval and verdict; then how many contradict the difference over all seeds.
"""

import argparse
from collections import Counter

from nin.claims.learned import inner_activations
from nin.claims.small_trainings import Workbench
from nin.training import hardware


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20)
    pairs = parser.parse_args().pairs
    machine = hardware.choose("cpu", precision="float32")
    found = []
    for pair in range(pairs):
        with hardware.applied(machine):
            measured = inner_activations(Workbench(machine, seeds=2, first=2 * pair))
        found.append(measured)
        numbers = measured.numbers
        print(
            f"seeds {2 * pair}, {2 * pair + 1}: {numbers['gain']:+.2f} points "
            f"({numbers['low']:+.2f} to {numbers['high']:+.2f}): {measured.verdict}",
            flush=True,
        )
    gain = sum(measured.numbers["gain"] for measured in found) / pairs
    counts = Counter(measured.verdict for measured in found)
    wrong = counts["does not hold here" if gain > 0 else "holds"]
    print(f"over all seeds {gain:+.2f} points; verdicts: {dict(counts)}; {wrong} of {pairs} contradict that")


if __name__ == "__main__":
    main()
