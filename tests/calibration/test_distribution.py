import pickle

import numpy as np
import pytest
import sklearn
from scipy.stats import kstest, norm
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted, validate_data

from ltlearn import ELTARegressor
from ltlearn.calibration import ConformalRegressor, DistributionCalibrator
from ltlearn.calibration._predicted_cdf import PredictedCDF, bin_edges
from ltlearn.calibration._predictive import LEVELS
from ltlearn.exceptions import SmallSampleWarning
from ltlearn.metrics import LabelBands

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4000, 2))
Y = np.exp(0.7 * X[:, 0] + 0.4 * RNG.normal(size=4000))
TRAIN, HELD_OUT, NEW = slice(0, 1500), slice(1500, 3000), slice(3000, 4000)
few_rows = pytest.mark.filterwarnings("ignore::ltlearn.exceptions.SmallSampleWarning")


class NormalRegressor(RegressorMixin, BaseEstimator):
    """Least squares with normal quantiles of one deviation, ``narrowness`` times too small."""

    def __init__(self, narrowness=2.0):
        self.narrowness = narrowness

    def fit(self, X, y, sample_weight=None):
        X, y = validate_data(self, X, y, y_numeric=True)
        self.inner_ = LinearRegression().fit(X, y, sample_weight)
        self.deviation_ = np.std(y - self.inner_.predict(X)) / self.narrowness
        return self

    def predict(self, X):
        check_is_fitted(self)
        return self.inner_.predict(validate_data(self, X, reset=False))

    def predict_quantiles(self, X, levels):
        return self.predict(X)[:, None] + self.deviation_ * norm.ppf(levels)


class BinRegressor(RegressorMixin, BaseEstimator):
    """Least squares with normal shares of uneven bins."""

    def fit(self, X, y):
        X, y = validate_data(self, X, y, y_numeric=True)
        self.inner_ = LinearRegression().fit(X, y)
        steps = np.array([0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1])
        self.bin_centers_ = np.min(y) + np.ptp(y) * steps
        return self

    def predict(self, X):
        check_is_fitted(self)
        return self.inner_.predict(validate_data(self, X, reset=False))

    def predict_distribution(self, X):
        density = norm.pdf(self.bin_centers_, self.predict(X)[:, None], 0.2) + 1e-3
        return density / density.sum(axis=1, keepdims=True)


@few_rows
@parametrize_with_checks([DistributionCalibrator(NormalRegressor(), cv=2)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_a_narrow_normal_becomes_the_true_one():
    """Labels N(x, 1), predictions N(x, 1/2): R(u) = Φ(Φ⁻¹(u) / 2) in closed form."""
    rng = np.random.default_rng(1)
    features = rng.normal(size=(40000, 1))
    y = features[:, 0] + rng.normal(size=40000)
    frozen = FrozenEstimator(NormalRegressor(2.0).fit(features, y))
    model = DistributionCalibrator(frozen, n_bands=1).fit(features[:20000], y[:20000])
    levels = np.array([0.1, 0.25, 0.5, 0.75, 0.9])
    quantiles = model.predict_quantiles([[0.0], [3.0]], levels)
    np.testing.assert_allclose(quantiles, np.add.outer([0, 3], norm.ppf(levels)), atol=0.06)
    u = norm.cdf(2 * (y[:20000] - model.estimator_.predict(features[:20000])))
    np.testing.assert_allclose(model.pit_[0], np.sort(u), atol=0.02)


@pytest.mark.parametrize("model", [NormalRegressor(3.0), NormalRegressor(0.5), BinRegressor()])
def test_levels_mean_what_they_say_overall_and_by_band(model):
    held_out = {"X_val": X[HELD_OUT][1:], "y_val": Y[HELD_OUT][1:]}
    calibrated = DistributionCalibrator(model, n_bands=4).fit(X[TRAIN], Y[TRAIN], **held_out)
    levels = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    is_below = Y[NEW, None] <= calibrated.predict_quantiles(X[NEW], levels)
    # Errors of counts of 1000 and 1499 rows, or of a quarter of them; four deviations.
    np.testing.assert_allclose(is_below.mean(axis=0), levels, atol=4 * 0.5 * (1 / 600) ** 0.5)
    band = np.searchsorted(calibrated.band_edges_, calibrated.predict(X[NEW]))
    for number in range(4):
        share = is_below[band == number].mean(axis=0)
        np.testing.assert_allclose(share, levels, atol=4 * 0.5 * (1 / 150) ** 0.5)


def test_what_is_calibrated_stays_as_it_is():
    rng = np.random.default_rng(2)
    features = rng.normal(size=(8000, 1))
    y = features[:, 0] + rng.normal(size=8000)
    model = NormalRegressor(narrowness=1.0).fit(features[:4000], y[:4000])
    calibrated = DistributionCalibrator(FrozenEstimator(model)).fit(features[4000:], y[4000:])
    levels = [0.1, 0.5, 0.9]
    before, after = (m.predict_quantiles(features, levels) for m in (model, calibrated))
    assert np.abs(after - before).max() < 0.5  # ten bands of 400 rows
    assert kstest(np.concatenate(calibrated.pit_), "uniform").pvalue > 0.01


def test_quantiles_against_a_loop():
    model = DistributionCalibrator(NormalRegressor(), cv=KFold(3), n_bands=2)
    model.fit(X[TRAIN], Y[TRAIN])
    pit, predicted = [], []
    for train, test in KFold(3).split(X[TRAIN]):
        fold = NormalRegressor().fit(X[train], Y[train])
        for i in test:
            knots = fold.predict_quantiles(X[i : i + 1], LEVELS)[0]
            inside = np.interp(Y[i], knots, LEVELS)
            pit.append(0.0 if Y[i] < knots[0] else 1.0 if Y[i] > knots[-1] else inside)
            predicted.append(fold.predict(X[i : i + 1])[0])
    border = np.sort(predicted)[749]
    pairs = list(zip(pit, predicted, strict=True))
    low, high = (sorted(u for u, p in pairs if (p > border) == above) for above in (False, True))
    assert high[-1] == 1  # above every quantile
    np.testing.assert_allclose(model.pit_[0], low)
    np.testing.assert_allclose(model.pit_[1], high)
    whole = NormalRegressor().fit(X[TRAIN], Y[TRAIN])
    for row, quantiles in zip(X[:30], model.predict_quantiles(X[:30], [0.05, 0.6]), strict=True):
        is_high = whole.predict([row])[0] > border
        band = sorted(u for u, p in zip(pit, predicted, strict=True) if (p > border) == is_high)
        for level, quantile in zip([0.05, 0.6], quantiles, strict=True):
            place = level * (len(band) + 1)  # between which order statistics of u
            k = int(place)
            known = [0.0, *band, 1.0]
            u = known[k] + (place - k) * (known[k + 1] - known[k])
            knots = whole.predict_quantiles([row], LEVELS)[0]
            assert quantile == pytest.approx(np.interp(u, LEVELS, knots))


class TestBins:
    @pytest.fixture
    def calibrated(self):
        model = DistributionCalibrator(BinRegressor(), n_bands=3)
        return model.fit(X[TRAIN], Y[TRAIN], X_val=X[HELD_OUT][1:], y_val=Y[HELD_OUT][1:])

    def test_edges_lie_between_centers(self):
        np.testing.assert_array_equal(bin_edges(np.array([0.0, 1.0, 4.0])), [0, 0.5, 2.5, 4])

    def test_shares_are_calibrated(self, calibrated):
        edges = bin_edges(calibrated.bin_centers_)
        labels = Y[NEW].clip(edges[0], edges[-1])
        counted = np.histogram(labels, edges)[0] / 1000
        error = {}
        for model in (calibrated, calibrated.estimator_):
            shares = model.predict_distribution(X[NEW])
            np.testing.assert_allclose(shares.sum(axis=1), 1)
            assert shares.min() >= 0
            error[model] = np.abs(shares.mean(axis=0) - counted).sum()
            # A label uses up the shares below it and its part of its own bin.
            part = np.clip((labels[:, None] - edges[:-1]) / np.diff(edges), 0, 1)
            u = np.sum(shares * part, axis=1)
            error[model, "u"] = kstest(u, "uniform").statistic
        assert error[calibrated] < error[calibrated.estimator_]
        assert error[calibrated, "u"] < 0.08 < error[calibrated.estimator_, "u"]

    def test_shares_and_quantiles_agree(self, calibrated):
        """The quantile at the level of an edge is that edge, where labels are on both sides."""
        cumulative = np.cumsum(calibrated.predict_distribution(X[NEW][:50]), axis=1)[:, :-1]
        edges = bin_edges(calibrated.bin_centers_)[1:-1]
        for row, levels in zip(X[NEW][:50], cumulative, strict=True):
            clear = (levels > 0.01) & (levels < 0.99)
            quantiles = calibrated.predict_quantiles([row], levels[clear])[0]
            np.testing.assert_allclose(quantiles, edges[clear], rtol=1e-6)

    def test_labels_outside_the_bins_count_for_the_outermost(self):
        model = FrozenEstimator(BinRegressor().fit(X[TRAIN], Y[TRAIN]))
        far = np.r_[np.full(300, -1e6), np.full(100, 1e6)]
        rows = X[RNG.permutation(400)]
        calibrated = DistributionCalibrator(model, n_bands=1).fit(rows, far)
        shares = calibrated.predict_distribution(X[:20])
        np.testing.assert_allclose(shares[:, 0], 300 / 400, atol=1 / 400)
        np.testing.assert_allclose(shares[:, -1], 100 / 400, atol=1 / 400)
        ends = calibrated.bin_centers_[[0, -1]]
        low, high = calibrated.predict_quantiles(X[:20], [0.3, 0.9]).T
        np.testing.assert_allclose([low, high], np.broadcast_to(ends[:, None], (2, 20)))

    def test_distribution_functions_by_counting(self, calibrated):
        cdf = PredictedCDF.of(calibrated.estimator_, X[:5])
        shares = calibrated.estimator_.predict_distribution(X[:5])
        edges = bin_edges(calibrated.bin_centers_)
        for score in (edges[0], 0.7, 2.0, edges[3], edges[-1]):
            part = np.clip((score - edges[:-1]) / np.diff(edges), 0, 1)
            np.testing.assert_allclose(cdf.at(np.full((5, 1), score))[:, 0], shares @ part)


def test_the_network_of_earth_movers_distance():
    """Its central intervals are too narrow as they are."""
    network = ELTARegressor(backbone="mlp", loss="emd", max_epochs=15, random_state=0)
    fitted = FrozenEstimator(network.fit(X[TRAIN], Y[TRAIN]))
    model = DistributionCalibrator(fitted).fit(X[HELD_OUT], Y[HELD_OUT])
    low, high = model.predict_quantiles(X[NEW], [0.05, 0.95]).T
    assert np.mean((low <= Y[NEW]) & (Y[NEW] <= high)) == pytest.approx(0.9, abs=0.04)
    np.testing.assert_array_equal(model.bin_centers_, network.bin_centers_)


def test_inside_pipelines():
    model = DistributionCalibrator(make_pipeline(StandardScaler(), BinRegressor()))
    model.fit(X[:400], Y[:400])
    np.testing.assert_allclose(model.predict_distribution(X).sum(axis=1), 1)
    assert model.bin_centers_.shape == (8,)


def test_calibrated_quantiles_can_be_conformalized():
    calibrated = DistributionCalibrator(NormalRegressor()).fit(X[TRAIN], Y[TRAIN])
    conformal = ConformalRegressor(FrozenEstimator(calibrated)).fit(X[HELD_OUT], Y[HELD_OUT])
    low, high = conformal.predict_interval(X[NEW]).T
    assert np.mean((low <= Y[NEW]) & (Y[NEW] <= high)) == pytest.approx(0.9, abs=0.04)
    assert np.concatenate(conformal.conformity_scores_).min() < 0  # from quantiles


def test_weights_of_zero_are_absent():
    weights = RNG.integers(0, 3, size=400)
    frozen = FrozenEstimator(NormalRegressor().fit(X[TRAIN], Y[TRAIN]))
    weighted = DistributionCalibrator(frozen, n_bands=1).fit(X[:400], Y[:400], weights)
    present = weights > 0
    expected = DistributionCalibrator(frozen, n_bands=1).fit(X[:400][present], Y[:400][present])
    np.testing.assert_array_equal(weighted.pit_[0], expected.pit_[0])


def test_other_regressors_are_refused():
    with pytest.raises(TypeError, match="Ridge has neither predict_quantiles nor"):
        DistributionCalibrator(Ridge()).fit(X[:300], Y[:300])
    with pytest.raises(TypeError, match="ELTARegressor has neither"):
        DistributionCalibrator(ELTARegressor(loss="mse", max_epochs=1)).fit(X[:300], Y[:300])
    model = DistributionCalibrator(NormalRegressor()).fit(X[:300], Y[:300])
    assert not hasattr(model, "predict_distribution")
    assert not hasattr(model, "bin_centers_")
    with pytest.raises(ValueError, match="y has 3 columns"):
        DistributionCalibrator(NormalRegressor()).fit(X[:300], np.ones((300, 3)))


@pytest.mark.parametrize("levels", [0.5, [0.0, 0.5], [1.0], [-1], [np.nan], ["a"], [[0.5]]])
def test_levels_that_are_none(levels):
    model = DistributionCalibrator(NormalRegressor()).fit(X[:300], Y[:300])
    with pytest.raises(ValueError, match="levels must be"):
        model.predict_quantiles(X, levels)


def test_few_rows_and_what_survives():
    with pytest.warns(SmallSampleWarning, match="12 held-out rows; about 200") as record:
        model = DistributionCalibrator(NormalRegressor()).fit(
            X[:100], Y[:100], X_val=X[:12], y_val=Y[:12]
        )
    assert record[0].filename == __file__
    assert np.all(np.isfinite(model.predict_quantiles(X, [1e-9, 1 - 1e-9])))
    assert np.all(np.diff(model.predict_quantiles(X, np.linspace(0.01, 0.99, 50))) >= 0)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(
        again.predict_quantiles(X, [0.2]), model.predict_quantiles(X, [0.2])
    )
    assert model.label_bands_ == LabelBands.from_density(Y[:100])
    with pytest.raises(sklearn.exceptions.NotFittedError):
        clone(model).predict_quantiles(X, [0.5])
