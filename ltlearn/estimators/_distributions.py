"""What a regressor that predicts distributions offers: scores, quantiles, intervals, and the dial.

The dial, ``tail``, multiplies the density of every predicted distribution by that of the training
labels to the power -``tail`` before anything is read off it.
"""

import numpy as np
from scipy.special import softmax
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from ltlearn.estimators._validation import validate_X
from ltlearn.losses import quantile_levels
from ltlearn.utils._checks import MAX_EXPONENT, check_numbers
from ltlearn.utils._compat import is_number
from ltlearn.weighting._distributions import BinDistributions, QuantileDistributions

LEVELS = quantile_levels().numpy()

# Share of the probability within an interval, unless another one is asked for.
_CONFIDENCE_LEVEL = 0.9

# Rows whose distributions are worked out at once.
_ROWS_AT_ONCE = 8192


def _has_distribution(estimator):
    if getattr(estimator, "loss_", estimator.loss) == "mse":
        raise AttributeError(
            'loss="mse" predicts no distribution; use loss="quantile", or loss="emd" for '
            "distributions over score bins."
        )
    return True


class DistributionMixin:
    """Predictions of a deep estimator with the losses ``"mse"``, ``"quantile"`` and ``"emd"``."""

    def predict(self, X, *, tail=None, prediction=None):
        """Predict scores.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Inputs of the same kind as in ``fit``.
        tail : float, default=None
            In place of the parameter ``tail``, for this call.
        prediction : {"mean", "median"}, default=None
            In place of the parameter ``prediction``, for this call.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            In the units of the training scores.
        """
        check_is_fitted(self)
        prediction = self.prediction if prediction is None else prediction
        if prediction not in ("mean", "median"):
            raise ValueError(f'prediction={prediction!r} must be "mean" or "median".')
        tail = self._check_tail(tail)
        self._check_dial(tail, prediction)
        if self.loss_ == "mse":
            outputs = self._outputs(validate_X(self, X)).astype(np.float64)
            return self.score_mean_ + self.score_scale_ * outputs[:, 0]
        if prediction == "mean":
            return self._read_off(X, tail, lambda predicted: predicted.mean())
        return self._read_off(X, tail, lambda predicted: predicted.quantiles([0.5])[:, 0])

    @available_if(_has_distribution)
    def predict_quantiles(self, X, levels=(0.05, 0.25, 0.5, 0.75, 0.95), *, tail=None):
        """Predict quantiles of the score.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Inputs of the same kind as in ``fit``.
        levels : array-like of shape (n_levels,), default=(0.05, 0.25, 0.5, 0.75, 0.95)
            Between 0 and 1.
        tail : float, default=None
            In place of the parameter ``tail``, for this call.

        Returns
        -------
        quantiles : ndarray of shape (n_samples, n_levels)
            In the units of the training scores; they rise with the level.
        """
        check_is_fitted(self)
        levels = check_numbers(levels, "levels")
        if levels.ndim != 1 or not ((levels > 0) & (levels < 1)).all():
            raise ValueError("levels must be numbers between 0 and 1.")
        return self._read_off(
            X, self._check_tail(tail), lambda predicted: predicted.quantiles(levels)
        )

    @available_if(_has_distribution)
    def predict_interval(self, X, confidence_level=None, *, tail=None):
        """Predict the central interval of the distribution.

        It is what the network has learned to expect; new rows often fall outside more often than
        it says. :class:`ltlearn.calibration.ConformalRegressor` makes its coverage right.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Inputs of the same kind as in ``fit``.
        confidence_level : float, default=None
            Probability of the interval; 0.9 by default.
        tail : float, default=None
            In place of the parameter ``tail``, for this call.

        Returns
        -------
        intervals : ndarray of shape (n_samples, 2)
            Lower and upper ends.
        """
        level = _CONFIDENCE_LEVEL if confidence_level is None else confidence_level
        if not (is_number(level) and 0 < level < 1):
            raise ValueError(f"confidence_level={level!r} must be a number between 0 and 1.")
        return self.predict_quantiles(X, [(1 - level) / 2, (1 + level) / 2], tail=tail)

    @available_if(_has_distribution)
    def predict_distribution(self, X, *, tail=None):
        """Predict distributions over the score bins ``bin_centers_``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Inputs of the same kind as in ``fit``.
        tail : float, default=None
            In place of the parameter ``tail``, for this call.

        Returns
        -------
        distributions : ndarray of shape (n_samples, K)
            Rows sum to 1. For ``loss="quantile"`` the probability of a bin is that of the scores
            nearest to its center.
        """
        check_is_fitted(self)
        edges = (self.bin_centers_[1:] + self.bin_centers_[:-1]) / 2

        def read(predicted):
            if self.loss_ == "emd":
                return predicted.probability
            return np.diff(predicted.cdf_at(edges), axis=1, prepend=0, append=1)

        return self._read_off(X, self._check_tail(tail), read)

    def _read_off(self, X, tail, read):
        """What ``read`` makes of the distributions of rows, some of them at a time."""
        outputs = self._outputs(validate_X(self, X)).astype(np.float64)
        parts = []
        for start in range(0, len(outputs), _ROWS_AT_ONCE):
            predicted = self._distributions(outputs[start : start + _ROWS_AT_ONCE])
            if tail:
                predicted = predicted.reweighted(
                    lambda scores: self._tail_weights.log_weight(scores, tail)
                )
            parts.append(read(predicted))
        return np.concatenate(parts)

    def _distributions(self, outputs):
        if self.loss_ == "emd":
            return BinDistributions(softmax(outputs, axis=1), self.bin_centers_)
        origin, unit = self._quantile_unit
        return QuantileDistributions(origin + unit * outputs, LEVELS)

    def _check_tail(self, tail):
        tail = self.tail if tail is None else tail
        if not (is_number(tail) and 0 <= tail <= MAX_EXPONENT):
            raise ValueError(f"tail={tail!r} must be a number from 0 to {MAX_EXPONENT:g}.")
        return float(tail)

    def _check_dial(self, tail, prediction):
        for name, value, usual in (("tail", tail, 0.0), ("prediction", prediction, "mean")):
            if self.loss_ == "mse" and value != usual:
                raise ValueError(
                    f'{name}={value!r} needs a predicted distribution, and loss="mse" predicts '
                    f'none; leave {name}={usual!r}, or use loss="quantile".'
                )
