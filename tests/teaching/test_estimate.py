"""What is said of a taught model is what it does on pictures that it has not seen."""

import numpy as np
import pytest

from nin.bundle.likeness import fit_likeness
from nin.teaching.estimate import FOLDS, fold_of, teach_head
from nin.teaching.regression import fit_head


def drawn(count: int, classes: int, apart: float, seed: int, width: int = 30) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    places = np.random.default_rng(99).normal(size=(classes, width)) * apart
    labels = np.repeat(np.arange(classes), count)
    return places[labels] + random.normal(size=(len(labels), width)), labels


def test_folds_are_parts_that_follow_each_other():
    assert fold_of(np.array([0] * 10 + [1] * 7), 2).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 0, 0, 1, 2, 2, 3, 4]
    mixed = fold_of(np.array([0, 1] * 5), 2)
    assert mixed.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_every_picture_is_asked_of_what_the_others_taught():
    features, labels = drawn(10, 3, 0.5, 0)
    taught = teach_head(features, labels, 3)
    fold = fold_of(labels, 3)
    for number in range(FOLDS):
        out = fold == number
        head = fit_head(features[~out], labels[~out], 3)
        assert np.allclose(taught.fold_heads[number].weight, head.weight)
        answers = head.logits(features[out]).argmax(1)
        assert np.array_equal(taught.probabilities[out].argmax(1), answers)


def test_the_estimate_of_noise_is_guessing():
    random = np.random.default_rng(3)
    labels = np.repeat(np.arange(4), 25)
    features = random.normal(size=(100, 60))
    taught = teach_head(features, labels, 4)
    assert (taught.head.logits(features).argmax(1) == labels).mean() > 0.85  # it has learnt them by heart
    assert (taught.probabilities.argmax(1) == labels).mean() < 0.45


def test_a_burst_of_twins_does_not_better_the_estimate():
    """Pictures of one scene follow each other; those of the next scene tell nothing of it here."""
    random = np.random.default_rng(4)
    labels = np.repeat(np.arange(3), 20)
    scenes = random.normal(size=(15, 40))  # five a class
    features = scenes[np.arange(60) // 4] + 0.01 * random.normal(size=(60, 40))
    assert (teach_head(features, labels, 3).probabilities.argmax(1) == labels).mean() < 0.6


def test_the_estimate_is_what_new_pictures_get():
    difference = []
    for seed in range(8):
        features, labels = drawn(20, 4, 0.35, seed)
        taught = teach_head(features, labels, 4)
        new, truth = drawn(200, 4, 0.35, 1000 + seed)
        found = (taught.head.logits(new).argmax(1) == truth).mean()
        difference.append((taught.probabilities.argmax(1) == labels).mean() - found)
    assert abs(np.mean(difference)) < 0.05


def test_unknown_finds_what_is_unlike_and_keeps_what_is_like():
    features, labels = drawn(30, 3, 0.8, 5)
    taught = teach_head(features, labels, 3)
    assert taught.likeness is not None
    new, truth = drawn(300, 3, 0.8, 6)
    right = taught.head.logits(new).argmax(1) == truth
    far = taught.likeness.distances(new) > taught.calibration.unknown_beyond
    assert (far & right).sum() / right.sum() < 0.15
    foreign = np.random.default_rng(7).normal(size=(300, 30)) * 2.5
    assert (taught.likeness.distances(foreign) > taught.calibration.unknown_beyond).mean() > 0.8


@pytest.mark.parametrize("count", [8, 80])
def test_a_picture_is_unlike_when_it_is_further_than_the_furthest_of_a_hundred_left_out_ones(count):
    features, labels = drawn(count, 3, 0.8, 8)
    taught = teach_head(features, labels, 3)
    fold = fold_of(labels, 3)
    far = []
    for number in range(5):
        known = fit_likeness(features[fold != number], labels[fold != number], 3)
        out = np.flatnonzero(fold == number)
        far += [
            distance
            for row, distance in zip(out, known.distances(features[out]), strict=True)
            if taught.probabilities[row].argmax() == labels[row]
        ]
    rank = max(1, (len(far) + 1) // 100)
    assert taught.calibration.unknown_beyond == pytest.approx(sorted(far)[-rank], abs=1e-4)


@pytest.mark.parametrize("counts", [(4, 9), (1, 1), (30, 2, 30)])
def test_too_few_pictures_of_a_class_promise_nothing(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    features = np.random.default_rng(0).normal(size=(len(labels), 12))
    taught = teach_head(features, labels, len(counts))
    assert taught.probabilities is None
    assert taught.calibration.unknown_below == 0
    assert taught.calibration.unknown_beyond is None
    assert taught.likeness is None
    assert taught.head.weight.shape == (len(counts), 12)
