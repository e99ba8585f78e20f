"""Models that scikit-learn lacks among the controls: cheap, and what a tail method has to beat."""

import warnings

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import ParameterGrid
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import normalize
from sklearn.utils.validation import check_is_fitted, validate_data

from ltlearn.calibration import LogitAdjuster
from ltlearn.calibration._tau import cross_fit
from ltlearn.splitting import RareClassStratifiedKFold

_FOLDS = 3


class NearestMean(NearestCentroid):
    """NearestCentroid without its warning of features that are constant within classes."""

    def fit(self, X, y):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "self.within_class_std_dev_ has at least 1 zero")
            return super().fit(X, y)


class DiscriminantAnalysis(LinearDiscriminantAnalysis):
    """LinearDiscriminantAnalysis without its warnings of classes of one sample."""

    def fit(self, X, y):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Only one sample available")
            return super().fit(X, y)


class CosineMeans(ClassifierMixin, BaseEstimator):
    """Class of the mean direction at the smallest angle.

    The directions of a class are averaged, all of them counting alike.
    """

    def fit(self, X, y):
        X, y = validate_data(self, X, y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        directions = normalize(X)
        means = [directions[codes == code].mean(axis=0) for code in range(len(self.classes_))]
        self.directions_ = normalize(means)
        return self

    def predict(self, X):
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        return self.classes_[np.argmax(X @ self.directions_.T, axis=1)]


class TunedAdjuster(ClassifierMixin, BaseEstimator):
    """A classifier with logit adjustment, its parameters and tau tuned together.

    Those with the least class-balanced cross-entropy of held-out rows are taken. The rows are held
    out in three stratified folds that leave every class in training and keep groups together.

    Parameters
    ----------
    estimator : classifier
    grid : dict of str to list, default=None
        Values to try of parameters of ``estimator``. Of a single one they are tried in their order,
        until the loss rises.
    random_state : int, default=0
        Deals out the folds.
    """

    def __init__(self, estimator, grid=None, random_state=0):
        self.estimator = estimator
        self.grid = grid
        self.random_state = random_state

    def fit(self, X, y, groups=None):
        n_folds = _FOLDS if groups is None else min(_FOLDS, len(np.unique(groups)))
        folds = RareClassStratifiedKFold(n_folds, shuffle=True, random_state=self.random_state)
        folds = Folds(folds.split(X, y, groups))
        best_loss, best = np.inf, None
        for params in ParameterGrid(self.grid or {}):
            model = clone(self.estimator).set_params(**params)
            held_out = cross_fit(model, X, y, folds, {}, "auto")
            tau = held_out.best_tau()
            loss = held_out.loss(tau)
            if loss < best_loss:
                best_loss, best = loss, (params, model, tau)
            elif len(self.grid) == 1:
                break
        self.best_params_, model, self.tau_ = best
        self.adjuster_ = LogitAdjuster(model, tau=self.tau_).fit(X, y)
        self.classes_ = self.adjuster_.classes_
        self.prediction_prior_ = self.adjuster_.prediction_prior_
        return self

    def predict_proba(self, X):
        check_is_fitted(self)
        return self.adjuster_.predict_proba(X)

    def predict(self, X):
        check_is_fitted(self)
        return self.adjuster_.predict(X)


class Folds:
    """Splits made beforehand, as a splitter."""

    def __init__(self, splits):
        self.splits = list(splits)

    def split(self, X, y):
        return self.splits


def signed_root(X):
    """``sign(x) * |x| ** 0.5``, which evens out pooled features of a rectified network."""
    X = np.asarray(X)
    return np.sign(X) * np.sqrt(np.abs(X))
