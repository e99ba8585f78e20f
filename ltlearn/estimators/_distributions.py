"""What the deep regressor offers when it predicts distributions, and when it does not."""

import numpy as np
from scipy.special import softmax
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from ltlearn.estimators._validation import validate_X
from ltlearn.losses import quantile_levels
from ltlearn.weighting._dialed import DialedPredictions
from ltlearn.weighting._distributions import BinDistributions, QuantileDistributions

LEVELS = quantile_levels().numpy()


class DistributionMixin(DialedPredictions):
    """Predictions of a deep estimator with the losses ``"mse"``, ``"quantile"`` and ``"emd"``."""

    @available_if(lambda estimator: estimator._check_predicts_distributions())
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
        scores = self.score_mean_ + self.score_scale_ * self._output_rows(X)
        return np.tile(scores, (1, len(settings)))

    def _distributions(self, X):
        outputs = self._output_rows(X)
        return lambda rows: self._distributions_of(outputs[rows]), len(outputs)

    def _output_rows(self, X):
        return self._outputs(validate_X(self, X)).astype(np.float64)

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
