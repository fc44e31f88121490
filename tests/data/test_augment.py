"""Augmentation: identities that a bilinear resampling must keep, independence of the batch, and hand-made cases."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nin.data.augment import Augmentation, augment, cutmix, draws, purposes, vary
from nin.data.randomness import uniform
from nin.errors import UsageError

EVERYTHING = Augmentation(flip=True, shift=0.1, zoom=0.2, aspect=0.2, rotate=15, colour=0.3, erase=0.3)


def pictures(count: int = 6, side: int = 16, channels: int = 3) -> torch.Tensor:
    return torch.randn(count, channels, side, side, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("how", [EVERYTHING, Augmentation(), Augmentation(flip=True), Augmentation(erase=0.2)])
def test_what_is_drawn_at_once_varies_as_what_is_drawn_batch_by_batch(how):
    x, rows = torch.rand(4, 3, 8, 8), np.array([5, 2, 9, 0])
    drawn = {purpose: torch.from_numpy(draws(3, 4, np.arange(10), purpose)) for purpose in purposes(how, 3)}
    asked = []

    def draw(purpose):
        asked.append(purpose)
        return drawn[purpose][rows]

    assert torch.equal(vary(x, how, draw), augment(x, rows, how, seed=3, epoch=4))
    assert set(asked) == set(drawn)


def test_nothing_switched_on_changes_nothing():
    x = pictures()
    assert torch.equal(augment(x, np.arange(6), Augmentation(), seed=0, epoch=0), x)


def test_a_picture_is_varied_the_same_in_any_batch():
    x = pictures()
    together = augment(x, np.arange(6), EVERYTHING, seed=1, epoch=2)
    for i in (0, 3, 5):
        alone = augment(x[i : i + 1], np.array([i]), EVERYTHING, seed=1, epoch=2)
        torch.testing.assert_close(alone[0], together[i], rtol=0, atol=1e-6)


def test_epochs_and_seeds_vary():
    x, index = pictures(), np.arange(6)
    base = augment(x, index, EVERYTHING, seed=0, epoch=0)
    assert not torch.equal(base, augment(x, index, EVERYTHING, seed=0, epoch=1))
    assert not torch.equal(base, augment(x, index, EVERYTHING, seed=1, epoch=0))


def test_flips_mirror_exactly_those_pictures_that_the_randomness_names():
    x, index = pictures(64, 8), np.arange(64)
    flipped = augment(x, index, Augmentation(flip=True), seed=4, epoch=0)
    mirrored = uniform(4, 0, index, "flip") < 0.5
    expected = torch.where(torch.from_numpy(mirrored).view(-1, 1, 1, 1), x.flip(3), x)
    torch.testing.assert_close(flipped, expected, rtol=0, atol=1e-5)
    assert 15 < mirrored.sum() < 49


def test_flips_take_turns_with_the_epochs():
    x, index = pictures(64, 8), np.arange(64)
    first, second, third = (augment(x, index, Augmentation(flip=True), seed=4, epoch=epoch) for epoch in range(3))
    torch.testing.assert_close(second, first.flip(3), rtol=0, atol=1e-5)
    assert torch.equal(third, first)


def test_shifts_move_by_whole_pixels_and_fill_with_the_mean():
    x, index = pictures(32, 16), np.arange(32)
    moved = augment(x, index, Augmentation(shift=0.25), seed=0, epoch=0)
    seen = set()
    for before, after in zip(x, moved, strict=True):
        matches = []
        for dy in range(-4, 5):
            for dx in range(-4, 5):
                expected = torch.zeros_like(before)
                rows = slice(max(dy, 0), 16 + min(dy, 0))
                columns = slice(max(dx, 0), 16 + min(dx, 0))
                expected[:, rows, columns] = before[:, max(-dy, 0) : 16 + min(-dy, 0), max(-dx, 0) : 16 + min(-dx, 0)]
                if torch.allclose(after, expected, atol=1e-4):
                    matches.append((dy, dx))
        assert len(matches) == 1
        seen.add(matches[0])
    assert len(seen) > 20


def test_zoom_shows_a_window_inside_the_picture():
    ramp = torch.linspace(-1, 1, 32).repeat(1, 1, 32, 1)
    zoomed = augment(ramp.repeat(50, 1, 1, 1), np.arange(50), Augmentation(zoom=0.5), seed=0, epoch=0)
    spans = zoomed[:, 0, 16].amax(1) - zoomed[:, 0, 16].amin(1)
    assert spans.min() > 0.9 and spans.max() < 2.01  # at least half the side, never more than all of it
    assert (zoomed[:, 0, 16].diff(dim=1) > -1e-3).all()  # no reflection: the window stays inside


def test_widen_shows_more_than_the_picture_mirrored_at_its_border():
    ramp = torch.linspace(-1, 1, 32).repeat(50, 1, 32, 1)
    wide = augment(ramp, np.arange(50), Augmentation(widen=0.5), seed=0, epoch=0)
    turns = (wide[:, 0, 16].diff(dim=1) < -1e-4).sum(1)  # falling places: the mirrored parts
    slopes = wide[:, 0, 16].diff(dim=1).amax(1) / (2 / 31)  # how much of the side one pixel shows
    assert (turns > 0).float().mean() > 0.8 and slopes.min() > 0.99 and 1.3 < slopes.max() <= 1.51


def test_colour_changes_no_place():
    x = torch.zeros(4, 3, 8, 8)
    x[:, :, 2, 3] = 1.0
    y = augment(x, np.arange(4), Augmentation(colour=0.3), seed=0, epoch=0)
    spread = (y - y[:, :, :1, :1]).abs().amax(dim=1)
    assert (spread[:, 2, 3] > 0.1).all()
    spread[:, 2, 3] = 0
    assert spread.max() < 1e-5


def test_erase_blanks_one_square_of_the_asked_side():
    x = torch.ones(40, 1, 20, 20)
    erased = augment(x, np.arange(40), Augmentation(erase=0.5), seed=0, epoch=0)
    sides = []
    for picture in erased[:, 0]:
        rows, columns = (picture == 0).any(1).sum(), (picture == 0).any(0).sum()
        assert (picture == 0).sum() == rows * columns
        sides += [int(rows), int(columns)]
    assert max(sides) in (10, 11) and min(sides) >= 4


def test_cutmix_mixes_targets_by_the_area_that_was_pasted():
    x = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 1, 10, 10).clone()
    targets = torch.eye(4)
    mixed, soft = cutmix(x, targets, Augmentation(cutmix=1.0), seed=0, epoch=0, step=3)
    for i in range(4):
        share = (mixed[i] == (i - 1) % 4).float().mean()
        torch.testing.assert_close(soft[i, (i - 1) % 4], share)
        torch.testing.assert_close(soft[i].sum(), torch.tensor(1.0))
    same, hard = cutmix(x, targets, Augmentation(), seed=0, epoch=0, step=3)
    assert torch.equal(same, x) and torch.equal(hard, targets)


@pytest.mark.parametrize("bad", [{"shift": 0.9}, {"zoom": -0.1}, {"rotate": 999.0}, {"cutmix": 2.0}])
def test_impossible_amounts_are_refused_in_one_line(bad):
    with pytest.raises(UsageError, match=r"^augmentation \w+=.* is outside 0 to .*$"):
        replace(EVERYTHING, **bad)
