"""The stack: what it holds out, how it weighs and falls back, what comes in and goes out."""

import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import make_classification
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, LeaveOneGroupOut, StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from ltlearn import PLDAClassifier, TailLogisticClassifier, TailStackingClassifier, Whole
from ltlearn.exceptions import SmallSampleWarning
from ltlearn.model_selection import RareClassStratifiedKFold
from ltlearn.stacking._classifier import is_clearly_worse
from ltlearn.weighting._factors import BalancedRows, fit_factors


def tail_problem(seed=0, counts=(60, 25, 8, 3), n_columns=6):
    rng = np.random.default_rng(seed)
    means = 1.5 * rng.normal(size=(len(counts), n_columns))
    codes = np.repeat(np.arange(len(counts)), counts)
    X = means[codes] + rng.normal(size=(len(codes), n_columns))
    test = np.repeat(np.arange(len(counts)), 100)
    X_test = means[test] + rng.normal(size=(len(test), n_columns))
    names = np.array(["a", "b", "c", "d", "e"])
    order = rng.permutation(len(codes))
    return X[order], names[codes[order]], X_test, names[test]


def two_heads():
    return [
        ("logistic", make_pipeline(StandardScaler(), LogisticRegression())),
        ("bayes", GaussianNB(var_smoothing=0.1)),
    ]


class Recorder(ClassifierMixin, BaseEstimator):
    """Class shares as probabilities; remembers, for all copies, what it was fitted to."""

    calls = []

    def fit(self, X, y, sample_weight=None):
        type(self).calls.append((np.asarray(X)[:, 0].copy(), y, sample_weight))
        self.classes_, counts = np.unique(y, return_counts=True)
        self.share_ = counts / counts.sum()
        return self

    def predict_proba(self, X):
        return np.tile(self.share_, (len(X), 1))

    def predict(self, X):
        return np.full(len(X), self.classes_[self.share_.argmax()])


class NoAnswer(Recorder):
    """Knows nothing, and says so."""


def test_it_is_what_a_plain_computation_gives():
    """Held-out probabilities by hand, less log shares, then factors; heads of all rows."""
    X, y, X_test, _ = tail_problem()
    folds = list(RareClassStratifiedKFold(3, shuffle=True, random_state=1).split(X, y))
    stack = TailStackingClassifier(two_heads(), cv=folds).fit(X, y)
    classes, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
    held_out = {name: np.zeros((len(y), 4)) for name, _ in two_heads()}
    for train, test in folds:
        share = np.bincount(codes[train]) / len(train)
        for name, head in two_heads():
            proba = clone(head).fit(X[train], y[train]).predict_proba(X[test])
            held_out[name][test] = np.log(np.maximum(proba, 1e-7)) - np.log(share)
    rows, values = BalancedRows.of(codes, 4), np.stack(list(held_out.values()))
    level = np.zeros(4)
    alone = [fit_factors(v[None], rows, level, with_tau=False).head[0] for v in values]
    temperatures = 1 / np.array(alone)
    np.testing.assert_allclose(list(stack.temperatures_.values()), temperatures, rtol=1e-5)
    scaled = values / temperatures[:, None, None]
    expected = fit_factors(scaled, rows, np.log(counts), shared=True)
    np.testing.assert_allclose(list(stack.factors_.values()), expected.head, rtol=1e-5)
    assert stack.tau_ == pytest.approx(expected.tau, abs=1e-5)
    logits = -expected.tau * np.log(counts) * np.ones((len(X_test), 1))
    for factor, (_, head) in zip(expected.head / temperatures, two_heads(), strict=True):
        proba = clone(head).fit(X, y).predict_proba(X_test)
        logits = logits + factor * (np.log(np.maximum(proba, 1e-7)) - np.log(counts / len(y)))
    np.testing.assert_allclose(stack.predict_proba(X_test), softmax(logits, axis=1), atol=1e-6)
    np.testing.assert_array_equal(stack.predict(X_test), classes[logits.argmax(axis=1)])


def test_held_out_rows_are_in_no_fit_and_rare_classes_in_all():
    X, y, _, _ = tail_problem(counts=(20, 5, 2, 1))
    X[:, 0] = np.arange(len(y))
    Recorder.calls = []
    TailStackingClassifier([("recorder", Recorder())], random_state=0).fit(X, y)
    *folds, last = Recorder.calls
    assert len(folds) == 3
    for rows, labels, _ in folds:
        assert set(labels) == set(y)
        np.testing.assert_array_equal(labels, y[rows.astype(int)])
    left_out = np.concatenate([np.setdiff1d(X[:, 0], rows) for rows, _, _ in folds])
    assert len(np.unique(left_out)) == len(left_out) == len(y) - 1  # the single row of "d"
    np.testing.assert_array_equal(last[0], X[:, 0])


def test_a_head_that_knows_nothing_is_left_out():
    X, y, X_test, _ = tail_problem(counts=(60, 25, 12, 9))
    heads = [("bayes", GaussianNB()), ("nothing", NoAnswer())]
    folds = list(StratifiedKFold(3).split(X, y))
    stack = TailStackingClassifier(heads, cv=folds).fit(X, y)
    assert list(stack.heads_) == ["bayes"]
    assert stack.factors_["nothing"] == 0
    assert set(stack.held_out_loss_) == {"bayes", "nothing", "stack"}
    alone = TailStackingClassifier(heads[:1], cv=folds).fit(X, y)
    np.testing.assert_allclose(stack.predict_proba(X_test), alone.predict_proba(X_test))
    assert set(alone.held_out_loss_) == {"bayes"}


def test_a_head_that_knows_nothing_is_kept_where_there_is_no_other():
    X, y, X_test, _ = tail_problem()
    stack = TailStackingClassifier([("nothing", NoAnswer())], random_state=0).fit(X, y)
    assert list(stack.heads_) == ["nothing"]
    np.testing.assert_allclose(stack.predict_proba(X_test), 0.25, atol=0.05)


def test_it_falls_back_to_the_best_head_where_that_predicts_better(monkeypatch):
    X, y, _, _ = tail_problem()
    losses = {1: iter([0.5, 0.4]), 2: iter([0.45])}
    monkeypatch.setattr(
        "ltlearn.stacking._classifier.leave_one_out_losses",
        lambda scores, *args, **params: np.full(len(y), next(losses[len(scores)])),
    )
    stack = TailStackingClassifier(two_heads(), random_state=0).fit(X, y)
    assert stack.held_out_loss_ == pytest.approx({"logistic": 0.5, "bayes": 0.4, "stack": 0.45})
    assert list(stack.heads_) == ["bayes"]
    assert stack.factors_["logistic"] == 0


def test_clearly_worse_is_by_a_standard_error():
    rng = np.random.default_rng(0)
    others, weights = rng.random(400), np.full(400, 1 / 400)
    noise = rng.normal(size=400)
    noise -= noise.mean()
    error = np.std(noise) / 20
    assert is_clearly_worse(others + noise + 1.05 * error, others, weights)
    assert not is_clearly_worse(others + noise + 0.95 * error, others, weights)
    assert not is_clearly_worse(others, others, weights)
    assert not is_clearly_worse(others - 0.1, others, weights)


def test_unlike_heads_are_better_together():
    """Each head sees one of two columns that are both needed."""
    rng = np.random.default_rng(0)
    codes = np.repeat([0, 1, 2], [300, 60, 20])
    corners = np.array([[0, 0], [2.5, 0], [0, 2.5]])
    X = corners[codes] + rng.normal(size=(380, 2))
    test = np.repeat([0, 1, 2], 300)
    X_test = corners[test] + rng.normal(size=(900, 2))

    def of_column(number):
        from sklearn.compose import make_column_transformer

        return make_pipeline(make_column_transformer(("passthrough", [number])), GaussianNB())

    heads = [("first", of_column(0)), ("second", of_column(1))]
    stack = TailStackingClassifier(heads, random_state=0).fit(X, codes)
    assert stack.held_out_loss_["stack"] == min(stack.held_out_loss_.values())
    assert min(stack.factors_.values()) > 0.5
    alone = max(clone(head).fit(X, codes).score(X_test, test) for _, head in heads)
    assert stack.score(X_test, test) > alone + 0.15


def test_probabilities_of_zero_are_floored_at_a_vote():
    X, y, _, _ = tail_problem()
    forest = RandomForestClassifier(20, random_state=0)
    stack = TailStackingClassifier([("forest", forest)], random_state=0).fit(X, y)
    assert np.isfinite(stack.held_out_loss_["forest"])
    proba = stack.predict_proba(X * 10)
    assert np.isfinite(proba).all()
    assert (proba > 0).all()
    tree = TailStackingClassifier([("tree", DecisionTreeClassifier(random_state=0))]).fit(X, y)
    assert np.isfinite(tree.predict_proba(X)).all()


def test_balanced_and_weighted_heads_are_referred_to_balanced_classes_once():
    """class_weight="balanced" tells that nothing is left to adjust."""
    X, y, _, _ = tail_problem(counts=(8000, 2000, 1000, 600), n_columns=2)
    plain = TailStackingClassifier([("h", LogisticRegression())], random_state=0).fit(X, y)
    weighted = TailStackingClassifier(
        [("h", LogisticRegression(class_weight="balanced"))], random_state=0
    ).fit(X, y)
    assert weighted.tau_ == pytest.approx(plain.tau_, abs=0.2)


def test_the_prior_may_change_after_fitting():
    X, y, X_test, _ = tail_problem()
    stack = TailStackingClassifier(two_heads(), random_state=0).fit(X, y)
    balanced = stack.predict_proba(X_test)
    np.testing.assert_allclose(stack.prediction_prior_, 0.25)
    shares = stack.class_counts_ / stack.class_counts_.sum()
    np.testing.assert_allclose(stack.set_params(prior="train").prediction_prior_, shares)
    expected = softmax(np.log(balanced) + np.log(shares), axis=1)
    np.testing.assert_allclose(stack.predict_proba(X_test), expected)
    stack.set_params(prior=[1, 2, 3])
    with pytest.raises(ValueError, match="prior must be"):
        stack.predict(X_test)
    with pytest.raises(ValueError, match="prior must be"):
        TailStackingClassifier(two_heads(), prior=[1, 1]).fit(X, y)


def test_probabilities_are_calibrated():
    """On many rows, at balanced and at training shares, confidence is accuracy."""
    X, y, X_test, y_test = tail_problem(counts=(2000, 500, 300, 200), seed=1)
    stack = TailStackingClassifier(two_heads(), random_state=0).fit(X, y)
    proba = stack.predict_proba(X_test)
    assert proba.max(axis=1).mean() == pytest.approx(stack.score(X_test, y_test), abs=0.05)


def test_settings_of_heads_are_chosen_in_the_folds_of_the_stack():
    X, y, X_test, _ = tail_problem(counts=(60, 25, 10, 6))
    folds = list(StratifiedKFold(3).split(X, y))
    heads = [("logistic", TailLogisticClassifier(random_state=0)), ("bayes", GaussianNB())]
    stack = TailStackingClassifier(heads, cv=folds).fit(X, y)
    alone = TailLogisticClassifier(cv=folds, random_state=0).fit(X, y)
    assert stack.settings_ == {"logistic": {"C": alone.C_, "power": alone.power_}}
    only = TailStackingClassifier(heads[:1], cv=folds).fit(X, y)
    np.testing.assert_allclose(only.predict_proba(X_test), alone.predict_proba(X_test), atol=1e-5)


@pytest.mark.parametrize("head", [GaussianNB(), PLDAClassifier(), TailLogisticClassifier(C=1)])
def test_weights_are_repeated_rows(head):
    X, y, X_test, _ = tail_problem(counts=(30, 15, 8, 6))
    times = np.random.default_rng(0).integers(0, 3, len(y))
    group = np.arange(len(y)) % 4
    folds = list(LeaveOneGroupOut().split(X, y, group))
    weighted = TailStackingClassifier([("head", head)], cv=folds)
    weighted.fit(X, y, sample_weight=times)
    again = np.repeat(np.arange(len(y)), times)
    folds = list(LeaveOneGroupOut().split(X[again], y[again], group[again]))
    repeated = TailStackingClassifier([("head", head)], cv=folds).fit(X[again], y[again])
    np.testing.assert_allclose(
        weighted.predict_proba(X_test), repeated.predict_proba(X_test), rtol=1e-3, atol=1e-6
    )


def test_weights_reach_heads_sliced_and_zeros_leave_rows_out():
    X, y, _, _ = tail_problem(counts=(20, 8, 6, 4))
    X[:, 0] = np.arange(len(y))
    weight = np.where(X[:, 0] % 7 == 0, 0, 1 + X[:, 0])
    Recorder.calls = []
    stack = TailStackingClassifier([("recorder", Recorder())], random_state=0)
    stack.fit(X, y, sample_weight=weight)
    for rows, _, weights in Recorder.calls:
        np.testing.assert_array_equal(weights, 1 + rows)
        assert (rows % 7 != 0).all()
    assert stack.class_counts_.sum() == np.count_nonzero(weight)
    with pytest.raises(TypeError, match="'knn' does not take sample_weight"):
        TailStackingClassifier([("knn", KNeighborsClassifier())]).fit(X, y, sample_weight=weight)


def test_auxiliary_rows_reach_the_heads_that_take_them():
    X, y, X_test, _ = tail_problem()
    rng = np.random.default_rng(1)
    X_aux = rng.normal(size=(len(y), X.shape[1])) * 3
    y_aux = np.repeat(["x", "y"], [len(y) // 2, len(y) - len(y) // 2])
    heads = [
        ("plda", PLDAClassifier()),
        ("logistic", TailLogisticClassifier(C=1, power=1)),
        ("bayes", GaussianNB()),
    ]
    with pytest.raises(ValueError, match="must be wrapped"):
        TailStackingClassifier(heads).fit(X, y, X_aux=X_aux, y_aux=y_aux)
    aux = {"X_aux": Whole(X_aux), "y_aux": Whole(y_aux)}
    fitted = {}
    for extra in ({}, aux):
        stack = TailStackingClassifier(heads, random_state=0).fit(X, y, **extra)
        fitted[bool(extra)] = stack
        assert stack.classes_.tolist() == list("abcd")
        assert stack.predict_proba(X_test).shape == (len(X_test), 4)
    plda, logistic = (
        clone(head).set_params(calibrate=False, **fitted[True].settings_[name])
        for name, head in heads[:2]
    )
    for name, head in (("plda", plda), ("logistic", logistic)):
        if name in fitted[True].heads_:
            head.set_params(random_state=fitted[True].heads_[name].random_state)
            np.testing.assert_allclose(
                fitted[True].heads_[name].predict_proba(X_test),
                head.fit(X, y, **aux).predict_proba(X_test),
            )
    assert not np.allclose(fitted[True].predict_proba(X_test), fitted[False].predict_proba(X_test))


def mixed_table(n=120, seed=0):
    rng = np.random.default_rng(seed)
    codes = rng.choice(3, n, p=[0.7, 0.2, 0.1])
    numbers = codes + rng.normal(size=n)
    numbers[rng.random(n) < 0.2] = np.nan
    color = np.array(["red", "green", "blue"])[np.where(rng.random(n) < 0.7, codes, 0)]
    frame = pd.DataFrame(
        {
            "size": numbers,
            "color": pd.Series(color).where(rng.random(n) > 0.1, None).astype("category"),
            "count": rng.integers(0, 5, n),
            "flag": rng.random(n) < 0.5,
        }
    )
    return frame, np.array(["x", "y", "z"])[codes]


@pytest.mark.parametrize("heads", ["fast", "auto"])
def test_mixed_columns_with_gaps(heads, monkeypatch):
    monkeypatch.setattr("ltlearn.stacking._built_in.N_TREES", 20)
    monkeypatch.setattr("ltlearn.stacking._built_in._MAX_EPOCHS", 3)
    X, y = mixed_table()
    stack = TailStackingClassifier(heads, random_state=0).fit(X, y)
    assert stack.feature_names_in_.tolist() == ["size", "color", "count", "flag"]
    new = X.head(4).copy()
    new["color"] = ["violet", None, "red", "blue"]
    new.loc[0, "count"] = 99
    proba = stack.predict_proba(new)
    assert np.isfinite(proba).all()
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert stack.score(X, y) > 0.5


def test_gaps_and_infinities_in_arrays(monkeypatch):
    monkeypatch.setattr("ltlearn.stacking._built_in.N_TREES", 10)
    X, y, _, _ = tail_problem()
    X[::5, 1] = np.nan
    stack = TailStackingClassifier("fast", random_state=0).fit(X, y)
    assert np.isfinite(stack.predict_proba(np.full((2, 6), np.nan))).all()
    X[0, 0] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        stack.fit(X, y)
    frame, labels = mixed_table()
    frame.loc[3, "size"] = -np.inf
    with pytest.raises(ValueError, match="infinity, in the column 'size'"):
        stack.fit(frame, labels)
    frame["size"] = pd.Timestamp("2020-01-01")
    with pytest.raises(ValueError, match=r"\['size'\] hold dates"):
        stack.fit(frame, labels)


def test_heads_follow_the_kind_of_data():
    from ltlearn.stacking._built_in import built_in_heads

    assert set(built_in_heads("auto", 1000, 16, False)) == {"extra trees", "logistic", "network"}
    assert set(built_in_heads("auto", 1000, 129, False)) == {"plda", "logistic", "network"}
    assert "extra trees" in built_in_heads("auto", 1000, 500, True)
    assert list(built_in_heads("fast", 1000, 16, False)) == ["extra trees"]
    assert list(built_in_heads("fast", 1000, 200, False)) == ["logistic"]
    assert set(built_in_heads("auto", 99, 16, False)) < set(built_in_heads("full", 99, 16, False))


def test_results_depend_on_random_state_alone():
    X, y, X_test, _ = tail_problem()
    heads = [("trees", ExtraTreesClassifier(10)), ("bayes", GaussianNB())]
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    with joblib.parallel_backend("threading"):
        first, again, parallel, other = (
            TailStackingClassifier(heads, random_state=seed, n_jobs=jobs).fit(X, y)
            for seed, jobs in ((0, None), (0, None), (0, 2), (1, None))
        )
    np.testing.assert_array_equal(state, np.random.get_state()[1])  # noqa: NPY002
    np.testing.assert_array_equal(first.predict_proba(X_test), again.predict_proba(X_test))
    np.testing.assert_array_equal(first.predict_proba(X_test), parallel.predict_proba(X_test))
    assert not np.array_equal(first.predict_proba(X_test), other.predict_proba(X_test))
    fixed = TailStackingClassifier([("trees", ExtraTreesClassifier(10, random_state=5))])
    assert fixed.fit(X, y).heads_["trees"].random_state == 5


def test_pickling_cloning_searching_and_settings_of_heads():
    X, y, X_test, _ = tail_problem()
    stack = TailStackingClassifier(two_heads(), random_state=0).fit(X, y)
    copy = pickle.loads(pickle.dumps(stack))
    np.testing.assert_array_equal(copy.predict_proba(X_test), stack.predict_proba(X_test))
    assert clone(stack).get_params()["bayes__var_smoothing"] == 0.1
    stack.set_params(bayes__var_smoothing=0.5, logistic=GaussianNB())
    assert dict(stack.heads)["bayes"].var_smoothing == 0.5
    search = GridSearchCV(
        TailStackingClassifier(two_heads(), random_state=0),
        {"bayes__var_smoothing": [0.1, 1.0], "cv": [2]},
        cv=RareClassStratifiedKFold(2),
    )
    assert search.fit(X, y).best_params_["cv"] == 2


def test_the_display_shows_the_heads():
    stack = TailStackingClassifier(two_heads())
    assert "GaussianNB" in stack._repr_html_()
    X, y, _, _ = tail_problem(n_columns=130)
    assert "TailLogistic" in TailStackingClassifier("fast").fit(X, y)._repr_html_()
    assert "TailStackingClassifier" in TailStackingClassifier()._repr_html_()


def test_metadata_is_routed():
    X, y, _, _ = tail_problem(counts=(20, 8, 6, 4))
    X[:, 0] = np.arange(len(y))
    groups = np.arange(len(y)) // 2
    Recorder.calls = []
    with sklearn.config_context(enable_metadata_routing=True):
        heads = [
            ("weighted", Recorder().set_fit_request(sample_weight=True)),
            ("plain", Recorder().set_fit_request(sample_weight=False)),
        ]
        stack = TailStackingClassifier(heads, random_state=0)
        stack.fit(X, y, sample_weight=np.ones(len(y)), groups=groups)
        assert sorted({w is None for _, _, w in Recorder.calls}) == [False, True]
        for rows, _, _ in Recorder.calls:
            for test in set(groups) - set(rows.astype(int) // 2):
                assert not np.isin(test, rows.astype(int) // 2)
        logistic = TailLogisticClassifier(C=1, power=1).set_fit_request(sample_weight=True)
        TailStackingClassifier([("h", logistic)]).fit(X, y, sample_weight=np.ones(len(y)))
    with pytest.raises(TypeError, match="only with metadata routing"):
        stack.fit(X, y, groups=groups)


def test_groups_are_not_torn_apart():
    X, y, _, _ = tail_problem(counts=(24, 12, 6, 6))
    X[:, 0] = np.arange(len(y))
    groups = np.arange(len(y)) // 2
    Recorder.calls = []
    with sklearn.config_context(enable_metadata_routing=True):
        heads = [("h", Recorder().set_fit_request(sample_weight=False))]
        TailStackingClassifier(heads, random_state=0).fit(X, y, groups=groups)
    for rows, _, _ in Recorder.calls[:-1]:
        _, counts = np.unique(groups[rows.astype(int)], return_counts=True)
        assert (counts == 2).all()


def test_any_kind_of_input_reaches_heads_of_a_list():
    """Texts, which no table is."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.naive_bayes import MultinomialNB

    texts = np.array(["red apple", "green apple", "blue sky", "blue sea"] * 5, dtype=object)
    labels = np.array(["fruit", "fruit", "view", "view"] * 5)
    heads = [("words", make_pipeline(CountVectorizer(), MultinomialNB()))]
    stack = TailStackingClassifier(heads, random_state=0).fit(texts.tolist(), labels)
    assert stack.predict(["blue apple sky", "green apple"]).tolist() == ["view", "fruit"]


def test_nothing_to_hold_out_warns():
    with pytest.warns(SmallSampleWarning, match="No row can be held out"):
        stack = TailStackingClassifier(two_heads()).fit(np.eye(3), [0, 1, 2])
    assert stack.factors_ == {"logistic": 0.5, "bayes": 0.5}
    assert stack.held_out_loss_ == {}
    assert np.isfinite(stack.predict_proba(np.eye(3))).all()


def test_folds_that_miss_a_class_are_survived():
    X, y, X_test, _ = tail_problem(counts=(20, 8, 6, 2))
    last = np.flatnonzero(y == "d")
    rest = np.setdiff1d(np.arange(len(y)), last)
    folds = [(rest, last), (np.r_[rest[10:], last], rest[:10])]
    heads = [*two_heads(), ("plda", PLDAClassifier()), ("tail", TailLogisticClassifier())]
    stack = TailStackingClassifier(heads, cv=folds).fit(X, y)
    assert np.isfinite(stack.predict_proba(X_test)).all()
    assert np.isfinite(list(stack.held_out_loss_.values())).all()


@pytest.mark.parametrize(
    ("heads", "error", "message"),
    [
        ([], ValueError, "list of pairs"),
        ([GaussianNB()], ValueError, "list of pairs"),
        ([("a", GaussianNB()), ("a", GaussianNB())], ValueError, "not unique"),
        ([("a__b", GaussianNB())], ValueError, "__"),
        ([("cv", GaussianNB())], ValueError, "conflict"),
        ([("stack", GaussianNB())], ValueError, "named 'stack'"),
        ([("a", StandardScaler())], TypeError, "'a' has no predict_proba"),
    ],
)
def test_bad_heads_raise(heads, error, message):
    X, y, _, _ = tail_problem()
    with pytest.raises(error, match=message):
        TailStackingClassifier(heads).fit(X, y)


def test_binary_classes_and_two_columns_of_probabilities():
    X, y = make_classification(200, weights=[0.9], random_state=0)
    heads = [*two_heads(), ("tail", TailLogisticClassifier()), ("plda", PLDAClassifier())]
    stack = TailStackingClassifier(heads, random_state=0).fit(X, y)
    assert stack.predict_proba(X).shape == (200, 2)
    np.testing.assert_allclose(log_softmax(stack.prediction_prior_), np.log([0.5, 0.5]))
