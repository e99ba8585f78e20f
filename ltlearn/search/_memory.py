"""Fit the transformers of pipelines once for all candidates that share them."""

import copy
from collections import OrderedDict

import joblib
from sklearn.pipeline import Pipeline

from ltlearn.utils._sizes import n_bytes_of

# Of transformed rows that are kept, all together.
_MOST_BYTES = 2**31


class FirstTime:
    """Stands in for ``joblib.Memory`` in a pipeline: results stay in memory, by their arguments.

    Rows are handed out as copies, since steps may work in place. What cannot be pickled, such as a
    lambda, has no identity to be found by and is computed every time.
    """

    def __init__(self):
        self._results = OrderedDict()
        self._n_bytes = 0

    def cache(self, function, ignore=()):
        """A function that computes only for arguments that are new, but for those ignored."""

        def remembering(*args, **kwargs):
            counting = {name: value for name, value in kwargs.items() if name not in ignore}
            try:
                key = joblib.hash((function.__qualname__, args, counting))
            except Exception:  # each kind of object says in its own way that it cannot be pickled
                return function(*args, **kwargs)
            if key not in self._results:
                rows, transformer = function(*args, **kwargs)
                self._keep(key, copy.deepcopy(rows), transformer)
                return rows, transformer
            self._results.move_to_end(key)
            rows, transformer, _ = self._results[key]
            return copy.deepcopy(rows), transformer

        return remembering

    def _keep(self, key, rows, transformer):
        size = n_bytes_of(rows)
        self._results[key] = rows, transformer, size
        self._n_bytes += size
        while self._n_bytes > _MOST_BYTES:
            _, (_, _, size) = self._results.popitem(last=False)
            self._n_bytes -= size

    # Copies of a pipeline, as meta-estimators make them, share it; in files and other processes
    # there is nothing to remember.

    def __deepcopy__(self, memo):
        return self

    def __reduce__(self):
        return FirstTime, ()


def remember_transformers(estimator, memory):
    """Give all pipelines in an estimator that have no memory of their own this one."""
    inside = estimator.get_params(deep=True).values() if hasattr(estimator, "get_params") else ()
    for each in (estimator, *inside):
        if isinstance(each, Pipeline) and each.memory is None:
            each.memory = memory
