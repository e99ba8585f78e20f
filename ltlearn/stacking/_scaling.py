"""The scale on which heads see columns: a signed power, then mean 0 and variance 1."""

import numpy as np

from ltlearn.data._powers import signed_power


class PowerScaler:
    """Signed power, then standardization by weighted training rows.

    Parameters
    ----------
    power : float
    X : ndarray of shape (n, d)
    weight : ndarray of shape (n,), default=None
    """

    def __init__(self, power, X, weight=None):
        self.power = power
        powered = signed_power(X, power).astype(np.float64, copy=False)
        self.mean = np.average(powered, axis=0, weights=weight)
        variance = np.average((powered - self.mean) ** 2, axis=0, weights=weight)
        # Columns that are constant up to rounding stay what they are.
        constant = variance <= (10 * np.finfo(X.dtype).eps * np.abs(self.mean)) ** 2
        self.scale = np.where(constant | (variance == 0), 1.0, np.sqrt(variance))

    def __call__(self, X):
        powered = signed_power(X, self.power)
        return (powered - self.mean.astype(X.dtype)) / self.scale.astype(X.dtype)
