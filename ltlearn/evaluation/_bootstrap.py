"""Paired bootstrap over test rows."""

import numpy as np


def bootstrap(statistic, n_rows, n_resamples, rng):
    """Values of a statistic on resampled rows.

    Parameters
    ----------
    statistic : callable
        Maps how often each row counts, an array (n_rows,), to an array (n_fits,). All fits are
        measured on the same rows, which pairs them.
    n_rows : int
    n_resamples : int
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of shape (n_resamples, n_fits)
    """
    return np.array(
        [
            statistic(np.bincount(rng.integers(n_rows, size=n_rows), minlength=n_rows))
            for _ in range(n_resamples)
        ]
    )


def mean_by_fit(losses):
    """Statistic: the mean of each column of losses (n_rows, n_fits)."""
    return lambda counts: counts @ losses / counts.sum()


def class_mean_by_fit(hits, classes):
    """Statistic: the mean over classes of the mean of hits (n_rows, n_fits) in each class."""
    order = np.argsort(classes, kind="stable")
    _, starts = np.unique(np.asarray(classes)[order], return_index=True)
    sorted_hits = np.asarray(hits, dtype=np.float64)[order]

    def statistic(counts):
        counts = counts[order]
        totals = np.add.reduceat(counts, starts)
        present = totals > 0
        sums = np.add.reduceat(counts[:, None] * sorted_hits, starts, axis=0)
        return np.mean(sums[present] / totals[present, None], axis=0)

    return statistic
