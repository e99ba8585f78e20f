"""How option objects nest in an estimator.

None stands for an option object with its defaults. ``get_params`` and ``set_params`` reach inside
all the same, and ``set_params`` gives the estimator an object of its own, so that estimators which
were made with one object do not change together.
"""

from typing import Any

from sklearn.base import clone

from ltlearn.utils._compat import plain_number
from ltlearn.utils._estimator import BaseEstimator
from ltlearn.utils._typing import Self


class Options(BaseEstimator):
    """Base class of option objects: parameters and their constraints, nothing else."""

    _parameter_constraints: dict = {}

    @classmethod
    def of(cls, value: Any) -> Any:
        """The options that a parameter stands for: ``value`` itself, or the defaults for None."""
        return cls() if value is None else value

    def plain(self: Self) -> Self:
        """A copy whose numbers are Python's, not NumPy's."""
        params = self.get_params(deep=False).items()
        constraints = self._parameter_constraints
        return type(self)(**{name: plain_number(v, constraints[name]) for name, v in params})


class NestedOptionsMixin:
    """Give an estimator option objects as parameters.

    ``_options`` maps the names of these parameters to subclasses of :class:`Options`. To be named
    before ``BaseEstimator`` among the bases.
    """

    _options: dict = {}

    def _option(self, name):
        """The option object of the parameter ``name``, or its defaults, with plain numbers."""
        value = getattr(self, name)
        options = self._options[name].of(value)
        return options if value is None else options.plain()

    def _validate_options(self):
        for name, kind in self._options.items():
            kind.of(getattr(self, name))._validate_params()

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters of this estimator and, with ``deep``, of its option objects.

        Parameters
        ----------
        deep : bool, default=True
            Whether to add the options by their nested names, such as ``training__layer_decay``.

        Returns
        -------
        params : dict
        """
        params = super().get_params(deep)
        if deep:
            for name, kind in self._options.items():
                options = kind.of(params[name])
                if isinstance(options, kind):
                    nested = options.get_params()
                    params.update((f"{name}__{key}", value) for key, value in nested.items())
        return params

    def set_params(self: Self, **params: Any) -> Self:
        """Set parameters of this estimator and, by their nested names, of its option objects.

        Parameters
        ----------
        **params : dict
            For example ``lr=0.01, training__layer_decay=0.75``.

        Returns
        -------
        self : estimator instance
        """
        topics = {key.partition("__")[0] for key in params if "__" in key}
        for name in topics & set(self._options):
            params[name] = clone(self._options[name].of(params.get(name, getattr(self, name))))
        return super().set_params(**params)
