"""Metrics of continuous labels, overall and along the label axis.

Every metric takes labels and predictions as (n_samples,) or as distributions over score bins
(n_samples, n_bins), which stand for their expected scores with bins scored 1, 2, ..., n_bins.
"""

import warnings
from collections.abc import Sequence
from numbers import Integral, Real

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import mean_absolute_error, mean_squared_error

from ltlearn.metrics._bands import LabelBands, warn_about_empty_bands
from ltlearn.metrics._scores import as_scores, check_distributions
from ltlearn.utils._checks import (
    MAX_BINS,
    check_range,
    check_same_length,
    check_weights,
    scaled_by_power,
)
from ltlearn.utils._compat import Interval, validate_params

# SciPy warns that a correlation is inaccurate below 1e-13 of the mean; below this it is rounding.
_NEAR_CONSTANT = 1e-11

_PREDICTIONS = {"y_true": ["array-like"], "y_pred": ["array-like"]}
_WEIGHTED = {**_PREDICTIONS, "sample_weight": ["array-like", None]}


def _check_predictions(y_true, y_pred, sample_weight=None):
    y_true, y_pred = as_scores(y_true, "y_true"), as_scores(y_pred, "y_pred")
    check_same_length(y_true=y_true, y_pred=y_pred)
    return y_true, y_pred, check_weights(sample_weight, y_true)


def _is_near_constant(values):
    deviation = np.max(np.abs(values - np.mean(values)))
    return deviation <= _NEAR_CONSTANT * np.max(np.abs(values))


@validate_params(_PREDICTIONS, prefer_skip_nested_validation=True)
def srcc(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Spearman rank correlation coefficient.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_bins)
        Labels or score distributions.
    y_pred : array-like of shape (n_samples,) or (n_samples, n_bins)
        Predictions of either form.

    Returns
    -------
    correlation : float
        In [-1, 1]. 0.0 when the labels or the predictions are constant, or there is one sample:
        nothing was ranked.

    Examples
    --------
    >>> from ltlearn.metrics import srcc
    >>> srcc([1, 2, 3, 4], [10, 20, 30, 5000])
    1.0
    """
    y_true, y_pred, _ = _check_predictions(y_true, y_pred)
    return _correlation(stats.rankdata(y_true), stats.rankdata(y_pred))


@validate_params(_PREDICTIONS, prefer_skip_nested_validation=True)
def plcc(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Pearson linear correlation coefficient.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_bins)
        Labels or score distributions.
    y_pred : array-like of shape (n_samples,) or (n_samples, n_bins)
        Predictions of either form.

    Returns
    -------
    correlation : float
        In [-1, 1]. 0.0 when the labels or the predictions are constant up to rounding, or there
        is one sample.

    Examples
    --------
    >>> from ltlearn.metrics import plcc
    >>> round(plcc([1, 2, 3, 4], [10, 20, 30, 5000]), 2)
    0.78
    """
    y_true, y_pred, _ = _check_predictions(y_true, y_pred)
    return _correlation(y_true, y_pred)


def _correlation(a, b):
    if _is_near_constant(a) or _is_near_constant(b):
        return 0.0
    a, _ = scaled_by_power(a)
    b, _ = scaled_by_power(b)
    return float(stats.pearsonr(a, b).statistic)


@validate_params(
    {**_WEIGHTED, "r": [Interval(Real, 0.01, None, closed="left")]},
    prefer_skip_nested_validation=True,
)
def emd(
    y_true: ArrayLike, y_pred: ArrayLike, *, r: float = 2, sample_weight: ArrayLike | None = None
) -> float:
    """Earth mover's distance between distributions over score bins.

    ``mean_i ( mean_k |CDF_pred,ik - CDF_true,ik| ** r ) ** (1 / r)`` [1]_.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples, n_bins)
        Non-negative; each row is divided by its sum.
    r : float, default=2
        At least 0.01. 2 penalizes the Euclidean distance of the cumulative distributions.
    sample_weight : array-like of shape (n_samples,), default=None
        Sample weights.

    Returns
    -------
    distance : float
        In [0, 1].

    Raises
    ------
    ValueError
        When the shapes differ, a share is negative or a row sums to zero.

    References
    ----------
    .. [1] H. Talebi and P. Milanfar, "NIMA: Neural Image Assessment", IEEE TIP 2018, equation 1.

    Examples
    --------
    >>> from ltlearn.metrics import emd
    >>> emd([[1.0, 0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0, 1.0]], r=1)
    0.75
    """
    y_true, y_pred = check_distributions(y_true, "y_true"), check_distributions(y_pred, "y_pred")
    if y_true.shape != y_pred.shape:
        raise ValueError(
            f"y_true has shape {y_true.shape} and y_pred {y_pred.shape}; emd compares "
            "distributions over the same bins."
        )
    gap = np.abs(np.cumsum(y_pred, axis=1) - np.cumsum(y_true, axis=1))
    largest = np.max(gap, axis=1)
    relative = gap / np.where(largest > 0, largest, 1)[:, None]  # powers of it do not vanish
    per_sample = largest * np.mean(relative**r, axis=1) ** (1 / r)
    return float(np.average(per_sample, weights=check_weights(sample_weight, y_true)))


@validate_params(
    {
        **_WEIGHTED,
        "bands": [LabelBands, None],
        "percentiles": ["array-like"],
    },
    prefer_skip_nested_validation=True,
)
def percentile_mae(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    bands: LabelBands | None = None,
    percentiles: Sequence[float] = (20, 80),
    sample_weight: ArrayLike | None = None,
) -> dict[str, float]:
    """Mean absolute error within bands of the label.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_bins)
        Labels or score distributions.
    y_pred : array-like of shape (n_samples,) or (n_samples, n_bins)
        Predictions of either form.
    bands : LabelBands, default=None
        Bands of the training labels. None takes percentiles of ``y_true`` itself, the published
        protocol [1]_ with the samples on the borders kept.
    percentiles : sequence of float, default=(20, 80)
        Borders when ``bands`` is None.
    sample_weight : array-like of shape (n_samples,), default=None
        Sample weights.

    Returns
    -------
    errors : dict of str to float
        By band name, in the unit of the label; NaN for a band without samples.

    Warns
    -----
    EmptyBandWarning
        When a band holds no sample.

    References
    ----------
    .. [1] L. Liu et al., "ELTA: An Enhancer against Long-Tail for Aesthetics-oriented Models",
       ICML 2024, PMLR 235:31106-31118.

    Examples
    --------
    >>> from ltlearn.metrics import percentile_mae
    >>> y_true = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
    >>> percentile_mae(y_true, [6] * 11)
    {'0-20': 4.0, '20-80': 1.2, '80-100': 4.0}
    """
    y_true, y_pred, weights = _check_predictions(y_true, y_pred, sample_weight)
    if bands is None:
        bands = LabelBands.from_percentiles(y_true, percentiles)

    def mae(rows):
        return float(mean_absolute_error(y_true[rows], y_pred[rows], sample_weight=weights[rows]))

    rows_by_band = _rows_by_band(bands, y_true, weights)
    return {name: np.nan if rows is None else mae(rows) for name, rows in rows_by_band}


def _rows_by_band(bands, y_true, weights):
    """Name and row numbers (of positive weight) of each band; None for the empty ones."""
    codes = np.where(weights > 0, bands.assign(y_true), -1)
    rows_by_band = [(name, np.flatnonzero(codes == c)) for c, name in enumerate(bands.names)]
    empty = [name for name, rows in rows_by_band if len(rows) == 0]
    warn_about_empty_bands(empty, stacklevel=5)
    return [(name, None if name in empty else rows) for name, rows in rows_by_band]


@validate_params({**_WEIGHTED, "bands": [LabelBands]}, prefer_skip_nested_validation=True)
def shot_errors(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    bands: LabelBands,
    sample_weight: ArrayLike | None = None,
) -> dict[str, dict[str, float]]:
    """Errors and correlations within bands of the label.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_bins)
        Labels or score distributions.
    y_pred : array-like of shape (n_samples,) or (n_samples, n_bins)
        Predictions of either form.
    bands : LabelBands
        Bands of the training labels, such as many, medium and few from
        :meth:`LabelBands.from_density`.
    sample_weight : array-like of shape (n_samples,), default=None
        Sample weights of the three errors; correlations are unweighted.

    Returns
    -------
    errors : dict of str to dict
        For each band name a dict with ``n_samples`` (of positive weight), ``mae``, ``mse``,
        ``gmean_error`` (geometric mean of the absolute errors, 0 as soon as one prediction is
        exact), ``srcc`` and ``plcc`` [1]_. All but ``n_samples`` are NaN for an empty band.

    Warns
    -----
    EmptyBandWarning
        When a band holds no sample.

    References
    ----------
    .. [1] Y. Yang, K. Zha, Y.-C. Chen, H. Wang and D. Katabi, "Delving into Deep Imbalanced
       Regression", ICML 2021, section 4.

    Examples
    --------
    >>> from ltlearn.metrics import LabelBands, shot_errors
    >>> ages = [30] * 150 + [60] * 50 + [90] * 3
    >>> bands = LabelBands.from_bin_counts(ages, bins=range(0, 121))
    >>> errors = shot_errors([30, 60, 60, 90], [31, 58, 63, 74], bands=bands)
    >>> {name: errors[name]["mae"] for name in errors}
    {'many': 1.0, 'medium': 2.5, 'few': 16.0}
    """
    y_true, y_pred, weights = _check_predictions(y_true, y_pred, sample_weight)
    errors = {}
    for name, rows in _rows_by_band(bands, y_true, weights):
        if rows is None:
            undefined = dict.fromkeys(["mae", "mse", "gmean_error", "srcc", "plcc"], np.nan)
            errors[name] = {"n_samples": 0, **undefined}
            continue
        true, predicted, weight = y_true[rows], y_pred[rows], weights[rows]
        errors[name] = {
            "n_samples": len(rows),
            "mae": float(mean_absolute_error(true, predicted, sample_weight=weight)),
            "mse": float(mean_squared_error(true, predicted, sample_weight=weight)),
            "gmean_error": float(stats.gmean(np.abs(true - predicted), weights=weight)),
            "srcc": srcc(true, predicted),
            "plcc": plcc(true, predicted),
        }
    return errors


@validate_params(
    {
        **_WEIGHTED,
        "n_bins": [Interval(Integral, 1, MAX_BINS, closed="both")],
        "score_range": ["array-like", None],
    },
    prefer_skip_nested_validation=True,
)
def balanced_mae(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    n_bins: int = 10,
    score_range: tuple[float, float] | None = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Mean absolute error averaged over equal-width bins of the label.

    Every occupied bin counts the same, however many samples it holds [1]_; bins without samples
    are left out.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_bins)
        Labels or score distributions.
    y_pred : array-like of shape (n_samples,) or (n_samples, n_bins)
        Predictions of either form.
    n_bins : int, default=10
        Number of bins, up to a million.
    score_range : (float, float), default=None
        Range that the bins cover; labels outside fall in the outermost bins. None takes the
        range of ``y_true``, so set it when results on different samples are compared.
    sample_weight : array-like of shape (n_samples,), default=None
        Sample weights within each bin.

    Returns
    -------
    error : float
        In the unit of the label.

    Raises
    ------
    ValueError
        When ``score_range`` is not two finite numbers that increase.

    References
    ----------
    .. [1] J. Ren, M. Zhang, C. Yu and Z. Liu, "Balanced MSE for Imbalanced Visual Regression",
       CVPR 2022.

    Examples
    --------
    >>> from ltlearn.metrics import balanced_mae
    >>> balanced_mae([1, 1, 1, 9], [1, 1, 1, 5], n_bins=2)
    2.0
    """
    y_true, y_pred, weights = _check_predictions(y_true, y_pred, sample_weight)
    if score_range is None:
        low, high = np.min(y_true), np.max(y_true)
    else:
        low, high = check_range(score_range, "score_range")
    inner_edges = np.linspace(low, high, n_bins + 1)[1:-1]
    bin_of_sample = np.searchsorted(inner_edges, y_true, side="right")
    weight_in_bin = np.bincount(bin_of_sample, weights=weights)
    error_in_bin = np.bincount(bin_of_sample, weights=weights * np.abs(y_true - y_pred))
    occupied = weight_in_bin > 0
    return float(np.mean(error_in_bin[occupied] / weight_in_bin[occupied]))


@validate_params(_PREDICTIONS, prefer_skip_nested_validation=True)
def prediction_spread(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Standard deviation of the predictions over that of the labels.

    Well below 1, the predictions have collapsed towards the middle: rare labels at either end
    are then out of reach, however good the overall error looks. Least-squares predictions have
    about the square root of R², so that 1 is reached only by a perfect or a stretched fit.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_bins)
        Labels or score distributions.
    y_pred : array-like of shape (n_samples,) or (n_samples, n_bins)
        Predictions of either form.

    Returns
    -------
    ratio : float
        Not negative; NaN when the labels are constant.

    Raises
    ------
    ValueError
        When the ratio is beyond the largest floating-point number.

    Warns
    -----
    sklearn.exceptions.UndefinedMetricWarning
        When the labels are constant.

    Examples
    --------
    >>> from ltlearn.metrics import prediction_spread
    >>> prediction_spread([1, 2, 3, 4, 5], [2.5, 2.75, 3.0, 3.25, 3.5])
    0.25
    """
    y_true, y_pred, _ = _check_predictions(y_true, y_pred)
    if _is_near_constant(y_true):
        warnings.warn(
            "The labels are constant; the spread of predictions over theirs is NaN.",
            UndefinedMetricWarning,
            stacklevel=3,
        )
        return np.nan
    (y_true, exponent), (y_pred, exponent_pred) = scaled_by_power(y_true), scaled_by_power(y_pred)
    with np.errstate(over="ignore"):
        ratio = np.ldexp(np.std(y_pred) / np.std(y_true), exponent_pred - exponent)
    if not np.isfinite(ratio):
        raise ValueError("y_pred is spread so much more than y_true that the ratio is not finite.")
    return float(ratio)
