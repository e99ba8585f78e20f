"""The solver of multinomial logistic regression, against scikit-learn's and plain loops."""

import math

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from ltlearn.stacking._softmax import fit_softmax


def problem(n_classes, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    counts = [80, 30, 12, 5][:n_classes]
    codes = np.repeat(np.arange(n_classes), counts)
    X = rng.normal(size=(n_classes, 6))[codes] + rng.normal(size=(len(codes), 6))
    return (X * [8, 4, 2, 1, 0.5, 0.1]).astype(dtype), codes, rng.uniform(0.5, 2, len(codes))


def loop_loss(weights, X, codes, weight, penalty):
    """Penalized cross-entropy, row by row."""
    loss = penalty / 2 * sum(w**2 for row in weights[:-1] for w in row)
    for x, code, of_row in zip(X, codes, weight, strict=True):
        logits = [sum(x * weights[:-1, k]) + weights[-1, k] for k in range(weights.shape[1])]
        loss += of_row * (math.log(sum(math.exp(z) for z in logits)) - logits[code])
    return loss


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("C", [0.01, 1.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("tolerance", "error"), [(None, 0.02), (1e-4, 1e-3)])
def test_it_is_scikit_learns_solution(n_classes, C, dtype, tolerance, error, monkeypatch):
    if tolerance is not None:
        monkeypatch.setattr("ltlearn.stacking._softmax._TOLERANCE", tolerance)
    X, codes, weight = problem(n_classes, dtype=dtype)
    found, n_iter = fit_softmax(X, codes, n_classes, weight, C=C)
    exact = LogisticRegression(C=C, tol=1e-8, max_iter=10_000).fit(X.astype(float), codes, weight)
    proba = softmax(X @ found[:-1] + found[-1], axis=1)
    np.testing.assert_allclose(proba, exact.predict_proba(X.astype(float)), atol=error)
    assert 0 < n_iter < 200


def test_no_step_away_is_better():
    X, codes, weight = problem(3)
    found, _ = fit_softmax(X, codes, 3, weight, C=0.5)
    reached = loop_loss(found, X, codes, weight, 2.0)

    def loss(flat):
        return loop_loss(flat.reshape(found.shape), X, codes, weight, 2.0)

    gradient = approx_fprime(found.ravel(), loss, 1e-6).reshape(found.shape)
    totals = np.bincount(codes, weight) / weight.sum()
    squares = np.append((weight[:, None] * X**2).sum(axis=0), weight.sum())
    # Newton's decrement along each axis: how far below the loss could still go.
    assert (gradient**2 / (squares[:, None] * totals * (1 - totals))).max() / 2 < 1e-3
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert loss((found + 0.05 * rng.normal(size=found.shape)).ravel()) > reached


def test_a_start_shortens_the_way_and_weights_are_repeated_rows():
    X, codes, _ = problem(4)
    first, n_iter = fit_softmax(X, codes, 4, C=0.1)
    again, n_more = fit_softmax(X, codes, 4, C=0.1, start=first)
    assert n_more <= 1 < n_iter
    np.testing.assert_allclose(again, first, atol=1e-2)
    times = np.random.default_rng(0).integers(1, 4, len(codes))
    weighted, _ = fit_softmax(X, codes, 4, times)
    repeated, _ = fit_softmax(np.repeat(X, times, axis=0), np.repeat(codes, times), 4)
    np.testing.assert_allclose(weighted, repeated, atol=1e-8)


@pytest.mark.parametrize("X", [np.zeros((6, 2)), np.ones((6, 2)) * 1e6, np.eye(6) * 1e-6])
def test_degenerate_columns_give_finite_weights(X):
    found, _ = fit_softmax(X, np.array([0, 0, 0, 1, 1, 2]), 4, C=1e6)
    assert np.isfinite(found).all()
