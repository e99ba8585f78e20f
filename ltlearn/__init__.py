"""Deep learning on long-tailed data with scikit-learn estimators."""

from ltlearn._version import __version__

__all__ = ["__version__"]
