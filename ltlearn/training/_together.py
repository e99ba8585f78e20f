"""Run calls that train nets, and train all nets that wait at the same time together.

A call runs in a thread of its own, one at a time: the next goes on only where this one waits for
nets or is done. So calls may be whatever ends in a ``fit``: of an estimator, a pipeline, a
meta-estimator, a whole cross-validation, also of calls that are run together in turn.
"""

import threading
import time
import warnings
from collections import deque
from contextvars import copy_context

from sklearn import config_context, get_config

from ltlearn.training._trainer import trained_by
from ltlearn.utils._sizes import n_bytes_of

# Calls that may wait at the same time, and the most bytes of data that they hold together.
MOST_CALLS = 256
_MOST_BYTES = 2**31


def run_together(calls, train_all, *, at_once=None, correct=None):
    """Values of calls, in their order.

    Parameters
    ----------
    calls : list of callables without arguments
    train_all : callable
        A trainer, see :func:`~ltlearn.training._trainer.trained_by`.
    at_once : int, default=None
        Calls that may wait at the same time; all by default.
    correct : callable, default=None
        From a value, and the seconds for which its call waited while others trained, to the value
        that is returned.

    Returns
    -------
    values : list

    Raises
    ------
    BaseException
        That of the first call that raises one; the others are given up.
    """
    waiting = deque(_Call(call) for call in calls)
    everyone, running = list(waiting), []
    try:
        while waiting or running:
            while waiting and (at_once is None or len(running) < at_once):
                running.append(waiting.popleft())
                running[-1].go_on()
                _train_apart(running[-1], train_all)
            running = [call for call in running if not call.is_done]
            outcomes = iter(train_all([plan for call in running for plan in call.plans]))
            for call in running:
                call.go_on([next(outcomes) for _ in call.plans])
                _train_apart(call, train_all)
            running = [call for call in running if not call.is_done]
    finally:
        for call in running:
            call.give_up()
    if correct is None:
        return [call.value for call in everyone]
    return [correct(call.value, call.waited) for call in everyone]


def _train_apart(call, train_all):
    """Train the nets of a call for as long as nobody could train along.

    Networks of one's own and those for images are large, and so there is but one of them at a time.
    """
    while not call.is_done and all(plan.draws_globally for plan in call.plans):
        call.go_on(train_all(call.plans))


def how_many_at_once(X):
    """Calls that may wait at the same time, where each holds a copy of most rows of X."""
    return max(2, min(MOST_CALLS, _MOST_BYTES // max(1, n_bytes_of(X))))


class _GivenUp(BaseException):
    """Ends a call that waits for nets which nobody trains any more."""


class _Call:
    """A call in a thread that runs only while :meth:`go_on` waits for it."""

    def __init__(self, function):
        self.plans = self.value = self.error = None
        self.is_done = False
        self.waited = 0.0
        self._outcomes = None
        self._own_turn, self._other_turn = threading.Semaphore(0), threading.Semaphore(0)
        self._warnings = None
        context, config = copy_context(), get_config()
        self._thread = threading.Thread(
            target=context.run, args=(self._run, function, config), daemon=True
        )

    def go_on(self, outcomes=None):
        """Let the call run until it waits for nets or is done; raises what it raises."""
        others = _warning_state()
        self._outcomes = outcomes
        if self._thread.ident is None:
            self._thread.start()
        else:
            _set_warning_state(self._warnings)
            self._own_turn.release()
        self._other_turn.acquire()
        self._warnings = _warning_state()
        _set_warning_state(others)
        if self.error is not None:
            raise self.error

    def give_up(self):
        """End the call where it waits."""
        if not self.is_done:
            self._outcomes = _GivenUp()
            self._own_turn.release()
            self._thread.join()

    def _run(self, function, config):
        try:
            with config_context(**config), trained_by(self._wait_for_nets):
                self.value = function()
        except BaseException as error:
            self.error = error
        finally:
            self.is_done = True
            self._other_turn.release()

    def _wait_for_nets(self, plans):
        self.plans = plans
        start = time.perf_counter()
        self._other_turn.release()
        self._own_turn.acquire()
        self.waited += time.perf_counter() - start
        outcomes, self._outcomes, self.plans = self._outcomes, None, None
        if isinstance(outcomes, _GivenUp):
            raise outcomes
        nets = [each for each in outcomes if not isinstance(each, BaseException)]
        self.waited -= sum(row["dur"] for net in nets for row in net.history)
        return outcomes


# ``warnings.catch_warnings`` changes these for all threads until it ends.


def _warning_state():
    return warnings.filters, warnings.showwarning


def _set_warning_state(state):
    warnings.filters, warnings.showwarning = state
    with warnings.catch_warnings():
        """Makes Python look at the filters anew."""
