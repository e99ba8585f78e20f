"""Rank correlation against SciPy's, rows of whole weights being rows repeated."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch.func import vmap

from ltlearn.objectives._ranking import rank_correlation

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("n_values", [3, 12, 10**6])
@pytest.mark.parametrize("weighted", [False, True])
def test_against_scipy(n_values, weighted):
    first, second = RNG.integers(n_values, size=(2, 60)).astype(float)
    second += first
    weight = RNG.integers(1, 5, size=60) if weighted else np.ones(60, dtype=int)
    expected = spearmanr(np.repeat(first, weight), np.repeat(second, weight))[0]
    given = torch.from_numpy(weight) if weighted else None
    correlation = rank_correlation(torch.from_numpy(first), torch.from_numpy(second), given)
    assert correlation.item() == pytest.approx(expected, abs=1e-12)


def test_nothing_is_ranked():
    values = torch.arange(5.0)
    assert rank_correlation(torch.ones(5), values) == 0
    assert rank_correlation(values, torch.ones(5)) == 0
    assert rank_correlation(values[:1], values[:1]) == 0


def test_extreme_values_and_order():
    values = torch.tensor([-3e38, 0.0, 1e-40, 3e38])
    assert rank_correlation(values, values).item() == pytest.approx(1)
    assert rank_correlation(-values, values).item() == pytest.approx(-1)


def test_many_at_once():
    first, second = torch.from_numpy(RNG.integers(9, size=(2, 4, 30)).astype(float))
    weight = torch.from_numpy(RNG.uniform(0.5, 2, size=(4, 30)))
    each = [rank_correlation(*rows) for rows in zip(first, second, weight, strict=True)]
    torch.testing.assert_close(vmap(rank_correlation)(first, second, weight), torch.stack(each))
