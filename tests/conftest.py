"""Data and settings shared by the tests."""

import random
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from ltlearn.data import _inputs
from ltlearn.objectives import _granular
from ltlearn.utils import _random

torch.set_num_threads(1)

# Read by the type checker, and run in processes of their own.
collect_ignore = [
    "typing/user_script.py",
    "typing/mistakes.py",
    "estimators/killed_fits.py",
    "evaluation/killed_workers.py",
]


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


@pytest.fixture
def in_float64(monkeypatch):
    """Let tables, networks and losses compute in float64, where rounding plays no part."""

    @contextmanager
    def defaults():
        torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(torch.float32)

    make_data = _inputs.TableInputs.data

    def data(self, X, target=None, training=False):
        made = make_data(self, X, target, training)
        made.X = torch.from_numpy(np.ascontiguousarray(self.scaler.transform(X)))
        return made

    def weight(target):
        ones = torch.ones(len(target["label"]), dtype=torch.float64)
        return target.get("weight", ones)

    monkeypatch.setattr(_random, "torch_defaults", defaults)
    monkeypatch.setattr(_inputs.TableInputs, "data", data)
    monkeypatch.setattr(_granular, "_weight", weight)
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
