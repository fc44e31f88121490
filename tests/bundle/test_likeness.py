"""How far a picture is from the training pictures: against scikit-learn and scipy, and with little to go by."""

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import ledoit_wolf

from nin.bundle.card import Calibration
from nin.bundle.likeness import FINEST, Likeness, fit_likeness
from nin.errors import ModelError, UsageError


def drawn(count: int, classes: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features like a network's: positive, correlated, one class after another, of very unequal spread."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    mixed = rng.normal(size=(width, width)) * np.geomspace(0.005, 0.5, width)[:, None]
    return np.abs(rng.normal(size=(classes, width)))[labels] + rng.normal(size=(count, width)) @ mixed, labels


def by_hand(features: np.ndarray, labels: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """The same by scikit-learn's covariance and scipy's distance, in double precision."""
    names = np.unique(labels)
    means = np.stack([features[labels == name].mean(0) for name in names])
    shrunk, _ = ledoit_wolf(features - means[labels], assume_centered=True)
    covariance = shrunk * len(features) / (len(features) - len(names))
    covariance += (FINEST**2) * np.mean(features**2) * np.eye(features.shape[1])
    inverse = np.linalg.inv(covariance)
    return np.array([min(mahalanobis(each, mean, inverse) for mean in means) for each in asked])


@pytest.mark.parametrize(
    ("count", "classes", "width"), [(400, 3, 12), (2000, 10, 64), (40, 2, 60), (7, 5, 30), (300, 2, 1)]
)
def test_the_distance_is_mahalanobis_with_a_shrunk_covariance_within_classes(count, classes, width):
    features, labels = drawn(count, classes, width)
    others = np.concatenate([features[:20], drawn(20, classes, width, seed=1)[0], np.zeros((1, width))])
    likeness = fit_likeness(features, labels, classes)
    right = by_hand(features, labels, others)
    found = likeness.distances(others.astype(np.float32))
    assert found.dtype == np.float32 and found.shape == (len(others),)
    np.testing.assert_allclose(found, right, rtol=2e-3, atol=1e-4)
    assert likeness.directions.dtype == np.float16  # and still so close


def test_half_precision_moves_no_distance_by_a_thousandth():
    features, labels = drawn(2000, 10, 192)
    likeness = fit_likeness(features, labels, 10)
    whole = Likeness(likeness.means, _exact_directions(features, labels), likeness.scales)
    asked = np.concatenate([features[:200], drawn(200, 10, 192, seed=2)[0]]).astype(np.float32)
    np.testing.assert_allclose(likeness.distances(asked), whole.distances(asked), rtol=1e-3)


def _exact_directions(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    means = np.stack([features[labels == name].mean(0) for name in range(10)]).astype(np.float32)
    directions = np.linalg.eigh(ledoit_wolf(features - means[labels], assume_centered=True)[0])[1]
    return directions.astype(np.float32)


def test_a_class_mean_is_no_distance_away_and_more_is_farther():
    features, labels = drawn(500, 4, 16)
    likeness = fit_likeness(features, labels, 4)
    np.testing.assert_allclose(likeness.distances(likeness.means), 0, atol=1e-3)
    away = likeness.means[:1] + np.linspace(0, 50, 20)[:, None] * np.float32([1] + [0] * 15)
    assert (np.diff(likeness.distances(away)) > -1e-3).all()


@pytest.mark.parametrize(
    ("features", "labels"),
    [
        (np.ones((20, 4)), np.arange(20) % 2),
        (np.zeros((20, 4)), np.arange(20) % 2),
        (np.eye(4), np.arange(4)),
        (np.random.default_rng(0).normal(size=(20, 4)), np.zeros(20, int)),
        (np.where(np.arange(80).reshape(20, 4) == 3, np.nan, 1.5), np.arange(20) % 2),
    ],
    ids=["all the same", "all zero", "one picture a class", "a class without a picture", "NaN"],
)
def test_what_tells_nothing_gives_nothing(features, labels):
    assert fit_likeness(features, labels, 4 if len(features) == 4 else 2) is None


@pytest.mark.parametrize("seed", range(20))
def test_a_distance_is_always_a_number(seed):
    """Dead features, twins, single pictures, enormous and tiny values, and foreign pictures far from all of them."""
    rng = np.random.default_rng(seed)
    classes, width = int(rng.integers(2, 6)), int(rng.integers(1, 40))
    features, labels = drawn(int(rng.integers(classes + 1, 60)), classes, width, seed)
    labels = np.arange(len(features)) % classes
    features[:, rng.random(width) < 0.3] = 0
    features *= 10.0 ** rng.integers(-6, 7)
    likeness = fit_likeness(features, labels, classes)
    if likeness is not None:
        asked = rng.normal(size=(50, width)) * np.abs(features).max() * 10.0 ** rng.integers(-3, 4)
        found = likeness.distances(asked)
        assert np.isfinite(found).all() and (found >= 0).all()
        again = Likeness.from_tensors(likeness.tensors(), classes, width)
        np.testing.assert_array_equal(again.distances(asked), found)


def changed(name: str, change) -> dict[str, np.ndarray]:
    tensors = fit_likeness(*drawn(100, 3, 5), 3).tensors()
    return {**tensors, name: change(tensors[name].copy())}


def _with(array: np.ndarray, value: float) -> np.ndarray:
    array.flat[0] = value
    return array


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        changed("means", lambda a: a[:2]),
        changed("means", lambda a: a.astype(np.float64)),
        changed("directions", lambda a: a[:, :4]),
        changed("directions", lambda a: a.astype(np.float32)),
        changed("scales", lambda a: a[None]),
        {**changed("scales", lambda a: a), "more": np.zeros(1, np.float32)},
    ],
)
def test_tensors_of_another_network_are_refused(tensors):
    with pytest.raises(ModelError, match="are not those of 3 classes of 5"):
        Likeness.from_tensors(tensors, 3, 5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["means", "directions", "scales"])
def test_numbers_that_are_not_finite_are_refused(name, value):
    with pytest.raises(ModelError, match="not usable numbers"):
        Likeness.from_tensors(changed(name, lambda a: _with(a, value)), 3, 5)


@pytest.mark.parametrize("value", [0.0, -1.0, 1e38])
def test_scales_that_cannot_be_are_refused(value):
    with pytest.raises(ModelError, match="not usable numbers"):
        Likeness.from_tensors(changed("scales", lambda a: np.full_like(a, value)), 3, 5)


def test_the_answer_is_unknown_for_either_reason_and_never_by_a_number_that_is_none():
    both = Calibration(1.0, 0.4, 20.0)
    cases = [(0.39, 1.0, True), (0.4, 20.0, False), (0.99, 20.1, True), (0.99, float("nan"), True), (0.99, None, False)]
    for score, distance, unknown in cases:
        assert both.is_unknown(score, distance) is unknown
    assert not Calibration(1.0, 0.4).is_unknown(0.5, 1e9) and not Calibration(1.0, 0.4).is_unlike(1e9)
    assert both.to_dict() == {"temperature": 1.0, "unknown_below": 0.4, "unknown_beyond": 20.0}
    assert Calibration(1.0, 0.4).to_dict() == {"temperature": 1.0, "unknown_below": 0.4}
    for value in (-1.0, float("nan"), float("inf"), "1", True):
        with pytest.raises(UsageError, match="unknown_beyond is"):
            Calibration(1.0, 0.4, value)
