"""What the deep regressor offers when it predicts distributions, and when it does not."""

from typing import Literal, overload

import numpy as np
from scipy.special import softmax
from sklearn.utils.validation import check_is_fitted

from ltlearn.estimators._validation import validate_X
from ltlearn.losses import quantile_levels
from ltlearn.utils._compat import available_if
from ltlearn.utils._typing import RowsLike
from ltlearn.weighting._dialed import DialedPredictions
from ltlearn.weighting._distributions import BinDistributions, QuantileDistributions, mix

LEVELS = quantile_levels().numpy()


class DistributionMixin(DialedPredictions):
    """Predictions of a deep estimator with the losses ``"mse"``, ``"quantile"`` and ``"emd"``.

    Those of several networks are averaged: scores for ``"mse"``, else distributions, each of which
    the dial turns by the training scores of its own network.
    """

    @overload
    def predict(
        self,
        X: RowsLike,
        *,
        tail: float | None = None,
        prediction: Literal["mean", "median"] | None = None,
        return_std: Literal[False] = False,
    ) -> np.ndarray: ...

    @overload
    def predict(
        self,
        X: RowsLike,
        *,
        tail: float | None = None,
        prediction: Literal["mean", "median"] | None = None,
        return_std: Literal[True],
    ) -> tuple[np.ndarray, np.ndarray]: ...

    def predict(
        self,
        X: RowsLike,
        *,
        tail: float | None = None,
        prediction: Literal["mean", "median"] | None = None,
        return_std: bool = False,
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Predict scores.

        Of several networks the mean score, or what the mixture of their distributions says.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Inputs of the same kind as in ``fit``.
        tail : float, default=None
            In place of the parameter ``tail``, for this call.
        prediction : {"mean", "median"}, default=None
            In place of the parameter ``prediction``, for this call.
        return_std : bool, default=False
            With ``n_estimators`` above 1: whether to return the spread of the networks, too.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            In the units of the training scores.
        std : ndarray of shape (n_samples,)
            With ``return_std``: standard deviation, with ``n_estimators - 1`` below the fraction
            bar, of what the networks predict one by one. It tells how much a prediction depends on
            the seed of training, not how much scores vary.
        """
        if not return_std:
            return super().predict(X, tail=tail, prediction=prediction)
        check_is_fitted(self)
        setting = self._check_setting(tail, prediction)
        if len(self._members) == 1:
            raise ValueError(
                "return_std=True asks for the spread of several networks, and there is one; fit "
                "with n_estimators=5, for instance."
            )
        each = [member._predict_at(X, [setting])[:, 0] for member in self._members]
        is_mean = setting[1] == "mean"
        scores = np.mean(each, axis=0) if is_mean else self._predict_at(X, [setting])[:, 0]
        return scores, np.std(each, axis=0, ddof=1)

    @available_if(lambda estimator: estimator._check_predicts_distributions())
    def predict_distribution(self, X: RowsLike, *, tail: float | None = None) -> np.ndarray:
        """Predict distributions over the score bins ``bin_centers_``.

        What they are calibrated for depends on the loss. Trained by earth mover's distance on
        rating distributions (votes), they predict the spread of the votes on a row, not where its
        mean score lies. On scalar scores they are not calibrated: central intervals are usually too
        narrow, most in the tail. Of intervals at 90 %, ``benchmarks/coverage.py`` counts 76 to 95 %
        on six tables, and 89 to 93 % after :class:`ltlearn.calibration.DistributionCalibrator` has
        seen held-out rows. Quantiles by pinball loss aim at calibration, as far as the network does
        not know the training rows better than others; a dial, ``tail``, turns either away from it.
        :class:`ltlearn.calibration.ConformalRegressor` gives intervals of known coverage.

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

    def _check_predicts_distributions(self):
        if getattr(self, "loss_", self.loss) == "mse":
            raise AttributeError(
                'loss="mse" predicts no distribution; use loss="quantile", or loss="emd" for '
                "distributions over score bins."
            )
        return True

    def _predict_at(self, X, settings):
        if self.loss_ != "mse":
            return super()._predict_at(X, settings)
        for setting in settings:
            self._check_dial(*self._check_setting(*setting))
        scores = [
            member.score_mean_ + member.score_scale_ * outputs
            for member, outputs in zip(self._members, self._member_outputs(X), strict=True)
        ]
        return np.tile(np.mean(scores, axis=0), (1, len(settings)))

    def _distributions(self, X):
        members, outputs = self._members, self._member_outputs(X)

        def distributions(rows):
            parts = [
                member._distributions_of(own[rows])
                for member, own in zip(members, outputs, strict=True)
            ]
            return parts[0] if len(parts) == 1 else mix(parts, self.bin_centers_)

        return distributions, len(outputs[0])

    def _turned(self, predicted, tail):
        if not tail or len(self._members) == 1:
            return super()._turned(predicted, tail)
        parts = [
            member._turned(part, tail)
            for member, part in zip(self._members, predicted.parts, strict=True)
        ]
        return mix(parts, self.bin_centers_)

    def _member_outputs(self, X):
        """Outputs (n, K) of every network, as a list."""
        X = validate_X(self, X)
        return [member._outputs(X).astype(np.float64) for member in self._members]

    def _distributions_of(self, outputs):
        if self.loss_ == "emd":
            return BinDistributions(softmax(outputs, axis=1), self.bin_centers_)
        origin, unit = self._quantile_unit
        return QuantileDistributions(origin + unit * outputs, LEVELS)

    def _check_dial(self, tail, prediction):
        for name, value, usual in (("tail", tail, 0.0), ("prediction", prediction, "mean")):
            if self.loss_ == "mse" and value != usual:
                raise ValueError(
                    f'{name}={value!r} needs a predicted distribution, and loss="mse" predicts '
                    f'none; leave {name}={usual!r}, or use loss="quantile".'
                )
