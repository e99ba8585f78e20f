"""Predicted distributions of scores: what to read off them, and their reweighting to the tail.

n rows of predictions. Two forms have the same methods: quantiles, and probabilities of bins.
"""

import numpy as np
from scipy.special import expit, logit

# Steps between neighboring predicted quantiles, in which they are interpolated.
_STEPS = 3

# Levels are no closer than this to 0 and 1, so that they have a logit.
_LEAST = 1e-12


class QuantileDistributions:
    r"""Distributions given by quantiles.

    Between neighboring quantiles the score is linear in the logit of the level; below the first and
    above the last there is nothing: the probability beyond sits on them.

    Parameters
    ----------
    quantiles : ndarray of shape (n, K)
        In any order: quantiles that cross are sorted, which only lowers their pinball loss.
    levels : ndarray of shape (K,)
        Increasing, in (0, 1).
    """

    def __init__(self, quantiles, levels):
        position = np.linspace(0, len(levels) - 1, _STEPS * (len(levels) - 1) + 1)
        below = np.minimum(position.astype(int), max(len(levels) - 2, 0))
        share = position - below
        above = np.minimum(below + 1, len(levels) - 1)
        quantiles = np.sort(quantiles, axis=1)
        self.values = (1 - share) * quantiles[:, below] + share * quantiles[:, above]
        logits = logit(levels)
        cdf = expit((1 - share) * logits[below] + share * logits[above])
        self.cdf = np.broadcast_to(cdf, self.values.shape)

    @classmethod
    def of_nodes(cls, values, cdf):
        """From scores (n, A), in order along a row, and the probabilities of at most these."""
        distributions = object.__new__(cls)
        distributions.values, distributions.cdf = values, np.clip(cdf, _LEAST, 1 - _LEAST)
        return distributions

    def reweighted(self, weigh):
        """The distributions with densities multiplied by a weight of the score.

        Parameters
        ----------
        weigh : callable
            From scores (..., A) to the logarithms of weights (..., A).

        Returns
        -------
        distributions : QuantileDistributions
        """
        log_weight = weigh(self.values)
        weight = np.exp(log_weight - log_weight.max(axis=1, keepdims=True))
        inner = np.diff(self.cdf, axis=1) * (weight[:, 1:] + weight[:, :-1]) / 2
        below, above = self.cdf[:, :1] * weight[:, :1], (1 - self.cdf[:, -1:]) * weight[:, -1:]
        cdf = np.cumsum(np.concatenate([below, inner], axis=1), axis=1)
        cdf = cdf / (cdf[:, -1:] + above)
        return self.of_nodes(self.values, cdf)

    def mean(self):
        """Expectations (n,)."""
        inner = np.diff(self.cdf, axis=1) * (self.values[:, 1:] + self.values[:, :-1]) / 2
        first, last = self.values[:, 0], self.values[:, -1]
        return self.cdf[:, 0] * first + inner.sum(axis=1) + (1 - self.cdf[:, -1]) * last

    def quantiles(self, levels):
        """Quantiles (n, L) at levels (L,)."""
        return _invert(self.values, logit(self.cdf), logit(levels))

    def cdf_at(self, scores):
        """Probabilities (n, S) of scores no higher than those given (S,)."""
        found = np.empty((len(self.values), len(scores)))
        position = logit(self.cdf)
        rows, last = np.arange(len(self.values)), self.values.shape[1] - 1
        for number, score in enumerate(scores):
            # Of nodes at the same score the last one counts.
            lower = np.count_nonzero(self.values <= score, axis=1) - 1
            upper = np.minimum(lower + 1, last)
            inside = np.maximum(lower, 0)
            low, high = self.values[rows, inside], self.values[rows, upper]
            share = np.clip((score - low) / np.where(high > low, high - low, 1), 0, 1)
            between = expit((1 - share) * position[rows, inside] + share * position[rows, upper])
            found[:, number] = np.where(lower < 0, 0, np.where(lower == last, 1, between))
        return found

    def bin_shares(self, centers):
        """Probabilities (n, K) of the scores nearest to each center (K,)."""
        edges = (centers[1:] + centers[:-1]) / 2
        return np.diff(self.cdf_at(edges), axis=1, prepend=0, append=1)


class BinDistributions:
    """Distributions given by the probabilities of bins.

    Parameters
    ----------
    probability : ndarray of shape (n, K)
    centers : ndarray of shape (K,)
        Increasing.
    """

    def __init__(self, probability, centers):
        self.probability = probability
        self.centers = centers

    def reweighted(self, weigh):
        """As of :class:`QuantileDistributions`."""
        with np.errstate(divide="ignore"):
            log_share = np.log(self.probability) + weigh(self.centers[None])
        share = np.exp(log_share - log_share.max(axis=1, keepdims=True))
        return BinDistributions(share / share.sum(axis=1, keepdims=True), self.centers)

    def bin_shares(self, centers):
        """Probabilities (n, K) of the bins, which are those of the centers (K,)."""
        return self.probability

    def mean(self):
        """Expectations (n,)."""
        return self.probability @ self.centers

    def quantiles(self, levels):
        """Quantiles (n, L) at levels (L,): half of a bin's probability lies below its center."""
        cdf = np.cumsum(self.probability, axis=1) - self.probability / 2
        return _invert(np.broadcast_to(self.centers, cdf.shape), cdf, levels)


def _invert(values, position, at):
    """Values at ``at`` (L,), linear between the positions (n, A), which do not fall, of theirs."""
    found = np.empty((len(values), len(at)))
    rows, last = np.arange(len(values)), values.shape[1] - 1
    for number, each in enumerate(at):
        above = np.count_nonzero(position < each, axis=1)
        lower, upper = np.clip(above - 1, 0, last), np.minimum(above, last)
        low, high = position[rows, lower], position[rows, upper]
        share = np.clip((each - low) / np.where(high > low, high - low, 1), 0, 1)
        found[:, number] = (1 - share) * values[rows, lower] + share * values[rows, upper]
    return found
