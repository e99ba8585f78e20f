"""Searches and comparisons on a Dask cluster through joblib, also where a worker is killed."""

import json
import os
import signal

import joblib
import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV

from ltlearn import ELTARegressor
from ltlearn.evaluation import compare
from ltlearn.model_selection import BatchedGridSearchCV

pytest.importorskip("distributed")
import dask
from distributed import Client, LocalCluster

# Dask warns of busy machines and slow shutdowns.
pytestmark = pytest.mark.filterwarnings("ignore")

rng = np.random.default_rng(0)
X = rng.normal(size=(80, 3))
y = X[:, 0] + 0.3 * rng.normal(size=80)
MODEL = ELTARegressor(backbone="mlp", max_epochs=2, hidden_layer_sizes=(4,), random_state=0)
GRID = {"lr": [1e-3, 1e-2]}


@pytest.fixture(scope="module")
def cluster():
    """Two processes; a task whose worker dies is given up, not tried again."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        Client(cluster),
    ):
        yield cluster


@pytest.mark.parametrize("search", [GridSearchCV, BatchedGridSearchCV])
def test_searches_find_the_same(search, cluster, tmp_path):
    local = search(MODEL, GRID, cv=2).fit(X, y)
    with joblib.parallel_config(backend="dask", scatter=[X, y]):
        found = search(MODEL, GRID, cv=2).fit(X, y)
    np.testing.assert_array_equal(
        found.cv_results_["mean_test_score"], local.cv_results_["mean_test_score"]
    )
    np.testing.assert_array_equal(found.predict(X), local.predict(X))


def make_killer(mark):
    class Killer(Ridge):
        """Kills the process of its first fit."""

        def __init__(self, mark):
            super().__init__()
            self.mark = mark

        def fit(self, X, y):
            if not os.path.exists(self.mark):
                os.mkdir(self.mark)
                os.kill(os.getpid(), signal.SIGKILL)
            return super().fit(X, y)

    return Killer(mark)


def test_a_comparison_whose_worker_is_killed_goes_on_when_called_again(cluster, tmp_path):
    models = {"ridge": Ridge(), "killer": make_killer(str(tmp_path / "mark"))}
    params = {"cv": 6, "controls": ["mean"], "checkpoint": tmp_path / "runs.jsonl"}
    with joblib.parallel_config(backend="dask"):
        with pytest.raises(BaseException, match=r".") as killed:
            compare(models, X, y, **params)
        assert not isinstance(killed.value, pytest.fail.Exception)
        cluster.get_client().wait_for_workers(2, timeout=60)
        finished = lines_of(params["checkpoint"])
        found = compare(models, X, y, **params)
    keys = [line["key"] for line in lines_of(params["checkpoint"])]
    assert len(keys) == len(set(keys)) == 18
    assert keys[: len(finished)] == [line["key"] for line in finished]
    expected = compare(models, X, y, cv=6, controls=["mean"])
    order = ["estimator", "fold", "band", "metric"]
    order = [name for name in order if name in found]
    for each in (found, expected):
        each.sort_values(order, inplace=True, ignore_index=True)
    np.testing.assert_allclose(found["value"], expected["value"], rtol=1e-9)


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_search_whose_worker_is_killed_goes_on_with_checkpoints(cluster, tmp_path):
    """Every fit has its own folder, which all workers see."""
    model = MODEL.__class__(**{**MODEL.get_params(deep=False), "checkpoint": tmp_path / "fits"})
    with joblib.parallel_config(backend="dask"):
        first = GridSearchCV(model, GRID, cv=2).fit(X, y)
        times = {path: path.stat().st_mtime_ns for path in (tmp_path / "fits").rglob("*.state")}
        again = GridSearchCV(model, GRID, cv=2).fit(X, y)
    assert len(times) == 5
    assert times == {path: path.stat().st_mtime_ns for path in times}
    np.testing.assert_array_equal(again.predict(X), first.predict(X))
