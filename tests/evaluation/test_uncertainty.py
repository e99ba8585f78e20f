import numpy as np
import pytest
from scipy import stats

from ltlearn.evaluation._bootstrap import bootstrap, class_mean_by_fit, mean_by_fit
from ltlearn.evaluation._uncertainty import (
    Measured,
    difference,
    error_of_sum,
    interval_of_mean,
    relative_change,
)


def measure(losses, n_resamples, rng, ends):
    """Measured of each model, from losses (n_rows, n_fits) of all their fits side by side."""
    statistic = mean_by_fit(losses)
    resampled = bootstrap(statistic, len(losses), n_resamples, rng)
    values = losses.mean(axis=0)
    return list(map(Measured, np.split(values, ends), np.split(resampled, ends, axis=1)))


def same_on_all_rows(values):
    return Measured(np.asarray(values), np.tile(values, (50, 1)))


def test_class_means_against_a_plain_loop():
    rng = np.random.default_rng(0)
    hits, classes = rng.integers(2, size=(40, 3)).astype(float), rng.choice(list("abc"), 40)
    statistic = class_mean_by_fit(hits, classes)
    for rows in (np.arange(40), np.flatnonzero(classes != "b"), rng.integers(40, size=40)):
        present = sorted(set(classes[rows]))
        expected = np.zeros(3)
        for label in present:
            members = [i for i in rows if classes[i] == label]
            expected += sum(hits[i] for i in members) / len(members) / len(present)
        np.testing.assert_allclose(statistic(np.bincount(rows, minlength=40)), expected)


def test_resampled_means_against_scipys_bootstrap():
    rng = np.random.default_rng(0)
    losses = rng.exponential(size=(200, 2))
    ours = bootstrap(mean_by_fit(losses), 200, 4000, rng)
    theirs = stats.bootstrap(
        (losses[:, 0], losses[:, 1]),
        lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=4000,
        method="percentile",
        random_state=np.random.default_rng(1),
    ).confidence_interval
    low, high = np.percentile(ours[:, 0] - ours[:, 1], [2.5, 97.5])
    assert low == pytest.approx(theirs.low, abs=0.02)
    assert high == pytest.approx(theirs.high, abs=0.02)


@pytest.mark.parametrize("sizes", [(6, 6), (6, 2), (3, 9)])
def test_without_variance_of_rows_it_is_welchs_interval_on_the_safe_side(sizes):
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, size=sizes[0]), rng.normal(1, 3, size=sizes[1])
    _, low, high = difference(same_on_all_rows(a), same_on_all_rows(b), 100, 0.9)
    error = np.hypot(stats.sem(a), stats.sem(b))
    margin = stats.t.isf(0.05, min(sizes) - 1) * error
    assert (low, high) == pytest.approx(
        (a.mean() - b.mean() - margin, a.mean() - b.mean() + margin)
    )
    welch = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.9)
    assert low <= welch.low
    assert high >= welch.high


def test_degrees_of_freedom_of_a_sum_are_satterthwaites():
    """One fit's worth of variance from seeds, as much from rows, and both only in one model."""
    values = np.array([-1.0, 0.0, 1.0, 0.0])
    rows = np.random.default_rng(0).normal(size=(500, 1))
    resampled = values + rows * np.sqrt(values.var(ddof=1) / 4 / rows.var(ddof=1))
    error = error_of_sum([(1.0, Measured(values, resampled))], n_rows=1000)
    assert error.df == pytest.approx(4 / (1 / 3 + 1 / 999), rel=0.01)
    assert error.standard_error == pytest.approx(np.sqrt(2 * values.var(ddof=1) / 4), rel=0.01)


def test_beside_a_model_that_no_seed_changes_it_is_the_t_interval_of_the_other():
    a = np.random.default_rng(0).normal(size=6)
    expected = stats.ttest_1samp(a, 0.3).confidence_interval(0.95)
    _, low, high = difference(same_on_all_rows(a), same_on_all_rows([0.3]), 100, 0.95)
    assert (low + 0.3, high + 0.3) == pytest.approx(tuple(expected))


@pytest.mark.parametrize("n_rows", [10, 100])
def test_one_fit_of_each_is_the_paired_t_interval_over_rows(n_rows):
    rng = np.random.default_rng(0)
    losses = rng.exponential(size=(n_rows, 2))
    expected = stats.ttest_rel(*losses.T).confidence_interval(0.95)
    _, low, high = difference(*measure(losses, 20_000, rng, [1]), n_rows, 0.95)
    width = expected.high - expected.low
    assert (low, high) == pytest.approx(tuple(expected), abs=0.02 * width)


def random_effects(rng, n_rows, n_fits, of_seed, of_row, of_both):
    """Losses (n_rows, fits of both) of two models of mean 1; ``of_row`` is in their difference."""
    n = sum(n_fits)
    losses = 1 + of_seed * rng.normal(size=n) + rng.normal(size=(n_rows, 1))
    losses[:, : n_fits[0]] += of_row * rng.normal(size=(n_rows, 1))
    return losses + of_both * rng.normal(size=(n_rows, n))


EFFECTS = [
    {"of_seed": 0.3, "of_row": 0.0, "of_both": 0.0},
    {"of_seed": 0.1, "of_row": 0.0, "of_both": 0.5},
    {"of_seed": 0.1, "of_row": 0.5, "of_both": 0.5},
    {"of_seed": 0.0, "of_row": 1.0, "of_both": 0.2},
]


@pytest.mark.parametrize("effects", EFFECTS)
@pytest.mark.parametrize("n_fits", [(6, 6), (3, 1)])
def test_variance_and_coverage_by_simulation(effects, n_fits):
    """The estimated variance is that of repeated trials, and 95 % intervals cover in 95 %."""
    rng = np.random.default_rng(0)
    n_rows, n_trials, found, variances, covered = 30, 300, [], [], []
    for _ in range(n_trials):
        losses = random_effects(rng, n_rows, n_fits, **effects)
        pair = measure(losses, 100, rng, [n_fits[0]])
        value, low, high = difference(*pair, n_rows, 0.95)
        found.append(value)
        covered.append(low <= 0 <= high)
        error = error_of_sum([(1.0, pair[0]), (-1.0, pair[1])], n_rows)
        variances.append(error.standard_error**2)
    truth = (
        effects["of_seed"] ** 2 * (1 / n_fits[0] + 1 / n_fits[1])
        + effects["of_row"] ** 2 / n_rows
        + effects["of_both"] ** 2 * (1 / n_fits[0] + 1 / n_fits[1]) / n_rows
    )
    assert np.var(found) == pytest.approx(truth, rel=0.25)  # the simulation is what it says
    if n_fits[1] > 1:
        # What is subtracted is itself estimated and may not fall below 0: a little too much.
        assert truth * 0.9 < np.mean(variances) < truth * 1.3
        assert np.mean(covered) > 0.93
    elif not effects["of_seed"]:
        assert np.mean(covered) > 0.93


def test_a_ratio_that_is_the_same_everywhere_has_an_interval_of_no_width():
    rng = np.random.default_rng(0)
    for n_fits in (1, 4):
        losses = np.repeat(rng.exponential(size=(60, 1)), n_fits, axis=1)
        pair = measure(np.hstack([0.2 * losses, losses]), 100, rng, [n_fits])
        assert relative_change(*pair, 60, 0.95) == pytest.approx((-0.8, -0.8, -0.8))


def test_ratios_that_vary_are_covered():
    """Errors of one model are 0.8 times those of the other but for seeds and noise by row."""
    rng = np.random.default_rng(0)
    covered, n_rows = [], 60
    for _ in range(300):
        shared = rng.gamma(2, size=(n_rows, 1))
        seeds = np.exp(0.1 * rng.normal(size=10))
        losses = shared * seeds * rng.gamma(4, 1 / 4, size=(n_rows, 10))
        losses[:, :6] *= 0.8
        value, low, high = relative_change(*measure(losses, 100, rng, [6]), n_rows, 0.95)
        assert low < value < high
        covered.append(low <= -0.2 <= high)
    assert np.mean(covered) > 0.93


def test_no_error_at_all():
    rng = np.random.default_rng(0)
    perfect, other = measure(np.c_[np.zeros(20), np.ones(20)], 100, rng, [1])
    assert relative_change(perfect, other, 20, 0.95) == (-1, -1, -1)
    assert interval_of_mean(perfect, 20, 0.95, positive=True) == (0, 0)
    assert difference(other, perfect, 20, 0.95) == (1, 1, 1)


def test_intervals_of_a_mean():
    """By the delta method: of an error on the scale of its logarithm, of a share within [0, 1]."""
    rng = np.random.default_rng(0)
    losses = rng.exponential(size=(50, 1))
    (measured,) = measure(losses, 20_000, rng, [])
    mean, t = losses.mean(), stats.t.isf(0.025, 49)
    error = losses.std(ddof=1) / np.sqrt(50)
    low, high = interval_of_mean(measured, 50, 0.95, positive=True)
    factor = np.exp(t * error / mean)
    assert (low, high) == pytest.approx((mean / factor, mean * factor), rel=0.02)
    hits = np.r_[np.zeros(1), np.ones(19)][:, None]
    (measured,) = measure(hits, 20_000, rng, [])
    low, high = interval_of_mean(measured, 20, 0.95, positive=False)
    assert high == 1
    assert low == pytest.approx(
        0.95 - stats.t.isf(0.025, 19) * hits.std(ddof=1) / np.sqrt(20), abs=0.01
    )


@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e150])
def test_scale_cancels_and_wide_intervals_are_finite(scale):
    a, b = same_on_all_rows(scale * np.array([0.1, 5.0])), same_on_all_rows(scale * np.ones(2))
    change = relative_change(a, b, 50, 0.99999)
    assert np.isfinite(change).all()
    assert change[0] == pytest.approx(1.55)
