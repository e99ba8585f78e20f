"""Non-decreasing maps from held-out predictions to labels."""

import warnings

import numpy as np
from scipy.linalg import lstsq
from sklearn.base import BaseEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.utils import check_array, check_consistent_length, column_or_1d
from sklearn.utils.validation import check_is_fitted

from ltlearn.exceptions import SmallSampleWarning
from ltlearn.utils._compat import StrOptions, _check_sample_weight, _fit_context

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
    isotonic_ : sklearn.isotonic.IsotonicRegression or None
        The steps, constant outside the range of the predictions that were fitted; None for
        ``"stretch"`` and ``"linear"``.

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

    def __init__(self, method="stretch"):
        self.method = method

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, predictions, y, sample_weight=None):
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

        Warns
        -----
        SmallSampleWarning
            With fewer than 200 samples of positive weight.
        """
        predictions, y = _as_column(predictions, "predictions"), _as_column(y, "y")
        check_consistent_length(predictions, y)
        weights = _check_sample_weight(sample_weight, predictions, ensure_non_negative=True)
        n_rows = np.count_nonzero(weights)
        if n_rows == 0:
            raise ValueError("All sample weights are zero; nothing is left to fit the map to.")
        if n_rows < _ENOUGH_ROWS:
            warnings.warn(
                f"The {self.method} map is fitted to {n_rows} held-out predictions; about "
                f"{_ENOUGH_ROWS} are needed before recalibration can be trusted.",
                SmallSampleWarning,
                stacklevel=3,
            )
        self.slope_ = self.intercept_ = self.isotonic_ = None
        if self.method in ("stretch", "linear"):
            self.slope_, self.intercept_ = self._line(predictions, y, weights)
        else:
            targets = _cubic(predictions, y, weights) if self.method == "cubic" else y
            self.isotonic_ = IsotonicRegression(out_of_bounds="clip")
            self.isotonic_.fit(predictions, targets, sample_weight=weights)
        return self

    def _line(self, predictions, y, weights):
        center, mean = np.average(predictions, weights=weights), np.average(y, weights=weights)
        deviations = predictions - center
        variance = np.average(deviations**2, weights=weights)
        covariance = np.average(deviations * (y - mean), weights=weights)
        slope = float(max(covariance / variance, 0.0)) if variance > 0 else 1.0
        value_at_center = center if self.method == "stretch" else mean
        return slope, float(value_at_center - slope * center)

    def predict(self, predictions):
        """Recalibrate predictions.

        Parameters
        ----------
        predictions : array-like of shape (n_samples,)
            Predictions of the same model.

        Returns
        -------
        recalibrated : ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        predictions = _as_column(predictions, "predictions")
        if self.isotonic_ is None:
            return self.intercept_ + self.slope_ * predictions
        return self.isotonic_.predict(predictions)


def _as_column(values, name):
    values = check_array(values, ensure_2d=False, dtype=np.float64, input_name=name)
    return column_or_1d(values)


def _cubic(predictions, y, weights):
    """Values at ``predictions`` of the least-squares polynomial of degree 3."""
    center = np.average(predictions, weights=weights)
    scale = np.max(np.abs(predictions - center))
    design = np.vander((predictions - center) / (scale or 1.0), 4)
    root_weights = np.sqrt(weights)
    coefficients, *_ = lstsq(design * root_weights[:, None], y * root_weights)
    return design @ coefficients
