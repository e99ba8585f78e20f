"""Data and settings shared by the tests."""

import random

import numpy as np
import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeded_global_generators():
    """The same draws in every run, whatever ran before on this worker."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - SciPy and scikit-learn draw from it by default
    torch.manual_seed(0)


@pytest.fixture
def skewed_regression():
    """200 rows whose scores have a long right tail; (X, y)."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 4))
    return X, np.exp(X @ [0.8, 0.4, 0.2, 0.0] + 0.1 * rng.normal(size=200))


@pytest.fixture
def score_distributions(skewed_regression):
    """The same rows with votes over five score bins; (X, votes)."""
    X, y = skewed_regression
    rng = np.random.default_rng(1)
    share = 1 / (1 + np.exp(-(np.log(y) + 0.1)))
    return X, np.stack([np.bincount(rng.binomial(4, p, 30), minlength=5) for p in share])
