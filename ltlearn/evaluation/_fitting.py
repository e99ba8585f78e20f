"""Fit an estimator on one split: seeds, validation rows, threads."""

import contextlib
import sys

from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter


def seeded_clone(estimator, seed):
    """Clone with every ``random_state``, nested ones included, set to ``seed``."""
    model = clone(estimator)
    names = (name for name in model.get_params() if name.split("__")[-1] == "random_state")
    return model.set_params(**dict.fromkeys(names, seed))


def last_step(estimator):
    """Last step of a pipeline, or the estimator itself."""
    return estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator


def uses_validation(estimator):
    """Whether ``fit`` takes ``X_val`` and ``y_val``, at the end of a pipeline too.

    HistGradientBoosting refuses a validation set when told not to stop early.
    """
    model = last_step(estimator)
    boosting = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)
    if isinstance(model, boosting) and model.early_stopping is False:
        return False
    return has_fit_parameter(model, "X_val")


def fit(model, X, y, X_val, y_val, params):
    """Fit ``model``, handing it the validation rows if it can use any.

    In a pipeline the validation rows pass through the steps before the last one, fitted on
    the training rows alone.

    Parameters
    ----------
    model : estimator
        Fitted in place.
    X, y : array-like of n_samples rows
    X_val, y_val : array-like of n_validation rows, or None
    params : dict
        Other arguments of ``fit``.

    Returns
    -------
    estimator
    """
    if X_val is None or not uses_validation(model):
        return model.fit(X, y, **params)
    if not isinstance(model, Pipeline) or "X_val" in (
        getattr(model, "transform_input", None) or ()
    ):
        return model.fit(X, y, X_val=X_val, y_val=y_val, **params)
    name = model.steps[-1][0]
    head = clone(model).set_params(**{name: "passthrough"}).fit(X, y)
    validation = {f"{name}__X_val": head.transform(X_val), f"{name}__y_val": y_val}
    return model.fit(X, y, **validation, **params)


@contextlib.contextmanager
def one_torch_thread():
    """Let torch, if it has been imported, use one thread inside the block."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
