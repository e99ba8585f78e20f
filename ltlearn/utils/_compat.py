"""The one place where private or version-dependent names of scikit-learn are imported."""

from sklearn.base import _fit_context
from sklearn.model_selection._split import GroupsConsumerMixin, _BaseKFold, _validate_shuffle_split
from sklearn.utils._indexing import _safe_indexing
from sklearn.utils._metadata_requests import _routing_enabled
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions, validate_params
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.validation import _check_method_params, _check_sample_weight

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn < 1.9

    class CallbackSupportMixin:
        """Stands in for scikit-learn's callback support where there is none."""

        def _init_callback_context(self, **kwargs):
            return None

    def with_callbacks(method):
        return method


__all__ = [
    "CallbackSupportMixin",
    "GroupsConsumerMixin",
    "HasMethods",
    "Interval",
    "StrOptions",
    "_BaseKFold",
    "_check_method_params",
    "_check_sample_weight",
    "_fit_context",
    "_routing_enabled",
    "_safe_indexing",
    "_safe_split",
    "_validate_shuffle_split",
    "validate_params",
    "with_callbacks",
]
