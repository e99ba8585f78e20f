"""Predicted distributions of scores: what to read off them, and their reweighting to the tail.

n rows of predictions. Three forms have the same methods: quantiles, probabilities of bins, and
mixtures of such.
"""

import numpy as np
from scipy.special import expit, logit

# Steps between neighboring predicted quantiles, in which they are interpolated.
_STEPS = 3

# Nodes of mixtures, of several rows, that are merged at once.
_NODES_AT_ONCE = 2**20

# Levels are no closer than this to 0 and 1, so that they have a logit.
_LEAST = 1e-12


def merge_nodes(parts):
    """Nodes of several distributions a row in one order.

    Parameters
    ----------
    parts : list of ndarray of shape (n, A)
        Scores, in order along a row; each part may have a number A of its own.

    Returns
    -------
    values : ndarray of shape (n, T)
        All of them in order.
    passed : iterator of ndarray of shape (n, T)
        For each part, how many of its own nodes come up to there.
    """
    owner = np.repeat(np.arange(len(parts)), [part.shape[1] for part in parts])
    values = np.concatenate(parts, axis=1)
    order = np.argsort(values, axis=1, kind="stable")
    owner = owner[order]
    passed = (np.cumsum(owner == number, axis=1) for number in range(len(parts)))
    return np.take_along_axis(values, order, axis=1), passed


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

    def mean(self):
        """Expectations (n,)."""
        return self.probability @ self.centers

    def quantiles(self, levels):
        """Quantiles (n, L) at levels (L,): half of a bin's probability lies below its center."""
        cdf = np.cumsum(self.probability, axis=1) - self.probability / 2
        return _invert(np.broadcast_to(self.centers, cdf.shape), cdf, levels)


class QuantileMixtures:
    """Mixtures, in equal shares, of distributions given by quantiles.

    Parameters
    ----------
    parts : list of QuantileDistributions
        Of the same n rows.
    """

    def __init__(self, parts):
        self.parts = parts

    def reweighted(self, weigh):
        """As of :class:`QuantileDistributions`, of every part."""
        return QuantileMixtures([part.reweighted(weigh) for part in self.parts])

    def mean(self):
        """Expectations (n,)."""
        return np.mean([part.mean() for part in self.parts], axis=0)

    def quantiles(self, levels):
        """Quantiles (n, L) at levels (L,): of the mean of the distribution functions.

        These are worked out at the nodes of all parts, between which the mean is interpolated.
        """
        step = max(1, _NODES_AT_ONCE // sum(part.values.shape[1] for part in self.parts))
        starts = range(0, len(self.parts[0].values), step)
        return np.concatenate([self._quantiles(slice(at, at + step), levels) for at in starts])

    def _quantiles(self, rows, levels):
        # A part has nothing below its first node and all below its last one.
        ends = [(0, 0), (1, 1)]
        nodes = [np.pad(part.values[rows], ends, mode="edge") for part in self.parts]
        steps = [np.pad(part.cdf[rows], ends, constant_values=(0, 1)) for part in self.parts]
        values, passed = merge_nodes(nodes)
        cdf = np.zeros_like(values)
        for own, step, up_to in zip(nodes, steps, passed, strict=True):
            cdf += _between(own, logit(np.clip(step, _LEAST, 1 - _LEAST)), up_to - 1, values)
        cdf /= len(self.parts)
        return _invert(values, logit(np.clip(cdf, _LEAST, 1 - _LEAST)), logit(levels))

    def cdf_at(self, scores):
        """Probabilities (n, S) of scores no higher than those given (S,)."""
        return np.mean([part.cdf_at(scores) for part in self.parts], axis=0)


class BinMixtures(BinDistributions):
    """Mixtures, in equal shares, of distributions given by the probabilities of bins.

    Parameters
    ----------
    parts : list of BinDistributions
        Of the same n rows; they may have bins of their own.
    centers : ndarray of shape (K,)
        Increasing; no center of a part lies beyond them. The probability of a bin between two of
        them is shared so that expectations stay.
    """

    def __init__(self, parts, centers):
        self.parts = parts
        shares = [
            part.probability
            if np.array_equal(part.centers, centers)
            else part.probability @ _shared_by_neighbors(part.centers, centers)
            for part in parts
        ]
        super().__init__(np.mean(shares, axis=0), centers)

    def reweighted(self, weigh):
        """As of :class:`QuantileDistributions`, of every part."""
        return BinMixtures([part.reweighted(weigh) for part in self.parts], self.centers)


def mix(parts, centers):
    """The mixture, in equal shares, of distributions of the same n rows.

    Parameters
    ----------
    parts : list of QuantileDistributions or of BinDistributions
    centers : ndarray of shape (K,)
        Of the bins of the mixture, where there are bins.

    Returns
    -------
    mixture : QuantileMixtures or BinMixtures
    """
    if isinstance(parts[0], QuantileDistributions):
        return QuantileMixtures(parts)
    return BinMixtures(parts, centers)


def _shared_by_neighbors(centers, others):
    """Shares (K, L) that the other centers (L,) have in scores at the centers (K,)."""
    return np.stack([np.interp(centers, others, unit) for unit in np.eye(len(others))], axis=1)


def _between(nodes, position, below, values):
    """Distribution functions (n, A) at ``values``, from the node (n, K) at or below each."""
    above = np.minimum(below + 1, nodes.shape[1] - 1)
    below = np.maximum(below, 0)  # values below the first node get its step from nothing
    low, high = (np.take_along_axis(nodes, at, axis=1) for at in (below, above))
    first, second = (np.take_along_axis(position, at, axis=1) for at in (below, above))
    share = np.clip((values - low) / np.where(high > low, high - low, 1), 0, 1)
    return expit((1 - share) * first + share * second)


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
