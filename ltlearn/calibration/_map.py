"""Non-decreasing maps from held-out predictions to labels."""

import warnings
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import lstsq
from sklearn.isotonic import isotonic_regression
from sklearn.utils.validation import check_is_fitted

from ltlearn.exceptions import SmallSampleWarning
from ltlearn.utils._checks import (
    check_number_per_sample,
    check_same_length,
    check_weights,
    scaled_by_power,
)
from ltlearn.utils._compat import StrOptions, _fit_context
from ltlearn.utils._estimator import BaseEstimator
from ltlearn.weighting._density import is_constant

METHODS = {"stretch", "linear", "isotonic", "cubic"}
_ENOUGH_ROWS = 200


class RecalibrationMap(BaseEstimator):
    """A non-decreasing map from predictions to recalibrated predictions.

    Fitted by least squares on held-out predictions p and their labels y:

    - ``"stretch"``: ``m + a (p - m)`` with a ≥ 0, where m is the mean of p and stays in place;
    - ``"linear"``: ``b + a p`` with the same a, which also moves the mean to that of y;
    - ``"isotonic"``: any non-decreasing step function, interpolated linearly;
    - ``"cubic"``: a polynomial of degree 3, made flat where it would fall.

    None of them changes the order of predictions other than by ties.

    Parameters
    ----------
    method : {"stretch", "linear", "isotonic", "cubic"}, default="stretch"
        The kind of map.

    Attributes
    ----------
    slope_ : float or None
        a; None for ``"isotonic"`` and ``"cubic"``.
    intercept_ : float or None
        b, or ``(1 - a) m`` for ``"stretch"``; None for ``"isotonic"`` and ``"cubic"``.
    thresholds_ : ndarray of shape (n_thresholds,) or None
        Predictions at which the steps begin and end, increasing; None for ``"stretch"`` and
        ``"linear"``.
    values_ : ndarray of shape (n_thresholds,) or None
        What they are mapped to. The map is linear between them and constant outside.

    See Also
    --------
    Recalibrator : Fits a map to the held-out predictions of a regressor.

    Examples
    --------
    >>> import numpy as np
    >>> from ltlearn.calibration import RecalibrationMap
    >>> y = np.linspace(0, 10, 300)
    >>> timid = 5 + 0.5 * (y - 5)
    >>> stretch = RecalibrationMap("stretch").fit(timid, y)
    >>> round(stretch.slope_, 2), stretch.predict([3.0, 5.0, 7.0]).round(2)
    (2.0, array([1., 5., 9.]))
    """

    _parameter_constraints: dict = {"method": [StrOptions(METHODS)]}

    def __init__(
        self, method: Literal["stretch", "linear", "isotonic", "cubic"] = "stretch"
    ) -> None:
        self.method = method

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, predictions: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> "RecalibrationMap":
        """Fit the map.

        Parameters
        ----------
        predictions : array-like of shape (n_samples,)
            Predictions for samples that the model was not trained on.
        y : array-like of shape (n_samples,)
            Labels of these samples.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights.

        Returns
        -------
        self : RecalibrationMap

        Raises
        ------
        ValueError
            When the predictions, labels or weights cannot be used, or the predictions are spread so
            much less than the labels that the slope is not finite.

        Warns
        -----
        SmallSampleWarning
            With fewer than 200 samples of positive weight.
        """
        predictions = check_number_per_sample(predictions, "predictions")
        y = check_number_per_sample(y, "y")
        check_same_length(predictions=predictions, y=y)
        weights = check_weights(sample_weight, predictions)
        predictions, y, weights = (values[weights > 0] for values in (predictions, y, weights))
        n_rows = len(weights)
        if n_rows < _ENOUGH_ROWS:
            warnings.warn(
                f"The {self.method} map is fitted to {n_rows} held-out predictions; about "
                f"{_ENOUGH_ROWS} are needed before recalibration can be trusted.",
                SmallSampleWarning,
                stacklevel=3,
            )
        self.slope_ = self.intercept_ = self.thresholds_ = self.values_ = None
        if self.method in ("stretch", "linear"):
            self.slope_, self.intercept_ = self._line(predictions, y, weights)
        else:
            targets = _cubic(predictions, y, weights) if self.method == "cubic" else y
            self.thresholds_, self.values_ = _steps(predictions, targets, weights)
        return self

    def _line(self, predictions, y, weights):
        if is_constant(predictions):
            slope = 1.0
        else:
            (scaled, exponent), (y_scaled, y_exponent) = map(scaled_by_power, (predictions, y))
            deviations = scaled - np.average(scaled, weights=weights)
            from_mean = y_scaled - np.average(y_scaled, weights=weights)
            variance = np.average(deviations**2, weights=weights)
            slope = max(np.average(deviations * from_mean, weights=weights) / variance, 0.0)
            with np.errstate(over="ignore"):
                slope = float(np.ldexp(slope, y_exponent - exponent))
        center, mean = np.average(predictions, weights=weights), np.average(y, weights=weights)
        with np.errstate(over="ignore", invalid="ignore"):
            intercept = float((center if self.method == "stretch" else mean) - slope * center)
        if not np.isfinite([slope, intercept]).all():
            raise ValueError("predictions are spread too little for a line through y.")
        return slope, intercept

    def predict(self, predictions: ArrayLike) -> np.ndarray:
        """Recalibrate predictions.

        Parameters
        ----------
        predictions : array-like of shape (n_samples,)
            Predictions of the same model.

        Returns
        -------
        recalibrated : ndarray of shape (n_samples,)

        Raises
        ------
        ValueError
            When predictions are not finite, or so far from those fitted that the result is not.
        """
        check_is_fitted(self)
        values = check_number_per_sample(predictions, "predictions")
        if self.thresholds_ is not None:
            return _interpolate(values, self.thresholds_, self.values_)
        with np.errstate(over="ignore"):
            recalibrated = self.intercept_ + self.slope_ * values
        if not np.isfinite(recalibrated).all():
            raise ValueError("predictions lie too far from those that the map was fitted to.")
        return recalibrated


def _steps(predictions, targets, weights):
    """Isotonic regression: increasing thresholds and the values there.

    Unlike scikit-learn's estimator this takes only equal predictions together, not those closer
    than 1e-15, and so has no unit.
    """
    thresholds, number = np.unique(predictions, return_inverse=True)
    totals = np.bincount(number, weights=weights)
    values = np.bincount(number, weights=weights * targets) / totals
    values = isotonic_regression(values, sample_weight=totals)
    is_end = np.ones(len(values), dtype=bool)
    is_end[1:-1] = (values[1:-1] != values[:-2]) | (values[1:-1] != values[2:])
    return thresholds[is_end], values[is_end]


def _interpolate(at, thresholds, values):
    """Linear between thresholds, however close, and constant outside; never decreasing."""
    at = np.clip(at, thresholds[0], thresholds[-1])
    right = np.clip(np.searchsorted(thresholds, at, side="right"), 1, len(thresholds) - 1)
    left = np.maximum(right - 1, 0)
    gap = thresholds[right] - thresholds[left]
    share = (at - thresholds[left]) / np.where(gap > 0, gap, 1.0)
    return np.minimum(values[left] + share * (values[right] - values[left]), values[right])


def _cubic(predictions, y, weights):
    """Values at ``predictions`` of the least-squares polynomial of degree 3."""
    center = np.average(predictions, weights=weights)
    scale = np.max(np.abs(predictions - center))
    design = np.vander((predictions - center) / (scale or 1.0), 4)
    root_weights = np.sqrt(weights)
    coefficients, *_ = lstsq(design * root_weights[:, None], y * root_weights)
    return design @ coefficients
