"""How far a metric may be off on other test rows and with other seeds, both at once.

A model that is trained S times with different seeds has the losses :math:`l_{si}` on test row i.
With fits and rows drawn independently of each other,

.. math:: l_{si} = \\mu + a_s + b_i + c_{si},

the mean over all of them has the variance
:math:`\\sigma_a^2 / S + \\sigma_b^2 / n + \\sigma_c^2 / (S n)`. The variance between the means of
the fits, divided by S, estimates the first and the third part. The bootstrap over rows of the mean
over fits estimates the second and the third; what resampling changes in each fit beyond what it
changes in their mean estimates the third alone, which is subtracted so as to count once. A
difference between two models adds up the parts of the fits of both, and their rows are resampled
together, since both are measured on the same ones.

Few fits tell little about the variance between seeds, so intervals are t intervals. The variance
between the fits of both models has one degree of freedom less than there are fits of the one that
has fewer: the conservative form of Welch's test, safe however unequal the two variances are. That
of rows has n - 1, and Satterthwaite's rule gives the degrees of freedom of their sum. With one fit
of each model this is the paired t-test over rows.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy import stats

_LARGEST_MARGIN = 300.0  # of a logarithm


class Measured(NamedTuple):
    """A metric of the fits of one model.

    Attributes
    ----------
    values : ndarray of shape (n_fits,)
        On the test rows.
    resampled : ndarray of shape (n_resamples, n_fits)
        On bootstrap resamples of them, the same for all models.
    """

    values: np.ndarray
    resampled: np.ndarray

    @property
    def mean(self):
        """Over the fits."""
        return float(self.values.mean())


class Error(NamedTuple):
    """Standard error of an estimate, and its degrees of freedom."""

    standard_error: float
    df: float

    def margin(self, confidence_level):
        """Half the width of the two-sided t interval."""
        if self.standard_error == 0:
            return 0.0
        return float(self.standard_error * stats.t.isf((1 - confidence_level) / 2, self.df))


def error_of_sum(terms, n_rows):
    """Error of a weighted sum of the means of independently trained models.

    Parameters
    ----------
    terms : list of (float, Measured)
        Weights and what they multiply.
    n_rows : int
        Test rows, two at least.

    Returns
    -------
    Error
    """
    of_fits, df_of_fits, of_rows, counted_twice = 0.0, np.inf, 0.0, 0.0
    for weight, measured in terms:
        values, resampled = weight * measured.values, weight * measured.resampled
        n_fits, mean = len(values), resampled.mean(axis=1)
        of_rows = of_rows + mean
        if n_fits > 1:
            of_fits += values.var(ddof=1) / n_fits
            df_of_fits = min(df_of_fits, n_fits - 1)
            beyond_mean = (resampled - mean[:, None]).var(axis=0, ddof=1).sum() / (n_fits - 1)
            counted_twice += beyond_mean / n_fits
    variance_of_rows = max(np.var(of_rows, ddof=1) - counted_twice, 0.0)
    # The bootstrap divides by n where an unbiased variance divides by n - 1.
    variance_of_rows *= n_rows / (n_rows - 1)
    variance = of_fits + variance_of_rows
    if variance == 0:
        return Error(0.0, np.inf)
    shares = ((of_fits / variance, df_of_fits), (variance_of_rows / variance, n_rows - 1))
    return Error(float(np.sqrt(variance)), 1 / sum(share**2 / df for share, df in shares))


def interval_of_mean(measured, n_rows, confidence_level, *, positive):
    """Interval (low, high) of the mean of a metric over fits and rows.

    Parameters
    ----------
    measured : Measured
    n_rows : int
    confidence_level : float
    positive : bool
        Whether the metric is an error, any number from 0 on, whose logarithm gets a symmetric
        interval; else it is a share, and its interval is cut off at 0 and 1.
    """
    mean = measured.mean
    if not positive:
        margin = error_of_sum([(1.0, measured)], n_rows).margin(confidence_level)
        return max(mean - margin, 0.0), min(mean + margin, 1.0)
    if mean == 0:
        return 0.0, 0.0
    factor = _as_factor(error_of_sum([(1 / mean, measured)], n_rows).margin(confidence_level))
    return mean / factor, mean * factor


def difference(measured, reference, n_rows, confidence_level):
    """Difference of two models' means: (value, low, high)."""
    value = measured.mean - reference.mean
    error = error_of_sum([(1.0, measured), (-1.0, reference)], n_rows)
    margin = error.margin(confidence_level)
    return value, value - margin, value + margin


def relative_change(measured, reference, n_rows, confidence_level):
    """Ratio of two models' mean errors, less one: (value, low, high); the reference makes some.

    The logarithm of the ratio has the interval: to first order it differs from that of other rows
    and fits by the difference of the relative deviations of both means. So where the ratio is the
    same on all rows and fits, the interval has no width.
    """
    if measured.mean == 0:
        return -1.0, -1.0, -1.0
    ratio = measured.mean / reference.mean
    terms = [(1 / measured.mean, measured), (-1 / reference.mean, reference)]
    factor = _as_factor(error_of_sum(terms, n_rows).margin(confidence_level))
    return ratio - 1, ratio / factor - 1, ratio * factor - 1


def _as_factor(margin):
    """What a margin of the logarithm multiplies and divides by; finite in any case."""
    return math.exp(min(margin, _LARGEST_MARGIN))
