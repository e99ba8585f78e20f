"""One regressor of a stack, which predicts distributions or is given them by its residuals."""

import numpy as np
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.validation import has_fit_parameter

from ltlearn.losses import quantile_levels
from ltlearn.stacking._head import SlicedFits
from ltlearn.stacking._pooling import Nodes
from ltlearn.utils._whole import Whole
from ltlearn.weighting._distributions import QuantileDistributions

LEVELS = quantile_levels().numpy()


class DistributionHead(SlicedFits):
    """Predictions of held-out rows, and the last fit, of one regressor.

    Parameters
    ----------
    estimator : regressor
    encode : callable or None
        From X to what the regressor takes.
    **params
        As for :class:`SlicedFits`.
    """

    def __init__(self, estimator, encode, **params):
        super().__init__(estimator, **params)
        self.encode = encode

    def hold_out(self, rows, train, test):
        """What the regressor says of held-out rows: see :func:`describe`."""
        part, rest = rows.take(train), rows.take(test)
        return [describe(self._fitted(part, self.used[train]), self.encoded(rest.X))]

    def fit(self, rows, valid=None):
        """The regressor fitted to all rows; it stops by validation rows if it can."""
        extra = {}
        if valid is not None and has_fit_parameter(self.estimator, "X_val"):
            extra = {"X_val": Whole(self.encoded(valid.X)), "y_val": Whole(valid.y)}
        return self._fitted(rows, self.used, **extra)

    def _fitted(self, rows, numbers, **extra):
        return self.fitted_to(self.encoded(rows.X), rows.y, numbers, **extra)

    def encoded(self, X):
        """Rows as the regressor takes them."""
        return X if self.encode is None else self.encode(X)


def describe(regressor, X):
    """Quantiles (n, 49) at ``LEVELS``, or predictions (n, 1) of a regressor that has no quantiles.

    Raises
    ------
    ValueError
        When they are not finite, or not a column for each level.
    """
    name = type(regressor).__name__
    if not hasattr(regressor, "predict_quantiles"):
        predicted = column_or_1d(regressor.predict(X))[:, None]
        return check_array(predicted, dtype=np.float64, input_name=f"predict of {name}")
    name = f"predict_quantiles of {name}"
    quantiles = regressor.predict_quantiles(X, LEVELS)
    quantiles = check_array(quantiles, dtype=np.float64, input_name=name)
    if quantiles.shape[1] != len(LEVELS):
        raise ValueError(
            f"{name} must give a column for each of {len(LEVELS)} levels, got {quantiles.shape[1]}."
        )
    return quantiles


def residual_quantiles(described, labels, weight=None):
    """What to add to predictions (n, 1) for quantiles at ``LEVELS``; None for quantiles.

    Parameters
    ----------
    described : ndarray of shape (n, 1) or (n, 49)
        Of held-out rows.
    labels : ndarray of shape (n,)
    weight : ndarray of shape (n,), default=None
    """
    if described.shape[1] > 1:
        return None
    residuals = labels - described[:, 0]
    order = np.argsort(residuals, kind="stable")
    weight = np.ones(len(labels)) if weight is None else weight[order]
    reached = np.cumsum(weight) / weight.sum()
    found = np.searchsorted(reached, LEVELS * (1 - 1e-9))
    return residuals[order][np.minimum(found, len(labels) - 1)]


def as_nodes(described, residuals):
    """Distributions of rows, from what :func:`describe` says and the residuals' quantiles.

    Predictions whose residuals are not known have no spread.
    """
    if residuals is None:
        quantiles = np.broadcast_to(described, (len(described), len(LEVELS)))
    else:
        quantiles = described + residuals
    return Nodes.of(QuantileDistributions(quantiles, LEVELS))
