"""The one place where private or version-dependent names of scikit-learn are imported."""

import sys
from types import ModuleType

from sklearn.base import _fit_context
from sklearn.metrics._scorer import _SCORERS, _BaseScorer
from sklearn.model_selection._split import GroupsConsumerMixin, _BaseKFold, _validate_shuffle_split
from sklearn.utils._indexing import _safe_indexing
from sklearn.utils._metadata_requests import _routing_enabled
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions, validate_params
from sklearn.utils.metaestimators import _BaseComposition, _safe_split
from sklearn.utils.validation import _check_method_params, _check_sample_weight, _num_samples

try:
    from sklearn.utils._repr_html.estimator import _VisualBlock
except ImportError:  # scikit-learn < 1.7
    from sklearn.utils._estimator_html_repr import _VisualBlock

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn < 1.9

    class CallbackSupportMixin:
        """Stands in for scikit-learn's callback support where there is none."""

        def _init_callback_context(self, **kwargs):
            return None

    def with_callbacks(method):
        return method


def add_scorers(scorers):
    """Add a dict of scorers to those that scikit-learn knows by name."""
    _SCORERS.update(scorers)
    # Modules imported before this took a copy of the names into their parameter constraints.
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == "sklearn" and isinstance(module, ModuleType):
            for member in list(vars(module).values()):
                for constraint in _scoring_constraints(member):
                    if isinstance(constraint, StrOptions) and "r2" in constraint.options:
                        constraint.options.update(scorers)


def _scoring_constraints(member):
    attributes = getattr(member, "__dict__", {})
    of_class = attributes.get("_parameter_constraints", {})
    of_function = attributes.get("_skl_parameter_constraints", {})
    return [*of_class.get("scoring", []), *of_function.get("scoring", [])]


__all__ = [
    "CallbackSupportMixin",
    "GroupsConsumerMixin",
    "HasMethods",
    "Interval",
    "StrOptions",
    "_BaseComposition",
    "_BaseKFold",
    "_BaseScorer",
    "_VisualBlock",
    "_check_method_params",
    "_check_sample_weight",
    "_fit_context",
    "_num_samples",
    "_routing_enabled",
    "_safe_indexing",
    "_safe_split",
    "_validate_shuffle_split",
    "add_scorers",
    "validate_params",
    "with_callbacks",
]
