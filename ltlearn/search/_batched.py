"""Grid and randomized search with cross-validation whose fits train as one."""

from contextlib import ExitStack
from typing import Any

from joblib import parallel_config
from numpy.typing import ArrayLike
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV

from ltlearn.datasets._mapping import loaded
from ltlearn.search._backend import StackingBackend
from ltlearn.utils._estimator import BaseEstimator
from ltlearn.utils._typing import RowsLike


class _TogetherMixin(BaseEstimator):
    """Run the fits of a search together."""

    def fit(self, X: RowsLike, y: ArrayLike | None = None, **params: Any) -> Any:
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
                return super().fit(loaded(X), y, **params)
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
    """Exhaustive search over parameters, with the fits of all candidates and folds as one.

    Takes and gives what :class:`sklearn.model_selection.GridSearchCV` does: the same parameters,
    attributes and ``cv_results_``, and the same scores up to rounding. Networks of
    :class:`~ltlearn.ELTARegressor` and :class:`~ltlearn.GranularClassifier` that have the same
    shape train together, each with the rows, rates, mixup and random numbers that it would have
    alone; those that have stopped early are cut out. On small and middling tables, where most of
    the time of a fit is that of starting small operations, this is several times as fast.

    The estimator may be one of ltlearn's, a pipeline or any other meta-estimator around one.
    Transformers of a pipeline without ``memory`` are fitted once for all candidates that share
    them, if they can be pickled, which a lambda cannot.

    Notes
    -----
    Together train what has equal layers, optimizer, loss and kinds of targets; ``lr``,
    ``training__weight_decay``, ``dropout`` above 0, ``mixup_strength`` and its temperatures,
    ``alignment_weight`` above 0, ``reweighting``, logit adjustment, ``silencing``, class weights,
    seeds, batch sizes, epochs and patience may differ. Image backbones and modules of one's own,
    other estimators, skorch callbacks, accumulated gradients, compiled steps and warm starts train
    as ever, one after the other.

    With ``checkpoint`` in the estimator every fit has an entry of its own in that folder and trains
    alone; a search that was killed, called again, goes on from there. On a Dask cluster, fits of
    workers that die are sent to others, which go on from these entries, too.

    Networks compute in float32, where the order of sums changes the last digit: in long training,
    scores differ from those of separate fits as much as these do on another machine.

    Parameters
    ----------
    estimator : estimator object
    param_grid : dict or list of dict
    scoring : str, callable, list, tuple or dict, default=None
    n_jobs : int, default=None
        Processes that the fits are dealt to; in each they train together. Where joblib is told to
        use a Dask cluster, all threads of its workers.
    refit : bool, str or callable, default=True
    cv : int, splitter or iterable, default=None
    verbose : int, default=0
        1 shows a bar, 2 also says what trains together and what does not, and why.
    pre_dispatch : int or str, default="2*n_jobs"
        An int limits the fits that go on at the same time, and so the memory that they take.
    error_score : "raise" or float, default=nan
    return_train_score : bool, default=False

    Attributes
    ----------
    cv_results_ : dict of ndarrays
        As in scikit-learn. Of a training that several shared, each fit's time is an equal part.
    best_estimator_, best_score_, best_params_, best_index_, scorer_, n_splits_, refit_time_
        As in scikit-learn.

    See Also
    --------
    BatchedRandomizedSearchCV : Draws candidates.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from ltlearn import ELTARegressor
    >>> from ltlearn.model_selection import BatchedGridSearchCV
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = ELTARegressor(backbone="mlp", max_epochs=10, random_state=0)
    >>> search = BatchedGridSearchCV(model, {"mixup_strength": [0.0, 0.1, 0.25]}, cv=3).fit(X, y)
    >>> search.cv_results_["mean_test_score"].shape
    (3,)
    """


class BatchedRandomizedSearchCV(_TogetherMixin, RandomizedSearchCV):
    """Search over parameters drawn at random, with the fits of all candidates and folds as one.

    Takes and gives what :class:`sklearn.model_selection.RandomizedSearchCV` does; what trains
    together, and how, is told at :class:`BatchedGridSearchCV`.

    Parameters
    ----------
    estimator : estimator object
    param_distributions : dict or list of dict
    n_iter : int, default=10
    scoring : str, callable, list, tuple or dict, default=None
    n_jobs : int, default=None
        Processes that the fits are dealt to; in each they train together. Where joblib is told to
        use a Dask cluster, all threads of its workers.
    refit : bool, str or callable, default=True
    cv : int, splitter or iterable, default=None
    verbose : int, default=0
        1 shows a bar, 2 also says what trains together and what does not, and why.
    pre_dispatch : int or str, default="2*n_jobs"
        An int limits the fits that go on at the same time, and so the memory that they take.
    random_state : int, RandomState instance or None, default=None
        Draws the candidates.
    error_score : "raise" or float, default=nan
    return_train_score : bool, default=False

    Attributes
    ----------
    cv_results_ : dict of ndarrays
        As in scikit-learn. Of a training that several shared, each fit's time is an equal part.
    best_estimator_, best_score_, best_params_, best_index_, scorer_, n_splits_, refit_time_
        As in scikit-learn.

    See Also
    --------
    BatchedGridSearchCV : Takes all combinations.

    Examples
    --------
    >>> from scipy.stats import loguniform
    >>> from sklearn.datasets import load_iris
    >>> from ltlearn import GranularClassifier
    >>> from ltlearn.model_selection import BatchedRandomizedSearchCV
    >>> X, y = load_iris(return_X_y=True)
    >>> model = GranularClassifier(max_epochs=10, random_state=0)
    >>> search = BatchedRandomizedSearchCV(
    ...     model, {"lr": loguniform(1e-3, 1e-1)}, n_iter=4, cv=3, random_state=0
    ... )
    >>> bool(search.fit(X, y).best_score_ > 0.8)
    True
    """
