"""The one place where names of scikit-learn that are private, without types or new are imported."""

import functools
import inspect
import sys
from collections.abc import Callable, Iterable
from numbers import Integral
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn import config_context, get_config
from sklearn.ensemble._hist_gradient_boosting.binning import _BinMapper
from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.metrics._scorer import _SCORERS, _BaseScorer
from sklearn.model_selection._search import BaseSearchCV
from sklearn.model_selection._split import GroupsConsumerMixin, _BaseKFold, _validate_shuffle_split
from sklearn.tree._tree import NODE_DTYPE, Tree
from sklearn.utils._indexing import _safe_indexing
from sklearn.utils._metadata_requests import _routing_enabled
from sklearn.utils._param_validation import HasMethods, InvalidParameterError, StrOptions
from sklearn.utils._param_validation import Interval as _Interval
from sklearn.utils._param_validation import validate_parameter_constraints as _validate
from sklearn.utils._repr_html.estimator import _VisualBlock
from sklearn.utils.metaestimators import _BaseComposition, _safe_split
from sklearn.utils.validation import _check_method_params, _check_sample_weight, _num_samples

from ltlearn.utils._suggestions import did_you_mean
from ltlearn.utils._typing import Function

if TYPE_CHECKING:
    # Decorators without types would hide those of the methods that they decorate.
    def _fit_context(*, prefer_skip_nested_validation: bool) -> Callable[[Function], Function]: ...

    def available_if(check: Callable[[Any], bool]) -> Callable[[Function], Function]: ...

    def with_callbacks(method: Function) -> Function: ...
else:
    from sklearn.base import _fit_context
    from sklearn.utils.metaestimators import available_if

    try:
        from sklearn.callback import with_callbacks
    except ImportError:  # scikit-learn < 1.9

        def with_callbacks(method):
            return method


try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # scikit-learn < 1.9

    class CallbackSupportMixin:
        """Stands in for scikit-learn's callback support where there is none."""

        def _init_callback_context(self, **kwargs):
            return None


class Interval(_Interval):
    """Scikit-learn's interval of numbers, to which neither True nor what is no float belongs."""

    def is_satisfied_by(self, val):
        return is_number(val) and super().is_satisfied_by(val)


def is_number(value):
    """Whether a value is an int or float of Python's or NumPy's, and not too large for a float."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, Integral | float | np.floating):
        return False
    try:
        float(value)
    except OverflowError:
        return False
    return True


def validate_parameter_constraints(constraints, params, caller_name):
    """Scikit-learn's check of parameters, with errors that say which word was probably meant."""
    try:
        _validate(constraints, params, caller_name)
    except InvalidParameterError as error:
        raise InvalidParameterError(f"{error}{_meant(constraints, params, str(error))}") from None


def _meant(constraints, params, message):
    for name, value in params.items():
        if message.startswith(f"The {name!r} parameter of "):
            allowed = constraints.get(name, [])
            if Iterable in allowed and isinstance(value, Integral):
                return f" For {value} of them, pass range({value})."
            options = [o for each in allowed if isinstance(each, StrOptions) for o in each.options]
            return did_you_mean(value, sorted(options))
    return ""


def plain_number(value, constraints):
    """A number that a parameter may have as Python's int or float; any other value as it is.

    NumPy's numbers overflow where Python's do not (``np.int8(100) * 2``), and torch takes no int
    beyond 64 bits for a float.
    """
    for constraint in constraints:
        if isinstance(constraint, _Interval) and is_number(value):
            return int(value) if constraint.type is Integral else float(value)
    return value


def validate_params(
    constraints, *, prefer_skip_nested_validation
) -> Callable[[Function], Function]:
    """Scikit-learn's decorator of functions, with errors about the call itself that say which."""

    def decorate(function):
        signature = inspect.signature(function)

        @functools.wraps(function)
        def validated(*args, **kwargs):
            try:
                bound = signature.bind(*args, **kwargs)
            except TypeError as error:
                # As users call it: without the class that a class method is called with.
                shown = [
                    parameter.replace(annotation=parameter.empty)
                    for name, parameter in signature.parameters.items()
                    if name not in _OWNERS
                ]
                shown = inspect.Signature(shown)
                name = function.__qualname__
                raise TypeError(f"{name}: {error}. Call it as {name}{shown}.") from None
            skips = get_config()["skip_parameter_validation"]
            if skips:
                return function(*args, **kwargs)
            bound.apply_defaults()
            given = {name: v for name, v in bound.arguments.items() if name in constraints}
            validate_parameter_constraints(constraints, given, caller_name=function.__qualname__)
            with config_context(skip_parameter_validation=prefer_skip_nested_validation or skips):
                return function(*args, **kwargs)

        return validated

    return decorate


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


_OWNERS = ("self", "cls")


__all__ = [
    "NODE_DTYPE",
    "PREDICTOR_RECORD_DTYPE",
    "BaseSearchCV",
    "CallbackSupportMixin",
    "GroupsConsumerMixin",
    "HasMethods",
    "Interval",
    "StrOptions",
    "Tree",
    "TreePredictor",
    "_BaseComposition",
    "_BaseKFold",
    "_BaseScorer",
    "_BinMapper",
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
    "available_if",
    "is_number",
    "plain_number",
    "validate_parameter_constraints",
    "validate_params",
    "with_callbacks",
]
