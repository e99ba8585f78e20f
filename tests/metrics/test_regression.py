import math
import warnings

import numpy as np
import pytest
from scipy import stats
from sklearn.exceptions import UndefinedMetricWarning

from ltlearn.exceptions import EmptyBandWarning
from ltlearn.metrics import (
    LabelBands,
    balanced_mae,
    emd,
    expected_score,
    percentile_mae,
    plcc,
    prediction_spread,
    shot_errors,
    srcc,
)

RNG = np.random.default_rng(0)
Y_TRUE = np.round(np.exp(RNG.normal(1, 0.7, size=150)), 1)
Y_PRED = 2 + 0.4 * Y_TRUE + RNG.normal(size=150)
WEIGHTS = RNG.integers(0, 4, size=150)
REPEATED = np.repeat(np.arange(150), WEIGHTS)
BANDS = LabelBands.from_percentiles(Y_TRUE)


def ranks(values):
    """Average ranks, counted one by one."""
    return [
        1
        + sum(other < value for other in values)
        + (sum(other == value for other in values) - 1) / 2
        for value in values
    ]


def pearson(a, b):
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    covariance = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
    return covariance / math.sqrt(
        sum((x - mean_a) ** 2 for x in a) * sum((y - mean_b) ** 2 for y in b)
    )


def test_correlations_against_loops():
    assert plcc(Y_TRUE, Y_PRED) == pytest.approx(pearson(Y_TRUE, Y_PRED))
    assert srcc(Y_TRUE, Y_PRED) == pytest.approx(pearson(ranks(Y_TRUE), ranks(Y_PRED)))


def test_correlations_against_scipy():
    assert plcc(Y_TRUE, Y_PRED) == pytest.approx(stats.pearsonr(Y_TRUE, Y_PRED).statistic)
    assert srcc(Y_TRUE, Y_PRED) == pytest.approx(stats.spearmanr(Y_TRUE, Y_PRED).statistic)


@pytest.mark.parametrize("correlation", [srcc, plcc])
@pytest.mark.parametrize(
    ("y_true", "y_pred"),
    [
        ([1.0], [2.0]),
        ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]),
        ([1.0, 2.0, 3.0], [5.0, 5.0, 5.0]),
        ([0.0, 0.0], [0.0, 0.0]),
    ],
)
def test_correlation_with_a_constant_is_zero(correlation, y_true, y_pred):
    assert correlation(y_true, y_pred) == 0.0


def test_linear_correlation_with_a_constant_up_to_rounding_is_zero():
    assert plcc([1.0, 2.0, 3.0, 4.0], 1e8 + np.array([0, 1e-8, 0, 2e-8])) == 0.0


@pytest.mark.parametrize(("a", "expected"), [(3.0, 1.0), (-0.01, -1.0)])
def test_correlations_of_a_line(a, expected):
    assert plcc(Y_TRUE, a * Y_TRUE + 7) == pytest.approx(expected)
    assert srcc(Y_TRUE, a * Y_TRUE**3) == pytest.approx(expected)


@pytest.mark.parametrize("r", [1, 2, 3.5])
def test_emd_against_a_loop(r):
    true, predicted = RNG.dirichlet(np.ones(5), size=7), RNG.dirichlet(np.ones(5), size=7)
    per_sample = []
    for p, q in zip(true, predicted, strict=True):
        gaps = [abs(sum(p[: k + 1]) - sum(q[: k + 1])) ** r for k in range(5)]
        per_sample.append((sum(gaps) / 5) ** (1 / r))
    weights = RNG.uniform(size=7)
    assert emd(true, predicted, r=r) == pytest.approx(np.mean(per_sample))
    assert emd(true, predicted, r=r, sample_weight=weights) == pytest.approx(
        sum(weights * per_sample) / sum(weights)
    )


def test_emd_with_r_one_is_the_wasserstein_distance():
    p, q = RNG.dirichlet(np.ones(6)), RNG.dirichlet(np.ones(6))
    wasserstein = stats.wasserstein_distance(range(6), range(6), p, q)
    assert emd([p], [q], r=1) == pytest.approx(wasserstein / 6)


def test_emd_normalizes_votes():
    assert emd([[10, 30]], [[0.25, 0.75]]) == pytest.approx(0)


@pytest.mark.parametrize(
    ("y_true", "y_pred", "message"),
    [
        ([[1.0, 0.0]], [[1.0, 0.0, 0.0]], "same bins"),
        ([[1.0, 0.0]], [[1.0, 0.0], [1.0, 0.0]], "same bins"),
        ([[1.5, -0.5]], [[1.0, 0.0]], "negative"),
        ([1.0, 0.0], [1.0, 0.0], "2D"),
    ],
)
def test_emd_of_invalid_distributions(y_true, y_pred, message):
    with pytest.raises(ValueError, match=message):
        emd(y_true, y_pred)


def mean_error(name, power=1):
    errors = [
        abs(label - prediction) ** power
        for label, prediction, code in zip(Y_TRUE, Y_PRED, BANDS.assign(Y_TRUE), strict=True)
        if BANDS.names[code] == name
    ]
    return sum(errors) / len(errors)


def test_percentile_mae_against_a_loop():
    errors = percentile_mae(Y_TRUE, Y_PRED)
    assert list(errors) == ["0-20", "20-80", "80-100"]
    for name, error in errors.items():
        assert error == pytest.approx(mean_error(name))


def test_percentile_mae_loses_no_sample():
    y_true = RNG.integers(1, 6, size=100)
    counts = LabelBands.from_percentiles(y_true).counts
    errors = percentile_mae(y_true, np.zeros(100))
    total = sum(errors[name] * counts[name] for name in counts if counts[name])
    assert total == pytest.approx(np.sum(y_true))


def test_percentile_mae_in_bands_of_training_labels():
    bands = LabelBands.from_percentiles([0.0, 1.0, 2.0, 3.0, 4.0], percentiles=(50,))
    errors = percentile_mae([0.5, 2.5, 3.5], [0.0, 0.0, 0.0], bands=bands)
    assert errors == {"0-50": 0.5, "50-100": 3.0}


def test_shot_errors_against_loops():
    errors = shot_errors(Y_TRUE, Y_PRED, bands=BANDS)
    for code, name in enumerate(BANDS.names):
        rows = BANDS.assign(Y_TRUE) == code
        logs = [math.log(abs(t - p)) for t, p in zip(Y_TRUE[rows], Y_PRED[rows], strict=True)]
        assert errors[name] == {
            "n_samples": np.sum(rows),
            "mae": pytest.approx(mean_error(name)),
            "mse": pytest.approx(mean_error(name, power=2)),
            "gmean_error": pytest.approx(math.exp(sum(logs) / len(logs))),
            "srcc": pytest.approx(stats.spearmanr(Y_TRUE[rows], Y_PRED[rows]).statistic),
            "plcc": pytest.approx(stats.pearsonr(Y_TRUE[rows], Y_PRED[rows]).statistic),
        }


def test_geometric_mean_error_with_an_exact_prediction_is_zero():
    bands = LabelBands.from_percentiles([1.0, 2.0, 3.0], (50,))
    assert shot_errors([1, 1, 3], [1, 2, 5], bands=bands)["0-50"]["gmean_error"] == 0


@pytest.mark.parametrize("metric", ["mae", "mse", "gmean_error"])
def test_weights_repeat_samples_in_shot_errors(metric):
    weighted = shot_errors(Y_TRUE, Y_PRED, bands=BANDS, sample_weight=WEIGHTS)
    repeated = shot_errors(Y_TRUE[REPEATED], Y_PRED[REPEATED], bands=BANDS)
    for name in BANDS.names:
        assert weighted[name][metric] == pytest.approx(repeated[name][metric])


@pytest.mark.parametrize(
    ("metric", "arguments"),
    [(percentile_mae, {"bands": BANDS}), (balanced_mae, {"score_range": (0, 30)})],
)
def test_weights_repeat_samples(metric, arguments):
    weighted = metric(Y_TRUE, Y_PRED, sample_weight=WEIGHTS, **arguments)
    assert weighted == pytest.approx(metric(Y_TRUE[REPEATED], Y_PRED[REPEATED], **arguments))


@pytest.mark.parametrize("metric", [percentile_mae, shot_errors])
def test_empty_band_warns_once_and_is_nan_there_alone(metric):
    y_true = [BANDS.intervals[0][2], 1e6]
    with pytest.warns(EmptyBandWarning, match=r"in '20-80'; the metric is NaN there") as record:
        errors = metric(y_true, [1.0, 2.0], bands=BANDS)
    assert [warning.filename for warning in record] == [__file__]
    errors = {name: error if np.isscalar(error) else error["mae"] for name, error in errors.items()}
    assert np.isnan(errors["20-80"])
    assert np.isfinite(errors["0-20"])
    assert np.isfinite(errors["80-100"])


def test_a_band_of_weightless_samples_is_empty():
    y_true = [0.0, 1e6]
    with pytest.warns(EmptyBandWarning, match="'20-80', '80-100'"):
        errors = shot_errors(y_true, [0.0, 2.0], bands=BANDS, sample_weight=[1, 0])
    assert errors["80-100"]["n_samples"] == 0
    assert errors["0-20"]["gmean_error"] == 0


@pytest.mark.parametrize("n_bins", [1, 3, 10])
@pytest.mark.parametrize("score_range", [None, (0.0, 8.0)])
def test_balanced_mae_against_a_loop(n_bins, score_range):
    y_true = Y_TRUE + RNG.uniform(size=150)  # off the edges of the bins
    low, high = score_range or (min(y_true), max(y_true))
    errors = {}
    for label, prediction in zip(y_true, Y_PRED, strict=True):
        number = math.floor((label - low) / (high - low) * n_bins)
        errors.setdefault(min(max(number, 0), n_bins - 1), []).append(abs(label - prediction))
    expected = np.mean([np.mean(in_bin) for in_bin in errors.values()])
    result = balanced_mae(y_true, Y_PRED, n_bins=n_bins, score_range=score_range)
    assert result == pytest.approx(expected)


@pytest.mark.parametrize("n_bins", [1, 10])
def test_balanced_mae_of_constant_labels_is_the_mae(n_bins):
    assert balanced_mae([2.0, 2.0, 2.0], [1.0, 2.0, 4.0], n_bins=n_bins) == pytest.approx(1)


def test_balanced_mae_of_invalid_parameters():
    with pytest.raises(ValueError, match="must increase"):
        balanced_mae([1.0], [1.0], score_range=(3, 3))
    with pytest.raises(ValueError, match="n_bins"):
        balanced_mae([1.0], [1.0], n_bins=0)


def test_prediction_spread_is_the_ratio_of_deviations():
    assert prediction_spread(Y_TRUE, 0.3 * Y_TRUE - 5) == pytest.approx(0.3)
    assert prediction_spread(Y_TRUE, np.full(150, 4.0)) == 0
    assert prediction_spread(Y_TRUE, Y_PRED) == pytest.approx(
        math.sqrt(
            np.mean((Y_PRED - np.mean(Y_PRED)) ** 2) / np.mean((Y_TRUE - np.mean(Y_TRUE)) ** 2)
        )
    )


def test_prediction_spread_over_constant_labels_is_undefined():
    with pytest.warns(UndefinedMetricWarning, match="constant") as record:
        assert np.isnan(prediction_spread([1.0, 1.0], [1.0, 2.0]))
    assert record[0].filename == __file__


@pytest.mark.parametrize(
    "metric",
    [srcc, plcc, balanced_mae, prediction_spread, percentile_mae],
    ids=lambda metric: metric.__name__,
)
def test_distributions_stand_for_their_expected_scores(metric):
    true, predicted = RNG.dirichlet(np.ones(10), size=60), RNG.dirichlet(np.ones(10), size=60)
    expected = metric(expected_score(true), expected_score(predicted))
    assert metric(true, predicted) == pytest.approx(expected)
    assert metric(true, expected_score(predicted)) == pytest.approx(expected)


ALL_METRICS = {
    "srcc": srcc,
    "plcc": plcc,
    "balanced_mae": balanced_mae,
    "prediction_spread": prediction_spread,
    "percentile_mae": percentile_mae,
    "shot_errors": lambda y_true, y_pred, **kw: shot_errors(y_true, y_pred, bands=BANDS, **kw),
}


@pytest.mark.parametrize("metric", ALL_METRICS.values(), ids=ALL_METRICS)
@pytest.mark.parametrize(
    ("y_true", "y_pred", "message"),
    [
        ([], [], "0 sample"),
        ([1.0, 2.0], [1.0], "inconsistent numbers of samples"),
        ([1.0, np.nan], [1.0, 2.0], "y_true contains NaN"),
        ([1.0, 2.0], [1.0, np.inf], "y_pred contains infinity"),
        ([[-1.0, 2.0]], [1.0], "negative shares"),
    ],
)
def test_invalid_labels_and_predictions(metric, y_true, y_pred, message):
    with pytest.raises(ValueError, match=message):
        metric(y_true, y_pred)


@pytest.mark.parametrize("name", ["balanced_mae", "percentile_mae", "shot_errors"])
@pytest.mark.parametrize(
    ("weights", "message"), [([0, 0], "zero"), ([1, -1], "[Nn]egative"), ([1], "sample_weight")]
)
def test_invalid_weights(name, weights, message):
    with pytest.raises(ValueError, match=message):
        ALL_METRICS[name]([1.0, 2.0], [1.0, 2.0], sample_weight=weights)


@pytest.mark.parametrize("metric", ALL_METRICS.values(), ids=ALL_METRICS)
def test_columns_and_lists_are_accepted(metric):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EmptyBandWarning)
        expected = metric(Y_TRUE, Y_PRED)
        assert metric(Y_TRUE[:, None], Y_PRED.tolist()) == expected
