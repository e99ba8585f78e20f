"""Calls on a Dask cluster, told by a client that answers as a test wants."""

from contextlib import nullcontext

import numpy as np
import pytest

from ltlearn.exceptions import WorkerLostError
from ltlearn.utils import _cluster
from ltlearn.utils._cluster import run_calls

pytest.importorskip("distributed")
from distributed.scheduler import KilledWorker

X = np.arange(3)


class Future:
    """Ends as it is told to, or by computing."""

    def __init__(self, client, function, args, ending):
        self.client, self.function, self.args = client, function, args
        self.status = ending

    def result(self, timeout):
        args = [each.result(timeout) if isinstance(each, Future) else each for each in self.args]
        return self.function(*args)

    def exception(self):
        return self.client.error


class DaskDistributedBackend:
    """A cluster of two threads; ``endings`` are those of the calls, in the order they are sent."""

    def __init__(self, endings=(), error=None, n_threads=2):
        self.client, self.status = self, "running"
        self.endings, self.error, self.n_threads = list(endings), error, n_threads
        self.data_futures, self.submit_kwargs = {}, {}
        self.sent, self.data, self.cancelled = [], [], []

    def retrieval_context(self):
        return nullcontext()

    def ncores(self):
        return {"a worker": self.n_threads} if self.n_threads else {}

    def submit(self, function, *args, key):
        if key.startswith("data-"):
            self.data.append(function)
            return Future(self, function, args, "finished")
        ending = self.endings.pop(0) if self.endings else "finished"
        self.sent.append(args[1])
        return Future(self, function, args, ending)

    def cancel(self, futures):
        self.cancelled += futures


@pytest.fixture
def use(monkeypatch):
    def use(cluster):
        monkeypatch.setattr(_cluster, "get_active_backend", lambda: (cluster, 1))
        return cluster

    return use


def add(item, values):
    return item + values.sum()


def test_all_values_come_and_data_are_sent_once(use):
    cluster = use(DaskDistributedBackend())
    assert dict(run_calls(add, [10, 20, 30, 40], [X])) == {0: 13, 1: 23, 2: 33, 3: 43}
    assert cluster.sent == [10, 20, 30, 40]
    assert len(cluster.data) == 1


def test_data_that_were_scattered_are_not_sent(use):
    cluster = use(DaskDistributedBackend())
    cluster.data_futures = {id(X): Future(cluster, lambda: X, (), "finished")}
    assert dict(run_calls(add, [10], [X])) == {0: 13}
    assert cluster.data == []


def test_as_many_calls_as_threads_are_on_their_way(use):
    cluster = use(DaskDistributedBackend())
    values = run_calls(add, range(5), [X])
    next(values)
    assert cluster.sent == [0, 1]


def test_calls_whose_data_are_lost_are_sent_again_with_them(use):
    cluster = use(DaskDistributedBackend(["cancelled", "cancelled"]))
    cluster.data_futures = {id(X): Future(cluster, lambda: X, (), "cancelled")}
    assert dict(run_calls(add, [10, 20, 30], [X])) == {0: 13, 1: 23, 2: 33}
    assert sorted(cluster.sent) == [10, 10, 20, 20, 30]
    assert len(cluster.data) == 1  # for both


def test_but_not_for_ever(use):
    use(DaskDistributedBackend(["cancelled"] * 9))
    with pytest.raises(WorkerLostError, match=r"lost 3 times.*same call again"):
        list(run_calls(add, [10], [X]))


def test_a_call_that_is_given_up_costs_itself_alone(use):
    cluster = use(DaskDistributedBackend(["error"], KilledWorker("call", "worker", 3)))
    values = dict(run_calls(add, [10, 20], [X]))
    assert values[1] == 23
    assert isinstance(values[0], WorkerLostError)
    assert "4 workers, one after the other" in str(values[0])
    assert cluster.cancelled == []


def test_errors_of_calls_are_raised_and_the_others_cancelled(use):
    cluster = use(DaskDistributedBackend(["error", "pending"], ZeroDivisionError("mine")))
    with pytest.raises(ZeroDivisionError, match="mine"):
        list(run_calls(add, [10, 20], [X]))
    assert len(cluster.cancelled) == 2


def test_without_workers_nobody_waits_for_ever(use, monkeypatch):
    monkeypatch.setattr(_cluster, "_PATIENCE", 0.1)
    use(DaskDistributedBackend(["pending"], n_threads=0))
    with pytest.raises(WorkerLostError, match=r"no worker for 0\.1 seconds"):
        list(run_calls(add, [10], [X]))


def test_nor_without_a_client(use):
    cluster = use(DaskDistributedBackend(["pending"]))
    cluster.status = "closed"
    with pytest.raises(WorkerLostError, match="client of the Dask cluster is closed"):
        list(run_calls(add, [10], [X]))


def test_elsewhere_joblib_runs_them():
    assert dict(run_calls(add, [10, 20], [X], n_jobs=1)) == {0: 13, 1: 23}
