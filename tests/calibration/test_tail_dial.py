import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted, validate_data

from ltlearn import ELTARegressor
from ltlearn.calibration import ConformalRegressor, TailDial
from ltlearn.calibration._predictive import LEVELS
from ltlearn.weighting import label_density

RNG = np.random.default_rng(0)
X = RNG.normal(size=(500, 2))
Y = np.exp(0.7 * X[:, 0] + RNG.logistic(scale=0.3, size=500))


class LogisticRegressor(RegressorMixin, BaseEstimator):
    """Least squares with quantiles of a logistic distribution: linear in the logit of the level."""

    def __init__(self, spread=0.5):
        self.spread = spread

    def fit(self, X, y, sample_weight=None):
        X, y = validate_data(self, X, y, y_numeric=True)
        self.inner_ = LinearRegression().fit(X, y, sample_weight)
        return self

    def predict(self, X):
        check_is_fitted(self)
        return self.inner_.predict(validate_data(self, X, reset=False))

    def predict_quantiles(self, X, levels):
        return self.predict(X)[:, None] + self.spread * logit(np.asarray(levels))


class Columns(LogisticRegressor):
    """The same quantiles, of three levels, as columns of ``predict``."""

    levels = (0.9, 0.1, 0.5)

    def predict(self, X):
        return LogisticRegressor.predict(self, X)[:, None] + self.spread * logit(self.levels)

    predict_quantiles = property()


def turned_by_integration(center, spread, tail, y_train, levels):
    """Mean and quantiles of one logistic distribution times weights, on a fine grid of scores.

    What lies beyond the levels 0.001 and 0.999 sits on these two, as documented.
    """
    ends = center + spread * logit(LEVELS[[0, -1]])
    grid = np.linspace(*ends, 200_001)
    mass = np.diff(expit((grid - center) / spread))
    middle = (grid[1:] + grid[:-1]) / 2
    points = np.concatenate([ends[:1], middle, ends[1:]])
    mass = np.concatenate([LEVELS[:1], mass, 1 - LEVELS[-1:]])
    density = label_density(y_train, at=np.clip(points, y_train.min(), y_train.max()))
    most = label_density(y_train).max()
    mass = mass * np.minimum(most / np.maximum(density, 1e-300), 200) ** tail
    mass /= mass.sum()
    return mass @ points, np.interp(levels, np.cumsum(mass), points)


@parametrize_with_checks(
    [TailDial(LogisticRegressor()), TailDial(LogisticRegressor(), prediction="median")]
)
def test_sklearn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("tail", [0.0, 0.4, 1.0])
def test_the_density_is_weighted_by_that_of_the_labels(tail):
    model = TailDial(LogisticRegressor(), tail=tail).fit(X, Y)
    rows, levels = X[:8], [0.1, 0.5, 0.8]
    found = model.predict(rows), model.predict_quantiles(rows, levels)
    for row, center in enumerate(model.estimator_.predict(rows)):
        mean, quantiles = turned_by_integration(center, 0.5, tail, Y, levels)
        assert_allclose(found[0][row], mean, atol=0.03)
        assert_allclose(found[1][row], quantiles, atol=0.03)


def test_prediction_and_intervals_are_read_off_the_same_distribution():
    model = TailDial(LogisticRegressor(), tail=0.5).fit(X, Y)
    quantiles = model.predict_quantiles(X, [0.1, 0.5, 0.9])
    assert_array_equal(model.predict(X, prediction="median"), quantiles[:, 1])
    assert_allclose(model.predict_interval(X, 0.8), quantiles[:, [0, 2]])
    plain = clone(model).set_params(tail=0.0).fit(X, Y)
    assert_array_equal(model.predict(X, tail=0.0), plain.predict(X))
    assert_array_equal(model.set_params(tail=0.0).predict(X), plain.predict(X))
    assert np.all(model.predict(X, tail=0.5) != plain.predict(X))


def test_it_is_the_dial_of_the_network():
    model = ELTARegressor(max_epochs=3, early_stopping=False, random_state=0).fit(X, Y)
    dial = TailDial(FrozenEstimator(model)).fit(X, Y)
    for tail in (0.0, 0.5):
        for prediction in ("mean", "median"):
            asked = {"tail": tail, "prediction": prediction}
            assert_allclose(dial.predict(X, **asked), model.predict(X, **asked))


def test_columns_of_predict_in_any_order():
    named = TailDial(LogisticRegressor()).fit(X, Y)
    dial = TailDial(Columns(), levels=Columns.levels).fit(X, Y)
    levels = [0.1, 0.3, 0.5, 0.9]  # linear in the logit between those that are given
    assert_allclose(dial.predict_quantiles(X, levels), named.predict_quantiles(X, levels))
    with pytest.raises(TypeError, match="predicts no distribution"):
        TailDial(Columns()).fit(X, Y)
    with pytest.raises(ValueError, match="3 columns, and there are 2 levels"):
        TailDial(Columns(), levels=[0.1, 0.9]).fit(X, Y)


@pytest.mark.parametrize("levels", [[0.1, 1.0], ["a"], [[0.5]], [0.5, 0.5]])
def test_bad_levels(levels):
    with pytest.raises(ValueError, match="levels must"):
        TailDial(Columns(), levels=levels).fit(X, Y)


def test_quantile_forest():
    forests = pytest.importorskip("quantile_forest")
    forest = forests.RandomForestQuantileRegressor(20, min_samples_leaf=5, random_state=0)
    dial = TailDial(forest, prediction="median").fit(X[:300], Y[:300])
    expected = forest.fit(X[:300], Y[:300]).predict(X, quantiles=[0.5])
    assert_allclose(dial.predict(X), expected)
    rare = np.quantile(Y, 0.95) < Y
    rare[:300] = False
    assert dial.predict(X[rare], tail=0.5).mean() > dial.predict(X[rare]).mean()


def test_catboost():
    catboost = pytest.importorskip("catboost")
    model = catboost.CatBoostRegressor(
        loss_function="MultiQuantile:alpha=0.1,0.5,0.9",
        iterations=20,
        thread_count=1,
        verbose=0,
        allow_writing_files=False,
    )
    dial = TailDial(make_pipeline(StandardScaler(), model)).fit(X, Y)
    expected = np.sort(dial.estimator_.predict(X), axis=1)
    assert_allclose(dial.predict_quantiles(X, [0.1, 0.5, 0.9]), expected)


def test_conformal_intervals_are_quantiles():
    conformal = ConformalRegressor(Ridge(), cv=3)
    dial = TailDial(conformal).fit(X, Y)
    conformal.fit(X, Y)
    level = LEVELS[20]
    low, high = dial.predict_quantiles(X, [level, 1 - level]).T
    assert_allclose(np.c_[low, high], conformal.predict_interval(X, 1 - 2 * level))


@pytest.mark.filterwarnings("ignore::ltlearn.exceptions.SmallSampleWarning")
def test_few_conformal_rows_give_few_levels():
    dial = TailDial(ConformalRegressor(Ridge(), cv=2)).fit(X[:12], Y[:12])
    assert np.isfinite(dial.predict(X, tail=1.0)).all()


def test_regressors_without_a_distribution_are_told_what_helps():
    with pytest.raises(TypeError, match="ConformalRegressor"):
        TailDial(Ridge()).fit(X, Y)


def test_weights_count_like_repeated_rows_and_zeros_not_at_all():
    times = np.arange(len(Y)) % 3
    weighted = TailDial(LogisticRegressor()).fit(X, Y, sample_weight=times.astype(float))
    repeated = TailDial(LogisticRegressor()).fit(np.repeat(X, times, 0), np.repeat(Y, times))
    assert_allclose(
        weighted.predict(X, tail=0.5), repeated.predict(X, tail=0.5), rtol=0.02, atol=0.02
    )
    kept = times > 0
    left_out = TailDial(LogisticRegressor()).fit(X[kept], Y[kept], sample_weight=times[kept])
    assert_allclose(weighted.predict(X, tail=0.5), left_out.predict(X, tail=0.5))
    assert weighted.label_bands_ == left_out.label_bands_
    # By the estimator inside, in the words of its version.
    with pytest.raises((ValueError, ZeroDivisionError), match=r"[wW]eight"):
        TailDial(LogisticRegressor()).fit(X, Y, sample_weight=np.zeros(len(Y)))


def test_distributions_as_labels_are_refused():
    with pytest.raises(ValueError, match="one label a row"):
        TailDial(LogisticRegressor()).fit(X, np.c_[Y, Y])


@pytest.mark.parametrize("name", ["tail", "prediction"])
def test_bad_settings_of_a_call(name):
    model = TailDial(LogisticRegressor()).fit(X, Y)
    with pytest.raises(ValueError, match=name):
        model.predict(X, **{name: -1.0})


def test_inside_searches_and_pickles():
    frame = pd.DataFrame(X, columns=["a", "b"])
    model = TailDial(make_pipeline(StandardScaler(), LogisticRegressor()))
    search = GridSearchCV(model, {"tail": [0.0, 0.5], "estimator__logisticregressor__spread": [1]})
    search.fit(frame, Y)
    best = search.best_estimator_
    assert list(best.feature_names_in_) == ["a", "b"]
    again = pickle.loads(pickle.dumps(best))
    assert_array_equal(again.predict(frame, tail=0.3), best.predict(frame, tail=0.3))


def test_routing():
    weight = np.linspace(0, 1, len(Y))
    plain = TailDial(LogisticRegressor()).fit(X, Y, sample_weight=weight)
    with sklearn.config_context(enable_metadata_routing=True):
        inner = LogisticRegressor().set_fit_request(sample_weight=True)
        dial = TailDial(inner).set_fit_request(sample_weight=True)
        dial.set_predict_request(tail=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        outer = make_pipeline(scaler, dial).fit(X, Y, sample_weight=weight)
        assert_allclose(outer.predict(X, tail=0.5), plain.predict(X, tail=0.5))
