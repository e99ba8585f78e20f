"""Deep learning on long-tailed data with scikit-learn estimators."""

from ltlearn._elta import ELTARegressor
from ltlearn._version import __version__
from ltlearn._whole import Whole

__all__ = ["ELTARegressor", "Whole", "__version__"]
