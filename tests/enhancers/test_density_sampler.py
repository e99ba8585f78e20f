"""Anchors by the density of their scores, against loops and frequencies."""

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from ltlearn.enhancers import DensitySampler, TailMixup
from ltlearn.enhancers._mixup import draw_for_each

POINTS = torch.tensor([-2.0, -1.0, 0.0, 1.0, 4.0], dtype=torch.float64)
DENSITY = torch.tensor([0.1, 0.8, 1.6, 0.0, 0.2], dtype=torch.float64)


def loop_log_weight(score, power):
    """Linear between the points, constant beyond, never 0."""
    density = float(np.interp(score, POINTS, DENSITY))
    return -power * np.log(max(density, 0.1) / 1.6)


@pytest.mark.parametrize("power", [0.0, 1.0, 10.0])
def test_log_weights_against_a_loop(power):
    scores = torch.tensor([[-9.0, -2.0, -1.5, -0.2], [0.0, 1.0, 3.4, 99.0]])
    found = DensitySampler(POINTS, DENSITY, power)(scores)
    expected = [[loop_log_weight(score, power) for score in row] for row in scores.tolist()]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_equal_points_and_a_single_one():
    steps = DensitySampler(torch.tensor([0.0, 1, 1, 2]), torch.tensor([1.0, 1, 3, 3]), 1.0)
    found = steps(torch.tensor([0.5, 1.0, 1.5])).exp()
    assert found[0] == pytest.approx(3)
    assert found[2] == pytest.approx(1)
    assert found.isfinite().all()
    alone = DensitySampler(torch.tensor([2.0]), torch.tensor([7.0]))
    assert alone(torch.tensor([[1.0, 2.0]])).tolist() == [[0.0, 0.0]]


SCORES = torch.tensor([-1.8, -0.9, 0.1, 0.3, 2.0, 4.0])


@pytest.mark.parametrize("together", [False, True])
def test_anchors_are_drawn_in_proportion_and_shares_follow(together):
    """Pairs of anchors, one after the other without replacement."""
    sampler = DensitySampler(POINTS, DENSITY, 0.7)
    mixup = TailMixup(2 / 6, tail_temperature=1e-3, pair_temperature=0.5, sampler=sampler)
    scores, generator = SCORES.expand(6000, 6), torch.Generator().manual_seed(0)
    if together:
        draw = draw_for_each([mixup], scores[None], [generator])
        draw = type(draw)(*(values[0] for values in draw))
    else:
        draw = mixup.draw(scores, generator)
    weights = [np.exp(loop_log_weight(score, 0.7)) for score in SCORES.tolist()]
    p = [weight / sum(weights) for weight in weights]
    pairs = list(itertools.combinations(range(6), 2))
    expected = [p[i] * p[j] / (1 - p[i]) + p[j] * p[i] / (1 - p[j]) for i, j in pairs]
    counts = dict.fromkeys(pairs, 0)
    for row in draw.anchors.tolist():
        counts[tuple(sorted(row))] += 1
    assert chisquare(list(counts.values()), 6000 * np.array(expected)).pvalue > 1e-4
    first, second = (torch.tensor(weights)[rows] for rows in (draw.anchors, draw.partners))
    torch.testing.assert_close(draw.share.double(), first / (first + second), rtol=1e-4, atol=1e-6)


def test_members_may_differ_in_their_sampler():
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    mixups = [TailMixup(0.5), TailMixup(0.5, sampler=DensitySampler(POINTS, DENSITY, 2.0))]
    scores = torch.randn(2, 5, 8)
    draw = draw_for_each(mixups, scores, generators)
    for number, (mixup, seed) in enumerate(zip(mixups, (1, 2), strict=True)):
        alone = mixup.draw(scores[number], torch.Generator().manual_seed(seed))
        for one, other in zip(alone, draw, strict=True):
            torch.testing.assert_close(one, other[number])


@pytest.mark.parametrize(
    ("points", "density", "power", "message"),
    [
        ([0.0, 1.0], [1.0], 1.0, "same shape"),
        ([], [], 1.0, "same shape"),
        ([1.0, 0.0], [1.0, 1.0], 1.0, "ascending order"),
        ([0.0, float("nan")], [1.0, 1.0], 1.0, "finite and in ascending order"),
        ([0.0, 1.0], [0.0, 0.0], 1.0, "density must be finite, not negative, and positive"),
        ([0.0, 1.0], [1.0, -1.0], 1.0, "density must be finite, not negative"),
        ([0.0, 1.0], [1.0, 1.0], -1.0, "power must be at least 0"),
        ([0.0, 1.0], [1.0, 1.0], float("inf"), "power must be at least 0"),
    ],
)
def test_bad_input_raises(points, density, power, message):
    with pytest.raises(ValueError, match=message):
        DensitySampler(torch.tensor(points), torch.tensor(density), power)
