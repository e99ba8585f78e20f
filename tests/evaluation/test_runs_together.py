"""Runs of a comparison that train together, against the same runs one by one."""

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from ltlearn import ELTARegressor, GranularClassifier
from ltlearn.evaluation import _compare, _runs, compare
from ltlearn.evaluation._runs import Candidate, Job, bundles
from ltlearn.model_selection import BatchedGridSearchCV

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3))
Y = np.exp(X[:, 0] + 0.1 * RNG.normal(size=120))
LABELS = np.digitize(X[:, 0], [0.0, 1.0])


def regressor(**params):
    return ELTARegressor(
        backbone="mlp", loss="mse", hidden_layer_sizes=(5,), max_epochs=3, **params
    )


@pytest.fixture
def rounds(monkeypatch):
    """How many nets trained at a time."""
    sizes, train = [], _runs.train_stacked

    def counted(plans):
        sizes.append(len(plans))
        return train(plans)

    monkeypatch.setattr(_runs, "train_stacked", counted)
    return sizes


@pytest.fixture
def one_by_one(monkeypatch):
    """Call a function in which no runs are bundled."""

    def call(function, *args, **kwargs):
        with monkeypatch.context() as patch:
            patch.setattr(_compare, "bundles", lambda jobs, n: [[number] for number in jobs])
            return function(*args, **kwargs)

    return call


def assert_same(table, expected, tolerance=1e-9):
    seconds = table.pop("fit_seconds")
    assert ((seconds >= 0) | table["error"].notna()).all()
    expected = expected.drop(columns="fit_seconds")
    pd.testing.assert_frame_equal(table, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.usefixtures("in_float64")
def test_folds_and_seeds_train_together(rounds, one_by_one):
    estimators = {
        "plain": regressor(mixup_strength=0.0),
        "pipeline": make_pipeline(StandardScaler(), regressor(alignment_weight=0.1)),
        "ridge": Ridge(),
    }
    settings = {"cv": 3, "seeds": [0, 1], "controls": ["linear", "mean"]}
    with pytest.warns(UserWarning, match="validation rows"):
        table = compare(estimators, X, Y, **settings)
    assert [size for size in rounds if size] == [6, 6]
    with pytest.warns(UserWarning, match="validation rows"):
        assert_same(table, one_by_one(compare, estimators, X, Y, **settings))


@pytest.mark.usefixtures("in_float64")
def test_classes_and_calibration(rounds, one_by_one):
    model = GranularClassifier(hidden_layer_sizes=(5,), max_epochs=3, calibrate_temperature=True)
    settings = {"cv": 2, "seeds": [0, 1], "controls": ["logit_adjustment", "temperature"]}
    table = compare({"ours": model}, X, LABELS, **settings)
    assert [size for size in rounds if size] == [4]
    assert_same(table, one_by_one(compare, {"ours": model}, X, LABELS, **settings))


@pytest.mark.usefixtures("in_float64")
def test_searches_train_together_too(rounds):
    grid = {"lr": [1e-3, 1e-2], "mixup_strength": [0.0, 0.2]}
    tables = [
        compare({"search": search(regressor(), grid, cv=2)}, X, Y, cv=2, controls=False)
        for search in (BatchedGridSearchCV, GridSearchCV)
    ]
    # Candidates and folds of both searches, then their refits; one by one for the other.
    assert [size for size in rounds if size][:2] == [2 * 4 * 2, 2]
    assert_same(*tables)


def test_a_run_that_fails_costs_the_others_nothing():
    def fit_params(split):
        return {"sample_weight": np.full(len(split.train), -1.0 if split.index == 1 else 1.0)}

    with pytest.warns(FitFailedWarning, match="1 runs failed"):
        table = compare(
            {"ours": regressor()}, X, Y, cv=3, controls=False, fit_params={"ours": fit_params}
        )
    failed = table.groupby("split")["error"].first()
    assert failed.notna().tolist() == [False, True, False]
    assert table.loc[table["split"] == 1, "fit_seconds"].isna().all()


def jobs_of(*estimators):
    candidates = [Candidate(str(i), "estimator", each) for i, each in enumerate(estimators)]
    jobs = [Job(each, None, {}, None) for each in candidates for _ in range(4)]
    return dict(enumerate(jobs))


def test_bundles_hold_what_can_train_together():
    jobs = jobs_of(regressor(), Ridge(), ELTARegressor(backbone=nn.Flatten()))
    assert bundles(jobs, 1) == [[0, 1, 2, 3], *([number] for number in range(4, 12))]
    assert bundles(jobs_of(make_pipeline(StandardScaler(), regressor())), 3) == [[0, 3], [1], [2]]
    assert bundles(jobs_of(BatchedGridSearchCV(regressor(), {})), 1) == [[0, 1, 2, 3]]
    assert bundles({}, 2) == []
