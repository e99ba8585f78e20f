"""Fit the transformers of pipelines once for all candidates that share them."""

import joblib
from sklearn.pipeline import Pipeline


class FirstTime:
    """Stands in for ``joblib.Memory`` in a pipeline: results stay in memory, by their arguments."""

    def __init__(self):
        self._results = {}

    def cache(self, function, ignore=()):
        """A function that computes only for arguments that are new, but for those ignored."""

        def remembering(*args, **kwargs):
            counting = {name: value for name, value in kwargs.items() if name not in ignore}
            key = joblib.hash((function.__qualname__, args, counting))
            if key not in self._results:
                self._results[key] = function(*args, **kwargs)
            return self._results[key]

        return remembering


def remember_transformers(estimator, memory):
    """Give all pipelines in an estimator that have no memory of their own this one."""
    inside = estimator.get_params(deep=True).values() if hasattr(estimator, "get_params") else ()
    for each in (estimator, *inside):
        if isinstance(each, Pipeline) and each.memory is None:
            each.memory = memory
