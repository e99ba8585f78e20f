r"""Distributions of several heads as one: a mixture, with the weights that fit held-out rows best.

Distributions are piecewise linear: a row has nodes, scores in order with the probability of at most
that score, which rises from 0 to 1; two nodes at the same score are a jump. The continuous ranked
probability score of a mixture is then a quadratic form of its weights w, which sum to 1:

.. math:: \int \Big(\sum_h w_h F_h(x) - [y \le x]\Big)^2 dx = w^\top M w, \quad
    M_{gh} = \int (F_g(x) - [y \le x]) (F_h(x) - [y \le x]) dx

so that the best weights are found exactly. n rows, H heads.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls

from ltlearn.weighting._distributions import merge_nodes

# Rows whose nodes are merged at once.
_ROWS_AT_ONCE = 1024


class Nodes(NamedTuple):
    """Distribution functions, one a row: scores (n, A) in order, and their probabilities."""

    values: np.ndarray
    cdf: np.ndarray

    @classmethod
    def of(cls, distributions):
        """Of :class:`~ltlearn.weighting._distributions.QuantileDistributions`.

        What lies beyond the outermost quantiles sits on them.
        """
        values, cdf = distributions.values, distributions.cdf
        ends = np.zeros((len(values), 1))
        return cls(
            np.concatenate([values[:, :1], values, values[:, -1:]], axis=1),
            np.concatenate([ends, cdf, ends + 1], axis=1),
        )

    @classmethod
    def at(cls, scores):
        """All probability at one score a row (n,)."""
        values = np.repeat(np.asarray(scores, dtype=np.float64)[:, None], 2, axis=1)
        return cls(values, np.tile([0.0, 1.0], (len(values), 1)))

    def take(self, rows):
        """Those of some rows."""
        return Nodes(self.values[rows], self.cdf[rows])


def merge(parts):
    """All nodes of several distributions a row, and each distribution function there.

    Parameters
    ----------
    parts : list of Nodes
        H of them, of the same n rows.

    Returns
    -------
    values : ndarray of shape (n, T)
        In order.
    cdfs : ndarray of shape (H, n, T)
    """
    values, counts = merge_nodes([part.values for part in parts])
    cdfs = np.empty((len(parts), *values.shape))
    for number, (part, passed) in enumerate(zip(parts, counts, strict=True)):
        last = part.values.shape[1] - 1
        lower, upper = np.clip(passed - 1, 0, last), np.minimum(passed, last)
        low, high = (np.take_along_axis(part.values, index, axis=1) for index in (lower, upper))
        below, above = (np.take_along_axis(part.cdf, index, axis=1) for index in (lower, upper))
        width = high - low
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.where(width > 0, (values - low) / width, 0.0)
        between = below + np.clip(share, 0, 1) * (above - below)
        cdfs[number] = np.where(passed == 0, 0.0, np.where(passed > last, 1.0, between))
    return values, cdfs


def crps_matrix(parts, labels, weight=None):
    """M, the weighted mean over rows.

    Parameters
    ----------
    parts : list of Nodes
        Of the heads.
    labels : ndarray of shape (n,)
    weight : ndarray of shape (n,), default=None
        How much each row counts.

    Returns
    -------
    matrix : ndarray of shape (H, H)
        Positive semi-definite; a head's own loss is on the diagonal.
    """
    weight = np.full(len(labels), 1 / len(labels)) if weight is None else weight / weight.sum()
    matrix = np.zeros((len(parts), len(parts)))
    for start in range(0, len(labels), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        label = Nodes.at(labels[rows])
        values, cdfs = merge([*(part.take(rows) for part in parts), label])
        gaps = cdfs[:-1] - cdfs[-1]
        left, right = gaps[..., :-1], gaps[..., 1:]
        width = weight[rows, None] * np.diff(values, axis=1) / 6
        # Simpson's rule, which is exact for products of linear functions.
        halves = np.einsum("gnt,hnt->gh", (2 * left + right) * width, left)
        matrix += halves + np.einsum("gnt,hnt->gh", (left + 2 * right) * width, right)
    return (matrix + matrix.T) / 2


def best_weights(matrix):
    """Weights, not negative and of sum 1, that minimize the quadratic form of a matrix.

    The solution of non-negative least squares of the form and of (sum of w - 1)², scaled to the sum
    1: for the best scale of weights v of sum 1 that is q / (1 + q) with the form's value q at v.

    Parameters
    ----------
    matrix : ndarray of shape (H, H)
        Positive semi-definite.

    Returns
    -------
    weights : ndarray of shape (H,)
    """
    n_heads = len(matrix)
    largest = np.trace(matrix)
    if not largest > 0:  # all of them are always right
        return np.full(n_heads, 1 / n_heads)
    values, vectors = np.linalg.eigh(matrix / largest)
    root = np.sqrt(np.maximum(values, 0))[:, None] * vectors.T
    weights, _ = nnls(np.vstack([root, np.ones(n_heads)]), np.append(np.zeros(n_heads), 1.0))
    return weights / weights.sum()


def pool(parts, weights):
    """The mixture of distributions, one a row, as :class:`Nodes`."""
    if len(parts) == 1:
        return parts[0]
    values, cdfs = merge(parts)
    return Nodes(values, np.tensordot(weights, cdfs, 1))
