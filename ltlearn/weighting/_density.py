"""Smoothed density of continuous labels, and sample weights from it."""

import math
from numbers import Real
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import gaussian_filter1d

from ltlearn.utils._checks import check_numbers, scaled_by_power
from ltlearn.utils._compat import Interval, StrOptions, validate_params

_BINS_PER_BANDWIDTH = 8
_MIN_BINS = 16
# Labels closer together than this share of their magnitude are one label: float64 could not
# resolve bins between them.
_RELATIVE_RESOLUTION = 1e-10
# Below this share of the range of the labels a bandwidth would only count more empty bins.
_LEAST_BANDWIDTH = 1e-100
_LABELS_AT_ONCE = 2**16


def _check_labels(y, name="y"):
    y = check_numbers(y, name, limit=None)
    if y.ndim == 2 and y.shape[1] > 1:
        raise ValueError(
            f"{name} must hold one number per sample, got shape {y.shape}. "
            f"For score distributions pass ltlearn.metrics.expected_score({name})."
        )
    return y.reshape(-1)


def is_constant(y):
    """Whether all labels are equal up to rounding."""
    y, _ = scaled_by_power(y)
    return np.ptp(y) <= _RELATIVE_RESOLUTION * np.max(np.abs(y))


def _silverman_bandwidth(y):
    spread = np.std(y)
    quartiles = np.quantile(y, [0.25, 0.75])
    if not is_constant(quartiles):
        spread = min(spread, np.ptp(quartiles) / 1.349)
    return 0.9 * spread * len(y) ** -0.2


class BinnedDensity(NamedTuple):
    """Smoothed density of labels in bins over their range, in a unit of 2 ** exponent.

    The bins are of equal width, except that stretches beyond the reach of any label, where the
    density is 0, are one wide bin each: extreme labels cost no memory and no resolution. Row i is
    from bin ``numbers[i]`` on; bins that rounding cannot tell apart share their number.
    """

    density: np.ndarray
    numbers: np.ndarray
    width: float
    low: float
    high: float
    bandwidth: float
    exponent: int

    @property
    def edges(self):
        """Ends of the rows, one more than there are rows."""
        return np.append(self.low + self.numbers * self.width, self.high)

    def at(self, labels):
        """Density at labels within the range, interpolated between the centers of bins."""
        positions = (labels - self.low) / self.width
        last_bin = np.rint((self.high - self.low) / self.width) - 1
        own = np.minimum((labels - self.low) // self.width, last_bin)
        offset = np.clip(positions - own - 0.5, -0.5, 0.5)
        beside = np.clip(own + np.sign(offset), 0, last_bin)
        share_beside = np.abs(offset)
        return (1 - share_beside) * self._of_bins(own) + share_beside * self._of_bins(beside)

    def _of_bins(self, wanted):
        """Density in bins by their numbers: the largest of those that share it."""
        numbers, first = np.unique(self.numbers, return_index=True)
        row = np.searchsorted(numbers, wanted, side="right") - 1
        largest = np.maximum.reduceat(self.density, first)[row]
        last_of_number = np.append(first[1:], len(self.numbers)) - 1
        return np.where(numbers[row] == wanted, largest, self.density[last_of_number[row]])


def binned_density(y, bandwidth=None, weight=None):
    """:class:`BinnedDensity` of labels that are not constant; Silverman's bandwidth for None.

    Labels count by their ``weight``, or all the same.
    """
    y, exponent = scaled_by_power(y)  # to where nothing overflows
    bandwidth = _silverman_bandwidth(y) if bandwidth is None else _scaled(bandwidth, -exponent)
    low, high = np.min(y), np.max(y)
    # Beyond twice the range it is flat already: smoothing reflects at the ends.
    bandwidth = min(max(bandwidth, _LEAST_BANDWIDTH * (high - low)), 2 * (high - low))
    n_bins = max(float(math.ceil(_BINS_PER_BANDWIDTH * (high - low) / bandwidth)), _MIN_BINS)
    width = (high - low) / n_bins
    occupied, counts = _counted(lambda y: np.minimum((y - low) // width, n_bins - 1), y, weight)

    # Between two occupied bins there are at most as many rows as the kernel reaches from both, and
    # a few empty ones.
    reach = math.ceil(4 * bandwidth / width)
    steps = np.minimum(np.diff(occupied), 2 * reach + 4).astype(int)
    occupied_rows = np.concatenate([[0], np.cumsum(steps)])
    rows = np.arange(occupied_rows[-1] + 1)
    before = np.searchsorted(occupied_rows, rows, side="right") - 1
    after = np.minimum(before + 1, len(occupied) - 1)
    steps_before, steps_after = rows - occupied_rows[before], occupied_rows[after] - rows
    is_near_before = steps_before <= reach + 2
    numbers = np.where(
        is_near_before, occupied[before] + steps_before, occupied[after] - steps_after
    )

    histogram = np.zeros(len(rows))
    histogram[occupied_rows] = counts / (counts.sum() * width)
    density = gaussian_filter1d(histogram, bandwidth / width, mode="reflect", radius=reach)
    return BinnedDensity(density, numbers, width, low, high, bandwidth, exponent)


def _counted(number_of, y, weight):
    """Numbers of the bins of labels, as floats, and how often or with what weight each occurs."""
    largest = number_of(np.max(y))
    if largest > len(y):
        occupied, row = np.unique(number_of(y), return_inverse=True)
        return occupied, np.bincount(row, weight)
    n_bins = int(largest) + 1
    is_occupied, counts = np.zeros(n_bins, dtype=bool), np.zeros(n_bins)
    for start in range(0, len(y), _LABELS_AT_ONCE):
        part = slice(start, start + _LABELS_AT_ONCE)
        numbers = number_of(y[part]).astype(np.int64)
        is_occupied[numbers] = True
        counts += np.bincount(numbers, None if weight is None else weight[part], n_bins)
    occupied = np.flatnonzero(is_occupied)
    return occupied.astype(np.float64), counts[occupied]


def _scaled(bandwidth, exponent):
    """A bandwidth times a power of 2, but neither 0 nor infinite."""
    with np.errstate(over="ignore", under="ignore"):
        scaled = np.ldexp(float(bandwidth), exponent)
    return float(np.clip(scaled, np.finfo(float).tiny, np.finfo(float).max))


@validate_params(
    {
        "y": ["array-like"],
        "at": ["array-like", None],
        "bandwidth": [Interval(Real, 0, None, closed="neither"), None],
    },
    prefer_skip_nested_validation=True,
)
def label_density(
    y: ArrayLike, *, at: ArrayLike | None = None, bandwidth: float | None = None
) -> np.ndarray:
    """Kernel-smoothed density of a continuous label (label distribution smoothing, LDS).

    The labels are counted in equal-width bins an eighth of a bandwidth wide, the counts are
    smoothed with a Gaussian kernel that reflects at both ends of the range, and the result is
    interpolated linearly [1]_. Nothing is computed per pair of labels.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels in any unit.
    at : array-like of shape (n_points,), default=None
        Where to evaluate the density; at the labels themselves when None.
    bandwidth : float, default=None
        Standard deviation of the kernel in the unit of the labels. None takes Silverman's rule
        ``0.9 * min(std, IQR / 1.349) * n_samples ** (-1 / 5)``, which follows the bulk of the
        labels and is therefore not widened by a heavy tail.

    Returns
    -------
    density : ndarray of shape (n_points,)
        Share of samples per unit of the label. It integrates to 1 over the range of ``y`` and is
        0 outside. When all labels are equal it is 1 at that label.

    Raises
    ------
    ValueError
        When ``y`` or ``at`` is empty, not one-dimensional or not finite, or when ``y`` spans so
        little that a share per unit of it is not finite.

    See Also
    --------
    label_density_weights : Sample weights from this density.

    Notes
    -----
    Reference [1]_ pads the counts with zeros, which halves the density at the ends of the range;
    reflection keeps the total mass and does not overweight labels for lying at a border.

    References
    ----------
    .. [1] Y. Yang, K. Zha, Y.-C. Chen, H. Wang and D. Katabi, "Delving into Deep Imbalanced
       Regression", ICML 2021, section 3.1.

    Examples
    --------
    >>> from ltlearn.weighting import label_density
    >>> label_density([1.0, 1.1, 0.9, 1.0, 5.0], at=[1.0, 5.0, 9.0], bandwidth=0.5).round(2)
    array([1.21, 0.32, 0.  ])
    """
    y = _check_labels(y)
    at = y if at is None else _check_labels(at, name="at")
    density = np.zeros(len(at))
    if is_constant(y):
        with np.errstate(over="ignore"):
            density[np.isclose(at, y[0], rtol=_RELATIVE_RESOLUTION, atol=0)] = 1.0
        return density
    binned = binned_density(y, bandwidth)
    inside = (at >= np.min(y)) & (at <= np.max(y))
    with np.errstate(over="ignore"):
        density[inside] = np.ldexp(
            binned.at(np.ldexp(at[inside], -binned.exponent)), -binned.exponent
        )
    if not np.isfinite(density).all():
        raise ValueError("y spans too little for a share per unit of it; use a smaller unit.")
    return density


@validate_params(
    {
        "y": ["array-like"],
        "scheme": [StrOptions({"inverse", "sqrt_inverse"})],
        "bandwidth": [Interval(Real, 0, None, closed="neither"), None],
        "max_ratio": [Interval(Real, 1, None, closed="left"), None],
    },
    prefer_skip_nested_validation=True,
)
def label_density_weights(
    y: ArrayLike,
    *,
    scheme: Literal["inverse", "sqrt_inverse"] = "sqrt_inverse",
    bandwidth: float | None = None,
    max_ratio: float = 200.0,
) -> np.ndarray:
    """Sample weights from the inverse of the smoothed label density.

    ``w_i ∝ 1 / p(y_i)`` (``"inverse"``) or ``1 / sqrt(p(y_i))`` (``"sqrt_inverse"``), where p is
    :func:`label_density` [1]_, clipped from above and scaled to mean 1.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Training labels in any unit.
    scheme : {"inverse", "sqrt_inverse"}, default="sqrt_inverse"
        The square root is the milder choice.
    bandwidth : float, default=None
        Standard deviation of the kernel in the unit of the labels; None takes Silverman's rule,
        see :func:`label_density`.
    max_ratio : float, default=200.0
        Weights are clipped at this multiple of the smallest weight; None does not clip. The
        default is the ratio that the authors of [1]_ allow by clipping counts to 5..1000.

    Returns
    -------
    weights : ndarray of shape (n_samples,)
        Positive and finite, with mean 1; all ones when all labels are equal.

    Raises
    ------
    ValueError
        When ``y`` is empty, not one-dimensional or not finite.

    See Also
    --------
    class_weights : The counterpart for classes.

    References
    ----------
    .. [1] Y. Yang, K. Zha, Y.-C. Chen, H. Wang and D. Katabi, "Delving into Deep Imbalanced
       Regression", ICML 2021, section 3.1.

    Examples
    --------
    >>> from ltlearn.weighting import label_density_weights
    >>> label_density_weights([1.0, 1.1, 0.9, 1.0, 5.0], bandwidth=0.5).round(2)
    array([0.84, 0.86, 0.83, 0.84, 1.63])
    """
    # Weights have no unit, so that of the labels must not matter.
    y, exponent = scaled_by_power(_check_labels(y))
    if bandwidth is not None:
        bandwidth = _scaled(bandwidth, -exponent)
    density = label_density(y, bandwidth=bandwidth)
    relative_weights = np.max(density) / density
    if scheme == "sqrt_inverse":
        relative_weights = np.sqrt(relative_weights)
    if max_ratio is not None:
        relative_weights = np.minimum(relative_weights, max_ratio * np.min(relative_weights))
    return relative_weights / np.mean(relative_weights)
