"""Shares of rows and their differences, with intervals."""

from typing import NamedTuple

import numpy as np
from scipy.stats import beta, norm


class Share(NamedTuple):
    """An estimated share and its interval."""

    value: float
    low: float
    high: float


def counted(n_hits, n_rows, confidence_level):
    """The share of hits among rows, with Wilson's interval."""
    z = norm.ppf((1 + confidence_level) / 2)
    share = n_hits / n_rows
    center = (share + z**2 / (2 * n_rows)) / (1 + z**2 / n_rows)
    half = z * np.sqrt(share * (1 - share) / n_rows + z**2 / (4 * n_rows**2)) / (1 + z**2 / n_rows)
    # Exact ends where rounding would cross the share.
    return Share(share, min(center - half, share), max(center + half, share))


def beyond_extremes(n_extremes, n_rows, confidence_level):
    """Share of further rows beyond extremes of the first ones, such as their least and greatest.

    Of rows from one continuous distribution it follows Beta(k, n + 1 - k) with k extremes.
    """
    n_extremes = min(n_extremes, n_rows)
    tail = (1 - confidence_level) / 2
    low, high = beta.ppf([tail, 1 - tail], n_extremes, n_rows + 1 - n_extremes)
    return Share(n_extremes / (n_rows + 1), float(low), float(high))


def difference(new, reference):
    """``new - reference`` with its interval from both (Newcombe's hybrid of score intervals).

    R. G. Newcombe, "Interval Estimation for the Difference between Independent Proportions",
    Statistics in Medicine 17, 1998, method 10.
    """
    value = new.value - reference.value
    down = np.hypot(new.value - new.low, reference.high - reference.value)
    up = np.hypot(new.high - new.value, reference.value - reference.low)
    return Share(value, float(value - down), float(value + up))
