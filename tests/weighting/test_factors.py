"""Factors and τ against brute force, plain loops and simulation."""

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import check_grad

from ltlearn.weighting._factors import (
    BalancedRows,
    Factors,
    _Search,
    center,
    fit_factors,
    leave_one_out_losses,
)


def loop_loss(factors, tau, scores, codes, weight, counts, shared=False):
    """Class-balanced cross-entropy, row by row."""
    totals = {}
    for code, w in zip(codes, weight, strict=True):
        totals[code] = totals.get(code, 0.0) + w
    loss = 0.0
    for i, code in enumerate(codes):
        logits = [
            sum(a * scores[h][i][k] for h, a in enumerate(factors)) - tau * math.log(counts[k])
            for k in range(len(counts))
        ]
        log_partition = math.log(sum(math.exp(z) for z in logits))
        loss += weight[i] / totals[code] / len(totals) * (log_partition - logits[code])
    # A Gaussian of deviation 1/2, and as many rows as the variance of a balanced mean amounts to.
    n_effective = len(totals) ** 2 / sum(1 / total for total in totals.values())
    loss += (tau / 0.5) ** 2 / 2 / n_effective
    if shared:
        for a in factors:
            loss += ((a - 1 / len(factors)) / 0.3) ** 2 / 2 / n_effective
    return loss


def problem(seed=0, n=60, n_heads=2):
    """Held-out scores of heads of unlike noise, on classes of 40, 15 and 5 rows."""
    rng = np.random.default_rng(seed)
    codes = np.repeat([0, 1, 2], [2 * n // 3, n // 4, n - 2 * n // 3 - n // 4])
    truth = np.eye(3)[codes] + 0.4 * np.array([1.0, 0, -1])
    scores = np.stack([truth + rng.normal(size=truth.shape) for _ in range(n_heads)])
    return scores, codes, rng.uniform(0.5, 2, n), np.array([100.0, 30, 7])


@pytest.mark.parametrize(("seed", "shared"), [(0, False), (1, False), (0, True), (2, True)])
def test_the_optimum_is_that_of_a_brute_grid(seed, shared):
    scores, codes, weight, counts = problem(seed)
    rows = BalancedRows.of(codes, 3, weight)
    found = fit_factors(scores, rows, np.log(counts), shared=shared)
    reached = loop_loss(found.head, found.tau, scores, codes, weight, counts, shared)
    grid = {
        point: loop_loss(point[:2], point[2], scores, codes, weight, counts, shared)
        for point in itertools.product(
            np.linspace(0, 2, 11), np.linspace(0, 2, 11), np.linspace(-1, 1, 11)
        )
    }
    best = min(grid, key=grid.get)
    assert reached <= grid[best] + 1e-12
    np.testing.assert_allclose([*found.head, found.tau], best, atol=0.25)
    # No step away from it is better, however small.
    for axis, step in itertools.product(range(3), (-1e-3, 1e-3)):
        moved = np.append(found.head, found.tau)
        moved[axis] += step
        if moved[:2].min() >= 0:
            assert loop_loss(moved[:2], moved[2], scores, codes, weight, counts, shared) > reached


def test_a_head_that_misleads_gets_nothing():
    scores, codes, weight, counts = problem()
    scores = np.stack([scores[0], -scores[1]])
    rows = BalancedRows.of(codes, 3, weight)
    found = fit_factors(scores, rows, np.log(counts))
    assert found.head[1] == 0
    alone = fit_factors(scores[:1], rows, np.log(counts))
    assert found.head[0] == pytest.approx(alone.head[0], rel=1e-6)
    assert found.tau == pytest.approx(alone.tau, abs=1e-6)


def test_shares_are_a_matter_of_heads_that_know_something():
    """One of two is blank: the other stands alone, as if nothing were shared."""
    scores, codes, weight, counts = problem()
    rows = BalancedRows.of(codes, 3, weight)
    blank = np.stack([scores[0], np.zeros_like(scores[0])])
    found = fit_factors(blank, rows, np.log(counts), shared=True)
    alone = fit_factors(scores[:1], rows, np.log(counts))
    np.testing.assert_allclose(found.head, [alone.head[0], 0], rtol=1e-6)


def test_few_rows_leave_shares_equal():
    codes = np.array([0, 0, 0, 1])
    scores = np.stack([np.eye(2)[codes], 0.5 * np.eye(2)[codes][:, ::-1]])
    found = fit_factors(scores, BalancedRows.of(codes, 2), np.log([3.0, 1]), shared=True)
    np.testing.assert_allclose(found.head, 0.5, atol=0.15)
    apart = fit_factors(scores, BalancedRows.of(codes, 2), np.log([3.0, 1]))
    assert np.ptp(apart.head) > 1


def test_true_parameters_are_recovered():
    """Labels drawn from ``softmax(0.6 s1 + 0.3 s2 - 0.5 log n)``, every class as frequent."""
    rng = np.random.default_rng(0)
    n, counts = 60_000, np.array([200.0, 20, 4])
    scores = rng.normal(size=(2, n, 3)) * np.array([2.0, 300.0])[:, None, None]
    truth = Factors(np.array([0.6, 0.003]), 0.5)
    proba = np.exp(truth.pool(scores, np.log(counts)))
    proba /= proba.sum(axis=1, keepdims=True)
    codes = (rng.random((n, 1)) > proba.cumsum(axis=1)).sum(axis=1)
    found = fit_factors(scores, BalancedRows(codes, np.full(n, 1 / n), n), np.log(counts))
    np.testing.assert_allclose(found.head, truth.head, rtol=0.05)
    assert found.tau == pytest.approx(0.5, abs=0.03)


def test_few_rows_hardly_move_tau():
    """Rare classes are missed in all of their few rows: without the prior τ would be large."""
    codes = np.array([0] * 30 + [1, 1])
    scores = np.tile([1.0, -1.0], (32, 1))[None]
    found = fit_factors(scores, BalancedRows.of(codes, 2), np.log([300.0, 20]))
    assert -1e-9 < found.tau < 0.5


def test_weights_make_classes_equal_and_are_those_of_repeated_rows():
    codes, weight = np.array([0, 0, 0, 2, 2]), np.array([1.0, 2, 1, 5, 1])
    rows = BalancedRows.of(codes, 4, weight)
    np.testing.assert_allclose(np.bincount(codes, rows.weights), [0.5, 0, 0.5])
    assert BalancedRows.of(codes, 4).n_effective == pytest.approx(4 / (1 / 3 + 1 / 2))
    assert BalancedRows.of(np.arange(6) % 2, 2).n_effective == pytest.approx(6)
    scores, codes, _, counts = problem()
    times = np.random.default_rng(1).integers(1, 4, len(codes))
    weighted = fit_factors(scores, BalancedRows.of(codes, 3, times), np.log(counts))
    again = np.repeat(np.arange(len(codes)), times)
    repeated = fit_factors(scores[:, again], BalancedRows.of(codes[again], 3), np.log(counts))
    np.testing.assert_allclose(weighted.head, repeated.head, rtol=1e-6)
    assert weighted.tau == pytest.approx(repeated.tau, abs=1e-6)


def test_what_a_row_adds_to_all_scores_does_not_matter():
    scores, codes, weight, counts = problem()
    rows = BalancedRows.of(codes, 3, weight)
    shifted = scores + np.random.default_rng(2).normal(size=(2, len(codes), 1)) * 50
    plain, moved = (fit_factors(s, rows, np.log(counts)) for s in (scores, shifted))
    np.testing.assert_allclose(plain.head, moved.head, rtol=1e-6)
    np.testing.assert_allclose(center(shifted), center(scores), atol=1e-12)


def test_gradient_and_curvature_are_those_of_finite_differences():
    scores, codes, weight, counts = problem()
    search = _Search(scores, BalancedRows.of(codes, 3, weight), np.log(counts), True, True)
    point = np.array([0.4, 1.1, 0.3])

    def derivative(which):
        return lambda p: search.derivatives(p, with_curvature=True)[which]

    assert check_grad(derivative(0), derivative(1), point) < 1e-6
    for axis in range(3):
        step = np.zeros(3)
        step[axis] = 1e-5
        rate = (derivative(1)(point + step) - derivative(1)(point - step)) / 2e-5
        np.testing.assert_allclose(derivative(2)(point)[axis], rate, atol=1e-6)


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e6])
def test_degenerate_scores_give_finite_factors(scale):
    _, codes, _, counts = problem()
    perfect = np.eye(3)[codes][None] * scale  # nothing bounds the factor from above
    rows = BalancedRows.of(codes, 3)
    found = fit_factors(perfect, rows, np.log(counts))
    assert np.isfinite(found.head).all()
    assert np.isfinite(found.tau)
    assert np.isfinite(rows.losses(found.pool(perfect, np.log(counts)))).all()
    assert np.isfinite(leave_one_out_losses(perfect, rows, np.log(counts))).all()


@pytest.mark.parametrize("seed", range(2))
def test_leave_one_out_losses_are_those_of_fits_without_the_row(seed):
    scores, codes, weight, counts = problem(seed, n=150)
    rows = BalancedRows.of(codes, 3, weight)
    found = leave_one_out_losses(scores, rows, np.log(counts))
    expected = []
    for row in range(len(codes)):
        weights = rows.weights.copy()
        weights[row] = 0
        factors = fit_factors(scores, rows._replace(weights=weights), np.log(counts))
        expected.append(rows.losses(factors.pool(scores, np.log(counts)))[row])
    np.testing.assert_allclose(found, expected, rtol=0.02, atol=0.02)
    assert rows.weights @ found == pytest.approx(rows.weights @ expected, rel=0.01)
    factors = fit_factors(scores, rows, np.log(counts))
    assert rows.weights @ found > rows.loss(factors.pool(scores, np.log(counts)))
