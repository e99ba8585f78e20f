"""What a regressor that predicts distributions offers: scores, quantiles, intervals, and the dial.

The dial, ``tail``, multiplies the density of every predicted distribution by that of the training
labels to the power -``tail`` before anything is read off it.
"""

from numbers import Real

import numpy as np
import torch
from scipy.special import softmax
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from ltlearn.estimators._validation import validate_X
from ltlearn.losses import quantile_levels
from ltlearn.objectives._elta import two_hot
from ltlearn.weighting._distributions import BinDistributions, QuantileDistributions, mix

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

    def predict(self, X, *, tail=None, prediction=None, return_std=False):
        """Predict scores.

        Several estimators are averaged: their scores, for ``loss="mse"``, else the distributions
        that they predict, each turned by ``tail``, with equal shares.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Inputs of the same kind as in ``fit``.
        tail : float, default=None
            In place of the parameter ``tail``, for this call.
        prediction : {"mean", "median"}, default=None
            In place of the parameter ``prediction``, for this call.
        return_std : bool, default=False
            Whether to return the spread of the estimators, too, with ``n_estimators`` above 1.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            In the units of the training scores.
        std : ndarray of shape (n_samples,)
            Standard deviation (with ``n_estimators - 1``) of the scores that the estimators would
            predict alone: how far training with another seed moves a prediction. It says nothing
            about the noise of the scores. Only with ``return_std``.
        """
        check_is_fitted(self)
        prediction = self.prediction if prediction is None else prediction
        if prediction not in ("mean", "median"):
            raise ValueError(f'prediction={prediction!r} must be "mean" or "median".')
        tail = self._check_tail(tail)
        self._check_dial(tail, prediction)
        members = self._members
        if return_std and len(members) == 1:
            raise ValueError(
                "return_std=True asks for the spread of several estimators, and there is one: fit "
                "with n_estimators=5, for instance."
            )
        outputs = self._member_outputs(X)
        scores = self._scores_from(members, outputs, tail, prediction)
        if not return_std:
            return scores
        each = [
            self._scores_from([member], [own], tail, prediction)
            for member, own in zip(members, outputs, strict=True)
        ]
        return scores, np.std(each, axis=0, ddof=1)

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
        levels = np.asarray(levels, dtype=np.float64)
        if levels.ndim != 1 or not ((levels > 0) & (levels < 1)).all():
            raise ValueError("levels must be numbers between 0 and 1.")
        tail, outputs = self._check_tail(tail), self._member_outputs(X)
        return self._read_off(
            self._members, outputs, tail, lambda predicted: predicted.quantiles(levels)
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
        if not (isinstance(level, Real) and 0 < level < 1):
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

        return self._read_off(self._members, self._member_outputs(X), self._check_tail(tail), read)

    def _member_outputs(self, X):
        """Outputs (n, K) of every member, as a list."""
        X = validate_X(self, X)
        return [member._outputs(X).astype(np.float64) for member in self._members]

    def _scores_from(self, members, outputs, tail, prediction):
        """Scores (n,) that members with these outputs predict together."""
        if self.loss_ == "mse":
            each = [
                member.score_mean_ + member.score_scale_ * own[:, 0]
                for member, own in zip(members, outputs, strict=True)
            ]
            return np.mean(each, axis=0)
        if prediction == "mean":
            return self._read_off(members, outputs, tail, lambda predicted: predicted.mean())
        return self._read_off(
            members, outputs, tail, lambda predicted: predicted.quantiles([0.5])[:, 0]
        )

    def _read_off(self, members, outputs, tail, read):
        """What ``read`` makes of the distributions of rows, some of them at a time."""
        parts, step = [], max(1, _ROWS_AT_ONCE // len(members))
        for start in range(0, len(outputs[0]), step):
            predicted = [
                self._with_common_bins(member._distributions(own[start : start + step], tail))
                for member, own in zip(members, outputs, strict=True)
            ]
            parts.append(read(mix(predicted)))
        return np.concatenate(parts)

    def _distributions(self, outputs, tail):
        if self.loss_ == "emd":
            predicted = BinDistributions(softmax(outputs, axis=1), self.bin_centers_)
        else:
            origin, unit = self._quantile_unit
            predicted = QuantileDistributions(origin + unit * outputs, LEVELS)
        if not tail:
            return predicted
        return predicted.reweighted(lambda scores: self._tail_weights.log_weight(scores, tail))

    def _with_common_bins(self, predicted):
        """Probabilities of the bins of this estimator, whose range those of members are within.

        That of another bin is shared by its two neighbors here, so that expectations stay.
        """
        if self.loss_ != "emd" or np.array_equal(predicted.centers, self.bin_centers_):
            return predicted
        own, common = map(torch.from_numpy, (predicted.centers, self.bin_centers_))
        return BinDistributions(
            predicted.probability @ two_hot(own, common).numpy(), self.bin_centers_
        )

    def _check_tail(self, tail):
        tail = self.tail if tail is None else tail
        if not (isinstance(tail, Real) and not isinstance(tail, bool) and 0 <= tail < np.inf):
            raise ValueError(f"tail={tail!r} must be a non-negative number.")
        return tail

    def _check_dial(self, tail, prediction):
        for name, value, usual in (("tail", tail, 0.0), ("prediction", prediction, "mean")):
            if self.loss_ == "mse" and value != usual:
                raise ValueError(
                    f'{name}={value!r} needs a predicted distribution, and loss="mse" predicts '
                    f'none; leave {name}={usual!r}, or use loss="quantile".'
                )
