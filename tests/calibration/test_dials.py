"""Predictions at many settings of the dial, against estimators that are set to each by hand."""

import copy

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logit
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ltlearn import (
    ELTARegressor,
    GranularClassifier,
    PLDAClassifier,
    TailStackingClassifier,
    TailStackingRegressor,
)
from ltlearn.calibration import LogitAdjuster, TailDial
from ltlearn.calibration._dials import class_shares, classes_at, has_dial, scores_at, turned

RNG = np.random.default_rng(0)
CODES = np.repeat([0, 1, 2], [80, 30, 10])
X = RNG.normal(size=(120, 3)) + np.eye(3)[CODES]
CLASSES = np.array(["a", "b", "c"])[CODES]
SHARES = np.array([80, 30, 10]) / 120
SCORES = np.exp(X[:, 0])
TAILS = [0.0, 0.3, 0.5, 1.0]


class Quantiles(RegressorMixin, BaseEstimator):
    n_calls = 0

    def fit(self, X, y):
        self.inner_ = LinearRegression().fit(X, y)
        return self

    def predict(self, X):
        return self.inner_.predict(X)

    def predict_quantiles(self, X, levels):
        type(self).n_calls += 1
        return self.predict(X)[:, None] + 0.4 * logit(np.asarray(levels))


def network(**params):
    return GranularClassifier(max_epochs=3, random_state=0, **params)


CLASSIFIERS = {
    "network": network(),
    "weighted network": network(class_weight={"a": 1.0, "b": 2.0, "c": 3.0}),
    "network, training prior": network(prior="train"),
    "linear network": network(backbone="mlp", prior=[1, 2, 3]),
    "two networks": network(n_estimators=2),
    "plda": PLDAClassifier(),
    "stack": TailStackingClassifier([("linear", LogisticRegression())]),
    "adjusted": LogitAdjuster(LogisticRegression()),
    "adjusted votes": LogitAdjuster(RandomForestClassifier(10, random_state=0), tau="auto"),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classes_at_are_those_of_copies_that_are_turned(name):
    model = clone(CLASSIFIERS[name]).fit(X, CLASSES)
    before = model.predict_proba(X)
    found = classes_at(model, X, TAILS)
    for column, tail in enumerate(TAILS):
        copied = turned(model, tail)
        assert_array_equal(found[:, column], copied.predict(X))
        assert_array_equal(
            copied.classes_[copied.predict_proba(X).argmax(axis=1)], found[:, column]
        )
    assert_array_equal(model.predict_proba(X), before)


@pytest.mark.parametrize("name", ["network", "weighted network", "plda", "stack"])
def test_the_ends_of_the_dial_are_the_named_priors(name):
    model = clone(CLASSIFIERS[name]).fit(X, CLASSES)
    for tail, prior in ((0.0, "train"), (1.0, "balanced")):
        expected = copy.deepcopy(model).set_params(prior=prior)
        assert_allclose(turned(model, tail).predict_proba(X), expected.predict_proba(X), rtol=1e-4)


def test_in_between_shares_are_a_power_of_those_in_training():
    model = PLDAClassifier().fit(X, CLASSES)
    at_training = copy.deepcopy(model).set_params(prior="train").predict_proba(X)
    for tail in (0.3, 1.5):
        expected = at_training * SHARES**-tail
        expected /= expected.sum(axis=1, keepdims=True)
        assert_allclose(turned(model, tail).predict_proba(X), expected)
        shares = SHARES ** (1 - tail)
        assert_allclose(class_shares(model, tail), shares / shares.sum())


def test_the_strength_of_an_adjuster_is_its_dial():
    model = LogitAdjuster(LogisticRegression()).fit(X, CLASSES)
    for tail in TAILS:
        refitted = LogitAdjuster(LogisticRegression(), tau=tail).fit(X, CLASSES)
        assert_array_equal(turned(model, tail).predict_proba(X), refitted.predict_proba(X))
        assert_allclose(class_shares(model, tail), refitted.prediction_prior_)


def test_a_class_of_weight_zero_is_never_preferred():
    model = network(class_weight={"a": 1.0, "b": 1.0, "c": 0.0}).fit(X, CLASSES)
    assert np.isfinite(class_shares(model, 0.5)).all()
    assert_array_equal(classes_at(model, X, [0.5])[:, 0], turned(model, 0.5).predict(X))


@pytest.mark.parametrize("options", [{}, {"loss": "emd"}, {"n_estimators": 2}], ids=str)
def test_scores_of_the_network(options):
    model = ELTARegressor(**options, max_epochs=3, random_state=0).fit(X, SCORES)
    settings = [(0.0, "mean"), (0.5, "median"), (0.5, None), (None, None)]
    found = scores_at(model, X, settings)
    for column, (tail, prediction) in enumerate(settings):
        expected = copy.deepcopy(model)
        if tail is not None:
            expected.set_params(tail=tail)
        if prediction is not None:
            expected.set_params(prediction=prediction)
        assert_array_equal(found[:, column], expected.predict(X))
        assert_array_equal(turned(model, tail or 0.0, prediction).predict(X), found[:, column])
    assert (model.tail, model.prediction) == (0.0, "mean")


def test_scores_of_the_stack():
    stack = TailStackingRegressor([("one", Quantiles()), ("two", Ridge(100))], random_state=0)
    model = stack.fit(X, SCORES)
    found = scores_at(model, X, [(0.5, "median"), (0.0, "mean")])
    assert_allclose(found[:, 0], model.predict(X, tail=0.5, prediction="median"))
    assert_allclose(found[:, 1], model.predict(X, tail=0.0, prediction="mean"))


def wrapped(model):
    yield make_pipeline(StandardScaler(), model)
    yield make_pipeline(model)
    yield GridSearchCV(model, {"prediction": ["median"]}, cv=2)
    yield GridSearchCV(make_pipeline(StandardScaler(), model), {"taildial__tail": [0.1]}, cv=2)
    yield TransformedTargetRegressor(model, func=np.log, inverse_func=np.exp)
    yield make_pipeline(StandardScaler(), TransformedTargetRegressor(model))


@pytest.mark.parametrize("model", list(wrapped(TailDial(Quantiles()))), ids=range(6))
def test_inside_wrappers(model):
    assert has_dial(model)
    model = clone(model).fit(X, SCORES)
    for estimator in (model, FrozenEstimator(model)):
        found = scores_at(estimator, X, [(tail, None) for tail in TAILS])
        expected = [turned(estimator, tail).predict(X) for tail in TAILS]
        assert_allclose(found, np.stack(expected, axis=1))
        assert found[:, 0].mean() < found[:, 1].mean() < found[:, -1].mean()
        assert_array_equal(estimator.predict(X), model.predict(X))


def test_a_transformed_target_is_turned_on_its_own_scale():
    inner = TailDial(Quantiles(), tail=0.5, prediction="median").fit(X, np.log(SCORES))
    model = TransformedTargetRegressor(
        TailDial(Quantiles(), prediction="median"), func=np.log, inverse_func=np.exp
    ).fit(X, SCORES)
    assert_allclose(scores_at(model, X, [(0.5, None)])[:, 0], np.exp(inner.predict(X)))


def test_one_pass_gives_all_settings():
    model = make_pipeline(StandardScaler(), TailDial(Quantiles())).fit(X, SCORES)
    before = Quantiles.n_calls
    scores_at(model, X, [(tail, None) for tail in np.linspace(0, 1, 30)])
    assert Quantiles.n_calls == before + 1


@pytest.mark.parametrize("estimator", [LinearRegression(), DummyClassifier(), LogisticRegression()])
def test_no_dial(estimator):
    assert not has_dial(estimator)
    assert not has_dial(make_pipeline(StandardScaler(), estimator))
