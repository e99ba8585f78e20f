"""On features that tell nothing a classifier predicts its prior, which is the oracle here."""

import numpy as np
import pytest
import sklearn
from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import make_pipeline as make_resampling_pipeline
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ltlearn import GranularClassifier
from ltlearn.calibration import LogitAdjuster
from ltlearn.weighting._prior import class_totals

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
