"""Fit an estimator on one split: seeds, validation rows, threads."""

import contextlib
import sys

from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from ltlearn.calibration import LogitAdjuster
from ltlearn.utils._compat import _num_samples, _routing_enabled
from ltlearn.utils._whole import Whole


def seeded_clone(estimator, seed):
    """Clone with every ``random_state``, nested ones included, set to ``seed``."""
    model = clone(estimator)
    names = (name for name in model.get_params() if name.split("__")[-1] == "random_state")
    model.set_params(**dict.fromkeys(names, seed))  # a FrozenEstimator's returns None
    return model


def last_step(estimator):
    """Last step of a pipeline, or the estimator itself."""
    return estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator


def uses_validation(estimator):
    """Whether ``fit`` takes ``X_val`` and ``y_val``, at the end of a pipeline too.

    HistGradientBoosting refuses a validation set when told not to stop early. A LogitAdjuster holds
    training rows out by itself, unless its classifier is frozen.
    """
    model = last_step(estimator)
    if isinstance(model, LogitAdjuster):
        return model.tau == "auto" and isinstance(model.estimator, FrozenEstimator)
    boosting = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)
    if isinstance(model, boosting) and model.early_stopping is False:
        return False
    return has_fit_parameter(model, "X_val")


def fit(model, X, y, X_val, y_val, params):
    """Fit ``model``, handing it the validation rows if it can use any.

    In a pipeline the validation rows pass through the steps before the last one, fitted on
    the training rows alone. (``transform_input`` could do that, but not behind a resampler.)

    Parameters
    ----------
    model : estimator
        Fitted in place. With metadata routing its last step is made to request the validation
        rows.
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
    prefix, last = "", last_step(model)
    if isinstance(model, Pipeline):
        name = model.steps[-1][0]
        head = clone(model).set_params(**{name: "passthrough"})
        if _routing_enabled():
            of_head = head.get_metadata_routing().consumes("fit", params)
            last.set_fit_request(X_val=True, y_val=True)
            transformed = [name for name in model.transform_input or () if name != "X_val"]
            model.set_params(transform_input=transformed)
        else:
            prefix = f"{name}__"
            of_head = [name for name in params if not name.startswith(prefix)]
        X_val = head.fit(X, y, **{name: params[name] for name in of_head}).transform(X_val)
    validation = {f"{prefix}X_val": X_val, f"{prefix}y_val": y_val}
    is_ours = any(parent.__module__.startswith("ltlearn.") for parent in type(last).__mro__)
    if is_ours and (isinstance(model, Pipeline) or _num_samples(X_val) == _num_samples(X)):
        validation = {name: Whole(values) for name, values in validation.items()}
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
