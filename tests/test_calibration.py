import math
import pickle
import warnings

import joblib
import numpy as np
import pytest
import sklearn
from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import make_pipeline as make_resampling_pipeline
from scipy.optimize import minimize_scalar
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.datasets import make_classification
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import balanced_accuracy_score, r2_score
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    RepeatedKFold,
    cross_val_predict,
    cross_validate,
)
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils.estimator_checks import parametrize_with_checks

from ltlearn import Whole
from ltlearn.calibration import LogitAdjuster, RecalibrationMap, Recalibrator, adjust_proba
from ltlearn.exceptions import SmallSampleWarning
from ltlearn.metrics import LabelBands, expected_score, prediction_spread, srcc
from ltlearn.model_selection import BinnedStratifiedKFold

METHODS = ["stretch", "linear", "isotonic", "cubic"]
RNG = np.random.default_rng(0)
Y = np.exp(RNG.normal(size=300))
PREDICTIONS = 1 + 0.4 * np.log1p(Y) + 0.2 * RNG.normal(size=300)
WEIGHTS = RNG.integers(0, 4, size=300)
X = np.column_stack([np.log(Y) + RNG.normal(size=300), RNG.normal(size=300)])
GROUPS = RNG.integers(0, 30, size=300)


@pytest.mark.filterwarnings("ignore::ltlearn.exceptions.SmallSampleWarning")
@parametrize_with_checks(
    [
        Recalibrator(LinearRegression()),
        Recalibrator(DecisionTreeRegressor(random_state=0), method="cubic", cv=3),
        LogitAdjuster(LogisticRegression()),
        LogitAdjuster(DecisionTreeClassifier(random_state=0), tau=0.5),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# RecalibrationMap


def test_stretch_minimizes_the_squared_error_about_the_mean_prediction():
    mean = np.mean(PREDICTIONS)
    best = minimize_scalar(lambda a: np.sum((Y - mean - a * (PREDICTIONS - mean)) ** 2))
    stretch = RecalibrationMap("stretch").fit(PREDICTIONS, Y)
    assert stretch.slope_ == pytest.approx(best.x)
    at = np.array([0.0, mean, 5.0])
    np.testing.assert_allclose(stretch.predict(at), mean + best.x * (at - mean))


def test_stretch_does_not_follow_the_mean_of_other_labels():
    as_they_are = RecalibrationMap("stretch").fit(PREDICTIONS, Y)
    shifted = RecalibrationMap("stretch").fit(PREDICTIONS, Y + 100)
    np.testing.assert_allclose(shifted.predict([0.0, 5.0]), as_they_are.predict([0.0, 5.0]))


def test_line_is_the_least_squares_line():
    line = RecalibrationMap("linear").fit(PREDICTIONS, Y)
    expected = np.polynomial.Polynomial.fit(PREDICTIONS, Y, 1).convert().coef
    np.testing.assert_allclose([line.intercept_, line.slope_], expected)


def test_isotonic_is_isotonic_regression():
    isotonic = RecalibrationMap("isotonic").fit(PREDICTIONS, Y)
    expected = IsotonicRegression(out_of_bounds="clip").fit(PREDICTIONS, Y)
    at = np.linspace(PREDICTIONS.min() - 1, PREDICTIONS.max() + 1, 50)
    np.testing.assert_allclose(isotonic.predict(at), expected.predict(at))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_cubic_is_the_least_squares_cubic_where_that_rises(scale):
    predictions = np.linspace(-1, 1, 250)
    y = scale * (predictions + 3 * predictions**3 + 0.1 * RNG.normal(size=250))
    cubic = RecalibrationMap("cubic").fit(scale * predictions, y)
    expected = np.polynomial.Polynomial.fit(scale * predictions, y, 3)
    assert np.all(expected.deriv()(scale * predictions) > 0)
    np.testing.assert_allclose(cubic.predict(scale * predictions), expected(scale * predictions))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("noise", [0.0, 0.5, 50.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_no_map_reverses_the_order_of_predictions(method, noise, sign):
    y = sign * Y + noise * RNG.normal(size=300)
    recalibrated = RecalibrationMap(method).fit(PREDICTIONS, y).predict(np.linspace(-9, 9, 500))
    assert np.all(np.isfinite(recalibrated))
    assert np.all(np.diff(recalibrated) >= -1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_weights_repeat_samples(method):
    repeated = np.repeat(np.arange(300), WEIGHTS)
    weighted = RecalibrationMap(method).fit(PREDICTIONS, Y, WEIGHTS)
    expected = RecalibrationMap(method).fit(PREDICTIONS[repeated], Y[repeated])
    at = np.linspace(0, 4, 50)
    np.testing.assert_allclose(weighted.predict(at), expected.predict(at))


@pytest.mark.parametrize("method", METHODS)
def test_a_map_never_fits_its_data_worse_than_the_mean(method):
    recalibrated = RecalibrationMap(method).fit(PREDICTIONS, Y).predict(PREDICTIONS)
    assert r2_score(Y, recalibrated) > 0


@pytest.mark.filterwarnings("ignore::ltlearn.exceptions.SmallSampleWarning")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("predictions", "y"),
    [([2.0], [3.0]), ([2.0, 2.0], [1.0, 3.0]), ([1.0, 2.0, 3.0], [5.0, 5.0, 5.0])],
)
def test_maps_of_degenerate_data_are_finite(method, predictions, y):
    recalibrated = RecalibrationMap(method).fit(predictions, y).predict([-10.0, 2.0, 10.0])
    assert np.all(np.isfinite(recalibrated))
    if method != "stretch":
        assert recalibrated[1] == pytest.approx(np.mean(y))


@pytest.mark.filterwarnings("ignore::ltlearn.exceptions.SmallSampleWarning")
def test_stretch_of_constant_predictions_changes_nothing():
    stretch = RecalibrationMap().fit([2.0, 2.0], [1.0, 3.0])
    np.testing.assert_array_equal(stretch.predict([1.0, 2.0]), [1.0, 2.0])


@pytest.mark.parametrize("n_rows", [1, 199])
def test_too_few_rows_are_counted_in_a_warning(n_rows):
    with pytest.warns(SmallSampleWarning, match=rf"{n_rows} held-out predictions; about 200"):
        RecalibrationMap().fit(PREDICTIONS[:n_rows], Y[:n_rows])
    with pytest.warns(SmallSampleWarning, match=rf"{n_rows} held-out"):
        RecalibrationMap().fit(PREDICTIONS, Y, np.arange(300) < n_rows)


def test_enough_rows_do_not_warn():
    RecalibrationMap().fit(PREDICTIONS[:200], Y[:200])


@pytest.mark.parametrize(
    ("predictions", "y", "weights", "message"),
    [
        ([1.0, 2.0], [1.0], None, "inconsistent"),
        ([1.0, np.nan], [1.0, 2.0], None, "predictions contains NaN"),
        ([[1.0, 2.0]], [1.0], None, "1d array"),
        ([], [], None, "0 sample"),
        ([1.0, 2.0], [1.0, 2.0], [0, 0], "zero"),
        ([1.0, 2.0], [1.0, 2.0], [1, -1], "[Nn]egative"),
    ],
)
def test_maps_of_invalid_data(predictions, y, weights, message):
    with pytest.raises(ValueError, match=message):
        RecalibrationMap().fit(predictions, y, weights)


def test_maps_check_their_method():
    with pytest.raises(ValueError, match="'method' parameter of RecalibrationMap"):
        RecalibrationMap("quartic").fit(PREDICTIONS, Y)


# Recalibrator


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


# LogitAdjuster

X_CLASS, Y_CODE = make_classification(
    600, n_classes=3, n_informative=4, weights=[0.85, 0.12], class_sep=0.7, random_state=0
)
Y_CLASS = np.array(["common", "rare", "rarest"])[Y_CODE]


@pytest.mark.parametrize("tau", [0, 0.5, 1, 2])
def test_adjustment_against_logits_in_a_loop(tau):
    proba, prior = RNG.dirichlet(np.ones(4), size=9), np.array([0.7, 0.2, 0.06, 0.04])
    adjusted = adjust_proba(proba, prior, tau=tau)
    for row, result in zip(proba, adjusted, strict=True):
        logits = [math.log(p) - tau * math.log(q) for p, q in zip(row, prior, strict=True)]
        total = sum(math.exp(logit) for logit in logits)
        np.testing.assert_allclose(result, [math.exp(logit) / total for logit in logits])


def test_adjustment_is_bayes_rule_for_equally_frequent_classes():
    # p(x | k) = prior-free likelihood; p(k | x) under each prior in closed form.
    likelihood, prior = RNG.uniform(size=(20, 3)), np.array([0.9, 0.09, 0.01])
    skewed = likelihood * prior
    skewed /= skewed.sum(axis=1, keepdims=True)
    balanced = likelihood / likelihood.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(adjust_proba(skewed, prior), balanced)
    np.testing.assert_allclose(adjust_proba(skewed, 1000 * prior), balanced)


@pytest.mark.parametrize("tau", [1.0, 1e6])
def test_adjustment_of_extreme_probabilities(tau):
    proba = [[1.0, 0.0, 0.0], [1e-300, 1.0, 0.0], [0.3, 0.3, 0.4]]
    adjusted = adjust_proba(proba, [1e-12, 0.5, 0.5], tau=tau)
    np.testing.assert_allclose(adjusted.sum(axis=1), 1)
    np.testing.assert_array_equal(adjusted[0], [1, 0, 0])
    assert adjusted[1, 2] == 0


@pytest.mark.parametrize(
    ("proba", "prior", "message"),
    [
        ([[0.5, 0.5]], [1.0, 0.0], "positive prior"),
        ([[0.5, 0.5]], [1.0], "2 columns"),
        ([[0.5, -0.5]], [0.5, 0.5], "probabilities"),
        ([[0.0, 0.0]], [0.5, 0.5], "probabilities"),
        ([[np.nan, 0.0]], [0.5, 0.5], "NaN"),
    ],
)
def test_adjustment_of_invalid_probabilities(proba, prior, message):
    with pytest.raises(ValueError, match=message):
        adjust_proba(proba, prior)


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(),
        RandomForestClassifier(30, max_depth=4, random_state=0),
        HistGradientBoostingClassifier(max_iter=15),
        make_pipeline(StandardScaler(), LogisticRegression()),
    ],
)
def test_adjusted_classifiers_recognize_rare_classes_more_often(estimator):
    model = LogitAdjuster(estimator).fit(X_CLASS, Y_CLASS)
    plain, adjusted = model.estimator_.predict(X_CLASS), model.predict(X_CLASS)
    assert np.sum(adjusted == "rarest") > np.sum(plain == "rarest")
    assert balanced_accuracy_score(Y_CLASS, adjusted) > balanced_accuracy_score(Y_CLASS, plain)


def test_what_the_adjuster_learns():
    model = LogitAdjuster(LogisticRegression(), tau=0.7).fit(X_CLASS, Y_CLASS)
    counts = [np.sum(name == Y_CLASS) for name in model.classes_]
    np.testing.assert_array_equal(model.class_counts_, counts)
    np.testing.assert_allclose(model.class_prior_, np.array(counts) / 600)
    plain = LogisticRegression().fit(X_CLASS, Y_CLASS).predict_proba(X_CLASS)
    expected = adjust_proba(plain, model.class_prior_, tau=0.7)
    np.testing.assert_allclose(model.predict_proba(X_CLASS), expected)
    np.testing.assert_array_equal(
        model.predict(X_CLASS), model.classes_[np.argmax(expected, axis=1)]
    )


def test_balancing_weights_leave_nothing_to_adjust():
    weights = sklearn.utils.class_weight.compute_sample_weight("balanced", Y_CLASS)
    model = LogitAdjuster(LogisticRegression()).fit(X_CLASS, Y_CLASS, sample_weight=weights)
    np.testing.assert_allclose(model.class_prior_, 1 / 3)
    np.testing.assert_allclose(
        model.predict_proba(X_CLASS), model.estimator_.predict_proba(X_CLASS)
    )


def test_a_fitted_classifier_is_adjusted_as_it_is():
    inner = LogisticRegression().fit(X_CLASS, Y_CLASS)
    model = LogitAdjuster(FrozenEstimator(inner)).fit(X_CLASS, Y_CLASS)
    expected = LogitAdjuster(LogisticRegression()).fit(X_CLASS, Y_CLASS)
    np.testing.assert_allclose(model.predict_proba(X_CLASS), expected.predict_proba(X_CLASS))
    some = Y_CLASS != "rarest"
    with pytest.raises(ValueError, match="exactly the classes"):
        LogitAdjuster(FrozenEstimator(inner)).fit(X_CLASS[some], Y_CLASS[some])


def test_a_class_whose_samples_weigh_nothing():
    with pytest.raises(ValueError, match="samples of positive weight"):
        LogitAdjuster(RandomForestClassifier(2)).fit(X_CLASS, Y_CLASS, Y_CODE < 2)


def test_adjuster_inside_a_resampling_pipeline_and_around_one():
    inside = make_resampling_pipeline(
        RandomOverSampler(random_state=0), LogitAdjuster(LogisticRegression())
    ).fit(X_CLASS, Y_CLASS)
    np.testing.assert_allclose(inside[-1].class_prior_, 1 / 3)
    around = LogitAdjuster(
        make_resampling_pipeline(RandomOverSampler(random_state=0), LogisticRegression())
    ).fit(X_CLASS, Y_CLASS)
    np.testing.assert_allclose(around.class_prior_[0], np.mean(Y_CLASS == "common"))


def test_adjuster_weights_are_routed_into_pipelines():
    weights = RNG.integers(1, 4, size=600)
    with sklearn.config_context(enable_metadata_routing=True):
        inner = make_pipeline(LogisticRegression().set_fit_request(sample_weight=True))
        model = LogitAdjuster(inner).set_fit_request(sample_weight=True)
        model.set_score_request(sample_weight=True)
        scores = cross_validate(model, X_CLASS, Y_CLASS, params={"sample_weight": weights})
        model.fit(X_CLASS, Y_CLASS, sample_weight=weights)
    assert np.all(scores["test_score"] > 0.5)
    expected = LogitAdjuster(LogisticRegression()).fit(X_CLASS, Y_CLASS, weights)
    np.testing.assert_allclose(model.predict_proba(X_CLASS), expected.predict_proba(X_CLASS))


def test_tau_can_be_searched():
    search = GridSearchCV(
        LogitAdjuster(LogisticRegression()), {"tau": [0, 1]}, scoring="balanced_accuracy"
    ).fit(X_CLASS, Y_CLASS)
    assert search.best_params_ == {"tau": 1}


def test_adjuster_survives_pickling():
    model = LogitAdjuster(LogisticRegression()).fit(X_CLASS, Y_CLASS)
    reloaded = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(reloaded.predict(X_CLASS), model.predict(X_CLASS))
