"""Whole passes through scikit-learn's machinery uncut, where bare arrays do not."""

import pickle

import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ltlearn import Whole
from ltlearn.utils._whole import unwrap


def make_recorder():
    """An estimator that remembers the extra fit argument it was given.

    Defined in a function, so that it travels to worker processes by value.
    """

    class RecordsExtra(RegressorMixin, BaseEstimator):
        def __init__(self, shift=0):
            self.shift = shift

        def fit(self, X, y, extra=None):
            self.extra_ = unwrap("extra", extra, X)
            return self

        def predict(self, X):
            return np.zeros(len(X))

    return RecordsExtra()


def as_array(values):
    return values


def as_frame(values):
    import pandas as pd

    return pd.DataFrame(values, columns=[f"column {i}" for i in range(values.shape[1])])


@pytest.fixture
def rows():
    return np.random.default_rng(0).normal(size=(40, 3)), np.arange(40.0)


@pytest.mark.parametrize("container", [as_array, as_frame])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_cross_validation_hands_over_every_row(rows, container, n_jobs):
    X, y = rows
    extra = container(X + 5)
    result = cross_validate(
        make_recorder(),
        container(X),
        y,
        cv=4,
        params={"extra": Whole(extra)},
        return_estimator=True,
        n_jobs=n_jobs,
    )
    for estimator in result["estimator"]:
        np.testing.assert_array_equal(np.asarray(estimator.extra_), np.asarray(extra))


@pytest.mark.parametrize("container", [as_array, as_frame])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_pipelines_transform_the_content_in_a_search(rows, container, n_jobs):
    X, y = rows
    with sklearn.config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(
            StandardScaler(), make_recorder().set_fit_request(extra=True), transform_input=["extra"]
        )
        search = GridSearchCV(pipeline, {"recordsextra__shift": [0, 1]}, cv=4, n_jobs=n_jobs)
        search.fit(container(X), y, extra=Whole(container(X + 5)))
    expected = (X + 5 - X.mean(axis=0)) / X.std(axis=0)
    np.testing.assert_allclose(search.best_estimator_[-1].extra_, expected)


def test_a_bare_argument_as_long_as_X_is_refused_even_where_it_was_sliced(rows):
    X, y = rows
    with pytest.raises(ValueError, match=r"extra=ltlearn\.Whole\(extra\)"):
        cross_validate(make_recorder(), X, y, params={"extra": X}, error_score="raise")


def test_a_bare_argument_of_another_length_passes(rows):
    X, y = rows
    assert make_recorder().fit(X, y, extra=X[:7]).extra_.shape == (7, 3)


def test_pickles_and_shows_its_content():
    whole = pickle.loads(pickle.dumps(Whole([1, 2, 3])))
    assert isinstance(whole, Whole)
    assert whole.values == [1, 2, 3]
    assert repr(whole) == "Whole([1, 2, 3])"


def test_wrapping_twice_is_wrapping_once():
    values = np.zeros((3, 2))
    assert Whole(Whole(values)).values is values
