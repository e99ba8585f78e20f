"""The scale on which heads see columns: a signed power, then mean 0 and variance 1.

Of many columns, only the principal components of what results are kept. What is computed from all
rows together knows no label, so folds share it.
"""

import copy

import numpy as np
from scipy.linalg import eigh

from ltlearn.data._powers import signed_power


class Scaler:
    """Signed power, then standardization by weighted training rows, then principal components.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    weight : ndarray of shape (n,), default=None
    power : float, default=1.0
    n_components : int, default=None
        With more columns, so many principal components at most are kept.
    """

    def __init__(self, X, weight=None, *, power=1.0, n_components=None):
        self.power = power
        powered = signed_power(X, power).astype(np.float64, copy=False)
        self.mean = np.average(powered, axis=0, weights=weight)
        variance = np.average((powered - self.mean) ** 2, axis=0, weights=weight)
        # Columns that are constant up to rounding stay what they are.
        constant = variance <= (10 * np.finfo(X.dtype).eps * np.abs(self.mean)) ** 2
        self.scale = np.where(constant | (variance == 0), 1.0, np.sqrt(variance))
        self.components = None
        if n_components is not None and X.shape[1] > n_components:
            self.components = principal_components(self(X), weight, n_components)

    def __call__(self, X):
        powered = signed_power(X, self.power)
        scaled = (powered - self.mean.astype(X.dtype)) / self.scale.astype(X.dtype)
        return scaled if self.components is None else scaled @ self.components


def principal_components(X, weight, n_most):
    """Orthonormal axes (d, r) of the most variance of centered rows, r at most ``n_most``."""
    if weight is not None:
        X = X * np.sqrt(weight)[:, None].astype(X.dtype)
    if len(X) < X.shape[1]:
        variance, axes = eigh(X @ X.T)
    else:
        variance, axes = eigh(X.T @ X)
    largest = variance[-1]
    kept = variance > largest * np.finfo(X.dtype).eps * max(X.shape)
    kept[:-n_most] = False
    if not kept.any():  # all rows are equal
        return np.eye(X.shape[1], 1, dtype=X.dtype)
    axes = axes[:, kept][:, ::-1]
    if len(X) < X.shape[1]:
        axes = X.T @ (axes / np.sqrt(variance[kept][::-1]))
    return np.ascontiguousarray(axes)


class Scalers:
    """Scalers of the training rows by power and number of components, each made once.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    weight : ndarray of shape (n,), default=None
    """

    def __init__(self, X, weight=None):
        self._X, self._weight, self._made = X, weight, {}

    def __call__(self, power, n_components):
        key = power, n_components
        if key not in self._made:
            self._made[key] = Scaler(self._X, self._weight, power=power, n_components=n_components)
        return self._made[key]


class ScaledRows:
    """Rows on every scale, each computed when it is first asked for.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    scalers : Scalers
    """

    def __init__(self, X, scalers):
        self.scalers = scalers
        self.n_columns = X.shape[1]
        self._X, self._index, self._scaled = X, None, {}

    def take(self, index):
        """Some of the rows, which share what is computed."""
        part = copy.copy(self)
        part._index = index if self._index is None else self._index[index]
        return part

    def at(self, power, n_components):
        """The rows (n, r) on one scale."""
        key = power, n_components
        if key not in self._scaled:
            self._scaled[key] = self.scalers(*key)(self._X)
        scaled = self._scaled[key]
        return scaled if self._index is None else scaled[self._index]
