"""Bands of the predicted score in which a calibration holds by itself."""

import numpy as np

_ROWS_PER_BAND = 200
_MAX_BANDS = 10


def band_edges(scores, n_bands, min_rows):
    """Inner edges of bands of predicted scores with about equal numbers of rows.

    Equal scores stay in one band, and neighbors are merged until each has ``min_rows``.

    Parameters
    ----------
    scores : ndarray of shape (n,)
        Predicted scores of the held-out rows.
    n_bands : int or "auto"
        At most so many bands; ``"auto"``: 10, and as many as leave 200 rows to each.
    min_rows : int

    Returns
    -------
    ndarray of shape (n_bands - 1,)
    """
    if n_bands == "auto":
        n_bands = min(_MAX_BANDS, len(scores) // _ROWS_PER_BAND)
    edges, n_left = [], len(scores)
    for share in np.arange(1, n_bands) / n_bands:
        edge = np.quantile(scores, share, method="lower")
        n_above = np.count_nonzero(scores > edge)
        if n_left - n_above >= min_rows and n_above >= min_rows:
            edges.append(edge)
            n_left = n_above
    return np.array(edges)


def band_of(scores, edges):
    """Number of the band of each score; an edge belongs to the band below it."""
    return np.searchsorted(edges, scores)
