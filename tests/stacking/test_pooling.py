"""Mixtures and their weights against integrals, energies, grids and plain loops."""

import itertools

import numpy as np
import pytest
from scipy.stats import logistic, norm

from ltlearn.losses import quantile_levels
from ltlearn.stacking._distribution_head import LEVELS, as_nodes, residual_quantiles
from ltlearn.stacking._pooling import Nodes, best_weights, crps_matrix, merge, pool
from ltlearn.stacking._quantile_forest import QuantileForest
from ltlearn.weighting._distributions import QuantileDistributions


def cdf_of(values, cdf, x):
    """The distribution function at scores x, by its definition; the last node at a score counts."""
    found = np.empty(len(x))
    for number, score in enumerate(x):
        below = np.flatnonzero(values <= score)
        if not len(below):
            found[number] = 0
        elif below[-1] == len(values) - 1:
            found[number] = 1
        else:
            k = below[-1]
            share = (score - values[k]) / (values[k + 1] - values[k])
            found[number] = cdf[k] + share * (cdf[k + 1] - cdf[k])
    return found


def random_nodes(rng, n_rows=5, n_nodes=6, spread=1.0):
    values = np.sort(spread * rng.normal(size=(n_rows, n_nodes)).round(1), axis=1)
    inner = np.sort(rng.random((n_rows, n_nodes - 2)), axis=1)
    return Nodes(values, np.hstack([np.zeros((n_rows, 1)), inner, np.ones((n_rows, 1))]))


def integral(parts, weights, label, row):
    """CRPS of a mixture by the midpoint rule, on so fine a grid that the kinks do not matter."""
    edges = np.linspace(-8, 8, 160_001)
    x = (edges[1:] + edges[:-1]) / 2
    mixed = sum(
        w * cdf_of(part.values[row], part.cdf[row], x[::20])
        for w, part in zip(weights, parts, strict=True)
    )
    return np.sum((mixed - (label <= x[::20])) ** 2) * (edges[20] - edges[0])


def test_the_form_is_the_score_of_the_mixture():
    rng = np.random.default_rng(0)
    parts = [random_nodes(rng), random_nodes(rng, n_nodes=4), random_nodes(rng, n_nodes=9)]
    labels = rng.normal(size=5)
    for weights in ([1, 0, 0], [0.2, 0.5, 0.3]):
        for row in range(5):
            one = [part.take([row]) for part in parts]
            found = weights @ crps_matrix(one, labels[[row]]) @ weights
            assert found == pytest.approx(integral(parts, weights, labels[row], row), abs=3e-3)
            mixed = pool(one, np.array(weights))
            assert crps_matrix([mixed], labels[[row]])[0, 0] == pytest.approx(found)


def test_of_steps_it_is_the_energy_form():
    """CRPS = E|X - y| - E|X - X'| / 2 of equally likely atoms."""
    rng = np.random.default_rng(1)
    for _ in range(5):
        atoms, label = rng.normal(size=7), rng.normal()
        values = np.repeat(np.sort(atoms), 2)[None]
        cdf = np.repeat(np.arange(8) / 7, 2)[None, 1:-1]
        found = crps_matrix([Nodes(values, cdf)], np.array([label]))[0, 0]
        pairs = np.abs(atoms[:, None] - atoms).mean()
        assert found == pytest.approx(np.abs(atoms - label).mean() - pairs / 2)


def test_one_score_scores_its_absolute_error():
    matrix = crps_matrix([Nodes.at([1.0, 5.0])], np.array([3.0, 4.5]), np.array([1.0, 3.0]))
    assert matrix[0, 0] == pytest.approx((2 + 3 * 0.5) / 4)


def test_known_score_of_the_normal_distribution():
    """Its 49 quantiles give the closed form of [Gneiting and Raftery], nearly."""
    quantiles = norm.ppf(LEVELS)[None]
    for label in (-1.5, 0.0, 2.0):
        found = crps_matrix([as_nodes(quantiles, None)], np.array([label]))[0, 0]
        exact = label * (2 * norm.cdf(label) - 1) + 2 * norm.pdf(label) - 1 / np.sqrt(np.pi)
        assert found == pytest.approx(exact, abs=2e-3)


def test_rows_count_by_their_weight_and_in_chunks(monkeypatch):
    rng = np.random.default_rng(2)
    parts, labels = [random_nodes(rng, 7), random_nodes(rng, 7)], rng.normal(size=7)
    times = np.array([1, 0, 2, 3, 1, 1, 2])
    weighted = crps_matrix(parts, labels, times)
    again = np.repeat(np.arange(7), times)
    repeated = crps_matrix([part.take(again) for part in parts], labels[again])
    np.testing.assert_allclose(weighted, repeated)
    monkeypatch.setattr("ltlearn.stacking._pooling._ROWS_AT_ONCE", 2)
    np.testing.assert_allclose(crps_matrix(parts, labels, times), weighted)


@pytest.mark.parametrize("n_heads", [2, 3, 4])
def test_weights_are_the_best_of_a_grid(n_heads):
    rng = np.random.default_rng(n_heads)
    steps = 20
    grid = np.array(
        [
            np.append(share, steps - sum(share)) / steps
            for share in itertools.product(range(steps + 1), repeat=n_heads - 1)
            if sum(share) <= steps
        ]
    )
    for scale in (1e-120, 1.0, 1e120):
        root = rng.normal(size=(n_heads, n_heads)) + rng.exponential()
        matrix = scale * root @ root.T
        weights = best_weights(matrix)
        assert (weights >= 0).all()
        assert weights.sum() == pytest.approx(1)
        best = np.einsum("wg,gh,wh->w", grid, matrix, grid).min()
        assert weights @ matrix @ weights <= best * (1 + 1e-9)
        np.testing.assert_array_equal(weights, best_weights(matrix))


def test_weights_where_heads_are_alike_or_always_right():
    np.testing.assert_allclose(best_weights(np.zeros((3, 3))), 1 / 3)
    weights = best_weights(np.array([[1.0, 1, 2], [1, 1, 2], [2, 2, 5]]))
    assert weights[2] == 0
    assert weights.sum() == pytest.approx(1)


def test_merged_functions_are_those_of_the_parts_also_at_ties_and_jumps():
    rng = np.random.default_rng(3)
    parts = [random_nodes(rng, n_nodes=12, spread=0.3), Nodes.at([0.1, 0.0, -0.1, 0.2, 9.0])]
    values, cdfs = merge(parts)
    assert (np.diff(values, axis=1) >= 0).all()
    assert (np.diff(cdfs, axis=2) >= 0).all()
    for row in range(5):
        between = (values[row, 1:] + values[row, :-1]) / 2
        inside = np.diff(values[row]) > 0
        for part, cdf in zip(parts, cdfs, strict=True):
            middle = (cdf[row, 1:] + cdf[row, :-1]) / 2
            expected = cdf_of(part.values[row], part.cdf[row], between)
            np.testing.assert_allclose(middle[inside], expected[inside], atol=1e-12)


def test_a_pool_is_read_off_as_the_mixture():
    """Two logistic distributions: mean, median and distribution function of the mixture."""
    levels = quantile_levels(199, 9.0).numpy()
    heads = [logistic(0, 1), logistic(6, 0.5)]
    parts = [Nodes.of(QuantileDistributions(head.ppf(levels)[None], levels)) for head in heads]
    weights = np.array([0.7, 0.3])
    mixture = QuantileDistributions.of_nodes(*pool(parts, weights))
    assert mixture.mean()[0] == pytest.approx(1.8, abs=1e-3)
    scores = np.array([-2.0, 0.5, 3.0, 6.5])
    exact = sum(w * head.cdf(scores) for w, head in zip(weights, heads, strict=True))
    np.testing.assert_allclose(mixture.cdf_at(scores)[0], exact, atol=1e-3)
    np.testing.assert_allclose(mixture.quantiles(exact)[0], scores, atol=5e-3)


def test_residuals_become_quantiles():
    labels = np.arange(100.0)
    found = residual_quantiles(np.full((100, 1), 10.0), labels)
    np.testing.assert_array_equal(found, np.ceil(100 * LEVELS - 1e-6) - 1 - 10)
    weight = np.where(labels == 7, 1.0, 0.0)
    np.testing.assert_array_equal(residual_quantiles(np.zeros((100, 1)), labels, weight), 7)
    assert residual_quantiles(np.zeros((100, 49)), labels) is None


@pytest.mark.parametrize("weighted", [False, True])
def test_a_quantile_forest_against_a_plain_loop(weighted):
    rng = np.random.default_rng(4)
    X, y = rng.normal(size=(60, 3)), rng.exponential(size=60)
    weight = rng.integers(1, 4, 60) if weighted else np.ones(60)
    forest = QuantileForest(7, min_samples_leaf=4, random_state=0)
    forest.fit(X, y, weight if weighted else None)
    new, levels = rng.normal(size=(9, 3)), [0.05, 0.3, 0.5, 0.9]
    order = np.argsort(y)
    for row, found in zip(new, forest.predict_quantiles(new, levels), strict=True):
        share = np.zeros(60)
        for tree in forest.forest_.estimators_:
            same = tree.apply(X.astype(np.float32)) == tree.apply(row[None].astype(np.float32))
            share += same * weight / (same * weight).sum() / 7
        reached = np.cumsum(share[order])
        expected = [y[order][np.flatnonzero(reached >= level - 1e-9)[0]] for level in levels]
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(forest.predict(new), forest.predict_quantiles(new, [0.5])[:, 0])
