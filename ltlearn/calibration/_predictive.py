"""What a fitted regressor, or one inside its wrappers, says beyond a single number."""

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import check_array, column_or_1d

# Levels at which quantiles are asked for: evenly spaced in the logit, so dense in both tails.
LEVELS = 1 / (1 + np.exp(-np.arange(-7, 7.01, 0.25)))


def can(estimator, method):
    """Whether the fitted estimator, or the last step or best one in it, has the method."""
    if hasattr(estimator, method):
        return True
    if isinstance(estimator, FrozenEstimator):
        return can(estimator.estimator, method)
    if isinstance(estimator, Pipeline):
        transforms = len(estimator) == 1 or hasattr(estimator[:-1], "transform")
        return transforms and can(estimator[-1], method)
    return hasattr(estimator, "best_estimator_") and can(estimator.best_estimator_, method)


def ask(estimator, method, X, *args):
    """Call the method that :func:`can` found, on ``X`` as it arrives there."""
    if hasattr(estimator, method):
        return getattr(estimator, method)(X, *args)
    if isinstance(estimator, FrozenEstimator):
        return ask(estimator.estimator, method, X, *args)
    if isinstance(estimator, Pipeline):
        X = X if len(estimator) == 1 else estimator[:-1].transform(X)
        return ask(estimator[-1], method, X, *args)
    return ask(estimator.best_estimator_, method, X, *args)


def predictions(estimator, X):
    """Predicted scores (n,), which must be finite."""
    predicted = column_or_1d(estimator.predict(X))
    return check_array(
        predicted, ensure_2d=False, dtype=np.float64, input_name=f"predict of {_name(estimator)}"
    )


def quantiles(estimator, X, levels):
    """Predicted quantiles (n, n_levels), finite and in order."""
    name = f"predict_quantiles of {_name(estimator)}"
    values = check_array(
        ask(estimator, "predict_quantiles", X, levels), dtype=np.float64, input_name=name
    )
    if values.shape[1] != len(levels):
        raise ValueError(
            f"{name} must give a column for each of {len(levels)} levels, got {values.shape[1]}."
        )
    return np.sort(values, axis=1)


def _name(estimator):
    return type(estimator).__name__
