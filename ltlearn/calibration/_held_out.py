"""What calibrators of regressors share: fitting on folds, labels as scores, routing, tags."""

import warnings
from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import MetaEstimatorMixin, RegressorMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import check_cv
from sklearn.utils import check_array, get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from ltlearn.exceptions import EmptyBandWarning
from ltlearn.metrics._fitted import scores_for
from ltlearn.metrics._scores import as_scores
from ltlearn.splitting import BinnedStratifiedKFold
from ltlearn.utils._checks import check_same_length, naming
from ltlearn.utils._compat import _check_method_params, _safe_split
from ltlearn.utils._estimator import BaseEstimator
from ltlearn.utils._typing import RowsLike
from ltlearn.utils._whole import unwrap

_DEFAULT_FOLDS = 5


class HeldOutCalibrator(RegressorMixin, MetaEstimatorMixin, BaseEstimator):
    """A regressor that learns something from held-out predictions of ``estimator``.

    Subclasses have the parameters ``estimator``, ``cv`` and ``n_jobs``.
    """

    def _splits(self, X, y, routed):
        """Row numbers (train, test) of every fold."""
        with warnings.catch_warnings():
            # The folds serve to calibrate, not to measure the tail.
            warnings.simplefilter("ignore", EmptyBandWarning)
            with naming("cv"):
                splits = list(check_cv(self._splitter()).split(X, y, **routed.splitter.split))
                if not splits:
                    raise ValueError("cv makes no split.")
                return splits

    def _splitter(self):
        if self.cv is None or isinstance(self.cv, Integral):
            with naming("cv"):
                return BinnedStratifiedKFold(_DEFAULT_FOLDS if self.cv is None else self.cv)
        return self.cv

    def _over_folds(self, describe, splits, X, y, fit_params):
        """What ``describe(estimator, X_test)`` says of every fold's fitted estimator."""
        return Parallel(n_jobs=self.n_jobs)(
            delayed(_fit_and_describe)(describe, self.estimator, X, y, fit_params, train, test)
            for train, test in splits
        )

    def _held_out(self, describe, X, y, sample_weight, X_val, y_val, routed):
        """Descriptions of held-out rows by part, and the scores of the rows of each part.

        The parts are the validation rows; or all rows, when the estimator is frozen and so has
        seen none of them; or the test folds. Rows of weight 0 are left out.

        Returns
        -------
        descriptions : list
            By part, what ``describe(estimator, X_part)`` returned.
        scores : list of ndarray
            By part.
        """
        if X_val is not None:
            return [describe(self.estimator_, X_val)], [scores_for(self.estimator_, y_val)]
        present = np.arange(len(y)) if sample_weight is None else np.flatnonzero(sample_weight)
        scores = scores_for(self.estimator_, y)
        if isinstance(self.estimator, FrozenEstimator):
            X_part, _ = _safe_split(self.estimator, X, y, present)
            return [describe(self.estimator_, X_part)], [scores[present]]
        splits = [
            (train, test[np.isin(test, present)]) for train, test in self._splits(X, y, routed)
        ]
        splits = [(train, test) for train, test in splits if len(test)]
        tested = np.concatenate([test for _, test in splits]) if splits else np.arange(0)
        if len(np.unique(tested)) < len(tested):
            raise ValueError(
                f"cv={self.cv!r} tests some rows more than once; {type(self).__name__} needs folds "
                "that hold out every row at most once, such as those of KFold."
            )
        if len(tested) == 0:
            raise ValueError(f"cv={self.cv!r} holds out no row; nothing is left to calibrate with.")
        descriptions = self._over_folds(describe, splits, X, y, routed.estimator.fit)
        return descriptions, [scores[test] for _, test in splits]

    def score(self, X: RowsLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Coefficient of determination R² of the predictions.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Of any kind that ``estimator`` takes.
        y : array-like of shape (n_samples,) or (n_samples, n_score_bins)
            Labels, or score distributions, which stand for their expected scores.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights.

        Returns
        -------
        score : float
        """
        check_is_fitted(self)
        return super().score(X, scores_for(self.estimator_, y), sample_weight)

    def get_metadata_routing(self) -> MetadataRouter:
        """Routing of metadata to ``estimator`` and ``cv``.

        Returns
        -------
        routing : MetadataRouter
        """
        to_fit = MethodMapping().add(caller="fit", callee="fit")
        to_split = MethodMapping().add(caller="fit", callee="split")
        return (
            MetadataRouter(owner=self)
            .add_self_request(self)
            .add(estimator=self.estimator, method_mapping=to_fit)
            .add(splitter=self._splitter(), method_mapping=to_split)
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self.estimator).input_tags
        return tags


def unwrap_validation(X, y, X_val, y_val):
    """Both validation arguments out of :class:`ltlearn.Whole`, checked, or None for both."""
    X_val, y_val = unwrap("X_val", X_val, X), unwrap("y_val", y_val, y)
    if (X_val is None) != (y_val is None):
        raise ValueError("X_val and y_val belong together; pass both or neither.")
    if X_val is None:
        return None, None
    with naming("y_val"):
        y_val = check_array(y_val, ensure_2d=False, dtype="numeric", input_name="y_val")
    as_scores(y_val, "y_val")
    check_same_length(X_val=X_val, y_val=y_val)
    return X_val, y_val


def _fit_and_describe(describe, estimator, X, y, fit_params, train, test):
    estimator = clone(estimator)
    X_train, y_train = _safe_split(estimator, X, y, train)
    X_test, _ = _safe_split(estimator, X, y, test, train)
    fit_params = _check_method_params(X, fit_params, indices=train)
    return describe(estimator.fit(X_train, y_train, **fit_params), X_test)
