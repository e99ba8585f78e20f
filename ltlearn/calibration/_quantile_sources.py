"""Predicted quantiles of regressors, in whichever way they give them."""

import inspect
import re

import numpy as np
from sklearn.utils import check_array

from ltlearn.calibration._conformal import ConformalRegressor, rows_needed
from ltlearn.calibration._dials import descend
from ltlearn.calibration._predictive import LEVELS, quantiles

_MULTI_QUANTILE = re.compile(r"MultiQuantile:(?:.*;)?alpha=([^;]+)")


def predicted_quantiles(estimator, X, levels=None):
    """Quantiles that a fitted regressor, or the one inside its wrappers, predicts.

    Parameters
    ----------
    estimator : regressor
        With one of: ``predict_quantiles(X, levels)``; ``predict(X, quantiles=levels)``; a
        :class:`ConformalRegressor`; a ``predict`` that gives a column for each of ``levels``.
    X : array-like of n rows
    levels : sequence of float or None
        Those of the columns; None reads them off CatBoost's loss.

    Returns
    -------
    quantiles : ndarray of shape (n, L)
    levels : ndarray of shape (L,)
        Increasing.

    Raises
    ------
    TypeError
        When the regressor gives no quantiles.
    """
    inner, X = descend(estimator, X)
    if hasattr(inner, "predict_quantiles"):
        return quantiles(inner, X, LEVELS), LEVELS
    if "quantiles" in inspect.signature(inner.predict).parameters:
        values = inner.predict(X, quantiles=LEVELS.tolist())
        return _checked(inner, values, LEVELS), LEVELS
    if isinstance(inner, ConformalRegressor):
        return _from_intervals(inner, X)
    if levels is None:
        levels = _levels_of_loss(inner)
    if levels is None:
        raise TypeError(
            f"{type(inner).__name__} predicts no distribution: it has no predict_quantiles, its "
            "predict takes no quantiles, and no levels are known of what that gives. Wrap it in "
            "ltlearn.calibration.ConformalRegressor, whose intervals make one."
        )
    levels = np.asarray(levels, dtype=np.float64)
    order = np.argsort(levels)
    return _checked(inner, inner.predict(X), levels)[:, order], levels[order]


def _checked(estimator, values, levels):
    name = f"predict of {type(estimator).__name__}"
    values = check_array(values, dtype=np.float64, ensure_2d=False, input_name=name)
    values = values.reshape(len(values), -1)
    if values.shape[1] != len(levels):
        raise ValueError(
            f"{name} gives {values.shape[1]} columns, and there are {len(levels)} levels: every "
            "level needs a column."
        )
    return values


def _levels_of_loss(estimator):
    """Levels of CatBoost's loss "MultiQuantile:alpha=0.1,0.5,0.9", or None."""
    loss = estimator.get_params().get("loss_function")
    found = _MULTI_QUANTILE.match(loss) if isinstance(loss, str) else None
    return None if found is None else [float(level) for level in found[1].split(",")]


def _from_intervals(conformal, X):
    """The ends of the central intervals at all levels that the held-out rows allow."""
    n_rows = np.min(conformal.n_held_out_)
    lower = np.array([p for p in LEVELS[LEVELS < 0.5] if rows_needed(1 - 2 * p) <= n_rows])
    intervals = conformal._intervals(X, 1 - 2 * lower)
    values = np.concatenate([intervals[:, 0], intervals[:, 1, ::-1]], axis=1)
    return values, np.concatenate([lower, 1 - lower[::-1]])
