"""Scores at balanced classes of any fitted classifier."""

import numpy as np
from sklearn.ensemble import BaggingClassifier, ExtraTreesClassifier, RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline

from ltlearn.stacking._tuned import TunedHead
from ltlearn.weighting._factors import center
from ltlearn.weighting._prior import prediction_prior

_VOTERS = (BaggingClassifier, ExtraTreesClassifier, RandomForestClassifier)
_SMALLEST_PROBABILITY = 1e-7  # what float32 can tell from 1


def smallest_probability(classifier):
    """The least that a predicted probability of 0 stands for.

    The mean of the votes of 300 trees can be 0 for a class that deserves a thousandth: it is taken
    for one vote. Other classifiers' zeros are taken for rounding.
    """
    while isinstance(classifier, Pipeline):
        classifier = classifier.steps[-1][1]
    if isinstance(classifier, _VOTERS):
        return 1 / len(classifier.estimators_)
    if isinstance(classifier, KNeighborsClassifier):
        return 1 / classifier.n_neighbors
    return _SMALLEST_PROBABILITY


def balanced_scores(classifier, X, classes, totals):
    """Log probabilities at balanced classes, up to a number for each row.

    Parameters
    ----------
    classifier : fitted classifier
    X : array-like of n rows
    classes : ndarray of shape (K,)
        A class that the classifier does not know gets the lowest score of the row.
    totals : ndarray of shape (K,)
        Number, or weight, of the rows of each class that the classifier was fitted to.

    Returns
    -------
    scores : ndarray of shape (n, K)
    """
    if isinstance(classifier, TunedHead):
        return classifier._balanced_scores(X)
    columns = np.searchsorted(classes, classifier.classes_)
    proba = np.asarray(classifier.predict_proba(X), dtype=np.float64)
    floor = smallest_probability(classifier)
    prior = prediction_prior(classifier, classifier.classes_, totals[columns])
    # A class is not lifted beyond its prior: else one without a vote could win for being rare.
    prior = np.maximum(prior, _SMALLEST_PROBABILITY)
    known = np.log(np.maximum(proba, np.minimum(floor, prior))) - np.log(prior)
    scores = np.repeat(known.min(axis=1, keepdims=True), len(classes), axis=1)
    scores[:, columns] = known
    return center(scores)
