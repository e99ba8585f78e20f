import pickle

import numpy as np
import pytest
import sklearn
from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import make_pipeline as make_resampling_pipeline
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import make_classification
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_selection import RFECV, SequentialFeatureSelector
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
    cross_val_score,
    cross_validate,
    learning_curve,
    permutation_test_score,
    validation_curve,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ltlearn.calibration import LogitAdjuster, Recalibrator
from ltlearn.metrics import (
    ClassBands,
    LabelBands,
    balanced_mae,
    expected_calibration_error,
    expected_score,
    geometric_mean_recall,
    geometric_mean_recall_scorer,
    make_band_scorer,
    neg_balanced_mae_scorer,
    neg_expected_calibration_error_scorer,
    plcc,
    plcc_scorer,
    register_scorers,
    shot_accuracy,
    shot_errors,
    srcc,
    srcc_scorer,
    worst_class_recall,
    worst_class_recall_scorer,
)
from ltlearn.model_selection import BinnedStratifiedKFold, RareClassStratifiedKFold

RNG = np.random.default_rng(0)
Y = np.exp(RNG.normal(size=800))
X = np.column_stack([np.log(Y) + 0.5 * RNG.normal(size=800), RNG.normal(size=800)])
BANDS = LabelBands.from_density(Y)
WEIGHTS = RNG.integers(0, 4, size=800)

X_CLASS, Y_CODE = make_classification(
    500, n_classes=3, n_informative=4, weights=[0.85, 0.12], random_state=0
)
Y_CLASS = np.array(["common", "rare", "rarest"])[Y_CODE]
CLASS_BANDS = ClassBands.from_labels(Y_CLASS)

NAMES = [
    "srcc",
    "plcc",
    "neg_balanced_mae",
    "neg_many_mae",
    "neg_medium_mae",
    "neg_few_mae",
    "worst_class_recall",
    "geometric_mean_recall",
    "neg_expected_calibration_error",
    "many_accuracy",
    "medium_accuracy",
    "few_accuracy",
]


@pytest.mark.parametrize(
    ("scorer", "metric", "sign"),
    [
        (srcc_scorer, srcc, 1),
        (plcc_scorer, plcc, 1),
        (neg_balanced_mae_scorer, balanced_mae, -1),
    ],
)
def test_regression_scorers_are_their_metrics(scorer, metric, sign):
    model = Ridge().fit(X, Y)
    assert scorer(model, X, Y) == pytest.approx(sign * metric(Y, model.predict(X)))


@pytest.mark.parametrize(
    ("scorer", "metric"),
    [
        (worst_class_recall_scorer, worst_class_recall),
        (geometric_mean_recall_scorer, geometric_mean_recall),
    ],
)
def test_classification_scorers_are_their_metrics(scorer, metric):
    model = LogisticRegression().fit(X_CLASS, Y_CLASS)
    assert scorer(model, X_CLASS, Y_CLASS) == metric(Y_CLASS, model.predict(X_CLASS))


@pytest.mark.parametrize("classes", [["common", "rare", "rarest"], ["common", "rare"]])
def test_calibration_scorer_knows_classes_that_the_fold_lacks(classes):
    rows = np.isin(Y_CLASS, classes)
    model = LogisticRegression().fit(X_CLASS[rows], Y_CLASS[rows])
    common = Y_CLASS == "common"
    expected = expected_calibration_error(
        Y_CLASS[common], model.predict_proba(X_CLASS[common]), labels=model.classes_
    )
    score = neg_expected_calibration_error_scorer(model, X_CLASS[common], Y_CLASS[common])
    assert score == pytest.approx(-expected)


@pytest.mark.parametrize(("metric", "sign"), [("mae", -1), ("mse", -1), ("gmean_error", -1)])
@pytest.mark.parametrize("band", ["many", "medium", "few"])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_band_scorers_are_shot_errors(metric, sign, band, weights):
    model = Ridge().fit(X, Y)
    errors = shot_errors(Y, model.predict(X), bands=BANDS, sample_weight=weights)
    score = make_band_scorer(metric, band, bands=BANDS)(model, X, Y, sample_weight=weights)
    assert score == pytest.approx(sign * errors[band][metric])


@pytest.mark.parametrize("band", ["medium", "few"])
def test_band_scorers_are_shot_accuracies(band):
    bands = ClassBands.from_labels(Y_CLASS, few_below=50)
    model = LogisticRegression().fit(X_CLASS, Y_CLASS)
    accuracy = shot_accuracy(Y_CLASS, model.predict(X_CLASS), bands=bands)
    score = make_band_scorer("accuracy", band, bands=bands)(model, X_CLASS, Y_CLASS)
    assert score == accuracy[band]


@pytest.mark.parametrize(
    "estimator",
    [
        Recalibrator(Ridge()),
        make_pipeline(StandardScaler(), Recalibrator(Ridge())),
        GridSearchCV(Recalibrator(Ridge()), {"method": ["stretch", "cubic"]}, cv=2),
        make_pipeline(GridSearchCV(make_pipeline(Recalibrator(Ridge())), {}, cv=2)),
    ],
)
def test_bands_come_from_the_training_data_of_the_fitted_regressor(estimator):
    few = LabelBands.from_density(Y[:600]).assign(Y[600:]) == 2
    model = estimator.fit(X[:600], Y[:600])
    expected = np.mean(np.abs(Y[600:] - model.predict(X[600:]))[few])
    assert make_band_scorer("mae")(model, X[600:], Y[600:]) == pytest.approx(-expected)
    assert make_band_scorer("mae")(FrozenEstimator(model), X[600:], Y[600:]) == pytest.approx(
        -expected
    )


@pytest.mark.parametrize(
    "estimator",
    [
        LogitAdjuster(LogisticRegression()),
        make_pipeline(StandardScaler(), LogitAdjuster(LogisticRegression())),
        GridSearchCV(LogitAdjuster(LogisticRegression()), {"tau": [0, 1]}, cv=2),
    ],
)
def test_bands_come_from_the_training_data_of_the_fitted_classifier(estimator):
    # Of the 400 training rows, fewer than 20 are of the rarest class.
    model = estimator.fit(X_CLASS[:400], Y_CLASS[:400])
    assert np.count_nonzero(Y_CLASS[:400] == "rarest") < 20
    rarest = Y_CLASS == "rarest"
    expected = np.mean(model.predict(X_CLASS[rarest]) == "rarest")
    assert make_band_scorer("accuracy", "few")(model, X_CLASS, Y_CLASS) == pytest.approx(expected)


def test_given_bands_go_before_those_of_the_estimator():
    model = Recalibrator(Ridge()).fit(X, Y)
    bands = LabelBands.from_bin_counts(Y, bins=[0, 1, 100], many_above=1000, few_below=1000)
    expected = np.mean(np.abs(Y - model.predict(X)))
    assert make_band_scorer("mae", "few", bands=bands)(model, X, Y) == pytest.approx(-expected)


@pytest.mark.parametrize(
    "model",
    [
        HistGradientBoostingRegressor(max_iter=2),
        # The regressor inside has seen the logarithms of the labels.
        TransformedTargetRegressor(Recalibrator(Ridge()), func=np.log, inverse_func=np.exp),
    ],
)
def test_regressors_without_bands_need_them_given(model):
    model.fit(X, Y)
    with pytest.raises(ValueError, match=r"make_band_scorer\('mae', 'few', bands=LabelBands"):
        make_band_scorer("mae")(model, X, Y)
    assert make_band_scorer("mae", bands=BANDS)(model, X, Y) < 0


@pytest.mark.parametrize(
    "model",
    [
        RandomForestClassifier(2),
        # The classifier inside has seen resampled classes.
        make_resampling_pipeline(RandomOverSampler(), LogitAdjuster(LogisticRegression())),
    ],
)
def test_classifiers_without_bands_need_them_given(model):
    model.fit(X_CLASS, Y_CLASS)
    with pytest.raises(ValueError, match=r"make_band_scorer\('accuracy', 'few', bands=ClassBands"):
        make_band_scorer("accuracy")(model, X_CLASS, Y_CLASS)
    assert make_band_scorer("accuracy", bands=CLASS_BANDS)(model, X_CLASS, Y_CLASS) > 0


class DistributionRegressor(RegressorMixin, BaseEstimator):
    """Predicts the mean score on bins of its own."""

    def fit(self, X, y):
        self.bin_centers_ = np.array([0.0, 10.0, 40.0])
        scores = expected_score(y, bin_centers=self.bin_centers_)
        self.label_bands_ = LabelBands.from_density(scores)
        self.inner_ = Ridge().fit(X, scores)
        return self

    def predict(self, X):
        return self.inner_.predict(X)


def test_distributions_are_scored_on_the_bins_of_the_estimator():
    votes = RNG.dirichlet([1, 2, 3], size=800)
    scores = votes @ [0, 10, 40]
    model = make_pipeline(StandardScaler(), DistributionRegressor()).fit(X, votes)
    predictions = model.predict(X)
    assert srcc_scorer(model, X, votes) == pytest.approx(srcc(scores, predictions))
    many = LabelBands.from_density(scores).assign(scores) == 0
    expected = np.mean(np.abs(scores - predictions)[many])
    assert make_band_scorer("mae", "many")(model, X, votes) == pytest.approx(-expected)


def test_an_empty_band_is_an_error():
    model = Ridge().fit(X, Y)
    scorer = make_band_scorer("mae", "few", bands=BANDS)
    with pytest.raises(ValueError, match="No test sample is in the 'few' band"):
        scorer(model, X[Y < 1], Y[Y < 1])
    with pytest.raises(ValueError, match="No test sample is in the 'few' band"):
        cross_validate(Ridge(), X, np.minimum(Y, 1), scoring={"few": scorer}, error_score="raise")
    with pytest.warns(UserWarning, match="No test sample is in the 'few' band"):
        scores = cross_val_score(Ridge(), X, np.minimum(Y, 1), scoring=scorer)
    assert np.all(np.isnan(scores))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"metric": "accuracy", "bands": BANDS}, "needs ClassBands"),
        ({"metric": "mae", "bands": CLASS_BANDS}, "needs LabelBands"),
        ({"metric": "mae", "band": "tail", "bands": BANDS}, "no band 'tail'"),
        ({"metric": "accuracy", "band": "fw"}, "no band 'fw' among .'many', 'medium', 'few'"),
        ({"metric": "r2"}, "'metric' parameter of make_band_scorer"),
        ({"metric": "mae", "bands": Y}, "'bands' parameter of make_band_scorer"),
    ],
)
def test_invalid_band_scorers(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_band_scorer(**arguments)


def test_registration_can_be_repeated_and_keeps_the_other_names():
    before = set(get_scorer_names()) - set(NAMES)
    register_scorers()
    register_scorers()
    assert set(get_scorer_names()) == before | set(NAMES)
    model = Ridge().fit(X, Y)
    assert get_scorer("srcc")(model, X, Y) == srcc_scorer(model, X, Y)


def test_unknown_names_are_still_refused():
    register_scorers()
    with pytest.raises(ValueError, match="scoring"):
        cross_val_score(Ridge(), X, Y, scoring="srrc")


@pytest.mark.parametrize(
    "run",
    [
        lambda: cross_val_score(Ridge(), X, Y, scoring="srcc"),
        lambda: cross_validate(Ridge(), X, Y, scoring="srcc"),
        lambda: cross_validate(Ridge(), X, Y, scoring=["srcc", "neg_balanced_mae"]),
        lambda: GridSearchCV(Ridge(), {"alpha": [1]}, scoring="srcc").fit(X, Y),
        lambda: RandomizedSearchCV(Ridge(), {"alpha": [1]}, n_iter=1, scoring="srcc").fit(X, Y),
        lambda: RFECV(Ridge(), scoring="srcc").fit(X, Y),
        lambda: SequentialFeatureSelector(Ridge(), scoring="srcc").fit(X, Y),
        lambda: RidgeCV(scoring="srcc").fit(X, Y),
        lambda: permutation_importance(Ridge().fit(X, Y), X, Y, scoring="srcc"),
        lambda: learning_curve(Ridge(), X, Y, scoring="srcc"),
        lambda: permutation_test_score(Ridge(), X, Y, scoring="srcc", n_permutations=2),
        lambda: validation_curve(
            Ridge(), X, Y, param_name="alpha", param_range=[1], scoring="srcc"
        ),
        lambda: HistGradientBoostingRegressor(max_iter=2, early_stopping=True, scoring="srcc").fit(
            X, Y
        ),
        lambda: TunedThresholdClassifierCV(
            LogisticRegression(), scoring="geometric_mean_recall", cv=2
        ).fit(X_CLASS, Y_CLASS == "rare"),
    ],
)
def test_names_are_known_wherever_scikit_learn_scores(run):
    register_scorers()
    run()


@pytest.mark.parametrize("name", NAMES)
def test_registered_scorers_of_cross_validation_are_finite(name):
    register_scorers()
    if name in ("srcc", "plcc") or "mae" in name:
        model, features, y = Recalibrator(Ridge()), X, Y
        cv = BinnedStratifiedKFold(4)
    else:
        model, features, y = LogitAdjuster(LogisticRegression()), X_CLASS, Y_CLASS
        cv = RareClassStratifiedKFold(2, shuffle=True, random_state=0)
    scores = cross_val_score(model, features, y, scoring=name, cv=cv)
    assert np.all(np.isfinite(scores))
    assert np.all(scores <= 0 if name.startswith("neg_") else scores <= 1)


@pytest.mark.parametrize(
    "model",
    [
        RandomForestRegressor(5, random_state=0),
        HistGradientBoostingRegressor(max_iter=5),
        make_pipeline(StandardScaler(), Ridge()),
    ],
)
def test_any_regressor_in_a_multimetric_search(model):
    scoring = {"srcc": srcc_scorer, "few": make_band_scorer("mae", bands=BANDS), "r2": "r2"}
    search = GridSearchCV(model, {}, scoring=scoring, refit="few", cv=BinnedStratifiedKFold(3))
    search.fit(X, Y)
    few = []
    for train, test in BinnedStratifiedKFold(3).split(X, Y):
        fitted = sklearn.base.clone(model).fit(X[train], Y[train])
        rows = test[BANDS.assign(Y[test]) == 2]
        few.append(-np.mean(np.abs(Y[rows] - fitted.predict(X[rows]))))
    assert search.best_score_ == pytest.approx(np.mean(few))


@pytest.mark.parametrize(
    "model",
    [
        HistGradientBoostingClassifier(max_iter=5),
        make_resampling_pipeline(RandomOverSampler(random_state=0), LogisticRegression()),
    ],
)
def test_any_classifier_in_a_multimetric_search(model):
    scoring = {
        "worst": worst_class_recall_scorer,
        "few": make_band_scorer("accuracy", bands=CLASS_BANDS),
        "calibration": neg_expected_calibration_error_scorer,
    }
    results = cross_validate(
        model, X_CLASS, Y_CLASS, scoring=scoring, cv=RareClassStratifiedKFold(3)
    )
    for name in scoring:
        assert np.all(np.isfinite(results[f"test_{name}"]))


def test_multimetric_search_refits_by_name():
    register_scorers()
    search = GridSearchCV(
        Recalibrator(Ridge()),
        {"method": ["stretch", "isotonic"]},
        scoring=["srcc", "neg_few_mae", "neg_many_mae"],
        refit="neg_few_mae",
        cv=BinnedStratifiedKFold(4),
    ).fit(X, Y)
    results = search.cv_results_["mean_test_neg_few_mae"]
    assert search.best_index_ == np.argmax(results)
    assert search.score(X, Y) == make_band_scorer("mae")(search, X, Y)


def test_multimetric_scoring_predicts_once():
    class Counting(Ridge):
        calls = 0

        def predict(self, X):
            Counting.calls += 1
            return super().predict(X)

    scoring = {"srcc": srcc_scorer, "plcc": plcc_scorer, "balanced": neg_balanced_mae_scorer}
    cross_validate(Counting(), X, Y, scoring=scoring, cv=KFold(2))
    assert Counting.calls == 2


@pytest.mark.parametrize("name", NAMES)
def test_scorers_survive_pickling(name):
    register_scorers()
    scorer = get_scorer(name)
    assert repr(pickle.loads(pickle.dumps(scorer))) == repr(scorer)


def test_band_scorers_print_how_they_are_made():
    assert repr(make_band_scorer("mae", "few")) == "make_band_scorer('mae', 'few')"
    bands = LabelBands.from_percentiles([1.0, 2.0], (50,))
    assert repr(make_band_scorer("mse", "0-50", bands=bands)) == (
        "make_band_scorer('mse', '0-50', bands=LabelBands(counts={'0-50': 1, '50-100': 1}))"
    )


def test_weights_are_routed_to_scorers():
    with sklearn.config_context(enable_metadata_routing=True):
        scorer = make_band_scorer("mae", bands=BANDS).set_score_request(sample_weight=True)
        model = Ridge().set_fit_request(sample_weight=False)
        scores = cross_val_score(
            model, X, Y, scoring=scorer, cv=KFold(2), params={"sample_weight": WEIGHTS}
        )
    expected = []
    for train, test in KFold(2).split(X):
        predictions = Ridge().fit(X[train], Y[train]).predict(X[test])
        errors = shot_errors(Y[test], predictions, bands=BANDS, sample_weight=WEIGHTS[test])
        expected.append(-errors["few"]["mae"])
    np.testing.assert_allclose(scores, expected)
