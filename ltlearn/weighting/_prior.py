"""Which class shares the probabilities of a classifier refer to."""

import warnings

import numpy as np
from scipy.special import log_softmax
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import process_routing

from ltlearn.utils._compat import BaseSearchCV, _check_sample_weight, _routing_enabled
from ltlearn.utils._fitted import find_fitted


def prediction_prior(estimator, classes, totals, counts=None):
    """Class shares that the probabilities of a fitted classifier refer to.

    Those that it states as ``prediction_prior_``; else, the classes being weighted by its
    parameter ``class_weight``, their shares in the training data. Both are also found at the end
    of a pipeline, frozen, and inside searches and meta-estimators.

    Parameters
    ----------
    estimator : fitted classifier
    classes : ndarray of shape (n_classes,)
        Sorted; all that the classifier predicts are among them.
    totals : ndarray of shape (n_classes,)
        Number, or total sample weight, of the training samples of each class.
    counts : ndarray of shape (n_classes,), default=None
        Number of the training samples of each class, where ``totals`` are sample weights.

    Returns
    -------
    prior : ndarray of shape (n_classes,)
        Sums to 1.
    """
    fitted = find_fitted(estimator, "prediction_prior_", "classes_", resampled=True)
    if fitted is not None:
        prior = np.zeros(len(classes))
        prior[np.searchsorted(classes, fitted.classes_)] = fitted.prediction_prior_
        return prior
    weighted = find_fitted(estimator, "class_weight", resampled=True)
    class_weight = getattr(weighted, "class_weight", None)
    if isinstance(class_weight, str):  # "balanced", or forests' "balanced_subsample"
        totals = _balanced_totals(weighted, totals, counts)
    elif isinstance(class_weight, dict):
        totals = totals * [class_weight.get(label, 1.0) for label in classes.tolist()]
    return totals / np.sum(totals)


def log_prior(prior, log_share):
    """Log of the class shares that a parameter ``prior`` asks for.

    Parameters
    ----------
    prior : {"balanced", "train"} or array-like of shape (n_classes,)
    log_share : ndarray of shape (n_classes,)
        Log shares in the training data.

    Returns
    -------
    log_prior : ndarray of shape (n_classes,)
        Up to a constant.
    """
    if isinstance(prior, str) and prior in ("balanced", "train"):
        return log_share if prior == "train" else np.zeros(len(log_share))
    shares = np.asarray(prior)
    if (
        shares.shape != log_share.shape
        or shares.dtype.kind not in "iuf"
        or not (np.isfinite(shares) & (shares > 0)).all()
    ):
        raise ValueError(
            f'prior must be "balanced", "train" or {len(log_share)} positive numbers, one for each '
            f"of classes_; got {prior!r}."
        )
    return log_softmax(np.log(shares))


def _balanced_totals(weighted, totals, counts):
    """What each class weighs in the training of a classifier that balances its classes."""
    seen = totals > 0
    if counts is None:
        return seen
    mean_weight = np.divide(totals, counts, out=np.zeros(len(seen)), where=seen)
    if np.ptp(mean_weight[seen]) == 0 or _evens_out_weights(weighted):
        return seen
    return mean_weight


def _evens_out_weights(classifier):
    """Whether the class weights of a classifier make up for sample weights as well.

    Some balance the total weights of the classes, others their counts, before the sample weights
    are multiplied in. Which, depends on the classifier and its version, so a copy of it is asked,
    trained on 20 samples that differ in nothing but label and weight: the rarer class, whose
    samples weigh nine times as much, then has a share of 1/2 or of 9/10.
    """
    y = np.repeat([0, 1], [15, 5])
    model = clone(unfrozen(classifier))
    if "random_state" in model.get_params():
        model.set_params(random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model.fit(np.zeros((20, 1)), y, sample_weight=np.where(y == 1, 9.0, 1.0))
            return model.predict_proba(np.zeros((1, 1)))[0, 1] < 0.7
        except Exception:  # a classifier for other inputs; most balance counts
            return False


def unfrozen(estimator):
    """The estimator in a ``FrozenEstimator``, or the estimator itself."""
    while isinstance(estimator, FrozenEstimator):
        estimator = estimator.estimator
    return estimator


def class_totals(y, classes, sample_weight=None):
    """Total weight of the samples of each class; their number where no weight is given.

    ``classes`` are sorted; all labels are among them.
    """
    weight = _check_sample_weight(sample_weight, y, ensure_non_negative=True)
    return np.bincount(np.searchsorted(classes, y), weights=weight, minlength=len(classes))


def weight_of_last_step(estimator, fit_params):
    """The ``sample_weight`` that ``estimator.fit(X, y, **fit_params)`` trains its classifier with.

    In a pipeline that is what the last step is given, or None; a search hands on what it gets.
    """
    while isinstance(estimator, (Pipeline, BaseSearchCV)):
        in_pipeline = isinstance(estimator, Pipeline)
        name, inner = estimator.steps[-1] if in_pipeline else ("estimator", estimator.estimator)
        if _routing_enabled():
            fit_params = process_routing(estimator, "fit", **fit_params)[name].fit
        elif in_pipeline:
            prefix = f"{name}__"
            fit_params = {
                key.removeprefix(prefix): value
                for key, value in fit_params.items()
                if key.startswith(prefix)
            }
        estimator = inner
    return fit_params.get("sample_weight")
