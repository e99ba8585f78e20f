"""What both meta-estimators share: checking, routing and handing on what ``fit`` is given."""

from sklearn.frozen import FrozenEstimator
from sklearn.utils import Bunch, check_array, column_or_1d, indexable
from sklearn.utils.metadata_routing import process_routing
from sklearn.utils.validation import has_fit_parameter

from ltlearn.datasets._mapping import loaded
from ltlearn.utils._checks import check_same_length, naming
from ltlearn.utils._compat import _check_sample_weight, _routing_enabled


def check_training_data(meta_estimator, X, y, sample_weight, dtype):
    """Check what the meta-estimator itself works on; ``X`` is left to the wrapped estimator."""
    if y is None:
        raise ValueError(
            f"{type(meta_estimator).__name__} requires y to be passed, but the target y is None."
        )
    with naming("y"):
        y = check_array(y, ensure_2d=False, dtype=dtype, input_name="y")
    if y.ndim == 2 and y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    check_same_length(X=X, y=y)
    X, y = indexable(loaded(X), y)
    if sample_weight is not None:
        with naming("sample_weight"):
            sample_weight = _check_sample_weight(sample_weight, X, ensure_non_negative=True)
    return X, y, sample_weight


def route(meta_estimator, sample_weight, fit_params):
    """Fit parameters of the wrapped estimator and, for a router with a splitter, of that."""
    if _routing_enabled():
        return process_routing(meta_estimator, "fit", sample_weight=sample_weight, **fit_params)
    if sample_weight is not None and not isinstance(meta_estimator.estimator, FrozenEstimator):
        if not has_fit_parameter(meta_estimator.estimator, "sample_weight"):
            raise TypeError(
                f"{type(meta_estimator.estimator).__name__} does not take sample_weight in fit. "
                "Inside a pipeline it can be routed: "
                "sklearn.set_config(enable_metadata_routing=True)."
            )
        fit_params = {**fit_params, "sample_weight": sample_weight}
    return Bunch(estimator=Bunch(fit=fit_params), splitter=Bunch(split={}))


def take_feature_attributes(meta_estimator):
    """Give the meta-estimator what the wrapped estimator knows of the features."""
    for attribute in ("n_features_in_", "feature_names_in_"):
        if hasattr(meta_estimator.estimator_, attribute):
            setattr(meta_estimator, attribute, getattr(meta_estimator.estimator_, attribute))
        elif hasattr(meta_estimator, attribute):  # from a fit to other data
            delattr(meta_estimator, attribute)
