"""On features that tell nothing a classifier predicts its prior, which is the oracle here."""

import numpy as np
import pytest
import sklearn
from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import make_pipeline as make_resampling_pipeline
from sklearn.base import clone
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from ltlearn import GranularClassifier
from ltlearn.calibration import LogitAdjuster
from ltlearn.weighting._prior import class_totals, prediction_prior

Y = np.repeat(["a", "b", "c"], [60, 30, 10])
X = np.zeros((len(Y), 2))
WEIGHT = np.where(Y == "a", 0.1, 1.0)
SHARES = np.array([0.6, 0.3, 0.1])


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("dtype", [str, object])
def test_totals_against_a_loop(weight, dtype):
    expected = dict.fromkeys("abcd", 0.0)
    for i, label in enumerate(Y):
        expected[label] += 1 if weight is None else weight[i]
    totals = class_totals(Y.astype(dtype), np.array(list("abcd"), dtype=dtype), weight)
    np.testing.assert_allclose(totals, list(expected.values()))


def granular(**params):
    return GranularClassifier(
        max_epochs=60, early_stopping=False, lr=0.01, random_state=0, batch_size=100, **params
    )


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        (LogisticRegression(), SHARES),
        (LogisticRegression(class_weight="balanced"), np.ones(3)),
        (LogisticRegression(class_weight={"a": 0.5, "c": 3}), SHARES * [0.5, 1, 3]),
        (RandomForestClassifier(5, class_weight="balanced_subsample"), np.ones(3)),
        (HistGradientBoostingClassifier(max_iter=3, class_weight="balanced"), np.ones(3)),
        (make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced")), np.ones(3)),
        (GridSearchCV(LogisticRegression(class_weight="balanced"), {"C": [1, 2]}), np.ones(3)),
        (LogitAdjuster(LogisticRegression()), np.ones(3)),
        (LogitAdjuster(LogisticRegression(), tau=0.5), SHARES**0.5),
        (LogitAdjuster(LogisticRegression(class_weight="balanced"), tau=0.5), np.ones(3)),
        (granular(), np.ones(3)),
        (granular(prior="train"), SHARES),
        (granular(prior=[1, 2, 3]), np.array([1, 2, 3])),
        (granular(prior="train", logit_adjustment=0.0, class_weight="balanced"), np.ones(3)),
        (granular(class_weight={"a": 2.0}), np.array([2, 1, 1])),
        (make_pipeline(StandardScaler(), granular()), np.ones(3)),
        (make_resampling_pipeline(RandomOverSampler(random_state=0), granular()), np.ones(3)),
    ],
)
def test_the_prior_is_what_is_predicted_without_evidence(estimator, expected):
    expected = expected / np.sum(expected)
    adjuster = LogitAdjuster(clone(estimator)).fit(X, Y)
    np.testing.assert_allclose(adjuster.class_prior_, expected)
    np.testing.assert_allclose(adjuster.estimator_.predict_proba(X[:1])[0], expected, atol=0.05)
    np.testing.assert_allclose(adjuster.predict_proba(X[:1])[0], 1 / 3, atol=0.06)
    frozen = LogitAdjuster(FrozenEstimator(adjuster.estimator_)).fit(X, Y)
    np.testing.assert_allclose(frozen.class_prior_, expected)


def test_the_prior_follows_that_of_the_predictions():
    model = granular().fit(X, Y)
    np.testing.assert_allclose(model.prediction_prior_, 1 / 3)
    model.set_params(prior="train")
    np.testing.assert_allclose(model.prediction_prior_, SHARES)
    assert not hasattr(GranularClassifier(), "prediction_prior_")


def check_weights_were_counted(adjuster, weight):
    expected = np.array([weight[label == Y].sum() for label in "abc"]) / weight.sum()
    np.testing.assert_allclose(adjuster.class_prior_, expected)
    np.testing.assert_allclose(
        adjuster.estimator_.predict_proba(X[:1])[0], expected, atol=1e-3, rtol=1e-3
    )


def test_weights_that_go_to_the_last_step_by_name():
    adjuster = LogitAdjuster(make_pipeline(StandardScaler(), LogisticRegression()))
    adjuster.fit(X, Y, logisticregression__sample_weight=WEIGHT)
    check_weights_were_counted(adjuster, WEIGHT)
    adjuster.fit(X, Y, standardscaler__sample_weight=WEIGHT)
    check_weights_were_counted(adjuster, np.ones(len(Y)))
    nested = LogitAdjuster(make_pipeline(StandardScaler(), adjuster.estimator))
    nested.fit(X, Y, pipeline__logisticregression__sample_weight=WEIGHT)
    check_weights_were_counted(nested, WEIGHT)


@sklearn.config_context(enable_metadata_routing=True)
@pytest.mark.parametrize("requested", [True, False])
def test_weights_that_are_routed(requested):
    weight = WEIGHT if requested else np.ones(len(Y))
    model = LogisticRegression().set_fit_request(sample_weight=requested)
    check_weights_were_counted(LogitAdjuster(model).fit(X, Y, WEIGHT), weight)
    scaler = StandardScaler().set_fit_request(sample_weight=True)
    adjuster = LogitAdjuster(make_pipeline(scaler, model)).fit(X, Y, WEIGHT)
    check_weights_were_counted(adjuster, weight)


@pytest.mark.parametrize("routing", [True, False])
def test_weights_of_a_frozen_classifier(routing):
    model = LogisticRegression().fit(X, Y, WEIGHT)
    with sklearn.config_context(enable_metadata_routing=routing):
        check_weights_were_counted(LogitAdjuster(FrozenEstimator(model)).fit(X, Y, WEIGHT), WEIGHT)


BALANCED = {
    "logistic": LogisticRegression(class_weight="balanced"),
    "tree": DecisionTreeClassifier(class_weight="balanced"),
    "forest": RandomForestClassifier(50, class_weight="balanced"),
    "subsampled forest": RandomForestClassifier(50, class_weight="balanced_subsample"),
    "extra trees": ExtraTreesClassifier(10, class_weight="balanced"),
    "boosting": HistGradientBoostingClassifier(class_weight="balanced"),
    "gradient descent": SGDClassifier(
        loss="log_loss", class_weight="balanced", alpha=1e-9, eta0=0.05, learning_rate="adaptive"
    ),
}


@pytest.mark.parametrize("name", BALANCED)
@pytest.mark.parametrize("constant", [False, True])
def test_the_prior_of_balanced_classes_whose_samples_are_weighted(name, constant):
    """Some make up for sample weights too, others multiply them in: prior [1 1 1] or [1 10 10]."""
    model = clone(BALANCED[name])
    model.set_params(**dict.fromkeys({"random_state"} & model.get_params().keys(), 0))
    weight = np.where(Y == "a", 2.0, 2.0 if constant else 20.0)
    adjuster = LogitAdjuster(model).fit(X, Y, weight)
    # Gradient descent is one against the rest, whose probabilities are not quite the shares.
    tolerance = 0.1 if name == "gradient descent" else 0.06
    predicted = adjuster.estimator_.predict_proba(X[:1])[0]
    np.testing.assert_allclose(adjuster.class_prior_, predicted, atol=tolerance)
    if constant:
        np.testing.assert_allclose(adjuster.class_prior_, 1 / 3)
    frozen = LogitAdjuster(FrozenEstimator(adjuster.estimator_)).fit(X, Y, weight)
    np.testing.assert_allclose(frozen.class_prior_, adjuster.class_prior_)
    in_search = GridSearchCV(make_pipeline(StandardScaler(), model), {}, cv=2)
    step = type(model).__name__.lower()
    searched = LogitAdjuster(in_search).fit(X, Y, **{f"{step}__sample_weight": weight})
    np.testing.assert_allclose(searched.class_prior_, adjuster.class_prior_)


def test_asking_a_copy_leaves_the_classifier_and_the_global_generator_alone():
    model = RandomForestClassifier(3, class_weight="balanced", random_state=1).fit(X, Y, WEIGHT)
    state, params = np.random.get_state()[1].copy(), model.get_params()  # noqa: NPY002
    totals = class_totals(Y, model.classes_, WEIGHT)
    prior = prediction_prior(model, model.classes_, totals, np.array([60, 30, 10]))
    assert prior.sum() == pytest.approx(1)
    assert model.get_params() == params
    assert model.n_classes_ == 3
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_a_classifier_that_cannot_be_asked_balances_counts():
    model = SVC(class_weight="balanced").fit(X, Y, WEIGHT)  # without predict_proba
    totals = class_totals(Y, model.classes_, WEIGHT)
    prior = prediction_prior(model, model.classes_, totals, np.array([60, 30, 10]))
    np.testing.assert_allclose(prior, np.array([0.1, 1, 1]) / 2.1)


def test_weights_reach_a_classifier_through_a_search():
    search = GridSearchCV(make_pipeline(StandardScaler(), LogisticRegression()), {}, cv=2)
    adjuster = LogitAdjuster(search).fit(X, Y, logisticregression__sample_weight=WEIGHT)
    check_weights_were_counted(adjuster, WEIGHT)
