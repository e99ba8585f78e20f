"""One classifier of a stack."""

import numpy as np
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import has_fit_parameter, validate_data

from ltlearn.stacking._scores import balanced_scores
from ltlearn.stacking._tuned import TunedHead
from ltlearn.utils._compat import _check_method_params
from ltlearn.utils._random import draw_seed
from ltlearn.utils._whole import Whole
from ltlearn.weighting._factors import Factors


class SlicedFits:
    """Fits of one estimator to some of the rows of X, each with its part of what ``fit`` was given.

    Parameters
    ----------
    estimator : estimator
    seed : int
        For every ``random_state`` that is None.
    params : dict
        Of ``fit``; those that are as long as X was are sliced.
    used : ndarray of shape (n,)
        Numbers that the rows had in X as it was passed.
    n_passed : int
        Rows of X as it was passed.
    """

    def __init__(self, estimator, *, seed, params, used, n_passed):
        self.estimator = with_seed(estimator, seed)
        self.seed = seed
        self.params = params
        self.used = used
        self.n_passed = n_passed

    def fitted_to(self, X, y, numbers, **extra):
        """A copy of the estimator fitted to rows whose numbers in X as it was passed are these."""
        params = _check_method_params(np.empty(self.n_passed), self.params, numbers)
        return clone(self.estimator).fit(X, y, **{**params, **extra})


class Head(SlicedFits):
    """Settings to try, scores of held-out rows, and the last fit of one classifier.

    Parameters
    ----------
    estimator : classifier
    classes : ndarray of shape (K,)
        What the class numbers of rows stand for.
    **params
        As for :class:`SlicedFits`.
    """

    def __init__(self, estimator, classes, **params):
        super().__init__(estimator, **params)
        self.classes = classes

    @property
    def is_tuned(self):
        """Whether it takes scaled rows and leaves settings open."""
        return isinstance(self.estimator, TunedHead)

    def settings(self, n_columns):
        """Settings to choose from; a single empty one where the head leaves nothing open."""
        return self.estimator._settings(n_columns) if self.is_tuned else [{}]

    def hold_out(self, rows, auxiliary, train, test):
        """Scores (len(test), K) of held-out rows in every setting."""
        if self.is_tuned:
            settings = self.settings(rows.X.n_columns)
            return self.estimator._hold_out(rows, auxiliary, settings, self.seed, train, test)
        part, rest = rows.take(train), rows.take(test)
        fitted = self._fitted(part, auxiliary, self.used[train])
        return [balanced_scores(fitted, rest.X, self.classes, part.counts)]

    def fit(self, X, rows, auxiliary, setting):
        """The head fitted to all rows; X is what they are before they are scaled."""
        if not self.is_tuned:
            return self._fitted(rows, auxiliary, self.used)
        head = clone(self.estimator).set_params(**setting, calibrate=False)
        validate_data(head, X, skip_check_array=True)
        head.classes_, head.held_out_loss_ = self.classes, np.nan
        alone = Factors(np.ones(1), 0.0)
        return head._fit_chosen(rows, auxiliary, setting, seed_of(head), alone)

    def _fitted(self, rows, auxiliary, numbers):
        extra = {}
        if auxiliary is not None and has_fit_parameter(self.estimator, "X_aux"):
            labels = auxiliary.names[auxiliary.codes]
            extra = {"X_aux": Whole(auxiliary.X), "y_aux": Whole(labels)}
        return self.fitted_to(rows.X, self.classes[rows.codes], numbers, **extra)


def seed_of(head):
    """The seed that a head draws when it is fitted."""
    return draw_seed(check_random_state(head.random_state))


def with_seed(estimator, seed):
    """An unfitted copy in which every ``random_state`` that was None is ``seed``."""
    estimator = clone(estimator)
    unseeded = [
        name
        for name, value in estimator.get_params(deep=True).items()
        if value is None and (name == "random_state" or name.endswith("__random_state"))
    ]
    return estimator.set_params(**dict.fromkeys(unseeded, seed))
