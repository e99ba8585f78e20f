"""What every stack does alike: folds, predictions of held-out rows, refits on all rows.

A head is asked through functions: one that takes the numbers of the training and of the held-out
rows and returns predictions of the latter, and one without arguments that returns the head fitted
to all rows. What predictions are is the stack's affair: scores of classes, quantiles of a number.
"""

from typing import NamedTuple

import numpy as np
from sklearn.utils.parallel import Parallel, delayed


class HeldOut(NamedTuple):
    """Predictions of the rows that were held out, in the order of their numbers."""

    rows: np.ndarray  # (m,) numbers of the rows, each once
    fold: np.ndarray  # (m,) in which fold each was held out
    predictions: dict  # what each head returned for each of its settings: a list of (m, ...)


def predict_held_out(heads, folds, *, n_jobs=None):
    """Predictions of held-out rows by heads fitted to the other rows.

    Parameters
    ----------
    heads : dict of str to callable
        Called with the row numbers ``(train, test)``; returns a list of arrays (len(test), ...),
        one for each setting that the head tries.
    folds : list of (ndarray, ndarray)
        Row numbers to train on and to hold out; a row is held out at most once.
    n_jobs : int, default=None
        Heads and folds fitted at the same time.

    Returns
    -------
    held_out : HeldOut

    Raises
    ------
    ValueError
        When a row is held out twice.
    """
    rows = np.concatenate([test for _, test in folds])
    if len(np.unique(rows)) < len(rows):
        raise ValueError(
            "cv holds some rows out more than once: a stack needs folds that do not overlap, such "
            "as those of StratifiedKFold, not repeated or random splits."
        )
    order = np.argsort(rows)
    fold = np.repeat(np.arange(len(folds)), [len(test) for _, test in folds])
    outputs = Parallel(n_jobs=n_jobs)(
        delayed(head)(train, test) for head in heads.values() for train, test in folds
    )
    predictions = {}
    for number, name in enumerate(heads):
        of_folds = outputs[number * len(folds) : (number + 1) * len(folds)]
        predictions[name] = [np.concatenate(parts)[order] for parts in zip(*of_folds, strict=True)]
    return HeldOut(rows[order], fold[order], predictions)


def fit_all(heads, *, n_jobs=None):
    """Fit every head to all rows.

    Parameters
    ----------
    heads : dict of str to callable
        Each returns the fitted head.
    n_jobs : int, default=None
        Heads fitted at the same time.

    Returns
    -------
    fitted : dict of str to object
    """
    return dict(
        zip(heads, Parallel(n_jobs=n_jobs)(delayed(f)() for f in heads.values()), strict=True)
    )
