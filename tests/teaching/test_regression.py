"""The new 1x1 layer: scikit-learn finds the same minimum, and it is the minimum."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from nin.teaching.regression import PENALTY, fit_head, standards
from nin.training.evaluation import softmax


def pictures(counts: tuple[int, ...], width: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, F) of very different scales, and labels: the classes overlap."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    places = random.normal(size=(len(counts), width))
    features = places[labels] + 1.5 * random.normal(size=(len(labels), width))
    return features * 10 ** random.uniform(-3, 2, width) + random.normal(size=width), labels


@pytest.mark.parametrize("counts", [(12, 12, 12), (5, 40), (7, 3, 30, 1, 9, 12, 8, 20, 4, 6)])
@pytest.mark.parametrize("penalty", [PENALTY, 0.001])
def test_scikit_learn_finds_the_same_weights(counts, penalty):
    features, labels = pictures(counts)
    classes = len(counts)
    head = fit_head(features, labels, classes, penalty=penalty)
    mean, scale = standards(features)
    theirs = LogisticRegression(
        C=1 / (penalty * len(labels)), class_weight="balanced", tol=1e-12, max_iter=100_000
    ).fit((features - mean) / scale, labels)
    weight, bias = head.weight * scale, head.bias + head.weight @ mean
    if classes == 2:  # scikit-learn writes two classes as one: the difference, with half the penalty
        theirs = LogisticRegression(
            C=2 / (penalty * len(labels)), class_weight="balanced", tol=1e-12, max_iter=100_000
        ).fit((features - mean) / scale, labels)
        assert np.abs((weight[1] - weight[0]) - theirs.coef_[0]).max() < 1e-3
        assert abs((bias[1] - bias[0]) - theirs.intercept_[0]) < 1e-3
    else:
        assert np.abs(weight - theirs.coef_).max() < 1e-3
        assert np.abs(bias - (theirs.intercept_ - theirs.intercept_.mean())).max() < 1e-3
    assert np.array_equal(head.logits(features).argmax(1), theirs.predict((features - mean) / scale))


def test_it_does_not_matter_in_which_order_pictures_come():
    features, labels = pictures((9, 14, 6))
    head = fit_head(features, labels, 3)
    order = np.random.default_rng(1).permutation(len(labels))
    again = fit_head(features[order], labels[order], 3)
    assert np.allclose(head.weight * features.std(0), again.weight * features.std(0), atol=1e-5)


def test_a_class_with_many_pictures_is_not_favoured():
    """At the minimum the probabilities of a class, its pictures and the others' weighing alike, come to one half."""
    features, labels = pictures((200, 10))
    head = fit_head(features, labels, 2)
    probabilities = softmax(head.logits(features))
    means = [probabilities[labels == label].mean(0) for label in (0, 1)]
    assert np.abs(np.mean(means, axis=0) - 0.5).max() < 1e-4


def test_features_that_never_move_are_harmless():
    features, labels = pictures((6, 6, 6))
    features[:, :5] = 3.25
    features[:, 5] = 0
    head = fit_head(features, labels, 3)
    assert np.isfinite(head.weight).all()
    assert np.isfinite(head.bias).all()
    assert np.abs(head.weight[:, :6]).max() < 1e-6


def test_pictures_that_are_all_alike_give_no_opinion():
    head = fit_head(np.full((6, 4), 2.0), np.array([0, 0, 1, 1, 2, 2]), 3)
    assert np.allclose(head.logits(np.full((1, 4), 2.0)), 0, atol=1e-6)


def test_class_maps_have_the_logits_for_means():
    features, labels = pictures((6, 6))
    head = fit_head(features, labels, 2)
    maps = np.random.default_rng(2).normal(size=(features.shape[1], 5, 7))
    assert np.allclose(head.maps(maps).mean((1, 2)), head.logits(maps.mean((1, 2))[None])[0], atol=1e-4)
