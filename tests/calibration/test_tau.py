"""The strength of logit adjustment that is fitted to held-out rows, against plain loops."""

import math

import numpy as np
import pytest
import sklearn
from joblib import parallel_config
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import make_classification
from sklearn.ensemble import BaggingClassifier, ExtraTreesClassifier, RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from ltlearn import Whole
from ltlearn.calibration import LogitAdjuster
from ltlearn.model_selection import RareClassStratifiedKFold

X, CODE = make_classification(
    300, n_classes=3, n_informative=4, weights=[0.8, 0.15], class_sep=0.8, random_state=0
)
Y = np.array(["common", "rare", "rarest"])[CODE]
CLASSES = np.unique(Y)
WEIGHT = np.random.default_rng(0).uniform(0.2, 3, size=len(Y))
GRID = np.linspace(0, 5, 101)


def adjusted(row, prior, tau, floor):
    """Probabilities of one row after flooring and adjustment, in a plain loop."""
    floored = [max(p, min(floor, q)) for p, q in zip(row, prior, strict=True)]
    lifted = [p / q**tau for p, q in zip(floored, prior, strict=True)]
    return [value / sum(lifted) for value in lifted]


def loss(rows, tau, floor):
    """Mean over classes of the mean negative log probability of the true class."""
    sums, totals = dict.fromkeys(CLASSES, 0.0), dict.fromkeys(CLASSES, 0.0)
    for proba, prior, label, weight in rows:
        true = adjusted(proba, prior, tau, floor)[list(CLASSES).index(label)]
        sums[label] -= weight * math.log(true)
        totals[label] += weight
    scored = [label for label in CLASSES if totals[label]]
    return sum(sums[label] / totals[label] for label in scored) / len(scored)


def held_out(estimator, folds, weight=None, shares=None):
    """Rows (probabilities, prior, label, weight) of estimators fitted to the other folds."""
    rows = []
    for train, test in folds:
        fit_params = {} if weight is None else {"sample_weight": weight[train]}
        model = clone(estimator).fit(X[train], Y[train], **fit_params)
        unit = np.ones(len(Y)) if weight is None else weight
        prior = np.array([unit[train][Y[train] == label].sum() for label in CLASSES])
        prior = prior / prior.sum() if shares is None else shares
        rows += zip(model.predict_proba(X[test]), [prior] * len(test), Y[test], unit[test],
                    strict=True)  # fmt: skip
    return rows


def check_tau(adjuster, rows, floor):
    losses = [loss(rows, tau, floor) for tau in GRID]
    assert adjuster.tau_ == pytest.approx(GRID[np.argmin(losses)], abs=0.051)
    assert adjuster.held_out_loss_ == pytest.approx(min(losses), abs=1e-3)
    assert adjuster.held_out_loss_ <= min(losses) + 1e-9


@parametrize_with_checks([LogitAdjuster(LogisticRegression(), tau="auto", cv=2)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    ("estimator", "floor"),
    [
        (LogisticRegression(), 1e-7),
        (RandomForestClassifier(20, random_state=0), 1 / 20),
        (KNeighborsClassifier(7), 1 / 7),
    ],
)
def test_tau_against_a_grid_in_plain_loops(estimator, floor):
    adjuster = LogitAdjuster(estimator, tau="auto").fit(X, Y)
    folds = list(RareClassStratifiedKFold(3).split(X, Y))
    check_tau(adjuster, held_out(estimator, folds), floor)
    prior = [np.mean(label == Y) for label in CLASSES]
    plain = clone(estimator).fit(X, Y).predict_proba(X[:30])
    expected = [adjusted(row, prior, adjuster.tau_, floor) for row in plain]
    np.testing.assert_allclose(adjuster.predict_proba(X[:30]), expected)
    expected = np.array(prior) ** (1 - adjuster.tau_)
    np.testing.assert_allclose(adjuster.prediction_prior_, expected / expected.sum())


def test_weights_count_in_the_folds_their_priors_and_the_loss():
    model = LogisticRegression()
    adjuster = LogitAdjuster(model, tau="auto", cv=KFold(3)).fit(X, Y, WEIGHT)
    check_tau(adjuster, held_out(model, list(KFold(3).split(X)), WEIGHT), 1e-7)
    in_pipeline = LogitAdjuster(make_pipeline(StandardScaler(with_std=False), model), tau="auto")
    in_pipeline.set_params(cv=KFold(3)).fit(X, Y, logisticregression__sample_weight=WEIGHT)
    assert in_pipeline.tau_ == pytest.approx(adjuster.tau_, abs=0.01)


@pytest.mark.parametrize("class_weight", [{"rare": 3.0, "rarest": 0.5}, "balanced"])
def test_class_weights_count_in_the_priors_of_the_folds(class_weight):
    model = LogisticRegression(class_weight=class_weight)
    adjuster = LogitAdjuster(model, tau="auto").fit(X, Y)
    if class_weight == "balanced":
        assert adjuster.tau_ == 1
        expected = adjuster.estimator_.predict_proba(X)
        np.testing.assert_allclose(adjuster.predict_proba(X), expected)
        return
    rows = []
    for train, test in RareClassStratifiedKFold(3).split(X, Y):
        shares = np.array([np.mean(Y[train] == label) for label in CLASSES]) * [1, 3, 0.5]
        rows += held_out(model, [(train, test)], shares=shares / shares.sum())
    check_tau(adjuster, rows, 1e-7)


def test_of_probabilities_that_are_right_about_all_is_taken():
    """Normal classes of equal covariance: logistic regression has the true probabilities."""
    rng = np.random.default_rng(0)
    y = rng.choice(3, size=6000, p=[0.8, 0.15, 0.05])
    X = rng.normal(size=(6000, 2)) + np.array([[0, 0], [1, 0.5], [-0.5, 1]])[y]
    adjuster = LogitAdjuster(LogisticRegression(C=1e6), tau="auto").fit(X, y)
    assert adjuster.tau_ == pytest.approx(1, abs=0.1)


class Sharp(ClassifierMixin, BaseEstimator):
    """States right probabilities to a power, as a network that is too sure of itself does."""

    def __init__(self, power=1.0):
        self.power = power

    def fit(self, X, y, X_val=None, y_val=None):
        self.inner_ = LogisticRegression().fit(X, y)
        self.classes_ = self.inner_.classes_
        self.seen_ = X_val, y_val
        return self

    def predict_proba(self, X):
        proba = self.inner_.predict_proba(X) ** self.power
        return proba / proba.sum(axis=1, keepdims=True)


def test_a_classifier_that_is_too_sure_needs_more():
    plain, sharp = (LogitAdjuster(Sharp(power), tau="auto").fit(X, Y) for power in (1, 2))
    assert sharp.tau_ > plain.tau_ + 0.3


def test_rows_of_the_users_own_in_place_of_folds():
    train, val = np.arange(200), np.arange(200, 300)
    inner = LogisticRegression().fit(X[train], Y[train])
    adjuster = LogitAdjuster(FrozenEstimator(inner), tau="auto")
    with pytest.raises(ValueError, match="pass X_val and y_val"):
        adjuster.fit(X[train], Y[train])
    adjuster.fit(X[train], Y[train], X_val=X[val], y_val=Y[val])
    check_tau(adjuster, held_out(inner, [(train, val)]), 1e-7)
    refitted = LogitAdjuster(LogisticRegression(), tau="auto")
    refitted.fit(X[train], Y[train], X_val=X[val], y_val=Y[val])
    assert refitted.tau_ == pytest.approx(adjuster.tau_)
    with pytest.raises(ValueError, match="belong together"):
        refitted.fit(X[train], Y[train], X_val=X[val])
    with pytest.raises(ValueError, match=r"y_val holds classes that y lacks: \['new'\]"):
        refitted.fit(X[train], Y[train], X_val=X[:2], y_val=["new", "rare"])
    as_many = X[100:300], Y[100:300]
    with pytest.raises(ValueError, match=r"X_val=ltlearn.Whole"):
        refitted.fit(X[train], Y[train], X_val=as_many[0], y_val=as_many[1])
    refitted.fit(X[train], Y[train], X_val=Whole(as_many[0]), y_val=Whole(as_many[1]))


def test_a_number_leaves_validation_rows_to_the_classifier():
    for tau in (0.5, "auto"):
        adjuster = LogitAdjuster(Sharp(), tau=tau).fit(X[:200], Y[:200], X_val=X[:9], y_val=Y[:9])
        seen = adjuster.estimator_.seen_
        assert (seen == (None, None)) if tau == "auto" else (seen[0] is not None)
    assert not hasattr(adjuster.set_params(tau=0.5).fit(X, Y), "held_out_loss_")
    assert adjuster.tau_ == 0.5


def test_a_rare_class_stays_in_training_and_is_not_scored_where_it_is_single():
    y = np.where(np.arange(len(Y)) == 7, "single", Y)
    adjuster = LogitAdjuster(LogisticRegression(), tau="auto").fit(X, y)
    assert list(adjuster.classes_) == [*CLASSES, "single"]
    assert np.isfinite(adjuster.predict_proba(X)).all()


def test_a_class_missing_from_a_training_fold_is_not_scored_there():
    order = np.argsort(Y, kind="stable")
    adjuster = LogitAdjuster(LogisticRegression(), tau="auto", cv=KFold(8))
    adjuster.fit(X[order], Y[order])  # the last fold holds all of a class
    assert 0 <= adjuster.tau_ <= 5
    assert np.isfinite(adjuster.held_out_loss_)
    pairs = [np.flatnonzero(Y != "common"), np.flatnonzero(Y == "common")]
    adjuster.set_params(cv=[pairs])
    with pytest.raises(ValueError, match="no row of positive weight is held out"):
        adjuster.fit(X, Y)


@pytest.mark.parametrize(
    ("estimator", "floor"),
    [
        (RandomForestClassifier(25), 1 / 25),
        (ExtraTreesClassifier(10), 1 / 10),
        (BaggingClassifier(n_estimators=8), 1 / 8),
        (KNeighborsClassifier(4), 1 / 4),
        (make_pipeline(StandardScaler(), RandomForestClassifier(25)), 1 / 25),
        (GridSearchCV(RandomForestClassifier(25), {"max_depth": [2]}, cv=2), 1 / 25),
        (DecisionTreeClassifier(), 1e-7),
        (LogisticRegression(), 1e-7),
    ],
)
def test_floor(estimator, floor):
    adjuster = LogitAdjuster(estimator).fit(X, Y)
    assert adjuster.floor_ == floor
    frozen = LogitAdjuster(FrozenEstimator(adjuster.estimator_)).fit(X, Y)
    assert frozen.floor_ == floor
    assert LogitAdjuster(estimator, floor=0.01).fit(X, Y).floor_ == 0.01


def test_a_class_without_a_vote_does_not_win_for_being_rare():
    y = np.where(np.arange(len(Y)) % 150 == 0, "odd", "even")  # two rows, no pattern
    forest = RandomForestClassifier(10, random_state=0)
    adjuster = LogitAdjuster(forest).fit(X, y)
    new = np.random.default_rng(0).normal(size=(200, X.shape[1]))
    unvoted = adjuster.estimator_.predict_proba(new)[:, 1] == 0
    assert unvoted.sum() > 100
    assert np.all(adjuster.predict(new[unvoted]) == "even")
    # The floor of 1/10 alone would have made it win: 0.1 / (2 / 300) > 1 / (298 / 300).
    without = LogitAdjuster(forest, floor=0.0).fit(X, y).predict_proba(new[unvoted])
    assert np.all(without[:, 1] == 0)
    assert np.all(adjuster.predict_proba(new[unvoted])[:, 1] > 0)


def test_zero_strength_changes_nothing():
    forest = RandomForestClassifier(5, random_state=0)
    adjuster = LogitAdjuster(forest, tau=0).fit(X, Y)
    np.testing.assert_allclose(adjuster.predict_proba(X), adjuster.estimator_.predict_proba(X))


def test_groups_are_routed_to_the_folds():
    groups = np.arange(len(Y)) % 40
    with sklearn.config_context(enable_metadata_routing=True):
        adjuster = LogitAdjuster(LogisticRegression(), tau="auto", cv=GroupKFold(3))
        adjuster.fit(X, Y, groups=groups)
        rows = held_out(LogisticRegression(), list(GroupKFold(3).split(X, Y, groups)))
        check_tau(adjuster, rows, 1e-7)
        scores = cross_val_score(adjuster, X, Y, cv=3, params={"groups": groups})
    assert np.all(np.isfinite(scores))


def test_the_same_in_parallel_and_after_cloning():
    adjuster = LogitAdjuster(RandomForestClassifier(5, random_state=0), tau="auto").fit(X, Y)
    with parallel_config(backend="threading"):
        again = clone(adjuster).set_params(n_jobs=2).fit(X, Y)
    assert again.tau_ == adjuster.tau_
