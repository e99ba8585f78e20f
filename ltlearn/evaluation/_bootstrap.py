"""Paired bootstrap over test rows."""

import numpy as np


def bootstrap(statistic, n_rows, n_resamples, rng):
    """Values of a statistic on resampled rows.

    Parameters
    ----------
    statistic : callable
        Maps row numbers, with repetitions, to an array (n_models,). All models are measured on
        the same rows, which pairs them.
    n_rows : int
    n_resamples : int
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of shape (n_resamples, n_models)
    """
    return np.array([statistic(rng.integers(n_rows, size=n_rows)) for _ in range(n_resamples)])


def interval(values, confidence_level):
    """Percentile interval (low, high) of bootstrap values."""
    tail = 50 * (1 - confidence_level)
    low, high = np.percentile(values, [tail, 100 - tail])
    return float(low), float(high)


def mean_by_model(losses):
    """Statistic: the mean of each column of losses (n_rows, n_models)."""
    return lambda rows: losses[rows].mean(axis=0)


def class_mean_by_model(hits, classes):
    """Statistic: the mean over classes of the mean of hits (n_rows, n_models) in each class."""
    _, codes = np.unique(classes, return_inverse=True)

    def statistic(rows):
        counts = np.bincount(codes[rows])
        present = counts > 0
        recalls = [
            np.bincount(codes[rows], weights=column)[present] / counts[present]
            for column in hits[rows].T
        ]
        return np.mean(recalls, axis=1)

    return statistic
