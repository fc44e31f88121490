"""scikit-learn's 1,797 real handwritten digits (8 x 8, from the UCI optical recognition set) as a data set."""

from pathlib import Path

import numpy as np

from nin.data.splits import Arrays, Source, Split, choose_holdout, hold_out

TEST_SHARE = 0.2  # of all digits; ours
VALIDATION_SHARE = 0.1  # of the other digits; ours


def open_digits(seed: int = 0) -> Source:
    """The digits as (N, 8, 8, 1) uint8, 0 to 255, split by `seed` into train, validation and test, stratified."""
    from sklearn.datasets import load_digits

    raw = load_digits()
    images = np.round(raw.images * (255 / 16)).astype(np.uint8)[..., None]  # stored as 0 to 16
    labels = raw.target.astype(np.int64)
    test = choose_holdout(labels, seed=seed + 1, holdout=TEST_SHARE)
    parts = {"train": ~test, "test": test}
    splits = {name: Split(labels[chosen], Arrays(images[chosen])) for name, chosen in parts.items()}
    source = Source(Path("digits"), "digits", tuple(str(digit) for digit in range(10)), splits)
    return hold_out(source, seed=seed, holdout=VALIDATION_SHARE)
