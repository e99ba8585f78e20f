"""The least that a predicted probability can stand for."""

import numpy as np
from sklearn.ensemble import BaggingClassifier, ExtraTreesClassifier, RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier

from ltlearn.utils._fitted import find_fitted
from ltlearn.weighting._prior import unfrozen

SMALLEST_PROBABILITY = 1e-7  # about the resolution of single precision


def probability_floor(estimator):
    """The least probability that a fitted classifier can tell from none.

    One over the number of votes for classifiers that count votes (of trees, bagged estimators or
    neighbors), the resolution of single precision for all others.
    """
    voting = unfrozen(find_fitted(estimator, "estimators_"))
    if isinstance(voting, (RandomForestClassifier, ExtraTreesClassifier, BaggingClassifier)):
        return 1 / len(voting.estimators_)
    voting = unfrozen(find_fitted(estimator, "n_neighbors"))
    if isinstance(voting, KNeighborsClassifier):
        return 1 / voting.n_neighbors
    return SMALLEST_PROBABILITY


def raise_to_floor(proba, prior, floor):
    """Probabilities of at least ``min(floor, prior)``; rows sum to 1 again.

    Beyond its prior no class is lifted, since a class that got no vote at all would win against
    those that did when it is rare: ``floor / prior`` may exceed every ``proba / prior``.
    """
    proba = np.maximum(proba, np.minimum(floor, prior))
    return proba / proba.sum(axis=1, keepdims=True)
