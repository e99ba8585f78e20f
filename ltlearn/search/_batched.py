"""Grid and randomized search with cross-validation whose fits train as one."""

from contextlib import ExitStack

from joblib import parallel_config
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV

from ltlearn.search._backend import StackingBackend


class _TogetherMixin:
    """Run the fits of a search together."""

    def fit(self, X, y=None, **params):
        """Run fit with all sets of parameters.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
        y : array-like of shape (n_samples,) or (n_samples, K), default=None
        **params : dict of str -> object
            Parameters passed to the ``fit`` of the estimator, the scorer and the splitter, as those
            of scikit-learn's searches. Arrays with a row per sample are split along with X; wrap
            others in :class:`ltlearn.Whole`.

        Returns
        -------
        self : object
        """
        with ExitStack() as self._until_search:
            backend = StackingBackend(self.n_jobs, self.verbose)
            self._until_search.enter_context(parallel_config(backend=backend))
            try:
                return super().fit(X, y, **params)
            finally:
                del self._until_search

    def _run_search(self, evaluate_candidates, callback_ctx=None):
        # The search's own Parallel has the backend by now; those inside fits have nothing to do
        # with it.
        self._until_search.close()
        # scikit-learn has contexts from 1.9 on.
        context = {} if callback_ctx is None else {"callback_ctx": callback_ctx}
        super()._run_search(evaluate_candidates, **context)


class BatchedGridSearchCV(_TogetherMixin, GridSearchCV):
    """Doc."""


class BatchedRandomizedSearchCV(_TogetherMixin, RandomizedSearchCV):
    """Doc."""
