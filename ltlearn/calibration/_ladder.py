"""Nested intervals around a prediction, and how far out of them a label lies.

A ladder gives every row intervals that grow from rung to rung. Its first rung is a point; between
rungs both ends move in a straight line, and beyond the last one they move outward by the same
amount. So a single number, the height, names an interval of every row, and the height at which a
row's interval first reaches its label is that row's conformity score [1]_.

For predicted quantiles the rungs are central intervals: up to the last rung a height is a level of
coverage, less that of the last rung, as in distributional conformal prediction [2]_; beyond it the
distance from the outermost quantiles, as in conformalized quantile regression [3]_. For a mere
prediction the only rung is the point, and the score the absolute residual.

References
----------
.. [1] C. Gupta, A. K. Kuchibhotla and A. Ramdas, "Nested Conformal Prediction and Quantile
   Out-of-Bag Ensemble Methods", Pattern Recognition 127, 2022.
.. [2] V. Chernozhukov, K. Wüthrich and Y. Zhu, "Distributional Conformal Prediction", PNAS 118,
   2021.
.. [3] Y. Romano, E. Patterson and E. Candès, "Conformalized Quantile Regression", NeurIPS 2019.
"""

from typing import NamedTuple

import numpy as np

from ltlearn.calibration._predictive import quantiles

_COVERAGES = np.r_[0.0:0.91:0.1, 0.95, 0.98, 0.99, 0.995]


class Ladder(NamedTuple):
    """Nested intervals of rows.

    Attributes
    ----------
    coverages : ndarray of shape (n_rungs,)
        Increasing from 0; what the rungs are meant to cover.
    lower, upper : ndarray of shape (n_rows, n_rungs)
    """

    coverages: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    @classmethod
    def from_predictions(cls, predicted):
        return cls(np.zeros(1), predicted[:, None], predicted[:, None])

    @classmethod
    def from_quantiles(cls, estimator, X):
        levels = np.concatenate([(1 - _COVERAGES[:0:-1]) / 2, (1 + _COVERAGES) / 2])
        values = quantiles(estimator, X, levels)
        n_rungs = len(_COVERAGES)
        return cls(_COVERAGES, values[:, n_rungs - 1 :: -1], values[:, n_rungs - 1 :])

    def take(self, rows):
        """The ladder of some of the rows."""
        return Ladder(self.coverages, self.lower[rows], self.upper[rows])

    @property
    def heights(self):
        """Heights of the rungs, the last of which is 0."""
        return self.coverages - self.coverages[-1]

    def scores(self, y):
        """Height at which the interval of each row reaches its label (n_rows,)."""
        is_below = y[:, None] < self.lower
        n_missing = np.count_nonzero(is_below | (y[:, None] > self.upper), axis=1)
        scores = np.maximum(self.lower[:, -1] - y, y - self.upper[:, -1])
        scores[n_missing == 0] = self.heights[0]
        rows = np.flatnonzero((n_missing > 0) & (n_missing < len(self.coverages)))
        rung = n_missing[rows] - 1  # the last one that misses the label
        is_below = is_below[rows, rung]
        start, end = (
            np.where(is_below, self.lower[rows, at], self.upper[rows, at])
            for at in (rung, rung + 1)
        )
        step = np.diff(self.heights)[rung]
        scores[rows] = self.heights[rung] + step * (y[rows] - start) / (end - start)
        return scores

    def ends(self, heights):
        """Intervals of every row at every one of the heights, lower and upper (n_rows, m)."""
        if len(self.coverages) == 1:
            return self.lower - heights, self.upper + heights
        beyond = np.maximum(heights, 0)
        rung = np.searchsorted(self.heights[1:-1], heights, side="right")
        share = (heights - beyond - self.heights[rung]) / np.diff(self.heights)[rung]
        lower, upper = (
            (1 - share) * ends[:, rung] + share * ends[:, rung + 1]
            for ends in (self.lower, self.upper)
        )
        return lower - beyond, upper + beyond
