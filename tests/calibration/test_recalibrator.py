import pickle
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.ensemble import (
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    RepeatedKFold,
    cross_val_predict,
)
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor
from sklearn.utils.estimator_checks import parametrize_with_checks

from ltlearn import Whole
from ltlearn.calibration import RecalibrationMap, Recalibrator
from ltlearn.metrics import LabelBands, expected_score, prediction_spread, srcc
from ltlearn.model_selection import BinnedStratifiedKFold

METHODS = ["stretch", "linear", "isotonic", "cubic"]
RNG = np.random.default_rng(0)
Y = np.exp(RNG.normal(size=300))
WEIGHTS = RNG.integers(0, 4, size=300)
X = np.column_stack([np.log(Y) + RNG.normal(size=300), RNG.normal(size=300)])
GROUPS = RNG.integers(0, 30, size=300)


@pytest.mark.filterwarnings("ignore::ltlearn.exceptions.SmallSampleWarning")
@parametrize_with_checks(
    [
        Recalibrator(LinearRegression()),
        Recalibrator(DecisionTreeRegressor(random_state=0), method="cubic", cv=3),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("method", METHODS)
def test_cross_fitting_against_a_loop(method):
    held_out = np.empty(300)
    for train, test in BinnedStratifiedKFold(4).split(X, Y):
        held_out[test] = Ridge().fit(X[train], Y[train]).predict(X[test])
    expected = RecalibrationMap(method).fit(held_out, Y).predict(Ridge().fit(X, Y).predict(X))
    model = Recalibrator(Ridge(), method=method, cv=4).fit(X, Y)
    np.testing.assert_allclose(model.predict(X), expected)


def test_cross_fitting_is_cross_val_predict():
    held_out = cross_val_predict(Ridge(), X, Y, cv=KFold(3))
    model = Recalibrator(Ridge(), cv=KFold(3)).fit(X, Y)
    assert model.map_.slope_ == pytest.approx(RecalibrationMap().fit(held_out, Y).slope_)


@pytest.mark.parametrize(
    "cv", [None, RepeatedKFold(n_splits=3, n_repeats=2, random_state=0), list(KFold(3).split(X))]
)
def test_kinds_of_cv(cv):
    assert np.all(np.isfinite(Recalibrator(Ridge(), cv=cv).fit(X, Y).predict(X)))


def test_default_folds_are_five():
    slopes = [Recalibrator(Ridge(), cv=cv).fit(X, Y).map_.slope_ for cv in (None, 5, 4)]
    assert slopes[0] == slopes[1] != slopes[2]


def test_validation_data_fit_the_map():
    model = Recalibrator(Ridge()).fit(X[:90], Y[:90], X_val=X[90:], y_val=Y[90:])
    inner = Ridge().fit(X[:90], Y[:90])
    expected = RecalibrationMap().fit(inner.predict(X[90:]), Y[90:])
    assert model.map_.slope_ == pytest.approx(expected.slope_)
    np.testing.assert_allclose(model.estimator_.coef_, inner.coef_)


def test_a_fitted_regressor_is_recalibrated_as_it_is():
    inner = Ridge().fit(X[:50], Y[:50])
    model = Recalibrator(FrozenEstimator(inner)).fit(X[50:], Y[50:])
    expected = RecalibrationMap().fit(inner.predict(X[50:]), Y[50:])
    assert model.map_.slope_ == pytest.approx(expected.slope_)


def test_validation_data_come_in_pairs_and_whole():
    with pytest.raises(ValueError, match="belong together"):
        Recalibrator(Ridge()).fit(X, Y, X_val=X[:100])
    with pytest.raises(ValueError, match="X_val=ltlearn"):
        Recalibrator(Ridge()).fit(X, Y, X_val=X, y_val=Y)
    # On its own training data a least-squares fit has nothing left to stretch.
    whole = Recalibrator(LinearRegression()).fit(X, Y, X_val=Whole(X), y_val=Whole(Y))
    assert whole.map_.slope_ == pytest.approx(1)


TIMID = [
    HistGradientBoostingRegressor(max_iter=10, learning_rate=0.03),
    make_pipeline(StandardScaler(), Ridge(alpha=1000)),
]


@pytest.mark.parametrize("estimator", TIMID)
def test_timid_predictions_are_taken_apart(estimator):
    model = Recalibrator(estimator).fit(X, Y)
    timid, recalibrated = model.estimator_.predict(X), model.predict(X)
    assert prediction_spread(Y, recalibrated) > prediction_spread(Y, timid)


@pytest.mark.parametrize("estimator", [*TIMID, RandomForestRegressor(10, random_state=0)])
@pytest.mark.parametrize("method", METHODS)
def test_the_order_of_predictions_remains(estimator, method):
    model = Recalibrator(estimator, method=method, cv=2).fit(X, Y)
    order = np.argsort(model.estimator_.predict(X))
    assert np.all(np.diff(model.predict(X)[order]) > -1e-12)


def test_weights_reach_regressor_and_map():
    model = Recalibrator(Ridge(), cv=KFold(3)).fit(X, Y, sample_weight=WEIGHTS.tolist())
    held_out = cross_val_predict(Ridge(), X, Y, cv=KFold(3), params={"sample_weight": WEIGHTS})
    assert model.map_.slope_ == pytest.approx(RecalibrationMap().fit(held_out, Y, WEIGHTS).slope_)
    np.testing.assert_allclose(model.estimator_.coef_, Ridge().fit(X, Y, WEIGHTS).coef_)


@pytest.mark.parametrize("estimator", [KNeighborsRegressor(), make_pipeline(Ridge())])
def test_weights_that_the_regressor_does_not_take(estimator):
    with pytest.raises(TypeError, match="does not take sample_weight"):
        Recalibrator(estimator).fit(X, Y, sample_weight=WEIGHTS)


def test_weights_are_routed_into_pipelines():
    with sklearn.config_context(enable_metadata_routing=True):
        ridge = Ridge().set_fit_request(sample_weight=True)
        model = Recalibrator(make_pipeline(ridge), cv=KFold(3)).set_fit_request(sample_weight=True)
        model.fit(X, Y, sample_weight=WEIGHTS)
    expected = Recalibrator(Ridge(), cv=KFold(3)).fit(X, Y, sample_weight=WEIGHTS)
    np.testing.assert_allclose(model.predict(X), expected.predict(X))


def test_aliased_weights_are_routed():
    with sklearn.config_context(enable_metadata_routing=True):
        model = Recalibrator(Ridge().set_fit_request(sample_weight="inner"), cv=KFold(3))
        model.fit(X, Y, inner=WEIGHTS)
    np.testing.assert_allclose(model.estimator_.coef_, Ridge().fit(X, Y, WEIGHTS).coef_)


def test_groups_are_routed_to_the_folds():
    with sklearn.config_context(enable_metadata_routing=True):
        model = Recalibrator(Ridge()).fit(X, Y, groups=GROUPS)
    held_out = np.empty(300)
    for train, test in BinnedStratifiedKFold(5).split(X, Y, GROUPS):
        held_out[test] = Ridge().fit(X[train], Y[train]).predict(X[test])
    assert model.map_.slope_ == pytest.approx(RecalibrationMap().fit(held_out, Y).slope_)


def test_other_fit_parameters_are_passed_on():
    class Recorder(Ridge):
        def fit(self, X, y, sample_weight=None, *, note=None):
            self.note_ = note
            return super().fit(X, y, sample_weight)

    assert Recalibrator(Recorder()).fit(X, Y, note="passed").estimator_.note_ == "passed"


class DistributionRegressor(RegressorMixin, BaseEstimator):
    """Mean of the distributions of the three nearest samples, on bins of its own."""

    def fit(self, X, y):
        self.bin_centers_ = np.array([0.0, 10.0, 40.0])
        scores = expected_score(y, bin_centers=self.bin_centers_)
        self.inner_ = KNeighborsRegressor(3).fit(X, scores)
        return self

    def predict(self, X):
        return self.inner_.predict(X)


def test_score_distributions_count_through_the_bin_centers_of_the_regressor():
    first = 1 / (1 + np.exp(-X[:, 0]))
    votes = np.column_stack([1 - first, first / 2, first / 2])
    model = Recalibrator(DistributionRegressor(), method="linear").fit(X, votes)
    scores = votes @ [0, 10, 40]
    assert np.mean(model.predict(X)) == pytest.approx(np.mean(scores), rel=0.05)
    assert model.score(X, votes) == pytest.approx(r2_score(scores, model.predict(X)))
    assert model.label_bands_ == LabelBands.from_density(scores)
    on_validation = Recalibrator(DistributionRegressor(), method="linear")
    on_validation.fit(X[:60], votes[:60], X_val=X[60:], y_val=votes[60:])
    assert srcc(scores, on_validation.predict(X)) > 0.5


def test_methods_can_be_searched():
    features = np.log(Y)[:, None] + 0.1 * RNG.normal(size=(300, 1))
    search = GridSearchCV(
        Recalibrator(Ridge()), {"method": METHODS, "estimator__alpha": [1, 10]}, cv=3
    ).fit(features, Y)
    assert search.best_params_["method"] in ("isotonic", "cubic")


def test_recalibrator_survives_pickling_and_cloning():
    model = Recalibrator(Ridge(), method="cubic").fit(X, Y)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))
    with pytest.raises(sklearn.exceptions.NotFittedError):
        clone(model).predict(X)


def test_feature_names_are_those_of_the_last_fit():
    model = Recalibrator(Ridge()).fit(pd.DataFrame(X[:, :2], columns=["left", "right"]), Y)
    np.testing.assert_array_equal(model.feature_names_in_, ["left", "right"])
    assert model.fit(X[:, :1], Y).n_features_in_ == 1
    assert not hasattr(model, "feature_names_in_")


def test_recalibrator_in_parallel():
    alone = Recalibrator(Ridge()).fit(X, Y).predict(X)
    with joblib.parallel_config("threading"):
        together = Recalibrator(Ridge(), n_jobs=2).fit(X, Y).predict(X)
    np.testing.assert_array_equal(together, alone)


def test_folds_without_a_tail_are_not_warned_about():
    y = np.r_[RNG.uniform(size=250), 50.0]
    features = y[:, None] + RNG.normal(size=(251, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Recalibrator(Ridge()).fit(features, y)
