"""How far to adjust for class frequencies: tau by the loss of rows the classifier has not seen."""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp
from sklearn.base import clone
from sklearn.utils.parallel import Parallel, delayed

from ltlearn.exceptions import EmptyBandWarning
from ltlearn.utils._compat import _check_method_params, _safe_split
from ltlearn.weighting._floors import probability_floor, raise_to_floor
from ltlearn.weighting._prior import (
    class_totals,
    prediction_prior,
    weight_of_last_step,
)

LARGEST_TAU = 5.0


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Predictions for n rows that their classifier was not trained on.

    Attributes
    ----------
    log_proba : ndarray of shape (n, n_classes)
        Minus infinity for a class that the classifier of the row does not know.
    log_prior : ndarray of shape (n, n_classes)
        Of the class shares that the probabilities refer to; 0 for a class not known.
    codes : ndarray of shape (n,)
        Column of the true class.
    weight : ndarray of shape (n,)
        Sums to 1 over all rows, and to the same for every class that has a row.
    """

    log_proba: np.ndarray
    log_prior: np.ndarray
    codes: np.ndarray
    weight: np.ndarray

    @classmethod
    def from_predictions(cls, predictions, sample_weight):
        """Join ``(proba, prior, codes)`` of several classifiers; the weight is of all rows.

        Rows of classes that their classifier does not know, and those that weigh nothing, are
        left out.
        """
        proba, prior, codes = map(np.concatenate, zip(*predictions, strict=True))
        scored = (np.take_along_axis(prior, codes[:, None], axis=1)[:, 0] > 0) & (sample_weight > 0)
        if not scored.any():
            raise ValueError(
                "tau cannot be fitted: no row of positive weight is held out whose class the "
                "classifier was trained on. Use fewer folds, other held-out rows, or a number."
            )
        proba, prior, codes, weight = (
            values[scored] for values in (proba, prior, codes, sample_weight)
        )
        totals = np.bincount(codes, weights=weight)
        with np.errstate(divide="ignore"):
            log_proba, log_prior = np.log(proba), np.log(prior)
        return cls(
            log_proba,
            np.where(prior > 0, log_prior, 0.0),
            codes,
            weight / totals[codes] / np.count_nonzero(totals),
        )

    def loss(self, tau):
        """Class-balanced cross-entropy of the adjusted probabilities: every class counts alike."""
        scores = self.log_proba - tau * self.log_prior
        true = np.take_along_axis(scores, self.codes[:, None], axis=1)[:, 0]
        return float(self.weight @ (logsumexp(scores, axis=1) - true))

    def best_tau(self):
        """The strength from 0 to 5 of the least loss, which is convex in it."""
        known = np.isfinite(self.log_proba)
        spread = np.where(known, self.log_prior, -np.inf).max(axis=1) - self.log_prior.min(axis=1)
        if np.max(spread) < 1e-9:  # balanced already, where every strength is the same
            return 1.0
        found = minimize_scalar(self.loss, bounds=(0.0, LARGEST_TAU), method="bounded").x
        return float(min((0.0, found, LARGEST_TAU), key=self.loss))


def cross_fit(estimator, X, y, cv, fit_params, floor, split_params=None, n_jobs=None):
    """Held-out predictions of clones of ``estimator`` fitted to the training rows of each fold.

    Parameters
    ----------
    estimator : classifier
    X : array-like of n_samples rows
    y : ndarray of shape (n_samples,)
    cv : splitter
    fit_params : dict
        Of ``estimator.fit``; what has as many rows as ``X`` is cut along with it.
    floor : float or "auto"
        See :func:`raise_to_floor`; "auto" asks :func:`probability_floor`.
    split_params : dict, default=None
        Of ``cv.split``.
    n_jobs : int, default=None

    Returns
    -------
    HeldOut
    """
    classes = np.unique(y)
    with warnings.catch_warnings():
        # The folds serve to fit tau, not to measure the tail.
        warnings.simplefilter("ignore", EmptyBandWarning)
        splits = list(cv.split(X, y, **(split_params or {})))
    predictions = Parallel(n_jobs=n_jobs)(
        delayed(_fit_and_predict)(estimator, X, y, fit_params, train, test, classes, floor)
        for train, test in splits
    )
    weight = weight_of_last_step(estimator, fit_params)
    weight = np.ones(len(y)) if weight is None else np.asarray(weight, dtype=np.float64)
    rows = np.concatenate([test for _, test in splits])
    return HeldOut.from_predictions(predictions, weight[rows])


def _fit_and_predict(estimator, X, y, fit_params, train, test, classes, floor):
    model = clone(estimator)
    X_train, y_train = _safe_split(model, X, y, train)
    X_test, y_test = _safe_split(model, X, y, test, train)
    fit_params = _check_method_params(X, fit_params, indices=train)
    model.fit(X_train, y_train, **fit_params)
    seen, counts = np.unique(y_train, return_counts=True)
    weight = weight_of_last_step(estimator, fit_params)
    prior = prediction_prior(model, seen, class_totals(y_train, seen, weight), counts)
    return predict_held_out(model, seen, prior, X_test, y_test, classes, floor)


def predict_held_out(model, known, prior, X, y, classes, floor):
    """Floored probabilities, priors and codes of held-out rows, with a column for each class.

    ``known`` and ``prior`` are the sorted classes of the classifier's training rows and their
    shares; ``classes`` are all, sorted.
    """
    floor = probability_floor(model) if floor == "auto" else floor
    columns = np.searchsorted(classes, known)
    known_proba = np.zeros((len(y), len(known)))
    known_proba[:, np.searchsorted(known, model.classes_)] = model.predict_proba(X)
    known_proba = np.where(prior > 0, raise_to_floor(known_proba, prior, floor), 0.0)
    proba, all_priors = np.zeros((len(y), len(classes))), np.zeros(len(classes))
    proba[:, columns], all_priors[columns] = known_proba, prior
    return proba, np.tile(all_priors, (len(y), 1)), np.searchsorted(classes, y)
