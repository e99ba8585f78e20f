"""Transformers that are fitted once, against scikit-learn's search, which fits them every time."""

import copy
import pickle
import threading

import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from ltlearn import ELTARegressor
from ltlearn.model_selection import BatchedGridSearchCV
from ltlearn.search import _memory
from ltlearn.search._memory import FirstTime

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 4)) * [1, 50, 3, 10]
Y = np.exp(X[:, 0] + 0.1 * RNG.normal(size=90))
RATES = [1e-3, 1e-2, 1e-1]


def regressor():
    return ELTARegressor(
        backbone="mlp", loss="mse", hidden_layer_sizes=(5,), max_epochs=2, random_state=0
    )


def scores(cls, estimator, grid, **settings):
    search = cls(estimator, grid, cv=2, refit=False, **settings).fit(X, Y)
    return search.cv_results_["mean_test_score"]


def assert_same_scores(estimator, grid):
    found, expected = (scores(cls, estimator, grid) for cls in (BatchedGridSearchCV, GridSearchCV))
    assert np.ptp(expected) > 0
    np.testing.assert_allclose(found, expected, rtol=1e-9)


class Counting(TransformerMixin, BaseEstimator):
    """Counts its fits; perhaps works in place, or has something that cannot be pickled."""

    n_fits = 0

    def __init__(self, in_place=False, own=None):
        self.in_place = in_place
        self.own = own

    def __sklearn_clone__(self):
        return copy.copy(self)

    def fit(self, X, y=None):
        type(self).n_fits += 1
        self.mean_ = X.mean(axis=0)
        return self

    def transform(self, X):
        if self.in_place:
            X -= self.mean_
            return X
        return X - self.mean_


@pytest.fixture
def counted():
    Counting.n_fits = 0
    return Counting


@pytest.mark.usefixtures("in_float64")
class TestSteps:
    @pytest.mark.parametrize(
        "steps",
        [
            (PCA(3), StandardScaler(copy=False)),
            (Counting(), Counting(in_place=True), StandardScaler()),
        ],
        ids=["StandardScaler", "own"],
    )
    def test_steps_that_work_in_place(self, steps):
        assert_same_scores(make_pipeline(*steps, regressor()), {"eltaregressor__lr": RATES})

    def test_a_lambda(self):
        own = FunctionTransformer(lambda X: np.cbrt(X))
        assert_same_scores(
            make_pipeline(own, StandardScaler(), regressor()), {"eltaregressor__lr": RATES}
        )

    def test_what_cannot_be_pickled_is_fitted_every_time(self, counted):
        pipeline = make_pipeline(counted(own=threading.Lock()), StandardScaler(), regressor())
        assert_same_scores(pipeline, {"eltaregressor__lr": RATES})
        assert counted.n_fits == 2 * 2 * 3  # by both searches

    @pytest.mark.parametrize("depth", [1, 2])
    def test_pipelines_inside_of_others(self, counted, depth):
        model = make_pipeline(counted(), regressor())
        name = "eltaregressor__lr"
        for _ in range(depth):
            model = TransformedTargetRegressor(model, func=np.sqrt, inverse_func=np.square)
            name = f"regressor__{name}"
        searches = [
            cls(model, {name: RATES}, cv=2, refit=False).fit(X, Y)
            for cls in (BatchedGridSearchCV, GridSearchCV)
        ]
        found, expected = (search.cv_results_["mean_test_score"] for search in searches)
        np.testing.assert_allclose(found, expected, rtol=1e-9)
        assert counted.n_fits == 2 + 2 * 3  # once a fold, and by the other every time


def test_no_more_is_kept_than_fits(monkeypatch, counted):
    monkeypatch.setattr(_memory, "_MOST_BYTES", 1)
    pipeline = make_pipeline(counted(), regressor())
    expected = scores(GridSearchCV, pipeline, {"eltaregressor__lr": RATES})
    found = scores(BatchedGridSearchCV, pipeline, {"eltaregressor__lr": RATES})
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    assert counted.n_fits == 2 * 2 * 3


class TestFirstTime:
    def test_what_was_used_longest_ago_goes_first(self, monkeypatch):
        monkeypatch.setattr(_memory, "_MOST_BYTES", 2 * 80)
        called = []

        def compute(x):
            called.append(x)
            return np.full(10, float(x)), None

        remembering = FirstTime().cache(compute)
        for x in (1, 2, 1, 3, 1, 2, 1, 3):
            assert remembering(x)[0].tolist() == [x] * 10
        assert called == [1, 2, 3, 2, 3]

    def test_rows_belong_to_who_asks(self):
        remembering = FirstTime().cache(lambda x: (np.zeros(3), None))
        for _ in range(3):
            rows, _ = remembering(0)
            assert rows.tolist() == [0, 0, 0]
            rows += 1

    def test_ignored_arguments(self):
        remembering = FirstTime().cache(lambda x, caller: (caller, None), ignore=["caller"])
        assert remembering(1, caller="a") == remembering(1, caller="b") == ("a", None)

    def test_copies_share_it_and_files_leave_it_out(self):
        memory = FirstTime()
        memory.cache(lambda x: (np.zeros(1000), None))(0)
        assert copy.deepcopy(memory) is memory
        assert len(pickle.dumps(memory)) < 200
        assert isinstance(pickle.loads(pickle.dumps(memory)), FirstTime)
