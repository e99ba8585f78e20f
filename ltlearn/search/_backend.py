"""A joblib backend that runs its tasks together, so that the nets in them train stacked."""

import copy
from functools import partial
from typing import NamedTuple

from joblib import effective_n_jobs
from joblib.parallel import ParallelBackendBase, SequentialBackend

from ltlearn.exceptions import WorkerLostError
from ltlearn.search._memory import FirstTime, remember_transformers
from ltlearn.training._together import MOST_CALLS, how_many_at_once, run_together
from ltlearn.training._trainer import train_many
from ltlearn.training.stacked._groups import train_stacked
from ltlearn.training.stacked._report import Report
from ltlearn.utils._cluster import active_cluster, run_calls


class StackingBackend(ParallelBackendBase):
    """Collect tasks and run them when the first result is asked for.

    Parameters
    ----------
    n_jobs : int or None
        Processes that the tasks are dealt to; in each they run together.
    verbose : int
        1 shows a bar, 2 also prints what trains together and what does not.
    """

    supports_sharedmem = True
    uses_threads = True

    def __init__(self, n_jobs=None, verbose=0):
        super().__init__(nesting_level=0)
        self.n_jobs = n_jobs
        self.verbose = verbose
        self._tasks = []

    def effective_n_jobs(self, n_jobs):
        """As many as there are tasks: all are collected first."""
        return MOST_CALLS

    def submit(self, func, callback=None):
        """Keep a task for later."""
        task = _Task(func, callback)
        self._tasks.append(task)
        return task

    def retrieve_result(self, task, timeout=None):
        """Run all tasks that wait, if this is one of them."""
        if not task.is_done:
            tasks, self._tasks = self._tasks, []
            self._run(tasks)
            for each in tasks:
                if each.callback is not None:
                    each.callback(each)  # joblib sends more tasks
        return task.value

    def abort_everything(self, ensure_ready=True):
        """Nothing runs between calls."""
        self._tasks = []

    def get_nested_backend(self):
        """Tasks have one core."""
        return SequentialBackend(nesting_level=1), None

    def _run(self, tasks):
        n_jobs = min(effective_n_jobs(self.n_jobs), len(tasks))
        shares = [tasks[number::n_jobs] for number in range(n_jobs)]
        if n_jobs == 1 and active_cluster() is None:
            values = [(0, _run_share([task.call for task in tasks], self.verbose))]
        else:
            common = _Common([task.call for task in tasks])
            calls = [[common.without(task.call) for task in share] for share in shares]
            values = run_calls(
                partial(_run_with, verbose=max(0, self.verbose - 1)),
                calls,
                common.values,
                n_jobs=n_jobs,
                backend="loky",
            )
        for number, own in values:
            if isinstance(own, WorkerLostError):
                raise own
            for task, value in zip(shares[number], own, strict=True):
                task.value, task.is_done = value, True


class _Task:
    def __init__(self, call, callback):
        self.call, self.callback = call, callback
        self.value, self.is_done = None, False


class _Common:
    """Arguments that all calls have in common, X and y, so as to be sent once.

    Parameters
    ----------
    calls : list of joblib.parallel.BatchedCalls
    """

    def __init__(self, calls):
        self.values = [*calls[0].items[0][1][1:]]
        self._places = {id(value): _Place(number) for number, value in enumerate(self.values)}

    def without(self, call):
        """A call with places in ``values`` for them."""
        lean = copy.copy(call)
        lean.items = [
            (function, tuple(self._places.get(id(value), value) for value in args), kwargs)
            for function, args, kwargs in call.items
        ]
        return lean


class _Place(NamedTuple):
    number: int


def _run_with(calls, *common, verbose):
    """:func:`_run_share` of calls without what they have in common."""
    for call in calls:
        call.items = [
            (
                function,
                tuple(common[arg.number] if isinstance(arg, _Place) else arg for arg in args),
                kwargs,
            )
            for function, args, kwargs in call.items
        ]
    return _run_share(calls, verbose)


def _run_share(calls, verbose):
    memory = FirstTime()
    (_, (_, X, *_), _), *_ = calls[0].items
    for call in calls:
        for _, args, _ in call.items:
            remember_transformers(args[0], memory)
    with Report(len(calls), verbose) as report:
        return run_together(
            calls,
            partial(train_many, otherwise=partial(train_stacked, report=report)),
            at_once=how_many_at_once(X),
            correct=_correct_times,
        )


def _correct_times(results, seconds):
    """Take the time in which a call waited for others' training out of its fit time."""
    for result in results:
        if isinstance(result, dict) and "fit_time" in result:
            result["fit_time"] = max(0.0, result["fit_time"] - seconds)
    return results
