"""What the deep regressor offers when it predicts distributions, and when it does not."""

import numpy as np
from scipy.special import softmax

from ltlearn.estimators._validation import validate_X
from ltlearn.losses import quantile_levels
from ltlearn.weighting._dialed import BinnedPredictions
from ltlearn.weighting._distributions import BinDistributions, QuantileDistributions

LEVELS = quantile_levels().numpy()


class DistributionMixin(BinnedPredictions):
    """Predictions of a deep estimator with the losses ``"mse"``, ``"quantile"`` and ``"emd"``."""

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
