"""label_errors.py: what contradicts its label is found by an independent count, and only where it is consistent."""

import numpy as np
import pytest

from nin.training.label_errors import candidates, consistent, views


def planted() -> tuple[np.ndarray, np.ndarray]:
    """200 sure and right answers of 4 classes, of which rows 7 and 90 have another label, and row 33 is unsure."""
    labels = np.arange(200) % 4
    probabilities = np.full((200, 4), 0.02)
    probabilities[np.arange(200), labels] = 0.94
    probabilities[33] = (0.4, 0.3, 0.2, 0.1)  # its label is 1
    labels[[7, 90]] = (labels[[7, 90]] + 1) % 4
    return probabilities, labels


def test_confident_contradictions_are_found_and_unsure_ones_are_not() -> None:
    probabilities, labels = planted()
    found = candidates(probabilities, labels)
    assert sorted(found.tolist()) == [7, 90]
    for row in range(200):  # the same rule, picture by picture
        answer = probabilities[row].argmax()
        usual = np.mean([probabilities[i, answer] for i in range(200) if labels[i] == answer])
        assert (row in found) == (answer != labels[row] and probabilities[row, answer] >= usual)


def test_a_network_that_is_often_wrong_accuses_nobody() -> None:
    probabilities, labels = planted()
    labels = np.where(np.arange(200) % 3 == 0, (labels + 1) % 4, labels)
    assert not len(candidates(probabilities, labels))


def test_a_class_without_pictures_accuses_nobody() -> None:
    probabilities = np.full((50, 3), 0.01)
    probabilities[:, 0] = 0.98
    probabilities[0] = (0.0, 0.0, 1.0)
    assert not len(candidates(probabilities, np.zeros(50, int)))


@pytest.mark.parametrize("side", [8, 32])
def test_views_are_the_picture_moved_by_a_sixteenth(side: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, side, side, 1), dtype=np.uint8)
    step = max(1, side // 16)
    right, left, down, up = views(images, np.array([2, 0]))
    np.testing.assert_array_equal(right[0][:, step:], images[2][:, :-step])
    np.testing.assert_array_equal(left[0][:, :-step], images[2][:, step:])
    np.testing.assert_array_equal(down[1][step:], images[0][:-step])
    np.testing.assert_array_equal(up[1][:-step], images[0][step:])


def test_only_the_same_answer_in_every_view_counts() -> None:
    seen = np.zeros((4, 3, 2))
    seen[:, 0, 1] = 1
    seen[:3, 1, 1] = 1
    seen[3, 1, 0] = 1
    assert consistent(np.array([1, 1, 1]), seen).tolist() == [True, False, False]
