"""Predicted distribution functions of rows, linear between knots."""

from typing import NamedTuple

import numpy as np
from sklearn.utils import check_array

from ltlearn.calibration._predictive import LEVELS, ask, can, quantiles
from ltlearn.utils._fitted import find_fitted


class PredictedCDF(NamedTuple):
    """One distribution function a row.

    Attributes
    ----------
    values : ndarray of shape (n_rows, n_knots)
        Scores, increasing along a row.
    levels : ndarray of shape (n_rows, n_knots)
        Probability of at most that score.
    """

    values: np.ndarray
    levels: np.ndarray

    @classmethod
    def of(cls, estimator, X):
        """From predicted quantiles or, where there are none, from predicted bins."""
        if can(estimator, "predict_quantiles"):
            values = quantiles(estimator, X, LEVELS)
            return cls(values, np.broadcast_to(LEVELS, values.shape))
        edges = bin_edges(bin_centers(estimator))
        shares = check_array(
            ask(estimator, "predict_distribution", X),
            dtype=np.float64,
            input_name=f"predict_distribution of {type(estimator).__name__}",
        )
        levels = np.cumsum(shares, axis=1) / np.sum(shares, axis=1, keepdims=True)
        levels = np.column_stack([np.zeros(len(levels)), levels[:, :-1], np.ones(len(levels))])
        return cls(np.broadcast_to(edges, levels.shape), levels)

    def at(self, scores):
        """Levels (n_rows, m) of scores (n_rows, m): 0 below the first knot, 1 above the last."""
        return np.array(
            [
                np.interp(row, values, levels, left=0.0, right=1.0)
                for row, values, levels in zip(scores, *self, strict=True)
            ]
        )

    def inverse(self, wanted):
        """Scores (n_rows, m) at levels (n_rows, m), within the knots."""
        return np.array(
            [
                np.interp(row, levels, values)
                for row, values, levels in zip(wanted, *self, strict=True)
            ]
        )


def is_available(estimator):
    """Whether a fitted estimator predicts quantiles, or distributions over known bins."""
    if can(estimator, "predict_quantiles"):
        return True
    return can(estimator, "predict_distribution") and bin_centers(estimator) is not None


def bin_centers(estimator):
    """Scores of the bins of the fitted estimator, or None if it has no bins."""
    fitted = find_fitted(estimator, "bin_centers_")
    return None if fitted is None else fitted.bin_centers_


def bin_edges(centers):
    """Edges of bins: halfway between centers, and the outermost centers themselves.

    A score between two centers counts for both by its nearness, so that none counts for the
    outermost ones from beyond them.
    """
    return np.r_[centers[0], (centers[1:] + centers[:-1]) / 2, centers[-1]]
