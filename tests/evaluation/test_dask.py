"""Searches on a Dask cluster through joblib."""

import os

import joblib
import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV

from ltlearn import ELTARegressor
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


def test_batched_searches_compute_on_the_cluster(cluster, tmp_path):
    """Not in processes of this machine, and X goes there once."""

    class Backbone(torch.nn.Linear):
        def forward(self, rows):
            (tmp_path / str(os.getpid())).touch()
            return super().forward(rows)

    model = ELTARegressor(backbone=Backbone(3, 4), max_epochs=1, random_state=0)
    with joblib.parallel_config(backend="dask"):
        BatchedGridSearchCV(model, GRID, cv=2, refit=False).fit(X, y)
    workers = {str(pid) for pid in cluster.get_client().run(os.getpid).values()}
    assert {path.name for path in tmp_path.iterdir()} <= workers


@pytest.mark.parametrize("search", [GridSearchCV, BatchedGridSearchCV])
def test_searches_find_the_same(search, cluster, tmp_path):
    local = search(MODEL, GRID, cv=2).fit(X, y)
    with joblib.parallel_config(backend="dask", scatter=[X, y]):
        found = search(MODEL, GRID, cv=2).fit(X, y)
    np.testing.assert_array_equal(
        found.cv_results_["mean_test_score"], local.cv_results_["mean_test_score"]
    )
    np.testing.assert_array_equal(found.predict(X), local.predict(X))


def test_a_finished_search_with_checkpoints_trains_nothing_again(cluster, tmp_path):
    """Every fit has its own folder, which all workers see."""
    model = MODEL.__class__(**{**MODEL.get_params(deep=False), "checkpoint": tmp_path / "fits"})
    with joblib.parallel_config(backend="dask"):
        first = GridSearchCV(model, GRID, cv=2).fit(X, y)
        times = {path: path.stat().st_mtime_ns for path in (tmp_path / "fits").rglob("*.state")}
        again = GridSearchCV(model, GRID, cv=2).fit(X, y)
    assert len(times) == 5
    assert times == {path: path.stat().st_mtime_ns for path in times}
    np.testing.assert_array_equal(again.predict(X), first.predict(X))
