"""The dial: how much a predicted distribution is turned to rare scores."""

import numpy as np

from ltlearn.weighting._density import binned_density, is_constant


class TailWeights:
    r"""Weights that make up for the density of the training labels.

    .. math:: w(y) = \min\big(p_{\max} / p(y),\ r\big)^{\alpha}

    with the smoothed density p of :func:`ltlearn.weighting.label_density` and its largest value at
    a label. Scores beyond the range of the labels count as its nearer end.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Training labels.
    weight : ndarray of shape (n,), default=None
        How much each of them counts.
    max_ratio : float, default=200.0
        r.
    """

    def __init__(self, y, weight=None, max_ratio=200.0):
        self.max_ratio = max_ratio
        if is_constant(y):
            self.grid, self.density, self.most = np.array([y[0]]), np.ones(1), 1.0
            return
        binned = binned_density(y, weight=weight)
        edges = np.ldexp(binned.edges, binned.exponent)
        self.density, self.grid = binned.density, edges[:-1] + (edges[1:] - edges[:-1]) / 2
        self.most = np.interp(y, self.grid, self.density).max()

    def log_weight(self, scores, tail):
        """Logarithms of the weights of scores (any shape), to the exponent ``tail``."""
        density = np.interp(scores, self.grid, self.density)
        return tail * np.log(self.most / np.maximum(density, self.most / self.max_ratio))
