"""One classifier of a stack."""

import numpy as np
from sklearn.base import clone
from sklearn.utils import check_array
from sklearn.utils.validation import has_fit_parameter

from ltlearn.stacking._scores import balanced_scores
from ltlearn.stacking._tuned import TunedHead
from ltlearn.utils._compat import _check_method_params
from ltlearn.utils._whole import Whole
from ltlearn.weighting._factors import center


class Head:
    """Settings to try, scores of held-out rows, and the last fit of one classifier.

    Parameters
    ----------
    estimator : classifier
    classes : ndarray of shape (K,)
        What the class numbers of rows stand for.
    seed : int
        For every ``random_state`` that is None.
    params : dict
        Of ``fit``; those that are as long as X was are sliced.
    used : ndarray of shape (n,)
        Numbers that the rows had in X as it was passed.
    n_passed : int
        Rows of X as it was passed.
    """

    def __init__(self, estimator, classes, *, seed, params, used, n_passed):
        self.estimator = with_seed(estimator, seed)
        self.classes = classes
        self.seed = seed
        self.params = params
        self.used = used
        self.n_passed = n_passed

    def settings(self, rows):
        """Settings to choose from; a single empty one where the head leaves nothing open."""
        if isinstance(self.estimator, TunedHead):
            return self.estimator._settings(np.shape(rows.X)[1])
        return [{}]

    def hold_out(self, rows, auxiliary, train, test):
        """Scores (len(test), K) of held-out rows in every setting."""
        part, rest = rows.take(train), rows.take(test)
        if isinstance(self.estimator, TunedHead):
            part, rest = as_numbers(part), as_numbers(rest)
            auxiliary = None if auxiliary is None else as_numbers(auxiliary)
            settings = self.settings(part)
            models = self.estimator._fit_settings(part, auxiliary, settings, self.seed)
            return [center(model.scores(rest.X)) for model in models]
        fitted = self._fitted(self.estimator, part, auxiliary, self.used[train])
        return [balanced_scores(fitted, rest.X, self.classes, part.counts)]

    def fit(self, rows, auxiliary, setting):
        """The head fitted to all rows."""
        estimator = self.estimator
        if isinstance(estimator, TunedHead):
            estimator = clone(estimator).set_params(**setting, calibrate=False)
        return self._fitted(estimator, rows, auxiliary, self.used)

    def _fitted(self, estimator, rows, auxiliary, numbers):
        params = _check_method_params(np.empty(self.n_passed), self.params, numbers)
        if auxiliary is not None and has_fit_parameter(estimator, "X_aux"):
            labels = auxiliary.names[auxiliary.codes]
            params |= {"X_aux": Whole(auxiliary.X), "y_aux": Whole(labels)}
        return clone(estimator).fit(rows.X, self.classes[rows.codes], **params)


def as_numbers(rows):
    """Rows as an array of floating-point numbers, without gaps."""
    return rows._replace(X=check_array(rows.X, dtype=[np.float64, np.float32]))


def with_seed(estimator, seed):
    """An unfitted copy in which every ``random_state`` that was None is ``seed``."""
    estimator = clone(estimator)
    unseeded = [
        name
        for name, value in estimator.get_params(deep=True).items()
        if value is None and (name == "random_state" or name.endswith("__random_state"))
    ]
    return estimator.set_params(**dict.fromkeys(unseeded, seed))
