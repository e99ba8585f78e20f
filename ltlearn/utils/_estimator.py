"""What every estimator of ltlearn has from scikit-learn's, with links and errors of its own."""

import functools
import inspect
import warnings
from typing import Any, cast

from sklearn.base import BaseEstimator as _BaseEstimator

from ltlearn._version import __version__
from ltlearn.exceptions import SavedFileWarning
from ltlearn.utils._compat import validate_parameter_constraints
from ltlearn.utils._suggestions import did_you_mean
from ltlearn.utils._typing import Function, Self

_VERSION = "_ltlearn_version"
DOCUMENTATION = "https://ltlearn.readthedocs.io/en/stable"


def all_or_nothing(fit: Function) -> Function:
    """Decorate a ``fit`` so that one that fails leaves the estimator as it was before."""

    @functools.wraps(fit)
    def guarded(self, *args, **kwargs):
        before = vars(self).copy()
        try:
            return fit(self, *args, **kwargs)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    return cast(Function, guarded)


class BaseEstimator(_BaseEstimator):
    """Scikit-learn's base class; its HTML links to our pages, its errors suggest what was meant.

    Pickles tell the version of ltlearn, as those of scikit-learn's estimators do theirs, and one of
    another version is loaded with a warning.
    """

    _doc_link_module = "ltlearn"
    _doc_link_template = DOCUMENTATION + "/api/{estimator_name}.html"

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = _suggesting(cls.__init__)

    @classmethod
    def _get_param_names(cls):
        """Names of the parameters, which scikit-learn would read from the signature every time."""
        init, names = vars(cls).get("_names_of_init", (None, None))
        if init is not cls.__init__:
            names = super()._get_param_names()
            cls._names_of_init = cls.__init__, names
        return list(names)

    def __getstate__(self):
        return {**super().__getstate__(), _VERSION: __version__}

    def __setstate__(self, state):
        version = state.get(_VERSION, "unknown")
        if version != __version__:
            warnings.warn(
                f"This {type(self).__name__} was pickled with ltlearn {version} and is loaded with "
                f"{__version__}: it may fail, or predict something else. Files of ltlearn.save "
                "are what later versions read.",
                SavedFileWarning,
                stacklevel=2,
            )
        super().__setstate__({name: value for name, value in state.items() if name != _VERSION})

    def set_params(self: Self, **params: Any) -> Self:
        """Set parameters of this estimator, nested ones by names such as ``estimator__lr``.

        Parameters
        ----------
        **params : dict
            Values by name.

        Returns
        -------
        self : estimator instance
        """
        try:
            return super().set_params(**params)
        except ValueError as error:
            known = self.get_params(deep=True)
            unknown = [name for name in params if name not in known]
            hints = [did_you_mean(name, known) for name in unknown]
            if not any(hints) or "Did you mean" in str(error):
                raise
            raise ValueError(f"{error}{next(filter(None, hints))}") from None

    def _validate_params(self):
        validate_parameter_constraints(
            self._parameter_constraints,
            self.get_params(deep=False),
            caller_name=type(self).__name__,
        )


def _suggesting(init):
    """A constructor whose error about an unknown argument says what was probably meant."""

    names = inspect.signature(init).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in names.values())
    n_positional = sum(p.kind is p.POSITIONAL_OR_KEYWORD for p in names.values()) - 1
    is_open = any(p.kind is p.VAR_POSITIONAL for p in names.values())

    @functools.wraps(init)
    def suggesting(self, *args, **kwargs):
        unknown = [] if takes_any else [name for name in kwargs if name not in names]
        if unknown:
            hint = did_you_mean(unknown[0], _names_with_options(self, names))
            raise TypeError(
                f"{type(self).__name__} has no parameter {unknown[0]!r}.{hint or _list(names)}"
            )
        if len(args) > n_positional and not is_open:
            raise TypeError(
                f"{type(self).__name__} got {args[n_positional]!r} without the name of a "
                f"parameter; give it by name.{_list(names)}"
            )
        return init(self, *args, **kwargs)

    return suggesting


def _names_with_options(estimator, names):
    """Names of parameters, and nested ones of option objects."""
    options = getattr(estimator, "_options", {})
    nested = (f"{topic}__{name}" for topic, kind in options.items() for name in kind().get_params())
    return [name for name in names if name != "self"] + list(nested)


def _list(names):
    return f" It has {', '.join(name for name in names if name != 'self')}."
