"""Scores, quantiles and intervals read off predicted distributions, with the dial.

The dial, ``tail``, multiplies the density of every predicted distribution by that of the training
labels to the power -``tail`` before anything is read off it.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from ltlearn.utils._checks import MAX_EXPONENT, check_numbers
from ltlearn.utils._compat import available_if, is_number
from ltlearn.utils._typing import RowsLike

# Share of the probability within an interval, unless another one is asked for.
_CONFIDENCE_LEVEL = 0.9

# Rows whose distributions are worked out at once.
_ROWS_AT_ONCE = 8192

_READ = {
    "mean": lambda distributions: distributions.mean(),
    "median": lambda distributions: distributions.quantiles([0.5])[:, 0],
}


def _predicts_distributions(estimator):
    return estimator._check_predicts_distributions()


class DialedPredictions:
    """Predictions of a regressor with the parameters ``tail`` and ``prediction``.

    Subclasses predict distributions by ``_distributions(X)``, a callable from a slice of the rows
    of X to :class:`~ltlearn.weighting._distributions.QuantileDistributions` or bins, and the number
    of these rows; and have, when fitted, :class:`~ltlearn.weighting._tail.TailWeights` as
    ``_tail_weights``.
    """

    def predict(
        self,
        X: RowsLike,
        *,
        tail: float | None = None,
        prediction: Literal["mean", "median"] | None = None,
    ) -> np.ndarray:
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
        return self._predict_at(X, [(tail, prediction)])[:, 0]

    @available_if(_predicts_distributions)
    def predict_quantiles(
        self,
        X: RowsLike,
        levels: ArrayLike = (0.05, 0.25, 0.5, 0.75, 0.95),
        *,
        tail: float | None = None,
    ) -> np.ndarray:
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

    @available_if(_predicts_distributions)
    def predict_interval(
        self, X: RowsLike, confidence_level: float | None = None, *, tail: float | None = None
    ) -> np.ndarray:
        """Predict the central interval of the distribution.

        It is what the model has learned to expect; new rows often fall outside more often than
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

    def _check_predicts_distributions(self):
        """True, or an AttributeError that says why there are no distributions."""
        return True

    def _predict_at(self, X, settings):
        """Scores (n, n_settings) at pairs of tail and prediction, all from one pass over X.

        None stands for the parameters.
        """
        settings = [self._check_setting(*setting) for setting in settings]

        def read(predicted):
            turned = {tail: self._turned(predicted, tail) for tail, _ in settings}
            return np.stack([_READ[name](turned[tail]) for tail, name in settings], axis=1)

        return self._read_off(X, 0, read)

    def _read_off(self, X, tail, read):
        """What ``read`` makes of the distributions of rows, some of them at a time."""
        distributions, n_rows = self._distributions(X)
        parts = (
            distributions(slice(start, start + _ROWS_AT_ONCE))
            for start in range(0, n_rows, _ROWS_AT_ONCE)
        )
        return np.concatenate([read(self._turned(predicted, tail)) for predicted in parts])

    def _turned(self, predicted, tail):
        if not tail:
            return predicted
        return predicted.reweighted(lambda scores: self._tail_weights.log_weight(scores, tail))

    def _check_setting(self, tail, prediction):
        prediction = self.prediction if prediction is None else prediction
        if not isinstance(prediction, str) or prediction not in _READ:
            raise ValueError(f'prediction={prediction!r} must be "mean" or "median".')
        return self._check_tail(tail), prediction

    def _check_tail(self, tail):
        tail = self.tail if tail is None else tail
        if not (is_number(tail) and 0 <= tail <= MAX_EXPONENT):
            raise ValueError(f"tail={tail!r} must be a number from 0 to {MAX_EXPONENT:g}.")
        return float(tail)
