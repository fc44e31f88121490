"""evaluate.py against scikit-learn, hand calculations and slow second implementations."""

import itertools
import json
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nin.bundle.card import Calibration
from nin.errors import DataError
from nin.training.evaluation import (
    beyond_chance,
    evaluate_probabilities,
    fit_temperature,
    fit_unknown_threshold,
    fit_unlike_threshold,
    result_warnings,
    softmax,
    wilson_interval,
)


def drawn(n: int, k: int, seed: int, skill: float = 1.5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits (n, k), their probabilities and labels that they tell something about."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, k, n)
    logits = rng.normal(size=(n, k)) * 1.3
    logits[np.arange(n), labels] += skill
    return logits, softmax(logits), labels


def names(k: int) -> tuple[str, ...]:
    return tuple(f"class {i}" for i in range(k))


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 60), k=st.integers(2, 14), seed=st.integers(0, 2**32 - 1))
def test_agrees_with_scikit_learn(n: int, k: int, seed: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    _, p, y = drawn(n, k, seed)
    predicted, every = p.argmax(axis=1), list(range(k))
    found = evaluate_probabilities(p, y, names(k))
    assert (found.confusion == metrics.confusion_matrix(y, predicted, labels=every)).all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of absent classes; ours must not
        precision, recall, f1, support = metrics.precision_recall_fscore_support(
            y, predicted, labels=every, zero_division=0
        )
        balanced = metrics.balanced_accuracy_score(y, predicted)
    ours = [(s.precision, s.recall, s.f1, s.support) for s in found.per_class]
    np.testing.assert_allclose(ours, np.stack([precision, recall, f1, support], axis=1), atol=1e-12)
    assert found.balanced_accuracy == pytest.approx(balanced)
    assert found.accuracy == pytest.approx(metrics.accuracy_score(y, predicted))
    assert found.loss == pytest.approx(metrics.log_loss(y, p, labels=every))
    if k > 10:
        assert found.top5 == pytest.approx(metrics.top_k_accuracy_score(y, p, k=5, labels=every))
    else:
        assert found.top5 is None


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 200), k=st.integers(2, 12), seed=st.integers(0, 2**32 - 1))
def test_calibration_error_by_a_slow_second_way(n: int, k: int, seed: int) -> None:
    _, p, y = drawn(n, k, seed)
    found = evaluate_probabilities(p, y, names(k))
    error = 0.0
    for m in range(15):
        inside = [i for i in range(n) if m / 15 < p[i].max() <= (m + 1) / 15]
        assert found.bins[m].count == len(inside)
        if inside:
            sure = math.fsum(p[i].max() for i in inside) / len(inside)
            right = sum(int(p[i].argmax() == y[i]) for i in inside) / len(inside)
            assert found.bins[m].confidence == pytest.approx(sure)
            assert found.bins[m].accuracy == pytest.approx(right)
            error += len(inside) / n * abs(right - sure)
    assert found.ece == pytest.approx(error)
    assert sum(b.count for b in found.bins) == n


def test_five_pictures_by_hand() -> None:
    p = [[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.8, 0.2], [0.0, 1.0]]
    found = evaluate_probabilities(p, [0, 1, 1, 0, 0], ("cat", "dog"))
    assert found.confusion.tolist() == [[2, 1], [1, 1]]  # rows = true
    assert found.accuracy == pytest.approx(3 / 5)
    assert found.balanced_accuracy == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert [s.f1 for s in found.per_class] == pytest.approx([2 / 3, 1 / 2])
    # confidences .9 .6 .7 .8 1.0 lie in the 14th, 9th, 11th, 12th and 15th of 15 bins; hits: yes no yes yes no
    assert found.ece == pytest.approx((0.1 + 0.6 + 0.3 + 0.2 + 1.0) / 5)
    impossible = -math.log(np.finfo(np.float64).eps)  # the true class had probability 0
    assert found.loss == pytest.approx((-math.log(0.9 * 0.4 * 0.7 * 0.8) + impossible) / 5)


def test_wilson_interval_solves_its_equation() -> None:
    """The edges are where |p - share| = z * sqrt(p (1 - p) / n): Wilson's definition, not the solved formula."""
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)  # Newcombe 1998, table I, method 3
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)  # the same
    for hits, n in [(1, 1), (0, 1), (7, 9), (50, 100), (9_973, 10_000)]:
        low, high = wilson_interval(hits, n)
        assert 0 <= low <= hits / n <= high <= 1
        for edge in (low, high):
            if 0 < edge < 1:
                assert abs(edge - hits / n) == pytest.approx(1.959964 * math.sqrt(edge * (1 - edge) / n), rel=1e-5)
    with pytest.raises(DataError, match="at least one picture"):
        wilson_interval(0, 0)


@pytest.mark.parametrize("planted", [0.5, 1.0, 2.5])
def test_temperature_finds_a_planted_one(planted: float) -> None:
    rng = np.random.default_rng(7)
    honest = rng.normal(size=(20_000, 6)) * 2
    cumulative = softmax(honest).cumsum(axis=1)
    labels = (rng.random((len(honest), 1)) > cumulative).sum(axis=1).clip(0, 5)
    assert fit_temperature(honest * planted, labels) == pytest.approx(planted, rel=0.03)


@settings(max_examples=15, deadline=None)
@given(n=st.integers(1, 80), k=st.integers(2, 8), seed=st.integers(0, 2**32 - 1), skill=st.floats(-3, 8))
def test_temperature_never_worsens_the_loss(n: int, k: int, seed: int, skill: float) -> None:
    """Against scikit-learn on a fine grid, the average picture written out as 2n pictures of small weight."""
    metrics = pytest.importorskip("sklearn.metrics")
    logits, _, y = drawn(n, k, seed, skill)
    found = fit_temperature(logits, y)
    first, second = np.argsort(-logits, axis=1)[:, :2].T
    weights = np.concatenate([np.ones(n), np.full(2 * n, 0.5 / n)])

    def loss(temperature: float) -> float:
        return float(metrics.log_loss(y, softmax(logits, temperature), labels=list(range(k))))

    def fitted(temperature: float) -> float:
        p, labels = np.tile(softmax(logits, temperature), (3, 1)), np.concatenate([y, first, second])
        return float(metrics.log_loss(labels, p, sample_weight=weights, labels=list(range(k))))

    assert np.isfinite(found) and found > 0
    assert loss(found) <= loss(1.0) + 1e-12
    lead = float((logits.max(axis=1) - logits.mean(axis=1)).mean())
    best = min(np.geomspace(0.01 * lead, 20 * lead, 100), key=fitted)
    if found == 1.0:  # what the fit prefers is worse on the pictures themselves
        assert loss(best) >= loss(1.0) - 1e-3
    else:
        assert fitted(found) <= fitted(best) + 1e-9


@pytest.mark.parametrize(
    ("n", "wrong", "k", "gap"), [(144, 0, 10, 4.5), (1, 0, 2, 9.0), (30, 1, 2, 9.0), (5000, 0, 3, 4.5)]
)
def test_temperature_of_equal_gaps_by_hand(n: int, wrong: int, k: int, gap: float) -> None:
    """Every picture leads by the same gap: the share expected wrong is (wrong + 1/2) / (n + 1), solved for T."""
    logits, labels = np.zeros((n, k)), np.zeros(n, np.int64)
    logits[:, 0], labels[:wrong] = gap, 1
    share = (wrong + 0.5) / (n + 1)
    by_hand = gap / math.log((k - 1) * (1 - share) / share)
    found = fit_temperature(logits, labels)
    if wrong:  # two classes, so the wrong answer is the second likeliest
        assert found == pytest.approx(by_hand, rel=1e-9) and found > 1
    else:
        assert found == pytest.approx(by_hand if by_hand < 1 else 1.0, rel=1e-9)


@pytest.mark.parametrize("n", [40, 144, 400])
def test_pictures_that_are_all_right_calibrate(n: int) -> None:
    """A network trained with label smoothing says 0.9 and is right 199 times in 200: no error is seen."""
    rng, errors = np.random.default_rng(3), []
    for _ in range(20):
        gap = rng.normal(5, 0.6, n)
        logits = np.concatenate([gap[:, None], rng.normal(0, 0.3, (n, 9))], axis=1)
        temperature = fit_temperature(logits, np.zeros(n, np.int64))
        fresh = np.concatenate([rng.normal(5, 0.6, (20_000, 1)), rng.normal(0, 0.3, (20_000, 9))], axis=1)
        labels = np.where(rng.random(20_000) < 0.005, fresh[:, 1:].argmax(axis=1) + 1, 0)
        errors.append(evaluate_probabilities(softmax(fresh, temperature), labels, names(10)).ece)
        assert evaluate_probabilities(softmax(fresh), labels, names(10)).ece > 0.05  # what temperature 1 says
    assert max(errors) < 0.03


def test_temperature_follows_the_scale_of_the_logits() -> None:
    logits, _, y = drawn(300, 4, 5)
    found = fit_temperature(logits * 3, y)
    for factor in (1e-2, 1e2, 1e4):
        assert fit_temperature(logits * 3 * factor, y) == pytest.approx(found * factor, rel=1e-9)


def test_temperature_of_odd_validation_sets() -> None:
    rng = np.random.default_rng(1)
    assert fit_temperature(np.zeros((5, 3)), np.arange(5) % 3) == 1.0  # the network says nothing
    assert fit_temperature(np.full((5, 3), 7.0), np.arange(5) % 3) == 1.0
    assert fit_temperature(np.array([[2.0, 0.0]]), [0]) == 1.0  # one picture, right: 3/4 would be less sure than T = 1
    for scale in (1.0, 300.0):  # at chance: no class may be stated with much more than its share
        logits = scale * rng.normal(size=(500, 4))
        assert softmax(logits, fit_temperature(logits, rng.integers(0, 4, 500))).max(axis=1).mean() < 0.3
    absent = rng.normal(size=(200, 3)) + 4 * np.eye(3)[rng.integers(0, 2, 200)]  # class 2 has no picture
    assert 0.1 < fit_temperature(absent, absent[:, :2].argmax(axis=1)) < 10
    enormous = np.array([[1e9, 0.0], [1e9, 0.0]])
    assert Calibration(fit_temperature(enormous, [0, 1])).temperature == 1e6


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 400), k=st.integers(2, 6), seed=st.integers(0, 2**32 - 1))
def test_unknown_costs_at_most_two_percent_of_the_correct(n: int, k: int, seed: int) -> None:
    _, p, y = drawn(n, k, seed)
    threshold = fit_unknown_threshold(p, y)
    sure, right = p.max(axis=1), p.argmax(axis=1) == y
    assert (sure[right] < threshold).sum() <= 0.02 * right.sum()
    if right.sum() < 49:
        assert threshold == 0.0
    else:  # and it is the highest such threshold the promise for new pictures allows, to 6 decimals
        j = int(0.02 * (right.sum() + 1) + 1e-9)
        assert threshold == pytest.approx(sorted(sure[right])[j - 1], abs=1e-6)


def test_unknown_keeps_its_promise_on_new_pictures() -> None:
    lost = []
    for seed in range(300):
        _, p, y = drawn(320, 3, seed)
        threshold = fit_unknown_threshold(p[:160], y[:160])
        right = p[160:].argmax(axis=1) == y[160:]
        lost.append((p[160:].max(axis=1)[right] < threshold).mean())
    assert np.mean(lost) < 0.02 + 3 * np.std(lost) / np.sqrt(len(lost))


@pytest.mark.parametrize(("right", "place"), [(98, None), (99, 1), (198, 1), (199, 2), (1000, 10)])
def test_unlike_costs_at_most_one_percent_of_the_correct(right: int, place: int | None) -> None:
    """The place-th largest distance of the correct answers; the wrong ones, however far, do not count."""
    rng = np.random.default_rng(right)
    distances = np.concatenate([rng.gamma(9.0, size=right), np.full(50, 1e6)])
    threshold = fit_unlike_threshold(distances, np.arange(len(distances)) < right)
    if place is None:
        assert threshold is None
        return
    assert threshold == pytest.approx(sorted(distances[:right])[-place], abs=1e-4)
    assert (distances[:right] > threshold).sum() == place - 1 <= 0.01 * right


def test_unlike_keeps_its_promise_on_new_pictures() -> None:
    rng, lost = np.random.default_rng(0), []
    for _ in range(500):
        distances = rng.gamma(9.0, size=400)
        threshold = fit_unlike_threshold(distances[:200], np.ones(200, bool))
        assert threshold is not None
        lost.append((distances[200:] > threshold).mean())
    assert np.mean(lost) < 0.01 + 3 * np.std(lost) / np.sqrt(len(lost))


def test_softmax_is_shift_free_and_does_not_overflow() -> None:
    z = np.array([[1e4, 1e4 - 1.0, -1e4]])
    np.testing.assert_allclose(softmax(z), softmax(z - 1e4))
    assert softmax([0.0, math.log(3)], 1.0) == pytest.approx([0.25, 0.75])
    assert softmax([0.0, math.log(9)], 2.0) == pytest.approx([0.25, 0.75])
    for temperature in (0.0, -1.0, math.nan):
        with pytest.raises(DataError, match="temperature"):
            softmax(z, temperature)


GOOD = np.full((4, 3), 1 / 3)


@pytest.mark.parametrize(
    ("p", "y", "match"),
    [
        (np.where(np.eye(4, 3), math.nan, GOOD), [0, 1, 2, 0], "3 of 4 pictures are not finite"),
        (GOOD * math.inf, [0, 1, 2, 0], "not finite"),
        (GOOD * 3, [0, 1, 2, 0], "sum to 1"),
        (GOOD - [[0.5, -0.5, 0]], [0, 1, 2, 0], "sum to 1"),
        (GOOD, [0, 1, 3, 0], "label 3 does not exist"),
        (GOOD, [0, 1, -1, 0], "label -1 does not exist"),
        (GOOD, [0, 1, 2], "one label per picture"),
        (GOOD, [0.0, 1.0, 2.0, 0.0], "whole numbers"),
        (np.zeros((0, 3)), np.zeros(0, int), "at least one picture"),
        (np.ones((2, 1)), [0, 0], "at least 2 classes"),
        (np.ones(3) / 3, [0], "at least 2 classes"),
        (np.full((4, 2), 0.5), [0, 1, 0, 1], "2 probabilities per picture for 3 class names"),
    ],
)
def test_hostile_input_is_one_line(p: np.ndarray, y: list[int], match: str) -> None:
    with pytest.raises(DataError, match=match) as caught:
        evaluate_probabilities(p, y, ("a", "b", "c"))
    assert "\n" not in str(caught.value)


def test_numbers_go_through_json() -> None:
    _, p, y = drawn(50, 12, 3)
    found = evaluate_probabilities(p, y, names(12)).to_dict()
    again = json.loads(json.dumps(found, allow_nan=False))
    assert again == found
    assert list(again) == [
        "n", "accuracy", "interval", "balanced_accuracy", "loss", "ece", "top5", "per_class", "confusion",
    ]  # fmt: skip
    assert np.sum(again["confusion"]) == 50


def answers(confusion: list[list[int]], labels: tuple[str, ...] = ("cat", "dog", "owl")) -> tuple[str, ...]:
    """The result_warnings about answers with this confusion matrix."""
    counts = np.array(confusion)
    true, given_ = (np.repeat(index.ravel(), counts.ravel()) for index in np.indices(counts.shape))
    return result_warnings(evaluate_probabilities(np.eye(len(labels))[given_], true, labels))


def test_a_good_result_needs_no_words() -> None:
    assert answers([[90, 5, 5], [5, 90, 5], [5, 5, 90]]) == ()


def test_truths_name_what_is_wrong() -> None:
    (chance,) = answers([[40, 30, 30], [30, 40, 30], [35, 35, 30]])
    assert "at chance" in chance and "guessing gives 33.3%" in chance
    majority, *_ = answers([[900, 5, 5], [40, 10, 0], [40, 0, 10]])
    assert majority == (
        "accuracy 91.1% (95 % interval 89.2% to 92.7%) is hardly more than always answering cat gives (90.1%); the "
        "balanced accuracy, 46.3% (guessing gives 33.3%), is the fairer number"
    )
    rarer, *_ = answers([[800, 60, 50], [0, 50, 0], [0, 0, 50]])
    assert "is less than always answering cat gives (90.1%); the balanced accuracy, 96.0%" in rarer
    majority, *_ = answers([[900, 5, 5], [49, 1, 0], [50, 0, 0]])
    assert majority.startswith("no better than always answering cat: accuracy 89.2%")
    eaten = answers([[90, 10, 0], [100, 10, 0], [100, 0, 0]])
    assert any("94% of the answers are cat" in line for line in eaten)
    assert any("never given as an answer" in line and "owl" in line for line in eaten)
    (absent,) = answers([[90, 5, 5], [5, 90, 5], [0, 0, 0]])
    assert "no picture of it was held out: owl" in absent
    (few,) = answers([[30, 0, 0], [0, 30, 0], [0, 0, 30]])
    assert "only 90 pictures" in few and "96% to 100%" in few
    well = evaluate_probabilities(np.eye(2)[[0, 1] * 100], [0, 1] * 100, ("a", "b"))
    (shared,) = result_warnings(well, shared_pictures=12)
    assert shared.startswith("12 of the 200 pictures")


def test_what_is_all_right_is_not_accused() -> None:
    assert answers([[3, 0], [0, 299]], ("sick", "well")) == ()
    assert [line for line in answers([[1, 0], [0, 1]], ("a", "b")) if "only 2 pictures" not in line] == []
    assert not any("chance" in line or "no better" in line for line in answers([[19, 1, 0], [0, 0, 0], [0, 0, 0]]))
    guessed, few = answers([[3, 1], [1, 3]], ("a", "b"))
    assert guessed == (
        "the result cannot be told from guessing, which gives 50.0%: accuracy 75.0% (95 % interval 40.9% to 92.9%); "
        "measure on more pictures"
    )
    assert few.startswith("only 8 pictures")


@pytest.mark.parametrize("confusion", [[[3, 0], [0, 4]], [[2, 1, 0], [1, 0, 1], [0, 1, 1]], [[4, 2], [1, 0]]])
def test_beyond_chance_is_counted_over_every_way_to_deal_the_answers_out(confusion) -> None:
    counts = np.array(confusion)
    true, given_ = (np.repeat(index.ravel(), counts.ravel()) for index in np.indices(counts.shape))
    hits = [sum(true == np.array(order)) for order in itertools.permutations(given_)]
    expected = (sum(true == given_) - np.mean(hits)) / np.std(hits)
    assert beyond_chance(counts) == pytest.approx(expected)
    assert beyond_chance(np.array([[7, 0], [3, 0]])) == 0


def test_what_is_advised_is_what_the_run_allows() -> None:
    eaten = evaluate_probabilities(np.eye(2)[[0] * 150], [0] * 75 + [1] * 75, ("a", "b"))
    assert any(line.endswith("; train longer or with a smaller learning rate") for line in result_warnings(eaten))
    told = result_warnings(eaten, advice="give it more time")
    assert any(line.endswith("; give it more time") for line in told) and "train longer" not in " ".join(told)


def test_truths_stay_one_line_whatever_the_class_is_called() -> None:
    for line in answers([[90, 10, 0], [100, 10, 0], [100, 0, 0]], ("a\nb", "\x1b[31mred", "\u202eevil")):
        assert line.isprintable()
