"""The scale on which heads see columns: a signed power, then mean 0 and variance 1."""

import numpy as np


def signed_power(X, power):
    """``sign(x) |x|^p``: with p = 1/2, long right tails such as those of pooled ReLUs shrink."""
    return X if power == 1 else np.sign(X) * np.abs(X) ** X.dtype.type(power)


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
