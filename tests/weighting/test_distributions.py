import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, logit

from ltlearn.weighting import label_density, label_density_weights
from ltlearn.weighting._distributions import BinDistributions, QuantileDistributions, mix
from ltlearn.weighting._tail import TailWeights

LEVELS = expit(np.arange(-24, 25) / 4)


def quantiles_of(*distributions):
    return np.stack([d.ppf(LEVELS) for d in distributions])


NORMAL, SKEWED = stats.norm(3, 2), stats.lognorm(0.8, scale=5)


def test_mean_and_quantiles_of_known_distributions():
    predicted = QuantileDistributions(quantiles_of(NORMAL, SKEWED), LEVELS)
    np.testing.assert_allclose(predicted.mean(), [NORMAL.mean(), SKEWED.mean()], rtol=0.01)
    at = np.array([0.01, 0.05, 0.25, 0.5, 0.6, 0.9, 0.99])
    expected = np.stack([NORMAL.ppf(at), SKEWED.ppf(at)])
    np.testing.assert_allclose(predicted.quantiles(at), expected, rtol=5e-3)


def test_quantiles_at_the_levels_are_those_given():
    quantiles = quantiles_of(NORMAL, SKEWED)
    predicted = QuantileDistributions(quantiles, LEVELS)
    np.testing.assert_allclose(predicted.quantiles(LEVELS), quantiles, rtol=1e-9)


def test_between_levels_the_logit_is_linear_and_beyond_them_nothing():
    levels = np.array([0.1, 0.5, 0.9])
    predicted = QuantileDistributions(np.array([[1.0, 2.0, 5.0]]), levels)
    middle = expit((logit(0.5) + logit(0.9)) / 2)
    np.testing.assert_allclose(predicted.quantiles([middle, 0.01, 0.99]), [[3.5, 1.0, 5.0]])


def test_logistic_distributions_are_exact():
    """Their quantile function is linear in the logit."""
    logistic = stats.logistic(loc=1, scale=2)
    predicted = QuantileDistributions(logistic.ppf(LEVELS)[None], LEVELS)
    at = np.linspace(0.01, 0.99, 33)
    np.testing.assert_allclose(predicted.quantiles(at)[0], logistic.ppf(at), rtol=1e-9, atol=1e-9)


def test_distribution_functions_of_known_distributions():
    predicted = QuantileDistributions(quantiles_of(NORMAL, SKEWED), LEVELS)
    at = np.array([-9.0, 0.0, 1.5, 4.0, 7.0, 90.0])
    expected = np.stack([NORMAL.cdf(at), SKEWED.cdf(at)])
    np.testing.assert_allclose(predicted.cdf_at(at), expected, atol=3e-3)
    halves = predicted.quantiles([0.25, 0.5])
    np.testing.assert_allclose(np.diag(predicted.cdf_at(halves[:, 1])), 0.5, rtol=1e-6)


def test_distribution_functions_jump_where_quantiles_agree():
    levels = np.array([0.1, 0.5, 0.9])
    predicted = QuantileDistributions(np.array([[4.0, 4.0, 4.0], [1.0, 4.0, 4.0]]), levels)
    np.testing.assert_allclose(
        predicted.cdf_at([0.9, 1.0, 3.999, 4.0, 5.0]),
        [[0, 0, 0, 1, 1], [0, 0.1, 0.5, 1, 1]],
        atol=1e-3,
    )


def test_crossing_quantiles_are_sorted():
    quantiles = quantiles_of(NORMAL, SKEWED)
    mixed = np.random.default_rng(0).permuted(quantiles, axis=1)
    expected = QuantileDistributions(quantiles, LEVELS).mean()
    np.testing.assert_array_equal(QuantileDistributions(mixed, LEVELS).mean(), expected)


def test_reweighting_matches_integrals():
    """A normal density times exp(b y) is the same normal moved by b times its variance."""
    predicted = QuantileDistributions(quantiles_of(NORMAL), LEVELS)
    tilted = predicted.reweighted(lambda y: 0.3 * y)
    moved = stats.norm(3 + 0.3 * 4, 2)
    at = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    np.testing.assert_allclose(tilted.quantiles(at)[0], moved.ppf(at), atol=0.05)
    np.testing.assert_allclose(tilted.mean(), moved.mean(), rtol=0.01)


def test_reweighting_matches_a_weighted_sample():
    rng = np.random.default_rng(0)
    sample = SKEWED.rvs(400_000, random_state=rng)
    weigh = lambda y: 0.7 * np.log(np.clip(y, 1, 30))  # noqa: E731
    order = np.argsort(sample)
    share = np.cumsum(np.exp(weigh(sample[order])))
    at = np.array([0.1, 0.5, 0.9])
    expected = sample[order][np.searchsorted(share, at * share[-1])]
    tilted = QuantileDistributions(quantiles_of(SKEWED), LEVELS).reweighted(weigh)
    np.testing.assert_allclose(tilted.quantiles(at)[0], expected, rtol=0.02)


def test_equal_weights_change_nothing():
    predicted = QuantileDistributions(quantiles_of(NORMAL, SKEWED), LEVELS)
    same = predicted.reweighted(lambda y: np.full_like(y, 700.0))
    np.testing.assert_allclose(same.mean(), predicted.mean())
    np.testing.assert_allclose(same.quantiles(LEVELS), predicted.quantiles(LEVELS), rtol=1e-6)
    bins = BinDistributions(np.array([[0.2, 0.3, 0.5]]), np.arange(3.0))
    np.testing.assert_allclose(
        bins.reweighted(lambda y: np.full_like(y, 5.0)).probability, bins.probability
    )


def test_bins_match_loop():
    rng = np.random.default_rng(0)
    probability = rng.dirichlet(np.ones(6), 4)
    centers = np.linspace(1, 10, 6)
    weight = rng.uniform(1, 5, 6)
    predicted = BinDistributions(probability, centers)
    tilted = predicted.reweighted(lambda y: np.log(weight)[None])
    for i in range(4):
        share = probability[i] * weight
        share = share / share.sum()
        np.testing.assert_allclose(tilted.probability[i], share)
        np.testing.assert_allclose(tilted.mean()[i], (share * centers).sum())
    assert (np.diff(predicted.quantiles(np.linspace(0.01, 0.99, 50)), axis=1) >= 0).all()


def test_quantiles_of_bins_are_their_centers_where_half_of_them_lies_below():
    predicted = BinDistributions(np.array([[0.2, 0.6, 0.2], [0.0, 1.0, 0.0]]), np.arange(3.0))
    quantiles = predicted.quantiles([0.05, 0.1, 0.3, 0.5, 0.95])
    np.testing.assert_allclose(quantiles[0], [0, 0, 0.5, 1, 2])
    np.testing.assert_allclose(quantiles[1, 3], 1)
    symmetric = predicted.quantiles([0.2, 0.8])
    np.testing.assert_allclose(symmetric.sum(axis=1), 2)


def test_bins_without_probability_stay_so():
    predicted = BinDistributions(np.array([[0.0, 1.0, 0.0], [0.5, 0.5, 0.0]]), np.arange(3.0))
    tilted = predicted.reweighted(lambda y: np.array([[0.0, 0.0, 1000.0]]))
    np.testing.assert_array_equal(tilted.probability, predicted.probability)


def skewed_labels(n=500):
    return np.random.default_rng(0).lognormal(1, 1, n)


@pytest.mark.parametrize("tail", [0.0, 0.25, 1.0, 1.5])
def test_tail_weights_are_inverse_density_weights_to_a_power(tail):
    y = skewed_labels()
    weight = np.exp(TailWeights(y).log_weight(y, tail))
    expected = label_density_weights(y, scheme="inverse") ** tail
    np.testing.assert_allclose(weight / weight.min(), expected / expected.min(), rtol=1e-9)
    assert weight.max() <= 200**tail * (1 + 1e-9)


def test_tail_weights_between_and_beyond_labels():
    y = np.concatenate([skewed_labels(), [500.0]])
    weights = TailWeights(y)
    assert weights.log_weight(200.0, 1.0) == pytest.approx(np.log(200))  # no label is near
    at = np.array([2.0, 5.0, 9.0])
    density = label_density(y, at=at)
    expected = np.log(label_density(y).max() / density)
    np.testing.assert_allclose(weights.log_weight(at, 1.0), np.minimum(expected, np.log(200)))
    ends = weights.log_weight(np.array([y.min(), y.max()]), 0.5)
    np.testing.assert_array_equal(weights.log_weight(np.array([-1e300, 1e300]), 0.5), ends)


def test_labels_count_by_their_weight():
    y, rng = skewed_labels(), np.random.default_rng(0)
    counts = rng.integers(1, 4, len(y)).astype(float)
    at = np.linspace(0, 30, 50)
    weights = TailWeights(y, counts)
    np.testing.assert_allclose(
        weights.log_weight(at, 1.0), TailWeights(y, 7 * counts).log_weight(at, 1.0)
    )
    # Rows that are repeated, but for the bandwidth, which narrows with the number of rows.
    repeated = TailWeights(np.repeat(y, counts.astype(int))).log_weight(at, 1.0)
    assert np.corrcoef(weights.log_weight(at, 1.0), repeated)[0, 1] > 0.99
    np.testing.assert_allclose(
        TailWeights(y, np.ones(len(y))).log_weight(at, 1.0), TailWeights(y).log_weight(at, 1.0)
    )


@pytest.mark.parametrize("y", [np.full(5, 3.0), np.array([7.0])])
def test_labels_that_are_equal_weigh_the_same(y):
    np.testing.assert_array_equal(TailWeights(y).log_weight(np.array([-1.0, 3.0, 8.0]), 2.0), 0)


@pytest.mark.parametrize("form", ["quantiles", "bins"])
def test_the_dial_moves_predictions_to_the_tail(form):
    y = skewed_labels()
    weights = TailWeights(y)
    if form == "quantiles":
        predicted = QuantileDistributions(quantiles_of(stats.lognorm(0.5, scale=6)), LEVELS)
    else:
        predicted = BinDistributions(np.ones((1, 12)) / 12, np.linspace(0, 20, 12))
    for read in (lambda d: d.mean(), lambda d: d.quantiles([0.5])[:, 0]):
        means = [
            read(predicted.reweighted(lambda s, a=tail: weights.log_weight(s, a)))[0]
            for tail in (0.0, 0.25, 0.5, 1.0)
        ]
        assert (np.diff(means) > 0).all()


@pytest.mark.parametrize("tail", [1e3, 1e6])
def test_any_exponent_is_finite(tail):
    weights = TailWeights(skewed_labels())
    for predicted in (
        QuantileDistributions(quantiles_of(NORMAL, SKEWED), LEVELS),
        BinDistributions(np.full((1, 3), 1 / 3), np.array([0.0, 5.0, 50.0])),
    ):
        tilted = predicted.reweighted(lambda s: weights.log_weight(s, tail))
        assert np.isfinite(tilted.mean()).all()
        assert np.isfinite(tilted.quantiles(LEVELS)).all()


def test_one_level_and_equal_quantiles():
    predicted = QuantileDistributions(np.array([[2.0], [3.0]]), np.array([0.5]))
    np.testing.assert_array_equal(predicted.mean(), [2, 3])
    np.testing.assert_array_equal(predicted.quantiles([0.1, 0.5]), [[2, 2], [3, 3]])
    flat = QuantileDistributions(np.full((1, 49), 4.0), LEVELS)
    np.testing.assert_allclose(flat.mean(), 4)
    np.testing.assert_allclose(flat.quantiles(LEVELS), 4)


def bisected(cdf, level, low, high):
    """Where a distribution function of one number crosses a level."""
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if cdf(middle) < level else (low, middle)
    return high


class TestMixtures:
    AT = np.array([0.002, 0.05, 0.3, 0.5, 0.7, 0.95, 0.998])

    def parts(self):
        pairs = [(NORMAL, SKEWED), (stats.norm(-4, 0.5), stats.norm(6, 3)), (SKEWED, NORMAL)]
        parts = [QuantileDistributions(quantiles_of(*pair), LEVELS) for pair in pairs]
        return [*parts[:2], parts[2].reweighted(lambda y: 0.2 * y)]

    def test_quantiles_are_those_of_the_mean_distribution_function(self):
        parts = self.parts()
        found = mix(parts, None).quantiles(self.AT)
        for row in range(2):

            def cdf(score, row=row):
                return np.mean([part.cdf_at([score])[row, 0] for part in parts])

            expected = [bisected(cdf, level, -100, 1000) for level in self.AT]
            np.testing.assert_allclose(found[row], expected, rtol=1e-3, atol=1e-3)
            at_nodes = parts[1].values[row, 5::30]
            mixed = mix(parts, None).cdf_at(at_nodes)[row]
            np.testing.assert_allclose(mixed, [cdf(score) for score in at_nodes], rtol=1e-12)
            back = [mix(parts, None).quantiles([level])[row, 0] for level in mixed]
            np.testing.assert_allclose(back, at_nodes, rtol=1e-9)

    def test_means_are_averages(self):
        parts = self.parts()
        expected = sum(part.mean() for part in parts) / 3
        np.testing.assert_allclose(mix(parts, None).mean(), expected, rtol=1e-12)

    def test_equal_parts_are_like_one(self):
        one = self.parts()[1]
        np.testing.assert_allclose(
            mix([one, one], None).quantiles(self.AT), one.quantiles(self.AT), rtol=1e-9
        )

    def test_parts_that_are_points(self):
        points = [QuantileDistributions(np.full((1, len(LEVELS)), at), LEVELS) for at in (1.0, 5.0)]
        found = mix(points, None).quantiles(np.array([0.01, 0.4, 0.6, 0.99]))
        np.testing.assert_allclose(found, [[1, 1, 5, 5]])

    def test_bins_are_averaged(self):
        shares = np.random.default_rng(0).dirichlet(np.ones(4), size=(3, 5))
        centers = np.arange(4.0)
        mixed = mix([BinDistributions(each, centers) for each in shares], centers)
        np.testing.assert_allclose(mixed.probability, shares.mean(axis=0))

    def test_other_bins_are_shared_by_their_neighbors(self):
        own = BinDistributions(np.array([[0.5, 0.3, 0.2]]), np.array([0.5, 1.0, 2.25]))
        common = BinDistributions(np.array([[0.1, 0.2, 0.3, 0.4]]), np.arange(4.0))
        mixed = mix([own, common], common.centers)
        expected = [0.25, 0.25 + 0.3, 0.75 * 0.2, 0.25 * 0.2]
        np.testing.assert_allclose(mixed.probability, (common.probability + expected) / 2)
        np.testing.assert_allclose(mixed.mean(), (own.mean() + common.mean()) / 2)

    @pytest.mark.parametrize("kind", ["quantiles", "bins"])
    def test_every_part_is_reweighted(self, kind):
        parts = self.parts()
        if kind == "bins":
            shares = np.random.default_rng(0).dirichlet(np.ones(3), size=(2, 5))
            parts = [BinDistributions(shares[i], np.arange(3) / (i + 1)) for i in range(2)]
        turned = mix(parts, np.arange(3.0)).reweighted(lambda y: 0.4 * y)
        expected = np.mean([part.reweighted(lambda y: 0.4 * y).mean() for part in parts], axis=0)
        np.testing.assert_allclose(turned.mean(), expected)
