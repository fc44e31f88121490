"""Randomness is a function of (seed, epoch, index, purpose): judged by an independent SplitMix64 and by statistics."""

import zlib

import numpy as np
import pytest

from nin.data.randomness import balanced_order, integers, mask_seeds, order, step_seed, uniform


def splitmix_reference(seed: int, epoch: int, index: int, purpose: str) -> int:
    """The same function on Python's unbounded integers, one index at a time."""
    mask = 2**64 - 1
    z = seed & mask
    for word in (zlib.crc32(purpose.encode()), epoch, index):
        z = (z + (word + 1) * 0x9E3779B97F4A7C15) & mask
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        z ^= z >> 31
    return z


def test_integers_equal_the_slow_reference():
    index = np.array([0, 1, 2, 999, 2**40])
    for seed, epoch, purpose in ((0, 0, "flip"), (7, 3, "order"), (-1, 10**6, "")):
        expected = [splitmix_reference(seed, epoch, int(i), purpose) for i in index]
        assert integers(seed, epoch, index, purpose).tolist() == expected


def test_a_number_does_not_depend_on_the_others_asked_for():
    alone = uniform(3, 5, np.array([42]), "zoom")
    among = uniform(3, 5, np.arange(100), "zoom")[42]
    assert alone[0] == among


@pytest.mark.parametrize("change", [{"seed": 1}, {"epoch": 1}, {"purpose": "other"}])
def test_every_argument_gives_other_independent_numbers(change):
    base = {"seed": 0, "epoch": 0, "purpose": "flip"}
    index = np.arange(20_000)
    first = uniform(index=index, **base)
    second = uniform(index=index, **{**base, **change})
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03
    for values in (first, second):
        counts = np.histogram(values, bins=20, range=(0, 1))[0]
        chi_square = ((counts - 1000) ** 2 / 1000).sum()
        assert chi_square < 45  # 19 degrees of freedom: 99.9 % are below 43.8


def test_order_is_a_permutation_and_changes_every_epoch():
    first, second = order(0, 0, 1000), order(0, 1, 1000)
    assert sorted(first) == list(range(1000)) and sorted(second) == list(range(1000))
    assert (first == second).mean() < 0.02


def test_balanced_order_draws_classes_equally_often_and_only_their_members():
    labels = np.repeat([0, 1, 3], [900, 90, 10])
    drawn = balanced_order(0, 0, labels)
    counts = np.bincount(labels[drawn], minlength=4)
    assert counts.tolist() == [334, 333, 0, 333]


def test_step_seed_fits_torch():
    assert 0 <= step_seed(2**63, 5, 9) < 2**63


def test_mask_seeds_fit_torch_and_differ_by_place_layer_epoch_and_run():
    places = np.arange(100)
    seeds = [
        seed for how in ((2**63, 5), (2**63, 6), (0, 5)) for layer in (0, 1) for seed in mask_seeds(*how, places, layer)
    ]
    assert len(set(seeds)) == 600 and min(seeds) >= 0 and max(seeds) < 2**63
    assert mask_seeds(2**63, 5, places[40:60], 1) == mask_seeds(2**63, 5, places, 1)[40:60]
