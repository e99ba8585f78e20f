"""Comparisons and searches whose workers are killed; a script for ``test_killed_workers.py``.

Takes a seed, and names of scenarios (several times, to repeat them); all of them by default.
Prints a line for each: its name, and what of it is not as it should be.
"""

import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

import dask
import joblib
import numpy as np
import torch
from distributed import Client, LocalCluster
from distributed.utils import get_mp_context
from joblib.externals.loky.backend.context import set_start_method
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV

from ltlearn import ELTARegressor
from ltlearn.evaluation import compare
from ltlearn.exceptions import WorkerLostError
from ltlearn.model_selection import BatchedGridSearchCV

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 3))
y = X[:, 0] + 0.3 * rng.normal(size=60)
GRID = {"lr": [1e-3, 1e-2]}


def kill_once(mark):
    """Kill this process, the first time that it is asked to."""
    if not os.path.exists(mark):
        os.mkdir(mark)
        os.kill(os.getpid(), signal.SIGKILL)


class Logged(Ridge):
    """Notes every fit; kills its process in the first one with a ``mark``."""

    def __init__(self, alpha=1.0, log=None, mark=None, seconds=0.0):
        super().__init__(alpha)
        self.log, self.mark, self.seconds = log, mark, seconds

    def fit(self, X, y):
        if self.mark is not None:
            kill_once(self.mark)
        time.sleep(self.seconds)
        with open(self.log, "a") as file:
            file.write(f"{self.alpha}\n")
        return super().fit(X, y)


class Backbone(torch.nn.Module):
    """Kills its process in the third step of training, the first time."""

    def __init__(self, mark):
        super().__init__()
        self.layer = torch.nn.Linear(3, 4)
        self.mark = mark
        self.n_steps = 0

    def forward(self, rows):
        self.n_steps += self.training
        if self.n_steps == 3:
            kill_once(self.mark)
        return torch.relu(self.layer(rows))


@contextmanager
def a_cluster():
    """Two processes, which start at once, since the server that forks them has all imported."""
    dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"})
    get_mp_context().set_forkserver_preload(PRELOADED)
    set_start_method("forkserver")  # of joblib's processes
    # A LocalCluster closes for good what is away for so long.
    dask.config.set({"distributed.deploy.lost-worker-timeout": "600s"})
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None,
            silence_logs=50,
        ) as cluster,
        Client(cluster),
    ):  # fmt: skip
        yield cluster


@contextmanager
def used(cluster, allowed_failures=3):
    """Let joblib use the cluster, with both workers there."""
    cluster.scheduler.allowed_failures = allowed_failures
    client = cluster.get_client()
    client.wait_for_workers(2, timeout=120)
    with joblib.parallel_config(backend="dask"):
        yield client


def models(folder, *, mark=None, seconds=0.0):
    return {
        f"ridge {alpha}": Logged(alpha, f"{folder}/fits", mark if alpha == 2 else None, seconds)
        for alpha in (1, 2, 3)
    }


def difference(found, expected):
    """What a comparison has otherwise."""
    order = ["estimator", "split", "metric", "band"]
    found, expected = (
        each[each["error"].isna()].sort_values(order, ignore_index=True)
        for each in (found, expected)
    )
    if list(found["estimator"]) != list(expected["estimator"]):
        return f"rows of {sorted(set(found['estimator']))}, {len(found)} of {len(expected)}"
    return "" if np.allclose(found["value"], expected["value"], rtol=1e-9) else "values"


def n_fits(folder):
    return len(Path(folder, "fits").read_text().splitlines())


def comparison_with_a_worker_that_dies_once(folder, cluster):
    compared = {"cv": 4, "controls": ["mean"], "checkpoint": f"{folder}/runs"}
    with used(cluster):
        found = compare(models(folder, mark=f"{folder}/mark"), X, y, **compared)
    yield difference(found, EXPECTED)


def comparison_with_a_run_that_is_given_up(folder, cluster):
    """Only what was in flight is done again."""
    compared = {"cv": 4, "controls": ["mean"], "checkpoint": f"{folder}/runs"}
    given = models(folder, mark=f"{folder}/mark")
    with used(cluster, allowed_failures=0):
        first = compare(given, X, y, **compared)
        failed = first[first["error"].notna()]
        yield "" if failed["error"].str.contains("WorkerLostError").all() else "other errors"
        n_lost = len(failed.groupby(["estimator", "split"]))
        yield "" if 1 <= n_lost <= 3 else f"{n_lost} runs lost"
        before = n_fits(folder)
        yield difference(compare(given, X, y, **compared), EXPECTED)
        again = n_fits(folder) - before
        yield "" if again <= n_lost else f"{again} fits again for {n_lost} lost runs"


def comparison_with_kills_from_outside(folder, cluster):
    """At random times, at times both."""
    compared = {"cv": 4, "controls": ["mean"], "checkpoint": f"{folder}/runs"}
    with used(cluster) as client:
        is_done = threading.Event()

        def kill():
            for _ in range(3):
                if is_done.wait(random.uniform(0.1, 0.6)):
                    return
                pids = list(client.run(os.getpid, on_error="ignore").values())
                for pid in random.sample(pids, min(len(pids), random.choice([1, 2]))):
                    os.kill(pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        for _ in range(3):
            try:
                found = compare(models(folder, seconds=0.1), X, y, **compared)
            except WorkerLostError:
                continue
            if found["error"].isna().all():
                break
        is_done.set()
        killer.join()
    yield difference(found, EXPECTED)


def comparison_in_processes_of_joblib(folder, cluster):
    compared = {"cv": 4, "controls": ["mean"], "checkpoint": f"{folder}/runs"}
    given = models(folder, mark=f"{folder}/mark")
    try:
        compare(given, X, y, n_jobs=2, **compared)
        yield "no error"
    except WorkerLostError as error:
        yield "" if "same call again" in str(error) else str(error)
    yield difference(compare(given, X, y, **compared), EXPECTED)
    # Twelve runs; of those that had ended, at most the last of each process are done again.
    yield "" if n_fits(folder) <= 14 else f"{n_fits(folder)} fits"


def search_of(kind, folder, **params):
    torch.manual_seed(0)  # weights of the backbone
    model = ELTARegressor(
        backbone=Backbone(f"{folder}/mark"),
        checkpoint=f"{folder}/trained", max_epochs=4, batch_size=16, early_stopping=False,
        random_state=0,
    )  # fmt: skip
    return kind(model, GRID, cv=2, **params)


def searched(search, is_repeated=False):
    """What a search finds, of two calls where the first one fails."""
    try:
        return search.fit(X, y)
    except Exception:
        if is_repeated:
            raise
        return searched(search, True)


def check_search(search, folder):
    yield "" if os.path.exists(f"{folder}/mark") else "nothing was killed"
    scores = search.cv_results_["mean_test_score"]
    if not np.array_equal(scores, SCORES):
        yield f"scores {scores}, not {SCORES}"
    fits = Path(folder, "trained")
    finished = {path: path.stat().st_mtime_ns for path in fits.rglob("*.state")}
    yield "" if len(finished) == 5 else f"{len(finished)} fits"
    again = search_of(BatchedGridSearchCV, folder).fit(X, y)
    yield "" if np.array_equal(again.predict(X), search.predict(X)) else "other predictions"
    same = finished == {path: path.stat().st_mtime_ns for path in fits.rglob("*.state")}
    yield "" if same else "finished fits were trained again"


def batched_search_on_the_cluster(folder, cluster):
    with used(cluster):
        search = search_of(BatchedGridSearchCV, folder).fit(X, y)
    yield from check_search(search, folder)


def batched_search_in_processes_of_joblib(folder, cluster):
    """The first call says what to do; the same call again goes on from what was stored."""
    search = search_of(BatchedGridSearchCV, folder, n_jobs=2)
    try:
        search.fit(X, y)
        yield "no error"
    except WorkerLostError as error:
        yield "" if "same call again" in str(error) else str(error)
    yield from check_search(search.fit(X, y), folder)


def search_on_the_cluster(folder, cluster):
    with used(cluster):
        search = searched(search_of(GridSearchCV, folder))
    yield from check_search(search, folder)


# What new processes have imported when they start.
PRELOADED = ["distributed", "ltlearn.evaluation", "ltlearn.model_selection"]

SCENARIOS = [
    comparison_with_a_worker_that_dies_once,
    comparison_with_a_run_that_is_given_up,
    comparison_with_kills_from_outside,
    comparison_in_processes_of_joblib,
    batched_search_on_the_cluster,
    batched_search_in_processes_of_joblib,
    search_on_the_cluster,
]


def main(seed, *names):
    random.seed(int(seed))
    by_name = {each.__name__: each for each in SCENARIOS}
    scenarios = [by_name[name] for name in names or by_name]
    with tempfile.TemporaryDirectory() as root, a_cluster() as cluster:
        for number, scenario in enumerate(scenarios):
            folder = f"{root}/{number}"
            os.mkdir(folder)
            start = time.monotonic()
            problems = [problem for problem in scenario(folder, cluster) if problem]
            seconds = round(time.monotonic() - start, 1)
            result = {"name": scenario.__name__, "problems": problems, "seconds": seconds}
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as root:
        EXPECTED = compare(models(root), X, y, cv=4, controls=["mean"])
        os.mkdir(f"{root}/mark")
        SCORES = search_of(GridSearchCV, root).fit(X, y).cv_results_["mean_test_score"]
    main(*sys.argv[1:])
