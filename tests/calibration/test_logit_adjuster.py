import math
import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import make_pipeline as make_resampling_pipeline
from sklearn.datasets import make_classification
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import (
    GridSearchCV,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from ltlearn import GranularClassifier
from ltlearn.calibration import LogitAdjuster, adjust_proba

RNG = np.random.default_rng(0)

X_CLASS, Y_CODE = make_classification(
    600, n_classes=3, n_informative=4, weights=[0.85, 0.12], class_sep=0.7, random_state=0
)
Y_CLASS = np.array(["common", "rare", "rarest"])[Y_CODE]


@parametrize_with_checks(
    [
        LogitAdjuster(LogisticRegression()),
        LogitAdjuster(DecisionTreeClassifier(random_state=0), tau=0.5),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


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


@pytest.mark.parametrize("prior", [[1e-30, 1e-30], [1e-320, 1.0], [1e308, 1e308]])
def test_adjustment_of_extreme_priors_and_strengths(prior):
    adjusted = adjust_proba([[0.5, 0.5]], prior, tau=1e308)
    np.testing.assert_allclose(adjusted, [[0.5, 0.5] if prior[0] == prior[1] else [1, 0]])


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_adjustment_of_rounded_probabilities(dtype):
    proba = RNG.dirichlet(np.ones(100), size=50)
    prior = RNG.dirichlet(np.ones(100))
    rounded = adjust_proba(proba.astype(dtype), prior)
    np.testing.assert_allclose(rounded, adjust_proba(proba, prior), rtol=0.01, atol=1e-4)


@pytest.mark.parametrize(
    ("proba", "prior", "message"),
    [
        ([[0.5, 0.5]], [1.0, 0.0], "positive prior"),
        ([[0.5, 0.5]], [1.0], "2 columns"),
        ([[0.5, -0.5]], [0.5, 0.5], "probabilities"),
        ([[0.0, 0.0]], [0.5, 0.5], "probabilities"),
        ([[5.0, 3.0]], [0.9, 0.1], "probabilities: none negative, with sum 1"),
        ([[0.5, 0.5], [0.4, 0.4]], [0.9, 0.1], "with sum 1"),
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


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(class_weight={"rare": 2.0, "rarest": 0.0}),
        GranularClassifier(class_weight={"rarest": 0.0}, max_epochs=1, random_state=0),
    ],
)
def test_a_class_that_weighs_nothing(estimator):
    with pytest.raises(ValueError, match=r"classes \['rarest'\] cannot .* class_weight of 0"):
        LogitAdjuster(estimator).fit(X_CLASS, Y_CLASS)


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


def test_feature_names_are_those_of_the_last_fit():
    model = LogitAdjuster(LogisticRegression()).fit(
        pd.DataFrame(X_CLASS[:, :2], columns=["left", "right"]), Y_CLASS
    )
    np.testing.assert_array_equal(model.feature_names_in_, ["left", "right"])
    assert model.fit(X_CLASS[:, :1], Y_CLASS).n_features_in_ == 1
    assert not hasattr(model, "feature_names_in_")
