"""Scores at balanced classes of any fitted classifier."""

import numpy as np

from ltlearn.stacking._tuned import TunedHead
from ltlearn.weighting._factors import center, with_unknown
from ltlearn.weighting._floors import SMALLEST_PROBABILITY, probability_floor, raise_to_floor
from ltlearn.weighting._prior import prediction_prior


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
    prior = prediction_prior(classifier, classifier.classes_, totals[columns])
    prior = np.maximum(prior, SMALLEST_PROBABILITY)
    floored = raise_to_floor(proba, prior, probability_floor(classifier))
    return center(with_unknown(np.log(floored) - np.log(prior), columns, len(classes)))
