"""Calls in processes and on clusters where a process may be lost.

Where joblib is told to use a Dask cluster, calls go there by Dask's own futures, since joblib waits
for ever for a call that the cluster has given up.
"""

import time
import warnings
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from typing import NamedTuple
from uuid import uuid4

from joblib import Parallel, delayed, parallel_config
from joblib.parallel import get_active_backend

from ltlearn.exceptions import WorkerLostError

# Seconds between two looks at the futures.
_PAUSE = 0.02
# Seconds to wait for a worker, where there is none, and for a value.
_PATIENCE, _PATIENCE_FOR_A_VALUE = 120, 10
# How often a call is sent whose data are lost.
_MOST_TIMES = 3

_GO_ON = (
    "Fits that were complete are in their checkpoint, if there is one: the same call again goes on "
    "from there."
)


def run_calls(function, items, shared=(), *, n_jobs=None, backend=None):
    """Yield the values of ``function(item, *shared)``, as they come.

    Parameters
    ----------
    function : callable
        On a Dask cluster, what runs in parallel inside of it runs one after the other.
    items : sequence
    shared : sequence
        Further arguments of all calls. A Dask cluster gets them once.
    n_jobs : int, default=None
        As in joblib.
    backend : str, default=None
        Of joblib, where the active one is not that of a Dask cluster; by default the active one.

    Yields
    ------
    number : int
        Place in ``items``.
    value : object
        What ``function`` returned. For a call that a Dask cluster gave up, since one worker after
        the other died of it, a :class:`WorkerLostError` instead.

    Raises
    ------
    WorkerLostError
        When a process of joblib died, or a Dask cluster has no worker any more.
    """
    cluster = active_cluster()
    if cluster is not None:
        with cluster.retrieval_context(), closing(_Calls(cluster, function, shared)) as calls:
            yield from calls.run(items)
        return
    run = delayed(_numbered)
    parallel = Parallel(n_jobs, backend=backend, return_as="generator_unordered")
    try:
        yield from parallel(
            run(number, function, item, *shared) for number, item in enumerate(items)
        )
    except BrokenProcessPool as error:
        raise WorkerLostError(
            f"A process died while it computed, perhaps for want of memory. {_GO_ON}"
        ) from error


def active_cluster():
    """The joblib backend of a Dask cluster, where joblib is told to use one, or None."""
    backend, _ = get_active_backend()
    return backend if type(backend).__name__ == "DaskDistributedBackend" else None


def _numbered(number, function, *args):
    return number, function(*args)


class _Call(NamedTuple):
    number: int
    item: object
    times: int  # that it was sent
    shared: list  # the futures that it was sent with


class _Calls:
    """Calls on a Dask cluster, as many at a time as it has threads.

    Of others that wait on a worker when it dies, the cluster would think that they killed it, too.
    """

    def __init__(self, cluster, function, shared):
        self.cluster, self.client = cluster, cluster.client
        self.function = function
        self.shared = shared
        self._shared_futures = None
        self._running = {}
        self._last_seen = time.monotonic()

    def run(self, items):
        """Yield numbers and values."""
        left = iter(enumerate(items))
        while True:
            room = max(1, self._count_threads()) - len(self._running)
            for _, (number, item) in zip(range(room), left, strict=False):
                self._send(number, item, 1)
            if not self._running:
                return
            ended = [each for each in self._running if each.status in _ENDINGS]
            for future in ended:
                yield from _ENDINGS[future.status](self, future)
            if not ended:
                self._check_workers()
                time.sleep(_PAUSE)

    def close(self):
        """Cancel what still runs."""
        if self._running and self.client.status == "running":
            self.client.cancel(list(self._running))
        self._running.clear()

    def _send(self, number, item, times):
        if self._shared_futures is None:
            self._shared_futures = self._send_shared(self.cluster.data_futures)
        name = getattr(self.function, "__name__", "call").strip("_")
        future = self.client.submit(
            _without_nesting,
            self.function,
            item,
            *self._shared_futures,
            key=f"{name}-{uuid4().hex}",
            **self.cluster.submit_kwargs,
        )
        self._running[future] = _Call(number, item, times, self._shared_futures)

    def _send_shared(self, known):
        """Futures of the shared arguments; ``known`` by their ids are those sent before.

        Others than what is scattered, the scheduler can compute values of calls once more, where
        all workers that held them have died.
        """
        return [
            known[id(value)] if id(value) in known else self._send_value(value)
            for value in self.shared
        ]

    def _send_value(self, value):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sending large graph")
            return self.client.submit(_Value(value), key=f"data-{uuid4().hex}")

    def _take(self, future):
        from distributed import CancelledError
        from distributed import TimeoutError as NotYet

        try:
            value = future.result(timeout=_PATIENCE_FOR_A_VALUE)
        except (NotYet, CancelledError):  # the worker that held it died: it is computed again
            return
        yield self._running.pop(future).number, value

    def _take_error(self, future):
        from distributed.scheduler import KilledWorker

        error = future.exception()
        if not isinstance(error, KilledWorker):
            raise error
        if any(each.status == "error" for each in self._running[future].shared):
            self._send_again(future)
            return
        yield (
            self._running.pop(future).number,
            WorkerLostError(
                f"{error.allowed_failures + 1} workers, one after the other, died of this, perhaps "
                "for want of memory."
            ),
        )

    def _send_again(self, future):
        """Where its data are lost."""
        call = self._running.pop(future)
        if call.times == _MOST_TIMES:
            raise WorkerLostError(
                f"What calls need was lost {_MOST_TIMES} times on workers that died. {_GO_ON}"
            )
        if call.shared is self._shared_futures:
            self._shared_futures = self._send_shared({})
        self._send(call.number, call.item, call.times + 1)
        return ()

    def _check_workers(self):
        now = time.monotonic()
        if self._count_threads():
            self._last_seen = now
        elif now - self._last_seen > _PATIENCE:
            raise WorkerLostError(
                f"The Dask cluster has had no worker for {_PATIENCE} seconds. {_GO_ON}"
            )

    def _count_threads(self):
        if self.client.status not in ("running", "connecting"):
            raise WorkerLostError(
                f"The client of the Dask cluster is {self.client.status}. {_GO_ON}"
            )
        return sum(self.client.ncores().values())


_ENDINGS = {
    "finished": _Calls._take,
    "error": _Calls._take_error,
    "cancelled": _Calls._send_again,
}


class _Value:
    """A call that gives a value which it carries."""

    def __init__(self, value):
        self.value = value

    def __call__(self):
        return self.value


def _without_nesting(function, item, *shared):
    """On a worker: nothing inside is sent to the cluster in turn."""
    with parallel_config(backend="sequential"):
        return function(item, *shared)
