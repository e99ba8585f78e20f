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
        with Report(len(tasks), self.verbose) as report:
            if n_jobs == 1 and active_cluster() is None:
                _finish(tasks, _run_share([task.take_call() for task in tasks], report))
                return
            calls = [task.take_call() for task in tasks]
            common = _Common(calls)
            lean = [[common.without(call) for call in calls[i::n_jobs]] for i in range(n_jobs)]
            del calls
            report.show_bar()
            for number, outcome in run_calls(
                _run_elsewhere, lean, common.values, n_jobs=n_jobs, backend="loky"
            ):
                if isinstance(outcome, WorkerLostError):
                    raise outcome
                values, told = outcome
                _finish(shares[number], values)
                report.of_share(told, len(values))


class _Task:
    def __init__(self, call, callback):
        self.call, self.callback = call, callback
        self.value, self.is_done = None, False

    def take_call(self):
        """The call, of which the task keeps nothing: it holds what the call has fitted."""
        call, self.call = self.call, None
        return call


def _finish(tasks, values):
    for task, value in zip(tasks, values, strict=True):
        task.value, task.is_done = value, True


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


def _run_elsewhere(calls, *common):
    """Run calls without what they have in common; returns values, and what there is to report."""
    for call in calls:
        call.items = [
            (
                function,
                tuple(common[arg.number] if isinstance(arg, _Place) else arg for arg in args),
                kwargs,
            )
            for function, args, kwargs in call.items
        ]
    report = Report(len(calls), verbose=0)
    return _run_share(calls, report), report.told


def _run_share(calls, report):
    """Values of calls that run together; the list is emptied, for a call holds what it has fitted.

    Parameters
    ----------
    calls : list of joblib.parallel.BatchedCalls
    report : Report
    """
    at_once = how_many_at_once(calls[0].items[0][1][1])
    _share_transformers(calls)
    once = [_Once(call) for call in calls]
    calls.clear()
    trainer = partial(train_many, otherwise=partial(train_stacked, report=report))
    return run_together(once, trainer, at_once=at_once, correct=_correct_times)


def _share_transformers(calls):
    memory = FirstTime()
    for call in calls:
        for _, (estimator, *_), _ in call.items:
            remember_transformers(estimator, memory)


class _Once:
    """A call that is gone when it ends."""

    def __init__(self, call):
        self.call = call

    def __call__(self):
        call, self.call = self.call, None
        return call()


def _correct_times(results, seconds):
    """Take the time in which a call waited for others' training out of its fit time."""
    for result in results:
        if isinstance(result, dict) and "fit_time" in result:
            result["fit_time"] = max(0.0, result["fit_time"] - seconds)
    return results
