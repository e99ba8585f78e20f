"""The dial of a fitted estimator: where it is, copies with it turned, predictions at many settings.

The dial is one number t. Regressors multiply the density of what they predict by that of the
training labels to the power -t (their parameter ``tail``), classifiers the probabilities of the
classes by their training shares to the power -t (by their parameter ``prior``, or ``tau`` of a
:class:`~ltlearn.calibration.LogitAdjuster`). It may lie inside pipelines, searches, frozen
estimators and transformed targets.
"""

import numpy as np
from sklearn.base import is_classifier
from sklearn.compose import TransformedTargetRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from ltlearn.calibration._logit_adjuster import LogitAdjuster, adjust_proba
from ltlearn.utils._compat import BaseSearchCV


def has_dial(estimator):
    """Whether the estimator, fitted or not, or one inside its wrappers, has a dial."""
    wrapped = _wrapped(estimator)
    if wrapped is not None:
        return has_dial(wrapped[0])
    if is_classifier(estimator):
        has_prior = hasattr(estimator, "prior") and hasattr(type(estimator), "prediction_prior_")
        return has_prior or isinstance(estimator, LogitAdjuster)
    return hasattr(estimator, "tail") and hasattr(estimator, "prediction")


def can_be_turned(fitted):
    """Whether a fitted estimator has a dial and, as a regressor, distributions that it turns."""
    wrapped = _wrapped(fitted)
    if wrapped is not None:
        return can_be_turned(wrapped[0])
    return has_dial(fitted) and (is_classifier(fitted) or hasattr(fitted, "predict_quantiles"))


def turned(estimator, tail, prediction=None):
    """A copy of a fitted estimator with its dial at ``tail``; it shares all that was fitted.

    Regressors may also be set to another ``prediction``; None leaves both as they are.
    """
    wrapped = _wrapped(estimator)
    if wrapped is not None:
        inner, wrap = wrapped
        return wrap(turned(inner, tail, prediction))
    if isinstance(estimator, LogitAdjuster):
        return _copy(estimator, tau=tail, tau_=float(tail))
    if is_classifier(estimator):
        return _copy(estimator, prior=class_shares(estimator, tail))
    asked = {"tail": tail, "prediction": prediction}
    return _copy(estimator, **{name: value for name, value in asked.items() if value is not None})


def scores_at(regressor, X, settings):
    """Predicted scores (n, n_settings) at pairs of tail and prediction; None is as they are.

    One pass over X gives all, but where targets are transformed: there each takes one.
    """
    inner, inner_X = descend(regressor, X)
    if hasattr(inner, "_predict_at"):
        return inner._predict_at(inner_X, settings)
    columns = [turned(inner, *setting).predict(inner_X) for setting in settings]
    return np.stack([np.reshape(column, len(column)) for column in columns], axis=1)


def classes_at(classifier, X, tails):
    """Predicted classes (n, n_tails), all from one pass over X.

    Of several members, whose probabilities are averaged after their adjustment, each takes one.
    """
    inner, X = descend(classifier, X)
    if len(getattr(inner, "_members", [inner])) > 1:
        return np.stack([turned(inner, tail).predict(X) for tail in tails], axis=1)
    if isinstance(inner, LogitAdjuster):
        proba = np.asarray(inner.estimator_.predict_proba(X))
        adjusted = [inner._adjust(proba, tail) for tail in tails]
    else:
        proba = np.asarray(turned(inner, 0.0).predict_proba(X), dtype=np.float64)
        proba /= proba.sum(axis=1, keepdims=True)
        adjusted = [adjust_proba(proba, class_shares(inner, 0.0), tau=tail) for tail in tails]
    return np.stack([inner.classes_[each.argmax(axis=1)] for each in adjusted], axis=1)


def class_shares(classifier, tail):
    """Class shares that a fitted classifier predicts at, with its dial at ``tail``."""
    wrapped = _wrapped(classifier)
    if wrapped is not None:
        return class_shares(wrapped[0], tail)
    if isinstance(classifier, LogitAdjuster):
        return adjust_proba([classifier.class_prior_], classifier.class_prior_, tau=tail)[0]
    train, even = (
        _copy(classifier, prior=name).prediction_prior_ for name in ("train", "balanced")
    )
    # Weights of the classes, if there are any, are in both; classes of weight 0 count as rare.
    share = np.divide(train, even, out=np.full(len(train), np.nan), where=even > 0)
    log_share = (1 - tail) * np.log(np.where(np.isnan(share), np.nanmin(share), share))
    share = np.exp(log_share - log_share.max())
    return share / share.sum()


def descend(estimator, X):
    """The estimator inside wrappers that change X at most, and X as it arrives there."""
    while not isinstance(estimator, TransformedTargetRegressor):
        wrapped = _wrapped(estimator)
        if wrapped is None:
            break
        if isinstance(estimator, Pipeline) and len(estimator) > 1:
            X = estimator[:-1].transform(X)
        estimator, _ = wrapped
    return estimator, X


def _wrapped(estimator):
    """The estimator that a wrapper predicts with, and a function that wraps another; or None."""
    if isinstance(estimator, Pipeline):
        *steps, (name, inner) = estimator.steps
        return inner, lambda other: _copy(estimator, steps=[*steps, (name, other)])
    if isinstance(estimator, FrozenEstimator):
        return estimator.estimator, lambda other: _copy(estimator, estimator=other)
    if isinstance(estimator, BaseSearchCV):
        attribute = "best_estimator_" if hasattr(estimator, "best_estimator_") else "estimator"
    elif isinstance(estimator, TransformedTargetRegressor):
        attribute = "regressor_" if hasattr(estimator, "regressor_") else "regressor"
    elif hasattr(estimator, "tail_"):  # a search of ltlearn that has chosen the setting
        attribute = "estimator_"
    else:
        return None
    inner = getattr(estimator, attribute)
    return None if inner is None else (inner, lambda other: _copy(estimator, **{attribute: other}))


def _copy(estimator, /, **attributes):
    """A shallow copy with other attributes."""
    copied = object.__new__(type(estimator))
    vars(copied).update(vars(estimator), **attributes)
    return copied
