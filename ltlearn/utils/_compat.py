"""The one place where private names of scikit-learn are imported."""

from sklearn.base import _fit_context

__all__ = ["_fit_context"]
